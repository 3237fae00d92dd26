"""What every backend gives the executor: a `Codec` that answers calls.

An answer's data may still lie in a guest's memory, so that the next step copies it from there
straight into its own. `Answer` says how long it lives; `GuestBytes` says where it is.
"""

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from chonkle.formats.signature import Direction, Signature

Backend = Literal["native", "core", "component"]
BACKENDS: tuple[Backend, ...] = ("native", "core", "component")


class GuestBytes:
    """Bytes that lie in a guest's linear memory; valid until their `Answer` is closed.

    Attributes:
        address: where they begin in this process's memory.
        size: how many there are.
    """

    __slots__ = ("address", "size")

    def __init__(self, address: int, size: int) -> None:
        """Describe `size` bytes at `address`."""
        self.address = address
        self.size = size

    def __len__(self) -> int:
        """Give the number of bytes."""
        return self.size

    def __bytes__(self) -> bytes:
        """Copy the bytes out of the guest, once."""
        return ctypes.string_at(self.address, self.size)

    def __buffer__(self, _flags: int) -> memoryview:
        """Show the bytes in place, for readers that take any buffer."""
        return memoryview((ctypes.c_ubyte * self.size).from_address(self.address)).cast("B")


type Buffer = bytes | bytearray | memoryview | GuestBytes


class Answer:
    """The output ports of one call, and the hold on the memory that they lie in.

    Attributes:
        ports: data of each output port.
    """

    __slots__ = ("_release", "ports")

    def __init__(
        self, ports: Mapping[str, Buffer], release: Callable[[], None] | None = None
    ) -> None:
        """Hold `ports` until `release` is called."""
        self.ports = ports
        self._release = release

    def close(self) -> None:
        """Give the memory back; the ports may not be touched any more. Idempotent."""
        release, self._release = self._release, None
        if release is not None:
            self.ports = {}
            release()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of a codec may take.

    Attributes:
        memory_bytes: cap on each linear memory of a guest.
        output_bytes: cap on the total size of what a call returns.
        timeout_s: cap on the seconds that guest code runs in one call; None never interrupts.
    """

    memory_bytes: int = 1 << 30
    output_bytes: int = 1 << 30
    timeout_s: float | None = None


class Codec(ABC):
    """An opened codec.

    One codec may be called by several threads at once. It is closed by who opened it.
    """

    @abstractmethod
    def signature(self) -> Signature:
        """Give the codec's typed ports."""

    @abstractmethod
    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec; the answer may lend memory and must be closed.

        Args:
            direction: `encode` or `decode`.
            port_map: data of each input port; scalars as JSON text.

        Raises:
            CodecError: the codec refused the input.
            CodecTrap: the codec broke; the next call works.
            LimitExceeded: the codec asked for more than its limits allow.
        """

    def call(self, direction: Direction, port_map: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Run the codec and copy its answer.

        Args:
            direction: `encode` or `decode`.
            port_map: data of each input port; scalars as JSON text.

        Returns:
            The data of each output port.

        Raises:
            CodecError: the codec refused the input.
            CodecTrap: the codec broke; the next call works.
            LimitExceeded: the codec asked for more than its limits allow.
        """
        answer = self.answer(direction, port_map)
        try:
            return {name: bytes(data) for name, data in answer.ports.items()}
        finally:
            answer.close()

    def close(self) -> None:
        """Free what the codec holds. Idempotent."""

    def __enter__(self) -> Self:
        """Give the codec itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the codec."""
        self.close()
