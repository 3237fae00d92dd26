"""Code with its numbers written short is the same code."""

import pytest
import wasmtime
from chonkle_toolchain.compact import compact

from chonkle.errors import WasmFormatError

HEADER = b"\0asm\1\0\0\0"
# One type, () -> (), and one function of it.
BEFORE_CODE = bytes.fromhex("01 04 01 60 00 00  03 02 01 00")


def module(body: str) -> bytes:
    """Give a module with one function, whose body is given in hexadecimal digits."""
    code = bytes.fromhex(body)
    section = bytes([1, len(code)]) + code
    return HEADER + BEFORE_CODE + bytes([10, len(section)]) + section


# Every kind of immediate that WebAssembly 2.0 has; numbers are as short as a text format's are.
EVERYTHING = """(module
  (type $t (func (param i32) (result i32)))
  (memory 1) (data $d "abc") (table $a 4 funcref) (table $b 4 externref)
  (elem $e func $f) (elem declare func $f) (global $g (mut i64) (i64.const -9223372036854775808))
  (func $f (type $t) (local i64 f32 f64 v128) local.get 0)
  (func (export "run") (param $x i32) (result i32) (local $v v128) (local $e externref)
    (block $out (result i32)
      (loop $again
        (br_if $again (i32.const 0))
        (br_table $again $again $out (i32.const 7) (i32.const 2)))
      (unreachable))
    (if (result i32) (then (i32.const -64)) (else (i32.const 64)))
    (drop (call_indirect $a (type $t) (i32.const 63) (i32.const 0)))
    (drop (call $f (i32.const -65)))
    (drop (select (result i32) (i32.const 2147483647) (i32.const -2147483648) (i32.const 1)))
    (drop (select (i32.const 127) (i32.const 128) (i32.const 1)))
    (global.set $g (i64.add (global.get $g) (i64.const 9223372036854775807)))
    (drop (f32.const -1.5)) (drop (f64.const 0x1.fffffffffffffp1023))
    (i64.store32 offset=300 align=1 (i32.const 8) (i64.load8_s offset=65535 (i32.const 0)))
    (drop (memory.grow (memory.size)))
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $d)
    (memory.copy (i32.const 0) (i32.const 8) (i32.const 4))
    (memory.fill (i32.const 0) (i32.const 8) (i32.const 4))
    (table.init $a $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $e)
    (table.copy $a $a (i32.const 0) (i32.const 1) (i32.const 1))
    (drop (table.grow $b (ref.null extern) (i32.const 1))) (drop (table.size $b))
    (table.fill $b (i32.const 0) (local.get $e) (i32.const 1))
    (table.set $a (i32.const 0) (ref.func $f)) (drop (ref.is_null (table.get $a (i32.const 0))))
    (local.set $v (v128.const i64x2 -1 0x8080808080808080))
    (local.set $v (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 31
      (local.get $v) (v128.load64_splat offset=1000 (i32.const 0))))
    (v128.store16_lane offset=5 6 (i32.const 0) (local.get $v))
    (local.set $v (v128.load32_zero offset=5 (i32.const 0)))
    (local.set $v (i16x8.replace_lane 7 (local.get $v) (i32.trunc_sat_f64_s (f64.const 1))))
    (drop (i8x16.extract_lane_u 15 (i32x4.dot_i16x8_s (local.get $v) (local.get $v))))
    (drop (f64x2.convert_low_i32x4_u (local.get $v)))
    (drop (i64.extend16_s (i64.const 1)))
    drop))"""


def test_what_is_short_stays_as_it_is() -> None:
    wasm = bytes(wasmtime.wat2wasm(EVERYTHING))
    assert compact(wasm) == wasm


@pytest.mark.parametrize(
    ("long", "short"),
    [
        # i32.const and drop
        ("00 41 80 80 80 80 00 1a 0b", "00 41 00 1a 0b"),
        ("00 41 ff ff ff ff 7f 1a 0b", "00 41 7f 1a 0b"),
        ("00 41 c0 80 80 80 00 1a 0b", "00 41 c0 00 1a 0b"),
        ("00 41 bf ff ff ff 7f 1a 0b", "00 41 bf 7f 1a 0b"),
        ("00 41 80 ff ff ff 7f 1a 0b", "00 41 80 7f 1a 0b"),
        ("00 41 80 80 80 80 78 1a 0b", "00 41 80 80 80 80 78 1a 0b"),
        # call, of which a sign would be another function
        ("00 10 80 80 80 80 00 0b", "00 10 00 0b"),
        # locals, and local.get
        ("81 80 80 80 00 c1 80 00 7f 20 c0 80 80 80 00 1a 0b", "01 41 7f 20 40 1a 0b"),
        # br_table in a block
        ("00 02 40 41 00 0e 81 80 00 80 80 00 80 00 0b 0b", "00 02 40 41 00 0e 01 00 00 0b 0b"),
        # memory.fill behind a long opcode, with nothing to fill
        ("00 41 00 41 00 41 00 fc 8b 80 00 00 0b", "00 41 00 41 00 41 00 fc 0b 00 0b"),
    ],
)
def test_numbers_are_written_short(long: str, short: str) -> None:
    assert compact(module(long)) == module(short)


@pytest.mark.parametrize(
    "body", ["00 c5 0b", "00 12 00 0b", "00 fd 80 02 0b", "00 fc 12 0b", "00 fb 00 0b"]
)
def test_other_instructions_are_refused(body: str) -> None:
    with pytest.raises(WasmFormatError, match="no instruction of WebAssembly 2"):
        compact(module(body))


def test_truncated_code_is_refused() -> None:
    with pytest.raises(WasmFormatError, match="truncated"):
        compact(module("00 41 80"))
