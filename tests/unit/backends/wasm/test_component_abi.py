"""Components: what a codec gets right, and every way in which a guest can break the ABI.

Every guest is run three times: flattened, with small calls through a trampoline and without, and
through wasmtime's own component support. They must agree on results, refusals and traps.
"""

import gc
import logging
import struct
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
import wasmtime

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.guest_codec import GuestCodec
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.errors import (
    CodecError,
    CodecTrap,
    LimitExceeded,
    WasmFormatError,
)
from chonkle.formats.signature import Signature, embed_signature
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec
from tests.unit.backends.wasm.written import BUMP, ECHO, POST, SKELETON, component, result

type OpenComponent = Callable[..., Codec]
type OpenRuntime = Callable[..., Runtime]

PORTS = {"bytes": {"type": "bytes"}}
SIGNATURE = Signature.from_json(
    {"codec_id": "guest", "implementation": "guest-wat", "inputs": PORTS, "outputs": PORTS}
)


def one_row(name: int, name_size: int, data: int, data_size: int) -> str:
    """Write the body of a transform that returns one row of its own making."""
    stores = "".join(
        f"(i32.store (i32.const {64 + 4 * index}) (i32.const {value}))"
        for index, value in enumerate((name, name_size, data, data_size))
    )
    return stores + result(0, 64, 1)


@pytest.fixture(params=["trampoline", "flattened", "whole"])
def open_component(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_runtime: OpenRuntime,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[OpenComponent]:
    calls_without = 0 if request.param == "trampoline" else sys.maxsize
    monkeypatch.setattr(
        "chonkle.backends.wasm.guest_codec._CALLS_WITHOUT_TRAMPOLINE", calls_without
    )
    flatten = request.param != "whole"
    runtime = open_runtime(cache=tmp_path / "cache", flatten_components=flatten)

    def open_(wasm: bytes, limits: Limits | None = None) -> Codec:
        codec = WasmCodec.from_bytes(embed_signature(wasm, SIGNATURE), "guest.wasm")
        opened = runtime.open(
            Resolution("component", codec.signature, "test", codec), limits or Limits()
        )
        expected = GuestCodec if flatten else HostComponentCodec
        assert type(opened) is expected
        return opened

    with runtime:
        yield open_


def test_memory_may_grow_while_the_input_is_lowered(open_component: OpenComponent) -> None:
    codec = open_component(component())
    ports = {f"port{index}": bytes([index]) * 50_000 for index in range(20)}
    assert codec.call("decode", ports) == ports


FAR = 0x7FFF_0000
BROKEN = {
    "traps": "unreachable",
    "result outside": f"(i32.const {FAR})",
    "result at the end": "(i32.const 65532)",
    "result not aligned": result(0, 64, 0).replace("(i32.const 16)\n    ", "(i32.const 17)\n    "),
    "discriminant": result(2, 64, 0),
    "list outside": result(0, FAR, 1),
    "list not aligned": result(0, 66, 1),
    "list too long": result(0, 64, 0x1000_0000),
    "list past the end": result(0, 65532, 1),
    "name outside": one_row(FAR, 4, 64, 4),
    "name past the end": one_row(65535, 2, 64, 4),
    "name not UTF-8": one_row(1024 + 21, 1, 64, 4),
    "name too long": one_row(64, 257, 64, 4),
    "many ports": result(0, 64, 257),
    "data outside": one_row(1024, 4, FAR, 4),
    "data too long": one_row(1024, 4, 64, -1),
    "data past the end": one_row(1024, 4, 65535, 2),
    "error text outside": result(1, FAR, 4),
}


@pytest.mark.parametrize("decode", BROKEN.values(), ids=BROKEN.keys())
def test_a_guest_that_breaks_is_a_trap_and_the_next_call_works(
    open_component: OpenComponent, decode: str
) -> None:
    codec = open_component(component(decode=decode))
    for _ in range(2):
        with pytest.raises(CodecTrap) as caught:
            codec.call("decode", {"bytes": b"x"})
        assert str(caught.value).startswith("codec `guest` (guest-wat, component), decode: ")
        assert "\n" not in str(caught.value)
        assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}


def many_rows(count: int, name_size: int, data_size: int) -> str:
    """Write the body of a transform that returns rows that all lie in one place."""
    stores = "".join(
        f"""(i32.store offset={64 + 4 * index}
              (i32.mul (local.get $i) (i32.const 16)) (i32.const {value}))"""
        for index, value in enumerate((8192, name_size, 8192, data_size))
    )
    return f"""(local $i i32)
      (loop $fill
        {stores}
        ;; Names differ in their length.
        (i32.store offset=68 (i32.mul (local.get $i) (i32.const 16))
          (i32.sub (i32.const {name_size}) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $fill (i32.lt_u (local.get $i) (i32.const {count}))))
    """ + result(0, 64, count)


@pytest.mark.parametrize(
    ("name_size", "data_size"), [(60 << 20, 1), (200, 60 << 20)], ids=["names", "data"]
)
def test_ports_in_one_place_count_each(
    open_component: OpenComponent, name_size: int, data_size: int
) -> None:
    codec = open_component(
        component(decode=many_rows(100, name_size, data_size), memory="1000"),
        Limits(memory_bytes=64 << 20, output_bytes=1 << 20),
    )
    tracemalloc.start()
    try:
        with pytest.raises((LimitExceeded, CodecTrap)):
            codec.call("decode", {"bytes": b"x"})
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_of_a_long_error_text_only_the_beginning_is_read(open_component: OpenComponent) -> None:
    fill = "(memory.fill (i32.const 8192) (i32.const 97) (i32.const 2097152))"
    codec = open_component(component(decode=fill + result(1, 8192, 2 << 20), memory="40"))
    tracemalloc.start()
    try:
        with pytest.raises(CodecError, match=r": aaaa") as caught:
            codec.call("decode", {"bytes": b"x"})
        assert len(str(caught.value)) < 5000
        assert isinstance(codec, HostComponentCodec) or tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_outputs_may_overlap(open_component: OpenComponent) -> None:
    # Name and data in one place: odd, but nothing in the canonical ABI forbids it.
    codec = open_component(component(decode=one_row(1024, 5, 1024, 16)))
    assert codec.call("decode", {"bytes": b"x"}) == {"words": b"words of a guest"}


@pytest.mark.parametrize("realloc", [f"(i32.const {FAR})", "(i32.const -1)", "(i32.const 65535)"])
def test_an_allocator_that_lies_is_a_trap(open_component: OpenComponent, realloc: str) -> None:
    codec = open_component(component(realloc=realloc))
    with pytest.raises(CodecTrap):
        codec.call("decode", {"bytes": b"x" * 100})


def test_an_allocator_that_gives_one_place_twice_overwrites_as_the_abi_says(
    open_component: OpenComponent,
) -> None:
    # The row of the name is written over the name, and that of the data over nothing else.
    codec = open_component(component(realloc="(i32.const 4096)"))
    with pytest.raises(CodecTrap):
        codec.call("decode", {"bytes": b"x" * 100})


def test_an_allocator_that_gives_up_has_no_room(tmp_path: Path, open_runtime: OpenRuntime) -> None:
    # Only flattened: wasmtime's own support does not tell where a guest trapped.
    wasm = embed_signature(component(realloc="unreachable"), SIGNATURE)
    codec = WasmCodec.from_bytes(wasm, "guest.wasm")
    with open_runtime(cache=tmp_path, flatten_components=True) as runtime:
        opened = runtime.open(Resolution("component", SIGNATURE, "test", codec), Limits())
        for _ in range(2):
            with pytest.raises(LimitExceeded, match="no room for 117 bytes of input"):
                opened.call("decode", {"bytes": b"x" * 100})


def test_an_allocator_that_does_not_align_is_a_trap(open_component: OpenComponent) -> None:
    codec = open_component(component(realloc="(i32.const 4097)"))
    with pytest.raises(CodecTrap):
        codec.call("decode", {"bytes": b"x"})


def test_a_trap_in_post_return_is_a_trap(open_component: OpenComponent) -> None:
    codec = open_component(component(post="unreachable"))
    for _ in range(2):
        with pytest.raises(CodecTrap, match="unreachable"):
            codec.call("decode", {"bytes": b"x"})


def test_a_refusal_outlives_a_trap_in_post_return(
    tmp_path: Path, open_runtime: OpenRuntime
) -> None:
    # Only flattened: wasmtime's own support runs post-return by itself and reports the trap.
    wasm = embed_signature(component(decode=result(1, 1024, 16), post="unreachable"), SIGNATURE)
    codec = WasmCodec.from_bytes(wasm, "guest.wasm")
    with open_runtime(cache=tmp_path, flatten_components=True) as runtime:
        opened = runtime.open(Resolution("component", SIGNATURE, "test", codec), Limits())
        for _ in range(2):
            with pytest.raises(CodecError, match=r"words of a guest$"):
                opened.call("decode", {"bytes": b"x"})


LOOP = "(loop $forever (br $forever)) (i32.const 16)"


def test_time_is_limited_in_the_allocator_and_in_post_return(
    open_component: OpenComponent,
) -> None:
    for parts in ({"realloc": LOOP}, {"post": "(loop $forever (br $forever))"}):
        codec = open_component(component(**parts), Limits(timeout_s=0.1))
        with pytest.raises(LimitExceeded, match=r"longer than the allowed 0\.1 s"):
            codec.call("decode", {"bytes": b"x"})


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
def test_an_import_may_not_be_called_during_realloc_and_post_return(
    open_component: OpenComponent, part: str
) -> None:
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


def test_an_instance_with_imports_goes_when_nobody_has_it(open_component: OpenComponent) -> None:
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
    answers = [codec.call("decode", {"bytes": b"x"})["words"] for _ in range(2)]
    assert answers[0] == answers[1] == (0x2545_F491_4F6C_DD1D).to_bytes(8, "little")


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


def test_a_trap_within_an_import_is_told_and_not_left_to_the_next(
    open_component: OpenComponent,
) -> None:
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


def test_a_component_with_another_interface_is_refused(open_component: OpenComponent) -> None:
    with pytest.raises(WasmFormatError, match=r"does not export `chonkle:codec/transform@0"):
        open_component(bytes(wasmtime.wat2wasm("(component)")))
    text = SKELETON.replace("(list (tuple string (list u8)))", "(list (tuple string (list s8)))")
    parts = dict.fromkeys(("imports", "core_imports", "arguments"), "")
    wasm = wasmtime.wat2wasm(
        text.format(memory="1", realloc=BUMP, echo=ECHO, decode=ECHO, post=POST, **parts)
    )
    with pytest.raises(WasmFormatError, match="has another type"):
        open_component(bytes(wasm))


def test_a_component_that_cannot_be_flattened_says_so_and_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, open_runtime: OpenRuntime
) -> None:
    text = SKELETON.replace(
        "(realloc (core func $main", "string-encoding=latin1+utf16 (realloc (core func $main"
    )
    parts = dict.fromkeys(("imports", "core_imports", "arguments"), "")
    wasm = bytes(
        wasmtime.wat2wasm(
            text.format(memory="1", realloc=BUMP, echo=ECHO, decode=ECHO, post=POST, **parts)
        )
    )
    codec = WasmCodec.from_bytes(embed_signature(wasm, SIGNATURE), "guest.wasm")
    found = Resolution("component", SIGNATURE, "test", codec)
    for compiled in (2, 0):
        caplog.clear()
        with (
            caplog.at_level(logging.WARNING),
            open_runtime(cache=tmp_path, flatten_components=True) as runtime,
        ):
            opened = runtime.open(found, Limits())
            assert isinstance(opened, HostComponentCodec)
            assert runtime.counts.compiled == compiled
        (record,) = caplog.records
        assert "guest-wat runs slowly" in record.getMessage()
        assert "string" in record.getMessage()


def test_a_warm_cache_compiles_nothing(tmp_path: Path, open_runtime: OpenRuntime) -> None:
    codec = WasmCodec.from_bytes(embed_signature(component(), SIGNATURE), "guest.wasm")
    found = Resolution("component", SIGNATURE, "test", codec)
    for counts in ((0, 1), (1, 0)):
        with open_runtime(cache=tmp_path) as runtime:
            opened = runtime.open(found, Limits())
            assert opened.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
            assert (runtime.counts.loaded, runtime.counts.compiled) == counts
