import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from chonkle.cli.output import print_lines
from chonkle.cli.progress import Progress, progress

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


class Terminal(io.StringIO):
    """Keeps what is written, and says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """What a terminal shows in its last line: the text after the last erasure."""
        return self.getvalue().rpartition("\x1b[K")[2]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def wait_for(terminal: Terminal, pattern: str) -> str:
    ends_s = time.monotonic() + 20
    while time.monotonic() < ends_s:
        if re.fullmatch(pattern, terminal.shown()):
            return terminal.shown()
        time.sleep(0.01)
    pytest.fail(f"no `{pattern}` in {terminal.getvalue()!r}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def test_steps_are_shown_with_their_time_and_removed(terminal: Terminal, clock: Clock) -> None:
    shown = Progress(terminal, "compiling `a`", clock=clock)
    clock.now_s = 12
    wait_for(terminal, "compiling `a`, 12 s")
    shown.step("checking \x1b[2J")
    clock.now_s = 15
    wait_for(terminal, r"checking \\x1b\[2J, 3 s")
    shown.close()
    assert terminal.getvalue().endswith("\r\x1b[K")
    shown.close()


def test_an_amount_is_shown_as_a_bar(terminal: Terminal, clock: Clock) -> None:
    shown = Progress(terminal, "checking", total=10, color=False, clock=clock)
    clock.now_s = 3
    shown.advance(5)
    wait_for(terminal, f"checking  {'━' * 15}{'─' * 15}   5/10, 3 s")
    shown.advance(99)
    wait_for(terminal, f"checking  {'━' * 30}  10/10, 3 s")
    shown.close()


def test_sizes_colours_and_other_encodings(terminal: Terminal, clock: Clock) -> None:
    shown = Progress(terminal, "sending", total=4096, is_size=True, clock=clock)
    clock.now_s = 2
    shown.advance(1024)
    wait_for(
        terminal, re.escape(f"sending  \x1b[36m{'━' * 7}\x1b[0m{'─' * 23}  1.0 KiB/4.0 KiB, 2 s")
    )
    shown.close()
    plain = Terminal()
    plain.encoding = "ascii"
    shown = Progress(plain, "sending", total=2, color=False, clock=clock)
    clock.now_s = 4
    shown.advance()
    wait_for(plain, f"sending  {'#' * 15}{'-' * 15}  1/2, 2 s")
    shown.close()


@pytest.mark.parametrize("columns", [20, 40])
def test_a_line_never_wraps(
    columns: int, terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = Progress(terminal, "fetching oci://registry.example/a/long/name:1.0.0", clock=clock)
    clock.now_s = 7
    line = wait_for(terminal, r"fetching oc.*\.\.\., 7 s")
    assert len(line) < columns
    shown.close()
    shown = Progress(terminal, "checking", total=100, color=False, clock=clock)
    clock.now_s = 9
    assert len(wait_for(terminal, r"checking.*  0/100, 2 s")) < max(columns, 24)
    shown.close()


def test_what_is_short_is_not_shown(terminal: Terminal) -> None:
    shown = Progress(terminal, "compiling")
    time.sleep(0.3)
    shown.close()
    assert terminal.getvalue() == ""


def test_a_terminal_that_went_away_ends_nothing(clock: Clock) -> None:
    class Gone(Terminal):
        def write(self, _text: str) -> int:
            raise OSError(5, "Input/output error")

    shown = Progress(Gone(), "compiling", delay_s=0, clock=clock)
    time.sleep(0.3)
    shown.close()


def test_output_and_errors_stand_alone(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)

    def fail() -> None:
        with click.Context(click.Command("x"), color=False), progress("compiling"):
            wait_for(terminal, "compiling, . s")
            print_lines("a line", err=True)
            wait_for(terminal, "compiling, . s")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    written = terminal.getvalue()
    assert "s\r\x1b[Ka line\n\r\x1b[Kcompiling" in written
    assert written.endswith("\r\x1b[K")


def test_a_pipe_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.StringIO()
    monkeypatch.setattr(sys, "stderr", piped)
    with progress("compiling") as shown:
        shown.step("more")
        time.sleep(1.3)
    monkeypatch.setattr(sys, "stderr", None)
    with progress("compiling"):
        pass
    assert piped.getvalue() == ""


@pytest.fixture
def slow(tmp_path: Path) -> list[str]:
    """Give a command that shows progress until it is interrupted."""
    code = f"""
import sys, time
sys.argv = ["chonkle", "lock", {str(tmp_path / "p.json")!r}]
import chonkle.cli.lock as lock
def wait(*_, **__):
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise
lock.load = lambda _: None
lock.runtime_of = lambda _: None
lock.make_lock = wait
from chonkle.cli import main
main()
"""
    return [sys.executable, "-c", code]


@posix
def test_ctrl_c_ends_the_process_and_leaves_the_cursor(slow: list[str]) -> None:
    watched, terminal = os.openpty()
    child = subprocess.Popen(slow, stderr=terminal, stdout=terminal, stdin=terminal)
    os.close(terminal)
    said = b""
    while b"resolving the codecs of" not in said:
        said += os.read(watched, 1024)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=20) == -signal.SIGINT
    os.close(watched)
    assert b"?25l" not in said  # the cursor was never hidden
    assert b"Traceback" not in said
