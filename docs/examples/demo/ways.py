"""The ways to the same pixels: Python, zarr-python and the command line, beside today's."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import zarr
from elevation import TILE, Pixels

import chonkle
import chonkle.zarr

PIPELINE = Path(__file__).with_name("tile.json")
BACKEND = "core"  # WebAssembly; without a preference, numcodecs comes first where it is installed
REPEATS = 15


@dataclass(frozen=True, slots=True)
class Run:
    """One `chonkle run`, as a process of its own.

    Attributes:
        output: what it wrote.
        seconds: of the whole process.
        report: what `--explain --json` printed.
    """

    output: bytes
    seconds: float
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The same work, done by chonkle and as people do it today.

    Attributes:
        ours: what chonkle does.
        ours_s: the median of its duration.
        theirs: what else does it.
        theirs_s: the median of its duration.
    """

    ours: str
    ours_s: float
    theirs: str
    theirs_s: float


def run_pipeline(direction: str, data: bytes) -> Run:
    """Run `chonkle run` on some bytes, the way that a shell does."""
    with tempfile.TemporaryDirectory(prefix="chonkle-demo-") as temporary:
        source, target = Path(temporary, "in"), Path(temporary, "out")
        source.write_bytes(data)
        command = (
            *(sys.executable, "-m", "chonkle", "run", str(PIPELINE)),
            *("--preference", BACKEND),
            *("--direction", direction, "--explain", "--json"),
            *("--input", f"bytes={source}", "--output", f"bytes={target}"),
        )
        started = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            stop(f"{direction} failed: {done.stderr.strip()}")
        return Run(target.read_bytes(), seconds, json.loads(done.stdout))


def compare(what: str, data: bytes, expected: Pixels) -> Pixels:
    """Demand that bytes are the expected pixels, and give them as an array."""
    if len(data) != expected.nbytes:
        stop(f"{what}: {len(data)} bytes, and not the {expected.nbytes} of the tile")
    pixels = np.frombuffer(data, dtype="<u2").reshape(expected.shape)
    if not np.array_equal(pixels, expected):
        stop(f"{what}: {np.count_nonzero(pixels != expected)} pixels differ from tifffile's")
    return pixels


def compare_ways(encoded: bytes, raster: Pixels) -> Iterator[Comparison]:
    """Time the three ways, each beside what people use today, and check what they give.

    Args:
        encoded: a tile of the file.
        raster: all pixels of the file: shape (rows, columns), uint16.
    """
    expected = np.frombuffer(undo_with_numpy(encoded), "<u2").reshape(TILE, TILE)
    with tempfile.TemporaryDirectory(prefix="chonkle-demo-") as temporary:
        folder = Path(temporary)
        yield compare_codecs(encoded, expected)
        yield compare_arrays(folder / "raster.zarr", raster)
        (folder / "tile").write_bytes(encoded)
        yield compare_commands(folder, expected)


def compare_codecs(encoded: bytes, expected: Pixels) -> Comparison:
    """Decode the tile in this process, from a list of its codecs in the order of encoding."""
    codec = chonkle.codec(["tiff-predictor-2", "zlib"])
    target = np.empty_like(expected)
    compare("chonkle.codec", codec.decode(encoded, target).tobytes(), expected)
    return Comparison(
        ours="a tile with chonkle.codec",
        ours_s=median_s(lambda: codec.decode(encoded, target)),
        theirs="a tile with zlib and NumPy",
        theirs_s=median_s(lambda: undo_with_numpy(encoded)),
    )


def compare_arrays(path: Path, raster: Pixels) -> Comparison:
    """Read the raster from a Zarr array, with zarr-python's codecs and with chonkle's."""
    codecs: Any = [
        {"name": "numcodecs.shuffle", "configuration": {"elementsize": 2}},
        {"name": "numcodecs.zlib", "configuration": {"level": 6}},
    ]
    stored = zarr.create_array(
        path, shape=raster.shape, dtype=raster.dtype, chunks=(256, 256), compressors=codecs
    )
    stored[:] = raster

    def read() -> Any:  # noqa: ANN401 - what zarr-python gives
        return zarr.open_array(path, mode="r")[:]

    theirs_s = median_s(read)
    with chonkle.zarr.using():
        if not np.array_equal(read(), raster):
            stop("chonkle.zarr: some pixels differ from zarr-python's")
        ours_s = median_s(read)
    return Comparison(
        ours="a Zarr array, chonkle in use",
        ours_s=ours_s,
        theirs="a Zarr array with zarr-python",
        theirs_s=theirs_s,
    )


def compare_commands(folder: Path, expected: Pixels) -> Comparison:
    """Decode the tile by a command, and by a program that imports what it needs."""
    program = (
        "import sys, zlib, numpy; source, target = sys.argv[1:];"
        "encoded = open(source, 'rb').read();"
        f"tile = numpy.frombuffer(zlib.decompress(encoded), '<u2').reshape({TILE}, {TILE});"
        "tile = numpy.cumsum(tile, axis=1, dtype=numpy.uint16);"
        "open(target, 'wb').write(tile.tobytes())"
    )
    source, target = str(folder / "tile"), str(folder / "pixels")
    decode = ("run", str(PIPELINE), "--preference", BACKEND)
    files = ("--input", f"bytes={source}", "--output", f"bytes={target}")
    durations = {}
    for name, command in (
        ("chonkle run", ("-m", "chonkle", *decode, *files)),
        ("Python and NumPy", ("-c", program, source, target)),
    ):
        run = partial(
            subprocess.run,
            (sys.executable, *command),
            check=True,
        )
        durations[name] = median_s(run, repeats=5)
        compare(name, Path(target).read_bytes(), expected)
    return Comparison(
        ours="a process of chonkle run",
        ours_s=durations["chonkle run"],
        theirs="a process of Python and NumPy",
        theirs_s=durations["Python and NumPy"],
    )


def undo_with_numpy(encoded: bytes) -> bytes:
    """Decode a tile without chonkle: inflate, then add up each row (TIFF 6.0, section 14)."""
    differences = np.frombuffer(zlib.decompress(encoded), dtype="<u2").reshape(TILE, TILE)
    return np.cumsum(differences, axis=1, dtype=np.uint16).tobytes()


def median_s(call: Callable[[], object], *, repeats: int = REPEATS) -> float:
    """Give the median duration of a call, after one to warm up."""
    call()
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def stop(why: str) -> NoReturn:
    """End with a failure."""
    print(f"error: {why}", file=sys.stderr)
    raise SystemExit(1)
