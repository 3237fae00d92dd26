"""The demo's pipeline on every backend, against a tile that was made without chonkle."""

import json
from pathlib import Path

import pytest

from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle, Explain, PipelineOf

BACKENDS = ("core", "component", "native")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, tile: Tile) -> None:
    (tmp_path / "tile.json").write_text(json.dumps(tile.pipeline))
    (tmp_path / "tile.bin").write_bytes(tile.encoded)
    (tmp_path / "pixels.raw").write_bytes(tile.pixels)


def test_every_backend_decodes_what_every_backend_encodes(
    tmp_path: Path, tile: Tile, explain: Explain
) -> None:
    writers = ["tile.bin"]
    # No native codec is a predictor.
    preferences = {each: "native,core" if each == "native" else each for each in BACKENDS}
    for backend, preference in preferences.items():
        output = f"{backend}.bin"
        report = explain(
            *("tile.json", "--direction", "encode", "--preference", preference),
            *("--input", "bytes=pixels.raw", "--output", f"bytes={output}"),
        )
        assert [step["backend"] for step in report["steps"]] == (
            ["core", "native"] if backend == "native" else [backend, backend]
        )
        assert tile.undo((tmp_path / output).read_bytes()) == tile.pixels
        writers.append(output)
    for backend, preference in preferences.items():
        for writer in writers:
            explain(
                *("tile.json", "--preference", preference),
                *("--input", f"bytes={writer}", "--output", "bytes=decoded.raw"),
            )
            decoded = tmp_path / "decoded.raw"
            assert decoded.read_bytes() == tile.pixels, f"{writer} decoded by {backend}"
            decoded.unlink()


def test_the_demo_pipeline_is_valid_both_ways(chonkle: Chonkle) -> None:
    demo = Path(__file__).parents[2] / "docs/examples/demo/tile.json"
    report = json.loads(chonkle("validate", demo, "--json").stdout)
    assert report["directions"] == {"decode": True, "encode": True}


def test_core_and_component_encode_to_the_same_bytes(tmp_path: Path, chonkle: Chonkle) -> None:
    for backend in ("core", "component"):
        chonkle(
            *("run", "tile.json", "--direction", "encode", "--preference", backend),
            *("--input", "bytes=pixels.raw", "--output", f"bytes={backend}.bin"),
        )
    assert (tmp_path / "core.bin").read_bytes() == (tmp_path / "component.bin").read_bytes()


def test_standard_input_and_output(tile: Tile, chonkle: Chonkle) -> None:
    arguments = ("run", "tile.json", "--preference", "core", "--input", "bytes=-")
    decoded = chonkle(*arguments, "--output", "bytes=-", stdin=tile.encoded)
    assert (decoded.stdout, decoded.stderr) == (tile.pixels, b"")
    encoded = chonkle(
        *(*arguments, "--output", "bytes=-", "--direction", "encode", "--explain"),
        stdin=decoded.stdout,
    )
    # Words go elsewhere, so that a pipe carries the data alone.
    assert tile.undo(encoded.stdout) == tile.pixels
    assert b"zlib-rs" in encoded.stderr


def test_an_output_that_exists_is_replaced(tmp_path: Path, tile: Tile, chonkle: Chonkle) -> None:
    output = tmp_path / "out.raw"
    output.write_bytes(b"what was there before")
    chonkle("run", "tile.json", "--input", "bytes=tile.bin", "--output", "bytes=out.raw")
    assert output.read_bytes() == tile.pixels


def test_a_pipeline_is_a_step_of_another(
    tmp_path: Path, tile: Tile, chonkle: Chonkle, pipeline_of: PipelineOf
) -> None:
    outer = pipeline_of(tile.pipeline["codec_id"])
    (tmp_path / "outer.json").write_text(json.dumps(outer))
    inner = ("--codec-path", f"{tile.pipeline['codec_id']}=tile.json", "--preference", "core")
    arguments = ("run", "outer.json", *inner, "--input", "bytes=-", "--output", "bytes=-")
    assert chonkle(*arguments, stdin=tile.encoded).stdout == tile.pixels
    encoded = chonkle(*arguments, "--direction", "encode", stdin=tile.pixels)
    assert tile.undo(encoded.stdout) == tile.pixels


def test_the_linear_form_does_the_same(tmp_path: Path, tile: Tile, chonkle: Chonkle) -> None:
    width = tile.pipeline["constants"]["width"]["value"]
    codecs = [
        {"name": "bytes", "type": "numcodecs", "configuration": {"endian": "little"}},
        {
            "name": "tiff-predictor-2",
            "type": "wasm",
            "configuration": {"bytes_per_sample": 2, "width": width},
        },
        {"name": "zlib", "type": "numcodecs", "configuration": {"level": 9}},
    ]
    (tmp_path / "sidecar.json").write_text(json.dumps({"codecs": codecs}))
    # It is written from the encoder's side, and says so by what it does without a direction.
    arguments = ("run", "sidecar.json", "--input", "bytes=-", "--output", "bytes=-")
    encoded = chonkle(*arguments, stdin=tile.pixels).stdout
    assert tile.undo(encoded) == tile.pixels
    decoded = chonkle(*arguments, "--direction", "decode", stdin=tile.encoded)
    assert decoded.stdout == tile.pixels
