"""Our filters against those of numcodecs and imagecodecs, over types, parameters and sizes."""

import json

import imagecodecs
import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from chonkle.formats.signature import DIRECTIONS, Direction
from tests.golden.shipped import Shipped

# Longer than a step of any vector loop, and short enough for a fast test.
SIZE_MAX = 700


@pytest.fixture(scope="module")
def ours(shipped: Shipped) -> Shipped:
    """Return a function that opens our filter of a codec id."""
    return lambda codec_id: shipped(f"{codec_id}-c")


def ports(data: bytes, **parameters: object) -> dict[str, bytes]:
    """Return the ports of a call."""
    return {"bytes": data, **{name: json.dumps(v).encode() for name, v in parameters.items()}}


def agree(
    ours: Shipped, codec_id: str, direction: Direction, call: dict[str, bytes]
) -> bytes | None:
    """Check that ours returns the result of numcodecs, or refuses the call as it does."""
    try:
        # An overflow is a result here, not a warning that becomes an error.
        with np.errstate(all="ignore"):
            expected = bytes(NativeCodec.of(codec_id).call(direction, call)["bytes"])
    except CodecError as refusal:
        refused = ("out of bounds", "too large to convert")
        if codec_id == "delta" and any(words in str(refusal) for words in refused):
            # NumPy refuses a first element that does not fit a signed `astype`; ours wraps it like
            # the others.
            return None
        with pytest.raises(CodecError):
            ours(codec_id).call(direction, call)
        return None
    assert ours(codec_id).call(direction, call) == {"bytes": expected}
    return expected


@given(
    data=st.binary(max_size=SIZE_MAX),
    size=st.one_of(st.integers(0, 40), st.integers(SIZE_MAX, 2 * SIZE_MAX)),
    whole=st.booleans(),
    direction=st.sampled_from(DIRECTIONS),
)
def test_shuffle(
    ours: Shipped, *, data: bytes, size: int, whole: bool, direction: Direction
) -> None:
    data = data[: len(data) // size * size] if whole and size else data
    agree(ours, "shuffle", direction, ports(data, elementsize=size))


@pytest.mark.parametrize("size", range(1, 36))
@pytest.mark.parametrize("count", [1, 15, 16, 17, 33, 1000])
def test_shuffle_of_every_size(ours: Shipped, size: int, count: int) -> None:
    data = np.random.default_rng(size).bytes(size * count)
    encoded = agree(ours, "shuffle", "encode", ports(data, elementsize=size))
    assert encoded is not None
    assert agree(ours, "shuffle", "decode", ports(encoded, elementsize=size)) == data


@given(
    data=st.binary(max_size=SIZE_MAX),
    dtype=st.sampled_from(["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "<i4", "|u1"]),
    keepbits=st.integers(0, 53),
    direction=st.sampled_from(DIRECTIONS),
)
def test_bitround(
    ours: Shipped, data: bytes, dtype: str, keepbits: int, direction: Direction
) -> None:
    size = np.dtype(dtype).itemsize
    call = ports(data[: len(data) // size * size], dtype=dtype)
    if direction == "encode":
        call |= ports(call["bytes"], keepbits=keepbits)
    elif dtype[1] != "f":
        # Decoding changes nothing, and numcodecs takes any type.
        return
    agree(ours, "bitround", direction, call)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "<i4"}, r'`dtype`: expected a type of floats \(`f2`, `f4`, `f8`\), got `"<i4"`'),
        ({"keepbits": 11}, "`keepbits`: expected a uint from 0 to 10, got `11`"),
        ({"keepbits": -1}, "`keepbits`: expected a uint from 0 to 10, got `-1`"),
    ],
)
def test_bitround_refuses_in_words(ours: Shipped, changes: dict[str, object], said: str) -> None:
    call = ports(bytes(8), **{"dtype": "<f2", "keepbits": 5, **changes})
    assert agree(ours, "bitround", "encode", call) is None
    with pytest.raises(CodecError, match=said):
        ours("bitround").call("encode", call)


@given(
    dtype=st.sampled_from(["<f2", "V3", "<f4", "<f8", ">f2", ">f4", ">f8"]),
    shape=st.tuples(st.integers(0, 3), st.integers(1, 70), st.integers(1, 20)),
    seed=st.integers(0, 1 << 32),
)
def test_floating_point_predictor(
    ours: Shipped, dtype: str, shape: tuple[int, int, int], seed: int
) -> None:
    # Any bits are a float. NumPy has none of 3 bytes; imagecodecs takes other items instead.
    size = np.dtype(dtype).itemsize
    data = np.random.default_rng(seed).bytes(int(np.prod(shape)) * size)
    rows = np.frombuffer(data, dtype).reshape(shape)
    encoded = b"" if not data else imagecodecs.floatpred_encode(rows, axis=1).tobytes()
    layout: dict[str, object]
    layout = {"bytes_per_sample": size, "width": shape[1], "samples_per_pixel": shape[2]}
    layout |= {"byte_order": "big"} if dtype[0] == ">" else {}
    codec = ours("tiff-predictor-3")
    assert codec.call("encode", ports(data, **layout)) == {"bytes": encoded}
    assert codec.call("decode", ports(encoded, **layout)) == {"bytes": data}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bytes_per_sample": 5}, "`bytes_per_sample`: expected 2, 3, 4 or 8, got `5`"),
        ({"bytes_per_sample": 1}, "`bytes_per_sample`: expected 2, 3, 4 or 8, got `1`"),
        ({"bytes_per_sample": 16}, "expected an int from 1 to 8, got `16`"),
        ({"byte_order": "native"}, '`byte_order`: expected `"little"` or `"big"`, got `"native"`'),
        ({"width": 0}, "`width`: expected an int from 1 to 2147483647, got `0`"),
        ({"width": 2147483647, "samples_per_pixel": 65535}, "whole rows of"),
    ],
)
def test_float_predictor_refuses_in_words(
    ours: Shipped, changes: dict[str, object], said: str
) -> None:
    layout: dict[str, object] = {"bytes_per_sample": 4, "width": 2, **changes}
    for direction in DIRECTIONS:
        with pytest.raises(CodecError, match=said):
            ours("tiff-predictor-3").call(direction, ports(bytes(40), **layout))


INTEGERS = ["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", ">i2", ">u4", ">i8"]
FLOATS = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"]


NUMBERS = INTEGERS + FLOATS
TIMES = ["<m8[s]", ">m8[s]"]
COMPLEX = ["<c8", "<c16", ">c8", ">c16"]


def array_bytes(draw: st.DrawFn, dtype: str, *, is_small: bool) -> bytes:
    """Draw elements: any integers, or floats with finite sums.

    Args:
        draw: as hypothesis gives it.
        dtype: their type.
        is_small: only whole numbers from 0 to 50 in any order, whose differences and sums fit
            every signed type: of others, the results of NumPy depend on the processor.
    """
    size = np.dtype(dtype).itemsize
    count, seed = draw(st.integers(0, SIZE_MAX // size)), draw(st.integers(0, 1 << 32))
    random = np.random.default_rng(seed)
    if is_small:
        return np.sort(random.integers(0, 50, count)).astype(dtype).tobytes()
    if dtype[1] in "iu" or (dtype[1] == "m" and draw(st.booleans())):
        return random.bytes(count * size)
    values = random.standard_normal(count) * draw(st.sampled_from([1e-3, 1, 100]))
    if dtype[1] == "m":
        values = np.where(random.random(count) < 0.1, np.nan, values * 1e15)
    if dtype[1] == "c":
        values = values + 1j * random.standard_normal(count)
    return values.astype(dtype).tobytes()


pairs = st.one_of(
    *(st.tuples(*[st.sampled_from(kind)] * 2) for kind in (INTEGERS, FLOATS, TIMES, COMPLEX)),
    st.tuples(st.sampled_from(INTEGERS), st.sampled_from(FLOATS)),
    st.tuples(st.sampled_from(FLOATS), st.sampled_from(INTEGERS)),
)


@st.composite
def delta_calls(draw: st.DrawFn) -> tuple[Direction, dict[str, bytes]]:
    """Return calls of `delta` with one type, or two."""
    direction = draw(st.sampled_from(DIRECTIONS))
    dtype, astype = draw(pairs)
    is_mixed = (dtype[1] in "iu") != (astype[1] in "iu")
    is_given = direction == "decode" or draw(st.booleans())
    source, target = (dtype, astype) if direction == "encode" else (astype, dtype)
    # Floats do not fit integers, and the first of integers may not fit smaller floats.
    is_small = is_mixed and (source[1] == "f" or target[-1] != "8") and is_given
    data = array_bytes(draw, source, is_small=is_small)
    return direction, ports(data, dtype=dtype, **({"astype": astype} if is_given else {}))


@given(call=delta_calls())
def test_delta(ours: Shipped, call: tuple[Direction, dict[str, bytes]]) -> None:
    agree(ours, "delta", *call)


def test_delta_is_exact_where_numpy_sums_floats(ours: Shipped) -> None:
    values = np.array([2**53 + 5, 3, 2**63 - 1, 0, 2**53 + 1], "<u8")
    call = ports(values.tobytes(), dtype="<u8", astype="<i8")
    encoded = agree(ours, "delta", "encode", call)
    assert encoded is not None
    assert agree(ours, "delta", "decode", {**call, "bytes": encoded}) == values.tobytes()


@given(
    flags=st.lists(st.booleans(), max_size=SIZE_MAX),
    astype=st.sampled_from(["|b1", "|u1", "|i1", "<i4", ">u2", "<u8", "<f2", "<f4", ">f8"]),
)
def test_delta_of_booleans(ours: Shipped, flags: list[bool], astype: str) -> None:
    # numcodecs decodes others than were encoded, but what it has written is enough.
    data = np.array(flags, "?").tobytes()
    encoded = numcodecs.Delta("?", astype).encode(data).tobytes() if data else b""
    call = ports(data, dtype="|b1", astype=astype)
    assert ours("delta").call("encode", call) == {"bytes": encoded}
    assert ours("delta").call("decode", {**call, "bytes": encoded}) == {"bytes": data}


def test_delta_of_dates(ours: Shipped) -> None:
    # numcodecs encodes these, and fails to decode them.
    dates = np.array(["2024-02-29", "1969-07-20", "2000-01-01"], ">M8[D]")
    for astype in (">M8[D]", "<m8[D]"):
        call = ports(dates.tobytes(), dtype=">M8[D]", astype=astype)
        encoded = {"bytes": numcodecs.Delta(">M8[D]", astype).encode(dates).tobytes()}
        assert ours("delta").call("encode", call) == encoded
        assert ours("delta").call("decode", {**call, **encoded}) == {"bytes": dates.tobytes()}


def test_delta_of_a_missing_time_is_missing(ours: Shipped) -> None:
    times = np.array([5, "NaT", 7, 8, 8], "<m8[ms]").tobytes()
    encoded = agree(ours, "delta", "encode", ports(times, dtype="<m8[ms]"))
    assert encoded is not None
    agree(ours, "delta", "decode", ports(encoded, dtype="<m8[ms]"))


@pytest.mark.parametrize(
    ("dtype", "astype", "said"),
    [
        ("<m8[s]", "<m8[ms]", "`astype`: expected the unit of `dtype`"),
        ("<m8[s]", "<m8", "`astype`: expected the unit of `dtype`"),
        ("<m8[s]", "<i8", r"`astype`: expected a type of timedeltas \(`m8`\) or datetimes"),
        ("<c8", "<f4", r"`astype`: expected a type of complex numbers \(`c8`, `c16`\), got"),
        ("<i4", "|b1", "`astype`: expected a type of integers"),
        ("|S4", "|S4", "`dtype`: expected a type of booleans"),
    ],
)
def test_delta_refuses_types_in_words(ours: Shipped, dtype: str, astype: str, said: str) -> None:
    for direction in DIRECTIONS:
        with pytest.raises(CodecError, match=said):
            ours("delta").call(direction, ports(bytes(8), dtype=dtype, astype=astype))


def some(dtype: str, count: int, seed: int) -> bytes:
    """Return elements from 0 to 50, floats with fractions."""
    return (np.random.default_rng(seed).random(count) * 50).astype(dtype).tobytes()


# Up to just over two blocks.
counts = st.one_of(st.integers(0, 40), st.integers(500, 1100))


@given(
    types=st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
    count=counts,
    seed=st.integers(0, 1 << 32),
    offset=st.floats(0, 10),
    scale=st.sampled_from([0.5, 1.0, 1.7, 2.0, 1, 2]),
    direction=st.sampled_from(DIRECTIONS),
)
def test_fixedscaleoffset(
    ours: Shipped,
    *,
    types: tuple[str, str],
    count: int,
    seed: int,
    offset: float,
    scale: float,
    direction: Direction,
) -> None:
    dtype, astype = types
    # Values that fit every integer: for others, the result of numcodecs depends on the processor.
    data = some(dtype if direction == "encode" else astype, count, seed)
    offset = -offset if direction == "encode" else offset
    call = ports(data, offset=offset, scale=scale, dtype=dtype, astype=astype)
    agree(ours, "fixedscaleoffset", direction, call)


@st.composite
def whole_calls(draw: st.DrawFn) -> dict[str, bytes]:
    """Return calls that encode any integers with whole numbers, the scale perhaps a float."""
    dtype = draw(st.sampled_from(INTEGERS))
    bounds = np.iinfo(dtype)
    near = st.integers(max(int(bounds.min) - 2, -(2**63)), min(int(bounds.max) + 2, 2**64 - 1))
    small = st.integers(-3, 10)
    scale = draw(st.one_of(near, small, st.sampled_from([0.5, 1.0, 3.0])))
    # A product with a float may not fit an integer.
    astypes = FLOATS if isinstance(scale, float) else NUMBERS
    return ports(
        np.random.default_rng(draw(st.integers(0, 1 << 32))).bytes(
            draw(counts) * np.dtype(dtype).itemsize
        ),
        offset=draw(st.one_of(near, small)),
        scale=scale,
        dtype=dtype,
        astype=draw(st.sampled_from(astypes)),
    )


@given(call=whole_calls())
def test_fixedscaleoffset_of_integers_with_whole_numbers(
    ours: Shipped, call: dict[str, bytes]
) -> None:
    agree(ours, "fixedscaleoffset", "encode", call)


@pytest.mark.parametrize(
    ("offset", "scale", "expected"),
    [(1, 1, 2**60), (1.0, 1, 2**60), (-1, 1, 2**60 + 2), (-1.0, 1, 2**60), (0, 3, 3 * 2**60 + 3)],
)
def test_fixedscaleoffset_is_exact_with_whole_numbers_only(
    ours: Shipped, offset: float, scale: int, expected: int
) -> None:
    call = ports(np.int64(2**60 + 1).tobytes(), offset=offset, scale=scale, dtype="<i8")
    encoded = agree(ours, "fixedscaleoffset", "encode", call)
    assert encoded == np.int64(expected).tobytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"offset": 256}, "`offset`: expected a uint from 0 to 255, got `256`"),
        ({"offset": -1}, "`offset`: expected a uint from 0 to 255, got `-1`"),
        ({"scale": 300}, "`scale`: expected a uint from 0 to 255, got `300`"),
        ({"scale": -129, "dtype": "|i1"}, "`scale`: expected an int from -128 to 127, got `-129`"),
    ],
)
def test_fixedscaleoffset_refuses_whole_numbers_that_do_not_fit(
    ours: Shipped, changes: dict[str, object], said: str
) -> None:
    call = ports(b"\1", **{"offset": 1, "scale": 1, "dtype": "|u1", "astype": "<f4", **changes})
    assert agree(ours, "fixedscaleoffset", "encode", call) is None
    with pytest.raises(CodecError, match=said):
        ours("fixedscaleoffset").call("encode", call)


@pytest.mark.parametrize("name", ["int8", "uint16", "int64", "float16", "float32", "float64"])
def test_names_of_types(ours: Shipped, name: str) -> None:
    # Zarr 3 uses these names.
    data = some(name, 100, seed=1)
    for direction in DIRECTIONS:
        assert agree(ours, "delta", direction, ports(data, dtype=name)) == agree(
            ours, "delta", direction, ports(data, dtype=np.dtype(name).str)
        )


def test_fixedscaleoffset_refuses_a_scale_of_zero(ours: Shipped) -> None:
    call = ports(bytes(8), offset=0.0, scale=0.0, dtype="<f4")
    assert agree(ours, "fixedscaleoffset", "encode", call) is None


@given(
    types=st.tuples(st.sampled_from(FLOATS), st.sampled_from(FLOATS)),
    count=counts,
    seed=st.integers(0, 1 << 32),
    digits=st.integers(-2, 2),
    direction=st.sampled_from(DIRECTIONS),
)
def test_quantize(
    ours: Shipped,
    *,
    types: tuple[str, str],
    count: int,
    seed: int,
    digits: int,
    direction: Direction,
) -> None:
    dtype, astype = types
    data = some(dtype if direction == "encode" else astype, count, seed)
    call = ports(data, dtype=dtype, astype=astype)
    if direction == "encode":
        call |= ports(data, digits=digits)
    agree(ours, "quantize", direction, call)


@pytest.mark.parametrize("digits", range(-308, 308))
def test_quantize_with_every_number_of_digits(ours: Shipped, digits: int) -> None:
    data = np.array([0.0, 1.5, 12345.678, 5e-324, 7e-308]).tobytes()
    with np.errstate(all="ignore"):
        agree(ours, "quantize", "encode", ports(data, dtype="<f8", digits=digits))


@given(data=st.binary(max_size=SIZE_MAX), direction=st.sampled_from(DIRECTIONS))
def test_packbits(ours: Shipped, data: bytes, direction: Direction) -> None:
    agree(ours, "packbits", direction, ports(data))


@given(flags=st.lists(st.booleans(), max_size=SIZE_MAX))
def test_packbits_gives_back_every_number_of_booleans(ours: Shipped, flags: list[bool]) -> None:
    encoded = agree(ours, "packbits", "encode", ports(bytes(flags)))
    assert encoded is not None
    assert agree(ours, "packbits", "decode", ports(encoded)) == bytes(flags)


@given(
    size=st.integers(1, 20),
    count=st.integers(0, 600),
    block=st.sampled_from([0, 8, 16, 24, 64, 128, 1 << 30]),
    seed=st.integers(0, 1 << 32),
)
def test_bitshuffle(ours: Shipped, size: int, count: int, block: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(size * count)
    # The library allocates a whole block even for less data.
    theirs = min(block, 4096)
    encoded = bytes(imagecodecs.bitshuffle_encode(data, itemsize=size, blocksize=theirs))
    parameters = {"elementsize": size, "blocksize": block}
    codec = ours("bitshuffle")
    assert codec.call("encode", ports(data, **parameters)) == {"bytes": encoded}
    assert codec.call("decode", ports(encoded, **parameters)) == {"bytes": data}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"elementsize": 0}, "`elementsize`: expected a uint from 1 to 2147483647, got `0`"),
        ({"elementsize": 3}, "`bytes`: "),
        ({"blocksize": 12}, "`blocksize`: expected a multiple of 8, got 12"),
    ],
)
def test_bitshuffle_refuses_in_words(ours: Shipped, changes: dict[str, int], said: str) -> None:
    for direction in DIRECTIONS:
        with pytest.raises(CodecError, match=said):
            ours("bitshuffle").call(direction, ports(bytes(40), **changes))
