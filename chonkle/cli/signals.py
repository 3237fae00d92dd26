"""How a command ends on SIGINT and SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

# What a shell reports for a terminated process: 128 + SIGTERM.
_TERMINATED = 143


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once, where nothing has to be cleaned up.

    Python handles a signal only after a guest, or the compiler, has returned.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        # A process that ignores or handles the signal keeps doing so.
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the process as Ctrl-C does, so that a half-written file is removed.

    Elsewhere SIGTERM ends the process at once, even while code is compiled.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        # A process that ignores or handles the signal keeps doing so.
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_number: int, _frame: FrameType | None) -> Never:
    raise SystemExit(_TERMINATED)
