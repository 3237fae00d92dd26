"""Core modules: what a codec gets right, and every way in which a guest can break."""

import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from chonkle.backends.base import CallResult, Codec, Limits
from chonkle.errors import (
    ChonkleError,
    CodecError,
    CodecTrap,
    LimitError,
    LimitExceeded,
    WasmFormatError,
)
from chonkle.formats.portmap import Buffer
from chonkle.limits import CompileLimits

type OpenGuest = Callable[..., Codec]
type WriteGuest = Callable[..., str]

ECHO = """
  (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
          (i64.extend_i32_u (local.get $size)))
"""
PACKED = "(i64.or (i64.shl (i64.const {0}) (i64.const 32)) (i64.const {1}))"


@pytest.fixture(autouse=True, params=["trampoline", "no trampoline"])
def _trampoline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all small calls go through a trampoline, or none."""
    calls_without = 0 if request.param == "trampoline" else sys.maxsize
    monkeypatch.setattr(
        "chonkle.backends.wasm.guest_codec._CALLS_WITHOUT_TRAMPOLINE", calls_without
    )


def test_ports_go_in_and_come_back(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest())
    ports = {"bytes": b"abc" * 1000, "empty": b"", "größe": b"\x00"}
    for direction in ("encode", "decode"):
        assert codec.call(direction, ports) == ports


@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))]
)
def test_every_kind_of_buffer_goes_in(
    open_guest: OpenGuest, write_guest: WriteGuest, make: Callable[[bytes], Buffer]
) -> None:
    codec = open_guest(write_guest())
    assert codec.call("decode", {"bytes": make(b"12345")}) == {"bytes": b"12345"}


def test_an_answer_feeds_another_call_from_where_it_lies(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    codec = open_guest(write_guest())
    first: CallResult = codec.call_borrowed("decode", {"bytes": b"x" * 100_000})
    # The first instance still holds the data, so that this one is another.
    second = codec.call_borrowed("decode", first.ports)
    assert bytes(second.ports["bytes"]) == b"x" * 100_000
    first.close()
    first.close()
    assert bytes(memoryview(second.ports["bytes"])) == b"x" * 100_000
    second.close()
    assert second.ports == {}


def test_a_refusal_has_the_guests_words(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(
        write_guest(
            decode="(i64.const 0)",
            more=f"""
              (data (i32.const 16) "not\\nmy \\1b[31mformat")
              (func (export "last_error") (result i64) {PACKED.format(16, 18)})
            """,
        )
    )
    with pytest.raises(CodecError, match=r"guest-wat, core\), decode: not\\nmy \\x1b\[31mformat$"):
        codec.call("decode", {"bytes": b"x"})
    assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_a_refusal_may_have_no_words(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest(decode="(i64.const 0)"))
    with pytest.raises(CodecError, match="failed without a word"):
        codec.call("decode", {"bytes": b"x"})


LOOP = "(loop $forever (br $forever)) (i64.const 1)"
RECURSION = """
  (func $deeper (param i32) (result i32)
    (i32.add (i32.const 1) (call $deeper (local.get 0))))
"""


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ("unreachable", "unreachable"),
        ("(i64.load (i32.const -8))", "out of bounds memory access"),
        ("(i64.extend_i32_u (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        (PACKED.format(0xFFFF_0000, 64), "outside of its memory"),
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
def test_a_guest_that_breaks_is_a_trap_and_the_next_call_works(
    open_guest: OpenGuest, write_guest: WriteGuest, transform: str, words: str
) -> None:
    codec = open_guest(write_guest(decode=transform))
    for _ in range(3):
        with pytest.raises(CodecTrap, match=words) as caught:
            codec.call("decode", {"bytes": b"x"})
        assert "codec `guest` (guest-wat, core), decode: " in str(caught.value)
        assert "\n" not in str(caught.value)
        assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}


def test_a_stack_overflow_is_a_trap(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    decode = "(i64.extend_i32_u (call $deeper (i32.const 1)))"
    codec = open_guest(write_guest(decode=decode, more=RECURSION))
    with pytest.raises(CodecTrap, match="call stack exhausted"):
        codec.call("decode", {"bytes": b"x"})


def test_an_allocator_may_say_no(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    text = write_guest().replace(
        '(local.get $start))\n  (func (export "dealloc")',
        '(i32.const 0))\n  (func (export "dealloc")',
    )
    with pytest.raises(LimitExceeded, match="no room for 18 bytes"):
        open_guest(text).call("decode", {"bytes": b"x"})


def test_an_allocator_may_lie(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    text = write_guest().replace(
        '(local.get $start))\n  (func (export "dealloc")',
        '(i32.const -16))\n  (func (export "dealloc")',
    )
    with pytest.raises(CodecTrap, match="input buffer lies outside"):
        open_guest(text).call("decode", {"bytes": b"x"})


def test_a_dealloc_that_traps_is_a_trap_of_that_call(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    text = write_guest().replace("(global.set $next (i32.const 4096))", "unreachable")
    codec = open_guest(text)
    with pytest.raises(CodecTrap, match=r"guest-wat, core\), decode: .*unreachable"):
        codec.call("decode", {"bytes": b"x"})


def test_time_is_limited(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest(decode=LOOP), Limits(timeout_s=0.2))
    for _ in range(2):
        with pytest.raises(LimitExceeded, match=r"longer than the allowed 0\.2 s"):
            codec.call("decode", {"bytes": b"x"})
        assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_time_is_limited_for_each_of_several_threads(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    codec = open_guest(write_guest(decode=LOOP), Limits(timeout_s=0.2))
    outcomes: list[str] = []

    def call() -> None:
        try:
            codec.call("decode", {"bytes": b"x"})
        except LimitExceeded:
            outcomes.append("stopped")

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert outcomes == ["stopped"] * 4


def test_memory_is_limited_from_the_start(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest(memory="100"), Limits(memory_bytes=1 << 20))
    with pytest.raises(LimitExceeded, match="at most 1048576 bytes"):
        codec.call("decode", {"bytes": b"x"})


def test_memory_is_limited_while_it_grows(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    grow = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))"
    codec = open_guest(write_guest(decode=grow + ECHO), Limits(memory_bytes=1 << 20))
    with pytest.raises(ChonkleError):
        codec.call("decode", {"bytes": b"x"})
    assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_an_input_larger_than_the_memory_is_refused(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    codec = open_guest(write_guest(), Limits(memory_bytes=1 << 20))
    with pytest.raises(LimitExceeded, match="input alone"):
        codec.call("decode", {"bytes": bytes(2 << 20)})


def test_output_is_limited(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest(), Limits(output_bytes=100))
    with pytest.raises(LimitExceeded, match="at most 100 bytes, got 101"):
        codec.call("decode", {"bytes": bytes(101)})
    assert codec.call("decode", {"bytes": bytes(100)}) == {"bytes": bytes(100)}


def test_an_import_that_is_called_traps_by_name(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    more = '(import "wasi_snapshot_preview1" "fd_write" (func $write (result i32)))'
    codec = open_guest(write_guest(decode="(drop (call $write))" + ECHO, more=more))
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
    open_guest: OpenGuest, write_guest: WriteGuest, replace: str, by: str, words: str
) -> None:
    text = write_guest()
    assert replace in text
    with pytest.raises(WasmFormatError, match=words):
        open_guest(text.replace(replace, by))


def test_a_reactor_is_initialized_once_for_each_instance(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    more = '(func (export "_initialize") (i32.store (i32.const 8) (i32.const 7)))'
    check = "(if (i32.ne (i32.load (i32.const 8)) (i32.const 7)) (then unreachable))"
    codec = open_guest(write_guest(decode=check + ECHO, more=more))
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_an_initializer_that_traps_is_a_trap(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    codec = open_guest(write_guest(more='(func (export "_initialize") unreachable)'))
    with pytest.raises(CodecTrap, match="unreachable"):
        codec.call("decode", {"bytes": b"x"})


def test_threads_share_a_codec(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest())
    wrong: list[object] = []

    def work(letter: bytes) -> None:
        for size in range(1, 300):
            data = letter * size * 31
            if codec.call("decode", {"bytes": data}) != {"bytes": data}:
                wrong.append((letter, size))

    threads = [threading.Thread(target=work, args=(bytes([65 + i]),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_small_and_large_calls_give_the_same_whichever_way_they_go(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    codec = open_guest(write_guest())
    for size in (0, 1, 100, 65_000, 65_516, 65_517, 65_519, 65_520, 70_000, 10, 200_000, 3):
        data = bytes(range(256)) * (size // 256 + 1)
        ports = {"bytes": data[:size], "more": b"x"}
        for direction in ("encode", "decode"):
            assert codec.call(direction, ports) == ports


@pytest.mark.parametrize(
    ("transform", "kind", "words"),
    [
        ("unreachable", CodecTrap, "unreachable"),
        ("(i64.const 0)", CodecError, "without a word"),
        (PACKED.format(0xFFFF_0000, 64), CodecTrap, "outside of its memory"),
        (PACKED.format(0xFFFF_FFFF, 64), CodecTrap, "outside of its memory"),
        (PACKED.format(0xFFFF_FFFF, 0xFFFF_FFFF), CodecTrap, "outside of its memory"),
        (PACKED.format(16, 0xFFFF_FFFF), CodecTrap, "outside of its memory"),
        (PACKED.format(16, 3), CodecTrap, "malformed port-map"),
    ],
)
def test_a_guest_that_breaks_later_is_told_the_same(
    open_guest: OpenGuest,
    write_guest: WriteGuest,
    transform: str,
    kind: type[ChonkleError],
    words: str,
) -> None:
    codec = open_guest(write_guest(decode=transform))
    for _ in range(3):
        for _ in range(3):
            assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}
        with pytest.raises(kind, match=words):
            codec.call("decode", {"bytes": b"x"})


def test_an_allocator_may_say_no_and_lie(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    # The first two allocations are honest, the third is not.
    for answer, kind, words in (
        # A new instance has room, so that nobody hears of it.
        ("(i32.const 0)", None, ""),
        ("(i32.const -16)", CodecTrap, "input buffer lies outside"),
    ):
        text = write_guest(more="(global $count (mut i32) (i32.const 0))").replace(
            "(local.get $start))\n",
            f"""
              (global.set $count (i32.add (global.get $count) (i32.const 1)))
              (if (result i32) (i32.eq (global.get $count) (i32.const 3))
                (then {answer}) (else (local.get $start))))
            """,
            1,
        )
        codec = open_guest(text)
        for _ in range(2):
            assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
        with nullcontext() if kind is None else pytest.raises(kind, match=words):
            codec.call("decode", {"bytes": b"x"})
        assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


@pytest.mark.parametrize("size", [1, 100_000])
def test_calls_before_do_not_use_up_memory(
    open_guest: OpenGuest, write_guest: WriteGuest, size: int
) -> None:
    wears_out = f"""
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (if (result i64) (i32.gt_u (global.get $calls) (global.get $most))
        (then (i64.const 0)) (else {ECHO}))
    """
    more = f"""
      (global $calls (mut i32) (i32.const 0))
      (global $most i32 (i32.const {{most}}))
      (data (i32.const 16) "out of memory, wanted 7")
      (func (export "last_error") (result i64) {PACKED.format(16, 23)})
    """
    codec = open_guest(write_guest(decode=wears_out, more=more.format(most=2)))
    for _ in range(7):
        assert codec.call("decode", {"bytes": b"x" * size}) == {"bytes": b"x" * size}
    codec = open_guest(write_guest(decode=wears_out, more=more.format(most=0)))
    for _ in range(3):
        assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}
        with pytest.raises(LimitExceeded, match="decode: out of memory, wanted 7; hint: raise"):
            codec.call("decode", {"bytes": b"x" * size})


def test_time_is_limited_after_good_calls(open_guest: OpenGuest, write_guest: WriteGuest) -> None:
    codec = open_guest(write_guest(decode=LOOP), Limits(timeout_s=0.2))
    for _ in range(3):
        assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}
    with pytest.raises(LimitExceeded, match=r"longer than the allowed 0\.2 s"):
        codec.call("decode", {"bytes": b"x"})


def test_the_memory_of_waiting_instances_can_be_seen(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    codec = open_guest(write_guest(encode=f"(drop (memory.grow (i32.const 2))) {ECHO}"))
    assert codec.memory_bytes() == 0
    codec.call("decode", {"bytes": b"x"})
    assert codec.memory_bytes() == 65536
    codec.call("encode", {"bytes": b"x"})
    assert codec.memory_bytes() == 3 * 65536


def test_a_guest_has_one_memory_and_few_imports_and_exports(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    with pytest.raises(WasmFormatError, match="not a codec of the core ABI, expected one memory"):
        open_guest(write_guest(more="(memory 1)"))
    exports = "".join(f'(func (export "f{index}"))' for index in range(300))
    with pytest.raises(WasmFormatError, match="too many exports, expected at most 256"):
        open_guest(write_guest(more=exports))
    imports = "".join(f'(import "a" "f{index}" (func))' for index in range(1001))
    with pytest.raises(WasmFormatError, match="too many imports, expected at most 1000"):
        open_guest(write_guest(more=imports))


@pytest.mark.parametrize(
    "limits",
    [{"timeout_s": value} for value in (0, -1, float("nan"), float("inf"), 86_401, "1", True)]
    + [
        {name: value}
        for name in ("memory_bytes", "output_bytes")
        for value in (0, -1, 1.5, "5", None, 1 << 64, True)
    ]
    + [{"memory_bytes": (1 << 32) + 1}],
    ids=str,
)
def test_a_limit_that_limits_nothing_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(LimitError, match="bad limit"):
        Limits(**limits)
    # The compiler is no guest, and may have more than 4 GiB.
    if limits.get("memory_bytes") != (1 << 32) + 1 and "output_bytes" not in limits:
        with pytest.raises(LimitError, match="bad limit"):
            CompileLimits(**limits)


def test_the_highest_limits() -> None:
    limits = Limits(memory_bytes=1 << 32, output_bytes=1 << 44, timeout_s=86_400)
    assert limits.memory_bytes == 4 << 30


def test_an_input_that_no_guest_has_addresses_for_is_refused_before_it_is_copied(
    open_guest: OpenGuest, write_guest: WriteGuest
) -> None:
    # Zeros that take no memory before they are read.
    data = memoryview(mmap.mmap(-1, (1 << 32) + 5))
    codec = open_guest(write_guest(), Limits(memory_bytes=1 << 32))
    with pytest.raises(LimitExceeded, match=r"^codec `guest` .* too large .* got 4294967301; hint"):
        codec.call("decode", {"bytes": data})
    with pytest.raises(LimitExceeded, match="at most 4294967295 bytes"):
        codec.call("decode", {"bytes": data[:-7]})
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


FORK = """
import os, sys, time, wasmtime
from pathlib import Path
from chonkle.backends.base import Limits
from chonkle.errors import LimitExceeded
from chonkle.formats.signature import Signature, embed_signature
from chonkle.resolver import Resolution
from chonkle.session import Session
from chonkle.storage.store import WasmCodec

ports = {"bytes": {"type": "bytes"}}
signature = Signature.from_json(
    {"codec_id": "g", "implementation": "g", "inputs": ports, "outputs": ports}
)
wasm = embed_signature(bytes(wasmtime.wat2wasm(sys.argv[1])), signature)
codec = WasmCodec.from_bytes(wasm, "g.wasm")
with Session(cache=None) as session:
    opened = session.open(Resolution("core", signature, "test", codec), Limits(timeout_s=0.2))
    opened.call("encode", {"bytes": b"x"})
    child = os.fork()
    try:
        opened.call("decode", {"bytes": b"x"})
    except LimitExceeded:
        pass
    if child == 0:
        os._exit(0)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_time_is_limited_after_a_fork(write_guest: WriteGuest) -> None:
    code = [sys.executable, "-W", "ignore", "-c", FORK, write_guest(decode=LOOP)]
    assert subprocess.run(code, timeout=20, check=False).returncode == 0
