"""The interface of every place for artifacts: a repository of a registry, and an OCI image layout.

    tag ──▶ manifest ──▶ config, layers        blobs, each named by its digest
    subject ◀── referrer                       a manifest about another manifest

A repository checks everything that it returns against the digest and the size that promise it.
Manifests are bytes and are never rewritten from parsed JSON, since their digests are signed.

Sources: OCI Distribution Specification 1.1, OCI Image Specification 1.1 (image layout).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chonkle.closing import Closing
from chonkle.digest import Digest
from chonkle.oci.model import Descriptor

# Called with how many bytes of a blob are transferred, and how many there are.
type Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or an index as it is stored."""

    descriptor: Descriptor  # its type, digest and size
    data: bytes


class Repository(Closing, ABC):
    """A named collection of artifacts, and a context manager.

    All methods raise FetchError when the repository cannot be asked or refuses, lacks what is to
    be read, or another writer does not end; and DigestMismatchError when bytes do not have the
    digest or the size that was promised.
    """

    name: str  # for messages, `oci://host/path` or `oci-layout://path`

    @abstractmethod
    def resolve(self, wanted: str | Digest) -> Descriptor | None:
        """Look a manifest up without reading it; None where there is none."""

    @abstractmethod
    def manifest(self, wanted: str | Digest) -> StoredManifest:
        """Read a manifest or an index."""

    @abstractmethod
    def tags(self) -> list[str]:
        """List the tags, sorted."""

    @abstractmethod
    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""

    @abstractmethod
    def blob(self, blob: Descriptor, *, progress: Progress | None = None) -> bytes:
        """Read a blob."""

    @abstractmethod
    def write_blob(
        self, data: bytes, media_type: str, *, progress: Progress | None = None
    ) -> Descriptor:
        """Write a blob, unless it is there."""

    @abstractmethod
    def write_manifest(self, data: bytes, media_type: str, *, tag: str | None = None) -> Descriptor:
        """Write a manifest or an index under its digest and perhaps a tag, after its blobs.

        A manifest with a `subject` becomes a referrer of it, also where the repository keeps no
        list of referrers itself (Distribution Specification, "Referrers Tag Schema").
        """

    @abstractmethod
    def referrers(self, subject: Digest, *, artifact_type: str = "") -> list[Descriptor]:
        """List the manifests that refer to a manifest, in the order of the repository."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other writers out, between a read and the write that depends on it.

        A registry has no means for that: there, the last of two writers wins. Reentrant.
        """
        yield
