"""A guest's memory, and the port-maps in it."""

from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import Any

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.wasm.unchecked_calls import Calls
from chonkle.errors import CodecTrap, PortMapError
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature


class LinearMemory:
    """A guest's memory, looked at in place and never past its end.

    It may grow, but the engine is told never to move it, so that one look at where it is lasts.
    """

    def __init__(self, calls: Calls, wasm_store: wasmtime.Store, memory: object) -> None:
        """Look at an exported memory.

        Raises:
            WasmFormatError: when the export is something else.
        """
        self.size, self._see = calls.memory(wasm_store, memory)
        self._view = self._see()

    def bytes_at(self, start: int, size: int, *, what: str) -> memoryview:
        """Show a range of the memory.

        Args:
            start: where the range begins, as the guest says.
            size: its length in bytes, as the guest says.
            what: the range, for the message.

        Raises:
            CodecTrap: when the range does not lie in the memory.
        """
        end = start + size
        if end > len(self._view):
            # The guest may have grown its memory since the last look.
            self._view = self._see()
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
            start: where the range for it begins, as the guest says.
            data: the data.
            what: the range, for the message.

        Raises:
            CodecTrap: when the range does not lie in the memory.
        """
        end = start + len(data)
        if end > len(self._view):
            self.bytes_at(start, len(data), what=what)
        self._view[start:end] = data

    def unpack(self, layout: Struct, start: int, *, what: str) -> tuple[Any, ...]:
        """Read what has a layout.

        Args:
            layout: the layout.
            start: where it begins, as the guest says.
            what: what it is, for the message.

        Raises:
            CodecTrap: when it does not lie in the memory.
        """
        try:
            return layout.unpack_from(self._view, start)
        except struct_error:
            return layout.unpack(self.bytes_at(start, layout.size, what=what))


class PortCopier:
    """Copies the ports of encoded answers, where reading them is a good part of a call.

    Args of the constructor:
        signature: whose answers they are.
        limits: what they may take.
    """

    def __init__(self, signature: Signature, limits: Limits) -> None:
        self._limits = limits
        # Nearly all codecs give one port, and then all but its length and data is known before.
        self._only = {
            direction: (name, *portmap.only_opening(name))
            for direction in DIRECTIONS
            for name in [next(iter(signature.gives(direction)), "")]
        }

    def copy(self, view: memoryview, size: int, direction: Direction) -> dict[str, bytes]:
        """Copy the ports of an answer.

        Args:
            view: the memory that begins with the answer, an encoded port-map.
            size: how long it is.
            direction: whose answer it is.

        Raises:
            CodecTrap: when it is none.
            LimitExceeded: when it is larger than allowed.
        """
        if size > self._limits.output_bytes:
            self._limits.check_output(read_ports(view[:size]))
        name, opening, known = self._only[direction]
        start = opening.size
        if size >= start and opening.unpack_from(view) == (known, size - start):
            return {name: view[start:size].tobytes()}
        return {name: data.tobytes() for name, data in read_ports(view[:size]).items()}


def read_ports(answer: memoryview) -> dict[str, memoryview]:
    """Find the ports of an encoded answer.

    Raises:
        CodecTrap: when it is none.
    """
    try:
        return portmap.read(answer)
    except PortMapError as failure:
        raise CodecTrap(f"the guest returned a malformed port-map: {failure}") from failure


def place(pieces: Sequence[Buffer], target: memoryview) -> None:
    """Write pieces one behind the other."""
    at = 0
    for piece in pieces:
        end = at + len(piece)
        target[at:end] = piece
        at = end
