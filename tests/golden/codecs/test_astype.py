"""`astype` against numcodecs, over all pairs of types."""

import json
import struct
import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from chonkle.formats.signature import DIRECTIONS, Direction
from tests.golden.shipped import Shipped

CODE = "astype-c"
NUMBERS = [
    "|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8",
    "<c16", ">i2", ">u2", ">i4", ">u4", ">i8", ">u8", ">f2", ">f4", ">f8", ">c8", ">c16",
]  # fmt: skip
TIMES = ["<M8[s]", ">M8[s]", "<m8[s]", ">m8[s]"]
PAIRS = [*product(NUMBERS, NUMBERS), *product(TIMES, NUMBERS + TIMES), *product(NUMBERS, TIMES)]
# Just over two blocks, in which vectors do not divide what is left.
COUNT = 1031


def ports(data: bytes, encode_dtype: str, decode_dtype: str) -> dict[str, bytes]:
    """Return the ports of a call."""
    return {
        "bytes": data,
        "encode_dtype": json.dumps(encode_dtype).encode(),
        "decode_dtype": json.dumps(decode_dtype).encode(),
    }


def agree(shipped: Shipped, direction: Direction, data: bytes, source: str, target: str) -> None:
    """Check that ours returns the result of numcodecs."""
    pair = (target, source) if direction == "encode" else (source, target)
    call = ports(data, *pair)
    # It warns of imaginary parts that are lost, and of values out of range.
    with warnings.catch_warnings(action="ignore"):
        expected = NativeCodec.of("astype").call(direction, call)["bytes"]
    assert shipped(CODE).call(direction, call) == {"bytes": expected}


def some_bytes(source: str, target: str, count: int, seed: int) -> bytes:
    """Return elements: any integers, and floats of all sizes, infinities and NaN among them.

    Out of the range of 4 unsigned bytes, NumPy's result depends on the place in the array.
    """
    dtype, random = np.dtype(source), np.random.default_rng(seed)
    if dtype.kind not in "fc":
        return random.bytes(count * dtype.itemsize)
    size = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    values = random.standard_normal(count * (dtype.itemsize // size))
    values *= 2.0 ** random.integers(-20, 70, values.size)
    values[random.random(values.size) < 1 / 20] = np.nan
    values[random.random(values.size) < 1 / 20] = -np.inf
    values[random.random(values.size) < 1 / 20] = -0.0
    if target[1:] == "u4":
        values = np.abs(np.nan_to_num(values, posinf=0, neginf=0)) % 2**32 // 2
    with np.errstate(over="ignore"):
        return values.astype(f"{dtype.byteorder}f{size}").tobytes()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair(shipped: Shipped, source: str, target: str) -> None:
    data = some_bytes(source, target, COUNT, seed=len(source))
    for direction in DIRECTIONS:
        agree(shipped, direction, data, source, target)


@given(
    pair=st.sampled_from(PAIRS),
    count=st.one_of(st.integers(0, 40), st.integers(500, 1100)),
    seed=st.integers(0, 1 << 32),
    direction=st.sampled_from(DIRECTIONS),
)
def test_sizes(
    shipped: Shipped, pair: tuple[str, str], count: int, seed: int, direction: Direction
) -> None:
    agree(shipped, direction, some_bytes(*pair, count, seed), *pair)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_floats_out_of_range_of_four_unsigned_bytes(shipped: Shipped, size: int) -> None:
    """The low bits of 8 bytes, as NumPy's scalar code has them, wherever they are."""
    values = np.array([-1.5, 3e9, -3e9, 5e9, 1e30, np.nan, np.inf, -np.inf] * 9)
    with np.errstate(over="ignore"):
        values = values.astype(f"<f{size}").astype("f8")
    wide = [int(v) if abs(v) < 2**63 else -(2**63) for v in np.nan_to_num(values, nan=np.inf)]
    call = ports(values.astype(f"<f{size}").tobytes(), "<u4", f"<f{size}")
    expected = b"".join(struct.pack("<I", value % 2**32) for value in wide)
    assert shipped(CODE).call("encode", call) == {"bytes": expected}


@pytest.mark.parametrize(
    ("encode_dtype", "decode_dtype", "size", "said"),
    [
        ("|S4", "<f4", 8, "port `encode_dtype`: expected a type of booleans"),
        ("<f4", "<U1", 8, "port `decode_dtype`: expected a type of booleans"),
        ("<M8[s]", "<M8[ms]", 8, "port `encode_dtype`: expected the unit of `decode_dtype`"),
        ("<f4", "<c16", 24, "port `bytes`: "),
    ],
)
def test_refuses_in_words(
    shipped: Shipped, encode_dtype: str, decode_dtype: str, size: int, said: str
) -> None:
    call = ports(bytes(size), encode_dtype, decode_dtype)
    with pytest.raises(CodecError, match=said):
        shipped(CODE).call("encode", call)
