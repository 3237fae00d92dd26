"""The AOT cache: native code of codecs, compiled once for a machine.

The *key* of an entry is the BLAKE3 hash of everything that the native code depends on: the version
of the format, the kind of binary, the digest of the wasm, and the engine's fingerprint. An entry is
looked for in a directory of the system, which is only read, then in the user's own; what neither
has is compiled, by one process at a time, and kept in the user's own.

wasmtime does not notice a flipped bit, so that every byte is checked before it sees one. Every
doubt is a logged miss, and whatever goes wrong with the files, work goes on without them.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import wasmtime
from blake3 import blake3

from chonkle.cache.compiling import compile_codec
from chonkle.cache.directory import FORMAT_VERSION, NO_LOCKS, CacheDirectory
from chonkle.cache.layers import CacheLayers, warn
from chonkle.cache.native import Compiler
from chonkle.cache.record import About, Artifact, Doubt, Record
from chonkle.digest import Digest
from chonkle.engine import Engine, innermost_cause, target, wasmtime_version
from chonkle.errors import CacheError, explained
from chonkle.limits import CompileLimits

# Compiling takes milliseconds for a small codec and seconds for a large one, on a machine that may
# be busy. Who waits longer compiles for itself.
WAIT_S = 30.0
# How many entries of a directory are read to say why something is missing: each takes most of a
# millisecond, and the message is no worse for the rest.
EXPLAIN_MAX = 1000
_WAIT_S_PER_BYTE = 5e-6
# How often a file has to be missing from an entry before it is not about to come back.
_LOOKS_MAX = 10
_WITHOUT_LOCKS = "no locks, so that several processes may compile the same"
_NOT_KEPT = "codecs are compiled in memory and not kept"


@dataclass(frozen=True, slots=True)
class Binary:
    """One binary that shall run.

    Attributes:
        wasm: it.
        digest: its BLAKE3 digest.
        codec_id: what the codec does, for the record.
        label: its implementation and version, for messages and the record.
    """

    wasm: bytes
    digest: Digest
    codec_id: str
    label: str


@dataclass(slots=True)
class CacheCounts:
    """What a cache did since it was opened.

    Attributes:
        loaded: entries that were taken from it.
        compiled: binaries that were compiled.
        kept: those of them that were written to it.
        rejected: entries that were there and not believed.
    """

    loaded: int = 0
    compiled: int = 0
    kept: int = 0
    rejected: int = 0


@dataclass(slots=True)
class AotCache:
    """Native code by wasm digest and engine.

    Attributes:
        engine: the engine that compiles, and that loads what was compiled.
        layers: where it is kept.
        counts: what happened so far.
        wait_s: how long to wait for another process that compiles the same, besides what its size
            may take.
        compile_limits: what compiling a codec may take that is not shipped with chonkle; None
            compiles in this process, without limits.
    """

    engine: Engine
    layers: CacheLayers
    counts: CacheCounts = field(default_factory=CacheCounts)
    wait_s: float = WAIT_S
    compile_limits: CompileLimits | None = None

    def key(self, kind: str, digest: Digest) -> str:
        """Give the key of an entry, as 64 hexadecimal digits."""
        return entry_key(kind, digest, self.engine.fingerprint)

    def get_or_compile[T](self, binary: Binary, compiler: Compiler[T]) -> T:
        """Give what runs of a binary, compiling it only where the cache does not have it.

        Args:
            binary: what is to run.
            compiler: what compiles and loads this kind of binary.

        Raises:
            WasmFormatError: when the binary is not valid.
            LimitExceeded: when compiling it takes more than it may.
            CacheError: in mode `only`, when the cache does not have it; or when the process that
                compiles breaks.
        """
        found = self.find_or_compile(binary, compiler)
        if found is None:
            raise self._missing(binary)
        return found

    def find_or_compile[T](self, binary: Binary, compiler: Compiler[T]) -> T | None:
        """Give what `get_or_compile` gives, or None in mode `only` when the cache lacks it."""
        layers = self.layers
        is_compiled = layers.config.mode != "only"
        if not layers.readable:
            return self._compile(binary, compiler)[0] if is_compiled else None
        key = self.key(compiler.kind, binary.digest)
        own = layers.own
        doubt = None
        for directory in layers.readable:
            try:
                found = self._load(binary, compiler, directory, key)
            except Doubt as reason:
                if directory is own:
                    # Another process may be mending it just now.
                    doubt = reason
                else:
                    self._reject(binary, reason)
                continue
            if found is not None:
                return found
        if not is_compiled:
            return None
        if own is None:
            return self._compile(binary, compiler)[0]
        return self._compile_once(binary, compiler, own, key, doubt)

    def _compile_once[T](
        self,
        binary: Binary,
        compiler: Compiler[T],
        own: CacheDirectory,
        key: str,
        doubt: Doubt | None,
    ) -> T:
        """Compile, in one process at a time, and keep what that gave."""
        with ExitStack() as held:
            is_kept = True
            try:
                held.enter_context(
                    own.lock(key, timeout_s=self.wait_s + len(binary.wasm) * _WAIT_S_PER_BYTE)
                )
            except TimeoutError:
                # Somebody else will write it.
                is_kept = False
            except OSError as failure:
                # Where there are no locks, several may compile it, and write the same.
                is_kept = failure.errno in NO_LOCKS
                self.layers.warn_once(
                    f"AOT cache: {_WITHOUT_LOCKS if is_kept else _NOT_KEPT}: {explained(failure)}"
                )
            # Another process may have compiled it while this one waited.
            try:
                found = self._load(binary, compiler, own, key)
            except Doubt as reason:
                found, doubt = None, reason
            if found is not None:
                return found
            if doubt is not None:
                self._reject(binary, doubt)
            started = time.perf_counter()
            compiled, contents = self._compile(binary, compiler)
            seconds = time.perf_counter() - started
            if is_kept:
                self._keep(binary, compiler.kind, own, contents, seconds=seconds)
        if is_kept:
            self._keep_up(own)
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
            about = About(
                kind=kind,
                codec_id=binary.codec_id,
                label=binary.label,
                wasm=str(binary.digest),
                wasm_size=len(binary.wasm),
                engine=self.engine.fingerprint.hex,
                # Looks for files, too.
                wasmtime=wasmtime_version(),
                target=target(),
                created=round(self.layers.clock()),
                compile_seconds=round(seconds, 4),
            )
            own.write(Record(key, artifacts, about), contents)
        except OSError as failure:
            self.layers.warn_once(f"AOT cache: {_NOT_KEPT}: {explained(failure)}")
        else:
            self.counts.kept += 1

    def _keep_up(self, own: CacheDirectory) -> None:
        from chonkle.cache.upkeep import keep_up  # noqa: PLC0415 - only who compiled pays for it

        try:
            keep_up(
                own,
                size_max_bytes=self.layers.config.size_max_bytes,
                wasmtime=wasmtime_version(),
                now=self.layers.clock(),
            )
        except OSError as failure:
            self.layers.warn_once(f"AOT cache: not trimmed: {explained(failure)}")

    def _missing(self, binary: Binary) -> CacheError:
        """Say that there is no native code, and whether there is some for another engine."""
        own = f"wasmtime {wasmtime_version()} on {target()}"
        others: set[str] = set()
        is_cut = False
        for directory in self.layers.readable:
            # Where nobody may look, there is nothing to tell of.
            with suppress(OSError):
                for number, entry in enumerate(directory.entries()):
                    if number == EXPLAIN_MAX:
                        is_cut = True
                        break
                    if (
                        entry.record is not None
                        and (about := entry.record.about).wasm == str(binary.digest)
                        # What is for this engine was just doubted, and the log says why.
                        and about.engine != self.engine.fingerprint.hex
                    ):
                        others.add(f"wasmtime {about.wasmtime} on {about.target}")
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

    def _reject(self, binary: Binary, doubt: Doubt) -> None:
        self.counts.rejected += 1
        warn(f"AOT cache entry of codec {binary.label} not used: {doubt}")

    def _load[T](
        self, binary: Binary, compiler: Compiler[T], directory: CacheDirectory, key: str
    ) -> T | None:
        looks = 0
        while (record := directory.read(key)) is not None:
            looks += 1
            try:
                loaded = self._loaded(binary, compiler, directory, record)
            except Doubt as doubt:
                # Somebody may have removed it meanwhile, which leaves nothing to doubt, or written
                # it again: another one, or the same, of which a file was just not there.
                has_gone = isinstance(doubt.__cause__, FileNotFoundError)
                if directory.read(key) == record and (not has_gone or looks >= _LOOKS_MAX):
                    raise
                continue
            self.counts.loaded += 1
            if self.layers.is_counting:
                directory.count_use(key, now=self.layers.clock())
            return loaded
        return None

    def _loaded[T](
        self, binary: Binary, compiler: Compiler[T], directory: CacheDirectory, record: Record
    ) -> T:
        """Load what a record speaks for, as it stands there now."""
        self._check(binary, compiler.kind, record)
        try:
            paths = directory.checked_artifacts(record)
            return compiler.load(self.engine.wasmtime, paths)
        except OSError as failure:
            raise Doubt(explained(failure)) from failure
        except ValueError as failure:
            raise Doubt(str(failure)) from failure
        except wasmtime.WasmtimeError as failure:
            raise Doubt(f"wasmtime refuses it: {innermost_cause(failure)}") from failure

    def _check(self, binary: Binary, kind: str, record: Record) -> None:
        """Demand that an entry is of what is asked for, as its key says."""
        about = record.about
        for name, found, wanted in (
            ("kind", about.kind, kind),
            ("binary", about.wasm, str(binary.digest)),
            ("engine", about.engine, self.engine.fingerprint.hex),
        ):
            if found != wanted:
                raise Doubt(f"the record is of another {name}")

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
        self.counts.compiled += 1
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
