"""With a cache key set, wasmtime never gets native code that was written without it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform == "win32", reason="files are mapped that are to be replaced"),
]
RIGHT, FORGED = 1234567, 666


@pytest.mark.parametrize("kind", ["core", "component", "component-whole"])
def test_a_forged_entry_does_not_reach_wasmtime(
    report_of: Callable[..., Any],
    record_property: Callable[[str, object], None],
    tmp_path: Path,
    kind: str,
) -> None:
    report = report_of("forge", kind, tmp_path)
    genuine = report.pop("genuine")
    assert (genuine["number"], genuine["loaded"], genuine["messages"]) == (RIGHT, 1, 0)
    assert genuine["asked wasmtime"] >= 1
    for name, looked in report.items():
        refused = {"number": RIGHT, "asked wasmtime": 0, "messages": 1, "loaded": 0}
        assert looked["with the key"] == refused, name
    # What is refused above is a perfect forgery: without a key it is loaded.
    loaded = report["a plain digest"]["without a key"]
    assert loaded == {**genuine, "number": FORGED}
    assert len(report) == 10
    record_property("measured", f"{len(report)} forgeries, none reached wasmtime")
