"""The command line: one file for each command, imported when the command is used."""

import gc
import sys
from collections.abc import Mapping
from importlib import import_module
from io import StringIO
from types import ModuleType
from typing import Any

import click

from chonkle.cli.output import print_lines
from chonkle.errors import ChonkleError, explained
from chonkle.version import __version__

# Command -> where it is. A command that is not used is not imported.
_COMMANDS = {
    "run": "chonkle.cli.run:run",
    "validate": "chonkle.cli.validate:validate",
    "codecs": "chonkle.cli.codecs:codecs",
    "pull": "chonkle.cli.pull:pull",
    "lock": "chonkle.cli.lock:lock",
    "inspect": "chonkle.cli.inspect:inspect",
    "embed-signature": "chonkle.cli.embed_signature:embed_signature",
    "cache": "chonkle.cli.cache:cache",
}
# What a shell gives a process that was interrupted: 128 + SIGINT.
_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is asked for.

    Args of the constructor:
        places: command -> where it is, as `module:name`.
        attributes: those of any group.
    """

    def __init__(self, *, places: Mapping[str, str], **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(**attributes)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        # Importing makes many objects and no garbage: looking for some, now and at the end, would
        # take a tenth of the time of a whole run from a warm cache.
        gc.disable()
        command = getattr(import_module(module), name)
        gc.freeze()
        gc.enable()
        assert isinstance(command, click.Command)  # noqa: S101 - the tables are ours
        return command


class _OpenGroup(LazyGroup):
    """chonkle's own commands, and those that other distributions add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, chonkle's own first."""
        return [name for names in self._sections(ctx).values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; one of chonkle's own is not looked for elsewhere."""
        return super().get_command(ctx, cmd_name) or _extensions().added_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for chonkle, and one for each distribution that adds commands."""
        sections = self._sections(ctx)
        width = max(len(name) for names in sections.values() for name in names)
        for title, names in sections.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                if command is not None:
                    rows.append((name.ljust(width), command.get_short_help_str(formatter.width)))
            with formatter.section(title):
                formatter.write_dl(rows)

    def _sections(self, ctx: click.Context) -> dict[str, list[str]]:
        own = super().list_commands(ctx)
        added = {
            f"Commands of {distribution}": [name for name in names if name not in own]
            for distribution, names in _extensions().added_names().items()
        }
        return {"Commands": own, **added}


def _extensions() -> ModuleType:
    # Late: reading what is installed takes longer than importing all of a small run.
    return import_module("chonkle.cli.extensions")


@click.group(
    cls=_OpenGroup,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="chonkle")
def chonkle() -> None:
    """Run codecs for chunked arrays: sandboxed WebAssembly at native speed.

    A pipeline is a JSON file that wires codecs together. One file serves both directions:

    \b
      chonkle run tile.json --input bytes=tile.bin --output bytes=pixels.raw
      chonkle run tile.json --direction encode --input bytes=pixels.raw --output bytes=tile.bin
    """


def main() -> None:
    """Run the command line; failures end as one line on standard error."""
    try:
        code = chonkle.main(standalone_mode=False)
    except click.exceptions.Abort:
        print_lines("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except click.ClickException as failure:
        words = StringIO()
        failure.show(words)
        print_lines(*words.getvalue().rstrip().split("\n"), err=True)
        sys.exit(failure.exit_code)
    except ChonkleError as failure:
        print_lines(*f"error: {failure}".split("\n"), err=True)
        sys.exit(failure.exit_code)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Standard output is closed here, so that Python
        # does not complain about it on the way out.
        sys.stderr.close()
        sys.exit(1)
    except OSError as failure:
        print_lines(f"error: {explained(failure)}", err=True)
        sys.exit(1)
    except MemoryError:
        print_lines("error: out of memory", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
