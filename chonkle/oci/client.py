"""The client for OCI registries: oras, each request of which is made by a transport of ours.

Nothing that comes back is trusted: every byte is checked against the size and the digest that
promise it.
"""

import json as json_text
from typing import Any

import oras.provider
import requests

from chonkle.digest import Digest
from chonkle.oci.address import Address
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.model import (
    INDEX_TYPE,
    MANIFEST_MAX_BYTES,
    MANIFEST_TYPE,
    Descriptor,
    Reference,
)
from chonkle.oci.repository import StoredManifest

_ACCEPTED = f"{MANIFEST_TYPE}, {INDEX_TYPE}"


class Registry(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """An oras registry whose requests keep to our rules, and without its retries, which sleep.

    Args:
        transport: what makes the requests.
    """

    def __init__(self, transport: RegistryTransport) -> None:
        base = transport.base
        super().__init__(hostname=str(base.host), insecure=base.scheme == "http")
        self._transport = transport

    def do_request(
        self,
        url: str,
        method: str = "GET",
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        json: Any = None,  # noqa: ANN401 - oras's signature
        stream: bool = False,  # noqa: ARG002 - the answer is always in memory
        size_max: int = MANIFEST_MAX_BYTES,
    ) -> requests.Response:
        """Make a request.

        Args:
            url: where to.
            method: in upper case.
            data: what to send.
            headers: more headers.
            json: what to send as JSON instead.
            stream: of no effect.
            size_max: bytes of an answer to accept at most.
        """
        body = data if json is None else json_text.dumps(json).encode()
        return self._transport.request(
            method, Address.parse(url), size_max=size_max, headers=headers, body=body
        )

    def read(self, path: str, *, size_max: int, accept: str = "*/*") -> bytes:
        """Read a manifest or a blob.

        Args:
            path: behind `/v2/`.
            size_max: bytes to accept at most.
            accept: media types.

        Raises:
            FetchError: when it cannot be read.
        """
        response = self.do_request(
            f"{self.prefix}://{self.hostname}/v2/{path}",
            headers={"Accept": accept},
            size_max=size_max,
        )
        return self._transport.accepted(response).content


class RegistryReader:
    """Reads the artifacts of one repository of a registry.

    Args:
        reference: the repository.
        transport: what makes the requests; it is closed with the reader.
    """

    def __init__(self, reference: Reference, transport: RegistryTransport) -> None:
        self.name = f"oci://{reference.registry}/{reference.repository}"
        self._repository = reference.repository
        self._transport = transport
        self._registry = Registry(transport)

    def manifest(self, wanted: str | Digest) -> StoredManifest:
        """Read a manifest or an index.

        Args:
            wanted: a tag, or a digest.

        Raises:
            FetchError: when there is none, or the registry cannot be asked.
            DigestMismatchError: when it is another one.
        """
        path = f"{self._repository}/manifests/{wanted}"
        data = self._registry.read(path, size_max=MANIFEST_MAX_BYTES, accept=_ACCEPTED)
        if isinstance(wanted, Digest):
            wanted.check(data, what=f"{self._transport.what}: manifest")
        return StoredManifest(Descriptor(MANIFEST_TYPE, Digest.sha256(data), len(data)), data)

    def blob(self, blob: Descriptor) -> bytes:
        """Read a blob.

        Raises:
            FetchError: when there is none, or the registry cannot be asked.
            DigestMismatchError: when it is another one, or has another size.
        """
        data = self._registry.read(f"{self._repository}/blobs/{blob.digest}", size_max=blob.size)
        blob.check(data, what=self._transport.what)
        return data

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._transport.close()
