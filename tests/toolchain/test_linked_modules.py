"""What is done to a linked module before it ships: exports dropped, the interface checked."""

import pytest
import wasmtime
from chonkle_toolchain.reactor import without_empty_initialize
from chonkle_toolchain.wrap import check_interface

from chonkle.errors import BuildError
from chonkle.formats.component_binary import read_interface

CODEC = """
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) i32.const 8)
  (func (export "dealloc") (param i32 i32))
  (func (export "encode") (param i32 i32) (result i64) i64.const 0)
  (func (export "decode") (param i32 i32) (result i64) i64.const 0)
  (func (export "last_error") (result i64) i64.const 0)
"""


def module(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {text})"))


def exports(wasm: bytes) -> list[str]:
    return [item.name for item in read_interface(wasm).exports]


@pytest.mark.parametrize(
    ("constructors", "kept"),
    [
        ("(func $__wasm_call_ctors)", ["run"]),
        ("(func $__wasm_call_ctors nop)", ["_initialize", "run"]),
        ("(func $other)", ["_initialize", "run"]),
    ],
)
def test_initialize_goes_only_where_it_does_nothing(constructors: str, kept: list[str]) -> None:
    wasm = module(
        f'(import "m" "f" (func $f)) {constructors}'
        ' (func (export "_initialize") call 1) (func $run (export "run"))'
    )
    made = without_empty_initialize(wasm)
    assert exports(made) == kept
    wasmtime.Module.validate(wasmtime.Engine(), made)


def test_initialize_stays_without_names() -> None:
    wasm = module('(func) (func (export "_initialize") call 0)')
    assert without_empty_initialize(wasm) == wasm


def test_a_good_interface() -> None:
    check_interface(module(CODEC), abi="core", what="checking")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('(import "wasi" "fd_write" (func))' + CODEC, "imports `wasi.fd_write`"),
        (CODEC.replace('"alloc"', '"malloc"'), "bad export `alloc`"),
        (CODEC.replace("i64.const 0", "i32.const 0").replace("i64", "i32"), "bad export `encode`"),
        (CODEC.replace('(memory (export "memory") 1)', "(memory 1)"), "bad export `memory`"),
        (CODEC + '(func (export "main"))', "unexpected export `main`"),
    ],
)
def test_a_bad_interface(text: str, said: str) -> None:
    with pytest.raises(BuildError, match=said) as caught:
        check_interface(module(text), abi="core", what="checking")
    assert "\n" not in str(caught.value)


def test_a_core_module_is_no_component() -> None:
    with pytest.raises(BuildError, match="bad export `chonkle:codec"):
        check_interface(module(CODEC), abi="component", what="checking")
