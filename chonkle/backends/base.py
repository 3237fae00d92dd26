"""What every backend gives the executor: a `Codec`.

The result of a call may still be in a guest's memory, so that the next step copies it from there
straight into its own. `CallResult` says for how long.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Literal, Self, cast

from chonkle.closing import Closing
from chonkle.errors import ChonkleError, LimitError, LimitExceeded
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Signature
from chonkle.limits import check_bytes, check_seconds

Backend = Literal["native", "core", "component"]
# A guest's addresses have 32 bits.
_MEMORY_BYTES_MAX = 1 << 32

BACKENDS: tuple[Backend, ...] = ("native", "core", "component")


class CallResult:
    """The output ports of one call, which may be borrowed from a guest's memory.

    Attributes:
        ports: data of each output port: bytes, unless borrowed. Closing releases borrowed views, so
            that a later access raises an error and never reads other data.
    """

    __slots__ = ("_release", "ports")

    def __init__(
        self, ports: Mapping[str, Buffer], release: Callable[[], None] | None = None
    ) -> None:
        """Hold `ports`, which are borrowed until `release` is called, if it is given."""
        self.ports = ports
        self._release = release

    @property
    def is_borrowed(self) -> bool:
        """Whether the ports are in memory that closing gives back."""
        return self._release is not None

    def to_owned(self) -> dict[str, bytes]:
        """Copy borrowed ports, and close."""
        if self._release is None:
            return cast("dict[str, bytes]", self.ports)
        try:
            return {name: bytes(data) for name, data in self.ports.items()}
        finally:
            self.close()

    def close(self) -> None:
        """Give borrowed memory back, and with it the ports. Idempotent."""
        release, self._release = self._release, None
        if release is not None:
            for data in self.ports.values():
                if isinstance(data, memoryview):
                    data.release()
            self.ports = {}
            release()


class Loan:
    """A borrowed result, lent to a caller who may keep what is made of its views.

    A slice of a view and a NumPy array made of one cannot be released by others. They show the
    memory until they are gone, so the result is closed after the last of them.

    Args of the constructor:
        result: the result.
        later: takes the result when something is kept after `close`, at the end of that, in any
            thread and amid any other work.
    """

    __slots__ = ("_ends", "_is_closed", "_later", "_lent", "_result")

    def __init__(self, result: CallResult, later: Callable[[CallResult], None]) -> None:
        self._result = result
        self._later = later
        self._lent = 0
        self._is_closed = False
        # Counts the ends of the views and of this loan. Taking a number is one operation, so that
        # of all threads exactly one takes the last.
        self._ends = count()

    def lend(self, data: Buffer) -> memoryview:
        """Give a read-only view of data of the result; not after `close`."""
        self._lent += 1
        return memoryview(_Lent(data, self._end_view))

    def close(self) -> None:
        """End the loan, and close the result unless something still shows it. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            if next(self._ends) == self._lent:
                self._result.close()

    def _end_view(self) -> None:
        if next(self._ends) == self._lent:
            self._later(self._result)


class _Lent:
    """The buffer behind a lent view (PEP 688): released when no view, slice or array shows it."""

    __slots__ = ("_data", "_end")

    def __init__(self, data: Buffer, end: Callable[[], None]) -> None:
        self._data = data
        self._end = end

    def __buffer__(self, _flags: int, /) -> memoryview:
        return memoryview(self._data).toreadonly()

    def __release_buffer__(self, view: memoryview, /) -> None:
        view.release()
        self._end()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of a codec may take.

    Attributes:
        memory_bytes: cap on each linear memory of a guest, of which it may have a few; at most
            4 GiB, as its addresses have 32 bits.
        output_bytes: cap on the total size of what a call returns.
        timeout_s: cap on the seconds that guest code runs in one call, at most a day; None never
            interrupts, so that Ctrl-C waits for the guest as well.
    """

    memory_bytes: int = 1 << 30
    output_bytes: int = 1 << 30
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are out of range, with a LimitError."""
        check_bytes("memory_bytes", self.memory_bytes, largest=_MEMORY_BYTES_MAX)
        check_bytes("output_bytes", self.output_bytes)
        if self.timeout_s is not None:
            check_seconds("timeout_s", self.timeout_s)

    @classmethod
    def of(cls, given: object) -> Self:
        """Require limits, or give the defaults where there are none.

        Raises:
            LimitError: when it is something else.
        """
        if given is None:
            return cls()
        if not isinstance(given, cls):
            raise LimitError(
                "bad `limits`",
                expected="`chonkle.Limits`, such as `chonkle.Limits(memory_bytes=1 << 28)`",
                got=repr(given),
            )
        return given

    def check_input(self, size: int) -> None:
        """Require that the input of a call can fit into the memory of a guest.

        Raises:
            LimitExceeded: when it cannot.
        """
        if size > self.memory_bytes:
            raise LimitExceeded(
                "the input alone is larger than the memory allowed",
                expected=f"at most {self.memory_bytes} bytes",
                got=str(size),
                limit="memory_bytes",
            )

    def check_output(self, ports: Mapping[str, Buffer]) -> None:
        """Require that a call did not return too much.

        Raises:
            LimitExceeded: when it did.
        """
        total = 0
        # As a loop, because each call asks.
        for data in ports.values():
            total += len(data)
        if total > self.output_bytes:
            raise LimitExceeded(
                "returned more than allowed",
                expected=f"at most {self.output_bytes} bytes",
                got=str(total),
                limit="output_bytes",
            )


def call_label(signature: Signature, backend: Backend, direction: Direction) -> str:
    """Name a call in a message: codec, implementation, backend and direction."""
    return f"codec `{signature.codec_id}` ({signature.label}, {backend}), {direction}"


class Codec(Closing, ABC):
    """An opened codec.

    Several threads may call one codec at once. The code that opens a codec closes it.
    """

    @abstractmethod
    def signature(self) -> Signature:
        """Give the codec's typed ports."""

    @abstractmethod
    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        """Run the codec; the result may be borrowed and must be closed.

        Args:
            direction: `encode` or `decode`.
            port_map: data of each input port; scalars as JSON text.

        Raises:
            CodecError: the codec refused the input.
            CodecTrap: the codec broke; the next call works.
            LimitExceeded: the codec asked for more than its limits allow.
        """

    def call_many(
        self, direction: Direction, port_maps: Sequence[Mapping[str, Buffer]]
    ) -> list[CallResult]:
        """Run the codec on several inputs; as `call_borrowed` on each.

        Raises:
            ChonkleError: as `call_borrowed`, for any of the inputs; no result is open then.
        """
        results: list[CallResult] = []
        try:
            results.extend(self.call_borrowed(direction, each) for each in port_maps)
        except BaseException:
            for result in results:
                with suppress(ChonkleError):
                    result.close()
            raise
        return results

    def call(self, direction: Direction, port_map: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Run the codec and copy its result.

        Args:
            direction: `encode` or `decode`.
            port_map: data of each input port; scalars as JSON text.

        Raises:
            CodecError: the codec refused the input.
            CodecTrap: the codec broke; the next call works.
            LimitExceeded: the codec asked for more than its limits allow.
        """
        return self.call_borrowed(direction, port_map).to_owned()

    def close_later(self, result: CallResult) -> None:
        """Take back a borrowed result that something showed after its end.

        It is called from anywhere, so it runs nothing of a guest. Unless a backend keeps the result
        and closes it at a later call, its memory is freed and not used again.

        Args:
            result: the result, which nothing shows any more.
        """

    def memory_bytes(self) -> int | None:
        """Give the size of the memories of the instances that wait for a call.

        Returns:
            Bytes, or None where the backend does not see them.
        """
        return None

    def close(self) -> None:
        """Free what the codec holds. Idempotent."""
