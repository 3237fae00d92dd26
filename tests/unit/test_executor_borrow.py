"""Results that are lent: what a caller keeps of them, and when the guest gets its memory back."""

import contextlib
import gc
import threading
import weakref
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chonkle import executor
from chonkle.backends.base import CallResult
from chonkle.backends.wasm.guest_codec import GuestCodec, GuestInstance, GuestSetup
from chonkle.errors import CodecError, CodecTrap, PipelineError
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction
from chonkle.pipeline import PreparedPipeline, prepare
from chonkle.resolver import Resolver
from chonkle.runtime import Runtime
from tests.unit.fake_codecs import BYTES, FakeCodec, Tally, chain, echo, prepared

# Larger than the buffer of a trampoline, so that results stay in guest memory.
SIZE = 200_000
WAYS = ("core", "component", "native")


def pattern(seed: int, size: int = SIZE) -> bytes:
    return bytes([seed % 251]) * size


@pytest.fixture(params=WAYS)
def decoder(
    request: pytest.FixtureRequest, tmp_path: Path, open_runtime: Callable[..., Runtime]
) -> Iterator[PreparedPipeline]:
    """Prepare a decoder of zlib, for each way of running it."""
    way = request.param
    document = {
        "codec_id": "p",
        "direction": "decode",
        "inputs": {"bytes": BYTES},
        "outputs": {"bytes": "s.bytes"},
        "steps": {"s": {"codec_id": "zlib", "inputs": {"bytes": "input.bytes"}}},
    }
    resolver = Resolver(preference=["component" if way == "host" else way])
    with (
        open_runtime(cache=tmp_path / "cache", flatten_components=way != "host") as runtime,
        prepare(document, "decode", resolver=resolver, runtime=runtime) as prepared_,
    ):
        yield prepared_


@pytest.fixture
def instances(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[GuestInstance]]:
    """Note every instance of a guest that is made."""
    made: list[weakref.ref[GuestInstance]] = []
    make = GuestInstance.__init__

    def note(instance: GuestInstance, setup: GuestSetup) -> None:
        made.append(weakref.ref(instance))
        make(instance, setup)

    monkeypatch.setattr(GuestInstance, "__init__", note)
    return made


def alive(instances: list[weakref.ref[GuestInstance]]) -> int:
    gc.collect()
    return sum(each() is not None for each in instances)


def encoded(seed: int, size: int = SIZE) -> dict[str, bytes]:
    return {"bytes": zlib.compress(pattern(seed, size), 1)}


def overwrite(run: PreparedPipeline) -> None:
    """Have every instance that may be called write other bytes."""
    with ExitStack() as stack:
        for seed in range(200, 204):
            stack.enter_context(run.borrow(encoded(seed)))
    for seed in range(204, 208):
        run.run(encoded(seed))


@pytest.mark.parametrize("decoder", [*WAYS, "host"], indirect=True)
@pytest.mark.parametrize("size", [0, 1, 4000, 65_536, SIZE])
def test_views_are_read_only_and_end(decoder: PreparedPipeline, size: int) -> None:
    for seed in range(3):
        with decoder.borrow(encoded(seed, size)) as outputs:
            view = outputs["bytes"]
            assert (view.readonly, view.format, view.nbytes) == (True, "B", size)
            assert view == pattern(seed, size)
        with pytest.raises(ValueError, match="released memoryview"):
            bytes(view)
        with pytest.raises(ValueError, match="released memoryview"):
            view.nbytes  # noqa: B018 - looking is what fails


KEPT: dict[str, Callable[[memoryview], Any]] = {
    "array": lambda view: np.frombuffer(view, "<u4"),
    "asarray": np.asarray,
    "part": lambda view: np.frombuffer(view, "u1").reshape(2, -1)[1, ::3],
    "slice": lambda view: view[10:],
    "view": memoryview,
    "wide-view": lambda view: view.cast("I"),
    "picked": lambda view: np.frombuffer(view, "u1")[::7][5:],
}


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_what_is_kept_never_shows_other_bytes(
    decoder: PreparedPipeline, keep: Callable[[memoryview], Any]
) -> None:
    kept = []
    for seed in range(4):
        with decoder.borrow(encoded(seed)) as outputs:
            kept.append(keep(outputs["bytes"]))
    overwrite(decoder)
    decoder.close()
    decoder.runtime.close()
    gc.collect()
    for seed, each in enumerate(kept):
        found = np.asarray(each)
        assert not found.flags.writeable
        assert set(found.tobytes()) == {seed}


def test_a_view_that_cannot_be_released_stays_right(decoder: PreparedPipeline) -> None:
    # A consumer of the view itself, such as a compressor in another thread.
    class Holder:
        def __init__(self, view: memoryview) -> None:
            self.view = view

        def __buffer__(self, flags: int) -> memoryview:
            return self.view

    with decoder.borrow(encoded(1)) as outputs:
        view = outputs["bytes"]
        export = memoryview(Holder(view))
    overwrite(decoder)
    assert view == export == pattern(1)


@pytest.mark.parametrize("decoder", ["core", "component"], indirect=True)
def test_memory_goes_back_after_the_last_array(
    decoder: PreparedPipeline, instances: list[weakref.ref[GuestInstance]]
) -> None:
    def all_are(seed: int, data: object) -> bool:
        return bool((np.asarray(data) == seed).all())

    kept: list[object] = []
    for seed in range(20):
        with decoder.borrow(encoded(seed)) as outputs:
            # As in a loop, those of one round are still there while the next one runs.
            kept[:] = np.frombuffer(outputs["bytes"], "u1"), outputs["bytes"][5:]
        assert all_are(seed, kept[0])
        assert all_are(seed, kept[1])
    assert len(instances) == 2
    # Without anything that is kept, one is enough.
    kept.clear()
    for seed in range(20):
        with decoder.borrow(encoded(seed)) as outputs:
            assert all_are(seed, outputs["bytes"])
    assert len(instances) == 2


@pytest.mark.parametrize("decoder", ["core", "component"], indirect=True)
def test_arrays_that_go_free_their_memory(
    decoder: PreparedPipeline, instances: list[weakref.ref[GuestInstance]]
) -> None:
    kept = []
    for seed in range(30):
        with decoder.borrow(encoded(seed)) as outputs:
            kept.append(np.frombuffer(outputs["bytes"], "u1"))
    assert alive(instances) == len(instances) == 30
    kept.clear()
    # Some wait for the next call.
    assert alive(instances) <= 8
    with decoder.borrow(encoded(0)):
        pass
    assert len(instances) == 30
    codec = decoder.codecs[0]
    decoder.runtime.close()
    assert isinstance(codec, GuestCodec)
    assert alive(instances) == 0


def test_it_ends_however_the_block_ends(decoder: PreparedPipeline) -> None:
    class StopError(Exception):
        pass

    views = []

    def end_by(kind: type[BaseException]) -> None:
        with decoder.borrow(encoded(1)) as outputs:
            views.append(outputs["bytes"])
            raise kind

    for kind in (StopError, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(kind):
            end_by(kind)

    def values() -> Generator[int]:
        with decoder.borrow(encoded(2)) as outputs:
            views.append(outputs["bytes"])
            yield from outputs["bytes"]

    generator = values()
    assert next(generator) == 2
    generator.close()
    with decoder.borrow(encoded(3)) as outputs:
        views.append(outputs.pop("bytes"))
    for view in views:
        with pytest.raises(ValueError, match="released"):
            bytes(view)
    assert decoder.run(encoded(4)) == {"bytes": pattern(4)}


def test_loans_nest_and_feed_each_other(decoder: PreparedPipeline) -> None:
    twice = {"bytes": zlib.compress(zlib.compress(pattern(1), 0), 0)}
    with decoder.borrow(twice) as outer:
        with decoder.borrow(outer) as inner:
            assert inner["bytes"] == pattern(1)
        assert decoder.run(outer) == {"bytes": pattern(1)}
        buffer = np.empty(SIZE, "u1")
        decoder.run(outer, out={"bytes": buffer})
        assert buffer.tobytes() == pattern(1)
    # Loans end in any order.
    loans = [decoder.borrow(encoded(seed)) for seed in range(3)]
    views = [loan.__enter__()["bytes"] for loan in loans]
    for index in (1, 0, 2):
        assert views[index] == pattern(index)
        loans[index].__exit__(None, None, None)


def test_threads_borrow_and_keep_at_once(decoder: PreparedPipeline) -> None:
    problems: list[int] = []

    def work(number: int) -> None:
        kept: list[tuple[int, Any]] = []
        for round_ in range(25):
            seed = number * 25 + round_
            with decoder.borrow(encoded(seed)) as outputs:
                kept.append((seed, np.frombuffer(outputs["bytes"], "u1")))
            kept = kept[-(round_ % 4) :]
            problems.extend(seed for seed, each in kept if (each != seed % 251).any())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_view_ends_in_another_thread(decoder: PreparedPipeline) -> None:
    with decoder.borrow(encoded(1)) as outputs:
        kept = [np.frombuffer(outputs["bytes"], "u1")]
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    overwrite(decoder)
    assert decoder.run(encoded(2)) == {"bytes": pattern(2)}


def test_errors_are_those_of_a_run(decoder: PreparedPipeline) -> None:
    cases: list[tuple[dict[str, object], type[Exception], str]] = [
        ({}, PipelineError, "input `bytes` is missing"),
        ({"bytes": b"not zlib"}, CodecError, r"^step `s`: codec `zlib`"),
    ]
    for inputs, kind, words in cases:
        with pytest.raises(kind, match=words), decoder.borrow(inputs):
            pytest.fail("it was entered")
    decoder.close()
    with pytest.raises(PipelineError, match="already closed"), decoder.borrow(encoded(1)):
        pytest.fail("it was entered")


# Which results stay open, with functions as codecs


def test_only_what_is_lent_stays_open() -> None:
    tally = Tally()
    with executor.borrow(chain(10, tally), {"bytes": b"abc"}) as outputs:
        assert bytes(outputs["bytes"]) == b"abc"
        assert (tally.open, tally.peak) == (1, 2)
    assert tally.open == 0


def test_outputs_of_two_steps_and_of_none_are_lent() -> None:
    tally = Tally()
    run = prepared(
        {"x": BYTES},
        {"a": ({"bytes": "input.x"}, echo), "b": ({"bytes": "a.bytes"}, echo)},
        {"first": "a.bytes", "again": "a.bytes", "second": "b.bytes", "through": "input.x"},
        tally=tally,
    )
    data = bytearray(b"abc")
    with executor.borrow(run, {"x": data}) as outputs:
        assert tally.open == 2
        assert set(outputs) == {"first", "again", "second", "through"}
        assert all(bytes(view) == b"abc" and view.readonly for view in outputs.values())
    assert tally.open == 0
    data.extend(b"the views of it are released")
    with executor.borrow(run, {"x": b"abc"}) as outputs:
        kept = outputs["again"][1:]
    # Only the result that is still shown is open, and closed with the pipeline or never.
    assert (bytes(kept), tally.open) == (b"bc", 1)


class BreaksWhenClosed(FakeCodec):
    """Gives answers whose memory cannot be given back."""

    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        def release() -> None:
            raise CodecTrap("dealloc broke")

        return CallResult(dict(super().call_borrowed(direction, port_map).ports), release)


def test_a_guest_that_breaks_at_the_end_is_told() -> None:
    tally = Tally()
    run = prepared(
        {"x": BYTES},
        {"a": ({"x": "input.x"}, echo), "b": ({"x": "input.x"}, echo)},
        {"a": "a.bytes", "b": "b.bytes"},
        tally=tally,
    )
    run.codecs[0] = BreaksWhenClosed(run.codecs[0].signature(), echo, Tally())
    with (
        pytest.raises(CodecTrap, match=r"^step `a`: dealloc broke$"),
        executor.borrow(run, {"x": b"1"}) as outputs,
    ):
        assert bytes(outputs["a"]) == b"1"
    assert tally.open == 0
    # What went wrong first is told.
    with pytest.raises(KeyError), executor.borrow(run, {"x": b"1"}):
        raise KeyError
    with contextlib.suppress(CodecTrap), executor.borrow(run, {"x": b"1"}) as outputs:
        kept = outputs["a"][:]
    assert bytes(kept) == b"1"
