"""The SDK in both languages, through codecs that show what it makes of its inputs."""

import json
import math
import struct
from decimal import Decimal
from pathlib import Path

import pytest
from chonkle_toolchain.direct_call import call
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.base import Limits
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
        ("width", b"300", struct.pack("<q", 300)),
        ("choice", b'"little"', b"\0"),
        ("choice", rb' "\u006eone" ', b"\2"),
        ("items", b"8 bytes.", b"8 bytes."),
        ("items", b"", b""),
        ("end", b"123", b"end"),
        ("string", rb'"\u00e9\ud83d\ude00\n\/"', "é😀\n/".encode()),
    ],
)
def test_good_scalars(probes: Path, language: str, what: str, text: bytes, expected: bytes) -> None:
    assert parsed(probe(probes, language), what, text) == expected


@BOTH
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<u2", ("u", False, 2)),
        (">f8", ("f", True, 8)),
        ("i4", ("i", False, 4)),
        ("=i8", ("i", False, 8)),
        ("|b1", ("b", False, 1)),
        (">u1", ("u", False, 1)),
        (">c16", ("c", True, 16)),
        ("<f2", ("f", False, 2)),
        ("<M8[ns]", ("M", False, 8)),
        (">m8[25s]", ("m", True, 8)),
        ("<M8", ("M", False, 8)),
        ("|S5", ("S", False, 5)),
        (">U7", ("U", True, 28)),
        ("|V16777216", ("V", False, 1 << 24)),
        ("bool", ("b", False, 1)),
        ("int8", ("i", False, 1)),
        ("uint16", ("u", False, 2)),
        ("int64", ("i", False, 8)),
        ("float16", ("f", False, 2)),
        ("float64", ("f", False, 8)),
        ("complex128", ("c", False, 16)),
    ],
)
def test_dtype(probes: Path, language: str, text: str, expected: tuple[str, bool, int]) -> None:
    kind, is_big_endian, size = expected
    displayed = parsed(probe(probes, language), "dtype", json.dumps(text).encode())
    assert displayed == struct.pack("<3I", ord(kind), is_big_endian, size)


@BOTH
@ABIS
def test_a_port_left_out_has_its_default(probes: Path, language: str, abi: str) -> None:
    wasm = probe(probes, language, abi)
    defaults = struct.pack("<qQd2Q3B", -3, 2**64 - 1, 0.1, 3, 4, 1, 2, 1) + '"é\\\n'.encode()
    assert call(wasm, "decode", {"what": b'"defaults"'}) == {"bytes": defaults}
    others = {
        "level": b"9", "seed": b" 1 ", "scale": b"2", "shape": b"[5,6]", "order": b'"little"',
        "dtype": b'"|i1"', "strict": b"false", "text": b'""',
    }  # fmt: skip
    given_ports = {"what": b'"defaults"', **others}
    expected = struct.pack("<qQd2Q3B", 9, 1, 2.0, 5, 6, 0, 1, 0)
    assert call(wasm, "decode", given_ports) == {"bytes": expected}


@BOTH
@ABIS
def test_a_port_without_default_is_missing(probes: Path, language: str, abi: str) -> None:
    wasm = probe(probes, language, abi)
    with pytest.raises(CodecError, match=r"^missing port `optional`$"):
        call(wasm, "decode", {"what": b'"missing"'})
    # Required, so that its default says nothing; and `level` begins with its name.
    with pytest.raises(CodecError, match=r"^missing port `lev`$"):
        call(wasm, "decode", {"what": b'"prefix"'})
    assert call(wasm, "decode", {"what": b'"optional"'}) == {"bytes": b"\0"}
    assert call(wasm, "decode", {"what": b'"optional"', "optional": b"1"}) == {"bytes": b"\1"}


@BOTH
def test_a_default_is_checked_as_any_value(probes: Path, language: str) -> None:
    with pytest.raises(CodecError, match="port `level`: expected an int from -9 to 9, got `10`"):
        call(probe(probes, language), "decode", {"what": b'"defaults"', "level": b"10"})


@BOTH
@pytest.mark.parametrize(
    ("what", "text"),
    [
        *(("int", text) for text in (
            b"", b" ", b"-", b"+1", b"01", b"-01", b"1.0", b"1e2", b"0x1", b"1 2", b"null",
            b"9223372036854775808", b"-9223372036854775809", b'"1"', b"[1]", b"1\0", b"\x0c1")),
        *(("width", text) for text in (b"0", b"301", b"-1", b"")),
        *(("choice", text) for text in (
            b"", b'"Little"', b'"littl"', b'"little', b'""', b"1", b'"' + b"x" * 100 + b'"')),
        *(("dtype", text) for text in (
            b"", b'""', b'"<"', b'"u"', b'"u3"', b'"<u2 "', b'" u2"', b'"x4"', b'"f16"', b'"u-2"',
            b'"b2"', b'"c4"', b'"M4"', b'"<M8[ns"', b'"<M8[ns]]"', b'"<M8ns"', b'"<u2[ns]"',
            b'"V0"', b'"V"', b'"V16777217"', b'"V99999999999999999999"', b'"<<u2"',
            b'"float"', b'"float8"', b'"float128"', b'"int7"', b'"int12"', b'"uint0"',
            b'"<float64"', b'"float64 "', b'"bool8"', b'"<bool"', b'"complex32"',
            b'"datetime64"', b'"in16"', b"2",
            b'[["a","<u2"]]', b'"<u\\u0032\\u0000"', b'"' + b"<u2" * 100 + b'"')),
        *(("integer dtype", text) for text in (b'"<f4"', b'"|b1"')),
        ("items", b"seven ."),
        *(("small", text) for text in (b"-3", b"10", b"99999999999999999999999")),
        *(("uint", text) for text in (b"-1", b"-0", b"18446744073709551616", b"1.", b"")),
        *(("float", text) for text in (
            b"", b".5", b"5.", b"1e", b"1e+", b"inf", b"nan", b"NaN", b"0x1p3", b"1e999", b"01",
            b"--1", b"1_0", b"1e5x", b"1.e5", b"-", b"e5", b"1e-", b"0.5.5", b"1" * 500,
            b"1" * 500 + b"x", b"1.7976931348623159e308")),
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


@BOTH
def test_bad_values_are_named_with_what_they_may_be(probes: Path, language: str) -> None:
    wasm = probe(probes, language)
    with pytest.raises(CodecError) as caught:
        parsed(wasm, "choice", b'"middle"')
    assert str(caught.value) == (
        'port `bytes`: expected `"little"`, `"big"` or `"none"`, got `"middle"`'
    )
    with pytest.raises(CodecError) as caught:
        parsed(wasm, "integer dtype", b'"<f4"')
    assert str(caught.value) == (
        "port `bytes`: expected a type of integers (`i1`, `i2`, `i4`, `i8`) or unsigned integers "
        '(`u1`, `u2`, `u4`, `u8`), got `"<f4"`'
    )
    with pytest.raises(CodecError) as caught:
        parsed(wasm, "items", b"seven .")
    assert str(caught.value) == "port `bytes`: expected whole items of 4 bytes, got 7 bytes"
    with pytest.raises(CodecError) as caught:
        parsed(wasm, "end", b"123456")
    assert str(caught.value) == "port `bytes`: 3 bytes after the end of the stream at offset 3"
    with pytest.raises(CodecError) as caught:
        parsed(wasm, "uint", b"\0\xff" + b"x" * 60)
    displayed = "??" + "x" * 42 + "..."
    assert str(caught.value) == (
        f"port `bytes`: expected a uint from 0 to 18446744073709551615, got `{displayed}`"
    )


@BOTH
def test_the_port_trailing_says_what_happens_after_a_stream(probes: Path, language: str) -> None:
    wasm = probe(probes, language)
    ports = {"what": b'"end"', "bytes": b"123456"}
    assert call(wasm, "decode", {**ports, "trailing": b'"ignore"'}) == {"bytes": b"end"}
    assert call(wasm, "decode", {**ports, "bytes": b"123", "trailing": b'"refuse"'})
    with pytest.raises(CodecError) as caught:
        call(wasm, "decode", {**ports, "trailing": b'"refuse"'})
    assert str(caught.value) == (
        "port `bytes`: 3 bytes after the end of the stream at offset 3; "
        "hint: the value `ignore` of the parameter `trailing` skips them"
    )
    for data in (b"123", b"123456"):
        with pytest.raises(CodecError) as caught:
            call(wasm, "decode", {**ports, "bytes": data, "trailing": b'"drop"'})
        expected = 'port `trailing`: expected `"ignore"` or `"refuse"`, got `"drop"`'
        assert str(caught.value) == expected


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993", "9007199254740992.5000000000000000000000001", "2.2250738585072011e-308",
        "1.7976931348623158e308", "0." + "0" * 320 + "1", "1" * 300, "0." + "9" * 398, "123e-400",
        "0e99999999999", "1e-99999999999", "0.1e1", "1E+2", "-0.0", "5e-324", "2.5e-324",
        f"{Decimal(2) ** -1074:.360e}",
    ],
)  # fmt: skip
def test_floats_are_rounded_to_the_nearest(probes: Path, language: str, text: str) -> None:
    expected = struct.pack("<d", float(text))
    assert parsed(probe(probes, language), "float", text.encode()) == expected


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
    assert encode(probes, language, abi, "rest", data) == {"bytes": data[len(data) // 2 :]}


@BOTH
@ABIS
def test_an_output_grows(probes: Path, language: str, abi: str) -> None:
    grown = b"".join(bytes([part]) * size for part, size in enumerate((4096, 28672, 67232)))
    assert encode(probes, language, abi, "grow", b"") == {"bytes": grown}
    with pytest.raises(CodecError, match=r"^output larger than 100000 bytes$"):
        encode(probes, language, abi, "grow-too-much", b"")


@BOTH
def test_an_output_grows_by_less_where_memory_is_short(probes: Path, language: str) -> None:
    # Only eight times as large would be 2 MiB and then nothing.
    limits = Limits(memory_bytes=(16 << 20) - (64 << 10))
    ports = {"what": b'"grow-all"', "bytes": b""}
    with pytest.raises(CodecError, match=r"^grew to [0-9]+ bytes$") as caught:
        call(probe(probes, language), "encode", ports, limits=limits)
    assert int(str(caught.value).split()[2]) >= 4 << 20


@BOTH
@ABIS
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("two-in-place", "an output in place stands alone"),
        ("none", "the codec gave no output"),
        ("memory", "^out of memory, wanted "),
        ("almost-4-gib", "^out of memory, wanted "),
        ("too-large", "^out of memory, wanted |^output too large"),
    ],
)
def test_failures_have_words(probes: Path, language: str, abi: str, what: str, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        encode(probes, language, abi, what, b"abc")


@BOTH
@ABIS
def test_growing_little_by_little_copies_little(probes: Path, language: str, abi: str) -> None:
    # A million steps: were each a copy of all that is there, this would take minutes.
    data = bytes(1 << 20)
    assert encode(probes, language, abi, "several", data)["second"] == data


@ABIS
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("outside", "an output in place lies outside of the inputs"),
        ("resize-nothing", "no output to resize"),
        ("numbers", "-7 7 50 -9223372036854775808 18446744073709551615 % `" + "x" * 44 + "...`"),
    ],
)
def test_failures_of_c(probes: Path, abi: str, what: str, said: str) -> None:
    with pytest.raises(CodecError) as caught:
        encode(probes, "c", abi, what, b"x" * 50)
    assert str(caught.value) == said


@BOTH
@ABIS
def test_a_long_failure_is_cut_between_characters(probes: Path, language: str, abi: str) -> None:
    with pytest.raises(CodecError) as caught:
        encode(probes, language, abi, "fail", b"")
    assert str(caught.value) == "-" + "é" * 249
