"""The AOT cache: native code of codecs, compiled once for a machine.

    <root>/
      CACHEDIR.TAG
      aot-v1/                                 one directory for each version of this format
        <kk>/                                 first two digits of the key
          <key>.toml                          record: written last, so that it commits the entry
          <key>-<digest>.cwasm                artifact: native code, named by its content
          <key>.lock                          held by who compiles

The *key* is the BLAKE3 hash of everything that the native code depends on: this format's version,
the kind of binary, the digest of the wasm, and the engine's fingerprint. Files are never changed
once they have their name. A reader takes no lock: it checks the record's seal and the artifact's
digest before wasmtime sees a byte, because wasmtime does not notice a flipped bit. Every doubt is a
logged miss.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import wasmtime
from blake3 import blake3

from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.errors import CacheError, WasmFormatError
from chonkle.storage.files import distrust, locked, make_private_directory, write_atomic
from chonkle.storage.record import Artifact, Doubt, parse_record, write_record

FORMAT_VERSION = 1
CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds native code that chonkle compiled; it may be deleted at any time.\n"
    b"# See https://bford.info/cachedir/\n"
)

Mode = Literal["auto", "only", "off"]

_LOCK_TIMEOUT_S = 120.0
_RECORD_MAX_BYTES = 256 * 1024
# Use times are kept to the hour: cheap, and as exact as trimming needs.
_TOUCH_S = 3600.0


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
        return wasmtime.Module.deserialize_file(engine, str(path))


@dataclass(slots=True)
class CacheCounts:
    """What a cache did since it was opened.

    Attributes:
        loaded: entries that were taken from it.
        compiled: binaries that were compiled.
        rejected: entries that were there and not believed.
    """

    loaded: int = 0
    compiled: int = 0
    rejected: int = 0


@dataclass(slots=True)
class AotCache:
    """Native code by wasm digest and engine.

    Attributes:
        engine: the engine that compiles, and that loads what was compiled.
        root: the cache directory, or None to keep nothing.
        mode: `auto` reads and writes, `only` never compiles, `off` keeps nothing.
        clock: gives the time in seconds since the epoch.
        counts: what happened so far.
    """

    engine: Engine
    root: Path | None
    mode: Mode = "auto"
    clock: Callable[[], float] = time.time
    counts: CacheCounts = field(default_factory=CacheCounts)
    _ready: bool | None = None

    def key(self, kind: str, digest: Digest) -> str:
        """Give the key of an entry, as 64 hexadecimal digits."""
        fields = f"{FORMAT_VERSION}\0{kind}\0{digest}\0{self.engine.fingerprint}"
        return blake3(fields.encode()).hexdigest()

    def get_or_compile[T](
        self, compiler: Compiler[T], wasm: bytes, *, digest: Digest, label: str
    ) -> T:
        """Give what runs of a binary, compiling it only where the cache does not have it.

        Args:
            compiler: what compiles and loads this kind of binary.
            wasm: the binary.
            digest: its BLAKE3 digest.
            label: the codec, for messages and records.

        Raises:
            WasmFormatError: when the binary is not valid.
            CacheError: in mode `only`, when the cache does not have it.
        """
        job = _Job(compiler, wasm, digest, label)
        directory = self._directory()
        if directory is None:
            if self.mode == "only":
                raise self._missing(job, "the cache cannot be used")
            return self._compile(job)[0]
        key = self.key(compiler.kind, digest)
        entry = directory / key[:2]
        found = self._find(job, entry, key, is_final=self.mode == "only")
        if found is not None:
            return found
        if self.mode == "only":
            raise self._missing(job, f"no entry {key[:16]} in {self.root}")
        try:
            make_private_directory(entry)
            with locked(entry / f"{key}.lock", timeout_s=_LOCK_TIMEOUT_S):
                # Another process may have compiled it while this one waited.
                found = self._find(job, entry, key, is_final=True)
                return found if found is not None else self._compile_into(job, entry, key)
        except OSError as failure:
            # A cache may fail; a codec may not fail because of it.
            _warn(f"AOT cache: no lock for codec {label}, compiled in memory: {failure}")
            return self._compile(job)[0]

    def _missing(self, job: "_Job[object]", why: str) -> CacheError:
        return CacheError(
            f"no native code for codec {job.label} ({job.digest}): {why}, and CHONKLE_AOT=only "
            f"forbids to compile it",
            hint="run the pipeline once with CHONKLE_AOT=auto and the same cache directory",
        )

    def _directory(self) -> Path | None:
        """Give the directory of this format, or None where the cache is off or not trusted."""
        if self.root is None or self.mode == "off":
            return None
        directory = self.root / f"aot-v{FORMAT_VERSION}"
        if self._ready is None:
            self._ready = self._prepare(self.root, directory)
        return directory if self._ready else None

    def _prepare(self, root: Path, directory: Path) -> bool:
        try:
            if not directory.is_dir():
                if self.mode == "only":
                    return False
                make_private_directory(root)
            # Before anything is written, and with it the directory that entries are read from.
            reason = distrust(root)
            if reason is None and not directory.is_dir():
                make_private_directory(directory)
                write_atomic(root / "CACHEDIR.TAG", CACHEDIR_TAG)
            reason = reason or distrust(directory)
        except OSError as failure:
            reason = str(failure)
        if reason is not None:
            _warn(f"AOT cache not used, codecs are compiled in memory: {reason}")
            return False
        return True

    def _find[T](self, job: "_Job[T]", entry: Path, key: str, *, is_final: bool) -> T | None:
        """Load an entry if it is there and believed; a doubt is logged once, by the final look."""
        try:
            return self._load(job, entry, key)
        except Doubt as doubt:
            if is_final:
                self.counts.rejected += 1
                _warn(f"AOT cache entry of codec {job.label} not used: {doubt}")
            return None

    def _load[T](self, job: "_Job[T]", entry: Path, key: str) -> T | None:
        record_path = entry / f"{key}.toml"
        try:
            with record_path.open("rb") as file:
                text = file.read(_RECORD_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise Doubt(str(failure)) from failure
        artifacts = parse_record(text, key)
        try:
            for artifact in artifacts:
                hasher = blake3()
                hasher.update_mmap(entry / artifact.name)
                if hasher.hexdigest() != artifact.blake3:
                    raise Doubt(f"{artifact.name} does not have the digest of its record")
            paths = [entry / artifact.name for artifact in artifacts]
            loaded = job.compiler.load(self.engine.wasmtime, paths)
        except (OSError, ValueError) as failure:
            raise Doubt(str(failure)) from failure
        except wasmtime.WasmtimeError as failure:
            raise Doubt(f"wasmtime refuses it: {_reason(failure)}") from failure
        self.counts.loaded += 1
        self._touch(record_path)
        return loaded

    def _touch(self, record_path: Path) -> None:
        try:
            now = self.clock()
            if now - record_path.stat().st_mtime > _TOUCH_S:
                os.utime(record_path, (now, now))
        except OSError:
            # Somebody removed the entry meanwhile, or the directory is read-only: either way the
            # code is loaded and its use time does not matter.
            return

    def _compile[T](self, job: "_Job[T]") -> tuple[T, list[bytes]]:
        try:
            compiled = job.compiler.compile(self.engine.wasmtime, job.wasm)
        except wasmtime.WasmtimeError as failure:
            raise WasmFormatError(
                f"codec {job.label}: not a valid {job.compiler.kind} binary: {_reason(failure)}"
            ) from failure
        self.counts.compiled += 1
        return compiled

    def _compile_into[T](self, job: "_Job[T]", entry: Path, key: str) -> T:
        started = time.perf_counter()
        compiled, contents = self._compile(job)
        about = {
            "kind": job.compiler.kind,
            "codec": job.label,
            "wasm": str(job.digest),
            "wasm_size": len(job.wasm),
            "engine": self.engine.fingerprint.hex,
            "created": round(self.clock()),
            "compile_seconds": round(time.perf_counter() - started, 4),
        }
        try:
            artifacts = [Artifact.of(key, content) for content in contents]
            for artifact, content in zip(artifacts, contents, strict=True):
                write_atomic(entry / artifact.name, content)
            write_atomic(entry / f"{key}.toml", write_record(key, artifacts, about))
        except OSError as failure:
            _warn(f"AOT cache: native code of codec {job.label} was not kept: {failure}")
        return compiled


@dataclass(frozen=True, slots=True)
class _Job[T]:
    """One binary to be had: what `get_or_compile` was asked for."""

    compiler: Compiler[T]
    wasm: bytes
    digest: Digest
    label: str


def _reason(failure: Exception) -> str:
    # wasmtime prints a chain of causes, the innermost last.
    return str(failure).strip().rsplit("\n", 1)[-1].strip()


def _warn(message: str) -> None:
    import logging  # noqa: PLC0415 - as slow as a call of a codec, and hardly ever needed

    logging.getLogger("chonkle.aot").warning(message)
