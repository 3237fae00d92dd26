"""The core ABI: every way in which a guest can break it.

An instance is called without a trampoline first, and through one from its second call on.
"""

from contextlib import nullcontext

import pytest

from chonkle.errors import CodecError, CodecTrap, LimitExceeded, WasmFormatError
from tests.unit.backends.conftest import ECHO, OpenGuest, guest

PACKED = "(i64.or (i64.shl (i64.const {0}) (i64.const 32)) (i64.const {1}))"


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ("unreachable", "unreachable"),
        ("(i64.load (i32.const -8))", "out of bounds memory access"),
        ("(i64.extend_i32_u (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        (PACKED.format(0xFFFF_0000, 64), "outside of its memory"),
        (PACKED.format(0xFFFF_FFFF, 64), "outside of its memory"),
        (PACKED.format(0xFFFF_FFFF, 0xFFFF_FFFF), "outside of its memory"),
        (PACKED.format(16, 0xFFFF_FFFF), "outside of its memory"),
        ("(i64.const -1)", "outside of its memory"),
        # A port-map that says it has ports and has none.
        ("(i32.store (i32.const 16) (i32.const 3))" + PACKED.format(16, 4), "malformed port-map"),
        ("(i32.store (i32.const 16) (i32.const -1))" + PACKED.format(16, 4), "malformed port-map"),
        (PACKED.format(16, 3), "malformed port-map"),
        (PACKED.format(16, 0), "malformed port-map"),
        # One port, whose name is one byte that is not UTF-8.
        (
            "(i32.store (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 1))"
            "(i32.store8 (i32.const 24) (i32.const 255)) (i32.store (i32.const 25) (i32.const 0))"
            + PACKED.format(16, 13),
            "not UTF-8",
        ),
        # Bytes behind the last port.
        ("(i64.store (i32.const 16) (i64.const 0))" + PACKED.format(16, 8), "after the last port"),
    ],
)
def test_a_guest_that_breaks_is_a_trap(open_guest: OpenGuest, transform: str, words: str) -> None:
    codec = open_guest(guest(decode=transform))
    for _ in range(3):
        with pytest.raises(CodecTrap, match=words) as caught:
            codec.call("decode", {"bytes": b"x"})
        assert "codec `guest` (guest-wat, core), decode: " in str(caught.value)
        assert "\n" not in str(caught.value)
        for _ in range(2):
            assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}


def test_an_allocator_may_say_no(open_guest: OpenGuest) -> None:
    text = guest().replace(
        '(local.get $start))\n  (func (export "dealloc")',
        '(i32.const 0))\n  (func (export "dealloc")',
    )
    with pytest.raises(LimitExceeded, match="no room for 18 bytes"):
        open_guest(text).call("decode", {"bytes": b"x"})


def test_an_allocator_may_lie(open_guest: OpenGuest) -> None:
    text = guest().replace(
        '(local.get $start))\n  (func (export "dealloc")',
        '(i32.const -16))\n  (func (export "dealloc")',
    )
    with pytest.raises(CodecTrap, match="input buffer lies outside"):
        open_guest(text).call("decode", {"bytes": b"x"})


@pytest.mark.parametrize("good_calls", [0, 2])
def test_a_trap_of_dealloc_is_of_that_call(open_guest: OpenGuest, good_calls: int) -> None:
    text = guest(more="(global $frees (mut i32) (i32.const 0))").replace(
        "(global.set $next (i32.const 4096))",
        f"""(if (i32.eq (global.get $frees) (i32.const {good_calls})) (then unreachable))
            (global.set $frees (i32.add (global.get $frees) (i32.const 1)))""",
    )
    codec = open_guest(text)
    for _ in range(good_calls):
        assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
    with pytest.raises(CodecTrap, match=r"guest-wat, core\), decode: .*unreachable"):
        codec.call("decode", {"bytes": b"x"})


def test_an_import_that_is_called_traps_by_name(open_guest: OpenGuest) -> None:
    more = '(import "wasi_snapshot_preview1" "fd_write" (func $write (result i32)))'
    codec = open_guest(guest(decode="(drop (call $write))" + ECHO, more=more))
    with pytest.raises(CodecTrap, match="wasi_snapshot_preview1::fd_write"):
        codec.call("decode", {"bytes": b"x"})
    assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


@pytest.mark.parametrize(
    ("replace", "by", "words"),
    [
        ('(export "memory")', "", "export `memory`, expected memory, got none"),
        ('(export "alloc")', '(export "malloc")', "export `alloc`"),
        (
            '(export "dealloc") (param i32 i32)',
            '(export "dealloc") (param i32)',
            r"export `dealloc`, expected func \(i32, i32\) -> \(\), got func \(i32\) -> \(\)",
        ),
        ('(export "decode")', "", "export `decode`"),
    ],
)
def test_a_module_without_the_abi_is_refused_before_it_runs(
    open_guest: OpenGuest, replace: str, by: str, words: str
) -> None:
    text = guest()
    assert replace in text
    with pytest.raises(WasmFormatError, match=words):
        open_guest(text.replace(replace, by))


def test_a_reactor_is_initialized_once_for_each_instance(open_guest: OpenGuest) -> None:
    more = '(func (export "_initialize") (i32.store (i32.const 8) (i32.const 7)))'
    check = "(if (i32.ne (i32.load (i32.const 8)) (i32.const 7)) (then unreachable))"
    codec = open_guest(guest(decode=check + ECHO, more=more))
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_an_initializer_that_traps_is_a_trap(open_guest: OpenGuest) -> None:
    codec = open_guest(guest(more='(func (export "_initialize") unreachable)'))
    with pytest.raises(CodecTrap, match="unreachable"):
        codec.call("decode", {"bytes": b"x"})


def test_a_refusal_may_have_no_words(open_guest: OpenGuest) -> None:
    codec = open_guest(guest(decode="(i64.const 0)"))
    for _ in range(3):
        with pytest.raises(CodecError, match="failed and gave no message"):
            codec.call("decode", {"bytes": b"x"})


def test_an_allocator_may_say_no_and_lie(open_guest: OpenGuest) -> None:
    # The first two allocations are honest, the third is not.
    for result, kind, words in (
        # A new instance has room, so the call succeeds.
        ("(i32.const 0)", None, ""),
        ("(i32.const -16)", CodecTrap, "input buffer lies outside"),
    ):
        text = guest(more="(global $count (mut i32) (i32.const 0))").replace(
            "(local.get $start))\n",
            f"""
              (global.set $count (i32.add (global.get $count) (i32.const 1)))
              (if (result i32) (i32.eq (global.get $count) (i32.const 3))
                (then {result}) (else (local.get $start))))
            """,
            1,
        )
        codec = open_guest(text)
        for _ in range(2):
            assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
        with nullcontext() if kind is None else pytest.raises(kind, match=words):
            codec.call("decode", {"bytes": b"x"})
        assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_a_guest_has_one_memory_and_few_imports_and_exports(open_guest: OpenGuest) -> None:
    with pytest.raises(WasmFormatError, match="not a codec of the core ABI, expected one memory"):
        open_guest(guest(more="(memory 1)"))
    exports = "".join(f'(func (export "f{index}"))' for index in range(300))
    with pytest.raises(WasmFormatError, match="too many exports, expected at most 256"):
        open_guest(guest(more=exports))
    imports = "".join(f'(import "a" "f{index}" (func))' for index in range(1001))
    with pytest.raises(WasmFormatError, match="too many imports, expected at most 1000"):
        open_guest(guest(more=imports))
