"""Interfaces of modules and components. Plans test how the definitions behind them are read."""

from pathlib import Path

import pytest
import wasmtime

from chonkle.errors import WasmFormatError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.wasm_binary import External, binary_kind
from tests.unit.formats.written import COMPONENT, CORE, section, text, vector

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "codec").glob("*/*.wasm"))


def component_of(wat: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat))


def test_a_component_names_what_it_imports_and_exports() -> None:
    found = read_interface(
        component_of(
            """(component
              (import "host:pkg/face@0.1.0" (instance (export "g" (func))))
              (import "f" (func (param "x" u32) (result string)))
              (import "t" (type (sub resource)))
              (import "m" (core module))
              (import "c" (component))
              (core module $inner (func (export "hidden")))
              (export "again" (func 0))
              (component $nested (import "deep" (func)) (export "deep2" (func 0)))
              (export "nested" (component $nested)))"""
        )
    )
    assert found.imports == (
        External("host:pkg/face@0.1.0", "instance"),
        External("f", "func"),
        External("t", "type"),
        External("m", "core module"),
        External("c", "component"),
    )
    assert found.exports == (External("again", "func"), External("nested", "component"))


def test_what_else_a_component_is_made_of_does_not_matter() -> None:
    data = COMPONENT + section(99, b"?") + section(10, vector(b"\x00" + text("f") + b"\x01\0"))
    assert read_interface(data).imports == (External("f", "func"),)


@pytest.mark.parametrize("header", [CORE, COMPONENT])
def test_a_binary_without_sections_demands_and_offers_nothing(header: bytes) -> None:
    assert read_interface(header).imports == read_interface(header).exports == ()


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (section(10, vector(b"\x00" + text("f") + b"\x09\0")), "unknown import.*: sort 0x09"),
        (section(10, vector(b"\x05" + text("f") + b"\x01\0")), "name of form 0x05"),
        (section(10, vector(b"\x00" + text("f"))), "truncated"),
        (section(11, vector(b"\x00" + text("f") + b"\x01")), "truncated"),
        (section(11, b"\xff\x7f"), "list at byte"),
        (section(10, vector(b"\x00" + text("f") + b"\x02\0\0")), "unknown import.* values"),
        (section(11, vector(b"\x00" + text("f") + b"\x01\0\0") + b"\0"), "left over.* 1 byte"),
    ],
)
def test_a_malformed_component_interface_is_refused(tail: bytes, problem: str) -> None:
    with pytest.raises(WasmFormatError, match=problem):
        read_interface(COMPONENT + tail)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_codec_imports_nothing_and_exports_its_abi(path: Path) -> None:
    data = path.read_bytes()
    assert binary_kind(data) == path.name.split(".")[-2]
    found = read_interface(data)
    assert found.imports == ()
    exports = {(each.name, each.kind, each.type) for each in found.exports}
    if binary_kind(data) == "core":
        assert {
            ("memory", "memory", ""),
            ("alloc", "func", "(i32) -> i32"),
            ("dealloc", "func", "(i32, i32) -> ()"),
            ("encode", "func", "(i32, i32) -> i64"),
            ("decode", "func", "(i32, i32) -> i64"),
        } <= exports
    else:
        assert exports == {("chonkle:codec/transform@0.1.0", "instance", "")}
