"""Core modules: codecs with chonkle's core ABI.

The host asks the guest for room, writes an encoded port-map into it and calls `encode` or `decode`,
which owns that input. The result packs pointer and length of the output port-map, `ptr << 32 |
len`, which the host frees; zero is failure, and `last_error`, where the guest has it, says why.
"""

import ctypes
from collections.abc import Mapping

import wasmtime

from chonkle.backends.base import Answer, Buffer, Codec, GuestBytes, Limits
from chonkle.backends.guest import GuestInstance, InstancePool, copy_to, one_line
from chonkle.engine import Engine
from chonkle.errors import (
    ChonkleError,
    CodecError,
    CodecTrap,
    LimitExceeded,
    PortMapError,
    WasmFormatError,
)
from chonkle.formats.portmap import COUNT, entry_prefix, read_layout
from chonkle.formats.signature import Direction, Signature
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


def check_interface(interface: Interface, *, what: str) -> None:
    """Demand that a core module has the core ABI.

    Args:
        interface: its imports and exports.
        what: the file or codec, for the message.

    Raises:
        WasmFormatError: naming the first export that is missing or has another type.
    """
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


class CoreCodec(Codec):
    """A codec in a core module.

    Args of the constructor:
        module: the compiled module, whose interface was checked with `check_interface`.
        interface: that interface.
        signature: its signature.
        engine: the engine that compiled it.
        limits: what one call may take.
    """

    def __init__(
        self,
        module: wasmtime.Module,
        *,
        interface: Interface,
        signature: Signature,
        engine: Engine,
        limits: Limits,
    ) -> None:
        """Make a codec of a compiled module; nothing of the guest runs yet."""
        self._signature = signature
        self._limits = limits
        self._has_words = any(export.name == "last_error" for export in interface.exports)
        self._pool = InstancePool(lambda: GuestInstance(engine, module, limits))

    def signature(self) -> Signature:
        """Give the codec's typed ports."""
        return self._signature

    def answer(self, direction: Direction, port_map: Mapping[str, Buffer]) -> Answer:
        """Run the codec; the answer's ports lie in the guest's memory until it is closed."""
        try:
            instance = self._pool.take()
            # Whatever is raised from here on leaves the instance outside of the pool: a guest that
            # broke is in no state to be called again, and one that only said no comes back below.
            return self._call(instance, direction, port_map)
        except ChonkleError as failure:
            raise self._within(direction, failure) from failure.__cause__

    def close(self) -> None:
        """Free the instances."""
        self._pool.clear()

    def _call(
        self, instance: GuestInstance, direction: Direction, port_map: Mapping[str, Buffer]
    ) -> Answer:
        pointer, size = self._write_input(instance, port_map)
        result = instance.function(direction)(pointer, size)
        if result == 0:
            raise self._refusal(instance)
        start, size = (result >> 32) & _U32, result & _U32
        address = instance.address(start, size, what="output")
        try:
            layout = read_layout(size, lambda at, count: ctypes.string_at(address + at, count))
        except PortMapError as failure:
            raise CodecTrap(f"the guest returned a malformed port-map: {failure}") from failure
        ports = {name: GuestBytes(address + at, count) for name, (at, count) in layout.items()}

        def release() -> None:
            try:
                instance.function("dealloc")(start, size)
            except ChonkleError as failure:
                raise self._within(direction, failure) from failure.__cause__
            self._pool.give(instance)

        answer = Answer(ports, release)
        total = sum(map(len, ports.values()))
        if total > self._limits.output_bytes:
            answer.close()
            raise LimitExceeded(
                "returned more than allowed",
                expected=f"at most {self._limits.output_bytes} bytes",
                got=str(total),
            )
        return answer

    def _within(self, direction: Direction, failure: ChonkleError) -> ChonkleError:
        """Name the codec and the direction in a failure."""
        signature = self._signature
        return failure.within(
            f"codec `{signature.codec_id}` ({signature.label}, core), {direction}"
        )

    def _write_input(
        self, instance: GuestInstance, port_map: Mapping[str, Buffer]
    ) -> tuple[int, int]:
        prefixes = [entry_prefix(name, len(data)) for name, data in port_map.items()]
        size = COUNT.size + sum(map(len, prefixes)) + sum(map(len, port_map.values()))
        if size > self._limits.memory_bytes:
            raise LimitExceeded(
                "the input alone is larger than the memory allowed",
                expected=f"at most {self._limits.memory_bytes} bytes",
                got=str(size),
            )
        pointer = instance.function("alloc")(size) & _U32
        if pointer == 0:
            self._pool.give(instance)
            raise LimitExceeded(
                f"the guest has no room for {size} bytes of input",
                hint="raise the memory limit",
            )
        at = instance.address(pointer, size, what="input buffer")
        copy_to(at, COUNT.pack(len(port_map)), COUNT.size)
        at += COUNT.size
        for prefix, data in zip(prefixes, port_map.values(), strict=True):
            copy_to(at, prefix, len(prefix))
            at += len(prefix)
            copy_to(at, data, len(data))
            at += len(data)
        return pointer, size

    def _refusal(self, instance: GuestInstance) -> CodecError:
        text = ""
        if self._has_words:
            packed = instance.function("last_error")()
            start, size = (packed >> 32) & _U32, min(packed & _U32, _ERROR_TEXT_MAX)
            address = instance.address(start, size, what="error text")
            text = ctypes.string_at(address, size).decode(errors="replace")
        self._pool.give(instance)
        return CodecError(one_line(text) or "the codec failed without a word")
