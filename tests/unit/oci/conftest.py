"""Web servers on the loopback interface that say what a test wants, and remember what they saw.

`tls/` holds the certificate of an authority made for these tests, and the key and certificate of a
server with the names in `NAMES`. OpenSSL 3.0 made them (`openssl ca`), valid from 2020 to 2120; the
authority's key was thrown away.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TLS = Path(__file__).parent / "tls"
NAMES = ("registry.test", "storage.test", "tokens.test")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that a server got.

    Attributes:
        method: in upper case.
        path: with its query.
        headers: by their names in lower case.
        body: its bytes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says.

    Attributes:
        body: its bytes.
        status: of the answer; 0 breaks the connection instead.
        headers: more of them.
        claimed: `Content-Length`; the true one when left out.
        endless: whether the body has no end.
        drip_s: a pause after each piece of a body without end.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed: int | None = None
    endless: bool = False
    drip_s: float = 0.0


type Told = bytes | dict[str, Any]


class Server(ThreadingHTTPServer):
    """A web server.

    Attributes:
        host: what it is called, with its port.
        answer: what it says to a request: a body, or the fields of an `Answer`.
        seen: all requests so far.
    """

    daemon_threads = True

    def __init__(self, name: str, answer: Callable[[Seen], Told]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if name in NAMES:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "server.pem")
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"{name}:{self.server_port}"
        self.answer = answer
        self.seen: list[Seen] = []

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def credentials(self) -> list[str]:
        return [seen.authorization for seen in self.seen if seen.authorization is not None]

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing of clients that left."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, self.rfile.read(size))
        self.server.seen.append(seen)
        told = self.server.answer(seen)
        answer = Answer(told) if isinstance(told, bytes) else Answer(**told)
        if answer.status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.endless:
            self.close_connection = True
        else:
            claimed = len(answer.body) if answer.claimed is None else answer.claimed
            self.send_header("Content-Length", str(claimed))
            self.close_connection = claimed != len(answer.body)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        while answer.endless:
            self.wfile.write(b" " if answer.drip_s else bytes(1 << 16))
            time.sleep(answer.drip_s)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""


type Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that starts a server; a name out of `NAMES` makes it one with TLS."""
    with ExitStack() as stack:

        def start(answer: Callable[[Seen], Told], name: str = "127.0.0.1") -> Server:
            server = stack.enter_context(Server(name, answer))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names of `NAMES` lead to the loopback interface, and their certificate be trusted."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> object:  # noqa: ANN401
        return real("127.0.0.1" if host in NAMES else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
