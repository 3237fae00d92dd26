"""Upkeep of the user's own cache directory: garbage, stale entries, and a budget.

Whoever compiles looks at most once a day, so that reading from a warm cache costs nothing more.
"""

from dataclasses import dataclass

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.listing import Listed
from chonkle.cache.record import Doubt

DAY_S = 86400.0
# Code for another version of wasmtime: an environment that still has it would have used it.
STALE_GRACE_S = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class Removed:
    """What upkeep took away.

    Attributes:
        entries: how many entries.
        freed_bytes: how long their files were, and those of writers that died.
        failures: why others could not be removed.
    """

    entries: int
    freed_bytes: int
    failures: tuple[OSError, ...] = ()


def keep_up(
    directory: CacheDirectory, *, size_max_bytes: int, wasmtime: str, now: float
) -> Removed | None:
    """Tidy a directory, unless that was done within a day.

    Args:
        directory: the user's own.
        size_max_bytes: what its entries may take together.
        wasmtime: the version that is in use.
        now: the time, in seconds since the epoch.

    Returns:
        What was removed; None where it was not time yet.

    Raises:
        OSError: as the file system says.
    """
    last = directory.last_trimmed()
    if last is not None and 0 <= now - last < DAY_S:
        return None
    # Noted first, so that of many processes one does it.
    directory.note_trimmed(now=now)
    removed = prune(directory, size_max_bytes=size_max_bytes, wasmtime=wasmtime, now=now)
    if removed.failures:
        raise removed.failures[0]
    return removed


def prune(
    directory: CacheDirectory,
    *,
    size_max_bytes: int,
    wasmtime: str,
    now: float,
    unused_s: float | None = None,
) -> Removed:
    """Remove what writers that died left, stale entries, and the least recently used beyond a size.

    Args:
        directory: the user's own.
        size_max_bytes: what its entries may take together.
        wasmtime: the version that is in use; entries of others go after a while without use.
        now: the time, in seconds since the epoch.
        unused_s: remove also every entry that was not used for so many seconds.

    Raises:
        OSError: as the file system says.
    """
    directory.mend_rights()
    remover = _Remover(directory)
    for listed in directory.listing():
        remover.remove_leftovers(listed, now=now)
    total = 0
    for listed in sorted(directory.listing(), key=lambda listed: _idle_s(listed, now=now)):
        idle_s = _idle_s(listed, now=now)
        is_old = unused_s is not None and idle_s > unused_s
        if (
            is_old
            or total + listed.size_bytes > size_max_bytes
            or (idle_s > STALE_GRACE_S and not _is_for(wasmtime, directory, listed))
        ):
            remover.remove(listed)
        else:
            total += listed.size_bytes
    return remover.removed


class _Remover:
    """Removes what can be removed, and notes why the rest cannot."""

    def __init__(self, directory: CacheDirectory) -> None:
        self._directory = directory
        self.entries = self.freed_bytes = 0
        # By key, so that an entry counts once.
        self.failures: dict[str, OSError] = {}

    @property
    def removed(self) -> Removed:
        return Removed(self.entries, self.freed_bytes, tuple(self.failures.values()))

    def remove(self, listed: Listed) -> None:
        try:
            freed = self._directory.remove(listed.key, listed=listed)
        except OSError as failure:
            self.failures[listed.key] = failure
        else:
            self.freed_bytes += freed
            self.entries += freed > 0

    def remove_leftovers(self, listed: Listed, *, now: float) -> None:
        try:
            self.freed_bytes += self._directory.remove_leftovers(listed, now=now)
        except OSError as failure:
            self.failures[listed.key] = failure


def _idle_s(listed: Listed, *, now: float) -> float:
    """Say for how long an entry was not used, in seconds."""
    idle_s = now - listed.used_at
    # Whoever says tomorrow has a wrong clock, and would otherwise be the last to go for years.
    return idle_s if idle_s > -DAY_S else float("inf")


def _is_for(wasmtime: str, directory: CacheDirectory, listed: Listed) -> bool:
    try:
        record = directory.read(listed.key)
    except Doubt:
        return False
    return record is not None and record.about.wasmtime == wasmtime


@dataclass(frozen=True, slots=True)
class Cleared:
    """What clearing a directory did.

    Attributes:
        removed: what went.
        busy: how many entries somebody is writing, who keeps them.
    """

    removed: Removed
    busy: int


def clear(directory: CacheDirectory) -> Cleared:
    """Remove every entry, and what writers that died left.

    Args:
        directory: the user's own.

    Raises:
        OSError: as the file system says, where the directory cannot be read.
    """
    directory.mend_rights()
    remover = _Remover(directory)
    keys = set()
    for listed in directory.listing():
        keys.add(listed.key)
        remover.remove(listed)
    left = keys.intersection(listed.key for listed in directory.listing())
    return Cleared(remover.removed, len(left - remover.failures.keys()))
