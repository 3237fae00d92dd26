"""How commands print: text tables or JSON, both on standard output."""

import json
from collections.abc import Sequence

import click

from chonkle.errors import printable

_KIB = 1024
_TIMES = (("d", 86400), ("h", 3600), ("min", 60))


def print_lines(*lines: str, err: bool = False) -> None:
    """Print lines, with all that is not printable escaped; every command prints through this.

    Args:
        lines: the lines; a line break within one is escaped too.
        err: print on standard error.
    """
    if lines:
        click.echo("\n".join(map(printable, lines)), err=err)


def print_json(value: object) -> None:
    """Print a JSON document."""
    click.echo(json_text(value))


def json_text(value: object) -> str:
    """Write a JSON document in printable ASCII."""
    # JSON escapes every other control character.
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = ()) -> list[str]:
    """Lay rows out in columns, one line for each row.

    Args:
        rows: cells, the same number in each row.
        header: column titles.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    lines = [list(header), *cells] if header else cells
    if not lines:
        return []
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


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
