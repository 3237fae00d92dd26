"""`bytes` and `transpose` against NumPy."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.base import Codec
from chonkle.errors import CodecError
from chonkle.formats.signature import DIRECTIONS, Direction
from tests.golden.shipped import Shipped

ARRAY_MAX = 20_000
AXES_MAX = 64


def ports(data: bytes, **parameters: object) -> dict[str, bytes]:
    """Return the ports of a call."""
    return {"bytes": data, **{name: json.dumps(v).encode() for name, v in parameters.items()}}


def nested(depth: int) -> object:
    """Return a structured type within others."""
    return [["a", nested(depth - 1)], ["b", "|u1"]] if depth else [["a", "<u2"]]


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@given(
    count=st.integers(0, 70),
    seed=st.integers(0, 1 << 32),
    endian=st.sampled_from(["little", "big", None]),
)
def test_bytes(shipped: Shipped, size: int, count: int, seed: int, endian: str | None) -> None:
    plain = np.random.default_rng(seed).bytes(count * size)
    ordered = np.frombuffer(plain, f"<u{size}").astype(f"{'>' if endian == 'big' else '<'}u{size}")
    parameters = {"elementsize": size} | ({} if endian is None else {"endian": endian})
    codec = shipped("bytes-c")
    assert codec.call("encode", ports(plain, **parameters)) == {"bytes": ordered.tobytes()}
    assert codec.call("decode", ports(ordered.tobytes(), **parameters)) == {"bytes": plain}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endian": "native"}, 'port `endian`: expected `"little"` or `"big"`'),
        ({"elementsize": 0}, "port `elementsize`: expected a uint from 1 to 8, got `0`"),
        ({"elementsize": 3}, "port `elementsize`: expected 1, 2, 4 or 8, got 3"),
        ({"elementsize": 16}, "port `elementsize`: expected a uint from 1 to 8, got `16`"),
        ({"elementsize": 8}, "port `bytes`: "),
        ({"dtype": "<f8"}, "port `bytes`: "),
        ({"dtype": "<f8", "endian": "little"}, "port `bytes`: "),
        ({"dtype": "<f3"}, 'port `dtype`: expected a type, or a list of fields .*, got `"<f3"`'),
        ({"dtype": []}, r"port `dtype`: expected .*, got `\[\]`"),
        ({"dtype": [["a", "<f4"], ["b"]]}, "port `dtype`: expected a type, or a list of fields"),
        ({"dtype": [["a", "<f4", [-1]]]}, "port `dtype`: expected a type, or a list of fields"),
        ({"dtype": [["a", "<f4", [0]]]}, "port `dtype`: expected a type, or a list of fields"),
        (
            {"dtype": [["a", "<f4", [1 << 30]]]},
            "port `dtype`: expected elements of less than 2 GiB",
        ),
        ({"dtype": [["a", "V9", [1 << 31]]]}, "port `dtype`: expected "),
        ({"dtype": [["a", [["b", "|u1"], ["c", ">u2"]], 1 << 20]]}, "with at most 65536 fields"),
        ({"dtype": nested(31)}, "port `bytes`: "),
        ({"dtype": nested(32)}, "port `dtype`: expected a type, or a list of fields"),
    ],
)
def test_bytes_refuses_in_words(
    shipped: Shipped, direction: Direction, changes: dict[str, object], said: str
) -> None:
    parameters = {} if "dtype" in changes else {"elementsize": 4}
    with pytest.raises(CodecError, match=said):
        shipped("bytes-c").call(direction, ports(bytes(12), **{**parameters, **changes}))


def test_a_size_counts_before_a_type(shipped: Shipped) -> None:
    call = ports(b"abcd", dtype="<f4", elementsize=2, endian="big")
    assert shipped("bytes-c").call("encode", call) == {"bytes": b"badc"}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_bytes_needs_a_type_for_big_only(shipped: Shipped, direction: Direction) -> None:
    codec = shipped("bytes-c")
    assert codec.call(direction, ports(b"abc")) == {"bytes": b"abc"}
    with pytest.raises(CodecError, match="port `dtype`: missing, needed with `big` as `endian`"):
        codec.call(direction, ports(b"abc", endian="big"))


SCALARS = st.sampled_from(
    ["|b1", "|u1", "<i2", "<f4", "<i8", "<c8", "<c16", "<M8[s]", "<m8[ns]", "<U1", "<U3", "|S5",
     "|V3"]
)  # fmt: skip
# Numbers of scalars around the sizes of a vector and of a small element.
SHAPES: st.SearchStrategy[list[int]] = st.one_of(
    st.just([]), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.just([40])
)


@st.composite
def fields(draw: st.DrawFn, depth: int = 2) -> list[list[object]]:
    """Return the fields of a structured type."""
    inner = st.one_of(SCALARS, fields(depth - 1)) if depth else SCALARS
    count = draw(st.integers(1, 5))
    listed: list[list[object]] = [
        [f"f{i}", draw(inner), *([draw(SHAPES)] * draw(st.booleans()))] for i in range(count)
    ]
    # So that the whole has a size.
    return [*listed, ["last", draw(SCALARS)]]


def numpy_type(described: object) -> object:
    """Return a type as NumPy takes it, whose fields are tuples."""
    if not isinstance(described, list):
        return described
    return [(name, numpy_type(inner), *map(tuple, shape)) for name, inner, *shape in described]


@given(
    described=st.one_of(SCALARS, fields()),
    # Several blocks of elements, and few.
    count=st.one_of(st.integers(0, 40), st.integers(1000, 1100)),
    seed=st.integers(0, 1 << 32),
    endian=st.sampled_from(["little", "big"]),
)
def test_bytes_of_any_type(
    shipped: Shipped, described: object, count: int, seed: int, endian: str
) -> None:
    dtype = np.dtype(numpy_type(described))  # type: ignore[call-overload]
    # Small bytes are characters and booleans too.
    plain = np.random.default_rng(seed).integers(0, 2, count * dtype.itemsize, "u1").tobytes()
    array = np.frombuffer(plain, dtype)
    ordered = array.astype(dtype.newbyteorder("<" if endian == "little" else ">")).tobytes()
    parameters = {"dtype": described, "endian": endian}
    codec = shipped("bytes-c")
    assert codec.call("encode", ports(plain, **parameters)) == {"bytes": ordered}
    assert codec.call("decode", ports(ordered, **parameters)) == {"bytes": plain}


def agree_on_transpose(
    codec: Codec, shape: Sequence[int], order: Sequence[int], size: int, seed: int = 0
) -> None:
    """Check both directions against NumPy."""
    plain = np.random.default_rng(seed).bytes(math.prod(shape) * size)
    array = np.frombuffer(plain, f"V{size}").reshape(shape)
    encoded = array.transpose(order).tobytes()
    parameters = {"order": list(order), "shape": list(shape), "elementsize": size}
    assert codec.call("encode", ports(plain, **parameters)) == {"bytes": encoded}
    assert codec.call("decode", ports(encoded, **parameters)) == {"bytes": plain}


# Near the sizes of a vector, a cache line and a block; 0 and 1 are special.
EXTENTS = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65])
ELEMENTS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 40, 300])


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Return a shape, an order of its axes, and the size of an element."""
    shape: list[int] = []
    for extent in draw(st.lists(EXTENTS, max_size=6)):
        # Small enough for a test.
        shape.append(extent if math.prod([*shape, extent]) <= ARRAY_MAX else 1)
    return shape, draw(st.permutations(range(len(shape)))), draw(ELEMENTS)


@given(layout=layouts(), seed=st.integers(0, 1 << 32))
def test_transpose(shipped: Shipped, layout: tuple[list[int], list[int], int], seed: int) -> None:
    agree_on_transpose(shipped("transpose-c"), *layout, seed)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("rows", [1, 3, 15, 16, 17, 63, 64, 130])
@pytest.mark.parametrize("columns", [1, 3, 15, 16, 17, 63, 64, 130])
def test_matrices(shipped: Shipped, size: int, rows: int, columns: int) -> None:
    agree_on_transpose(shipped("transpose-c"), (rows, columns), (1, 0), size)
    agree_on_transpose(shipped("transpose-c"), (rows, 2, columns), (2, 1, 0), size)


def test_as_many_axes_as_there_may_be(shipped: Shipped) -> None:
    shape = [2 if axis % 5 == 0 else 1 for axis in range(AXES_MAX)]
    agree_on_transpose(shipped("transpose-c"), shape, range(AXES_MAX)[::-1], 2)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"order": [0]}, "port `order`: expected 2 axes, like `shape`, got 1"),
        ({"order": [0, 0]}, "port `order`: expected each axis from 0 to 1 once, got 0"),
        ({"order": [0, 2]}, "port `order`: expected each axis from 0 to 1 once, got 2"),
        ({"order": [0, 1 << 32]}, "port `order`: expected each axis from 0 to 1 once"),
        ({"order": "C"}, "port `order`: "),
        ({"shape": [3, 3]}, "port `bytes`: expected what fills `shape`, got 12 bytes"),
        ({"shape": [3, 0]}, "port `bytes`: expected what fills `shape`, got 12 bytes"),
        # Products that are 12 modulo 2^64 and modulo 2^32.
        ({"shape": [6, (1 << 63) + 1]}, "port `bytes`: expected what fills `shape`"),
        ({"shape": [6, (1 << 31) + 1]}, "port `bytes`: expected what fills `shape`"),
        ({"elementsize": 0}, "port `elementsize`: expected a uint from 1 to 2147483647, got `0`"),
        ({"elementsize": 4}, "port `bytes`: expected what fills `shape`, got 12 bytes"),
        ({"order": list(range(65)), "shape": [1] * 65}, "port `order`: "),
    ],
)
def test_transpose_refuses_in_words(
    shipped: Shipped, direction: Direction, changes: dict[str, object], said: str
) -> None:
    right = {"order": [1, 0], "shape": [3, 2], "elementsize": 2}
    with pytest.raises(CodecError, match=said):
        shipped("transpose-c").call(direction, ports(bytes(12), **{**right, **changes}))
