"""The directories of native code: the system's, only read, and the user's own.

Each is checked once, when it is first needed, and is not used where it cannot be trusted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Authenticator
from chonkle.errors import os_error_text, warn

Mode = Literal["auto", "only", "off"]

LOGGER = "chonkle.aot"
# Some thousand codecs of a usual size.
SIZE_MAX_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Where native code is kept, and how it is authenticated.

    Attributes:
        root: the user's own directory; None keeps nothing.
        system: a directory that is read before it, which may belong to root; None for none.
        mode: `auto` reads and writes, `only` never compiles, `off` keeps nothing.
        authenticator: how records are authenticated.
        size_max_bytes: what the user's directory is trimmed to.
    """

    root: Path | None
    system: Path | None = None
    mode: Mode = "auto"
    authenticator: Authenticator = field(default_factory=Authenticator)
    size_max_bytes: int = SIZE_MAX_BYTES


class CacheLayers:
    """The directories of a configuration, each checked when it is first needed.

    Attributes:
        config: the configuration.
        clock: gives the time in seconds since the epoch.
    """

    def __init__(self, config: CacheConfig, *, clock: Callable[[], float] = time.time) -> None:
        """Name the directories; nothing is read or made yet."""
        self.config = config
        self.clock = clock
        self._warned = False
        self._opened: list[CacheDirectory] | None = None
        self._own: CacheDirectory | None = None

    @property
    def readable(self) -> Sequence[CacheDirectory]:
        """The directories that entries may be loaded from, in order."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def own(self) -> CacheDirectory | None:
        """The directory that entries may be written to; None where there is none."""
        return self._own if self.readable else None

    def warn_once(self, message: str) -> None:
        """Log a problem of the user's own directory, unless one was logged before."""
        if not self._warned:
            self._warned = True
            warn(LOGGER, message)

    def _open(self) -> list[CacheDirectory]:
        config = self.config
        opened: list[CacheDirectory] = []
        if config.mode == "off":
            return opened
        if config.system is not None:
            system = CacheDirectory(
                config.system, authenticator=config.authenticator, is_system=True
            )
            reason = _unusable(system, is_needed=True)
            if reason is None:
                opened.append(system)
            else:
                warn(LOGGER, f"AOT cache of the system not used: {reason}")
        if config.root is not None:
            own = CacheDirectory(config.root, authenticator=config.authenticator)
            reason = _unusable(own, is_made=config.mode == "auto")
            if reason is None:
                opened.append(own)
                self._own = own if config.mode == "auto" else None
            else:
                instead = ", codecs are compiled in memory" * (config.mode == "auto")
                self.warn_once(f"AOT cache not used{instead}: {reason}")
        return opened


def _unusable(
    directory: CacheDirectory, *, is_needed: bool = False, is_made: bool = False
) -> str | None:
    """Say why a directory cannot be used; a missing one is an error, is made, or is empty."""
    try:
        if not directory.exists():
            if is_needed:
                return f"there is no cache in {directory.root}"
            if is_made:
                directory.create()
        directory.check_trust()
    except OSError as failure:
        return os_error_text(failure)
    return None
