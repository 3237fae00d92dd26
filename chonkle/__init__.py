"""chonkle: codecs for chunked arrays, compiled once to WebAssembly, run everywhere.

For example::

    import chonkle

    with chonkle.prepare("pipeline.json", direction="decode") as prepared:
        outputs = chonkle.run(prepared, {"bytes": chunk})
"""

from importlib import import_module
from typing import TYPE_CHECKING

from chonkle.version import __version__

if TYPE_CHECKING:
    from chonkle.backends.base import Limits
    from chonkle.cache.layers import CacheConfig
    from chonkle.cache.record import Authenticator
    from chonkle.codecs import ChunkCodec, codec, decode, encode, get_codecs
    from chonkle.errors import ChonkleError
    from chonkle.executor import run
    from chonkle.formats.signature import Signature
    from chonkle.limits import CompileLimits
    from chonkle.pipeline import PreparedPipeline, prepare
    from chonkle.resolver import Resolver
    from chonkle.runtime import Runtime

# Public name -> module. They are imported when first asked for, so that a command pays only for
# what it uses.
_PUBLIC = {
    "codec": "chonkle.codecs",
    "ChunkCodec": "chonkle.codecs",
    "get_codecs": "chonkle.codecs",
    "encode": "chonkle.codecs",
    "decode": "chonkle.codecs",
    "prepare": "chonkle.pipeline",
    "PreparedPipeline": "chonkle.pipeline",
    "run": "chonkle.executor",
    "Resolver": "chonkle.resolver",
    "Limits": "chonkle.backends.base",
    "CompileLimits": "chonkle.limits",
    "Runtime": "chonkle.runtime",
    "CacheConfig": "chonkle.cache.layers",
    "Authenticator": "chonkle.cache.record",
    "Signature": "chonkle.formats.signature",
    "ChonkleError": "chonkle.errors",
}

# Modules that `import chonkle` alone gives, too.
_MODULES = ("dask", "tiff", "zarr")

__all__ = [
    "Authenticator",
    "CacheConfig",
    "ChonkleError",
    "ChunkCodec",
    "CompileLimits",
    "Limits",
    "PreparedPipeline",
    "Resolver",
    "Runtime",
    "Signature",
    "__version__",
    "codec",
    "decode",
    "encode",
    "get_codecs",
    "prepare",
    "run",
]


def __getattr__(name: str) -> object:
    """Import a public name, or a module."""
    if name in _MODULES:
        return import_module(f"chonkle.{name}")
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module `chonkle` has no attribute `{name}`")
    # Kept, so that the next look finds it without asking here.
    found = globals()[name] = getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    """List the public names too that were not asked for yet."""
    return sorted({*globals(), *__all__})
