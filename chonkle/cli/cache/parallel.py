"""Work on many things at once, with a bar that grows where somebody watches."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import click

from chonkle.cli.signals import interruptible

# What a process begins with nearly everywhere. Some systems give further threads a hundredth of it,
# and a compiler that meets deep code there ends the process.
_STACK_BYTES = 8 << 20


def work_through[T, R](things: Sequence[T], work: Callable[[T], R], *, label: str) -> list[R]:
    """Do some work on each of several things, on as many threads as there are processors.

    Compiling and hashing release the interpreter's lock. Ctrl-C ends the process at once.

    Args:
        things: the things.
        work: what to do.
        label: what is done, for the bar on a terminal.

    Returns:
        What each gave, in the order of the things.
    """
    is_watched = sys.stderr is not None and sys.stderr.isatty()
    executor = ThreadPoolExecutor(os.process_cpu_count() or 1)
    stack_bytes = threading.stack_size(_STACK_BYTES)
    try:
        futures = [executor.submit(work, thing) for thing in things]
        with (
            interruptible(),
            click.progressbar(
                length=len(futures), label=label, file=sys.stderr, hidden=not is_watched
            ) as bar,
        ):
            for _ in as_completed(futures):
                bar.update(1)
        return [future.result() for future in futures]
    finally:
        # What has begun cannot be stopped; what has not, nobody waits for after a failure.
        executor.shutdown(cancel_futures=True)
        threading.stack_size(stack_bytes)
