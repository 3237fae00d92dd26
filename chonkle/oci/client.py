"""The client for HTTP: registries through oras, and plain `https://` downloads.

Nothing that comes back is believed: sizes are bounded while bytes arrive, digests are checked, and
a redirect may not leave TLS. Nothing waits for ever either.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import oras.auth
import oras.container
import oras.provider
import requests

from chonkle.digest import read_verified
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.oci.model import MANIFEST_TYPE, Reference, wasm_layer

_TIMEOUTS_S = (10.0, 60.0)  # to connect, and between two packets
_CHUNK_BYTES = 1 << 20
_MANIFEST_MAX_BYTES = 4 << 20
_OK = 200
_REFUSALS = (401, 403, 404)
_REDIRECTS_MAX = 5


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine itself.

    Registries there are spoken to without TLS, as other OCI clients do.
    """
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Registry(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """An oras registry without its retries, which sleep for minutes, and with timeouts."""

    def do_request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        # The undecorated method of oras: it authenticates, and does nothing else.
        request = oras.provider.Registry.do_request.__wrapped__
        response: requests.Response = request(self, *args, **kwargs)
        return response


def pull_wasm(reference: Reference, *, size_max: int) -> bytes:
    """Pull the codec of a wasm artifact.

    Args:
        reference: where it is; its digest, if it has one, pins the manifest.
        size_max: bytes to accept at most.

    Returns:
        The wasm, whose digest was checked against the manifest's.

    Raises:
        FetchError: when the registry cannot be reached, refuses, or has no such artifact.
        DigestMismatchError: when it sends other bytes than it promised.
    """
    what = f"oci://{reference}"
    registry = _Registry(hostname=reference.registry, insecure=is_loopback(reference.registry))
    container = oras.container.Container(
        f"{reference.repository}:{reference.tag}", registry=reference.registry
    )
    with _translated(what):
        registry.session.request = _bounded(registry.session)
        registry.auth.load_configs(container)
        base = f"{registry.prefix}://{reference.registry}/v2/{reference.repository}"
        wanted = reference.digest or reference.tag
        manifest = read_verified(
            _stream(
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
            _stream(blob, what), digest=layer.digest, size_max=layer.size, what=what
        )


def download(url: str, *, size_max: int) -> bytes:
    """Download a file over TLS.

    Args:
        url: an `https://` URL.
        size_max: bytes to accept at most.

    Raises:
        FetchError: when it cannot be had.
    """
    with _translated(url), requests.Session() as session:
        session.request = _bounded(session)  # type: ignore[method-assign]
        response = session.get(url, stream=True)
        return read_verified(_stream(response, url), digest=None, size_max=size_max, what=url)


def _bounded(session: requests.Session) -> Any:  # noqa: ANN401 - a method of requests
    """Give the session's `request` with timeouts, following redirects only where TLS goes on."""
    request = session.request

    def bounded(method: str, url: str, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        kwargs.update(timeout=_TIMEOUTS_S, allow_redirects=False)
        for _ in range(_REDIRECTS_MAX):
            response = request(method, url, **kwargs)
            target = session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            here, url = urlsplit(url), urljoin(url, target)
            there = urlsplit(url)
            if there.scheme != "https" and not is_loopback(there.netloc):
                raise FetchError(
                    f"redirected to `{there.scheme}://{there.netloc}`, an address without TLS"
                )
            if there.netloc != here.netloc:
                # What was meant for one host is no other one's business.
                headers = dict(kwargs.get("headers") or {})
                headers.pop("Authorization", None)
                kwargs["headers"] = headers
        raise FetchError(f"redirected more than {_REDIRECTS_MAX} times")

    return bounded


def _stream(response: requests.Response, what: str) -> Iterator[bytes]:
    with response:
        if response.status_code != _OK:
            raise FetchError(
                f"{what}: the server answered {response.status_code} {response.reason}",
                hint="check the name, and log in with `docker login` where it is private"
                if response.status_code in _REFUSALS
                else "",
            )
        yield from response.iter_content(_CHUNK_BYTES)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except DigestMismatchError:
        raise
    except FetchError as failure:
        raise failure if what in str(failure) else failure.within(what) from failure.__cause__
    except requests.exceptions.ChunkedEncodingError as failure:
        raise FetchError(f"{what}: the connection broke before the end") from failure
    except requests.exceptions.SSLError as failure:
        raise FetchError(f"{what}: the server's certificate is not to be trusted") from failure
    except requests.Timeout as failure:
        raise FetchError(f"{what}: no answer in time") from failure
    except requests.ConnectionError as failure:
        raise FetchError(f"{what}: cannot connect", hint="is the host right, and up?") from failure
    except (requests.RequestException, oras.auth.AuthenticationException, ValueError) as failure:
        first = str(failure).strip().split("\n", 1)[0]
        raise FetchError(f"{what}: {first or type(failure).__name__}") from failure
