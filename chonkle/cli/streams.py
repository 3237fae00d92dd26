"""Inputs and outputs on the command line: files, and `-` for the standard streams."""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from chonkle.cli.signals import terminable
from chonkle.errors import PipelineError, StoreError
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle.storage.files import read_file, replace_file_in_parts

STANDARD = "-"
# Streams that the shell opened; `<(command)` is such a path in bash and zsh.
_OPENED = re.compile(r"-|/dev/(?:stdin|fd/([0-9]{1,6}))")


def read_named(path: Path) -> bytes:
    """Read a file that a command names, of at most the size of a wasm binary.

    Raises:
        StoreError: when it cannot be read or is larger.
    """
    try:
        return read_file(path, size_max=SIZE_MAX_BYTES)
    except OSError as failure:
        raise StoreError(f"cannot read {path}: {failure.strerror}") from failure


def read_input(name: str, file: str, *, size_max: int) -> bytes:
    """Read an input: a regular file, or a stream that the shell opened.

    Args:
        name: the input, for messages.
        file: its path, or `-`.
        size_max: bytes to accept at most.

    Raises:
        PipelineError: when it cannot be read or is longer.
    """
    try:
        opened = _OPENED.fullmatch(file)
        if opened is None:
            return read_file(Path(file), size_max=size_max)
        return _read_opened(int(opened[1] or 0), size_max)
    except OSError as failure:
        raise PipelineError(f"input `{name}`: cannot read {file}: {failure.strerror}") from failure


def _read_opened(descriptor: int, size_max: int) -> bytes:
    if descriptor == 0 and sys.stdin is None:
        # Another file may have its number by now.
        raise OSError(errno.EBADF, "standard input is closed")
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        data = stream.read(size_max + 1)
    if len(data) > size_max:
        raise OSError(errno.EFBIG, f"more than the allowed {size_max} bytes")
    return data


def write_output(name: str, file: str, data: bytes) -> None:
    """Write an output, whole or not at all where it is a file; its folders are made.

    Args:
        name: the output, for messages.
        file: its path, or `-`.
        data: its bytes.

    Raises:
        PipelineError: when it cannot be written.
    """
    try:
        if file != STANDARD:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        write_parts(file, (data,))
    except BrokenPipeError:
        raise
    except OSError as failure:
        raise PipelineError(
            f"output `{name}`: cannot write {file}: {failure.strerror}"
        ) from failure


def write_parts(file: str, parts: Iterable[bytes]) -> None:
    """Write bytes that are made while they are written; a file appears whole or not at all.

    Args:
        file: its path, or `-`.
        parts: its bytes.

    Raises:
        OSError: when it cannot be written.
    """
    path = Path(file)
    if file == STANDARD:
        _write_standard(parts)
    elif path.exists() and not stat.S_ISREG(path.stat().st_mode):
        # A device or a pipe cannot be replaced by a file.
        with path.open("wb") as device:
            device.writelines(parts)
    else:
        with terminable():
            replace_file_in_parts(path, parts)


def _write_standard(parts: Iterable[bytes]) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.buffer.writelines(parts)
    sys.stdout.buffer.flush()


def is_standard_output(file: str) -> bool:
    """Tell whether an output goes to the file that standard output goes to."""
    place = _place(STANDARD)
    return file == STANDARD or (place is not None and place == _place(file))


def written_twice(files: Mapping[str, str]) -> tuple[str, str] | None:
    """Find two outputs that go to one file, also under two names of it, if there are any."""
    names: dict[object, str] = {}
    for name, file in files.items():
        place = _place(file)
        if place is not None and names.setdefault(place, name) != name:
            return names[place], name
    return None


def _place(file: str) -> object:
    """Identify a file, however it is named; None for the null device, which takes any number."""
    if file == STANDARD and sys.stdout is None:
        return STANDARD
    try:
        status = os.fstat(sys.stdout.fileno()) if file == STANDARD else Path(file).stat()
    except OSError:
        # It does not exist yet; its directory and name identify it.
        path = Path(os.path.realpath(file))
        try:
            status = path.parent.stat()
        except OSError:
            return path
        return status.st_dev, status.st_ino, os.path.normcase(path.name)
    is_null = os.path.samestat(status, Path(os.devnull).stat())
    return None if is_null else (status.st_dev, status.st_ino)
