"""The native backend: numcodecs' bytes, chonkle's errors."""

import bz2
import gzip
import inspect
import json
import lzma
import subprocess
import sys
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ctypes import create_string_buffer
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chonkle.backends.base import Limits
from chonkle.backends.native import (
    INSTALL_HINT,
    is_available,
    native_codec_ids,
    native_signature,
    refusal,
)
from chonkle.backends.native.catalog import native_call
from chonkle.backends.native.frame_sizes import FRAME_SIZES
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import ChonkleError, CodecError, LimitExceeded, ResolveError
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Port
from chonkle.formats.values import encode_scalar

np = pytest.importorskip("numpy")
numcodecs: ModuleType = pytest.importorskip("numcodecs")

VECTORS = json.loads((Path(__file__).parents[3] / "golden" / "native" / "vectors.json").read_text())
CODEC_IDS = native_codec_ids()
RUNNABLE = [codec_id for codec_id in CODEC_IDS if is_available(codec_id)]
TEXT = b"the quick brown fox jumps over the lazy dog, " * 20
FLOATS = np.linspace(-3, 3, 64)
RAMP = np.arange(1000, 1064, dtype="<u2")

# Decoded bytes and parameters for each codec that needs some.
SAMPLES: dict[str, tuple[bytes, dict[str, object]]] = {
    "astype": (RAMP.tobytes(), {"encode_dtype": "<f4", "decode_dtype": "<u2"}),
    "bitround": (FLOATS.astype("<f4").tobytes(), {"dtype": "<f4", "keepbits": 6}),
    "blosc": (RAMP.tobytes(), {"cname": "zstd", "clevel": 3, "shuffle": 1, "typesize": 2}),
    "bz2": (TEXT, {"level": 9}),
    "categorize": (
        np.array(["red", "green", "blue"], "<U5").tobytes(),
        {"labels": '["red","green","blue"]', "dtype": "<U5"},
    ),
    "crc32": (TEXT, {"location": "end"}),
    "delta": (RAMP.tobytes(), {"dtype": "<u2", "astype": "<i2"}),
    "fixedscaleoffset": (
        FLOATS.tobytes(),
        {"offset": -3, "scale": 40, "dtype": "<f8", "astype": "|u1"},
    ),
    "jenkins_lookup3": (TEXT, {"initval": 7}),
    "json2": (RAMP.tobytes(), {"dtype": "<u2", "shape": [8, 8]}),
    "lzma": (TEXT, {"preset": 1}),
    "msgpack2": (RAMP.tobytes(), {"dtype": "<u2", "shape": [8, 8]}),
    "packbits": (bytes([1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1]), {}),
    "quantize": (FLOATS.tobytes(), {"digits": 2, "dtype": "<f8"}),
    "shuffle": (TEXT, {"elementsize": 5}),
    "zstd": (TEXT, {"level": 9, "checksum": True}),
}
LOSSY = {"bitround", "fixedscaleoffset", "quantize"}


def run(
    codec: NativeCodec | str,
    direction: Direction,
    data: Buffer,
    parameters: Mapping[str, object] | None = None,
) -> bytes:
    """Call a codec with the parameters that exist in a direction."""
    codec = NativeCodec.of(codec) if isinstance(codec, str) else codec
    ports = codec.signature().takes(direction)
    scalars = {
        name: encode_scalar(value) for name, value in (parameters or {}).items() if name in ports
    }
    return codec.call(direction, {"bytes": data, **scalars})["bytes"]


def reference(codec_id: str, parameters: Mapping[str, object]) -> Any:  # noqa: ANN401
    """Make the numcodecs object for a set of parameters."""
    call = native_call(codec_id)
    assert call is not None
    arguments = {
        name: json.loads(cast("str", value)) if name in call.convert else value
        for name, value in parameters.items()
        if name not in call.describes
    }
    return attrgetter(call.codec_class)(numcodecs)(**arguments)


def sample(codec_id: str) -> tuple[bytes, dict[str, object]]:
    return SAMPLES.get(codec_id, (TEXT, {}))


def as_given(codec_id: str, data: bytes, parameters: Mapping[str, object]) -> Any:  # noqa: ANN401
    """Make of raw bytes what a user of numcodecs holds."""
    call = native_call(codec_id)
    assert call is not None
    if call.data == "bytes":
        return data
    array = np.frombuffer(data, cast("str", parameters["dtype"]))
    return array.reshape(parameters.get("shape", -1))


def test_every_signature_reads_and_names_numcodecs() -> None:
    assert len(CODEC_IDS) == 23
    for codec_id in CODEC_IDS:
        signature = native_signature(codec_id)
        assert signature is not None
        assert signature.codec_id == codec_id
        assert signature.implementation == f"numcodecs.{codec_id}"
        assert native_call(codec_id) is not None
        for field in ("kind", "description", "license", "aliases"):
            assert signature.document[field]


@pytest.mark.parametrize("codec_id", RUNNABLE)
def test_parameters_and_defaults_are_those_of_numcodecs(codec_id: str) -> None:
    signature, call = native_signature(codec_id), native_call(codec_id)
    assert signature is not None
    assert call is not None
    if codec_id == "fletcher32":  # a C class that shows no constructor
        return
    theirs = inspect.signature(attrgetter(call.codec_class)(numcodecs)).parameters
    ours: dict[str, Port] = {n: p for n, p in signature.inputs.items() if p.parameter}
    assert set(theirs) == set(ours) - call.describes
    for name, parameter in theirs.items():
        if parameter.default is inspect.Parameter.empty:
            assert ours[name].required
        elif name == "location":
            assert ours[name].default == reference(codec_id, {}).location
        elif name == "astype" and parameter.default is not None:
            assert np.dtype(ours[name].default) == np.dtype(parameter.default)
        else:
            assert not ours[name].required
            assert ours[name].default == parameter.default


@pytest.mark.parametrize("codec_id", RUNNABLE)
def test_encodes_and_decodes_as_numcodecs_does(codec_id: str) -> None:
    data, parameters = sample(codec_id)
    theirs = reference(codec_id, parameters)
    expected = theirs.encode(as_given(codec_id, data, parameters))
    encoded = run(codec_id, "encode", data, parameters)
    if codec_id == "gzip":  # the header carries the time
        assert encoded[10:] == bytes(expected)[10:]
    else:
        assert encoded == np.asarray(memoryview(expected)).tobytes()
    decoded = run(codec_id, "decode", encoded, parameters)
    # bitround decodes integers to floats by their type, which raw bytes do not have.
    if codec_id != "bitround":
        assert decoded == np.asarray(theirs.decode(expected)).tobytes()
    assert (decoded == data) is (codec_id not in LOSSY)


@pytest.mark.parametrize(
    "vector",
    [pytest.param(v, id=f"{n}-{v['codec_id']}-{v['made_by'][:9]}") for n, v in enumerate(VECTORS)],
)
def test_golden_vectors_decode(vector: dict[str, Any]) -> None:
    if (problem := refusal(vector["codec_id"])) is not None:
        pytest.skip(str(problem))
    encoded, decoded = bytes.fromhex(vector["encoded"]), bytes.fromhex(vector["decoded"])
    assert run(vector["codec_id"], "decode", encoded, vector["parameters"]) == decoded


def test_every_codec_has_a_golden_vector() -> None:
    assert {vector["codec_id"] for vector in VECTORS} == set(CODEC_IDS)


@pytest.mark.parametrize("codec_id", sorted(set(RUNNABLE) - {"categorize"}))
def test_nothing_round_trips(codec_id: str) -> None:
    parameters = {k: v for k, v in sample(codec_id)[1].items() if k != "shape"}
    assert run(codec_id, "decode", run(codec_id, "encode", b"", parameters), parameters) == b""


@given(data=st.binary(max_size=2000), level=st.integers(1, 9), elementsize=st.integers(1, 9))
def test_any_bytes_round_trip(data: bytes, level: int, elementsize: int) -> None:
    padded = data[: len(data) // elementsize * elementsize]
    for codec_id in ("zlib", "gzip", "bz2", "zstd"):
        assert run(codec_id, "decode", run(codec_id, "encode", data, {"level": level})) == data
    for codec_id in ("lz4", "base64", "adler32", "fletcher32", "jenkins_lookup3"):
        assert run(codec_id, "decode", run(codec_id, "encode", data)) == data
    chosen = {"cname": "lz4hc", "clevel": level, "typesize": elementsize}
    assert run("blosc", "decode", run("blosc", "encode", data, chosen)) == data
    chosen = {"elementsize": elementsize}
    assert run("shuffle", "decode", run("shuffle", "encode", padded, chosen), chosen) == padded


@given(
    array=hnp.arrays(
        hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
    )
)
def test_any_integers_round_trip(array: Any) -> None:  # noqa: ANN401
    dtype = array.dtype.str
    for codec_id, parameters in (
        ("delta", {"dtype": dtype}),
        ("astype", {"encode_dtype": dtype[:1] + dtype[1] + "8", "decode_dtype": dtype}),
        ("json2", {"dtype": dtype, "shape": list(array.shape)}),
    ):
        if codec_id == "astype" and dtype[0] == "|":
            continue
        encoded = run(codec_id, "encode", array.tobytes(), parameters)
        assert run(codec_id, "decode", encoded, parameters) == array.tobytes()


@given(
    array=hnp.arrays(
        hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
        hnp.array_shapes(max_dims=1),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    keepbits=st.integers(1, 10),
)
def test_any_floats_round_as_numcodecs_does(array: Any, keepbits: int) -> None:  # noqa: ANN401
    parameters = {"dtype": array.dtype.str, "keepbits": keepbits}
    encoded = run("bitround", "encode", array.tobytes(), parameters)
    native = array.astype(array.dtype.newbyteorder("="))
    expected = np.asarray(numcodecs.BitRound(keepbits).encode(native)).view(native.dtype)
    assert encoded == expected.astype(array.dtype).tobytes()
    assert run("bitround", "decode", encoded, parameters) == encoded
    text = run("json2", "encode", array.tobytes(), parameters)
    assert run("json2", "decode", text, parameters) == array.tobytes()


@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1))
def test_any_words_round_trip_through_json(words: list[str]) -> None:
    assume(not any(word.endswith("\0") for word in words))
    for array in (np.array(words, "<U6"), np.char.encode(np.array(words, "<U6"), "utf-8")):
        parameters = {"dtype": array.dtype.str}
        encoded = run("json2", "encode", array.tobytes(), parameters)
        assert json.loads(encoded)[:-2] == words
        assert run("json2", "decode", encoded, parameters) == array.tobytes()


def test_json_of_python_objects_decodes_to_a_type_that_holds_them() -> None:
    encoded = b'["a",null,"|O",[2]]'
    with pytest.raises(CodecError, match="cannot hold the element 'None'"):
        run("json2", "decode", encoded, {"dtype": "<U4"})
    encoded = b'["abc","de","|O",[2]]'
    expected = np.array(["abc", "de"], "<U3").tobytes()
    assert run("json2", "decode", encoded, {"dtype": "<U3"}) == expected
    with pytest.raises(CodecError, match="`<U2` cannot hold the element 'abc'"):
        run("json2", "decode", encoded, {"dtype": "<U2"})


def test_any_buffer_is_taken_and_the_result_is_a_copy() -> None:
    stored = create_string_buffer(zlib.crc32(TEXT).to_bytes(4, "little") + TEXT)
    guest = memoryview(stored).cast("B")[:-1]
    with NativeCodec.of("crc32") as codec:
        result = codec.call_borrowed("decode", {"bytes": guest})
        stored[4] = b"X"
        assert result.ports == {"bytes": TEXT}
        result.close()
    words = np.frombuffer(zlib.compress(TEXT) + b"", "u1")
    doubled = np.repeat(words, 2)
    for buffer in (words.tobytes(), bytearray(words), memoryview(words), memoryview(doubled)[::2]):
        assert run("zlib", "decode", buffer) == TEXT
    assert run("zlib", "encode", memoryview(RAMP), {}) == zlib.compress(RAMP.tobytes(), 1)


def test_parameter_text_may_be_any_buffer() -> None:
    codec = NativeCodec.of("shuffle")
    data: dict[str, Buffer] = {"bytes": TEXT, "elementsize": memoryview(b" 5 ")}
    assert codec.call("encode", data)["bytes"] == run("shuffle", "encode", TEXT, {"elementsize": 5})


def test_prefix_of_jenkins_is_raw_bytes() -> None:
    codec = NativeCodec.of("jenkins_lookup3")
    encoded = codec.call("encode", {"bytes": TEXT, "prefix": b"\x01\x02"})["bytes"]
    checksum32 = attrgetter("checksum32")(numcodecs)
    assert encoded == checksum32.JenkinsLookup3(prefix=b"\x01\x02").encode(TEXT)
    assert codec.call("decode", {"bytes": encoded, "prefix": b"\x01\x02"}) == {"bytes": TEXT}
    with pytest.raises(CodecError, match="did not match the expected checksum"):
        codec.call("decode", {"bytes": encoded})


def test_structured_types_are_read_from_lists() -> None:
    dtype: list[object] = [["a", "<i4"], ["b", [["c", "<u2", [2]]]]]
    data = bytes(range(16))
    parameters = {"encode_dtype": dtype, "decode_dtype": dtype}
    assert run("astype", "encode", data, parameters) == data


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
    for codec_id in ("zstd", "lz4", "blosc"):
        assert FRAME_SIZES[codec_id](memoryview(run(codec_id, "encode", bytes(size)))) == size


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
        ("shuffle", {"elementsize": b"0"}, "port `elementsize`: out of range, expected 1 to"),
        ("shuffle", {"elementsize": b"\xff"}, "port `elementsize`: not UTF-8"),
        ("shuffle", {"elementsize": b""}, "port `elementsize`: malformed JSON"),
        ("crc32", {"location": b'"middle"'}, "expected one of `start`, `end`, got"),
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
        ("quantize", {"dtype": b'"<i4"'}, 'dtype="int32": only floating point data types'),
        ("delta", {"dtype": b'"<M8[s]"'}, "decode: ufunc"),
        (
            "fixedscaleoffset",
            {"dtype": b'"<f8"', "offset": b"0", "scale": b"0"},
            "port `scale`: out of range",
        ),
        (
            "categorize",
            {"dtype": b'"<U4"', "labels": b'"x"'},
            "port `labels`: malformed JSON",
        ),
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
        ("blosc", {"cname": "zzz"}, "port `cname`: unknown value, expected one of `blosclz`"),
        ("blosc", {"clevel": 10}, "port `clevel`: out of range"),
        ("blosc", {"typesize": 0}, "port `typesize`: out of range"),
        ("bitround", {"dtype": "<i4", "keepbits": 3}, "Only float arrays"),
        ("bitround", {"dtype": "<f2", "keepbits": 30}, "Keepbits too large"),
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
    if sys.argv[1] == "blosc":  # a header that agrees with the length, so that it is believed
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


def test_pickle_is_refused_with_the_reason() -> None:
    assert native_signature("pickle") is None
    assert not is_available("pickle")
    with pytest.raises(ResolveError, match="executes code from the data"):
        NativeCodec.of("pickle")


@pytest.mark.parametrize("codec_id", ["nonsense", "../signatures/zlib", "", "a/b", "vlen-utf8"])
def test_unknown_codecs_are_refused(codec_id: str) -> None:
    assert native_signature(codec_id) is None
    with pytest.raises(ResolveError):
        NativeCodec.of(codec_id)


def test_missing_packages_make_one_codec_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"google_crc32c", "crc32c", "msgpack"}
    catalog = sys.modules["chonkle.backends.native.catalog"]
    monkeypatch.setattr(catalog, "find_spec", lambda name: None if name in absent else object())
    assert "hint: install with `pip install google-crc32c`" in str(refusal("crc32c"))
    assert "hint: install with `pip install msgpack`" in str(refusal("msgpack2"))
    assert refusal("crc32") is None
    absent.add("numcodecs")
    assert not is_available()
    assert INSTALL_HINT in str(refusal("crc32"))
    assert native_signature("crc32") is not None


def test_a_replaced_numcodecs_registration_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = attrgetter("registry")(numcodecs)
    monkeypatch.setitem(registry.codec_registry, "zlib", None)
    assert run("zlib", "encode", TEXT) == zlib.compress(TEXT, 1)


def test_one_numcodecs_object_serves_many_calls() -> None:
    codec = NativeCodec.of("shuffle")
    encoded = {run(codec, "encode", TEXT, {"elementsize": n % 3 + 1}) for n in range(30)}
    assert len(encoded) == 3


def test_threads_share_a_codec() -> None:
    codec = NativeCodec.of("zstd")
    chunks = [bytes([n]) * 10_000 for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        encoded = list(pool.map(lambda chunk: run(codec, "encode", chunk), chunks))
        assert list(pool.map(lambda chunk: run(codec, "decode", chunk), encoded)) == chunks


def test_errors_keep_their_cause() -> None:
    with pytest.raises(ChonkleError) as caught:
        run("zlib", "decode", b"nonsense")
    assert isinstance(caught.value.__cause__, zlib.error)


def test_memory_that_cannot_be_had_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(numcodecs.Zlib, "encode", exhaust)
    with pytest.raises(LimitExceeded, match=r"native\), encode: not enough memory"):
        run("zlib", "encode", TEXT)


def test_interrupts_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(numcodecs.Zlib, "encode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("zlib", "encode", TEXT)


def test_importing_the_backend_imports_neither_numpy_nor_numcodecs() -> None:
    code = (
        "import sys\n"
        "from chonkle.backends.native import *\n"
        "from chonkle.backends.native.native_codec import NativeCodec\n"
        "assert native_codec_ids() and native_signature('zlib') and NativeCodec.of('zlib')\n"
        "print(sorted({'numpy', 'numcodecs', 'msgpack'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
