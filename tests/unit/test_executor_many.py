"""Many inputs in several threads."""

import itertools
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from chonkle import executor
from chonkle.errors import CodecError, PipelineError
from chonkle.formats.portmap import Buffer
from tests.unit.fake_codecs import FakePrepared, Function, Tally, chain, echo


def numbers(taken: list[int] | None = None, last: int | None = None) -> Iterator[dict[str, bytes]]:
    """Give inputs that are numbers, endlessly, and note those that were taken."""
    for number in itertools.count() if last is None else range(last):
        if taken is not None:
            taken.append(number)
        yield {"bytes": str(number).encode()}


def pipeline(function: Function = echo) -> FakePrepared:
    return chain(1, Tally(), function)


def threads_of_chonkle() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("chonkle")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert threads_of_chonkle() == []


def slowly(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
    # The later, the sooner it is done.
    time.sleep(0.002 * (10 - int(bytes(ports["bytes"])) % 10))
    return echo(ports)


@pytest.mark.parametrize("threads", [1, 2, 7, np.int64(3), None])
def test_results_come_in_order(threads: Any) -> None:
    found = executor.run_many(pipeline(slowly), numbers(last=50), threads=threads)
    assert [int(each["bytes"]) for each in found] == list(range(50))
    assert list(executor.run_many(pipeline(), [], threads=threads)) == []


def test_several_run_at_once() -> None:
    together = threading.Barrier(4, timeout=30)

    def meet(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        together.wait()
        return echo(ports)

    assert len(list(executor.run_many(pipeline(meet), numbers(last=16), threads=4))) == 16


def test_there_are_as_many_threads_as_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3)
    found = executor.run_many(pipeline(slowly), numbers())
    next(found)
    assert len(threads_of_chonkle()) == 3
    found.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_endless_iterable_is_taken_as_results_are(threads: int) -> None:
    taken: list[int] = []
    found = executor.run_many(pipeline(), numbers(taken), threads=threads)
    assert taken == []
    for index in range(20):
        assert int(next(found)["bytes"]) == index
        time.sleep(0.001)
        assert len(taken) <= index + 2 * threads + 1
    found.close()
    assert len(taken) <= 20 + 2 * threads


def test_closing_early_waits_for_what_runs_and_begins_nothing() -> None:
    ran: list[int] = []

    def note(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        time.sleep(0.01)
        ran.append(int(bytes(ports["bytes"])))
        return echo(ports)

    found = executor.run_many(pipeline(note), numbers(), threads=2)
    next(found)
    found.close()
    assert threads_of_chonkle() == []
    count = len(ran)
    assert count <= 4
    time.sleep(0.05)
    assert len(ran) == count
    # Also one that nothing refers to, and one that was never begun.
    next(executor.run_many(pipeline(note), numbers(), threads=2))
    executor.run_many(pipeline(note), numbers(), threads=2)


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_failure_comes_in_its_turn(threads: int) -> None:
    ran: list[int] = []

    def refuse(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        number = int(bytes(ports["bytes"]))
        ran.append(number)
        # A later failure is known before the first one.
        time.sleep(0.02 if number == 10 else 0)
        if number in (10, 11):
            raise CodecError("no")
        return echo(ports)

    found = executor.run_many(pipeline(refuse), numbers(), threads=threads)
    got: list[int] = []
    with pytest.raises(CodecError, match=r"^item 10: step `s0`: no$"):
        got.extend(int(each["bytes"]) for each in found)
    assert got == list(range(10))
    assert threads_of_chonkle() == []
    assert set(range(11)) <= set(ran)
    assert max(ran) <= 10 + 2 * threads
    with pytest.raises(StopIteration):
        next(found)


def test_results_before_a_failure_are_given() -> None:
    items: list[Any] = [{"bytes": b"0"}, {"bytes": b"1"}, {"bytes": "text"}, {"bytes": b"3"}]
    found = executor.run_many(pipeline(), items, threads=3)
    assert [next(found), next(found)] == items[:2]
    with pytest.raises(PipelineError, match=r"^item 2: pipeline `p`: input `bytes`: not a buffer"):
        next(found)


def test_a_failure_that_is_not_ours_has_a_note() -> None:
    def break_(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        raise MemoryError(bytes(ports["bytes"]))

    with pytest.raises(MemoryError) as caught:
        next(executor.run_many(pipeline(break_), numbers(), threads=2))
    assert caught.value.args == (b"0",)
    assert caught.value.__notes__ == ["item 0 of `run_many`"]


def test_an_iterable_that_fails_does_so_in_its_turn() -> None:
    def broken() -> Iterator[dict[str, bytes]]:
        yield from numbers(last=3)
        raise OSError("the disk is gone")

    found = executor.run_many(pipeline(slowly), broken(), threads=4)
    assert [int(next(found)["bytes"]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match=r"^the disk is gone$"):
        next(found)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 1025, [2]])
def test_a_number_of_threads_that_is_none_is_refused(threads: Any) -> None:
    with pytest.raises(PipelineError, match="bad `threads`, expected 1 to 1024, got"):
        executor.run_many(pipeline(), numbers(), threads=threads)


def test_what_cannot_run_is_refused_at_once() -> None:
    with pytest.raises(PipelineError, match="cannot be iterated over, expected an iterable"):
        executor.run_many(pipeline(), 5)  # type: ignore[arg-type]  # a mistake
    with pytest.raises(PipelineError, match="not a prepared pipeline"):
        executor.run_many("p.json", numbers())  # type: ignore[arg-type]  # a mistake
    # A mapping is one item, and no iterable of them.
    with pytest.raises(PipelineError, match=r"^item 0: pipeline `p`: inputs: not a mapping"):
        next(executor.run_many(pipeline(), {"bytes": b"x"}))  # type: ignore[dict-item]  # a mistake
