"""`tiff-packbits` against imagecodecs and libtiff."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import CodecError
from tests.golden.shipped import Shipped

IMPLEMENTATION = "tiff-packbits-c"

# Runs of all lengths, mostly short, and bytes with some repetitions.
chunks = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.integers(0, 2), max_size=60).map(bytes),
        st.tuples(st.binary(min_size=1, max_size=1), st.integers(1, 5)).map(
            lambda run: run[0] * run[1]
        ),
        st.tuples(st.binary(min_size=1, max_size=1), st.integers(1, 3_000)).map(
            lambda run: run[0] * run[1]
        ),
    ),
    max_size=12,
).map(b"".join)


def decode(shipped: Shipped, packed: bytes, size: int | None = None) -> bytes:
    """Decode to a size or to the end."""
    more = {} if size is None else {"decoded_size": str(size).encode()}
    return shipped(IMPLEMENTATION).call("decode", {"bytes": packed, **more})["bytes"]


def encode(shipped: Shipped, plain: bytes, row_size: int | None = None) -> bytes:
    """Encode as a whole or row by row."""
    more = {} if row_size is None else {"row_size": str(row_size).encode()}
    return shipped(IMPLEMENTATION).call("encode", {"bytes": plain, **more})["bytes"]


def their_encode(plain: bytes) -> bytes:
    """Encode with imagecodecs, as a whole."""
    return bytes(imagecodecs.packbits_encode(plain))


@given(plain=chunks)
def test_ours_decodes_theirs(shipped: Shipped, plain: bytes) -> None:
    assert decode(shipped, their_encode(plain)) == plain


@given(plain=chunks)
def test_theirs_decodes_ours(shipped: Shipped, plain: bytes) -> None:
    packed = encode(shipped, plain)
    assert imagecodecs.packbits_decode(packed) == plain
    assert decode(shipped, packed) == plain
    # Ours includes a pair of equal bytes in literals; theirs may not, but never the opposite.
    assert len(packed) <= len(their_encode(plain))
    assert len(packed) <= len(plain) + -(-len(plain) // 128)


@pytest.mark.slow
@given(plain=chunks, row_size=st.integers(1, 400))
def test_rows_are_packed_by_themselves(shipped: Shipped, plain: bytes, row_size: int) -> None:
    plain = plain[: len(plain) // row_size * row_size]
    packed = encode(shipped, plain, row_size)
    rows = [plain[at : at + row_size] for at in range(0, len(plain), row_size)]
    assert packed == b"".join(encode(shipped, row) for row in rows)
    assert decode(shipped, packed) == plain
    # imagecodecs refuses an array without rows.
    if rows:
        theirs = imagecodecs.packbits_encode(np.frombuffer(plain, "u1").reshape(-1, row_size))
        assert decode(shipped, bytes(theirs)) == plain


@given(plain=chunks.filter(bool), part=st.floats(0, 1), more=st.binary())
def test_sizes(shipped: Shipped, *, plain: bytes, part: float, more: bytes) -> None:
    packed = their_encode(plain) + more
    size = int(len(plain) * part)
    assert decode(shipped, packed, size) == plain[:size]
    assert decode(shipped, packed, len(plain)) == plain
    with pytest.raises(CodecError, match="port `bytes`: "):
        decode(shipped, their_encode(plain), len(plain) + 1)


@pytest.mark.parametrize("padding", [b"\x05", b"\xff", b"\x00" * 3])
def test_padding_needs_the_size(shipped: Shipped, padding: bytes) -> None:
    packed = their_encode(b"some words") + padding
    with pytest.raises(
        CodecError, match="are missing; hint: with `decoded_size`, decoding ends at that"
    ):
        decode(shipped, packed)
    assert decode(shipped, packed, len(b"some words")) == b"some words"


@given(packed=st.binary(max_size=400))
def test_any_bytes(shipped: Shipped, packed: bytes) -> None:
    """Nearly all bytes are packets, except for a truncated last one."""
    at = 0
    while at < len(packed):
        header = packed[at]
        at += header + 2 if header < 128 else 1 if header == 128 else 2
    if at > len(packed):
        with pytest.raises(CodecError, match="port `bytes`: truncated"):
            decode(shipped, packed)
    else:
        assert decode(shipped, packed) == imagecodecs.packbits_decode(packed)


def test_libtiff_reads_ours(shipped: Shipped) -> None:
    image = np.random.default_rng(3).integers(0, 3, (256, 300), "u1")
    file = io.BytesIO()
    strips = (encode(shipped, image[row : row + 64].tobytes(), 300) for row in range(0, 256, 64))
    tifffile.imwrite(
        file, strips, shape=image.shape, dtype="u1", compression="packbits", rowsperstrip=64
    )
    assert np.array_equal(imagecodecs.tiff_decode(file.getvalue()), image)


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        ({"row_size": b"3"}, "port `bytes`: expected whole rows of 3 bytes, got 4 bytes"),
        ({"row_size": b"0"}, "port `row_size`: expected a uint from 1 to 2147483647"),
        ({"row_size": b"2147483647"}, "port `bytes`: expected whole rows of 2147483647 bytes"),
    ],
)
def test_rows_that_are_not(shipped: Shipped, ports: dict[str, bytes], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        shipped(IMPLEMENTATION).call("encode", {"bytes": b"four", **ports})


def test_a_size_that_cannot_be(shipped: Shipped) -> None:
    with pytest.raises(CodecError, match="port `bytes`: 2 bytes cannot hold 129"):
        decode(shipped, b"\x81\0", 129)
