"""How a command ends that was told to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

# What a shell gives a process that was told to end: 128 + SIGTERM.
_TERMINATED = 143


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once, where nothing has to be tidied up.

    Python itself looks only when a guest, or the compiler, has returned.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        # Who ignores it, or waits for it, goes on doing so.
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the process as Ctrl-C does: half a file is removed on the way out.

    Elsewhere it ends the process at once, also where Python has no say, as while code is compiled.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        # Who ignores it, or waits for it, goes on doing so.
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_number: int, _frame: FrameType | None) -> Never:
    raise SystemExit(_TERMINATED)
