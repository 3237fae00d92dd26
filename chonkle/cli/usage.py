"""Wrong usage of the command line, reported as every other error: what, then a hint."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from chonkle.errors import ChonkleError, LimitError, suggest

# click quotes as Python does.
_QUOTED = re.compile(r"(?<!\w)'([^']*)'(?!\w)")
_LITERAL = re.compile(r"`([^`]*)`")


class WrongUsage(ChonkleError):  # noqa: N818 - the word of the documentation
    """The command line is wrong, whatever the files on it hold."""

    exit_code = 2


@contextmanager
def checked_limits() -> Iterator[None]:
    """Report a limit that an option sets and that is refused as wrong usage."""
    try:
        yield
    except LimitError as failure:
        raise WrongUsage(str(failure)) from failure


def translate(failure: click.ClickException) -> ChonkleError:
    """Give an error of click, from any command, the form of chonkle's errors."""
    if not isinstance(failure, click.UsageError):
        return ChonkleError(_plain(failure.format_message()))
    names = _names(failure)
    what, expected = _plain(failure.format_message()), ""
    match failure:
        case click.NoSuchOption():
            what = f"no such option `{failure.option_name}`"
        case click.MissingParameter(param=click.Parameter() as parameter):
            what = f"missing {parameter.param_type_name} {_shown(parameter)}"
            expected = " or ".join(f"`{name}`" for name in names)
        case click.BadParameter(param=click.Parameter() as parameter):
            what = f"{_shown(parameter)}: {_plain(failure.message)}"
    command = failure.ctx.command_path if failure.ctx else "chonkle"
    wrong = _LITERAL.search(what)
    hint = suggest(wrong[1] if wrong else "", names, otherwise=f"see `{command} --help`")
    return WrongUsage(what, expected=expected, hint=hint)


def _names(failure: click.UsageError) -> Sequence[str]:
    """Give the names of which the wrong one should have been."""
    match failure:
        case click.NoSuchOption(ctx=click.Context() as context):
            parameters = context.command.get_params(context)
            return [
                name
                for each in parameters
                if isinstance(each, click.Option)
                for name in (*each.opts, *each.secondary_opts)
            ]
        case click.BadParameter(param=click.Parameter(type=kind)):
            return [str(each) for each in getattr(kind, "choices", ())]
        case click.UsageError(
            message=str(message), ctx=click.Context(command=click.Group() as group) as context
        ) if message.startswith("No such command"):
            return group.list_commands(context)
    return ()


def _shown(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return " / ".join(parameter.opts)
    return parameter.human_readable_name


def _plain(message: str) -> str:
    """Write a message of click as chonkle's are: a clause that begins in lower case."""
    text = _QUOTED.sub(r"`\1`", message).strip().removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
