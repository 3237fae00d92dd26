"""The arrays that are read and written: their data, chunks and codecs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.codec_speed.case import KIB, MIB
from tests.bench.sample import SIDE, whole_field

COLUMNS = 4096
ITEM_BYTES = 4
# The sides of square chunks, by their size in bytes.
CHUNK_SIDES = {MIB: 512, 64 * KIB: 128, 16 * KIB: 64}
# A shard has four times as many rows and columns as a chunk in it.
SHARD_SIDES = 4

_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_CHECKSUM = {"name": "crc32c"}
_ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}


def _numcodecs(name: str, **configuration: object) -> Mapping[str, object]:
    return {"name": f"numcodecs.{name}", "configuration": configuration}


def _blosc(name: str) -> Mapping[str, object]:
    settings = {"cname": name, "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
    return {"name": "blosc", "configuration": settings}


@dataclass(frozen=True, slots=True)
class Case:
    """The codecs of an array.

    Attributes:
        name: what the report calls them.
        codecs: their metadata.
        is_sharded: whether sixteen chunks are in a shard.
    """

    name: str
    codecs: tuple[Mapping[str, object], ...] = field(repr=False)
    is_sharded: bool = False

    def metadata(self, chunk_bytes: int, rows: int) -> dict[str, Any]:
        """Give the metadata of an array with so many rows."""
        side = stored_side = CHUNK_SIDES[chunk_bytes]
        codecs: list[Mapping[str, object]] = list(self.codecs)
        if self.is_sharded:
            stored_side = side * SHARD_SIDES
            sharding = {
                "chunk_shape": [side, side],
                "codecs": codecs,
                "index_codecs": [_BYTES, _CHECKSUM],
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        chunks = {"name": "regular", "configuration": {"chunk_shape": [stored_side, stored_side]}}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [rows, COLUMNS],
            "data_type": "float32",
            "chunk_grid": chunks,
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0,
            "codecs": codecs,
            "attributes": {},
        }


SHUFFLE, ZLIB = _numcodecs("shuffle", elementsize=ITEM_BYTES), _numcodecs("zlib", level=1)
CASES = (
    Case("zlib + shuffle", (_BYTES, SHUFFLE, ZLIB)),
    Case("gzip", (_BYTES, {"name": "gzip", "configuration": {"level": 5}})),
    Case("zstd", (_BYTES, _ZSTD)),
    Case("blosc-lz4", (_BYTES, _blosc("lz4"))),
    Case("blosc-zstd", (_BYTES, _blosc("zstd"))),
    Case("bitround + zstd", (_numcodecs("bitround", keepbits=10), _BYTES, _ZSTD)),
    Case("zstd in shards", (_BYTES, _ZSTD), is_sharded=True),
)


def make_data(rows: int) -> NDArray[np.float32]:
    """Return air pressures, little-endian float32 in C order: a real field, moved and shifted.

    Args:
        rows: the number of rows; there are 4096 columns.
    """
    tiles = whole_field("float32").reshape(-1, SIDE, SIDE)
    data = np.empty((rows, COLUMNS), "<f4")
    for down, top in enumerate(range(0, rows, SIDE)):
        for across, left in enumerate(range(0, COLUMNS, SIDE)):
            # No two tiles are alike.
            tile = np.roll(tiles[across], 37 * down, axis=0) - np.float32(0.37 * down)
            data[top : top + SIDE, left : left + SIDE] = tile[: rows - top]
    return data
