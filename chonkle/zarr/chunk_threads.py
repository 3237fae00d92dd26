"""Work on many chunks in several threads, where that pays.

A part of the work on a chunk is Python, which only one thread runs at a time, and threads that wait
for each other lose more than they gain on small chunks. So work on small chunks begins in one
thread, which starts others when the chunks take long: to decode, or to read.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from time import perf_counter

# What one thread does of a chunk while the others wait, with the cost of waiting.
_ALONE_S = 30e-6
# Faster than codecs and copies together.
_BYTES_PER_S = 4e9
# The first chunks of a process make the guests.
_UNTIMED, _TIMED = 2, 4


def for_each_chunk(
    start: Callable[[], Callable[[int], None]],
    count: int,
    *,
    chunk_bytes: int,
    threads: int,
    naming: Callable[[int], AbstractContextManager[None]],
) -> None:
    """Do work on numbered chunks, in this thread and maybe others.

    Args:
        start: gives what does the work on one chunk; called once in each thread.
        count: the number of chunks.
        chunk_bytes: the size of a decoded chunk.
        threads: how many threads may work at once.
        naming: writes the chunk of a number into the failures within a `with` statement.

    Raises:
        BaseException: the failure of the chunk with the lowest number; those after it may have been
            left out.
    """
    batch = _Batch(start, count)
    work = start()
    wanted = _threads_that_pay(chunk_bytes / _BYTES_PER_S)
    if wanted == 1:
        batch.do(work, _UNTIMED)
        begun = perf_counter()
        batch.do(work, _TIMED)
        wanted = _threads_that_pay((perf_counter() - begun) / _TIMED)
    others = [threading.Thread(target=batch.do_all) for _ in range(min(wanted, threads, count) - 1)]
    for other in others:
        other.start()
    batch.do(work)
    for other in others:
        other.join()
    if batch.failures:
        index, failure = min(batch.failures.items())
        with naming(index):
            raise failure


def _threads_that_pay(chunk_s: float) -> int:
    return max(1, int(chunk_s / _ALONE_S))


class _Batch:
    """The numbers that are left, and what failed."""

    def __init__(self, start: Callable[[], Callable[[int], None]], count: int) -> None:
        self.failures: dict[int, BaseException] = {}
        self._start = start
        # Each number goes to one thread.
        self._numbers = iter(range(count))

    def do_all(self) -> None:
        """Do what is left, as one of several threads."""
        self.do(self._start())

    def do(self, work: Callable[[int], None], most: int = -1) -> None:
        """Do what is left, at most so many, until a thread fails."""
        for index in self._numbers if most < 0 else islice(self._numbers, most):
            if self.failures:
                return
            try:
                work(index)
            except BaseException as failure:  # noqa: BLE001 - raised by `for_each_chunk`
                self.failures[index] = failure
                return
