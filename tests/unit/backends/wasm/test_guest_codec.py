"""What every codec in a guest does, whatever its ABI: limits, a second try, and results."""

import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm import guest_codec
from chonkle.backends.wasm.guest_codec import GuestCodec
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded
from chonkle.formats.portmap import Buffer
from chonkle.runtime import Runtime
from tests.unit.backends.conftest import ECHO as CORE_ECHO
from tests.unit.backends.conftest import guest, open_in
from tests.unit.backends.wasm.written import BUMP, component, result
from tests.unit.backends.wasm.written import ECHO as COMPONENT_ECHO

type OpenPair = Callable[..., Codec]
type OpenRuntime = Callable[..., Runtime]

PACKED = "(i64.or (i64.shl (i64.const {0}) (i64.const 32)) (i64.const {1}))"
WAYS = ("core", "core, trampoline", "flattened", "flattened, trampoline", "host")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way in which a guest is called."""
    name: str = request.param
    return name


@pytest.fixture
def open_guest(
    way: str, tmp_path: Path, open_runtime: OpenRuntime, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenPair]:
    """Open the core module or the component of a pair, to be called in one way."""
    # wasmtime's own support has no trampoline, and must not look for one.
    calls_without = 0 if "trampoline" in way or way == "host" else sys.maxsize
    monkeypatch.setattr(guest_codec, "_CALLS_WITHOUT_TRAMPOLINE", calls_without)

    def open_(
        core: Mapping[str, str], parts: Mapping[str, str], limits: Limits | None = None
    ) -> Codec:
        codec = open_in(runtime, guest(**core) if "core" in way else component(**parts), limits)
        assert type(codec) is (HostComponentCodec if way == "host" else GuestCodec)
        return codec

    with open_runtime(cache=tmp_path / "cache", flatten_components=way != "host") as runtime:
        yield open_


def test_ports_of_any_size_go_in_and_come_back(open_guest: OpenPair) -> None:
    codec = open_guest({}, {})
    # Around the size of a trampoline's buffer, of 69,632 bytes.
    for size in (0, 1, 3000, 65_517, 69_590, 69_600, 69_640, 10, 200_000, 3):
        ports = {
            "bytes": (bytes(range(256)) * (size // 256 + 1))[:size],
            "empty": b"",
            "größe": b"\0",
        }
        for direction in ("encode", "decode"):
            assert codec.call(direction, ports) == ports
    assert codec.call("decode", {}) == {}


@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))]
)
def test_any_kind_of_buffer_goes_in(open_guest: OpenPair, make: Callable[[bytes], Buffer]) -> None:
    assert open_guest({}, {}).call("decode", {"bytes": make(b"12345")}) == {"bytes": b"12345"}


def test_a_borrowed_result_feeds_another_call(open_guest: OpenPair, way: str) -> None:
    codec = open_guest({}, {})
    first = codec.call_borrowed("decode", {"bytes": b"x" * 100_000})
    assert first.is_borrowed
    # The first instance still holds the data, so this one is another.
    second = codec.call_borrowed("decode", first.ports)
    first.close()
    first.close()
    assert second.ports["bytes"] == b"x" * 100_000
    second.close()
    assert second.ports == {}
    assert (codec.memory_bytes() is None) is (way == "host")
    assert codec.call_borrowed("encode", {"bytes": b"y" * 100_000}).to_owned() == {
        "bytes": b"y" * 100_000
    }


REFUSES = (
    {
        "decode": "(i64.const 0)",
        "more": f"""
          (data (i32.const 16) "words of a guest\\n\\1b[0m")
          (func (export "last_error") (result i64) {PACKED.format(16, 21)})
        """,
    },
    {"decode": result(1, 1024, 21)},
)


def test_a_refusal_has_the_guests_words_fit_for_a_terminal(open_guest: OpenPair) -> None:
    codec = open_guest(*REFUSES)
    for _ in range(2):
        with pytest.raises(
            CodecError,
            match=r"^codec `guest` \(guest-wat, co\w+\), decode: words"
            r" of a guest\\n\\x1b\[0m$",
        ):
            codec.call("decode", {"bytes": b"x"})
        assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_a_trap_ends_one_call(open_guest: OpenPair) -> None:
    codec = open_guest({"decode": "unreachable"}, {"decode": "unreachable"})
    for _ in range(2):
        with pytest.raises(CodecTrap, match=r"^codec `guest` .*decode: the guest.*unreachable"):
            codec.call("decode", {"bytes": b"x"})
        assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}


@pytest.mark.skipif(sys.platform == "win32", reason="stack sizes are another matter there")
def test_a_stack_overflow_is_a_trap(open_guest: OpenPair) -> None:
    deeper = """(func $deeper (param i32) (result i32)
      (i32.add (i32.const 1) (call $deeper (local.get 0))))"""
    again = "(drop (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1)))"
    codec = open_guest(
        {"decode": "(i64.extend_i32_u (call $deeper (i32.const 1)))", "more": deeper},
        {"realloc": again + BUMP},
    )
    with pytest.raises(ChonkleError, match="call stack exhausted"):
        codec.call("decode", {"bytes": b"x"})


LOOP = "(loop $forever (br $forever))"
LOOPS = ({"decode": LOOP + "(i64.const 1)"}, {"decode": LOOP + "(i32.const 16)"})


def test_time_is_limited(open_guest: OpenPair) -> None:
    codec = open_guest(*LOOPS, Limits(timeout_s=0.2))
    for _ in range(2):
        assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}
        with pytest.raises(LimitExceeded, match=r"longer than the allowed 0\.2 s"):
            codec.call("decode", {"bytes": b"x"})


def test_time_is_limited_for_each_of_several_threads(open_guest: OpenPair) -> None:
    codec = open_guest(*LOOPS, Limits(timeout_s=0.2))
    outcomes: list[str] = []

    def call() -> None:
        try:
            codec.call("decode", {"bytes": b"x"})
        except LimitExceeded:
            outcomes.append("stopped")

    run_threads([call] * 4)
    assert outcomes == ["stopped"] * 4


def run_threads(calls: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)


def test_memory_is_limited(open_guest: OpenPair) -> None:
    codec = open_guest({"memory": "100"}, {"memory": "100"}, Limits(memory_bytes=1 << 20))
    with pytest.raises(LimitExceeded, match="at most 1048576 bytes"):
        codec.call("decode", {"bytes": b"x"})
    grow = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))"
    codec = open_guest(
        {"decode": grow + CORE_ECHO},
        {"decode": grow + COMPONENT_ECHO},
        Limits(memory_bytes=1 << 20),
    )
    with pytest.raises(CodecTrap, match="unreachable"):
        codec.call("decode", {"bytes": b"x"})
    assert codec.call("encode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_an_input_beyond_all_addresses_is_refused_before_it_is_copied(open_guest: OpenPair) -> None:
    # Zeros that take no memory before they are read.
    data = memoryview(mmap.mmap(-1, (1 << 32) + 5))
    codec = open_guest({}, {}, Limits(memory_bytes=1 << 32))
    with pytest.raises(LimitExceeded, match=r"^codec `guest` .* too large .* got 4294967301; hint"):
        codec.call("decode", {"bytes": data})
    with pytest.raises(LimitExceeded, match="at most 4294967295 bytes"):
        codec.call("decode", {"bytes": data[:-7]})
    codec = open_guest({}, {}, Limits(memory_bytes=1 << 20))
    with pytest.raises(LimitExceeded, match="the input alone is larger than the memory allowed"):
        codec.call("decode", {"bytes": data[: 2 << 20]})
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}


def test_output_is_limited(open_guest: OpenPair) -> None:
    codec = open_guest({}, {}, Limits(output_bytes=100))
    with pytest.raises(LimitExceeded, match="at most 100 bytes, got 101"):
        codec.call("decode", {"bytes": bytes(101)})
    assert codec.call("decode", {"bytes": bytes(100)}) == {"bytes": bytes(100)}


def wearing_out(calls: int) -> tuple[dict[str, str], dict[str, str]]:
    """Write guests whose `decode` has memory for so many calls."""
    text = "out of memory, wanted 7"
    core = {
        "decode": f"""
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          (if (result i64) (i32.gt_u (global.get $calls) (i32.const {calls}))
            (then (i64.const 0)) (else {CORE_ECHO}))
        """,
        "more": f"""
          (global $calls (mut i32) (i32.const 0))
          (data (i32.const 16) "{text}")
          (func (export "last_error") (result i64) {PACKED.format(16, len(text))})
        """,
    }
    words = "".join(
        f"(i32.store8 (i32.const {2048 + at}) (i32.const {byte}))"
        for at, byte in enumerate(text.encode())
    )
    parts = {
        "decode": f"""
          (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
          (if (result i32) (i32.gt_u (i32.load (i32.const 8)) (i32.const {calls}))
            (then {words} {result(1, 2048, len(text))}) (else {COMPONENT_ECHO}))
        """
    }
    return core, parts


@pytest.mark.parametrize("size", [1, 100_000])
def test_calls_before_do_not_use_up_memory(open_guest: OpenPair, size: int) -> None:
    codec = open_guest(*wearing_out(2))
    for _ in range(7):
        assert codec.call("decode", {"bytes": b"x" * size}) == {"bytes": b"x" * size}


def test_a_fresh_instance_without_memory_has_none(open_guest: OpenPair) -> None:
    codec = open_guest(*wearing_out(0))
    for _ in range(3):
        assert codec.call("encode", {"bytes": b"fine"}) == {"bytes": b"fine"}
        with pytest.raises(LimitExceeded, match="decode: out of memory, wanted 7; hint: raise"):
            codec.call("decode", {"bytes": b"x"})


def test_the_memory_of_waiting_instances_can_be_seen(open_guest: OpenPair, way: str) -> None:
    grows = "(drop (memory.grow (i32.const 2)))"
    codec = open_guest({"decode": grows + CORE_ECHO}, {"decode": grows + COMPONENT_ECHO})
    seen = [codec.memory_bytes()]
    for direction in ("encode", "decode"):
        codec.call(direction, {"bytes": b"x"})
        seen.append(codec.memory_bytes())
    assert seen == ([None] * 3 if way == "host" else [0, 65536, 3 * 65536])


def test_threads_share_a_codec(open_guest: OpenPair) -> None:
    codec = open_guest({}, {})
    wrong: list[object] = []

    def work(letter: bytes) -> None:
        for size in range(1, 40):
            data = letter * size * 231
            if codec.call("decode", {"bytes": data}) != {"bytes": data}:
                wrong.append((letter, size))

    run_threads([lambda i=i: work(bytes([65 + i])) for i in range(4)])  # type: ignore[misc]
    assert wrong == []


FORK = """
import os, sys
from chonkle.backends.base import Limits
from chonkle.errors import LimitExceeded
from chonkle.runtime import Runtime
from tests.unit.backends.conftest import open_in

with Runtime(cache=None) as runtime:
    opened = open_in(runtime, sys.argv[1], Limits(timeout_s=0.2))
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
def test_time_is_limited_after_a_fork() -> None:
    code = [sys.executable, "-W", "ignore", "-c", FORK, guest(**LOOPS[0])]
    root = Path(__file__).parents[4]
    assert subprocess.run(code, timeout=60, check=False, cwd=root).returncode == 0
