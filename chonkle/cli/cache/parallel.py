"""Work on many items in parallel, with a progress bar on a terminal."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from chonkle.cli.progress import progress
from chonkle.cli.signals import interruptible

# The usual stack of a main thread. Some systems give other threads a hundredth of it, where deep
# code would crash the compiler.
_STACK_BYTES = 8 << 20


def work_through[T, R](items: Sequence[T], work: Callable[[T], R], *, label: str) -> list[R]:
    """Process items on as many threads as there are processors; results keep their order.

    Compiling and hashing release the interpreter's lock. Ctrl-C ends the process at once.
    """
    executor = ThreadPoolExecutor(os.process_cpu_count() or 1)
    stack_bytes = threading.stack_size(_STACK_BYTES)
    try:
        futures = [executor.submit(work, item) for item in items]
        with interruptible(), progress(label, total=len(futures)) as shown:
            for _ in as_completed(futures):
                shown.advance()
        return [future.result() for future in futures]
    finally:
        # After a failure, items that were not started are skipped.
        executor.shutdown(cancel_futures=True)
        threading.stack_size(stack_bytes)
