"""Atomic writes, locks between processes, and checks of which users could have written a file.

All functions raise OSError as the file system does. A write that fails leaves nothing behind.
"""

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
# Marks a file that is being written, or that a writer left when it died.
TEMPORARY_SUFFIX = ".tmp"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
# Opening a pipe waits for a writer, and a terminal may become the process's own.
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NOT_FOLLOWING = getattr(os, "O_NOFOLLOW", 0)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LINKS_MAX = 40  # as in Linux


class UntrustedError(PermissionError):
    """Another user could have written a file, or could replace it."""


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Write a file so that no reader ever sees a part of it.

    Args:
        path: where the file goes; its directory must exist.
        data: its bytes.
        mode: permissions to create it with, less the process's mask.
    """
    _write_parts(path, (data,), mode=mode)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a temporary file to its final path, and sync the directory."""
    temporary.replace(path)
    _sync_directory(path.parent)


def _write_parts(path: Path, parts: Iterable[bytes], *, mode: int) -> None:
    # A file that was there is replaced, never rewritten: other processes may have it mapped.
    temporary = write_temporary(path, parts, mode=mode)
    try:
        put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_temporary(path: Path, parts: Iterable[bytes], *, mode: int = PRIVATE_FILE) -> Path:
    """Write a synced temporary file beside its final path, for `put_in_place` or to be removed.

    Args:
        path: where the file will be; its directory must exist.
        parts: its bytes.
        mode: permissions to create it with, less the process's mask.
    """
    # `tempfile` takes longer to import than this module, and cannot set the permissions.
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
    """Remove the temporary files of killed writers of a file; no process may be writing it now."""
    prefix = _temporary_prefix(path)
    for other in path.parent.iterdir():
        if other.name.startswith(prefix) and other.name.endswith(TEMPORARY_SUFFIX):
            other.unlink()


def replace_file(path: Path, data: bytes) -> None:
    """Write a user's file atomically; an existing file keeps its permissions, a link its target."""
    replace_file_in_parts(path, (data,))


def replace_file_in_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a user's file that does not fit into memory, as `replace_file` does.

    Args:
        path: the file.
        parts: its bytes, produced while they are written. If that fails, nothing is left behind.
    """
    real = Path(os.path.realpath(path))
    mode = PUBLIC_FILE
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(real.stat().st_mode)
    _write_parts(real, parts, mode=mode)


def read_file(path: Path, *, size_max: int) -> bytes:
    """Read a regular file, up to a maximum size.

    Raises:
        OSError: when it cannot be read, is not a regular file, or is longer.
    """
    with open_regular(path) as file:
        return _read_up_to(size_max, file, path)


def _read_up_to(size_max: int, file: BufferedReader, path: Path) -> bytes:
    # A known size spares reading. For a file in /proc the system reports none.
    is_long = os.fstat(file.fileno()).st_size > size_max
    data: bytes | None = b"" if is_long else file.read(size_max + 1)
    if data is None:
        raise OSError(errno.EAGAIN, "has nothing to read now", str(path))
    if is_long or len(data) > size_max:
        raise OSError(errno.EFBIG, f"more than the allowed {size_max} bytes", str(path))
    return data


def read_secret(path: Path, *, size_max: int) -> bytes:
    """Read a file that belongs to this user and that no other user may read.

    Raises:
        OSError: when it cannot be read, is longer, or other users may read it.
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
    """Hold a lock between processes; it is released when its holder dies.

    Args:
        path: the lock file; it stays behind, empty.
        timeout_s: how long to wait for another holder.

    Raises:
        TimeoutError: when another process holds it longer.
        OSError: when the file system has no locks.
    """
    # Importing it takes as long as starting Python, and only compiling and installing need it.
    from filelock import FileLock, Timeout  # noqa: PLC0415

    # No soft lock, which would outlive its holder. Private, because any reader of a lock
    # could hold it and block all others.
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
    """Make a directory with mode 0700, and its missing parents likewise."""
    # `parents=True` would make them with the process's mask, which may allow a group to write.
    for directory in (*reversed(path.parents), path):
        directory.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)


def remove_whatever(path: Path) -> None:
    """Remove a file, a link, or a directory with the files in it; a missing path is fine.

    Raises:
        OSError: as the file system says, also when the directory has subdirectories: chonkle makes
            none that deep, so the user must decide.
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


def check_ownership(directory: Path, *, owners: Sequence[int]) -> None:
    """Check that no other user could have written files in a directory, or could replace it.

    It must belong to an owner, and other users may not write to it. Each directory above it and
    each link on the way must belong to an owner or to root, and these directories must be closed to
    other writers or sticky: a user who may rename a parent, or owns a link, can replace everything
    below.

    Raises:
        UntrustedError: when the check fails.
        OSError: as the file system says, also for links that form a circle.
    """
    if sys.platform == "win32":
        # Profile directories are closed to other users by their inherited access list.
        return
    passed = list(_passed(directory))
    real, status = passed.pop()
    if not stat.S_ISDIR(status.st_mode):
        raise UntrustedError(f"{real} is not a directory")
    check_status(status, real, owners=owners)
    _check_passed(passed, owners)


def check_parents(directory: Path, *, owners: Sequence[int]) -> None:
    """Check that no other user could replace what an owner makes in a directory.

    Unlike for `check_ownership`, the directory may be root's and open to all if it is sticky, as
    directories for temporary files are.

    Args:
        directory: an existing directory.
        owners: ids of the users who may own what is made there.

    Raises:
        UntrustedError: when the check fails.
        OSError: as the file system says, also for links that form a circle.
    """
    if sys.platform != "win32":
        _check_passed(_passed(directory), owners)


def check_status(status: os.stat_result, path: Path, *, owners: Sequence[int]) -> None:
    """Check the owner and the mode of one file or directory.

    Raises:
        UntrustedError: when another user owns it or may write to it, or when it is a link.
    """
    if sys.platform == "win32":
        return
    if status.st_uid not in owners:
        wanted = " or ".join(map(str, dict.fromkeys(owners)))
        raise UntrustedError(f"{path} belongs to user {status.st_uid}, not to {wanted}")
    if stat.S_ISLNK(status.st_mode):
        raise UntrustedError(f"{path} is a link")
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        raise UntrustedError(f"{path} may be written by others (mode {mode:04o})")


def _check_passed(passed: Iterable[tuple[Path, os.stat_result]], owners: Sequence[int]) -> None:
    for path, status in passed:
        is_link = stat.S_ISLNK(status.st_mode)
        where = f"{path}, {'a link on the way to' if is_link else 'above'} it,"
        if status.st_uid not in (*owners, 0):
            raise UntrustedError(f"{where} belongs to user {status.st_uid}")
        # The mode of a link says nothing.
        if not is_link and status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
            raise UntrustedError(f"{where} may be written by others")


def _passed(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each directory and link on the way to what a path names, and that last."""
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


def open_regular(path: Path, *, follow_links: bool = True) -> BufferedReader:
    """Open a regular file to read it; anything else is refused without waiting for it.

    A pipe without a writer would block for ever, and a device may have no end. The kind is taken
    from the open file, so that another process cannot exchange the file after the check.

    Args:
        path: the file.
        follow_links: whether the path may be a link.

    Raises:
        OSError: when it cannot be opened, or is not a regular file.
    """
    flags = os.O_RDONLY | _BINARY | _NOT_WAITING
    try:
        handle = os.open(path, flags if follow_links else flags | _NOT_FOLLOWING)
    except ValueError as failure:
        # Not a path of this platform: it holds a null character, or cannot be encoded.
        raise OSError(errno.EINVAL, str(failure), str(path)) from failure
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def open_trusted(path: Path, *, owners: Sequence[int]) -> BufferedReader:
    """Open a regular file to read it, checking that no other user could have written it.

    Args:
        path: the file; a link is refused.
        owners: ids of the users who may own it.

    Raises:
        UntrustedError: when another user could have written it.
        OSError: when it cannot be opened, or is not a regular file.
    """
    file = open_regular(path, follow_links=False)
    try:
        check_status(os.fstat(file.fileno()), path, owners=owners)
    except UntrustedError:
        file.close()
        raise
    return file
