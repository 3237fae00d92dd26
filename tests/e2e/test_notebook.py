"""The notebook of `docs/examples/zarr` runs, and what is stored in it is what it prints."""

import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "docs/examples/zarr"
NOTEBOOK = FOLDER / "read-zarr.ipynb"
IMAGES = {"image/jpeg", "image/png"}


def code_cells(notebook: Any) -> list[Any]:
    return [each for each in notebook.cells if each.cell_type == "code"]


def printed(cell: Any) -> str:
    return "".join(each.text for each in cell.outputs if each.output_type == "stream")


def drawn(cell: Any) -> list[str]:
    found = [each.data for each in cell.outputs if each.output_type == "display_data"]
    return [kind for data in found for kind in data if kind in IMAGES]


@pytest.mark.network
@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A cache that is empty, and no settings of the user's. The kernel has a process of its own.
    for name in ("CHONKLE_CACHE_DIR", "HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR", "TMPDIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))

    executed = code_cells(runpy.run_path(str(FOLDER / "run.py"))["execute"]())
    stored = code_cells(nbformat.read(NOTEBOOK, as_version=4))
    assert len(stored) > 5
    for cell, found in zip(stored, executed, strict=True):
        assert printed(cell) == printed(found), cell.source
        assert drawn(cell) == drawn(found), cell.source
    # The relief and the times.
    assert sum(len(drawn(cell)) for cell in stored) == 2


def test_what_is_stored_names_no_place_of_a_machine() -> None:
    assert NOTEBOOK.stat().st_size < 300_000
    for cell in code_cells(nbformat.read(NOTEBOOK, as_version=4)):
        assert all(each.output_type in {"stream", "display_data"} for each in cell.outputs)
        for place in ("/tmp/", "/home/", "/root/", "/Users/"):  # noqa: S108 - sought, not used
            assert place not in printed(cell)
