"""What runs the codecs of an array, so that a user sees what is in the sandbox."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import zarr
from zarr.codecs import ShardingCodec as StockShardingCodec
from zarr.codecs._v2 import V2Codec  # noqa: PLC2701 - it has no public name

from chonkle.zarr.adapters import codec_name, made_codec
from chonkle.zarr.sharding import ShardChain, ShardingCodec

type Part = Literal["chunk", "index"]


@dataclass(frozen=True, slots=True)
class ExplainedCodec:
    """One codec of an array, and what runs it.

    Attributes:
        name: its name in the metadata.
        implementation: what runs it: `zstd-rs@1.0.0 (core)`, or a class of Python.
        is_sandboxed: whether that is WebAssembly, and not native code or Python.
        part: what it encodes: a chunk, or the index of a shard.
    """

    name: str
    implementation: str
    is_sandboxed: bool
    part: Part = "chunk"

    def __str__(self) -> str:
        """Write it as one line."""
        where = "in the sandbox" if self.is_sandboxed else "outside of the sandbox"
        part = "" if self.part == "chunk" else f"{self.part}: "
        return f"{part}{self.name}: {self.implementation}, {where}"


def explain(array: Any) -> list[ExplainedCodec]:  # noqa: ANN401 - of zarr-python, sync or not
    """Tell what runs each codec of an array, in the order of encoding.

    All are in the sandbox where `strict` reads the array. A shard has no entry: it is inner chunks
    and an index one after the other, and zarr-python takes it apart without decoding anything.

    Args:
        array: an array of zarr-python that is open.

    Raises:
        TypeError: it is something else, such as a group, or a variable of xarray.
    """
    opened = array.async_array if isinstance(array, zarr.Array) else array
    if not isinstance(opened, zarr.AsyncArray):
        cls = type(array)
        raise TypeError(
            "chonkle.zarr.explain(), expected an array of zarr-python, got "
            f"{cls.__module__}.{cls.__qualname__}; hint: open an array of a group, or a variable "
            "of xarray, with `zarr.open_group(...)[name]`"
        )
    return list(_explained(opened.codec_pipeline, "chunk"))


def _explained(codecs: Any, part: Part) -> Iterator[ExplainedCodec]:  # noqa: ANN401 - of codecs
    chain = getattr(codecs, "sync_transform", None)
    for each in codecs:
        if isinstance(each, V2Codec):
            compressors = [each.compressor] if each.compressor else []
            yield from _explained([*(each.filters or ()), *compressors], part)
        elif isinstance(each, StockShardingCodec):
            # The chain has chonkle's codecs in the place of those that a user made.
            inner = chain.inner if isinstance(chain, ShardChain) else each.codecs
            yield from _explained(inner, part)
            index = (
                each.own_index_codecs() if isinstance(each, ShardingCodec) else each.index_codecs
            )
            yield from _explained(index, "index")
        else:
            yield _explained_codec(each, part)


def _explained_codec(codec: object, part: Part) -> ExplainedCodec:
    made, cls = made_codec(codec), type(codec)
    if made is None:
        implementation = f"{cls.__module__}.{cls.__qualname__}"
        return ExplainedCodec(codec_name(codec), implementation, is_sandboxed=False, part=part)
    found = made.resolutions()
    return ExplainedCodec(
        codec_name(codec),
        ", ".join(each.label for each in found),
        is_sandboxed=all(each.backend != "native" for each in found),
        part=part,
    )
