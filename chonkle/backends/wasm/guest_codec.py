"""The codec of both wasm ABIs: a pool of instances, and one way to call them.

An adapter, `core_abi` or `component_abi`, knows how its ABI passes a port-map in and out. All else
is here: taking an instance from the pool, the trampoline for small calls, limits, a second try in a
fresh instance, results that stay in guest memory, and errors.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final

import wasmtime

from chonkle.backends.base import Backend, CallResult, Codec, Limits, call_label
from chonkle.backends.wasm.guest_errors import refusal, trap_error
from chonkle.backends.wasm.guest_memory import PortReader
from chonkle.backends.wasm.guest_store import GuestFunctions, limited_store
from chonkle.backends.wasm.instance_pool import IdleInstances, InstancePool
from chonkle.backends.wasm.thread_stack import StackCheck
from chonkle.backends.wasm.trampoline import BUFFER_BYTES, SLOTS, Trampoline
from chonkle.backends.wasm.unchecked_calls import Calls
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, OutOfMemory
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Signature

# Attaching a trampoline takes longer than it saves in a process that makes one call.
_CALLS_WITHOUT_TRAMPOLINE: Final = 1
# Results that were shown after their end and wait for the next call. The oldest is freed, with its
# instance, when there are more.
_LATE_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSetup:
    """What a codec's instances share."""

    signature: Signature
    engine: Engine  # the engine that compiled it
    limits: Limits  # what one call may take
    calls: Calls  # how the guest's functions are called
    idle: IdleInstances  # bounds the instances that wait for a call
    # Gives the compiled trampoline of the codec's ABI, or None.
    open_trampoline: Callable[[], wasmtime.Module | None] | None = None


class Refused(Exception):  # noqa: N818 - the codec's answer, and no failure of ours
    """The codec refused its input, with this text."""


class GuestInstance(ABC):
    """One instance of a codec: the adapter to its ABI.

    Attributes:
        served: how many calls it was taken for.
        kept_bytes: see `chonkle.backends.wasm.instance_pool.Pooled`.
        given_s: likewise.
        trampoline: its trampoline, once it has one.
        functions: prepares functions of the guest, and bounds their time.

    Args of the constructor:
        setup: what the codec's instances share.
    """

    def __init__(self, setup: GuestSetup) -> None:
        self.served = 0
        self.kept_bytes = 0
        self.given_s = 0.0
        self.trampoline: Trampoline | None = None
        self._trampoline_was_tried = False
        self._setup = setup
        self._reader = PortReader(setup.signature)
        self._wasm_store = limited_store(setup.engine, setup.limits)
        self.functions = GuestFunctions(
            setup.engine, self._wasm_store, limits=setup.limits, calls=setup.calls
        )

    @abstractmethod
    def transform(
        self,
        direction: Direction,
        port_map: Mapping[str, Buffer],
        segments: Sequence[Buffer],
        size: int,
    ) -> Any:  # noqa: ANN401 - only `read` and `free` look at it
        """Write the input into the guest and run it.

        Args:
            direction: which transform.
            port_map: the input.
            segments: the input, encoded.
            size: the total size of the segments in bytes.

        Returns:
            The result, in the form that the ABI has for it.
        """

    @abstractmethod
    def read(self, direction: Direction, result: Any) -> Mapping[str, memoryview | bytes]:  # noqa: ANN401
        """Find the ports of a result, in the guest's memory.

        Raises:
            Refused: when the codec refused its input.
            CodecTrap: when it is no valid result.
        """

    @abstractmethod
    def free(self, direction: Direction, result: Any) -> None:  # noqa: ANN401
        """Have the guest free a result, also that of a refusal."""

    @abstractmethod
    def memory_bytes(self) -> int:
        """Give the size of its memories."""

    def trampoline_import(self, module: str, name: str) -> object:
        """Find an import of the trampoline."""
        raise LookupError(module, name)

    def explain(self, failure: Exception, size: int) -> ChonkleError:  # noqa: ARG002
        """Turn wasmtime's failure of a call into an error of ours."""
        return trap_error(failure, self._setup.limits)

    def attach_trampoline(self) -> Trampoline | None:
        """Link the trampoline, if there is one, to this instance, at its second call and once."""
        if self.served <= _CALLS_WITHOUT_TRAMPOLINE or self._trampoline_was_tried:
            return None
        self._trampoline_was_tried = True
        setup = self._setup
        module = setup.open_trampoline and setup.open_trampoline()
        if module is None:
            return None
        # Where the system has no memory for it, calls go without, only slower.
        with suppress(wasmtime.WasmtimeError):
            self.trampoline = Trampoline(
                module,
                self.trampoline_import,
                wasm_store=self._wasm_store,
                functions=self.functions,
                calls=setup.calls,
                reader=self._reader,
                limits=setup.limits,
            )
        return self.trampoline


class GuestCodec(Codec):
    """A codec in a guest.

    Args of the constructor:
        start: makes an instance; nothing of the guest runs before the first call.
        backend: which backend it is, for messages.
        setup: what the instances share.
    """

    def __init__(
        self, start: Callable[[GuestSetup], GuestInstance], backend: Backend, setup: GuestSetup
    ) -> None:
        self._backend: Backend = backend
        self._signature = setup.signature
        self._limits = setup.limits
        self._stack = StackCheck(setup.engine)
        self._pool = InstancePool(lambda: start(setup), setup.idle)
        self._late: deque[CallResult] = deque(maxlen=_LATE_MAX)

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        """Run the codec; a large result stays in the guest's memory until it is closed."""
        while self._late:
            # Another thread may close it. A guest that breaks here is lost, and this call has none
            # of it.
            with suppress(IndexError, ChonkleError):
                self._late.popleft().close()
        found = self._run(direction, port_map, borrow=True)
        return found if isinstance(found, CallResult) else CallResult(found)

    def call_many(
        self, direction: Direction, port_maps: Sequence[Mapping[str, Buffer]]
    ) -> list[CallResult]:
        """Run the codec on several inputs: small ones in one call of the guest."""
        found = self._run_together(direction, port_maps)
        return super().call_many(direction, port_maps) if found is None else found

    def call(self, direction: Direction, port_map: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Run the codec and copy its result."""
        found = self._run(direction, port_map, borrow=False)
        return found.to_owned() if isinstance(found, CallResult) else found

    def close_later(self, result: CallResult) -> None:
        """Close a result at the next call that borrows."""
        self._late.append(result)

    def memory_bytes(self) -> int | None:
        """Give the size of the memories of the waiting instances."""
        return sum(instance.memory_bytes() for instance in self._pool.waiting())

    def close(self) -> None:
        """Free the instances."""
        self._late.clear()
        self._pool.clear()

    def _run(
        self, direction: Direction, port_map: Mapping[str, Buffer], *, borrow: bool
    ) -> dict[str, bytes] | CallResult:
        """Run the codec; only a result that the trampoline did not copy can be borrowed."""
        instance: GuestInstance | None = None
        size = 0
        try:
            if not self._stack.is_enough:
                self._stack.check()
            segments, size = portmap.segments(port_map)
            self._limits.check_input(size)
            # An exception from here on leaves the instance out of the pool: a guest that trapped
            # must not be called again. Only `_refusal` returns one that refused its input.
            instance = self._pool.take()
            instance.served += 1
            trampoline = None
            if size <= BUFFER_BYTES:
                trampoline = instance.trampoline or instance.attach_trampoline()
            if trampoline is None:
                result = instance.transform(direction, port_map, segments, size)
            else:
                result = trampoline.run(direction, segments, size, borrow=borrow)
                if not isinstance(result, int):
                    give = self._keep if trampoline.has_grown else self._pool.give
                    if borrow:
                        return CallResult(result, partial(give, instance))
                    give(instance)
                    return result  # type: ignore[return-value]  # copies are bytes
            try:
                ports = instance.read(direction, result)
            except Refused as refused:
                raise self._refusal(refused, instance, direction, result) from None
            self._limits.check_output(ports)
            if borrow:
                return CallResult(ports, partial(self._release, instance, direction, result))
            owned = {name: bytes(data) for name, data in ports.items()}
            instance.free(direction, result)
            self._keep(instance)
            return owned  # noqa: TRY300 - a part of the call like all above
        except (ChonkleError, wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            error = self._explain(failure, instance, size)
            if isinstance(error, OutOfMemory) and instance and instance.served > 1:
                # A fresh instance may have room. Those that wait have memory that it could need.
                self._pool.clear()
                return self._run(direction, port_map, borrow=borrow)
            raise error.within(self._label(direction)) from failure

    def _run_together(
        self, direction: Direction, port_maps: Sequence[Mapping[str, Buffer]]
    ) -> list[CallResult] | None:
        """Run the codec on small inputs; None where they have to be run one by one.

        After any failure too: that says which input fails, and how. The instance is lost then.
        """
        # A deadline is for one input.
        if not 1 < len(port_maps) <= SLOTS or self._limits.timeout_s is not None:
            return None
        size_max = min(BUFFER_BYTES, self._limits.memory_bytes)
        try:
            if not self._stack.is_enough:
                self._stack.check()
            chunks = [portmap.segments(port_map) for port_map in port_maps]
            if max(size for _, size in chunks) > size_max:
                return None
            instance = self._pool.take()
            trampoline = instance.trampoline
            if trampoline is None:
                self._keep(instance)
                return None
            instance.served += len(chunks)
            found = trampoline.run_many(direction, chunks)
        except (ChonkleError, wasmtime.Trap, wasmtime.WasmtimeError):
            return None
        if found is None:
            return None
        give = self._keep if trampoline.has_grown else self._pool.give
        ends = count(1)

        def close_one() -> None:
            # Taking a number is one operation, so that exactly one takes the last.
            if next(ends) == len(found):
                give(instance)

        return [CallResult(ports, close_one) for ports in found]

    def _refusal(
        self, refused: Refused, instance: GuestInstance, direction: Direction, result: object
    ) -> ChonkleError:
        error = refusal(str(refused))
        if not isinstance(error, OutOfMemory):
            # Some codecs trap here because they free a literal. Their text is complete by now, so
            # it counts; the instance is lost.
            with suppress(wasmtime.Trap, wasmtime.WasmtimeError):
                instance.free(direction, result)
                self._keep(instance)
        return error

    def _release(self, instance: GuestInstance, direction: Direction, result: object) -> None:
        instance.functions.begin()
        try:
            instance.free(direction, result)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            error = self._explain(failure, instance, 0)
            raise error.within(self._label(direction)) from failure
        self._keep(instance)

    def _keep(self, instance: GuestInstance) -> None:
        self._pool.give_grown(instance, instance.memory_bytes())

    def _explain(
        self, failure: Exception, instance: GuestInstance | None, size: int
    ) -> ChonkleError:
        if isinstance(failure, ChonkleError):
            return failure
        if instance is None:
            return trap_error(failure, self._limits)
        return instance.explain(failure, size)

    def _label(self, direction: Direction) -> str:
        return call_label(self._signature, self._backend, direction)
