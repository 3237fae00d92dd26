"""How long calls of `chonkle.codec` take: small chunks, results in the caller's memory, threads.

`make bench-calls`; `make bench-calls ARGS=--markdown` writes the figures of
docs/reference/performance.md.

Calls of one chunk take turns with numcodecs' own, and with each other. Their times are processor
times; those of threads are wall-clock times, which other busy programs change. What hashing gains
by a second thread tells how much of a second processor there was.
"""

import argparse
import hashlib
import json
import os
import runpy
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

import chonkle
from tests.bench.codec_speed.timing import Effort, ratio_of, seconds_in_turn
from tests.bench.sample import make_chunk, whole_field

REPORT = Path(__file__).parents[2] / "docs/reference/performance-calls.json"
SIZES = {"64 B": 64, "4 KiB": 4 << 10, "64 KiB": 64 << 10}
LARGE = 4 << 20
CODECS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "zlib": (numcodecs.Zlib(1), {"level": 1}),
    "lz4": (numcodecs.LZ4(), {}),
    "shuffle": (numcodecs.Shuffle(4), {"elementsize": 4}),
    "blosc": (numcodecs.Blosc(), {"typesize": 1}),
}
# Two threads that work on their own chunks should be nearly twice as fast as one.
THREADS_TARGET = 1.8
THREAD_CHUNKS = 64
THREAD_CHUNK_BYTES = 256 << 10
HASHED_BYTES = 20 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """A call beside another one.

    Attributes:
        call: the call.
        size: of the decoded chunk.
        microseconds: its median time.
        beside: the other call.
        ratio: how many times as long the other one takes; above 1, this one is faster.
    """

    call: str
    size: str
    microseconds: float
    beside: str
    ratio: float


def main() -> None:
    """Measure, print, and write the figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each call")
    parser.add_argument(
        "--markdown", action="store_true", help="write docs/reference/performance.md"
    )
    options = parser.parse_args()
    effort = Effort(options.rounds, turn_s=0.03)
    rows = [*small_calls(effort), *large_results(effort)]
    print(f"medians of {options.rounds} rounds in turns; ratio above 1: ours is faster")
    for row in rows:
        print(
            f"  {row.call:<28}{row.size:>8}{row.microseconds:>12.2f} us"
            f"{row.ratio:>8.2f} x {row.beside}"
        )
    ours, hashing = thread_ratios(options.rounds)
    print(
        f"  decode_many, 2 threads: {ours:.2f} times as fast as 1, on {os.process_cpu_count()} "
        f"processors    target: at least {THREADS_TARGET}, if hashing is: {hashing:.2f}"
    )
    if options.markdown:
        REPORT.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=1) + "\n")
        runpy.run_path(str(REPORT.with_name("make_performance.py")), run_name="__main__")


def small_calls(effort: Effort) -> Iterator[Row]:
    """Compare calls of small chunks with numcodecs' own."""
    for name, (theirs, parameters) in CODECS.items():
        ours = chonkle.codec(name, **parameters)
        for label, size in SIZES.items():
            data = make_chunk("differences", 64 << 10).array.tobytes()[:size]
            encoded = bytes(theirs.encode(data))
            assert ours.decode(encoded) == data
            for direction, chunk in (("decode", encoded), ("encode", data)):
                found = compared(
                    bound(getattr(ours, direction), chunk),
                    bound(getattr(theirs, direction), chunk),
                    effort,
                )
                yield Row(f"{name}, {direction}", label, *found[:1], "numcodecs", *found[1:])


def large_results(effort: Effort) -> Iterator[Row]:
    """Compare the ways to get a large result with copying it into bytes."""
    array = whole_field("float32")[: LARGE // 4096]
    out = np.empty_like(array)
    for name in ("shuffle", "lz4"):
        ours = chonkle.codec(name, **CODECS[name][1])
        encoded = ours.encode(array)
        prepared = chonkle.prepare({"codecs": [ours.config]}, "decode")
        for way, call in {
            "decode(out=)": lambda ours=ours, encoded=encoded: ours.decode(encoded, out),
            "borrow": lambda prepared=prepared, encoded=encoded: borrow(prepared, encoded),
        }.items():
            seconds, ratio = compared(call, bound(ours.decode, encoded), effort)
            yield Row(f"{name}, {way}", "4 MiB", seconds, "decode", ratio)


def borrow(prepared: chonkle.PreparedPipeline, encoded: bytes) -> None:
    """Decode a chunk, and look at one element of it."""
    with prepared.borrow({"bytes": encoded}) as outputs:
        _ = outputs["bytes"][0]


def bound(call: Callable[[Any], object], chunk: object) -> Callable[[], object]:
    return lambda: call(chunk)


def compared(
    ours: Callable[[], object], other: Callable[[], object], effort: Effort
) -> tuple[float, float]:
    """Return microseconds of a call, and how many times as long the other one takes."""
    times = seconds_in_turn({"ours": ours, "other": other}, effort)
    return statistics.median(times["ours"]) * 1e6, ratio_of(times["other"], times["ours"])


def thread_ratios(rounds: int) -> tuple[float, float]:
    """Return how many times as fast two threads decode, and hash, which needs no lock at all."""
    codec = chonkle.codec("zlib")
    chunks = [codec.encode(each) for each in thread_chunks()]
    data = bytes(HASHED_BYTES // 2)
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        calls: dict[str, Callable[[], object]] = {
            "decode 1": partial(codec.decode_many, chunks, threads=1),
            "decode 2": partial(codec.decode_many, chunks, threads=2),
            "hash 1": partial(hash_twice, data, threads=1),
            "hash 2": partial(hash_twice, data, threads=2),
        }
        for name, call in calls.items():
            times.setdefault(name, []).append(wall_seconds(call))
    # The first round starts threads and instances.
    ours, hashing = (
        ratio_of(times[f"{name} 1"][1:], times[f"{name} 2"][1:]) for name in ("decode", "hash")
    )
    return ours, hashing


def hash_twice(data: bytes, *, threads: int) -> None:
    """Hash data twice, in one thread or in two."""
    other = threading.Thread(target=hashlib.sha1, args=(data,), kwargs={"usedforsecurity": False})
    other.start()
    if threads == 1:
        other.join()
    hashlib.sha1(data, usedforsecurity=False)
    other.join()


def thread_chunks() -> Iterator[bytes]:
    data = whole_field("differences").tobytes()
    for index in range(THREAD_CHUNKS):
        start = index * THREAD_CHUNK_BYTES % (len(data) - THREAD_CHUNK_BYTES)
        yield data[start : start + THREAD_CHUNK_BYTES]


def wall_seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
