"""The trampoline: which calls use it, which do not, and that results are the same."""

import gc
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.guest_codec import GuestInstance, GuestSetup
from chonkle.backends.wasm.guest_errors import no_room_for
from chonkle.backends.wasm.trampoline import BUFFER_BYTES, SLOTS, Trampoline, TrampolineOpener
from chonkle.engine import Engine
from chonkle.errors import CodecError, CodecTrap
from chonkle.formats.portmap import Buffer, port_header
from chonkle.formats.signature import Direction, embed_signature
from chonkle.resolver import Resolution
from chonkle.runtime import Runtime
from chonkle.storage.store import WasmCodec
from tests.unit.backends.conftest import ECHO as CORE_ECHO
from tests.unit.backends.conftest import SIGNATURE, OpenGuest, guest
from tests.unit.backends.wasm.written import ECHO, SKELETON, component
from tests.unit.backends.wasm.written import result as returns

GUESTS: Mapping[str, str | bytes] = {"core": guest(), "component": component()}
of_both_kinds = pytest.mark.parametrize("source", GUESTS.values(), ids=GUESTS.keys())


@pytest.fixture
def trampoline_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the directions of the calls that go through a trampoline."""
    calls: list[str] = []
    run = Trampoline.run

    def note(
        trampoline: Trampoline,
        direction: Direction,
        segments: list[Buffer],
        size: int,
        **options: object,
    ) -> object:
        calls.append(direction)
        return run(trampoline, direction, segments, size, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Trampoline, "run", note)
    return calls


def works(codec: Codec, *, calls: int = 3, size: int = 10) -> None:
    """Call an echoing codec."""
    ports = {"bytes": bytes(range(256)) * (size // 256 + 1)}
    for _ in range(calls):
        for direction in ("encode", "decode"):
            assert codec.call(direction, ports) == ports


GROWS = "(drop (memory.grow (i32.const {pages})))"


def growing(kind: str, *, pages: int) -> str | bytes:
    """Write a guest whose `decode` grows its memory."""
    grows = GROWS.format(pages=pages)
    return guest(decode=grows + CORE_ECHO) if kind == "core" else component(decode=grows + ECHO)


@of_both_kinds
def test_the_second_call_is_the_first_through_the_trampoline(
    open_guest: OpenGuest, trampoline_calls: list[str], source: str | bytes
) -> None:
    codec = open_guest(source)
    codec.call("decode", {"bytes": b"x"})
    assert trampoline_calls == []
    codec.call("encode", {"bytes": b"x"})
    codec.call("decode", {"bytes": b"x"})
    assert trampoline_calls == ["encode", "decode"]


@of_both_kinds
def test_large_calls_go_without(
    open_guest: OpenGuest, trampoline_calls: list[str], source: str | bytes
) -> None:
    codec = open_guest(source)
    works(codec, size=BUFFER_BYTES)
    assert trampoline_calls == []
    works(codec)
    assert len(trampoline_calls) == 6


@pytest.mark.parametrize("timeout_s", [None, 5])
@pytest.mark.parametrize("kind", GUESTS)
def test_a_memory_limit_is_the_guests_alone(
    open_guest: OpenGuest, trampoline_calls: list[str], kind: str, timeout_s: float | None
) -> None:
    # The trampoline has two pages itself.
    limits = Limits(memory_bytes=65536, timeout_s=timeout_s)
    codec = open_guest(growing(kind, pages=1), limits)
    works(codec)
    assert len(trampoline_calls) == 5
    assert codec.memory_bytes() == 65536


@of_both_kinds
def test_where_there_is_no_room_for_a_trampoline_calls_go_without(
    open_guest: OpenGuest,
    trampoline_calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
    source: str | bytes,
) -> None:
    tried = 0

    @contextmanager
    def no_room(*_: object) -> Iterator[None]:
        nonlocal tried
        tried += 1
        yield
        raise wasmtime.WasmtimeError("mmap failed")

    monkeypatch.setattr("chonkle.backends.wasm.trampoline.room_for_one_more", no_room)
    works(open_guest(source))
    assert trampoline_calls == []
    assert tried == 1


@pytest.mark.parametrize(("pages", "kept"), [(0, 1), (31, 1), (32, 1), (4095, 1), (4096, 0)])
@pytest.mark.parametrize("kind", GUESTS)
def test_an_instance_that_grew_through_the_trampoline_is_not_kept(
    *, open_guest: OpenGuest, trampoline_calls: list[str], kind: str, pages: int, kept: int
) -> None:
    codec = open_guest(growing(kind, pages=pages))
    for _ in range(2):
        codec.call("encode", {"bytes": b"x"})
    assert codec.memory_bytes() == 65536
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
    assert codec.memory_bytes() == kept * (1 + pages) * 65536
    assert trampoline_calls == ["encode", "decode"]


def test_a_session_opens_codecs_when_warmed(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    wasm = embed_signature(bytes(wasmtime.wat2wasm(guest())), SIGNATURE)
    codec = WasmCodec.from_bytes(wasm, "guest.wasm")
    found = Resolution("core", SIGNATURE, "test", codec)
    open_trampoline, opened = TrampolineOpener.__call__, 0

    def open_more(opener: TrampolineOpener) -> object:
        nonlocal opened
        opened += 1
        runtime.open(found, Limits(timeout_s=opened))
        return open_trampoline(opener)

    monkeypatch.setattr(TrampolineOpener, "__call__", open_more)
    runtime.warm([found], Limits())
    assert opened == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@of_both_kinds
def test_where_addresses_are_limited_they_are_left_to_codecs(
    open_guest: OpenGuest,
    trampoline_calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
    source: str | bytes,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1 << 40, 1 << 40))
    works(open_guest(source))
    assert trampoline_calls == []


@of_both_kinds
def test_a_trampoline_that_may_not_be_compiled_is_asked_for_once_an_instance(
    open_guest: OpenGuest, monkeypatch: pytest.MonkeyPatch, source: str | bytes
) -> None:
    asked = 0

    def none(_: TrampolineOpener) -> None:
        nonlocal asked
        asked += 1

    monkeypatch.setattr(TrampolineOpener, "__call__", none)
    works(open_guest(source))
    assert asked == 1


@of_both_kinds
def test_all_guest_calls_of_a_call_share_its_time(
    open_guest: OpenGuest, monkeypatch: pytest.MonkeyPatch, source: str | bytes
) -> None:
    codec = open_guest(source, Limits(timeout_s=100))
    codec.call("decode", {"bytes": b"x"})
    left: list[float] = []
    deadline = Engine.deadline

    def note(engine: Engine, wasm_store: wasmtime.Store, timeout_s: float) -> object:
        left.append(timeout_s)
        return deadline(engine, wasm_store, timeout_s)

    monkeypatch.setattr(Engine, "deadline", note)
    seconds = count()
    monkeypatch.setattr(
        "chonkle.backends.wasm.guest_store.time.monotonic", lambda: float(next(seconds))
    )
    for data in (b"x", bytes(BUFFER_BYTES)) * 2:
        left.clear()
        codec.call("decode", {"bytes": data})
        # The clock ticks each time that it is looked at, twice a guest call.
        assert left == [99 - 2 * calls for calls in range(len(left))]
        assert (len(left) == 1) is (data == b"x")


@of_both_kinds
def test_borrowed_memory_outlives_its_codec(open_guest: OpenGuest, source: str | bytes) -> None:
    data = bytes(range(256)) * 400
    codec = open_guest(source)
    borrowed = codec.call_borrowed("decode", {"bytes": data}).ports["bytes"]
    codec.close()
    gc.collect()
    # The result was never closed, and the view alone keeps the guest's memory.
    assert bytes(borrowed) == data


@of_both_kinds
def test_an_instance_goes_as_soon_as_its_codec_is_closed(
    open_guest: OpenGuest,
    trampoline_calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
    source: str | bytes,
) -> None:
    made: list[weakref.ref[GuestInstance]] = []
    make = GuestInstance.__init__

    def note(instance: GuestInstance, setup: GuestSetup) -> None:
        made.append(weakref.ref(instance))
        make(instance, setup)

    monkeypatch.setattr(GuestInstance, "__init__", note)
    codec = open_guest(source)
    works(codec)
    assert trampoline_calls
    (find,) = made
    assert find() is not None
    gc.disable()
    try:
        codec.close()
        assert find() is None
    finally:
        gc.enable()


@of_both_kinds
def test_out_of_memory_leaves_no_others_waiting(
    open_guest: OpenGuest, source: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = open_guest(source)
    results = [codec.call_borrowed("decode", {"bytes": bytes(BUFFER_BYTES)}) for _ in range(5)]
    for result in results:
        result.close()
    run, tried = Trampoline.run, 0

    def out_of_memory(*_: object, **__: object) -> object:
        nonlocal tried
        tried += 1
        raise no_room_for(1)

    monkeypatch.setattr(Trampoline, "run", out_of_memory)
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
    assert tried == 1
    monkeypatch.setattr(Trampoline, "run", run)
    works(codec)


POST_RETURN = '(post-return (core func $main "post"))'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(POST_RETURN, "", id="nothing is freed"),
        pytest.param(
            '(realloc (core func $main "realloc")) ' + POST_RETURN + "))\n  (func $decode",
            '(realloc (core func $main "other")) ' + POST_RETURN + "))\n  (func $decode",
            id="two allocators",
        ),
    ],
)
def test_components_that_a_trampoline_does_not_fit_go_without(
    open_guest: OpenGuest, trampoline_calls: list[str], old: str, new: str
) -> None:
    assert old in SKELETON
    other = '(export "other" (func $realloc)) (func (export "encode")'
    text = SKELETON.replace(old, new).replace('(func (export "encode")', other)
    works(open_guest(component(text)))
    assert trampoline_calls == []


def test_sizes_around_the_buffers_own(open_guest: OpenGuest, trampoline_calls: list[str]) -> None:
    around = 20  # bytes that stand around one port's data
    for source in GUESTS.values():
        codec = open_guest(source)
        for size in (
            0,
            1,
            4096,
            4097,
            *range(BUFFER_BYTES - around - 4, BUFFER_BYTES - around + 6),
        ):
            data = bytes(size)
            assert codec.call("decode", {"bytes": data}) == {"bytes": data}
    assert trampoline_calls


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    ports=st.dictionaries(st.text(max_size=9), st.binary(max_size=99), max_size=9),
    kind=st.sampled_from(list(GUESTS)),
)
def test_any_ports_pass_through(open_guest: OpenGuest, ports: dict[str, bytes], kind: str) -> None:
    codec = open_guest(GUESTS[kind])
    for _ in range(2):
        assert codec.call("decode", ports) == ports


@pytest.fixture
def shared_calls(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Collect how many results each call of a trampoline for several chunks gave."""
    calls: list[int | None] = []
    run_many = Trampoline.run_many

    def note(trampoline: Trampoline, direction: Direction, chunks: Sequence[Any]) -> Any:
        found = run_many(trampoline, direction, chunks)
        calls.append(None if found is None else len(found))
        return found

    monkeypatch.setattr(Trampoline, "run_many", note)
    return calls


def several(*sizes: int) -> list[dict[str, Buffer]]:
    return [{"bytes": bytes([1 + index]) * size} for index, size in enumerate(sizes)]


@of_both_kinds
@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_small_chunks_share_a_call(
    open_guest: OpenGuest,
    shared_calls: list[int | None],
    source: str | bytes,
    direction: Direction,
) -> None:
    codec = open_guest(source)
    works(codec)
    for chunks in (several(0, 65536, 1), several(*range(1, 1 + SLOTS))):
        results = codec.call_many(direction, chunks)
        assert [{name: bytes(data) for name, data in each.ports.items()} for each in results] == (
            chunks
        )
        for result in results:
            # The guest serves nothing else before the last result is closed.
            assert codec.memory_bytes() == 0
            result.close()
        assert codec.memory_bytes()
    assert shared_calls == [3, SLOTS]


@of_both_kinds
@pytest.mark.parametrize(
    ("limits", "chunks"),
    [
        (Limits(timeout_s=60), several(1, 2)),
        (Limits(), several(1, BUFFER_BYTES)),
        (Limits(), several(*[1] * (SLOTS + 1))),
        (Limits(), several(1)),
        (Limits(), []),
    ],
    ids=["timeout", "large", "many", "one", "none"],
)
def test_other_chunks_have_calls_of_their_own(
    open_guest: OpenGuest,
    shared_calls: list[int | None],
    source: str | bytes,
    limits: Limits,
    chunks: list[dict[str, Buffer]],
) -> None:
    codec = open_guest(source, limits)
    works(codec)
    results = codec.call_many("decode", chunks)
    assert [result.to_owned() for result in results] == chunks
    assert shared_calls == []


# Both see the first byte of the data: of core modules behind the header, of components in the row.
FAILURES = {
    "refuses": ("(return (i64.const 0))", f"(return (block (result i32) {returns(1, 1024, 16)}))"),
    "traps": ("(unreachable)", "(unreachable)"),
}


@pytest.mark.parametrize("kind", GUESTS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_chunk_that_fails_fails_alone(
    open_guest: OpenGuest, shared_calls: list[int | None], kind: str, failure: str
) -> None:
    core, in_component = FAILURES[failure]
    at = len(port_header(1, "bytes", 0))
    source = (
        guest(decode=f"(if (i32.eq (i32.load8_u (i32.add (local.get 0) (i32.const {at})))"
              f" (i32.const 2)) (then {core})) {CORE_ECHO}")
        if kind == "core"
        else component(
            decode="(if (i32.eq (i32.load8_u (i32.load offset=8 (local.get $rows)))"
            f" (i32.const 2)) (then {in_component})) {ECHO}"
        )
    )  # fmt: skip
    codec = open_guest(source)
    works(codec)
    with pytest.raises(CodecTrap if failure == "traps" else CodecError):
        codec.call_many("decode", several(10, 10, 10))
    good = several(10)
    assert [result.to_owned() for result in codec.call_many("decode", good * 3)] == good * 3
    assert codec.call("decode", good[0]) == good[0]
    assert (None in shared_calls) is (failure == "refuses")
