"""Publishing codecs into a registry or an image layout, with golden vectors and provenance.

    a file      <target>:<version> for a component, <target>:<version>-core for a core module, or
                the tag that the target names
    a folder    every file that codecs.lock lists, as <target>/<implementation> with these tags

All targets are looked up before anything is written. Of each codec the blobs are written first,
then its referrers, then the manifest with its tag: an interruption leaves no new tag, and
publishing again continues from there.

A version is published once. The same file again changes nothing, even if its manifest differs;
another file under the same version is refused.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from chonkle.digest import Digest
from chonkle.errors import BuildError, ChonkleError, FetchError
from chonkle.oci.artifact import Artifact, codec_artifact
from chonkle.oci.layout import TAR_SUFFIX
from chonkle.oci.model import (
    MANIFEST_TYPE,
    ArtifactReference,
    Descriptor,
    LayoutReference,
    Reference,
    artifact_scheme,
    is_index,
    parse_descriptor,
    parse_manifest,
    parse_reference,
    wasm_layer,
)
from chonkle.oci.pull import codec_entries
from chonkle.oci.repository import Progress, Repository, StoredManifest
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.abi import Abi
from chonkle_toolchain.attachments import (
    VECTORS_MAX_BYTES,
    VECTORS_TYPE,
    Attachment,
    provenance_attachment,
    read_vectors_layer,
    vectors_attachment,
)
from chonkle_toolchain.codecs_lock import LOCK_FILE, Built, read_lock
from chonkle_toolchain.vectors import Vector
from chonkle_toolchain.verify import find_store

type State = Literal["published", "replaced", "unchanged"]

_ABIS: tuple[Abi, ...] = ("component", "core")
_TAGGED = re.compile(r".*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?:@.*)?", re.DOTALL)
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+([-_.].*)?", re.DOTALL)
_CONFLICTS_MAX = 10


@dataclass(frozen=True, slots=True)
class Target:
    """Where to publish.

    Attributes:
        reference: the repository, and the tag where one is written.
        tag: that tag; empty where none is written.
    """

    reference: ArtifactReference
    tag: str = ""

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read a target.

        Raises:
            FetchError: when it is malformed or has a digest.
        """
        if not artifact_scheme(text):
            raise FetchError(
                f"`{text}`: no place to publish to",
                expected="`oci://HOST/REPOSITORY[:TAG]` or `oci-layout://PATH[:TAG]`",
            )
        reference = parse_reference(text)
        if reference.digest is not None:
            raise FetchError(f"{text}: a digest cannot be published to", expected="at most a tag")
        is_tagged = _TAGGED.fullmatch(text.rpartition("/")[2]) is not None
        return cls(reference, reference.tag if is_tagged else "")

    def within(self, name: str) -> ArtifactReference:
        """Return a repository below the target.

        Raises:
            FetchError: when there can be none of that name.
        """
        if isinstance(self.reference, Reference):
            return Reference.parse(f"{self.reference.registry}/{self.reference.repository}/{name}")
        if self.reference.path.suffix == TAR_SUFFIX:
            raise FetchError(
                f"{self.reference.uri}: several codecs do not go into one tar file",
                hint="publish into a folder, or one file at a time",
            )
        return LayoutReference(self.reference.path / name)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A codec to publish.

    Attributes:
        codec: the file.
        reference: its destination, with its tag.
        artifact: its artifact.
        attachments: its golden vectors and provenance.
    """

    codec: WasmCodec
    reference: ArtifactReference
    artifact: Artifact
    attachments: tuple[Attachment, ...]

    @property
    def size_bytes(self) -> int:
        """The most bytes that there may be to send."""
        layers = sum(len(each.layer.data) for each in self.attachments)
        return self.artifact.size_bytes + layers


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written for a candidate.

    Attributes:
        candidate: the codec.
        repository: its destination.
        state: `published` where it is new.
        subject: its manifest there.
        missing: the attachments to write.
    """

    candidate: Candidate
    repository: Repository
    state: State
    subject: Descriptor
    missing: tuple[Attachment, ...]

    def carry_out(self, *, progress: Progress | None = None) -> None:
        """Write what is missing, the tag last.

        Raises:
            FetchError: when the repository refuses it.
        """
        candidate = self.candidate
        if self.state != "unchanged":
            for blob in candidate.artifact.blobs:
                self.repository.write_blob(blob.data, blob.media_type, progress=progress)
        for attachment in self.missing:
            attachment.referrer_of(self.subject).write(self.repository, progress=progress)
        if self.state != "unchanged":
            self.repository.write_manifest(
                candidate.artifact.manifest, MANIFEST_TYPE, tag=candidate.reference.tag
            )

    @property
    def reference(self) -> ArtifactReference:
        """Where the codec is or will be, pinned."""
        return self.candidate.reference.pinned(self.subject.digest)

    def to_json(self) -> dict[str, object]:
        """Write the plan as a JSON object."""
        return {
            "file": self.candidate.codec.origin,
            "reference": self.reference.uri,
            "digest": str(self.subject.digest),
            "state": self.state,
            "attached": [each.name for each in self.missing],
        }


def file_candidate(
    path: Path, target: Target, *, vectors: Path | None = None, created: datetime | None = None
) -> Candidate:
    """Make a candidate of one file.

    Args:
        path: the file. If it lies in a codec store whose codecs.lock lists it, provenance is made.
        target: where it goes.
        vectors: a folder with its golden vectors.
        created: the time to write; the beginning of 1970 when left out.

    Raises:
        ChonkleError: when the file or the lock cannot be read, the tag is another version than the
            codec's, or there is no version to publish it under.
    """
    codec = WasmCodec.from_file(path)
    _require_own_version(codec, target)
    store = path.absolute().parent.parent
    built = read_lock(store).codecs.get(codec.signature.implementation)
    is_listed = built is not None and built.artifact(codec.kind).sha256 == _sha256(codec)
    reference = replace(target.reference, tag=target.tag or _tag(codec))
    return _candidate(codec, reference, built if is_listed else None, vectors, created)


def folder_candidates(
    folder: Path,
    target: Target,
    *,
    codec_src: Path | None = None,
    created: datetime | None = None,
) -> list[Candidate]:
    """Make candidates of all files that a codecs.lock lists.

    Args:
        folder: a codec store, a codec's folder, or a folder with several of those.
        target: what the repositories are below.
        codec_src: for a codec store, where the codecs' folders are, with their golden vectors.
        created: the time to write; the beginning of 1970 when left out.

    Raises:
        ChonkleError: when there is no lock, or a file is not what it says.
    """
    if target.tag:
        raise FetchError(
            f"{target.reference.uri}: a folder is published under the versions of its codecs",
            expected="a target without a tag",
        )
    store, recipes = find_store(folder, codec_src)
    lock = read_lock(store)
    if not lock.codecs:
        raise BuildError(
            f"no codec is listed in `{store / LOCK_FILE}`",
            hint="`chonkle build` builds and lists codecs; a file alone can be published too",
        )
    found = []
    for name, built in sorted(lock.codecs.items()):
        vectors = recipes[name].folder / "vectors" if name in recipes else None
        for abi in _ABIS:
            listed = built.artifact(abi)
            codec = WasmCodec.from_file(store / listed.file)
            if _sha256(codec) != listed.sha256:
                raise BuildError(
                    f"{codec.origin}: other bytes than {LOCK_FILE} says",
                    expected=f"sha256 {listed.sha256}",
                    got=f"sha256 {_sha256(codec)}",
                    hint="build it again, or take the file from where it was published",
                )
            reference = replace(target.within(name), tag=_tag(codec))
            found.append(_candidate(codec, reference, built, vectors, created))
    return found


def plan(
    candidates: Sequence[Candidate], repositories: Sequence[Repository], *, force: bool
) -> list[Plan]:
    """Compare all candidates with what is published, before anything is written.

    Args:
        candidates: the codecs.
        repositories: the destination of each.
        force: whether to replace other files of the same version.

    Raises:
        FetchError: when a repository cannot be asked, or has another file of the same version.
    """
    plans, conflicts = [], []
    for candidate, repository in zip(candidates, repositories, strict=True):
        try:
            plans.append(_plan(candidate, repository, force=force))
        except _ConflictError as conflict:
            conflicts.append(str(conflict))
    if conflicts:
        displayed = "; ".join(conflicts[:_CONFLICTS_MAX])
        more = len(conflicts) - _CONFLICTS_MAX
        raise FetchError(
            f"{displayed}; and {more} more" if more > 0 else displayed,
            hint="publish it under another version; `--force` replaces what others may use",
        )
    return plans


@dataclass(frozen=True, slots=True)
class ReadCodec:
    """A published codec that was read.

    Attributes:
        reference: where it is, pinned to its manifest.
        links: the index that led to it, if one did, and its manifest.
        wasm: the codec.
        vectors: all golden vectors that are attached to it.
    """

    reference: ArtifactReference
    links: tuple[bytes, ...]
    wasm: bytes
    vectors: list[Vector]


def read_published(
    reference: ArtifactReference, repository: Repository, *, size_max: int
) -> Iterator[ReadCodec]:
    """Read a published codec, or every codec that an index lists.

    Args:
        reference: the codec or the index.
        repository: where it is.
        size_max: bytes of a codec to accept at most.

    Raises:
        FetchError: when something cannot be read, or is too large.
        BuildError: when a golden vector is malformed.
    """
    what = reference.uri
    top = repository.manifest(reference.digest or reference.tag)
    fields = parse_manifest(top.data, what)
    if not is_index(fields):
        yield _read_codec(reference, repository, (top,), size_max=size_max)
        return
    for entry in dict.fromkeys(codec_entries(fields, _ABIS, what)):
        manifest = repository.manifest(entry.digest)
        yield _read_codec(reference, repository, (top, manifest), size_max=size_max)


def _read_codec(
    reference: ArtifactReference,
    repository: Repository,
    links: tuple[StoredManifest, ...],
    *,
    size_max: int,
) -> ReadCodec:
    manifest = links[-1]
    reference = reference.pinned(manifest.descriptor.digest)
    what = reference.uri
    layer = wasm_layer(parse_manifest(manifest.data, what), what)
    layer.require_size(size_max, what=what)
    wasm = repository.blob(layer)
    vectors = []
    for found in repository.referrers(manifest.descriptor.digest, artifact_type=VECTORS_TYPE):
        referrer = repository.manifest(found.digest)
        for each in _layers(referrer.data, what):
            if each.media_type == VECTORS_TYPE:
                each.require_size(VECTORS_MAX_BYTES, what=what)
                vectors += read_vectors_layer(repository.blob(each), what=what)
    return ReadCodec(reference, tuple(each.data for each in links), wasm, vectors)


class _ConflictError(ChonkleError):
    """Another file is published under the same version."""


def _candidate(
    codec: WasmCodec,
    reference: ArtifactReference,
    built: Built | None,
    vectors: Path | None,
    created: datetime | None,
) -> Candidate:
    attachments = [
        None if vectors is None else vectors_attachment(vectors),
        None if built is None else provenance_attachment(codec, built),
    ]
    epoch = datetime.fromtimestamp(0, UTC)
    return Candidate(
        codec,
        reference,
        codec_artifact(codec, created=created or epoch),
        tuple(each for each in attachments if each is not None),
    )


def _plan(candidate: Candidate, repository: Repository, *, force: bool) -> Plan:
    own = candidate.artifact.descriptor
    found = None if _is_new(candidate.reference) else repository.resolve(candidate.reference.tag)
    if found is None:
        return Plan(candidate, repository, "published", own, candidate.attachments)
    if found.digest != own.digest:
        layer = _wasm_layer_there(repository, found.digest)
        if force:
            return Plan(candidate, repository, "replaced", own, candidate.attachments)
        if layer is None or layer.digest.hex != _sha256(candidate.codec):
            raise _ConflictError(
                f"{candidate.reference.uri}: something else is published there",
                expected=f"`{candidate.artifact.blobs[-1].descriptor.digest}`",
                got=f"`{found.digest}`" if layer is None else f"`{layer.digest}`",
            )
    known = {each.digest for each in repository.referrers(found.digest)}
    missing = tuple(
        each
        for each in candidate.attachments
        if each.referrer_of(found).descriptor.digest not in known
    )
    return Plan(candidate, repository, "unchanged", found, missing)


def _is_new(reference: ArtifactReference) -> bool:
    """Tell whether the layout does not exist yet; the first artifact makes it."""
    return isinstance(reference, LayoutReference) and not reference.path.exists()


def _wasm_layer_there(repository: Repository, digest: Digest) -> Descriptor | None:
    """Return the layer of a published codec; None where something else is published."""
    stored = repository.manifest(digest)
    try:
        return wasm_layer(parse_manifest(stored.data, repository.name), repository.name)
    except FetchError:
        return None


def _layers(manifest: bytes, what: str) -> Iterator[Descriptor]:
    layers = parse_manifest(manifest, what).get("layers")
    for layer in layers if isinstance(layers, list) else []:
        yield parse_descriptor(layer, what)


def _require_own_version(codec: WasmCodec, target: Target) -> None:
    """Refuse a tag that is a version, and not the codec's: readers would take it for one."""
    version = codec.signature.version
    if not version or _VERSION.fullmatch(target.tag) is None:
        return
    said = target.tag.removeprefix("v").removesuffix("-core")
    if said != version.replace("+", "_"):
        raise BuildError(
            f"{target.reference.uri}: the tag is another version than that of {codec.origin}",
            expected=f"`{version}`, as its signature says",
            got=f"`{target.tag}`",
            hint="leave the tag out, or name one that is no version",
        )


def _tag(codec: WasmCodec) -> str:
    version = codec.signature.version
    if not version:
        raise BuildError(
            f"{codec.origin}: its signature says no version to publish it under",
            hint="name a tag behind the target, `:TAG`",
        )
    # A tag has no `+`; an underscore is in no version.
    version = version.replace("+", "_")
    return version if codec.kind == "component" else f"{version}-core"


def _sha256(codec: WasmCodec) -> str:
    return Digest.sha256(codec.wasm).hex


def blob_progress(sent: Callable[[int], None]) -> Progress:
    """Turn the progress of one blob after the other into numbers of bytes that are done."""
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        # An upload that restarts goes back.
        sent(max(done - last, 0))
        last = 0 if done == total else max(done, last)

    return progress
