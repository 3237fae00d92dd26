"""The codecs of a Zarr array as one chain.

Where chonkle has all of them, they are one pipeline in WebAssembly. Otherwise those that it lacks,
such as the codecs of variable-length strings, run through zarr-python's own classes.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from zarr.abc.codec import Codec
from zarr.codecs import ShardingCodec as StockShardingCodec
from zarr.codecs._v2 import V2Codec  # noqa: PLC2701 - it has no public name
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.chunk_utils import ChunkTransform

from chonkle.arrays import numpy_dtype
from chonkle.codecs import BoundCodec, ChunkCodec
from chonkle.zarr.adapters import blaming_data, own_codec, own_numcodec, whole_codec
from chonkle.zarr.options import Options

type AnyArray = np.ndarray[Any, Any]

# Specs that a chain stays bound to: an array has one, sharding a few more.
_BOUND_MAX = 16
# The kinds of NumPy's dtypes whose elements are objects.
_NO_BYTES = "OT"


class ChunkChain(ChunkTransform):
    """Decodes and encodes the chunks of an array, in place of zarr-python's own chain.

    Args of the constructor:
        codecs: those of the array, fitted to it.
        options: how they are run.
        whole: all of them as one codec of chonkle, if they are.

    Raises:
        TypeError: a codec that chonkle lacks cannot run without an event loop.
    """

    def __init__(self, codecs: Sequence[Codec], options: Options, whole: ChunkCodec | None) -> None:
        self.options = options
        self.is_old = any(isinstance(each, V2Codec) for each in codecs)
        self.whole = whole
        super().__init__(codecs=tuple(codecs))
        self._bound: dict[ArraySpec, BoundCodec] = {}
        self._latest: tuple[ArraySpec, BoundCodec] | None = None

    def decode_chunk(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        """Decode a chunk to an array of its own."""
        if self.whole is None:
            return super().decode_chunk(chunk_bytes, chunk_spec)
        dtype = chunk_spec.dtype.to_native_dtype()
        found: list[AnyArray] = []
        data = chunk_bytes.as_numpy_array()
        self.decode_with([data], chunk_spec, lambda _, decoded: found.append(decoded.astype(dtype)))
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
        bound = self._bind(spec)
        assert self.whole is not None  # noqa: S101 - the callers looked
        with blaming_data(self.whole):
            if self._is_transposed(spec):
                bound.decode_with(chunks, lambda index, decoded: use(index, decoded.T))
            else:
                bound.decode_with(chunks, use)

    def encode_chunk(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        """Encode a chunk."""
        if self.whole is None:
            return super().encode_chunk(chunk_array, chunk_spec)
        encoded = self._bind(chunk_spec).encode(self._elements(chunk_array, chunk_spec))
        return chunk_spec.prototype.buffer.from_bytes(encoded)

    def encode_with(
        self, chunks: Sequence[NDBuffer], spec: ArraySpec, use: Callable[[int, Any], None]
    ) -> None:
        """Encode a few chunks with a whole chain, and give each to a function.

        Args:
            chunks: the chunks.
            spec: that of each.
            use: gets the index of a chunk and its bytes, and keeps no view of them.
        """
        self._bind(spec).encode_with([self._elements(each, spec) for each in chunks], use)

    def _elements(self, chunk: NDBuffer, spec: ArraySpec) -> AnyArray:
        elements, dtype = chunk.as_numpy_array(), self._decoded_dtype(spec)
        if elements.dtype != dtype:
            elements = elements.astype(dtype)
        return elements.T if self._is_transposed(spec) else elements

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
            found = self.whole.bind(self._decoded_dtype(spec), shape)
            self._bound[spec] = found
        self._latest = spec, found
        return found

    def _decoded_dtype(self, spec: ArraySpec) -> np.dtype[Any]:
        # Zarr 3 converts what the first codec gives to the type of the array; Zarr 2 takes the
        # bytes for such elements.
        said = None if self.is_old or self.whole is None else self.whole.decoded_dtype()
        return spec.dtype.to_native_dtype() if said is None else numpy_dtype(said)

    def _is_transposed(self, spec: ArraySpec) -> bool:
        # In Zarr 2, the order of the elements in a chunk; in Zarr 3, only that in memory.
        return self.is_old and spec.order == "F"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the codecs and the options, without what is prepared."""
        return ChunkChain, (self.codecs, self.options, self.whole)


def chunk_chain(codecs: Sequence[Codec], spec: ArraySpec) -> ChunkChain:
    """Make the chain of an array's codecs, with the options in `zarr.config`.

    Args:
        codecs: those that `own_codecs` gave.
        spec: that of a chunk.

    Raises:
        TypeError: a codec that chonkle lacks cannot run without an event loop.
    """
    options = Options.current()
    return ChunkChain(codecs, options, _whole(codecs, options, spec))


def own_codecs(codecs: Sequence[Codec], spec: ArraySpec) -> list[Codec]:
    """Give an array's codecs with those of chonkle in the place of zarr-python's.

    Args:
        codecs: those of the array, fitted to it.
        spec: that of a chunk.

    Raises:
        ResolveError: in strict mode, when a codec runs outside of the sandbox.
    """
    options, own = Options.current(), []
    for each in codecs:
        own.append(_own(each, spec, options))
        spec = each.resolve_metadata(spec)
    return own


def _own(codec: Codec, spec: ArraySpec, options: Options) -> Codec:
    if isinstance(codec, StockShardingCodec):
        return codec  # its inner codecs are in chains of their own
    if not isinstance(codec, V2Codec):
        return cast("Codec", own_codec(codec, spec, options))
    filters = [own_numcodec(each, options) for each in codec.filters or ()]
    return V2Codec(tuple(filters) or None, own_numcodec(codec.compressor, options))


def _whole(codecs: Sequence[Codec], options: Options, spec: ArraySpec) -> ChunkCodec | None:
    listed: list[Any] = []
    for each in codecs:
        if isinstance(each, V2Codec):
            listed += [*(each.filters or ()), *([each.compressor] if each.compressor else [])]
        else:
            listed.append(each)
    if spec.dtype.to_native_dtype().kind in _NO_BYTES:
        return None
    return whole_codec(listed, options)
