"""The JSON Schemas say what the parsers say.

A schema sees one value at a time. What needs two (a wiring reference and the step it names) only
the parser can check; such documents are listed in `BEYOND_SCHEMAS`. Nor does a schema know how a
number was written: it takes 1.0 for an integer, and an integer of any length for a float.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chonkle.errors import ChonkleError
from chonkle.formats.declared import Declared
from chonkle.formats.signature import Signature, read_signature
from chonkle.formats.values import PORT_TYPES
from chonkle.pipeline import load
from tests.documents import changed

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "chonkle/formats/schemas"


def schema_of(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))
    return document


def for_python(schema: object) -> Any:
    """Write patterns for Python: the `$` of ECMA-262 is the end and nothing else."""
    if isinstance(schema, list):
        return [for_python(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("$", r"\Z")
        if key == "pattern" and isinstance(value, str)
        else for_python(value)
        for key, value in schema.items()
    }


VALIDATORS = {
    name: Draft202012Validator(for_python(schema_of(name))) for name in ("pipeline", "signature")
}
PARSERS: dict[str, Callable[[Any], object]] = {
    "pipeline": load,
    "signature": lambda document: Declared.of(Signature.from_json(document)),
}


def problem_of(name: str, document: object) -> str | None:
    """Give what a parser says against a document, or None where it accepts it."""
    try:
        PARSERS[name](document)
    except ChonkleError as failure:
        return str(failure)
    return None


SIGNATURE: dict[str, Any] = {
    "codec_id": "tiff-predictor-2",
    "implementation": "tiff-predictor-2-c",
    "version": "1.0.0-rc.1+build.5",
    "kind": "bytes-to-bytes",
    "inputs": {
        "bytes": {"type": "bytes"},
        "width": {"type": "uint"},
        "level": {"type": "int", "required": False, "default": -1, "encode_only": True},
        "checksum": {"type": "uint", "parameter": False, "decode_only": True},
    },
    "outputs": {"bytes": {"type": "bytes"}},
    "aliases": {"numcodecs": ["delta"]},
}
GRAPH: dict[str, Any] = {
    "codec_id": "tile",
    "direction": "decode",
    "sources": {"zlib": "oci://registry.example/codecs/zlib:1.0.0"},
    "inputs": {"bytes": {"type": "bytes"}, "level": {"type": "int", "encode_only": True}},
    "constants": {"width": {"type": "int", "value": 2}, "raw": {"type": "bytes", "value": "AAE="}},
    "outputs": {"bytes": "predictor.bytes"},
    "steps": {
        "zlib": {"codec_id": "zlib", "inputs": {"bytes": "input.bytes", "level": "input.level"}},
        "predictor": {
            "codec_id": "tiff-predictor-2",
            "inputs": {"bytes": "zlib.bytes", "width": "constant.width"},
        },
    },
}
LINEAR: dict[str, Any] = {
    "codecs": [
        {"name": "bytes", "configuration": {"endian": "little", "data_type": "<u2"}},
        {"name": "shuffle", "type": "numcodecs", "configuration": {"id": "shuffle", "x": None}},
        {"name": "zlib", "type": "wasm", "uri": "oci://registry.example/zlib:1"},
        {"id": "zstd", "level": 3},
        "crc32c",
    ]
}

NAMES_GOOD = ["a", "A1", "tiff-predictor-2", "a.b_c+d", "x" * 128, "console", "com10"]
NAMES_BAD = ["", "-a", "a-", ".a", "a..b", "a/b", "é", "a b", "x" * 129, "con", "NUL.txt", "lPt9"]
NAMES_BAD += ["a\n", "aux.a.b"]
NOT_STRINGS: list[object] = [None, 1, True, [], {}]
WIRES_GOOD = ["a", "_", "A-1_b", "x" * 64]
WIRES_BAD = ["", "1a", "-a", "a.b", "a b", "x" * 65, "é", "a\n"]
NOT_OBJECTS: list[object] = [None, [], "x", 1, True]
VERSIONS_GOOD = ["", "0.0.0", "1.2.3-a.b.1", "1.0.0+x", "999999999.0.0"]
VERSIONS_BAD: list[object] = ["1", "1.0", "01.0.0", "1.0.0-", "v1.0.0", "1.0.0+", "1000000000.0.0"]
VERSIONS_BAD += ["1.0.0-" + "a" * 59, None, 1]
VALUES_GOOD: dict[str, list[Any]] = {
    "string": ["", "x"],
    "int": [-(2**63), 2**63 - 1, 0],
    "uint": [0, 2**64 - 1],
    "float": [1, -0.5, 1e300],
    "bool": [True, False],
    "uint[]": [[], [0, 2**64 - 1]],
    "dtype_desc": ["<u2", [["a", "<u2"]]],
}
VALUES_BAD: dict[str, list[Any]] = {
    "string": [1, [], {}],
    "int": [True, "1", 1.5, 2**63, -(2**63) - 1],
    "uint": [-1, 2**64, True, 0.5, "1"],
    "float": ["1", True, []],
    "bool": [0, 1, "true"],
    "uint[]": [1, [-1], ["1"], [True], {}],
    "dtype_desc": ["", [], 1, {}, True],
}


def signature_documents() -> Iterator[tuple[object, bool]]:
    yield SIGNATURE, True
    for field in ("codec_id", "implementation"):
        yield from ((changed(SIGNATURE, (field,), name), True) for name in NAMES_GOOD)
        yield from ((changed(SIGNATURE, (field,), n), False) for n in NAMES_BAD + NOT_STRINGS)
    for field in ("codec_id", "inputs", "outputs"):
        yield changed(SIGNATURE, (field,), ...), False
    yield changed(SIGNATURE, ("implementation",), ...), True
    yield from ((changed(SIGNATURE, ("version",), each), True) for each in VERSIONS_GOOD)
    yield from ((changed(SIGNATURE, ("version",), each), False) for each in VERSIONS_BAD)
    for kind in ("array-to-array", "array-to-bytes", None):
        yield changed(SIGNATURE, ("kind",), kind), True
    yield changed(SIGNATURE, ("kind",), "bytes"), False
    for field in ("description", "future"):
        yield changed(SIGNATURE, (field,), 3), True
    for side in ("inputs", "outputs"):
        yield from ((changed(SIGNATURE, (side,), each), False) for each in NOT_OBJECTS)
        yield changed(SIGNATURE, (side,), {}), True
        for document, good in port_documents():
            yield changed(SIGNATURE, (side, "extra"), document), good
    yield changed(SIGNATURE, ("outputs", "extra"), {"type": "bytes", "parameter": True}), False
    yield changed(SIGNATURE, ("inputs", "extra"), {"type": "bytes", "parameter": True}), True
    for wire in WIRES_GOOD:
        yield changed(SIGNATURE, ("inputs", wire), {"type": "int"}), True
    for wire in WIRES_BAD:
        yield changed(SIGNATURE, ("outputs", wire), {"type": "int"}), False
    for document in (None, [], "signature", 1):
        yield document, False


def declared_documents() -> Iterator[tuple[object, bool]]:
    """Optional fields, good and bad."""
    level: dict[str, Any] = {"type": "int", "required": False}
    ports: dict[str, tuple[list[object], list[object]]] = {
        "minimum": ([0, -5], ["0", None]),
        "maximum": ([0], [[], True]),
        "choices": ([[], [1, 2]], [1, {}]),
        "values": ([{}, {"off": 0}], [[], 1]),
        "from_array": (["itemsize", "shape[-1]", "width"], ["size", 1, None]),
    }
    for field, (good, bad) in ports.items():
        for value in good:
            yield changed(SIGNATURE, ("inputs", "level"), {**level, field: value}), True
        for value in bad:
            yield changed(SIGNATURE, ("inputs", "level"), {**level, field: value}), False
    clamped = {**level, "minimum": 1}
    yield changed(SIGNATURE, ("inputs", "level"), {**clamped, "clamp": True}), True
    yield changed(SIGNATURE, ("inputs", "level"), {**clamped, "clamp": 1}), False
    text = {"type": "string", "required": False}
    yield changed(SIGNATURE, ("inputs", "text"), {**text, "json_text": True}), True
    yield changed(SIGNATURE, ("inputs", "text"), {**text, "json_text": "yes"}), False
    numbers = {"type": "dtype_desc"}, {"type": "uint[]"}
    arrays: dict[str, tuple[list[object], list[object]]] = {
        "inputs": (
            [{}, {"dtype": ["|u1", "kept"]}, {"permuted_by": "axes"}],
            [{"dtype": "|u1"}, {"permuted_by": 1}, {"byte_order": "little"}],
        ),
        "outputs": (
            [{}, {"byte_order": "little"}, {"dtype": ["|u1"]}],
            [[], {"order": 1}, {"byte_order": "big"}, {"permuted_by": "axes"}],
        ),
    }
    for side, (good_arrays, bad_arrays) in arrays.items():
        whole = changed(SIGNATURE, ("kind",), "array-to-array")
        for name, port in zip(("kept", "axes"), numbers, strict=True):
            whole = changed(whole, ("inputs", name), port)
        for array, good_array in (
            *((each, True) for each in good_arrays),
            *((each, False) for each in bad_arrays),
        ):
            yield changed(whole, (side, "bytes"), {"type": "bytes", "array": array}), good_array
    fields: dict[str, tuple[list[object], list[object]]] = {
        "aliases": (
            [{}, {"zarr_v3": ["a"], "tiff_compression": [8]}],
            [[], {"a": "b"}, {"a": [""]}],
        ),
        "partial_decode": (["none"], ["all", 1]),
        "concurrency": ([1, 4], [0, "1", True]),
        "identity": ([[], [{"level": 1}]], [{}, [{}], [1]]),
        "encoded_size": (
            [
                {"kind": "unbounded"},
                {"kind": "fixed", "formula": "bytes + ceil(bytes / 8) * width"},
            ],
            [{}, "fixed", {"kind": "exact"}, {"kind": "fixed"}, {"kind": "bounded", "formula": 1}],
        ),
    }
    for field, (good_values, bad_values) in fields.items():
        yield from ((changed(SIGNATURE, (field,), value), True) for value in good_values)
        yield from ((changed(SIGNATURE, (field,), value), False) for value in bad_values)


def port_documents() -> Iterator[tuple[object, bool]]:
    for port_type in PORT_TYPES:
        yield {"type": port_type}, True
        yield {"type": port_type, "default": None}, True
        yield from (
            ({"type": port_type, "default": value}, True)
            for value in VALUES_GOOD.get(port_type, [])
        )
        yield from (
            ({"type": port_type, "default": value}, False)
            for value in VALUES_BAD.get(port_type, ["x", 1, ""])
        )
    for flag in ("required", "encode_only", "decode_only", "parameter"):
        yield {"type": "bytes", flag: False}, True
        yield from (({"type": "bytes", flag: each}, False) for each in (None, 0, "yes"))
    yield {"type": "int", "encode_only": True, "decode_only": True}, False
    yield {"type": "int", "encode_only": True, "decode_only": False}, True
    yield {"type": "int", "future": 1}, True
    bad: list[object] = [{}, {"type": "int32"}, {"type": ["int"]}, None, "int"]
    yield from ((each, False) for each in bad)


def graph_documents() -> Iterator[tuple[object, bool]]:
    yield GRAPH, True
    for field in GRAPH:
        yield changed(GRAPH, (field,), ...), field == "sources"
        yield changed(GRAPH, (field,), None), False
    yield from ((changed(GRAPH, ("codec_id",), name), True) for name in NAMES_GOOD)
    yield from ((changed(GRAPH, ("codec_id",), name), False) for name in NAMES_BAD + NOT_STRINGS)
    yield from ((changed(GRAPH, ("direction",), d), d == "encode") for d in ("encode", "x", 1))
    yield from ((changed(GRAPH, (field,), "x"), True) for field in ("$schema", "description"))
    yield from ((changed(GRAPH, (field,), 1), False) for field in ("constant", "codecs", "Steps"))
    for section in ("inputs", "constants", "outputs", "steps"):
        value: Any = next(iter(GRAPH[section].values()))
        yield from ((changed(GRAPH, (section, wire), value), True) for wire in WIRES_GOOD)
        yield from ((changed(GRAPH, (section, wire), value), False) for wire in WIRES_BAD)
    for document, good in port_documents():
        yield changed(GRAPH, ("inputs", "extra"), document), good


def constant_documents() -> Iterator[tuple[object, bool]]:
    for constant_type, values in VALUES_GOOD.items():
        for value in values:
            yield constant(constant_type, value), True
        for value in VALUES_BAD[constant_type]:
            yield constant(constant_type, value), False
        yield constant(constant_type, None), False
    older: dict[str, list[Any]] = {"number": [0, -1, 0.5], "list": [[], [1], ["a"]]}
    for older_type, values in older.items():
        yield from ((constant(older_type, value), True) for value in values)
        yield constant(older_type, "1"), False
    for text in ("", "AA==", "AAA=", "AAAA", "+/+/"):
        yield constant("bytes", text), True
    for bad in ("A", "AA", "AA=", "A===", "AA==AA==", "AA\n==", "-_-_", "é", 1, None, [0]):
        yield constant("bytes", bad), False
    items: list[object] = [{"type": "int"}, {"value": 1}, {"type": "x", "value": 1}, 1, []]
    for item in items:
        yield changed(GRAPH, ("constants", "extra"), item), False
    yield changed(GRAPH, ("constants", "width", "unit"), "px"), False
    yield changed(GRAPH, ("constants", "width", "description"), "pixels"), True
    numbers: list[tuple[object, bool]] = [(8, True), (-8, False), (True, False), (0.5, False)]
    for number, good in numbers:
        yield changed(GRAPH, ("steps", "zlib", "codec_id"), number), good


def wiring_documents() -> Iterator[tuple[object, bool]]:
    for name in ("input", "constant"):
        yield changed(GRAPH, ("steps", name), GRAPH["steps"]["zlib"]), False
    steps: list[object] = [{}, {"codec_id": "x"}, {"inputs": {}}, *NOT_OBJECTS]
    steps.append({"codec_id": "a/b", "inputs": {}})
    for step in steps:
        yield changed(GRAPH, ("steps", "extra"), step), False
    yield changed(GRAPH, ("steps", "extra"), {"codec_id": "x", "inputs": {}}), True
    yield changed(GRAPH, ("steps", "zlib", "outputs"), {}), False
    for ref in ("input", "input.", ".bytes", "a.b.c", "zlib.1", "", "input.bytes\n", *NOT_STRINGS):
        yield changed(GRAPH, ("steps", "zlib", "inputs", "bytes"), ref), False
        yield changed(GRAPH, ("outputs", "bytes"), ref), False
    yield changed(GRAPH, ("outputs", "bytes"), "input.bytes"), True
    yield changed(GRAPH, ("outputs", "bytes"), "constant.width"), False
    yield changed(GRAPH, ("outputs",), {}), False
    yield changed(GRAPH, ("sources",), {}), True
    yield changed(GRAPH, ("sources", "a/b"), "file:///x"), False
    yield from ((changed(GRAPH, ("sources", "zlib"), uri), False) for uri in NOT_STRINGS)


def constant(constant_type: str, value: object) -> dict[str, Any]:
    return changed(GRAPH, ("constants", "extra"), {"type": constant_type, "value": value})


def linear_documents() -> Iterator[tuple[object, bool]]:
    yield LINEAR, True
    yield changed(LINEAR, ("extra",), 1), True
    lists: list[object] = [
        [],
        None,
        {},
        "x",
        [-1],
        [1.5],
        [{}],
        [""],
        [{"id": 1}],
        [{"name": "x" * 129}],
    ]
    for codecs in lists:
        yield {"codecs": codecs}, False
    for codecs in ([8], ["8"], [{"name": 8}], [65535]):
        yield {"codecs": codecs}, True
        yield codecs, True
    yield from (([], False), ([65536], False), ([{"name": True}], False), ([[8]], False))
    for index in range(3):
        entry = ("codecs", index)
        yield changed(LINEAR, (*entry, "type"), None), True
        yield changed(LINEAR, (*entry, "type"), "native"), False
        yield changed(LINEAR, (*entry, "name"), ...), False
        yield changed(LINEAR, (*entry, "name"), []), False
        yield changed(LINEAR, (*entry, "url"), "x"), False
        yield changed(LINEAR, (*entry, "uri"), None), False
        yield changed(LINEAR, (*entry, "configuration"), None), True
        yield changed(LINEAR, (*entry, "configuration"), [1]), False
        yield (changed(LINEAR, (*entry, "configuration"), {"size": 2, "x": [1], "y": {}}), True)
    yield {"codecs": LINEAR["codecs"], "steps": {}}, False


TABLE = [
    *(("signature", *row) for row in signature_documents()),
    *(("signature", *row) for row in declared_documents()),
    *(("pipeline", *row) for row in graph_documents()),
    *(("pipeline", *row) for row in constant_documents()),
    *(("pipeline", *row) for row in wiring_documents()),
    *(("pipeline", *row) for row in linear_documents()),
]


@pytest.mark.parametrize("name", VALIDATORS)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema_of(name))


def test_the_schemas_share_their_definitions() -> None:
    pipeline, signature = schema_of("pipeline")["$defs"], schema_of("signature")["$defs"]
    shared = pipeline.keys() & signature.keys()
    assert {"codecName", "wireName", "port", "portType"} <= shared
    assert {name: pipeline[name] for name in shared} == {name: signature[name] for name in shared}
    assert tuple(pipeline["portType"]["enum"]) == PORT_TYPES


def test_schema_and_parser_agree_on_every_document_of_the_table() -> None:
    found = [
        (name, document, good, VALIDATORS[name].is_valid(document), problem_of(name, document))
        for name, document, good in TABLE
        # A document without constants lacks one that it refers to, which only the parser sees.
        if not (isinstance(document, dict) and "steps" in document and "constants" not in document)
    ]
    assert len(found) > 400
    wrong = [row for row in found if not row[2] == row[3] == (row[4] is None)]
    assert wrong == []


BEYOND_SCHEMAS = {
    "no step": changed(GRAPH, ("outputs", "bytes"), "nowhere.bytes"),
    "no input": changed(GRAPH, ("steps", "zlib", "inputs", "bytes"), "input.data"),
    "no constant": changed(GRAPH, ("constants",), ...),
    "cycle": changed(GRAPH, ("steps", "zlib", "inputs", "bytes"), "predictor.bytes"),
    "both a parameter and an output": changed(SIGNATURE, ("outputs", "width"), {"type": "uint"}),
    "of kind `fixed` beside `elements`": changed(SIGNATURE, ("partial_decode",), "elements"),
    "in a codec of another `kind`": changed(
        SIGNATURE, ("outputs", "bytes", "array"), {"byte_order": "little"}
    ),
}


@pytest.mark.parametrize("words", BEYOND_SCHEMAS)
def test_what_needs_two_values_only_the_parser_refuses(words: str) -> None:
    document = BEYOND_SCHEMAS[words]
    name = "pipeline" if "steps" in document else "signature"
    assert VALIDATORS[name].is_valid(document)
    assert words in (problem_of(name, document) or "")


def paths_of(document: object) -> Iterator[tuple[str | int, ...]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield (key,)
            yield from ((key, *rest) for rest in paths_of(value))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.text(max_size=8)
    | st.sampled_from(["bytes", "int", "uint", "decode", "input.bytes", "constant.width", "1.0.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "value", "default", "bytes", "codec_id", "inputs", "x", ""]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(st.data())
def test_schema_and_parser_agree_on_one_changed_value(data: st.DataObject) -> None:
    name, original = data.draw(st.sampled_from([("signature", SIGNATURE), ("pipeline", GRAPH)]))
    path = data.draw(st.sampled_from(list(paths_of(original))))
    document = changed(original, path, data.draw(JSON_VALUES | st.just(...)))
    problem = problem_of(name, document)
    if VALIDATORS[name].is_valid(document):
        assert problem is None or any(words in problem for words in BEYOND_SCHEMAS), problem
    else:
        assert problem is not None


def test_every_signature_of_ours_is_valid() -> None:
    files = [
        *ROOT.glob("chonkle/backends/native/signatures/*.json"),
        *ROOT.glob("codec-src/*/signature.json"),
    ]
    documents = {path: json.loads(path.read_text("utf-8")) for path in files}
    for path in ROOT.glob("codec/*/*.wasm"):
        signature = read_signature(path.read_bytes(), what=str(path))
        documents[path] = dict(signature.document)
    assert documents
    for path, document in documents.items():
        problems = [error.message for error in VALIDATORS["signature"].iter_errors(document)]
        assert problems == [], path


def test_a_signature_that_chonkle_writes_is_valid() -> None:
    written = Signature.from_json(SIGNATURE).to_json()
    VALIDATORS["signature"].validate(written)
    assert Signature.from_json(written) == Signature.from_json(SIGNATURE)
