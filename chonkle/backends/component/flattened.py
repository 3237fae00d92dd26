"""Components at the speed of core modules: flattened, and called through the core API.

wasmtime's Python package converts `list<u8>` one byte at a time. A flattened component is its core
modules, linked as its plan says, and a port-map that is lowered and lifted right here, by copying
whole byte strings. The order of guest calls and every check on what comes back are those of the
canonical ABI (Component Model, `CanonicalABI.md`): an argument `list<tuple<string, list<u8>>>` is
rows of sixteen bytes `{name, name_len, data, data_len}`, and a result is `{u8 discriminant, u32
pointer, u32 length}` behind a returned pointer.
"""

from collections.abc import Callable, Mapping, Sequence
from struct import Struct, pack
from typing import Any, cast

import wasmtime

from chonkle.backends.base import Answer, Codec, Limits, call_label
from chonkle.backends.calls import Calls, GuestFunction, take_callback_failure
from chonkle.backends.component.plan import (
    ComponentPlan,
    CoreExport,
    InlineInstance,
    LiftedFunction,
    LoweredImport,
)
from chonkle.backends.component.wasi import RefusedError, allowed
from chonkle.backends.guest import (
    GuestFunctions,
    InstancePool,
    LinearMemory,
    is_unreachable,
    limited_store,
    no_room_for,
    refusal,
    trap_error,
)
from chonkle.backends.stack import StackCheck
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecTrap, LimitExceeded, OutOfMemory
from chonkle.formats.portmap import PORTS_MAX, Buffer
from chonkle.formats.signature import Direction, Signature

_ROW = Struct("<IIII")
_RESULT = Struct("<B3xII")
_ROW_ALIGN = _RESULT_ALIGN = 4
_OK, _ERR = 0, 1
_ERROR_TEXT_MAX = 4096
_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF}
_U32 = 0xFFFF_FFFF


class FlattenedComponent:
    """What runs of a component: its plan and its compiled core modules.

    Args of the constructor:
        plan: how the modules are linked, and what is exported.
        modules: the compiled modules, in the plan's order.
    """

    __slots__ = ("modules", "plan")

    def __init__(self, plan: ComponentPlan, modules: Sequence[wasmtime.Module]) -> None:
        self.plan = plan
        self.modules = modules


class _Refused(Exception):  # noqa: N818 - the guest's answer, and not a failure of ours
    """The guest answered with an error, whose text this is."""


class _Transform:
    """One exported function of an instance, its parts prepared."""

    __slots__ = ("_owner", "_realloc", "call", "memory", "post_return")

    def __init__(self, owner: "_Instance", lifted: LiftedFunction) -> None:
        self._owner = owner
        self._realloc = owner.function(lifted.realloc)
        self.call = owner.function(lifted.function)
        self.post_return = (
            None if lifted.post_return is None else owner.function(lifted.post_return)
        )
        self.memory = owner.memory(lifted.memory)

    def lower(self, port_map: Mapping[str, Buffer]) -> int:
        """Copy a port-map into the guest, and give the address of its rows."""
        owner, realloc, write = self._owner, self._realloc, self.memory.write
        fields: list[int] = []
        # The canonical ABI lets the guest call no import while it allocates.
        owner.may_leave = False
        address = realloc(0, 0, _ROW_ALIGN, _ROW.size * len(port_map)) & _U32
        if address % _ROW_ALIGN:
            raise CodecTrap(f"the guest's list of ports is not aligned to {_ROW_ALIGN} bytes")
        for name, data in port_map.items():
            encoded = name.encode()
            name_size, size = len(encoded), len(data)
            name_at = realloc(0, 0, 1, name_size) & _U32
            write(name_at, encoded, what="port name")
            data_at = realloc(0, 0, 1, size) & _U32
            write(data_at, data, what="input buffer")
            fields += (name_at, name_size, data_at, size)
        owner.may_leave = True
        write(address, pack(f"<{len(fields)}I", *fields), what="list of ports")
        return address

    def lift(self, pointer: int) -> dict[str, memoryview]:
        """Find the ports of a result in the guest's memory.

        Raises:
            _Refused: when the result is an error, with its text.
            CodecTrap: when it is no result at all.
        """
        if pointer % _RESULT_ALIGN:
            raise CodecTrap("the guest's result is not aligned")
        discriminant, start, count = self.memory.unpack(_RESULT, pointer, what="result")
        if discriminant == _ERR:
            text = self.memory.bytes_at(start, count, what="error text")[:_ERROR_TEXT_MAX]
            raise _Refused(bytes(text).decode(errors="replace"))
        if discriminant != _OK:
            raise CodecTrap(f"the guest's result has discriminant {discriminant}")
        if count > PORTS_MAX:
            raise CodecTrap(f"the guest returned {count} ports")
        if start % _ROW_ALIGN:
            raise CodecTrap("the guest's list of ports is not aligned")
        bytes_at = self.memory.bytes_at
        rows = bytes_at(start, count * _ROW.size, what="list of ports")
        ports: dict[str, memoryview] = {}
        for name_at, name_size, data_at, data_size in _ROW.iter_unpack(rows):
            name_view = bytes_at(name_at, name_size, what="port name")
            try:
                name = str(name_view, "utf-8")
            except UnicodeDecodeError as failure:
                raise CodecTrap("the guest returned a port name that is not UTF-8") from failure
            if name in ports:
                raise CodecTrap("the guest returned a port twice")
            ports[name] = bytes_at(data_at, data_size, what="output")
        return ports


class _Instance:
    """One instance of a flattened component.

    Attributes:
        served: how many calls it was taken for.
        may_leave: whether the guest may call an import now.
        denied: the import that it called without leave, if it did.
        transforms: the exported functions.
    """

    def __init__(
        self, flattened: FlattenedComponent, engine: Engine, *, limits: Limits, calls: Calls
    ) -> None:
        self.served = 0
        self.may_leave = True
        self.denied = ""
        self._calls = calls
        self._wasm_store = limited_store(engine, limits)
        self._functions = GuestFunctions(engine, self._wasm_store, limits=limits, calls=calls)
        self._memories: dict[CoreExport, LinearMemory] = {}
        # Of an instance that was put together: name -> where to find it. Instances of modules stand
        # in the linker under their index, which finds an export by name; asking an instance for all
        # of them takes time with the square of their number, 0.3 s for a CPython.
        self._inline: dict[int, Mapping[str, object]] = {}
        self._linker = wasmtime.Linker(engine.wasmtime)
        plan = flattened.plan
        try:
            with engine.deadline(self._wasm_store, limits.timeout_s):
                for index, instance in enumerate(plan.instances):
                    if isinstance(instance, InlineInstance):
                        self._inline[index] = dict(instance.exports)
                    else:
                        module = flattened.modules[instance.module]
                        started = self._instantiate(module, dict(instance.arguments))
                        self._linker.define_instance(self._wasm_store, str(index), started)
            self.transforms = {
                name: _Transform(self, lifted) for name, lifted in plan.functions.items()
            }
        except (wasmtime.Trap, wasmtime.WasmtimeError, RefusedError) as failure:
            raise self.failure(failure, limits) from failure

    def _instantiate(
        self, module: wasmtime.Module, arguments: Mapping[str, int]
    ) -> wasmtime.Instance:
        externs = []
        for wanted in module.imports:
            item = self._find(CoreExport(arguments[wanted.module], wanted.name or ""))
            if isinstance(item, LoweredImport):
                assert isinstance(wanted.type, wasmtime.FuncType)  # noqa: S101 - it was validated
                item = self._stub(item, wanted.type)
            externs.append(item)
        return wasmtime.Instance(self._wasm_store, module, cast("list[Any]", externs))

    def _find(self, item: object) -> object:
        """Follow exports of exports to what they are: wasmtime's, or an import."""
        while isinstance(item, CoreExport):
            inline = self._inline.get(item.instance)
            if inline is None:
                return self._linker.get(self._wasm_store, str(item.instance), item.name)
            item = inline[item.name]
        return item

    def function(self, item: CoreExport) -> GuestFunction:
        """Prepare a function."""
        return self._functions.prepare(self._find(item))

    def function_within_call(self, item: CoreExport) -> GuestFunction:
        """Prepare a function that is called while the guest runs: its deadline goes on."""
        return self._calls.function(self._wasm_store, cast("wasmtime.Func", self._find(item)))

    def memory(self, item: CoreExport) -> LinearMemory:
        """Look at a memory; the same one for every function that shares it."""
        found = self._memories.get(item)
        if found is None:
            exported = self._find(item)
            assert isinstance(exported, wasmtime.Memory)  # noqa: S101 - it was validated
            found = LinearMemory(self._calls, self._wasm_store, exported)
            self._memories[item] = found
        return found

    def memory_bytes(self) -> int:
        """Say how large the memories are that were looked at."""
        return sum(memory.size() for memory in self._memories.values())

    def _stub(self, item: LoweredImport, type_: wasmtime.FuncType) -> wasmtime.Func:
        """Make what answers an imported function: WASI that tells nothing, or a trap."""
        masks = [_MASKS[str(parameter)] for parameter in type_.params]
        answer = allowed(item.interface, item.function)
        caller = _ImportCaller(self, item)

        def stub(*arguments: int) -> int | None:
            if not self.may_leave:
                self.denied = f"{item.interface}#{item.function}, while it may call nothing"
            elif answer is None:
                self.denied = f"{item.interface}#{item.function}"
            else:
                # wasmtime hands integers over with a sign, which addresses and sizes lack.
                unsigned = (each & mask for each, mask in zip(arguments, masks, strict=True))
                try:
                    return answer.lower(caller, *unsigned)
                except (RefusedError, CodecTrap) as failure:
                    self.denied = f"{item.interface}#{item.function}: {failure}"
            raise RefusedError(self.denied)

        return wasmtime.Func(self._wasm_store, type_, stub)

    def failure(self, failure: Exception, limits: Limits) -> ChonkleError:
        """Say what broke, and by which import if it was one."""
        # The package keeps the exception of a callback for whoever fails next, so that it is taken
        # away. Where the guest trapped within an import, in its own allocator, it is the reason.
        kept = take_callback_failure()
        if self.denied:
            return CodecTrap(f"the guest called {self.denied}, which the sandbox denies")
        is_reason = isinstance(kept, (wasmtime.Trap, wasmtime.WasmtimeError))
        return trap_error(kept if is_reason and kept else failure, limits)


class _ImportCaller:
    """A guest that calls an import, as `wasi.Caller`."""

    def __init__(self, instance: _Instance, item: LoweredImport) -> None:
        self._instance = instance
        self._item = item

    def allocate(self, size: int, *, align: int) -> int:
        if self._item.realloc is None:
            raise RefusedError("the import has no allocator")
        instance = self._instance
        instance.may_leave = False
        address = instance.function_within_call(self._item.realloc)(0, 0, align, size) & _U32
        instance.may_leave = True
        return address

    def write(self, address: int, data: bytes) -> None:
        if self._item.memory is None:
            raise RefusedError("the import has no memory")
        memory = self._instance.memory(self._item.memory)
        memory.bytes_at(address, len(data), what="place for a result")[:] = data


class FlattenedCodec(Codec):
    """A codec in a flattened component.

    Args of the constructor:
        flattened: what was compiled.
        signature: its signature.
        engine: the engine that compiled it.
        limits: what one call may take.
        calls: how guests are called.
    """

    def __init__(
        self,
        flattened: FlattenedComponent,
        *,
        signature: Signature,
        engine: Engine,
        limits: Limits,
        calls: Calls,
    ) -> None:
        self._signature = signature
        self._limits = limits
        self._stack = StackCheck(engine)
        self._pool = InstancePool(lambda: _Instance(flattened, engine, limits=limits, calls=calls))

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec; the answer's ports lie in the guest's memory until it is closed."""
        return self._run(self._lend, direction, port_map)

    def call(self, direction: Direction, port_map: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Run the codec and copy its answer."""
        return self._run(self._take, direction, port_map)

    def _run[T](
        self,
        give: Callable[[_Instance, _Transform, int, dict[str, memoryview], Direction], T],
        direction: Direction,
        port_map: Mapping[str, Buffer],
    ) -> T:
        """Run the codec; `give` makes of what it returned what is wanted."""
        instance: _Instance | None = None
        try:
            size = sum(map(len, port_map.values()))
            if size > self._limits.memory_bytes:
                raise LimitExceeded(
                    "the input alone is larger than the memory allowed",
                    expected=f"at most {self._limits.memory_bytes} bytes",
                    got=str(size),
                )
            # Whatever is raised from here on leaves the instance outside of the pool: a guest that
            # broke is in no state to be called again, and one that only said no comes back below.
            if not self._stack.is_enough:
                self._stack.look()
            instance = self._pool.take()
            instance.served += 1
            transform = instance.transforms[direction]
            try:
                rows = transform.lower(port_map)
            except wasmtime.Trap as trap:
                # The canonical ABI knows no other answer of an allocator that has no memory.
                if instance.denied or not is_unreachable(trap):
                    raise
                raise no_room_for(size) from trap
            pointer = transform.call(rows, len(port_map)) & _U32
            try:
                ports = transform.lift(pointer)
            except _Refused as refused:
                said = refusal(str(refused))
                if not isinstance(said, OutOfMemory):
                    self._give_after(instance, transform, pointer)
                raise said from None
            return give(instance, transform, pointer, ports, direction)
        except (ChonkleError, wasmtime.Trap, wasmtime.WasmtimeError, RefusedError) as failure:
            if isinstance(failure, OutOfMemory) and instance and instance.served > 1:
                return self._run(give, direction, port_map)
            raise self._failure(failure, instance, direction) from failure

    def memory_bytes(self) -> int:
        """Say how large the memories of the waiting instances are that their functions use."""
        return sum(instance.memory_bytes() for instance in self._pool.waiting())

    def close(self) -> None:
        """Free the instances."""
        self._pool.clear()

    def _take(
        self,
        instance: _Instance,
        transform: _Transform,
        pointer: int,
        ports: dict[str, memoryview],
        _direction: Direction,
    ) -> dict[str, bytes]:
        self._limits.check_output(ports)
        taken = {name: data.tobytes() for name, data in ports.items()}
        self._post_return(instance, transform, pointer)
        return taken

    def _lend(
        self,
        instance: _Instance,
        transform: _Transform,
        pointer: int,
        ports: dict[str, memoryview],
        direction: Direction,
    ) -> Answer:
        def release() -> None:
            try:
                self._post_return(instance, transform, pointer)
            except (wasmtime.Trap, wasmtime.WasmtimeError, RefusedError) as failure:
                raise self._failure(failure, instance, direction) from failure

        self._limits.check_output(ports)
        return Answer(ports, release)

    def _post_return(self, instance: _Instance, transform: _Transform, pointer: int) -> None:
        """Let the guest free what it returned, and keep the instance if it could."""
        if transform.post_return is not None:
            instance.may_leave = False
            transform.post_return(pointer)
            instance.may_leave = True
        if transform.memory.is_worth_keeping():
            self._pool.give(instance)

    def _give_after(self, instance: _Instance, transform: _Transform, pointer: int) -> None:
        # Codecs are known that trap here, because they free a literal. The text of their refusal
        # was complete by then, so that it is what counts; the instance is lost.
        try:
            self._post_return(instance, transform, pointer)
        except (wasmtime.Trap, wasmtime.WasmtimeError, RefusedError):
            take_callback_failure()

    def _failure(
        self, failure: Exception, instance: _Instance | None, direction: Direction
    ) -> ChonkleError:
        if not isinstance(failure, ChonkleError):
            failure = (
                trap_error(failure, self._limits)
                if instance is None
                else instance.failure(failure, self._limits)
            )
        return failure.within(call_label(self._signature, "component", direction))
