"""`pcodec` against numcodecs."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.pcodec import PCodec

from chonkle.errors import CodecError, LimitExceeded
from tests.golden.shipped import Shipped

IMPLEMENTATION = "pcodec-rs"
DTYPES = ("<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8")

type Config = dict[str, Any]

configs = st.fixed_dictionaries(
    {"level": st.integers(0, 12)},
    optional={
        "mode_spec": st.sampled_from(["auto", "classic"]),
        "paging_spec": st.just("equal_pages_up_to"),
        # More than the numbers that a page can hold counts as that.
        "equal_pages_up_to": st.integers(1, 3000) | st.sampled_from([1 << 24, 1 << 25, 1 << 40]),
    },
)
deltas = st.one_of(
    st.sampled_from([{}, {"delta_spec": "no_op"}, {"delta_spec": "try_lookback"}]),
    st.integers(0, 7).map(lambda order: {"delta_encoding_order": order}),
    st.integers(0, 7).map(
        lambda order: {"delta_spec": "try_consecutive", "delta_encoding_order": order}
    ),
)


@st.composite
def numbers(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Return numbers of any type: noise, few distinct values, multiples, or repetitions."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    count = draw(st.integers(0, 1500))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    noise = np.frombuffer(random.bytes(count * dtype.itemsize), dtype)
    match draw(st.sampled_from(["noise", "few", "multiples", "repeated"])):
        case "noise":
            return noise
        case "few":
            return random.choice(noise, count) if count else noise
        case "multiples":
            return (random.integers(0, 1000, count) * 3).astype(dtype)
        case _:
            return np.resize(noise[: count // 5 + 1], count)


def call_of(values: np.ndarray[Any, Any], config: Config) -> dict[str, bytes]:
    """Return the ports of a call."""
    scalars = {"dtype": values.dtype.str, **config}
    return {
        "bytes": values.tobytes(),
        **{name: json.dumps(value).encode() for name, value in scalars.items()},
    }


@given(values=numbers(), config=configs, delta=deltas)
def test_both_directions(
    shipped: Shipped, values: np.ndarray[Any, Any], config: Config, delta: Config
) -> None:
    config = config | delta
    theirs = bytes(PCodec(**config).encode(values))
    codec = shipped(IMPLEMENTATION)
    assert codec.call("decode", {"bytes": theirs}) == {"bytes": values.tobytes()}
    ours = bytes(codec.call("encode", call_of(values, config))["bytes"])
    decoded = PCodec().decode(ours)
    assert (b"" if decoded is None else np.asarray(decoded).tobytes()) == values.tobytes()
    assert codec.call("decode", {"bytes": ours}) == {"bytes": values.tobytes()}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"level": 13}, "port `level`"),
        ({"mode_spec": "dict"}, "port `mode_spec`"),
        ({"delta_spec": "try_consecutive"}, "needs `delta_encoding_order`"),
        ({"delta_spec": "no_op", "delta_encoding_order": 1}, "only for `try_consecutive`"),
        ({"delta_encoding_order": 8}, "port `delta_encoding_order`"),
        ({"equal_pages_up_to": 0}, "port `equal_pages_up_to`"),
        ({"paging_spec": "exact"}, "port `paging_spec`"),
        ({"dtype": ">f4"}, "port `dtype`: expected little-endian"),
        ({"dtype": "|u1"}, "port `dtype`: expected numbers of 2, 4 or 8 bytes"),
        ({"dtype": "<c8"}, "port `dtype`"),
        ({"dtype": "<f8"}, "port `bytes`: expected whole items of 8 bytes"),
    ],
)
def test_what_is_refused(shipped: Shipped, config: Config, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        shipped(IMPLEMENTATION).call("encode", call_of(np.arange(3, dtype="<f4"), config))


def test_sizes_in_a_header_are_not_trusted(shipped: Shipped) -> None:
    """A header with a window or dictionary of gigabytes: pco would trap when memory is out."""
    codec = shipped(IMPLEMENTATION)
    whole = bytes(PCodec().encode(np.arange(1000, dtype="<u8")))
    at = whole.index(bytes([2, 231, 3, 0]))
    dictionary = (4 | (1 << 25) - 1 << 4).to_bytes(4, "little")
    window = (0 | 2 << 4 | 23 << 8).to_bytes(4, "little")
    for claim in (dictionary, window):
        with pytest.raises(CodecError, match="port `bytes`"):
            codec.call("decode", {"bytes": whole[: at + 4] + claim + whole[at + 8 :]})
    assert len(codec.call("decode", {"bytes": whole})["bytes"]) == 8000


def repeated(count: int, dtype: str) -> np.ndarray[Any, Any]:
    """Return multiples of a number, with a little noise, repeated many times."""
    random = np.random.default_rng(3)
    values = random.integers(0, 90, 1 + count // 9) * 101 + (random.random(1 + count // 9) < 0.1)
    return np.resize(values, count).astype(dtype)


def noise(count: int, dtype: str) -> np.ndarray[Any, Any]:
    """Return random numbers."""
    size = np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(3).bytes(count * size), dtype)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "config"),
    [
        (np.zeros(262_144, "<f4"), {}),
        (noise(200_000, "<f8"), {"delta_spec": "no_op"}),
        (noise(200_000, "<u2"), {"mode_spec": "classic"}),
        (noise(131_072, "<f2"), {"mode_spec": "classic", "delta_encoding_order": 7}),
        (repeated(131_072, "<i8"), {"delta_spec": "try_lookback", "level": 12}),
        (repeated(150_000, "<u4"), {"delta_spec": "try_lookback", "equal_pages_up_to": 20_000}),
        (repeated(262_144, "<f4").round(1), {"level": 0}),
        (np.sort(noise(60_000, "<u8")), {"level": 12}),
    ],
    ids=lambda given: json.dumps(given) if isinstance(given, dict) else given.dtype.str,
)
@pytest.mark.parametrize("form", ["core", "component"])
def test_want_of_memory_is_no_trap(
    shipped: Shipped, form: str, values: np.ndarray[Any, Any], config: Config
) -> None:
    """The codec makes sure of the memory that pco needs, as pco traps when memory is out."""
    codec = shipped(IMPLEMENTATION)
    plain = call_of(values, config)
    encoded = codec.call("encode", plain)
    refused = {"encode": 0, "decode": 0}
    for size in range(1 << 20, 20 << 20, 5 << 16):
        codec = shipped(IMPLEMENTATION, form=form, memory_bytes=size)
        try:
            assert codec.call("encode", plain) == encoded
        except LimitExceeded:
            refused["encode"] += 1
        try:
            assert codec.call("decode", encoded) == {"bytes": values.tobytes()}
        except LimitExceeded:
            refused["decode"] += 1
    assert 0 < refused["decode"] <= refused["encode"] < 60


def test_numbers_of_an_expected_type(shipped: Shipped) -> None:
    codec = shipped(IMPLEMENTATION)
    for found in DTYPES:
        values = np.arange(5).astype(found)
        call = {"bytes": bytes(PCodec().encode(values))}
        for expected in DTYPES:
            if expected == found:
                given = codec.call(
                    "decode", {**call, "expected_dtype": json.dumps(expected).encode()}
                )
                assert given == {"bytes": values.tobytes()}
                continue
            name = f"{found[1]}{values.itemsize * 8}"
            with pytest.raises(CodecError, match=f"expected `expected_dtype`, got {name}"):
                codec.call("decode", {**call, "expected_dtype": json.dumps(expected).encode()})
    # Without numbers there is no type.
    empty = {"bytes": bytes(PCodec().encode(np.empty(0, "<f4"))), "expected_dtype": b'"<i4"'}
    assert codec.call("decode", empty) == {"bytes": b""}


def test_claims_that_memory_is_too_little_for(shipped: Shipped) -> None:
    """A few bytes can require large decoder tables, with limits below and above their size."""
    whole = bytes(PCodec().encode(np.arange(1000, dtype="<u8")))
    at = whole.index(bytes([2, 231, 3, 0]))
    # A mode without numbers of its own, no deltas, and a header with the most bins.
    claim = (14 << 8 | (1 << 14) << 12).to_bytes(5, "little")
    for size in range(5 << 16, 48 << 16, 1 << 16):
        with pytest.raises((CodecError, LimitExceeded)):
            shipped(IMPLEMENTATION, memory_bytes=size).call(
                "decode", {"bytes": whole[: at + 4] + claim + bytes(40)}
            )
