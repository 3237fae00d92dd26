"""Running other programs; a failure is a `BuildError` with their output."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from chonkle.errors import BuildError


class ToolError(BuildError):
    """A tool that failed.

    Attributes:
        said: its own message, as printed.
    """

    def __init__(self, what: str, *, said: str, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.said = said


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Run a program to its end.

    Args:
        command: the program and its arguments, without a shell.
        what: what is being done, for the message.
        stdin: bytes for its standard input.
        cwd: the folder to run in.
        environment: the whole environment; this process's own by default.
        warn: told its standard error, unless that is empty, when it succeeds.

    Returns:
        Its standard output.

    Raises:
        BuildError: when it cannot be started.
        ToolError: when it exits with a failure.
    """
    with contextlib.ExitStack() as starting:
        starting.enter_context(_signals_held_back())
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=environment,
                # Compilers start others; all of them end together.
                process_group=0,
            )
        except OSError as failure:
            program = Path(command[0]).name
            reason = failure.strerror
            raise BuildError(f"{what}: `{program}` cannot be started: {reason}") from failure
        with process:
            try:
                starting.close()
                stdout, stderr = process.communicate(stdin)
            except BaseException:
                _end(process)
                raise
    said = stderr.decode(errors="replace").strip()
    if process.returncode:
        raise ToolError(f"{what} failed with {_ending(process.returncode)}", said=said)
    if said:
        warn(said)
    return stdout


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold back signals that raise exceptions until the started program can be ended.

    A signal may come after the program starts and before Python has its number.
    """
    handlers: dict[int, Callable[..., object]] = {}
    came: list[int] = []
    # Only the main thread may change handlers, and only there do they raise.
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(each)
            if callable(handler):
                handlers[each] = handler
                signal.signal(each, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _ending(code: int) -> str:
    """Describe how a failed program ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"the signal {-code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it started."""
    if sys.platform == "win32":
        process.kill()
    elif process.poll() is None:
        # It may have ended meanwhile.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def first_line(command: Sequence[str | Path]) -> str | None:
    """Give the first line that a program prints, or None when it cannot be run."""
    try:
        said = run(command, what="asking for a version")
    except BuildError:
        return None
    return said.decode(errors="replace").strip().partition("\n")[0].strip()
