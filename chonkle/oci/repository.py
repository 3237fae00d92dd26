"""What every place for artifacts can do: a repository of a registry, and an OCI image layout.

    tag ──▶ manifest ──▶ config, layers        blobs, each named by its digest
    subject ◀── referrer                       a manifest that says something of another one

Everything that a repository gives was checked against the digest and the size that promise it.
Manifests are bytes: what was signed or pinned is never written anew from parsed JSON.

Sources: OCI Distribution Specification 1.1, OCI Image Specification 1.1 (image layout).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chonkle.digest import Digest
from chonkle.oci.model import Descriptor

# Is told how many bytes of a blob are there, and how many there will be.
type Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or an index as it is stored.

    Attributes:
        descriptor: its type, digest and size.
        data: its bytes.
    """

    descriptor: Descriptor
    data: bytes


class Repository(ABC):
    """A named collection of artifacts.

    Attributes:
        name: the repository as a user writes it, `oci://host/path` or `oci-layout://path`, for
            messages.
    """

    name: str

    @abstractmethod
    def resolve(self, wanted: str | Digest) -> Descriptor | None:
        """Look a manifest up without reading it.

        Args:
            wanted: a tag, or a digest.

        Returns:
            What it is; None where there is none.

        Raises:
            FetchError: when the repository cannot be asked.
        """

    @abstractmethod
    def manifest(self, wanted: str | Digest) -> StoredManifest:
        """Read a manifest or an index.

        Args:
            wanted: a tag, or a digest.

        Raises:
            FetchError: when there is none, or the repository cannot be asked.
            DigestMismatchError: when it is another one.
        """

    @abstractmethod
    def tags(self) -> list[str]:
        """List the tags, sorted.

        Raises:
            FetchError: when the repository cannot be asked.
        """

    @abstractmethod
    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there.

        Raises:
            FetchError: when the repository cannot be asked.
        """

    @abstractmethod
    def blob(self, blob: Descriptor, *, progress: Progress | None = None) -> bytes:
        """Read a blob.

        Raises:
            FetchError: when there is none, or the repository cannot be asked.
            DigestMismatchError: when it is another one, or has another size.
        """

    @abstractmethod
    def write_blob(
        self, data: bytes, media_type: str, *, progress: Progress | None = None
    ) -> Descriptor:
        """Write a blob, unless it is there.

        Raises:
            FetchError: when the repository refuses it.
        """

    @abstractmethod
    def write_manifest(self, data: bytes, media_type: str, *, tag: str | None = None) -> Descriptor:
        """Write a manifest or an index, whose blobs are there, under its digest and perhaps a tag.

        A manifest with a `subject` is a referrer of it from then on, also where the repository
        keeps no list of referrers itself (Distribution Specification, "Referrers Tag Schema").

        Raises:
            FetchError: when the repository refuses it.
        """

    @abstractmethod
    def referrers(self, subject: Digest, *, artifact_type: str = "") -> list[Descriptor]:
        """List the manifests that refer to a manifest, in the order of the repository.

        Args:
            subject: digest of the manifest.
            artifact_type: only those of this type; all when left out.

        Raises:
            FetchError: when the repository cannot be asked.
        """

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other writers out, between a read and the write that depends on it.

        A registry has no means for that: there, the last of two writers wins. Reentrant.

        Raises:
            FetchError: when another writer does not end.
        """
        yield

    def close(self) -> None:
        """Free what the repository holds. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
