"""Whether the entries of a cache are what was written, and what compiling them again gives."""

from collections.abc import Iterable, Mapping
from typing import Any

from chonkle.cache.aot import entry_key
from chonkle.cache.compilers import Compiler
from chonkle.cache.compiling import compile_codec
from chonkle.cache.directory import CacheDirectory, Entry
from chonkle.cache.record import Artifact, InvalidEntry, Record
from chonkle.digest import Digest
from chonkle.engine import ENGINE_CONFIGS, Engine
from chonkle.errors import CacheError, DigestMismatchError, LimitExceeded, WasmFormatError
from chonkle.limits import CompileLimits


class IncomparableError(Exception):
    """An entry cannot be compared with what compiling gives here; the text says why."""


def check_entry(directory: CacheDirectory, entry: Entry) -> None:
    """Check every byte of an entry; one that is removed meanwhile is fine.

    Raises:
        InvalidEntry: when it is not what was written.
    """
    if entry.problem is not None:
        raise InvalidEntry(entry.problem)
    if entry.record is None:
        return
    check_key(entry.record)
    try:
        directory.checked_artifacts(entry.record)
    except InvalidEntry:
        if directory.read(entry.key) is not None:
            raise


def check_key(record: Record) -> None:
    """Check that the key of an entry follows from its record.

    Raises:
        InvalidEntry: when it is another one.
    """
    metadata = record.metadata
    try:
        digest, engine = Digest.parse(metadata.wasm), Digest("blake3", metadata.engine)
    except DigestMismatchError as failure:
        raise InvalidEntry(f"its record: {failure}") from failure
    if entry_key(metadata.kind, digest, engine) != record.key:
        raise InvalidEntry("it has the key of another entry")


class Recompiler:
    """Compiles the binaries of entries again, and compares the bytes.

    Args of the constructor:
        compilers: those that entries may have been made by.
        binaries: the installed binaries; an entry has only the digest of its own.
        own: binaries of chonkle itself; they are compiled in this process.
        limits: limits on compiling a codec that is not shipped with chonkle; None compiles in this
            process, without limits.
    """

    def __init__(
        self,
        *,
        compilers: Iterable[Compiler[Any]],
        binaries: Iterable[bytes],
        own: Iterable[bytes] = (),
        limits: CompileLimits | None,
    ) -> None:
        self._compilers = {compiler.kind: compiler for compiler in compilers}
        self._own = _by_digest(own)
        self._binaries = {**_by_digest(binaries), **self._own}
        engines = [Engine(config) for config in ENGINE_CONFIGS]
        self._limits = limits
        self._engines = {engine.fingerprint.hex: engine for engine in engines}

    def compare(self, record: Record) -> None:
        """Compare the artifacts of an entry with what compiling gives.

        Raises:
            InvalidEntry: when they differ.
            IncomparableError: when they cannot be compared here.
        """
        metadata = record.metadata
        engine = self._engines.get(metadata.engine)
        if engine is None:
            raise IncomparableError(f"made by another engine, wasmtime {metadata.wasmtime}")
        wasm = self._binaries.get(metadata.wasm)
        if wasm is None:
            raise IncomparableError(f"its binary is not installed: {metadata.wasm}")
        compiler = self._compilers.get(metadata.kind)
        if compiler is None:
            raise IncomparableError(f"nothing here makes entries of kind `{metadata.kind}`")
        try:
            contents = compile_codec(
                compiler,
                wasm,
                digest=Digest.parse(metadata.wasm),
                what=f"codec {metadata.label}",
                engine=engine,
                limits=None if metadata.wasm in self._own else self._limits,
            )
        except (LimitExceeded, CacheError) as failure:
            raise IncomparableError(str(failure)) from failure
        except WasmFormatError as failure:
            raise InvalidEntry("its binary cannot be compiled") from failure
        if tuple(Artifact.of(record.key, content) for content in contents) != record.artifacts:
            raise InvalidEntry("compiling its binary again gives other bytes")


def _by_digest(binaries: Iterable[bytes]) -> Mapping[str, bytes]:
    return {str(Digest.blake3(wasm)): wasm for wasm in binaries}
