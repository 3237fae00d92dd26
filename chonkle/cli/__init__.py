"""The command line: one file for each command, imported when the command is used."""

import gc
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from chonkle.cli.extensions import added_command, added_commands
from chonkle.cli.help import adopt
from chonkle.cli.output import print_failure, print_lines
from chonkle.cli.style import ColorChoice, color_of_environment
from chonkle.cli.usage import translate
from chonkle.errors import ChonkleError, os_error_text
from chonkle.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Command -> the click command and its short help.
_COMMANDS = {
    "run": ("chonkle.cli.run:run", "Run a pipeline on files."),
    "decode": ("chonkle.cli.decode:decode", "Decode a chunk with its codec list."),
    "encode": ("chonkle.cli.encode:encode", "Encode a chunk with its codec list."),
    "pipeline": (
        "chonkle.cli.pipeline:pipeline",
        "Make pipelines of what other programs write.",
    ),
    "validate": ("chonkle.cli.validate:validate", "Check a pipeline without running it."),
    "codecs": ("chonkle.cli.codecs:codecs", "List the available codecs."),
    "pull": ("chonkle.cli.pull:pull", "Install a codec from a registry."),
    "lock": ("chonkle.cli.lock:lock", "Lock the codecs of a pipeline."),
    "inspect": ("chonkle.cli.inspect:inspect", "Show the signature and interface of a wasm file."),
    "embed-signature": (
        "chonkle.cli.embed_signature:embed_signature",
        "Put a signature into a wasm file.",
    ),
    "cache": ("chonkle.cli.cache:cache", "Manage the cache of native code."),
    "completion": (
        "chonkle.cli.completion:completion",
        "Let a shell complete commands and options.",
    ),
    "doctor": ("chonkle.cli.doctor:doctor", "Show what is in effect here, and what is wrong."),
}
# What a shell reports for an interrupted process: 128 + SIGINT.
_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that lists its commands from a table, and imports only the one that is used.

    Args of the constructor:
        table: each command, with its click command as `module:attribute` and its short help.
        attributes: those of any group.
    """

    def __init__(self, *, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(**attributes)
        self._table = table

    def sections(self) -> dict[str, dict[str, str]]:
        """Give the short help of each command, by the title of its list in the help and name."""
        return {"Commands": {name: text for name, (_, text) in self._table.items()}}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands."""
        return [name for texts in self.sections().values() for name in texts]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._table:
            return None
        module, attribute = self._table[cmd_name][0].split(":")
        # Importing makes many objects and no garbage: collections, now and at exit, would take a
        # tenth of the time of a run from a warm cache.
        gc.disable()
        command = getattr(import_module(module), attribute)
        gc.freeze()
        gc.enable()
        assert isinstance(command, click.Command)  # noqa: S101 - the tables are ours
        return adopt(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the lists of commands."""
        sections = self.sections()
        width = max(len(name) for texts in sections.values() for name in texts)
        for title, texts in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in texts.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete the name of a command, or of an option of the group."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a shell needs it

        commands = [
            CompletionItem(name, help=text)
            for texts in self.sections().values()
            for name, text in texts.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


class _OpenGroup(LazyGroup):
    """chonkle's own commands, and those that other distributions add."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; chonkle's own cannot be replaced."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        added = added_command(cmd_name)
        return None if added is None else adopt(added)

    def sections(self) -> dict[str, dict[str, str]]:
        """Give chonkle's own commands, and a list for each distribution that adds some."""
        added = {
            f"Commands of {distribution}": {
                name: text for name, text in texts.items() if name not in self._table
            }
            for distribution, texts in added_commands().items()
        }
        return {**super().sections(), **added}


@click.group(
    cls=_OpenGroup,
    table=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="chonkle")
def chonkle() -> None:
    """Run codecs for chunked arrays: sandboxed WebAssembly at native speed.

    A pipeline is a JSON file that wires codecs together. It runs in both directions. A codec list
    is the short form, beside a chunk. `chonkle COMMAND --help` describes a command.

    \b
    Environment:
      NO_COLOR FORCE_COLOR

    \b
    Examples:
      chonkle run tile.json --input bytes=tile.bin --output bytes=pixels.raw
      chonkle run tile.json --direction encode \\
          --input bytes=pixels.raw --output bytes=tile.bin
      chonkle decode --zarr data.zarr/temperature --chunk 0.3 -o chunk.npy
      chonkle codecs
      chonkle doctor

    \b
    See also:
      docs/reference/cli.md, and docs/reference/environment.md for all variables; `chonkle doctor`
      shows which of them are set.
    """


adopt(chonkle)


def main() -> None:
    """Run the command line; a failure ends as one line on standard error."""
    # It outlives the context of the command, in which failures are not reported.
    choice = ColorChoice(color_of_environment())
    try:
        code = chonkle.main(
            prog_name="chonkle", standalone_mode=False, obj=choice, color=choice.color
        )
    except click.exceptions.Abort:
        print_lines("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as failure:
        failure.show()
        sys.exit(failure.exit_code)
    except click.ClickException as failure:
        _fail(translate(failure), choice)
    except ChonkleError as failure:
        _fail(failure, choice)
    except BrokenPipeError:
        # The reader of our output has left. Standard error is closed here, so that Python does not
        # report the same at exit.
        sys.stderr.close()
        sys.exit(1)
    except OSError as failure:
        _fail(ChonkleError(os_error_text(failure)), choice)
    except MemoryError:
        _fail(ChonkleError("out of memory"), choice)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(failure: ChonkleError, choice: ColorChoice) -> NoReturn:
    print_failure(f"error: {failure}", color=choice.color)
    sys.exit(failure.exit_code)
