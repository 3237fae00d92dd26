"""The pipeline of the chunks of a Zarr array."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import default_buffer_prototype

from chonkle.dag.codec_list import ChunkPart, zarr_codec_list
from chonkle.formats.zarr_metadata import ZarrArray
from chonkle.pipeline import list_pipeline
from chonkle.resolver import Resolver
from chonkle.zarr.options import Options
from chonkle.zarr_files import read_metadata

if TYPE_CHECKING:
    from zarr import Array


def pipeline(
    array: "Array[Any] | str | Path | Mapping[str, object]",
    part: ChunkPart = "chunk",
    *,
    resolver: Resolver | None = None,
) -> dict[str, object]:
    """Give the pipeline of the chunks of an array, as a JSON document for `chonkle.prepare`.

    Args:
        array: an array, the path of one, or its metadata.
        part: of a sharded array, the inner chunk or the index of a shard.
        resolver: how codecs are picked; the defaults when left out.

    Raises:
        PipelineError: the metadata cannot be read, or a configuration is wrong.
        ResolveError: no implementation of a codec was found.
    """
    if isinstance(array, (str, Path)):
        zarr = read_metadata(Path(array))
    elif isinstance(array, Mapping):
        zarr = ZarrArray.from_json(array)
    else:
        buffers = array.metadata.to_buffer_dict(default_buffer_prototype())
        documents = [json.loads(each.to_bytes()) for each in buffers.values()]
        zarr = next(ZarrArray.from_json(each) for each in documents if "zarr_format" in each)
    allowed = Options.current().allowed_sources
    resolver = replace(resolver or Resolver(), allowed_sources=allowed)
    return list_pipeline(zarr_codec_list(zarr, part), resolver).to_json()
