"""The time of a whole process `chonkle run` with a warm cache.

It is compared with a process that only imports wasmtime and click, which each run needs. The two
alternate, so that a slow machine slows both.
"""

import argparse
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

DEMO = Path(__file__).parents[2] / "docs/examples/demo"
TARGET = 1.6
BASELINE = (sys.executable, "-c", "import wasmtime, click")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30, help="how often each is run")
    pairs: int = parser.parse_args().pairs
    with tempfile.TemporaryDirectory(prefix="chonkle-bench-") as temporary:
        folder = Path(temporary)
        tile = folder / "tile.bin"
        tile.write_bytes(demo_tile(folder))
        inherited = {name: os.environ[name] for name in os.environ if name[:8] != "CHONKLE_"}
        # Otherwise each run would compile chonkle's sources to bytecode.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        environment = {
            **inherited,
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "CHONKLE_CACHE_DIR": str(folder / "cache"),
            "CHONKLE_CODEC_STORE": str(folder / "store"),
        }
        run = (
            *(sys.executable, "-m", "chonkle", "run", str(DEMO / "tile.json")),
            *("--preference", "core"),
            *("--input", f"bytes={tile}", "--output", f"bytes={folder / 'pixels.raw'}"),
        )
        # A run of each that is not measured, to write the bytecode.
        seconds_of(run, {**environment, "CHONKLE_CACHE_DIR": str(folder / "other-cache")})
        seconds_of(BASELINE, environment)
        cold_s = seconds_of(run, environment)
        durations = [
            (seconds_of(BASELINE, environment), seconds_of(run, environment)) for _ in range(pairs)
        ]
    imports_s, runs_s = (statistics.median(each) for each in zip(*durations, strict=True))
    ratio = statistics.median(warm / base for base, warm in durations)
    print(f"whole processes, medians of {pairs} interleaved pairs")
    print(f"  import wasmtime, click         {imports_s * 1e3:>7.1f} ms")
    print(f"  chonkle run, warm cache        {runs_s * 1e3:>7.1f} ms")
    print(f"  chonkle run, cold cache, once  {cold_s * 1e3:>7.1f} ms")
    print(f"  ratio, median of pairs         {ratio:>7.2f}     target: at most {TARGET}")


def demo_tile(folder: Path) -> bytes:
    """Return the compressed tile that the demo decodes."""
    demo = runpy.run_path(str(DEMO / "demo.py"))
    path = folder / "elevation.tif"
    demo["write_geotiff"](path, demo["read_elevation"]())
    encoded: bytes = demo["read_tile"](path).encoded
    return encoded


def seconds_of(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a program to its end, and return the time it took."""
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
