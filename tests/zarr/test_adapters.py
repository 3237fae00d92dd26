"""chonkle's codecs as codecs of zarr-python and of numcodecs."""

import asyncio
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.dtype import parse_dtype
from zarr.registry import get_codec_class

import chonkle.zarr
from tests.zarr.conftest import Side

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in:UserWarning")

_CODECS: list[tuple[str, dict[str, Any]]] = [
    ("gzip", {"level": 1}),
    ("zstd", {"level": 1, "checksum": True}),
    ("blosc", {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}),
    ("crc32c", {}),
    ("bytes", {"endian": "big"}),
    ("transpose", {"order": [1, 0]}),
    *((f"numcodecs.{name}", {}) for name in ("crc32", "adler32", "fletcher32", "zlib", "bz2")),
    ("numcodecs.shuffle", {"elementsize": 4}),
    ("numcodecs.delta", {"dtype": "<i4"}),
    ("numcodecs.astype", {"encode_dtype": "<i2", "decode_dtype": "<i4"}),
]
_DATA = np.arange(24, dtype="<i4").reshape(4, 6)


def _spec() -> ArraySpec:
    return ArraySpec(
        shape=_DATA.shape,
        dtype=parse_dtype(_DATA.dtype, zarr_format=3),
        fill_value=0,
        config=ArrayConfig(order="C", write_empty_chunks=False),
        prototype=default_buffer_prototype(),
    )


def _made(name: str, configuration: dict[str, Any]) -> Any:
    codec = get_codec_class(name).from_dict({"name": name, "configuration": configuration})
    return codec.evolve_from_array_spec(_spec())


def _encoded_size(codec: Any) -> object:
    try:
        return codec.compute_encoded_size(_DATA.nbytes, _spec())
    except NotImplementedError:
        return None


@pytest.mark.parametrize(("name", "configuration"), _CODECS)
def test_a_codec_of_zarr(name: str, configuration: dict[str, Any], sides: dict[str, Side]) -> None:
    prototype = default_buffer_prototype()
    with sides["stock"]():
        stock = _made(name, configuration)
    with sides["ours"]():
        ours = _made(name, configuration)
        named = _made(f"chonkle.{name.removeprefix('numcodecs.')}", configuration)
    assert type(ours) is not type(stock)
    assert ours.to_dict() == stock.to_dict()
    assert type(named).__mro__[1] is type(ours).__mro__[1]
    # zarr-python says it of fewer codecs.
    assert _encoded_size(stock) in (_encoded_size(ours), None)
    assert ours.is_fixed_size == (_encoded_size(ours) is not None)
    assert ours.resolve_metadata(_spec()).dtype == stock.resolve_metadata(_spec()).dtype
    assert ours.resolve_metadata(_spec()).shape == stock.resolve_metadata(_spec()).shape
    data: Any = (
        prototype.buffer.from_bytes(_DATA.tobytes())
        if isinstance(ours, BytesBytesCodec)
        else prototype.nd_buffer.from_numpy_array(_DATA)
    )
    encoded = stock._encode_sync(data, _spec())  # noqa: SLF001 - what pipelines call
    assert _encoded_size(ours) in (encoded.as_numpy_array().nbytes, None)
    for decode in (ours._decode_sync, lambda *given: asyncio.run(ours._decode_single(*given))):  # noqa: SLF001
        np.testing.assert_array_equal(
            decode(encoded, _spec()).as_numpy_array(), data.as_numpy_array()
        )
    for encode in (ours._encode_sync, lambda *given: asyncio.run(ours._encode_single(*given))):  # noqa: SLF001
        found = stock._decode_sync(encode(data, _spec()), _spec())  # noqa: SLF001
        np.testing.assert_array_equal(found.as_numpy_array(), data.as_numpy_array())


def test_a_codec_of_numcodecs_takes_arrays_as_they_are_in_memory() -> None:
    data = np.asfortranarray(_DATA)
    stock = numcodecs.Delta("<i4")
    with chonkle.zarr.using():
        ours = numcodecs.get_codec(stock.get_config())
    encoded = ours.encode(data)
    np.testing.assert_array_equal(np.ravel(encoded, "A"), stock.encode(data))
    assert encoded.dtype == stock.encode(data).dtype
    out = np.empty_like(data)
    assert ours.decode(stock.encode(data), out) is out
    np.testing.assert_array_equal(out, data)
    assert (ours.dtype, repr(ours)) == (stock.dtype, "Delta(dtype='<i4', astype='<i4')")


def test_out_of_another_size_is_an_error() -> None:
    with chonkle.zarr.using():
        ours = numcodecs.get_codec({"id": "zlib"})
    encoded = ours.encode(b"12345678")
    assert bytes(ours.decode(encoded, bytearray(8))) == b"12345678"
    with pytest.raises(ValueError, match=r"7|size|shape"):
        ours.decode(encoded, bytearray(7))


@pytest.mark.parametrize("configuration", [{"id": "zlib"}, {"id": "delta", "dtype": "<i8"}])
def test_arrays_of_objects_are_a_type_error(configuration: dict[str, Any]) -> None:
    objects = np.arange(10).astype(object)
    with chonkle.zarr.using():
        ours = numcodecs.get_codec(configuration)
    encoded = ours.encode(np.arange(10))
    for method, *given in (
        (ours.encode, objects),
        (ours.decode, objects),
        # Of a size that fits, each byte would become an integer of Python.
        (ours.decode, encoded, np.empty(80, object)),
    ):
        with pytest.raises(TypeError, match="object"):
            method(*given)


def test_what_only_numcodecs_takes_is_numcodecs_codec() -> None:
    configuration = {"id": "categorize", "labels": ["a", "b"], "dtype": "|O", "astype": "|u1"}
    with chonkle.zarr.using():
        codec = numcodecs.get_codec(configuration)
    assert type(codec) is numcodecs.Categorize


@pytest.mark.parametrize(
    ("shape", "dtype", "order", "codec"),
    [
        ((), ">f4", "C", {"id": "quantize", "digits": 2, "dtype": ">f4"}),
        ((2, 3), "<f4", "F", {"id": "bitround", "keepbits": 20}),
    ],
)
def test_what_zarr_python_does_not_read_back(
    shape: tuple[int, ...], dtype: str, order: Any, codec: dict[str, Any]
) -> None:
    data = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape) + 84
    with chonkle.zarr.using():
        array: Any = zarr.create_array(
            zarr.storage.MemoryStore(),
            shape=shape,
            chunks=shape,
            dtype=dtype,
            order=order,
            zarr_format=2,
            filters=[numcodecs.get_codec(codec)],
            compressors=None,
        )
        array[...] = data
        np.testing.assert_array_equal(array[...], data)
