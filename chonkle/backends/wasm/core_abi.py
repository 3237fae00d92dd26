"""The core ABI: codecs that are core modules.

The guest allocates, the host writes an encoded port-map there and calls `encode` or `decode`, which
owns that input. The result packs address and size of the output port-map, `address << 32 | size`,
which the host frees. Zero is a refusal, and `last_error`, where the guest has it, says why.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import wasmtime

from chonkle.backends.base import Codec
from chonkle.backends.wasm.core_compiler import CoreCompiler
from chonkle.backends.wasm.core_interface import FUNCTIONS
from chonkle.backends.wasm.guest_codec import GuestCodec, GuestInstance, GuestSetup, Refused
from chonkle.backends.wasm.guest_errors import ERROR_TEXT_MAX_BYTES, no_room_for, starting
from chonkle.backends.wasm.guest_memory import LinearMemory, write_segments
from chonkle.backends.wasm.unchecked_calls import GuestFunction, instantiate_linked
from chonkle.cache.aot import AotCache, Binary
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import DIRECTIONS, Direction

_U32 = 0xFFFF_FFFF


def open_core(binary: Binary, cache: AotCache, setup: GuestSetup) -> Codec:
    """Open a codec that is a core module.

    Args:
        binary: the module.
        cache: where its native code is, or goes.
        setup: what its instances share.

    Raises:
        WasmFormatError: when it is no valid module, or lacks the core ABI.
        LimitExceeded: when compiling it takes more than allowed.
        CacheError: in mode `only`, when the cache does not have it.
    """
    module = cache.get_or_compile(binary, CoreCompiler(f"codec {binary.label} (core)"))
    return GuestCodec(partial(CoreInstance, module=module), "core", setup)


class CoreInstance(GuestInstance):
    """An instance of a core module.

    Args of the constructor:
        setup: what the codec's instances share.
        module: the compiled module, whose exports were checked.
    """

    def __init__(self, setup: GuestSetup, *, module: wasmtime.Module) -> None:
        super().__init__(setup)
        wasm_store, functions = self._wasm_store, self.functions
        linker = wasmtime.Linker(setup.engine.wasmtime)
        # Deny by default: a call of an import traps, and the trap names the import.
        linker.define_unknown_imports_as_traps(module)
        functions.begin(is_start=True)
        with starting(), setup.engine.deadline(wasm_store, functions.left_s()):
            exports = instantiate_linked(linker, wasm_store, module).exports(wasm_store)
        self._memory = LinearMemory(setup.calls, wasm_store, exports["memory"])
        self._exports = exports

        def prepare(name: str, *, begins: bool = False) -> GuestFunction:
            return functions.prepare(exports[name], FUNCTIONS[name], begins=begins)

        # All are prepared before any runs, so all types are checked first.
        initialize = prepare("_initialize") if "_initialize" in exports else None
        self._alloc = prepare("alloc", begins=True)
        self._dealloc = prepare("dealloc")
        self._transforms = {direction: prepare(direction) for direction in DIRECTIONS}
        self._last_error = prepare("last_error") if "last_error" in exports else None
        if initialize is not None:
            initialize()

    def transform(
        self,
        direction: Direction,
        port_map: Mapping[str, Buffer],  # noqa: ARG002 - the segments have it
        segments: Sequence[Buffer],
        size: int,
    ) -> int:
        """Write the input into the guest and run it."""
        address = self._alloc(size) & _U32
        if address == 0:
            raise no_room_for(size)
        write_segments(segments, self._memory.bytes_at(address, size, what="input buffer"))
        return self._transforms[direction](address, size)

    def read(self, direction: Direction, result: int) -> dict[str, memoryview]:
        """Find the ports of a result."""
        if result:
            start, size = (result >> 32) & _U32, result & _U32
            output = self._memory.bytes_at(start, size, what="output")
            return self._reader.read(output, size, direction)
        packed = self._last_error() if self._last_error else 0
        start, size = (packed >> 32) & _U32, min(packed & _U32, ERROR_TEXT_MAX_BYTES)
        text = self._memory.bytes_at(start, size, what="error text")
        raise Refused(bytes(text).decode(errors="replace"))

    def free(self, direction: Direction, result: int) -> None:  # noqa: ARG002
        """Have the guest free a result."""
        if result:
            self._dealloc((result >> 32) & _U32, result & _U32)

    def memory_bytes(self) -> int:
        """Give the size of its memory."""
        return self._memory.size()

    def trampoline_import(self, _module: str, name: str) -> object:
        """Find an export."""
        return self._exports[name]
