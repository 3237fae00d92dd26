"""Components: what a codec gets right, and every way in which a guest can break the ABI.

Every guest is run three times: flattened, with small calls through a trampoline and without, and
through wasmtime's own component support. They must agree on results, refusals and traps.
"""

import logging
import tracemalloc
from pathlib import Path

import pytest
import wasmtime

from chonkle.backends.base import Limits
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.errors import CodecError, CodecTrap, LimitExceeded, WasmFormatError
from chonkle.formats.signature import embed_signature
from chonkle.resolver import Resolution
from chonkle.storage.store import WasmCodec
from tests.unit.backends.wasm.conftest import SIGNATURE, OpenComponent, OpenRuntime
from tests.unit.backends.wasm.written import BUMP, ECHO, POST, SKELETON, component, one_row, result


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
def test_a_trap_of_a_guest_spares_the_next_call(open_component: OpenComponent, decode: str) -> None:
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
def test_ports_in_one_place(open_component: OpenComponent, name_size: int, data_size: int) -> None:
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


def test_an_allocator_that_gives_one_place_twice_overwrites(open_component: OpenComponent) -> None:
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


def test_a_refusal_survives_a_trap_in_post_return(
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


def test_time_is_limited_in_the_allocator_and_in_post_return(open_component: OpenComponent) -> None:
    for parts in ({"realloc": LOOP}, {"post": "(loop $forever (br $forever))"}):
        codec = open_component(component(**parts), Limits(timeout_s=0.1))
        with pytest.raises(LimitExceeded, match=r"longer than the allowed 0\.1 s"):
            codec.call("decode", {"bytes": b"x"})


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
