"""Measures every contender on an array, each in a process of its own, in turn."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chonkle.closing import Closing
from tests.bench.codec_speed.case import format_size
from tests.bench.zarr_speed.arrays import Case

STOCK, OURS, ZARRS = "stock", "chonkle", "zarrs-python"
CONTENDERS = (STOCK, "stock, fused", "chonkle codecs, fused", OURS, ZARRS, "tensorstore")
READ, WRITE = "read", "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contender took.

    Attributes:
        case: the codecs.
        chunk_bytes: the size of a decoded chunk.
        direction: `read` or `write`.
        contender: its name.
        seconds: the median time.
        cpu_seconds: the median processor time, of all threads.
        peak_bytes: the most memory of its process.
        times_stock: how many times as fast as stock zarr-python: the median over rounds.
    """

    case: str
    chunk_bytes: int
    direction: str
    contender: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    times_stock: float

    def to_json(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        """Return it as text."""
        return (
            f"{self.case:<16}{format_size(self.chunk_bytes):>8} {self.direction:<6}"
            f"{self.contender:<22}{self.seconds * 1e3:8.0f} ms {self.times_stock:6.2f} times stock"
            f"{self.cpu_seconds * 1e3:8.0f} ms of processors{self.peak_bytes >> 20:6} MiB"
        )


class Worker(Closing):
    """A contender in a process of its own."""

    def __init__(self, contender: str, cache: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.bench.zarr_speed.worker", contender],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CHONKLE_CACHE_DIR": str(cache)},
        )

    def ask(self, **request: object) -> dict[str, Any]:
        """Have it do something, and return what it measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Bench:
    """Arrays of one size, in a folder.

    Args of the constructor:
        folder: where the arrays go.
        data: a file of NumPy with their data.
        rows: how many rows they have.
        rounds: how many turns each contender has.
    """

    def __init__(self, folder: Path, data: Path, *, rows: int, rounds: int) -> None:
        self._folder = folder
        self._data = data
        self._rows = rows
        self._rounds = rounds

    def measure(self, case: Case, chunk_bytes: int) -> Iterator[Result]:
        """Write and read an array with all contenders."""
        with ExitStack() as stack:
            workers = {
                name: stack.enter_context(Worker(name, self._folder / "cache"))
                for name in CONTENDERS
            }
            for direction in (WRITE, READ):
                yield from self._measure(workers, case, chunk_bytes, direction)

    def _measure(
        self, workers: dict[str, Worker], case: Case, chunk_bytes: int, direction: str
    ) -> Iterator[Result]:
        stored = self._folder / "stored"
        if direction == WRITE:
            self._new(stored, case, chunk_bytes)
            self._require(workers[STOCK].ask(do=WRITE, path=str(stored), data=str(self._data)))
        wanted = self._require(workers[STOCK].ask(do=READ, path=str(stored)))["checksum"]
        # The first turn warms up and checks.
        found = {name: [self._turn(workers, name, stored, direction, wanted)] for name in workers}
        able = [name for name, (answer,) in found.items() if "failure" not in answer]
        for _ in range(self._rounds):
            for name in able:
                found[name].append(self._turn(workers, name, stored, direction))
        for name in able:
            turns, stock = found[name][1:], found[STOCK][1:]
            yield Result(
                case=case.name,
                chunk_bytes=chunk_bytes,
                direction=direction,
                contender=name,
                seconds=statistics.median(each["seconds"] for each in turns),
                cpu_seconds=statistics.median(each["cpu_seconds"] for each in turns),
                peak_bytes=max(each["peak_bytes"] for each in turns),
                times_stock=statistics.median(
                    other["seconds"] / each["seconds"]
                    for other, each in zip(stock, turns, strict=True)
                ),
            )

    def _turn(
        self,
        workers: dict[str, Worker],
        name: str,
        stored: Path,
        direction: str,
        wanted: int | None = None,
    ) -> dict[str, Any]:
        """Give one contender its turn; with a checksum, check what it read or wrote."""
        if direction == READ:
            answer = workers[name].ask(do=READ, path=str(stored))
            checked = answer
        else:
            written = self._folder / "written"
            shutil.rmtree(written, ignore_errors=True)
            written.mkdir()
            shutil.copy(stored / "zarr.json", written)
            answer = workers[name].ask(do=WRITE, path=str(written), data=str(self._data))
            checked = answer
            if wanted is not None and "failure" not in answer:
                checked = self._require(workers[STOCK].ask(do=READ, path=str(written)))
        if wanted is not None and "failure" not in answer and checked["checksum"] != wanted:
            raise AssertionError(f"{name}: {direction} other data")
        return answer

    def _new(self, path: Path, case: Case, chunk_bytes: int) -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        metadata = json.dumps(case.metadata(chunk_bytes, self._rows))
        (path / "zarr.json").write_text(metadata, encoding="utf-8")

    @staticmethod
    def _require(answer: dict[str, Any]) -> dict[str, Any]:
        if "failure" in answer:
            raise AssertionError(answer["failure"])
        return answer


@dataclass(frozen=True, slots=True)
class Target:
    """How fast reading must be.

    Attributes:
        case: the codecs.
        chunk_bytes: the size of a decoded chunk.
        stock: the least speed, as a multiple of stock zarr-python's.
        zarrs: the same of zarrs-python's.
    """

    case: str
    chunk_bytes: int
    stock: float
    zarrs: float | None = None


def outcomes(results: Sequence[Result], targets: Sequence[Target]) -> Iterator[dict[str, Any]]:
    """Compare results with targets; a ratio within 10 % of its target is held."""
    found = {
        (each.case, each.chunk_bytes, each.contender): each.times_stock
        for each in results
        if each.direction == READ
    }
    for target in targets:
        ours = found.get((target.case, target.chunk_bytes, OURS))
        zarrs = found.get((target.case, target.chunk_bytes, ZARRS))
        for rival, wanted, their in ((STOCK, target.stock, 1.0), (ZARRS, target.zarrs, zarrs)):
            if ours is not None and wanted is not None and their is not None:
                ratio = round(ours / their, 2)
                yield {
                    "case": target.case,
                    "chunk_bytes": target.chunk_bytes,
                    "rival": rival,
                    "found": ratio,
                    "wanted": wanted,
                    "held": ratio >= 0.9 * wanted,
                }
