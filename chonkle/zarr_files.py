"""Chunks of Zarr arrays in a folder, without zarr-python."""

import math
from collections.abc import Sequence
from pathlib import Path

from chonkle.codecs import ChunkCodec
from chonkle.errors import PipelineError
from chonkle.formats.json_text import parse_json
from chonkle.formats.zarr_metadata import METADATA_FILES, ZarrArray
from chonkle.storage.files import read_file

_METADATA_MAX_BYTES = 16 << 20
_INDEX_ITEM_BYTES = 8
# An inner chunk that is not there, as offset and size (ZEP 2).
_MISSING = 2**64 - 1


def read_metadata(path: Path) -> ZarrArray:
    """Read the metadata of an array.

    Args:
        path: the folder of the array, or its `zarr.json` or `.zarray`.

    Raises:
        PipelineError: there are none, or they are not those of an array that can be read.
    """
    files = [path / name for name in METADATA_FILES] if path.is_dir() else [path]
    found = next((each for each in files if each.exists()), None)
    if found is None:
        raise PipelineError(
            f"no Zarr array {path}", expected=" or ".join(f"`{name}`" for name in METADATA_FILES)
        )
    try:
        text = read_file(found, size_max=_METADATA_MAX_BYTES)
    except OSError as failure:
        raise PipelineError(f"cannot read {found}: {failure.strerror}") from failure
    document = parse_json(text, what=str(found), error=PipelineError)
    try:
        return ZarrArray.from_json(document)
    except PipelineError as failure:
        raise failure.within(str(found)) from failure


def read_chunk(
    folder: Path, chunk: Sequence[int], *, index: ChunkCodec | None, size_max: int
) -> bytes | None:
    """Read an encoded chunk; None where it is missing, so that it has the fill value.

    Args:
        folder: the folder of the array.
        chunk: the index of the chunk, by axis; of a sharded array, that of an inner chunk.
        index: the codecs of the index, for a sharded array.
        size_max: bytes of a file to read at most.

    Raises:
        PipelineError: there is no such chunk, it cannot be read, or its shard is damaged.
    """
    zarr = read_metadata(folder)
    key, place = zarr.key(chunk)
    path = folder / key
    try:
        data = read_file(path, size_max=size_max)
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise PipelineError(f"cannot read {path}: {failure.strerror}") from failure
    if zarr.shards is None or index is None:
        return data
    index_bytes = math.prod(zarr.shards.index_shape) * _INDEX_ITEM_BYTES
    size = index.encoded_size(index_bytes)
    if size is None or size > len(data):
        raise PipelineError(
            f"{path}: no index of a shard", expected=f"at least {size} bytes", got=f"{len(data)}"
        )
    encoded = data[:size] if zarr.shards.index_location == "start" else data[len(data) - size :]
    offset, length = (int(each) for each in index.decode(encoded)[place])
    if (offset, length) == (_MISSING, _MISSING):
        return None
    if offset + length > len(data):
        raise PipelineError(
            f"{path}: the index of the shard leads out of it",
            expected=f"at most {len(data)}",
            got=f"{offset} + {length}",
        )
    return data[offset : offset + length]
