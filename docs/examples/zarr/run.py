"""Execute the notebook in this folder, and store what it prints and draws: `python run.py`."""

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("read-zarr.ipynb")
TIMEOUT_S = 300


def execute() -> Any:  # noqa: ANN401 - a tree of dicts
    """Give the notebook with what its cells print and draw now.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=TIMEOUT_S, record_timing=False).execute()
    # It is the version of Python of this machine.
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


if __name__ == "__main__":
    nbformat.write(execute(), NOTEBOOK)
