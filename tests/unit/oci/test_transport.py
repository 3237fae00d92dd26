"""Servers that take their time, real ones on the loopback interface."""

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from chonkle.errors import FetchError
from chonkle.oci.transport import download

pytestmark = pytest.mark.network

HEAD = b"HTTP/1.1 200 OK\r\n"


class SlowServer(socketserver.ThreadingTCPServer):
    """Says something at once, and then a byte now and then, for much longer than anybody waits.

    Attributes:
        begin: what it says at once.
        drips: whether it says more.
        left: set when somebody who listened has left before the server did.
    """

    daemon_threads = True
    allow_reuse_address = True
    begin = b""
    drips = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SlowHandler)
        self.left = threading.Event()
        self.over = threading.Event()


class SlowHandler(socketserver.BaseRequestHandler):
    server: SlowServer
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(20)
        try:
            self.request.sendall(self.server.begin)
            for _ in range(2000 if self.server.drips else 0):
                self.request.sendall(b"1")
                if self.server.over.wait(0.01):
                    break
            while self.request.recv(1 << 16):
                pass
        except TimeoutError:
            return
        except ConnectionError:
            pass
        self.server.left.set()


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with SlowServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("scheme", "begin", "drips"),
    [
        pytest.param("http", b"", False, id="silence"),
        pytest.param("http", HEAD + b"X-Header: ", True, id="headers"),
        pytest.param("http", HEAD + b"Content-Length: 99999\r\n\r\n", True, id="body"),
        pytest.param("http", HEAD + b"Content-Length: 9\r\n\r\n", False, id="missing-body"),
        pytest.param(
            "http", HEAD + b"Transfer-Encoding: chunked\r\n\r\n99999\r\n", True, id="chunk"
        ),
        # Cut short, it looks complete.
        pytest.param("http", HEAD + b"\r\n", True, id="body-of-any-length"),
        # A record of 16 KiB that begins a handshake (RFC 8446, section 5.1).
        pytest.param("https", bytes.fromhex("1603034000"), True, id="TLS"),
    ],
)
def test_a_server_that_drips_is_left(
    server: SlowServer, *, scheme: str, begin: bytes, drips: bool
) -> None:
    server.begin, server.drips = begin, drips
    url = f"{scheme}://127.0.0.1:{server.server_address[1]}/codec.wasm"
    with pytest.raises(FetchError) as caught:
        download(url, size_max=1 << 20, timeout_s=0.3)
    assert str(caught.value) == f"{url}: took too long, expected at most 0.3 seconds in all"
    assert server.left.wait(10)


def test_a_server_in_time_is_heard(server: SlowServer) -> None:
    server.begin, server.drips = HEAD + b"Content-Length: 4\r\n\r\nwasm", False
    url = f"http://127.0.0.1:{server.server_address[1]}/codec.wasm"
    assert download(url, size_max=4) == b"wasm"
    assert server.left.wait(10)
    # Nobody watches any more.
    assert not any(isinstance(each, threading.Timer) for each in threading.enumerate())


def test_an_address_without_tls_is_not_asked() -> None:
    with pytest.raises(FetchError, match=r"`http://registry\.invalid`, an address without TLS"):
        download("http://registry.invalid/codec.wasm", size_max=1)
