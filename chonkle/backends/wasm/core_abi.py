"""Core modules: codecs with chonkle's core ABI.

The host asks the guest for room, writes an encoded port-map into it and calls `encode` or `decode`,
which owns that input. The result packs pointer and length of the output port-map, `ptr << 32 |
len`, which the host frees; zero is failure, and `last_error`, where the guest has it, says why.
"""

from collections.abc import Callable, Mapping

import wasmtime

from chonkle.backends.base import Answer, Codec, Limits, call_label
from chonkle.backends.wasm.core_interface import FUNCTIONS
from chonkle.backends.wasm.guest_errors import (
    ERROR_TEXT_MAX_BYTES,
    no_room_for,
    refusal,
    starting,
    trap_error,
)
from chonkle.backends.wasm.guest_memory import LinearMemory, PortCopier, place, read_ports
from chonkle.backends.wasm.instance_pool import IdleInstances, InstancePool
from chonkle.backends.wasm.thread_stack import StackCheck
from chonkle.backends.wasm.trampoline import DESK_BYTES, DeskedInstance, InstanceSetup
from chonkle.backends.wasm.unchecked_calls import Calls, GuestFunction, instantiate_linked
from chonkle.engine import Engine
from chonkle.errors import (
    ChonkleError,
    OutOfMemory,
)
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature

_U32 = 0xFFFF_FFFF


class _CoreInstance(DeskedInstance):
    """An instance with the core ABI, its functions prepared.

    Args of the constructor:
        setup: what the codec's instances share.
        module: the compiled module, whose exports were checked.
    """

    def __init__(self, setup: InstanceSetup, module: wasmtime.Module) -> None:
        super().__init__(setup)
        wasm_store, functions = self._wasm_store, self.functions
        linker = wasmtime.Linker(setup.engine.wasmtime)
        # Deny by default: an import that is called traps, and the trap names it.
        linker.define_unknown_imports_as_traps(module)
        functions.begin(is_start=True)
        with starting(), setup.engine.deadline(wasm_store, functions.left_s()):
            exports = instantiate_linked(linker, wasm_store, module).exports(wasm_store)
        self.memory = LinearMemory(setup.calls, wasm_store, exports["memory"])
        self._exports = exports

        def prepare(name: str, *, begins: bool = False) -> GuestFunction:
            return functions.prepare(exports[name], FUNCTIONS[name], begins=begins)

        # Before any of them runs, all are prepared, and so all types are checked.
        initialize = prepare("_initialize") if "_initialize" in exports else None
        self.alloc = prepare("alloc", begins=True)
        self.dealloc = prepare("dealloc")
        self.transforms = {direction: prepare(direction) for direction in DIRECTIONS}
        self.last_error = prepare("last_error") if "last_error" in exports else None
        if initialize is not None:
            initialize()

    def desk_import(self, _module: str, name: str) -> object:
        """Find an export."""
        return self._exports[name]


class CoreCodec(Codec):
    """A codec in a core module.

    Args of the constructor:
        module: the compiled module, whose interface was checked with `check_interface`.
        signature: its signature.
        engine: the engine that compiled it.
        limits: what one call may take.
        calls: how its functions are called.
        open_desk: gives the compiled desk, or None where there shall be none.
        idle: bounds the instances that wait for a call.
    """

    def __init__(
        self,
        module: wasmtime.Module,
        *,
        signature: Signature,
        engine: Engine,
        limits: Limits,
        calls: Calls,
        open_desk: Callable[[], wasmtime.Module | None],
        idle: IdleInstances,
    ) -> None:
        """Make a codec of a compiled module; nothing of the guest runs yet."""
        self._signature = signature
        self._limits = limits
        self._stack = StackCheck(engine)
        self._copier = PortCopier(signature, limits)
        setup = InstanceSetup(
            engine=engine, limits=limits, calls=calls, open_desk=open_desk, copier=self._copier
        )
        self._pool = InstancePool(lambda: _CoreInstance(setup, module), idle)

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec; a large answer lies in the guest's memory until it is closed."""
        found = self._run(self._lend, direction, port_map)
        return found if isinstance(found, Answer) else Answer(found)

    def call(self, direction: Direction, port_map: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Run the codec and copy its answer."""
        return self._run(self._take, direction, port_map)

    def _run[T](
        self,
        give: Callable[[_CoreInstance, int, int, Direction], T],
        direction: Direction,
        port_map: Mapping[str, Buffer],
    ) -> dict[str, bytes] | T:
        """Run the codec; gives a small answer's ports, or what `give` makes of a large one."""
        instance: _CoreInstance | None = None
        try:
            if not self._stack.is_enough:
                self._stack.look()
            pieces, size = portmap.pieces(port_map)
            self._limits.check_input(size)
            # Whatever is raised from here on leaves the instance outside of the pool: a guest that
            # broke is in no state to be called again, and one that only said no comes back below.
            instance = self._pool.take()
            instance.served += 1
            desk = None if size > DESK_BYTES else instance.desk or instance.set_up_desk()
            if desk is not None:
                result = desk.run(direction, pieces, size)
                if not isinstance(result, int):
                    if desk.has_grown:
                        self._keep(instance)
                    else:
                        self._pool.give(instance)
                    return result
            else:
                pointer = self._write_input(instance, pieces, size)
                result = instance.transforms[direction](pointer, size)
            if result == 0:
                raise self._refusal(instance)
            return give(instance, (result >> 32) & _U32, result & _U32, direction)
        except (ChonkleError, wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            if isinstance(failure, OutOfMemory) and instance and instance.served > 1:
                # In a new instance: those that wait have memory that this one could need.
                self._pool.clear()
                return self._run(give, direction, port_map)
            raise self._failure(failure, direction) from failure

    def memory_bytes(self) -> int:
        """Say how large the memories of the waiting instances are."""
        return sum(instance.memory.size() for instance in self._pool.waiting())

    def close(self) -> None:
        """Free the instances."""
        self._pool.clear()

    def _write_input(self, instance: _CoreInstance, pieces: list[Buffer], size: int) -> int:
        """Have the guest make room for a port-map and write it there; gives its address."""
        pointer = instance.alloc(size) & _U32
        if pointer == 0:
            raise no_room_for(size)
        place(pieces, instance.memory.bytes_at(pointer, size, what="input buffer"))
        return pointer

    def _take(
        self, instance: _CoreInstance, start: int, size: int, direction: Direction
    ) -> dict[str, bytes]:
        """Copy an answer out of the guest's memory."""
        output = instance.memory.bytes_at(start, size, what="output")
        ports = self._copier.copy(output, size, direction)
        instance.dealloc(start, size)
        self._keep(instance)
        return ports

    def _lend(self, instance: _CoreInstance, start: int, size: int, direction: Direction) -> Answer:
        """Lend an answer from where it lies in the guest's memory."""
        output = instance.memory.bytes_at(start, size, what="output")
        ports = read_ports(output)

        def release() -> None:
            output.release()
            instance.functions.begin()
            try:
                instance.dealloc(start, size)
            except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
                raise self._failure(failure, direction) from failure
            self._keep(instance)

        self._limits.check_output(ports)
        return Answer(ports, release)

    def _keep(self, instance: _CoreInstance) -> None:
        self._pool.give_grown(instance, instance.memory.size())

    def _refusal(self, instance: _CoreInstance) -> ChonkleError:
        text = ""
        if instance.last_error is not None:
            packed = instance.last_error()
            start, size = (packed >> 32) & _U32, min(packed & _U32, ERROR_TEXT_MAX_BYTES)
            words = instance.memory.bytes_at(start, size, what="error text")
            text = bytes(words).decode(errors="replace")
        said = refusal(text)
        if not isinstance(said, OutOfMemory):
            self._keep(instance)
        return said

    def _failure(self, failure: Exception, direction: Direction) -> ChonkleError:
        """Say in chonkle's words what happened, in which codec and direction."""
        if not isinstance(failure, ChonkleError):
            failure = trap_error(failure, self._limits)
        return failure.within(call_label(self._signature, "core", direction))
