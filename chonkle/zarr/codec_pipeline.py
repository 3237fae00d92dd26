"""How chunks of a Zarr array are read and written.

A chunk goes from the store into a guest's memory, through all codecs there, and is copied once: to
its place in the caller's array.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from zarr.abc.codec import GetResult
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import NDBuffer
from zarr.core.chunk_utils import fill_value_or_default
from zarr.core.codec_pipeline import FusedCodecPipeline

from chonkle.errors import ChonkleError
from chonkle.zarr.chunk_chain import AnyArray, ChunkChain, chunk_chain
from chonkle.zarr.chunk_files import ChunkFiles
from chonkle.zarr.chunk_threads import for_each_chunk
from chonkle.zarr.sharding import ShardingCodec

type _Item = tuple[Any, ArraySpec, Any, Any, bool]

_PRESENT, _MISSING = GetResult(status="present"), GetResult(status="missing")


class CodecPipeline(FusedCodecPipeline):
    """Zarr's codec pipeline with chonkle's codecs; `chonkle.zarr.use` puts it in place.

    Where zarr-python cannot read or write without an event loop, and where a codec is not
    chonkle's, it does what zarr-python's own pipeline does.
    """

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Fit the codecs to an array, and prepare them.

        Raises:
            PipelineError: a configuration is wrong.
            ResolveError: in strict mode, when chonkle lacks a codec.
        """
        sharded = replace(self, codecs=tuple(map(ShardingCodec.of, self.codecs)))
        evolved = super(CodecPipeline, sharded).evolve_from_array_spec(array_spec)
        if evolved.sync_transform is None or evolved.supports_partial_decode:
            return evolved
        return replace(evolved, sync_transform=chunk_chain(evolved.codecs))

    def read_sync(
        self,
        batch_info: Iterable[_Item],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
        max_workers: int = 1,
    ) -> tuple[GetResult, ...]:
        """Read chunks into an array; see `zarr.abc.codec.CodecPipeline.read`."""
        items = list(batch_info)
        chain, target = self.sync_transform, out.as_ndarray_like()
        if not (isinstance(chain, ChunkChain) and chain.whole and isinstance(target, np.ndarray)):
            return super().read_sync(items, out, drop_axes, max_workers)
        statuses = [_PRESENT] * len(items)

        def start() -> Callable[[int], None]:
            files = ChunkFiles()

            def read(index: int) -> None:
                getter, spec, selection, place, _ = items[index]
                data = files.read(getter, spec)
                if data is None:
                    target[place] = fill_value_or_default(spec)
                    statuses[index] = _MISSING
                    return

                def use(decoded: AnyArray) -> None:
                    selected = decoded[selection]
                    target[place] = selected.squeeze(axis=drop_axes) if drop_axes else selected

                try:
                    chain.decode_with(data, spec, use)
                except ChonkleError as failure:
                    raise failure.within(f"chunk `{getter}`") from failure.__cause__

            return read

        for_each_chunk(start, len(items), chunk_bytes=_size(items), threads=chain.options.threads or max_workers)
        return tuple(statuses)


def _size(items: Sequence[_Item]) -> int:
    """Give the size in bytes of the first chunk when it is decoded."""
    if not items:
        return 0
    spec = items[0][1]
    return math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
