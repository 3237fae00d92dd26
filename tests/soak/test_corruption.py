"""Whatever happens to an entry, it is a miss that is told once, and the result is right."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="FIFOs, links and modes are POSIX"),
]


@pytest.mark.parametrize(
    ("kind", "rounds"), [("core", 36), ("component", 30), ("component-whole", 22)]
)
def test_a_damaged_entry_is_a_miss_and_is_made_again(
    kind: str,
    rounds: int,
    *,
    report_of: Callable[..., Any],
    amount: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
    tmp_path: Path,
    seed: int,
) -> None:
    report = report_of("corrupt", kind, amount(1, rounds), seed, tmp_path)
    tried, wrong = report["tried"], report["wrong"]
    assert wrong == [], f"with SOAK_SEED={seed}"
    assert set(tried.values()) == {amount(1, rounds)}
    assert len(tried) > 100
    record_property("measured", f"{sum(tried.values())} corruptions in {len(tried)} ways")
