"""Programs that are run: what they said, and how they ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from chonkle_toolchain.process import ToolError, first_line, run

from chonkle.errors import BuildError


def script(text: str) -> Sequence[str]:
    return (sys.executable, "-c", text)


def test_what_a_program_says_is_given() -> None:
    warnings: list[str] = []
    says = script("import sys; print(input()); print('careful', file=sys.stderr)")
    assert run(says, what="asking", stdin=b"yes\n", warn=warnings.append).split() == [b"yes"]
    assert warnings == ["careful"]
    assert run(script("print('yes')"), what="asking", warn=warnings.append).split() == [b"yes"]
    assert warnings == ["careful"]
    assert first_line(script("print('one\\ntwo')")) == "one"


def test_a_program_that_fails_is_told_with_its_words() -> None:
    with pytest.raises(ToolError, match=r"^asking failed with exit code 3$") as caught:
        run(script("import sys; print('no', file=sys.stderr); sys.exit(3)"), what="asking")
    assert caught.value.said == "no"
    with pytest.raises(BuildError, match="asking: `none` cannot be started: No such file"):
        run(["/nowhere/none"], what="asking")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_program_that_is_killed_is_told_with_the_signal() -> None:
    for number, name in ((9, "SIGKILL"), (6, "SIGABRT")):
        with pytest.raises(ToolError, match=f"^asking failed with the signal {name}$") as caught:
            run(script(f"import os; os.kill(os.getpid(), {number})"), what="asking")
        assert caught.value.said == ""


class EndedError(Exception):
    """What the handler raises here."""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_signal_at_the_start_ends_the_program_too(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start: Any = subprocess.Popen

    def start_and_be_told(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        # Python runs handlers before it has stored what was started.
        os.kill(os.getpid(), signal.SIGTERM)
        return started[-1]

    def end(*_: object) -> None:
        raise EndedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        monkeypatch.setattr(subprocess, "Popen", start_and_be_told)
        with pytest.raises(EndedError):
            run(["sleep", "600"], what="sleeping")
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
    assert started[0].wait(timeout=60) == -signal.SIGKILL
