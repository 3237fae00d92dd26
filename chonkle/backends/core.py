"""Core modules: codecs with chonkle's core ABI.

The host asks the guest for room, writes an encoded port-map into it and calls `encode` or `decode`,
which owns that input. The result packs pointer and length of the output port-map, `ptr << 32 |
len`, which the host frees; zero is failure, and `last_error`, where the guest has it, says why.
"""

from collections.abc import Callable, Mapping

import wasmtime

from chonkle.backends.base import Answer, Codec, Limits, call_label
from chonkle.backends.calls import Calls
from chonkle.backends.desk import DESK_BYTES, NO_ROOM, ON_DESK, Desk
from chonkle.backends.guest import (
    GuestFunctions,
    InstancePool,
    LinearMemory,
    limited_store,
    no_room_for,
    refusal,
    trap_error,
)
from chonkle.backends.stack import StackCheck
from chonkle.engine import Engine
from chonkle.errors import (
    ChonkleError,
    CodecTrap,
    LimitExceeded,
    OutOfMemory,
    PortMapError,
    WasmFormatError,
)
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction, Signature
from chonkle.formats.wasm_binary import Interface

# Export -> type. `_initialize` (a reactor's start) and `last_error` may be missing.
REQUIRED_EXPORTS = {
    "memory": "",
    "alloc": "(i32) -> i32",
    "dealloc": "(i32, i32) -> ()",
    "encode": "(i32, i32) -> i64",
    "decode": "(i32, i32) -> i64",
}
OPTIONAL_EXPORTS = {"_initialize": "() -> ()", "last_error": "() -> i64"}

_U32 = 0xFFFF_FFFF
_ERROR_TEXT_MAX = 4096
# Up to here, to join what is written and to write it at once is quicker than to write it twice.
_JOINED_MAX = 4096
_CALLS_BETWEEN_LOOKS = 64
_EXPORTS_MAX = 256


def check_interface(interface: Interface, *, what: str) -> None:
    """Demand that a core module has the core ABI.

    Args:
        interface: its imports and exports.
        what: the file or codec, for the message.

    Raises:
        WasmFormatError: naming the first export that is missing or has another type.
    """
    if len(interface.exports) > _EXPORTS_MAX:
        # Looking through them takes wasmtime's package quadratic time.
        raise WasmFormatError(
            f"{what}: too many exports",
            expected=f"at most {_EXPORTS_MAX}",
            got=str(len(interface.exports)),
        )
    exports = {export.name: export for export in interface.exports}
    for name, type_ in {**REQUIRED_EXPORTS, **OPTIONAL_EXPORTS}.items():
        kind = "memory" if name == "memory" else "func"
        found = exports.get(name)
        if found is None and name in OPTIONAL_EXPORTS:
            continue
        if found is None or (found.kind, found.type) != (kind, type_):
            raise WasmFormatError(
                f"{what}: not a codec of the core ABI: export `{name}`",
                expected=f"{kind} {type_}".rstrip(),
                got="none" if found is None else f"{found.kind} {found.type}".rstrip(),
            )


class _CoreInstance:
    """An instance with the core ABI, its functions prepared.

    Attributes:
        served: how many calls it was taken for.
        desk: makes small calls cheap; set up at the second of them, so that a process that makes
            one call does not pay for it.

    Args of the constructor:
        engine: the engine that compiled the module.
        module: the compiled module, whose exports were checked.
        limits: what its calls may take.
        calls: how its functions are called.
    """

    def __init__(
        self, engine: Engine, module: wasmtime.Module, *, limits: Limits, calls: Calls
    ) -> None:
        self.served = 0
        self.desk: Desk | None = None
        self._calls = calls
        self._wasm_store = wasm_store = limited_store(engine, limits)
        linker = wasmtime.Linker(engine.wasmtime)
        # Deny by default: an import that is called traps, and the trap names it.
        linker.define_unknown_imports_as_traps(module)
        with engine.deadline(wasm_store, limits.timeout_s):
            exports = linker.instantiate(wasm_store, module).exports(wasm_store)
        memory = exports["memory"]
        assert isinstance(memory, wasmtime.Memory)  # noqa: S101 - the exports were checked
        self.memory = LinearMemory(calls, wasm_store, memory)
        self._exports = exports
        self._functions = functions = GuestFunctions(engine, wasm_store, limits=limits, calls=calls)
        if "_initialize" in exports:
            functions.prepare(exports["_initialize"])()
        self.alloc = functions.prepare(exports["alloc"])
        self.dealloc = functions.prepare(exports["dealloc"])
        self.transforms = {
            "encode": functions.prepare(exports["encode"]),
            "decode": functions.prepare(exports["decode"]),
        }
        self.last_error = (
            functions.prepare(exports["last_error"]) if "last_error" in exports else None
        )

    def set_up_desk(self, module: wasmtime.Module) -> Desk:
        """Link a desk to this instance."""
        self.desk = Desk(
            module,
            wasm_store=self._wasm_store,
            exports=self._exports,
            functions=self._functions,
            calls=self._calls,
        )
        return self.desk


class CoreCodec(Codec):
    """A codec in a core module.

    Args of the constructor:
        module: the compiled module, whose interface was checked with `check_interface`.
        signature: its signature.
        engine: the engine that compiled it.
        limits: what one call may take.
        calls: how its functions are called.
        open_desk: gives the compiled desk, or None where there shall be none.
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
    ) -> None:
        """Make a codec of a compiled module; nothing of the guest runs yet."""
        self._signature = signature
        self._limits = limits
        self._stack = StackCheck(engine)
        self._open_desk = open_desk
        # Nearly all codecs give one port, and then all but its data is known before.
        self._only = {
            direction: (name, *portmap.only_opening(name))
            for direction in DIRECTIONS
            for name in [next(iter(signature.gives(direction)), "")]
        }
        self._pool = InstancePool(lambda: _CoreInstance(engine, module, limits=limits, calls=calls))

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

    def _run[T](  # noqa: C901, PLR0912 - the path of a chunk: a function more would be felt
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
            instance = self._pool.take()
            # Whatever is raised from here on leaves the instance outside of the pool: a guest that
            # broke is in no state to be called again, and one that only said no comes back below.
            instance.served += 1
            pieces, size = portmap.pieces(port_map)
            desk = instance.desk
            if desk is None and instance.served > 1 and size <= DESK_BYTES:
                desk = self._set_up_desk(instance)
            if desk is not None and size <= DESK_BYTES:
                if size <= _JOINED_MAX:
                    desk.view[:size] = b"".join(pieces)
                else:
                    _place(pieces, desk.view)
                result = desk.transforms[direction](size)
                if ON_DESK <= result < 0:
                    answered = result - ON_DESK
                    if answered > DESK_BYTES:
                        raise _unanswered(size, answered)
                    ports = self._copied(desk.view, answered, direction)
                    # Now and then, because asking for its size takes a tenth of a call.
                    if instance.served % _CALLS_BETWEEN_LOOKS:
                        self._pool.give(instance)
                    else:
                        self._keep(instance)
                    return ports
            else:
                pointer = self._write_input(instance, pieces, size)
                result = instance.transforms[direction](pointer, size)
            if result == 0:
                raise self._refusal(instance)
            return give(instance, (result >> 32) & _U32, result & _U32, direction)
        except (ChonkleError, wasmtime.Trap, wasmtime.WasmtimeError) as failure:
            if isinstance(failure, OutOfMemory) and instance and instance.served > 1:
                return self._run(give, direction, port_map)
            raise self._failure(failure, direction) from failure

    def _copied(self, view: memoryview, size: int, direction: Direction) -> dict[str, bytes]:
        """Copy the ports of an answer, where reading it is a good part of the call.

        Args:
            view: the memory that begins with the answer.
            size: how long it is.
            direction: whose answer it is.
        """
        if size > self._limits.output_bytes:
            self._limits.check_output(_ports(view[:size]))
        name, opening, known = self._only[direction]
        start = opening.size
        if size >= start and opening.unpack_from(view) == (known, size - start):
            return {name: view[start:size].tobytes()}
        return {name: data.tobytes() for name, data in _ports(view[:size]).items()}

    def memory_bytes(self) -> int:
        """Say how large the memories of the waiting instances are."""
        return sum(instance.memory.size() for instance in self._pool.waiting())

    def close(self) -> None:
        """Free the instances."""
        self._pool.clear()

    def _set_up_desk(self, instance: _CoreInstance) -> Desk | None:
        if self._limits.memory_bytes < DESK_BYTES:
            return None
        module = self._open_desk()
        return None if module is None else instance.set_up_desk(module)

    def _write_input(self, instance: _CoreInstance, pieces: list[Buffer], size: int) -> int:
        """Have the guest make room for a port-map and write it there; gives its address."""
        if size > self._limits.memory_bytes:
            raise LimitExceeded(
                "the input alone is larger than the memory allowed",
                expected=f"at most {self._limits.memory_bytes} bytes",
                got=str(size),
            )
        pointer = instance.alloc(size) & _U32
        if pointer == 0:
            raise no_room_for(size)
        _place(pieces, instance.memory.bytes_at(pointer, size, what="input buffer"))
        return pointer

    def _take(
        self, instance: _CoreInstance, start: int, size: int, direction: Direction
    ) -> dict[str, bytes]:
        """Copy an answer out of the guest's memory."""
        output = instance.memory.bytes_at(start, size, what="output")
        ports = self._copied(output, size, direction)
        instance.dealloc(start, size)
        self._keep(instance)
        return ports

    def _lend(self, instance: _CoreInstance, start: int, size: int, direction: Direction) -> Answer:
        """Lend an answer from where it lies in the guest's memory."""
        output = instance.memory.bytes_at(start, size, what="output")
        ports = _ports(output)

        def release() -> None:
            output.release()
            try:
                instance.dealloc(start, size)
            except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
                raise self._failure(failure, direction) from failure
            self._keep(instance)

        self._limits.check_output(ports)
        return Answer(ports, release)

    def _keep(self, instance: _CoreInstance) -> None:
        if instance.memory.is_worth_keeping():
            self._pool.give(instance)

    def _refusal(self, instance: _CoreInstance) -> ChonkleError:
        text = ""
        if instance.last_error is not None:
            packed = instance.last_error()
            start, size = (packed >> 32) & _U32, min(packed & _U32, _ERROR_TEXT_MAX)
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


def _unanswered(size: int, code: int) -> ChonkleError:
    """Say why there is nothing on the desk, where a call has the input's size."""
    if code == NO_ROOM:
        return no_room_for(size)
    return CodecTrap("the guest's input buffer lies outside of its memory")


def _place(pieces: list[Buffer], target: memoryview) -> None:
    """Write pieces one behind the other."""
    at = 0
    for piece in pieces:
        end = at + len(piece)
        target[at:end] = piece
        at = end


def _ports(output: memoryview) -> dict[str, memoryview]:
    try:
        return portmap.read(output)
    except PortMapError as failure:
        raise CodecTrap(f"the guest returned a malformed port-map: {failure}") from failure
