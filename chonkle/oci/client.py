"""The client for OCI registries, through oras.

What comes back is as little believed here as anywhere: every byte is checked against the digest
that names it.
"""

from typing import Any

import oras.container
import oras.provider
import requests

from chonkle.digest import read_verified
from chonkle.errors import FetchError
from chonkle.oci.model import MANIFEST_TYPE, Reference, wasm_layer
from chonkle.oci.transport import DOWNLOAD_TIMEOUT_S, bounded, is_loopback, stream_of

_MANIFEST_MAX_BYTES = 4 << 20


class _Registry(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """An oras registry without its retries, which sleep for minutes."""

    def do_request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        # The undecorated method of oras: it authenticates, and does nothing else.
        request = oras.provider.Registry.do_request.__wrapped__
        response: requests.Response = request(self, *args, **kwargs)
        return response


def pull_wasm(
    reference: Reference, *, size_max: int, timeout_s: float = DOWNLOAD_TIMEOUT_S
) -> bytes:
    """Pull the codec of a wasm artifact.

    Args:
        reference: where it is; its digest, if it has one, pins the manifest.
        size_max: bytes to accept at most.
        timeout_s: how long all of it may take.

    Returns:
        The wasm, whose digest was checked against the manifest's.

    Raises:
        FetchError: when the registry cannot be reached, refuses, has no such artifact or takes too
            long.
        DigestMismatchError: when it sends other bytes than it promised.
    """
    what = f"oci://{reference}"
    registry = _Registry(hostname=reference.registry, insecure=is_loopback(reference.registry))
    container = oras.container.Container(
        f"{reference.repository}:{reference.tag}", registry=reference.registry
    )
    with bounded(registry.session, what, timeout_s=timeout_s):
        registry.auth.load_configs(container)
        base = f"{registry.prefix}://{reference.registry}/v2/{reference.repository}"
        wanted = reference.digest or reference.tag
        manifest = read_verified(
            stream_of(
                registry.do_request(
                    f"{base}/manifests/{wanted}",
                    "GET",
                    headers={"Accept": MANIFEST_TYPE},
                    stream=True,
                ),
                what,
            ),
            digest=reference.digest,
            size_max=_MANIFEST_MAX_BYTES,
            what=f"{what}: manifest",
        )
        layer = wasm_layer(manifest, what=what)
        if layer.size > size_max:
            raise FetchError(
                f"{what}: too large", expected=f"at most {size_max} bytes", got=str(layer.size)
            )
        blob = registry.do_request(f"{base}/blobs/{layer.digest}", "GET", stream=True)
        return read_verified(
            stream_of(blob, what), digest=layer.digest, size_max=layer.size, what=what
        )
