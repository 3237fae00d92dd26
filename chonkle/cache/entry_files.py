"""The files of each entry in a cache directory: names, sizes and times, without opening any."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chonkle.cache.record import RECORD_SUFFIX
from chonkle.storage.files import TEMPORARY_SUFFIX

KEY_DIGITS = 64
_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")
_SHARD = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class EntryFiles:
    """The files of one key, as they were when they were listed."""

    key: str
    sizes: Mapping[str, int]  # name -> bytes
    # Name of each temporary file of a writer -> when it was last written, in seconds since the
    # epoch.
    unfinished: Mapping[str, float]
    used_at: float  # when the entry was last used, or else written, in seconds since the epoch

    @classmethod
    def of(cls, key: str, files: Mapping[str, os.stat_result]) -> Self:
        """Sum up the files of a key: name -> status, at least one."""
        dated = files.get(f"{key}{RECORD_SUFFIX}") or next(iter(files.values()))
        return cls(
            key=key,
            sizes={name: files[name].st_size for name in files},
            unfinished={
                name: files[name].st_mtime for name in files if name.endswith(TEMPORARY_SUFFIX)
            },
            used_at=dated.st_mtime,
        )

    @property
    def is_more_than_a_lock(self) -> bool:
        """Whether there is anything besides the lock file, which stays behind."""
        return self.sizes.keys() != {f"{self.key}.lock"}

    @property
    def has_record(self) -> bool:
        """Whether its record is among them."""
        return f"{self.key}{RECORD_SUFFIX}" in self.sizes

    @property
    def size_bytes(self) -> int:
        """The length of all files together."""
        return sum(self.sizes.values())


def list_entries(entries: Path) -> Iterator[EntryFiles]:
    """List the files of each key, in the order of the keys.

    Files that belong to no entry and unreadable directories are left out.

    Args:
        entries: the directory of the format, with a directory for each first two digits.
    """
    for shard in shards(entries):
        with suppress(PermissionError):
            yield from list_shard(shard)


def shards(entries: Path) -> list[Path]:
    """Give the paths in the directory of the format that are named like shards, in order."""
    names = sorted(found.name for found in _scanned(entries))
    return [entries / name for name in filter(_SHARD.fullmatch, names)]


def list_shard(shard: Path) -> list[EntryFiles]:
    """List the files of each key of one shard, in the order of the keys; a link counts as empty."""
    if shard.is_symlink() or not shard.is_dir():
        return []
    found: dict[str, dict[str, os.stat_result]] = {}
    for file in _scanned(shard):
        key = file.name.removeprefix(".")[:KEY_DIGITS]
        if _KEY.fullmatch(key) is not None and key.startswith(shard.name):
            with suppress(FileNotFoundError):
                found.setdefault(key, {})[file.name] = file.stat(follow_symlinks=False)
    return [EntryFiles.of(key, files) for key, files in sorted(found.items()) if files]


def _scanned(directory: Path) -> list[os.DirEntry[str]]:
    # A cache may be deleted at any time.
    with suppress(FileNotFoundError), os.scandir(directory) as found:
        return list(found)
    return []
