"""Publishing to a registry that lies: one clear error in bounded time, and no tag.

What a registry may say that lies to a reader is in `test_registry.py`.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.e2e.registries import free_port, serving
from tests.fixture_types import Chonkle, MakeCodec
from tests.loopback import Registry, Server, Told, refusal, sha256

pytestmark = [pytest.mark.network, pytest.mark.slow]

NAME = "codecs/guest"


def busy(pause_s: str) -> Told:
    return {"status": 429, "headers": {"Retry-After": pause_s}}


BLOB, MANIFEST = "/blobs/uploads/", "/manifests/"
type Lie = tuple[str, str, Told | None, str]

# Of the requests with a method and a part of a path: the answer in place of the truth, or None for
# a connection that breaks off; and what the user is told.
LIES: dict[str, Lie] = {
    "not-allowed": ("POST", BLOB, refusal(403, "DENIED", "no room for you"), "403 Forbidden"),
    "never-content": (
        *("POST", BLOB),
        {"status": 401, "headers": {"WWW-Authenticate": 'Basic realm="x"'}},
        "401 Unauthorized",
    ),
    "busy": ("POST", BLOB, busy("1"), "429 Too Many Requests"),
    "broken": ("PUT", BLOB, {"status": 503}, "503 Service Unavailable"),
    "breaks-off-in-a-chunk": ("PATCH", BLOB, None, "the connection broke"),
    "manifest-rejected": (
        *("PUT", MANIFEST),
        refusal(400, "MANIFEST_INVALID", "no such"),
        "400 Bad Request",
    ),
    "breaks-off-in-the-manifest": ("PUT", MANIFEST, None, "the connection broke"),
}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def server(registry: Registry) -> Iterator[Server]:
    found = Server("127.0.0.1", registry)
    with serving(found):
        yield found


@pytest.fixture(autouse=True)
def wasm(tmp_path: Path, make_codec: MakeCodec) -> bytes:
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
    chonkle_done: Chonkle, folder: Path, port: int
) -> tuple[CompletedProcess[bytes], float]:
    uri = f"oci://127.0.0.1:{port}/{NAME}:1.0.0"
    started = time.monotonic()
    done = chonkle_done("publish", "guest.wasm", uri, "--no-verify", cwd=folder)
    return done, time.monotonic() - started


def test_the_registry_can_be_honest(
    tmp_path: Path, chonkle_done: Chonkle, registry: Registry, server: Server, wasm: bytes
) -> None:
    """Without this, every test below might fail for a reason of its own."""
    done, _ = publish(chonkle_done, tmp_path, server.server_port)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "1.0.0" in registry.tags()
    assert sha256(wasm) in registry.blobs
    assert [seen.method for seen in server.seen].count("PATCH") == 2


@pytest.mark.parametrize("kind", LIES)
def test_a_lie_is_one_clear_error_and_leaves_no_tag(
    tmp_path: Path, chonkle_done: Chonkle, registry: Registry, server: Server, kind: str
) -> None:
    method, part, answer, words = LIES[kind]
    if answer is None:
        server.breaks_off = lambda found, path: found == method and part in path
    else:
        registry.fault = lambda seen: (
            answer if seen.method == method and part in seen.path else None
        )
    done, took_s = publish(chonkle_done, tmp_path, server.server_port)
    assert took_s < 60
    assert (done.returncode, done.stdout) == (1, b""), done
    *retries, error = done.stderr.decode().splitlines()
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert words in error
    assert f"127.0.0.1:{server.server_port}" in error
    assert len(retries) <= 4
    assert all("trying again in" in line for line in retries)
    assert registry.tags() == []
    assert len(server.seen) < 40


def test_no_server_listens(
    tmp_path: Path, chonkle_done: Chonkle, record_property: Callable[[str, object], None]
) -> None:
    done, took_s = publish(chonkle_done, tmp_path, free_port())
    assert done.returncode == 1
    # Without a retry, and so at once.
    (error,) = done.stderr.decode().splitlines()
    assert "cannot connect" in error
    record_property("measured", f"{took_s:.1f} s with the start of Python, 5 s are allowed")
