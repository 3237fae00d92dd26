"""Publishing single codecs to a real registry with TLS and a password.

All shipped codecs, to each kind of registry, are published in `test_publish_and_pull.py`.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from chonkle.formats.signature import Signature, embed_signature, read_signature
from tests.e2e.registries import MANIFEST_TYPE, PASSWORD, USER, Registry, started
from tests.fixture_types import MakeCodec
from tests.loopback import sha256

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
CODEC = ROOT / "codec/crc32/crc32-rs@1.0.0.core.wasm"
VECTORS = ROOT / "codec-src/crc32-rs/vectors"
VECTORS_TYPE = "application/vnd.chonkle.vectors.v1+jsonl"
PROVENANCE_TYPE = "application/vnd.in-toto+json"

type Completed = CompletedProcess[bytes]
type Run = Callable[..., Completed]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, registry_program: str) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with started(folder, registry_program, "private") as found:
        yield found


@pytest.fixture
def run(registry: Registry, chonkle_done: Run, tmp_path: Path) -> Run:
    """Give a function that runs a command with what lets it in."""

    def run(*arguments: str | Path) -> Completed:
        login = ("--ca-file", str(registry.ca_file), "--username", USER, "--password-stdin")
        return chonkle_done(*arguments, *login, cwd=tmp_path, stdin=f"{PASSWORD}\n".encode())

    return run


def published(run: Run, place: Path, target: str, *options: str | Path) -> dict[str, Any]:
    """Publish a file, and give what is said of it."""
    done = run("publish", place, target, "--json", "--no-verify", *options)
    assert done.returncode == 0, done.stderr.decode()
    (said,) = json.loads(done.stdout)
    assert isinstance(said, dict)
    return said


def test_what_travels_with_a_codec_is_listed_and_verified(registry: Registry, run: Run) -> None:
    target = f"oci://{registry.address}/codecs/crc32"
    said = published(run, CODEC, target, "--vectors", VECTORS)
    assert said["state"] == "published"
    assert said["reference"] == f"{target}:1.0.0-core@{said['digest']}"
    # Where a registry has no list of its own (Distribution Specification, "Referrers Tag Schema").
    index = registry.read(f"codecs/crc32/manifests/{said['digest'].replace(':', '-')}")
    listed = json.loads(index)["manifests"]
    assert [each["artifactType"] for each in listed] == [VECTORS_TYPE, PROVENANCE_TYPE]
    layers = []
    for each in listed:
        assert each["mediaType"] == MANIFEST_TYPE
        manifest = json.loads(registry.read(f"codecs/crc32/manifests/{each['digest']}"))
        assert manifest["subject"]["digest"] == said["digest"]
        (layer,) = manifest["layers"]
        layers.append(registry.read(f"codecs/crc32/blobs/{layer['digest']}"))
    cases = [json.loads(line)["case"] for line in layers[0].splitlines()]
    assert cases == sorted(path.stem for path in VECTORS.glob("*.json"))
    (subject,) = json.loads(layers[1])["subject"]
    assert subject["name"] == CODEC.name
    assert f"sha256:{subject['digest']['sha256']}" == sha256(CODEC.read_bytes())

    before = len(registry.requests())
    again = published(run, CODEC, target, "--vectors", VECTORS)
    assert again == {**said, "state": "unchanged", "attached": []}
    requests = registry.requests()[before:]
    # The tag, after a refusal without the password; and both lists of referrers.
    assert [each.method for each in requests] == ["HEAD", "HEAD", "GET", "GET"]

    done = run("verify", said["reference"], "--json")
    (report,) = json.loads(done.stdout)
    assert (report["file"], report["passed"]) == (said["reference"], True)
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes["golden-vectors"] == "passed"


def changed(file: Path, into: Path) -> Path:
    """Make another file of the same version."""
    wasm = file.read_bytes()
    signature = read_signature(wasm, what=str(file))
    document = {**signature.to_json(), "description": "another file"}
    path = into / "changed.wasm"
    path.write_bytes(embed_signature(wasm, Signature.from_json(document)))
    return path


def test_other_bytes_of_a_version_need_force(tmp_path: Path, registry: Registry, run: Run) -> None:
    other = changed(CODEC, tmp_path)
    name = "single/crc32"
    target = f"oci://{registry.address}/{name}"
    tag = f"{name}/manifests/1.0.0-core"

    assert published(run, CODEC, target, "--dry-run")["dry_run"] is True
    assert registry.tags(name) == []

    published(run, CODEC, target)
    first = registry.read(tag)
    for options in ((), ("--dry-run",)):
        done = run("publish", other, target, "--no-verify", *options)
        assert (done.returncode, done.stdout) == (1, b"")
        (line,) = done.stderr.decode().splitlines()
        assert f"{name}:1.0.0-core: something else is published there, expected `sha256:" in line
        assert line.endswith("`--force` replaces what others may use")
        assert registry.read(tag) == first

    assert published(run, other, target, "--force")["state"] == "replaced"
    assert registry.read(tag) != first
    # A tag of its own is another place.
    published(run, CODEC, f"{target}:nightly")
    assert registry.read(f"{name}/manifests/nightly") == first


def test_a_codec_that_fails_its_checks_is_not_published(
    tmp_path: Path, registry: Registry, run: Run, make_codec: MakeCodec
) -> None:
    (tmp_path / "codec.wasm").write_bytes(make_codec(transform="(i64.const 0)"))
    done = run("publish", tmp_path / "codec.wasm", f"oci://{registry.address}/bad/guest")
    assert (done.returncode, done.stdout) == (1, b"")
    *failed, error = done.stderr.decode().splitlines()
    assert failed[0].startswith("failed  ")
    assert error.startswith(
        "error: not published: 1 of 1 reports of `chonkle verify` have failures"
    )
    assert registry.tags("bad/guest") == []
