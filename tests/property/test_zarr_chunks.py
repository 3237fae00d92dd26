"""Chunks of arrays that zarr-python stored, and chunks for it, through `chonkle.codec` alone.

`make zarr-chunks` tries 60,000 chunks; `make test` some thousand of them.
"""

import itertools
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, seed, settings
from zarr.core.buffer import Buffer, default_buffer_prototype

import chonkle
from chonkle.codecs import ChunkCodec
from tests.property.zarr_arrays import NATIVE, Array, Stored, ZarrFormat, stored_arrays

IS_FULL = os.environ.get("ZARR_CHUNKS") == "full"
# Searches of so many examples. Each begins anew: those of one search are variations of each other.
SEARCHES, EXAMPLES = (14, 200) if IS_FULL else (1, 150)
CHUNKS_MIN = 30_000 if IS_FULL else 1000

# The codecs of zarr-python and numcodecs that make plain bytes.
BOTH = {
    "adler32", "astype", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset",
    "fletcher32", "gzip", "jenkins_lookup3", "lz4", "lzma", "packbits", "quantize", "shuffle",
    "zlib", "zstd",
}  # fmt: skip
CODEC_IDS = {
    2: {*BOTH, *NATIVE},
    3: {*BOTH, "bytes", "cast_value", "pcodec", "scale_offset", "transpose"},
}

type Store = dict[str, Buffer]


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_and_chonkle_read_each_other(
    zarr_format: ZarrFormat, record_property: Callable[[str, object], None]
) -> None:
    count, codec_ids = 0, Counter[str]()

    @settings(max_examples=EXAMPLES)
    @given(stored_arrays(zarr_format))
    def check(stored: Stored) -> None:
        nonlocal count
        with warnings.catch_warnings():
            # Of types and codecs that other implementations of Zarr may not have.
            warnings.simplefilter("ignore")
            theirs = written(stored, zarr_format)
            if theirs is not None:
                codec, dtype = read_metadata(theirs)
                count += check_chunks(stored, theirs, codec, dtype)
                codec_ids.update(codec.codec_ids())

    for number in range(SEARCHES):
        (seed(number)(check) if IS_FULL else check)()
    record_property("measured", f"{count} chunks of Zarr {zarr_format}, {len(codec_ids)} codecs")
    assert count >= CHUNKS_MIN
    if IS_FULL:
        assert set(codec_ids) == CODEC_IDS[zarr_format]


def written(stored: Stored, zarr_format: ZarrFormat) -> Store | None:
    """Write an array with zarr-python, or give None where it does not write such a chain."""
    store: Store = {}
    try:
        array = create(stored, zarr_format, store)
        array[...] = stored.data
    except (KeyError, TypeError, ValueError):
        return None
    return store


def check_chunks(stored: Stored, theirs: Store, codec: ChunkCodec, dtype: object) -> int:
    """Check every chunk of an array, and give their number."""
    expected, metadata = read(theirs), metadata_of(theirs)
    ours: Store = {name: theirs[name] for name in (".zarray", "zarr.json") if name in theirs}
    # The elements of a chunk in Fortran order are those of the transposed one.
    is_transposed = metadata.get("order") == "F"
    shape = stored.chunks[::-1] if is_transposed else stored.chunks
    count = 0
    for key, region in chunks_of(stored, metadata["zarr_format"]):
        inside = tuple(slice(part.stop - part.start) for part in region)
        decoded = codec.decode(theirs[key].to_bytes(), dtype=dtype, shape=shape)
        decoded = decoded.T if is_transposed else decoded
        require_equal(decoded[inside], expected[region])
        whole = np.zeros(stored.chunks, stored.data.dtype)
        if stored.has_fill_value:
            whole[...] = stored.fill_value
        whole[inside] = stored.data[region]
        encoded = codec.encode(whole.T if is_transposed else whole)
        ours[key] = default_buffer_prototype().buffer.from_bytes(encoded)
        count += 1
    require_equal(read(ours), expected)
    return count


def read(store: Store) -> Array:
    """Read an array with zarr-python, as a program does that did not write it."""
    return np.asarray(zarr.open_array(zarr.storage.MemoryStore(store), mode="r")[...])


def create(stored: Stored, zarr_format: ZarrFormat, store: Store) -> Any:
    """Create an array in a store; all its chunks are to be written."""
    filters, compressors = stored.filters, stored.compressors
    options: dict[str, Any] = {"serializer": stored.serializer}
    if zarr_format == 2:
        filters, compressors = (
            [numcodecs.get_codec(dict(each)) for each in listed]
            for listed in (filters, compressors)
        )
        options = {"order": stored.order}
    return zarr.create_array(
        zarr.storage.MemoryStore(store),
        shape=stored.data.shape,
        chunks=stored.chunks,
        dtype=stored.data.dtype,
        zarr_format=zarr_format,
        filters=filters or None,
        compressors=compressors or None,
        fill_value=stored.fill_value,
        config={"write_empty_chunks": True},
        **options,
    )


def metadata_of(store: Store) -> dict[str, Any]:
    name = "zarr.json" if "zarr.json" in store else ".zarray"
    found: dict[str, Any] = json.loads(store[name].to_bytes())
    return found


def read_metadata(store: Store) -> tuple[ChunkCodec, object]:
    """Make the codecs of an array, and give the data type in its metadata."""
    metadata = metadata_of(store)
    if metadata["zarr_format"] == 3:
        return chonkle.codec(metadata["codecs"]), metadata["data_type"]
    listed = [*(metadata["filters"] or []), metadata["compressor"]]
    codecs = [
        chonkle.codec(each, backend="native") if each and each["id"] in NATIVE else each
        for each in listed
    ]
    return chonkle.codec(codecs), metadata["dtype"]


def chunks_of(stored: Stored, zarr_format: ZarrFormat) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """Give the key of each chunk, and the part of the array that is in it."""
    shape = stored.data.shape
    counts = [-(-size // extent) for size, extent in zip(shape, stored.chunks, strict=True)]
    for index in itertools.product(*map(range, counts)):
        region = tuple(
            slice(at * extent, min((at + 1) * extent, size))
            for at, extent, size in zip(index, stored.chunks, shape, strict=True)
        )
        key = "/".join(["c", *map(str, index)])
        yield key if zarr_format == 3 else ".".join(map(str, index)) or "0", region


def require_equal(found: Array, expected: Array) -> None:
    """Check that the bits of all elements are equal, whatever the byte order."""
    assert found.shape == expected.shape
    assert found.astype(expected.dtype).tobytes() == expected.tobytes()
