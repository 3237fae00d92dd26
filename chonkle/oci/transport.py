"""HTTP: the rules of every exchange with a server, and plain `https://` downloads.

- Nothing is sent without TLS, except to a server that the user allowed it for, or on the loopback
  interface, and then only if the exchange began there.
- Only `GET` and `HEAD` follow redirects. A redirect to another scheme, host or port drops the
  `Authorization` header.
- Neither `~/.netrc` nor cookies are sent. Proxies and certificates come from the usual variables;
  the loopback interface is never asked through a proxy.
- A body is bounded while it arrives; compressed transfers are refused.
- A broken connection, `429` and `5xx` are tried again, a few times and with a log line.
- One clock bounds everything, also a server that sends a byte now and then.
"""

import email.utils
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
import urllib3.exceptions

from chonkle.closing import Closing
from chonkle.digest import read_verified
from chonkle.errors import FetchError, printable, without_secrets
from chonkle.oci.address import Address
from chonkle.version import __version__

_CHUNK_BYTES = 1 << 20
_REDIRECTS_MAX = 5
# Of the body of an error.
_ERROR_MAX_BYTES = 1 << 16
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
# May be sent again although the server may have acted on it (RFC 9110, section 9.2.2).
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")
_BROKEN = (requests.ConnectionError, urllib3.exceptions.ProtocolError)
_NEVER_CONNECTED = (requests.exceptions.SSLError, requests.exceptions.ProxyError, requests.Timeout)

_log = logging.getLogger("chonkle.oci")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long exchanges may take, and how often they are tried."""

    # For everything that a transport does: connections, redirects, tokens, pauses. The largest file
    # that is accepted needs half a megabyte a second.
    total_s: float = 600.0
    connect_s: float = 10.0  # for one connection with its TLS
    idle_s: float = 60.0  # between two packets, and the longest pause that a server may ask for
    tries: int = 3  # of each request
    pause_s: float = 0.5  # before the second try, unless the server asks for another; it doubles


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its method in upper case, address, headers and body."""

    method: str
    address: Address
    headers: Mapping[str, str]
    body: bytes | None = None

    def with_headers(self, more: Mapping[str, str]) -> "Request":
        """Return the request with more headers."""
        return replace(self, headers={**self.headers, **more})


class Transport(Closing):
    """Makes all exchanges of one operation with one server and the servers it redirects to.

    Args:
        base: where the operation begins.
        what: its subject, for messages.
        bounds: its limits.
        on_retry: called with the reason before a request is made again; logs when left out.
        ca_file: certificates of the authorities to trust; those of the environment when left out.
        without_tls: whether the user allowed this server without TLS.
    """

    def __init__(
        self,
        base: Address,
        *,
        what: str,
        bounds: Bounds | None = None,
        on_retry: Callable[[str], None] | None = None,
        ca_file: Path | None = None,
        without_tls: bool = False,
    ) -> None:
        self.base = base
        self.what = what
        self._bounds = bounds or Bounds()
        self._on_retry = on_retry or _log.warning
        self._without_tls = without_tls
        self._clock = _Clock(self._bounds.total_s)
        self._session = _Session()
        self._session.auth = _as_it_is
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {"User-Agent": f"chonkle/{__version__}", "Accept-Encoding": "identity"}
        )
        self._session.verify = _certificates() if ca_file is None else _readable(ca_file)
        # requests lets REQUESTS_CA_BUNDLE win over what a session says, but not over a request.
        self._verify = None if ca_file is None else self._session.verify
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Adapter(self._clock))

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._session.close()
        self._clock.close()

    def request(
        self,
        method: str,
        address: Address,
        *,
        size_max: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool = False,
    ) -> requests.Response:
        """Make a request and read the whole answer.

        Args:
            method: in upper case.
            address: where to.
            size_max: bytes of a body to accept at most.
            headers: more headers, without `Authorization`.
            body: what to send.
            repeatable: whether it may be made again although the server may have acted on it, as
                GET, HEAD, PUT and DELETE always may.

        Returns:
            The answer, of any status, with its body in memory; that of an error is cut.

        Raises:
            FetchError: when there is no answer in time, or it breaks a rule.
        """
        with self._translating_errors():
            return self._persist(
                lambda: self._authorized(Request(method, address, headers or {}, body), size_max),
                repeatable=repeatable or method in _REPEATABLE,
            )

    def accepted(self, response: requests.Response, *, what: str = "") -> requests.Response:
        """Return a successful answer.

        Args:
            response: the answer.
            what: the subject, for messages; the transport's own when left out.

        Raises:
            FetchError: when the answer is an error.
        """
        if HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return response
        raise FetchError(
            f"{what or self.what}: the server answered {response.status_code} {response.reason}",
            hint="check the name, and log in with `docker login` where it is private"
            if response.status_code in _REFUSALS
            else "",
        )

    def _authorized(self, request: Request, size_max: int) -> requests.Response:
        """Make a request with the authorization that it needs; a plain server gets none."""
        return self._read(self._follow(request)[0], size_max)

    def _follow(self, request: Request) -> tuple[requests.Response, Address]:
        address, headers = request.address, dict(request.headers)
        for _ in range(_REDIRECTS_MAX + 1):
            self._require_tls(address)
            left_s = self._clock.left_s()
            response = self._session.request(
                request.method,
                str(address),
                headers=headers,
                data=request.body,
                timeout=(min(self._bounds.connect_s, left_s), min(self._bounds.idle_s, left_s)),
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                proxies={"http": "", "https": ""} if address.host.is_loopback else None,
            )
            if not response.is_redirect or request.method not in ("GET", "HEAD"):
                return response, address
            with response:
                target = address.joined(self._session.get_redirect_target(response) or "")
            if target.origin != address.origin:
                headers.pop("Authorization", None)
            address = target
        raise FetchError(f"redirected more than {_REDIRECTS_MAX} times")

    def _require_tls(self, address: Address) -> None:
        is_here = address.host.is_loopback and self.base.host.is_loopback
        allowed = is_here or (self._without_tls and address.host == self.base.host)
        if address.scheme != "https" and not (allowed and self.base.scheme == "http"):
            raise FetchError(f"led to `{address.origin}`, an address without TLS")

    def _read(self, response: requests.Response, size_max: int) -> requests.Response:
        with response:
            chunks = response.raw.stream(_CHUNK_BYTES, decode_content=False)
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                data = next(iter(chunks), b"")[:_ERROR_MAX_BYTES]
            elif response.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchError("sent in a compressed form, which was not asked for")
            else:
                data = read_verified(chunks, digest=None, size_max=size_max, what="the answer")
        response.raw = BytesIO(data)
        return response

    def _persist(
        self, send: Callable[[], requests.Response], *, repeatable: bool
    ) -> requests.Response:
        number = 0
        while True:
            number += 1
            pause_s = self._bounds.pause_s * 2 ** (number - 1)
            try:
                response = send()
            except _BROKEN as failure:
                may_repeat = repeatable and _was_connected(failure)
                if not (may_repeat and self._paused(number, pause_s, "the connection broke")):
                    raise
            else:
                status = response.status_code
                may_repeat = status == HTTPStatus.TOO_MANY_REQUESTS or (
                    repeatable and status >= HTTPStatus.INTERNAL_SERVER_ERROR
                )
                reason = f"the server answered {status} {response.reason}"
                pause_s = _retry_after_s(response, pause_s)
                if not (may_repeat and self._paused(number, pause_s, reason)):
                    return response

    def _paused(self, number: int, pause_s: float, reason: str) -> bool:
        longest_s = min(self._bounds.idle_s, self._clock.left_s())
        if number >= self._bounds.tries or pause_s > longest_s:
            return False
        self._on_retry(
            printable(
                f"{without_secrets(self.what)}: {reason}; trying again in {pause_s:.1f} s"
                f" ({number + 1} of {self._bounds.tries})"
            )
        )
        time.sleep(pause_s)
        return True

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """Turn every failure into one error, which says so when the time was up."""
        try:
            yield
        except (OSError, urllib3.exceptions.HTTPError, ValueError) as failure:
            raise self._late() or _fetch_error(failure, self.what) from failure
        except FetchError as failure:
            raise self._late() or failure.within(self.what) from failure.__cause__
        late = self._late()
        if late is not None:
            # The clock may have cut short what seems complete.
            raise late

    def _late(self) -> FetchError | None:
        if self._clock.left_s() > 0:
            return None
        return FetchError(
            f"{self.what}: took too long",
            expected=f"at most {self._bounds.total_s:g} seconds in all",
        )


def download(
    url: str, *, size_max: int, bounds: Bounds | None = None, ca_file: Path | None = None
) -> bytes:
    """Download a file over TLS.

    Args:
        url: an `https://` URL.
        size_max: bytes to accept at most.
        bounds: limits of time.
        ca_file: certificates of the authorities to trust; those of the environment when left out.

    Raises:
        FetchError: when it cannot be fetched, or takes too long.
    """
    try:
        address = Address.parse(url)
    except FetchError as failure:
        raise failure.within("malformed source") from failure
    with Transport(address, what=url, bounds=bounds, ca_file=ca_file) as transport:
        return transport.accepted(transport.request("GET", address, size_max=size_max)).content


class _Clock:
    """Ends the connections of a transport when its time is up.

    The timeouts of requests restart with each byte, so that a server could send one now and then
    and hold a reader for ever: in headers, in the length of a chunk, in a body.
    """

    def __init__(self, total_s: float) -> None:
        self._end = time.monotonic() + total_s
        self._connections: list[socket.socket] = []
        self._timer = threading.Timer(total_s, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def left_s(self) -> float:
        return self._end - time.monotonic()

    def hold(self, connection: socket.socket) -> None:
        # A duplicate: the number of a closed descriptor could be another file's.
        self._connections.append(socket.socket(fileno=socket.dup(connection.fileno())))
        if self.left_s() <= 0:
            self._expire()

    def close(self) -> None:
        self._timer.cancel()
        self._timer.join()
        for connection in self._connections:
            connection.close()

    def _expire(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Session(requests.Session):
    """A session that prepares no redirects: requests would read their bodies to the end."""

    def resolve_redirects(self, *_args: Any, **_kwargs: Any) -> Any:  # noqa: ANN401 - as requests does
        return iter(())


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests does
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        clock = self._clock

        class Connection(type(pool).ConnectionCls):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()  # TLS too, in the time for a connection
                clock.hold(self.sock)

        pool.ConnectionCls = Connection
        return pool


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # Without an `auth`, requests reads `~/.netrc` and prefers it.
    return request


def _certificates() -> str | bool:
    """Return the certificates of SSL_CERT_FILE or SSL_CERT_DIR; True for the usual ones.

    REQUESTS_CA_BUNDLE goes before them.
    """
    found = ssl.get_default_verify_paths()
    for path, usual in (
        (found.cafile, found.openssl_cafile),
        (found.capath, found.openssl_capath),
    ):
        if path and path != usual:
            return path
    return True


def _readable(ca_file: Path) -> str:
    """Return the path of a file of certificates, and require that it is one."""
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        raise FetchError(
            f"cannot use the certificates in {ca_file}: {reason}", expected="a file in PEM format"
        ) from failure
    return str(ca_file)


def _was_connected(failure: Exception) -> bool:
    """Tell whether there was a connection, so that another try may succeed."""
    if isinstance(failure, _NEVER_CONNECTED):
        return False
    reason = getattr(failure.args[0] if failure.args else None, "reason", None)
    return not isinstance(reason, urllib3.exceptions.NewConnectionError)


def _retry_after_s(response: requests.Response, usual_s: float) -> float:
    """Return the pause that a server asks for (RFC 9110, section 10.2.3)."""
    asked = response.headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked[:9])
    with suppress(ValueError):
        then = email.utils.parsedate_to_datetime(asked).timestamp()
        return max(then - time.time(), 0.0)
    return usual_s


def _fetch_error(failure: Exception, what: str) -> FetchError:
    hint = ""
    match failure:
        case requests.exceptions.SSLError():
            words = "the server's certificate cannot be trusted"
        case requests.Timeout() | urllib3.exceptions.TimeoutError():
            words = "no answer in time"
        case requests.ConnectionError() if not _was_connected(failure):
            words, hint = "cannot connect", "is the host right, and up?"
        case requests.ConnectionError() | urllib3.exceptions.ProtocolError():
            words = "the connection broke before the end"
        case _:
            words = str(failure).strip().split("\n", 1)[0] or type(failure).__name__
    return FetchError(f"{what}: {words}", hint=hint)
