"""Whether entries of a cache are what was written, and what compiling them again gives."""

from collections.abc import Iterable, Mapping
from typing import Any

import wasmtime

from chonkle.cache.aot import entry_key
from chonkle.cache.directory import CacheDirectory, Entry
from chonkle.cache.native import Compiler
from chonkle.cache.record import Artifact, Doubt, Record
from chonkle.digest import Digest
from chonkle.engine import ENGINE_CONFIGS, Engine
from chonkle.errors import ChonkleError, DigestMismatchError


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
    """

    def __init__(self, *, compilers: Iterable[Compiler[Any]], binaries: Iterable[bytes]) -> None:
        self._compilers = {compiler.kind: compiler for compiler in compilers}
        self._binaries: Mapping[str, bytes] = {str(Digest.blake3(wasm)): wasm for wasm in binaries}
        engines = [Engine(config) for config in ENGINE_CONFIGS]
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
            _, contents = compiler.compile(engine.wasmtime, wasm)
        except (wasmtime.WasmtimeError, ChonkleError) as failure:
            raise Doubt("its binary cannot be compiled") from failure
        if tuple(Artifact.of(record.key, content) for content in contents) != record.artifacts:
            raise Doubt("compiling its binary again gives other bytes")
