"""The client for OCI registries, through oras.

What comes back is as little believed here as anywhere: every byte is checked against the digest
that names it, and what a registry says of who may log in where is bounded like the rest.
"""

import re
from pathlib import Path
from typing import Any

import oras.auth
import oras.provider
import requests

from chonkle.digest import read_verified
from chonkle.errors import FetchError
from chonkle.formats.json_text import parse_json
from chonkle.oci.credentials import Credentials, find_credentials
from chonkle.oci.model import MANIFEST_TYPE, Reference, wasm_layer
from chonkle.oci.transport import DOWNLOAD_TIMEOUT_S, bounded, is_loopback, stream_of

_MANIFEST_MAX_BYTES = 4 << 20
_TOKEN_MAX_BYTES = 1 << 20
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"', re.IGNORECASE)


class _Auth(oras.auth.TokenAuth):  # type: ignore[misc]  # oras has no types
    """Answers to what a registry asks of somebody it does not know (RFC 9110, section 11.6.1).

    They are not oras's own, which know no `Basic` and believe a registry too much.

    Args:
        credentials: what to log in with; None for everybody's access.
    """

    def __init__(self, credentials: Credentials | None) -> None:
        super().__init__()
        self._credentials = credentials

    def authenticate_request(
        self,
        original: requests.Response,
        headers: dict[str, str] | None,
        refresh: bool = False,  # noqa: ARG002, FBT001, FBT002 - oras's signature
    ) -> tuple[dict[str, str], bool]:
        """Give the headers to ask again with.

        Where nothing can be added they are asked with all the same: what the registry answers then
        is what is wrong.
        """
        original.close()
        headers = dict(headers or {})
        scheme, _, rest = original.headers.get("Www-Authenticate", "").partition(" ")
        if scheme.lower() == "bearer":
            self.token = self._fetch_token(dict(_CHALLENGE.findall(rest)))
            headers["Authorization"] = f"Bearer {self.token}"
        elif scheme.lower() == "basic" and self._credentials is not None:
            headers["Authorization"] = self._credentials.basic
        return headers, True

    def _fetch_token(self, challenge: dict[str, str]) -> str:
        # Docker's token authentication: the realm is a URL, and the rest goes to it as it is.
        headers = {}
        if self._credentials is not None:
            headers["Authorization"] = self._credentials.basic
        asked = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        realm = challenge.get("realm")
        if not realm:
            raise FetchError("the registry wants a token and does not say where to get one")
        response = self.session.get(realm, params=asked, headers=headers, stream=True)
        text = read_verified(
            stream_of(response, realm), digest=None, size_max=_TOKEN_MAX_BYTES, what=realm
        )
        answer = parse_json(text, what=realm, error=FetchError)
        token = None
        if isinstance(answer, dict):
            token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str):
            raise FetchError(f"{realm}: no token in the answer")
        return token


class _Registry(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """An oras registry without its retries, which sleep for minutes, and with our own answers."""

    def __init__(self, reference: Reference, credentials: Credentials | None) -> None:
        host = reference.registry
        super().__init__(hostname=host, insecure=is_loopback(host))
        auth = _Auth(credentials)
        auth.session, auth.prefix = self.session, self.prefix
        self.auth = auth

    def do_request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        # The undecorated method of oras: it authenticates, and does nothing else.
        request = oras.provider.Registry.do_request.__wrapped__
        response: requests.Response = request(self, *args, **kwargs)
        return response


def pull_wasm(
    reference: Reference,
    *,
    size_max: int,
    docker_config: Path | None = None,
    timeout_s: float = DOWNLOAD_TIMEOUT_S,
) -> bytes:
    """Pull the codec of a wasm artifact.

    Args:
        reference: where it is; its digest, if it has one, pins the manifest.
        size_max: bytes to accept at most.
        docker_config: docker's directory, which has credentials; None for everybody's access.
        timeout_s: how long all of it may take.

    Returns:
        The wasm, whose digest was checked against the manifest's.

    Raises:
        FetchError: when the registry cannot be reached, refuses, has no such artifact or takes too
            long, or credentials cannot be read.
        DigestMismatchError: when it sends other bytes than it promised.
    """
    what = f"oci://{reference}"
    credentials = None
    if docker_config is not None:
        credentials = find_credentials(reference.registry, docker_config)
    registry = _Registry(reference, credentials)
    with bounded(registry.session, what, timeout_s=timeout_s):
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
        blob = registry.do_request(f"{base}/blobs/{layer.digest}", "GET", headers={}, stream=True)
        return read_verified(
            stream_of(blob, what), digest=layer.digest, size_max=layer.size, what=what
        )
