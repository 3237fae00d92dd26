"""The formulas of `encoded_size`: not below the bounds of the libraries, nor what codecs write."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chonkle.formats.declared import Declared
from chonkle.formats.signature import Signature
from tests.golden.shipped import Shipped

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
