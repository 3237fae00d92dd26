"""The files of chunks in a local store, without paths and file objects of Python."""

import errno
import math
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from zarr.core.array_spec import ArraySpec
from zarr.storage import LocalStore, StorePath

from chonkle.errors import LimitExceeded

# Windows has no such call, and goes through the store.
_IS_DIRECT = hasattr(os, "readv")
_CLOSES = getattr(os, "O_CLOEXEC", 0)
# A pipe in the place of a chunk does not make a reader wait.
_READS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _CLOSES
_CREATES = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSES
# What is left in the buffer says that a file was read to its end.
_ROOM_BYTES = 4096


class ChunkFile:
    """Reads and writes chunks one after the other, for one thread.

    Chunks are read into one buffer, whose memory is still in the processor's cache.

    Args of the constructor:
        memory_bytes: a file that is larger, and larger than a decoded chunk, is not read.
    """

    def __init__(self, memory_bytes: int = 1 << 30) -> None:
        self._memory_bytes = memory_bytes
        self._buffer = bytearray(_ROOM_BYTES)
        self._view = memoryview(self._buffer)
        self._partial = ""

    def read(self, getter: Any, spec: ArraySpec) -> Any:  # noqa: ANN401 - a buffer
        """Read a chunk.

        Args:
            getter: where it is.
            spec: its spec.

        Returns:
            A buffer, which holds until the next call; None where there is no chunk.

        Raises:
            OSError: the chunk cannot be read, or is no file.
            LimitExceeded: it is too large.
        """
        path = _local_path(getter)
        if path is None:
            found = getter.get_sync(prototype=spec.prototype)
            return None if found is None else found.as_numpy_array()
        try:
            handle = os.open(path, _READS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            size = os.readv(handle, (self._buffer,))
            while size == len(self._buffer):
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):  # a device may have no end
                    raise OSError(errno.EINVAL, "Not a file", path)
                self._require_room(status.st_size, spec)
                self._grow(status.st_size)
                size += os.readv(handle, (self._view[size:],))
        except IsADirectoryError:
            return None
        finally:
            os.close(handle)
        return self._view[:size]

    def write(self, setter: Any, spec: ArraySpec, data: Any) -> None:  # noqa: ANN401 - a buffer
        """Write a chunk, so that a reader finds the old one or all of the new one.

        Args:
            setter: where it goes.
            spec: its spec.
            data: the chunk, as bytes; it is not kept.
        """
        path = _local_path(setter)
        if path is None or setter.store.read_only:
            setter.set_sync(spec.prototype.buffer.from_bytes(bytes(data)))
            return
        # As files are named that zarr-python has not written to the end.
        self._partial = self._partial or f".{uuid4().hex}.partial"
        partial = path + self._partial
        try:
            try:
                handle = os.open(partial, _CREATES, 0o666)
            except FileNotFoundError:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(partial, _CREATES, 0o666)
            try:
                written = os.write(handle, data)
                while written < len(data):
                    written += os.write(handle, data[written:])
            finally:
                os.close(handle)
            os.replace(partial, path)  # noqa: PTH105 - a `Path` takes as long as all else here
        except BaseException:
            with suppress(OSError):
                Path(partial).unlink()
            raise

    def _require_room(self, size: int, spec: ArraySpec) -> None:
        decoded = math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
        if size > max(self._memory_bytes, decoded):
            raise LimitExceeded(
                "the file of the chunk is larger than the memory allowed",
                expected=f"at most {self._memory_bytes} bytes",
                got=f"{size} bytes",
                limit="memory_bytes",
            )

    def _grow(self, size: int) -> None:
        """Make room for a file, and for others that are a little larger."""
        larger = bytearray(max(size + size // 4, len(self._buffer)) + _ROOM_BYTES)
        larger[: len(self._buffer)] = self._buffer
        self._buffer, self._view = larger, memoryview(larger)


def _local_path(place: Any) -> str | None:  # noqa: ANN401 - anything of zarr-python
    """Give the path of a chunk that has a file of its own."""
    if _IS_DIRECT and isinstance(place, StorePath) and type(place.store) is LocalStore:
        return f"{place.store.root}/{place.path}"
    return None
