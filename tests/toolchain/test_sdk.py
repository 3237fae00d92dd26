"""The SDK in both languages, through codecs that show what it makes of its inputs."""

import json
import math
import struct
from pathlib import Path

import pytest
from chonkle_toolchain.guest import call
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import CodecError

pytestmark = pytest.mark.toolchain

BOTH = pytest.mark.parametrize("language", ["c", "rust"])
ABIS = pytest.mark.parametrize("abi", ["core", "component"])


def probe(probes: Path, language: str, abi: str = "core") -> bytes:
    return (probes / "probe" / f"probe-{language}@0.1.0.{abi}.wasm").read_bytes()


def parsed(wasm: bytes, what: str, text: bytes) -> bytes:
    ports = {"what": json.dumps(what).encode(), "bytes": text}
    return call(wasm, "decode", ports)["bytes"]


@BOTH
@given(value=st.integers(-(2**63), 2**63 - 1))
def test_int(probes: Path, language: str, value: int) -> None:
    wasm = probe(probes, language)
    assert parsed(wasm, "int", str(value).encode()) == struct.pack("<q", value)


@BOTH
@given(value=st.integers(0, 2**64 - 1))
def test_uint(probes: Path, language: str, value: int) -> None:
    wasm = probe(probes, language)
    assert parsed(wasm, "uint", f" {value}\n".encode()) == struct.pack("<Q", value)


@BOTH
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_float(probes: Path, language: str, value: float) -> None:
    wasm = probe(probes, language)
    assert parsed(wasm, "float", json.dumps(value).encode()) == struct.pack("<d", value)


@BOTH
@given(value=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3))
@pytest.mark.parametrize("ascii_only", [True, False])
def test_string(probes: Path, language: str, value: str, *, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parsed(probe(probes, language), "string", text) == value.encode()


@BOTH
@pytest.mark.parametrize(
    ("what", "text", "expected"),
    [
        ("bool", b" true ", b"\1"),
        ("bool", b"false", b"\0"),
        ("uint[]", b"[]", b""),
        ("uint[]", b" [ ] ", b""),
        ("uint[]", b"[1, 2 ,18446744073709551615]", struct.pack("<3Q", 1, 2, 2**64 - 1)),
        ("float", b"1", struct.pack("<d", 1)),
        ("float", b"-0.0E+0", struct.pack("<d", -0.0)),
        ("float", b"5e-324", struct.pack("<d", math.ulp(0.0))),
        ("int", b"-0", struct.pack("<q", 0)),
        ("small", b"-2", struct.pack("<q", -2)),
        ("string", rb'"\u00e9\ud83d\ude00\n\/"', "é😀\n/".encode()),
    ],
)
def test_good_scalars(probes: Path, language: str, what: str, text: bytes, expected: bytes) -> None:
    assert parsed(probe(probes, language), what, text) == expected


@BOTH
@ABIS
def test_a_port_left_out_has_its_default(probes: Path, language: str, abi: str) -> None:
    wasm = probe(probes, language, abi)
    assert call(wasm, "decode", {"what": b'"small"'}) == {"bytes": struct.pack("<q", 5)}


@BOTH
@pytest.mark.parametrize(
    ("what", "text"),
    [
        *(("int", text) for text in (
            b"", b" ", b"-", b"+1", b"01", b"-01", b"1.0", b"1e2", b"0x1", b"1 2", b"null",
            b"9223372036854775808", b"-9223372036854775809", b'"1"', b"[1]", b"1\0", b"\x0c1")),
        *(("small", text) for text in (b"-3", b"10", b"99999999999999999999999")),
        *(("uint", text) for text in (b"-1", b"-0", b"18446744073709551616", b"1.", b"")),
        *(("float", text) for text in (
            b"", b".5", b"5.", b"1e", b"1e+", b"inf", b"nan", b"NaN", b"0x1p3", b"1e999", b"01",
            b"--1", b"1_0", b"1" * 500 + b"x")),
        *(("bool", text) for text in (b"", b"True", b"1", b"truee", b"tru", b"null")),
        *(("string", text) for text in (
            b"", b'"', b"abc", b'"a', b'a"', b'"a"b"', b'"\\"', b'"\\x"', b'"\\u12"', b'"\\u0000"',
            b'"\\ud800"', b'"\\ud800\\u0041"', b'"\\udc00"', b'"\n"', b'"\xff"', b'"\xc3"',
            b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf5\x80\x80\x80"')),
        *(("uint[]", text) for text in (
            b"", b"[", b"]", b"[,]", b"[1,]", b"[1 2]", b"[-1]", b"[1.5]", b"[[1]]", b"{}", b"1")),
    ],
)  # fmt: skip
def test_bad_scalars(probes: Path, language: str, what: str, text: bytes) -> None:
    with pytest.raises(CodecError, match=r"^port `bytes`: expected ") as caught:
        parsed(probe(probes, language), what, text)
    assert "\n" not in str(caught.value)


def test_c_strings_and_lists_are_as_long_as_there_is_room(probes: Path) -> None:
    wasm = probe(probes, "c")
    assert parsed(wasm, "string", b'"' + b"x" * 15 + b'"') == b"x" * 15
    with pytest.raises(CodecError, match="a string of at most 15 bytes"):
        parsed(wasm, "string", b'"' + b"x" * 16 + b'"')
    with pytest.raises(CodecError, match="at most 3 numbers"):
        parsed(wasm, "uint[]", b"[1,2,3,4]")


def encode(probes: Path, language: str, abi: str, what: str, data: bytes) -> dict[str, bytes]:
    ports = {"what": json.dumps(what).encode(), "bytes": data}
    return call(probe(probes, language, abi), "encode", ports)


@BOTH
@ABIS
@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 40])
def test_outputs(probes: Path, language: str, abi: str, data: bytes) -> None:
    assert encode(probes, language, abi, "several", data) == {
        "first": b"one",
        "second": data,
        "third": b"",
    }
    longer = encode(probes, language, abi, "longer-name", data)
    assert longer == {"a name longer than that of the input": data}
    assert encode(probes, language, abi, "shorter", data) == {"bytes": data[: len(data) // 2]}


@BOTH
@ABIS
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("two-in-place", "an output in place stands alone"),
        ("none", "the codec gave no output"),
        ("memory", "^out of memory, wanted "),
        ("too-large", "^out of memory, wanted |^output too large"),
    ],
)
def test_failures_have_words(probes: Path, language: str, abi: str, what: str, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        encode(probes, language, abi, what, b"abc")


@BOTH
@ABIS
def test_a_long_failure_is_cut_between_characters(probes: Path, language: str, abi: str) -> None:
    with pytest.raises(CodecError) as caught:
        encode(probes, language, abi, "fail", b"")
    assert str(caught.value) == "-" + "é" * 249
