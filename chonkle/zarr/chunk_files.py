"""The files of chunks in a local store, read without paths and file objects of Python."""

import os
from typing import Any

from zarr.core.array_spec import ArraySpec
from zarr.storage import LocalStore, StorePath

# Windows has no such call, and goes through the store.
_READS_INTO = hasattr(os, "readv")
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
# What is left in the buffer says that a file was read to its end.
_ROOM_BYTES = 4096


class ChunkFile:
    """Reads chunks, one after the other into one buffer, for one thread.

    The memory of the buffer is still in the processor's cache.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(_ROOM_BYTES)
        self._view = memoryview(self._buffer)

    def read(self, getter: Any, spec: ArraySpec) -> Any:  # noqa: ANN401 - a buffer
        """Read a chunk.

        Args:
            getter: where it is.
            spec: its spec.

        Returns:
            A buffer, which holds until the next call; None where there is no chunk.
        """
        if not (_READS_INTO and isinstance(getter, StorePath) and type(getter.store) is LocalStore):
            found = getter.get_sync(prototype=spec.prototype)
            return None if found is None else found.as_numpy_array()
        try:
            handle = os.open(f"{getter.store.root}/{getter.path}", _FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            size = os.readv(handle, (self._buffer,))
            while size == len(self._buffer):
                self._grow(os.fstat(handle).st_size)
                size += os.readv(handle, (self._view[size:],))
        except IsADirectoryError:
            return None
        finally:
            os.close(handle)
        return self._view[:size]

    def _grow(self, size: int) -> None:
        """Make room for a file, and for others that are a little larger."""
        larger = bytearray(max(size + size // 4, len(self._buffer)) + _ROOM_BYTES)
        larger[: len(self._buffer)] = self._buffer
        self._buffer, self._view = larger, memoryview(larger)
