"""Compilers: from a binary to native code, and from native code to what runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import wasmtime

from chonkle.engine import innermost_cause
from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import without_custom_sections

# The bytes of an artifact, or a file with them.
type ArtifactSource = bytes | Path


class Compiler[T](Protocol):
    """Compiles one kind of binary to native code, and loads that."""

    @property
    def kind(self) -> str:
        """The kind of binary, which is part of the key."""

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Validate and compile a binary to the artifacts that `load` takes.

        It may run in a child process, which imports the compiler's class by its name.

        Raises:
            wasmtime.WasmtimeError: when the binary is not valid.
            WasmFormatError: when this compiler does not accept it.
        """

    def load(self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]) -> T:
        """Load artifacts whose digests were checked.

        Raises:
            OSError: when a file cannot be read.
            wasmtime.WasmtimeError: when wasmtime refuses them.
            ValueError: when they do not come from `compile`.
        """


class Native[T](Protocol):
    """A type of wasmtime that is loaded from native code."""

    def deserialize_file(self, engine: wasmtime.Engine, path: str, /) -> T:
        """Map a file of native code."""

    def deserialize(self, engine: wasmtime.Engine, encoded: bytes, /) -> T:
        """Copy native code from memory."""


def load_native[T](native: Native[T], engine: wasmtime.Engine, artifact: ArtifactSource) -> T:
    """Map a file of native code, or copy native code that cannot be mapped.

    Args:
        native: the type to load.
        engine: the engine that it is for.
        artifact: the native code, whose digest was checked.

    Raises:
        OSError: as the file system says.
        wasmtime.WasmtimeError: when wasmtime refuses it.
    """
    if isinstance(artifact, Path):
        try:
            return native.deserialize_file(engine, str(artifact))
        except (UnicodeEncodeError, wasmtime.WasmtimeError):
            # The path is not UTF-8, or the file system is mounted with noexec. An error of the code
            # itself is raised again below.
            artifact = artifact.read_bytes()
    return native.deserialize(engine, artifact)


class ModuleCompiler:
    """Compiles core modules."""

    kind = "core"

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Compile a core module to one artifact."""
        return [bytes(wasmtime.Module(engine, wasm).serialize())]

    def load(self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]) -> wasmtime.Module:
        """Load a compiled core module."""
        (artifact,) = artifacts
        return load_native(wasmtime.Module, engine, artifact)


def compile_artifacts(
    compiler: Compiler[Any], engine: wasmtime.Engine, wasm: bytes, *, what: str
) -> list[bytes]:
    """Compile a binary in this process.

    Raises:
        WasmFormatError: when the binary is not valid.
    """
    try:
        bare = without_custom_sections(wasm)
    except WasmFormatError as failure:
        raise failure.within(f"{what}: not a valid {compiler.kind} binary") from failure
    try:
        return compiler.compile(engine, bare)
    except wasmtime.WasmtimeError as failure:
        raise WasmFormatError(
            f"{what}: not a valid {compiler.kind} binary: {innermost_cause(failure)}"
        ) from failure
