"""What running guests share: memory, calls under a deadline, traps, and the pool they wait in.

An instance serves one call at a time. A caller takes it out of the pool and gives it back; an
instance whose guest trapped is never given back.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from struct import Struct
from struct import error as struct_error
from typing import Any, Protocol

import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.calls import HOST_FUNCTION_FAILED, Calls, GuestFunction, no_room
from chonkle.engine import Engine
from chonkle.errors import (
    ChonkleError,
    CodecError,
    CodecTrap,
    LimitExceeded,
    OutOfMemory,
    PortMapError,
)
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature

# How many instances may wait for a call in a session, and how much memory they may hold together. A
# guest's memory never shrinks.
_INSTANCES_KEPT = 128
_MEMORY_KEPT_BYTES = 256 << 20
# Instances with no more memory than this count as none, so that small calls need no look at it.
LIGHT_MEMORY_BYTES = 2 << 20
_TABLE_ELEMENTS_MAX = 1 << 17
# A Python interpreter in a component has sixty instances and two memories.
_INSTANCES_MAX = 256
_TABLES_MAX = 16
_MEMORIES_MAX = 3

# How much of a guest's error text is read.
ERROR_TEXT_MAX_BYTES = 4096
# What wasmtime says of a guest that asks for more than its store allows, and of all other failures
# at the start that a guest is to blame for: the rest are the system's.
_OVER_MEMORY = ("exceeds memory limits", "memory minimum size")
_OVER_OTHERS = ("exceeds table limits", "resource limit exceeded")
_OF_THE_GUEST = (
    *_OVER_MEMORY, *_OVER_OTHERS,
    "unknown import", "wasm backtrace", "wasm trap", HOST_FUNCTION_FAILED,
)  # fmt: skip

# What is reported of a refusal that says nothing.
WORDLESS = "the codec failed without a word"


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


def limited_store(engine: Engine, limits: Limits) -> wasmtime.Store:
    """Make a store whose guests get no more than their limits."""
    wasm_store = wasmtime.Store(engine.wasmtime)
    _limit(wasm_store, limits.memory_bytes)
    return wasm_store


@contextmanager
def room_for_one_more(
    wasm_store: wasmtime.Store, limits: Limits, memory_bytes: int
) -> Iterator[None]:
    """Let one instance of our own into a store whose guests have all that they get.

    Args:
        wasm_store: the store.
        limits: what its guests may take.
        memory_bytes: how large the one memory is that the instance has.
    """
    _limit(wasm_store, max(limits.memory_bytes, memory_bytes), more=1)
    try:
        yield
    finally:
        _limit(wasm_store, limits.memory_bytes, more=1)


def _limit(wasm_store: wasmtime.Store, memory_bytes: int, *, more: int = 0) -> None:
    # The limit is on each memory, and a component may have several.
    wasm_store.set_limits(
        memory_size=memory_bytes,
        table_elements=_TABLE_ELEMENTS_MAX,
        instances=_INSTANCES_MAX + more,
        tables=_TABLES_MAX,
        memories=_MEMORIES_MAX + more,
    )


class GuestFunctions:
    """Prepares the functions of one store, each to be called under the store's deadline."""

    def __init__(
        self, engine: Engine, wasm_store: wasmtime.Store, *, limits: Limits, calls: Calls
    ) -> None:
        """Prepare functions of a store.

        Args:
            engine: the store's engine.
            wasm_store: the store.
            limits: what a call may take.
            calls: how functions are called.
        """
        self._engine = engine
        self._wasm_store = wasm_store
        self._timeout_s = limits.timeout_s
        self._ends_s = 0.0
        self._calls = calls

    def begin(self) -> None:
        """Let the time begin that all calls together may take until this is called again."""
        if self._timeout_s is not None:
            self._ends_s = time.monotonic() + self._timeout_s

    def prepare(self, function: object, type_: str, *, begins: bool = False) -> GuestFunction:
        """Prepare a function of integers.

        Args:
            function: an export.
            type_: the type that it must have, such as `(i32, i32) -> i64`.
            begins: whether it is the first that a call of the codec calls; see `begin`.

        Returns:
            A callable that raises `wasmtime.Trap` or `wasmtime.WasmtimeError`; see `trap_error`.

        Raises:
            WasmFormatError: when it has another type.
        """
        call = self._calls.function(self._wasm_store, function, type_)
        if self._timeout_s is None:
            return call

        def call_in_time(*arguments: int) -> int:
            if begins:
                self.begin()
            left_s = max(self._ends_s - time.monotonic(), 0.0)
            with self._engine.deadline(self._wasm_store, left_s):
                return call(*arguments)

        return call_in_time


class Pooled(Protocol):
    """An instance that waits for calls.

    Attributes:
        kept_bytes: size of its memory, if that is more than a light one.
        given_s: when it was made, or last given back with more memory than a light one.
    """

    kept_bytes: int
    given_s: float


class IdleInstances:
    """Bounds how many instances wait for calls, and their memory, over all codecs of a session.

    Instances that are in a call are not bounded. Those that were given back longest ago go first.

    Attributes:
        count_max: how many may wait of one codec, and of all when a new one is made.
    """

    def __init__(
        self, *, count_max: int = _INSTANCES_KEPT, bytes_max: int = _MEMORY_KEPT_BYTES
    ) -> None:
        """Make bounds for the pools that will be made with them.

        Args:
            count_max: how many may wait of one codec, and of all when a new one is made.
            bytes_max: how much memory those may hold together that are not light.
        """
        self.count_max = count_max
        self._bytes_max = bytes_max
        # What waits in each pool, and not the pools: those hold this.
        self._waiting: list[deque[Any]] = []

    def add_pool(self, waiting: deque[Any]) -> None:
        """Include the instances that a pool holds, now and later."""
        self._waiting = [*self._waiting, waiting]

    def make_room(self) -> None:
        """Free instances where so many wait that one more would be too many."""
        while sum(map(len, self._waiting)) >= self.count_max:
            if not self._free_oldest():
                break

    def have_room(self, memory_bytes: int) -> bool:
        """Tell whether an instance that is not light may wait; others are freed for it.

        Args:
            memory_bytes: how large its memory is.
        """
        if memory_bytes > self._bytes_max:
            return False
        while memory_bytes + self._waiting_bytes() > self._bytes_max:
            if not self._free_oldest(heavy=True):
                break
        return True

    def _waiting_bytes(self) -> int:
        total = 0
        for waiting in self._waiting:
            # A copy, which other threads leave as it is.
            for each in tuple(waiting):
                total += each.kept_bytes
        return total

    def _free_oldest(self, *, heavy: bool = False) -> bool:
        """Take an instance out of its pool, and give whether there was one."""
        found = [
            (each.given_s, waiting, each)
            for waiting in self._waiting
            for each in tuple(waiting)
            if each.kept_bytes or not heavy
        ]
        if not found:
            return False
        _, waiting, oldest = min(found, key=itemgetter(0))
        # Another thread may have taken it meanwhile, which is as good.
        with suppress(ValueError):
            waiting.remove(oldest)
        return True


class InstancePool[I: Pooled]:
    """Instances of one codec that wait for their next call.

    Taking and giving are single operations of a deque, which need no lock; the last one given is
    the first one taken, because its memory is still in the processor's cache.
    """

    __slots__ = ("_bounds", "_idle", "_start", "give")

    def __init__(self, start: Callable[[], I], bounds: IdleInstances) -> None:
        """Make an empty pool.

        Args:
            start: makes an instance where none waits.
            bounds: what it has in common with other pools.
        """
        self._start = start
        # One that is full drops the instance that was given back longest ago.
        self._idle: deque[I] = deque(maxlen=bounds.count_max)
        self._bounds = bounds
        bounds.add_pool(self._idle)
        # For an instance whose memory is known to be light.
        self.give = self._idle.append

    def take(self) -> I:
        """Take an instance out; nobody else has it until it is given back."""
        try:
            return self._idle.pop()
        except IndexError:
            self._bounds.make_room()
            instance = self._start()
            instance.given_s = time.monotonic()
            return instance

    def give_grown(self, instance: I, memory_bytes: int) -> None:
        """Give an instance back whose memory may have grown.

        Args:
            instance: the instance, which is forgotten where there is no room for it.
            memory_bytes: how large its memory is.
        """
        if memory_bytes > LIGHT_MEMORY_BYTES:
            if not self._bounds.have_room(memory_bytes):
                return
            instance.kept_bytes = memory_bytes
            instance.given_s = time.monotonic()
        self._idle.append(instance)

    def waiting(self) -> tuple[I, ...]:
        """Give the instances that wait, which stay where they are."""
        return tuple(self._idle)

    def clear(self) -> None:
        """Forget the instances that wait."""
        self._idle.clear()


@contextmanager
def starting() -> Iterator[None]:
    """Tell, while an instance is set up, the system's failures from those of the guest.

    Raises:
        LimitExceeded: when the system gives this process too little for an instance.
    """
    try:
        yield
    except wasmtime.WasmtimeError as failure:
        if any(words in str(failure) for words in _OF_THE_GUEST):
            raise
        raise no_room(failure) from failure


def no_room_for(size: int) -> OutOfMemory:
    """Say that a guest had no room for so many bytes of input."""
    return OutOfMemory(
        f"the guest has no room for {size} bytes of input", hint="raise the memory limit"
    )


def trap_error(failure: Exception, limits: Limits) -> ChonkleError:
    """Turn wasmtime's failure of a guest into chonkle's words for it.

    Args:
        failure: a trap, or an error of instantiation.
        limits: what the guest was allowed.
    """
    reason = _reason(failure)
    if reason == "interrupt":
        return LimitExceeded(f"ran longer than the allowed {limits.timeout_s} s")
    if any(words in reason for words in _OVER_MEMORY):
        return LimitExceeded(
            "asked for more memory than allowed", expected=f"at most {limits.memory_bytes} bytes"
        )
    if "fuel allocated for hostcalls" in reason:
        return LimitExceeded(
            "returned more than wasmtime's component support copies", expected="at most 128 MiB"
        )
    if any(words in reason for words in _OVER_OTHERS):
        return LimitExceeded("asked for more than allowed", got=reason)
    return CodecTrap(f"the guest trapped: {reason}")


def is_unreachable(trap: wasmtime.Trap) -> bool:
    """Tell whether a guest gave up by itself, as compilers have it abort."""
    return _reason(trap) == "wasm `unreachable` instruction executed"


def _reason(failure: Exception) -> str:
    # wasmtime prints a chain of causes below a backtrace; the innermost one is the reason.
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    last = lines[-1] if lines else type(failure).__name__
    return last.removeprefix("wasm trap: ").removeprefix("0: ").removeprefix("1: ")


def refusal(text: str) -> CodecError | LimitExceeded:
    """Turn the words of a codec that said no into an error.

    Args:
        text: a guest's words; `out of memory` before all others says that it wanted more than it
            may have, which is not the input's fault.
    """
    words = text[:ERROR_TEXT_MAX_BYTES].strip()
    if words.startswith("out of memory"):
        return OutOfMemory(words, hint="raise the memory limit, if the input is to be trusted")
    return CodecError(words or WORDLESS)
