"""`scale_offset` and `cast_value` against exact arithmetic, over all types."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import CodecError
from chonkle.formats.signature import DIRECTIONS, Direction
from tests.golden.shipped import Shipped

INTEGERS = ["|i1", "|u1", "<i2", ">u2", ">i4", "<u4", "<i8", ">i8", "<u8", ">u8"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
NUMBERS = INTEGERS + FLOATS
ROUNDINGS = ["nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away"]
# Up to just over two blocks of either codec.
COUNTS = st.one_of(st.integers(0, 40), st.integers(1000, 1100))

type Array = np.ndarray[Any, Any]


def ports(data: bytes, **parameters: object) -> dict[str, bytes]:
    """Return the ports of a call."""
    return {"bytes": data, **{name: json.dumps(v).encode() for name, v in parameters.items()}}


def check(
    codec: Any,
    direction: Direction,
    call: dict[str, bytes],
    expected: Array | None,
) -> None:
    """Check the result of a call, or that it is refused; any NaN is as good as another."""
    if expected is None:
        with pytest.raises(CodecError, match=r"port `bytes`: element \d+"):
            codec.call(direction, call)
        return
    found = np.frombuffer(codec.call(direction, call)["bytes"], expected.dtype)
    np.testing.assert_array_equal(found, expected)
    if expected.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def within(values: list[int], dtype: str) -> Array | None:
    """Return integers as an array, or None when one is out of range."""
    bounds = np.iinfo(dtype)
    return np.array(values, dtype) if all(bounds.min <= v <= bounds.max for v in values) else None


# ---- scale_offset ------------------------------------------------------------------------------


@st.composite
def integer_lines(draw: st.DrawFn) -> tuple[str, int, int, Array]:
    """Return a type, an offset, a scale, and integers, most of whose results fit."""
    dtype = draw(st.sampled_from(INTEGERS))
    bounds = np.iinfo(dtype)
    least, most = int(bounds.min), int(bounds.max)
    any_ = st.integers(least, most)
    offset = draw(any_ | st.integers(max(least, -9), 9))
    scale = draw(any_ | st.integers(max(least, -9), 9)) or 1
    near = draw(st.sampled_from([0, offset, least, most]))
    width = draw(st.sampled_from([3, 2**5, 2**33, 2**64]))
    low, high = max(least, near - width), min(most, near + width)
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    native = np.dtype(dtype).newbyteorder("=")
    values = random.integers(low, high, draw(COUNTS), native, endpoint=True)
    return dtype, offset, scale, values.astype(dtype)


@given(line=integer_lines(), is_multiple=st.booleans())
def test_scale_offset_of_integers(
    shipped: Shipped, *, line: tuple[str, int, int, Array], is_multiple: bool
) -> None:
    dtype, offset, scale, array = line
    codec = shipped("scale_offset-c")
    parameters = {"offset": str(offset), "scale": str(scale), "dtype": dtype}
    encoded = within([(value - offset) * scale for value in array.tolist()], dtype)
    check(codec, "encode", ports(array.tobytes(), **parameters), encoded)
    stored = array.tolist()
    if is_multiple:
        found = within([value // abs(scale) * scale for value in stored], dtype)
        stored = stored if found is None else found.tolist()
    is_whole = all(value % scale == 0 for value in stored)
    decoded = within([value // scale + offset for value in stored], dtype) if is_whole else None
    check(codec, "decode", ports(np.array(stored, dtype).tobytes(), **parameters), decoded)


@given(
    dtype=st.sampled_from(FLOATS),
    count=COUNTS,
    seed=st.integers(0, 1 << 32),
    offset=st.floats(-100, 100),
    scale=st.floats(0.01, 100) | st.floats(-100, -0.01),
)
def test_scale_offset_of_floats(
    shipped: Shipped, *, dtype: str, count: int, seed: int, offset: float, scale: float
) -> None:
    array = (np.random.default_rng(seed).standard_normal(count) * 100).astype(dtype)
    number = np.dtype(dtype).newbyteorder("=").type
    codec = shipped("scale_offset-c")
    call = ports(array.tobytes(), offset=str(offset), scale=str(scale), dtype=dtype)
    with np.errstate(over="ignore"):
        encoded = ((array - number(offset)) * number(scale)).astype(dtype)
        decoded = (array / number(scale) + number(offset)).astype(dtype)
    check(codec, "encode", call, encoded)
    check(codec, "decode", call, decoded)


@pytest.mark.parametrize(
    ("dtype", "written", "value"),
    [
        ("<i4", "5", 5),
        ("<i4", "5.0", 5),
        ("<i4", "-5e1", -50),
        ("<i4", '"-5"', -5),
        ("<u8", "18446744073709551615", 2**64 - 1),
        ("<f4", "NaN", math.nan),
        ("<f4", '"-Infinity"', -math.inf),
        ("<f4", "0x42280000", 42),
        ("<f4", "0x5140", 42),
        ("<f8", "0x4045000000000000", 42),
        ("<f2", " 4.2e1 ", 42),
        ("<f8", "1e400", math.inf),
    ],
)
def test_numbers_as_zarr_writes_them(
    shipped: Shipped, dtype: str, written: str, value: float
) -> None:
    array = np.array([value], dtype)
    call = ports(np.zeros(1, dtype).tobytes(), offset=written, dtype=dtype)
    assert shipped("scale_offset-c").call("decode", call) == {"bytes": array.tobytes()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"offset": "256"}, "port `offset`: expected a number of the type `dtype`, got `256`"),
        ({"offset": "-1"}, "port `offset`: expected a number of the type `dtype`, got `-1`"),
        ({"offset": "1.5"}, "port `offset`: expected a number of the type `dtype`"),
        ({"offset": "NaN"}, "port `offset`: expected a number of the type `dtype`"),
        ({"offset": "1 2"}, "port `offset`: expected a number of the type `dtype`"),
        ({"offset": ""}, "port `offset`: expected a number of the type `dtype`"),
        ({"offset": 1}, "port `offset`: expected a string with JSON text, got `1`"),
        ({"scale": "0"}, "port `scale`: expected a number other than 0 in `dtype`"),
        ({"scale": "-0.0", "dtype": "<f4"}, "port `scale`: expected a number other than 0"),
        ({"scale": "1e-9", "dtype": "<f2"}, "port `scale`: expected a number other than 0"),
        ({"scale": "0x123456789", "dtype": "<f4"}, "port `scale`: expected a number of the type"),
        ({"dtype": "<c8"}, "port `dtype`: expected a type of integers"),
        ({"dtype": "<u8"}, "port `bytes`: "),
    ],
)
def test_scale_offset_refuses_in_words(
    shipped: Shipped, changes: dict[str, object], said: str
) -> None:
    for direction in DIRECTIONS:
        with pytest.raises(CodecError, match=said):
            shipped("scale_offset-c").call(
                direction, ports(bytes(4), **{"dtype": "|u1", **changes})
            )


def test_scale_offset_says_which_element(shipped: Shipped) -> None:
    codec = shipped("scale_offset-c")
    values = np.zeros(5000, "<i2")
    values[4321] = 20_001
    call = ports(values.tobytes(), scale="2", dtype="<i2")
    with pytest.raises(
        CodecError, match="element 4321, less `offset` and times `scale`, is out of"
    ):
        codec.call("encode", call)
    with pytest.raises(CodecError, match="element 4321 is no multiple of `scale`"):
        codec.call("decode", call)


# ---- cast_value --------------------------------------------------------------------------------

WHOLE: dict[str, Callable[[Fraction], int]] = {
    "nearest-even": round,
    "towards-zero": math.trunc,
    "towards-positive": math.ceil,
    "towards-negative": math.floor,
    "nearest-away": lambda x: math.floor(abs(x) + Fraction(1, 2)) * (1 if x > 0 else -1),
}


def to_integer(value: Any, dtype: str, rounding: str, out_of_range: str) -> int | None:
    """Return what a number becomes, None when it is refused."""
    if not math.isfinite(value):
        return None
    bounds, whole = np.iinfo(dtype), WHOLE[rounding](Fraction(value))
    least, most = int(bounds.min), int(bounds.max)
    if least <= whole <= most:
        return whole
    if out_of_range == "clamp":
        return min(max(whole, least), most)
    return (whole - least) % (most - least + 1) + least if out_of_range == "wrap" else None


def to_float(value: Any, dtype: str, rounding: str, out_of_range: str) -> float | None:
    """Return what a number becomes, None when it is refused."""
    if not math.isfinite(value) or value == 0:
        return cast("float", value)
    info, exact = np.finfo(dtype), Fraction(value)
    bits, largest = info.nmant, Fraction(2) ** int(info.maxexp)
    exponent = math.floor(math.log2(abs(exact)))  # near enough, and set right below
    exponent += (abs(exact) >= Fraction(2) ** (exponent + 1)) - (
        abs(exact) < Fraction(2) ** exponent
    )
    unit = Fraction(2) ** (max(exponent, int(info.minexp)) - bits)
    result = WHOLE[rounding](exact / unit) * unit
    if max(abs(exact), abs(result)) >= largest:
        return math.copysign(math.inf, value) if out_of_range == "clamp" else None
    return math.copysign(float(result), value)


def some_values(draw: st.DrawFn, dtype: str) -> Array:
    """Return values of a type near the bounds of others, halves, or any."""
    kind = np.dtype(dtype).kind
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    count, way = draw(COUNTS), draw(st.sampled_from(["small", "bounds", "any"]))
    if way == "any":
        found = np.frombuffer(random.bytes(count * np.dtype(dtype).itemsize), dtype)
        return np.where(np.isnan(found), 0, found).astype(dtype) if kind == "f" else found
    if kind != "f":
        bounds = np.iinfo(dtype)
        points = [
            sign * (2**exponent * 3 // divisor) + step
            for exponent in (0, 7, 8, 11, 15, 16, 24, 31, 32, 53, 63)
            for divisor in (2, 3)
            for sign in (1, -1)
            for step in (-1, 0, 1)
        ]
        fitting = [point for point in points if bounds.min <= point <= bounds.max]
        return np.array([fitting[i] for i in random.integers(0, len(fitting), count)], dtype)
    if way == "small":
        return (random.integers(-300, 300, count) / 2).astype(dtype)
    exponents = random.choice([-149, -24, -11, 0, 7, 8, 11, 15, 16, 31, 32, 63, 64, 128], count)
    fractions = 1 + random.choice([-1, 0, 1], count) * 2.0 ** -random.integers(8, 53, count)
    signs = random.choice([-1, 1], count)
    with np.errstate(over="ignore"):
        floats: Array = (signs * fractions * 2.0**exponents).astype(dtype)
    return floats


@st.composite
def casts(draw: st.DrawFn) -> tuple[str, str, Array, str, str]:
    """Return two types, values of the first, a rounding, and what to do out of range."""
    source, target = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS))
    modes = ["error", "clamp"] if "f" in target else ["error", "clamp", "wrap"]
    rounding, mode = draw(st.sampled_from(ROUNDINGS)), draw(st.sampled_from(modes))
    return source, target, some_values(draw, source), rounding, mode


@given(way=casts())
def test_cast_value(shipped: Shipped, way: tuple[str, str, Array, str, str]) -> None:
    source, target, array, rounding, out_of_range = way
    convert = to_float if "f" in target else to_integer
    values = [convert(value, target, rounding, out_of_range) for value in array.tolist()]
    expected = None if None in values else np.array(values, target)
    parameters = {"rounding": rounding, "out_of_range": out_of_range}
    codec = shipped("cast_value-c")
    call = ports(array.tobytes(), data_type=target, dtype=source, **parameters)
    check(codec, "encode", call, expected)
    if "f" not in source or out_of_range != "wrap":
        call = ports(array.tobytes(), data_type=source, dtype=target, **parameters)
        check(codec, "decode", call, expected)


@given(
    source=st.sampled_from(FLOATS),
    target=st.sampled_from(NUMBERS),
    pairs=st.lists(
        st.tuples(
            st.sampled_from([math.nan, math.inf, -math.inf, 0, -0.0, 1.5, -2]), st.integers(0, 9)
        ),
        max_size=6,
    ),
    seed=st.integers(0, 1 << 32),
)  # fmt: skip
def test_scalar_map(
    shipped: Shipped, source: str, target: str, pairs: list[tuple[float, int]], seed: int
) -> None:
    choices = [math.nan, math.inf, -math.inf, 0, -0.0, 1.5, -2, 3]
    values = np.random.default_rng(seed).choice(choices, 700)

    def mapped(value: float) -> float | None:
        same = [
            new for old, new in pairs if old == value or (math.isnan(old) and math.isnan(value))
        ]
        convert = to_float if "f" in target else to_integer
        return same[-1] if same else convert(value, target, "towards-zero", "clamp")

    found = [mapped(value) for value in values.tolist()]
    expected = None if None in found else np.array(found, target)
    call = ports(
        values.astype(source).tobytes(),
        data_type=target,
        dtype=source,
        rounding="towards-zero",
        out_of_range="clamp",
        scalar_map=json.dumps({"encode": [[words(old), new] for old, new in pairs], "decode": []}),
    )
    check(shipped("cast_value-c"), "encode", call, expected)


def words(value: float) -> float | str:
    """Return a number as Zarr writes it."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def test_scalar_map_of_integers_is_exact(shipped: Shipped) -> None:
    values = np.array([2**63 - 2, 2**63 - 1], "<i8")
    mapping = {"encode": [[2**63 - 1, 2**64 - 5]], "decode": [[2**64 - 5, 2**63 - 1]]}
    call = ports(values.tobytes(), data_type="<u8", dtype="<i8", scalar_map=json.dumps(mapping))
    codec = shipped("cast_value-c")
    encoded = codec.call("encode", call)["bytes"]
    assert np.frombuffer(encoded, "<u8").tolist() == [2**63 - 2, 2**64 - 5]
    assert codec.call("decode", {**call, "bytes": encoded}) == {"bytes": values.tobytes()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_type": "|b1"}, "port `data_type`: expected a type of integers"),
        ({"dtype": "<c8"}, "port `dtype`: expected a type of integers"),
        ({"rounding": "up"}, 'port `rounding`: expected `"nearest-even"`, '),
        ({"out_of_range": "nan"}, 'port `out_of_range`: expected `"error"`, `"clamp"` or `"wrap"`'),
        ({"out_of_range": "wrap"}, "port `out_of_range`: expected `error` or `clamp` with floats"),
        ({"scalar_map": "[]"}, "port `scalar_map`: expected an object with lists"),
        ({"scalar_map": '{"both": []}'}, "port `scalar_map`: expected an object with lists"),
        ({"scalar_map": '{"encode": [[1]]}'}, "port `scalar_map`: expected an object with lists"),
        ({"scalar_map": '{"decode": [[0, 1.5]]}'}, "port `scalar_map`: expected an object"),
        ({"scalar_map": '{"encode": [[256, 1]]}'}, "port `scalar_map`: expected an object"),
        ({"scalar_map": '{"encode": []} x'}, "port `scalar_map`: expected an object"),
        ({"scalar_map": json.dumps({"encode": [[1, 1]] * 1001})}, "of at most 1000 pairs"),
    ],
)
def test_cast_value_refuses_in_words(
    shipped: Shipped, changes: dict[str, object], said: str
) -> None:
    parameters = {"data_type": "<f4", "dtype": "|u1", **changes}
    for direction in DIRECTIONS:
        with pytest.raises(CodecError, match=said):
            shipped("cast_value-c").call(direction, ports(bytes(4), **parameters))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "element 1234 is NaN, which no integer is; hint: the parameter `scalar_map`"),
        (-math.inf, "element 1234 is infinite, which no integer is"),
        (256, "element 1234 is out of the range of its new type; hint: the value `clamp`"),
    ],
)
def test_cast_value_says_which_element(shipped: Shipped, value: float, said: str) -> None:
    values = np.zeros(2000, ">f2")
    values[1234] = value
    call = ports(values.tobytes(), data_type="|u1", dtype=">f2")
    with pytest.raises(CodecError, match=said):
        shipped("cast_value-c").call("encode", call)
