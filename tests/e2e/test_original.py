"""The lines of the first chonkle's README, which its users still write.

`docs/reference/compatibility.md` says where chonkle differs from it on purpose.
"""

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from chonkle.executor import run
from chonkle.pipeline import prepare
from chonkle.resolver import Resolver
from chonkle.storage.store import bundled_store
from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle, ErrorOf
from tests.loopback import TLS, Server

ROOT = Path(__file__).parents[2]
# The process finds the test's server under the name in its certificate.
LOOPBACK = """
import socket
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)
"""
ZLIB: dict[str, Any] = {
    "codec_id": "zlib",
    "implementation": "zlib-rs",
    "inputs": {
        "bytes": {"type": "bytes"},
        "level": {"type": "int", "required": False, "default": 6, "encode_only": True},
    },
    "outputs": {"bytes": {"type": "bytes"}},
}


def shipped(codec_id: str) -> bytes:
    """Give a shipped core module."""
    found, _ = bundled_store().survey(codec_id)
    return next(each.wasm for each in found if each.kind == "core")


@pytest.fixture
def folder(tmp_path: Path, tile: Tile, chonkle: Chonkle) -> Path:
    """Make a folder as the first chonkle's users have it.

    Its store has the layout `<implementation>/<codec_id>.wasm`, and its signatures no version.
    """
    pipeline = {
        "codec_id": "cog-deflate-pred2",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "constants": {
            "bytes_per_sample": {"type": "number", "value": 2},
            "width": tile.pipeline["constants"]["width"],
        },
        "outputs": {"bytes": "predictor2.bytes"},
        "steps": {
            "zlib": {"codec_id": "numcodecs.zlib", "inputs": {"bytes": "input.bytes"}},
            "predictor2": {
                "codec_id": "tiff_predictor_2",
                "inputs": {
                    "bytes": "zlib.bytes",
                    "bytes_per_sample": "constant.bytes_per_sample",
                    "width": "constant.width",
                },
            },
        },
    }
    (tmp_path / "pipeline.json").write_text(json.dumps(pipeline))
    (tmp_path / "chunk.bin").write_bytes(tile.encoded)
    predictor = json.loads((ROOT / "codec-src/tiff-predictor-2-c/signature.json").read_text())
    for name in ("implementation", "version"):
        del predictor[name]
    for place, codec_id, signature in (
        ("zlib-rs/zlib.wasm", "zlib", ZLIB),
        ("tiff-predictor-2-c/tiff_predictor_2.wasm", "tiff-predictor-2", predictor),
    ):
        path = tmp_path / "codec" / place
        path.parent.mkdir(parents=True)
        path.write_bytes(shipped(codec_id))
        (tmp_path / "signature.json").write_text(json.dumps(signature))
        chonkle("embed-signature", path, "signature.json")
    return tmp_path


STORE = ("--codec-store", "./codec/")


def test_a_pipeline_runs_in_both_directions(folder: Path, chonkle: Chonkle, tile: Tile) -> None:
    line = "run pipeline.json --input bytes=chunk.bin --output bytes=new/folder/out.bin"
    chonkle(*line.split(), *STORE)
    assert (folder / "new/folder/out.bin").read_bytes() == tile.pixels
    line = "run pipeline.json --direction encode --input bytes=new/folder/out.bin --output bytes=-"
    assert tile.undo(chonkle(*line.split(), *STORE).stdout) == tile.pixels


def test_a_run_without_an_output_tells_what_it_would_write(
    folder: Path, chonkle: Chonkle, tile: Tile
) -> None:
    before = set(folder.iterdir())
    line = "run pipeline.json --input bytes=chunk.bin --direction decode"
    done = chonkle(*line.split(), *STORE)
    digest = hashlib.sha256(tile.pixels).hexdigest()
    header, row = done.stdout.decode().splitlines()
    assert header.split() == ["output", "size", "digest"]
    assert row.split() == ["bytes", str(len(tile.pixels)), "bytes", f"sha256:{digest}"]
    done = chonkle(*line.split(), *STORE, "--json")
    assert json.loads(done.stdout) == [
        {"output": "bytes", "size_bytes": len(tile.pixels), "digest": f"sha256:{digest}"}
    ]
    assert set(folder.iterdir()) == before


def test_the_whole_line_with_a_source(
    folder: Path, chonkle: Chonkle, tile: Tile, tmp_path: Path
) -> None:
    new = folder / "new.wasm"
    new.write_bytes(shipped("zlib"))
    (folder / "signature.json").write_text(json.dumps({**ZLIB, "description": "a newer one"}))
    chonkle("embed-signature", "new.wasm", "signature.json")
    names = tmp_path / "names"
    names.mkdir()
    (names / "sitecustomize.py").write_text(LOOPBACK)
    paths = os.pathsep.join(filter(None, [str(names), os.environ.get("PYTHONPATH")]))
    with Server("registry.test", lambda _: new.read_bytes()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line = (
            "run pipeline.json --input bytes=chunk.bin --direction decode --codec-store ./codec/ "
            "--preference core,component,native --override zlib=zlib-rs "
            f"--source zlib={server.origin}/zlib.wasm --output bytes=out.bin --explain --json"
        )
        trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(TLS / "ca.pem"))
        done = chonkle(*line.split(), environment={"PYTHONPATH": paths, **trusted})
        server.shutdown()
        assert [seen.path for seen in server.seen] == ["/zlib.wasm"]
    steps = {each["step"]: each for each in json.loads(done.stdout)["steps"]}
    assert steps["zlib"]["reason"] == f"forced source {server.origin}/zlib.wasm"
    # What has no version comes after what has one, such as a shipped codec.
    assert steps["predictor2"]["implementation"] == "tiff-predictor-2-c@1.0.0"
    assert "tiff_predictor_2 (core)" in steps["predictor2"]["passed_over"]
    assert {each["backend"] for each in steps.values()} == {"core"}
    assert (folder / "out.bin").read_bytes() == tile.pixels
    # It took the place of the one of the same implementation.
    assert (folder / "codec/zlib-rs/zlib.wasm").read_bytes() == new.read_bytes()
    assert len(list((folder / "codec").rglob("*.wasm"))) == 2


def test_codecs_are_listed_and_described(folder: Path, chonkle: Chonkle, error_of: ErrorOf) -> None:
    listed = chonkle("codecs", "--verbose", *STORE).stdout
    rows = [line.split() for line in listed.decode().splitlines()]
    assert ["zlib", "zlib-rs", "core"] in [row[:3] for row in rows]
    assert ["tiff-predictor-2", "tiff_predictor_2", "core"] in [row[:3] for row in rows]
    described = chonkle("codecs", "zlib", *STORE).stdout
    assert b"a newer one" not in described
    assert b"ports of zlib-rs (core)" in described
    for name in ("numcodecs.zlib", "8"):
        assert chonkle("codecs", name, *STORE).stdout == described
    found = chonkle("codecs", "tiff_predictor_2", *STORE).stdout
    assert found == chonkle("codecs", "tiff-predictor-2", *STORE).stdout
    # The first chonkle told it, and exited with 0.
    assert error_of("codecs", "zlibb", cwd=folder).startswith(
        "no implementation of codec `zlibb`; hint: did you mean `zlib`?"
    )


def test_a_preference_is_strict(folder: Path, chonkle: Chonkle, error_of: ErrorOf) -> None:
    line = "run pipeline.json --input bytes=chunk.bin --preference native"
    message = error_of(*line.split(), *STORE, cwd=folder)
    assert "no implementation for backend native, got `tiff-predictor-2-c@1.0.0 (core)`" in message
    assert message.endswith("hint: the preference leaves out `core`, `component`")
    line = "run pipeline.json --preference component --explain --json"
    steps = json.loads(chonkle(*line.split(), *STORE).stdout)["steps"]
    assert {each["backend"] for each in steps} == {"component"}
    assert all("zlib-rs (core)" not in each["passed_over"] for each in steps)
    assert "tiff_predictor_2 (core)" in steps[1]["left_out"]


def test_the_python_lines(folder: Path, monkeypatch: pytest.MonkeyPatch, tile: Tile) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHONKLE_CODEC_STORE", "codec")
    chunk_bytes = Path("chunk.bin").read_bytes()
    prepared = prepare("pipeline.json", direction="decode")
    outputs = run(prepared, {"bytes": chunk_bytes})
    assert outputs == {"bytes": tile.pixels}
    pipeline = json.loads(Path("pipeline.json").read_text())
    assert run(prepare(pipeline, "decode"), {"bytes": chunk_bytes}) == outputs
    encoded = run(prepare(Path("pipeline.json"), "encode"), outputs)["bytes"]
    assert tile.undo(encoded) == tile.pixels
    labels = {each.label for each in Resolver().codecs()}
    assert {"zlib-rs (core)", "tiff_predictor_2 (core)"} <= labels


def test_options_and_locks_know_the_other_names(
    folder: Path, chonkle: Chonkle, error_of: ErrorOf
) -> None:
    explain = ("run", "pipeline.json", "--preference", "core", "--explain", *STORE)
    explained = chonkle(*explain, "--override", "8=zlib-rs@1.0.0").stderr.decode()
    assert "shipped, override `zlib-rs@1.0.0`" in explained
    assert "  zlib is not allowed to be: " in explained
    message = error_of("validate", "pipeline.json", "--override", "gzip=gzip-rs", *STORE)
    assert message.startswith("--override gzip: no step of the pipeline has that codec")
    lock = ("lock", "pipeline.json", "--preference", "core", *STORE)
    chonkle(*lock)
    locked = ("run", "pipeline.json", "--locked", "--explain", "--json", *STORE)
    steps = json.loads(chonkle(*locked).stdout)["steps"]
    assert [each["codec_id"] for each in steps] == ["zlib", "tiff-predictor-2"]
    assert steps[0]["implementation"] == "zlib-rs@1.0.0"
    # An option replaces what the lock has under another name.
    changed = chonkle(*lock, "--override", "zlib=zlib-rs@1.0.0", "--json")
    assert json.loads(changed.stdout)["is_current"]
    (folder / "shipped.wasm").write_bytes((folder / "codec/zlib-rs/zlib.wasm").read_bytes())
    chonkle(*lock, "--codec-path", "zlib=shipped.wasm")
    steps = json.loads(chonkle(*locked).stdout)["steps"]
    assert steps[0]["implementation"] == "zlib-rs"
