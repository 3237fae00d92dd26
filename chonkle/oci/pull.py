"""Pulling: from a reference to the verified bytes of a codec.

    reference ──▶ index ──▶ manifest ──▶ layer        each named by the digest in the one before

Kept copies are used for everything that a digest names; only the rest is asked of the registry or
the layout. A pinned artifact needs no network the second time, and one under a tag costs one
request while the tag stays where it is.

Source: OCI Image Specification 1.1 (image index), CNCF TAG Runtime, "Wasm OCI Artifact layout".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chonkle.closing import Closing
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
from chonkle.oci.repository import Repository
from chonkle.storage.kept import KeptFiles

_ENTRIES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Pulled:
    """A codec, and the manifests that lead to it."""

    wasm: bytes  # the codec
    links: tuple[bytes, ...]  # the index, if there is one, and the manifest, outermost first
    fetched: tuple[tuple[Digest, bytes], ...]  # everything that was fetched, each with its digest

    @property
    def top(self) -> Digest:
        """Digest of what the reference leads to, the index or the manifest."""
        return Digest.sha256(self.links[0])

    @property
    def manifest(self) -> Digest:
        """Digest of the manifest."""
        return Digest.sha256(self.links[-1])


class ArtifactReader(Closing):
    """Reads one wasm artifact, from kept copies or from where it is. A context manager.

    Args:
        reference: the artifact; its digest, if it has one, pins the manifest or the index.
        open_repository: opens where it is; called at most once, and only when needed.
        kinds: what to take from an index, best first.
        kept: copies of what was fetched before; nothing is added to them.

    Attributes:
        reference: the artifact.
        fetched: everything that was fetched, each with its digest.
    """

    def __init__(
        self,
        reference: ArtifactReference,
        open_repository: Callable[[], Repository],
        *,
        kinds: Sequence[Kind],
        kept: KeptFiles | None = None,
    ) -> None:
        self.reference = reference
        self._what = reference.uri
        self._open_repository = open_repository
        self._repository: Repository | None = None
        self._kinds = kinds
        self._kept = kept
        self.fetched: list[tuple[Digest, bytes]] = []

    def close(self) -> None:
        """Close the repository, if it was opened. Idempotent."""
        if self._repository is not None:
            self._repository.close()

    def links(self) -> tuple[tuple[bytes, ...], Descriptor]:
        """Read the index, if there is one, and the manifest; give them with the layer they lead to.

        Raises:
            FetchError: when they cannot be read, or lead to no codec.
            DigestMismatchError: when they are other bytes than their digests promise.
        """
        links = [self._manifest(self.reference.digest or self.reference.tag)]
        fields = parse_manifest(links[0], self._what)
        if is_index(fields):
            entry = codec_entries(fields, self._kinds, self._what)[0]
            links.append(self._manifest(entry.digest))
            entry.check(links[1], what=f"{self._what}: manifest")
            fields = parse_manifest(links[1], self._what)
            if is_index(fields):
                raise FetchError(f"{self._what}: an index in an index")
        return tuple(links), wasm_layer(fields, self._what)

    def pull(self, *, size_max: int) -> Pulled:
        """Read the codec.

        Raises:
            FetchError: when it cannot be read, or is too large.
            DigestMismatchError: when something is other bytes than its digest promises.
        """
        links, layer = self.links()
        layer.require_size(size_max, what=self._what)
        wasm = self._find(layer.digest, layer.size)
        if wasm is None:
            wasm = self._opened().blob(layer)
            self.fetched.append((layer.digest, wasm))
        layer.check(wasm, what=self._what)
        return Pulled(wasm, links, tuple(self.fetched))

    def _manifest(self, wanted: str | Digest) -> bytes:
        data = self._find(wanted, MANIFEST_MAX_BYTES) if isinstance(wanted, Digest) else None
        if data is None:
            data = self._opened().manifest(wanted).data
            self.fetched.append((Digest.sha256(data), data))
        return data

    def _opened(self) -> Repository:
        if self._repository is None:
            self._repository = self._open_repository()
        return self._repository

    def _find(self, digest: Digest, size_max: int) -> bytes | None:
        return None if self._kept is None else self._kept.find(digest, size_max=size_max)


def codec_entries(
    index: Mapping[str, object], kinds: Sequence[Kind], what: str
) -> list[Descriptor]:
    """Give the entries of an index that are codecs.

    Args:
        index: the parsed index.
        kinds: what they may be, best first: the order of what is returned.
        what: the artifact, for messages.

    Raises:
        FetchError: when there is none, or the index is malformed or too long.
    """
    entries = index_entries(index, what)
    if len(entries) > _ENTRIES_MAX:
        raise FetchError(
            f"{what}: an index of too many manifests",
            expected=f"at most {_ENTRIES_MAX}",
            got=str(len(entries)),
        )
    if len(entries) == 1 and not entries[0].platform_os:
        return entries
    found = [
        entry for kind in kinds for entry in entries if KIND_BY_OS.get(entry.platform_os) == kind
    ]
    if not found:
        raise FetchError(
            f"{what}: nothing in the index is a codec that may be used",
            expected=" or ".join(
                f"`{os}` ({kind})" for os, kind in KIND_BY_OS.items() if kind in kinds
            ),
            got=", ".join(f"`{entry.platform_os}`" for entry in entries) or "no manifests",
        )
    return found
