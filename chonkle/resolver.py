"""The resolver: which implementation a codec id stands for, and why.

The first of these that says something decides:

1. an explicit path;
2. a forced source;
3. an override, which names the implementation, over what is installed, shipped and native;
4. the `uri` of an entry of a codec list, which is for that entry only, and never installed;
5. a source of the pipeline, where downloads are forced;
6. a pin: a source of the pipeline that says which bytes it leads to;
7. what is installed, shipped and native, by backend preference, then version, then name;
8. a source of the pipeline.

With a lock, it alone decides. Whatever decides, a backend that the preference leaves out is not
used.

A codec may be asked for by another name of it (`chonkle.formats.aliases`). A codec id comes before
the same name of another codec.

Nothing is compiled or instantiated here, and identity comes only from embedded signatures.
"""

from codecs import BOM_UTF8
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from chonkle.allowed_sources import AllowedSources
from chonkle.backends.base import BACKENDS, Backend
from chonkle.backends.native import (
    REFUSED,
    is_available,
    native_signature,
    native_version,
    refusal,
)
from chonkle.dag.codec_list import is_codec_list
from chonkle.dag.graph import Pipeline
from chonkle.digest import Digest
from chonkle.errors import (
    ChonkleError,
    DigestMismatchError,
    FetchError,
    LockError,
    PipelineError,
    PolicyError,
    ResolveError,
    warn,
)
from chonkle.fetch import Source
from chonkle.formats.aliases import aliases
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import format_value
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind
from chonkle.inventory import Inventory, Resolution, Survey
from chonkle.lock import Lock, Locked, LockKey
from chonkle.oci.access import RegistryAccess
from chonkle.settings import Settings
from chonkle.storage.codec_files import BadFile
from chonkle.storage.files import read_file
from chonkle.storage.store import CodecStore, WasmCodec

if TYPE_CHECKING:
    from chonkle.policy import Allowed, Origin, Policy
    from chonkle.policy_check import PolicyCheck

__all__ = [
    "DEFAULT_PREFERENCE",
    "PipelineResolution",
    "Resolution",
    "Resolver",
    "Survey",
    "lock_entry",
]

DEFAULT_PREFERENCE: tuple[Backend, ...] = ("native", "core", "component")


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

    None leaves `codec_store`, `force_download`, `access` and `policy` to the runtime, or to the
    environment where there is none.

    Attributes:
        codec_store: directory of installed codecs.
        preference: the backends that may run codecs, best first.
        overrides: codec id to implementation, as `zlib-rs` or `zlib-rs@1.0.0`.
        force_sources: codec id to source URI; fetched whatever is installed, and installed.
        pipeline_sources: codec id to source URI; fetched where nothing is installed.
        paths: codec id to a wasm or pipeline file.
        force_download: fetch from sources even what is installed.
        access: how servers may be asked.
        lock: what every codec must be; None for no lock.
        is_locking: whether the lock is being made: what it does not have is resolved as without
            one, and what is fetched for that is kept.
        policy: which keys may sign which codecs.
        allowed_sources: which sources may be fetched that entries of codec lists name, and the
            pipelines that these lead to; None for all.
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
    allowed_sources: AllowedSources | None = None

    def __post_init__(self) -> None:
        """Refuse a preference that names no backend, with a ResolveError."""
        if not self.preference:
            raise ResolveError("the preference is empty", expected="at least one backend")
        for backend in self.preference:
            if backend not in BACKENDS:
                raise ResolveError(
                    "unknown backend in the preference",
                    expected=", ".join(f"`{name}`" for name in BACKENDS),
                    got=format_value(backend),
                )

    def completed(self, settings: Settings | None = None) -> "Resolver":
        """Give a resolver in which settings stand for what it leaves open.

        Args:
            settings: the settings; those of the environment when left out.

        Raises:
            PolicyError: when the policy of the settings cannot be read, or is wrong.
            ChonkleError: when a variable of the environment has a value that it cannot have.
        """
        if settings is None:
            if None not in (self.codec_store, self.force_download, self.access):
                return self
            settings = Settings.from_environment()
        return replace(
            self,
            codec_store=settings.codec_store if self.codec_store is None else self.codec_store,
            force_download=_or(self.force_download, settings.force_download),
            access=_or(self.access, settings.access),
            policy=settings.read_policy() if self.policy is None else self.policy,
        )

    def with_sources(self, sources: Mapping[str, str]) -> "Resolver":
        """Give a resolver that knows a pipeline's sources; its own win over them."""
        return replace(self, pipeline_sources={**sources, **self.pipeline_sources})

    def resolve(
        self, name: str, *, backends: Sequence[str] = (), source: str = ""
    ) -> Resolution | PipelineResolution:
        """Pick the implementation of a codec.

        Args:
            name: a validated codec id, or another name of the codec.
            backends: the only backends that may run it; empty where any may.
            source: the URI that data name for this use of the codec; empty for none.

        Raises:
            ResolveError: when there is none, or what there is may not be used.
            FetchError: when a source cannot be had.
            StoreError: when the codec store cannot be read, or when the only files there are, or
                those asked for, contradict each other.
            SignatureError: when the only file, or the one asked for, has no valid signature.
            WasmFormatError: when the only file, or the one asked for, is no wasm binary.
            LockError: when the lock has no entry, or something else than its entry is there.
        """
        self = self.completed()  # noqa: PLW0642 - the same resolver, with what it left open
        if self.lock is not None:
            locked = self.lock.get(self.key(name, backends=backends, source=source))
            if locked is not None:
                return self._locked(locked)
            if not self.is_locking:
                raise LockError(
                    f"codec `{name}` is not in the lock as this pipeline asks for it",
                    hint="`chonkle lock` adds what is missing",
                )
        return self._chosen(self._wanted(name, backends), source)

    def chooses(self, name: str) -> bool:
        """Tell whether a path, a forced source or an override is for a codec.

        Args:
            name: its id, or another name of it.
        """
        resolver = self.completed()
        return resolver._is_chosen(resolver._wanted(name, ()))  # noqa: SLF001 - the same class

    def _is_chosen(self, wanted: "_Wanted") -> bool:
        given = (self.paths, self.force_sources, self.overrides)
        return any(self._given(each, wanted) is not None for each in given)

    def _wanted(self, name: str, backends: Sequence[str]) -> "_Wanted":
        # What the caller gives under this very name needs no other one.
        is_given = name in self.paths or name in self.force_sources
        return _Wanted(
            name,
            name if is_given else self.inventory.codec_id(name),
            tuple(each for each in self.preference if not backends or each in backends),
            tuple(backends),
        )

    def _chosen(  # noqa: PLR0911 - one return for each rule of the chain
        self, wanted: "_Wanted", source: str
    ) -> Resolution | PipelineResolution:
        if (path := self._given(self.paths, wanted)) is not None:
            return self._from_file(wanted, Path(path))
        if (uri := self._given(self.force_sources, wanted)) is not None:
            return self._from_source(wanted, uri, "forced source", install=True, replaces=True)
        if (override := self._given(self.overrides, wanted)) is not None:
            return self._overridden(wanted, override)
        sources = self.pipeline_sources
        uri = sources.get(wanted.name) or sources.get(wanted.codec_id) or ""
        # What a source gives, the native backend does not run.
        if set(wanted.backends) == {"native"}:
            uri = source = ""
        if source:
            return self._from_data(wanted, source)
        if uri and self.force_download:
            return self._from_source(wanted, uri, "source, download forced")
        if uri and Source.parse(uri).is_pinned:
            return self._from_source(wanted, uri, "pinned source")
        survey = self.inventory.survey(wanted.codec_id, wanted.allowed)
        if not survey.codecs and not uri:
            raise self._nothing(wanted, survey)
        _warn_of(survey.bad_files)
        if survey.codecs:
            count = len(survey.codecs)
            return _picked(
                survey.codecs, survey, f"best of {count}" if count > 1 else "the only one"
            )
        # A bad file may have the name that the codec would get, and is the user's to remove.
        return self._from_source(
            wanted, uri, "source of the pipeline", install=not survey.bad_files
        )

    def _given[T](self, values: Mapping[str, T], wanted: "_Wanted") -> T | None:
        """Give what a mapping has for a codec, under any name of it."""
        for name in (wanted.name, wanted.codec_id):
            if name in values:
                return values[name]
        return next(
            (
                value
                for name, value in values.items()
                if self.inventory.codec_id(name) == wanted.codec_id
            ),
            None,
        )

    def resolve_name(self, name: str | int, scope: str | None = None) -> str:
        """Give the id of the codec that a name stands for.

        Args:
            name: a codec id, or another name of a codec, such as `numcodecs.zlib` or `8`.
            scope: who uses the name: `zarr_v3`, `zarr_v2`, `numcodecs`, `tiff_compression` and so
                on. Names of the scope come before codec ids. Without a scope, a codec id comes
                first, and then any other name; numbers are those of `tiff_compression`.

        Raises:
            ResolveError: when it is no codec's name, or that of several.
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        return self.completed().inventory.resolve_name(name, scope)

    def codecs(self, name: str | int | None = None) -> list[Resolution]:
        """Give what is installed, shipped and native: by codec id, then best first.

        Args:
            name: a codec, by its id or another name; None for all.

        Raises:
            ResolveError: when the name is no codec's.
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        return list(self.survey(None if name is None else self.resolve_name(name)).codecs)

    def survey(self, codec_id: str | None = None) -> Survey:
        """Give what is installed, shipped and native, and what of it cannot be used.

        Args:
            codec_id: a validated codec id; None for every codec.

        Raises:
            StoreError: when the codec store is not a directory, or cannot be read.
        """
        return self.completed().inventory.survey(codec_id, self.preference)

    @property
    def inventory(self) -> Inventory:
        """What is installed, shipped and native, for a resolver that leaves nothing open."""
        return Inventory(self._store(), self._policy_check())

    def identify(self, location: str | Path) -> Resolution | PipelineResolution:
        """Tell what is in a file or at a source; nothing is installed.

        Args:
            location: a path, or a source URI.

        Raises:
            ChonkleError: when it cannot be read or fetched, or is neither codec nor pipeline.
        """
        resolver = self.completed()
        anything = _Wanted("", "", allowed=self.preference)
        if isinstance(location, Path):
            return resolver._from_file(anything, location)  # noqa: SLF001 - the same class
        return resolver._from_source(anything, location, "source")  # noqa: SLF001

    def key(self, codec_id: str, *, backends: Sequence[str] = (), source: str = "") -> LockKey:
        """Give what a lock answers when a step asks for a codec.

        Args:
            codec_id: as the step writes it; what other names mean may differ between machines.
            backends: the only backends that may run it; empty where any may.
            source: the URI that data name for this use of the codec; empty for none.
        """
        requested = source or self.pipeline_sources.get(codec_id, "")
        return LockKey(codec_id, tuple(backends), requested)

    def origin(self, found: Resolution | PipelineResolution) -> str:
        """Give the pinned source of what was picked, or nothing where it is not known."""
        if found.source or isinstance(found, PipelineResolution) or found.wasm is None:
            return found.source
        noted = self.completed().inventory.store.kept.origin(found.wasm.digest)
        try:
            return noted if noted and Source.parse(noted).is_pinned else ""
        except FetchError:
            return ""  # a note that another program wrote

    def kinds(self, allowed: Sequence[str] = BACKENDS) -> list[Kind]:
        """Give what a wasm file may be, best first."""
        kinds = [kind for kind in get_args(Kind) if kind in self.preference and kind in allowed]
        return sorted(kinds, key=self.preference.index)

    def _store(self) -> CodecStore:
        return CodecStore(Path(cast("str | Path", self.codec_store)))

    def _locked(self, locked: Locked) -> Resolution | PipelineResolution:
        codec_id = locked.key.codec_id
        if locked.backend not in (*self.preference, "pipeline"):
            raise LockError(
                f"codec `{codec_id}`: the lock has a {locked.backend} one, which the preference "
                "leaves out",
                expected=", ".join(f"`{each}`" for each in self.preference),
            )
        found = (
            self._locked_native(locked)
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

    def _locked_native(self, locked: Locked) -> Resolution | PipelineResolution:
        codec_id = self.inventory.codec_id(locked.key.codec_id)
        signature = native_signature(codec_id)
        if signature is None or not is_available(codec_id):
            wanted = _Wanted(locked.key.codec_id, codec_id, ("native",), ("native",))
            raise refusal(codec_id) or self._nothing(
                wanted, self.inventory.survey(codec_id, ("native",))
            )
        found = Resolution("native", signature, "locked, numcodecs")
        return self._admitted(found, "native", "numcodecs", b"")

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
        kinds = self.kinds(_locked_backends(locked))
        try:
            found = self._from_source(_any_of(locked), source, "locked source", kinds=kinds)
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
        survey = self.inventory.survey(
            self.inventory.codec_id(locked.key.codec_id), self.preference
        )
        for each in survey.codecs:
            if each.wasm is not None and each.wasm.digest == digest:
                self._require_layer(locked, each.wasm.wasm)
                return replace(each, reason=f"locked, {each.reason}", source=locked.source)
        for bad in survey.bad_files:
            if isinstance(bad.failure, PolicyError) and bad.is_named(locked.implementation):
                raise bad.failure
        return None

    def _locked_copy(
        self, locked: Locked, digest: Digest
    ) -> Resolution | PipelineResolution | None:
        source = locked.source
        data = self._store().kept.find(digest, size_max=SIZE_MAX_BYTES)
        policy_check = self._policy_check()
        if data is None or (policy_check and source and not policy_check.is_from(source, data)):
            return None
        self._require_layer(locked, data)
        # The copy of a file without a source has no name.
        file = source or f"{locked.implementation}.wasm"
        reason = f"locked {digest}, kept"
        found = self._identified(_any_of(locked), data, reason, source, file=file)
        return self._admitted(found, "source", source, data)

    def _require_layer(self, locked: Locked, data: bytes) -> None:
        """Require that bytes are the codec in the artifact that the lock's source pins.

        The lock has their BLAKE3 digest and the digest of a manifest, and may have been edited:
        the manifest says which bytes it is about.
        """
        if not locked.source:
            return
        what = f"codec `{locked.key.codec_id}`, locked as `{locked.digest}`"
        try:
            promised = Source.parse(locked.source).codec_digest(
                access=self._access(),
                kinds=self.kinds(_locked_backends(locked)),
                kept=self._store().kept,
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

    def _overridden(self, wanted: "_Wanted", override: str) -> Resolution:
        survey = self.inventory.survey(wanted.codec_id, wanted.allowed)
        for bad in survey.bad_files:
            if bad.is_named(override):
                raise bad.failure
        _warn_of(survey.bad_files)
        chosen = [each for each in survey.codecs if override in _names(each)]
        if chosen:
            return _picked(chosen, survey, f"override `{override}`")
        for each in survey.left_out:
            if override in _names(each):
                raise wanted.refusal(f"override `{override}`", each.backend)
        raise ResolveError(
            f"codec `{wanted.name}`: no implementation `{override}`, which was asked for",
            got=_list_labels(survey.codecs),
        )

    def _from_file(self, wanted: "_Wanted", path: Path) -> Resolution | PipelineResolution:
        try:
            data = read_file(path, size_max=SIZE_MAX_BYTES)
        except OSError as failure:
            reason = failure.strerror
            hint = "name a .wasm file in it" if path.is_dir() else ""
            error = ResolveError(f"cannot read {path}: {reason}", hint=hint)
            raise error.within(wanted.subject) from failure
        pinned = f"{path.absolute().as_uri()}#blake3={Digest.blake3(data).hex}"
        found = self._identified(wanted, data, f"path {path}", pinned)
        return self._admitted(found, "path", str(path), data)

    def _from_data(self, wanted: "_Wanted", uri: str) -> Resolution | PipelineResolution:
        """Use the source that data name, for them only, if it is allowed."""
        if self.allowed_sources is not None:
            self.allowed_sources.require(wanted.name, uri)
        source, kept, place = Source.parse(uri), self._store().kept, uri
        # A web server does not tell whether a file is the one of the last time.
        is_fetched_once = source.scheme == "https" and not source.is_pinned
        if is_fetched_once and not self.force_download:
            latest = kept.latest(uri)
            if latest is not None and kept.find(latest, size_max=SIZE_MAX_BYTES) is not None:
                place = f"{uri}#blake3={latest.hex}"
        found = self._from_source(wanted, place, "named source")
        if is_fetched_once and place == uri and isinstance(found, Resolution) and found.wasm:
            digest = found.wasm.digest
            kept.keep(digest, found.wasm.wasm)
            kept.keep_origin(digest, found.source)
            kept.keep_latest(uri, digest)
        return found

    def _from_source(
        self,
        wanted: "_Wanted",
        uri: str,
        why: str,
        *,
        kinds: Sequence[Kind] | None = None,
        install: bool = False,
        replaces: bool = False,
    ) -> Resolution | PipelineResolution:
        """Fetch from a source, or take what it gave before and what a digest still says.

        Args:
            wanted: the codec.
            uri: the source.
            why: the rule that chose it.
            kinds: what to take from an index, best first; what is wanted when left out.
            install: make it a candidate for every pipeline.
            replaces: install it in place of another file of its implementation and version.
        """
        source, store = Source.parse(uri), self._store()
        policy_check = self._policy_check()
        fetched = source.fetch(
            access=self._access(),
            kinds=self.kinds(wanted.allowed) if kinds is None else kinds,
            kept=store.kept,
            fetch_anew=bool(self.force_download),
            is_from=None if policy_check is None else policy_check.is_from,
        )
        reason = f"{why} {uri}" + (", kept" if fetched.is_kept else "")
        found = self._identified(wanted, fetched.data, reason, fetched.pinned)
        found = self._admitted(found, "source", fetched.pinned, fetched.data, links=fetched.links)
        signed = None if found.allowed is None else found.allowed.signed
        for origin in fetched.origins if signed else ():
            # Only this source leads through the index whose attestation was demanded.
            if signed is not None and origin.endswith(f"@{signed.subject}"):
                found = replace(found, source=origin)
        fetched.keep(store.kept)
        if self.is_locking:
            # The lock leads to it by this digest, whatever becomes of the source.
            digest = Digest.blake3(fetched.data)
            store.kept.keep(digest, fetched.data)
            if not fetched.is_kept:
                store.kept.keep_origin(digest, *fetched.origins)
        if install and isinstance(found, Resolution) and found.wasm:
            # A source that was not asked is not recorded as where the bytes came from.
            noted = "" if fetched.is_kept else fetched.pinned
            return replace(found, wasm=store.install(found.wasm, source=noted, replace=replaces))
        return found

    def _access(self) -> RegistryAccess:
        return cast("RegistryAccess", self.access)

    def _policy_check(self) -> "PolicyCheck | None":
        if self.policy is None:
            return None
        # Late: most runs have no policy.
        from chonkle.policy_check import PolicyCheck  # noqa: PLC0415

        return PolicyCheck(
            policy=self.policy,
            codec_store=self._store().root,
            access=self._access(),
        )

    def _admitted(
        self,
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
        # A policy is about what a codec is, whatever name it was asked for by.
        codec_id = (
            found.signature.codec_id if isinstance(found, Resolution) else found.pipeline.codec_id
        )
        allowed = policy_check.require(codec_id, origin, name, data, links=links)
        return replace(found, reason=f"{found.reason}, {allowed.reason}", allowed=allowed)

    def _identified(
        self, wanted: "_Wanted", data: bytes, reason: str, source: str, *, file: str = ""
    ) -> Resolution | PipelineResolution:
        """Tell what some bytes are: a pipeline if they are JSON, otherwise a wasm codec.

        Args:
            wanted: what they must be.
            data: the bytes.
            reason: why they were chosen.
            source: the pinned source that they are from; empty where it is not known.
            file: what names the implementation, where the signature does not; the source when
                left out.
        """
        if data.removeprefix(BOM_UTF8).lstrip()[:1] == b"{":
            document = parse_json(data, what=reason, error=PipelineError)
            if is_codec_list(document):
                raise ResolveError(
                    f"{reason} is a codec list",
                    hint="it has no ports and no codec_id; only a graph can be a step",
                ).within(wanted.subject)
            try:
                pipeline = Pipeline.from_json(document)
            except PipelineError as failure:
                raise failure.within(reason).within(wanted.subject) from failure
            wanted.require_identity(pipeline.codec_id, (), reason)
            return PipelineResolution(pipeline, reason, Digest.blake3(data), source)
        codec = WasmCodec.from_bytes(data, reason, file=file or source)
        wanted.require_identity(codec.signature.codec_id, aliases(codec.signature), reason)
        if codec.kind not in wanted.allowed:
            raise wanted.refusal(reason, codec.kind)
        return Resolution(codec.kind, codec.signature, reason, codec, source=source)

    def _nothing(self, wanted: "_Wanted", survey: Survey) -> ChonkleError:
        """Say why no implementation can be picked."""
        if survey.bad_files:
            return survey.bad_files[0].failure
        if survey.left_out and not wanted.allowed:
            return ResolveError(
                f"codec `{wanted.name}`: no implementation, as the preference leaves out the "
                "backends that may run it",
                expected=" or ".join(f"`{each}`" for each in wanted.backends),
                got=", ".join(f"`{each}`" for each in self.preference),
                hint="a codec list lets `native` run what has the type `numcodecs`, and Python "
                'what has `backend="native"`'
                if "native" in self.preference
                else "",
            )
        if survey.left_out:
            backends = wanted.backends or self.preference
            return ResolveError(
                f"codec `{wanted.name}`: no implementation for backend {', '.join(backends)}",
                got=_list_labels(survey.left_out),
                hint=wanted.hint(*dict.fromkeys(each.backend for each in survey.left_out)),
            )
        native = refusal(wanted.codec_id)
        is_native = wanted.codec_id in REFUSED or native_signature(wanted.codec_id) is not None
        if native is not None and is_native:
            return native
        return ResolveError(
            f"no implementation of codec `{wanted.name}`",
            hint=f"{self.inventory.hint(wanted.name)}; `chonkle pull` installs one, --codec-path "
            "and --source name one",
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a step asks for."""

    name: str  # as the step writes it
    codec_id: str  # the codec that has this name, or the name itself
    allowed: Sequence[str]  # backends that both the preference and the step allow, best first
    backends: tuple[str, ...] = ()  # backends that the step allows; empty for any

    @property
    def subject(self) -> str:
        """The codec, for messages; empty where anything is wanted."""
        return f"codec `{self.name}`" if self.name else ""

    def require_identity(self, codec_id: str, aliases: Container[str], reason: str) -> None:
        """Require that what was given explicitly is the codec, where one is wanted."""
        if self.name and codec_id not in (self.name, self.codec_id) and self.name not in aliases:
            raise ResolveError(
                f"codec `{self.name}`: {reason} is another codec",
                expected=f"a signature of `{self.codec_id}`",
                got=f"`{codec_id}`",
            )

    def refusal(self, reason: str, backend: str) -> ResolveError:
        """Say that what was given explicitly is of a backend that may not run it."""
        return ResolveError(
            f"codec `{self.name}`: {reason} is for another backend",
            expected=" or ".join(f"`{each}`" for each in self.allowed) or "none",
            got=f"`{backend}`",
            hint=self.hint(backend),
        )

    def hint(self, *backends: str) -> str:
        """Say what leaves out backends."""
        left_out = [each for each in backends if not self.backends or each in self.backends]
        if not left_out:
            return f"its step allows only {', '.join(f'`{each}`' for each in self.backends)}"
        return f"the preference leaves out {', '.join(f'`{each}`' for each in left_out)}"


def _any_of(locked: Locked) -> _Wanted:
    """Ask for what a lock says in any backend; the lock itself is compared later."""
    return _Wanted(locked.key.codec_id, locked.key.codec_id, BACKENDS)


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


def _picked(candidates: Sequence[Resolution], survey: Survey, why: str) -> Resolution:
    best, *others = candidates
    return replace(
        best,
        reason=f"{best.reason}, {why}",
        passed_over=tuple(each.label for each in others),
        left_out=tuple(each.label for each in survey.left_out),
    )


def _names(found: Resolution) -> tuple[str, str]:
    """Give what an override may call a candidate."""
    return found.signature.implementation, found.signature.label


def _or[T](value: T | None, default: T) -> T:
    return default if value is None else value


def _list_labels(candidates: Sequence[Resolution]) -> str:
    return ", ".join(f"`{each.label}`" for each in candidates) or "none at all"
