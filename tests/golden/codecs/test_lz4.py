"""`lz4`, and `blosc` with it, against numcodecs: the same bytes, above 64 KiB too."""

from collections.abc import Iterator
from random import Random

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


def encoded_length(length: int, most: int) -> bytes:
    """Return the bytes of a length after the bits of a token, which hold up to `most`."""
    more, last = divmod(length - most, 255)
    return b"\xff" * more + bytes([last]) if length >= most else b""


def encoded_sequence(literals: bytes, match: tuple[int, int] | None) -> bytes:
    """Return a sequence with a match of an offset and a length, or the last one without."""
    offset, length = match or (0, 4)
    token = min(len(literals), 15) << 4 | min(length - 4, 15)
    head = bytes([token]) + encoded_length(len(literals), 15) + literals
    return head + offset.to_bytes(2, "little") + encoded_length(length - 4, 15) if match else head


def block_of(random: Random) -> bytes:
    """Return a decoded size and a block, which is often bad.

    Many blocks have no literals between matches, as those of shuffled data. An offset may be 0, or
    lie before the block.
    """
    few, evil, long = random.choice([0, 0, 3, 14, 40]), random.choice([0, 0, 0.01]), random.random()
    block, size = bytearray(), 0
    for _ in range(random.choice([2, 20, 300])):
        literals = random.randbytes(random.randint(0, few) if size else random.randint(1, 20))
        size += len(literals)
        offset = min(random.choice([random.randint(1, 17), random.randint(1, size)]), size, 65535)
        if random.random() < evil:
            offset = random.choice([0, min(size + 1, 65535)])
        length = random.choice([4, 5, 15, 16, 17, 18, 19, 33, 70])
        if random.random() < 0.02 * long:
            length = random.randint(4, 5000)
        block += encoded_sequence(literals, (offset, length))
        size += length
    last = random.randbytes(random.choice([0, 4, 5, 6, 7, 12, 20, 40, 300]))
    block += encoded_sequence(last, None)
    size += len(last)
    if random.random() < 0.3:
        block[random.randrange(len(block))] = random.choice([0, 255, random.randrange(256)])
    if random.random() < 0.2:
        del block[-random.randint(1, 30) :]
    if random.random() < 0.2:
        size = max(1, size + random.randint(-40, 40))
    return size.to_bytes(4, "little") + block


def test_bad_blocks(shipped: Shipped) -> None:
    """What lz4 refuses is refused, and what it decodes has the same bytes."""
    random = Random(1)  # noqa: S311 - not a secret
    refused = 0
    for _ in range(1000):
        call = {"bytes": block_of(random)}
        try:
            plain = bytes(numcodecs.LZ4().decode(call["bytes"]))
        except RuntimeError:
            refused += 1
            with pytest.raises(CodecError):
                shipped(IMPLEMENTATION).call("decode", call)
        else:
            assert shipped(IMPLEMENTATION).call("decode", call) == {"bytes": plain}
    assert 200 < refused < 800


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
