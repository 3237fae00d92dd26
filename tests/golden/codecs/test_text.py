"""`base64` and `categorize` against numcodecs."""

import base64
import json
import re

import numcodecs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from tests.golden.shipped import Shipped

# ---- base64 ------------------------------------------------------------------------------------


@given(data=st.binary(max_size=200), repeats=st.integers(1, 5))
def test_base64(shipped: Shipped, data: bytes, repeats: int) -> None:
    codec, plain = shipped("base64-c"), data * repeats
    text = base64.b64encode(plain)
    assert codec.call("encode", {"bytes": plain}) == {"bytes": text}
    assert codec.call("decode", {"bytes": text}) == {"bytes": plain}
    # Mail has lines of 76 characters.
    lines = base64.encodebytes(plain).replace(b"\n", b" \r\n\t")
    assert codec.call("decode", {"bytes": lines}) == {"bytes": plain}


@given(
    data=st.binary(max_size=90),
    place=st.integers(0, 200),
    patch=st.binary(max_size=3) | st.sampled_from([b"=", b"==", b"====", b"A=", b" ", b"-_"]),
)
@example(data=b"", place=0, patch=b"=")
@example(data=b"ab", place=4, patch=b"=")
@example(data=b"a", place=3, patch=b"")
@example(data=b"abc", place=9, patch=b"A")
def test_damaged_base64(shipped: Shipped, data: bytes, place: int, patch: bytes) -> None:
    text = base64.b64encode(data)
    text = text[:place] + patch + text[place + 1 :]
    try:
        expected = NativeCodec.of("base64").call("decode", {"bytes": text})
    except CodecError:
        with pytest.raises(CodecError, match=r"port `bytes`: (character|truncated)"):
            shipped("base64-c").call("decode", {"bytes": text})
    else:
        assert shipped("base64-c").call("decode", {"bytes": text}) == {
            "bytes": bytes(expected["bytes"])
        }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"QUJD" * 9 + b"QU*D", "character `*` at offset 38 is not base64"),
        (b"QUJDRA", "truncated, 2 characters are missing in the last group of 4"),
        (b"QQ== QQ==", "character `Q` at offset 5 is not base64"),
        (b"Q===", "character `=` at offset 1 is not base64"),
    ],
)
def test_base64_refuses_in_words(shipped: Shipped, text: bytes, said: str) -> None:
    with pytest.raises(CodecError, match=re.escape(f"port `bytes`: {said}")):
        shipped("base64-c").call("decode", {"bytes": text})


# ---- categorize --------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


@given(
    labels=st.lists(WORDS, max_size=20),
    others=st.lists(WORDS, min_size=1, max_size=5),
    width=st.integers(1, 6),
    orders=st.tuples(st.sampled_from("<>"), st.sampled_from("<>")),
    astype=st.sampled_from(["i1", "u1", "i2", "u4", "i8"]),
    seed=st.integers(0, 1 << 32),
)
def test_categorize(
    shipped: Shipped,
    *,
    labels: list[str],
    others: list[str],
    width: int,
    orders: tuple[str, str],
    astype: str,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    dtype, stored = f"{orders[0]}U{width}", f"{orders[1]}{astype}"
    words = np.array([*labels, *others])
    array = words[random.integers(0, len(words), 60)].astype(dtype)
    theirs = numcodecs.Categorize(labels, dtype, stored)
    told = {"labels": json.dumps(labels), "dtype": dtype, "astype": stored}
    parameters = {name: json.dumps(value).encode() for name, value in told.items()}
    codec = shipped("categorize-c")
    encoded = np.asarray(theirs.encode(array)).tobytes()
    assert codec.call("encode", {"bytes": array.tobytes(), **parameters}) == {"bytes": encoded}
    numbers = random.integers(-2 if "i" in astype else 0, 25, 60).astype(stored)
    decoded = theirs.decode(numbers).tobytes()
    assert codec.call("decode", {"bytes": numbers.tobytes(), **parameters}) == {"bytes": decoded}


def test_many_labels(shipped: Shipped) -> None:
    labels = [f"label {number}" for number in range(40_000)]
    array = np.array(labels[::-1], "<U11")
    call = {"labels": json.dumps(json.dumps(labels)).encode(), "dtype": b'"<U11"'}
    codec = shipped("categorize-c")
    wide = {**call, "astype": b'"<u2"'}
    encoded = codec.call("encode", {"bytes": array.tobytes(), **wide})
    assert encoded["bytes"] == np.arange(40_000, 0, -1, dtype="<u2").tobytes()
    assert codec.call("decode", {**encoded, **wide}) == {"bytes": array.tobytes()}
    with pytest.raises(CodecError, match="`astype`: 40000 labels need larger integers than 255"):
        codec.call("encode", {"bytes": array.tobytes(), **call})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": "red"}, "port `labels`: expected a list of strings, got `red`"),
        ({"labels": '["red", 1]'}, "port `labels`: expected a list of strings"),
        ({"dtype": "<U7"}, "port `bytes`: expected whole items of 28 bytes"),
        ({"labels": '["red"]]'}, "port `labels`: expected a list of strings"),
        ({"dtype": "|S4"}, r"port `dtype`: expected a type of text \(`U`\), got"),
        ({"astype": "<f4"}, "port `astype`: expected a type of integers"),
    ],
)
def test_categorize_refuses_in_words(
    shipped: Shipped, changes: dict[str, object], said: str
) -> None:
    told = {"labels": '["red"]', "dtype": "<U5", "astype": "<i4", **changes}
    parameters = {name: json.dumps(value).encode() for name, value in told.items()}
    with pytest.raises(CodecError, match=said):
        shipped("categorize-c").call("encode", {"bytes": bytes(40), **parameters})
