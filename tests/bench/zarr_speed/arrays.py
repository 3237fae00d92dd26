"""The arrays: their data, chunks and codecs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.codec_speed.case import KIB, MIB
from tests.bench.sample import SIDE, whole_field

ITEM_BYTES = 4
# Chunks are square.
CHUNK_SIDES = {512: MIB, 128: 64 * KIB, 64: 16 * KIB}

_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}


def _numcodecs(name: str, **configuration: object) -> dict[str, object]:
    return {"name": f"numcodecs.{name}", "configuration": configuration}


def _blosc(name: str) -> dict[str, object]:
    settings = {"cname": name, "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
    return {"name": "blosc", "configuration": settings}


@dataclass(frozen=True, slots=True)
class Case:
    """The codecs of an array.

    Attributes:
        name: what they are called in the report.
        codecs: their metadata.
        is_sharded: whether the chunks are in shards of sixteen.
    """

    name: str
    codecs: tuple[Mapping[str, object], ...] = field(repr=False)
    is_sharded: bool = False

    def metadata(self, side: int, rows: int) -> dict[str, Any]:
        """Give the metadata of an array.

        Args:
            side: the number of rows and columns of a chunk.
            rows: the number of rows of the array.
        """
        outer, codecs = side, list(self.codecs)
        if self.is_sharded:
            outer = side * 4
            sharding = {
                "chunk_shape": [side, side],
                "codecs": codecs,
                "index_codecs": [_BYTES, {"name": "crc32c"}],
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [rows, COLUMNS],
            "data_type": "float32",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [outer, outer]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0,
            "codecs": codecs,
            "attributes": {},
        }


CASES = (
    Case(
        "zlib + shuffle",
        (_BYTES, _numcodecs("shuffle", elementsize=4), _numcodecs("zlib", level=1)),
    ),
    Case("gzip", (_BYTES, {"name": "gzip", "configuration": {"level": 5}})),
    Case("zstd", (_BYTES, _ZSTD)),
    Case("blosc-lz4", (_BYTES, _blosc("lz4"))),
    Case("blosc-zstd", (_BYTES, _blosc("zstd"))),
    Case("bitround + zstd", (_numcodecs("bitround", keepbits=10), _BYTES, _ZSTD)),
    Case("zstd in shards", (_BYTES, _ZSTD), is_sharded=True),
)

COLUMNS = 4096


def make_data(rows: int) -> NDArray[np.float32]:
    """Return air pressures, float32 in C order: a real field, and others made of it.

    Args:
        rows: how many; there are 4096 columns.
    """
    field = whole_field("float32")
    tiles = field.reshape(-1, SIDE, SIDE)
    data = np.empty((rows, COLUMNS), "<f4")
    for index, top in enumerate(range(0, rows, SIDE)):
        for at, left in enumerate(range(0, COLUMNS, SIDE)):
            # No two tiles are alike.
            tile = np.roll(tiles[at % len(tiles)], 37 * index, axis=0) - np.float32(0.37 * index)
            data[top : top + SIDE, left : left + SIDE] = tile[: rows - top]
    return data
