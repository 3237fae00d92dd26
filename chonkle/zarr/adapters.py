"""One codec of chonkle as a codec of zarr-python, or of numcodecs.

Classes are made of signatures: no codec has Python of its own.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec as Numcodec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.dtype import parse_dtype
from zarr.errors import UnknownCodecError

from chonkle.arrays import elements_of, numpy_dtype
from chonkle.codecs import ChunkCodec
from chonkle.dag.codec_list import ArraySpec as ChunkArray
from chonkle.errors import ResolveError
from chonkle.formats.dtypes import Dtype
from chonkle.formats.signature import CodecKind
from chonkle.zarr.options import Options
from chonkle.zarr.references import REFERENCE, is_reference, make_codec


@dataclass(frozen=True)
class _ZarrCodec:
    """What the Zarr 3 codecs of the three kinds share.

    Attributes:
        configuration: the codec's configuration in metadata.
        codec: what runs it.
    """

    codec_name: ClassVar[str]

    configuration: dict[str, Any]
    codec: ChunkCodec = field(compare=False, repr=False)

    def __init__(self, **configuration: Any) -> None:  # noqa: ANN401 - by its signature
        metadata = {"name": self.codec_name, "configuration": configuration}
        self._set(configuration, make_codec(metadata, Options.current()))

    def _set(self, configuration: dict[str, Any], made: ChunkCodec) -> None:
        object.__setattr__(self, "configuration", configuration)
        object.__setattr__(self, "codec", made)
        # Zarr reads it as an attribute.
        object.__setattr__(self, "is_fixed_size", made.is_fixed_size)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make it of its metadata.

        Raises:
            PipelineError: the configuration is wrong.
        """
        return cls(**(data.get("configuration") or {}))

    def to_dict(self) -> dict[str, Any]:
        """Write its metadata."""
        return {"name": self.codec_name, "configuration": dict(self.configuration)}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Give the encoded size.

        Raises:
            NotImplementedError: it is not fixed, as Zarr wants that said.
        """
        array = _chunk_array(chunk_spec)
        size = self.codec.encoded_size(
            input_byte_length,
            dtype=None if array is None else array.dtype.description,
            shape=None if array is None else array.shape,
        )
        if size is None:
            raise NotImplementedError(f"codec `{self.codec_name}` has no fixed encoded size")
        return size

    async def _decode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:  # noqa: ANN401
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    async def _encode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:  # noqa: ANN401
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    def _decode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:  # noqa: ANN401
        raise NotImplementedError

    def _encode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:  # noqa: ANN401
        raise NotImplementedError

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the metadata, and what runs it."""
        return zarr_codec, (self.to_dict(), self.codec)


class _ZarrBytesBytes(_ZarrCodec, BytesBytesCodec):
    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        array = _chunk_array(chunk_spec)
        decoded = self.codec.run("decode", chunk_data.as_numpy_array(), array)
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        array = _chunk_array(chunk_spec)
        encoded = self.codec.run("encode", chunk_data.as_numpy_array(), array)
        return chunk_spec.prototype.buffer.from_bytes(encoded)


class _ZarrArrayBytes(_ZarrCodec, ArrayBytesCodec):
    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        data = chunk_data.as_numpy_array()
        decoded = self.codec.decode(data, dtype=dtype, shape=chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(decoded)

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return chunk_spec.prototype.buffer.from_bytes(
            self.codec.encode(chunk_data.as_numpy_array())
        )


class _ZarrArrayArray(_ZarrCodec, ArrayArrayCodec):
    def resolve_metadata(self, chunk_spec: ArraySpec) -> ArraySpec:
        """Give the spec of the encoded array."""
        array = _chunk_array(chunk_spec)
        encoded = None if array is None else self.codec.encoded_array(array)
        if encoded is None or encoded == array:
            return chunk_spec
        dtype = parse_dtype(numpy_dtype(encoded.dtype), zarr_format=3)
        return replace(chunk_spec, dtype=dtype, shape=encoded.shape or ())

    def _decode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        array = chunk_data.as_numpy_array()
        encoded = elements_of(array, array)
        decoded = self.codec.decode(encoded, dtype=dtype, shape=chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(decoded)

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        encoded = self.codec.encode(chunk_data.as_numpy_array())
        spec = self.resolve_metadata(chunk_spec)
        array = np.frombuffer(encoded, spec.dtype.to_native_dtype()).reshape(spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array)


_KINDS: Mapping[str, type[_ZarrCodec]] = {
    "bytes-to-bytes": _ZarrBytesBytes,
    "array-to-bytes": _ZarrArrayBytes,
    "array-to-array": _ZarrArrayArray,
}


@cache
def zarr_codec_class(name: str, kind: CodecKind) -> type[Any]:
    """Make the Zarr 3 codec with a name.

    Args:
        name: the name in metadata.
        kind: what the codec maps.
    """
    fields = {"codec_name": name, "__module__": __name__, "__doc__": f"The codec `{name}`."}
    return type(f"Zarr_{name}", (_KINDS[kind],), fields)


class _OldCodec(Numcodec):  # type: ignore[misc]  # numcodecs is not typed
    """A codec of numcodecs, for Zarr 2."""

    def __init__(self, **configuration: Any) -> None:  # noqa: ANN401 - by its signature
        self._configuration = configuration
        self._codec = make_codec({"id": self.codec_id, **configuration}, Options.current())

    def encode(self, buf: Any) -> bytes:  # noqa: ANN401 - any buffer
        """Encode a buffer; of an array, its elements as they are in memory."""
        array = np.asarray(buf) if hasattr(buf, "__array_interface__") else None
        spec = None if array is None else ChunkArray(Dtype.of(array.dtype), array.shape)
        return self._codec.run("encode", _in_memory(buf), spec)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401 - any buffer
        """Decode a buffer, into `out` if there is one."""
        data = _in_memory(buf)
        if out is None:
            return self._codec.run("decode", data)
        return ndarray_copy(self._codec.run("decode", data), out)

    def get_config(self) -> dict[str, Any]:
        """Give the configuration."""
        return {"id": self.codec_id, **self._configuration}

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the configuration."""
        return _old_unpickled, (self.codec_id, self._configuration)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make it of its configuration."""
        return cls(**{name: value for name, value in config.items() if name != "id"})


def zarr_codec(metadata: dict[str, Any], made: ChunkCodec) -> Any:  # noqa: ANN401 - a class of ours
    """Give a codec as one of Zarr 3.

    Args:
        metadata: its metadata.
        made: what runs it.
    """
    found: _ZarrCodec = object.__new__(zarr_codec_class(metadata["name"], made.kind))
    found._set(dict(metadata.get("configuration") or {}), made)  # noqa: SLF001 - of this module
    return found


class UnknownCodec:
    """What zarr-python finds for a codec that it does not know, while chonkle is in use."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:  # noqa: ANN401 - a class of ours
        """Make the codec, if it is registered or its metadata say where it is.

        Raises:
            UnknownCodecError: it is not.
            ResolveError: its source is not allowed.
        """
        try:
            made = make_codec(data, Options.current())
        except ResolveError as failure:
            if is_reference((data.get("configuration") or {}).get(REFERENCE)):
                raise
            raise UnknownCodecError(str(failure)) from failure
        return zarr_codec(data, made)


@cache
def numcodecs_class(name: str) -> type[_OldCodec]:
    """Make the codec of numcodecs with an id."""
    fields = {"codec_id": name, "__module__": __name__, "__doc__": f"The codec `{name}`."}
    return type(f"Numcodecs_{name}", (_OldCodec,), fields)


def _old_unpickled(name: str, configuration: dict[str, Any]) -> _OldCodec:
    return numcodecs_class(name)(**configuration)


def _in_memory(buf: Any) -> Any:  # noqa: ANN401 - any buffer
    # numcodecs takes Fortran-ordered arrays as they are.
    return memoryview(ensure_contiguous_ndarray(buf, flatten=True)).cast("B")


def _chunk_array(spec: ArraySpec) -> ChunkArray | None:
    """Give the array of a chunk; None for elements of no fixed size, such as strings."""
    dtype = spec.dtype.to_native_dtype()
    return None if dtype.kind in "OT" else ChunkArray(Dtype.of(dtype), spec.shape)
