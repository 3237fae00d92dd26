"""Golden vectors: read from handwritten files, and compared with a codec's outputs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from chonkle_toolchain.recipe import Recipe
from chonkle_toolchain.vectors import Vector, format_ports, read_vector_files, verify

from chonkle.errors import BuildError, CodecTrap
from chonkle.formats.signature import Direction, Signature

SIGNATURE = Signature.from_json(
    {
        "codec_id": "add",
        "implementation": "add-test",
        "inputs": {
            "bytes": {"type": "bytes"},
            "amount": {"type": "int"},
            "level": {"type": "int", "required": False, "encode_only": True},
        },
        "outputs": {"bytes": {"type": "bytes"}, "count": {"type": "uint", "required": False}},
    }
)
DOCUMENT: Mapping[str, Any] = {
    "made_by": "pencil and paper",
    "directions": ["decode", "encode"],
    "inputs": {"bytes": {"base64": "AgM="}, "amount": {"json": 1}, "level": {"json": 9}},
    "outputs": {"bytes": {"base64": "AQI="}},
}


def read(folder: Path, changes: Mapping[str, Any]) -> Vector:
    (folder / "case.json").write_text(json.dumps({**DOCUMENT, **changes}))
    (vector,) = read_vector_files(folder)
    return vector


def test_a_vector_serves_both_directions(tmp_path: Path) -> None:
    vector = read(tmp_path, {})
    assert (vector.case, vector.made_by) == ("case", "pencil and paper")
    assert vector.given("decode", SIGNATURE) == {"bytes": b"\2\3", "amount": b"1"}
    assert vector.expected("decode", SIGNATURE) == {"bytes": b"\1\2"}
    assert vector.given("encode", SIGNATURE) == {"bytes": b"\1\2", "amount": b"1", "level": b"9"}
    assert vector.expected("encode", SIGNATURE) == {"bytes": b"\2\3"}


def test_a_folder_without_vectors_has_none(tmp_path: Path) -> None:
    assert read_vector_files(tmp_path / "vectors") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"directions": "decode"},
        {"directions": []},
        {"made_by": 5},
        {"inputs": {"bytes": {"base64": "AgM=", "json": 1}}},
        {"directions": ["decoding"]},
        {"directions": [["decode"]]},
        {"inputs": []},
        {"inputs": {"bytes": "AgM="}},
        {"inputs": {"bytes": {"base64": "not base64"}}},
        {"inputs": {"bytes": {"base64": 5}}},
        {"inputs": {"bytes": {"hex": "00"}}},
        {"outputs": {"bytes": None}},
    ],
    ids=str,
)
def test_a_malformed_vector_is_named(tmp_path: Path, changes: Mapping[str, Any]) -> None:
    with pytest.raises(BuildError, match=r"case\.json: malformed golden vector(: |, expected)"):
        read(tmp_path, changes)


def test_a_vector_that_is_no_object_is_named(tmp_path: Path) -> None:
    for text in ("[]", "5", "{}"):
        (tmp_path / "case.json").write_text(text)
        with pytest.raises(
            BuildError, match=r"case\.json: malformed golden vector, expected an ob"
        ):
            read_vector_files(tmp_path)


def test_a_vector_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "case.json").mkdir()
    with pytest.raises(BuildError, match=r"case\.json: cannot be read: not a regular file"):
        read_vector_files(tmp_path)


@pytest.mark.parametrize("place", ["case.jsn", "case.JSON", "more/case.json"])
def test_a_vector_where_none_is_looked_for_is_named(tmp_path: Path, place: str) -> None:
    for beside in ("make_vectors.py", "README.md", "data.bin", "case.js"):
        (tmp_path / beside).write_text("")
    assert read_vector_files(tmp_path) == []
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(json.dumps(DOCUMENT))
    with pytest.raises(BuildError, match=r"case\.\w+: no golden vector, expected .*/case\.json$"):
        read_vector_files(tmp_path)


@pytest.mark.parametrize("name", DOCUMENT)
def test_a_field_that_a_vector_lacks_is_named(tmp_path: Path, name: str) -> None:
    lacking = {("input" if field == name else field): value for field, value in DOCUMENT.items()}
    (tmp_path / "case.json").write_text(json.dumps(lacking))
    with pytest.raises(BuildError, match=f"malformed golden vector, expected .*, got no `{name}`$"):
        read_vector_files(tmp_path)


def call(amount: int) -> Any:
    def add(direction: Direction, ports: Mapping[str, bytes]) -> dict[str, bytes]:
        sign = 1 if direction == "encode" else -1
        return {"bytes": bytes(byte + sign * amount for byte in ports["bytes"])}

    return add


def test_a_codec_keeps_a_vector_or_fails_it(tmp_path: Path) -> None:
    vector = read(tmp_path, {})
    for direction in vector.directions:
        vector.check(direction, SIGNATURE, call(1))
    with pytest.raises(BuildError) as caught:
        vector.check("decode", SIGNATURE, call(2))
    assert str(caught.value) == (
        "`add-test` fails its golden vector `case`, to decode,"
        " expected `bytes` of 2 bytes with [01] 02 at byte 0,"
        " got `bytes` of 2 bytes with [00] 01 at byte 0;"
        " hint: mend the codec, or give it another version; do not renew the vector"
    )

    def trap(direction: Direction, ports: Mapping[str, bytes]) -> dict[str, bytes]:
        raise CodecTrap(f"{direction} of {len(ports)} ports trapped")

    with pytest.raises(BuildError, match="got the failure: encode of 3 ports trapped"):
        vector.check("encode", SIGNATURE, trap)


@pytest.mark.parametrize(
    ("one", "other", "displayed", "displayed_other"),
    [
        (
            bytes(range(200)),
            bytes(range(197)) + b"\0\xc6\xc7",
            "`a` of 200 bytes with c1 c2 c3 c4 [c5] c6 c7 at byte 197",
            "`a` of 200 bytes with c1 c2 c3 c4 [00] c6 c7 at byte 197",
        ),
        (
            bytes(20),
            bytes(19),
            "`a` of 20 bytes with 00 00 00 00 [00] at byte 19",
            "`a` of 19 bytes with 00 00 00 00 [end] at byte 19",
        ),
        (b"\1", b"", "`a` of 1 bytes with [01] at byte 0", "`a` of 0 bytes with [end] at byte 0"),
        (b"\1", b"\1", "`a` of 1 bytes beginning 01", "`a` of 1 bytes beginning 01"),
    ],
    ids=["late", "cut", "empty", "equal"],
)
def test_a_difference_is_located(
    one: bytes, other: bytes, displayed: str, displayed_other: str
) -> None:
    assert format_ports({"a": one}, beside={"a": other}) == displayed
    assert format_ports({"a": other}, beside={"a": one}) == displayed_other


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outputs": {"pixels": {"base64": ""}}}, "has no output port `pixels`; hint: there is `b"),
        (
            {"inputs": {"byte": {"base64": ""}}},
            "has no input port `byte`; hint: there is `bytes`.*; add it to `inputs` of the sig",
        ),
    ],
)
def test_an_unknown_port_is_named(tmp_path: Path, changes: Mapping[str, Any], words: str) -> None:
    with pytest.raises(BuildError, match=words):
        read(tmp_path, changes).check("decode", SIGNATURE, call(1))


def test_what_a_vector_leaves_out_is_missed(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="expected no ports, got `bytes` of 2 bytes"):
        read(tmp_path, {"outputs": {}}).check("decode", SIGNATURE, call(1))


@pytest.mark.slow
def test_a_codec_that_never_ends_fails_its_vector(tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "case.json").write_text(json.dumps(DOCUMENT))
    wasm = wasmtime.wat2wasm("""(module
      (memory (export "memory") 1)
      (func (export "alloc") (param i32) (result i32) (i32.const 64))
      (func (export "dealloc") (param i32 i32))
      (func (export "decode") (param i32 i32) (result i64) (loop $l (br $l)) (unreachable)))""")
    words = (
        "fails its golden vector `case`, to decode, got the failure: ran longer than the allowed"
    )
    with pytest.raises(BuildError, match=words):
        verify(Recipe(tmp_path, "c", SIGNATURE), bytes(wasm))
