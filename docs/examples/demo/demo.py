"""Decode one tile of a GeoTIFF with sandboxed codecs, and look at it.

Real elevation data becomes a tiled GeoTIFF (deflate, predictor 2). One tile is read from it by
offset and length, as a reader of a cloud-optimized GeoTIFF does over HTTP, decoded by
`chonkle run tile.json` from a cold and then a warm cache, compared with what tifffile reads, drawn,
and encoded again. Everything that is made lies in `build/demo`.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from elevation import COLUMN, ROW, TILE, Tile, read_elevation, read_tile, write_geotiff
from pictures import draw_front, draw_relief
from ways import PIPELINE, Comparison, Run, compare, compare_ways, run_pipeline, undo_with_numpy

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "demo"


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
        for name in [each for each in os.environ if each.startswith("CHONKLE_")]:
            del os.environ[name]
        os.environ["CHONKLE_CACHE_DIR"] = f"{temporary}/cache"
        os.environ["CHONKLE_CODEC_STORE"] = f"{temporary}/store"
        cold = run_pipeline("decode", encoded)
        warm = run_pipeline("decode", encoded)
        show_steps(cold, warm)
        pixels = compare("cold decode", cold.output, expected)
        compare("warm decode", warm.output, expected)
        print(f"  {pixels.size:,} pixels, equal to what tifffile reads")

        again = run_pipeline("encode", cold.output)
        show_encoded(encoded, again.output)
        compare("zlib and NumPy", undo_with_numpy(again.output), expected)
        compare(
            "decode of the encode",
            run_pipeline("decode", again.output).output,
            expected,
        )
        print("  decoded again by chonkle, and by zlib and NumPy: the same pixels")

        comparisons = list(compare_ways(encoded, elevation.pixels))
        show_times(cold, warm, comparisons)

    relief, front = BUILD / "relief.png", BUILD / "front.png"
    draw_relief(relief, pixels, elevation)
    draw_front(front, pixels, elevation, comparisons)
    print(f"\npictures\n  {shell_path(relief)}, {shell_path(front)}")
    print(
        f"\ntry\n  {shell_path(Path(sys.executable).with_name('chonkle'))} run "
        f"{shell_path(PIPELINE)} \\"
    )
    print(f"      --input bytes={shell_path(BUILD / 'tile.bin')} \\")
    print(f"      --output bytes={shell_path(BUILD / 'pixels.raw')} --explain")


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


def show_times(cold: Run, warm: Run, comparisons: Sequence[Comparison]) -> None:
    """Print the times as a table."""
    print(f"\nchonkle run\n  cold cache {cold.seconds * 1e3:>8.0f} ms")
    print(f"  warm cache {warm.seconds * 1e3:>8.0f} ms")
    print("\nthe same, each way beside today's (medians)")
    for each in comparisons:
        print(f"  {each.ours:<32}{each.ours_s * 1e3:>7.1f} ms")
        print(
            f"  {each.theirs:<32}{each.theirs_s * 1e3:>7.1f} ms"
            f"{each.theirs_s / each.ours_s:>8.1f} times"
        )


def shell_path(path: Path) -> str:
    """Write a path as one types it in this repository."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


if __name__ == "__main__":
    main()
