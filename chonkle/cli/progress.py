"""Progress of what takes more than a second: one line on a terminal, removed at the end.

The line says what the command does and for how long, or has a bar where the amount is known:

    compiling `zlib-rs`, 12 s
    compiling  ━━━━━━━━━━────────────────────  12/36, 3 s

The cursor stays visible and behind the line, so that Ctrl-C may end the process at any time.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from chonkle.cli.output import PROGRESS_KEY, format_size, terminal_width
from chonkle.cli.style import colored
from chonkle.errors import printable

_BAR_WIDTH = 30
_PERIOD_S = 0.1
# Return to the line's beginning, and erase the line (ECMA-48, CR and EL).
_ERASE = "\r\x1b[K"


class Progress:
    """The line, drawn by a thread: the work itself need not call back.

    Args of the constructor:
        stream: the terminal; None draws nothing.
        what: what the command does.
        total: how much there is to do; 0 is unknown.
        is_size: whether that is a number of bytes.
        color: whether the bar has a colour.
        delay_s: how long the work may take before the line appears.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO | None,
        what: str = "",
        *,
        total: int = 0,
        is_size: bool = False,
        color: bool = True,
        delay_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._what = what
        self._total = total
        self._done = 0
        self._is_size = is_size
        self._color = color
        self._clock = clock
        self._step_began_s = clock()
        self._appears_s = self._step_began_s + delay_s
        self._drawn = ""  # what the terminal shows
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if stream is not None:
            self._thread = threading.Thread(
                target=self._draw_often, name="chonkle-progress", daemon=True
            )
            self._thread.start()

    def step(self, what: str) -> None:
        """Say what the command does from now on."""
        with self._lock:
            self._what = what
            self._step_began_s = self._clock()

    def advance(self, count: int = 1) -> None:
        """Say that so much more is done."""
        with self._lock:
            self._done = min(self._done + count, self._total)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the line while something else is printed."""
        with self._lock:
            self._erase()
            yield

    def close(self) -> None:
        """Remove the line. Idempotent."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._erase()

    def _draw_often(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            with self._lock:
                if not self._what or self._clock() < self._appears_s:
                    continue
                line = self._line(terminal_width())
                if line != self._drawn:
                    self._write(_ERASE + line)
                    self._drawn = line

    def _erase(self) -> None:
        if self._drawn:
            self._write(_ERASE)
            self._drawn = ""

    def _write(self, text: str) -> None:
        assert self._stream is not None  # noqa: S101 - nothing is drawn without it
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal is gone; the work goes on.
            self._ended.set()

    def _line(self, width: int) -> str:
        what = printable(self._what)
        elapsed = f"{self._clock() - self._step_began_s:.0f} s"
        if not self._total:
            # One column less: some terminals begin a new line when the last one is used.
            room = max(width - len(elapsed) - 3, 1)
            return f"{what if len(what) <= room else f'{what[: room - 3]}...'}, {elapsed}"
        done, total = (
            (format_size(self._done), format_size(self._total))
            if self._is_size
            else (str(self._done).rjust(len(str(self._total))), str(self._total))
        )
        behind = f"  {done}/{total}, {elapsed}"
        bar_width = min(_BAR_WIDTH, width - len(what) - len(behind) - 3)
        return f"{what}  {self._bar(bar_width)}{behind}" if bar_width > 0 else f"{what}{behind}"

    def _bar(self, width: int) -> str:
        filled = width * self._done // self._total
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        full, empty = ("━", "─") if encoding.lower().replace("-", "") == "utf8" else ("#", "-")
        bar = full * filled
        return (colored(bar, "name") if self._color else bar) + empty * (width - filled)


@contextmanager
def progress(what: str = "", *, total: int = 0, is_size: bool = False) -> Iterator[Progress]:
    """Show progress on standard error while a block runs, if that is a terminal.

    Args:
        what: what the command does; nothing is shown before it, or `step`, says so.
        total: how much there is to do; 0 is unknown.
        is_size: whether that is a number of bytes.
    """
    context = click.get_current_context(silent=True)
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    shown = Progress(
        sys.stderr if is_terminal else None,
        what,
        total=total,
        is_size=is_size,
        color=context is None or context.color is not False,
    )
    meta = {} if context is None else context.meta
    outer = meta.get(PROGRESS_KEY)
    meta[PROGRESS_KEY] = shown
    try:
        yield shown
    finally:
        shown.close()
        meta[PROGRESS_KEY] = outer
