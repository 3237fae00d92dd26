"""Options and output that several commands share."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from chonkle.cli.output import json_text, print_lines, without_progress
from chonkle.cli.progress import progress
from chonkle.cli.signals import terminable
from chonkle_toolchain.process import ToolError

FOLDER = click.Path(file_okay=False, path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


_PLACE_OPTIONS = (
    click.option("--vectors", type=FOLDER, help="Golden vectors for FILE."),
    click.option("--codec-src", type=FOLDER, help="For DIR: codecs' folders, with golden vectors."),
    click.option(
        "--allow-import",
        "allowed_imports",
        multiple=True,
        metavar="NAME",
        help="Let codecs import this; NAME may have `*` in it. Repeatable.",
    ),
)


def place_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options about the files that a command verifies; `check_place` reads them."""
    for option in reversed(_PLACE_OPTIONS):
        command = option(command)
    return command


def check_place(place: Path | str, vectors: Path | None, codec_src: Path | None) -> None:
    """Refuse options that would do nothing for a file, a folder or a reference."""
    if isinstance(place, str):
        if vectors is not None or codec_src is not None:
            raise click.UsageError("a published codec has golden vectors attached to it")
    elif place.is_file() and codec_src is not None:
        raise click.UsageError("--codec-src is for a folder; a file has --vectors")
    elif not place.is_file() and vectors is not None:
        raise click.UsageError("--vectors is for a file; a folder has --codec-src")


class PathOrReference(click.ParamType["Path | str"]):
    """An existing file or folder, or a reference to a published codec."""

    name = "path"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path | str:
        """Tell the two apart by the scheme."""
        from chonkle.oci.model import artifact_scheme  # noqa: PLC0415 - most commands need it not

        if isinstance(value, str) and artifact_scheme(value):
            return value
        path = click.Path(exists=True, path_type=Path).convert(str(value), param, ctx)
        return Path(os.fsdecode(path))


class JsonList:
    """A JSON list that is printed item by item as they come; nothing before the first."""

    def __init__(self) -> None:
        self._is_begun = False

    def add(self, item: object) -> None:
        """Print one more item."""
        with without_progress():
            click.echo(",\n" if self._is_begun else "[\n", nl=False)
            click.echo(indent(json_text(item), "  "), nl=False)
        self._is_begun = True

    def end(self) -> None:
        """Print the end of a list that has items."""
        click.echo("\n]")


@contextlib.contextmanager
def running_tools() -> Iterator[Callable[[str], None]]:
    """Show progress and the messages of a tool that fails, and end tools with the command.

    Yields:
        A function to call with each step that begins.
    """
    with terminable(), progress() as shown:
        try:
            yield shown.step
        except ToolError as failure:
            print_lines(*failure.said.splitlines(), err=True)
            raise
