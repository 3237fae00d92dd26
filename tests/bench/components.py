"""Components against core modules, and both against wasmtime's own component support, in one run.

Also the cost of a call: a one-step pipeline and a bare codec on 64 bytes; and the gain of a second
thread. All numbers are medians. Compare ratios, as the machine's speed changes.
"""

import argparse
import statistics
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import chonkle
from tests.bench.sample import SIDE, elevation_tile

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """One codec on one input."""

    name: str
    codec_id: str
    data: bytes
    repeats: int
    repeats_whole: int
    parameters: Mapping[str, int]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats")
    quick: bool = parser.parse_args().quick
    tile = elevation_tile()
    encoded = zlib.compress(tile.tobytes(), 6)
    predictor = {"bytes_per_sample": 2, "width": SIDE}
    cases = [
        Case("identity 1 KiB", "identity", bytes(KIB), 5000, 20, {}),
        Case("identity 1 MiB", "identity", tile.tobytes()[:MIB], 400, 2, {}),
        Case("zlib decode, tile", "zlib", encoded, 40, 1, {}),
        Case("predictor 2 decode, tile", "tiff-predictor-2", tile.tobytes(), 100, 1, predictor),
    ]
    with tempfile.TemporaryDirectory(prefix="chonkle-bench-") as temporary:
        cache = Path(temporary)
        flat = chonkle.Runtime(cache=cache)
        whole = chonkle.Runtime(cache=cache, flatten_components=False)
        with flat, whole:
            compare(cases, flat, whole, divisor=10 if quick else 1)
            call_costs(flat, repeats=2000 if quick else 20000)
            two_threads(encoded, flat, repeats=10 if quick else 60)


def pipeline(codec_id: str, parameters: Mapping[str, int]) -> dict[str, object]:
    """Return a pipeline of one step."""
    wiring = {"bytes": "input.bytes", **{name: f"constant.{name}" for name in parameters}}
    return {
        "codec_id": "bench",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "constants": {name: {"type": "int", "value": value} for name, value in parameters.items()},
        "outputs": {"bytes": "step.bytes"},
        "steps": {"step": {"codec_id": codec_id, "inputs": wiring}},
    }


def prepared(case: Case, backend: str, runtime: chonkle.Runtime) -> chonkle.PreparedPipeline:
    """Prepare a case on a backend."""
    return chonkle.prepare(
        pipeline(case.codec_id, case.parameters),
        resolver=chonkle.Resolver(preference=[backend]),
        runtime=runtime,
    )


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, in seconds."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def in_turn(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median time of each call; they run in turn in five rounds."""
    rounds = [[seconds(call, max(1, repeats // 5)) for call in calls] for _ in range(5)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def compare(
    cases: Sequence[Case], flat: chonkle.Runtime, whole: chonkle.Runtime, *, divisor: int
) -> None:
    """Print each case on core, flattened and with wasmtime's component support."""
    columns = ("milliseconds a run", "core", "flattened", "wasmtime.component")
    print("{:<26}{:>10}{:>12}{:>21}   flat/core  whole/flat".format(*columns))
    for case in cases:
        runs = [
            prepared(case, "core", flat),
            prepared(case, "component", flat),
            prepared(case, "component", whole),
        ]
        core, component = in_turn(
            [partial(run.run, {"bytes": case.data}) for run in runs[:2]],
            max(5, case.repeats // divisor),
        )
        slow = seconds(partial(runs[2].run, {"bytes": case.data}), case.repeats_whole)
        print(
            f"{case.name:<26}{core * 1e3:10.4f}{component * 1e3:12.4f}{slow * 1e3:21.2f}"
            f"{component / core:12.2f}{slow / component:12.0f}"
        )
    print("wanted: flat/core at most 1.10 from 1 MiB on, whole/flat at least 1000 at 1 MiB,")
    print("        flattened at most 0.025 ms at 1 KiB\n")


def call_costs(runtime: chonkle.Runtime, *, repeats: int) -> None:
    """Print the time of a call with 64 bytes."""
    case = Case("identity 64 B", "identity", bytes(64), 0, 0, {})
    inputs = {"bytes": case.data}
    for backend in ("core", "component"):
        run = prepared(case, backend, runtime)
        (codec,) = run.codecs
        whole, bare = in_turn(
            [partial(chonkle.run, run, inputs), partial(codec.call, "decode", inputs)], repeats
        )
        print(
            f"64 bytes, {backend:<10}  run(prepared, ...) {whole * 1e6:5.2f} us"
            f"   codec.call {bare * 1e6:5.2f} us"
        )
    print("wanted, core: at most 6 us and 3 us\n")


def two_threads(encoded: bytes, runtime: chonkle.Runtime, *, repeats: int) -> None:
    """Print the speed of two threads as a multiple of one."""
    case = Case("zlib", "zlib", encoded, 0, 0, {})
    for backend in ("core", "component"):
        run = prepared(case, backend, runtime)

        def work(run: chonkle.PreparedPipeline = run) -> None:
            for _ in range(repeats):
                run.run({"bytes": encoded})

        work()
        ratios = []
        for _ in range(5):
            started = time.perf_counter()
            work()
            one = time.perf_counter() - started
            threads = [threading.Thread(target=work) for _ in range(2)]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            ratios.append(2 * one / (time.perf_counter() - started))
        print(f"two threads, zlib tiles, {backend:<10} {statistics.median(ratios):.2f} times one")
    print("wanted: at least 1.8 times")


if __name__ == "__main__":
    main()
