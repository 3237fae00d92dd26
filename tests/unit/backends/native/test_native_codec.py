"""The native backend: numcodecs' bytes, chonkle's errors."""

import inspect
import json
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from ctypes import create_string_buffer
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chonkle.backends.native import native_signature, refusal
from chonkle.backends.native.catalog import native_call
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.errors import ChonkleError, CodecError, LimitExceeded
from chonkle.formats.declared import Declared
from tests.unit.backends.native.samples import (
    CODEC_IDS,
    LOSSY,
    RAMP,
    RUNNABLE,
    TEXT,
    VECTORS,
    as_given,
    np,
    numcodecs,
    reference,
    run,
    sample,
)

if TYPE_CHECKING:
    from chonkle.formats.portmap import Buffer
    from chonkle.formats.signature import Port


def test_every_signature_reads_and_names_numcodecs() -> None:
    assert len(CODEC_IDS) == 23
    for codec_id in CODEC_IDS:
        signature = native_signature(codec_id)
        assert signature is not None
        assert signature.codec_id == codec_id
        assert signature.implementation == f"numcodecs.{codec_id}"
        assert native_call(codec_id) is not None
        assert Declared.of(signature).parameters.keys() == {
            name for name, port in signature.inputs.items() if port.parameter
        }
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
def test_any_integers_round_trip(array: Any) -> None:
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
def test_any_floats_round_as_numcodecs_does(array: Any, keepbits: int) -> None:
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


@pytest.mark.parametrize("codec_id", ["json2", "msgpack2"])
def test_elements_without_a_type_have_the_stored_one_or_are_bytes(codec_id: str) -> None:
    numbers = np.array([[1, -2], [3, 4]], "<i2")
    given = {"dtype": "<i2", "shape": [2, 2]}
    encoded = run(codec_id, "encode", numbers.tobytes(), given)
    assert run(codec_id, "decode", encoded, {}) == numbers.tobytes()
    data = bytes(range(256))
    encoded = run(codec_id, "encode", data, {})
    expected = {"json2": numcodecs.JSON, "msgpack2": numcodecs.MsgPack}[codec_id]().encode(
        np.frombuffer(data, "u1")
    )
    assert encoded == bytes(expected)
    assert run(codec_id, "decode", encoded, {}) == data


def test_a_stored_type_that_cannot_be_used_is_refused() -> None:
    for stored in (b'"|O"', b"3", b'"<u99"', b'"|S0"', b'[["a", "<i4"]]'):
        with pytest.raises(CodecError, match=r"json2.*, decode: "):
            run("json2", "decode", b"[1," + stored + b",[1]]", {})


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


def test_a_failed_allocation_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
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
