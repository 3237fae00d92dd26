"""Publishing to a registry that lies: one clear error in bounded time, and no tag.

What a registry may say that lies to a reader is in `test_registry.py`.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.e2e.registries import free_port, serving, sha256

pytestmark = [pytest.mark.network, pytest.mark.slow]

type ChonkleDone = Callable[..., CompletedProcess[bytes]]

NAME = "codecs/guest"
UPLOAD = f"/v2/{NAME}/blobs/uploads/1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry says; status 0 breaks the connection instead."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Lie:
    """What a registry says that is honest but for one thing.

    Attributes:
        method: of the requests that it lies to.
        path: part of their path.
        answer: what it says instead of the truth.
        words: what the user is told.
    """

    method: str
    path: str
    answer: Answer
    words: str


class PushedRegistry(ThreadingHTTPServer):
    """A registry that takes what is pushed (OCI Distribution Specification 1.1, "Pushing").

    Attributes:
        lie: what it lies about; None for an honest one.
        blobs: by their digests.
        manifests: by their tags and digests.
        requests: methods of all requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PushedHandler)
        self.lie: Lie | None = None
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.upload = b""
        self.requests: list[str] = []

    @property
    def tags(self) -> set[str]:
        return {name for name in self.manifests if not name.startswith("sha256:")}

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing of clients that left."""


class PushedHandler(BaseHTTPRequestHandler):
    server: PushedRegistry
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        server, lie = self.server, self.server.lie
        server.requests.append(self.command)
        lies = lie is not None and lie.method == self.command and lie.path in self.path
        if lie is not None and lies and lie.answer.status == 0:
            # In the middle of what is sent.
            self.rfile.read(size // 2)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self.rfile.read(size)
        answer = lie.answer if lie is not None and lies else self.truth(body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def truth(self, body: bytes) -> Answer:
        path, _, query = self.path.partition("?")
        match = re.fullmatch(rf"/v2/{NAME}/(blobs|manifests)/([^/]+)", path)
        if match is None:
            return self.uploading(body, query)
        kept = self.server.blobs if match[1] == "blobs" else self.server.manifests
        if self.command == "PUT":
            digest = sha256(body)
            kept[match[2]] = kept[digest] = body
            return Answer(201, {"Docker-Content-Digest": digest})
        found = kept.get(match[2])
        if found is None:
            return Answer(404)
        kind = "text/plain" if kept is self.server.blobs else json.loads(found)["mediaType"]
        headers = {"Content-Type": kind, "Docker-Content-Digest": sha256(found)}
        return Answer(200, headers, found)

    def uploading(self, body: bytes, query: str) -> Answer:
        server = self.server
        if self.command == "POST":
            server.upload = b""
        server.upload += body
        if self.command == "PUT":
            digest = sha256(server.upload)
            if digest.removeprefix("sha256:") not in query:
                return Answer(400)
            server.blobs[digest] = server.upload
            return Answer(201, {"Docker-Content-Digest": digest})
        arrived = f"0-{max(len(server.upload) - 1, 0)}"
        status = 204 if self.command == "GET" else 202
        return Answer(status, {"Location": UPLOAD, "Range": arrived})

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""


def refusal(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


BLOB, MANIFEST = "/blobs/uploads/", "/manifests/"
LIES = {
    "no-location": Lie("POST", BLOB, Answer(202), "does not say where to upload to"),
    "an-upload-elsewhere": Lie(
        "POST", BLOB, Answer(202, {"Location": "http://registry.invalid/upload"}), "another server"
    ),
    "not-allowed": Lie(
        "POST", BLOB, Answer(403, {}, refusal("DENIED", "no room for you")), "403 Forbidden"
    ),
    "never-content": Lie(
        "POST", BLOB, Answer(401, {"WWW-Authenticate": 'Basic realm="x"'}), "401 Unauthorized"
    ),
    "busy": Lie("POST", BLOB, Answer(429, {"Retry-After": "1"}), "429 Too Many Requests"),
    "busy-for-a-day": Lie("POST", BLOB, Answer(429, {"Retry-After": "86400"}), "429 Too Many"),
    "broken": Lie("PUT", BLOB, Answer(503), "503 Service Unavailable"),
    "breaks-off-in-a-chunk": Lie("PATCH", BLOB, Answer(0), "the connection broke"),
    "breaks-off-at-the-end": Lie("PUT", BLOB, Answer(0), "the connection broke"),
    "digest-rejected": Lie(
        "PUT", BLOB, Answer(400, {}, refusal("DIGEST_INVALID", "not what you said")), "400 Bad"
    ),
    "another-blob": Lie(
        "PUT", BLOB, Answer(201, {"Docker-Content-Digest": sha256(b"x")}), "stored another one"
    ),
    "manifest-rejected": Lie(
        "PUT", MANIFEST, Answer(400, {}, refusal("MANIFEST_INVALID", "no such")), "400 Bad Request"
    ),
    "breaks-off-in-the-manifest": Lie("PUT", MANIFEST, Answer(0), "the connection broke"),
}


@pytest.fixture
def registry() -> Iterator[PushedRegistry]:
    server = PushedRegistry()
    with serving(server):
        yield server


@pytest.fixture(autouse=True)
def wasm(tmp_path: Path, make_codec: Callable[..., bytes]) -> bytes:
    """Make a codec that is sent in several chunks."""
    data = make_codec()
    # A custom section (WebAssembly Core Specification, section 5.5.3) without meaning.
    padding = b"\x07padding" + bytes(range(256)) * (9 << 12)
    size, length = len(padding), b""
    while size:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
    data += b"\0" + length + padding
    (tmp_path / "guest.wasm").write_bytes(data)
    return data


def publish(
    chonkle_done: ChonkleDone, folder: Path, port: int
) -> tuple[CompletedProcess[bytes], float]:
    uri = f"oci://127.0.0.1:{port}/{NAME}:1.0.0"
    started = time.monotonic()
    done = chonkle_done("publish", "guest.wasm", uri, "--no-verify", cwd=folder)
    return done, time.monotonic() - started


def test_the_registry_can_be_honest(
    tmp_path: Path, chonkle_done: ChonkleDone, registry: PushedRegistry, wasm: bytes
) -> None:
    """Without this, every test below might fail for a reason of its own."""
    done, _ = publish(chonkle_done, tmp_path, registry.server_port)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "1.0.0" in registry.tags
    assert sha256(wasm) in registry.blobs
    assert registry.requests.count("PATCH") == 2


@pytest.mark.parametrize("kind", LIES)
def test_a_lie_is_one_clear_error_and_leaves_no_tag(
    tmp_path: Path, chonkle_done: ChonkleDone, registry: PushedRegistry, kind: str
) -> None:
    registry.lie = LIES[kind]
    done, took_s = publish(chonkle_done, tmp_path, registry.server_port)
    assert took_s < 60
    assert (done.returncode, done.stdout) == (1, b""), done
    *retries, error = done.stderr.decode().splitlines()
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert registry.lie.words in error
    assert f"127.0.0.1:{registry.server_port}" in error
    assert len(retries) <= 4
    assert all("trying again in" in line for line in retries)
    assert registry.tags == set()
    assert len(registry.requests) < 40


def test_nobody_listens(
    tmp_path: Path, chonkle_done: ChonkleDone, record_property: Callable[[str, object], None]
) -> None:
    done, took_s = publish(chonkle_done, tmp_path, free_port())
    assert done.returncode == 1
    # Without a retry, and so at once.
    (error,) = done.stderr.decode().splitlines()
    assert "cannot connect" in error
    record_property("measured", f"{took_s:.1f} s with the start of Python, 5 s are allowed")
