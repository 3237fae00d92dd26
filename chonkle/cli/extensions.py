"""Commands that other distributions add to `chonkle`.

A distribution adds a command with an entry point of the group `chonkle.commands`: its name is the
command's, its object is a click command. The files with entry points are read here (PyPA, "Entry
points specification"), since importing `importlib.metadata` takes as long as importing click.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from chonkle.errors import ChonkleError

_GROUP = "[chonkle.commands]"
_SUFFIXES = (".dist-info", ".egg-info")
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
}


@dataclass(frozen=True, slots=True, order=True)
class Extension:
    """A command of another distribution.

    Attributes:
        distribution: the distribution, `chonkle-toolchain`.
        name: the command.
        location: the click command, as `module:attribute`.
    """

    distribution: str
    name: str
    location: str

    def load(self) -> click.Command:
        """Import the command; one that cannot be imported becomes a command that says why."""
        module, _, attribute = self.location.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except Exception as failure:  # noqa: BLE001 - any failure of code that is not ours
            why = f"{type(failure).__name__}: {failure}"
        else:
            if isinstance(command, click.Command):
                return command
            why = "not a click command"
        what = f"`chonkle {self.name}` of {self.distribution} cannot be loaded: {why}"
        return _failing(self.name, ChonkleError(what))


def extensions() -> list[Extension]:
    """Find the commands of other distributions, sorted; of two with one name, the first counts."""
    found: dict[str, Extension] = {}
    for each in sorted(_entry_points()):
        found.setdefault(each.name, each)
    return sorted(found.values())


def added_commands() -> dict[str, dict[str, str]]:
    """Give the short help of each added command, by distribution and name."""
    commands: dict[str, dict[str, str]] = {}
    for each in extensions():
        text = TOOLCHAIN_COMMANDS.get(each.name) or each.load().get_short_help_str(limit=80)
        commands.setdefault(each.distribution, {})[each.name] = text
    return commands


def added_command(name: str) -> click.Command | None:
    """Load the command of another distribution.

    Args:
        name: the command's name.

    Returns:
        The command, or None if it is unknown. A command of chonkle-toolchain that is not installed
        is one that says how to install it.
    """
    for each in extensions():
        if each.name == name:
            return each.load()
    if name not in TOOLCHAIN_COMMANDS:
        return None
    what = f"`chonkle {name}` is a command of chonkle-toolchain, which is not installed"
    hint = "`pip install 'chonkle-toolchain[c]'`; `[c]` brings a C compiler"
    return _failing(name, ChonkleError(what, hint=hint))


def _entry_points() -> Iterator[Extension]:
    known: set[str] = set()
    for folder in sys.path:
        try:
            names = sorted(os.listdir(folder or "."))  # noqa: PTH208 - pathlib is slower
        except OSError:
            continue
        for name in names:
            distribution = name.partition("-")[0].removesuffix(".egg-info").replace("_", "-")
            # As for imports, the first on the path counts.
            if name.endswith(_SUFFIXES) and distribution not in known:
                known.add(distribution)
                try:
                    text = Path(folder, name, "entry_points.txt").read_text("utf-8")
                except (OSError, UnicodeDecodeError):
                    continue
                yield from _read(distribution, text)


def _read(distribution: str, text: str) -> Iterator[Extension]:
    is_ours = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            is_ours = line == _GROUP
        elif is_ours and "=" in line and not line.startswith(("#", ";")):
            name, location = (part.strip() for part in line.split("=", 1))
            yield Extension(distribution, name, location.partition("[")[0].strip())


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
