"""Finds the wasm files below a folder, and reads what each of them says it is.

A folder may have any layout. What a file is comes from its embedded signature, which is read
without reading the whole file. Names that begin with a dot are passed over.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import overload

from chonkle.errors import ChonkleError, StoreError, WasmFormatError
from chonkle.formats.signature import Signature, read_signature
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind, binary_kind
from chonkle.names import implementation_of
from chonkle.storage.files import open_regular

# Folders below the store; deeper ones are passed over.
_DEPTH_MAX = 8
# More than any store has: such a folder was named by mistake.
_ENTRIES_MAX = 100_000
# A file's headers are read in blocks of this size.
_BLOCK_BYTES = 4096


type FileIdentity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class CodecFile:
    """A wasm file and what it says it is."""

    path: str
    kind: Kind
    signature: Signature

    @property
    def codec_id(self) -> str:
        """What the codec does."""
        return self.signature.codec_id


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file in a codec store that cannot be used."""

    path: Path  # the file, or the folder if that cannot be read
    failure: ChonkleError  # why it cannot be used
    codec_id: str = ""  # its codec, where its signature could be read
    label: str = ""  # its implementation and version, likewise

    def concerns(self, codec_id: str) -> bool:
        """Tell whether this may be a file of a codec; without a signature, by the names there."""
        if self.codec_id:
            return codec_id == self.codec_id
        return codec_id in (self.path.parent.name, self.path.name, *self._names())

    def is_named(self, implementation: str) -> bool:
        """Tell whether an override, with or without a version, names this file."""
        return implementation in self._names()

    def _names(self) -> tuple[str, str]:
        label = self.label or self.path.stem.removesuffix(".core").removesuffix(".component")
        return label, label.partition("@")[0]


def wasm_files(root: Path) -> Iterator[tuple[str, os.stat_result | StoreError]]:
    """Find the wasm files below a folder, in a fixed order.

    Links are followed; each folder is visited once.

    Args:
        root: the folder; it need not exist.

    Returns:
        Each file with its status, or with the reason why it, or a folder, cannot be read.

    Raises:
        StoreError: when the root is not a folder, cannot be read, or holds too much.
    """
    visited = {_place(root.stat())} if root.is_dir() else set()
    todo = [(str(root), 0)]
    count = 0
    while todo:
        folder, depth = todo.pop()
        try:
            entries = _entries(folder)
        except StoreError as unreadable:
            if depth == 0:
                raise
            yield folder, unreadable
            continue
        count += len(entries)
        if count > _ENTRIES_MAX:
            raise StoreError(
                f"codec store {root}: too many files and folders",
                expected=f"at most {_ENTRIES_MAX}",
                hint="name the folder that the codecs are in",
            )
        folders = []
        for path, status in entries:
            if isinstance(status, StoreError) or not stat.S_ISDIR(status.st_mode):
                yield path, status
            elif depth < _DEPTH_MAX and _place(status) not in visited:
                visited.add(_place(status))
                folders.append((path, depth + 1))
        todo.extend(reversed(folders))


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _entries(folder: str) -> list[tuple[str, os.stat_result | StoreError]]:
    """List the folders and wasm files in a folder."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except NotADirectoryError as failure:
        raise StoreError(f"codec store {folder}: not a directory") from failure
    except OSError as failure:
        raise StoreError(f"cannot read {folder}: {failure.strerror}") from failure
    found: list[tuple[str, os.stat_result | StoreError]] = []
    for entry in listed:
        if entry.name.startswith("."):
            continue
        try:
            if entry.name.endswith(".wasm") or entry.is_dir():
                # On Windows, the status that comes with a listing has no inode.
                status = entry.stat() if os.name == "posix" else Path(entry).stat()
                found.append((entry.path, status))
        except OSError as failure:
            # Another file's broken link is of no interest.
            if entry.name.endswith(".wasm"):
                unreadable = StoreError(f"cannot read {entry.path}: {failure.strerror}")
                found.append((entry.path, unreadable))
    return found


def codec_files(root: Path) -> tuple[list[CodecFile], list[BadFile]]:
    """Give the codecs below a folder, and the wasm files that are none.

    Args:
        root: the folder; it need not exist.

    Raises:
        StoreError: when the root is not a folder, cannot be read, or holds too much.
    """
    found, bad_files = [], []
    for path, status in wasm_files(root):
        if isinstance(status, StoreError):
            bad_files.append(BadFile(Path(path), status))
            continue
        try:
            found.append(_identified(path, identity(status)))
        except ChonkleError as failure:
            bad_files.append(BadFile(Path(path), failure))
    return found, bad_files


def identity(status: os.stat_result) -> FileIdentity:
    """Give all of a file's status that changes with its content."""
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


# A file is run only after what it is has been read from its bytes.
@lru_cache(maxsize=16384)
def _identified(path: str, status: FileIdentity) -> CodecFile:
    """Read what a file is.

    Raises:
        StoreError: when it cannot be read.
        WasmFormatError: when it is not a wasm binary.
        SignatureError: when it has no valid signature.
    """
    size, *_ = status
    if size > SIZE_MAX_BYTES:
        raise StoreError(f"cannot read {path}: more than the allowed {SIZE_MAX_BYTES} bytes")
    try:
        with open_regular(Path(path)) as file:
            data = _FileBytes(file, size)
            kind = binary_kind(data)
            signature = read_signature(data, what=path, implementation=implementation_of(path))
            return CodecFile(path, kind, signature)
    except OSError as failure:
        raise StoreError(f"cannot read {path}: {failure.strerror}") from failure
    except WasmFormatError as failure:
        raise WasmFormatError(f"{path}: {failure}") from failure


class _FileBytes:
    """A file's bytes, read when they are asked for.

    Not a memory map: another process may truncate the file, which would end this one.
    """

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file = file
        self._size = size
        self._start = 0
        self._block = b""

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> bytes: ...

    def __getitem__(self, at: int | slice) -> int | bytes:
        if isinstance(at, slice):
            start, end, _ = at.indices(self._size)
            return self._read(start, end)
        index = at - self._start
        # Most often, and so first.
        if 0 <= index < len(self._block):
            return self._block[index]
        return self._read(at, at + 1)[0]

    def _read(self, start: int, end: int) -> bytes:
        at = start - self._start
        if at < 0 or end - self._start > len(self._block):
            self._file.seek(start)
            self._start, at = start, 0
            self._block = self._file.read(max(end - start, _BLOCK_BYTES))
        found = self._block[at : at + end - start]
        if len(found) < end - start:
            raise WasmFormatError(f"truncated at byte {start + len(found)}")
        return found
