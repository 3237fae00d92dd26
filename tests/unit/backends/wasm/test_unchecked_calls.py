"""The two ways of calling guests: they behave alike; which one is used when."""

import ctypes
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.base import Codec
from chonkle.backends.wasm.unchecked_calls import (
    HOST_FUNCTION_FAILED,
    Calls,
    PreparedCalls,
    PublicCalls,
    host_function,
    instantiate,
    instantiate_linked,
)
from chonkle.backends.wasm.unchecked_calls import open_calls as open_ways
from chonkle.errors import WasmFormatError
from chonkle.formats.wasm_binary import read_core_interface
from tests.unit.backends.conftest import guest as write_guest

ROOT = Path(__file__).parents[4]
PAGE = 1 << 16
I32, I64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
WAYS: dict[str, type[PreparedCalls | PublicCalls]] = {
    "prepared": PreparedCalls,
    "public": PublicCalls,
}

GUEST = """
(module
  (import "host" "fail" (func $fail))
  (memory (export "memory") 1 4)
  (memory (export "empty") 0)
  (func (export "nothing"))
  (func (export "seven") (result i32) (i32.const 7))
  (func (export "same32") (param i32) (result i32) (local.get 0))
  (func (export "same64") (param i64) (result i64) (local.get 0))
  (func (export "packed") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))
            (i64.extend_i32_u (local.get 1))))
  (func (export "mixed") (param i32 i64 i32 i64) (result i64)
    (i64.xor (i64.add (i64.extend_i32_u (local.get 0)) (local.get 1))
             (i64.add (i64.mul (i64.extend_i32_u (local.get 2)) (i64.const 3))
                      (i64.rotl (local.get 3) (i64.const 9)))))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "fail") (call $fail))
  (func (export "trap") (param i32 i32 i32) (result i32) unreachable)
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_u (local.get 0) (local.get 1))))
"""


class HostError(Exception):
    """What the host function of the guest raises."""


class Guest:
    """An instance of the guest, with its functions in one of the ways."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        engine = wasmtime.Engine()
        self.wasm_store = wasmtime.Store(engine)
        fail = host_function(self.wasm_store, wasmtime.FuncType([], []), self.fail)
        wasm = bytes(wasmtime.wat2wasm(GUEST))
        self.types = {each.name: each.type for each in read_core_interface(wasm).exports}
        module = wasmtime.Module(engine, wasm)
        self.exports = wasmtime.Instance(self.wasm_store, module, [fail]).exports(self.wasm_store)

    @staticmethod
    def fail() -> None:
        raise HostError

    def function(self, name: str) -> Callable[..., int]:
        return self.calls.function(self.wasm_store, self.exports[name], self.types[name])

    def memory(self, name: str) -> wasmtime.Memory:
        memory = self.exports[name]
        assert isinstance(memory, wasmtime.Memory)
        return memory


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> Calls:
    return WAYS[request.param]()


@pytest.fixture
def guest(way: Calls) -> Guest:
    return Guest(way)


@pytest.fixture(scope="module")
def both() -> list[Guest]:
    return [Guest(way()) for way in WAYS.values()]


# Calls


def test_functions_of_few_parameters_and_results(guest: Guest) -> None:
    guest.function("nothing")()
    assert guest.function("seven")() & I32 == 7


EDGES = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
WIDE_EDGES = (*EDGES, 1 << 32, (1 << 63) - 1, 1 << 63, I64)


@pytest.mark.parametrize("value", EDGES)
def test_an_i32_comes_back_whatever_its_highest_bit(guest: Guest, value: int) -> None:
    assert guest.function("same32")(value) & I32 == value


@pytest.mark.parametrize("value", WIDE_EDGES)
def test_an_i64_comes_back_whatever_its_highest_bit(guest: Guest, value: int) -> None:
    assert guest.function("same64")(value) & I64 == value


@given(high=st.integers(0, I32), low=st.integers(0, I32))
def test_a_packed_pair_has_both_halves(both: list[Guest], high: int, low: int) -> None:
    for guest in both:
        assert guest.function("packed")(high, low) & I64 == high << 32 | low


@given(
    st.tuples(st.integers(0, I32), st.integers(0, I64), st.integers(0, I32), st.integers(0, I64))
)
def test_more_parameters_than_fit(both: list[Guest], arguments: tuple[int, int, int, int]) -> None:
    a, b, c, d = arguments
    expected = ((a + b) ^ (c * 3 + (d << 9 | d >> 55))) & I64
    for guest in both:
        call = guest.function("mixed")
        # What an earlier call left behind does not count.
        call(I32, I64, I32, I64)
        assert call(*arguments) & I64 == expected


# Types

OTHERS = {
    "another parameter": "(param i64 i32) (result i64)",
    "a parameter fewer": "(param i32) (result i64)",
    "a parameter more": "(param i32 i32 i32) (result i64)",
    "another result": "(param i32 i32) (result i32)",
    "no result": "(param i32 i32)",
    "a result more": "(param i32 i32) (result i64 i64)",
    "a float": "(param i32 f32) (result i64)",
}
REFERENCES = ("funcref", "externref", "(ref null $t)", "(ref $t)", "(ref func)", "anyref",
              "i31ref", "nullfuncref", "exnref", "(ref null $s)", "v128")  # fmt: skip


def function_of_type(type_: str) -> tuple[wasmtime.Store, wasmtime.Func]:
    engine = wasmtime.Engine()
    wasm_store = wasmtime.Store(engine)
    module = wasmtime.Module(
        engine,
        f"""(module (type $t (func)) (type $s (struct (field i64)))
              (func (export "f") {type_} unreachable))""",
    )
    function = wasmtime.Instance(wasm_store, module, []).exports(wasm_store)["f"]
    assert isinstance(function, wasmtime.Func)
    return wasm_store, function


@pytest.mark.parametrize("type_", OTHERS.values(), ids=OTHERS.keys())
def test_a_function_of_another_type_is_refused(way: Calls, type_: str) -> None:
    wasm_store, function = function_of_type(type_)
    with pytest.raises(WasmFormatError, match=r"expected \(i32, i32\) -> i64$"):
        way.function(wasm_store, function, "(i32, i32) -> i64")


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("place", ["(param {} i32) (result i64)", "(param i32 i32) (result {})"])
def test_no_unchecked_call_hands_a_number_over_as_a_reference(reference: str, place: str) -> None:
    wasm_store, function = function_of_type(place.format(reference))
    with pytest.raises(WasmFormatError, match="has another type to wasmtime"):
        PreparedCalls().function(wasm_store, function, "(i32, i32) -> i64")


def test_what_is_no_function_or_no_memory_is_refused(guest: Guest) -> None:
    with pytest.raises(WasmFormatError, match="has another type to wasmtime"):
        guest.calls.function(guest.wasm_store, guest.exports["memory"], "() -> ()")
    with pytest.raises(WasmFormatError, match="is no memory to wasmtime"):
        guest.calls.memory(guest.wasm_store, guest.exports["nothing"])


# Failures


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("trap", (1, 2, 3), "unreachable"),
        ("divide", (1, 0), "divide by zero"),
        ("load", (I32,), "out of bounds"),
    ],
)
def test_traps_are_noticed(guest: Guest, name: str, arguments: tuple[int, ...], words: str) -> None:
    call, same = guest.function(name), guest.function("same32")
    for _ in range(3):
        with pytest.raises(wasmtime.Trap, match=words):
            call(*arguments)
        assert same(5) & I32 == 5
    assert guest.function("divide")(7, 2) & I32 == 3


def test_a_failure_of_the_host_is_a_trap_and_not_left_to_the_next(guest: Guest) -> None:
    fail, trap = guest.function("fail"), guest.exports["trap"]
    assert isinstance(trap, wasmtime.Func)
    for _ in range(2):
        with pytest.raises(wasmtime.WasmtimeError, match=HOST_FUNCTION_FAILED):
            fail()
        # As another user of the package calls it, which would raise what was left.
        with pytest.raises(wasmtime.Trap, match="unreachable"):
            trap(guest.wasm_store, 1, 2, 3)


def test_a_failure_that_another_user_left_is_not_ours(guest: Guest) -> None:
    wasm_store, engine = guest.wasm_store, guest.wasm_store.engine
    theirs = wasmtime.Func(wasm_store, wasmtime.FuncType([], []), Guest.fail)
    call = PreparedCalls().function(wasm_store, theirs, "() -> ()")
    # It does not ask the package for the callback's exception, which stays there.
    with pytest.raises((wasmtime.Trap, wasmtime.WasmtimeError)):
        call()
    with pytest.raises(wasmtime.Trap, match="divide by zero"):
        guest.function("divide")(1, 0)
    traps = wasmtime.Module(engine, "(module (func $f unreachable) (start $f))")
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        instantiate(wasm_store, traps, [])
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        instantiate_linked(wasmtime.Linker(engine), wasm_store, traps)
    # It is still there for its owner.
    with pytest.raises(HostError):
        wasmtime.Instance(wasm_store, traps, [])


@pytest.mark.parametrize("value", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_a_function_of_the_host_gets_and_gives_integers(guest: Guest, value: int) -> None:
    i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
    got: list[tuple[int, int]] = []

    def echo(small: int, large: int) -> int:
        got.append((small, large))
        return small

    type_ = wasmtime.FuncType([i32, i64], [i32])
    function = host_function(guest.wasm_store, type_, echo)
    call = guest.calls.function(guest.wasm_store, function, "(i32, i64) -> i32")
    assert call(value & I32, value & I64) & I32 == value & I32
    assert got == [(value, value)]


# Memory


def test_what_is_written_into_a_view_is_in_the_memory(guest: Guest) -> None:
    size, see = guest.calls.memory(guest.wasm_store, guest.memory("memory"))
    view = see()
    assert (size(), len(view), view.format, view.readonly) == (PAGE, PAGE, "B", False)
    view[PAGE - 3 :] = b"\x01\x80\xff"
    load = guest.function("load")
    assert [load(PAGE - 3 + index) & I32 for index in range(3)] == [1, 0x80, 0xFF]
    guest.function("store")(17, 0xAB)
    assert view[17] == 0xAB
    assert guest.memory("memory").read(guest.wasm_store, PAGE - 3, PAGE) == b"\x01\x80\xff"


def test_a_view_taken_after_growth_shows_all_of_it(guest: Guest) -> None:
    size, see = guest.calls.memory(guest.wasm_store, guest.memory("memory"))
    before = see()
    before[0] = 9
    assert guest.function("grow")(2) & I32 == 1
    assert (size(), len(before), len(see())) == (3 * PAGE, PAGE, 3 * PAGE)
    assert see()[0] == 9
    see()[3 * PAGE - 1] = 7
    assert guest.function("load")(3 * PAGE - 1) & I32 == 7
    assert guest.function("grow")(2) & I32 == I32
    assert size() == 3 * PAGE


def test_a_memory_of_no_bytes_has_a_view_of_none(guest: Guest) -> None:
    size, see = guest.calls.memory(guest.wasm_store, guest.memory("empty"))
    assert (size(), len(see()), bytes(see())) == (0, 0, b"")


# Which one is used


def test_prepared_calls_work_with_the_installed_wasmtime(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(open_ways(), PreparedCalls)
    assert isinstance(open_ways(prepared=False), PublicCalls)
    assert caplog.records == []


class _Library:
    """A library that lacks a function that is needed."""

    def __init__(self, path: str) -> None:
        assert Path(path).is_file()


def _without_library(_path: str) -> object:
    raise OSError("cannot open shared object file")


def _wrong_result(*_arguments: object) -> Callable[..., int]:
    return lambda *_given: 41


def _wrong_memory(*_arguments: object) -> tuple[Callable[[], int], Callable[[], memoryview]]:
    elsewhere = memoryview(bytearray(PAGE))
    return (lambda: PAGE), (lambda: elsewhere)


def _other_handles(*_arguments: object) -> object:
    raise ctypes.ArgumentError("argument 1: TypeError: wrong type")


@pytest.mark.parametrize(
    ("target", "name", "replacement", "words"),
    [
        (ctypes, "CDLL", _Library, "AttributeError: .*wasmtime_func_call_unchecked"),
        (ctypes, "CDLL", _without_library, "OSError: cannot open"),
        (PreparedCalls, "function", _wrong_result, "a known call gave a wrong result"),
        (PreparedCalls, "memory", _wrong_memory, "a memory is not where it should be"),
        (PreparedCalls, "function", _other_handles, "ArgumentError: argument 1"),
    ],
)
def test_calls_that_do_not_work_are_not_used_and_one_line_says_so(
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    target: object,
    name: str,
    replacement: object,
    words: str,
) -> None:
    monkeypatch.setattr(target, name, replacement)
    with caplog.at_level(logging.DEBUG):
        assert isinstance(open_ways(), PublicCalls)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("chonkle.calls", "WARNING")
    assert record.getMessage().startswith("prepared calls do not work with this wasmtime")
    monkeypatch.undo()
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(record.getMessage())


# Which one the tests themselves use


class OpenGuest(Protocol):
    def __call__(self, source: str) -> Codec: ...


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Note which ways functions are prepared in."""
    noted: set[str] = set()
    for name, way in WAYS.items():

        def note(
            self: Calls,
            wasm_store: wasmtime.Store,
            function: object,
            type_: str,
            *,
            name: str = name,
            original: Callable[..., Callable[..., int]] = way.function,
        ) -> Callable[..., int]:
            noted.add(name)
            return original(self, wasm_store, function, type_)

        monkeypatch.setattr(way, "function", note)
    return noted


@pytest.mark.parametrize("told", WAYS)
def test_sessions_of_tests_call_as_the_environment_says(
    *, monkeypatch: pytest.MonkeyPatch, used: set[str], request: pytest.FixtureRequest, told: str
) -> None:
    monkeypatch.setenv("CHONKLE_CALLS", told)
    open_guest: OpenGuest = request.getfixturevalue("open_guest")
    # Opening a runtime tried prepared calls out.
    used.clear()
    assert open_guest(write_guest()).call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
    assert used == {told}


def test_what_the_run_was_told_is_in_force(open_guest: OpenGuest, used: set[str]) -> None:
    used.clear()
    open_guest(write_guest()).call("decode", {"bytes": b"x"})
    (way,) = used
    assert way == (os.environ.get("CHONKLE_CALLS") or "prepared")
    print(f"guests are called in the way `{way}`")  # noqa: T201 - read by the test below


@pytest.mark.slow
@pytest.mark.parametrize("told", WAYS)
def test_a_run_of_the_tests_can_be_told(told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-n", "0",
            f"{Path(__file__)}::{test_what_the_run_was_told_is_in_force.__name__}",
            f"--basetemp={tmp_path / 'inner'}",
        ],
        cwd=ROOT,
        env={**os.environ, "CHONKLE_CALLS": told},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"CHONKLE_CALLS={told}" in done.stdout
    assert f"guests are called in the way `{told}`" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on addresses")
def test_a_process_without_room_for_a_memory_says_so() -> None:
    script = """
import resource
import wasmtime
from chonkle.backends.wasm.unchecked_calls import open_calls
from chonkle.errors import LimitExceeded
from tests.unit.backends.conftest import guest as write_guest

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
try:
    open_calls()
except LimitExceeded as failure:
    print(failure)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("the system gave this process no room for a guest, got mmap fail")
    assert done.stdout.count("\n") == 1
