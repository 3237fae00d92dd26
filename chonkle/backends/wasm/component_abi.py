"""Components at the speed of core modules: flattened, and called through the core API.

wasmtime's Python package converts `list<u8>` one byte at a time. A flattened component is its core
modules, linked as its plan says, and a port-map that is lowered and lifted right here, by copying
whole byte strings. The order of guest calls and every check on what comes back are those of the
canonical ABI (Component Model, `CanonicalABI.md`): an argument `list<tuple<string, list<u8>>>` is
rows of sixteen bytes `{name, name_len, data, data_len}`, and a result is `{u8 discriminant, u32
pointer, u32 length}` behind a returned pointer.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from struct import Struct

import wasmtime

from chonkle.backends.base import Answer, Codec, Limits, call_label
from chonkle.backends.wasm.component_plan import (
    ComponentPlan,
    CoreExport,
    CoreImport,
    InlineInstance,
    LiftedFunction,
    LoweredImport,
)
from chonkle.backends.wasm.guest_errors import (
    ERROR_TEXT_MAX_BYTES,
    is_unreachable,
    no_room_for,
    refusal,
    starting,
    trap_error,
)
from chonkle.backends.wasm.guest_memory import LinearMemory, PortCopier
from chonkle.backends.wasm.instance_pool import IdleInstances, InstancePool
from chonkle.backends.wasm.thread_stack import StackCheck
from chonkle.backends.wasm.trampoline import (
    DESK_BYTES,
    IN_ALLOCATOR,
    IN_CLEANUP,
    IN_TRANSFORM,
    DeskedInstance,
    InstanceSetup,
)
from chonkle.backends.wasm.unchecked_calls import Calls, GuestFunction, host_function, instantiate
from chonkle.backends.wasm.wasi import RefusedError, allowed
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecTrap, OutOfMemory, WasmFormatError
from chonkle.formats import portmap
from chonkle.formats.portmap import NAME_MAX_BYTES, PORTS_MAX, Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature
from chonkle.formats.wasm_binary import type_parts

# Types of core functions, as the canonical ABI flattens them.
_LIFTED_TYPE = "(i32, i32) -> i32"
_REALLOC_TYPE = "(i32, i32, i32, i32) -> i32"
_POST_RETURN_TYPE = "(i32) -> ()"
_ROW = Struct("<IIII")
_STRING = Struct("<II")
_RESULT = Struct("<B3xII")
_ROW_ALIGN = _RESULT_ALIGN = 4
_OK, _ERR = 0, 1
_VALUE_TYPES = {
    "i32": wasmtime.ValType.i32,
    "i64": wasmtime.ValType.i64,
    "f32": wasmtime.ValType.f32,
    "f64": wasmtime.ValType.f64,
}
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

    __slots__ = ("_realloc", "call", "memory", "post_return")

    def __init__(self, owner: "_Instance", lifted: LiftedFunction) -> None:
        self._realloc = owner.function(lifted.realloc, _REALLOC_TYPE)
        self.call = owner.function(lifted.function, _LIFTED_TYPE)
        self.post_return = (
            None
            if lifted.post_return is None
            else owner.function(lifted.post_return, _POST_RETURN_TYPE)
        )
        self.memory = owner.memory(lifted.memory)

    def lower(self, owner: "_Instance", port_map: Mapping[str, Buffer]) -> int:
        """Copy a port-map into the guest, and give the address of its rows."""
        # An owner that was kept here would be a cycle: it is to go as soon as nobody has it.
        realloc, write = self._realloc, self.memory.write
        owner.functions.begin()
        owner.stage = IN_ALLOCATOR
        size = _ROW.size * len(port_map)
        address = realloc(0, 0, _ROW_ALIGN, size) & _U32
        if address % _ROW_ALIGN:
            raise CodecTrap(f"the guest's list of ports is not aligned to {_ROW_ALIGN} bytes")
        rows = self.memory.bytes_at(address, size, what="list of ports")
        at = 0
        for name, data in port_map.items():
            for string, what in ((name.encode(), "port name"), (data, "input buffer")):
                size = len(string)
                start = realloc(0, 0, 1, size) & _U32
                write(start, string, what=what)
                _STRING.pack_into(rows, at, start, size)
                at += _STRING.size
        owner.stage = IN_TRANSFORM
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
            text = self.memory.bytes_at(start, count, what="error text")[:ERROR_TEXT_MAX_BYTES]
            raise _Refused(bytes(text).decode(errors="replace"))
        if discriminant != _OK:
            raise CodecTrap(f"the guest's result has discriminant {discriminant}")
        if count > PORTS_MAX:
            raise CodecTrap(f"the guest returned {count} ports", expected=f"at most {PORTS_MAX}")
        if start % _ROW_ALIGN:
            raise CodecTrap("the guest's list of ports is not aligned")
        bytes_at = self.memory.bytes_at
        rows = bytes_at(start, count * _ROW.size, what="list of ports")
        ports: dict[str, memoryview] = {}
        for name_at, name_size, data_at, data_size in _ROW.iter_unpack(rows):
            if name_size > NAME_MAX_BYTES:
                raise CodecTrap(
                    "the guest returned a port name that is too long",
                    expected=f"at most {NAME_MAX_BYTES} bytes",
                    got=str(name_size),
                )
            name_view = bytes_at(name_at, name_size, what="port name")
            try:
                name = str(name_view, "utf-8")
            except UnicodeDecodeError as failure:
                raise CodecTrap("the guest returned a port name that is not UTF-8") from failure
            if name in ports:
                raise CodecTrap("the guest returned a port twice")
            ports[name] = bytes_at(data_at, data_size, what="output")
        return ports


class _Instance(DeskedInstance):
    """One instance of a flattened component.

    Attributes:
        stage: what the guest is being called for without a desk.
        denied: the import that it called without leave, if it did.
        import_failure: what failed within an import that it called, if something did.
        transforms: the exported functions.

    Args of the constructor:
        setup: what the codec's instances share.
        flattened: what to instantiate.
    """

    def __init__(self, setup: InstanceSetup, flattened: FlattenedComponent) -> None:
        super().__init__(setup)
        self.stage = IN_TRANSFORM
        self.denied = ""
        self.import_failure: BaseException | None = None
        self._memories: dict[CoreExport, LinearMemory] = {}
        # Of an instance that was put together: name -> where to find it. Instances of modules stand
        # in the linker under their index, which finds an export by name; asking an instance for all
        # of them takes time with the square of their number, 0.3 s for a CPython.
        self._inline: dict[int, Mapping[str, object]] = {}
        self._linker = wasmtime.Linker(setup.engine.wasmtime)
        self._plan = plan = flattened.plan
        try:
            self.functions.begin(is_start=True)
            with starting(), setup.engine.deadline(self._wasm_store, self.functions.left_s()):
                for index, instance in enumerate(plan.instances):
                    if isinstance(instance, InlineInstance):
                        self._inline[index] = dict(instance.exports)
                    else:
                        started = self._instantiate(
                            flattened.modules[instance.module],
                            plan.modules[instance.module].imports,
                            dict(instance.arguments),
                        )
                        self._linker.define_instance(self._wasm_store, str(index), started)
            self._own_memories = [self.memory(each) for each in plan.memories]
            self.transforms = {
                name: _Transform(self, lifted) for name, lifted in plan.functions.items()
            }
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise self.failure(failure) from failure

    def _instantiate(
        self, module: wasmtime.Module, imports: Sequence[CoreImport], arguments: Mapping[str, int]
    ) -> wasmtime.Instance:
        externs = []
        for wanted in imports:
            item = self._find(CoreExport(arguments[wanted.module], wanted.name))
            if isinstance(item, LoweredImport):
                item = self._stub(item, wanted.type)
            externs.append(item)
        # wasmtime compares the type of each with what its own reading of the module wants.
        return instantiate(self._wasm_store, module, externs)

    def _find(self, item: object) -> object:
        """Follow exports of exports to what they are: wasmtime's, or an import."""
        while isinstance(item, CoreExport):
            inline = self._inline.get(item.instance)
            if inline is None:
                return self._linker.get(self._wasm_store, str(item.instance), item.name)
            item = inline[item.name]
        return item

    def function(self, item: CoreExport, type_: str) -> GuestFunction:
        """Prepare a function."""
        return self.functions.prepare(self._find(item), type_)

    def allocator_within_call(self, item: CoreExport) -> GuestFunction:
        """Prepare an allocator that is called while the guest runs: its deadline goes on."""
        return self._setup.calls.function(self._wasm_store, self._find(item), _REALLOC_TYPE)

    def memory(self, item: CoreExport) -> LinearMemory:
        """Look at a memory; the same one for every function that shares it."""
        found = self._memories.get(item)
        if found is None:
            found = LinearMemory(self._setup.calls, self._wasm_store, self._find(item))
            self._memories[item] = found
        return found

    def desk_import(self, module: str, name: str) -> object:
        """Find a part of an exported function: what an attribute of a `LiftedFunction` names."""
        return self._find(getattr(self._plan.functions[module], name))

    def is_at(self, stage: int) -> bool:
        """Tell what the guest is being called for, or was when it trapped."""
        return stage == (self.stage or (IN_TRANSFORM if self.desk is None else self.desk.stage))

    def memory_bytes(self) -> int:
        """Say how large the memories are."""
        total = 0
        # As a loop, because each call of a large chunk asks.
        for memory in self._own_memories:
            total += memory.size()
        return total

    def _stub(self, item: LoweredImport, type_: str) -> wasmtime.Func:
        """Make what answers an imported function: WASI that tells nothing, or a trap."""
        parameters, results = type_parts(type_)
        # Only a function of integers is ever answered.
        masks = [_MASKS.get(parameter, 0) for parameter in parameters]
        answer = allowed(item.interface, item.function, type_)
        # wasmtime's package keeps a callback as long as the store that it is in. One that held the
        # instance, which holds the store, would keep both for ever.
        find_self = weakref.ref(self)

        def stub(*arguments: int) -> int | None:
            instance = find_self()
            assert instance is not None  # noqa: S101 - who calls a guest has its instance
            # The canonical ABI lets a guest call nothing while it allocates or cleans up.
            if not instance.is_at(IN_TRANSFORM):
                instance.denied = f"{item.interface}#{item.function}, while it may call nothing"
            elif answer is None:
                instance.denied = f"{item.interface}#{item.function}"
            else:
                # wasmtime hands integers over with a sign, which addresses and sizes lack.
                unsigned = (each & mask for each, mask in zip(arguments, masks, strict=True))
                try:
                    return answer.lower(_ImportCaller(instance, item), *unsigned)
                except (RefusedError, CodecTrap) as failure:
                    instance.denied = f"{item.interface}#{item.function}: {failure}"
                except BaseException as failure:
                    instance.import_failure = failure
                    raise
            raise RefusedError(instance.denied)

        try:
            types = [[_VALUE_TYPES[each]() for each in part] for part in (parameters, results)]
        except KeyError as failure:
            raise WasmFormatError(
                f"the guest imports {item.interface}#{item.function} as no function of numbers",
                got=type_,
            ) from failure
        return host_function(self._wasm_store, wasmtime.FuncType(*types), stub)

    def failure(self, failure: Exception) -> ChonkleError:
        """Say what broke, and by which import if it was one."""
        if self.denied:
            return CodecTrap(f"the guest called {self.denied}, which the sandbox denies")
        # Where the guest trapped within an import, in its own allocator, that is the reason.
        reason = self.import_failure or failure
        if not isinstance(reason, (wasmtime.Trap, wasmtime.WasmtimeError)):
            raise reason
        return trap_error(reason, self._setup.limits)


class _ImportCaller:
    """A guest that calls an import, as `wasi.Caller`."""

    def __init__(self, instance: _Instance, item: LoweredImport) -> None:
        self._instance = instance
        self._item = item

    def allocate(self, size: int, *, align: int) -> int:
        if self._item.realloc is None:
            raise RefusedError("the import has no allocator")
        instance = self._instance
        instance.stage = IN_ALLOCATOR
        try:
            return instance.allocator_within_call(self._item.realloc)(0, 0, align, size) & _U32
        finally:
            instance.stage = IN_TRANSFORM

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
        open_desk: gives the compiled desk, or None where there shall be none.
        idle: bounds the instances that wait for a call.
    """

    def __init__(
        self,
        flattened: FlattenedComponent,
        *,
        signature: Signature,
        engine: Engine,
        limits: Limits,
        calls: Calls,
        open_desk: Callable[[], wasmtime.Module | None],
        idle: IdleInstances,
    ) -> None:
        self._signature = signature
        self._limits = limits
        self._stack = StackCheck(engine)
        setup = InstanceSetup(
            engine=engine,
            limits=limits,
            calls=calls,
            open_desk=open_desk if _may_have_desk(flattened.plan) else _no_desk,
            copier=PortCopier(signature, limits),
        )
        self._pool = InstancePool(lambda: _Instance(setup, flattened), idle)

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec; the answer's ports lie in the guest's memory until it is closed."""
        found = self._run(self._lend, direction, port_map)
        return found if isinstance(found, Answer) else Answer(found)

    def call(self, direction: Direction, port_map: Mapping[str, Buffer]) -> dict[str, bytes]:
        """Run the codec and copy its answer."""
        return self._run(self._take, direction, port_map)

    def _run[T](
        self,
        give: Callable[[_Instance, _Transform, int, dict[str, memoryview], Direction], T],
        direction: Direction,
        port_map: Mapping[str, Buffer],
    ) -> dict[str, bytes] | T:
        """Run the codec; gives a small answer's ports, or what `give` makes of a large one."""
        instance: _Instance | None = None
        size = 0
        try:
            if not self._stack.is_enough:
                self._stack.look()
            pieces, size = portmap.pieces(port_map)
            self._limits.check_input(size)
            # Whatever is raised from here on leaves the instance outside of the pool: a guest that
            # broke is in no state to be called again, and one that only said no comes back below.
            instance = self._pool.take()
            instance.served += 1
            transform = instance.transforms[direction]
            desk = None if size > DESK_BYTES else instance.desk or instance.set_up_desk()
            if desk is not None:
                result = desk.run(direction, pieces, size)
                if not isinstance(result, int):
                    if desk.has_grown:
                        self._pool.give_grown(instance, instance.memory_bytes())
                    else:
                        self._pool.give(instance)
                    return result
            else:
                result = transform.call(transform.lower(instance, port_map), len(port_map))
            pointer = result & _U32
            try:
                ports = transform.lift(pointer)
            except _Refused as refused:
                said = refusal(str(refused))
                if not isinstance(said, OutOfMemory):
                    self._give_after(instance, transform, pointer)
                raise said from None
            return give(instance, transform, pointer, ports, direction)
        except (ChonkleError, wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            told = self._told(failure, instance, size)
            if isinstance(told, OutOfMemory) and instance and instance.served > 1:
                # In a new instance: those that wait have memory that this one could need.
                self._pool.clear()
                return self._run(give, direction, port_map)
            raise told.within(self._label(direction)) from failure

    def memory_bytes(self) -> int:
        """Say how large the memories of the waiting instances are."""
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
            instance.functions.begin()
            try:
                self._post_return(instance, transform, pointer)
            except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
                raise instance.failure(failure).within(self._label(direction)) from failure

        self._limits.check_output(ports)
        return Answer(ports, release)

    def _post_return(self, instance: _Instance, transform: _Transform, pointer: int) -> None:
        """Let the guest free what it returned, and keep the instance if it could."""
        if transform.post_return is not None:
            instance.stage = IN_CLEANUP
            transform.post_return(pointer)
            instance.stage = IN_TRANSFORM
        self._pool.give_grown(instance, instance.memory_bytes())

    def _give_after(self, instance: _Instance, transform: _Transform, pointer: int) -> None:
        # Codecs are known that trap here, because they free a literal. The text of their refusal
        # was complete by then, so that it is what counts; the instance is lost.
        with suppress(wasmtime.Trap, wasmtime.WasmtimeError):
            self._post_return(instance, transform, pointer)

    def _told(self, failure: Exception, instance: _Instance | None, size: int) -> ChonkleError:
        """Say in chonkle's words why a call with so many bytes of input failed."""
        if isinstance(failure, ChonkleError):
            return failure
        if instance is None:
            return trap_error(failure, self._limits)
        gave_up = isinstance(failure, wasmtime.Trap) and is_unreachable(failure)
        if gave_up and instance.is_at(IN_ALLOCATOR) and not instance.denied:
            # The canonical ABI knows no other answer of an allocator that has no memory.
            return no_room_for(size)
        return instance.failure(failure)

    def _label(self, direction: Direction) -> str:
        return call_label(self._signature, "component", direction)


def _may_have_desk(plan: ComponentPlan) -> bool:
    """Tell whether all uses one memory and one allocator, and frees what it returns.

    A trampoline tells only of the memory that it copies from whether it has grown.
    """
    lifted = [plan.functions[direction] for direction in DIRECTIONS]
    shared = {(each.memory, each.realloc) for each in lifted}
    return len(plan.memories) == 1 and len(shared) == 1 and all(each.post_return for each in lifted)


def _no_desk() -> None:
    return None
