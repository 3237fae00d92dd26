"""A registry on the loopback interface that wants to know who asks, in several ways."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from chonkle.errors import FetchError
from chonkle.oci.client import pull_wasm
from chonkle.oci.model import MANIFEST_TYPE, WASM_CONFIG_TYPE, WASM_LAYER_TYPE, Reference

pytestmark = pytest.mark.network

WASM = b"\0asm what was asked for"
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
SERVICE, SCOPE = "a registry", "repository:codecs/guest:pull"


def descriptor(media_type: str, data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(WASM_CONFIG_TYPE, b"{}"),
        "layers": [descriptor(WASM_LAYER_TYPE, WASM)],
    }
).encode()


class Registry(ThreadingHTTPServer):
    """Wants `wanted` as authorization, and says `challenge` to those who come without.

    Attributes:
        token_answer: what it answers to who asks for a token with the authorization `token_for`;
            None for nothing, until the other side leaves.
        asked: paths and authorizations of all requests.
    """

    daemon_threads = True
    wanted = ""
    challenge = ""
    token_for: str | None = None
    token_answer: bytes | None = b'{"token": "t"}'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def want_token(self, *, of: str | None = None) -> None:
        self.wanted = "Bearer t"
        self.token_for = of
        realm = f"http://{self.address}/token"
        self.challenge = f'Bearer realm="{realm}",service="{SERVICE}",scope="{SCOPE}"'

    def pull(self, **options: object) -> bytes:
        reference = Reference.parse(f"{self.address}/codecs/guest:1")
        return pull_wasm(reference, size_max=1 << 20, **options)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        authorization = self.headers["Authorization"]
        server.asked.append((parts.path, authorization))
        if parts.path == "/token" and server.token_answer is None:
            self.rfile.read(1)
        elif parts.path == "/token":
            query = parse_qs(parts.query)
            known = query == {"service": [SERVICE], "scope": [SCOPE]}
            allowed = known and authorization == server.token_for
            self.answer(server.token_answer or b"", 200 if allowed else 401)
        elif server.wanted and authorization != server.wanted:
            self.answer(b"{}", 401)
        else:
            self.answer(MANIFEST if "/manifests/" in parts.path else WASM, 200)

    def answer(self, body: bytes, status: int) -> None:
        self.send_response(status)
        if status == 401 and self.server.challenge:
            self.send_header("Www-Authenticate", self.server.challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def log_in(tmp_path: Path) -> Callable[[Registry], Path]:
    """Give a function that does what `docker login` does, as `me`, in a directory that it gives."""

    def log_in(registry: Registry) -> Path:
        auths = {registry.address: {"auth": BASIC.removeprefix("Basic ")}}
        (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
        return tmp_path

    return log_in


def test_a_registry_for_everybody_is_told_nothing(
    registry: Registry, log_in: Callable[[Registry], Path]
) -> None:
    assert registry.pull(docker_config=log_in(registry)) == WASM
    assert {authorization for _, authorization in registry.asked} == {None}


def test_everybody_may_get_a_token(registry: Registry) -> None:
    registry.want_token()
    assert registry.pull() == WASM
    # One token serves both requests.
    assert [path for path, _ in registry.asked].count("/token") == 1


@pytest.mark.parametrize(
    "answer", [b'{"access_token": "t"}', b'{"token": "t", "access_token": ""}']
)
def test_credentials_get_a_token(
    registry: Registry, log_in: Callable[[Registry], Path], answer: bytes
) -> None:
    registry.want_token(of=BASIC)
    registry.token_answer = answer
    assert registry.pull(docker_config=log_in(registry)) == WASM
    assert {path for path, authorization in registry.asked if authorization == BASIC} == {"/token"}


def test_credentials_are_shown_where_they_are_asked_for(
    registry: Registry, log_in: Callable[[Registry], Path]
) -> None:
    registry.wanted, registry.challenge = BASIC, 'Basic realm="codecs"'
    assert registry.pull(docker_config=log_in(registry)) == WASM


@pytest.mark.parametrize("challenge", ["token", 'Basic realm="codecs"', "Digest x", ""])
def test_who_may_not_is_told_to_log_in(
    registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str], challenge: str
) -> None:
    registry.want_token(of=BASIC)
    if challenge != "token":
        registry.challenge = challenge
    for options in ({}, {"docker_config": tmp_path}):
        with pytest.raises(
            FetchError, match=r"the server answered 401 Unauthorized; hint: .*docker"
        ):
            registry.pull(**options)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("challenge", "answer", "words"),
    [
        ("Bearer", b"", "does not say where"),
        ('Bearer realm="here"', b"", "without TLS"),
        ('Bearer realm="http://registry.invalid/"', b"", "`http://registry.invalid`, an address w"),
        ('Bearer realm="file:///etc/passwd"', b"", "without TLS"),
        (None, b"[]", "no token"),
        (None, b'{"token": 7}', "no token"),
        (None, b"<html>", "malformed JSON"),
        (None, b" " * (2 << 20), "longer than allowed"),
    ],
)
def test_a_registry_may_say_anything(
    registry: Registry, challenge: str | None, answer: bytes, words: str
) -> None:
    registry.want_token()
    registry.token_answer = answer
    if challenge is not None:
        registry.challenge = challenge
    with pytest.raises(FetchError) as caught:
        registry.pull()
    assert str(caught.value).startswith(f"oci://{registry.address}/codecs/guest:1: ")
    assert words in str(caught.value)


def test_a_token_is_fetched_in_the_time_of_the_pull(registry: Registry) -> None:
    registry.want_token()
    registry.token_answer = None
    with pytest.raises(FetchError, match=r"guest:1: took too long, expected at most 0\.3 seconds"):
        registry.pull(timeout_s=0.3)
