"""Pulling: from a reference to the verified bytes of a codec.

    reference ──▶ index ──▶ manifest ──▶ layer        each named by the digest in the one before

What is named by a digest is taken from the copies that are kept, where it is there; only the rest
is asked of the registry or the layout. So an artifact that is pinned needs no network the second
time, and one that is named by a tag costs one request while the tag stays where it is.

Source: OCI Image Specification 1.1 (image index), CNCF TAG Runtime, "Wasm OCI Artifact layout".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chonkle.digest import Digest
from chonkle.errors import FetchError
from chonkle.formats.wasm_binary import Kind
from chonkle.oci.model import (
    KIND_BY_OS,
    MANIFEST_MAX_BYTES,
    ArtifactReference,
    Descriptor,
    index_entries,
    is_index,
    parse_manifest,
    wasm_layer,
)
from chonkle.oci.places import ArtifactReader
from chonkle.storage.kept import KeptFiles

_ENTRIES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Pulled:
    """A codec, and what leads to it.

    Attributes:
        wasm: the codec, which the manifest describes.
        top: digest of what the reference leads to, an index or the manifest: what pins both.
        manifest: digest of the manifest.
        links: the index, if there is one, and the manifest: their bytes, outermost first.
        fetched: what had to be fetched, each with its digest: what is worth keeping.
    """

    wasm: bytes
    top: Digest
    manifest: Digest
    links: tuple[bytes, ...]
    fetched: tuple[tuple[Digest, bytes], ...]


def pull_wasm(
    reference: ArtifactReference,
    open_reader: Callable[[], ArtifactReader],
    *,
    kinds: Sequence[Kind],
    size_max: int,
    kept: KeptFiles | None = None,
    fetch_anew: bool = False,
) -> Pulled:
    """Pull the codec of a wasm artifact.

    Args:
        reference: where it is; its digest, if it has one, pins the manifest or the index.
        open_reader: opens the registry or the layout; called only where that has to be asked.
        kinds: what to take from an index, best first.
        size_max: bytes of a codec to accept at most.
        kept: copies of what was fetched before; nothing is added to them.
        fetch_anew: ask for everything, also for what is kept.

    Raises:
        FetchError: when the place cannot be asked, refuses, has no such artifact or takes too long.
        DigestMismatchError: when it gives other bytes than it promised.
    """
    what = reference.uri
    bytes_of = _Bytes(open_reader, kept, fetch_anew=fetch_anew)
    try:
        top = bytes_of.manifest(reference.digest or reference.tag)
        fields = parse_manifest(top, what)
        manifest = top
        if is_index(fields):
            entry = _chosen(index_entries(fields, what), kinds, what)
            manifest = bytes_of.manifest(entry.digest)
            entry.check(manifest, what=f"{what}: manifest")
            fields = parse_manifest(manifest, what)
            if is_index(fields):
                raise FetchError(f"{what}: an index in an index")
        layer = wasm_layer(fields, what)
        if layer.size > size_max:
            raise FetchError(
                f"{what}: too large", expected=f"at most {size_max} bytes", got=str(layer.size)
            )
        wasm = bytes_of.blob(layer, what)
    finally:
        bytes_of.close()
    links = (top,) if manifest is top else (top, manifest)
    return Pulled(wasm, Digest.sha256(top), Digest.sha256(manifest), links, tuple(bytes_of.fetched))


def _chosen(entries: Sequence[Descriptor], kinds: Sequence[Kind], what: str) -> Descriptor:
    """Choose an entry of an index, as backends are preferred."""
    if len(entries) > _ENTRIES_MAX:
        raise FetchError(
            f"{what}: an index of too many manifests",
            expected=f"at most {_ENTRIES_MAX}",
            got=str(len(entries)),
        )
    for kind in kinds:
        for entry in entries:
            if KIND_BY_OS.get(entry.platform_os) == kind:
                return entry
    unspecified = [entry for entry in entries if not entry.platform_os]
    if len(unspecified) == 1 and len(entries) == 1:
        return unspecified[0]
    names = ", ".join(f"`{entry.platform_os}`" for entry in entries) or "no manifests"
    raise FetchError(
        f"{what}: nothing in the index is a codec that may be used",
        expected=" or ".join(
            f"`{os}` ({kind})" for os, kind in KIND_BY_OS.items() if kind in kinds
        ),
        got=names,
    )


class _Bytes:
    """What is named by a digest, from the copies that are kept or from where the artifact is."""

    def __init__(
        self,
        open_reader: Callable[[], ArtifactReader],
        kept: KeptFiles | None,
        *,
        fetch_anew: bool,
    ) -> None:
        self._open_reader = open_reader
        self._reader: ArtifactReader | None = None
        self._kept = kept
        self._fetch_anew = fetch_anew
        self.fetched: list[tuple[Digest, bytes]] = []

    def manifest(self, wanted: str | Digest) -> bytes:
        data = self._find(wanted, MANIFEST_MAX_BYTES) if isinstance(wanted, Digest) else None
        if data is None:
            data = self._asked().manifest(wanted).data
            self.fetched.append((Digest.sha256(data), data))
        return data

    def blob(self, blob: Descriptor, what: str) -> bytes:
        data = self._find(blob.digest, blob.size)
        if data is None:
            data = self._asked().blob(blob)
            self.fetched.append((blob.digest, data))
        blob.check(data, what=what)
        return data

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _asked(self) -> ArtifactReader:
        if self._reader is None:
            self._reader = self._open_reader()
        return self._reader

    def _find(self, digest: Digest, size_max: int) -> bytes | None:
        if self._kept is None or self._fetch_anew:
            return None
        return self._kept.find(digest, size_max=size_max)
