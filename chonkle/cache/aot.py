"""The AOT cache: native code of codecs, compiled once on a machine.

The *key* of an entry is the BLAKE3 hash of everything that the native code depends on: the format
version, the kind of binary, the digest of the wasm, and the engine's fingerprint. Entries are read
from the system's directory first, then from the user's own. What neither has is compiled by one
process at a time, and written to the user's own.

wasmtime does not notice a flipped bit, so every byte is checked before wasmtime gets it. An entry
that fails any check counts as a miss and is logged; codecs run whatever happens to the files.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Literal

import wasmtime
from blake3 import blake3

from chonkle.cache.compilers import Compiler
from chonkle.cache.compiling import compile_codec
from chonkle.cache.directory import FORMAT_VERSION, NO_LOCKS, CacheDirectory
from chonkle.cache.layers import LOGGER, CacheLayers
from chonkle.cache.record import Artifact, EntryMetadata, InvalidEntry, Record
from chonkle.digest import Digest
from chonkle.engine import Engine, innermost_cause, target
from chonkle.errors import CacheError, os_error_text, warn
from chonkle.limits import CompileLimits
from chonkle.locking import ForkableLock
from chonkle.wasmtime_version import wasmtime_version

# Compiling takes milliseconds for a small codec and seconds for a large one, on a machine that may
# be busy. A process that has waited longer compiles for itself.
WAIT_S = 30.0
_WAIT_S_PER_BYTE = 5e-6
# How many entries of a directory are read to explain a missing one.
EXPLAIN_MAX = 1000
# How often an entry is read again while its files are being replaced.
_READS_MAX = 10
_PAUSE_S = 0.002
_WITHOUT_LOCKS = "no locks, so that several processes may compile the same"
_NOT_KEPT = "codecs are compiled in memory and not kept"


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary to run."""

    wasm: bytes
    digest: Digest  # BLAKE3 digest of `wasm`
    codec_id: str  # what the codec does, for the record
    label: str  # its implementation and version, for messages and the record


@dataclass(slots=True)
class CacheCounts:
    """What a cache did since it was opened."""

    loaded: int = 0  # entries that were loaded
    compiled: int = 0  # binaries that were compiled
    kept: int = 0  # compiled ones that were written to the cache
    rejected: int = 0  # entries that failed a check
    # Threads that open different codecs of one runtime count at the same time.
    _lock: ForkableLock = field(default_factory=ForkableLock, repr=False, compare=False)

    def add(self, name: Literal["loaded", "compiled", "kept", "rejected"]) -> None:
        """Count one more."""
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)


@dataclass(slots=True)
class AotCache:
    """Native code by wasm digest and engine."""

    engine: Engine
    layers: CacheLayers
    counts: CacheCounts = field(default_factory=CacheCounts)  # what happened so far
    # How long to wait for another process that compiles the same, besides an allowance for the size
    # of the binary.
    wait_s: float = WAIT_S
    # Limits on compiling a codec that is not shipped with chonkle; None compiles in this process,
    # without limits.
    compile_limits: CompileLimits | None = None

    def key(self, kind: str, digest: Digest) -> str:
        """Give the key of an entry, as 64 hexadecimal digits."""
        return entry_key(kind, digest, self.engine.fingerprint)

    def get_or_compile[T](self, binary: Binary, compiler: Compiler[T]) -> T:
        """Load the native code of a binary, or compile it where the cache does not have it.

        Raises:
            WasmFormatError: when the binary is not valid.
            LimitExceeded: when compiling it exceeds the limits.
            CacheError: in mode `only`, when the cache does not have it; or when the process that
                compiles breaks.
        """
        found = self.find_or_compile(binary, compiler)
        if found is None:
            raise self._missing(binary)
        return found

    def find_or_compile[T](self, binary: Binary, compiler: Compiler[T]) -> T | None:
        """Do as `get_or_compile`, but give None in mode `only` when the cache lacks it."""
        layers = self.layers
        is_compiled = layers.config.mode != "only"
        if not layers.readable:
            return self._compile(binary, compiler)[0] if is_compiled else None
        key = self.key(compiler.kind, binary.digest)
        own = layers.own
        problem = None
        for directory in layers.readable:
            try:
                found = self._load(binary, compiler, directory, key)
            except InvalidEntry as reason:
                if directory is own:
                    # Another process may be replacing it just now: checked again under the lock.
                    problem = reason
                else:
                    self._reject(binary, reason)
                continue
            if found is not None:
                return found
        if not is_compiled:
            return None
        if own is None:
            return self._compile(binary, compiler)[0]
        return self._compile_once(binary, compiler, own, key, problem)

    def _compile_once[T](
        self,
        binary: Binary,
        compiler: Compiler[T],
        own: CacheDirectory,
        key: str,
        problem: InvalidEntry | None,
    ) -> T:
        """Compile under the entry's lock, and write the entry."""
        with ExitStack() as held:
            is_kept = True
            timeout_s = self.wait_s + len(binary.wasm) * _WAIT_S_PER_BYTE
            try:
                held.enter_context(own.lock(key, timeout_s=timeout_s))
            except TimeoutError:
                # The process that holds the lock will write the entry.
                is_kept = False
            except OSError as failure:
                # Without locks, several processes may compile and write the same.
                is_kept = failure.errno in NO_LOCKS
                effect = _WITHOUT_LOCKS if is_kept else _NOT_KEPT
                self.layers.warn_once(f"AOT cache: {effect}: {os_error_text(failure)}")
            # Another process may have compiled it while this one waited.
            try:
                found = self._load(binary, compiler, own, key)
            except InvalidEntry as reason:
                found, problem = None, reason
            if found is not None:
                return found
            if problem is not None:
                self._reject(binary, problem)
            started = time.perf_counter()
            compiled, contents = self._compile(binary, compiler)
            seconds = time.perf_counter() - started
            if is_kept:
                self._keep(binary, compiler.kind, own, contents, seconds=seconds)
        if is_kept:
            self._trim_if_due(own)
        return compiled

    def _keep(
        self,
        binary: Binary,
        kind: str,
        own: CacheDirectory,
        contents: Sequence[bytes],
        *,
        seconds: float,
    ) -> None:
        key = self.key(kind, binary.digest)
        artifacts = tuple(Artifact.of(key, content) for content in contents)
        try:
            metadata = EntryMetadata(
                kind=kind,
                codec_id=binary.codec_id,
                label=binary.label,
                wasm=str(binary.digest),
                wasm_size=len(binary.wasm),
                engine=self.engine.fingerprint.hex,
                # It reads files, so it may raise too.
                wasmtime=wasmtime_version(),
                target=target(),
                created=round(self.layers.clock()),
                compile_seconds=round(seconds, 4),
            )
            own.write(Record(key, artifacts, metadata), contents)
        except OSError as failure:
            self.layers.warn_once(f"AOT cache: {_NOT_KEPT}: {os_error_text(failure)}")
        else:
            self.counts.add("kept")

    def _trim_if_due(self, own: CacheDirectory) -> None:
        from chonkle.cache.trimming import trim_if_due  # noqa: PLC0415 - only after compiling

        try:
            trim_if_due(
                own,
                size_max_bytes=self.layers.config.size_max_bytes,
                wasmtime=wasmtime_version(),
                now=self.layers.clock(),
            )
        except OSError as failure:
            self.layers.warn_once(f"AOT cache: not trimmed: {os_error_text(failure)}")

    def _missing(self, binary: Binary) -> CacheError:
        """Make the error for missing native code; it names code for other engines."""
        own = f"wasmtime {wasmtime_version()} on {target()}"
        others: set[str] = set()
        is_cut = False
        for directory in self.layers.readable:
            # An unreadable directory explains nothing.
            with suppress(OSError):
                for number, entry in enumerate(directory.entries()):
                    if number == EXPLAIN_MAX:
                        is_cut = True
                        break
                    if (
                        entry.record is not None
                        and (metadata := entry.record.metadata).wasm == str(binary.digest)
                        # An entry for this engine was just rejected; the log says why.
                        and metadata.engine != self.engine.fingerprint.hex
                    ):
                        others.add(f"wasmtime {metadata.wasmtime} on {metadata.target}")
        found = [f"{each} with other settings" if each == own else each for each in sorted(others)]
        option = "--interruptible " * self.engine.config.interruptible
        places = (self.layers.config.system, self.layers.config.root)
        unfound = f"none, as far as {EXPLAIN_MAX} entries tell" if is_cut else "none"
        where = " and ".join(str(place) for place in places if place is not None) or "no cache"
        return CacheError(
            f"no native code for codec {binary.label} ({binary.digest}), and CHONKLE_AOT=only "
            f"forbids to compile it",
            expected=f"an entry for {own} in {where}",
            got=f"code for {', '.join(found)}" if found else unfound,
            hint=f"`CHONKLE_AOT=auto chonkle cache warm {option}{binary.label}` makes it",
        )

    def _reject(self, binary: Binary, problem: InvalidEntry) -> None:
        self.counts.add("rejected")
        warn(LOGGER, f"AOT cache entry of codec {binary.label} not used: {problem}")

    def _load[T](
        self, binary: Binary, compiler: Compiler[T], directory: CacheDirectory, key: str
    ) -> T | None:
        reads = 0
        while (record := directory.read(key)) is not None:
            reads += 1
            try:
                loaded = self._loaded(binary, compiler, directory, record)
            except InvalidEntry as problem:
                # Another process may have removed the entry, which makes it a plain miss, or have
                # replaced it, perhaps with an equal one while a file was missing.
                is_missing = isinstance(problem.__cause__, FileNotFoundError)
                if directory.read(key) == record:
                    if not is_missing or reads >= _READS_MAX:
                        raise
                    # It may be half removed, by a process that has no turn just now.
                    time.sleep(_PAUSE_S * reads)
                continue
            self.counts.add("loaded")
            directory.note_use(key, now=self.layers.clock())
            return loaded
        return None

    def _loaded[T](
        self, binary: Binary, compiler: Compiler[T], directory: CacheDirectory, record: Record
    ) -> T:
        """Check the artifacts of a record and load them."""
        self._check(binary, compiler.kind, record.metadata)
        try:
            paths = directory.checked_artifacts(record)
            return compiler.load(self.engine.wasmtime, paths)
        except OSError as failure:
            raise InvalidEntry(os_error_text(failure)) from failure
        except ValueError as failure:
            raise InvalidEntry(str(failure)) from failure
        except wasmtime.WasmtimeError as failure:
            raise InvalidEntry(f"wasmtime refuses it: {innermost_cause(failure)}") from failure

    def _check(self, binary: Binary, kind: str, metadata: EntryMetadata) -> None:
        for name, found, wanted in (
            ("kind", metadata.kind, kind),
            ("binary", metadata.wasm, str(binary.digest)),
            ("engine", metadata.engine, self.engine.fingerprint.hex),
        ):
            if found != wanted:
                raise InvalidEntry(f"the record is of another {name}")

    def _compile[T](self, binary: Binary, compiler: Compiler[T]) -> tuple[T, list[bytes]]:
        contents = compile_codec(
            compiler,
            binary.wasm,
            digest=binary.digest,
            what=f"codec {binary.label}",
            engine=self.engine,
            limits=self.compile_limits,
        )
        try:
            compiled = compiler.load(self.engine.wasmtime, contents)
        except (wasmtime.WasmtimeError, ValueError) as failure:
            raise CacheError(
                f"codec {binary.label}: what compiling it gave is no native code"
            ) from failure
        self.counts.add("compiled")
        return compiled, contents


def entry_key(kind: str, digest: Digest, fingerprint: Digest) -> str:
    """Give the key of an entry, as 64 hexadecimal digits.

    Args:
        kind: what was compiled.
        digest: of the binary.
        fingerprint: of the engine.
    """
    fields = f"{FORMAT_VERSION}\0{kind}\0{digest}\0{fingerprint}"
    return blake3(fields.encode()).hexdigest()
