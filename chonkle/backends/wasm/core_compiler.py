"""Compiling core modules for the AOT cache."""

from dataclasses import dataclass

import wasmtime

from chonkle.backends.wasm.core_interface import check_interface
from chonkle.cache.compilers import ModuleCompiler
from chonkle.formats.wasm_binary import read_core_interface


@dataclass(frozen=True, slots=True)
class CoreCompiler(ModuleCompiler):
    """Compiles core modules, and refuses those without the core ABI."""

    what: str  # the codec, for the message

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Check the interface of a core module, and compile it."""
        # Here, because reading a large interface takes long, and compiling has limits.
        check_interface(read_core_interface(wasm), what=self.what)
        return ModuleCompiler.compile(self, engine, wasm)
