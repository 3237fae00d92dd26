"""The plain way of calling a codec: what a guest may do wrong, said in words."""

import signal
import sys
from types import FrameType

import pytest
import wasmtime
from chonkle_toolchain.direct_call import call, call_raw, compiled, start

from chonkle.backends.base import Limits
from chonkle.errors import CodecError, CodecTrap, LimitExceeded, WasmFormatError

LIMITS = Limits(memory_bytes=1 << 20, timeout_s=0.2)
FOR_EVER = "(loop $again (br $again))"
WORDS = '(func (export "last_error") (result i64) (i64.const {0}))'


def guest(
    *, more: str = "", alloc: str = "(i32.const 64)", transform: str = "(i64.const 0)"
) -> bytes:
    text = f"""(module
      {more}
      (memory (export "memory") 1)
      (data (i32.const 16) "no")
      (data (i32.const 32) "\\01\\00\\00\\00\\01\\00\\00\\00x\\00\\00\\00\\00")
      (func (export "alloc") (param i32) (result i32) {alloc})
      (func (export "dealloc") (param i32 i32))
      (func (export "encode") (param i32 i32) (result i64) {transform})
      (func (export "decode") (param i32 i32) (result i64) {transform}))"""
    return bytes(wasmtime.wat2wasm(text))


def test_a_result_and_a_refusal() -> None:
    results = guest(transform="(i64.const 0x200000000d)")
    assert call(results, "encode", {"bytes": b"x"}) == {"x": b""}
    with pytest.raises(CodecError, match=r"^no$"):
        call(guest(more=WORDS.format("0x1000000002")), "encode", {})
    with pytest.raises(CodecError, match=r"^$"):
        call(guest(), "encode", {})
    with pytest.raises(CodecError, match="out of memory for an input of 4 bytes"):
        call(guest(alloc="(i32.const 0)"), "encode", {})


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        ({"transform": "unreachable"}, CodecTrap, "unreachable"),
        ({"transform": "(i64.const 0x7fff000000000004)"}, CodecTrap, "lie outside of its memory"),
        ({"transform": "(i64.const -1)"}, CodecTrap, "lie outside of its memory"),
        ({"transform": "(i64.const 0x2000000003)"}, CodecTrap, "port-map truncated"),
        ({"alloc": "(i32.const -1)"}, CodecTrap, "4 bytes at 4294967295 lie outside of its memory"),
        ({"more": WORDS.format("-1")}, CodecTrap, "lie outside of its memory"),
        ({"transform": f"{FOR_EVER} unreachable"}, LimitExceeded, "longer than the allowed 0.2 s"),
        ({"alloc": f"{FOR_EVER} unreachable"}, LimitExceeded, "longer than the allowed 0.2 s"),
        ({"more": f"(func $s {FOR_EVER}) (start $s)"}, LimitExceeded, "longer than the allowed"),
        ({"more": '(func (export "_initialize") unreachable)'}, CodecTrap, "unreachable"),
        ({"more": "(memory 4096)"}, LimitExceeded, "more memory than allowed"),
        (
            {"more": '(import "env" "now" (func $now))', "transform": "(call $now) (i64.const 0)"},
            CodecTrap,
            "now",
        ),
        ({"more": '(global (export "_initialize") i32 (i32.const 0))'}, WasmFormatError, "kind"),
    ],
)
def test_failures_have_words(parts: dict[str, str], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call(guest(**parts), "encode", {}, limits=LIMITS)


@pytest.mark.skipif(sys.platform == "win32", reason="timers are POSIX's")
def test_a_signal_ends_a_guest_long_before_its_time() -> None:
    def hear(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wasm = guest(more=f'(func (export "spin") {FOR_EVER})')
    started = start(wasm, limits=Limits(timeout_s=3600))
    spin = started.exported("spin", wasmtime.Func)
    before = signal.signal(signal.SIGVTALRM, hear)
    try:
        # When the process has computed for that long, which it does nowhere else than in the guest.
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            started.run(lambda: spin(started.wasm_store))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_bytes_that_are_no_port_map_go_in_as_they_are() -> None:
    # Gives what it was given.
    echo = "(i64.or (i64.const 0x4000000000) (i64.extend_i32_u (local.get 1)))"
    assert call_raw(guest(transform=echo), "decode", b"\xff\0\xff") == b"\xff\0\xff"


def test_what_is_not_valid_is_said_in_one_line() -> None:
    with pytest.raises(
        WasmFormatError, match=r"^codec: not a valid core binary: Invalid input WebAssem"
    ):
        compiled(guest(more="(func (result i32))"))
    with pytest.raises(WasmFormatError, match=r"^codec: not a valid component binary: "):
        start(b"\0asm\x0d\0\x01\0\x07")
    with pytest.raises(WasmFormatError, match="no function `encode` in `chonkle:codec/transform"):
        call(bytes(wasmtime.wat2wasm("(component)")), "encode", {})
