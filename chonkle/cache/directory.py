"""A directory of cache entries: files that are checked before anybody believes them.

    <root>/
      CACHEDIR.TAG                            tells backup programs to leave this out
      aot-v2/                                 one directory for each version of this format
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
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from blake3 import blake3

from chonkle.cache.listing import Listed, list_entries, list_shard, shards
from chonkle.cache.record import Doubt, Record, Seal, parse_record, write_record
from chonkle.errors import explained
from chonkle.storage.files import (
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    distrust,
    distrust_status,
    distrust_way,
    locked,
    make_private_directory,
    open_trusted,
    remove_whatever,
    write_atomic,
)

FORMAT_VERSION = 2
CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds native code that chonkle compiled; it may be deleted at any time.\n"
    b"# See https://bford.info/cachedir/\n"
)
# What a file system says that has no locks.
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})

# What one says that has no room for another file, so that nobody can hold a lock that is not there.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_RECORD_MAX_BYTES = 256 * 1024
# A writer takes milliseconds. This is for file systems whose locks say nothing.
_ABANDONED_S = 3600.0
_READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as its owner sees it: whatever files there are of one key, and what they say.

    Attributes:
        listed: its files.
        record: its record, or None where there is none to believe.
        doubt: why not; None also where there is no record at all.
    """

    listed: Listed
    record: Record | None
    doubt: str | None

    @property
    def key(self) -> str:
        """Its key."""
        return self.listed.key

    @property
    def size_bytes(self) -> int:
        """How long its files are together."""
        return self.listed.size_bytes

    @property
    def used_at(self) -> float:
        """When it was last used, or else written, in seconds since the epoch."""
        return self.listed.used_at

    @property
    def uses(self) -> int:
        """How often it was loaded."""
        return self.listed.uses


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
        self._given = root
        # So that it stays the same where the process goes elsewhere. Where it is was perhaps
        # deleted, and then nothing is found below it.
        with suppress(OSError):
            self._given = root.absolute()
        self._entries = self._given / f"aot-v{FORMAT_VERSION}"
        # Device and number of the directory of entries that was found to be nobody else's.
        self._trusted: tuple[int, int] | None = None
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
            PermissionError: when others could put native code there; nothing is made then.
            OSError: as the file system says.
        """
        # A directory in somebody else's home would be in his way and of no use here.
        above = next((path for path in self._given.parents if path.exists()), self._given)
        reason = distrust_way(above, owners=self._owners)
        if reason is None:
            make_private_directory(self._given)
            reason = self.distrust()
        if reason is not None:
            raise PermissionError(reason)
        self._write_tag()
        self._entries.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)

    def _write_tag(self) -> None:
        path = self._entries.parent / "CACHEDIR.TAG"
        self._make_way(path, is_right=stat.S_ISREG)
        with suppress(FileNotFoundError):
            if path.lstat().st_size == len(CACHEDIR_TAG):
                return
        # In place, since nothing collects here what a writer that died leaves; who comes next
        # writes it again.
        with os.fdopen(_open_own(path), "wb") as tag:
            tag.truncate()
            tag.write(CACHEDIR_TAG)

    def distrust(self) -> str | None:
        """Say why others could have put native code here, or None where they cannot.

        Raises:
            OSError: as the file system says.
        """
        reason = self._trusted = None
        with suppress(FileNotFoundError):
            reason = distrust(self._given, owners=self._owners)
            # What was judged is what is used, wherever a link on the way leads later.
            self._entries = Path(os.path.realpath(self._given), self._entries.name)
            if reason is None:
                status = self._entries.lstat()
                # What is above it was just looked at; below the root, nothing may be a link.
                reason = distrust_status(status, self._entries, owners=self._owners)
                self._trusted = None if reason else (status.st_dev, status.st_ino)
        return reason

    def read(self, key: str) -> Record | None:
        """Read the record of an entry; None where there is none.

        Raises:
            Doubt: when it cannot be believed.
        """
        try:
            self._demand_trust()
            shard = self._shard(key)
            reason = distrust_status(shard.lstat(), shard, owners=self._owners)
            if reason is not None:
                raise Doubt(reason)
            with self._open(shard / f"{key}.toml") as file:
                text = file.read(_RECORD_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise Doubt(explained(failure)) from failure
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
                raise Doubt(explained(failure)) from failure
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
        with suppress(OSError, OverflowError):
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
                self._remove_uncommitted(self._listed(record.key))
            raise

    def listing(self) -> Iterator[Listed]:
        """List the files of every entry, in the order of the keys, with none of them opened.

        Raises:
            OSError: as the file system says.
        """
        with suppress(FileNotFoundError):
            self._demand_trust()
        return list_entries(self._entries)

    def entries(self) -> Iterator[Entry]:
        """Give every entry, in the order of the keys, whether it can be believed or not.

        Raises:
            OSError: as the file system says.
        """
        for listed in self.listing():
            if listed.is_more_than_a_lock:
                record, doubt = None, None
                try:
                    record = self.read(listed.key)
                except Doubt as reason:
                    doubt = str(reason)
                yield Entry(listed, record, doubt)

    def remove(self, key: str, *, listed: Listed | None = None) -> int:
        """Remove an entry with everything of it.

        Args:
            key: its key.
            listed: its files, where a listing just gave them.

        Returns:
            How many bytes that freed; 0 where somebody is writing it.

        Raises:
            OSError: as the file system says.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self.lock(key, timeout_s=0))
            except TimeoutError:
                return 0
            except OSError as failure:
                # Without locks, what is removed while somebody writes it is a miss.
                if failure.errno not in NO_LOCKS | _NO_ROOM:
                    raise
            listed = listed or self._listed(key)
            if listed is None:
                return 0
            # Somebody may have written the entry since it was listed: without its record, what is
            # left of that is garbage, and with it an entry that nobody can believe.
            return self._unlink(listed, {*listed.sizes, f"{key}.toml", f"{key}.lock"})

    def mend_rights(self) -> None:
        """Give its owner the rights back without which entries cannot be seen or removed."""
        with suppress(FileNotFoundError):
            self._demand_trust()
            for shard in shards(self._entries):
                with suppress(OSError):
                    self._make_way(shard, is_right=stat.S_ISDIR)

    def remove_leftovers(self, listed: Listed, *, now: float) -> int:
        """Remove what a writer that died left behind: unfinished files, artifacts with no record.

        Args:
            listed: the files of the entry.
            now: the time, in seconds since the epoch.

        Returns:
            How many bytes that freed.

        Raises:
            OSError: as the file system says.
        """
        if listed.has_record and not listed.unfinished:
            return 0
        try:
            # Whoever writes holds the lock; who died does not.
            with self.lock(listed.key, timeout_s=0):
                return self._remove_uncommitted(listed)
        except TimeoutError:
            return 0
        except OSError as failure:
            if failure.errno not in NO_LOCKS | _NO_ROOM:
                raise
            times = listed.unfinished
            names = [name for name in times if now - times[name] > _ABANDONED_S]
            return self._unlink(listed, names)

    def last_trimmed(self) -> float | None:
        """Say when upkeep last looked, in seconds since the epoch."""
        with suppress(OSError):
            status = (self._entries / "trimmed").lstat()
            if stat.S_ISREG(status.st_mode):
                return status.st_mtime
        return None

    def note_trimmed(self, *, now: float) -> None:
        """Note that upkeep looked.

        Raises:
            OSError: as the file system says.
        """
        self._demand_trust()
        path = self._entries / "trimmed"
        self._make_way(path, is_right=stat.S_ISREG)
        os.close(_open_own(path))
        os.utime(path, (now, now))

    def _shard(self, key: str) -> Path:
        return self._entries / key[:2]

    def _demand_trust(self) -> None:
        """Demand that entries are where they were when that was judged, or judge what is there now.

        A process may run for months, and somebody may move directories about meanwhile.

        Raises:
            FileNotFoundError: when there is no directory of entries.
            PermissionError: when others could have put native code there.
            OSError: as the file system says.
        """
        status = self._entries.lstat()
        # Numbers are given again, so that what is under one may be somebody else's by now.
        reason = distrust_status(status, self._entries, owners=self._owners)
        if reason is None and (status.st_dev, status.st_ino) != self._trusted:
            reason = self.distrust()
        if reason is not None:
            raise PermissionError(reason)

    def _make_shard(self, key: str) -> Path:
        try:
            self._demand_trust()
        except FileNotFoundError:
            self.create()
        shard = self._shard(key)
        self._make_way(shard, is_right=stat.S_ISDIR)
        shard.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        return shard

    def _make_way(self, path: Path, *, is_right: Callable[[int], bool]) -> None:
        """Take away what nobody would believe or may use, where something of ours is to be."""
        with suppress(FileNotFoundError):
            status = path.lstat()
            reason = distrust_status(status, path, owners=self._owners)
            if reason is not None or not is_right(status.st_mode):
                remove_whatever(path)
            else:
                private = PRIVATE_DIRECTORY if stat.S_ISDIR(status.st_mode) else PRIVATE_FILE
                # Where rights were taken away from everything, the owner's come back.
                if sys.platform != "win32" and private & ~status.st_mode:
                    path.chmod(stat.S_IMODE(status.st_mode) | private)

    def _open(self, path: Path) -> BufferedReader:
        return open_trusted(path, owners=self._owners)

    def _listed(self, key: str) -> Listed | None:
        found = list_shard(self._shard(key))
        return next((listed for listed in found if listed.key == key), None)

    def _remove_uncommitted(self, listed: Listed | None) -> int:
        """Remove what no record commits, for who holds the lock."""
        if listed is None:
            return 0
        # Who wrote it may have finished since it was listed.
        is_committed = os.path.lexists(self._shard(listed.key) / f"{listed.key}.toml")
        if is_committed:
            return self._unlink(listed, listed.unfinished)
        return self._unlink(listed, {*listed.sizes, f"{listed.key}.lock"})

    def _unlink(self, listed: Listed, names: Iterable[str]) -> int:
        """Remove files of an entry, the record first; say how many bytes that freed."""
        shard, names = self._shard(listed.key), set(names)
        for name in sorted(names, key=lambda name: not name.endswith(".toml")):
            remove_whatever(shard / name)
        return sum(listed.sizes.get(name, 0) for name in names)


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
