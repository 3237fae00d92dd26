"""The client for OCI registries: oras, each request of which is made by a transport of ours.

Nothing that comes back is trusted: every byte is checked against the size and the digest that
promise it.
"""

import json as json_text
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oras.provider
import requests

from chonkle.errors import FetchError
from chonkle.oci.address import Address
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.credentials import DockerLogin
from chonkle.oci.model import MANIFEST_TYPE, Reference
from chonkle.oci.transport import Bounds

MANIFEST_MAX_BYTES = 4 << 20


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


@dataclass(frozen=True, slots=True)
class Pulled:
    """A codec, and what leads to it from the digest that pins it.

    Attributes:
        manifest: its bytes.
        wasm: the codec, which the manifest describes.
    """

    manifest: bytes
    wasm: bytes


def pull_wasm(
    reference: Reference,
    *,
    size_max: int,
    docker_config: Path | None = None,
    bounds: Bounds | None = None,
) -> Pulled:
    """Pull the codec of a wasm artifact.

    Args:
        reference: where it is; its digest, if it has one, pins the manifest.
        size_max: bytes to accept at most.
        docker_config: docker's directory, which has credentials; None for none.
        bounds: limits of time.

    Returns:
        The manifest and the wasm, each checked against what promised it.

    Raises:
        FetchError: when the registry cannot be reached, refuses, has no such artifact or takes too
            long, or credentials cannot be read.
        DigestMismatchError: when it sends other bytes than it promised.
    """
    what = f"oci://{reference}"
    login = None if docker_config is None else DockerLogin(docker_config)
    with RegistryTransport(reference.registry, login=login, what=what, bounds=bounds) as transport:
        registry = Registry(transport)
        name, wanted = reference.repository, reference.digest or reference.tag
        manifest = registry.read(
            f"{name}/manifests/{wanted}", size_max=MANIFEST_MAX_BYTES, accept=MANIFEST_TYPE
        )
        layer = reference.layer_in(manifest)
        if layer.size > size_max:
            raise FetchError(
                f"{what}: too large", expected=f"at most {size_max} bytes", got=str(layer.size)
            )
        wasm = registry.read(f"{name}/blobs/{layer.digest}", size_max=layer.size)
        layer.check(wasm, what=what)
    return Pulled(manifest, wasm)
