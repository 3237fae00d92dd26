"""Native code of a binary: what makes it, and what makes something to run of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import wasmtime

from chonkle.engine import innermost_cause
from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import without_custom_sections

# The bytes of an artifact, or a file that has them.
type ArtifactSource = bytes | Path


class Compiler[T](Protocol):
    """What turns one kind of binary into native code, and native code into something to run."""

    @property
    def kind(self) -> str:
        """Name the kind; it is part of the key."""

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Validate and compile a binary; give the artifacts that `load` takes.

        It may run in another process, which imports the compiler's class by its name.

        Raises:
            wasmtime.WasmtimeError: when the binary is not valid.
            WasmFormatError: when it is not what this compiler takes.
        """

    def load(self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]) -> T:
        """Make what runs of artifacts, whose digests were checked.

        Raises:
            OSError: when a file cannot be read.
            wasmtime.WasmtimeError: when wasmtime does not want them.
            ValueError: when they are not what `compile` gives.
        """


class Native[T](Protocol):
    """A type of wasmtime's that can be had of native code."""

    def deserialize_file(self, engine: wasmtime.Engine, path: str, /) -> T:
        """Map a file of native code."""

    def deserialize(self, engine: wasmtime.Engine, encoded: bytes, /) -> T:
        """Copy native code from memory."""


def load_native[T](native: Native[T], engine: wasmtime.Engine, artifact: ArtifactSource) -> T:
    """Map a file of native code; copy it where it cannot be mapped, or is not in a file.

    Args:
        native: what it is to become.
        engine: the engine that it is for.
        artifact: the native code, whose digest was checked.

    Raises:
        OSError: as the file system says.
        wasmtime.WasmtimeError: when wasmtime does not want it.
    """
    if isinstance(artifact, Path):
        try:
            return native.deserialize_file(engine, str(artifact))
        except (UnicodeEncodeError, wasmtime.WasmtimeError):
            # wasmtime takes no path that is not UTF-8, and some file systems are mounted so that
            # nothing on them may be executed. What is wrong with the code itself is said again.
            artifact = artifact.read_bytes()
    return native.deserialize(engine, artifact)


class ModuleCompiler:
    """Compiles core modules."""

    kind = "core"

    def compile(self, engine: wasmtime.Engine, wasm: bytes) -> list[bytes]:
        """Compile a core module; its one artifact is wasmtime's."""
        return [bytes(wasmtime.Module(engine, wasm).serialize())]

    def load(self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]) -> wasmtime.Module:
        """Load a compiled core module."""
        (artifact,) = artifacts
        return load_native(wasmtime.Module, engine, artifact)


def compile_artifacts(
    compiler: Compiler[Any], engine: wasmtime.Engine, wasm: bytes, *, what: str
) -> list[bytes]:
    """Compile a binary in this process.

    Args:
        compiler: what compiles this kind of binary.
        engine: the engine that will run it.
        wasm: the binary.
        what: the codec, for the message.

    Returns:
        The artifacts.

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
