"""The host in JavaScript, in headless Chromium, and its page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.bench.sample import elevations
from tests.hosts.javascript import (
    MARKS,
    Command,
    check_attacked,
    check_copies,
    hostile_modules,
    run_lines,
    write_arrays,
    write_modules,
    write_page,
)

pytestmark = MARKS


def test_golden_vectors(
    node_program: Command,
    chromium: str,
    vectors_file: Path,
    vectors: list[Any],
    codec_store: Path,
) -> None:
    program = node_program("conformance.js")
    rows = run_lines(program, vectors_file, codec_store, "--chromium", CHROMIUM=chromium)
    assert [row for row in rows if not row["ok"] or row["error"] or row["host"] != "chromium"] == []
    assert len(rows) == len(vectors)


def test_arrays_are_read_and_written(
    node_program: Command, chromium: str, codec_store: Path, tmp_path: Path
) -> None:
    expected = write_arrays(tmp_path / "arrays")
    copies = tmp_path / "copies"
    arguments = (tmp_path / "arrays", codec_store, copies, "--chromium")
    rows = run_lines(node_program("dev/copy.js"), *arguments, CHROMIUM=chromium)
    check_copies(rows, copies, expected)


def test_hostile_modules(
    node_program: Command, chromium: str, codec_store: Path, tmp_path: Path
) -> None:
    names = write_modules(tmp_path / "modules", hostile_modules())
    good = next((codec_store / "zlib").glob("*.core.wasm"))
    arguments = (tmp_path / "modules", good, "--chromium")
    check_attacked(run_lines(node_program("dev/attack.js"), *arguments, CHROMIUM=chromium), names)


def test_the_page(node_program: Command, chromium: str, codec_store: Path, tmp_path: Path) -> None:
    page = write_page(tmp_path, codec_store)
    cases = ("good=relief,good", "corrupt=corrupt,good", "changed=relief,changed", "none=no,good")
    arguments = (page.arrays, page.codecs, tmp_path, *cases)
    rows = run_lines(node_program("dev/look.js"), *arguments, CHROMIUM=chromium)
    good, corrupt, changed, none = rows
    assert [row["overflow"] for row in rows] == [0, 0, 0, 0]

    assert (good["errors"], good["problems"]) == ([], [])
    assert good["title"] == "Elevation near Jacksboro, Tennessee"
    assert good["size"] == [1024, 1024]
    assert good["colours"] > 200
    assert [each.split()[0] for each in good["times"]] == ["chonkle,", "chonkle,", "zarrita\u2019s"]
    assert all(" ms" in each and "MB/s" in each for each in good["times"])
    assert [each.split(":")[0] for each in good["codecs"]] == [
        "bitround",
        "bytes",
        "shuffle",
        "zlib",
    ]
    values = elevations()
    assert good["ticks"] == pytest.approx(np.linspace(values.max(), values.min(), 5), abs=1)

    assert corrupt["errors"] == []
    (problem,) = corrupt["problems"]
    assert problem.startswith("Chunk 1, 2 is corrupt. codec zlib (zlib-rs@")
    assert len(corrupt["times"]) == 2

    assert changed["errors"] == []
    (problem,) = changed["problems"]
    assert problem.startswith("A codec was refused. zlib/zlib-rs@")
    assert "wrong digest, expected sha256:" in problem
    assert changed["times"] == []

    assert none["problems"][0].startswith("The array cannot be shown. ")

    # The picture itself: high ground is yellow, low ground violet, as in the data.
    shot = np.asarray(Image.open(tmp_path / "good-1120.png").convert("RGB"), "i2")
    left, top, right, bottom = good["box"]
    canvas = shot[top:bottom, left:right]
    down, across = (
        ((np.arange(size) + 0.5) * 1024 / size).astype(int) for size in canvas.shape[:2]
    )
    there = values[down][:, across]
    brightness = canvas[..., 1]
    assert np.corrcoef(there.ravel(), brightness.ravel())[0, 1] > 0.97
    # The corrupt chunk is hatched.
    shot = np.asarray(Image.open(tmp_path / "corrupt-1120.png").convert("RGB"), "i2")
    reds = (shot[..., 0] > 150) & (shot[..., 1] < 80) & (shot[..., 2] < 90)
    assert reds.sum() > 2000
