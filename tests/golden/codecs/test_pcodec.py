"""`pcodec` against numcodecs."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.pcodec import PCodec

from chonkle.errors import CodecError
from tests.golden.shipped import Shipped

IMPLEMENTATION = "pcodec-rs"
DTYPES = ("<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8")

type Config = dict[str, Any]

configs = st.fixed_dictionaries(
    {"level": st.integers(0, 12)},
    optional={
        "mode_spec": st.sampled_from(["auto", "classic"]),
        "paging_spec": st.just("equal_pages_up_to"),
        "equal_pages_up_to": st.integers(1, 3000),
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
    """Give numbers of any type: noise, few different ones, multiples, or what repeats."""
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
    """Write the ports of a call."""
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


def test_what_a_file_claims_is_not_believed(shipped: Shipped) -> None:
    """A window and a dictionary of gigabytes: a failure to allocate them would be a trap."""
    codec = shipped(IMPLEMENTATION)
    whole = bytes(PCodec().encode(np.arange(1000, dtype="<u8")))
    at = whole.index(bytes([2, 231, 3, 0]))
    dictionary = (4 | (1 << 25) - 1 << 4).to_bytes(4, "little")
    window = (0 | 2 << 4 | 23 << 8).to_bytes(4, "little")
    for claim in (dictionary, window):
        with pytest.raises(CodecError, match="port `bytes`"):
            codec.call("decode", {"bytes": whole[: at + 4] + claim + whole[at + 8 :]})
    assert len(codec.call("decode", {"bytes": whole})["bytes"]) == 8000
