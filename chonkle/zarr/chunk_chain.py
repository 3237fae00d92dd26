"""The codecs of a Zarr array as one chain.

Where chonkle has all of them, they are one pipeline in WebAssembly. Otherwise those that it lacks,
such as the codecs of variable-length strings, run through zarr-python's own classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from zarr.abc.codec import Codec
from zarr.codecs._v2 import V2Codec  # noqa: PLC2701 - it has no public name
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.chunk_utils import ChunkTransform

from chonkle.codecs import BoundCodec, ChunkCodec
from chonkle.errors import ResolveError
from chonkle.zarr.options import Options
from chonkle.zarr.references import make_codec

type AnyArray = np.ndarray[Any, Any]

# Specs that a chain stays bound to: an array has one, sharding a few more.
_BOUND_MAX = 16


class ChunkChain(ChunkTransform):
    """Decodes and encodes the chunks of an array, in place of zarr-python's own chain.

    Args of the constructor:
        codecs: those of the array, fitted to it.
        options: how they are run.

    Raises:
        PipelineError: a configuration is wrong.
        ResolveError: in strict mode, when chonkle lacks a codec.
        TypeError: a codec that chonkle lacks cannot run without an event loop.
    """

    def __init__(self, codecs: Sequence[Codec], options: Options) -> None:
        self.options = options
        self.is_old = any(isinstance(each, V2Codec) for each in codecs)
        self.whole = _whole(codecs, options)
        super().__init__(codecs=tuple(codecs))
        self._bound: dict[ArraySpec, BoundCodec] = {}
        self._latest: tuple[ArraySpec, BoundCodec] | None = None

    def decode_chunk(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        """Decode a chunk to an array of its own."""
        if self.whole is None:
            return super().decode_chunk(chunk_bytes, chunk_spec)
        found: list[AnyArray] = []
        data = chunk_bytes.as_numpy_array()
        self.decode_with([data], chunk_spec, lambda _, decoded: found.append(decoded.copy()))
        return chunk_spec.prototype.nd_buffer.from_numpy_array(found[0])

    def decode_with(
        self, chunks: Sequence[Any], spec: ArraySpec, use: Callable[[int, AnyArray], None]
    ) -> None:
        """Decode a few chunks with a whole chain, and give each to a function.

        Args:
            chunks: their buffers.
            spec: that of each.
            use: gets the index of a chunk and a read-only array of its shape, and keeps no view of
                it.
        """
        if self._is_transposed(spec):
            self._bind(spec).decode_with(chunks, lambda index, decoded: use(index, decoded.T))
        else:
            self._bind(spec).decode_with(chunks, use)

    def encode_chunk(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        """Encode a chunk."""
        if self.whole is None:
            return super().encode_chunk(chunk_array, chunk_spec)
        chunk = chunk_array.as_numpy_array()
        dtype = chunk_spec.dtype.to_native_dtype()
        if chunk.dtype != dtype:
            chunk = chunk.astype(dtype)
        if self._is_transposed(chunk_spec):
            chunk = chunk.T
        return chunk_spec.prototype.buffer.from_bytes(self._bind(chunk_spec).encode(chunk))

    def _bind(self, spec: ArraySpec) -> BoundCodec:
        # The chunks of one read share a spec, and hashing it takes as long as a small call.
        latest = self._latest
        if latest is not None and latest[0] is spec:
            return latest[1]
        found = self._bound.get(spec)
        if found is None:
            if len(self._bound) >= _BOUND_MAX:
                self._bound.clear()
            assert self.whole is not None  # noqa: S101 - the callers looked
            shape = spec.shape[::-1] if self._is_transposed(spec) else spec.shape
            found = self.whole.bind(spec.dtype.to_native_dtype(), shape)
            self._bound[spec] = found
        self._latest = spec, found
        return found

    def _is_transposed(self, spec: ArraySpec) -> bool:
        # In Zarr 2, the order of the elements in a chunk; in Zarr 3, only that in memory.
        return self.is_old and spec.order == "F"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the codecs and the options, without what is prepared."""
        return ChunkChain, (self.codecs, self.options)


def chunk_chain(codecs: Sequence[Codec]) -> ChunkChain:
    """Make the chain of an array's codecs, with the options in `zarr.config`."""
    return ChunkChain(codecs, Options.current())


def _whole(codecs: Sequence[Codec], options: Options) -> ChunkCodec | None:
    """Make one codec of a chain; None where chonkle lacks a part of it."""
    written: list[dict[str, Any]] = []
    for each in codecs:
        if isinstance(each, V2Codec):
            written += [each.get_config() for each in each.filters or ()]
            written += [each.compressor.get_config()] if each.compressor else []
        else:
            written.append(each.to_dict())
    try:
        return make_codec([make_codec(each, options) for each in written], options)
    except ResolveError:
        if options.strict:
            raise
        return None
