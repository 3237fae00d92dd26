"""Commands that other distributions add to `chonkle`.

A distribution adds a command with an entry point of the group `chonkle.commands`, whose name is the
command's and whose object is a click command. Finding them reads the metadata of everything that is
installed, so that is done only when a command is none of chonkle's own, or all are listed.
"""

from importlib.metadata import EntryPoint, entry_points

import click

from chonkle.errors import ChonkleError

_GROUP = "chonkle.commands"
# What the build side adds, so that somebody who does not have it reads how to get it.
_OF_THE_TOOLCHAIN = frozenset(
    {"new", "build", "test", "verify", "publish", "keygen", "sign", "tools", "reproduce"}
)


def added_names() -> dict[str, list[str]]:
    """Name the commands of other distributions, by the distribution."""
    names: dict[str, list[str]] = {}
    for entry in entry_points(group=_GROUP):
        names.setdefault(_distribution(entry), []).append(entry.name)
    return dict(sorted(names.items()))


def added_command(name: str) -> click.Command | None:
    """Load a command of another distribution.

    Args:
        name: the command's name.

    Returns:
        The command; one that only fails, in words, where it cannot be loaded or has to be
        installed first; None where nobody has heard of it.
    """
    found = sorted(entry_points(group=_GROUP, name=name), key=_distribution)
    if found:
        return _load(found[0])
    if name in _OF_THE_TOOLCHAIN:
        what = f"`chonkle {name}` is a command of chonkle-toolchain, which is not installed"
        hint = "`pip install 'chonkle-toolchain[c]'`; `[c]` brings a C compiler"
        return _failing(name, ChonkleError(what, hint=hint))
    return None


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else ""


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as failure:  # noqa: BLE001 - the code is not ours, and so are its failures
        why = f"{type(failure).__name__}: {failure}"
    else:
        if isinstance(command, click.Command):
            return command
        why = "it is no click command"
    what = f"`chonkle {entry.name}` of {_distribution(entry)} cannot be loaded: {why}"
    return _failing(entry.name, ChonkleError(what))


def _failing(name: str, failure: ChonkleError) -> click.Command:
    """Make a command that fails, whatever its arguments are."""

    def fail() -> None:
        raise failure

    return click.Command(
        name,
        callback=fail,
        short_help=str(failure),
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
