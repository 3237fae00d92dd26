"""What a signature declares beyond its ports: honest codecs pass, and each lie is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chonkle_toolchain.vectors import Vector, read_vector_files
from chonkle_toolchain.verify import Report, verify_wasm

from chonkle.formats.signature import Signature, embed_signature, read_signature
from tests.documents import changed

type Make = Callable[..., bytes]

ROOT = Path(__file__).parents[3]
CHECKS = ("ranges", "choices", "identity", "partial-decode", "array", "encoded-size")


def outcomes(report: Report) -> dict[str, str]:
    return {each.name: each.outcome for each in report.checks if each.name in CHECKS}


def reason(report: Report, check: str) -> str:
    (found,) = [each.reason for each in report.failed if each.name == check]
    assert found.isprintable()
    return found


KEY = {"type": "int", "minimum": 0, "maximum": 255}
NOTE = {"type": "int", "required": False, "default": 0, "encode_only": True}
SIZE = {"kind": "fixed", "formula": "bytes + 2"}
# What the codec `mask` may declare.
TRUTHS: dict[str, dict[str, Any]] = {
    "a range": {"inputs.key": KEY},
    "words for values": {"inputs.note": {**NOTE, "values": {"loud": 255}}},
    "the size": {"encoded_size": SIZE},
    "a bound of the size": {"encoded_size": {"kind": "bounded", "formula": "bytes * 2 + 2"}},
    "a size that depends on a parameter": {
        "encoded_size": {"kind": "bounded", "formula": "bytes + 2 + note / 255"}
    },
}
# What it may not: the declarations, the check that finds them, and its reason.
LIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a maximum that it exceeds": (
        {"inputs.key": {**KEY, "maximum": 100}},
        "ranges",
        "encoding with `key` at `101` gives an answer, although the signature gives `100` as its ",
    ),
    "a minimum that it falls below": (
        {"inputs.key": {**KEY, "minimum": 1}},
        "ranges",
        "encoding with `key` at `0` gives an answer, although the signature gives `1` as its `mi",
    ),
    "a maximum that it refuses": (
        {"inputs.key": {**KEY, "maximum": 256}},
        "ranges",
        "a call with `key` at `256` is refused, although the signature allows it, expected in one ",
    ),
    "a range of a port that decoding does not read": (
        {"inputs.note": {**NOTE, "encode_only": False, "maximum": 255}},
        "ranges",
        "decoding with `note` at `256` gives an answer",
    ),
    "a clamp": (
        {"inputs.key": {**KEY, "clamp": True}},
        "ranges",
        "`0` as its `minimum` and `clamp`, got the refusal: expected a number to 255",
    ),
    "choices beside which there are others": (
        {"inputs.note": {**NOTE, "choices": [0, 7]}},
        "choices",
        "encoding with `note` at `1` gives an answer, although the signature does not list it in",
    ),
    "a word for a value that it refuses": (
        {"inputs.note": {**NOTE, "values": {"loud": 256}}},
        "choices",
        "a call with `note` at `256` is refused, although the signature allows it",
    ),
    "a size that is too small": (
        {"encoded_size": {"kind": "fixed", "formula": "bytes + 1"}},
        "encoded-size",
        "gives another size than the signature says, expected 4097 bytes, by `bytes + 1`, got 4098",
    ),
    "a size that is too large": (
        {"encoded_size": {"kind": "fixed", "formula": "bytes + 3"}},
        "encoded-size",
        "gives another size than the signature says, expected 4099 bytes, by `bytes + 3`, got 4098",
    ),
    "a bound that it exceeds": (
        {"encoded_size": {"kind": "bounded", "formula": "bytes + bytes / 4096"}},
        "encoded-size",
        "gives another size than the signature says, expected at most 4097 bytes, by",
    ),
    "a bound that it exceeds with little data only": (
        {"encoded_size": {"kind": "bounded", "formula": "bytes * 2"}},
        "encoded-size",
        "expected at most 0 bytes, by `bytes * 2`, got 2 bytes",
    ),
    "a size without a value": (
        {"encoded_size": {"kind": "bounded", "formula": "bytes / (key - key)"}},
        "encoded-size",
        "the size cannot be computed from any input that was encoded, expected values for",
    ),
    "an identity": (
        {"identity": [{"key": 0, "step": 0}]},
        "identity",
        "encoding with `key` at `0`, `step` at `0` changes the data, although the signature says",
    ),
    "an identity that it refuses": (
        {"identity": [{"key": 256}]},
        "identity",
        "encoding with `key` at `256` is always refused, although the signature says `identity`",
    ),
    "elements that cannot be found": (
        {"encoded_size": SIZE, "partial_decode": "elements"},
        "partial-decode",
        "partial_decode: elements`, expected 4096 times 3 bytes, by `encoded_size`, got 4098 bytes",
    ),
    "a dtype whose byte order it does not read": (
        {
            "kind": "array-to-array",
            "inputs.dtype": {"type": "dtype_desc", "from_array": "dtype"},
        },
        "array",
        "numbers with `dtype` at `>u2` does not give the same as at `<u2`, expected the byte order",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS)
def test_a_truth_is_accepted_of_both_forms(
    make_core: Make, make_component: Make, vector: Vector, truth: str
) -> None:
    for make in (make_core, make_component):
        report = verify_wasm(make(TRUTHS[truth]), vectors=[vector])
        assert report.failed == ()
        assert list(outcomes(report).values()).count("passed") == 1


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_in_both_forms(make_core: Make, make_component: Make, lie: str) -> None:
    changes, check, said = LIES[lie]
    for make in (make_core, make_component):
        assert said in reason(verify_wasm(make(changes)), check)


def shipped(codec: str, form: str, *changes: tuple[tuple[str, ...], object]) -> Report:
    """Verify a shipped codec with its golden vectors and a changed signature."""
    (path,) = (ROOT / "codec" / codec).glob(f"*.{form}.wasm")
    wasm = path.read_bytes()
    signature = read_signature(wasm, what=codec)
    document: Any = signature.to_json()
    for place, value in changes:
        document = changed(document, place, value)
    vectors = read_vector_files(ROOT / "codec-src" / signature.implementation / "vectors")
    return verify_wasm(embed_signature(wasm, Signature.from_json(document)), vectors=vectors)


ENCODED, DECODED = ("inputs", "bytes", "array"), ("outputs", "bytes", "array")
# Of shipped codecs: the changed declaration, the check that finds it, and its reason.
SHIPPED_LIES: dict[str, tuple[str, tuple[tuple[str, ...], object], str, str]] = {
    "elements that need those before them": (
        "delta",
        (("partial_decode",), "elements"),
        "partial-decode",
        "alone does not give the same elements, although the signature says `partial_decode: elem",
    ),
    "the dtype before, and not the stored one": (
        "fixedscaleoffset",
        (ENCODED, {"dtype": ["dtype"]}),
        "array",
        "does not give elements of",
    ),
    "a dtype that does not divide what is stored": (
        "packbits",
        (ENCODED, {"dtype": ["<u4"]}),
        "array",
        'does not give elements of "<u4", the dtype by `array` in the signature',
    ),
    "little-endian elements": (
        "bitround",
        (DECODED, {"byte_order": "little"}),
        "array",
        "expected little-endian elements, as the signature says, whatever the dtype",
    ),
    "the order of axes from another port": (
        "transpose",
        (ENCODED, {"permuted_by": "shape"}),
        "array",
        "does not give an array with its axes in that order, although the signature says `permute",
    ),
    "data that stay the same": (
        "shuffle",
        (("identity",), [{"elementsize": 2}]),
        "identity",
        "encoding with `elementsize` at `2` changes the data",
    ),
    "fewer choices": (
        "crc32c",
        (("inputs", "location", "choices"), ["end"]),
        "choices",
        'encoding with `location` at `"start"` gives an answer',
    ),
    "one more choice": (
        "crc32c",
        (("inputs", "location", "choices"), ["start", "end", "middle"]),
        "choices",
        'a call with `location` at `"middle"` is refused, although the signature allows it',
    ),
    "a range where values count as the bound": (
        "lz4",
        (("inputs", "acceleration", "clamp"), False),
        "ranges",
        "encoding with `acceleration` at `0` gives an answer",
    ),
    "a bound for data that shrink": (
        "tiff-packbits",
        (("encoded_size", "formula"), "bytes"),
        "encoded-size",
        "gives another size than the signature says, expected at most",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["core", "component"])
@pytest.mark.parametrize("lie", SHIPPED_LIES)
def test_a_lie_about_a_shipped_codec_is_found(lie: str, form: str) -> None:
    codec, change, check, said = SHIPPED_LIES[lie]
    assert said in reason(shipped(codec, form, change), check)


# Of shipped codecs, what is looked at beside sizes.
LOOKED_AT = {
    "bytes": {"ranges", "choices", "identity", "partial-decode", "array"},
    "transpose": {"ranges", "array"},
    "quantize": {"ranges", "partial-decode", "array"},
    "lz4": {"ranges", "choices"},
}


@pytest.mark.slow
@pytest.mark.parametrize("codec", LOOKED_AT)
def test_honest_declarations_of_shipped_codecs_are_looked_at(codec: str) -> None:
    report = shipped(codec, "core")
    assert report.failed == ()
    passed = {name for name, outcome in outcomes(report).items() if outcome == "passed"}
    assert passed == {*LOOKED_AT[codec], "encoded-size"}


def test_a_malformed_declaration_fails_the_signature(make_core: Make) -> None:
    wasm = make_core({"concurrency": "many"})
    said = "bad `concurrency`, expected a number of threads, at least 1, got"
    assert reason(verify_wasm(wasm), "signature").startswith(said)


def test_without_messages_the_reason_of_a_refusal_is_not_compared(make_core: Make) -> None:
    key = {"inputs.key": {**KEY, "maximum": 256}}
    assert "ranges" not in {each.name for each in verify_wasm(make_core(key, last_error="")).failed}
