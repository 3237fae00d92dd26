"""A guest's memory, and the port-maps in it."""

from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import Any

import wasmtime

from chonkle.backends.wasm.unchecked_calls import Calls
from chonkle.errors import CodecTrap, PortMapError
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature


class LinearMemory:
    """A view of a guest's memory that never reaches past its end.

    The memory may grow, but the engine never moves it, so its address is asked for once.
    """

    def __init__(self, calls: Calls, wasm_store: wasmtime.Store, memory: object) -> None:
        """Prepare an exported memory.

        Raises:
            WasmFormatError: when the export is no memory.
        """
        self.size, self._renew = calls.memory(wasm_store, memory)
        self._view = self._renew()

    def bytes_at(self, start: int, size: int, *, what: str) -> memoryview:
        """Give a view of a range of the memory.

        Args:
            start: where the range begins, as given by the guest.
            size: its length in bytes, as given by the guest.
            what: the range, for the message.

        Raises:
            CodecTrap: when the range is outside of the memory.
        """
        end = start + size
        if end > len(self._view):
            # The memory may have grown since.
            self._view = self._renew()
            if end > len(self._view):
                raise CodecTrap(
                    f"the guest's {what} lies outside of its memory",
                    expected=f"at most {len(self._view)} bytes",
                    got=f"{size} bytes at {start}",
                )
        return self._view[start:end]

    def write(self, start: int, data: Buffer, *, what: str) -> None:
        """Copy data into the memory.

        Args:
            start: where the range for it begins, as given by the guest.
            data: the data.
            what: the range, for the message.

        Raises:
            CodecTrap: when the range is outside of the memory.
        """
        end = start + len(data)
        if end > len(self._view):
            self.bytes_at(start, len(data), what=what)
        self._view[start:end] = data

    def unpack(self, layout: Struct, start: int, *, what: str) -> tuple[Any, ...]:
        """Read a structure.

        Args:
            layout: its layout.
            start: where it begins, as given by the guest.
            what: what it is, for the message.

        Raises:
            CodecTrap: when it is outside of the memory.
        """
        try:
            return layout.unpack_from(self._view, start)
        except struct_error:
            return layout.unpack(self.bytes_at(start, layout.size, what=what))


class PortReader:
    """Reads the encoded results of one codec.

    Nearly all codecs return one port, whose header is known but for the length of its data. Reading
    any port-map takes a good part of a small call.
    """

    def __init__(self, signature: Signature) -> None:
        self._only_port = {
            direction: (name, *portmap.only_port_header(name))
            for direction in DIRECTIONS
            for name in [next(iter(signature.output_ports(direction)), "")]
        }

    def read(self, view: memoryview, size: int, direction: Direction) -> dict[str, memoryview]:
        """Find the ports of a result.

        Args:
            view: memory that begins with the result, an encoded port-map.
            size: the size of the result in bytes.
            direction: which transform returned it.

        Raises:
            CodecTrap: when it is no port-map.
        """
        name, header, known = self._only_port[direction]
        start = header.size
        if size >= start and header.unpack_from(view) == (known, size - start):
            return {name: view[start:size]}
        return read_ports(view[:size])

    def copy(self, view: memoryview, size: int, direction: Direction) -> dict[str, bytes]:
        """Copy the ports of a result; see `read`."""
        name, header, known = self._only_port[direction]
        start = header.size
        # As in `read`: a call of it would cost 2 % of a small call.
        if size >= start and header.unpack_from(view) == (known, size - start):
            return {name: view[start:size].tobytes()}
        return {name: bytes(data) for name, data in read_ports(view[:size]).items()}


def read_ports(result: memoryview) -> dict[str, memoryview]:
    """Find the ports of an encoded result.

    Raises:
        CodecTrap: when it is no port-map.
    """
    try:
        return portmap.read(result)
    except PortMapError as failure:
        raise CodecTrap(f"the guest returned a malformed port-map: {failure}") from failure


def write_segments(segments: Sequence[Buffer], target: memoryview) -> None:
    """Write segments one behind the other."""
    at = 0
    for segment in segments:
        end = at + len(segment)
        target[at:end] = segment
        at = end
