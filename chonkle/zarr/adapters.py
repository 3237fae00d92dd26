"""One codec of chonkle as a codec of zarr-python, or of numcodecs.

Classes are made of signatures: no codec has Python of its own.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np
from numcodecs.abc import Codec as Numcodec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.dtype import parse_dtype
from zarr.errors import UnknownCodecError
from zarr.registry import (
    _codec_registries,  # noqa: PLC2701 - the classes beside the chosen one
    _missing_codec_message,  # noqa: PLC2701 - knows the packages that have a codec
)

from chonkle.arrays import elements_of, numpy_dtype
from chonkle.codecs import ChunkCodec
from chonkle.dag.codec_list import ArraySpec as ChunkArray
from chonkle.errors import CodecError, PipelineError, ResolveError
from chonkle.formats.dtypes import Dtype
from chonkle.formats.signature import CodecKind
from chonkle.zarr.options import Options
from chonkle.zarr.references import REFERENCE, is_reference, make_codec


@dataclass(frozen=True)
class _ZarrCodec:
    """What the Zarr 3 codecs of the three kinds share.

    Attributes:
        configuration: the codec's configuration in metadata; None where these have none.
        codec: what runs it.
    """

    codec_name: ClassVar[str]

    configuration: dict[str, Any] | None
    codec: ChunkCodec = field(compare=False, repr=False)

    def __init__(self, **configuration: Any) -> None:  # noqa: ANN401 - by its signature
        metadata = {"name": self.codec_name, "configuration": configuration}
        self._set(configuration, make_codec(metadata, Options.current()))

    def _set(self, configuration: dict[str, Any] | None, made: ChunkCodec) -> None:
        object.__setattr__(self, "configuration", configuration)
        object.__setattr__(self, "codec", made)
        # Zarr reads it as an attribute.
        object.__setattr__(self, "is_fixed_size", made.is_fixed_size)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:  # noqa: ANN401 - or zarr-python's own
        """Make it of its metadata.

        Metadata that only zarr-python's own codec takes give that. Where the option `strict` is
        set, chonkle's pipeline refuses it before it runs.

        Raises:
            PipelineError: the configuration is wrong.
        """
        try:
            return cls(**(data.get("configuration") or {}))
        except PipelineError:
            stock = _stock_codec(data)
            if stock is None:
                raise
            return stock

    def to_dict(self) -> dict[str, Any]:
        """Write its metadata."""
        if self.configuration is None:
            return {"name": self.codec_name}
        return {"name": self.codec_name, "configuration": dict(self.configuration)}

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Any:  # noqa: ANN401 - a codec
        """Give the codec for an array, with the metadata that zarr-python's own would write.

        Where the configuration has no meaning for the elements of the array, it is zarr-python's
        own codec, which chonkle's pipeline refuses where the option `strict` is set.

        Raises:
            ValueError: zarr-python's own codec refuses such an array.
        """
        stock = _stock_codec(self.to_dict())
        if stock is None:
            return self
        stock = stock.evolve_from_array_spec(array_spec)
        options, metadata = Options.current(), stock.to_dict()
        try:
            _require_fit(self.codec, array_spec)
        except PipelineError:
            return stock
        if metadata == self.to_dict():
            return self
        return zarr_codec(metadata, make_codec(metadata, options))

    def validate(self, **array: Any) -> None:  # noqa: ANN401 - of an array
        """Refuse an array that zarr-python's own codec refuses, before it is written.

        Args:
            array: its `shape`, `dtype` and `chunk_grid`.

        Raises:
            ValueError: zarr-python's own codec refuses it.
        """
        stock = _stock_codec(self.to_dict())
        if stock is not None:
            stock.validate(**array)

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

    def __repr__(self) -> str:
        """Write the class and the configuration, as zarr-python does."""
        values = ", ".join(f"{key}={value!r}" for key, value in (self.configuration or {}).items())
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the metadata, and what runs it."""
        return zarr_codec, (self.to_dict(), self.codec)


class _ZarrBytesBytes(_ZarrCodec, BytesBytesCodec):
    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        array = _chunk_array(chunk_spec, is_bytes=True)
        with blaming_data(self.codec):
            decoded = self.codec.run("decode", chunk_data.as_numpy_array(), array)
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        array = _chunk_array(chunk_spec, is_bytes=True)
        encoded = self.codec.run("encode", chunk_data.as_numpy_array(), array)
        return chunk_spec.prototype.buffer.from_bytes(encoded)


class _ZarrArrayBytes(_ZarrCodec, ArrayBytesCodec):
    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        data = chunk_data.as_numpy_array()
        with blaming_data(self.codec):
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
        if array is None:
            return chunk_spec
        encoded = _encoded_array(self.codec, array)
        if encoded == array:
            return chunk_spec
        dtype = parse_dtype(numpy_dtype(encoded.dtype), zarr_format=3)
        shape = encoded.shape or ()
        size = self.codec.encoded_size(array.size_bytes or 0, dtype=array.dtype, shape=array.shape)
        if size is not None and size != encoded.size_bytes:
            shape = (size // encoded.dtype.itemsize,)  # it changes the number of elements
        return replace(chunk_spec, dtype=dtype, shape=shape)

    def _decode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        stored = self.codec.decoded_dtype()
        array = chunk_data.as_numpy_array()
        with blaming_data(self.codec):
            decoded = self.codec.decode(
                elements_of(array, array), dtype=stored or dtype, shape=chunk_spec.shape
            )
        return chunk_spec.prototype.nd_buffer.from_numpy_array(decoded.astype(dtype, copy=False))

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        chunk, stored = chunk_data.as_numpy_array(), self.codec.decoded_dtype()
        if stored is not None:
            chunk = chunk.astype(numpy_dtype(stored), copy=False)
        encoded = self.codec.encode(chunk)
        spec = self.resolve_metadata(chunk_spec)
        array = np.frombuffer(encoded, spec.dtype.to_native_dtype()).reshape(spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array)


@contextmanager
def blaming_data(codec: ChunkCodec) -> Iterator[None]:
    """Turn the errors of an input within a `with` statement into those of stored data.

    Raises:
        CodecError: what a codec or a chain got does not fit the array.
    """
    try:
        yield
    except PipelineError as failure:
        names = ", ".join(f"`{each}`" for each in codec.codec_ids())
        raise CodecError(f"after decoding with {names}: {failure}") from failure


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
    stock = _stock_class(name)
    shown = stock.__name__ if stock else f"{re.sub('[^A-Za-z0-9]+', ' ', name).title()}Codec"
    return type(shown.replace(" ", ""), (_KINDS[kind],), fields)


class _OldCodec(Numcodec):  # type: ignore[misc]  # numcodecs is not typed
    """A codec of numcodecs, for Zarr 2."""

    def __init__(self, **configuration: Any) -> None:  # noqa: ANN401 - by its signature
        made = make_codec({"id": self.codec_id, **configuration}, Options.current())
        self._set(_as_numcodecs_writes(self.codec_id, configuration), made)

    def _set(self, configuration: dict[str, Any], made: ChunkCodec) -> None:
        self._configuration = configuration
        self.codec = made

    def encode(self, buf: Any) -> Any:  # noqa: ANN401 - any buffer
        """Encode a buffer; of an array, its elements as they are in memory.

        Returns:
            Bytes; of a codec of arrays an array, as numcodecs gives.

        Raises:
            TypeError: the elements are objects.
        """
        data, spec = _in_memory(buf), _array_in_memory(buf)
        encoded = self.codec.run("encode", data, spec)
        if self.codec.kind != "array-to-array":
            return encoded
        stored = self.codec.decoded_dtype() or (spec.dtype if spec else None)
        dtype = self.codec.encoded_array(ChunkArray(stored)).dtype if stored else None
        return _as_elements(encoded, dtype, buf)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401 - any buffer
        """Decode a buffer, into `out` if there is one.

        Returns:
            `out`, or bytes; of a codec of arrays an array, as numcodecs gives.

        Raises:
            TypeError: the elements of a buffer are objects.
        """
        if getattr(getattr(out, "dtype", None), "hasobject", False):
            raise TypeError("`out` is an array of objects, and has no memory to decode into")
        is_of_arrays = self.codec.kind == "array-to-array"
        data = _in_memory(buf)
        spec = _array_in_memory(buf) if is_of_arrays else None
        decoded = self.codec.run("decode", data, spec)
        if is_of_arrays:
            dtype = self.codec.decoded_dtype() or (spec.dtype if spec else None)
            decoded = _as_elements(decoded, dtype, buf)
        return decoded if out is None else ndarray_copy(decoded, out)

    def get_config(self) -> dict[str, Any]:
        """Give the configuration."""
        return {"id": self.codec_id, **self._configuration}

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the configuration, and what runs it."""
        return _old_unpickled, (self.get_config(), self.codec)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:  # noqa: ANN401 - or numcodecs' own
        """Make it of its configuration.

        A configuration that only numcodecs' own codec takes gives that, or a codec that runs
        nothing where `strict` is set.

        Raises:
            PipelineError: the configuration is wrong.
        """
        settings = {name: value for name, value in config.items() if name != "id"}
        try:
            return cls(**settings)
        except PipelineError:
            with suppress(Exception):  # it has no such codec, or refuses it in its own ways
                stock = _stock_numcodec(cls.codec_id).from_config(settings)
                return _RefusedNumcodec(stock) if Options.current().strict else stock
            raise

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the configuration
        """Give a value of the configuration, as codecs of numcodecs do."""
        found = self.__dict__.get("_configuration", {})
        if name in found:
            return found[name]
        raise AttributeError(f"`{self.codec_id}` has no `{name}`", name=name, obj=self)

    def __repr__(self) -> str:
        """Write what numcodecs writes."""
        values = ", ".join(f"{key}={value!r}" for key, value in self._configuration.items())
        return f"{type(self).__name__}({values})"


class _RefusedNumcodec(Numcodec):  # type: ignore[misc]  # numcodecs is not typed
    """A codec that `strict` refuses, so that arrays with it can be opened and listed.

    Args of the constructor:
        stock: numcodecs' own codec, which is not run.
    """

    def __init__(self, stock: Any) -> None:  # noqa: ANN401 - of numcodecs
        self.codec_id = stock.codec_id
        self._stock = stock

    def encode(self, buf: object) -> Any:  # noqa: ANN401, ARG002 - as in numcodecs
        """Refuse it.

        Raises:
            ResolveError: in any case.
        """
        raise _refused(self)

    def decode(self, buf: object, out: object = None) -> Any:  # noqa: ANN401, ARG002 - as in numcodecs
        """Refuse it.

        Raises:
            ResolveError: in any case.
        """
        raise _refused(self)

    def get_config(self) -> Any:  # noqa: ANN401 - as in numcodecs
        """Give the configuration."""
        return self._stock.get_config()


def zarr_codec(metadata: dict[str, Any], made: ChunkCodec) -> Any:  # noqa: ANN401 - a class of ours
    """Give a codec as one of Zarr 3.

    Args:
        metadata: its metadata.
        made: what runs it.
    """
    found: _ZarrCodec = object.__new__(zarr_codec_class(metadata["name"], made.kind))
    found._set(metadata.get("configuration"), made)  # noqa: SLF001 - of this module
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
            usual = _missing_codec_message(data["name"], zarr_format=3)
            raise UnknownCodecError(f"{failure}. {usual}") from failure
        return zarr_codec(data, made)


def own_codec(codec: Any, spec: ArraySpec, options: Options) -> Any:  # noqa: ANN401 - of Zarr
    """Give chonkle's codec for one of zarr-python; itself where there is none that does the same.

    Classes of others are taken for what only they do, whatever their name.

    Args:
        codec: a codec of Zarr 3.
        spec: what it encodes.
        options: how it is run.

    Raises:
        ResolveError: in strict mode, when chonkle lacks it, or its codec cannot do it.
    """
    if isinstance(codec, _ZarrCodec):
        return codec
    try:
        _require_stock(codec)
        metadata = codec.to_dict()
        made = make_codec(metadata, options)
        _require_fit(made, spec)
    except (ResolveError, PipelineError) as failure:
        if options.strict:
            raise _refused(codec) from failure
        return codec
    return zarr_codec(metadata, made)


def own_numcodec(codec: Any, options: Options) -> Any:  # noqa: ANN401 - of numcodecs
    """Give chonkle's codec for one of numcodecs, as `own_codec`.

    Raises:
        ResolveError: in strict mode, when chonkle lacks it, or its codec cannot do it.
    """
    if codec is None or isinstance(codec, _OldCodec):
        return codec
    try:
        _require_stock(codec)
        configuration = codec.get_config()
        made = make_codec(configuration, options)
    except (ResolveError, PipelineError) as failure:
        if options.strict:
            raise _refused(codec) from failure
        return codec
    return _old_unpickled(configuration, made)


def _refused(codec: object) -> ResolveError:
    return ResolveError(
        f"`strict` refuses codec `{codec_name(codec)}`, which runs outside of the sandbox",
        hint="read other arrays (with xarray: `drop_variables=[...]`), or use strict=False",
    )


def codec_name(codec: Any) -> str:  # noqa: ANN401 - of Zarr 3 or numcodecs
    """Give the name of a codec in metadata."""
    if isinstance(codec, Numcodec):
        return str(codec.codec_id)
    with suppress(Exception):  # a class of another package may have no metadata
        return str(codec.to_dict()["name"])
    return type(codec).__name__


def made_codec(codec: object) -> ChunkCodec | None:
    """Give what runs a codec of Zarr 3 or numcodecs; None for those that are not chonkle's."""
    return codec.codec if isinstance(codec, (_ZarrCodec, _OldCodec)) else None


def whole_codec(codecs: Sequence[Any], options: Options) -> ChunkCodec | None:
    """Make one codec of a chain; None where some of them are not chonkle's.

    Args:
        codecs: codecs of Zarr 3, and of numcodecs.
        options: how it is run.
    """
    made = [each for each in map(made_codec, codecs) if each is not None]
    return make_codec(made, options) if len(made) == len(codecs) else None


def _require_fit(codec: ChunkCodec, spec: ArraySpec) -> None:
    array = _chunk_array(spec, is_bytes=codec.kind == "bytes-to-bytes")
    if array is not None:
        _check(codec, array)
    elif codec.kind != "bytes-to-bytes":
        raise PipelineError(
            "an array whose elements are objects",
            expected="elements of a fixed size",
            got=f"`{spec.dtype.to_native_dtype()}`",
        )


# Zarr asks several times for each array, and few arrays of a dataset differ in these.
@lru_cache(maxsize=128)
def _check(codec: ChunkCodec, array: ChunkArray) -> None:
    codec.check(array)


@lru_cache(maxsize=128)
def _encoded_array(codec: ChunkCodec, array: ChunkArray) -> ChunkArray:
    return codec.encoded_array(array)


def _require_stock(codec: object) -> None:
    cls = type(codec)
    if cls.__module__.partition(".")[0] not in ("zarr", "numcodecs"):
        raise ResolveError(
            f"codec of the class `{cls.__module__}.{cls.__qualname__}`: chonkle has none for it"
        )


def _stock_codec(metadata: dict[str, Any]) -> Any:  # noqa: ANN401 - a class of Zarr
    """Make zarr-python's own codec of metadata; None if there is none, or it refuses them."""
    cls = _stock_class(metadata["name"])
    if cls is None:
        return None
    try:
        return cls.from_dict({"configuration": {}, **metadata})
    except Exception:  # noqa: BLE001 - each codec refuses in its own ways
        return None


def _stock_class(name: str) -> Any:  # noqa: ANN401 - a class of Zarr
    """Give zarr-python's own class with a name, if it has one; others may be chosen before it."""
    # Looked at first: asking for a name that is not there makes it.
    classes: Any = _codec_registries[name].values() if name in _codec_registries else ()
    return next((each for each in classes if each.__module__.startswith("zarr.")), None)


@cache
def numcodecs_class(name: str) -> type[_OldCodec]:
    """Make the codec of numcodecs with an id."""
    fields = {"codec_id": name, "__module__": __name__, "__doc__": f"The codec `{name}`."}
    try:
        shown = _stock_numcodec(name).__name__
    except LookupError:
        shown = name
    return type(shown, (_OldCodec,), fields)


def _as_numcodecs_writes(name: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Give a configuration with the values that numcodecs' own codec adds, if it has one."""
    try:
        written = _stock_numcodec(name).from_config(dict(configuration)).get_config()
    except Exception:  # noqa: BLE001 - it has no such codec, or refuses it in its own ways
        return configuration
    return {key: value for key, value in written.items() if key != "id"}


def _stock_numcodec(name: str) -> Any:  # noqa: ANN401 - a class
    """Give numcodecs' own class with an id.

    Raises:
        LookupError: it has none.
    """
    classes: list[Any] = [Numcodec]
    for cls in classes:
        classes += cls.__subclasses__()
        if cls.codec_id == name and cls.__module__.startswith("numcodecs."):
            return cls
    raise LookupError(name)


def _old_unpickled(configuration: dict[str, Any], made: ChunkCodec) -> _OldCodec:
    settings = dict(configuration)
    cls = numcodecs_class(settings.pop("id"))
    found: _OldCodec = cls.__new__(cls)
    found._set(settings, made)  # noqa: SLF001 - of this module
    return found


def _as_elements(data: bytes, dtype: Dtype | None, like: Any) -> Any:  # noqa: ANN401 - an array
    # A copy can be written to, as the arrays of numcodecs can.
    array = np.frombuffer(data, np.uint8 if dtype is None else numpy_dtype(dtype)).copy()
    if isinstance(like, np.ndarray) and like.size == array.size:
        return array.reshape(like.shape, order="C" if like.flags.c_contiguous else "F")
    return array


def _array_in_memory(buf: Any) -> ChunkArray | None:  # noqa: ANN401 - any buffer
    array = np.asarray(buf) if hasattr(buf, "__array_interface__") else None
    return None if array is None else ChunkArray(Dtype.of(array.dtype), array.shape)


def _in_memory(buf: Any) -> Any:  # noqa: ANN401 - any buffer
    # numcodecs takes Fortran-ordered arrays as they are.
    return memoryview(ensure_contiguous_ndarray(buf, flatten=True)).cast("B")


def _chunk_array(spec: ArraySpec, *, is_bytes: bool = False) -> ChunkArray | None:
    """Give the array of a chunk; None for elements of no fixed size, such as strings."""
    dtype = spec.dtype.to_native_dtype()
    return None if dtype.kind in "OT" else ChunkArray(Dtype.of(dtype), spec.shape, is_bytes)
