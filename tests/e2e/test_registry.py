"""Codecs from OCI registries: a real one, and one that lies.

`tests/unit/oci` has more lies of a registry.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.registries import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    WASM_TYPE,
    Registry,
    descriptor,
    docker_login,
    manifest_of,
    serving,
    started,
)
from tests.fixture_types import Chonkle, ErrorOf, Explain, PipelineOf
from tests.loopback import Seen, Server, Told, sha256

pytestmark = pytest.mark.network

STORE = ("--codec-store", "store")
NAME = "codecs/guest"


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, pipeline_of: PipelineOf) -> Path:
    (tmp_path / "store").mkdir()
    path = tmp_path / "pipeline.json"
    path.write_text(json.dumps(pipeline_of()))
    return path


@pytest.fixture
def private_registry(
    tmp_path_factory: pytest.TempPathFactory, registry_program: str
) -> Iterator[Registry]:
    """Start a registry that wants tokens, which cost a password."""
    with started(tmp_path_factory.mktemp("registry"), registry_program, "token") as found:
        yield found


@pytest.mark.parametrize("pinned", [False, True])
def test_a_codec_is_pulled_once_and_then_found(
    *,
    tmp_path: Path,
    explain: Explain,
    pipeline: Path,
    pipeline_of: PipelineOf,
    registry: Registry,
    wasm: bytes,
    pinned: bool,
) -> None:
    digest = registry.push(NAME, "1.0.0", wasm)
    uri = f"oci://{registry.address}/{NAME}:1.0.0" + (f"@{digest}" if pinned else "")
    pipeline.write_text(json.dumps(pipeline_of(sources={"guest": uri})))
    first = explain("pipeline.json", *STORE)["steps"][0]
    assert first["reason"].endswith(uri)
    # A pinned codec is kept for its pin, and is no candidate for other pipelines.
    installed = tmp_path / "store/guest/guest-wat@1.0.0.core.wasm"
    assert installed.exists() != pinned

    registry.stop()
    second = explain("pipeline.json", *STORE)["steps"][0]
    assert second["reason"] == (f"{first['reason']}, kept" if pinned else "installed, the only one")
    assert second["implementation"] == "guest-wat@1.0.0"


@pytest.mark.parametrize("reference", ["2.0.0", f"1.0.0@{sha256(b'another manifest')}"])
def test_what_a_real_registry_does_not_have(
    error_of: ErrorOf, registry: Registry, wasm: bytes, reference: str
) -> None:
    registry.push(NAME, "1.0.0", wasm)
    source = f"guest=oci://{registry.address}/{NAME}:{reference}"
    message = error_of("run", "pipeline.json", *STORE, "--explain", "--source", source)
    assert "the server answered 404" in message
    name, _, wanted = source.removeprefix("guest=").rpartition(":" if "@" not in source else "@")
    assert f"{name.removesuffix(':1.0.0')}: manifest {wanted}: " in message


def test_credentials_are_where_docker_has_them(
    *, tmp_path: Path, explain: Explain, error_of: ErrorOf, private_registry: Registry, wasm: bytes
) -> None:
    private_registry.push(NAME, "1.0.0", wasm)
    source = f"guest=oci://{private_registry.address}/{NAME}:1.0.0"
    arguments = ("pipeline.json", *STORE, "--source", source)
    message = error_of("run", *arguments, "--explain")
    assert "the server answered 401 Unauthorized" in message
    assert "hint: check the name, and log in" in message

    docker_login(tmp_path / "docker", private_registry.address)
    found = explain(*arguments, environment={"DOCKER_CONFIG": "docker"})
    assert found["steps"][0]["implementation"] == "guest-wat@1.0.0"


def answering(manifest: Told, blob: Told, kind: str = MANIFEST_TYPE) -> Callable[[Seen], Told]:
    """Make what a registry says of one manifest and one blob."""
    if isinstance(manifest, bytes):
        manifest = {"body": manifest, "headers": {"Content-Type": kind}}
    return lambda seen: manifest if "/manifests/" in seen.path else blob


@pytest.fixture
def lying_registry() -> Iterator[Server]:
    server = Server("127.0.0.1", lambda _: b"")
    with serving(server):
        yield server


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def lie(kind: str, wasm: bytes) -> Callable[[Seen], Told]:
    """Make what a registry answers that is honest but for one thing."""
    honest = as_json(manifest_of(descriptor(WASM_TYPE, wasm)))
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [descriptor(MANIFEST_TYPE, honest)],
    }
    return {
        "honest": answering(honest, wasm),
        "corrupt-blob": answering(honest, wasm[:-1] + bytes([wasm[-1] ^ 1])),
        "cut-blob": answering(honest, {"body": wasm[:-9], "claimed": len(wasm)}),
        "endless-blob": answering(honest, {"body": wasm, "endless": True}),
        "no-manifest": answering({"status": 404}, wasm),
        "broken-server": answering({"status": 500}, wasm),
        # The manifest that it names is answered with the same index.
        "an-index-of-another-manifest": answering(as_json(index), wasm, INDEX_TYPE),
        "redirect-without-TLS": answering(honest, redirect("http://registry.invalid/blob")),
        "redirect-to-itself": answering(honest, redirect("blob")),
    }[kind]


def redirect(to: str) -> Told:
    return {"status": 307, "headers": {"Location": to}}


def test_the_liar_can_be_honest(explain: Explain, lying_registry: Server, wasm: bytes) -> None:
    """Without this, every test below might fail for a reason of its own."""
    lying_registry.respond = lie("honest", wasm)
    source = f"guest=oci://127.0.0.1:{lying_registry.server_port}/{NAME}:1"
    assert explain("pipeline.json", *STORE, "--source", source)["cache"]["loaded"] >= 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("corrupt-blob", "wrong digest"),
        ("endless-blob", "longer than allowed"),
        ("no-manifest", "the server answered 404"),
        ("an-index-of-another-manifest", ": wrong digest"),
        ("redirect-without-TLS", "led to `http://registry.invalid`, an address without TLS"),
        ("redirect-to-itself", "redirected more than 5 times"),
    ],
)
def test_a_lie_is_one_clear_line_and_installs_nothing(
    *, tmp_path: Path, error_of: ErrorOf, lying_registry: Server, wasm: bytes, kind: str, words: str
) -> None:
    lying_registry.respond = lie(kind, wasm)
    uri = f"oci://127.0.0.1:{lying_registry.server_port}/{NAME}:1"
    started = time.monotonic()
    message = error_of(*("run", "pipeline.json", *STORE, "--explain", "--source", f"guest={uri}"))
    assert message.startswith("step `only`: ")
    assert words in message
    assert time.monotonic() - started < 30
    assert not any((tmp_path / "store").iterdir())


@pytest.mark.parametrize(
    ("kind", "reason", "place"),
    [
        ("cut-blob", "the connection broke", f"{NAME}:1"),
        ("broken-server", "the server answered 500 Internal Server Error", f"{NAME}: manifest 1"),
    ],
)
def test_what_may_pass_is_tried_again_and_told(
    *,
    tmp_path: Path,
    chonkle_done: Chonkle,
    lying_registry: Server,
    wasm: bytes,
    kind: str,
    reason: str,
    place: str,
) -> None:
    lying_registry.respond = lie(kind, wasm)
    uri = f"oci://127.0.0.1:{lying_registry.server_port}/{NAME}:1"
    done = chonkle_done(
        *("run", "pipeline.json", *STORE, "--explain", "--source", f"guest={uri}"), cwd=tmp_path
    )
    *warnings, error = done.stderr.decode().splitlines()
    assert warnings == [
        f"{uri}: {reason}; trying again in 0.5 s (2 of 3)",
        f"{uri}: {reason}; trying again in 1.0 s (3 of 3)",
    ]
    assert error.startswith(f"error: step `only`: {uri.removesuffix(f'{NAME}:1')}{place}: {reason}")
    assert (done.returncode, done.stdout) == (1, b"")
    assert not any((tmp_path / "store").iterdir())
