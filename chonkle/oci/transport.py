"""HTTP: what every request keeps to, and plain `https://` downloads.

Nothing that comes back is believed: sizes are bounded while bytes arrive, and nothing is asked of
an address without TLS, wherever a redirect or a registry points. Nothing waits for ever either: a
download has a time in which all of it is done.
"""

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from chonkle.digest import read_verified
from chonkle.errors import FetchError

# For all of a download: its connections, redirects and tokens too. The largest file there may be
# gets there in time with half a megabyte a second, what codecs usually are with any line.
DOWNLOAD_TIMEOUT_S = 600.0
_TIMEOUTS_S = (10.0, 60.0)  # to connect, and between two packets
_CHUNK_BYTES = 1 << 20
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


def download(url: str, *, size_max: int, timeout_s: float = DOWNLOAD_TIMEOUT_S) -> bytes:
    """Download a file over TLS.

    Args:
        url: an `https://` URL.
        size_max: bytes to accept at most.
        timeout_s: how long all of it may take.

    Raises:
        FetchError: when it cannot be had, or takes too long.
    """
    session = requests.Session()
    with bounded(session, url, timeout_s=timeout_s):
        response = session.get(url, stream=True)
        return read_verified(stream_of(response, url), digest=None, size_max=size_max, what=url)


@contextmanager
def bounded(session: requests.Session, what: str, *, timeout_s: float) -> Iterator[None]:
    """Bound what a session may do and how long, and close it then.

    Args:
        session: a new session.
        what: what it is for, for messages.
        timeout_s: how long all of it may take.

    Raises:
        FetchError: for whatever goes wrong with its requests.
    """
    watch = _Watch(timeout_s)
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(watch))
    session.request = _following(session)  # type: ignore[method-assign]
    too_long = FetchError(
        f"{what}: took too long", expected=f"at most {timeout_s:g} seconds in all"
    )
    try:
        with _translated(what), session:
            yield
    except Exception as failure:
        if watch.expired:
            raise too_long from failure
        raise
    finally:
        watch.close()
    if watch.expired:
        raise too_long


def stream_of(response: requests.Response, what: str) -> Iterator[bytes]:
    """Give the body of an answer piece by piece.

    Args:
        response: the answer, of a request for a stream.
        what: what it is, for messages.

    Raises:
        FetchError: when it is not what was asked for.
    """
    with response:
        if response.status_code != _OK:
            raise FetchError(
                f"{what}: the server answered {response.status_code} {response.reason}",
                hint="check the name, and log in with `docker login` where it is private"
                if response.status_code in _REFUSALS
                else "",
            )
        yield from response.iter_content(_CHUNK_BYTES)


class _Watch:
    """Ends the connections of a download when its time is up, whatever they wait for.

    The timeouts of requests begin anew with each byte, so that a server which sends one now and
    then could hold a reader for ever: in TLS, in headers, in a body.

    Args:
        timeout_s: the time there is.

    Attributes:
        expired: whether it is up; what came to an end then may have been cut short.
    """

    def __init__(self, timeout_s: float) -> None:
        self.expired = False
        self._connections: list[socket.socket] = []
        self._timer = threading.Timer(timeout_s, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def hold(self, connection: socket.socket) -> None:
        # A descriptor of our own, because TLS takes theirs from the object that they gave us.
        self._connections.append(connection.dup())
        if self.expired:
            self._expire()

    def close(self) -> None:
        self._timer.cancel()
        self._timer.join()
        for connection in self._connections:
            connection.close()

    def _expire(self) -> None:
        self.expired = True
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections that a watch holds."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch
        self._hold(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests does
        return self._hold(super().proxy_manager_for(*args, **kwargs))

    def _hold(self, manager: Any) -> Any:  # noqa: ANN401 - a pool manager of urllib3
        def held(pool_class: Any) -> Any:  # noqa: ANN401
            watch = self._watch

            class Connection(pool_class.ConnectionCls):  # type: ignore[misc]
                # There is no other place between TCP and TLS.
                def _new_conn(self) -> socket.socket:
                    connection: socket.socket = super()._new_conn()
                    watch.hold(connection)
                    return connection

            return type(pool_class.__name__, (pool_class,), {"ConnectionCls": Connection})

        pool_classes = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {key: held(each) for key, each in pool_classes.items()}
        return manager


def _following(session: requests.Session) -> Any:  # noqa: ANN401 - a method of requests
    """Give the session's `request` with timeouts, and redirects that do not leave TLS."""
    request = session.request

    def following(method: str, url: str, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        kwargs.update(timeout=_TIMEOUTS_S, allow_redirects=False)
        for _ in range(_REDIRECTS_MAX):
            here = urlsplit(url)
            if here.scheme != "https" and not is_loopback(here.netloc):
                raise FetchError(f"led to `{here.scheme}://{here.netloc}`, an address without TLS")
            response = request(method, url, **kwargs)
            target = session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            url = urljoin(url, target)
            if urlsplit(url).netloc != here.netloc:
                # What was meant for one host is no other one's business.
                headers = dict(kwargs.get("headers") or {})
                headers.pop("Authorization", None)
                kwargs["headers"] = headers
        raise FetchError(f"redirected more than {_REDIRECTS_MAX} times")

    return following


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
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
    except (requests.RequestException, ValueError) as failure:
        first = str(failure).strip().split("\n", 1)[0]
        raise FetchError(f"{what}: {first or type(failure).__name__}") from failure
