"""The directories that native code is kept in: the system's, only read, and the user's own.

Each is looked at once, when it is first needed, and done without where it cannot be trusted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.record import Seal
from chonkle.errors import explained, printable

Mode = Literal["auto", "only", "off"]
# Some thousand codecs of a usual size.
SIZE_MAX_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Where native code is kept, and what of it is believed.

    Attributes:
        root: the user's own directory; None keeps nothing.
        system: a directory that is read before it, which may belong to root; None where there is
            none.
        mode: `auto` reads and writes, `only` never compiles, `off` keeps nothing.
        seal: how records are sealed.
        size_max_bytes: what upkeep trims the user's directory to.
    """

    root: Path | None
    system: Path | None = None
    mode: Mode = "auto"
    seal: Seal = field(default_factory=Seal)
    size_max_bytes: int = SIZE_MAX_BYTES


class CacheLayers:
    """The directories that a configuration names, each looked at when it is first needed.

    Attributes:
        config: what they were made from.
        clock: gives the time in seconds since the epoch.
        is_counting: whether an entry that is loaded counts as used.
    """

    def __init__(
        self,
        config: CacheConfig,
        *,
        clock: Callable[[], float] = time.time,
        is_counting: bool = True,
    ) -> None:
        """Name the directories.

        Args:
            config: which they are.
            clock: gives the time in seconds since the epoch.
            is_counting: an entry that is loaded counts as used.
        """
        self.config = config
        self.clock = clock
        self.is_counting = is_counting
        self._warned = False
        self._opened: list[CacheDirectory] | None = None
        self._own: CacheDirectory | None = None

    @property
    def readable(self) -> Sequence[CacheDirectory]:
        """The directories that entries may be loaded from, in the order to look."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def own(self) -> CacheDirectory | None:
        """The directory that entries may be written to; None where there is none."""
        return self._own if self.readable else None

    def warn_once(self, message: str) -> None:
        """Log what is wrong with the user's own directory, the first time that something is."""
        if not self._warned:
            self._warned = True
            warn(message)

    def _open(self) -> list[CacheDirectory]:
        config = self.config
        opened: list[CacheDirectory] = []
        if config.mode == "off":
            return opened
        if config.system is not None:
            system = CacheDirectory(config.system, seal=config.seal, is_system=True)
            reason = _unusable(system, is_needed=True)
            if reason is None:
                opened.append(system)
            else:
                warn(f"AOT cache of the system not used: {reason}")
        if config.root is not None:
            own = CacheDirectory(config.root, seal=config.seal)
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
    """Say why a directory cannot be used; one that is missing is a reason, is made, or is empty."""
    try:
        if not directory.exists():
            if is_needed:
                return f"there is no cache in {directory.root}"
            if is_made:
                directory.create()
        return directory.distrust()
    except OSError as failure:
        return explained(failure)


def warn(message: str) -> None:
    """Log what an operator should know, and what stops nobody."""
    import logging  # noqa: PLC0415 - as slow as a call of a codec, and hardly ever needed

    logging.getLogger("chonkle.aot").warning(printable(message))
