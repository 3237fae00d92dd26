"""Native code of a binary: what makes it, and what makes something to run of its files again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import wasmtime


class Compiler[T](Protocol):
    """What turns one kind of binary into native code, and native code into something to run."""

    @property
    def kind(self) -> str:
        """Name the kind; it is part of the key."""

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> tuple[T, list[bytes]]:
        """Compile a binary.

        Returns:
            What runs, and the artifacts that `load` makes it of again.

        Raises:
            wasmtime.WasmtimeError: when it is not valid.
            ChonkleError: when it is not what this compiler takes.
        """

    def load(self, engine: wasmtime.Engine, paths: Sequence[Path]) -> T:
        """Make what runs of the artifacts' files, whose digests were checked.

        Raises:
            wasmtime.WasmtimeError: when wasmtime does not want them.
            ChonkleError: when they are not what `compile` wrote.
        """


class Native[T](Protocol):
    """A type of wasmtime's that can be had of native code."""

    def deserialize_file(self, engine: wasmtime.Engine, path: str, /) -> T:
        """Map a file of native code."""

    def deserialize(self, engine: wasmtime.Engine, encoded: bytes, /) -> T:
        """Copy native code from memory."""


def load_native[T](native: Native[T], engine: wasmtime.Engine, path: Path) -> T:
    """Map a file of native code, or read it where it cannot be mapped.

    Args:
        native: what it is to become.
        engine: the engine that it is for.
        path: the file, whose digest was checked.

    Raises:
        OSError: as the file system says.
        wasmtime.WasmtimeError: when wasmtime does not want it.
    """
    try:
        return native.deserialize_file(engine, str(path))
    except (UnicodeEncodeError, wasmtime.WasmtimeError):
        # wasmtime takes no path that is not UTF-8, and some file systems are mounted so that
        # nothing on them may be executed. What is wrong with the code itself is said again.
        return native.deserialize(engine, path.read_bytes())


class ModuleCompiler:
    """Compiles core modules."""

    kind = "core"

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> tuple[wasmtime.Module, list[bytes]]:
        """Compile a core module; its one artifact is wasmtime's."""
        module = wasmtime.Module(engine, wasm)
        return module, [bytes(module.serialize())]

    def load(self, engine: wasmtime.Engine, paths: Sequence[Path]) -> wasmtime.Module:
        """Map a compiled core module."""
        (path,) = paths
        return load_native(wasmtime.Module, engine, path)
