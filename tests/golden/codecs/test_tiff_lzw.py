"""`tiff-lzw` against imagecodecs and libtiff."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import CodecError
from tests.golden.shipped import Shipped

IMPLEMENTATION = "tiff-lzw-c"
CLEAR, END, FIRST = 256, 257, 258

# Runs, and noise of few and of many values, which fill more than a table of strings.
parts = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.binary(min_size=1, max_size=4), st.integers(1, 8_000)).map(
        lambda run: run[0] * run[1]
    ),
    st.tuples(st.integers(0, 99), st.integers(1, 256), st.integers(0, 20_000)).map(
        lambda noise: (
            np.random.default_rng(noise[0]).integers(0, noise[1], noise[2], "u1").tobytes()
        )
    ),
)
chunks = st.lists(parts, max_size=4).map(b"".join)


def decode(shipped: Shipped, encoded: bytes, size: int | None = None) -> bytes:
    """Decode to a size or to the end."""
    more = {} if size is None else {"decoded_size": str(size).encode()}
    return shipped(IMPLEMENTATION).call("decode", {"bytes": encoded, **more})["bytes"]


def encode(shipped: Shipped, plain: bytes) -> bytes:
    """Encode."""
    return shipped(IMPLEMENTATION).call("encode", {"bytes": plain})["bytes"]


def their_encode(plain: bytes) -> bytes:
    """Encode with imagecodecs."""
    return bytes(imagecodecs.lzw_encode(plain))


def old_encode(plain: bytes, *, is_ended: bool = True) -> bytes:
    """Encode as before TIFF 6.0: least significant bit first, and no early change of width."""
    codes = [(CLEAR, 9)]
    strings: dict[tuple[int, int], int] = {}
    width, code = 9, -1
    for byte in plain:
        longer = byte if code < 0 else strings.get((code, byte))
        if longer is not None:
            code = longer
            continue
        codes.append((code, width))
        strings[code, byte] = FIRST + len(strings)
        code = byte
        # A decoder has one string less.
        width = max(9, min(12, (FIRST + len(strings) - 1).bit_length()))
        if len(strings) == 3800:
            codes.append((CLEAR, width))
            strings.clear()
            width = 9
    if code >= 0:
        codes.append((code, width))
        width = max(9, min(12, (FIRST + len(strings)).bit_length()))
    if is_ended:
        codes.append((END, width))
    bits = at = 0
    for code, width in codes:
        bits |= code << at
        at += width
    return bits.to_bytes((at + 7) // 8, "little")


@given(plain=chunks)
def test_ours_decodes_theirs(shipped: Shipped, plain: bytes) -> None:
    assert decode(shipped, their_encode(plain)) == plain


@given(plain=chunks)
def test_theirs_decodes_ours(shipped: Shipped, plain: bytes) -> None:
    encoded = encode(shipped, plain)
    assert imagecodecs.lzw_decode(encoded) == plain
    assert decode(shipped, encoded) == plain
    # Noise takes about eleven bits per byte.
    assert len(encoded) <= len(plain) + len(plain) // 2 + 16


@given(plain=chunks)
def test_what_old_writers_made(shipped: Shipped, plain: bytes) -> None:
    encoded = old_encode(plain)
    assert imagecodecs.lzw_decode(encoded) == plain
    assert decode(shipped, encoded) == plain


@given(plain=chunks.filter(bool), old=st.booleans(), part=st.floats(0, 1), more=st.binary())
def test_sizes(shipped: Shipped, *, plain: bytes, old: bool, part: float, more: bytes) -> None:
    encoded = (old_encode(plain) if old else their_encode(plain)) + more
    size = int(len(plain) * part)
    assert decode(shipped, encoded, size) == plain[:size]
    assert decode(shipped, encoded, len(plain)) == plain
    with pytest.raises(CodecError, match="port `bytes`: "):
        decode(shipped, encoded, len(plain) + 1)


@given(plain=chunks.filter(bool))
def test_a_stream_without_an_end_code_needs_the_size(shipped: Shipped, plain: bytes) -> None:
    encoded = old_encode(plain, is_ended=False)
    with pytest.raises(
        CodecError, match="truncated: no code of the end; hint: with `decoded_size`"
    ):
        decode(shipped, encoded)
    assert decode(shipped, encoded, len(plain)) == plain


@pytest.mark.parametrize("zeros", [1, 2, 5, 100])
def test_zeros_behind_the_end(shipped: Shipped, zeros: int) -> None:
    assert decode(shipped, their_encode(b"words") + bytes(zeros)) == b"words"


def test_libtiff_reads_ours(shipped: Shipped) -> None:
    image = np.random.default_rng(3).integers(0, 40, (512, 512), "u1")
    file = io.BytesIO()
    strips = (encode(shipped, image[row : row + 128].tobytes()) for row in range(0, 512, 128))
    tifffile.imwrite(
        file, strips, shape=image.shape, dtype="u1", compression="lzw", rowsperstrip=128
    )
    assert np.array_equal(imagecodecs.tiff_decode(file.getvalue()), image)


def test_more_codes_than_there_can_be_strings(shipped: Shipped) -> None:
    """A full table does not change until the clear code."""
    codes = [(CLEAR, 9)]
    codes += [(65 + i % 2, min(12, max(9, (FIRST + i - 1).bit_length()))) for i in range(5000)]
    bits = at = 0
    for code, width in [*codes, (END, 12)]:
        bits |= code << at
        at += width
    encoded = bits.to_bytes((at + 7) // 8, "little")
    assert decode(shipped, encoded) == b"AB" * 2500


def test_data_that_want_all_slots_for_one(shipped: Shipped) -> None:
    """A lookup takes a bounded number of tries for any data."""
    plain = bytes(range(256)) * 4000
    assert imagecodecs.lzw_decode(encode(shipped, plain)) == plain


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (b"", "no LZW stream"),
        (b"\x80", "no LZW stream"),
        (b"some words", "no LZW stream"),
        (
            b"\x80\x00",
            "truncated: no code of the end; hint: with `decoded_size`, decoding ends at that",
        ),
        (b"\x80\x40", "truncated: no code of the end"),
        (b"\x80\x7f\xff", "code 511, where there are 258"),
        (their_encode(b"words, words, words")[:-2], "truncated: no code of the end"),
    ],
)
def test_damage(shipped: Shipped, encoded: bytes, words: str) -> None:
    with pytest.raises(CodecError, match=f"port `bytes`: {words}"):
        decode(shipped, encoded)


@pytest.mark.parametrize("more", [b"x", b"\0x", b"\xff" * 20])
def test_bytes_after_the_end(shipped: Shipped, more: bytes) -> None:
    """imagecodecs reads up to the code of the end, and so do libtiff and tifffile."""
    whole = their_encode(b"words, words, words")
    encoded = whole + more
    assert decode(shipped, encoded) == imagecodecs.lzw_decode(encoded) == b"words, words, words"
    words = rf"port `bytes`: {len(more)} bytes after the end of the stream at offset {len(whole)};"
    with pytest.raises(CodecError, match=words):
        shipped(IMPLEMENTATION).call("decode", {"bytes": encoded, "trailing": b'"refuse"'})


def test_a_size_that_cannot_be(shipped: Shipped) -> None:
    with pytest.raises(CodecError, match="port `bytes`: 3 bytes cannot hold 1000000"):
        decode(shipped, their_encode(b""), 1_000_000)
