"""Compiling a binary: in this process, or with limits in a child process.

wasmtime limits neither the time nor the memory of compiling. So a binary that is not shipped with
chonkle is compiled in a child process, which the system limits and this process can kill.
"""

from typing import Any

from chonkle.cache.compilers import Compiler, compile_artifacts
from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.limits import CompileLimits
from chonkle.storage.store import bundled_store


def compile_codec(
    compiler: Compiler[Any],
    wasm: bytes,
    *,
    digest: Digest,
    what: str,
    engine: Engine,
    limits: CompileLimits | None,
) -> list[bytes]:
    """Compile a codec, with limits unless it is shipped with chonkle.

    Args:
        compiler: compiles this kind of binary.
        wasm: the binary.
        digest: its BLAKE3 digest.
        what: the codec, for messages.
        engine: the engine that will run it.
        limits: limits on compiling; None compiles in this process, without limits.

    Raises:
        WasmFormatError: when the binary is not valid.
        LimitExceeded: when compiling exceeds the limits.
        CacheError: when the process that compiles cannot be started, or breaks.
    """
    if limits is None or bundled_store().has(digest, size=len(wasm)):
        return compile_artifacts(compiler, engine.wasmtime, wasm, what=what)
    # Late: importing what starts a process takes longer than compiling a small codec.
    from chonkle.cache.child import Job  # noqa: PLC0415
    from chonkle.cache.child_process import compile_in_child  # noqa: PLC0415

    return compile_in_child(Job(compiler, engine.config, what, limits), wasm)
