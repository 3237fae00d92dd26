"""How commands print: text tables or JSON, both on standard output."""

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import click

from chonkle.cli.style import Styled, colored, colored_message
from chonkle.errors import printable

_KIB = 1024
_TIMES = (("d", 86400), ("h", 3600), ("min", 60))

# Where a command keeps its progress, among the data of click's context.
PROGRESS_KEY = "chonkle.progress"

# A text, or the parts of one where some have a style.
type Line = str | tuple[str, ...]


def print_lines(*lines: Line, err: bool = False, color: bool | None = None) -> None:
    """Print lines, with all that is not printable escaped; every command prints through this.

    Args:
        lines: the lines; a line break within one is escaped too.
        err: print on standard error.
        color: whether to use colours; None leaves it to the command that is running.
    """
    if lines:
        with without_progress():
            click.echo("\n".join(_format(line, err=err) for line in lines), err=err, color=color)


def without_progress() -> AbstractContextManager[None]:
    """Remove the line of the running command's progress, if there is one, while printing.

    What a command prints on other ways than through this module is within this.
    """
    context = click.get_current_context(silent=True)
    shown = None if context is None else context.meta.get(PROGRESS_KEY)
    return nullcontext() if shown is None else shown.hidden()


def _format(line: Line, *, err: bool) -> str:
    if isinstance(line, tuple):
        return "".join(map(_format_part, line))
    if err and not isinstance(line, Styled):
        return colored_message(printable(line))
    return _format_part(line)


def _format_part(part: str) -> str:
    text = printable(part)
    return colored(text, part.style) if isinstance(part, Styled) else text


def print_failure(message: str, *, color: bool | None = None) -> None:
    """Print the message of an error on standard error, folded where a terminal would break words.

    Args:
        message: its lines.
        color: whether to use colours; None leaves it to the command that is running.
    """
    lines = message.split("\n")
    if sys.stderr is not None and sys.stderr.isatty():
        width = terminal_width()
        lines = [folded for line in lines for folded in _fold(printable(line), width)]
    print_lines(*lines, err=True, color=color)


def _fold(line: str, width: int) -> list[str]:
    """Fold a line at its words; a hint begins on a line of its own."""
    if len(line) <= width:
        return [line]
    import textwrap  # noqa: PLC0415 - only failures need it

    what, found, hint = line.rpartition("; hint: ")
    parts = [what, f"hint: {hint}"] if found else [line]
    return [
        folded
        for part in parts
        # A path or a command stays whole, to be copied.
        for folded in textwrap.wrap(
            part, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    ]


def print_json(value: object) -> None:
    """Print a JSON document."""
    with without_progress():
        click.echo(json_text(value))


def json_text(value: object) -> str:
    """Write a JSON document in printable ASCII."""
    # JSON escapes every other control character.
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = ()) -> list[Line]:
    """Lay rows out in columns, one line for each row.

    Args:
        rows: cells, the same number in each row; a cell may have a style.
        header: column titles.
    """
    cells = [[_printable_cell(cell) for cell in row] for row in rows]
    lines = [list(header), *cells] if header else cells
    if not lines:
        return []
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    laid_out = [_lay_out(line, widths) for line in lines]
    return [Styled("".join(laid_out[0]), "heading"), *laid_out[1:]] if header else laid_out


def _printable_cell(cell: str) -> str:
    text = printable(cell)
    return Styled(text, cell.style) if isinstance(cell, Styled) else text


def _lay_out(cells: Sequence[str], widths: Sequence[int]) -> Line:
    """Give the cells of a row as one text, or as parts where some have a style."""
    if not any(isinstance(cell, Styled) for cell in cells):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join(padded).rstrip()
    last = max(number for number, cell in enumerate(cells) if cell)
    parts: list[str] = []
    for cell, width in zip(cells[: last + 1], widths[: last + 1], strict=True):
        # Only the word has the style.
        parts += [cell, " " * (width - len(cell) + 2)]
    return tuple(parts[:-1])


def terminal_width() -> int:
    """Give the number of columns of the terminal, 80 where there is none."""
    import shutil  # noqa: PLC0415 - a run of a pipeline does without it

    return shutil.get_terminal_size().columns


def format_size(size_bytes: int) -> str:
    """Write a number of bytes as text: `7.5 KiB`."""
    if size_bytes < _KIB:
        return f"{size_bytes} B"
    value, unit = size_bytes / _KIB, "KiB"
    for larger in ("MiB", "GiB"):
        if value >= _KIB:
            value, unit = value / _KIB, larger
    return f"{value:.1f} {unit}"


def format_entries(count: int) -> str:
    """Write a number of cache entries as text."""
    return "1 entry" if count == 1 else f"{count} entries"


def format_time(seconds: float) -> str:
    """Write a time as text, in the largest unit of which it has two: `36 h`, `340 ms`."""
    for unit, length in _TIMES:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(seconds, 0) * 1e3:.0f} ms"


def format_age(seconds: float) -> str:
    """Write an age as text, in whole seconds or larger units."""
    return format_time(seconds) if seconds >= _TIMES[-1][1] * 2 else f"{max(seconds, 0):.0f} s"
