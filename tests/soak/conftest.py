"""What the soak tests share: how much of each is done, and the programs that they start.

A run of all tests does a slice of each. `make soak`, which sets SOAK=full, does all of it. What a
program does by chance comes from a seed, which a failure names; SOAK_SEED repeats it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROGRAMS = Path(__file__).parent / "programs"
# A program that hangs is ended, and fails its test. None takes anywhere near as long.
TIMEOUT_S = 1200

is_full = os.environ.get("SOAK", "") == "full"


def pytest_report_header() -> str:
    """Say how much is done."""
    return f"soak: {'everything' if is_full else 'a slice; `make soak` does everything'}"


@pytest.fixture(scope="session")
def amount() -> Callable[[int, int], int]:
    """Give a function that picks how much to do: of a slice, or of everything."""
    return lambda a_slice, everything: everything if is_full else a_slice


@pytest.fixture
def seed() -> int:
    """Give a seed: the same for each slice, another one for each soak."""
    told = os.environ.get("SOAK_SEED")
    if told:
        return int(told)
    return random.randrange(1 << 32) if is_full else 0  # noqa: S311 - not a secret


@pytest.fixture(scope="session", autouse=True)
def kept_bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the hundreds of processes share bytecode, also where Python may not write any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@pytest.fixture(scope="session")
def tile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Make a tile for the pipeline of the demonstration: its file, and the pixels in it."""
    rows = np.random.default_rng(7).integers(0, 1 << 16, (12, 1024), np.uint16)
    differences = np.diff(rows, axis=1, prepend=np.zeros((len(rows), 1), np.uint16))
    path = tmp_path_factory.mktemp("tile") / "tile.bin"
    path.write_bytes(zlib.compress(differences.astype("<u2").tobytes()))
    return path, rows.astype("<u2").tobytes()


@pytest.fixture(scope="session")
def program() -> Callable[..., list[str]]:
    """Give the command that starts a program, which takes warnings for errors."""

    def command(name: str, *arguments: object) -> list[str]:
        options = ("-W", "error", "-X", "faulthandler")
        return [sys.executable, *options, str(PROGRAMS / f"{name}.py"), *map(str, arguments)]

    return command


def ending(code: int) -> str:
    """Say how a process ended."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


@pytest.fixture(scope="session")
def report_of(program: Callable[..., list[str]]) -> Callable[..., Any]:
    """Run a program to its end, and give the JSON of its last line.

    That it crashes, hangs, complains or leaves a warning fails the test, with what it was doing.
    """

    def run(name: str, *arguments: object, within: Sequence[str] = (), **options: Any) -> Any:
        command = [*within, *program(name, *arguments)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, **options
            )
        except subprocess.TimeoutExpired as hung:
            doing = (hung.stdout or b"").decode().splitlines()[-1:]
            pytest.fail(f"{name} {arguments} hung while doing {doing}")
        *doing, last = done.stdout.splitlines() or [""]
        if done.returncode or done.stderr:
            pytest.fail(
                f"{name} {arguments} {ending(done.returncode)}, the last it said was"
                f" `{last[:500]}`\n{done.stderr[-5000:]}"
            )
        return json.loads(last)

    return run
