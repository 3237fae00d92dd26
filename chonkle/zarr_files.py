"""Chunks of Zarr arrays in a folder, without zarr-python."""

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from chonkle.codecs import ChunkCodec
from chonkle.errors import ChonkleError, PipelineError
from chonkle.formats.json_text import parse_json
from chonkle.formats.zarr_metadata import METADATA_FILES, ZarrArray
from chonkle.storage.files import read_file

_METADATA_MAX_BYTES = 16 << 20
_OLD_GROUP_FILE = ".zgroup"
# Arrays that a message about a group names.
_NAMED_MAX = 12
# Files of metadata that are looked at for them.
_SEARCHED_MAX = 1000
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
        if (path / _OLD_GROUP_FILE).exists():
            raise _is_group(path)
        raise PipelineError(
            f"no Zarr array {path}", expected=" or ".join(f"`{name}`" for name in METADATA_FILES)
        )
    document = _read_json(found)
    if isinstance(document, dict) and document.get("node_type") == "group":
        raise _is_group(array_folder(path))
    try:
        return ZarrArray.from_json(document)
    except PipelineError as failure:
        raise failure.within(str(found)) from failure


def array_folder(path: Path) -> Path:
    """Give the folder of an array, of that or of its metadata."""
    return path.parent if path.name in METADATA_FILES else path


def _read_json(path: Path) -> Any:  # noqa: ANN401 - any document
    try:
        text = read_file(path, size_max=_METADATA_MAX_BYTES)
    except OSError as failure:
        raise PipelineError(f"cannot read {path}: {failure.strerror}") from failure
    return parse_json(text, what=str(path), error=PipelineError)


def _is_group(folder: Path) -> PipelineError:
    """Give the error for a group, which names the arrays in it and in its groups."""
    names = sorted(
        path.parent.relative_to(folder).as_posix()
        for name in METADATA_FILES
        for path in islice(folder.rglob(name), _SEARCHED_MAX)
        if name != "zarr.json" or _is_array(path)
    )
    listed = ", ".join(names[:_NAMED_MAX])
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    arrays = f"its arrays: {listed}{more}" if names else "it has no arrays"
    return PipelineError(f"{folder} is a group; {arrays}")


def _is_array(path: Path) -> bool:
    with suppress(PipelineError):
        document = _read_json(path)
        return isinstance(document, dict) and document.get("node_type") == "array"
    return False


def read_chunk(
    folder: Path, chunk: Sequence[int], *, index: ChunkCodec | None, size_max: int
) -> bytes | None:
    """Read an encoded chunk; None where it is missing, so that it has the fill value.

    Args:
        folder: the folder of the array, or its metadata.
        chunk: the index of the chunk, by axis; of a sharded array, that of an inner chunk.
        index: the codecs of the index, for a sharded array.
        size_max: bytes of a file to read at most.

    Raises:
        PipelineError: there is no such chunk, it cannot be read, or its shard is damaged.
        CodecError: the index of its shard is damaged.
    """
    zarr = read_metadata(folder)
    key, place = zarr.key(chunk)
    path = array_folder(folder) / key
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
    try:
        offset, length = (int(each) for each in index.decode(encoded)[place])
    except ChonkleError as failure:
        raise failure.within(f"{path}: index of the shard") from failure.__cause__
    if (offset, length) == (_MISSING, _MISSING):
        return None
    if offset + length > len(data):
        raise PipelineError(
            f"{path}: the index of the shard leads out of it",
            expected=f"at most {len(data)}",
            got=f"{offset} + {length}",
        )
    return data[offset : offset + length]
