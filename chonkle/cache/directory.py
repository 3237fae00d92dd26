"""A directory of cache entries: files that are checked before anybody believes them.

    <root>/
      CACHEDIR.TAG                            tells backup programs to leave this out
      aot-v1/                                 one directory for each version of this format
        trimmed                               its time is when upkeep last looked
        <kk>/                                 first two digits of the key
          <key>.toml                          record: written last, so that it commits the entry
          <key>-<digest>.cwasm                artifact: native code, named by its content
          <key>.uses                          its length counts uses, its time is the last one
          <key>.lock                          held by who writes or removes the entry
          .<key>*.tmp                         what a writer has not finished; garbage if it died

Records and artifacts are never changed once they have their name: other processes have them mapped.
Reading takes no lock. Whatever is removed is removed record first, so that nobody starts to read
what is going away.
"""

import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from blake3 import blake3

from chonkle.cache.record import Doubt, Record, Seal, parse_record, write_record
from chonkle.storage.files import (
    PRIVATE_FILE,
    TEMPORARY_SUFFIX,
    distrust,
    distrust_status,
    locked,
    make_private_directory,
    open_trusted,
    remove_whatever,
    write_atomic,
)

FORMAT_VERSION = 1
CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds native code that chonkle compiled; it may be deleted at any time.\n"
    b"# See https://bford.info/cachedir/\n"
)
# What a file system says that has no locks.
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})

_RECORD_MAX_BYTES = 256 * 1024
_SHARD = re.compile(r"[0-9a-f]{2}")
_KEY_DIGITS = 64
_KEY = re.compile(rf"[0-9a-f]{{{_KEY_DIGITS}}}")
# A writer takes milliseconds. This is for file systems whose locks say nothing.
_ABANDONED_S = 3600.0
_TAKE_LOCK_S = 10.0
_READ_BYTES = 1 << 18

type _Files = Mapping[str, os.stat_result]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as upkeep sees it: whatever files there are of one key.

    Attributes:
        key: its key.
        record: its record, or None where there is none to believe.
        doubt: why not; None also where there is no record at all.
        size_bytes: how long its files are together.
        used_at: when it was last used, or else written, in seconds since the epoch.
        uses: how often it was loaded.
    """

    key: str
    record: Record | None
    doubt: str | None
    size_bytes: int
    used_at: float
    uses: int


class CacheDirectory:
    """One directory of entries, the user's own or one of the system that is only read.

    Attributes:
        root: the directory.
        seal: the seal that its records have.
        is_system: whether it may belong to root and is never written to.
    """

    def __init__(self, root: Path, *, seal: Seal, is_system: bool = False) -> None:
        """Name a directory; nothing is read or made yet.

        Args:
            root: the directory.
            seal: the seal that its records must have.
            is_system: it may also belong to root, and is never written to.
        """
        self.root = root
        self.seal = seal
        self.is_system = is_system
        # So that it stays the same where the process goes elsewhere.
        self._given = root.absolute()
        self._entries = self._given / f"aot-v{FORMAT_VERSION}"
        # Who may own what is here.
        own = () if sys.platform == "win32" else (os.geteuid(),)
        self._owners = (*own, 0) if own and is_system else own

    def exists(self) -> bool:
        """Whether there is anything in the format that this version reads.

        Raises:
            OSError: when that cannot be told.
        """
        # `Path.is_dir` says no, in some versions of Python, where nobody may look.
        try:
            return stat.S_ISDIR(self._entries.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def create(self) -> None:
        """Make the directory, private to its owner.

        Raises:
            OSError: as the file system says.
        """
        make_private_directory(self._given)
        if self.distrust() is None:
            # Written in place, since nothing collects here what a writer that died leaves. It comes
            # first: until the rest is there, the next process writes it again.
            with os.fdopen(_open_own(self._entries.parent / "CACHEDIR.TAG"), "wb") as tag:
                tag.truncate()
                tag.write(CACHEDIR_TAG)
            make_private_directory(self._entries)

    def distrust(self) -> str | None:
        """Say why others could have put native code here, or None where they cannot.

        Raises:
            OSError: as the file system says.
        """
        try:
            reason = distrust(self._given, owners=self._owners)
            # What was judged is what is used, wherever a link on the way leads later.
            self._entries = Path(os.path.realpath(self._given), self._entries.name)
            # What is above it was just looked at; below the root, nothing may be a link.
            return reason or distrust_status(
                self._entries.lstat(), self._entries, owners=self._owners
            )
        except FileNotFoundError:
            return None

    def read(self, key: str) -> Record | None:
        """Read the record of an entry; None where there is none.

        Raises:
            Doubt: when it cannot be believed.
        """
        shard = self._shard(key)
        try:
            reason = distrust_status(shard.lstat(), shard, owners=self._owners)
            if reason is not None:
                raise Doubt(reason)
            with self._open(shard / f"{key}.toml") as file:
                text = file.read(_RECORD_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise Doubt(str(failure)) from failure
        return parse_record(text, key, self.seal)

    def checked_artifacts(self, record: Record) -> list[Path]:
        """Give the paths of an entry's artifacts, each read and found to be what was written.

        Raises:
            Doubt: when one is not.
        """
        shard = self._shard(record.key)
        for artifact in record.artifacts:
            path = shard / artifact.name
            try:
                with self._open(path) as file:
                    size = os.fstat(file.fileno()).st_size
                    if size != artifact.size:
                        raise Doubt(f"{artifact.name} has {size} bytes, not {artifact.size}")
                    digest = _hash(file)
            except OSError as failure:
                raise Doubt(str(failure)) from failure
            if digest != artifact.blake3:
                raise Doubt(f"{artifact.name} does not have the digest of its record")
        return [shard / artifact.name for artifact in record.artifacts]

    def count_use(self, key: str, *, now: float) -> None:
        """Note that an entry was used; where that cannot be noted, it does not matter.

        Args:
            key: its key.
            now: the time, in seconds since the epoch.
        """
        if self.is_system:
            return
        with suppress(OSError):
            path = self._shard(key) / f"{key}.uses"
            handle = _open_own(path)
            try:
                # A file of holes takes no room, and there is nothing in it that could be torn. Two
                # processes in the same microsecond may count as one.
                os.ftruncate(handle, os.fstat(handle).st_size + 1)
            finally:
                os.close(handle)
            os.utime(path, (now, now))

    def lock(self, key: str, *, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the lock of an entry, as who writes or removes it must.

        Raises:
            TimeoutError: when another process keeps it longer.
            OSError: as the file system says.
        """
        path = self._make_shard(key) / f"{key}.lock"
        self._make_way(path, is_right=stat.S_ISREG)
        return locked(path, timeout_s=timeout_s)

    def write(self, record: Record, contents: Iterable[bytes]) -> None:
        """Write an entry, the record last.

        Args:
            record: what it is.
            contents: the bytes of its artifacts.

        Raises:
            OSError: as the file system says.
        """
        shard = self._make_shard(record.key)

        def write(name: str, content: bytes) -> None:
            self._make_way(shard / name, is_right=stat.S_ISREG)
            write_atomic(shard / name, content)

        try:
            for artifact, content in zip(record.artifacts, contents, strict=True):
                write(artifact.name, content)
            write(f"{record.key}.toml", write_record(record, self.seal))
        except OSError:
            # On a full disk, what is of no use is only in the way.
            with suppress(OSError):
                self._unlink(record.key, self._leftovers(record.key))
            raise

    def entries(self) -> Iterator[Entry]:
        """Give every entry, in the order of the keys, whether it can be believed or not."""
        for key, files in self._files():
            yield self._entry(key, files)

    def remove(self, key: str, *, timeout_s: float = _TAKE_LOCK_S) -> int:
        """Remove an entry with everything of it.

        Args:
            key: its key.
            timeout_s: how long to wait for who is writing it.

        Returns:
            How many bytes that freed; 0 where somebody is writing it.

        Raises:
            OSError: as the file system says.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self.lock(key, timeout_s=timeout_s))
            except TimeoutError:
                return 0
            except OSError as failure:
                # Without locks, what is removed while somebody writes it is a miss.
                if failure.errno not in NO_LOCKS:
                    raise
            return self._unlink(key, self._files_of(key))

    def collect(self, *, now: float) -> int:
        """Remove what writers that died left behind: unfinished files, artifacts with no record.

        Args:
            now: the time, in seconds since the epoch.

        Returns:
            How many bytes that freed.
        """
        return sum(
            self._collect(key, now=now)
            for key, files in self._files()
            if f"{key}.toml" not in files or any(map(_is_unfinished, files))
        )

    def last_trimmed(self) -> float | None:
        """Say when upkeep last looked, in seconds since the epoch."""
        try:
            return (self._entries / "trimmed").stat().st_mtime
        except OSError:
            return None

    def note_trimmed(self, *, now: float) -> None:
        """Note that upkeep looked.

        Raises:
            OSError: as the file system says.
        """
        path = self._entries / "trimmed"
        os.close(_open_own(path))
        os.utime(path, (now, now))

    def _shard(self, key: str) -> Path:
        return self._entries / key[:2]

    def _make_shard(self, key: str) -> Path:
        shard = self._shard(key)
        self._make_way(shard, is_right=stat.S_ISDIR)
        make_private_directory(shard)
        return shard

    def _make_way(self, path: Path, *, is_right: Callable[[int], bool]) -> None:
        """Take away what nobody would believe, where something of ours is to be."""
        with suppress(FileNotFoundError):
            status = path.lstat()
            reason = distrust_status(status, path, owners=self._owners)
            if reason is not None or not is_right(status.st_mode):
                remove_whatever(path)

    def _open(self, path: Path) -> BufferedReader:
        return open_trusted(path, owners=self._owners)

    def _files(self, shards: Iterable[Path] | None = None) -> Iterator[tuple[str, _Files]]:
        """Give the files of each key that has any; others in the directory are not ours."""
        for shard in _listed(self._entries) if shards is None else shards:
            if _SHARD.fullmatch(shard.name) is None or shard.is_symlink() or not shard.is_dir():
                continue
            found: dict[str, dict[str, os.stat_result]] = {}
            for path in _listed(shard):
                key = path.name.removeprefix(".")[:_KEY_DIGITS]
                if _KEY.fullmatch(key) is not None and key.startswith(shard.name):
                    with suppress(FileNotFoundError):
                        found.setdefault(key, {})[path.name] = path.lstat()
            yield from sorted(found.items())

    def _files_of(self, key: str) -> _Files:
        return dict(self._files([self._shard(key)])).get(key, {})

    def _leftovers(self, key: str) -> _Files:
        """Give what no record commits, for who holds the lock."""
        files = self._files_of(key)
        if f"{key}.toml" in files:
            files = {name: files[name] for name in files if _is_unfinished(name)}
        return files

    def _entry(self, key: str, files: _Files) -> Entry:
        record, doubt = None, None
        try:
            record = self.read(key)
        except Doubt as reason:
            doubt = str(reason)
        uses = files.get(f"{key}.uses")
        dated = uses or files.get(f"{key}.toml") or next(iter(files.values()))
        return Entry(
            key=key,
            record=record,
            doubt=doubt,
            size_bytes=_size(files),
            used_at=dated.st_mtime,
            uses=uses.st_size if uses else 0,
        )

    def _collect(self, key: str, *, now: float) -> int:
        try:
            # Whoever writes holds the lock; who died does not.
            with self.lock(key, timeout_s=0):
                return self._unlink(key, self._leftovers(key))
        except TimeoutError:
            return 0
        except OSError:
            files = {
                name: status
                for name, status in self._files_of(key).items()
                if _is_unfinished(name) and now - status.st_mtime > _ABANDONED_S
            }
            return self._unlink(key, files)

    def _unlink(self, key: str, files: _Files) -> int:
        shard = self._shard(key)
        for name in sorted(files, key=lambda name: not name.endswith(".toml")):
            remove_whatever(shard / name)
        return _size(files)


def _is_unfinished(name: str) -> bool:
    return name.endswith(TEMPORARY_SUFFIX)


def _size(files: _Files) -> int:
    # What counts uses is long and takes no room.
    return sum(files[name].st_size for name in files if not name.endswith(".uses"))


def _open_own(path: Path) -> int:
    """Open a file to write into it, made where there is none; a link is refused."""
    # Without waiting, for what looks like a file may be a pipe that nobody ever reads.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | careful
    return os.open(path, flags, PRIVATE_FILE)


def _hash(file: BufferedReader) -> str:
    # Not mapped: a disk that cannot be read would be a signal, which ends the process.
    digest, buffer = blake3(), memoryview(bytearray(_READ_BYTES))
    while size := file.readinto(buffer):
        digest.update(buffer[:size])
    return digest.hexdigest()


def _listed(directory: Path) -> list[Path]:
    # Anybody may delete a cache at any time.
    with suppress(FileNotFoundError):
        return sorted(directory.iterdir())
    return []
