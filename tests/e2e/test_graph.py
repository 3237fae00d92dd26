"""A pipeline that is a graph: one step feeds three, and inverted, three feed one."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import chonkle as api
from tests.fixture_types import Chonkle

PARTS = {
    "rep_levels": b"\x02\x01" * 5,
    "def_levels": b"\x03",
    "data": struct.pack("<9d", *range(9)),
}
PAGE = b"".join(PARTS.values())
LENGTHS = {"rep_levels_length": 10, "def_levels_length": 1}
GRAPH: dict[str, Any] = {
    "codec_id": "page",
    "direction": "decode",
    "inputs": {
        "page": {"type": "bytes"},
        "rep_levels_length": {"type": "uint", "decode_only": True},
        "def_levels_length": {"type": "uint", "decode_only": True},
    },
    "outputs": {name: f"copy_{name}.bytes" for name in PARTS},
    "steps": {
        # After the steps that need it: the order of steps in a file does not matter.
        **{
            f"copy_{name}": {"codec_id": "identity", "inputs": {"bytes": f"split.{name}"}}
            for name in PARTS
        },
        "split": {
            "codec_id": "page-split",
            "inputs": {"bytes": "input.page", **{name: f"input.{name}" for name in LENGTHS}},
        },
    },
}


@pytest.mark.parametrize("backend", ["core", "component"])
def test_through_the_command_line(tmp_path: Path, chonkle: Chonkle, backend: str) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    (tmp_path / "page.bin").write_bytes(PAGE)
    run = ("run", "graph.json", "--preference", backend)
    chonkle(
        *(*run, "--input", "page=page.bin"),
        *(word for name, value in LENGTHS.items() for word in ("--value", f"{name}={value}")),
        *(word for name in PARTS for word in ("--output", f"{name}={name}.bin")),
    )
    assert {name: (tmp_path / f"{name}.bin").read_bytes() for name in PARTS} == PARTS
    back = chonkle(
        *(*run, "--direction", "encode", "--output", "page=-"),
        *(word for name in PARTS for word in ("--input", f"{name}={name}.bin")),
    )
    assert back.stdout == PAGE


@pytest.mark.parametrize("backend", ["core", "component"])
def test_through_the_api(backend: str) -> None:
    resolver = api.Resolver(preference=[backend])
    with api.prepare(GRAPH, resolver=resolver) as forward:
        parts = api.run(forward, {"page": PAGE, **LENGTHS})
    assert parts == PARTS
    with api.prepare(GRAPH, direction="encode", resolver=resolver) as inverted:
        assert api.run(inverted, parts) == {"page": PAGE}


def test_an_output_that_is_not_asked_for_is_not_written(tmp_path: Path, chonkle: Chonkle) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    done = chonkle(
        *("run", "graph.json", "--input", "page=-", "--output", "def_levels=-"),
        *(word for name, value in LENGTHS.items() for word in ("--value", f"{name}={value}")),
        stdin=PAGE,
    )
    assert done.stdout == PARTS["def_levels"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.json"]


def test_validate_says_that_it_runs_both_ways(tmp_path: Path, chonkle: Chonkle) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    report = json.loads(chonkle("validate", "graph.json", "--json").stdout)
    assert report["directions"] == {"decode": True, "encode": True}
    assert len(report["steps"]) == 4
