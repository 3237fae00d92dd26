"""Imports of components: a few are allowed, all others are denied by name."""

import gc
import struct
import threading
from typing import Self

import pytest
import wasmtime

from chonkle.backends.base import Limits
from chonkle.errors import CodecTrap, LimitExceeded
from tests.unit.backends.wasm.conftest import OpenComponent
from tests.unit.backends.wasm.written import BUMP, ECHO, POST, component, one_row

IMPORT = """
  (import "{interface}" (instance $host (export "{function}" (func {type}))))
  (core module $libc (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) {host_realloc}))
  (core instance $libc (instantiate $libc))
  (core func $lowered (canon lower (func $host "{function}")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core instance $imports
    (export "f" (func $lowered)) (export "memory" (memory $libc "memory")))
"""


def importing(
    interface: str,
    function: str,
    type_: str,
    core_type: str,
    host_realloc: str = "(i32.const 512)",
    **parts: str,
) -> bytes:
    """Assemble a component that imports a function as `$imported`."""
    return component(
        imports=IMPORT.format(
            interface=interface, function=function, type=type_, host_realloc=host_realloc
        ),
        core_imports=f'(import "host" "f" (func $imported {core_type}))',
        memory='(import "host" "memory") 1',
        arguments='(with "host" (instance $imports))',
        **parts,
    )


def test_an_import_that_is_called_is_denied_by_name(open_component: OpenComponent) -> None:
    wasm = importing(
        "wasi:clocks/wall-clock@0.2.0", "now", "(result u64)", "(result i64)",
        decode="(drop (call $imported))" + ECHO,
    )  # fmt: skip
    codec = open_component(wasm)
    for _ in range(2):
        with pytest.raises(CodecTrap, match=r"wasi:clocks/wall-clock@0\.2\.0.*now"):
            codec.call("decode", {"bytes": b"x"})
        assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


@pytest.mark.parametrize("part", ["realloc", "post"])
def test_no_import_during_realloc_and_post_return(open_component: OpenComponent, part: str) -> None:
    body = "(drop (call $imported))" + {"realloc": BUMP, "post": POST}[part]
    wasm = importing(
        "wasi:random/random@0.2.0", "get-random-u64", "(result u64)", "(result i64)",
        **{part: body},
    )  # fmt: skip
    codec = open_component(wasm)
    with pytest.raises(CodecTrap):
        codec.call("decode", {"bytes": b"x"})


def stores() -> set[int]:
    """Give the identities of wasmtime's stores, of which each instance has one."""
    gc.collect()
    return {id(each) for each in gc.get_objects() if isinstance(each, wasmtime.Store)}


def test_an_unreferenced_instance_with_imports_is_freed(open_component: OpenComponent) -> None:
    wasm = importing(
        "wasi:clocks/wall-clock@0.2.0", "now", "(result u64)", "(result i64)", decode="unreachable"
    )
    codec = open_component(wasm)
    others = stores()
    for _ in range(3):
        for _ in range(3):
            assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}
        assert len(stores() - others) == 1
        with pytest.raises(CodecTrap):
            codec.call("decode", {"bytes": b"x"})
    assert stores() <= others


RANDOM_U64 = "(i64.store (i32.const 1032) (call $imported))" + one_row(1024, 5, 1032, 8)


def test_random_numbers_are_always_the_same(open_component: OpenComponent) -> None:
    wasm = importing(
        "wasi:random/random@0.2.0", "get-random-u64", "(result u64)", "(result i64)",
        decode=RANDOM_U64,
    )  # fmt: skip
    codec = open_component(wasm)
    words = [codec.call("decode", {"bytes": b"x"})["words"] for _ in range(2)]
    assert words[0] == words[1] == (0x2545_F491_4F6C_DD1D).to_bytes(8, "little")


def test_random_bytes_go_where_the_guest_allocates(open_component: OpenComponent) -> None:
    wasm = importing(
        "wasi:random/random@0.2.3", "get-random-bytes", '(param "len" u64) (result (list u8))',
        "(param i64 i32)",
        decode="(call $imported (i64.const 20) (i32.const 2048))" + one_row(1024, 5, 2048, 8),
        echo="(call $imported (i64.const 20) (i32.const 2048))" + one_row(1024, 5, 512, 20),
    )  # fmt: skip
    codec = open_component(wasm)
    # The list's address and length stand where the guest wanted them, and the bytes behind them.
    assert codec.call("decode", {"bytes": b"x"}) == {"words": struct.pack("<II", 512, 20)}
    pattern = (0x2545_F491_4F6C_DD1D).to_bytes(8, "little")
    assert codec.call("encode", {"bytes": b"x"}) == {"words": (pattern * 3)[:20]}


def test_time_is_limited_in_a_loop_of_imports(open_component: OpenComponent) -> None:
    # Each call of the import has the guest allocate: that does not renew the time it has.
    wasm = importing(
        "wasi:random/random@0.2.0", "get-random-bytes", '(param "len" u64) (result (list u8))',
        "(param i64 i32)",
        decode="(loop $forever (call $imported (i64.const 8) (i32.const 64)) (br $forever))"
        "(i32.const 16)",
    )  # fmt: skip
    codec = open_component(wasm, Limits(timeout_s=0.3))
    with pytest.raises(LimitExceeded, match="longer than the allowed"):
        codec.call("decode", {"bytes": b"x"})


def test_a_trap_within_an_import_is_told_at_once(open_component: OpenComponent) -> None:
    wasm = importing(
        "wasi:random/random@0.2.0", "get-random-bytes", '(param "len" u64) (result (list u8))',
        "(param i64 i32)",
        decode="(call $imported (i64.const 8) (i32.const 64))" + ECHO,
        echo="(i32.div_u (i32.const 1) (i32.const 0))",
        host_realloc="unreachable",
    )  # fmt: skip
    codec = open_component(wasm)
    for _ in range(2):
        with pytest.raises(CodecTrap, match="unreachable"):
            codec.call("decode", {"bytes": b"x"})
        with pytest.raises(CodecTrap, match="divide by zero"):
            codec.call("encode", {"bytes": b"x"})


def test_no_failure_goes_to_another_user_of_wasmtime(open_component: OpenComponent) -> None:
    # The package keeps one exception for all: that of ours would be raised by the next failure.
    wasm = importing(
        "wasi:random/random@0.2.0", "get-random-bytes", '(param "len" u64) (result (list u8))',
        "(param i64 i32)",
        decode="(call $imported (i64.const 99999) (i32.const 64))" + ECHO,
        echo="unreachable",
    )  # fmt: skip
    codec = open_component(wasm)
    with OtherUser() as other:
        for _ in range(50):
            with pytest.raises(CodecTrap, match="99999 random bytes at once"):
                codec.call("decode", {"bytes": b"x"})
            with pytest.raises(CodecTrap, match="unreachable"):
                codec.call("encode", {"bytes": b"x"})
    assert other.calls > 0
    other.run_once()


class OtherUser:
    """Another user of wasmtime's package, whose callbacks fail in a thread of its own.

    Attributes:
        calls: how often it got its own failures, and no others.
    """

    def __init__(self) -> None:
        self.calls = 0
        self._failure: BaseException | None = None
        self._is_over = threading.Event()
        self._wasm_store = wasmtime.Store()
        module = wasmtime.Module(
            self._wasm_store.engine,
            """(module (import "" "fail" (func $fail)) (func (export "fail") (call $fail))
                 (func (export "trap") unreachable))""",
        )
        fail = wasmtime.Func(self._wasm_store, wasmtime.FuncType([], []), self._fail)
        instance = wasmtime.Instance(self._wasm_store, module, [fail])
        self._exports = instance.exports(self._wasm_store)
        self._thread = threading.Thread(target=self._run)

    def _fail(self) -> None:
        raise OtherError(self.calls)

    def _call(self, name: str) -> None:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        function(self._wasm_store)

    def run_once(self) -> None:
        with pytest.raises(OtherError, match=f"^{self.calls}$"):
            self._call("fail")
        with pytest.raises(wasmtime.Trap, match="unreachable"):
            self._call("trap")
        self.calls += 1

    def _run(self) -> None:
        try:
            while not self._is_over.is_set():
                self.run_once()
        except BaseException as failure:  # noqa: BLE001 - raised again by the test's thread
            self._failure = failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure


class OtherError(Exception):
    """What the other user's callbacks raise."""


def test_the_environment_is_empty(open_component: OpenComponent) -> None:
    wasm = importing(
        "wasi:cli/environment@0.2.0", "get-environment",
        "(result (list (tuple string string)))", "(param i32)",
        decode="(i32.store (i32.const 2052) (i32.const -1)) (call $imported (i32.const 2048))"
        + one_row(1024, 5, 2052, 4),
    )  # fmt: skip
    assert open_component(wasm).call("decode", {"bytes": b"x"}) == {"words": bytes(4)}
