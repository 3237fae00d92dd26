"""A full disk costs the cache and nothing else: one message, and nothing half-written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's"),
]
NAMESPACE = ("unshare", "--mount")


def test_a_disk_of_any_size(
    report_of: Callable[..., Any],
    amount: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> None:
    try:
        trial = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
        subprocess.run(trial, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as failure:
        pytest.skip(f"NOT TESTED on full disks: nothing can be mounted: {failure}")
    report = report_of("disk", amount(4, 1), tmp_path, within=NAMESPACE)
    assert report["wrong"] == []
    came = list(report["came"].values())
    # From disks with room for nothing to such with room for all.
    assert ", ".join(["not kept with a message"] * 4) in came
    assert "kept, loaded, not kept with a message, not kept with a message" in came
    assert "kept, loaded, kept, loaded" in came
    record_property("measured", f"{len(came)} disks, {len(set(came))} different outcomes")
