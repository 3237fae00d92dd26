"""Zarr arrays read and written by chonkle, by zarr-python alone and by others, in one run.

The array has 128 MiB of float32. Every contender has a process of its own, and they take turns, so
that a change of the machine's speed does not matter. Figures are medians over rounds; ratios are
medians of each round's ratio. The files are in memory where the system has such a folder.

A missed target prints a line and is no failure.
"""

import argparse
import json
import runpy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.codec_speed.case import KIB, MIB, format_size
from tests.bench.codec_speed.report import lines, machine, versions
from tests.bench.zarr_speed.arrays import CASES, CHUNK_SIDES, COLUMNS, ITEM_BYTES, make_data
from tests.bench.zarr_speed.measure import Bench, Result, Target, outcomes

REPORT = Path(__file__).parents[2] / "docs/reference/zarr-performance.json"
PACKAGES = ("zarr", "numcodecs", "zarrs", "tensorstore", "wasmtime", "numpy")
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
FULL_MIB, QUICK_MIB = 128, 16
FULL_ROUNDS, QUICK_ROUNDS = 5, 3
TARGETS = [
    Target("zlib + shuffle", MIB, 3.2, 1.0),
    Target("gzip", MIB, 2.1, 1.0),
    Target("zstd", MIB, 1.6),
    Target("blosc-lz4", MIB, 2.7),
    Target("zlib + shuffle", 64 * KIB, 9, 1.2),
    Target("gzip", 64 * KIB, 8, 0.95),
    Target("zstd", 64 * KIB, 7, 0.75),
    Target("blosc-lz4", 64 * KIB, 8, 0.75),
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", action="append", help="only these codecs; may be repeated")
    parser.add_argument("--quick", action="store_true", help="16 MiB, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured here")
    parser.add_argument(
        "--markdown", action="store_true", help="write docs/reference/zarr-performance.*"
    )
    options = parser.parse_args()
    mib, rounds = (QUICK_MIB, QUICK_ROUNDS) if options.quick else (FULL_MIB, FULL_ROUNDS)
    rows = mib * MIB // (COLUMNS * ITEM_BYTES)
    place = IN_MEMORY if IN_MEMORY.is_dir() else None
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="chonkle-bench-", dir=place) as temporary:
        data = Path(temporary, "data.npy")
        np.save(data, make_data(rows))
        bench = Bench(Path(temporary), data, rows=rows, rounds=rounds)
        for case in CASES:
            if options.case and case.name not in options.case:
                continue
            for chunk_bytes in CHUNK_SIDES:
                for result in bench.measure(case, chunk_bytes):
                    print(result, flush=True)
                    results.append(result)
    targets = list(outcomes(results, TARGETS))
    for target in targets:
        print(text_of(target))
    for path in [options.json, REPORT if options.markdown else None]:
        if path:
            write_report(path, mib, results, targets)
    if options.markdown:
        runpy.run_path(str(REPORT.with_name("make_zarr_performance.py")), run_name="__main__")


def text_of(target: dict[str, Any]) -> str:
    """Return an outcome as text."""
    word = "held" if target["held"] else "MISSED"
    what = f"{target['case']}, {format_size(target['chunk_bytes'])}, as fast as {target['rival']}"
    return f"{word:<7}{what:<56}{target['found']:6.2f}, wanted {target['wanted']:.2f}"


def write_report(
    path: Path, mib: int, results: Sequence[Result], targets: Sequence[dict[str, Any]]
) -> None:
    """Write everything as JSON, one item per line for readable diffs."""
    fields = {
        "machine": json.dumps(machine()),
        "versions": json.dumps(versions(PACKAGES)),
        "mib": json.dumps(mib),
        "results": lines([each.to_json() for each in results]),
        "targets": lines(list(targets)),
    }
    text = ",\n".join(f'"{name}": {value}' for name, value in fields.items())
    path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
