"""Wrong usage of the command line, reported as every other error."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from chonkle.errors import ChonkleError, LimitError, suggest


class WrongUsage(ChonkleError):  # noqa: N818 - the word of the documentation
    """The command line is wrong, whatever its files hold."""

    exit_code = 2


@contextmanager
def checked_limits() -> Iterator[None]:
    """Report an invalid limit of an option as wrong usage."""
    try:
        yield
    except LimitError as failure:
        raise WrongUsage(str(failure)) from failure


def translate(failure: click.ClickException) -> ChonkleError:
    """Make one of chonkle's errors of an error of click, from any command."""
    what, names = _plain(failure.format_message()), _names(failure)
    expected = ""
    match failure:
        case click.NoSuchOption():
            what = f"no such option `{failure.option_name}`"
        case click.MissingParameter(param=click.Parameter() as parameter):
            what = f"missing {parameter.param_type_name} {_format_parameter(parameter)}"
            expected = " or ".join(f"`{name}`" for name in names)
        case click.BadParameter(param=click.Parameter() as parameter):
            what = f"{_format_parameter(parameter)}: {_plain(failure.message)}"
        case click.UsageError():
            pass
        case _:
            return ChonkleError(what)
    wrong = re.search("`([^`]*)`", what)
    otherwise = f"see `{failure.ctx.command_path if failure.ctx else 'chonkle'} --help`"
    hint = suggest(wrong[1] if wrong else "", names, otherwise=otherwise)
    return WrongUsage(what, expected=expected, hint=hint)


def _names(failure: click.ClickException) -> Sequence[str]:
    match failure:
        case click.NoSuchOption(ctx=click.Context() as context):
            parameters = context.command.get_params(context)
            return [name for each in parameters for name in (*each.opts, *each.secondary_opts)]
        case click.BadParameter(param=click.Parameter(type=kind)):
            return [str(each) for each in getattr(kind, "choices", ())]
        case click.UsageError(ctx=click.Context(command=click.Group() as group) as context):
            return group.list_commands(context) if "No such command" in failure.message else ()
    return ()


def _format_parameter(parameter: click.Parameter) -> str:
    is_option = isinstance(parameter, click.Option)
    return " / ".join(parameter.opts) if is_option else parameter.human_readable_name


def _plain(message: str) -> str:
    """Write a message of click as a clause: in lower case, with literals in backticks."""
    text = re.sub(r"(?<!\w)'([^']*)'(?!\w)", r"`\1`", message).strip().removesuffix(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
