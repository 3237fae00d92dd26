"""The desk: who uses it and when, what does without, and that nobody sees a difference."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chonkle.backends.base import Codec, Limits
from chonkle.backends.desk import DESK_BYTES, Desk
from chonkle.formats.portmap import Buffer
from tests.unit.backends.component.written import ECHO, SKELETON, component
from tests.unit.backends.conftest import OpenGuest, guest

GUESTS: Mapping[str, str | bytes] = {"core": guest(), "component": component()}
of_both_kinds = pytest.mark.parametrize("source", GUESTS.values(), ids=GUESTS.keys())


@pytest.fixture
def desk_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the directions of the calls that go over a desk."""
    calls: list[str] = []
    run = Desk.run

    def note(desk: Desk, direction: str, pieces: list[Buffer], size: int) -> object:
        calls.append(direction)
        return run(desk, direction, pieces, size)  # type: ignore[arg-type]  # it is one

    monkeypatch.setattr(Desk, "run", note)
    return calls


def works(codec: Codec, *, calls: int = 3, size: int = 10) -> None:
    """Call an echoing codec."""
    ports = {"bytes": bytes(range(256)) * (size // 256 + 1)}
    for _ in range(calls):
        for direction in ("encode", "decode"):
            assert codec.call(direction, ports) == ports


ECHO_OF_CORE = """
  (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
          (i64.extend_i32_u (local.get $size)))
"""
GROWS = "(drop (memory.grow (i32.const {pages})))"


def growing(kind: str, *, pages: int) -> str | bytes:
    """Write a guest whose `decode` grows its memory."""
    grows = GROWS.format(pages=pages)
    return guest(decode=grows + ECHO_OF_CORE) if kind == "core" else component(decode=grows + ECHO)


@of_both_kinds
def test_the_second_call_is_the_first_over_the_desk(
    open_guest: OpenGuest, desk_calls: list[str], source: str | bytes
) -> None:
    codec = open_guest(source)
    codec.call("decode", {"bytes": b"x"})
    assert desk_calls == []
    codec.call("encode", {"bytes": b"x"})
    codec.call("decode", {"bytes": b"x"})
    assert desk_calls == ["encode", "decode"]


@of_both_kinds
def test_large_calls_go_without(
    open_guest: OpenGuest, desk_calls: list[str], source: str | bytes
) -> None:
    codec = open_guest(source)
    works(codec, size=DESK_BYTES)
    assert desk_calls == []
    works(codec)
    assert len(desk_calls) == 6


@pytest.mark.parametrize("timeout_s", [None, 5])
@pytest.mark.parametrize("kind", GUESTS)
def test_a_memory_limit_is_the_guests_alone(
    open_guest: OpenGuest, desk_calls: list[str], kind: str, timeout_s: float | None
) -> None:
    # The desk has two pages itself.
    limits = Limits(memory_bytes=65536, timeout_s=timeout_s)
    codec = open_guest(growing(kind, pages=1), limits)
    works(codec)
    assert len(desk_calls) == 5
    assert codec.memory_bytes() == 65536


def test_a_guest_may_have_as_many_memories_with_a_desk(
    open_guest: OpenGuest, desk_calls: list[str]
) -> None:
    works(open_guest(guest(more="(memory $second 1) (memory $third 1)")))
    assert desk_calls


@of_both_kinds
def test_where_there_is_no_room_for_a_desk_calls_go_without(
    open_guest: OpenGuest,
    desk_calls: list[str],
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

    monkeypatch.setattr("chonkle.backends.desk.room_for_one_more", no_room)
    works(open_guest(source))
    assert desk_calls == []
    assert tried == 1


@pytest.mark.parametrize(("pages", "kept"), [(0, 1), (4095, 1), (4096, 0)])
@pytest.mark.parametrize("kind", GUESTS)
def test_an_instance_that_grew_over_the_desk_is_not_kept(
    *, open_guest: OpenGuest, desk_calls: list[str], kind: str, pages: int, kept: int
) -> None:
    codec = open_guest(growing(kind, pages=pages))
    for _ in range(2):
        codec.call("encode", {"bytes": b"x"})
    assert codec.memory_bytes() == 65536
    assert codec.call("decode", {"bytes": b"x"}) == {"bytes": b"x"}
    assert codec.memory_bytes() == kept * (1 + pages) * 65536
    assert desk_calls == ["encode", "decode"]


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
def test_components_that_a_desk_does_not_fit_go_without(
    open_guest: OpenGuest, desk_calls: list[str], old: str, new: str
) -> None:
    assert old in SKELETON
    other = '(export "other" (func $realloc)) (func (export "encode")'
    text = SKELETON.replace(old, new).replace('(func (export "encode")', other)
    works(open_guest(component(text)))
    assert desk_calls == []


def test_sizes_around_the_desks_own(open_guest: OpenGuest, desk_calls: list[str]) -> None:
    around = 20  # bytes that stand around one port's data
    for source in GUESTS.values():
        codec = open_guest(source)
        for size in (0, 1, 4096, 4097, *range(DESK_BYTES - around - 4, DESK_BYTES - around + 6)):
            data = bytes(size)
            assert codec.call("decode", {"bytes": data}) == {"bytes": data}
    assert desk_calls


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    ports=st.dictionaries(st.text(max_size=9), st.binary(max_size=99), max_size=9),
    kind=st.sampled_from(list(GUESTS)),
)
def test_any_ports_pass_over_the_desk(
    open_guest: OpenGuest, ports: dict[str, bytes], kind: str
) -> None:
    codec = open_guest(GUESTS[kind])
    for _ in range(2):
        assert codec.call("decode", ports) == ports
