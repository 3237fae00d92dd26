"""Work on many chunks, small ones a few at a time, in several threads where that pays.

A part of the work on a chunk is Python, which only one thread runs at a time, and threads that wait
for each other lose more than they gain on small chunks. So small chunks share calls of guests,
which run without Python; and work on them begins in one thread, which starts others when the chunks
take long: to decode, or to read.
"""

import threading
from collections.abc import Callable, Sequence
from itertools import batched, islice
from time import perf_counter

# What one thread does of a chunk while the others wait.
_ALONE_S = 15e-6
# Faster than codecs and copies together.
_BYTES_PER_S = 4e9
# Chunks up to this size are worked on together, so many of them.
_SMALL_BYTES = 64 << 10
TOGETHER = 8

# Works on the chunks with these numbers.
type Work = Callable[[Sequence[int]], None]


def for_each_chunk(
    start: Callable[[], Work], count: int, *, chunk_bytes: int, threads: int
) -> None:
    """Do work on numbered chunks, in this thread and maybe others.

    Args:
        start: gives what does the work on at most `TOGETHER` chunks; called once in each thread.
        count: the number of chunks.
        chunk_bytes: the size of a decoded chunk.
        threads: how many threads may work at once.

    Raises:
        BaseException: the failure with the lowest numbers; work after it may have been left out.
    """
    together = min(TOGETHER, count // (2 * threads)) if chunk_bytes <= _SMALL_BYTES else 1
    work = _Work(start, count, max(1, together))
    mine = start()
    wanted = _threads_that_pay(chunk_bytes / _BYTES_PER_S)
    if wanted == 1:
        # The first chunks of a process make the guests, which takes long.
        work.do(mine, 1)
        begun = perf_counter()
        work.do(mine, 1)
        wanted = _threads_that_pay((perf_counter() - begun) / work.together)
    others = [threading.Thread(target=work.do_all) for _ in range(min(wanted, threads, count) - 1)]
    for other in others:
        other.start()
    work.do(mine)
    for other in others:
        other.join()
    if work.failures:
        raise work.failures[min(work.failures)]


def _threads_that_pay(chunk_s: float) -> int:
    return max(1, int(chunk_s / _ALONE_S))


class _Work:
    """The work that is left, and what failed."""

    def __init__(self, start: Callable[[], Work], count: int, together: int) -> None:
        self.together = together
        self.failures: dict[int, BaseException] = {}
        self._start = start
        # Each number goes to one thread.
        self._left = batched(range(count), together, strict=False)

    def do_all(self) -> None:
        """Do what is left, as one of several threads."""
        self.do(self._start())

    def do(self, work: Work, most: int | None = None) -> None:
        """Do what is left, at most so much, until a thread fails."""
        for indices in islice(self._left, most):
            if self.failures:
                return
            try:
                work(indices)
            except BaseException as failure:  # noqa: BLE001 - raised by `for_each_chunk`
                self.failures[indices[0]] = failure
                return
