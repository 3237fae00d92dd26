"""A codec that the metadata of a Zarr array name by its digest, from a real registry."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chonkle.formats.signature import Signature, embed_signature
from tests.e2e.registries import Registry

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
CORE = next((ROOT / "codec/identity").glob("*.core.wasm"))
NAME = "org.example.stride"
WRITE = f"""
import sys, numpy as np, zarr, chonkle.zarr
codec = chonkle.zarr.codec(sys.argv[1])
assert codec.to_dict()["name"] == "{NAME}"
array = zarr.create_array("data.zarr", shape=(100,), chunks=(10,), dtype="int32",
                          compressors=[codec, zarr.codecs.ZstdCodec()])
array[:] = np.arange(100)
print(codec.to_dict()["configuration"]["codec"])
"""
READ = """
import sys, zarr, chonkle.zarr
chonkle.zarr.use(sources=sys.argv[1:])
print(zarr.open_array("data.zarr", mode="r")[:].sum())
"""


class Reader:
    """Runs Python as somebody who has nothing of chonkle's yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = 0

    def __call__(self, code: str, *arguments: str, **environment: str) -> Any:
        self.people += 1
        home = self.folder / f"home-{self.people}"
        home.mkdir()
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(home),
                "CHONKLE_CACHE_DIR": str(self.folder / "cache"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.fixture
def reference(registry: Registry) -> str:
    """Push a codec that nobody has, and give where it is."""
    signature = {
        "codec_id": "stride",
        "implementation": "stride-c",
        "version": "0.1.0",
        "kind": "bytes-to-bytes",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": {"type": "bytes"}},
        "aliases": {"zarr_v3": [NAME]},
    }
    wasm = embed_signature(CORE.read_bytes(), Signature.from_json(signature))
    registry.push("codecs/stride-c", "0.1.0-core", wasm)
    return f"oci://{registry.address}/codecs/stride-c:0.1.0-core"


def test_a_reader_fetches_the_codec_that_the_array_names(
    reader: Reader, reference: str, registry: Registry
) -> None:
    written = reader(WRITE, reference)
    assert written.returncode == 0, written.stderr
    pinned = written.stdout.strip()
    assert pinned.startswith(reference.removesuffix(":0.1.0-core"))
    assert "@sha256:" in pinned
    for source in (f"oci://{registry.address}/codecs", f"oci://{registry.address}/codecs/", pinned):
        read = reader(READ, source)
        assert read.returncode == 0, read.stderr
        assert read.stdout.strip() == str(sum(range(100)))


@pytest.mark.parametrize("source", [[], ["oci://{}/code"], ["oci://other.example/codecs"]])
def test_a_source_that_is_not_allowed_is_not_asked(
    reader: Reader, reference: str, registry: Registry, source: list[str]
) -> None:
    pinned = reader(WRITE, reference).stdout.strip()
    before = len(registry.requests())
    read = reader(READ, *(each.format(registry.address) for each in source))
    message = read.stderr.strip().splitlines()[-1]
    assert f"codec `{NAME}`: its source is not allowed, got {pinned}; hint: " in message
    assert "`chonkle pull` installs it, and `chonkle.zarr.use(sources=[...])` allows" in message
    assert len(registry.requests()) == before


def test_what_is_there_is_not_fetched(
    reader: Reader, reference: str, registry: Registry, tmp_path: Path
) -> None:
    written = reader(WRITE, reference)
    store = {"CHONKLE_CODEC_STORE": str(tmp_path / "store")}
    pull = "from chonkle.cli import main; main()"
    pulled = reader(pull, "pull", written.stdout.strip(), **store)
    assert pulled.returncode == 0, pulled.stderr
    before = len(registry.requests())
    read = reader(READ, **store)
    assert read.stdout.strip() == str(sum(range(100))), read.stderr
    assert len(registry.requests()) == before


def test_a_reference_without_a_digest_is_refused(
    reader: Reader, reference: str, registry: Registry, tmp_path: Path
) -> None:
    pinned = reader(WRITE, reference).stdout.strip()
    metadata = tmp_path / "data.zarr/zarr.json"
    metadata.write_text(metadata.read_text("utf-8").replace(pinned, reference), encoding="utf-8")
    read = reader(READ, f"oci://{registry.address}/codecs")
    assert "has no digest" in read.stderr.strip().splitlines()[-1]


def test_other_bytes_than_the_digest_says_are_refused(
    reader: Reader, reference: str, registry: Registry, tmp_path: Path
) -> None:
    pinned = reader(WRITE, reference).stdout.strip()
    metadata = tmp_path / "data.zarr/zarr.json"
    digest = pinned.partition("@sha256:")[2]
    other = digest.translate(str.maketrans("0123456789", "1234567890"))
    metadata.write_text(metadata.read_text("utf-8").replace(digest, other), encoding="utf-8")
    read = reader(READ, f"oci://{registry.address}/codecs")
    assert read.returncode == 1
    assert other in read.stderr.strip().splitlines()[-1]
