"""The formulas of `encoded_size`: not below the bounds of the libraries, nor what codecs write.

Of codecs and of chains of them, as `ChunkCodec` computes them for its callers.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Backend
from chonkle.codecs import ChunkCodec, codec
from chonkle.formats.declared import Declared
from chonkle.formats.signature import Signature
from tests.golden.shipped import Shipped, chunks

SOURCES = Path(__file__).parents[3] / "codec-src"
NAMES = [
    "adler32-rs", "blosc-rs", "bz2-rs", "crc32-rs", "crc32c-rs", "deflate-rs", "fletcher32-rs",
    "gzip-rs", "lz4-rs", "lzma-rs", "zlib-rs", "zstd-rs",
]  # fmt: skip


def zlib_bound(size: int) -> int:
    """Return zlib's `compressBound`."""
    return size + (size >> 12) + (size >> 14) + (size >> 25) + 13


def zstd_bound(size: int) -> int:
    """Return `ZSTD_COMPRESSBOUND`."""
    return size + (size >> 8) + (max((128 << 10) - size, 0) >> 11)


# The bounds that the libraries document, with the header of the codec.
BOUNDS: dict[str, Callable[[int], int]] = {
    "blosc-rs": lambda size: size + 16,  # BLOSC_MAX_OVERHEAD
    "bz2-rs": lambda size: size + size // 100 + 600,  # "1% larger [...] plus six hundred bytes"
    "deflate-rs": zlib_bound,
    "gzip-rs": lambda size: zlib_bound(size) + 12,
    "lz4-rs": lambda size: 4 + size + size // 255 + 16,  # LZ4_COMPRESSBOUND
    "zlib-rs": zlib_bound,
    "zstd-rs": zstd_bound,
}
SIZES = [0, 1, 15, 127, 128, 5000, 65_535, 65_536, 100_001, 131_072, 1 << 20, 3_000_001]
OPTIONS: dict[str, list[dict[str, object]]] = {
    "blosc-rs": [{"cname": name} for name in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")],
    "bz2-rs": [{"level": 1}, {"level": 9}],
    "deflate-rs": [{"level": 0}, {"level": 1}, {"level": 9}],
    "gzip-rs": [{"level": 0}, {"level": 1}, {"level": 9}],
    "lzma-rs": [
        {"preset": 0},
        {"format": 2, "preset": 0},
        {"format": 2, "preset": 6},
        {"format": 3, "filters": json.dumps([{"id": 0x4000000000000001, "lp": 4, "lc": 0}])},
    ],
    "zlib-rs": [{"level": 0}, {"level": 1}, {"level": 9}],
    "zstd-rs": [{"level": -5}, {"level": 3, "checksum": True}, {"level": 12}],
}


def most_of(name: str, size: int, **values: object) -> int:
    """Return the largest encoded size that a signature says."""
    text = (SOURCES / name / "signature.json").read_text(encoding="utf-8")
    signature = Signature.from_json(json.loads(text))
    most = Declared.of(signature).encoded_bytes({"bytes": size}, values)
    assert most is not None
    return most


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("size", [*SIZES, 1 << 30])
def test_bounds_of_the_libraries(name: str, size: int) -> None:
    assert 0 <= most_of(name, size) - BOUNDS[name](size) <= 70 + size // 1000


@pytest.mark.parametrize("name", NAMES)
def test_noise_fits(shipped: Shipped, name: str) -> None:
    noise = np.random.default_rng(7).bytes(max(SIZES))
    is_fixed = name not in BOUNDS and name != "lzma-rs"
    for size in SIZES:
        for options in OPTIONS.get(name, [{}]):
            ports = {each: json.dumps(value).encode() for each, value in options.items()}
            call = {"bytes": noise[:size], **ports}
            encoded = len(shipped(name).call("encode", call)["bytes"])
            assert encoded <= most_of(name, size)
            assert not is_fixed or encoded == most_of(name, size)


@pytest.mark.parametrize("dtype", ["<u2", "<f4", "<i8"])
@pytest.mark.parametrize("page", [1, 10, 3000, 1 << 18, 1 << 30])
def test_noise_of_numbers_fits(shipped: Shipped, dtype: str, page: int) -> None:
    item_size = np.dtype(dtype).itemsize
    noise = np.random.default_rng(7).bytes(300_000 * item_size)
    for count in (0, 1, 255, 5000, 300_000 if page > 1000 else 20_000):
        data = noise[: count * item_size]
        call = {
            "bytes": data,
            "dtype": f'"{dtype}"'.encode(),
            "equal_pages_up_to": str(page).encode(),
        }
        encoded = len(shipped("pcodec-rs").call("encode", call)["bytes"])
        most = most_of("pcodec-rs", len(data), dtype=dtype, equal_pages_up_to=page)
        assert encoded <= most


# What is drawn for a codec beside the parameters with choices and ranges.
NUMBERS = ["<i2", ">i4", "<u8", "<f4", ">f8", "|u1"]
DTYPES: dict[str, list[str]] = {
    "bitround": ["<f2", ">f4", "<f8"],
    "categorize": ["<U3", ">U1"],
    "quantize": ["<f4", ">f8"],
    "packbits": ["|b1"],
    "pcodec": ["<i2", "<u4", "<f4", "<f8", "<i8"],
    "tiff-packbits": ["<i2", "<f8"],
    "tiff-predictor-3": ["<f2", "<f4", "<f8"],
}
STORED = st.sampled_from(["<i2", "<i4", "<f8", "|u1"])
PARAMETERS: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "astype": {"encode_dtype": STORED},
    "bitround": {"keepbits": st.integers(0, 10)},
    "cast_value": {"data_type": STORED, "out_of_range": st.just("clamp")},
    "categorize": {"labels": st.just(["a", "b"]), "astype": st.sampled_from(["|u1", "<u2"])},
    "fixedscaleoffset": {"offset": st.just(0), "scale": st.just(1), "astype": STORED | st.none()},
    "quantize": {"digits": st.integers(-3, 3), "astype": st.sampled_from(["<f8", None])},
    "delta": {"astype": STORED | st.none()},
    "transpose": {"order": st.permutations([0, 1])},
    "blosc": {"clevel": st.integers(0, 9), "shuffle": st.integers(-1, 2)},
    "bz2": {"level": st.integers(1, 9)},
    "deflate": {"level": st.integers(-1, 9)},
    "gzip": {"level": st.integers(-1, 9)},
    "lzma": {"preset": st.integers(0, 3)},
    "zlib": {"level": st.integers(-1, 9)},
    "zstd": {"level": st.integers(-5, 9), "checksum": st.booleans()},
    "pcodec": {"level": st.integers(0, 9), "equal_pages_up_to": st.integers(1, 300)},
    "tiff-packbits": {"row_size": st.sampled_from([1, 2])},
}
# Not of one value, or without a size that is known before.
MANY_VALUES = {"page-split"}
SHIPPED_IDS = sorted({path.parent.name for path in SOURCES.parent.glob("codec/*/*.wasm")})
NATIVE_IDS = sorted(
    path.stem
    for path in (SOURCES.parent / "chonkle/backends/native/signatures").glob("*.json")
    if path.stem not in ("json2", "msgpack2", "pcodec")
)


@st.composite
def arrays(draw: st.DrawFn, codec_id: str) -> Any:
    """Draw an array of two dimensions; most codecs see its bytes."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES.get(codec_id, NUMBERS))))
    shape = draw(st.tuples(st.integers(0, 30), st.sampled_from([1, 10, 40])))
    size = shape[0] * shape[1] * dtype.itemsize
    noise = draw(
        st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).bytes(size))
    )
    data = (draw(chunks) + noise)[:size]
    if dtype.kind == "U":
        return np.array(["a", "b", "c"] * size)[: shape[0] * shape[1]].astype(dtype).reshape(shape)
    if dtype.kind == "b":
        return (np.frombuffer(data, "u1") % 2).astype(dtype).reshape(shape)
    found = (
        np.frombuffer(data, "u1").astype(dtype) if dtype.kind == "f" else np.frombuffer(data, dtype)
    )
    return found[: shape[0] * shape[1]].reshape(shape)


def require_sizes(made: ChunkCodec, array: Any) -> None:
    encoded = len(made.encode(array))
    described = {"dtype": array.dtype, "shape": array.shape}
    exact = made.encoded_size(array.nbytes, **described)
    most = made.encoded_size_bound(array.nbytes, **described)
    assert exact == (encoded if made.is_fixed_size else None)
    assert most is not None
    assert encoded <= most


def drawn_codec(data: st.DataObject, codec_id: str, backend: Backend | None = None) -> ChunkCodec:
    parameters: dict[str, Any] = {
        name: value
        for name, values in PARAMETERS.get(codec_id, {}).items()
        if (value := data.draw(values, label=name)) is not None
    }
    return codec(codec_id, backend=backend, **parameters)


@pytest.mark.parametrize("codec_id", [each for each in SHIPPED_IDS if each not in MANY_VALUES])
@settings(max_examples=20)
@given(data=st.data())
def test_what_a_codec_encodes_has_the_size_that_it_says(codec_id: str, data: st.DataObject) -> None:
    require_sizes(drawn_codec(data, codec_id), data.draw(arrays(codec_id)))


@pytest.mark.parametrize("codec_id", NATIVE_IDS)
@settings(max_examples=15)
@given(data=st.data())
def test_what_numcodecs_encodes_has_the_size_that_we_say(
    codec_id: str, data: st.DataObject
) -> None:
    pytest.importorskip("numcodecs")
    made, array = drawn_codec(data, codec_id, "native"), data.draw(arrays(codec_id))
    if codec_id == "delta":
        # numcodecs refuses a first number that is out of the range of `astype`.
        array = array.copy()
        array.flat[:1] = 0
    require_sizes(made, array)


FILTERS = st.sampled_from(["delta", "astype", "transpose", "fixedscaleoffset"])
COMPRESSORS = st.sampled_from(
    ["crc32c", "zstd", "zlib", "blosc", "lz4", "base64", "fletcher32", "tiff-lzw"]
)


@settings(max_examples=60)
@given(
    filters=st.lists(FILTERS, max_size=3),
    elements=st.sampled_from([[], ["bytes"], ["shuffle"], ["bytes", "shuffle"]]),
    compressors=st.lists(COMPRESSORS, max_size=4),
    data=st.data(),
)
def test_what_a_chain_encodes_has_the_size_that_its_codecs_say(
    filters: list[str], elements: list[str], compressors: list[str], data: st.DataObject
) -> None:
    chain = [drawn_codec(data, each) for each in (*filters, *elements, *compressors)]
    require_sizes(codec(chain), data.draw(arrays("delta")))
