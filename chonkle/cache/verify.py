"""Whether entries of a cache are what was written, and what compiling them again gives."""

from collections.abc import Iterable, Mapping
from typing import Any

from chonkle.cache.aot import entry_key
from chonkle.cache.compiling import compile_codec
from chonkle.cache.directory import CacheDirectory, Entry
from chonkle.cache.native import Compiler
from chonkle.cache.record import Artifact, Doubt, Record
from chonkle.digest import Digest
from chonkle.engine import ENGINE_CONFIGS, Engine
from chonkle.errors import CacheError, DigestMismatchError, LimitExceeded, WasmFormatError
from chonkle.limits import CompileLimits


class IncomparableError(Exception):
    """A reason why an entry cannot be compared with what compiling gives here."""


def check_entry(directory: CacheDirectory, entry: Entry) -> None:
    """Demand that an entry is what was written, reading every byte of it.

    An entry that somebody removes meanwhile is no worse for that.

    Args:
        directory: where it is.
        entry: the entry.

    Raises:
        Doubt: when it is not.
    """
    if entry.doubt is not None:
        raise Doubt(entry.doubt)
    if entry.record is None:
        return
    check_key(entry.record)
    try:
        directory.checked_artifacts(entry.record)
    except Doubt:
        if directory.read(entry.key) is not None:
            raise


def check_key(record: Record) -> None:
    """Demand that an entry stands where readers look for what it says it is.

    Raises:
        Doubt: when it stands elsewhere.
    """
    about = record.about
    try:
        key = entry_key(about.kind, Digest.parse(about.wasm), Digest("blake3", about.engine))
    except DigestMismatchError as failure:
        raise Doubt(f"its record: {failure}") from failure
    if key != record.key:
        raise Doubt("it has the key of another entry")


class Recompiler:
    """Compiles what entries were made of again, and compares the bytes.

    Args of the constructor:
        compilers: those that entries may have been made by.
        binaries: the binaries that there are; an entry says only which one it was made of.
        own: binaries that chonkle makes itself; they are compiled in this process.
        limits: what compiling one of the others may take that is not shipped with chonkle; None
            compiles in this process, without limits.
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
        """Demand that compiling gives the artifacts that an entry has.

        Raises:
            Doubt: when it gives others.
            IncomparableError: when that cannot be tried here.
        """
        about = record.about
        engine = self._engines.get(about.engine)
        if engine is None:
            raise IncomparableError(f"made by another engine, wasmtime {about.wasmtime}")
        wasm = self._binaries.get(about.wasm)
        if wasm is None:
            raise IncomparableError(f"its binary is not installed: {about.wasm}")
        compiler = self._compilers.get(about.kind)
        if compiler is None:
            raise IncomparableError(f"nothing here makes entries of kind `{about.kind}`")
        try:
            contents = compile_codec(
                compiler,
                wasm,
                digest=Digest.parse(about.wasm),
                what=f"codec {about.label}",
                engine=engine,
                limits=None if about.wasm in self._own else self._limits,
            )
        except (LimitExceeded, CacheError) as failure:
            raise IncomparableError(str(failure)) from failure
        except WasmFormatError as failure:
            raise Doubt("its binary cannot be compiled") from failure
        if tuple(Artifact.of(record.key, content) for content in contents) != record.artifacts:
            raise Doubt("compiling its binary again gives other bytes")


def _by_digest(binaries: Iterable[bytes]) -> Mapping[str, bytes]:
    return {str(Digest.blake3(wasm)): wasm for wasm in binaries}
