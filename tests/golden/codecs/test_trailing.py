"""Bytes after the end of a stream: in every form and backend as in numcodecs and CPython.

The words of errors are compared after the name of the codec, which contains the form.
"""

import json
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numcodecs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numcodecs.pcodec import PCodec

from chonkle.backends.base import Codec
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError
from tests.golden.shipped import Shipped

PLAIN = np.arange(300, dtype="<u2").tobytes() + b"some words " * 20
RAW_WBITS = -15
RAW_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1}]


@dataclass(frozen=True, slots=True)
class Format:
    """A format with an independent implementation of it.

    Attributes:
        name: the codec id, and the kind where a codec has several.
        encoded: an encoded form of `PLAIN`.
        reads: the default of `trailing`: `ignore` where the other implementation reads on.
        decode: the other implementation.
        ports: parameters of decoding.
        joins: whether a further stream is decoded, too.
        is_native: whether the native backend has the codec.
    """

    name: str
    encoded: bytes
    reads: str
    decode: Callable[[bytes], bytes]
    ports: Mapping[str, object] = field(default_factory=dict)
    joins: bool = False
    is_native: bool = True

    @property
    def codec_id(self) -> str:
        return self.name.partition(" ")[0]


def numcodecs_format(name: str, codec: numcodecs.abc.Codec, reads: str, **rest: object) -> Format:
    return Format(
        name,
        bytes(codec.encode(np.frombuffer(PLAIN, "<u2"))),
        reads,
        lambda encoded: bytes(codec.decode(encoded)),
        **rest,  # type: ignore[arg-type]
    )


FORMATS = [
    numcodecs_format("zlib", numcodecs.Zlib(), "ignore"),
    Format(
        "deflate",
        zlib.compress(PLAIN, 6, RAW_WBITS),
        "ignore",
        lambda encoded: zlib.decompress(encoded, RAW_WBITS),
        is_native=False,
    ),
    numcodecs_format("gzip", numcodecs.GZip(), "refuse", joins=True),
    numcodecs_format("bz2", numcodecs.BZ2(), "ignore", joins=True),
    numcodecs_format("lzma", numcodecs.LZMA(), "ignore", joins=True),
    numcodecs_format(
        "lzma auto", numcodecs.LZMA(), "ignore", joins=True, ports={"format": lzma.FORMAT_AUTO}
    ),
    numcodecs_format(
        "lzma alone",
        numcodecs.LZMA(format=lzma.FORMAT_ALONE),
        "ignore",
        joins=True,
        ports={"format": lzma.FORMAT_ALONE},
    ),
    numcodecs_format(
        "lzma raw",
        numcodecs.LZMA(format=lzma.FORMAT_RAW, filters=RAW_FILTERS),
        "ignore",
        joins=True,
        ports={"format": lzma.FORMAT_RAW, "filters": json.dumps(RAW_FILTERS)},
    ),
    numcodecs_format("lz4", numcodecs.LZ4(), "refuse"),
    numcodecs_format("zstd", numcodecs.Zstd(checksum=True), "refuse", joins=True),
    numcodecs_format("blosc", numcodecs.Blosc(), "ignore"),
    numcodecs_format("pcodec", PCodec(), "ignore", is_native=False),
]
BY_NAME = {each.name: each for each in FORMATS}
JOINED = [each.name for each in FORMATS if each.joins]
# Zeros are padding of gzip, and empty streams of LZMA2.
READ = {("gzip", bytes(3)), ("lzma raw", b"\0\0garbage")}
MARKED = ["gzip", "bz2", "lzma", "lzma auto", "zstd"]

# Padding, text, and what begins almost like a further stream.
tails = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.integers(1, 600).map(bytes),
    st.tuples(st.integers(1, 9), st.binary(min_size=1, max_size=9)).map(
        lambda parts: bytes(parts[0]) + parts[1]
    ),
    st.sampled_from([b"BZh", b"BZh0", b"BZh91AY&S!", b"\xfd7zXY\0", b"\x1f\x8c\x08", b"\x28\xb5!"]),
)


def codecs_of(each: Format, shipped: Shipped) -> list[Codec]:
    """Return the codec in all forms."""
    codecs = [shipped(f"{each.codec_id}-rs", form=form) for form in ("core", "component")]
    return [*codecs, NativeCodec.of(each.codec_id)] if each.is_native else codecs


def outcomes(each: Format, shipped: Shipped, encoded: bytes, trailing: str = "") -> list[object]:
    """Return the results, or the words of the errors, in all forms."""
    call = {"bytes": encoded}
    ports = {**each.ports, **({"trailing": trailing} if trailing else {})}
    call |= {name: json.dumps(value).encode() for name, value in ports.items()}
    found: list[object] = []
    for codec in codecs_of(each, shipped):
        try:
            found.append(bytes(codec.call("decode", call)["bytes"]))
        except CodecError as failure:
            found.append(str(failure).partition(", decode: ")[2])
    return found


def is_all(found: list[object], wanted: object) -> bool:
    return found == [wanted] * len(found)


@pytest.mark.parametrize("name", BY_NAME)
@given(tail=tails)
@example(tail=b"\0")
@example(tail=b"x")
def test_what_others_read_is_read(shipped: Shipped, name: str, tail: bytes) -> None:
    each = BY_NAME[name]
    try:
        theirs = each.decode(each.encoded + tail)
    except Exception:  # noqa: BLE001 - each library has its own errors
        return
    assert is_all(outcomes(each, shipped, each.encoded + tail), theirs)


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        (name, tail)
        for name in BY_NAME
        for tail in (bytes(3), b"garbage", b"\0\0garbage")
        if (name, tail) not in READ
    ],
)
def test_the_parameter(shipped: Shipped, name: str, tail: bytes) -> None:
    each, size = BY_NAME[name], len(BY_NAME[name].encoded)
    assert is_all(outcomes(each, shipped, each.encoded, "refuse"), PLAIN)
    assert is_all(outcomes(each, shipped, each.encoded + tail, "ignore"), PLAIN)
    refusal = (
        f"port `bytes`: {len(tail)} bytes after the end of the stream at offset {size}; "
        "hint: the value `ignore` of the parameter `trailing` skips them"
    )
    assert is_all(outcomes(each, shipped, each.encoded + tail, "refuse"), refusal)
    assert is_all(
        outcomes(each, shipped, each.encoded + tail), PLAIN if each.reads == "ignore" else refusal
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_values_that_there_are_not(shipped: Shipped, name: str) -> None:
    each = BY_NAME[name]
    for found in outcomes(each, shipped, each.encoded, "drop"):
        assert str(found).startswith("port `trailing`: ")
        assert "`drop`" in str(found) or '`"drop"`' in str(found)


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("trailing", ["ignore", "refuse"])
def test_further_streams_are_read(shipped: Shipped, name: str, trailing: str) -> None:
    each = BY_NAME[name]
    assert is_all(outcomes(each, shipped, each.encoded * 3, trailing), PLAIN * 3)
    assert is_all(outcomes(each, shipped, each.encoded * 2 + b"??", "ignore"), PLAIN * 2)


@pytest.mark.parametrize(
    ("name", "padding"),
    [("gzip", 1), ("gzip", 512), ("lzma", 4), ("lzma", 512), ("lzma auto", 4)],
)
@pytest.mark.parametrize("trailing", ["ignore", "refuse"])
def test_padding_belongs_to_the_format(
    shipped: Shipped, name: str, padding: int, trailing: str
) -> None:
    each, zeros = BY_NAME[name], bytes(padding)
    padded = each.encoded + zeros + each.encoded + zeros
    assert is_all(outcomes(each, shipped, padded, trailing), PLAIN * 2)


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("trailing", ["ignore", "refuse"])
def test_a_damaged_further_stream_is_not_ignored(
    shipped: Shipped, name: str, trailing: str
) -> None:
    """For CPython, a damaged stream of bz2 or lzma is the end, and what follows is lost."""
    each = BY_NAME[name]
    middle = len(each.encoded) // 2
    flipped = each.encoded[middle] ^ 0x10
    damaged = each.encoded[:middle] + bytes([flipped]) + each.encoded[middle + 1 :]
    for rest in (damaged, each.encoded[:-1], each.encoded[:1], each.encoded[:6]):
        for found in outcomes(each, shipped, each.encoded + rest, trailing):
            assert isinstance(found, str)
            assert "after the end" not in found


@pytest.mark.parametrize("size", [1, 20, 300, 70_000])
def test_lz4_blocks_that_others_made(shipped: Shipped, size: int) -> None:
    """The end of a block is found by its sequences, of which the last has only literals."""
    plain = (b"some words and 0123456789 " * size)[: 26 * size]
    for data in (plain, plain + bytes(size), bytes(range(256)) * 3 + plain, b"", b"x"):
        encoded = bytes(numcodecs.LZ4().encode(data)) if data else bytes(5)
        each = Format("lz4", encoded, "refuse", bytes)
        for tail in (b"\0", b"x", encoded, b"\xff" * 30):
            assert is_all(outcomes(each, shipped, encoded + tail, "ignore"), data)
            for found in outcomes(each, shipped, encoded + tail):
                words = f"{len(tail)} bytes after the end of the stream at offset {len(encoded)}"
                assert words in str(found)
