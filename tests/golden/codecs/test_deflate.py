"""`zlib` and `gzip` against numcodecs, and `deflate` against zlib."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.base import Codec
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from tests.golden.shipped import Shipped, chunks

FORMATS = ("zlib", "gzip", "deflate")
RAW_WBITS = -15
LEVELS = st.integers(-1, 9)


def encoded_by_them(codec_id: str, plain: bytes, level: int) -> bytes:
    """Encode with the reference."""
    if codec_id == "deflate":
        return zlib.compress(plain, level, RAW_WBITS)
    call = {"bytes": plain, "level": json.dumps(level).encode()}
    return bytes(NativeCodec.of(codec_id).call("encode", call)["bytes"])


def decoded_by_them(codec_id: str, encoded: bytes) -> bytes:
    """Decode with the reference."""
    if codec_id == "deflate":
        return zlib.decompress(encoded, RAW_WBITS)
    return bytes(NativeCodec.of(codec_id).call("decode", {"bytes": encoded})["bytes"])


@pytest.mark.parametrize("codec_id", FORMATS)
@given(plain=chunks, level=LEVELS)
def test_ours_decodes_theirs(shipped: Shipped, codec_id: str, plain: bytes, level: int) -> None:
    encoded = encoded_by_them(codec_id, plain, level)
    assert shipped(f"{codec_id}-rs").call("decode", {"bytes": encoded}) == {"bytes": plain}


@pytest.mark.parametrize("codec_id", FORMATS)
@given(plain=chunks, levels=st.lists(LEVELS, min_size=1, max_size=3))
def test_theirs_decodes_ours(
    shipped: Shipped, codec_id: str, plain: bytes, levels: list[int]
) -> None:
    codec = shipped(f"{codec_id}-rs")
    for level in levels:
        call = {"bytes": plain, "level": str(level).encode()}
        encoded = codec.call("encode", call)["bytes"]
        assert decoded_by_them(codec_id, bytes(encoded)) == plain


@pytest.mark.parametrize("codec_id", FORMATS)
def test_calls_before_change_nothing(shipped: Shipped, codec_id: str) -> None:
    """State kept between calls must not change results."""
    plain = bytes(range(256)) * 40 + bytes(3000)

    def encoded(codec: Codec, level: int, data: bytes = plain) -> bytes:
        return bytes(codec.call("encode", {"bytes": data, "level": str(level).encode()})["bytes"])

    fresh = {level: encoded(shipped(f"{codec_id}-rs"), level) for level in range(10)}
    codec = shipped(f"{codec_id}-rs")
    for level in (1, 1, 6, 9, 6, 0, 1):
        encoded(codec, level, plain[::-1] * 3)
        assert encoded(codec, level) == fresh[level]
        with pytest.raises(CodecError):
            codec.call("decode", {"bytes": fresh[level][:-5]})
        assert codec.call("decode", {"bytes": fresh[level]}) == {"bytes": plain}


@pytest.mark.parametrize("level", [-2, 10])
@pytest.mark.parametrize("codec_id", FORMATS)
def test_levels_that_there_are_not(shipped: Shipped, codec_id: str, level: int) -> None:
    call = {"bytes": b"some", "level": str(level).encode()}
    with pytest.raises(CodecError, match="port `level`: expected an int from -1 to 9"):
        shipped(f"{codec_id}-rs").call("encode", call)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 5551, 5552, 5553, 5568, 11_104, 100_003])
@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\xff"])
def test_checksums_of_zlib(shipped: Shipped, size: int, byte: bytes) -> None:
    """Sizes near the bounds of its loops, and bytes with the largest sums."""
    encoded = zlib.compress(byte * size)
    codec = shipped("zlib-rs")
    assert codec.call("decode", {"bytes": encoded}) == {"bytes": byte * size}
    with pytest.raises(CodecError, match="wrong checksum"):
        codec.call("decode", {"bytes": encoded[:-1] + bytes([encoded[-1] ^ 1])})


@pytest.mark.parametrize(
    "header", [b"", b"x", b"\x78\x9d", b"\x79\x9c", b"\x88\x98", b"\x78\xbb", b"\x77\x85"]
)
def test_headers_of_zlib(shipped: Shipped, header: bytes) -> None:
    with pytest.raises(CodecError, match="bad or truncated zlib stream"):
        shipped("zlib-rs").call("decode", {"bytes": header + zlib.compress(b"some")[2:]})


@given(members=st.lists(chunks, min_size=1, max_size=4), padding=st.integers(0, 9))
def test_members_of_gzip(shipped: Shipped, members: list[bytes], padding: int) -> None:
    encoded = b"".join(map(gzip.compress, members)) + bytes(padding)
    assert shipped("gzip-rs").call("decode", {"bytes": encoded}) == {"bytes": b"".join(members)}


EXTRA, NAME, COMMENT, CHECKSUM = 4, 8, 16, 2


@given(flags=st.integers(0, 255), extra=st.binary(max_size=300), cut=st.integers(0, 400))
def test_headers_of_gzip(shipped: Shipped, flags: int, extra: bytes, cut: int) -> None:
    parts = {
        EXTRA: len(extra).to_bytes(2, "little") + extra,
        NAME: b"a name\0",
        COMMENT: b"\0",
        CHECKSUM: b"??",
    }
    header = bytes([0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 3])
    header += b"".join(part for flag, part in parts.items() if flags & flag)
    encoded = header + gzip.compress(b"some")[10:]
    codec = shipped("gzip-rs")
    if flags < 1 << 5:
        assert codec.call("decode", {"bytes": encoded}) == {"bytes": b"some"}
        encoded = encoded[: cut % len(encoded)]
    with pytest.raises(CodecError, match="bad or truncated gzip member"):
        codec.call("decode", {"bytes": encoded})


def test_gzip_without_a_time(shipped: Shipped) -> None:
    encoded = bytes(shipped("gzip-rs").call("encode", {"bytes": b"some"})["bytes"])
    assert encoded[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: whole[:-8] + b"\1" + whole[-7:], "wrong checksum"),
        (lambda whole: whole[:-1] + b"\1", "wrong checksum or size"),
        (lambda whole: whole + b"\0x", "2 bytes after the end of the stream at offset 24"),
        (lambda whole: whole + whole[:9], "bad or truncated gzip member"),
        (lambda _: b"", "bad or truncated gzip member"),
        (lambda _: bytes(20), "bad or truncated gzip member"),
    ],
)
def test_damaged_gzip(shipped: Shipped, damage: Callable[[bytes], bytes], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        shipped("gzip-rs").call("decode", {"bytes": damage(gzip.compress(b"some"))})
