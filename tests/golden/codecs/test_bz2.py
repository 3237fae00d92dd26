"""`bz2` against numcodecs."""

import bz2
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from tests.golden.shipped import Shipped, chunks

IMPLEMENTATION = "bz2-rs"
LEVELS = st.integers(1, 9)


@given(streams=st.lists(st.tuples(chunks, LEVELS), min_size=1, max_size=3))
def test_ours_decodes_theirs(shipped: Shipped, streams: list[tuple[bytes, int]]) -> None:
    encoded = b"".join(bz2.compress(plain, level) for plain, level in streams)
    plain = b"".join(plain for plain, _ in streams)
    assert shipped(IMPLEMENTATION).call("decode", {"bytes": encoded}) == {"bytes": plain}


@given(plain=chunks, level=LEVELS)
def test_ours_gives_the_bytes_of_theirs(shipped: Shipped, plain: bytes, level: int) -> None:
    call = {"bytes": plain, "level": str(level).encode()}
    expected = NativeCodec.of("bz2").call("encode", call)
    assert shipped(IMPLEMENTATION).call("encode", call) == {"bytes": bytes(expected["bytes"])}


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 2, 7])
def test_data_that_just_fill_a_block(shipped: Shipped, block: int) -> None:
    """Runs of four take five bytes of a block, which is then full after fewer bytes of input."""
    for size in range(block * 80_000 - 24, block * 80_000 - 8):
        plain = bytes(value % 251 for value in range(size // 4 + 1) for _ in range(4))[:size]
        ours = shipped(IMPLEMENTATION).call("encode", {"bytes": plain, "level": b"9"})
        assert ours == {"bytes": bz2.compress(plain)}


@pytest.mark.parametrize("level", [-1, 0, 10])
def test_levels_that_there_are_not(shipped: Shipped, level: int) -> None:
    call = {"bytes": b"some", "level": str(level).encode()}
    with pytest.raises(CodecError, match="port `level`: expected an int from 1 to 9"):
        shipped(IMPLEMENTATION).call("encode", call)


def test_a_small_stream_of_much(shipped: Shipped) -> None:
    plain = bytes(40_000_000)
    encoded = bz2.compress(plain)
    assert len(encoded) < 100 * 46
    assert shipped(IMPLEMENTATION).call("decode", {"bytes": encoded}) == {"bytes": plain}


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda whole: whole[:-1],
        lambda whole: whole[:12] + b"\0" + whole[13:],
        lambda whole: whole[:-2] + bytes(2),
        lambda whole: whole + whole[:-1],
    ],
)
def test_damage(shipped: Shipped, damage: Callable[[bytes], bytes]) -> None:
    damaged = damage(bz2.compress(b"some"))
    with pytest.raises(CodecError, match="port `bytes`: bad or truncated bzip2 stream"):
        shipped(IMPLEMENTATION).call("decode", {"bytes": damaged})
