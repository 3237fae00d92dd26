"""Commands that other distributions add to `chonkle`.

A distribution adds a command with an entry point of the group `chonkle.commands`: its name is the
command's, its object is a click command. The files with entry points are read here (PyPA, "Entry
points specification"), since importing `importlib.metadata` takes as long as importing click.
"""

import sys
from importlib import import_module
from pathlib import Path

import click

from chonkle.errors import ChonkleError

_GROUP = "[chonkle.commands]"
# The commands of chonkle-toolchain: `chonkle --help` lists them without importing them, and where
# it is not installed, they say so.
TOOLCHAIN_COMMANDS = {
    "new": "Begin a codec in C or Rust.",
    "build": "Build the codec in a folder.",
    "test": "Build and test the codec in a folder.",
    "verify": "Check built codecs, as CI does.",
    "publish": "Publish codecs to a registry.",
    "keygen": "Make a pair of keys to sign codecs with.",
    "sign": "Sign a codec.",
    "reproduce": "Build a codec twice from clean, and compare.",
    "tools": "List the compilers that building needs, and install them.",
    "vectors": "Give golden vectors to other programs.",
}


def entry_points() -> dict[str, tuple[str, str]]:
    """Find the added commands: by name, the distribution and the location `module:attribute`.

    Of two commands with one name, that of the first distribution counts.
    """
    files: dict[str, Path] = {}
    for folder in sys.path:
        for path in Path(folder).glob("*.*-info/entry_points.txt"):
            files.setdefault(path.parent.stem.partition("-")[0].replace("_", "-"), path)
    found: dict[str, tuple[str, str]] = {}
    for distribution, path in sorted(files.items()):
        group = ""
        for line in path.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("["):
                group = line.strip()
            elif group == _GROUP and "=" in line:
                name, _, location = line.partition("=")
                found.setdefault(name.strip(), (distribution, location.partition("[")[0].strip()))
    return found


def added_commands() -> dict[str, dict[str, str]]:
    """Give the short help of each added command, by distribution and name."""
    commands: dict[str, dict[str, str]] = {}
    for name, (distribution, location) in sorted(entry_points().items()):
        text = TOOLCHAIN_COMMANDS.get(name) or _load(name, distribution, location).short_help
        commands.setdefault(distribution, {})[name] = text or ""
    return dict(sorted(commands.items()))


def added_command(name: str) -> click.Command | None:
    """Load the command of another distribution.

    Returns:
        The command; one that fails and says why if it cannot be loaded, or if it is one of
        chonkle-toolchain that is not installed; None if it is unknown.
    """
    found = entry_points().get(name)
    if found is not None:
        return _load(name, *found)
    if name not in TOOLCHAIN_COMMANDS:
        return None
    what = f"`chonkle {name}` is a command of chonkle-toolchain, which is not installed"
    hint = "install chonkle-toolchain with the extra `c`, which brings a C compiler"
    return _failing(name, ChonkleError(what, hint=hint))


def _load(name: str, distribution: str, location: str) -> click.Command:
    module, _, attribute = location.partition(":")
    try:
        command = getattr(import_module(module), attribute)
    except Exception as failure:  # noqa: BLE001 - any failure of code that is not ours
        why = f"{type(failure).__name__}: {failure}"
    else:
        if isinstance(command, click.Command):
            return command
        why = "not a click command"
    what = f"`chonkle {name}` of {distribution} cannot be loaded: {why}"
    return _failing(name, ChonkleError(what))


def _failing(name: str, failure: ChonkleError) -> click.Command:
    def fail() -> None:
        raise failure

    return click.Command(
        name,
        callback=fail,
        short_help=str(failure),
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
