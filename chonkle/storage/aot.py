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
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import wasmtime
from blake3 import blake3

from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.errors import CacheError, WasmFormatError
from chonkle.formats.wasm_binary import Kind
from chonkle.storage.files import distrust, locked, make_private_directory, write_atomic

FORMAT_VERSION = 1
CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds native code that chonkle compiled; it may be deleted at any time.\n"
    b"# See https://bford.info/cachedir/\n"
)

Mode = Literal["auto", "only", "off"]

_LOCK_TIMEOUT_S = 120.0
_RECORD_MAX_BYTES = 64 * 1024
# Use times are kept to the hour: cheap, and as exact as trimming needs.
_TOUCH_S = 3600.0
_SEAL = "seal = "

type Compiled = wasmtime.Module | wasmtime.component.Component


@dataclass(slots=True)
class CacheCounts:
    """What a cache did since it was opened.

    Attributes:
        loaded: artifacts that were taken from it.
        compiled: binaries that were compiled.
        rejected: entries that were there and not believed.
    """

    loaded: int = 0
    compiled: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class _Record:
    """What an entry says of itself; the fields of the TOML file."""

    artifact: str
    size: int
    blake3: str


class _Doubt(Exception):  # noqa: N818 - not an error: a reason for a miss
    """A reason not to believe an entry."""


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

    def module(self, wasm: bytes, *, digest: Digest, label: str) -> wasmtime.Module:
        """Give a compiled core module.

        Args:
            wasm: the binary.
            digest: its BLAKE3 digest.
            label: the codec, for messages and records.

        Raises:
            WasmFormatError: when it is not a valid module.
            CacheError: in mode `only`, when the cache does not have it.
        """
        compiled = self._get_or_compile("core", wasm, digest, label)
        if not isinstance(compiled, wasmtime.Module):
            raise CacheError(f"{label}: cached native code is not a core module")
        return compiled

    def component(
        self, wasm: bytes, *, digest: Digest, label: str
    ) -> "wasmtime.component.Component":
        """Give a compiled component.

        Args:
            wasm: the binary.
            digest: its BLAKE3 digest.
            label: the codec, for messages and records.

        Raises:
            WasmFormatError: when it is not a valid component.
            CacheError: in mode `only`, when the cache does not have it.
        """
        compiled = self._get_or_compile("component", wasm, digest, label)
        if isinstance(compiled, wasmtime.Module):
            raise CacheError(f"{label}: cached native code is not a component")
        return compiled

    def key(self, kind: Kind, digest: Digest) -> str:
        """Give the key of an entry, as 64 hexadecimal digits."""
        fields = f"{FORMAT_VERSION}\0{kind}\0{digest}\0{self.engine.fingerprint}"
        return blake3(fields.encode()).hexdigest()

    def _get_or_compile(self, kind: Kind, wasm: bytes, digest: Digest, label: str) -> Compiled:
        directory = self._directory()
        if directory is None:
            if self.mode == "only":
                raise self._missing(label, digest, "the cache cannot be used")
            return self._compile(kind, wasm, label)
        key = self.key(kind, digest)
        entry = directory / key[:2]
        found = self._find(kind, entry, key, label, is_final=self.mode == "only")
        if found is not None:
            return found
        if self.mode == "only":
            raise self._missing(label, digest, f"no entry {key[:16]} in {self.root}")
        try:
            make_private_directory(entry)
            with locked(entry / f"{key}.lock", timeout_s=_LOCK_TIMEOUT_S):
                # Another process may have compiled it while this one waited.
                found = self._find(kind, entry, key, label, is_final=True)
                if found is not None:
                    return found
                return self._compile_into(
                    entry, key, kind=kind, wasm=wasm, digest=digest, label=label
                )
        except OSError as failure:
            # A cache may fail; a codec may not fail because of it.
            _warn(f"AOT cache: no lock for codec {label}, compiled in memory: {failure}")
            return self._compile(kind, wasm, label)

    def _missing(self, label: str, digest: Digest, why: str) -> CacheError:
        return CacheError(
            f"no native code for codec {label} ({digest}): {why}, and CHONKLE_AOT=only forbids "
            f"to compile it",
            hint="run the pipeline once with CHONKLE_AOT=auto and the same cache directory",
        )

    def _directory(self) -> Path | None:
        """Give the directory of this format, or None where the cache is off or not trusted."""
        if self.root is None or self.mode == "off":
            return None
        if self._ready is None:
            self._ready = self._prepare()
        return self.root / f"aot-v{FORMAT_VERSION}" if self._ready else None

    def _prepare(self) -> bool:
        assert self.root is not None  # noqa: S101 - the caller has looked
        directory = self.root / f"aot-v{FORMAT_VERSION}"
        try:
            if not directory.is_dir():
                if self.mode == "only":
                    return False
                make_private_directory(self.root)
                reason = distrust(self.root)
                if reason is None:
                    make_private_directory(directory)
                    write_atomic(self.root / "CACHEDIR.TAG", CACHEDIR_TAG)
            reason = distrust(directory) if directory.is_dir() else distrust(self.root)
        except OSError as failure:
            reason = str(failure)
        if reason is not None:
            _warn(f"AOT cache not used, codecs are compiled in memory: {reason}")
            return False
        return True

    def _find(
        self, kind: Kind, entry: Path, key: str, label: str, *, is_final: bool
    ) -> Compiled | None:
        """Load an entry if it is there and believed; a doubt is logged once, by the final look."""
        try:
            return self._load(kind, entry, key)
        except _Doubt as doubt:
            if is_final:
                self.counts.rejected += 1
                _warn(f"AOT cache entry of codec {label} not used: {doubt}")
            return None

    def _load(self, kind: Kind, entry: Path, key: str) -> Compiled | None:
        record_path = entry / f"{key}.toml"
        try:
            text = _read_bounded(record_path, _RECORD_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise _Doubt(str(failure)) from failure
        record = _parse_record(text, key)
        try:
            compiled = self._load_artifact(kind, entry / record.artifact, record)
        except OSError as failure:
            raise _Doubt(str(failure)) from failure
        self.counts.loaded += 1
        self._touch(record_path)
        return compiled

    def _load_artifact(self, kind: Kind, path: Path, record: _Record) -> Compiled:
        hasher = blake3()
        hasher.update_mmap(path)
        if hasher.hexdigest() != record.blake3:
            raise _Doubt(f"{path.name} does not have the digest of its record")
        try:
            if kind == "core":
                return wasmtime.Module.deserialize_file(self.engine.wasmtime, str(path))
            from wasmtime.component import Component  # noqa: PLC0415 - 30 ms, only here

            return Component.deserialize_file(self.engine.wasmtime, str(path))
        except wasmtime.WasmtimeError as failure:
            raise _Doubt(f"wasmtime refuses {path.name}: {_first_line(failure)}") from failure

    def _touch(self, record_path: Path) -> None:
        try:
            now = self.clock()
            if now - record_path.stat().st_mtime > _TOUCH_S:
                os.utime(record_path, (now, now))
        except OSError:
            # Somebody removed the entry meanwhile, or the directory is read-only: either way the
            # code is loaded and its use time does not matter.
            return

    def _compile(self, kind: Kind, wasm: bytes, label: str) -> Compiled:
        try:
            if kind == "core":
                compiled: Compiled = wasmtime.Module(self.engine.wasmtime, wasm)
            else:
                from wasmtime.component import Component  # noqa: PLC0415 - 30 ms, only here

                compiled = Component(self.engine.wasmtime, wasm)
        except wasmtime.WasmtimeError as failure:
            raise WasmFormatError(
                f"codec {label}: not a valid {kind} binary: {_first_line(failure)}"
            ) from failure
        self.counts.compiled += 1
        return compiled

    def _compile_into(
        self, entry: Path, key: str, *, kind: Kind, wasm: bytes, digest: Digest, label: str
    ) -> Compiled:
        started = time.perf_counter()
        compiled = self._compile(kind, wasm, label)
        seconds = time.perf_counter() - started
        artifact = bytes(compiled.serialize())
        content = Digest.blake3(artifact)
        name = f"{key}-{content.hex[:16]}.cwasm"
        record = {
            "key": key,
            "artifact": name,
            "size": len(artifact),
            "blake3": content.hex,
            "kind": kind,
            "codec": label,
            "wasm": str(digest),
            "wasm_size": len(wasm),
            "engine": self.engine.fingerprint.hex,
            "created": round(self.clock()),
            "compile_seconds": round(seconds, 4),
        }
        try:
            write_atomic(entry / name, artifact)
            write_atomic(entry / f"{key}.toml", _write_record(record))
        except OSError as failure:
            _warn(f"AOT cache: native code of codec {label} was not kept: {failure}")
        return compiled


def _write_record(record: dict[str, object]) -> bytes:
    import tomli_w  # noqa: PLC0415 - only who writes an entry needs it

    body = tomli_w.dumps(record)
    return f'{_SEAL}"{Digest.blake3(body.encode())}"\n{body}'.encode()


def _parse_record(text: bytes, key: str) -> _Record:
    first, _, body = text.partition(b"\n")
    if first.decode(errors="replace") != f'{_SEAL}"{Digest.blake3(body)}"':
        raise _Doubt("the record's seal is broken")
    try:
        fields = tomllib.loads(body.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise _Doubt(f"the record is not TOML: {failure}") from failure
    if fields.get("key") != key:
        raise _Doubt("the record belongs to another entry")
    artifact, size, digest = (fields.get(name) for name in ("artifact", "size", "blake3"))
    if not (isinstance(artifact, str) and isinstance(size, int) and isinstance(digest, str)):
        raise _Doubt("the record lacks a field")
    if artifact != f"{key}-{digest[:16]}.cwasm":
        raise _Doubt("the record names a file that is not its own")
    return _Record(artifact, size, digest)


def _read_bounded(path: Path, size_max: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size_max)


def _first_line(failure: Exception) -> str:
    return str(failure).strip().split("\n", 1)[0]


def _warn(message: str) -> None:
    import logging  # noqa: PLC0415 - as slow as a call of a codec, and hardly ever needed

    logging.getLogger("chonkle.aot").warning(message)
