"""Files that others see whole or not at all, locks between processes, and trust in a directory."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
PUBLIC_FILE = 0o666
# A file with this ending has no reader yet, and after a crash it never will.
TEMPORARY_SUFFIX = ".tmp"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
# Opening a pipe waits for a writer, and a terminal may become the process's own.
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NOT_FOLLOWING = getattr(os, "O_NOFOLLOW", 0)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LINKS_MAX = 40  # as in Linux


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Write a file so that no reader ever sees a part of it.

    Args:
        path: where the file goes; its directory must exist.
        data: its bytes.
        mode: permissions to create it with, less the process's mask.

    Raises:
        OSError: as the file system says; nothing is left behind.
    """
    _write_parts(path, (data,), mode=mode)


def write_temporary(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> Path:
    """Write what is to become a file, beside it.

    Args:
        path: where the file will be; its directory must exist.
        data: its bytes, which reach the disk.
        mode: permissions to create it with, less the process's mask.

    Returns:
        The temporary file, for `put_in_place`, or to be removed.

    Raises:
        OSError: as the file system says; nothing is left behind.
    """
    return _write_temporary(path, (data,), mode=mode)


def put_in_place(temporary: Path, path: Path) -> None:
    """Let a temporary file become the file, and reach the disk as that.

    Args:
        temporary: what `write_temporary` gave.
        path: the file.

    Raises:
        OSError: as the file system says.
    """
    temporary.replace(path)
    _sync_directory(path.parent)


def _write_parts(path: Path, parts: Iterable[bytes], *, mode: int) -> None:
    """Write a file so that no reader ever sees less than all of it.

    The bytes go to a temporary file in the same directory, reach the disk, and then take the name:
    a file that was there before is replaced, never rewritten, because other processes may have it
    mapped.
    """
    temporary = _write_temporary(path, parts, mode=mode)
    try:
        put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _write_temporary(path: Path, parts: Iterable[bytes], *, mode: int) -> Path:
    # Made like this rather than by `tempfile`, which takes longer to import than all of this file,
    # and which cannot be told the permissions.
    temporary = path.with_name(f"{_temporary_prefix(path)}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _temporary_prefix(path: Path) -> str:
    return f".{path.name[:64]}."


def remove_leftovers(path: Path) -> None:
    """Remove what is left of writing a file where the writer was killed.

    Args:
        path: the file, which nobody may be writing now.

    Raises:
        OSError: as the file system says.
    """
    prefix = _temporary_prefix(path)
    for other in path.parent.iterdir():
        if other.name.startswith(prefix) and other.name.endswith(TEMPORARY_SUFFIX):
            other.unlink()


def replace_file(path: Path, data: bytes) -> None:
    """Write a user's file so that it is seen whole or not at all, and stays what it was.

    A file that is there keeps its permissions, and a link keeps pointing at what it points at.

    Args:
        path: the file.
        data: its bytes.

    Raises:
        OSError: as the file system says; nothing is left behind.
    """
    replace_file_in_parts(path, (data,))


def replace_file_in_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a user's file that is too large to be held, as `replace_file` does.

    Args:
        path: the file.
        parts: its bytes, made while they are written. Where that fails, nothing is left behind.

    Raises:
        OSError: as the file system says; nothing is left behind.
    """
    real = Path(os.path.realpath(path))
    mode = PUBLIC_FILE
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(real.stat().st_mode)
    _write_parts(real, parts, mode=mode)


def read_file(path: Path, *, size_max: int) -> bytes:
    """Read a regular file that may be larger than the caller accepts.

    Args:
        path: the file.
        size_max: bytes to accept at most.

    Raises:
        OSError: when it cannot be read, is no regular file, or is longer.
    """
    with open_regular(path) as file:
        return _read_up_to(size_max, file, path)


def _read_up_to(size_max: int, file: BufferedReader, path: Path) -> bytes:
    data = file.read(size_max + 1)
    if len(data) > size_max:
        raise OSError(errno.EFBIG, f"more than the allowed {size_max} bytes", str(path))
    return data


def read_secret(path: Path, *, size_max: int) -> bytes:
    """Read a file that only its owner, who is this user, may read.

    Args:
        path: the file.
        size_max: bytes to accept at most.

    Raises:
        OSError: when it cannot be read, is longer, or others may read it.
    """
    owners = () if sys.platform == "win32" else (os.geteuid(),)
    with open_trusted(path, owners=owners) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PermissionError(f"others may read it (mode {mode:04o})")
        return _read_up_to(size_max, file, path)


def _sync_directory(directory: Path) -> None:
    # Windows cannot open a directory as a file; a rename is durable there by itself.
    if sys.platform == "win32":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold a lock that other processes respect, and that dies with its holder.

    Args:
        path: the lock file; it stays behind, empty.
        timeout_s: how long to wait for another holder.

    Raises:
        TimeoutError: when the holder keeps it longer.
        OSError: when the file system has no locks.
    """
    # Only somebody who compiles or installs needs it, and it costs as much as starting Python.
    from filelock import FileLock, Timeout  # noqa: PLC0415

    # A lock that only exists, as a file system without real ones would get, outlives its holder.
    # Whoever may read one may hold it, and keep everybody waiting.
    lock = FileLock(path, timeout=timeout_s, mode=PRIVATE_FILE, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as failure:
        raise TimeoutError(f"{path} is locked by another process") from failure
    except NotImplementedError as failure:
        raise OSError(errno.ENOSYS, "no file locks", str(path)) from failure
    try:
        yield
    finally:
        lock.release()


def make_private_directory(path: Path) -> None:
    """Make a directory that only its owner may enter; parents that are missing too."""
    # Not `parents=True`: it makes them as the process's mask says, which may be for a whole group.
    for directory in (*reversed(path.parents), path):
        directory.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)


def remove_whatever(path: Path) -> None:
    """Remove what has a path: a file, a link, or a directory with the files in it; or nothing.

    Raises:
        OSError: as the file system says, also where there are directories in the directory: nothing
            of ours is so deep, so it is somebody's who should decide about it.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # Not every platform says that it is a directory.
        if not path.is_dir():
            raise
        for child in path.iterdir():
            child.unlink()
        path.rmdir()


def distrust(directory: Path, *, owners: Sequence[int]) -> str | None:
    """Say why files in a directory may be somebody else's, or None where they cannot be.

    The directory must belong to an owner and nobody else may write to it. Everything that is passed
    on the way to it, each directory and each link, must belong to an owner or to root, and the
    directories must be closed to other writers or sticky: whoever may rename a parent, or owns a
    link, may replace everything behind it.

    Args:
        directory: an existing directory.
        owners: ids of the users who may own it.

    Raises:
        OSError: as the file system says, also for links that lead round in a circle.
    """
    if sys.platform == "win32":
        # Profile directories are closed to other users by their inherited access list.
        return None
    passed = list(_passed(directory))
    real, status = passed.pop()
    if not stat.S_ISDIR(status.st_mode):
        return f"{real} is not a directory"
    return distrust_status(status, real, owners=owners) or _distrust_passed(passed, owners)


def distrust_way(directory: Path, *, owners: Sequence[int]) -> str | None:
    """Say why what an owner makes in a directory may come to be somebody else's, or None.

    Unlike for `distrust`, the directory may be root's and open to all if it is sticky, as those for
    temporary files are.

    Args:
        directory: an existing directory.
        owners: ids of the users who may own what is made there.

    Raises:
        OSError: as the file system says, also for links that lead round in a circle.
    """
    return None if sys.platform == "win32" else _distrust_passed(_passed(directory), owners)


def _distrust_passed(
    passed: Iterable[tuple[Path, os.stat_result]], owners: Sequence[int]
) -> str | None:
    for path, status in passed:
        is_link = stat.S_ISLNK(status.st_mode)
        where = f"{path}, {'a link on the way to' if is_link else 'above'} it,"
        if status.st_uid not in (*owners, 0):
            return f"{where} belongs to user {status.st_uid}"
        # The mode of a link says nothing.
        if not is_link and status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
            return f"{where} may be written by others"
    return None


def _passed(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Give what is passed when a path is resolved, links included; where it leads comes last."""
    todo = list(reversed(path.absolute().parts))
    here, links = Path(todo.pop()), 0
    while todo:
        yield here, here.stat()
        name = todo.pop()
        here = here.parent if name == os.pardir else here / name
        status = here.lstat()
        if stat.S_ISLNK(status.st_mode):
            yield here, status
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            to = here.readlink()
            todo.extend(reversed(to.parts))
            here = here.parent
            if to.is_absolute():
                here = Path(todo.pop())
    yield here, here.stat()


def distrust_status(status: os.stat_result, path: Path, *, owners: Sequence[int]) -> str | None:
    """Say why one file or directory may be somebody else's, or None where it cannot be.

    Args:
        status: its status.
        path: its path, for the message.
        owners: ids of the users who may own it.
    """
    if sys.platform == "win32":
        return None
    if status.st_uid not in owners:
        wanted = " or ".join(map(str, dict.fromkeys(owners)))
        return f"{path} belongs to user {status.st_uid}, not to {wanted}"
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link"
    if status.st_mode & _OTHERS_WRITE:
        return f"{path} may be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def open_regular(path: Path, *, follow_links: bool = True) -> BufferedReader:
    """Open a regular file to read it; what is no file is refused, and nothing is waited for.

    A pipe without a writer would block for ever, and a device may have no end. The kind is read
    from the open file, so that another process cannot exchange the file after the check.

    Args:
        path: the file.
        follow_links: whether the path may be a link.

    Raises:
        OSError: when it cannot be opened, or is no regular file.
    """
    flags = os.O_RDONLY | _BINARY | _NOT_WAITING
    try:
        handle = os.open(path, flags if follow_links else flags | _NOT_FOLLOWING)
    except ValueError as failure:
        # No path of this platform: it holds a null character, or cannot be encoded.
        raise OSError(errno.EINVAL, str(failure), str(path)) from failure
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def open_trusted(path: Path, *, owners: Sequence[int]) -> BufferedReader:
    """Open a regular file that nobody but its owner could have written, to read it.

    Args:
        path: the file; a link is refused.
        owners: ids of the users who may own it.

    Raises:
        OSError: when it cannot be opened, is no regular file, or cannot be trusted.
    """
    file = open_regular(path, follow_links=False)
    reason = distrust_status(os.fstat(file.fileno()), path, owners=owners)
    if reason is None:
        return file
    file.close()
    raise PermissionError(reason)
