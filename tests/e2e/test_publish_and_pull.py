"""All codecs of the repository into a registry and back, with each kind of registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.e2e.registries import Kind, Registry, docker_login, started
from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle, Explain
from tests.loopback import sha256

pytestmark = [pytest.mark.network, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CODECS = ROOT / "codec"
ZLIB = CODECS / "zlib/zlib-rs@1.0.0.component.wasm"
KINDS: tuple[Kind, ...] = ("plain", "private", "token")
VECTORS = "application/vnd.chonkle.vectors.v1+jsonl"
PROVENANCE = "application/vnd.in-toto+json"


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


def access_to(
    registry: Registry, folder: Path, kind: Kind
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Give the options and the environment with which commands reach a registry."""
    options = () if registry.ca_file is None else ("--ca-file", str(registry.ca_file))
    if kind == "plain":
        return options, {}
    return options, {"DOCKER_CONFIG": str(docker_login(folder / "docker", registry.address))}


def publish(
    site: Site, place: Path, target: str, chonkle_done: Chonkle, **environment: str
) -> CompletedProcess[bytes]:
    sources = ("--codec-src", "codec-src") if place == CODECS else ()
    # Other tests verify these files.
    return chonkle_done(
        *("publish", place, target, "--no-verify", "--json", *sources, *site.options),
        cwd=ROOT,
        environment={**site.environment, **environment},
    )


def publish_all(site: Site, chonkle_done: Chonkle) -> list[dict[str, Any]]:
    done = publish(site, CODECS, site.target, chonkle_done)
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def check_every_file(site: Site) -> None:
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
        assert kinds == {VECTORS, PROVENANCE}


def publish_again(site: Site, chonkle_done: Chonkle) -> None:
    before = len(site.registry.requests())
    done = publish(site, CODECS, site.target, chonkle_done)
    assert done.returncode == 0, done.stderr.decode()
    again = json.loads(done.stdout)
    assert {each["state"] for each in again} == {"unchanged"}
    assert [each["digest"] for each in again] == [each["digest"] for each in site.published]
    methods = {request.method for request in site.registry.requests()[before:]}
    assert methods <= {"GET", "HEAD"}


def publish_other_bytes(site: Site, tmp_path: Path, chonkle_done: Chonkle) -> None:
    # A custom section at the end, which means nothing.
    changed = tmp_path / "changed.wasm"
    changed.write_bytes(ZLIB.read_bytes() + b"\0\2\1x")
    before = site.registry.read("codecs/zlib-rs/manifests/1.0.0")
    done = publish(site, changed, f"{site.target}/zlib-rs:1.0.0", chonkle_done)
    assert (done.returncode, done.stdout) == (1, b"")
    (error,) = done.stderr.decode().splitlines()
    assert "something else is published there" in error
    assert site.registry.read("codecs/zlib-rs/manifests/1.0.0") == before


def run_the_demo_from_pins(
    *, site: Site, tmp_path: Path, tile: Tile, chonkle: Chonkle, explain: Explain
) -> None:
    """Pull into an empty store, run without asking the registry, and run without the store."""
    (tmp_path / "tile.bin").write_bytes(tile.encoded)
    (tmp_path / "store").mkdir()
    run = (
        *("tile.json", "--codec-store", "store"),
        *("--input", "bytes=tile.bin", "--output", "bytes=pixels.raw"),
    )
    for abi in ("core", "component"):
        pins = site.pins(abi)
        sources = {"zlib": pins["zlib-rs"], "tiff-predictor-2": pins["tiff-predictor-2-c"]}
        (tmp_path / "tile.json").write_text(json.dumps({**tile.pipeline, "sources": sources}))
        for pin in sources.values():
            chonkle("pull", pin, *run[1:3], *site.options, environment=site.environment)
        before = len(site.registry.requests())
        forced = [f"--source={name}={pin}" for name, pin in sources.items()]
        found = explain(*run, *forced, environment={"CHONKLE_OFFLINE": "1"})
        assert (tmp_path / "pixels.raw").read_bytes() == tile.pixels
        assert {step["backend"] for step in found["steps"]} == {abi}
        for step, pin in zip(found["steps"], sources.values(), strict=True):
            assert pin in step["reason"]
        assert len(site.registry.requests()) == before
        if site.registry.ca_file is None:
            # Not from the store, and not what is shipped with the package.
            explain(*run, environment={**site.environment, "CHONKLE_FORCE_DOWNLOAD": "1"})
            assert len(site.registry.requests()) > before


def publish_without_a_password(site: Site, tmp_path: Path, chonkle_done: Chonkle) -> None:
    docker = str(tmp_path / "no-docker")
    done = publish(site, ZLIB, f"{site.target}/mine:1", chonkle_done, DOCKER_CONFIG=docker)
    assert done.returncode == 1
    (error,) = done.stderr.decode().splitlines()
    assert "401 Unauthorized" in error
    assert site.registry.tags("codecs/mine") == []


@pytest.mark.parametrize("kind", KINDS)
def test_all_codecs_are_published_and_pulled(
    *,
    tmp_path: Path,
    registry_program: str,
    kind: Kind,
    tile: Tile,
    chonkle: Chonkle,
    chonkle_done: Chonkle,
    explain: Explain,
) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with started(folder, registry_program, kind) as registry:
        site = Site(registry, *access_to(registry, folder, kind), [])
        site.published.extend(publish_all(site, chonkle_done))
        check_every_file(site)
        publish_again(site, chonkle_done)
        publish_other_bytes(site, tmp_path, chonkle_done)
        if kind != "plain":
            publish_without_a_password(site, tmp_path, chonkle_done)
        run_the_demo_from_pins(
            site=site, tmp_path=tmp_path, tile=tile, chonkle=chonkle, explain=explain
        )
