"""Calling a codec directly through wasmtime, with a new instance for each call.

It shares no code with the runtime's calls and is slow: a codec that fails here is broken itself.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import lru_cache

import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.base import Limits
from chonkle.backends.wasm.component_compiler import ComponentCompiler
from chonkle.backends.wasm.guest_errors import trap_error
from chonkle.backends.wasm.guest_store import limited_store
from chonkle.cache.compilers import ModuleCompiler
from chonkle.cache.compiling import compile_codec
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig
from chonkle.errors import CodecError, CodecTrap, PortMapError, WasmFormatError
from chonkle.formats import portmap
from chonkle.formats.signature import Direction
from chonkle.formats.wasm_binary import binary_kind
from chonkle.limits import CompileLimits

# What one call may take.
LIMITS = Limits(memory_bytes=256 << 20, output_bytes=256 << 20, timeout_s=10.0)

# What compiling a codec may take.
COMPILE_LIMITS = CompileLimits()

_INTERFACE = "chonkle:codec/transform@0.1.0"
# wasmtime copies the input of a component byte by byte in Python; the codec is not charged for it.
_COPYING_S = 20e-6
# Not every system wakes a waiting thread when a signal comes.
_HEARING_S = 0.1
_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF

type Code = wasmtime.Module | wasm_component.Component


def call(
    wasm: bytes, direction: Direction, ports: Mapping[str, bytes], *, limits: Limits = LIMITS
) -> dict[str, bytes]:
    """Run one direction of a codec once.

    Args:
        wasm: a core module or component.
        direction: which of its two functions.
        ports: the inputs.
        limits: the limits of the call.

    Returns:
        The outputs.

    Raises:
        CodecError: when it fails, with its message.
        CodecTrap: when it traps, or its output is no port-map.
        LimitExceeded: when it exceeds a limit.
        WasmFormatError: when it lacks an export of its ABI.
    """
    if binary_kind(wasm) == "component":
        return _call_component(wasm, direction, ports, limits)
    answer = call_raw(wasm, direction, portmap.encode(ports), limits=limits)
    try:
        return portmap.decode(answer)
    except PortMapError as failure:
        raise CodecTrap(str(failure)) from failure


def call_raw(
    wasm: bytes,
    direction: Direction,
    request: bytes,
    *,
    limits: Limits = LIMITS,
    compile_limits: CompileLimits = COMPILE_LIMITS,
) -> bytes:
    """Run a core module once on bytes that need not be a port-map.

    Args:
        wasm: a core module.
        direction: which of its two functions.
        request: the bytes written into its memory.
        limits: the limits of the call.
        compile_limits: the limits of compiling it.

    Returns:
        The encoded outputs.

    Raises:
        CodecError: when it fails, with its message if it has one.
        CodecTrap: when it traps, or points outside its memory.
        LimitExceeded: when it exceeds a limit.
        WasmFormatError: when it lacks an export of the core ABI.
    """
    started = start(wasm, limits=limits, compile_limits=compile_limits)
    store, memory = started.wasm_store, started.exported("memory", wasmtime.Memory)

    def run(name: str, *arguments: int) -> int:
        function = started.exported(name, wasmtime.Func)
        result = started.run(lambda: function(store, *arguments))
        return int(result) & _U64 if result is not None else 0

    def within(address: int, size: int) -> slice:
        if address + size > memory.data_len(store):
            raise CodecTrap(f"{size} bytes at {address} lie outside of its memory")
        return slice(address, address + size)

    def read(packed: int) -> bytes:
        place = within(packed >> 32, packed & _U32)
        return bytes(memory.read(store, place.start, place.stop))

    address = run("alloc", len(request)) & _U32
    if not address:
        raise CodecError(f"out of memory for an input of {len(request)} bytes")
    memory.write(store, request, within(address, len(request)).start)
    packed = run(direction, address, len(request))
    if not packed:
        said = read(run("last_error")) if "last_error" in started.exports else b""
        raise CodecError(said.decode(errors="replace"))
    answer = read(packed)
    run("dealloc", packed >> 32, packed & _U32)
    return answer


@dataclass(frozen=True, slots=True)
class Started:
    """An instance of a codec whose start functions have run.

    Attributes:
        engine: its engine.
        limits: the limits of each call.
        wasm_store: its store.
        exports: its exports, if it is a core module.
        component: the instance, if it is a component.
    """

    engine: Engine
    limits: Limits
    wasm_store: wasmtime.Store
    exports: Mapping[str, object]
    component: wasm_component.Instance | None = None

    def exported[T](self, name: str, kind: type[T]) -> T:
        """Give an export of a core module, which must be of a kind."""
        found = self.exports.get(name)
        if not isinstance(found, kind):
            raise WasmFormatError(f"no export `{name}` of the right kind")
        return found

    def run[T](self, guest: Callable[[], T]) -> T:
        """Run guest code within its time limit, and translate wasmtime's errors."""
        return _run(guest, self.engine, self.wasm_store, self.limits)


def start(
    wasm: bytes, *, limits: Limits = LIMITS, compile_limits: CompileLimits = COMPILE_LIMITS
) -> Started:
    """Instantiate a codec, and run its start functions.

    Args:
        wasm: a core module or component; its imports trap when called.
        limits: the limits of the start and of each call.
        compile_limits: the limits of compiling it.

    Raises:
        WasmFormatError: when it is not valid.
        CodecTrap: when it traps while it starts.
        LimitExceeded: when it exceeds a limit.
    """
    engine, code = compiled(wasm, compile_limits)
    store = limited_store(engine, limits)
    if isinstance(code, wasm_component.Component):
        whole = code
        linker = wasm_component.Linker(engine.wasmtime)
        linker.define_unknown_imports_as_traps(whole)
        instance = _run(lambda: linker.instantiate(store, whole), engine, store, limits)
        return Started(engine, limits, store, {}, instance)
    module, core_linker = code, wasmtime.Linker(engine.wasmtime)
    core_linker.define_unknown_imports_as_traps(module)
    core = _run(lambda: core_linker.instantiate(store, module), engine, store, limits)
    started = Started(engine, limits, store, dict(core.exports(store)))
    if "_initialize" in started.exports:
        initialize = started.exported("_initialize", wasmtime.Func)
        started.run(lambda: initialize(store))
    return started


# Vectors and tests call one codec many times, and compiling takes longer than the calls.
@lru_cache(maxsize=16)
def compiled(wasm: bytes, limits: CompileLimits = COMPILE_LIMITS) -> tuple[Engine, Code]:
    """Validate and compile a codec.

    Args:
        wasm: a core module or component.
        limits: the limits of compiling it.

    Returns:
        The code, and its engine, in which calls can be interrupted.

    Raises:
        WasmFormatError: when it is not valid.
        LimitExceeded: when compiling exceeds a limit.
    """
    engine = Engine(EngineConfig(interruptible=True))
    compiler = ComponentCompiler() if binary_kind(wasm) == "component" else ModuleCompiler()
    artifacts = compile_codec(
        compiler, wasm, digest=Digest.blake3(wasm), what="codec", engine=engine, limits=limits
    )
    return engine, compiler.load(engine.wasmtime, artifacts)


def _run[T](guest: Callable[[], T], engine: Engine, store: wasmtime.Store, limits: Limits) -> T:
    try:
        # On another thread, so that this one handles signals while the guest runs.
        with engine.deadline(store, limits.timeout_s), ThreadPoolExecutor(1) as thread:
            answer = thread.submit(guest)
            try:
                while not wait([answer], timeout=_HEARING_S).done:
                    pass
            except BaseException:
                # The process is ending: interrupt the guest now.
                while not answer.done():
                    engine.wasmtime.increment_epoch()
                raise
            return answer.result()
    except (wasmtime.Trap, wasmtime.WasmtimeError) as failure:
        raise trap_error(failure, limits) from failure


def _call_component(
    wasm: bytes, direction: Direction, ports: Mapping[str, bytes], limits: Limits
) -> dict[str, bytes]:
    if limits.timeout_s is not None:
        copying_s = sum(map(len, ports.values())) * _COPYING_S
        limits = replace(limits, timeout_s=limits.timeout_s + copying_s)
    started = start(wasm, limits=limits)
    store, instance = started.wasm_store, started.component
    assert instance is not None  # noqa: S101 - it is a component
    interface = instance.get_export_index(store, _INTERFACE)
    index = instance.get_export_index(store, direction, interface) if interface else None
    function = instance.get_func(store, index) if index else None
    if function is None:
        raise WasmFormatError(f"no function `{direction}` in `{_INTERFACE}`")

    def transform() -> str | Sequence[tuple[str, bytes]]:
        result: str | Sequence[tuple[str, bytes]] = function(store, list(ports.items()))
        return result

    result = started.run(transform)
    # With a time limit of its own, as the output was copied in between.
    started.run(lambda: function.post_return(store))
    # wasmtime returns the payload of `ok` or `err` without saying which; here the types differ.
    if isinstance(result, str):
        raise CodecError(result)
    return dict(result)
