"""Running a codec just built, in the plainest way that wasmtime has, to see that it works.

This is no runtime: an instance lives for one call, and nothing of it is fast. That is the point of
it: a codec that fails here is broken, whatever the runtime does.
"""

from collections.abc import Mapping
from functools import lru_cache

import wasmtime
from wasmtime import component

from chonkle.errors import CodecError, CodecTrap, PortMapError, WasmFormatError
from chonkle.formats import portmap
from chonkle.formats.signature import Direction
from chonkle.formats.wasm_binary import binary_kind

_INTERFACE = "chonkle:codec/transform@0.1.0"
_MEMORY_BYTES = 1 << 30
_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF


def call(
    wasm: bytes,
    direction: Direction,
    ports: Mapping[str, bytes],
    *,
    memory_bytes: int = _MEMORY_BYTES,
) -> dict[str, bytes]:
    """Run one direction of a codec once.

    Args:
        wasm: a core module or component.
        direction: which of its two functions.
        ports: the inputs.
        memory_bytes: how far its memory may grow.

    Returns:
        The outputs.

    Raises:
        CodecError: when it fails, with its words.
        CodecTrap: when it traps, or answers with what is no port-map.
    """
    if binary_kind(wasm) == "component":
        return _call_component(wasm, direction, ports, memory_bytes)
    answer = call_raw(wasm, direction, portmap.encode(ports), memory_bytes=memory_bytes)
    try:
        return portmap.decode(answer)
    except PortMapError as failure:
        raise CodecTrap(str(failure)) from failure


def call_raw(
    wasm: bytes, direction: Direction, request: bytes, *, memory_bytes: int = _MEMORY_BYTES
) -> bytes:
    """Run a core module once on bytes that may be no port-map.

    Args:
        wasm: a core module.
        direction: which of its two functions.
        request: what is written into its memory.
        memory_bytes: how far its memory may grow.

    Returns:
        The encoded outputs.

    Raises:
        CodecError: when it fails, with its words.
        CodecTrap: when it traps.
        WasmFormatError: when it lacks an export of the core ABI.
    """
    engine, module = _compiled(wasm)
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=memory_bytes)
    exports = wasmtime.Instance(store, module, []).exports(store)
    memory = _exported(exports, "memory", wasmtime.Memory)

    def run(name: str, *arguments: int) -> int:
        function = _exported(exports, name, wasmtime.Func)
        try:
            result = function(store, *arguments)
        except wasmtime.Trap as failure:
            raise CodecTrap(f"`{name}` trapped: {failure}") from failure
        return int(result) & _U64 if result is not None else 0

    def read(packed: int) -> bytes:
        start, size = packed >> 32, packed & _U32
        return bytes(memory.read(store, start, start + size))

    address = run("alloc", len(request)) & _U32
    if not address:
        raise CodecError(f"out of memory for an input of {len(request)} bytes")
    memory.write(store, request, address)
    packed = run(direction, address, len(request))
    if not packed:
        raise CodecError(read(run("last_error")).decode())
    answer = read(packed)
    run("dealloc", packed >> 32, packed & _U32)
    return answer


# Vectors and tests call one codec many times, and compiling takes longer than the calls.
@lru_cache(maxsize=16)
def _compiled(wasm: bytes) -> tuple[wasmtime.Engine, wasmtime.Module]:
    engine = wasmtime.Engine()
    return engine, wasmtime.Module(engine, wasm)


def _exported[T](exports: Mapping[str, object], name: str, kind: type[T]) -> T:
    found = exports.get(name)
    if not isinstance(found, kind):
        raise WasmFormatError(f"no export `{name}` of the right kind")
    return found


def _call_component(
    wasm: bytes, direction: Direction, ports: Mapping[str, bytes], memory_bytes: int
) -> dict[str, bytes]:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=memory_bytes)
    compiled = component.Component(engine, wasm)
    instance = component.Linker(engine).instantiate(store, compiled)
    interface = instance.get_export_index(store, _INTERFACE)
    index = instance.get_export_index(store, direction, interface) if interface else None
    function = instance.get_func(store, index) if index else None
    if function is None:
        raise WasmFormatError(f"no function `{direction}` in `{_INTERFACE}`")
    try:
        result = function(store, list(ports.items()))
        function.post_return(store)
    except wasmtime.Trap as failure:
        raise CodecTrap(f"`{direction}` trapped: {failure}") from failure
    # wasmtime gives the payload of `ok` and `err` without saying which; here the types differ.
    if isinstance(result, str):
        raise CodecError(result)
    return dict(result)
