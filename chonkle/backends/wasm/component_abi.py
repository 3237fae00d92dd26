"""The component ABI: components that are flattened, and called through the core API.

wasmtime's Python package converts `list<u8>` one byte at a time. A flattened component is its core
modules, linked as its plan says, with port-maps lowered and lifted here, by copying whole byte
strings. The order of guest calls and the checks on results are those of the canonical ABI
(Component Model, `CanonicalABI.md`): an argument `list<tuple<string, list<u8>>>` is rows of sixteen
bytes `{name, name_len, data, data_len}`, and a result is `{u8 discriminant, u32 pointer, u32
length}` behind a returned pointer.
"""

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from struct import Struct

import wasmtime

from chonkle.backends.wasm.component_plan import (
    ComponentPlan,
    CoreExport,
    CoreImport,
    InlineInstance,
    LiftedFunction,
    LoweredImport,
)
from chonkle.backends.wasm.guest_codec import GuestCodec, GuestInstance, GuestSetup, Refused
from chonkle.backends.wasm.guest_errors import (
    ERROR_TEXT_MAX_BYTES,
    is_unreachable,
    no_room_for,
    starting,
    trap_error,
)
from chonkle.backends.wasm.guest_memory import LinearMemory
from chonkle.backends.wasm.trampoline import IN_ALLOCATOR, IN_CLEANUP, IN_TRANSFORM
from chonkle.backends.wasm.unchecked_calls import GuestFunction, host_function, instantiate
from chonkle.backends.wasm.wasi import RefusedError, WasiFunction, allowed
from chonkle.errors import ChonkleError, CodecTrap, WasmFormatError
from chonkle.formats.portmap import NAME_MAX_BYTES, PORTS_MAX, Buffer
from chonkle.formats.signature import DIRECTIONS, Direction
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


@dataclass(frozen=True, slots=True)
class FlattenedComponent:
    """A flattened component, compiled."""

    plan: ComponentPlan  # how the modules are linked, and what is exported
    modules: Sequence[wasmtime.Module]  # the compiled modules, in the plan's order

    def fits_trampoline(self) -> bool:
        """Tell whether both functions share one memory and one allocator, and free their results.

        The trampoline sees only the growth of the memory that it copies from.
        """
        lifted = [self.plan.functions[direction] for direction in DIRECTIONS]
        shared = {(each.memory, each.realloc) for each in lifted}
        is_shared = len(self.plan.memories) == len(shared) == 1
        return is_shared and all(each.post_return for each in lifted)


def flattened_codec(flattened: FlattenedComponent, setup: GuestSetup) -> GuestCodec:
    """Make a codec of a flattened component; nothing of the guest runs yet."""
    if not flattened.fits_trampoline():
        setup = replace(setup, open_trampoline=None)
    return GuestCodec(partial(ComponentInstance, flattened=flattened), "component", setup)


@dataclass(frozen=True, slots=True)
class _Function:
    """An exported function and the parts of its canonical ABI, prepared."""

    call: GuestFunction
    realloc: GuestFunction
    post_return: GuestFunction | None
    memory: LinearMemory


class ComponentInstance(GuestInstance):
    """An instance of a flattened component.

    Args of the constructor:
        setup: what the codec's instances share.
        flattened: what to instantiate.
    """

    def __init__(self, setup: GuestSetup, *, flattened: FlattenedComponent) -> None:
        super().__init__(setup)
        # What the guest is being called for, without a trampoline.
        self._stage = IN_TRANSFORM
        # The import that the guest called and may not, and what failed within an import.
        self._denied = ""
        self._import_failure: BaseException | None = None
        self._memories: dict[CoreExport, LinearMemory] = {}
        # The exports of inline instances. Instances of modules are in the linker under their index,
        # which finds an export by name; wasmtime's package lists the exports of an instance in
        # quadratic time, 0.3 s for a CPython.
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
            self._functions = {
                name: self._prepare(lifted) for name, lifted in plan.functions.items()
            }
        except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            raise self._reason(failure) from failure

    def transform(
        self,
        direction: Direction,
        port_map: Mapping[str, Buffer],
        segments: Sequence[Buffer],  # noqa: ARG002 - the ABI has another form
        size: int,  # noqa: ARG002
    ) -> int:
        """Write the input into the guest and run it."""
        function = self._functions[direction]
        realloc, memory = function.realloc, function.memory
        self.functions.begin()
        self._stage = IN_ALLOCATOR
        rows_size = _ROW.size * len(port_map)
        address = realloc(0, 0, _ROW_ALIGN, rows_size) & _U32
        if address % _ROW_ALIGN:
            raise CodecTrap(f"the guest's list of ports is not aligned to {_ROW_ALIGN} bytes")
        rows = memory.bytes_at(address, rows_size, what="list of ports")
        at = 0
        for name, data in port_map.items():
            for string, what in ((name.encode(), "port name"), (data, "input buffer")):
                length = len(string)
                start = realloc(0, 0, 1, length) & _U32
                memory.write(start, string, what=what)
                _STRING.pack_into(rows, at, start, length)
                at += _STRING.size
        self._stage = IN_TRANSFORM
        return function.call(address, len(port_map))

    def read(self, direction: Direction, result: int) -> dict[str, memoryview]:
        """Find the ports of a result."""
        memory = self._functions[direction].memory
        bytes_at = memory.bytes_at
        pointer = result & _U32
        if pointer % _RESULT_ALIGN:
            raise CodecTrap("the guest's result is not aligned")
        discriminant, start, count = memory.unpack(_RESULT, pointer, what="result")
        if discriminant == _ERR:
            text = bytes_at(start, count, what="error text")[:ERROR_TEXT_MAX_BYTES]
            raise Refused(bytes(text).decode(errors="replace"))
        if discriminant != _OK:
            raise CodecTrap(f"the guest's result has discriminant {discriminant}")
        if count > PORTS_MAX:
            raise CodecTrap(f"the guest returned {count} ports", expected=f"at most {PORTS_MAX}")
        if start % _ROW_ALIGN:
            raise CodecTrap("the guest's list of ports is not aligned")
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

    def free(self, direction: Direction, result: int) -> None:
        """Have the guest free a result."""
        post_return = self._functions[direction].post_return
        if post_return is not None:
            self._stage = IN_CLEANUP
            post_return(result & _U32)
            self._stage = IN_TRANSFORM

    def memory_bytes(self) -> int:
        """Give the size of its memories."""
        total = 0
        # As a loop, because each call of a large chunk asks.
        for memory in self._own_memories:
            total += memory.size()
        return total

    def trampoline_import(self, module: str, name: str) -> object:
        """Find a part of an exported function, an attribute of a `LiftedFunction`."""
        return self._find(getattr(self._plan.functions[module], name))

    def explain(self, failure: Exception, size: int) -> ChonkleError:
        """Turn wasmtime's failure of a call into an error of ours."""
        gave_up = isinstance(failure, wasmtime.Trap) and is_unreachable(failure)
        if gave_up and self._is_at(IN_ALLOCATOR) and not self._denied:
            # In the canonical ABI an allocator without memory can only trap.
            return no_room_for(size)
        return self._reason(failure)

    def memory(self, item: CoreExport) -> LinearMemory:
        """Prepare a memory; functions that share it get the same object."""
        found = self._memories.get(item)
        if found is None:
            found = LinearMemory(self._setup.calls, self._wasm_store, self._find(item))
            self._memories[item] = found
        return found

    def allocate(self, realloc: CoreExport, size: int, *, align: int) -> int:
        """Have the guest allocate within a call of an import; the call's deadline goes on."""
        self._stage = IN_ALLOCATOR
        try:
            found = self._find(realloc)
            call = self._setup.calls.function(self._wasm_store, found, _REALLOC_TYPE)
            return call(0, 0, align, size) & _U32
        finally:
            self._stage = IN_TRANSFORM

    def call_import(
        self, item: LoweredImport, function: WasiFunction | None, arguments: Iterable[int]
    ) -> int | None:
        """Answer an import that the guest calls.

        Args:
            item: the import.
            function: implements it; None where it is denied.
            arguments: core values, unsigned.

        Raises:
            RefusedError: when the call is denied.
        """
        name = f"{item.interface}#{item.function}"
        if not self._is_at(IN_TRANSFORM):
            # The canonical ABI forbids calls of imports during allocation and cleanup.
            self._denied = f"{name}, while it may call nothing"
        elif function is None:
            self._denied = name
        else:
            try:
                return function.lower(_ImportCaller(self, item), *arguments)
            except (RefusedError, CodecTrap) as failure:
                self._denied = f"{name}: {failure}"
            except BaseException as failure:
                self._import_failure = failure
                raise
        raise RefusedError(self._denied)

    def _prepare(self, lifted: LiftedFunction) -> _Function:
        def prepare(item: CoreExport, type_: str) -> GuestFunction:
            return self.functions.prepare(self._find(item), type_)

        post_return = lifted.post_return
        return _Function(
            prepare(lifted.function, _LIFTED_TYPE),
            prepare(lifted.realloc, _REALLOC_TYPE),
            None if post_return is None else prepare(post_return, _POST_RETURN_TYPE),
            self.memory(lifted.memory),
        )

    def _instantiate(
        self, module: wasmtime.Module, imports: Sequence[CoreImport], arguments: Mapping[str, int]
    ) -> wasmtime.Instance:
        externs = []
        for wanted in imports:
            item = self._find(CoreExport(arguments[wanted.module], wanted.name))
            if isinstance(item, LoweredImport):
                item = self._stub(item, wanted.type)
            externs.append(item)
        # wasmtime compares the type of each with its own reading of the module.
        return instantiate(self._wasm_store, module, externs)

    def _find(self, item: object) -> object:
        """Follow exports of inline instances to an export of a module or an import."""
        while isinstance(item, CoreExport):
            inline = self._inline.get(item.instance)
            if inline is None:
                return self._linker.get(self._wasm_store, str(item.instance), item.name)
            item = inline[item.name]
        return item

    def _is_at(self, stage: int) -> bool:
        """Tell whether the guest is being called for this, or was when it trapped."""
        trampoline = self.trampoline
        return stage == (self._stage or (IN_TRANSFORM if trampoline is None else trampoline.stage))

    def _stub(self, item: LoweredImport, type_: str) -> wasmtime.Func:
        """Make the function for an import: WASI that tells nothing, or a trap."""
        parameters, results = type_parts(type_)
        # Only a function of integers is ever allowed.
        masks = [_MASKS.get(parameter, 0) for parameter in parameters]
        function = allowed(item.interface, item.function, type_)
        # wasmtime's package keeps a callback as long as its store. A reference to the instance,
        # which owns the store, would keep both for ever.
        find_self = weakref.ref(self)

        def stub(*arguments: int) -> int | None:
            instance = find_self()
            assert instance is not None  # noqa: S101 - it is in a call
            # wasmtime passes signed integers; addresses and sizes are unsigned.
            unsigned = (each & mask for each, mask in zip(arguments, masks, strict=True))
            return instance.call_import(item, function, unsigned)

        try:
            types = [[_VALUE_TYPES[each]() for each in part] for part in (parameters, results)]
        except KeyError as failure:
            raise WasmFormatError(
                f"the guest imports {item.interface}#{item.function} as no function of numbers",
                got=type_,
            ) from failure
        return host_function(self._wasm_store, wasmtime.FuncType(*types), stub)

    def _reason(self, failure: Exception) -> ChonkleError:
        """Explain a failure; raises what failed within an import, if it is no trap."""
        if self._denied:
            return CodecTrap(f"the guest called {self._denied}, which the sandbox denies")
        # Where the guest trapped within an import, in its own allocator, that is the reason.
        reason = self._import_failure or failure
        if not isinstance(reason, (wasmtime.Trap, wasmtime.WasmtimeError)):
            raise reason
        return trap_error(reason, self._setup.limits)


class _ImportCaller:
    """A guest that calls an import, as `wasi.Caller`."""

    def __init__(self, instance: ComponentInstance, item: LoweredImport) -> None:
        self._instance = instance
        self._item = item

    def allocate(self, size: int, *, align: int) -> int:
        if self._item.realloc is None:
            raise RefusedError("the import has no allocator")
        return self._instance.allocate(self._item.realloc, size, align=align)

    def write(self, address: int, data: bytes) -> None:
        if self._item.memory is None:
            raise RefusedError("the import has no memory")
        self._instance.memory(self._item.memory).write(address, data, what="place for a result")
