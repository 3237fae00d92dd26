"""The AOT cache between processes: what one compiled, none compiles again."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.tiles import Tile
from tests.fixture_types import Explain


@pytest.fixture
def command(tmp_path: Path, tile: Tile) -> list[str]:
    (tmp_path / "tile.json").write_text(json.dumps(tile.pipeline))
    return ["tile.json", "--preference", "core"]


@pytest.fixture
def cold(tmp_path: Path) -> dict[str, str]:
    return {"CHONKLE_CACHE_DIR": str(tmp_path / "cold")}


@pytest.mark.parametrize("backend", ["core", "component"])
def test_the_second_process_compiles_nothing(
    explain: Explain, command: list[str], cold: Mapping[str, str], backend: str
) -> None:
    first, second = (explain(*command[:-1], backend, environment=cold)["cache"] for _ in range(2))
    assert first["compiled"] > 0
    assert (second["compiled"], second["rejected"]) == (0, 0)
    assert second["loaded"] > 0


def test_processes_that_start_at_once_compile_each_codec_once(
    tmp_path: Path, command: list[str], cold: Mapping[str, str]
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "chonkle", "run", *command, "--explain", "--json"],
            cwd=tmp_path,
            env={**os.environ, **cold},
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    counts = [json.loads(process.communicate(timeout=120)[0])["cache"] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert {
        name: sum(count[name] for count in counts) for name in ("compiled", "loaded", "rejected")
    } == {"compiled": 2, "loaded": 6, "rejected": 0}


def test_off_keeps_nothing(
    tmp_path: Path, explain: Explain, command: list[str], cold: Mapping[str, str]
) -> None:
    off = {**cold, "CHONKLE_AOT": "off"}
    for _ in range(2):
        assert explain(*command, environment=off)["cache"]["compiled"] == 2
    assert not (tmp_path / "cold").exists()
