"""Real elevation data, as a tiled GeoTIFF."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.cbook import get_sample_data
from PIL import Image  # what matplotlib writes PNG files with

type Pixels = np.ndarray[tuple[int, int], np.dtype[np.uint16]]

TILE = 1024  # pixels on a side; the `width` of tile.json
ROW, COLUMN = 0, 0  # of the tile that is decoded, counted from the north-west
SMOOTHING = 5  # pixels made of each measured one
UNITS_PER_METRE = 10

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
