"""Which thread works on which chunks, and what becomes of a failure."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from chonkle.zarr.chunk_threads import TOGETHER, Work, for_each_chunk

SMALL, LARGE = 1 << 10, 1 << 20


def done(
    count: int, chunk_bytes: int, threads: int, work: Callable[[int], None] = lambda _: None
) -> dict[int, list[tuple[int, ...]]]:
    """Give the chunks that each thread worked on, in its order."""
    found: dict[int, list[tuple[int, ...]]] = {}

    def start() -> Work:
        mine = found.setdefault(threading.get_ident(), [])

        def do(indices: Sequence[int]) -> None:
            for index in indices:
                work(index)
            mine.append(tuple(indices))

        return do

    for_each_chunk(start, count, chunk_bytes=chunk_bytes, threads=threads)
    return found


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [0, SMALL, LARGE])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 100])
def test_every_chunk_is_worked_on_once(count: int, size: int, threads: int) -> None:
    found = done(count, size, threads)
    assert len(found) <= threads
    numbers = sorted(index for mine in found.values() for each in mine for index in each)
    assert numbers == list(range(count))


def test_large_chunks_are_for_all_threads_one_at_a_time() -> None:
    meeting = threading.Barrier(3, timeout=20)

    def meet() -> None:
        meeting.wait()

    found = done(3, LARGE, 3, lambda _: meet())
    assert sorted(each for mine in found.values() for each in mine) == [(0,), (1,), (2,)]
    assert len(found) == 3


def test_small_and_fast_chunks_stay_in_one_thread() -> None:
    (mine,) = done(400, SMALL, 2).values()
    assert {len(each) for each in mine} == {TOGETHER}


def test_small_and_slow_chunks_get_more_threads() -> None:
    assert len(done(200, SMALL, 3, lambda _: time.sleep(1e-3))) == 3


def test_a_few_small_chunks_are_shared_out() -> None:
    found = done(8, SMALL, 2, lambda _: time.sleep(1e-3))
    assert {len(each) for mine in found.values() for each in mine} == {2}
    assert len(found) == 2


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("failure", [ValueError("x"), KeyboardInterrupt()])
def test_a_failure_ends_the_work_and_is_raised(size: int, failure: BaseException) -> None:
    worked_on = []

    def fail(index: int) -> None:
        worked_on.append(index)
        if index >= 5:
            raise failure

    before = threading.active_count()
    with pytest.raises(type(failure)):
        done(10_000, size, 2, fail)
    assert len(worked_on) < 100
    assert threading.active_count() == before
