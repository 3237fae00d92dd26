import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chonkle.errors import SignatureError, WasmFormatError
from chonkle.formats.signature import (
    SECTION_NAME,
    Direction,
    Port,
    Signature,
    embed_signature,
    read_signature,
)
from chonkle.formats.wasm_binary import custom_sections, sections, with_custom_section, write_u32
from tests.documents import changed
from tests.unit.formats.written import custom

ROOT = Path(__file__).parents[3]
MODULES = {"core": b"\0asm\x01\0\0\0", "component": b"\0asm\x0d\0\x01\0"}

DOCUMENT: dict[str, Any] = {
    "codec_id": "page",
    "implementation": "page-c",
    "version": "1.2.3",
    "kind": "bytes-to-bytes",
    "description": "splits — a page",
    "inputs": {
        "bytes": {"type": "bytes"},
        "checksum": {"type": "uint", "parameter": False, "required": False},
        "dictionary": {"type": "bytes", "parameter": True},
        "level": {"type": "int", "default": 6, "required": False, "encode_only": True},
        "strict": {"type": "bool", "decode_only": True},
        "width": {"type": "uint", "required": True, "description": "of a row"},
        "index": {"type": "bytes", "decode_only": True},
    },
    "outputs": {
        "bytes": {"type": "bytes"},
        "count": {"type": "uint"},
        "hint": {"type": "string", "encode_only": True},
    },
}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("codec_id", "../x", "bad `codec_id`, expected 1 to 128 of letters"),
        ("inputs", {"a.b": {"type": "bytes"}}, "port `a.b`: bad port name, expected 1 to 64"),
        ("outputs", {"": {"type": "bytes"}}, "port ``: bad port name"),
        ("codec_id", ..., "bad `codec_id`.*got `null`"),
        ("implementation", None, "bad `implementation`"),
        ("inputs", ..., "bad `inputs`, expected an object of ports, got `null`"),
        ("outputs", [], "bad `outputs`"),
        ("inputs", "bytes", "bad `inputs`"),
        ("version", None, "bad `version`"),
        ("version", 1, "bad `version`"),
        ("version", "1", "bad `version`"),
        ("version", "1.0.0/../..", "bad `version`"),
        ("version", "1.0.0-" + "x" * 64, "bad `version`"),
        ("kind", "bytes", "bad `kind`, expected one of bytes-to-bytes"),
        ("kind", [], "bad `kind`"),
        ("inputs/bytes", None, "input port `bytes`: not an object, got `null`"),
        ("inputs/bytes", "bytes", "input port `bytes`: not an object"),
        ("inputs/bytes/type", ..., "input port `bytes`: bad `type`"),
        ("inputs/bytes/type", "u8", "input port `bytes`: bad `type`, expected one of bytes,"),
        ("inputs/bytes/type", [], "input port `bytes`: bad `type`"),
        ("outputs/count/type", None, "output port `count`: bad `type`"),
        ("inputs/bytes/required", 1, "input port `bytes`: bad `required`, expected a boolean"),
        ("inputs/bytes/required", None, "bad `required`"),
        ("inputs/bytes/encode_only", "true", "bad `encode_only`"),
        ("inputs/bytes/decode_only", 0, "bad `decode_only`"),
        ("inputs/width/parameter", [], "input port `width`: bad `parameter`"),
        ("inputs/level/decode_only", True, "input port `level`: both encode_only and decode_only"),
        ("outputs/bytes/parameter", True, "output port `bytes`: an output cannot be a parameter"),
        ("inputs/level/default", "6", "input port `level`: bad `default`, expected a value of ty"),
        ("inputs/level/default", 2**63, "bad `default`"),
        ("inputs/level/default", True, "bad `default`"),
        ("inputs/bytes/default", "", "input port `bytes`: bad `default`"),
        ("inputs/count", {"type": "int"}, "`count` is both a parameter and an output"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object, words: str) -> None:
    with pytest.raises(SignatureError, match=words) as caught:
        Signature.from_json(changed(DOCUMENT, path, value), what="page.wasm")
    assert str(caught.value).startswith("page.wasm: ")


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_a_signature_is_an_object(document: object) -> None:
    with pytest.raises(SignatureError, match="signature: not an object"):
        Signature.from_json(document)


def test_unknown_fields_are_kept_and_ignored() -> None:
    document = {**DOCUMENT, "later": {"a": [1]}, "aliases": 7}
    assert Signature.from_json(document).to_json() == document


def test_a_signature_comes_back_from_its_json() -> None:
    signature = Signature.from_json(DOCUMENT)
    assert signature.to_json() == DOCUMENT
    assert signature.label == "page-c@1.2.3"
    assert Signature.from_json(changed(DOCUMENT, "version", ...)).label == "page-c"
    assert Signature.from_json(changed(DOCUMENT, "version", "")).label == "page-c"


@pytest.mark.parametrize(
    ("direction", "input_ports", "output_ports"),
    [
        (
            "decode",
            {"bytes", "checksum", "dictionary", "strict", "width", "index"},
            {"bytes", "count"},
        ),
        (
            "encode",
            {"bytes", "count", "hint", "dictionary", "level", "width"},
            {"bytes", "checksum"},
        ),
    ],
)
def test_each_direction_takes_and_gives_its_own_ports(
    direction: Direction, input_ports: set[str], output_ports: set[str]
) -> None:
    signature = Signature.from_json(DOCUMENT)
    assert set(signature.input_ports(direction)) == input_ports
    assert set(signature.output_ports(direction)) == output_ports


def test_a_port_of_one_direction_may_be_wired_in_both() -> None:
    signature = Signature.from_json(DOCUMENT)
    assert set(signature.connectable_ports("decode")) == set(DOCUMENT["inputs"])
    assert set(signature.connectable_ports("encode")) == {
        *DOCUMENT["outputs"],
        *("dictionary", "level", "strict", "width"),
    }


def test_a_name_on_both_sides_is_each_sides_own_port() -> None:
    signature = Signature.from_json(
        {
            **DOCUMENT,
            "inputs": {"x": {"type": "bytes", "required": False}},
            "outputs": {"x": {"type": "uint"}},
        }
    )
    optional = {"x": Port("bytes", required=False)}
    assert signature.input_ports("decode") == signature.output_ports("encode") == optional
    assert (
        signature.input_ports("encode") == signature.output_ports("decode") == {"x": Port("uint")}
    )


def test_bytes_are_data_and_scalars_parameters_unless_they_say_otherwise() -> None:
    inputs = Signature.from_json(DOCUMENT).inputs
    assert {name for name, port in inputs.items() if port.parameter} == {
        *("dictionary", "level", "strict", "width")
    }


# Embedding


def test_embedding_twice_replaces() -> None:
    first = embed_signature(MODULES["core"], Signature.from_json(DOCUMENT))
    other = Signature.from_json(changed(DOCUMENT, "version", "2.0.0"))
    second = embed_signature(first, other)
    assert len(custom_sections(second, SECTION_NAME)) == 1
    assert read_signature(second, what="x") == other
    assert embed_signature(second, other) == second


@pytest.mark.parametrize("path", sorted((ROOT / "codec").glob("*/*.wasm")), ids=lambda p: p.name)
def test_embedding_leaves_a_shipped_codec_as_it_is(path: Path) -> None:
    wasm = path.read_bytes()
    signature = read_signature(wasm, what=path.name)
    assert path.parent.name == signature.codec_id
    again = embed_signature(wasm, signature)
    assert read_signature(again, what="x") == signature
    assert [(s.id, s.name) for s in sections(again)] == sorted(
        ((s.id, s.name) for s in sections(wasm)), key=lambda pair: pair[1] == SECTION_NAME
    )


def section(payload: bytes) -> bytes:
    return custom(SECTION_NAME, payload)


TEXT = json.dumps(DOCUMENT).encode()


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (b"", "no `chonkle:signature` section; hint: embed one"),
        (section(TEXT) + section(TEXT), "2 `chonkle:signature` sections, expected one"),
        (section(b" " * (1 << 20) + TEXT), "signature too long, expected at most 1048576 bytes"),
        (section(b""), "malformed JSON"),
        (section(b"\xff"), "not UTF-8"),
        (section(b"[]"), "not an object"),
        (section(TEXT + TEXT), "malformed JSON"),
        (section(TEXT[:-1] + b',"codec_id":"other"}'), "`codec_id` occurs twice"),
        (section(TEXT[:-1] + b',"x":' + b"[" * 500_000), "nested too deeply"),
        (section(TEXT[:-1] + b',"x":1e999}'), "too large"),
        (section(TEXT[:-1] + b',"x":"\\ud800"}'), "half of a surrogate pair"),
    ],
)
@pytest.mark.parametrize("kind", MODULES)
def test_a_section_that_is_no_signature_is_refused(kind: str, tail: bytes, words: str) -> None:
    with pytest.raises(SignatureError, match=words) as caught:
        read_signature(MODULES[kind] + tail, what="page.wasm")
    assert str(caught.value).startswith("page.wasm: ")


def test_a_signature_inside_a_nested_component_is_not_the_components_own() -> None:
    inner = embed_signature(MODULES["core"], Signature.from_json(DOCUMENT))
    outer = MODULES["component"] + b"\x01" + write_u32(len(inner)) + inner
    with pytest.raises(SignatureError, match="no `chonkle:signature` section"):
        read_signature(outer, what="x")


@pytest.mark.parametrize(
    "read",
    [
        lambda wasm: read_signature(wasm, what="x"),
        lambda wasm: embed_signature(wasm, Signature.from_json(DOCUMENT)),
        lambda wasm: with_custom_section(wasm, "x", b""),
    ],
)
def test_other_bytes_than_wasm_are_refused(read: Callable[[bytes], object]) -> None:
    with pytest.raises(WasmFormatError, match="not a WebAssembly binary"):
        read(TEXT)


def test_a_signature_without_an_implementation_takes_the_files_name() -> None:
    document = {name: each for name, each in DOCUMENT.items() if name != "implementation"}
    signature = Signature.from_json(document)
    assert signature.implementation == "page"
    named = Signature.from_json(document, implementation="page-x")
    assert named.label == "page-x@1.2.3"
    # It is not written down, as the file may be renamed.
    assert "implementation" not in named.to_json()
    embedded = embed_signature(b"\0asm\x01\0\0\0", named)
    assert read_signature(embedded, what="x", implementation="page-y").implementation == "page-y"
    assert read_signature(embedded, what="x").implementation == "page"
    given = Signature.from_json(DOCUMENT, implementation="page-x")
    assert given.implementation == "page-c"
