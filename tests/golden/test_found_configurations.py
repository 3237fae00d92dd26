"""Configurations as other programs write them, word for word, with chunks that others made.

Each is read in one line, `chonkle.codec(configuration).decode(chunk, ...)`. numcodecs, zarr-python
and imagecodecs make the chunks, and read back what chonkle makes.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

import chonkle

type Array = np.ndarray[Any, Any]

# Each with its provenance, the library that makes and reads chunks of an array of the dtype, and
# another spelling where the library does not know this one.
FOUND: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("found_configurations.json").read_text("utf-8")
)
SHAPE = (24, 40)


def numcodecs_of(found: Any) -> list[Any]:
    """Give the codecs of numcodecs for the `filters` and the `compressor` of a `.zarray`."""
    if isinstance(found, list):
        return [codec for each in found for codec in numcodecs_of(each)]
    return [] if found is None else [numcodecs.get_codec(dict(found))]


def by_numcodecs(found: Any, array: Array) -> bytes:
    data: Any = array.reshape(-1)
    for codec in numcodecs_of(found):
        data = codec.encode(data)
    return bytes(data)


def read_by_numcodecs(found: Any, chunk: bytes, array: Array) -> Array:
    data: Any = chunk
    for codec in reversed(numcodecs_of(found)):
        data = codec.decode(data)
    return np.frombuffer(bytes(data), array.dtype).reshape(array.shape)


def zarr_array(found: Any, array: Array) -> tuple[Any, dict[str, Any]]:
    """Open an array of one chunk with these codecs, in a dictionary."""
    grid = {"name": "regular", "configuration": {"chunk_shape": list(array.shape)}}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(array.shape),
        "data_type": array.dtype.name,
        "chunk_grid": grid,
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": found,
    }
    text = json.dumps(document).encode()
    store = {"zarr.json": default_buffer_prototype().buffer.from_bytes(text)}
    return zarr.open_array(MemoryStore(store)), store


def by_zarr(found: Any, array: Array) -> bytes:
    opened, store = zarr_array(found, array)
    opened[...] = array
    chunk: bytes = store["c/0/0"].to_bytes()
    return chunk


def read_by_zarr(found: Any, chunk: bytes, array: Array) -> Array:
    opened, store = zarr_array(found, array)
    store["c/0/0"] = default_buffer_prototype().buffer.from_bytes(chunk)
    read: Array = opened[...]
    return read


def by_imagecodecs(name: Any, array: Array) -> bytes:
    return bytes(getattr(imagecodecs, f"{name}_encode")(array.tobytes()))


def read_by_imagecodecs(name: Any, chunk: bytes, array: Array) -> Array:
    data = bytes(getattr(imagecodecs, f"{name}_decode")(chunk))
    return np.frombuffer(data, array.dtype).reshape(array.shape)


def by_first_chonkle(_: Any, array: Array) -> bytes:
    """Do what its sidecar describes: a horizontal predictor, and zlib."""
    differences = np.diff(array, axis=1, prepend=np.uint16(0)).astype("<u2")
    return zlib.compress(differences.tobytes(), 9)


def read_by_first_chonkle(_: Any, chunk: bytes, array: Array) -> Array:
    differences = np.frombuffer(zlib.decompress(chunk), "<u2").reshape(array.shape)
    return np.cumsum(differences, axis=1, dtype="<u2")


LIBRARIES = {
    "numcodecs": (by_numcodecs, read_by_numcodecs),
    "zarr": (by_zarr, read_by_zarr),
    "imagecodecs": (by_imagecodecs, read_by_imagecodecs),
    "first chonkle": (by_first_chonkle, read_by_first_chonkle),
}


def array_of(dtype: str) -> Array:
    """Give smooth values, as most data have."""
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    values = 1100 + 90 * np.sin(rows / 5) * np.cos(columns / 9)
    if dtype == "|b1":
        return np.asarray(values > values.mean())
    if dtype == "<U6":
        return np.where(values > values.mean(), "female", "male").astype(dtype)
    return np.asarray(values / (8 if dtype == "|u1" else 1)).astype(dtype)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found["found"])
def test_configurations_that_other_programs_write(found: dict[str, Any]) -> None:
    encode, decode = LIBRARIES[found["library"]]
    theirs = found.get("known_as", found["configuration"])
    array = array_of(found["dtype"])
    chunk = encode(theirs, array)
    expected = decode(theirs, chunk, array)
    codec = chonkle.codec(found["configuration"])
    decoded = codec.decode(chunk, dtype=array.dtype, shape=SHAPE)
    assert decoded.dtype == array.dtype
    assert decoded.tobytes() == expected.tobytes()
    # What a lossy filter gives, it gives again.
    assert decode(theirs, codec.encode(array), array).tobytes() == expected.tobytes()


def test_json_is_read_as_numcodecs_writes_it() -> None:
    """The separators of JSON, in a list; what it encodes are Python objects, given as text."""
    written = (
        '{"id": "json2", "encoding": "utf-8", "skipkeys": false, "ensure_ascii": true,'
        ' "check_circular": true, "allow_nan": true, "sort_keys": true, "indent": null,'
        ' "separators": [",", ":"], "strict": true}'
    )
    array = np.array([["one", "two"], ["three", ""]], "<U5")
    chunk = numcodecs.get_codec(json.loads(written)).encode(array)
    codec = chonkle.codec(json.loads(written), backend="native")
    decoded = codec.decode(bytes(chunk), dtype="<U5", shape=(2, 2))
    assert decoded.tolist() == array.tolist()
