"""All codecs of the repository into a registry and back, with each kind of registry."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import pytest

from tests.e2e.registries import (
    Kind,
    Registry,
    docker_login,
    sha256,
    started,
)

pytestmark = [pytest.mark.network, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CODECS = ROOT / "codec"
KINDS: tuple[Kind, ...] = ("plain", "private", "token")
PREDICATE = "application/vnd.in-toto+json"


class Tile(Protocol):
    pipeline: dict[str, Any]
    pixels: bytes
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Site:
    """A registry with all codecs in it, and how the command line reaches it.

    Attributes:
        registry: the registry.
        options: of commands that reach it.
        environment: the same.
        published: what `chonkle publish --json` said of each file.
    """

    registry: Registry
    options: tuple[str, ...]
    environment: Mapping[str, str]
    published: list[dict[str, Any]]

    @property
    def target(self) -> str:
        return f"oci://{self.registry.address}/codecs"

    def pins(self, abi: str) -> dict[str, str]:
        """Give the pinned reference of each implementation."""
        return {
            Path(each["file"]).name.partition("@")[0]: each["reference"]
            for each in self.published
            if each["file"].endswith(f".{abi}.wasm")
        }


def publish(
    chonkle_done: Callable[..., CompletedProcess[bytes]],
    place: Path,
    target: str,
    *options: str,
    environment: Mapping[str, str],
) -> CompletedProcess[bytes]:
    # Other tests verify these files.
    return chonkle_done(
        *("publish", place, target, "--no-verify", "--json", *options),
        cwd=ROOT,
        environment=environment,
    )


@pytest.fixture(scope="module", params=KINDS)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    registry_program: str,
    chonkle_done: Callable[..., CompletedProcess[bytes]],
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("registry")
    with started(folder, registry_program, request.param) as registry:
        options: tuple[str, ...] = ()
        environment = {}
        if registry.ca_file is not None:
            options = ("--ca-file", str(registry.ca_file))
        if request.param != "plain":
            environment["DOCKER_CONFIG"] = str(docker_login(folder / "docker", registry.address))
        found = Site(registry, options, environment, [])
        sources = ("--codec-src", str(ROOT / "codec-src"))
        done = publish(
            chonkle_done, CODECS, found.target, *options, *sources, environment=environment
        )
        assert done.returncode == 0, done.stderr.decode()
        found.published.extend(json.loads(done.stdout))
        yield found


def test_every_file_is_there_with_what_is_said_of_it(site: Site) -> None:
    files = {str(path): path.read_bytes() for path in CODECS.rglob("*.wasm")}
    assert len(files) >= 56
    by_file = {str((ROOT / each["file"]).resolve()): each for each in site.published}
    assert by_file.keys() == files.keys()
    for file, data in files.items():
        each = by_file[file]
        implementation, _, version = Path(file).name.partition("@")
        name = f"codecs/{implementation}"
        core = version.endswith(".core.wasm")
        tag = version.replace(".core.wasm", "-core").replace(".component.wasm", "")
        manifest = site.registry.read(f"{name}/manifests/{tag}")
        assert each["state"] == "published"
        assert each["digest"] == sha256(manifest)
        assert each["reference"] == f"{site.target}/{implementation}:{tag}@{each['digest']}"
        (layer,) = json.loads(manifest)["layers"]
        assert layer["digest"] == sha256(data)
        config = site.registry.read(f"{name}/blobs/{json.loads(manifest)['config']['digest']}")
        assert json.loads(config)["os"] == ("wasip1" if core else "wasip2")
        # docker-registry keeps no list of referrers itself.
        referrers = site.registry.read(f"{name}/manifests/{each['digest'].replace(':', '-')}")
        kinds = {entry["artifactType"] for entry in json.loads(referrers)["manifests"]}
        assert kinds == {"application/vnd.chonkle.vectors.v1+jsonl", PREDICATE}


def test_publishing_again_sends_nothing(
    site: Site, chonkle_done: Callable[..., CompletedProcess[bytes]]
) -> None:
    before = len(site.registry.requests())
    done = publish(
        *(chonkle_done, CODECS, site.target, *site.options),
        *("--codec-src", str(ROOT / "codec-src")),
        environment=site.environment,
    )
    assert done.returncode == 0, done.stderr.decode()
    again = json.loads(done.stdout)
    assert {each["state"] for each in again} == {"unchanged"}
    assert [each["digest"] for each in again] == [each["digest"] for each in site.published]
    methods = {request.method for request in site.registry.requests()[before:]}
    assert methods <= {"GET", "HEAD"}


def test_other_bytes_under_a_version_are_refused(
    site: Site, tmp_path: Path, chonkle_done: Callable[..., CompletedProcess[bytes]]
) -> None:
    tag = f"{site.target}/zlib-rs:1.0.0"
    (tmp_path / "changed.wasm").write_bytes(
        # With a custom section at the end, which means nothing.
        (CODECS / "zlib/zlib-rs@1.0.0.component.wasm").read_bytes() + b"\0\2\1x"
    )
    before = site.registry.read("codecs/zlib-rs/manifests/1.0.0")
    done = publish(
        *(chonkle_done, tmp_path / "changed.wasm", tag, *site.options),
        environment=site.environment,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    (error,) = done.stderr.decode().splitlines()
    assert "something else is published there" in error
    assert site.registry.read("codecs/zlib-rs/manifests/1.0.0") == before


def test_the_demo_runs_from_pinned_sources(
    *,
    site: Site,
    tmp_path: Path,
    tile: Tile,
    chonkle: Callable[..., CompletedProcess[bytes]],
    explain: Callable[..., Any],
) -> None:
    """After a pull into an empty store, and then without a registry."""
    pins = site.pins("component")
    sources = {"zlib": pins["zlib-rs"], "tiff-predictor-2": pins["tiff-predictor-2-c"]}
    store = ("--codec-store", "store")
    (tmp_path / "tile.bin").write_bytes(tile.encoded)
    (tmp_path / "tile.json").write_text(json.dumps({**tile.pipeline, "sources": sources}))
    for pin in sources.values():
        chonkle("pull", pin, *store, *site.options, environment=site.environment)
    before = len(site.registry.requests())
    found = explain(
        *("tile.json", *store, "--preference", "component"),
        *("--input", "bytes=tile.bin", "--output", "bytes=pixels.raw"),
    )
    assert (tmp_path / "pixels.raw").read_bytes() == tile.pixels
    assert [step["reason"] for step in found["steps"]]
    assert len(site.registry.requests()) == before


def test_only_those_who_may_publish(
    site: Site, tmp_path: Path, chonkle_done: Callable[..., CompletedProcess[bytes]]
) -> None:
    if not site.environment:
        pytest.skip("anybody may publish to the plain registry")
    nobody = {"DOCKER_CONFIG": str(tmp_path / "no-docker")}
    file = CODECS / "zlib/zlib-rs@1.0.0.component.wasm"
    done = publish(
        *(chonkle_done, file, f"{site.target}/mine:1", *site.options), environment=nobody
    )
    assert done.returncode == 1
    (error,) = done.stderr.decode().splitlines()
    assert "401 Unauthorized" in error
    assert site.registry.tags("codecs/mine") == []
