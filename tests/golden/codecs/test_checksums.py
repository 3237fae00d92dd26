"""The checksums against numcodecs."""

import json

import numcodecs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chonkle.backends.base import Codec
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from tests.golden.shipped import Shipped

LOCATED = ("adler32", "crc32", "crc32c")
CHECKSUMS = (*LOCATED, "fletcher32")
CHECKSUM_BYTES = 4
# Near these sizes, another code path of a checksum begins, or its next part.
TURNS = (0, 8, 16, 2112, 2528, 5552, 5632, 6688, 9600, 14_880, 65_536, 131_072)
SIZES = sorted({turn + more for turn in TURNS for more in (-1, 0, 1, 15, 17) if turn + more >= 0})


def call_of(data: bytes, location: str | None) -> dict[str, bytes]:
    """Return the ports of a call."""
    told = {} if location is None else {"location": json.dumps(location).encode()}
    return {"bytes": data, **told}


def agree(codec: Codec, codec_id: str, plain: bytes, location: str | None = None) -> bytes:
    """Check both directions against numcodecs; return the encoded form."""
    call = call_of(plain, location)
    encoded = bytes(NativeCodec.of(codec_id).call("encode", call)["bytes"])
    assert codec.call("encode", call) == {"bytes": encoded}
    assert codec.call("decode", call_of(encoded, location)) == {"bytes": plain}
    return encoded


@pytest.mark.parametrize("codec_id", CHECKSUMS)
@pytest.mark.parametrize("size", SIZES)
def test_sizes(shipped: Shipped, codec_id: str, size: int) -> None:
    codec = shipped(f"{codec_id}-rs")
    for plain in (np.random.default_rng(size).bytes(size), b"\xff" * size, bytes(size)):
        agree(codec, codec_id, plain)


@pytest.mark.parametrize("codec_id", LOCATED)
@given(
    plain=st.binary(max_size=400),
    repeats=st.integers(1, 60),
    location=st.sampled_from(["start", "end", None]),
)
def test_locations(
    shipped: Shipped, codec_id: str, plain: bytes, repeats: int, location: str | None
) -> None:
    agree(shipped(f"{codec_id}-rs"), codec_id, plain * repeats, location)


@given(words=st.lists(st.sampled_from([0, 1, 0xFF, 0xFF00, 0xFFFE, 0xFFFF]), max_size=900))
@example(words=[0])
@example(words=[0xFFFF])
@example(words=[1, 0xFFFE])
def test_both_zeros_of_fletcher32(shipped: Shipped, words: list[int]) -> None:
    """A sum modulo 65535 is 0 when all words are 0, and 65535 otherwise."""
    agree(shipped("fletcher32-rs"), "fletcher32", np.array(words, ">u2").tobytes())


# Longer than data that Hypothesis draws byte by byte.
LONG = st.builds(
    lambda unit, size: (unit * 100)[:size],
    st.binary(min_size=97, max_size=97),
    st.integers(9600, 9700),
)


@pytest.mark.parametrize("codec_id", CHECKSUMS)
@given(data=st.data())
def test_every_changed_bit_is_found(shipped: Shipped, codec_id: str, data: st.DataObject) -> None:
    codec = shipped(f"{codec_id}-rs")
    plain = data.draw(st.binary(max_size=200) | LONG)
    encoded = bytearray(codec.call("encode", {"bytes": plain})["bytes"])
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CodecError, match=r"port `bytes`: wrong checksum, expected [0-9a-f]{8}"):
        codec.call("decode", {"bytes": bytes(encoded)})


@pytest.mark.parametrize("codec_id", CHECKSUMS)
@pytest.mark.parametrize("size", range(CHECKSUM_BYTES))
def test_no_room_for_a_checksum(shipped: Shipped, codec_id: str, size: int) -> None:
    with pytest.raises(CodecError, match="port `bytes`: truncated"):
        shipped(f"{codec_id}-rs").call("decode", {"bytes": bytes(size)})


@pytest.mark.parametrize("codec_id", LOCATED)
def test_locations_that_there_are_not(shipped: Shipped, codec_id: str) -> None:
    for direction in ("decode", "encode"):
        with pytest.raises(CodecError, match='port `location`: expected `"start"` or `"end"`'):
            shipped(f"{codec_id}-rs").call(direction, call_of(bytes(9), "middle"))


@given(
    plain=st.binary(max_size=100),
    initval=st.integers(0, 2**32 - 1),
    prefix=st.none() | st.binary(max_size=40),
)
@example(plain=b"", initval=0, prefix=None)
@example(plain=b"", initval=3, prefix=b"")
@example(plain=bytes(12), initval=0, prefix=bytes(12))
def test_lookup3(shipped: Shipped, plain: bytes, initval: int, prefix: bytes | None) -> None:
    codec = shipped("jenkins_lookup3-c")
    call = {"bytes": plain, "initval": str(initval).encode()}
    call |= {} if prefix is None else {"prefix": prefix}
    theirs = numcodecs.JenkinsLookup3(initval, prefix)
    # It has no view of no bytes.
    encoded = bytes(theirs.encode(np.frombuffer(plain, "u1")))
    assert codec.call("encode", call) == {"bytes": encoded}
    assert codec.call("decode", {**call, "bytes": encoded}) == {"bytes": plain}


def test_lookup3_with_another_prefix_is_wrong(shipped: Shipped) -> None:
    codec = shipped("jenkins_lookup3-c")
    encoded = codec.call("encode", {"bytes": b"data", "prefix": b"one"})
    with pytest.raises(CodecError, match="port `bytes`: wrong checksum, expected "):
        codec.call("decode", {**encoded, "prefix": b"two"})
    with pytest.raises(CodecError, match="port `initval`: expected a uint from 0 to 4294967295"):
        codec.call("encode", {"bytes": b"data", "initval": b"4294967296"})
    with pytest.raises(CodecError, match="port `bytes`: truncated"):
        codec.call("decode", {"bytes": b"abc"})
