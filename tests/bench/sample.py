"""The data of benchmarks: real elevations, and data derived from them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib import cbook
from numpy.typing import NDArray

SIDE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Rows of 1024 pixels.

    Attributes:
        kind: their kind, see `make_chunk`.
        array: the pixels, in two dimensions, C order and little-endian.
    """

    kind: str
    array: NDArray[Any]

    @property
    def facts(self) -> dict[str, object]:
        """The properties of the chunk that codecs take, by the names of ports."""
        dtype, size = self.array.dtype.str, self.array.itemsize
        sizes = dict.fromkeys(
            ("bytes_per_sample", "elementsize", "itemsize", "typesize", "element_size"), size
        )
        return {
            **sizes,
            "dtype": dtype,
            "data_type": dtype,
            "shape": list(self.array.shape),
            "width": self.array.shape[1],
            "samples_per_pixel": 1,
        }


def elevation_tile() -> NDArray[np.uint16]:
    """Return 1024 x 1024 elevations as little-endian uint16, resampled from matplotlib's sample."""
    return whole_field("uint16")[:SIDE]


def make_chunk(kind: str, size_bytes: int) -> Chunk:
    """Return a chunk of real data.

    Args:
        kind: `uint16`, elevations in decimetres; `differences`, each less the one to its left, as
            in a GeoTIFF before compression; `int32`, in centimetres; `float32`, air pressures;
            `rounded`, the same with ten bits of mantissa; `shuffled`, their bytes by significance;
            `uint8`, a relief shaded from the north-west; `bool`, whether above the mean.
        size_bytes: a multiple of the size of a row, at most 4 MiB.
    """
    rows = whole_field(kind)
    return Chunk(kind, rows[: size_bytes // rows[0].nbytes])


@cache
def elevations() -> NDArray[np.float64]:
    """Return elevations near Jacksboro, Tennessee (USGS), in metres, resampled to 1024 x 1024."""
    sample: Any = cbook.get_sample_data("jacksboro_fault_dem.npz")
    elevation = sample["elevation"].astype("f8")
    rows = np.linspace(0, elevation.shape[0] - 1, SIDE)
    columns = np.linspace(0, elevation.shape[1] - 1, SIDE)
    across = np.stack([np.interp(columns, range(elevation.shape[1]), row) for row in elevation])
    both = np.stack([np.interp(rows, range(elevation.shape[0]), column) for column in across.T])
    return np.ascontiguousarray(both.T)


@cache
def metres() -> NDArray[np.float64]:
    """Return four rotated copies, so that no row occurs twice."""
    return np.vstack([np.rot90(elevations(), turns) for turns in range(4)])


@cache
def whole_field(kind: str) -> NDArray[Any]:
    """Return all rows of a kind."""
    return FIELDS[kind]()


def difference() -> NDArray[Any]:
    return np.diff(whole_field("uint16"), axis=1, prepend=np.uint16(0))


def pressure() -> NDArray[Any]:
    return np.asarray(1013.25 * (1 - 2.25577e-5 * metres()) ** 5.25588, "<f4")


def round_mantissa() -> NDArray[Any]:
    return (whole_field("float32").view("<u4") & np.uint32(0xFFFFE000)).view("<f4")


def shuffle() -> NDArray[Any]:
    # In parts of 4 KiB, so that a small chunk has bytes of every significance.
    parts = whole_field("rounded").view("u1").reshape(-1, 4096)
    planes = parts.reshape(len(parts), -1, 4).transpose(0, 2, 1)
    return np.ascontiguousarray(planes).reshape(-1, SIDE)


def light() -> NDArray[Any]:
    south, east = np.gradient(metres())
    return np.asarray(np.clip(128 + 24 * (south + east), 0, 255), "u1")


FIELDS: dict[str, Callable[[], NDArray[Any]]] = {
    "uint16": lambda: np.rint(metres() * 10).astype("<u2"),
    "differences": difference,
    "int32": lambda: np.rint(metres() * 100).astype("<i4"),
    "float32": pressure,
    "rounded": round_mantissa,
    "shuffled": shuffle,
    "uint8": light,
    "bool": lambda: (metres() > metres().mean()).view("u1"),
}
