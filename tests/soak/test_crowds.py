"""Many processes at once on one cache: compiled once, and right whatever else goes on."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be removed"),
]

TIMEOUT_S = 600
CROWD = 32


def start(commands: Sequence[Sequence[str]], held: ExitStack) -> list[subprocess.Popen[str]]:
    """Start processes, and wait until each is ready to begin."""
    processes = [
        held.enter_context(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    return processes


def begin(processes: Sequence[subprocess.Popen[str]]) -> None:
    """End the standard input of all of them."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None


def reports_of(processes: Sequence[subprocess.Popen[str]]) -> list[Any]:
    """Wait for the end of all of them, which must be a good one."""
    done = [process.communicate(timeout=TIMEOUT_S) for process in processes]
    for process, (_, words) in zip(processes, done, strict=True):
        assert (process.returncode, words) == (0, "")
    return [json.loads(said) for said, _ in done]


@pytest.mark.parametrize(("preference", "few"), [("core", CROWD), ("component", 4)])
def test_of_many_that_start_at_once_one_compiles(
    program: Callable[..., list[str]],
    amount: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    tile: tuple[Path, bytes],
    tmp_path: Path,
    preference: str,
    few: int,
) -> None:
    monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / "cold"))
    path, pixels = tile
    size = amount(few, CROWD)
    with ExitStack() as held:
        processes = start([program("tile", preference, path)] * size, held)
        begin(processes)
        reports = reports_of(processes)
    right = [hashlib.sha256(pixels).hexdigest()]
    assert [report["digests"] for report in reports] == [right] * size
    assert [report["messages"] for report in reports] == [[]] * size
    # The pipeline has two codecs.
    loaded, compiled, rejected = (sum(each["counts"][i] for each in reports) for i in range(3))
    assert (loaded, compiled, rejected) == (2 * size - 2, 2, 0)
    record_property("measured", f"{size} processes, {preference}: each codec compiled once")


def test_a_cache_that_is_emptied_all_the_time_only_misses(
    program: Callable[..., list[str]],
    amount: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
    *,
    tmp_path: Path,
    seed: int,
) -> None:
    root, size, rounds = tmp_path / "cache", amount(8, CROWD), amount(40, 1000)
    users = [program("crowd", "use", rounds, seed + number, root) for number in range(size)]
    with ExitStack() as held:
        emptying = start([program("crowd", "empty", root)] * 2, held)
        using = start(users, held)
        begin(using)
        used = reports_of(using)
        begin(emptying)
        emptied = reports_of(emptying)
    assert [report["wrong"] for report in used] == [[]] * size
    # What goes away under a reader is a miss and no matter for a warning.
    assert [report["messages"] for report in [*used, *emptied]] == [[]] * (size + 2)
    loaded, compiled, missed, rejected = (
        sum(report[what] for report in used)
        for what in ("loaded", "compiled", "missed", "rejected")
    )
    assert rejected == 0
    assert loaded + compiled + missed == size * rounds
    removed = sum(report["removed"] for report in emptied)
    # Without these the test would show nothing.
    assert loaded > 0
    assert removed > 0
    record_property(
        "measured",
        f"{size} processes: {loaded} loaded, {compiled} compiled, {missed} not allowed to;"
        f" {removed} removed in {sum(report['rounds'] for report in emptied)} rounds",
    )
