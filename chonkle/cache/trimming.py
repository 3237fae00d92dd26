"""Trimming the user's own cache directory: garbage, stale entries, and the size.

A process that compiled something trims, at most once a day, so that reading a warm cache costs
nothing more. All functions raise OSError as the file system does.
"""

from dataclasses import dataclass

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.entry_files import EntryFiles
from chonkle.cache.record import InvalidEntry

DAY_S = 86400.0
# An environment that still has the other version of wasmtime would have used its entries.
STALE_GRACE_S = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed."""

    entries: int
    freed_bytes: int  # the length of their files, and of those that interrupted writers left
    failures: tuple[OSError, ...] = ()  # why others could not be removed


def trim_if_due(
    directory: CacheDirectory, *, size_max_bytes: int, wasmtime: str, now: float
) -> Removed | None:
    """Trim a directory; None where that was done within a day.

    Args:
        directory: the user's own.
        size_max_bytes: the maximum size of its entries together.
        wasmtime: the version that is in use.
        now: the time, in seconds since the epoch.
    """
    last = directory.last_trimmed()
    if last is not None and 0 <= now - last < DAY_S:
        return None
    # Noted first, so that only one of many processes trims.
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
    """Remove unfinished files, stale entries, and the least recently used entries beyond a size.

    Args:
        directory: the user's own.
        size_max_bytes: the maximum size of its entries together.
        wasmtime: the version in use; unused entries of others are removed after a while.
        now: the time, in seconds since the epoch.
        unused_s: remove also every entry that was not used for this many seconds.
    """
    directory.restore_rights()
    remover = _Remover(directory)
    for files in directory.files():
        remover.remove_leftovers(files, now=now)
    total = 0
    for files in sorted(directory.files(), key=lambda files: _idle_s(files, now=now)):
        idle_s = _idle_s(files, now=now)
        is_old = unused_s is not None and idle_s > unused_s
        if (
            is_old
            or total + files.size_bytes > size_max_bytes
            or (idle_s > STALE_GRACE_S and not _is_for(wasmtime, directory, files))
        ):
            remover.remove(files)
        else:
            total += files.size_bytes
    return remover.removed


class _Remover:
    def __init__(self, directory: CacheDirectory) -> None:
        self._directory = directory
        self.entries = self.freed_bytes = 0
        # By key, so that an entry counts once.
        self.failures: dict[str, OSError] = {}

    @property
    def removed(self) -> Removed:
        return Removed(self.entries, self.freed_bytes, tuple(self.failures.values()))

    def remove(self, files: EntryFiles) -> None:
        try:
            freed = self._directory.remove(files.key, files=files)
        except OSError as failure:
            self.failures[files.key] = failure
        else:
            self.freed_bytes += freed
            self.entries += freed > 0

    def remove_leftovers(self, files: EntryFiles, *, now: float) -> None:
        try:
            self.freed_bytes += self._directory.remove_leftovers(files, now=now)
        except OSError as failure:
            self.failures[files.key] = failure


def _idle_s(files: EntryFiles, *, now: float) -> float:
    idle_s = now - files.used_at
    # A date in the future comes from a wrong clock, and would keep the entry for years.
    return idle_s if idle_s > -DAY_S else float("inf")


def _is_for(wasmtime: str, directory: CacheDirectory, files: EntryFiles) -> bool:
    try:
        record = directory.read(files.key)
    except InvalidEntry:
        return False
    return record is not None and record.metadata.wasmtime == wasmtime


@dataclass(frozen=True, slots=True)
class Cleared:
    """What clearing a directory did."""

    removed: Removed
    busy: int  # how many entries other processes are writing; these stay


def clear(directory: CacheDirectory) -> Cleared:
    """Remove every entry, except those that are being written.

    Args:
        directory: the user's own.
    """
    directory.restore_rights()
    remover = _Remover(directory)
    keys = set()
    for files in directory.files():
        keys.add(files.key)
        remover.remove(files)
    left = keys.intersection(files.key for files in directory.files())
    return Cleared(remover.removed, len(left - remover.failures.keys()))
