"""Opening a codec that is a component.

Most are flattened and run at the speed of core modules; what cannot be goes through wasmtime's own
support for components, with a line in the log that says why.
"""

from collections.abc import Callable

import wasmtime

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.component_abi import FlattenedCodec, FlattenedComponent
from chonkle.backends.wasm.component_compiler import FlatteningCompiler, WholeCompiler
from chonkle.backends.wasm.host_component import WholeCodec
from chonkle.backends.wasm.instance_pool import IdleInstances
from chonkle.backends.wasm.unchecked_calls import Calls
from chonkle.cache.aot import AotCache, Binary
from chonkle.digest import Digest
from chonkle.errors import printable
from chonkle.formats.signature import Signature


def open_component(
    wasm: bytes,
    *,
    digest: Digest,
    signature: Signature,
    cache: AotCache,
    limits: Limits,
    calls: Calls,
    open_desk: Callable[[], wasmtime.Module | None],
    idle: IdleInstances,
    flatten: bool = True,
) -> Codec:
    """Open a codec that is a component.

    Args:
        wasm: the component.
        digest: its BLAKE3 digest.
        signature: its signature.
        cache: where its native code is, or goes.
        limits: what one call may take.
        calls: how guests are called.
        open_desk: gives the compiled desk of components, or None where there shall be none.
        idle: bounds the instances that wait for a call.
        flatten: flatten it where that can be done.

    Raises:
        WasmFormatError: when it is no valid component, or exports another interface.
        CacheError: in mode `only`, when the cache does not have it.
    """
    binary = Binary(wasm, digest, codec_id=signature.codec_id, label=signature.label)
    if flatten:
        flattened = cache.get_or_compile(binary, FlatteningCompiler())
        if isinstance(flattened, FlattenedComponent):
            return FlattenedCodec(
                flattened,
                signature=signature,
                engine=cache.engine,
                limits=limits,
                calls=calls,
                open_desk=open_desk,
                idle=idle,
            )
        import logging  # noqa: PLC0415 - hardly ever needed

        logging.getLogger("chonkle.component").warning(
            "codec %s runs slowly, through wasmtime's component support: %s",
            signature.label,
            printable(str(flattened)),
        )
    whole = cache.get_or_compile(binary, WholeCompiler())
    return WholeCodec(whole, signature=signature, engine=cache.engine, limits=limits, idle=idle)
