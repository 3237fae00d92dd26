"""Publishing all shipped codecs to a real registry: plain, with TLS and a password, with tokens."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, cast

import pytest

from chonkle.formats.signature import embed_signature, read_signature
from tests.e2e.registries import (
    MANIFEST_TYPE,
    PASSWORD,
    USER,
    Kind,
    Registry,
    docker_login,
    sha256,
    started,
)

pytestmark = [pytest.mark.network, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CODECS = ROOT / "codec"
VECTORS_TYPE = "application/vnd.chonkle.vectors.v1+jsonl"
PROVENANCE_TYPE = "application/vnd.in-toto+json"

type Completed = CompletedProcess[bytes]


@dataclass(frozen=True, slots=True)
class Shop:
    """A registry, and how `chonkle publish` gets in.

    Attributes:
        registry: what is published to.
        options: of the command.
        stdin: what it reads.
        environment: more variables.
    """

    registry: Registry
    options: tuple[str, ...] = ()
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["plain", "private", "token"])
def shop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    registry_program: str,
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("registry")
    with started(folder, registry_program, cast("Kind", request.param)) as registry:
        if request.param == "private":
            options = ("--ca-file", str(registry.ca_file), "--username", USER, "--password-stdin")
            yield Shop(registry, options, f"{PASSWORD}\n".encode())
        elif request.param == "token":
            docker = docker_login(folder / "docker", registry.address)
            yield Shop(registry, environment={"DOCKER_CONFIG": str(docker)})
        else:
            yield Shop(registry)


@pytest.fixture(scope="module")
def publish(shop: Shop, chonkle_done: Callable[..., Completed]) -> Callable[..., Completed]:
    """Give a function that runs `chonkle publish` with a target in the registry."""

    def publish(place: Path, path: str, *options: str, cwd: Path = ROOT) -> Completed:
        target = f"oci://{shop.registry.address}/{path}"
        return chonkle_done(
            *("publish", place, target, *options, *shop.options),
            cwd=cwd,
            stdin=shop.stdin,
            environment=shop.environment,
        )

    return publish


@pytest.fixture(scope="module")
def all_of_them(publish: Callable[..., Completed]) -> Callable[[], list[dict[str, Any]]]:
    """Give a function that publishes every shipped codec."""

    def publish_all() -> list[dict[str, Any]]:
        sources = ("--codec-src", str(ROOT / "codec-src"))
        done = publish(CODECS, "codecs", *sources, "--no-verify", "--json")
        assert done.returncode == 0, done.stderr.decode()
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return publish_all


@pytest.fixture(scope="module")
def published(all_of_them: Callable[[], list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Publish every shipped codec, and give what was said of each, by its file's name."""
    return {Path(each["file"]).name: each for each in all_of_them()}


def manifest_at(registry: Registry, uri: str) -> dict[str, Any]:
    """Read a manifest by its digest, which is checked."""
    name, _, digest = uri.removeprefix(f"oci://{registry.address}/").partition("@")
    data = registry.read(f"{name.partition(':')[0]}/manifests/{digest}")
    assert sha256(data) == digest
    found: dict[str, Any] = json.loads(data)
    return found


def test_every_codec_is_published_in_both_forms(
    shop: Shop, published: dict[str, dict[str, Any]]
) -> None:
    files = sorted(CODECS.glob("*/*.wasm"))
    assert len(files) == len(published) == 56
    for file in files:
        said = published[file.name]
        assert said["state"] == "published"
        implementation, _, rest = file.name.partition("@")
        version = rest.partition(".c")[0]
        tag = version if file.name.endswith(".component.wasm") else f"{version}-core"
        name = f"codecs/{implementation}"
        assert said["reference"] == f"oci://{shop.registry.address}/{name}:{tag}@{said['digest']}"
        assert sha256(shop.registry.read(f"{name}/manifests/{tag}")) == said["digest"]
        (layer,) = manifest_at(shop.registry, said["reference"])["layers"]
        assert layer["digest"] == sha256(file.read_bytes())
    assert {"1.0.0", "1.0.0-core"} < set(shop.registry.tags("codecs/zlib-rs"))


def test_what_is_said_of_a_codec_is_listed(
    shop: Shop, published: dict[str, dict[str, Any]]
) -> None:
    file = "zlib-rs@1.0.0.core.wasm"
    digest = published[file]["digest"]
    # Where a registry has no list of its own (Distribution Specification, "Referrers Tag Schema").
    listed = json.loads(shop.registry.read(f"codecs/zlib-rs/manifests/{digest.replace(':', '-')}"))[
        "manifests"
    ]
    assert [each["artifactType"] for each in listed] == [VECTORS_TYPE, PROVENANCE_TYPE]
    layers = []
    for each in listed:
        assert each["mediaType"] == MANIFEST_TYPE
        manifest = json.loads(shop.registry.read(f"codecs/zlib-rs/manifests/{each['digest']}"))
        assert manifest["subject"]["digest"] == digest
        (layer,) = manifest["layers"]
        layers.append(shop.registry.read(f"codecs/zlib-rs/blobs/{layer['digest']}"))
    cases = [json.loads(line)["case"] for line in layers[0].splitlines()]
    folder = ROOT / "codec-src/zlib-rs/vectors"
    assert cases == sorted(path.stem for path in folder.glob("*.json"))
    statement = json.loads(layers[1])
    wasm = (CODECS / "zlib" / file).read_bytes()
    assert statement["subject"] == [
        {"name": file, "digest": {"sha256": sha256(wasm).removeprefix("sha256:")}}
    ]


def test_publishing_again_sends_nothing(
    *,
    shop: Shop,
    published: dict[str, dict[str, Any]],
    all_of_them: Callable[[], list[dict[str, Any]]],
    record_property: Callable[[str, object], None],
) -> None:
    before = len(shop.registry.requests())
    began = time.monotonic()
    again = all_of_them()
    took_s = time.monotonic() - began
    requests = shop.registry.requests()[before:]
    record_property("measured", f"{before} requests at first; then {len(requests)}, {took_s:.1f} s")
    assert {each["state"] for each in again} == {"unchanged"}
    assert [each["digest"] for each in again] == [each["digest"] for each in published.values()]
    assert not any(each["attached"] for each in again)
    # Of which one for each repository may be answered with 401 first, and tokens are elsewhere.
    assert {each.method for each in requests} == {"HEAD", "GET"}
    assert len(requests) <= 4 * len(published)


def changed(file: Path, into: Path) -> Path:
    """Make another file of the same version."""
    wasm = file.read_bytes()
    signature = read_signature(wasm, what=str(file))
    signature.document["description"] = "another file"  # type: ignore[index]  # a dict, as read
    path = into / "changed.wasm"
    path.write_bytes(embed_signature(wasm, signature))
    return path


def test_other_bytes_under_a_version_have_to_be_forced(
    tmp_path: Path, shop: Shop, publish: Callable[..., Completed]
) -> None:
    file = CODECS / "crc32/crc32-rs@1.0.0.core.wasm"
    other = changed(file, tmp_path)
    name = "single/crc32"
    tags = f"{name}/manifests/1.0.0-core"

    done = publish(file, name, "--no-verify", "--dry-run")
    assert done.stdout.startswith(b"dry run: published ")
    assert shop.registry.tags(name) == []

    assert publish(file, name, "--no-verify").returncode == 0
    first = shop.registry.read(tags)
    for options in ((), ("--dry-run",)):
        done = publish(other, name, "--no-verify", *options)
        assert (done.returncode, done.stdout) == (1, b"")
        (line,) = done.stderr.decode().splitlines()
        assert f"{name}:1.0.0-core: something else is published there, expected `sha256:" in line
        assert line.endswith("`--force` replaces what others may use")
        assert shop.registry.read(tags) == first

    done = publish(other, name, "--no-verify", "--force")
    assert done.stdout.startswith(b"replaced "), done.stderr
    assert shop.registry.read(tags) != first
    # A tag of its own is another place.
    assert publish(file, f"{name}:nightly", "--no-verify").returncode == 0
    assert shop.registry.read(f"{name}/manifests/nightly") == first


def test_a_codec_that_fails_its_checks_is_not_published(
    tmp_path: Path, shop: Shop, publish: Callable[..., Completed], make_codec: Callable[..., bytes]
) -> None:
    # It echoes, also what is no encoded form of anything; and it frees nothing.
    (tmp_path / "codec.wasm").write_bytes(make_codec(transform="(i64.const 0)"))
    done = publish(tmp_path / "codec.wasm", "bad/guest")
    assert (done.returncode, done.stdout) == (1, b"")
    *failed, error = done.stderr.decode().splitlines()
    assert failed[0].startswith("failed  ")
    assert error.startswith(
        "error: not published: 1 of 1 reports of `chonkle verify` have failures"
    )
    assert shop.registry.tags("bad/guest") == []


@pytest.mark.parametrize("abi", ["core", "component"])
def test_the_demo_runs_from_pinned_sources(
    *,
    tmp_path: Path,
    tile: Any,  # noqa: ANN401 - a fixture's
    shop: Shop,
    published: dict[str, dict[str, Any]],
    chonkle: Callable[..., Completed],
    explain: Callable[..., Any],
    abi: str,
) -> None:
    """Once pulled into an empty store, they are there without a registry."""
    names = {"zlib": "zlib-rs", "tiff-predictor-2": "tiff-predictor-2-c"}
    sources = {
        codec_id: published[f"{name}@1.0.0.{abi}.wasm"]["reference"]
        for codec_id, name in names.items()
    }
    (tmp_path / "pipeline.json").write_text(json.dumps({**tile.pipeline, "sources": sources}))
    (tmp_path / "tile.bin").write_bytes(tile.encoded)
    (tmp_path / "store").mkdir()
    store = ("--codec-store", "store")
    for uri in sources.values():
        chonkle(
            *("pull", uri, *store, *shop.options), stdin=shop.stdin, environment=shop.environment
        )
    run = (
        *("pipeline.json", *store, "--input", "bytes=tile.bin", "--output", "bytes=pixels.raw"),
        # Not what is shipped with the package.
        *(f"--source={codec_id}={uri}" for codec_id, uri in sources.items()),
    )
    before = len(shop.registry.requests())
    found = explain(*run, environment={"CHONKLE_OFFLINE": "1"})
    assert (tmp_path / "pixels.raw").read_bytes() == tile.pixels
    assert len(shop.registry.requests()) == before
    for step, uri in zip(found["steps"], sources.values(), strict=True):
        assert step["backend"] == abi
        assert uri in step["reason"]


@pytest.mark.parametrize("shop", ["private", "token"], indirect=True)
def test_only_a_user_publishes(
    shop: Shop, tmp_path: Path, chonkle_done: Callable[..., Completed]
) -> None:
    file = CODECS / "crc32/crc32-rs@1.0.0.core.wasm"
    ca_file = () if shop.registry.ca_file is None else ("--ca-file", shop.registry.ca_file)
    done = chonkle_done(
        *("publish", file, f"oci://{shop.registry.address}/codecs/mine:1", "--no-verify"),
        *ca_file,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    (error,) = done.stderr.decode().splitlines()
    assert "401 Unauthorized" in error
    assert shop.registry.tags("codecs/mine") == []


def test_what_was_published_is_verified_with_its_vectors(
    *,
    tmp_path: Path,
    shop: Shop,
    published: dict[str, dict[str, Any]],
    chonkle: Callable[..., Completed],
) -> None:
    uri = published["zlib-rs@1.0.0.core.wasm"]["reference"]
    done = chonkle(
        *("verify", uri, "--json", *shop.options),
        cwd=tmp_path,
        stdin=shop.stdin,
        environment=shop.environment,
    )
    (report,) = json.loads(done.stdout)
    assert (report["file"], report["passed"]) == (uri, True)
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes["golden-vectors"] == "passed"
