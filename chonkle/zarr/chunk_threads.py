"""Work on many chunks in several threads, where that pays.

A part of the work on a chunk is Python, which only one thread runs at a time, and threads that wait
for each other lose more than they gain on small chunks. So work on small chunks begins in one
thread, which starts others when the chunks take long: to decode, or to read.
"""

import threading
from collections.abc import Callable
from time import perf_counter

# What one thread must do of a chunk while the others wait, with the cost of waiting.
_ALONE_S = 30e-6
# Faster than codecs and copies together.
_BYTES_PER_S = 4e9
# The first chunks of a process make the guests.
_UNTIMED, _TIMED = 2, 4


def for_each_chunk(
    start: Callable[[], Callable[[int], None]], count: int, *, chunk_bytes: int, threads: int
) -> None:
    """Do work on numbered chunks, in this thread and maybe others.

    Args:
        start: gives what does the work on one chunk; called once in each thread.
        count: the number of chunks.
        chunk_bytes: the size of a decoded chunk.
        threads: how many threads may work at once.

    Raises:
        BaseException: the failure of the chunk with the lowest number; those after it may have been
            left out.
    """
    numbers = iter(range(count))
    failures: dict[int, BaseException] = {}
    others: list[threading.Thread] = []

    def work_on(chunks: Callable[[int], None], limit: int) -> None:
        for index in numbers:  # each number goes to one thread
            if failures:
                return
            try:
                chunks(index)
            except BaseException as failure:  # noqa: BLE001 - raised below
                failures[index] = failure
                return
            limit -= 1
            if not limit:
                return

    def add_threads(chunk_s: float) -> None:
        wanted = min(threads, count, int(chunk_s / _ALONE_S))
        for _ in range(wanted - 1 - len(others)):
            other = threading.Thread(target=lambda: work_on(start(), 0))
            others.append(other)
            other.start()

    add_threads(chunk_bytes / _BYTES_PER_S)
    mine = start()
    if not others:
        work_on(mine, _UNTIMED)
        begun = perf_counter()
        work_on(mine, _TIMED)
        add_threads((perf_counter() - begun) / _TIMED)
    work_on(mine, 0)
    for other in others:
        other.join()
    if failures:
        raise failures[min(failures)]
