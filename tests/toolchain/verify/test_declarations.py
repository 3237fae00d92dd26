"""What a signature declares beyond its ports: honest codecs pass, and each lie is found."""

from collections.abc import Callable, Mapping
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
        "encoding with `key` at `101` gives an answer, although the signature gives `100` as its"
        " `maximum`, expected a refusal with a message",
    ),
    "a minimum that it falls below": (
        {"inputs.key": {**KEY, "minimum": 1}},
        "ranges",
        "encoding with `key` at `0` gives an answer, although the signature gives `1` as its `mi",
    ),
    "a maximum that it refuses": (
        {"inputs.key": {**KEY, "maximum": 256}},
        "ranges",
        "a call with `key` at `256` is refused, although the signature allows it, expected in one"
        " direction a success, or another reason than for values not allowed, got expected a nu",
    ),
    "a range that decoding does not keep": (
        {"inputs.step": {"type": "int", "required": False, "default": 1, "maximum": 255}},
        "ranges",
        "decoding with `step` at `256` gives an answer",
    ),
    "a clamp": (
        {"inputs.key": {**KEY, "clamp": True}},
        "ranges",
        "encoding with `key` at `-1` is not the same as with `0`, although the signature gives `0`"
        " as its `minimum` and `clamp`, got the refusal: expected a number to 255",
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
        "encoding `bytes` of 1 bytes",
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
        "its elements cannot be found, although the signature says `partial_decode: elements`,"
        " expected 4096 times 3 bytes, by `encoded_size`, got 4098 bytes",
    ),
    "a dtype whose byte order it does not read": (
        {
            "kind": "array-to-array",
            "inputs.dtype": {"type": "dtype_desc", "from_array": "dtype"},
        },
        "array",
        "encoding numbers with `dtype` at `>i2` does not give the same as at `<i2`, expected the"
        " byte order of the dtype, since the signature says no other",
    ),
}
# A range that only encoding keeps.
ANY_STEP = "(if (local.get $decode) (then (return (i32.const 1))))"


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_truth_is_accepted_of_both_forms(
    make_core: Make, make_component: Make, vector: Vector, truth: str
) -> None:
    for make in (make_core, make_component):
        report = verify_wasm(make(TRUTHS[truth]), vectors=[vector])
        assert report.failed == ()
        assert list(outcomes(report).values()).count("passed") == 1


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_in_both_forms(make_core: Make, make_component: Make, lie: str) -> None:
    changes, check, said = LIES[lie]
    for make in (make_core, make_component):
        assert said in reason(verify_wasm(make(changes)), check)
