"""Verifying one file: an honest codec passes, and each lie and each fault is found by its check."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import wasmtime
from chonkle_toolchain.vectors import Vector
from chonkle_toolchain.verify import Report, verify_wasm
from hypothesis import given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Limits
from chonkle.formats.signature import SECTION_NAME
from chonkle.formats.wasm_binary import with_custom_section
from chonkle.limits import CompileLimits

type Make = Callable[..., bytes]

FOR_EVER = "(loop $again (br $again))"
QUICK = Limits(memory_bytes=16 << 20, output_bytes=16 << 20, timeout_s=0.2)


def failures(report: Report) -> dict[str, str]:
    return {check.name: check.reason for check in report.failed}


def failures_of(wasm: bytes, **options: Any) -> dict[str, str]:
    report = verify_wasm(wasm, **options)
    # Whatever is in a file, the report is calm.
    assert all(line.isprintable() for line in report.lines(every=True))
    return failures(report)


NOT_DECLARED = {
    "ranges": "no range is declared",
    "choices": "no choices are declared",
    "identity": "no parameters are declared with which data stay the same",
    "partial-decode": "the signature does not say that elements decode by themselves",
    "array": "no array is described, or none is encoded",
    "encoded-size": "no size is declared",
}


def test_honest_codecs_pass_in_both(make_core: Make, make_component: Make, vector: Vector) -> None:
    core, component = make_core(), make_component()
    for wasm, partner, kind in ((core, component, "core"), (component, core, "component")):
        report = verify_wasm(wasm, file="mask", partner=partner, vectors=[vector])
        assert failures(report) == {}
        assert report.passed
        assert report.codec == f"mask-wat@1.0.0 ({kind})"
        # Everything was looked at, but what a component does not have, and what is not declared.
        missing = [each.name for each in report.checks if each.outcome == "not applicable"]
        assert missing == ([] if kind == "core" else ["bad-port-maps"]) + [*NOT_DECLARED]


def test_an_honest_codec_passes_without_vectors_and_without_its_other_form(make_core: Make) -> None:
    report = verify_wasm(make_core())
    assert failures(report) == {}
    reasons = {each.name: each.reason for each in report.checks if each.outcome != "passed"}
    assert reasons == {
        **NOT_DECLARED,
        "golden-vectors": "no golden vectors were given",
        "both-forms": "no other form was given",
    }


@pytest.mark.parametrize(
    "wasm",
    [b"", b"\0asm", b"\0asm\x01\0\0\0\x01\xff", b"\x7fELF" * 100, b"\0asm\x0d\0\x01\0\x07"],
    ids=["empty", "short", "truncated", "elf", "component"],
)
def test_what_is_no_wasm_is_one_reason_and_nothing_else_is_looked_at(wasm: bytes) -> None:
    report = verify_wasm(wasm)
    assert failures(report).keys() == {"valid"}
    assert len(list(report.lines())) == 2
    others = {each.reason for each in report.checks if each.name != "valid"}
    assert others == {"not checked, because `valid` failed"}


def test_a_module_that_takes_too_long_to_compile(make_core: Make) -> None:
    limits = CompileLimits(timeout_s=0.01)
    failures = failures_of(make_core(), compile_limits=limits)
    assert set(failures) == {"valid"}
    assert failures["valid"].startswith("codec: compiling it took too long, expected at most 0.01")


def test_a_module_that_is_not_valid(make_core: Make) -> None:
    reason = failures_of(make_core(more="(func (result i32))"))["valid"]
    assert reason.startswith("codec: not a valid core binary: Invalid input WebAssembly code")


@pytest.mark.slow
@settings(max_examples=30)
@given(at=st.integers(8, 4000), byte=st.integers(0, 255))
def test_whatever_a_file_holds_is_in_the_report(make_core: Make, at: int, byte: int) -> None:
    wasm = bytearray(make_core())
    wasm[at % len(wasm)] = byte
    failures_of(bytes(wasm), limits=QUICK, budget_s=10)


IMPORTS = '(import "env" "now" (func)) (import "env" "evil\\1b[31m\\n" (func))'


def test_imports_are_refused_by_name_and_may_be_allowed(make_core: Make) -> None:
    wasm = make_core(more=IMPORTS)
    reason = failures_of(wasm)["imports"]
    assert reason == r"it imports `env.now`, `env.evil\x1b[31m\n`, expected no import at all"
    assert failures_of(wasm, allowed_imports=["env.*"]) == {}
    reason = failures_of(wasm, allowed_imports=["env.now"])["imports"]
    assert reason.endswith("expected nothing but env.now")


def test_an_import_that_is_called_traps(make_core: Make) -> None:
    wasm = make_core(more='(import "env" "now" (func $now))', begin="(call $now)")
    assert "`env::now`" in failures_of(wasm, allowed_imports=["env.now"])["answers"]


def test_a_component_that_imports_is_refused() -> None:
    wasm = wasmtime.wat2wasm(
        '(component (import "wasi:cli/environment@0.2.0" (instance (export "f" (func)))))'
    )
    found = failures_of(bytes(wasm))
    assert found["imports"].startswith("it imports `wasi:cli/environment@0.2.0`, expected no")
    assert found["exports"].endswith("it does not export `chonkle:codec/transform@0.1.0`")


@pytest.mark.parametrize(
    ("written", "instead", "reason"),
    [
        ('(export "dealloc") ', "", "export `dealloc`, expected func (i32, i32) -> (), got none"),
        ('"alloc"', '"Alloc"', "export `alloc`, expected func (i32) -> i32, got none"),
        (
            '(func $decode (export "decode")',
            '(func (export "decode") (param i32) (result i64) (i64.const 0)) (func $decode',
            "export `decode`, expected func (i32, i32) -> i64, got func (i32) -> i64",
        ),
        ('(export "memory") ', "", "export `memory`, expected memory, got none"),
        (
            '(memory (export "memory") 1)',
            '(memory 1) (global (export "memory") i32 (i32.const 0))',
            "export `memory`, expected memory, got global",
        ),
        (
            '(export "last_error") (result i64) (global.get $words)',
            '(export "last_error") (result i32) (i32.const 0)',
            "export `last_error`, expected func () -> i64, got func () -> i32",
        ),
        (
            '(func $encode (export "encode")',
            '(func (export "_initialize") (result i32) (i32.const 0)) $0',
            "export `_initialize`, expected func () -> (), got func () -> i32",
        ),
    ],
)
def test_a_missing_or_mistyped_export_is_named(
    make_text: Callable[..., str], written: str, instead: str, reason: str
) -> None:
    text = make_text()
    assert written in text
    changed = text.replace(written, instead.replace("$0", written), 1)
    assert reason in failures_of(bytes(wasmtime.wat2wasm(changed)))["exports"]


def test_a_component_with_a_mistyped_export_is_refused(make_component: Make) -> None:
    # The type of the port-map: u8 becomes s8.
    wasm = make_component()
    assert wasm.count(b"\x70\x7d") == 1
    reason = failures_of(wasm.replace(b"\x70\x7d", b"\x70\x7e"))["exports"]
    assert "`encode` of `chonkle:codec/transform@0.1.0` has another type" in reason


BYTES = '{"bytes": {"type": "bytes"}}'
DECODE_ONLY = '{"bytes": {"type": "bytes", "decode_only": true}}'
ENCODE_ONLY = '{"bytes": {"type": "bytes", "encode_only": true}}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no `chonkle:signature` section; hint: embed one with"),
        (b"{", "malformed JSON at line 1"),
        (b'{"codec_id": "mask"}', "bad `inputs`"),
        (b'{"codec_id": "../mask\\u001b[31m", "implementation": "m"}', "bad `codec_id`"),
        (
            b'{"codec_id": "m", "implementation": "m", "inputs": {"n": {"type": "what\\n"}}}',
            "input port `n`: bad `type`",
        ),
        *(
            (f'{{"codec_id": "m", "implementation": "m", {ports}}}'.encode(), reason)
            for ports, reason in (
                ('"inputs": {}, "outputs": {}', "`inputs` is empty, expected the ports of the"),
                (f'"inputs": {BYTES}, "outputs": {{}}', "`outputs` is empty, expected the ports"),
                (
                    f'"inputs": {DECODE_ONLY}, "outputs": {ENCODE_ONLY}',
                    "no output in either direction, expected an output that exists when decoding",
                ),
            )
        ),
    ],
)
def test_a_missing_or_invalid_signature_is_refused(
    make_text: Callable[..., str], text: bytes | None, reason: str
) -> None:
    wasm = bytes(wasmtime.wat2wasm(make_text()))
    if text is not None:
        wasm = with_custom_section(wasm, SECTION_NAME, text)
    report = verify_wasm(wasm)
    assert failures(report).keys() == {"signature"}
    assert reason in failures(report)["signature"]
    assert report.codec == ""


# What is written in the signature, the check that finds the lie, and its reason.
LIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a port that it does not know": (
        {"inputs.ghost": {"type": "int", "required": False}},
        "types",
        'encoding with `ghost` at `"1"` gives an answer, although that is no value of its type',
    ),
    "a required port that it does not know": (
        {"inputs.ghost": {"type": "bytes", "parameter": True}},
        "required-ports",
        "encoding without `ghost` gives an answer, although the signature says",
    ),
    "a port that it demands is missing": (
        {"inputs.key": None},
        "answers",
        "encoding refuses every input that was tried, got missing port `key`; hint: does the",
    ),
    "required, and it is not": (
        {"inputs.step": {"type": "int"}},
        "required-ports",
        "encoding without `step` gives an answer",
    ),
    "optional, and it is not": (
        {"inputs.key": {"type": "int", "required": False}},
        "answers",
        "missing port `key`",
    ),
    "optional, and it is not, as a vector shows": (
        {"inputs.key": {"type": "int", "required": False}, "vector": True},
        "optional-ports",
        "encoding without `key` is refused, although the signature says that it is optional, got",
    ),
    "another default": (
        {"inputs.step.default": 2},
        "defaults",
        "encoding without `step` is not the same as with `2`, which the signature gives",
    ),
    "another default, which does not matter to the first value that works": (
        {
            "inputs.step.default": 2,
            "mask": "(i32.mul (local.get $i) (select (local.get $step) (i32.const 1)"
            " (i32.gt_u (local.get $key) (i32.const 1))))",
        },
        "defaults",
        "encoding without `step` is not the same as with `2`",
    ),
    "a default that it refuses": (
        {"inputs.step.default": 256},
        "defaults",
        "encoding without `step` is not the same as with `256`",
    ),
    "encode_only, and decoding uses it": (
        {"inputs.step.encode_only": True},
        "directions",
        "decoding with `step` at `2` changes the answer, although the signature says",
    ),
    "encode_only, and decoding demands it": (
        {"inputs.key.encode_only": True},
        "answers",
        "decoding refuses every input that was tried, got missing port `key`",
    ),
    "both directions, and decoding does not read it": (
        {"inputs.note.encode_only": False},
        "types",
        'decoding with `note` at `"1"` gives an answer',
    ),
    "another type": (
        {"inputs.key.type": "string"},
        "answers",
        "encoding refuses every input that was tried, got expected a number to 255",
    ),
    "an output that it does not give": (
        {"outputs.more": {"type": "bytes", "decode_only": True}},
        "outputs",
        "decoding does not give `more`, which the signature names",
    ),
    "an output under another name": (
        {"outputs": {"bytes": {"type": "bytes", "encode_only": True}, "pixels": {"type": "bytes"}}},
        "outputs",
        "decoding gives a port `bytes` that the signature does not name",
    ),
    "decodes, and says that it only encodes": (
        {"inputs.bytes.encode_only": True, "outputs.bytes.encode_only": True},
        "directions",
        "decoding what encoding gave gives an answer, although the signature says that nothing",
    ),
    "an output of another type": (
        {"outputs.bytes.type": "int"},
        "types",
        'encoding with `bytes` at `"1"` gives an answer',
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_a_signature_that_lies_is_refused(make_core: Make, vector: Vector, lie: str) -> None:
    changes, check, reason = LIES[lie]
    changes = dict(changes)
    vectors = [vector] if changes.pop("vector", False) else []
    parts = {"mask": changes.pop("mask")} if "mask" in changes else {}
    assert reason in failures_of(make_core(changes, **parts), vectors=vectors)[check]


GROWS = "(if {} (then (drop (memory.grow (i32.const 1)))))"

# Parts of the codec that are replaced, the check that finds the fault, and its reason.
FAULTS: dict[str, tuple[dict[str, str], str, str]] = {
    "leaks what it is given": (
        {"anew": ""},
        "memory",
        "it leaks: its memory grows, encoding 2 bytes 4200 times, encoding 4097 bytes 1000 times, ",
    ),
    "leaks when it refuses": (
        {"frees": "(i64.ne (local.get $answer) (i64.const 0))"},
        "memory",
        "it leaks: its memory grows, encoding what it refuses 1000 times, decoding what it refuses",
    ),
    "leaks what is large": (
        {"begin": GROWS.format("(i32.gt_u (local.get $map_size) (i32.const 65536))")},
        "memory",
        "it leaks: its memory grows, encoding 1048577 bytes 4 times, decoding 1048579 bytes 4 ",
    ),
    "leaks when it refuses one thing": (
        {
            "no_mask": GROWS.format("(i32.eq (local.get $size) (i32.const 8))")
            + "(return (call $fail (i32.const 1250) (i32.const 21)))"
        },
        "memory",
        "it leaks: its memory grows, decoding what it refuses 920 times, expected",
    ),
    "forgets a byte after many calls": (
        {
            "decoded": "(local.set $size (i32.sub (local.get $size)"
            " (i32.and (i32.gt_u (global.get $calls) (i32.const 4000))"
            " (i32.gt_u (local.get $size) (i32.const 0)))))"
        },
        "memory",
        "decoding 4099 bytes does not give the same after many calls, got another answer",
    ),
    "tires": (
        {
            "begin": "(if (i32.gt_u (global.get $calls) (i32.const 4000)) (then (return"
            " (call $fail (i32.const 1300) (i32.const 18)))))"
        },
        "memory",
        "encoding 2 bytes does not give the same after many calls, got the refusal: malformed",
    ),
    "traps on bad input": (
        {"no_mask": "(unreachable)"},
        "bad-input",
        "decoding with `bytes` cut to 0 of 4098 bytes: the guest trapped: wasm `unreachable`",
    ),
    "traps on values beyond its own": (
        {"no_number": "(unreachable)"},
        "types",
        'encoding with `key` at `"1"`: the guest trapped: wasm `unreachable`',
    ),
    "refuses without a word": (
        {"words": "(i64.const 0)"},
        "required-ports",
        "encoding without `bytes`: refused without a message",
    ),
    "points outside of its memory": (
        {"words": "(i64.const 0x7fff000000000009)"},
        "required-ports",
        "encoding without `bytes`: the guest's error text lies outside of its memory",
    ),
    "traps on a malformed port-map": (
        {"begin": "(if (i32.lt_u (local.get $map_size) (i32.const 4)) (then unreachable))"},
        "bad-port-maps",
        "encoding a port-map cut to 0 of",
    ),
    "answers a malformed port-map": (
        {"whole": "(i32.const 1)"},
        "bad-port-maps",
        "encoding a port-map with a byte after its end gives an answer, expected a refusal",
    ),
    "counts its calls": (
        {"note": "(global.get $calls)"},
        "determinism",
        "encoding the same again gives another answer, expected `bytes` of",
    ),
    "is another at its first call": (
        {"note": "(i32.eq (global.get $calls) (i32.const 1))"},
        "determinism",
        "gives another answer in a fresh instance",
    ),
    "drops a byte": (
        {"decoded": "(local.set $size (i32.and (local.get $size) (i32.const -2)))"},
        "round-trip",
        "`bytes`, 1 bytes, comes back as 0 bytes; hint: if the codec is to lose something",
    ),
    "changes bytes": (
        {"mask": "(i32.add (local.get $key) (local.get $decode))"},
        "round-trip",
        "comes back as others, from byte 0 on",
    ),
    "ignores unknown ports in one direction": (
        {
            "more": '(data (i32.const 1400) "chonkle-verify-unknown")',
            "begin": "(if (local.get $decode) (then (if (i32.gt_s (call $find (local.get $at)"
            " (i32.add (local.get $at) (local.get $map_size)) (i32.const 1400) (i32.const 22))"
            " (i32.const 0)) (then (return (call $fail (i32.const 1300) (i32.const 18)))))))",
        },
        "unknown-ports",
        "is ignored when encoding, and refused when decoding",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_codec_that_is_broken_is_refused(make_core: Make, fault: str) -> None:
    parts, check, reason = FAULTS[fault]
    found = failures_of(make_core(**parts))
    assert reason in found[check]


# What runs before the first call, and its reason.
STARTS = {
    "for ever": (f"(func $s {FOR_EVER}) (start $s)", "ran longer than the allowed 0.2 s"),
    "for ever, as a reactor": (
        f'(func (export "_initialize") {FOR_EVER})',
        "ran longer than the allowed 0.2 s",
    ),
    "into a trap": ("(func $s unreachable) (start $s)", "the guest trapped: wasm `unreachable`"),
    "with a huge table": ("(table 4294967295 funcref)", "table"),
    "with many tables": ("(table 100000 funcref)" * 100, "table"),
}


def test_a_codec_that_traps_on_an_empty_list_is_refused(make_core: Make) -> None:
    list_of_nothing = "(i32.eq (i32.load16_u (local.get $port)) (i32.const 0x5d5b))"
    wasm = make_core(
        {"inputs.note": {"type": "uint[]", "required": False, "encode_only": True}},
        no_number=f"(if {list_of_nothing} (then (unreachable))) (return (i32.const -1))",
    )
    assert failures_of(wasm)["bad-input"].startswith("encoding with `note` at `[]`: the guest trap")


@pytest.mark.parametrize("start", STARTS)
def test_what_runs_before_the_first_call_ends(make_core: Make, start: str) -> None:
    more, reason = STARTS[start]
    report = verify_wasm(make_core(more=more), limits=QUICK)
    assert failures(report).keys() == {"start"}
    assert reason in failures(report)["start"]


def test_a_codec_that_hangs_is_called_no_more(make_core: Make) -> None:
    wasm = make_core(no_mask=f"{FOR_EVER} (unreachable)")
    report = verify_wasm(wasm, limits=QUICK)
    reason = "decoding with `bytes` cut to 0 of 4098 bytes: ran longer than the allowed 0.2 s"
    assert failures(report) == {"bad-input": reason}
    others = {each.name for each in report.checks if "ran too long before" in each.reason}
    assert others == {"bad-port-maps", "memory", "determinism"}


def test_all_calls_together_have_a_budget(make_core: Make) -> None:
    found = failures_of(make_core(), budget_s=1e-9)
    assert found["answers"].startswith("too slow to be checked, expected at most 1e-09 s for all")


def test_running_out_of_memory_in_words_is_no_fault(make_core: Make) -> None:
    limits = replace(QUICK, memory_bytes=256 << 10, output_bytes=256 << 10, timeout_s=5)
    assert failures_of(make_core(), limits=limits) == {}


def test_a_codec_without_an_export_for_words_may_refuse_without_any(make_core: Make) -> None:
    assert failures_of(make_core(last_error="")) == {}


def test_a_golden_vector_that_is_not_kept_is_named(make_core: Make, vector: Vector) -> None:
    wrong = replace(vector, inputs={**vector.inputs, "key": b"8"})
    found = failures_of(make_core(), vectors=[wrong])
    assert found["golden-vectors"].startswith(
        "`mask-wat` fails its golden vector `fourteen`, to decode, expected `bytes` of 14 bytes"
    )
    unknown = replace(vector, inputs={**vector.inputs, "\n": b"8"})
    found = failures_of(make_core(), vectors=[unknown])
    assert found["golden-vectors"].startswith(
        r"golden vector `fourteen`: `mask-wat` has no input port `\n`; hint: there is `bytes`, "
    )


DIFFERS = {"mask": "(i32.add (local.get $key) (i32.const 1))"}


def test_forms_that_differ_are_refused_both_ways(make_core: Make, make_component: Make) -> None:
    core, component = make_core(), make_component(**DIFFERS)
    for wasm, partner in ((core, component), (component, core)):
        found = failures_of(wasm, partner=partner)
        assert found.keys() == {"both-forms"}
        assert found["both-forms"].startswith("the two forms differ, encoding `bytes` of 4096 ")
        for form in ("core", "component"):
            assert re.search(
                rf"bytes with 4d 00 \[..\] .* at byte 2, .*{form} f", found["both-forms"]
            )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"no_mask": "(unreachable)"}, "again: the guest trapped: wasm `unreachable`"),
        ({"no_mask": f"{FOR_EVER} (unreachable)"}, "again: ran longer than the allowed 0.2 s"),
        (
            {"no_mask": "(local.set $size (i32.const 2))"},
            "expected the refusal: port `bytes`: no mask, as from the core form, got `bytes` of 0",
        ),
        ({"signature": {"version": "1.0.1"}}, "the signature differs from that of the component"),
    ],
)
def test_the_other_form_may_break_too(
    make_core: Make, make_component: Make, parts: dict[str, Any], reason: str
) -> None:
    found = failures_of(make_core(), partner=make_component(**parts), limits=QUICK)
    assert found.keys() == {"both-forms"}
    assert reason in found["both-forms"]


def test_what_is_no_other_form_is_refused(make_core: Make) -> None:
    core = make_core()
    for partner, reason in ((core, "it is a core binary too"), (b"\0", "not a WebAssembly binary")):
        assert reason in failures_of(core, partner=partner)["both-forms"]


@pytest.mark.slow
def test_an_unflattened_component_is_verified_too(make_unflattened: Make, make_core: Make) -> None:
    report = verify_wasm(make_unflattened(), partner=make_core())
    assert failures(report) == {}
    (memory,) = [check for check in report.checks if check.name == "memory"]
    assert (memory.outcome, memory.reason) == (
        "not applicable",
        "its memory is unknown: it runs through wasmtime's own support for components",
    )


def test_a_lossy_codec_says_so_and_loses_once(make_core: Make) -> None:
    once = {"decoded": "(local.set $size (i32.and (local.get $size) (i32.const -2)))"}
    assert failures_of(make_core({"lossless": False}, **once)) == {}
    always = {
        "decoded": "(local.set $size (select (i32.sub (local.get $size) (i32.const 1))"
        " (local.get $size) (local.get $size)))"
    }
    found = failures_of(make_core({"lossless": False}, **always))
    assert found["round-trip"].startswith(
        "8 round trips in a row change the data each time; the first: `bytes`"
    )


def test_a_codec_of_one_direction_says_so_with_its_ports(make_core: Make, vector: Vector) -> None:
    one_way = {
        "inputs.bytes.decode_only": True,
        "inputs.note": None,
        "outputs.bytes.decode_only": True,
    }
    refuses = "(if (i32.eqz (local.get $decode)) (then (return (call $fail {0}))))"
    wasm = make_core(one_way, begin=refuses.format("(i32.const 1350) (i32.const 13)"))
    report = verify_wasm(wasm)
    # Nothing decodes without a vector.
    assert failures(report).keys() == {"answers"}
    assert failures(report)["answers"].startswith("decoding refuses every input that was tried")
    report = verify_wasm(wasm, vectors=[replace(vector, directions=("decode",))])
    assert failures(report) == {}
    (directions,) = [each for each in report.checks if each.name == "directions"]
    assert (directions.outcome, directions.reason) == ("passed", "decode only")


# Decodes no port at all to one byte, refuses everything else, and encodes nothing.
OUT_OF_NOTHING = """
(module
  (memory (export "memory") 1)
  (data (i32.const 64) "\\01\\00\\00\\00\\05\\00\\00\\00bytes\\01\\00\\00\\00x")
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "dealloc") (param i32 i32))
  (func (export "encode") (param i32 i32) (result i64) (i64.const 0))
  (func (export "decode") (param i32 i32) (result i64)
    (select (i64.const 0x4000000012) (i64.const 0)
      (i32.and (i32.eq (local.get 1) (i32.const 4)) (i32.eqz (i32.load (local.get 0)))))))
"""


def test_where_nothing_goes_in_nothing_is_said_to_have_been_tried(vector: Vector) -> None:
    signature = f"""
        {{"codec_id": "m", "implementation": "m", "outputs": {DECODE_ONLY},
          "inputs": {{"level": {{"type": "int", "encode_only": true}}}}}}
    """
    wasm = with_custom_section(
        bytes(wasmtime.wat2wasm(OUT_OF_NOTHING)), SECTION_NAME, signature.encode()
    )
    nothing = replace(vector, directions=("decode",), inputs={}, outputs={"bytes": b"x"})
    report = verify_wasm(wasm, vectors=[nothing])
    assert failures(report) == {}
    outcomes = {each.name: each.outcome for each in report.checks}
    assert outcomes["bad-input"] == "not applicable"
    assert outcomes["bad-port-maps"] == outcomes["memory"] == "passed"
