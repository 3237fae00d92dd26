"""Modules made to own the process: each is refused or harmless, in a process of its own.

A function that is called without a check of its arguments must have exactly the type that the
caller thinks it has. The modules here try to make chonkle's reader and wasmtime see two types, or
hand over what neither expects. wasmtime aborts the process when it is asked for the kind of some of
these types, so that a wrong question shows as an exit code.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
import wasmtime

from chonkle.formats.signature import Signature, embed_signature
from tests.unit.backends.wasm.written import ECHO, component

type Start = Callable[..., Popen[bytes]]
# Exit code, standard output, standard error.
type Outcome = tuple[int, bytes, str]
type RunModule = Callable[..., Outcome]

# As an address or an identity of an object would look.
ADDRESS = re.compile(r"0x[0-9a-f]{7,}|\d{12,}")
SIGNATURE = Signature.from_json(
    {
        "codec_id": "guest",
        "implementation": "guest-wat",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": {"type": "bytes"}},
    }
)
PIPELINE = {
    "codec_id": "pipeline",
    "direction": "decode",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": "only.bytes"},
    "steps": {"only": {"codec_id": "guest", "inputs": {"bytes": "input.bytes"}}},
}

KINDS = {
    "$f": "(type $f (func))",
    "$s": "(type $s (struct (field (mut i64))))",
    "$a": "(type $a (array i8))",
}
I32_I32_I64 = "(param i32 i32) (result i64)"


def core(more: str = "", memory: str = '(memory (export "memory") 1)', **types: str) -> bytes:
    """Assemble a core module whose functions have the types that are asked for."""
    usual = {
        "alloc": "(param i32) (result i32)",
        "dealloc": "(param i32 i32)",
        "encode": I32_I32_I64,
        "decode": I32_I32_I64,
    }
    functions = "".join(
        f'(func (export "{name}") {type_} unreachable)'
        for name, type_ in {**usual, **types}.items()
    )
    text = f"{more} {memory} {functions}"
    # Only where they are used: chonkle refuses a module for the first type that it does not know.
    kinds = "".join(type_ for name, type_ in KINDS.items() if name in text)
    return signed(bytes(wasmtime.wat2wasm(f"(module {kinds} {text})")))


def signed(wasm: bytes) -> bytes:
    return embed_signature(wasm, SIGNATURE)


def shifted() -> bytes:
    """Give a module whose eighth type is another one to a reader that knows types of one byte only.

    In type 5, `63 04` is a reference to type 4. Read byte by byte, `63` is a parameter and four
    results follow, which swallow type 6, and so each type behind has an index of one less. Type 15
    looks like two types, which makes the number of types right again.
    """
    nothing, same = b"\x60\0\0", b"\x60\x02\x7f\x7f\x01\x7e"
    evil = b"\x60\x02\x7f\x63\x02\x01\x7e"
    alloc, dealloc = b"\x60\x01\x7f\x01\x7f", b"\x60\x02\x7f\x7f\0"
    results = b"\x63\0" * 4 + b"\x7f" * 91 + b"\x63\0"
    types = [
        *[nothing] * 5, b"\x60\x01\x63\x04\0", nothing, evil, same, alloc, alloc, dealloc, dealloc,
        same, same, b"\x60\x01\x63\0\x60" + results,
    ]  # fmt: skip
    exports = [(b"memory", 2, 0), *((name, 0, index) for index, name in enumerate(NAMES))]
    parts = {
        1: types,
        3: [b"\x09", b"\x0b", b"\x0d", b"\x07"],
        5: [b"\0\x01"],
        7: [bytes([len(name)]) + name + bytes([kind, index]) for name, kind, index in exports],
        # `decode` calls its second parameter, in which the host passes a size.
        10: [
            b"\x05\0\x41\x80\x08\x0b",
            b"\x03\0\0\x0b",
            b"\x03\0\0\x0b",
            b"\x08\0\x20\x01\x14\x02\x42\0\x0b",
        ],
    }
    module = b"\0asm\1\0\0\0"
    for identity, items in parts.items():
        module = with_section(module, identity, leb(len(items)) + b"".join(items))
    return signed(module)


NAMES = (b"alloc", b"dealloc", b"encode", b"decode")


def mangled(levels: int) -> str:
    """Give a C++ name (Itanium ABI, "Compression") whose readable form doubles with each level."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    name = "_Z1f1AIiiE"
    for level in range(1, levels):
        # Each level is two things that can be referred to: a template, and what it makes.
        back, last = 2 * level - 2, ""
        while back:
            back, digit = divmod(back, 36)
            last = digits[digit] + last
        name += f"1{digits[10 + level % 26]}IS{last}_S{last}_E"
    return name


def calling_by_name(name: str, *, depth: int = 0) -> bytes:
    """Assemble a core module that traps in a function of this name, called so many times over."""
    function = f"""(func ${name} (param i32) (result i64)
      (if (i32.eqz (local.get 0)) (then unreachable))
      (i64.add (i64.const 1) (call ${name} (i32.sub (local.get 0) (i32.const 1)))))"""
    text = GUEST.format(function=function, call=f"(call ${name} (i32.const {depth}))")
    return signed(bytes(wasmtime.wat2wasm(text)))


GUEST = """
(module {function} (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "dealloc") (param i32 i32))
  (func (export "encode") (param i32 i32) (result i64) {call})
  (func (export "decode") (param i32 i32) (result i64) {call}))
"""


def with_section(wasm: bytes, identity: int, payload: bytes) -> bytes:
    return wasm + bytes([identity]) + leb(len(payload)) + payload


def leb(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


REFERENCES = {
    "nullable-index": "(ref null $f)", "index": "(ref $f)", "struct": "(ref null $s)",
    "array": "(ref null $a)", "any": "anyref", "eq": "eqref", "i31": "i31ref", "func": "(ref func)",
    "none": "nullref", "no-func": "nullfuncref", "no-extern": "nullexternref", "exn": "exnref",
    "extern": "externref", "funcref": "funcref", "v128": "v128", "f64": "f64",
}  # fmt: skip
CORE = {
    "shifted-types": shifted(),
    **{
        f"decode-takes-{name}": core(decode=f"(param {type_} i32) (result i64)")
        for name, type_ in REFERENCES.items()
    },
    "decode-gives-reference": core(decode="(param i32 i32) (result (ref null $s))"),
    "decode-gives-two": core(decode="(param i32 i32) (result i64 i64)"),
    "alloc-takes-reference": core(alloc="(param anyref) (result i32)"),
    "alloc-gives-reference": core(alloc="(param i32) (result anyref)"),
    "dealloc-takes-reference": core(dealloc="(param (ref null $f) i32)"),
    "initialize-takes-reference": core('(func (export "_initialize") (param anyref))'),
    "initialize-takes-number": core('(func (export "_initialize") (param i32))'),
    "last-error-gives-reference": core(
        '(func (export "last_error") (result (ref null $s)) (ref.null $s))'
    ),
    "last-error-is-a-global": core('(global (export "last_error") i64 (i64.const 0))'),
    "subtype": core(
        f"(type $d (sub (func {I32_I32_I64}))) (func $x (type $d) unreachable)", decode="(type $d)"
    ),
    "recursive-group": core(f"(rec (type $d (func {I32_I32_I64})) (type $e (struct)))"),
    "imported-global-of-references": core('(import "a" "g" (global (ref null func)))'),
    "imported-table-of-references": core('(import "a" "t" (table 1 (ref null $f)))'),
    "imported-function-of-references": core('(import "a" "f" (func (param anyref)))'),
    "imported-tag-of-references": core('(import "a" "t" (tag (param anyref)))'),
    "imported-memory": core('(import "a" "m" (memory 1))', memory='(export "memory" (memory 0))'),
    "memory-64": core(memory='(memory (export "memory") i64 1)'),
    "memory-shared": core(memory='(memory (export "memory") 1 1 shared)'),
    "memory-64-is-second": core("(memory i64 1)"),
    "memory-is-a-function": core('(func (export "memory"))', memory=""),
    "memory-too-large": core(memory='(memory (export "memory") 65536)'),
    "memories-too-many": core("(memory 1)" * 4),
    "tables-too-large": core("(table 1000000 funcref)"),
    "tables-too-many": core("(table 1 funcref)" * 40),
    "traps-at-start": core("(func $start unreachable) (start $start)"),
    "overflows-at-start": core("(func $start (call $start)) (start $start)"),
    "data-out-of-bounds": core('(data (i32.const 65535) "ab")'),
    "element-out-of-bounds": core("(table 1 funcref) (elem (i32.const 9) func 0)"),
    "allocates-garbage": core(
        "(func $start (loop $l (drop (array.new_default $a (i32.const 10000000))) (br $l)))"
        "(start $start)"
    ),
    "throws": core("(tag $t) (func $start (throw $t)) (start $start)"),
    "exports-too-many": core("".join(f'(func (export "f{i}"))' for i in range(300))),
}  # fmt: skip


GOOD = core()
CORE |= {
    # Its name is printed for each of twenty frames: terabytes.
    "name-without-end": calling_by_name(mangled(40), depth=25),
    "name-of-an-interrupt": calling_by_name('"wasm trap: interrupt"'),
    "name-with-an-escape": calling_by_name('"\\1b]0;title\\07\\e2\\80\\ae"'),
    "memory-that-is-hidden": core("(memory 1)"),
    "imports-too-many": core("".join(f'(import "a" "f{i}" (func))' for i in range(2000))),
    "import-with-line-breaks": core('(import "\\n\\1b" "\\nwasm trap: interrupt" (global i32))'),
}
# Where chonkle's reader could stop early and wasmtime not, or the other way round.
CORE |= {
    "bytes-left-over": GOOD[:8] + with_section(b"", 1, b"\x01\x60\0\0\x60") + GOOD[8:],
    "types-twice": GOOD[:8] + with_section(b"", 1, b"\0") + GOOD[8:],
    "types-at-the-end": with_section(GOOD, 1, b"\x01\x60\x01\x63\x70\x00"),
    "exports-twice": with_section(GOOD, 7, b"\x01\x06decode\0\0"),
    "unknown-section": with_section(GOOD, 40, b"\0"),
    "long-leb": with_section(GOOD, 0, b"\x81\x80\x80\x80\x80\x00a"),
    "section-without-end": GOOD + b"\x0b\xff\xff\xff\xff\x0f",
}


IMPORTING = """
  (import "{interface}" (instance $host (export "{function}" (func {type}))))
  (core module $libc (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 512)))
  (core instance $libc (instantiate $libc))
  (core func $lowered (canon lower (func $host "{function}")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core instance $imports (export "f" (func $lowered)))
"""


def calling(function: str, type_: str, core_type: str, call: str) -> bytes:
    """Assemble a component that calls a function of WASI as if it had another type."""
    interface, _, name = function.partition("#")
    return component(
        imports=IMPORTING.format(interface=interface, function=name, type=type_),
        core_imports=f'(import "host" "f" (func $imported {core_type}))',
        arguments='(with "host" (instance $imports))',
        decode=call + ECHO,
    )


def around(core_parts: str) -> bytes:
    """Assemble a component with these parts in its core module."""
    return component(core_imports=core_parts)


RANDOM = "wasi:random/random@0.2.0#get-random-bytes"
COMPONENTS = {
    "random-without-arguments": calling(RANDOM, "", "", "(call $imported)"),
    "random-of-a-float": calling(
        RANDOM, '(param "n" f64) (result f64)', "(param f64) (result f64)",
        "(drop (call $imported (f64.const 1)))",
    ),
    "random-of-a-string": calling(
        RANDOM, '(param "n" string) (result u64)', "(param i32 i32) (result i64)",
        "(drop (call $imported (i32.const 0) (i32.const 4)))",
    ),
    "random-of-too-much": calling(
        RANDOM, '(param "n" u64) (result (list u8))', "(param i64 i32)",
        "(call $imported (i64.const 99999999) (i32.const 16))",
    ),
    "random-out-of-bounds": calling(
        RANDOM, '(param "n" u64) (result (list u8))', "(param i64 i32)",
        "(call $imported (i64.const 8) (i32.const -8))",
    ),
    "unknown-of-floats": calling(
        "a:b/c@1.0.0#d", '(param "n" f32) (result f64)', "(param f32) (result f64)",
        "(drop (call $imported (f32.const 1)))",
    ),
}  # fmt: skip
# What no codec needs, inside of a component that is right otherwise.
ODD = {
    "references": around("(type $f (func (param (ref null func)) (result anyref)))"),
    "struct": around("(type $s (struct (field (mut i64))))"),
    "recursive-group": around("(rec (type $d (func (param i32))) (type $e (struct)))"),
    "memory-64-elsewhere": component(imports="(core module (memory i64 1))"),
    "global-of-references": around("(global $g anyref (ref.null any))"),
    "tag": around("(tag $t (param exnref))"),
    "exported-references": around('(func (export "x") (param anyref))'),
}


@pytest.fixture
def run_module(tmp_path: Path, chonkle_process: Start) -> RunModule:
    def run(wasm: bytes, **environment: str) -> Outcome:
        (tmp_path / "guest.wasm").write_bytes(wasm)
        (tmp_path / "pipeline.json").write_text(json.dumps(PIPELINE))
        with chonkle_process(
            *("run", "pipeline.json", "--codec-path", "guest=guest.wasm", "--timeout", "2"),
            *("--memory-limit", "64MiB", "--input", "bytes=-", "--output", "bytes=-"),
            cwd=tmp_path,
            environment=environment,
        ) as process:
            output, errors = process.communicate(b"sixteen bytes in", timeout=60)
        text = errors.decode()
        assert ADDRESS.search(text) is None, text
        return process.returncode, output, text

    return run


def check_refused(outcome: Outcome) -> None:
    code, output, text = outcome
    assert (code, output) == (1, b""), text
    assert sum(line.startswith("error: ") for line in text.splitlines()) == 1, text
    assert all(line.startswith(("error: ", "warning: ")) for line in text.splitlines()), text


@pytest.mark.slow
@pytest.mark.parametrize("calls", ["prepared", "public"])
@pytest.mark.parametrize("name", CORE)
def test_a_core_module(run_module: RunModule, name: str, calls: str) -> None:
    check_refused(run_module(CORE[name], CHONKLE_CALLS=calls))


WAYS = {
    "flattened": {"CHONKLE_COMPONENT": "flatten"},
    "public": {"CHONKLE_COMPONENT": "flatten", "CHONKLE_CALLS": "public"},
    "host": {"CHONKLE_COMPONENT": "fallback"},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component(run_module: RunModule, name: str, way: str) -> None:
    check_refused(run_module(signed(COMPONENTS[name]), **WAYS[way]))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ODD)
def test_an_odd_module_in_a_component(run_module: RunModule, name: str, way: str) -> None:
    check_refused(run_module(signed(ODD[name]), **WAYS[way]))


def test_a_shifted_module_would_run_if_its_types_were_those_that_it_shows() -> None:
    """wasmtime accepts it, so that it is for chonkle to refuse it."""
    module = wasmtime.Module(wasmtime.Engine(), CORE["shifted-types"])
    assert [each.name for each in module.exports] == ["memory", *map(bytes.decode, NAMES)]


@pytest.mark.slow
def test_a_good_module_runs(run_module: RunModule) -> None:
    """Without this, every test above might fail for a reason of its own."""
    assert run_module(signed(component())) == (0, b"sixteen bytes in", "")
