"""A killed process leaves nothing that is used wrongly, and nothing for ever."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed"),
]


def figures(report: Any) -> str:
    left = ", ".join(f"{times} times {what}" for what, times in sorted(report["left"].items()))
    return f"{report['kills']} kills, which left {left}"


def test_a_kill_before_any_step_with_a_file(
    report_of: Callable[..., Any],
    amount: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
    tmp_path: Path,
) -> None:
    report = report_of("kill", "steps", amount(9, 1), tmp_path)
    assert report["wrong"] == []
    # Kills that left nothing would show nothing.
    assert report["left"].keys() >= {".tmp", ".cwasm", ".lock"}
    record_property("measured", figures(report))


def test_a_kill_at_any_moment(
    report_of: Callable[..., Any],
    amount: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
    *,
    tmp_path: Path,
    seed: int,
) -> None:
    report = report_of("kill", "moments", amount(20, 500), seed, tmp_path)
    assert report["wrong"] == [], f"with SOAK_SEED={seed}"
    record_property("measured", figures(report))
