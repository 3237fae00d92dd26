"""The resolver: which implementation a codec id stands for, and why.

The first of these that says something decides:

1. an explicit path;
2. a forced source;
3. an override, which names the implementation, over what is installed, shipped and native;
4. a source of the pipeline, where downloads are forced;
5. a pin: a source of the pipeline that says which bytes it leads to;
6. what is installed, shipped and native, by backend preference, then version, then name;
7. a source of the pipeline.

With a lock, it alone decides.

Nothing is compiled or instantiated here, and identity comes only from embedded signatures.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from chonkle.backends.base import BACKENDS, Backend
from chonkle.backends.native import (
    REFUSED,
    is_available,
    native_codec_ids,
    native_signature,
    native_version,
    refusal,
)
from chonkle.dag.codec_list import is_codec_list
from chonkle.dag.graph import Pipeline
from chonkle.digest import Digest
from chonkle.errors import (
    DigestMismatchError,
    FetchError,
    LockError,
    PipelineError,
    PolicyError,
    ResolveError,
    suggest,
    warn,
)
from chonkle.fetch import Source
from chonkle.formats.json_text import parse_json
from chonkle.formats.signature import Signature
from chonkle.formats.values import format_value
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind
from chonkle.lock import Lock, Locked, LockKey
from chonkle.names import is_codec_name, version_key
from chonkle.oci.access import RegistryAccess
from chonkle.storage.files import read_file
from chonkle.storage.store import (
    BadFile,
    CodecStore,
    WasmCodec,
    bundled_store,
    without_conflicts,
)

if TYPE_CHECKING:
    from chonkle.policy import Allowed, Origin, Policy
    from chonkle.policy_check import PolicyCheck

DEFAULT_PREFERENCE: tuple[Backend, ...] = ("native", "core", "component")


@dataclass(frozen=True, slots=True)
class Resolution:
    """The implementation that was picked for a codec id."""

    backend: Backend
    signature: Signature
    reason: str  # why this one, in words
    wasm: WasmCodec | None = None  # the file, for wasm backends
    passed_over: tuple[str, ...] = ()  # labels of the candidates that were not picked, best first
    source: str = ""  # the pinned source that the file came from, as far as that is known
    allowed: "Allowed | None" = None  # why the policy allows it; None where none is set

    @property
    def label(self) -> str:
        """The implementation, version and backend, `zlib-rs@1.0.0 (core)`."""
        return f"{self.signature.label} ({self.backend})"


@dataclass(frozen=True, slots=True)
class PipelineResolution:
    """A pipeline that was picked for a codec id."""

    pipeline: Pipeline
    reason: str  # why, in words
    digest: Digest  # BLAKE3 digest of its file
    source: str  # the pinned source that the file came from
    allowed: "Allowed | None" = None  # why the policy allows it; None where none is set


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Picks implementations.

    None leaves `codec_store`, `force_download`, `access` and `policy` to the runtime.

    Attributes:
        codec_store: directory of installed codecs.
        preference: backends, best first; those left out come after, in the default order.
        overrides: codec id to implementation, as `zlib-rs` or `zlib-rs@1.0.0`.
        force_sources: codec id to source URI; fetched whatever is installed.
        pipeline_sources: codec id to source URI; fetched where nothing is installed.
        paths: codec id to a wasm or pipeline file.
        force_download: fetch from sources even what is installed.
        access: how servers may be asked.
        lock: what every codec must be; None for no lock.
        is_locking: whether the lock is being made: what it does not have is resolved as without
            one, and what is fetched for that is kept.
        policy: which keys may sign which codecs.
    """

    codec_store: str | Path | None = None
    preference: Sequence[str] = DEFAULT_PREFERENCE
    overrides: Mapping[str, str] = field(default_factory=dict)
    force_sources: Mapping[str, str] = field(default_factory=dict)
    pipeline_sources: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str | Path] = field(default_factory=dict)
    force_download: bool | None = None
    access: RegistryAccess | None = None
    lock: Lock | None = None
    is_locking: bool = False
    policy: "Policy | None" = None
    # The ids to suggest, listed once: a pipeline may ask for many unknown codecs.
    _suggested: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a preference that names no backend, with a ResolveError."""
        for backend in self.preference:
            if backend not in BACKENDS:
                raise ResolveError(
                    "unknown backend in the preference",
                    expected=", ".join(f"`{name}`" for name in BACKENDS),
                    got=format_value(backend),
                )

    def with_sources(self, sources: Mapping[str, str]) -> "Resolver":
        """Give a resolver that knows a pipeline's sources; its own win over them."""
        return replace(self, pipeline_sources={**sources, **self.pipeline_sources})

    def resolve(
        self, codec_id: str, *, backends: Sequence[str] = ()
    ) -> Resolution | PipelineResolution:
        """Pick the implementation of a codec.

        Args:
            codec_id: a validated codec id.
            backends: the only backends that may run it; empty where any may.

        Raises:
            ResolveError: when there is none, or what there is may not be used.
            FetchError: when a source cannot be had.
            StoreError: when the codec store cannot be read, or when the only files there are, or
                those asked for, contradict each other.
            SignatureError: when the only file, or the one asked for, has no valid signature.
            WasmFormatError: when the only file, or the one asked for, is no wasm binary.
            LockError: when the lock has no entry, or something else than its entry is there.
        """
        if self.lock is not None:
            locked = self.lock.get(self.key(codec_id, backends=backends))
            if locked is not None:
                return self._locked(locked)
            if not self.is_locking:
                raise LockError(
                    f"codec `{codec_id}` is not in the lock as this pipeline asks for it",
                    hint="`chonkle lock` adds what is missing",
                )
        return self._chosen(codec_id, tuple(backends) or BACKENDS)

    def _chosen(  # noqa: PLR0911 - one return for each rule of the chain
        self, codec_id: str, allowed: Sequence[str]
    ) -> Resolution | PipelineResolution:
        if codec_id in self.paths:
            return self._from_file(codec_id, Path(self.paths[codec_id]))
        if codec_id in self.force_sources:
            uri = self.force_sources[codec_id]
            return self._from_source(codec_id, uri, "forced source", allowed)
        if codec_id in self.overrides:
            return self._overridden(codec_id, self.overrides[codec_id], allowed)
        # What a source gives, the native backend does not run.
        uri = "" if set(allowed) == {"native"} else self.pipeline_sources.get(codec_id, "")
        if uri and self.force_download:
            return self._from_source(codec_id, uri, "source, download forced", allowed)
        if uri and Source.parse(uri).is_pinned:
            return self._from_source(codec_id, uri, "pinned source", allowed)
        candidates, bad_files = self.survey(codec_id, backends=allowed)
        if not candidates and not uri:
            raise bad_files[0].failure if bad_files else self._unknown(codec_id, allowed)
        _warn_of(bad_files)
        if candidates:
            count = len(candidates)
            return self._picked(candidates, f"best of {count}" if count > 1 else "the only one")
        # A bad file may have the name that the codec would get, and is the user's to remove.
        why = "source of the pipeline"
        return self._from_source(codec_id, uri, why, allowed, install=not bad_files)

    def resolve_name(self, name: str, scope: str = "") -> str:
        """TEMP: the lead's stub until the branch orig is merged."""
        for codec_id in self.codec_ids():
            if codec_id == name:
                return codec_id
        for codec_id in self.codec_ids():
            for each in self.candidates(codec_id):
                aliases = each.signature.document.get("aliases", {})
                for names in aliases.values():
                    if name in map(str, names):
                        return codec_id
        return name

    def identify(self, location: str | Path) -> str:
        """Give the id of the codec in a file or at a source.

        Raises:
            ChonkleError: when it cannot be read or fetched, or is no codec.
        """
        if isinstance(location, Path):
            found = self._from_file("", location)
        else:
            found = self._from_source("", location, "source", BACKENDS)
        if isinstance(found, PipelineResolution):
            return found.pipeline.codec_id
        return found.signature.codec_id

    def key(self, codec_id: str, *, backends: Sequence[str] = ()) -> LockKey:
        """Give what a lock answers when a step asks for a codec."""
        return LockKey(codec_id, tuple(backends), self.pipeline_sources.get(codec_id, ""))

    def origin(self, found: Resolution | PipelineResolution) -> str:
        """Give the pinned source of what was picked, or nothing where it is not known."""
        if found.source or isinstance(found, PipelineResolution) or found.wasm is None:
            return found.source
        store = self._store()
        noted = "" if store is None else store.kept.origin(found.wasm.digest)
        try:
            return noted if noted and Source.parse(noted).is_pinned else ""
        except FetchError:
            return ""  # a note that another program wrote

    def codec_ids(self) -> list[str]:
        """Name every codec that is installed, shipped or native, sorted.

        Raises:
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        store = self._store()
        installed = [] if store is None else store.codec_ids()
        ids = {*installed, *bundled_store().codec_ids(), *native_codec_ids()}
        return sorted(filter(is_codec_name, ids))

    def candidates(self, codec_id: str, *, backends: Sequence[str] = BACKENDS) -> list[Resolution]:
        """Give what is installed, shipped and native for a codec, best first.

        Raises:
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        return self.survey(codec_id, backends=backends)[0]

    def survey(
        self, codec_id: str, *, backends: Sequence[str] = BACKENDS
    ) -> tuple[list[Resolution], list[BadFile]]:
        """Give the candidates for a codec, best first, and the files that cannot be any.

        Raises:
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        store = self._store()
        installed, bad_files = ([], []) if store is None else store.survey(codec_id)
        words = {codec.origin: "installed" for codec in installed}
        shipped, more_bad_files = bundled_store().survey(codec_id)
        codecs, conflicts = without_conflicts(installed + shipped)
        found = [
            Resolution(codec.kind, codec.signature, words.get(codec.origin, "shipped"), codec)
            for codec in codecs
        ]
        signature = native_signature(codec_id)
        if signature is not None and is_available(codec_id):
            found.append(Resolution("native", signature, "numcodecs"))
        found, refused = self._allowed(codec_id, found)
        order = self._order()
        # Sorting is stable, so the least important criterion comes first.
        found.sort(key=lambda each: each.signature.implementation)
        found.sort(key=lambda each: version_key(each.signature.version), reverse=True)
        found.sort(key=lambda each: order.index(each.backend))
        return (
            [each for each in found if each.backend in backends],
            bad_files + more_bad_files + conflicts + refused,
        )

    def _order(self) -> list[str]:
        return [*self.preference, *(b for b in DEFAULT_PREFERENCE if b not in self.preference)]

    def kinds(self, allowed: Sequence[str] = BACKENDS) -> list[Kind]:
        """Give what a wasm file may be, best first."""
        order = self._order()
        return [kind for kind in sorted(get_args(Kind), key=order.index) if kind in allowed]

    def _store(self) -> CodecStore | None:
        return None if self.codec_store is None else CodecStore(Path(self.codec_store))

    def _locked(self, locked: Locked) -> Resolution | PipelineResolution:
        codec_id = locked.key.codec_id
        if self.preference and locked.backend not in (*self.preference, "pipeline"):
            raise LockError(
                f"codec `{codec_id}`: the lock has a {locked.backend} one, which is not preferred",
                expected=", ".join(f"`{each}`" for each in self.preference),
            )
        found = (
            self._locked_native(codec_id)
            if locked.digest is None
            else self._locked_file(locked, locked.digest)
        )
        is_it = lock_entry(locked.key, found, source=locked.source)
        # A lock may be older than the policy, or made without one.
        if replace(is_it, signed_by=locked.signed_by) != locked:
            raise LockError(
                f"codec `{codec_id}`: not what the lock says",
                expected=f"`{locked.label}`",
                got=f"`{is_it.label}`",
                hint="`chonkle lock --update` takes what is there",
            )
        return found

    def _locked_native(self, codec_id: str) -> Resolution | PipelineResolution:
        signature = native_signature(codec_id)
        if signature is None or not is_available(codec_id):
            raise refusal(codec_id) or self._unknown(codec_id, ("native",))
        found = Resolution("native", signature, "locked, numcodecs")
        return self._admitted(codec_id, found, "native", "numcodecs", b"")

    def _locked_file(self, locked: Locked, digest: Digest) -> Resolution | PipelineResolution:
        codec_id, source = locked.key.codec_id, locked.source
        what = f"codec `{codec_id}`, locked as `{digest}`"
        if not (source and self.force_download):
            places = [self._locked_copy, self._locked_candidate]
            # The copy is found without a look at the stores; but a policy may trust only these.
            for find in places if self.policy is None else reversed(places):
                found = find(locked, digest)
                if found is not None:
                    return found
        if not source:
            raise LockError(
                f"{what}: not found, and where it came from is not known",
                hint="install the file, or `chonkle lock --update` takes another one",
            )
        try:
            found = self._from_source(codec_id, source, "locked source", _locked_backends(locked))
        except FetchError as failure:
            raise failure.within(what) from failure
        if _digest(found) != digest:
            raise DigestMismatchError(
                f"codec `{codec_id}`: {source}: wrong digest",
                expected=f"`{digest}`",
                got=f"`{_digest(found)}`",
            )
        return found

    def _locked_candidate(self, locked: Locked, digest: Digest) -> Resolution | None:
        candidates, bad_files = self.survey(locked.key.codec_id)
        for each in candidates:
            if each.wasm is not None and each.wasm.digest == digest:
                self._require_layer(locked, each.wasm.wasm)
                return replace(each, reason=f"locked, {each.reason}", source=locked.source)
        for bad in bad_files:
            if isinstance(bad.failure, PolicyError) and bad.is_named(locked.implementation):
                raise bad.failure
        return None

    def _locked_copy(
        self, locked: Locked, digest: Digest
    ) -> Resolution | PipelineResolution | None:
        codec_id, source = locked.key.codec_id, locked.source
        store = self._store()
        data = None if store is None else store.kept.find(digest, size_max=SIZE_MAX_BYTES)
        policy_check = self._policy_check()
        if data is None or (policy_check and source and not policy_check.is_from(source, data)):
            return None
        self._require_layer(locked, data)
        found = self._identified(codec_id, data, f"locked {digest}, kept", source)
        return self._admitted(codec_id, found, "source", source, data)

    def _require_layer(self, locked: Locked, data: bytes) -> None:
        """Require that bytes are the codec in the artifact that the lock's source pins.

        The lock has their BLAKE3 digest and the digest of a manifest, and may have been edited:
        the manifest says which bytes it is about.
        """
        if not locked.source:
            return
        what = f"codec `{locked.key.codec_id}`, locked as `{locked.digest}`"
        store = self._store()
        try:
            promised = Source.parse(locked.source).codec_digest(
                access=self.access or RegistryAccess(),
                kinds=self.kinds(_locked_backends(locked)),
                kept=None if store is None else store.kept,
            )
        except FetchError as failure:
            raise failure.within(what) from failure
        found = Digest.sha256(data)
        if promised is not None and promised != found:
            raise LockError(
                f"{what}: not the codec in {locked.source}",
                expected=f"`{promised}`",
                got=f"`{found}`",
                hint="`chonkle lock --update` writes the lock anew",
            )

    def _overridden(self, codec_id: str, override: str, allowed: Sequence[str]) -> Resolution:
        candidates, bad_files = self.survey(codec_id, backends=allowed)
        for bad in bad_files:
            if bad.is_named(override):
                raise bad.failure
        chosen = [
            each
            for each in candidates
            if override in (each.signature.implementation, each.signature.label)
        ]
        _warn_of(bad_files)
        if not chosen:
            raise ResolveError(
                f"codec `{codec_id}`: no implementation `{override}`, which was asked for",
                got=_list_labels(candidates),
            )
        return self._picked(chosen, f"override `{override}`")

    def _picked(self, candidates: list[Resolution], why: str) -> Resolution:
        best, *others = candidates
        passed_over = tuple(each.label for each in others)
        return replace(best, reason=f"{best.reason}, {why}", passed_over=passed_over)

    def _from_file(self, codec_id: str, path: Path) -> Resolution | PipelineResolution:
        try:
            data = read_file(path, size_max=SIZE_MAX_BYTES)
        except OSError as failure:
            reason = failure.strerror
            raise ResolveError(f"codec `{codec_id}`: cannot read {path}: {reason}") from failure
        pinned = f"{path.absolute().as_uri()}#blake3={Digest.blake3(data).hex}"
        found = self._identified(codec_id, data, f"path {path}", pinned)
        return self._admitted(codec_id, found, "path", str(path), data)

    def _from_source(
        self,
        codec_id: str,
        uri: str,
        why: str,
        allowed: Sequence[str],
        *,
        install: bool = False,
    ) -> Resolution | PipelineResolution:
        """Fetch from a source, or take what it gave before and what a digest still says.

        Args:
            codec_id: the codec.
            uri: the source.
            why: the rule that chose it.
            allowed: the only backends that may run it.
            install: make it a candidate for every pipeline; only where there was none.
        """
        source = Source.parse(uri)
        store = self._store()
        kinds, kept = self.kinds(allowed), None if store is None else store.kept
        policy_check = self._policy_check()
        fetched = source.fetch(
            access=self.access or RegistryAccess(),
            kinds=kinds,
            kept=kept,
            fetch_anew=bool(self.force_download),
            is_from=None if policy_check is None else policy_check.is_from,
        )
        reason = f"{why} {uri}" + (", kept" if fetched.is_kept else "")
        found = self._identified(codec_id, fetched.data, reason, fetched.pinned)
        found = self._admitted(
            codec_id, found, "source", fetched.pinned, fetched.data, links=fetched.links
        )
        signed = None if found.allowed is None else found.allowed.signed
        for origin in fetched.origins if signed else ():
            # Only this source leads through the index whose attestation was demanded.
            if signed is not None and origin.endswith(f"@{signed.subject}"):
                found = replace(found, source=origin)
        if store is None:
            return found
        fetched.keep(store.kept)
        if self.is_locking:
            # The lock leads to it by this digest, whatever becomes of the source.
            digest = Digest.blake3(fetched.data)
            store.kept.keep(digest, fetched.data)
            if not fetched.is_kept:
                store.kept.keep_origin(digest, *fetched.origins)
        if install and not source.is_pinned and isinstance(found, Resolution) and found.wasm:
            return replace(found, wasm=store.install(found.wasm, source=fetched.pinned))
        return found

    def _policy_check(self) -> "PolicyCheck | None":
        if self.policy is None:
            return None
        # Late: most runs have no policy.
        from chonkle.policy_check import PolicyCheck  # noqa: PLC0415

        return PolicyCheck(
            policy=self.policy,
            codec_store=None if self.codec_store is None else Path(self.codec_store),
            access=self.access or RegistryAccess(),
        )

    def _admitted(
        self,
        codec_id: str,
        found: Resolution | PipelineResolution,
        origin: "Origin",
        name: str,
        data: bytes,
        *,
        links: tuple[bytes, ...] = (),
    ) -> Resolution | PipelineResolution:
        policy_check = self._policy_check()
        if policy_check is None:
            return found
        allowed = policy_check.require(codec_id, origin, name, data, links=links)
        return replace(found, reason=f"{found.reason}, {allowed.reason}", allowed=allowed)

    def _allowed(
        self, codec_id: str, candidates: list[Resolution]
    ) -> tuple[list[Resolution], list[BadFile]]:
        """Give the candidates that the policy allows, and the others, which cannot be used."""
        policy_check = self._policy_check()
        if policy_check is None:
            return candidates, []
        allowed, refused = [], []
        for each in candidates:
            wasm = each.wasm
            name, data = ("numcodecs", b"") if wasm is None else (wasm.origin, wasm.wasm)
            origin = cast("Origin", "native" if wasm is None else each.reason)
            try:
                why = policy_check.require(codec_id, origin, name, data)
            except PolicyError as failure:
                refused.append(BadFile(Path(name), failure, each.signature.label))
            else:
                reason = f"{each.reason}, {why.reason}"
                allowed.append(replace(each, reason=reason, allowed=why))
        return allowed, refused

    def _identified(
        self, codec_id: str, data: bytes, reason: str, source: str
    ) -> Resolution | PipelineResolution:
        """Tell what some bytes are: a pipeline if they are JSON, otherwise a wasm codec."""
        if data.removeprefix(BOM_UTF8).lstrip()[:1] == b"{":
            document = parse_json(data, what=reason, error=PipelineError)
            if is_codec_list(document):
                raise ResolveError(
                    f"codec `{codec_id}`: {reason} is a codec list",
                    hint="it has no ports and no codec_id; only a graph can be a step",
                )
            try:
                pipeline = Pipeline.from_json(document)
            except PipelineError as failure:
                raise failure.within(f"codec `{codec_id}`: {reason}") from failure
            _check_identity(codec_id, pipeline.codec_id, reason)
            return PipelineResolution(pipeline, reason, Digest.blake3(data), source)
        codec = WasmCodec.from_bytes(data, reason)
        _check_identity(codec_id, codec.signature.codec_id, reason)
        return Resolution(codec.kind, codec.signature, reason, codec, source=source)

    def _unknown(self, codec_id: str, allowed: Sequence[str]) -> ResolveError:
        elsewhere = self.candidates(codec_id) if set(allowed) != set(BACKENDS) else []
        if elsewhere:
            return ResolveError(
                f"codec `{codec_id}`: no implementation for backend {', '.join(allowed)}",
                got=_list_labels(elsewhere),
            )
        native = refusal(codec_id)
        if native is not None and (codec_id in REFUSED or native_signature(codec_id) is not None):
            return native
        if not self._suggested:
            self._suggested.extend(self.codec_ids())
        # A similar name may be that of another codec, so how to get this one is always said.
        similar = suggest(codec_id, self._suggested)
        return ResolveError(
            f"no implementation of codec `{codec_id}`",
            hint=f"{similar}{' ' if similar else ''}`chonkle codecs` lists the available codecs; "
            "`chonkle pull` installs one, --codec-path and --source name one",
        )


def lock_entry(key: LockKey, found: Resolution | PipelineResolution, *, source: str) -> Locked:
    """Write down for a lock what was picked."""
    signed_by = "" if found.allowed is None else found.allowed.key
    if isinstance(found, PipelineResolution):
        return Locked(
            key=key,
            backend="pipeline",
            digest=found.digest,
            source=source,
            signed_by=signed_by,
        )
    return Locked(
        key=key,
        backend=found.backend,
        implementation=found.signature.implementation,
        version=found.signature.version if found.wasm else native_version(),
        digest=_digest(found),
        source=source,
        signed_by=signed_by,
    )


def _locked_backends(locked: Locked) -> Sequence[str]:
    """Give the backends that a locked source is read for: of an index, the lock decides."""
    return (locked.backend,) if locked.backend in get_args(Kind) else BACKENDS


def _digest(found: Resolution | PipelineResolution) -> Digest | None:
    if isinstance(found, PipelineResolution):
        return found.digest
    return None if found.wasm is None else found.wasm.digest


def _warn_of(bad_files: Iterable[BadFile]) -> None:
    for bad in bad_files:
        warn("chonkle.resolver", f"codec file not used: {bad.failure}")


def _check_identity(codec_id: str, found: str, reason: str) -> None:
    if codec_id not in ("", found):
        raise ResolveError(
            f"codec `{codec_id}`: {reason} is another codec",
            expected=f"a signature of `{codec_id}`",
            got=f"`{found}`",
        )


def _list_labels(candidates: Sequence[Resolution]) -> str:
    return ", ".join(f"`{each.label}`" for each in candidates) or "none at all"
