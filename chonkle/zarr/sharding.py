"""Shards, whose inner chunks and indices go through chonkle."""

from zarr.abc.codec import Codec
from zarr.codecs import ShardingCodec as StockShardingCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.chunk_utils import ChunkTransform, evolve_codecs

from chonkle.zarr.chunk_chain import chunk_chain


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
        spec = self._get_chunk_spec(shard_spec)
        return chunk_chain(evolve_codecs(self.codecs, spec), spec)

    def _get_index_chunk_transform(self, chunks_per_shard: tuple[int, ...]) -> ChunkTransform:
        spec = self._get_index_chunk_spec(chunks_per_shard)
        return chunk_chain(evolve_codecs(self.index_codecs, spec), spec)
