"""Shards: arrays of inner chunks, each stored as one chunk of an array.

A shard is read into its place in the caller's array, so that an inner chunk is copied once, as a
chunk without a shard is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from zarr.abc.codec import Codec
from zarr.codecs import ShardingCodec as StockShardingCodec
from zarr.codecs.sharding import _ShardingByteSetter  # noqa: PLC2701 - it has no public name
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.chunk_grids import ChunkGrid
from zarr.core.chunk_utils import ChunkTransform, evolve_codecs, fill_value_or_default
from zarr.core.codec_pipeline import FusedCodecPipeline
from zarr.core.indexing import get_indexer, lexicographic_order_coords

from chonkle.errors import ChonkleError, CodecError, LimitExceeded, ResolveError
from chonkle.zarr.chunk_chain import AnyArray, chunk_chain, own_codecs

# Offsets in a file, of which only the index was read, are below this.
_SHARD_MAX = 1 << 62


class ShardingCodec(StockShardingCodec):
    """Zarr's sharding codec with chonkle's codecs within: only the chains of codecs differ."""

    @classmethod
    def of(cls, codec: Codec) -> Codec:
        """Give a codec, with the chains of a shard replaced."""
        if type(codec) is not StockShardingCodec:
            return codec
        return cls(
            chunk_shape=codec.chunk_shape,
            codecs=[cls.of(each) for each in codec.codecs],
            index_codecs=codec.index_codecs,
            index_location=codec.index_location,
            subchunk_write_order=codec.subchunk_write_order,
        )

    def _get_inner_chunk_transform(self, shard_spec: ArraySpec) -> ChunkTransform:
        spec = self.inner_spec(shard_spec)
        own = own_codecs(evolve_codecs(self.codecs, spec), spec)
        return chunk_chain(own, spec)

    def _get_index_chunk_transform(self, chunks_per_shard: tuple[int, ...]) -> ChunkTransform:
        spec = self._get_index_chunk_spec(chunks_per_shard)
        own = own_codecs(evolve_codecs(self.index_codecs, spec), spec)
        return chunk_chain(own, spec)

    def _decode_shard_index_sync(
        self, index_bytes: Buffer, chunks_per_shard: tuple[int, ...]
    ) -> Any:  # noqa: ANN401 - private to zarr-python
        try:
            return super()._decode_shard_index_sync(index_bytes, chunks_per_shard)
        except ChonkleError as failure:
            raise failure.within("index of the shard") from failure.__cause__

    def _load_shard_index_maybe_sync(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - private to zarr-python
        index = super()._load_shard_index_maybe_sync(*args, **named)
        if index is not None:
            _require_within(index, _SHARD_MAX)
        return index

    async def _load_shard_index_maybe(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - private to zarr-python
        index = await super()._load_shard_index_maybe(*args, **named)
        if index is not None:
            _require_within(index, _SHARD_MAX)
        return index

    def _check_shard_index_size(
        self, index_bytes: Buffer, chunks_per_shard: tuple[int, ...]
    ) -> None:
        expected = self._shard_index_size(chunks_per_shard)
        if len(index_bytes) < expected:
            raise CodecError(
                "the shard is too short for it",
                expected=f"{expected} bytes",
                got=f"{len(index_bytes)} bytes",
            )

    def _shard_reader_from_bytes_sync(self, buf: Buffer, chunks_per_shard: tuple[int, ...]) -> Any:  # noqa: ANN401 - private to zarr-python
        reader = super()._shard_reader_from_bytes_sync(buf, chunks_per_shard)
        _require_within(reader.index, len(buf))
        return reader

    async def _load_full_shard_maybe(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - private to zarr-python
        reader = await super()._load_full_shard_maybe(*args, **named)
        if reader is not None:
            _require_within(reader.index, len(reader.buf))
        return reader

    def own_index_codecs(self) -> Sequence[Codec]:
        """Give the codecs of the index as they run; as written, where `strict` refuses one."""
        try:
            # All indices have the same codecs.
            chain = self._get_index_chunk_transform((1,) * len(self.chunk_shape))
        except ResolveError:
            return self.index_codecs
        return chain.codecs

    def inner_spec(self, spec: ArraySpec) -> ArraySpec:
        """Give the spec of an inner chunk from that of a shard."""
        return self._get_chunk_spec(spec)

    def read_into(
        self,
        target: AnyArray,
        inner: FusedCodecPipeline,
        item: Sequence[Any],
        drop_axes: tuple[int, ...],
        threads: int,
    ) -> bool:
        """Read what is selected of a shard.

        Args:
            target: the array that it goes to.
            inner: the pipeline of the inner chunks.
            item: of a batch; see `zarr.abc.codec.CodecPipeline.read`.
            drop_axes: axes of the selection that the target lacks.
            threads: how many threads may decode.

        Returns:
            Whether there is a shard; otherwise the target gets the fill value.
        """
        getter, spec, selection, place, _ = item
        grid = ChunkGrid.from_sizes(spec.shape, self.chunk_shape)
        indexer: Any = get_indexer(selection, shape=spec.shape, chunk_grid=grid)
        selected = list(indexer)
        shard = self._load(getter, {coords for coords, *_ in selected}, spec)
        if shard is None:
            target[place] = fill_value_or_default(spec)
            return False
        # Indexed without `...`, an array without axes gives a copy.
        out = target[*place, ...] if _is_sliced(place) and not drop_axes else None
        in_place = out is not None and out.shape == indexer.shape
        if out is None or not in_place:
            out = np.empty(indexer.shape, target.dtype)
        inner.read_sync(
            self._items(shard, selected, spec),
            spec.prototype.nd_buffer.from_numpy_array(out),
            max_workers=threads,
        )
        if not in_place:
            shaped = out.reshape(getattr(indexer, "sel_shape", out.shape))
            target[place] = shaped.squeeze(axis=drop_axes) if drop_axes else shaped
        return True

    def write_from(
        self, value: NDBuffer, inner: FusedCodecPipeline, item: Sequence[Any], threads: int
    ) -> None:
        """Write to a shard, all of which is stored again.

        Args:
            value: what is written to the selection, of its shape.
            inner: the pipeline of the inner chunks.
            item: of a batch; see `zarr.abc.codec.CodecPipeline.write`.
            threads: how many threads may encode.
        """
        setter, spec, selection, _, _ = item
        counts = self._get_chunks_per_shard(spec)
        selected, value = self._get_shard_indexer_and_value(selection, spec, value)
        is_complete = self._is_complete_shard_write(selected, counts)
        stored = None if is_complete else setter.get_sync(prototype=spec.prototype)
        shard: dict[tuple[int, ...], Buffer | None]
        if stored is None:
            shard = dict.fromkeys(lexicographic_order_coords(counts))
        else:
            shard = self._shard_reader_from_bytes_sync(stored, counts).to_dict_vectorized()
        inner.write_sync(self._items(shard, selected, spec), value, max_workers=threads)
        encoded = self._encode_shard_dict_sync(
            shard, chunks_per_shard=counts, buffer_prototype=spec.prototype
        )
        if encoded is None:
            setter.delete_sync()
        else:
            setter.set_sync(encoded)

    def _load(self, getter: Any, coords: set[tuple[int, ...]], spec: ArraySpec) -> Any:  # noqa: ANN401 - private to zarr-python
        """Read the encoded inner chunks at some coordinates; None where there is no shard."""
        counts = self._get_chunks_per_shard(spec)
        if self._is_total_shard(coords, counts):
            stored = getter.get_sync(prototype=spec.prototype)
            if stored is None:
                return None
            return self._shard_reader_from_bytes_sync(stored, counts).to_dict_vectorized()
        try:
            return self._load_partial_shard_maybe_sync(
                getter,
                spec.prototype,
                counts,
                coords,
                max_gap_bytes=spec.config.sharding_coalesce_max_gap_bytes,
                max_coalesced_bytes=spec.config.sharding_coalesce_max_bytes,
            )
        except MemoryError as failure:
            raise LimitExceeded("index of the shard: too many bytes to be read") from failure

    def _items(self, shard: Any, selected: Sequence[Any], spec: ArraySpec) -> list[Any]:  # noqa: ANN401 - a mapping
        """Give the batch of inner chunks."""
        inner_spec = self.inner_spec(spec)
        return [
            (_InnerChunk(shard, coords), inner_spec, chunk_selection, place, is_complete)
            for coords, chunk_selection, place, is_complete in selected
        ]


class ShardChain(ChunkTransform):
    """The only codec of an array in shards, and what reads and writes in them.

    Args of the constructor:
        codec: the array's codec.
        inner: the pipeline of its inner chunks.
    """

    def __init__(self, codec: ShardingCodec, inner: FusedCodecPipeline) -> None:
        super().__init__(codecs=(codec,))
        self.codec = codec
        self.inner = inner

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments."""
        return ShardChain, (self.codec, self.inner)


class _InnerChunk(_ShardingByteSetter):
    """An inner chunk, whose bytes are in a buffer of whatever kind the shard was read into."""

    def get_sync(self, prototype: object = None, byte_range: Any = None) -> Buffer | None:  # noqa: ANN401, ARG002 - as in zarr-python
        return super().get_sync(None, byte_range)


def _require_within(index: Any, size: int) -> None:  # noqa: ANN401 - private to zarr-python
    """Require that an index leads to bytes of its shard: zarr-python takes others for no chunk.

    Args:
        index: the index.
        size: the size of the shard, or the most that it can have.

    Raises:
        CodecError: it does not.
    """
    # A missing chunk has the largest number twice, which is 0 here.
    ranges = index.offsets_and_lengths + 1
    start, length = ranges[..., 0], ranges[..., 1]
    if (
        ranges.max() > size + 1
        or (start + length).max() > size + 2
        or np.logical_xor(start, length).any()
    ):
        raise CodecError(
            "index of the shard: an inner chunk is outside of the shard",
            expected=f"ends at byte {size:,} at most",
        )


def _is_sliced(place: object) -> bool:
    """Tell whether indexing with a selection gives a view."""
    return isinstance(place, tuple) and all(isinstance(each, slice) for each in place)
