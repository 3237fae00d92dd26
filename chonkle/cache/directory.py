"""A directory of cache entries, which are verified before use.

    <root>/
      CACHEDIR.TAG                            tells backup programs to leave this out
      aot-v3/                                 one directory for each version of this format
        trimmed                               its modification time is that of the last trimming
        <kk>/                                 first two digits of the key
          <key>.record                        written last, which commits the entry; its
                                              modification time is the last use, to the hour
          <key>-<digest>.cwasm                artifact: native code, named by its content
          <key>.lock                          held by a process that writes or removes the entry
          .<key>*.tmp                         unfinished; garbage when the writer died

The contents of records and artifacts never change: other processes have them mapped. Reading takes
no lock. An entry is removed record first, so that no reader begins to load it. All methods raise
OSError as the file system does.
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

from chonkle.cache.entry_files import EntryFiles, list_entries, list_shard, shards
from chonkle.cache.record import (
    RECORD_MAX_BYTES,
    RECORD_SUFFIX,
    Authenticator,
    InvalidEntry,
    Record,
    parse_record,
    write_record,
)
from chonkle.errors import os_error_text
from chonkle.storage.files import (
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    UntrustedError,
    check_ownership,
    check_parents,
    check_status,
    locked,
    make_private_directory,
    open_trusted,
    remove_whatever,
    write_atomic,
)

FORMAT_VERSION = 3
CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds native code that chonkle compiled; it may be deleted at any time.\n"
    b"# See https://bford.info/cachedir/\n"
)
# The errors of a file system without locks.
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})
# The errors of a full one, where no process can hold a lock whose file does not exist.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

# Uses are noted no more often than this.
USE_RESOLUTION_S = 3600.0
# A writer takes milliseconds. This is for file systems without locks.
_ABANDONED_S = 3600.0
_READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """The files of one key, and what they are."""

    files: EntryFiles
    record: Record | None  # None where there is no valid one
    problem: str | None  # why it is not valid; None also where there is no record at all

    @property
    def key(self) -> str:
        """Its key."""
        return self.files.key


class CacheDirectory:
    """One directory of entries: the user's own, or one of the system that is only read.

    Attributes:
        root: the directory.
        authenticator: how its records are authenticated.
        is_system: whether it may belong to root and is never written to.
    """

    def __init__(
        self, root: Path, *, authenticator: Authenticator, is_system: bool = False
    ) -> None:
        """Name a directory; nothing is read or made yet."""
        self.root = root
        self.authenticator = authenticator
        self.is_system = is_system
        self._given = root
        # Absolute, so that it stays the same when the process changes its directory. That one may
        # have been deleted; then nothing is found below it.
        with suppress(OSError):
            self._given = root.absolute()
        self._entries = self._given / f"aot-v{FORMAT_VERSION}"
        # Device and inode of the directory of entries that passed the check.
        self._trusted: tuple[int, int] | None = None
        own = () if sys.platform == "win32" else (os.geteuid(),)
        self._owners = (*own, 0) if own and is_system else own

    def exists(self) -> bool:
        """Whether there is anything in the format that this version reads."""
        # Not `is_dir`, which takes a directory that may not be read for a missing one.
        try:
            return stat.S_ISDIR(self._entries.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def create(self) -> None:
        """Make the directory, private to its owner.

        Raises:
            UntrustedError: when other users could put native code there; nothing is made then.
        """
        # Checked first: root makes nothing in the home of the user whose environment it inherited.
        above = next((path for path in self._given.parents if path.exists()), self._given)
        check_parents(above, owners=self._owners)
        make_private_directory(self._given)
        self.check_trust()
        self._write_tag()
        self._entries.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)

    def _write_tag(self) -> None:
        path = self._entries.parent / "CACHEDIR.TAG"
        self._replace_untrusted(path, is_right=stat.S_ISREG)
        with suppress(FileNotFoundError):
            if path.lstat().st_size == len(CACHEDIR_TAG):
                return
        # In place: nothing would remove a temporary file here after an interruption, and the
        # next process repairs the tag.
        with os.fdopen(_open_own(path), "wb") as tag:
            tag.truncate()
            tag.write(CACHEDIR_TAG)

    def check_trust(self) -> None:
        """Check that no other user could have put native code here; a missing directory is fine.

        Raises:
            UntrustedError: when another user could.
        """
        self._trusted = None
        with suppress(FileNotFoundError):
            check_ownership(self._given, owners=self._owners)
            # What was checked is what is used, also when a link on the way changes later.
            self._entries = Path(os.path.realpath(self._given), self._entries.name)
            status = self._entries.lstat()
            check_status(status, self._entries, owners=self._owners)
            self._trusted = status.st_dev, status.st_ino

    def read(self, key: str) -> Record | None:
        """Read the record of an entry; None where there is none.

        Raises:
            InvalidEntry: when it fails a check.
        """
        try:
            self._require_trust()
            shard = self._shard(key)
            check_status(shard.lstat(), shard, owners=self._owners)
            with self._open(shard / f"{key}{RECORD_SUFFIX}") as file:
                text = file.read(RECORD_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise InvalidEntry(os_error_text(failure)) from failure
        return parse_record(text, key, self.authenticator)

    def checked_artifacts(self, record: Record) -> list[Path]:
        """Give the paths of an entry's artifacts, after reading and checking each.

        Raises:
            InvalidEntry: when one fails a check.
        """
        shard = self._shard(record.key)
        for artifact in record.artifacts:
            try:
                with self._open(shard / artifact.name) as file:
                    size = os.fstat(file.fileno()).st_size
                    if size != artifact.size:
                        raise InvalidEntry(f"{artifact.name} has {size} bytes, not {artifact.size}")
                    digest = _hash(file)
            except OSError as failure:
                raise InvalidEntry(os_error_text(failure)) from failure
            if digest != artifact.blake3:
                raise InvalidEntry(f"{artifact.name} does not have the digest of its record")
        return [shard / artifact.name for artifact in record.artifacts]

    def note_use(self, key: str, *, now: float) -> None:
        """Note that an entry was used now, at most hourly; a failure to note it is ignored."""
        if self.is_system:
            return
        with suppress(OSError, OverflowError):
            path = self._shard(key) / f"{key}{RECORD_SUFFIX}"
            if abs(now - path.lstat().st_mtime) >= USE_RESOLUTION_S:
                os.utime(path, (now, now))

    def lock(self, key: str, *, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the lock of an entry, which writing and removing it require.

        Raises:
            TimeoutError: when another process holds it longer.
        """
        path = self._make_shard(key) / f"{key}.lock"
        self._replace_untrusted(path, is_right=stat.S_ISREG)
        return locked(path, timeout_s=timeout_s)

    def write(self, record: Record, contents: Iterable[bytes]) -> None:
        """Write an entry with the contents of its artifacts, the record last."""
        shard = self._make_shard(record.key)

        def write(name: str, content: bytes) -> None:
            self._replace_untrusted(shard / name, is_right=stat.S_ISREG)
            write_atomic(shard / name, content)

        try:
            for artifact, content in zip(record.artifacts, contents, strict=True):
                write(artifact.name, content)
            write(f"{record.key}{RECORD_SUFFIX}", write_record(record, self.authenticator))
        except OSError:
            # On a full disk, artifacts without a record would only take room.
            with suppress(OSError):
                self._remove_uncommitted(self._files_of(record.key))
            raise

    def files(self) -> Iterator[EntryFiles]:
        """List the files of every entry, in the order of the keys, without opening any."""
        with suppress(FileNotFoundError):
            self._require_trust()
        return list_entries(self._entries)

    def entries(self) -> Iterator[Entry]:
        """Give every entry, in the order of the keys, valid or not."""
        for files in self.files():
            if files.is_more_than_a_lock:
                record, problem = None, None
                try:
                    record = self.read(files.key)
                except InvalidEntry as reason:
                    problem = str(reason)
                yield Entry(files, record, problem)

    def remove(self, key: str, *, files: EntryFiles | None = None) -> int:
        """Remove an entry, unless it is being written, and give how many bytes that freed."""
        with ExitStack() as held:
            try:
                held.enter_context(self.lock(key, timeout_s=0))
            except TimeoutError:
                return 0
            except OSError as failure:
                # Without locks, an entry that is removed while it is written is a miss.
                if failure.errno not in NO_LOCKS | _NO_ROOM:
                    raise
            files = files or self._files_of(key)
            if files is None:
                return 0
            # The record may have been written since the files were listed.
            return self._unlink(files, {*files.sizes, f"{key}{RECORD_SUFFIX}", f"{key}.lock"})

    def restore_rights(self) -> None:
        """Give the owner back the rights that listing and removing entries need."""
        with suppress(FileNotFoundError):
            self._require_trust()
            for shard in shards(self._entries):
                with suppress(OSError):
                    self._replace_untrusted(shard, is_right=stat.S_ISDIR)

    def remove_leftovers(self, files: EntryFiles, *, now: float) -> int:
        """Remove an interrupted writer's files that no record commits; give the bytes freed."""
        if files.has_record and not files.unfinished:
            return 0
        try:
            # A living writer holds the lock.
            with self.lock(files.key, timeout_s=0):
                return self._remove_uncommitted(files)
        except TimeoutError:
            return 0
        except OSError as failure:
            if failure.errno not in NO_LOCKS | _NO_ROOM:
                raise
            times = files.unfinished
            return self._unlink(files, [name for name in times if now - times[name] > _ABANDONED_S])

    def last_trimmed(self) -> float | None:
        """Give the time of the last trimming, in seconds since the epoch."""
        with suppress(OSError):
            status = (self._entries / "trimmed").lstat()
            if stat.S_ISREG(status.st_mode):
                return status.st_mtime
        return None

    def note_trimmed(self, *, now: float) -> None:
        """Note the time of a trimming."""
        self._require_trust()
        path = self._entries / "trimmed"
        self._replace_untrusted(path, is_right=stat.S_ISREG)
        os.close(_open_own(path))
        os.utime(path, (now, now))

    def _shard(self, key: str) -> Path:
        return self._entries / key[:2]

    def _require_trust(self) -> None:
        """Check again if the directory of entries is not the one that passed the check.

        A process may run for months, while directories are moved.

        Raises:
            FileNotFoundError: when there is no directory of entries.
            UntrustedError: when other users could have put native code there.
        """
        status = self._entries.lstat()
        # Always, because inode numbers are reused.
        check_status(status, self._entries, owners=self._owners)
        if (status.st_dev, status.st_ino) != self._trusted:
            self.check_trust()

    def _make_shard(self, key: str) -> Path:
        try:
            self._require_trust()
        except FileNotFoundError:
            self.create()
        shard = self._shard(key)
        self._replace_untrusted(shard, is_right=stat.S_ISDIR)
        shard.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        return shard

    def _replace_untrusted(self, path: Path, *, is_right: Callable[[int], bool]) -> None:
        """Remove what is untrusted or of another kind; else give the owner its rights back."""
        with suppress(FileNotFoundError):
            status = path.lstat()
            try:
                check_status(status, path, owners=self._owners)
                is_kept = is_right(status.st_mode)
            except UntrustedError:
                is_kept = False
            if not is_kept:
                remove_whatever(path)
                return
            private = PRIVATE_DIRECTORY if stat.S_ISDIR(status.st_mode) else PRIVATE_FILE
            if sys.platform != "win32" and private & ~status.st_mode:
                path.chmod(stat.S_IMODE(status.st_mode) | private)

    def _open(self, path: Path) -> BufferedReader:
        return open_trusted(path, owners=self._owners)

    def _files_of(self, key: str) -> EntryFiles | None:
        return next((each for each in list_shard(self._shard(key)) if each.key == key), None)

    def _remove_uncommitted(self, files: EntryFiles | None) -> int:
        """Remove what no record commits; the caller holds the lock."""
        if files is None:
            return 0
        # The writer may have finished since the files were listed.
        if os.path.lexists(self._shard(files.key) / f"{files.key}{RECORD_SUFFIX}"):
            return self._unlink(files, files.unfinished)
        return self._unlink(files, {*files.sizes, f"{files.key}.lock"})

    def _unlink(self, files: EntryFiles, names: Iterable[str]) -> int:
        """Remove files of an entry, the record first, and give how many bytes that freed."""
        names = set(names)
        for name in sorted(names, key=lambda name: not name.endswith(RECORD_SUFFIX)):
            remove_whatever(self._shard(files.key) / name)
        return sum(files.sizes.get(name, 0) for name in names)


def _open_own(path: Path) -> int:
    """Open a file to write to it, creating it if it is missing; a link is refused."""
    # O_NONBLOCK, because opening a pipe would wait for a reader.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | careful
    return os.open(path, flags, PRIVATE_FILE)


def _hash(file: BufferedReader) -> str:
    # Read, not mapped: a read error in mapped memory is a signal, which ends the process.
    digest, buffer = blake3(), memoryview(bytearray(_READ_BYTES))
    while size := file.readinto(buffer):
        digest.update(buffer[:size])
    return digest.hexdigest()
