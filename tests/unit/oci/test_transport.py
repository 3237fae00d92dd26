"""Servers that take their time, break off, lie and redirect, on the loopback interface."""

import email.utils
import gzip
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chonkle.errors import FetchError
from chonkle.oci.address import Address
from chonkle.oci.transport import Bounds, Transport, download
from tests.loopback import Serve

pytestmark = pytest.mark.network

type Told = bytes | dict[str, Any]

CERTIFICATES = Path(__file__).parent / "tls/ca.pem"
HEAD = b"HTTP/1.1 200 OK\r\n"


class SlowServer(socketserver.ThreadingTCPServer):
    """Says something at once, and then a byte now and then, for much longer than a client waits.

    Attributes:
        begin: what it says at once.
        drips: whether it says more.
        left: set when a client closed the connection before the server did.
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
        pytest.param("https", b"", False, id="silent-TLS"),
        # A record of 16 KiB that begins a handshake (RFC 8446, section 5.1).
        pytest.param("https", bytes.fromhex("1603034000"), True, id="TLS"),
    ],
)
def test_dripping_is_left(server: SlowServer, *, scheme: str, begin: bytes, drips: bool) -> None:
    server.begin, server.drips = begin, drips
    url = f"{scheme}://127.0.0.1:{server.server_address[1]}/codec.wasm"
    started = time.monotonic()
    with pytest.raises(FetchError) as caught:
        download(url, size_max=1 << 20, bounds=Bounds(total_s=0.3))
    assert time.monotonic() - started < 10
    assert str(caught.value) == f"{url}: took too long, expected at most 0.3 seconds in all"
    assert server.left.wait(10)


def test_a_server_in_time_is_heard(server: SlowServer) -> None:
    server.begin, server.drips = HEAD + b"Content-Length: 4\r\n\r\nwasm", False
    url = f"http://127.0.0.1:{server.server_address[1]}/codec.wasm"
    assert download(url, size_max=4) == b"wasm"
    assert server.left.wait(10)
    # The client is gone.
    assert not any(isinstance(each, threading.Timer) for each in threading.enumerate())


def test_an_address_without_tls_is_not_asked() -> None:
    with pytest.raises(FetchError, match=r"`http://registry\.invalid`, an address without TLS"):
        download("http://registry.invalid/codec.wasm", size_max=1)


@pytest.mark.parametrize(
    ("scheme", "begin", "drips"),
    [
        pytest.param("http", b"", False, id="silence"),
        pytest.param("https", b"", False, id="silent-TLS"),
        pytest.param("https", bytes.fromhex("1603034000"), True, id="dripping-TLS"),
    ],
)
def test_a_silent_server_is_left_before_all_time_is_up(
    server: SlowServer, *, scheme: str, begin: bytes, drips: bool
) -> None:
    server.begin, server.drips = begin, drips
    url = f"{scheme}://127.0.0.1:{server.server_address[1]}/codec.wasm"
    with pytest.raises(FetchError, match="no answer in time"):
        download(url, size_max=1, bounds=Bounds(connect_s=0.2, idle_s=0.2))
    assert server.left.wait(10)


# Trying again

QUICK = Bounds(total_s=20, idle_s=9.5, pause_s=0.01)


def test_what_may_pass_is_tried_again_and_told(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([{"status": 503}, {"body": b"wa", "claimed": 4}, b"wasm"])
    server = serve(lambda _: next(answers))
    with caplog.at_level(logging.WARNING):
        assert download(f"{server.origin}/a", size_max=4, bounds=QUICK) == b"wasm"
    assert caplog.messages == [
        f"{server.origin}/a: {reason}; trying again in 0.0 s ({number} of 3)"
        for number, reason in (
            (2, "the server answered 503 Service Unavailable"),
            (3, "the connection broke"),
        )
    ]


@pytest.mark.parametrize(
    ("answer", "tries", "words"),
    [
        ({"status": 500}, 3, "the server answered 500 Internal Server Error"),
        ({"status": 0}, 3, "the connection broke before the end"),
        ({"body": b"x", "claimed": 9}, 3, "the connection broke before the end"),
        ({"status": 404}, 1, "the server answered 404 Not Found; hint: check the name"),
        ({"status": 429}, 3, "the server answered 429"),
        # A pause that is longer than all time there is, and one that is longer than silence.
        ({"status": 429, "headers": {"Retry-After": "30"}}, 1, "the server answered 429"),
        ({"status": 429, "headers": {"Retry-After": "10"}}, 1, "the server answered 429"),
        ({"status": 204, "headers": {"Location": "/b"}}, 1, ""),
    ],
)
def test_tries_have_an_end(serve: Serve, answer: Told, tries: int, words: str) -> None:
    server = serve(lambda _: answer)
    if not words:
        assert download(f"{server.origin}/a", size_max=4, bounds=QUICK) == b""
    else:
        with pytest.raises(FetchError) as caught:
            download(f"{server.origin}/a", size_max=4, bounds=QUICK)
        assert str(caught.value).startswith(f"{server.origin}/a: {words}")
    assert len(server.seen) == tries


@pytest.mark.parametrize("how", ["seconds", "date", "past", "nonsense"])
def test_retry_after_is_heeded(serve: Serve, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    asked, expected = {
        "seconds": ("7", 7.0),
        "date": (email.utils.formatdate(time.time() + 9, usegmt=True), 9.0),
        "past": ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        "nonsense": ("-1e9", QUICK.pause_s),
    }[how]
    answers = iter([{"status": 429, "headers": {"Retry-After": asked}}, b"x"])
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server = serve(lambda _: next(answers))
    assert download(f"{server.origin}/a", size_max=4, bounds=QUICK) == b"x"
    assert pauses == [pytest.approx(expected, abs=2.0 if how == "date" else 0.0)]


def test_what_may_have_happened_is_not_done_twice(serve: Serve) -> None:
    server = serve(lambda seen: {"status": 500 if seen.path == "/500" else 0})
    told: list[str] = []
    for method, path, tries in (
        *(("POST", "/500", 1), ("PATCH", "/500", 1), ("POST", "/0", 1)),
        *(("PUT", "/500", 3), ("DELETE", "/500", 3), ("HEAD", "/500", 3)),
    ):
        base = Address.parse(f"{server.origin}{path}")
        server.seen.clear()
        with Transport(base, what="what", bounds=QUICK, on_retry=told.append) as transport:
            if path == "/0":
                with pytest.raises(FetchError, match="what: the connection broke"):
                    transport.request(method, base, size_max=9, body=b"body")
            else:
                response = transport.request(method, base, size_max=9, body=b"body")
                assert response.status_code == 500
        assert [seen.body for seen in server.seen] == [b"body"] * tries, method
    assert len(told) == 6
    assert told[0].startswith("what: the server answered 500")


def test_no_server_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"cannot connect; hint: is the host right"):
        download(url, size_max=1)
    assert time.monotonic() - started < 5


# Bodies


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"12345", "the answer: longer than allowed, expected at most 4 bytes"),
        ({"body": b"1", "endless": True}, "longer than allowed"),
        (
            {"body": gzip.compress(b""), "headers": {"Content-Encoding": "gzip"}},
            "sent in a compressed form",
        ),
        ({"body": b"x" * (1 << 20), "status": 403}, "the server answered 403"),
        ({"body": b"x", "status": 403, "endless": True}, "the server answered 403"),
        ({"body": b"x", "status": 400, "claimed": 1 << 40}, "the server answered 400"),
    ],
)
def test_a_body_is_bounded(serve: Serve, answer: Told, words: str) -> None:
    server = serve(lambda _: answer)
    with pytest.raises(FetchError) as caught:
        download(f"{server.origin}/a", size_max=4, bounds=QUICK)
    assert words in str(caught.value)
    assert server.seen[0].headers["accept-encoding"] == "identity"


# Redirects


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/a", "redirected more than 5 times"),
        (
            "http://registry.invalid/blob",
            "led to `http://registry.invalid`, an address without TLS",
        ),
        ("http://127.0.0.1@registry.invalid/", "user information"),
        ("file:///etc/passwd", "not an address of a web server"),
        ("//registry.invalid:0/", "malformed host"),
        ("https://[", "malformed redirect"),
        ("/\xff", "can't decode byte 0xff"),
    ],
)
def test_a_redirect_may_lead_astray(serve: Serve, location: str, words: str) -> None:
    server = serve(lambda _: {"status": 307, "headers": {"Location": location}})
    with pytest.raises(FetchError) as caught:
        download(f"{server.origin}/a", size_max=4, bounds=QUICK)
    assert str(caught.value).startswith(f"{server.origin}/a: ")
    assert words in str(caught.value)
    assert len(server.seen) == (6 if location == "/a" else 1)


@pytest.mark.usefixtures("names")
def test_a_redirect_leaves_authorization_behind(serve: Serve) -> None:
    other = serve(
        lambda seen: {"status": 302, "headers": {"Location": seen.path.partition("=")[2]}}
    )
    back: Any = serve(
        lambda seen: (
            b"end"
            if seen.path == "/end"
            else {"status": 307, "headers": {"Location": f"{other.origin}/?to={back.origin}/end"}}
        )
    )
    base = Address.parse(f"{back.origin}/begin")
    with Transport(base, what="what", bounds=QUICK) as transport:
        response = transport.request(
            "GET", base, size_max=9, headers={"Authorization": "Basic x", "Accept": "a/b"}
        )
    assert response.content == b"end"
    assert [seen.authorization for seen in (*back.seen, *other.seen)] == ["Basic x", None, None]
    assert {seen.headers["accept"] for seen in (*back.seen, *other.seen)} == {"a/b"}


@pytest.mark.usefixtures("names")
def test_tls_is_never_left(serve: Serve) -> None:
    plain = serve(lambda _: b"x")
    for location in (plain.origin, plain.origin.replace("127.0.0.1", "localhost")):
        server = serve(
            lambda _, to=location: {"status": 307, "headers": {"Location": to}}, "registry.test"
        )
        with pytest.raises(FetchError, match="an address without TLS"):
            download(f"{server.origin}/a", size_max=4)
    assert plain.seen == []


def test_the_body_of_a_redirect_is_not_read(serve: Serve) -> None:
    server = serve(
        lambda seen: (
            b"x"
            if seen.path == "/b"
            else {"status": 307, "headers": {"Location": "/b"}, "endless": True}
        )
    )
    started = time.monotonic()
    assert download(f"{server.origin}/a", size_max=4, bounds=Bounds(total_s=20)) == b"x"
    assert time.monotonic() - started < 10


def test_a_body_is_not_sent_on(serve: Serve) -> None:
    server = serve(lambda _: {"status": 307, "headers": {"Location": "/b"}})
    base = Address.parse(f"{server.origin}/a")
    with Transport(base, what="what") as transport:
        response = transport.request("PUT", base, size_max=9, body=b"body")
        with pytest.raises(FetchError, match="what: the server answered 307"):
            transport.accepted(response)
    assert len(server.seen) == 1


# What the environment says


def test_no_cookies_or_netrc(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\ndefault login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    answers = iter([{"status": 307, "headers": {"Location": "/b", "Set-Cookie": "a=b"}}, b""])
    server = serve(lambda _: next(answers))
    download(f"{server.origin}/a", size_max=4)
    assert len(server.seen) == 2
    for seen in server.seen:
        assert not {"authorization", "cookie"} & set(seen.headers)


@pytest.mark.usefixtures("names")
def test_a_proxy_is_not_for_this_machine(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def answer() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(1 << 16).decode())
                connection.sendall(b"HTTP/1.1 403 No\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            for variable in (name, name.lower()):
                monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name)
        server = serve(lambda _: b"x")
        assert download(f"{server.origin}/a", size_max=4) == b"x"
        with pytest.raises(FetchError, match="cannot connect"):
            download("https://registry.test/a", size_max=4, bounds=QUICK)
        thread.join(10)
    assert asked[0].startswith("CONNECT registry.test:443 ")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "", "SSL_CERT_DIR"])
@pytest.mark.usefixtures("names")
def test_certificates_are_those_of_the_usual_variables(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    server = serve(lambda _: b"x", "registry.test")
    url = f"{server.origin}/a"
    if variable == "SSL_CERT_DIR":
        # Files there are named by a hash of the authority's name; an empty folder trusts none.
        monkeypatch.setenv(variable, str(tmp_path))
    elif variable:
        monkeypatch.setenv(variable, str(CERTIFICATES))
        assert download(url, size_max=4) == b"x"
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(FetchError, match="certificate"):
        download(url, size_max=4)


@pytest.mark.usefixtures("names")
def test_another_name_is_not_trusted(serve: Serve) -> None:
    server = serve(lambda _: b"x", "registry.test")
    with pytest.raises(FetchError, match="certificate cannot be trusted"):
        download(f"https://127.0.0.1:{server.server_port}/a", size_max=4)
