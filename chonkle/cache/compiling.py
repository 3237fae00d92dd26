"""Compiling a binary: in this process, or within limits in a child process.

wasmtime bounds neither the time nor the memory that compiling takes. So a binary that is not
shipped with chonkle is compiled in a child process, which the system limits and this process can
end.
"""

from typing import Any

from chonkle.cache.native import Compiler, compile_artifacts
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
    """Compile a codec, within limits unless it is shipped with chonkle.

    Args:
        compiler: what compiles this kind of binary.
        wasm: the binary.
        digest: its BLAKE3 digest.
        what: the codec, for messages.
        engine: the engine that will run it.
        limits: what compiling may take; None compiles in this process, without limits.

    Returns:
        The artifacts.

    Raises:
        WasmFormatError: when the binary is not valid.
        LimitExceeded: when compiling takes more than it may.
        CacheError: when the process that compiles cannot be started, or breaks.
    """
    if limits is None or bundled_store().has(digest, size=len(wasm)):
        return compile_artifacts(compiler, engine.wasmtime, wasm, what=what)
    # Late: what is needed to start a process takes longer to import than a small codec to compile.
    from chonkle.cache.child import Job  # noqa: PLC0415
    from chonkle.cache.child_process import compile_in_child  # noqa: PLC0415

    return compile_in_child(Job(compiler, engine.config, what, limits), wasm)
