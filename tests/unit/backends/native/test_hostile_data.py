"""Corrupt data, bombs and frames that lie: an error, within the limits."""

import bz2
import gzip
import lzma
import subprocess
import sys
import zlib

import pytest

from chonkle.backends.base import Limits
from chonkle.backends.native.frame_sizes import FRAME_SIZES, FrameSizes, lz4, lz4_end
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError, LimitExceeded
from tests.unit.backends.native.samples import (
    RUNNABLE,
    TEXT,
    VECTORS,
    numcodecs,
    reference,
    run,
    sample,
)


@pytest.mark.parametrize("codec_id", RUNNABLE)
@pytest.mark.parametrize("garbage", [b"", b"\0", b"\xff" * 3, b"not encoded at all", bytes(64)])
def test_garbage_never_gives_another_error(codec_id: str, garbage: bytes) -> None:
    error = None
    try:
        run(codec_id, "decode", garbage, sample(codec_id)[1])
    except (CodecError, LimitExceeded) as caught:
        error = str(caught)
    # Garbage may be data: any four bytes are an element.
    assert error is None or error.startswith(
        f"codec `{codec_id}` (numcodecs.{codec_id}, native), decode: "
    )
    assert "\n" not in (error or "")


CHECKED = ["adler32", "blosc", "bz2", "crc32", "fletcher32", "gzip", "jenkins_lookup3"]
CHECKED += ["json2", "lz4", "lzma", "zlib", "zstd"]


@pytest.mark.parametrize("codec_id", CHECKED)
def test_truncated_data_is_refused(codec_id: str) -> None:
    data, parameters = sample(codec_id)
    encoded = run(codec_id, "encode", data, parameters)
    for size in (0, 1, 3, 5, 12, len(encoded) // 2, len(encoded) - 1):
        with pytest.raises(CodecError):
            run(codec_id, "decode", encoded[:size], parameters)


@pytest.mark.parametrize(
    ("codec_id", "data"),
    [("base64", b"aGVsbG8"), ("base64", b"aGVs!G8="), ("packbits", b""), ("packbits", b"\x08\1")],
)
def test_what_a_format_cannot_hold_is_refused(codec_id: str, data: bytes) -> None:
    with pytest.raises(CodecError):
        run(codec_id, "decode", data)


@pytest.mark.parametrize(
    "codec_id", ["base64", "blosc", "bz2", "gzip", "json2", "lz4", "lzma", "zlib", "zstd"]
)
def test_trailing_garbage_is_refused(codec_id: str) -> None:
    data, parameters = sample(codec_id)
    encoded = run(codec_id, "encode", data, parameters)
    if codec_id not in {"base64", "json2"}:
        parameters = {**parameters, "trailing": "refuse"}
    with pytest.raises(CodecError):
        run(codec_id, "decode", encoded + b"!garbage", parameters)


def test_concatenated_streams_decode_where_the_format_has_them() -> None:
    for codec_id in ("gzip", "bz2", "lzma", "zstd"):
        encoded = run(codec_id, "encode", TEXT)
        assert run(codec_id, "decode", encoded + encoded) == TEXT + TEXT
    assert run("gzip", "decode", run("gzip", "encode", TEXT) + bytes(512)) == TEXT


SIZE = 4 << 20
BOMBS = {
    "zlib": (zlib.compress(bytes(SIZE)), {}),
    "gzip": (gzip.compress(bytes(SIZE)), {}),
    "gzip-members": (gzip.compress(bytes(1 << 19)) * 8, {}),
    "bz2": (bz2.compress(bytes(SIZE)), {}),
    "lzma": (lzma.compress(bytes(SIZE)), {}),
    "zstd": (numcodecs.Zstd().encode(bytes(SIZE)), {}),
    # 2,000 blocks of one repeated byte in a frame without a content size.
    "zstd-unsized": (
        bytes.fromhex("28b52ffd0058")
        + bytes.fromhex("02001000") * 2000
        + bytes.fromhex("03001000"),
        {},
    ),
    "lz4": (numcodecs.LZ4().encode(bytes(SIZE)), {}),
    "blosc": (numcodecs.Blosc().encode(bytes(SIZE)), {}),
    "base64": (b"A" * SIZE, {}),
    "packbits": (bytes(1 << 19), {}),
    "astype": (bytes(1 << 18), {"encode_dtype": "|u1", "decode_dtype": "<f8"}),
    "categorize": (bytes(1 << 10), {"labels": "[]", "dtype": "<U1000"}),
    "json2": (b'[1,"<i4",[1000000000]]', {"dtype": "<i4"}),
    "shuffle": (bytes(SIZE), {}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_stop_at_the_limit(name: str) -> None:
    data, parameters = BOMBS[name]
    codec = NativeCodec.of(name.partition("-")[0], limits=Limits(output_bytes=1 << 20))
    with pytest.raises(LimitExceeded, match="output over the limit of 1048576 bytes"):
        run(codec, "decode", data, parameters)


@pytest.mark.parametrize("codec_id", ["zlib", "gzip", "bz2", "lzma", "zstd", "lz4", "blosc"])
def test_exactly_the_limit_is_allowed(codec_id: str) -> None:
    encoded = run(codec_id, "encode", TEXT)
    limits = Limits(output_bytes=len(TEXT))
    assert run(NativeCodec.of(codec_id, limits=limits), "decode", encoded) == TEXT
    less = NativeCodec.of(codec_id, limits=Limits(output_bytes=len(TEXT) - 1))
    with pytest.raises(LimitExceeded):
        run(less, "decode", encoded)


def test_unsized_frame_may_be_smaller_than_its_bound() -> None:
    unsized = next(
        v for v in VECTORS if "no content size" in v["made_by"] and len(v["decoded"]) > 100
    )
    size = len(unsized["decoded"]) // 2
    encoded = bytes.fromhex(unsized["encoded"])
    codec = NativeCodec.of("zstd", limits=Limits(output_bytes=size))
    assert len(run(codec, "decode", encoded)) == size
    with pytest.raises(LimitExceeded):
        run(NativeCodec.of("zstd", limits=Limits(output_bytes=size - 1)), "decode", encoded)


def test_xz_dictionary_counts_as_memory() -> None:
    encoded = lzma.compress(TEXT, preset=9)
    codec = NativeCodec.of("lzma", limits=Limits(memory_bytes=1 << 20))
    with pytest.raises(LimitExceeded, match="dictionary over the limit"):
        run(codec, "decode", encoded)


ZSTD = "28b52ffd"


@pytest.mark.parametrize(
    ("codec_id", "encoded", "message"),
    [
        ("zstd", "00000000", "no Zstandard frame at byte 0"),
        # Single segment, content size in one byte: one raw block of nothing claims 1, then 2**64.
        ("zstd", f"{ZSTD}2001010000", "blocks of at most 0 bytes claim to hold 1"),
        ("zstd", f"{ZSTD}e0ffffffffffffffff010000", "claim to hold 18446744073709551615"),
        ("zstd", f"{ZSTD}2000", "truncated"),
        ("zstd", f"{ZSTD}20", "truncated"),
        ("zstd", f"{ZSTD}20000000", "truncated"),
        ("lz4", "ffffff3f1061", "2 bytes claim a decoded size of 1073741823"),
        ("lz4", "ffffffff1061", "2 bytes claim a decoded size of 4294967295"),
        (
            "blosc",
            "02013301050000000500000016000000" + "61" * 5,
            "claims 22 bytes, but there are 21",
        ),
    ],
)
def test_frames_that_lie_are_refused_before_anything_is_called(
    monkeypatch: pytest.MonkeyPatch, codec_id: str, encoded: str, message: str
) -> None:
    theirs = type(reference(codec_id, {}))
    monkeypatch.setattr(theirs, "decode", lambda *_: pytest.fail("numcodecs was called"))
    with pytest.raises(CodecError, match=message):
        run(codec_id, "decode", bytes.fromhex(encoded))


@pytest.mark.parametrize(
    ("codec_id", "encoded"),
    [
        ("zstd", f"{ZSTD}20000b000061"),
        ("zstd", f"{ZSTD}240001000000000000"),
        ("zstd", f"{ZSTD}2000070000"),
        ("zstd", "502a4d18ff000000"),
        ("lz4", "00000000"),
        ("lz4", "000000001061"),
        ("blosc", "02013301"),
        ("blosc", "03013301000000000000000010000000"),
        ("blosc", "02013301050000000500000014000000" + "61" * 4),
        ("blosc", "02013300050000000500000015000000" + "61" * 5),
        ("blosc", "02013101000001000100000015000000" + "61" * 5),
        ("blosc", "02013101050000000600000015000000" + "61" * 5),
        ("blosc", "02013301000000000000000015000000" + "61" * 5),
    ],
)
def test_frames_that_the_libraries_refuse(codec_id: str, encoded: str) -> None:
    with pytest.raises(CodecError):
        run(codec_id, "decode", bytes.fromhex(encoded))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65535, 65536, 65791, 65792, 300_000])
def test_claims_are_the_sizes_that_were_encoded(size: int) -> None:
    for codec_id in ("zstd", "blosc"):
        encoded = memoryview(run(codec_id, "encode", bytes(size)))
        claimed = FRAME_SIZES[codec_id](encoded)
        assert claimed == FrameSizes(decoded=size, encoded=len(encoded))
    block = memoryview(run("lz4", "encode", bytes(size)))
    assert (lz4(block), lz4_end(block)) == (size, len(block))


@pytest.mark.parametrize("at", [4, 8, 12])
@pytest.mark.parametrize("value", [0, 1, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF])
def test_blosc_headers_that_lie_are_refused(at: int, value: int) -> None:
    encoded = bytearray(run("blosc", "encode", TEXT))
    encoded[at : at + 4] = value.to_bytes(4, "little")
    with pytest.raises((CodecError, LimitExceeded)):
        run("blosc", "decode", bytes(encoded))


@pytest.mark.parametrize(
    ("codec_id", "ports", "message"),
    [
        ("zlib", {}, "native), decode: port `bytes` is missing"),
        ("zlib", {"bytes": b"", "x": b"1"}, "decode: no port `x`"),
        ("zlib", {"bytes": b"", "level": b"1"}, "decode: no port `level`"),
        ("shuffle", {"elementsize": b'"4"'}, "port `elementsize`: wrong type, expected JSON text"),
        ("shuffle", {"elementsize": b"-4"}, "port `elementsize`: wrong type"),
        (
            "shuffle",
            {"elementsize": b"2147483648"},
            "port `elementsize`: out of range, expected 0 to 2147483647",
        ),
        ("shuffle", {"elementsize": b"\xff"}, "port `elementsize`: not UTF-8"),
        ("shuffle", {"elementsize": b""}, "port `elementsize`: malformed JSON"),
        ("crc32", {"location": b'"middle"'}, 'expected one of `"start"`, `"end"`, got'),
        ("delta", {}, "port `dtype` is missing, expected a value of type `dtype_desc`"),
        ("delta", {"dtype": b'"nonsense"'}, "port `dtype`: no type, expected a NumPy type"),
        ("delta", {"dtype": b'"|O"'}, "port `dtype`: a type of Python objects"),
        *(
            ("delta", {"dtype": dtype}, "port `dtype`: a type of Python objects")
            for dtype in (
                b'[["a","|O"]]',
                b'[["n","<i4"],["a",[["b","|O",[2]]]]]',
                b'[["a","|O",[2,3]]]',
                b'"2O"',
                b'"i4,O"',
                b'"T"',
            )
        ),
        ("delta", {"dtype": b'[["a"]]'}, "port `dtype`: no type"),
        ("delta", {"dtype": b'"|V0"'}, "port `dtype`: a type without a size"),
        ("quantize", {"dtype": b'"<i4"'}, "port `dtype`: wrong type of elements, expected a type"),
        *(
            ("delta", {"dtype": dtype}, "hint: numcodecs does not decode booleans and dates")
            for dtype in (b'"|b1"', b'"<M8[s]"')
        ),
        ("delta", {"dtype": b'"<i4"', "astype": b'"|b1"'}, "port `astype`: wrong type of elements"),
        ("delta", {"dtype": b'"<i4"', "bytes": b"12345"}, "native), decode"),
        ("delta", {"dtype": b'"<i4"', "astype": b'"<i2"', "bytes": b"1"}, "native), decode"),
        (
            "fixedscaleoffset",
            {"dtype": b'"<f8"', "offset": b"0", "scale": b"0"},
            "port `scale`: out of range",
        ),
        ("categorize", {"dtype": b'"<U4"', "labels": b'"x"'}, "port `labels`: malformed JSON"),
        (
            "categorize",
            {"dtype": b'"<U4"', "labels": b'"[1]"'},
            "port `labels`: wrong content, expected JSON text of a list of strings",
        ),
        ("lzma", {"format": b"9"}, "port `format`: out of range"),
        ("lzma", {"filters": b'"[1]"'}, "expected JSON text of a list of objects"),
        ("json2", {"dtype": b'"<i4"', "encoding": b'"zlib"'}, "native), decode"),
        ("json2", {"dtype": b'[["a","<i4"]]'}, "native), decode"),
    ],
)
def test_bad_port_maps_name_the_port(codec_id: str, ports: dict[str, bytes], message: str) -> None:
    codec = NativeCodec.of(codec_id)
    data = {} if message.endswith("port `bytes` is missing") else {"bytes": b"\0" * 8}
    with pytest.raises(CodecError) as caught:
        codec.call("decode", {**data, **ports})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(f"numcodecs.{codec_id}") == 1


@pytest.mark.parametrize(
    ("codec_id", "parameters", "message"),
    [
        ("zlib", {"level": 10}, "native), encode: port `level`: out of range"),
        ("bz2", {"level": 0}, "expected 1 to 9, got `0`"),
        ("zlib", {"level": True}, "port `level`: wrong type"),
        ("blosc", {"cname": "zzz"}, 'port `cname`: unknown value, expected one of `"blosclz"`'),
        ("blosc", {"clevel": 10}, "port `clevel`: out of range"),
        ("blosc", {"typesize": 0}, "port `typesize`: out of range"),
        (
            "bitround",
            {"dtype": "<i4", "keepbits": 3},
            'expected a type of floats (`f2`, `f4`, `f8`), got `"<i4"`',
        ),
        (
            "bitround",
            {"dtype": "<f2", "keepbits": 11},
            "of float16: out of range, expected at most 10, got `11`",
        ),
        (
            "bitround",
            {"dtype": "<f8", "keepbits": 53},
            "out of range, expected 0 to 52, got `53`",
        ),
        ("bitround", {"dtype": "<f8"}, "port `keepbits` is missing"),
        ("shuffle", {"elementsize": 3}, "not an integer multiple of elementsize"),
        ("json2", {"dtype": "<i2", "shape": [3]}, "cannot reshape array"),
        ("json2", {"dtype": "<c8"}, "not JSON serializable"),
        ("quantize", {"dtype": "<f8", "digits": 400}, "native), encode"),
    ],
)
def test_bad_parameters_of_encoding_name_the_port(
    codec_id: str, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(CodecError) as caught:
        run(codec_id, "encode", bytes(16), parameters)
    assert message in str(caught.value)


def test_elements_that_do_not_have_the_stored_shape_are_refused() -> None:
    for text in (
        b'[1,"<i4",[3]]',
        b'[[1,2],[3],"<i4",[2,2]]',
        b'[1,2,"<i4",[1]]',
        b'[[1],"<i4",[1]]',
        b'[1,"<i4",[-1]]',
        b'[1,"<i4",1]',
        b'{"a":1}',
        b"[]",
        b"[" * 100_000,
        b'[1.5,"<i4",[1]]',
        b'[4294967296,"<i4",[1]]',
        b'["1","<i4",[1]]',
    ):
        with pytest.raises(CodecError):
            run("json2", "decode", text, {"dtype": "<i4"})
    with pytest.raises(CodecError, match=r"stored shape \[1\], but port `shape` says \[2\]"):
        run("json2", "decode", b'[1,"<i4",[1]]', {"dtype": "<i4", "shape": [2]})


GUARDED = """
import ctypes, random, sys
from mmap import PAGESIZE
from chonkle.backends.base import Limits
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import CodecError, LimitExceeded

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
read_write, private_anonymous, room = 3, 0x22, 4 * PAGESIZE
end = libc.mmap(None, room + PAGESIZE, read_write, private_anonymous, -1, 0) + room
assert libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(PAGESIZE), 0) == 0

chance = random.Random(5)
codec = NativeCodec.of(sys.argv[1], limits=Limits(output_bytes=1 << 20))
data = bytes(range(256)) * 8 + chance.randbytes(2000) + bytes(2000)
choices = [{}]
if sys.argv[1] == "blosc":
    names = (b'"blosclz"', b'"lz4"', b'"zlib"', b'"zstd"')
    choices = [
        {"cname": name, "blocksize": size, "typesize": b"4"}
        for name in names for size in (b"0", b"512")
    ]
encoded = [codec.call("encode", {"bytes": data, **choice})["bytes"] for choice in choices]
for _ in range(4000):
    chunk = bytearray(chance.choice(encoded))
    for _ in range(chance.choice((1, 2, 5))):
        chunk[chance.randrange(chance.choice((16, 200, len(chunk))))] = chance.randrange(256)
    if chance.random() < 0.3:
        del chunk[chance.randrange(200, len(chunk)):]
    if sys.argv[1] == "blosc":  # a header that agrees with the length and passes the check
        chunk[12:16] = len(chunk).to_bytes(4, "little")
    ctypes.memmove(end - len(chunk), bytes(chunk), len(chunk))
    try:
        codec.call("decode", {"bytes": memoryview(
            (ctypes.c_ubyte * len(chunk)).from_address(end - len(chunk))).cast("B")})
    except (CodecError, LimitExceeded):
        pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="protects a page with Linux's mprotect")
@pytest.mark.parametrize("codec_id", ["blosc", "lz4", "zstd"])
def test_corrupt_data_is_never_read_past_its_end(codec_id: str) -> None:
    # The data ends where a page without access begins: one byte further kills the process.
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, codec_id], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
