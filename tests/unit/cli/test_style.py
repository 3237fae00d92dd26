import os
import subprocess
import sys
from pathlib import Path

import pytest

from chonkle.cli.style import (
    Styled,
    color_of_environment,
    colored_message,
    styled_outcome,
)

CODE = "\x1b["


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"NO_COLOR": "", "FORCE_COLOR": ""}, None),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "0"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm"}, None),
    ],
)
def test_variables_choose_colours(variables: dict[str, str], *, expected: bool | None) -> None:
    assert color_of_environment(variables) is expected


def test_a_text_with_a_style_is_the_text() -> None:
    text = Styled("word", "error")
    assert (text, len(text), f"{text}!", text.style) == ("word", 4, "word!", "error")


def test_the_first_word_and_the_hint_of_a_message_have_colours() -> None:
    red, cyan, end = "\x1b[31m\x1b[1m", "\x1b[36m", "\x1b[0m"
    assert (
        colored_message("error: no hint: x; hint: do")
        == f"{red}error:{end} no hint: x; {cyan}hint:{end} do"
    )
    assert colored_message("an error: not first") == "an error: not first"


def test_an_outcome_has_a_style() -> None:
    space, word, rest = styled_outcome("  failed  name")
    assert (space, word, rest) == ("  ", "failed", "  name")
    assert isinstance(word, Styled)
    assert styled_outcome("built x") == ("built x",)
    assert styled_outcome("") == ("",)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.endswith("_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "chonkle", *arguments],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "is_colored"),
    [
        ((), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "always"), {}, True),
        (("--color=always",), {"NO_COLOR": "1"}, True),
        (("--color=never",), {"FORCE_COLOR": "1"}, False),
        (("--color=auto",), {"FORCE_COLOR": "1"}, False),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_outputs_and_errors_have_colours_where_wanted(
    arguments: tuple[str, ...], variables: dict[str, str], *, is_colored: bool, is_first: bool
) -> None:
    for command in (("inspect", "--help"), ("inspect", os.devnull), ("cache", "info", "--json")):
        words = (*arguments, *command) if is_first else (*command, *arguments)
        if "--help" in command and not is_first:
            words = ("inspect", *arguments, "--help")
        done = run(*words, **variables)
        assert done.returncode == (1 if os.devnull in command else 0)
        text = done.stdout + done.stderr
        assert (CODE in text) == (is_colored and "--json" not in command), words


def test_wrong_usage_has_colours_where_wanted() -> None:
    assert CODE in run("--color", "always", "inspect").stderr
    assert CODE in run("inspect", "--color", "always").stderr
    assert CODE not in run("inspect", "--color", "never", FORCE_COLOR="1").stderr
    wrong = run("codecs", "--color", "red")
    assert wrong.returncode == 2
    assert "--color: `red` is not one of `auto`, `always`, `never`" in wrong.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_has_colours_and_a_pipe_beside_it_has_not(tmp_path: Path) -> None:
    import pty  # noqa: PLC0415 - not on Windows

    piped = tmp_path / "stdout"
    reader, terminal = pty.openpty()
    with piped.open("wb") as stdout:
        program = [sys.executable, "-m", "chonkle", "codecs", "zlib"]
        kept = {name: text for name, text in os.environ.items() if not name.endswith("_COLOR")}
        subprocess.run(
            program, env={**kept, "TERM": "xterm"}, stdout=stdout, stderr=terminal, check=True
        )
        subprocess.run(
            [*program, "no-such"],
            env={**kept, "TERM": "xterm"},
            stdout=stdout,
            stderr=terminal,
            check=False,
        )
    os.close(terminal)
    said = os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert said.startswith(f"{CODE}31m")
    assert CODE not in piped.read_text()
