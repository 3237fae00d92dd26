"""`lz4`, and `blosc` with it, against numcodecs: the same bytes, above 64 KiB too."""

from collections.abc import Iterator

import numcodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chonkle.errors import CodecError
from tests.golden.shipped import Shipped, chunks

IMPLEMENTATION = "lz4-rs"
# Where lz4 turns from offsets of 16 bits to those of 32.
LIMIT_BYTES = (64 << 10) + 11
ACCELERATIONS = [1, 2, 3, 5, 50, 1000, 65537]
BEYOND = [-(2**31), -1, 0, 65538, 2**31 - 1]

KINDS = ["walk", "words", "first", "repeated", "rounded", "noise"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Let c-blosc use one thread: several write the blocks in the order in which they end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numcodecs.blosc, "use_threads", False)
        yield


def sample(kind: str, size: int) -> bytes:
    """Return data like those of arrays and texts."""
    random = np.random.default_rng(size)
    noise = random.bytes(size)
    match kind:
        case "walk":
            return np.cumsum(random.integers(-3, 4, size // 2)).astype("<i2").tobytes()
        case "words":
            words = random.choice([b"alpha", b"beta", b"gamma", b"x"], size // 2)
            return b" ".join(words.tolist())[:size]
        case "first":
            # What occurs again is at the start, which is also the value of an unset table entry.
            return (b"abcd" + noise[:50] + b"abcdabcd" + noise)[:size]
        case "repeated":
            return (noise[:300] * (size // 300 + 1))[:size]
        case "rounded":
            return np.sin(np.arange(size // 4) / 50).astype("<f4").round(2).tobytes()
        case _:
            return noise


def encoded_by_us(shipped: Shipped, plain: bytes, acceleration: int) -> bytes:
    call = {"bytes": plain, "acceleration": str(acceleration).encode()}
    return bytes(shipped(IMPLEMENTATION).call("encode", call)["bytes"])


def encoded_by_them(plain: bytes, acceleration: int) -> bytes:
    return bytes(numcodecs.LZ4(acceleration=acceleration).encode(plain))


@given(
    plain=st.one_of(
        chunks.filter(bool),
        st.tuples(st.sampled_from(KINDS), st.integers(4, 300_000)).map(lambda at: sample(*at)),
    ),
    acceleration=st.sampled_from(ACCELERATIONS + BEYOND),
)
@settings(max_examples=150)
def test_the_bytes_are_theirs(shipped: Shipped, plain: bytes, acceleration: int) -> None:
    encoded = encoded_by_us(shipped, plain, acceleration)
    assert encoded == encoded_by_them(plain, acceleration)
    assert shipped(IMPLEMENTATION).call("decode", {"bytes": encoded}) == {"bytes": plain}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [LIMIT_BYTES - 1, LIMIT_BYTES, LIMIT_BYTES + 1, 1 << 17, 1 << 20])
@pytest.mark.parametrize("acceleration", ACCELERATIONS)
def test_large_blocks(shipped: Shipped, kind: str, size: int, acceleration: int) -> None:
    plain = sample(kind, size)
    ours = encoded_by_us(shipped, plain, acceleration)
    assert ours == encoded_by_them(plain, acceleration)


@pytest.mark.parametrize("acceleration", [b"1.0", b"true", b'"1"', b"9223372036854775808"])
def test_no_integers(shipped: Shipped, acceleration: bytes) -> None:
    with pytest.raises(CodecError, match="port `acceleration`: expected an int"):
        shipped(IMPLEMENTATION).call("encode", {"bytes": b"some", "acceleration": acceleration})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clevel", [1, 5, 9])
@pytest.mark.parametrize("dtype", ["<u2", "<f4"])
def test_blosc(shipped: Shipped, kind: str, clevel: int, dtype: str) -> None:
    values = np.frombuffer(sample(kind, 1 << 20), dtype)
    call = {
        "bytes": values.tobytes(),
        "clevel": str(clevel).encode(),
        "typesize": str(values.itemsize).encode(),
    }
    ours = shipped("blosc-rs").call("encode", call)
    assert ours == {"bytes": numcodecs.Blosc("lz4", clevel).encode(values)}


@pytest.mark.parametrize("itemsize", [1, 255, 256, 300, 4096])
@pytest.mark.parametrize("shuffle", [-1, 0, 1, 2])
def test_blosc_with_large_elements(shipped: Shipped, itemsize: int, shuffle: int) -> None:
    """A header has one byte for the size of an element; c-blosc counts larger ones as bytes."""
    values = np.frombuffer(sample("walk", itemsize * 64), f"V{itemsize}")
    call = {
        "bytes": values.tobytes(),
        "typesize": str(itemsize).encode(),
        "shuffle": str(shuffle).encode(),
    }
    ours = shipped("blosc-rs").call("encode", call)
    assert ours == {"bytes": numcodecs.Blosc("lz4", 5, shuffle).encode(values)}
