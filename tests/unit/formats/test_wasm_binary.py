import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import (
    External,
    Reader,
    binary_kind,
    custom_sections,
    read_core_interface,
    sections,
    with_custom_section,
    without_custom_sections,
    write_u32,
)
from tests.unit.formats.written import COMPONENT, CORE, custom, section, text, vector

# LEB128


@given(st.integers(0, 2**32 - 1))
def test_an_unsigned_integer_comes_back(value: int) -> None:
    written = write_u32(value)
    assert len(written) == max(1, -(-value.bit_length() // 7))
    reader = Reader(written, 0, len(written))
    assert reader.u32() == value
    assert reader.offset == len(written)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\0", 0),
        (b"\x7f", 127),
        (b"\x80\x01", 128),
        (b"\xe5\x8e\x26", 624485),
        (b"\xff\xff\xff\xff\x0f", 2**32 - 1),
        (b"\x80\x80\x80\x80\x00", 0),
    ],
)
def test_an_integer_may_be_padded_to_five_bytes(data: bytes, value: int) -> None:
    assert Reader(data, 0, len(data)).u32() == value


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "truncated at byte 0"),
        (b"\x80", "truncated at byte 1"),
        (b"\x80\x80\x80\x80", "truncated at byte 4"),
        (b"\xff\xff\xff\xff\x10", "over 32 bits"),
        (b"\xff\xff\xff\xff\x7f", "over 32 bits"),
        (b"\x80\x80\x80\x80\x80\x00", "too long"),
        (b"\xff" * 100, "too long"),
    ],
)
def test_an_integer_that_is_cut_or_too_large_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(WasmFormatError, match=problem):
        Reader(data, 0, len(data)).u32()


def test_a_reader_stops_at_its_end_and_not_at_that_of_the_bytes() -> None:
    reader = Reader(b"\x05hello", 0, 5)
    with pytest.raises(WasmFormatError, match="expected 5 more bytes, got 4"):
        reader.name()


# Headers and sections


@pytest.mark.parametrize(("header", "kind"), [(CORE, "core"), (COMPONENT, "component")])
def test_the_header_tells_a_module_from_a_component(header: bytes, kind: str) -> None:
    assert binary_kind(header) == kind
    assert list(sections(header)) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no bytes at all"),
        (b"\0asm", "got 4 bytes"),
        (b"\0asm\x01\0\0", "got 7 bytes"),
        (b"\x7fELF\x02\x01\x01\0", "begins with"),
        (b"(module)", "not a WebAssembly binary"),
        (b"\0asm\x02\0\0\0", "unknown WebAssembly version.* got 02 00 00 00"),
        (b"\0asm\x01\0\x01\0", "unknown WebAssembly version"),
        (b"\0asm\x0c\0\x01\0", "unknown WebAssembly version"),
    ],
)
def test_another_header_is_refused(data: bytes, problem: str) -> None:
    for read in (binary_kind, read_core_interface, lambda data: list(sections(data))):
        with pytest.raises(WasmFormatError, match=problem):
            read(data)


def test_sections_are_found_in_file_order() -> None:
    data = CORE + section(1, b"\0") + custom("näme", b"abc") + section(9, b"")
    found = list(sections(data))
    assert [(each.id, each.name) for each in found] == [(1, ""), (0, "näme"), (9, "")]
    assert [data[each.payload : each.end] for each in found] == [b"\0", b"abc", b""]
    assert found[0].start == len(CORE)
    assert found[-1].end == len(data)


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (b"\x01", "truncated at byte 9"),
        (b"\x01\x05", "section 1 at byte 8 is truncated, expected 5 bytes, got 0"),
        (b"\x01\xff\xff\xff\xff\x0f", "section 1 at byte 8 is truncated"),
        (section(0, b""), "truncated at byte 10"),
        (section(0, b"\x05ab"), "expected 5 more bytes, got 2"),
        (section(0, b"\x02\xff\xfe"), "not UTF-8"),
        (section(0, b"\x01a") + b"\x00\x80", "truncated"),
    ],
)
def test_a_malformed_section_is_refused(tail: bytes, problem: str) -> None:
    with pytest.raises(WasmFormatError, match=problem):
        list(sections(CORE + tail))


# Custom sections


def test_a_custom_section_is_replaced_and_not_doubled() -> None:
    data = CORE + custom("x", b"1") + section(1, b"\0") + custom("y", b"2") + custom("x", b"3")
    assert custom_sections(data, "x") == [b"1", b"3"]
    written = with_custom_section(data, "x", b"4")
    assert written == CORE + section(1, b"\0") + custom("y", b"2") + custom("x", b"4")
    assert with_custom_section(written, "x", b"4") == written


def test_custom_sections_within_other_sections_do_not_count() -> None:
    inner = custom("x", b"1")
    data = COMPONENT + section(1, CORE + inner) + custom("y", inner) + section(4, COMPONENT + inner)
    assert custom_sections(data, "x") == []


@given(st.text(max_size=8), st.binary(max_size=300), st.sampled_from([CORE, COMPONENT]))
def test_a_custom_section_comes_back(name: str, payload: bytes, header: bytes) -> None:
    written = with_custom_section(header + section(1, b"\0"), name, payload)
    assert custom_sections(written, name) == [payload]
    assert written.startswith(header + section(1, b"\0"))


@pytest.mark.parametrize("header", [CORE, COMPONENT])
def test_custom_sections_can_be_taken_away(header: bytes) -> None:
    inside = CORE + custom("name", b"a") + section(1, b"\0")
    nested = COMPONENT + custom("component-name", b"") + section(1, inside)
    parts = [custom("name", b"abc"), section(7, b"\0"), custom("", b"")]
    if header == COMPONENT:
        parts += [section(1, inside), section(4, nested)]
    bare = without_custom_sections(header + b"".join(parts))
    expected = header + section(7, b"\0")
    if header == COMPONENT:
        expected += section(1, CORE + section(1, b"\0"))
        expected += section(4, COMPONENT + section(1, CORE + section(1, b"\0")))
    assert bare == expected == without_custom_sections(bare)


def test_components_are_not_followed_without_end() -> None:
    data = COMPONENT
    for _ in range(102):
        data = COMPONENT + section(4, data)
    with pytest.raises(WasmFormatError, match="nested too deep, expected at most 100"):
        without_custom_sections(data)


# Core interfaces


def interface_of(wat: str) -> tuple[list[External], list[External]]:
    found = read_core_interface(bytes(wasmtime.wat2wasm(wat)))
    return list(found.imports), list(found.exports)


def test_imports_and_exports_have_their_types() -> None:
    imports, exports = interface_of(
        """(module
          (import "env" "f" (func (param i32 f64) (result i64)))
          (import "env" "t" (table 1 2 funcref))
          (import "env" "m" (memory 1 2))
          (import "env" "g" (global (mut i64)))
          (import "env" "n" (func))
          (func $own (param i64 f32 v128 externref funcref) (result i32 i32) unreachable)
          (global $h i32 (i32.const 0))
          (export "own" (func $own)) (export "memory" (memory 0)) (export "again" (func 0))
          (export "table" (table 0)) (export "h" (global $h)) (export "" (func 1))
          (export "n\\c3\\a4me" (func $own)))"""
    )
    assert imports == [
        External("env.f", "func", "(i32, f64) -> i64", "env"),
        External("env.t", "table", "", "env"),
        External("env.m", "memory", "", "env"),
        External("env.g", "global", "", "env"),
        External("env.n", "func", "() -> ()", "env"),
    ]
    assert [each.field for each in imports] == ["f", "t", "m", "g", "n"]
    assert exports == [
        External("own", "func", "(i64, f32, v128, externref, funcref) -> i32, i32"),
        External("memory", "memory"),
        External("again", "func", "(i32, f64) -> i64"),
        External("table", "table"),
        External("h", "global"),
        External("", "func", "() -> ()"),
        External("näme", "func", "(i64, f32, v128, externref, funcref) -> i32, i32"),
    ]


def test_a_module_without_sections_demands_and_offers_nothing() -> None:
    assert interface_of("(module)") == ([], [])


TYPES = section(1, vector(b"\x60\0\0"))


def importing(description: bytes) -> bytes:
    return section(2, vector(text("a") + text("b") + description))


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        pytest.param(section(1, b"\xff\xff\xff\xff\x0f"), "list at byte", id="many-types"),
        pytest.param(section(1, vector(b"\x5f\0")), "form 0x5f", id="struct-type"),
        pytest.param(section(1, vector(b"\x60\xff\x7f")), "list at byte", id="many-parameters"),
        pytest.param(section(1, vector(b"\x60\x02\x7f")), "truncated|list", id="parameter-missing"),
        pytest.param(section(2, vector(text("a") + text("b") + b"\0\0")), "type index 0 of 0"),
        pytest.param(
            section(2, vector(text("a") + text("b") + b"\x09")), "kind 0x09", id="import-kind"
        ),
        pytest.param(section(2, vector(text("a") + b"\x7f")), "truncated", id="import-cut"),
        pytest.param(importing(b"\x02\x01\0" + b"\x80" * 10), "too long", id="limit-without-end"),
        pytest.param(section(7, vector(text("f") + b"\0\0")), "function index 0 of 0"),
        pytest.param(section(3, b"\x01\x07") + section(7, vector(text("f") + b"\0\0")), "type ind"),
        pytest.param(section(7, vector(b"\x01\xff\0\0")), "not UTF-8", id="name"),
        pytest.param(section(7, vector(text("x") + b"\x09\0")), "kind 0x09", id="export-kind"),
        pytest.param(section(1, vector(b"\x60\x01\x63\x70\0")), "type 0x63", id="reference"),
        pytest.param(section(1, vector(b"\x60\x01\x64\x00\0")), "type 0x64", id="not-null"),
        pytest.param(section(1, vector(b"\x60\x01\x6e\0")), "type 0x6e", id="anyref"),
        pytest.param(section(1, vector(b"\x60\0\x01\x69")), "type 0x69", id="exnref"),
        pytest.param(section(1, vector(b"\x60\x01\x62\0")), "type 0x62", id="exact"),
        pytest.param(section(1, vector(b"\x4e\x01\x60\0\0")), "form 0x4e", id="group"),
        pytest.param(section(1, vector(b"\x50\0\x60\0\0")), "form 0x50", id="subtype"),
        pytest.param(section(1, vector(b"\x4f\0\x60\0\0")), "form 0x4f", id="final"),
        pytest.param(section(1, vector(b"\x5d\0")), "form 0x5d", id="continuation"),
        pytest.param(section(1, vector(b"\x60\0\0") + b"\0"), "left over.*1 byte", id="type-rest"),
        pytest.param(section(3, b"\0\0"), "left over", id="function-rest"),
        pytest.param(section(5, vector(b"\0\x01") + b"\0"), "left over", id="memory-rest"),
        pytest.param(section(7, b"\0\0"), "left over", id="export-rest"),
        pytest.param(section(2, b"\0\0"), "left over", id="import-rest"),
        pytest.param(importing(b"\x03\x63\x70\0"), "type 0x63", id="global-of-references"),
        pytest.param(importing(b"\x03\x7f\x02"), "mutability 0x02", id="mutability"),
        pytest.param(importing(b"\x01\x63\x70\0\0"), "element type 0x63", id="table-of-references"),
        pytest.param(importing(b"\x01\x70\x04\0"), "flags.* 0x04", id="table-64"),
        pytest.param(importing(b"\x02\x04\0"), "flags.* 0x04", id="memory-64"),
        pytest.param(importing(b"\x02\x03\0\x01"), "flags.* 0x03", id="shared-memory"),
        pytest.param(importing(b"\x02\x08\0\0"), "flags.* 0x08", id="page-size"),
        pytest.param(importing(b"\x04\x01\0"), "tag attribute 0x01", id="tag"),
        pytest.param(section(2, vector(text("a") + b"\0\x7f\0")), "kind 0x7f", id="compact"),
        pytest.param(section(5, vector(b"\x04\x01")), "flags.* 0x04", id="own-memory-64"),
        pytest.param(TYPES + TYPES, "section 1.*repeated", id="types-twice"),
        pytest.param(section(3, b"\0") + TYPES, "section 1.*out of order", id="types-late"),
        pytest.param(section(14, b""), "section 14.*unknown", id="section"),
        pytest.param(section(1, b"\0" * (1 << 21)), "too long", id="long-types"),
        pytest.param(section(0, b"\0") * 100_001, "too many sections", id="many-sections"),
    ],
)
def test_a_malformed_interface_is_refused(tail: bytes, problem: str) -> None:
    with pytest.raises(WasmFormatError, match=problem):
        read_core_interface(CORE + tail)
