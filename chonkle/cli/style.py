"""Colours on a terminal: every style, and when it is used.

click writes colours to a terminal only. NO_COLOR (no-color.org), FORCE_COLOR (force-color.org) and
`--color` decide otherwise; the option counts before the variables.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal, Self

import click

type Style = Literal["heading", "error", "warning", "hint", "good", "name"]

# The eight colours that every terminal has, as its user chose them.
_STYLES: Mapping[Style, Mapping[str, Any]] = {
    "heading": {"bold": True},
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "hint": {"fg": "cyan"},
    "good": {"fg": "green"},
    "name": {"fg": "cyan"},
}
# Words that begin a line about something that was checked or done, and their styles.
_OUTCOMES: Mapping[str, Style] = {
    "passed": "good",
    "failed": "error",
    "stale": "warning",
    "same": "good",
    "different": "error",
}
# First words of a message, and their styles.
_MESSAGES: Mapping[str, Style] = {"error: ": "error", "warning: ": "warning"}
_HINT = "hint: "
_CHOICES: Mapping[str, bool | None] = {"auto": None, "always": True, "never": False}


class Styled(str):
    """A text with a style; equal to the text without it.

    Attributes:
        style: its style.
    """

    __slots__ = ("style",)
    style: Style

    def __new__(cls, text: str, style: Style) -> Self:
        """Give a text a style."""
        styled = super().__new__(cls, text)
        styled.style = style
        return styled


def colored(text: str, style: Style) -> str:
    """Give a text with the codes of a style, which click removes where there is no terminal."""
    return click.style(text, **_STYLES[style])


def colored_message(line: str) -> str:
    """Give a line of standard error with the colours of an error, a warning and a hint."""
    for word, style in _MESSAGES.items():
        if line.startswith(word):
            line = colored(word[:-1], style) + line[len(word) - 1 :]
    # Only the last one is ours: what is before may be quoted.
    before, found, hint = line.rpartition(_HINT)
    return f"{before}{colored(found[:-1], 'hint')} {hint}" if found else line


def styled_outcome(line: str) -> tuple[str, ...]:
    """Give a line that begins with an outcome in parts, of which the outcome has a style."""
    text = line.lstrip()
    word = text.partition(" ")[0]
    if word not in _OUTCOMES:
        return (line,)
    return line[: len(line) - len(text)], Styled(word, _OUTCOMES[word]), text[len(word) :]


def color_of_environment(variables: Mapping[str, str] = os.environ) -> bool | None:
    """Read whether to use colours: always, never, or on a terminal only."""
    if variables.get("NO_COLOR") or variables.get("TERM") == "dumb":
        return False
    return True if variables.get("FORCE_COLOR") else None


def _choose(context: click.Context, _: click.Parameter, choice: str | None) -> None:
    if choice is None:
        return
    color = _CHOICES[choice]
    # The command's, and its group's, which reports errors.
    each: click.Context | None = context
    while each is not None:
        each.color = color
        each = each.parent
    if isinstance(context.obj, ColorChoice):
        context.obj.color = color


class ColorChoice:
    """Whether to use colours, after the command has ended too.

    Attributes:
        color: whether to use them; None on a terminal only.
    """

    def __init__(self, color: bool | None) -> None:  # noqa: FBT001 - one value, with three states
        self.color = color


def color_option() -> click.Option:
    """Make the option `--color`."""
    return click.Option(
        ["--color"],
        type=click.Choice(tuple(_CHOICES)),
        is_eager=True,
        expose_value=False,
        callback=_choose,
        help="When to use colours.  [default: auto, on a terminal]",
    )
