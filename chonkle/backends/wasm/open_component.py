"""Opening a codec that is a component.

Most are flattened and run at the speed of core modules. The others go through wasmtime's own
support for components, with a line in the log that says why.
"""

from chonkle.backends.base import Codec
from chonkle.backends.wasm.component_abi import FlattenedComponent, flattened_codec
from chonkle.backends.wasm.component_compiler import FlatteningCompiler, HostComponentCompiler
from chonkle.backends.wasm.guest_codec import GuestSetup
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.cache.aot import AotCache, Binary
from chonkle.errors import printable


def open_component(
    binary: Binary, cache: AotCache, setup: GuestSetup, *, flatten: bool = True
) -> Codec:
    """Open a codec that is a component.

    Args:
        binary: the component.
        cache: where its native code is, or goes.
        setup: what its instances share.
        flatten: flatten it where possible.

    Raises:
        WasmFormatError: when it is no valid component, or exports another interface.
        LimitExceeded: when compiling it takes more than allowed.
        CacheError: in mode `only`, when the cache does not have it.
    """
    if flatten:
        flattened = cache.get_or_compile(binary, FlatteningCompiler())
        if isinstance(flattened, FlattenedComponent):
            return flattened_codec(flattened, setup)
        import logging  # noqa: PLC0415 - rarely needed

        logging.getLogger("chonkle.component").warning(
            "codec %s runs slowly, through wasmtime's component support: %s",
            binary.label,
            printable(str(flattened)),
        )
    return HostComponentCodec(cache.get_or_compile(binary, HostComponentCompiler()), setup)
