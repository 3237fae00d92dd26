"""Decode one tile of a GeoTIFF with sandboxed codecs, and look at it.

Real elevation data becomes a tiled GeoTIFF (deflate, predictor 2). One tile is read from it by
offset and length, as a reader of a cloud-optimized GeoTIFF does over HTTP, decoded by
`chonkle run tile.json` from a cold and then a warm cache, compared with what tifffile reads, drawn,
and encoded again. Everything that is made lies in `build/demo`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import matplotlib as mpl
import numpy as np
import tifffile
from matplotlib.cbook import get_sample_data
from matplotlib.colors import LightSource, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from PIL import Image  # what matplotlib writes PNG files with

import chonkle

ROOT = Path(__file__).parents[3]
PIPELINE = Path(__file__).with_name("tile.json")
BUILD = ROOT / "build" / "demo"

type Pixels = np.ndarray[tuple[int, int], np.dtype[np.uint16]]

TILE = 1024  # pixels on a side; the `width` of tile.json
ROW, COLUMN = 0, 0  # of the tile that is decoded, counted from the north-west
SMOOTHING = 5  # pixels made of each measured one
UNITS_PER_METRE = 10
BACKEND = "core"  # WebAssembly; without a preference, numcodecs comes first where it is installed
REPEATS = 30

# GeoTIFF 1.1 (OGC 19-008r4): tags 33550, 33922 and 34735; keys 1024, 1025 and 2048.
GEOGRAPHIC, PIXEL_IS_AREA, WGS84 = 2, 1, 4326


@dataclass(frozen=True, slots=True)
class Elevation:
    """Elevation on a grid of longitude and latitude.

    Attributes:
        pixels: shape (rows, columns), uint16, decimetres; north is up.
        west: longitude of the outer edge, in degrees.
        north: latitude of the outer edge, in degrees.
        step: degrees from one pixel to the next, both ways.
    """

    pixels: Pixels
    west: float
    north: float
    step: float


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a GeoTIFF.

    Attributes:
        encoded: its bytes, as they are in the file.
        offset: where they begin there.
        pixels: what they must decode to: shape (TILE, TILE), uint16, as tifffile reads them.
    """

    encoded: bytes
    offset: int
    pixels: Pixels


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


def main() -> None:
    """Tell the story from the file to the picture, and stop at the first thing that is wrong."""
    BUILD.mkdir(parents=True, exist_ok=True)
    elevation = read_elevation()
    path = BUILD / "elevation.tif"
    write_geotiff(path, elevation)
    tile = read_tile(path)
    show_file(path, tile)
    encoded, expected = tile.encoded, tile.pixels
    (BUILD / "tile.bin").write_bytes(encoded)

    with tempfile.TemporaryDirectory(prefix="chonkle-demo-") as temporary:
        # Caches of its own, so that cold is cold and nothing of the user's is touched.
        environment = {
            "CHONKLE_CACHE_DIR": f"{temporary}/cache",
            "CHONKLE_CODEC_STORE": f"{temporary}/store",
        }
        cold = run_pipeline("decode", encoded, environment)
        warm = run_pipeline("decode", encoded, environment)
        show_steps(cold, warm)
        pixels = compare("cold decode", cold.output, expected)
        compare("warm decode", warm.output, expected)
        print(f"  {pixels.size:,} pixels, equal to what tifffile reads")

        again = run_pipeline("encode", cold.output, environment)
        show_encoded(encoded, again.output)
        compare("zlib and NumPy", undo_with_numpy(again.output), expected)
        compare(
            "decode of the encode",
            run_pipeline("decode", again.output, environment).output,
            expected,
        )
        print("  decoded again by chonkle, and by zlib and NumPy: the same pixels")

        show_times(cold, warm, *time_in_process(encoded, environment))

    picture = BUILD / "relief.png"
    draw_relief(picture, pixels, elevation)
    print(f"\npicture\n  {shell_path(picture)}")
    print(
        f"\ntry\n  {shell_path(Path(sys.executable).with_name('chonkle'))} run "
        f"{shell_path(PIPELINE)} \\"
    )
    print(f"      --input bytes={shell_path(BUILD / 'tile.bin')} \\")
    print(f"      --output bytes={shell_path(BUILD / 'pixels.raw')} --explain")


def read_elevation() -> Elevation:
    """Give the elevation around Jacksboro, Tennessee (USGS), which matplotlib carries.

    The 403 x 344 posts are interpolated to enough pixels for whole tiles. Decimetres keep the
    interpolated slopes smooth where metres would make stairs of them.
    """
    with np.load(str(get_sample_data("jacksboro_fault_dem.npz", asfileobj=False))) as data:
        metres = np.asarray(data["elevation"], dtype=np.float32)
        west, north, step = float(data["xmin"]), float(data["ymin"]), float(data["dx"])
    rows, columns = metres.shape
    size = (columns * SMOOTHING, rows * SMOOTHING)
    smooth = np.asarray(Image.fromarray(metres).resize(size, Image.Resampling.BICUBIC))
    pixels: Pixels = np.rint(smooth * UNITS_PER_METRE).astype(np.uint16)
    return Elevation(pixels, west, north, step / SMOOTHING)


def write_geotiff(path: Path, elevation: Elevation) -> None:
    """Write a tiled GeoTIFF in the form that archives of elevation use: deflate, predictor 2."""
    keys = (1, 1, 0, 3, 1024, 0, 1, GEOGRAPHIC, 1025, 0, 1, PIXEL_IS_AREA, 2048, 0, 1, WGS84)
    scale = (elevation.step, elevation.step, 0.0)
    tie_point = (0.0, 0.0, 0.0, elevation.west, elevation.north, 0.0)
    tifffile.imwrite(
        path,
        elevation.pixels,
        tile=(TILE, TILE),
        compression="zlib",
        predictor=2,
        photometric="minisblack",
        metadata=None,
        extratags=[
            (33550, "d", 3, scale, True),
            (33922, "d", 6, tie_point, True),
            (34735, "H", len(keys), keys, True),
        ],
    )


def read_tile(path: Path) -> Tile:
    """Read one tile by nothing but its offset and length, and its pixels by tifffile."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        across = -(-page.imagewidth // TILE)
        index = ROW * across + COLUMN
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        pixels = page.asarray()[TILE * ROW :, TILE * COLUMN :][:TILE, :TILE]
    with path.open("rb") as file:
        file.seek(offset)
        return Tile(file.read(size), offset, pixels)


def run_pipeline(direction: str, data: bytes, environment: Mapping[str, str]) -> Run:
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
        inherited = {name: os.environ[name] for name in os.environ if name[:8] != "CHONKLE_"}
        started = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            env={**inherited, **environment},
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


def undo_with_numpy(encoded: bytes) -> bytes:
    """Decode a tile without chonkle: inflate, then add up each row (TIFF 6.0, section 14)."""
    differences = np.frombuffer(zlib.decompress(encoded), dtype="<u2").reshape(TILE, TILE)
    return np.cumsum(differences, axis=1, dtype=np.uint16).tobytes()


def time_in_process(encoded: bytes, environment: Mapping[str, str]) -> tuple[float, float]:
    """Time the decode without the process around it.

    Returns:
        Median seconds of chonkle, and of zlib and NumPy.
    """
    resolver = chonkle.Resolver(
        codec_store=environment["CHONKLE_CODEC_STORE"], preference=[BACKEND]
    )
    with (
        chonkle.Runtime(cache=Path(environment["CHONKLE_CACHE_DIR"])) as runtime,
        chonkle.prepare(PIPELINE, resolver=resolver, runtime=runtime) as prepared,
    ):
        ours = median_s(lambda: prepared.run({"bytes": encoded}))
    return ours, median_s(lambda: undo_with_numpy(encoded))


def median_s(call: Callable[[], object]) -> float:
    """Give the median duration of a call."""
    durations = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def show_file(path: Path, tile: Tile) -> None:
    """Say what the file is, and which part of it is decoded."""
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    print(f"file\n  {shell_path(path)}  {size}, GeoTIFF, {tile.pixels.dtype}, deflate, predictor 2")
    print(f"  its tile of {TILE} x {TILE} in row {ROW}, column {COLUMN}:")
    print(f"  {len(tile.encoded):,} bytes at offset {tile.offset:,}")


def show_steps(cold: Run, warm: Run) -> None:
    """Say which codecs ran, and where their native code came from."""
    print(f"\ndecode with {shell_path(PIPELINE)}")
    for step in cold.report["steps"]:
        print(f"  {step['step']:<12}{step['implementation']} ({step['backend']})")
    for name, run in (("cold", cold), ("warm", warm)):
        cache = run.report["cache"]
        print(f"  {name + ' cache':<12}{cache['compiled']} compiled, {cache['loaded']} loaded")


def show_encoded(before: bytes, after: bytes) -> None:
    """Compare the sizes of the two encoded tiles."""
    print(f"\nencode with {shell_path(PIPELINE)}")
    print(f"  {len(after):,} bytes, {len(before):,} in the file")


def show_times(cold: Run, warm: Run, ours_s: float, reference_s: float) -> None:
    """Print the times as a table."""
    processes = (("process, cold cache", cold.seconds), ("process, warm cache", warm.seconds))
    calls = (
        (f"decode alone, median of {REPEATS}", ours_s),
        ("the same with zlib and NumPy", reference_s),
    )
    print("\ntimes")
    for what, seconds in processes:
        print(f"  {what:<30}{seconds * 1e3:>8.1f} ms")
    for what, seconds in calls:
        rate = TILE * TILE * 2 / 1e6 / seconds
        print(f"  {what:<30}{seconds * 1e3:>8.1f} ms{rate:>7.0f} MB/s")


def draw_relief(path: Path, pixels: Pixels, elevation: Elevation) -> None:
    """Draw the decoded tile as a shaded relief."""
    metres = pixels / UNITS_PER_METRE
    west = elevation.west + COLUMN * TILE * elevation.step
    north = elevation.north - ROW * TILE * elevation.step
    east, south = west + TILE * elevation.step, north - TILE * elevation.step
    up = 111_320 * elevation.step  # metres between rows
    across = up * np.cos(np.radians((north + south) / 2))

    colours = LinearSegmentedColormap.from_list(
        "hills", ["#4f7d63", "#8fae7c", "#d9d3a3", "#c7a67d", "#97694f", "#efe9e1"]
    )
    light = LightSource(azdeg=315, altdeg=42)
    relief = light.shade(metres, cmap=colours, blend_mode="soft", vert_exag=2.5, dx=across, dy=up)
    with mpl.rc_context({"font.size": 9, "axes.linewidth": 0.6}):
        # A figure of its own needs no display and no global state.
        figure = Figure(figsize=(8.2, 8.4), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.imshow(relief, extent=(west, east, south, north), aspect=up / across)
        key = mpl.cm.ScalarMappable(mpl.colors.Normalize(metres.min(), metres.max()), colours)
        bar = figure.colorbar(key, ax=axes, shrink=0.6, aspect=30, pad=0.02)
        bar.set_label("elevation in metres")
        bar.outline.set_visible(False)
        axes.set_title("Jacksboro fault, Tennessee: one tile, decoded in a sandbox", loc="left")
        axes.xaxis.set_major_formatter(lambda value, _: f"{-value:.2f}° W")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}° N")
        axes.xaxis.set_major_locator(MultipleLocator(0.04))
        axes.yaxis.set_major_locator(MultipleLocator(0.04))
        figure.savefig(path)


def shell_path(path: Path) -> str:
    """Write a path as one types it in this repository."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def stop(why: str) -> NoReturn:
    """End with a failure."""
    print(f"error: {why}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
