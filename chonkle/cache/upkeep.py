"""Upkeep of the user's own cache directory: garbage, stale entries, and a budget.

Whoever compiles looks at most once a day, so that reading from a warm cache costs nothing more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chonkle.cache.directory import CacheDirectory, Entry

DAY_S = 86400.0
# Code for another version of wasmtime: an environment that still has it would have used it.
STALE_GRACE_S = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class Removed:
    """What upkeep took away.

    Attributes:
        entries: how many entries.
        freed_bytes: how long their files were, and those of writers that died.
    """

    entries: int
    freed_bytes: int


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
    return prune(directory, size_max_bytes=size_max_bytes, wasmtime=wasmtime, now=now)


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
    freed = directory.collect(now=now)
    removed = 0
    for entry in _to_remove(
        directory.entries(),
        size_max_bytes=size_max_bytes,
        wasmtime=wasmtime,
        now=now,
        unused_s=unused_s,
    ):
        freed_now = directory.remove(entry.key)
        freed += freed_now
        removed += freed_now > 0
    return Removed(removed, freed)


@dataclass(frozen=True, slots=True)
class Cleared:
    """What clearing a directory did.

    Attributes:
        removed: what went.
        busy: how many entries somebody is writing, who keeps them.
        failures: why others could not be removed.
    """

    removed: Removed
    busy: int
    failures: tuple[OSError, ...]


def clear(directory: CacheDirectory) -> Cleared:
    """Remove every entry, and what writers that died left.

    Args:
        directory: the user's own.

    Raises:
        OSError: as the file system says, where the directory cannot be read.
    """
    removed = freed = 0
    failures: dict[str, OSError] = {}
    keys = [entry.key for entry in directory.entries()]
    for key in keys:
        try:
            freed_now = directory.remove(key, timeout_s=0)
        except OSError as failure:
            failures[key] = failure
            continue
        freed += freed_now
        removed += freed_now > 0
    left = {entry.key for entry in directory.entries()}.intersection(keys)
    return Cleared(Removed(removed, freed), len(left - failures.keys()), tuple(failures.values()))


def _to_remove(
    entries: Iterable[Entry],
    *,
    size_max_bytes: int,
    wasmtime: str,
    now: float,
    unused_s: float | None,
) -> list[Entry]:
    total = 0
    chosen = []
    for entry in sorted(entries, key=lambda entry: entry.used_at, reverse=True):
        about = entry.record.about if entry.record else None
        idle = now - entry.used_at
        is_stale = (about is None or about.wasmtime != wasmtime) and idle > STALE_GRACE_S
        is_old = unused_s is not None and idle > unused_s
        total += entry.size_bytes
        if is_stale or is_old or total > size_max_bytes:
            total -= entry.size_bytes
            chosen.append(entry)
    return chosen
