"""`chonkle completion`: completion of commands and options by the shell.

bash    <data>/bash-completion/completions/chonkle      for bash-completion, or `.bashrc`
zsh     <data>/chonkle/completion.zsh                   for `.zshrc`
fish    <configuration>/fish/completions/chonkle.fish
"""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from chonkle.cli.output import print_lines
from chonkle.errors import ChonkleError, os_error_text
from chonkle.settings import data_home
from chonkle.storage.files import read_file, replace_file

_SHELLS = ("bash", "zsh", "fish")
_START_FILE_MAX_BYTES = 4 << 20
_VARIABLE = "_CHONKLE_COMPLETE"
_MARK = "  # chonkle completion"
# Where bash-completion is, whose loader finds a script by the name of the command.
_BASH_COMPLETION = (
    "/usr/share/bash-completion/bash_completion",
    "/usr/local/share/bash-completion/bash_completion",
    "/opt/homebrew/share/bash-completion/bash_completion",
    "/opt/homebrew/etc/profile.d/bash_completion.sh",
    "/usr/local/etc/profile.d/bash_completion.sh",
)
_shell_option = click.option(
    "--shell", type=click.Choice(_SHELLS), help="The shell.  [default: that of SHELL]"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where completion for one shell goes."""

    script: Path
    start_file: Path | None = None  # a file that has to name the script; None for none
    line: str = ""  # the line that does


@click.group
def completion() -> None:
    """Let a shell complete commands, options and their values with the Tab key.

    \b
    Examples:
      chonkle completion install
      chonkle completion show --shell zsh

    \b
    See also:
      docs/reference/cli.md for what goes where.
    """


@completion.command("install")
@_shell_option
def install(shell: str | None) -> None:
    """Install completion for your shell, for yourself alone.

    Writes a script where the shell looks for it. zsh, and bash without bash-completion, also need a
    line in their start-up file, which is added once. What is written is printed; running the
    command again changes nothing, or renews the script.

    \b
    Exit codes:
      1  the shell is unknown, or a file cannot be written

    \b
    Environment:
      SHELL XDG_DATA_HOME XDG_CONFIG_HOME ZDOTDIR

    \b
    Examples:
      chonkle completion install
      chonkle completion install --shell fish

    \b
    See also:
      `chonkle completion show` prints the script, to be put elsewhere.
    """
    shell = shell or _shell()
    place = place_of(shell, os.environ)
    try:
        lines = [_write_script(place.script, _script(shell).encode())]
        if place.start_file is not None:
            lines.append(_add_line(place.start_file, place.line))
    except OSError as failure:
        raise ChonkleError(
            f"cannot install completion: {os_error_text(failure)}",
            hint=f"`chonkle completion show --shell {shell}` prints the script",
        ) from failure
    print_lines(*lines)
    print_lines(f"a new {shell} completes `chonkle`; this one does after `exec {shell}`", err=True)


@completion.command("show")
@_shell_option
def show(shell: str | None) -> None:
    """Print the script that completes commands for your shell.

    \b
    Environment:
      SHELL

    \b
    Examples:
      chonkle completion show
      source <(chonkle completion show --shell bash)
      chonkle completion show --shell fish | source

    \b
    See also:
      `chonkle completion install`
    """
    click.echo(_script(shell or _shell()), nl=False)


def _shell(variables: Mapping[str, str] = os.environ) -> str:
    name = Path(variables.get("SHELL", "")).name
    if name not in _SHELLS:
        raise ChonkleError(
            "the shell is unknown",
            expected="SHELL to be bash, zsh or fish",
            got=f"`{name}`" if name else "nothing",
            hint="name it: `--shell bash`",
        )
    return name


def _script(shell: str) -> str:
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    assert kind is not None  # noqa: S101 - click has all three
    made = kind(root, {}, "chonkle", _VARIABLE)
    # `made.source` would start the shell, to look at its version.
    script: str = made.source_template % made.source_vars()
    return script


def place_of(
    shell: str,
    variables: Mapping[str, str],
    *,
    exists: Callable[[str], bool] = os.path.exists,
) -> Place:
    """Tell where completion for a shell goes.

    Args:
        shell: its name.
        variables: those of the environment.
        exists: tells whether there is a file.
    """
    home = Path.home()
    data = data_home(variables)
    if shell == "fish":
        named = variables.get("XDG_CONFIG_HOME", "")
        config = Path(named) if named.startswith("/") else home / ".config"
        return Place(config / "fish/completions/chonkle.fish")
    if shell == "zsh":
        script = data / "chonkle/completion.zsh"
        # zsh has no directory of its users' own that it searches. A new one has no `compdef` yet.
        line = (
            "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }; "
            f"source {shlex.quote(str(script))}"
        )
        return Place(script, Path(variables.get("ZDOTDIR") or home) / ".zshrc", line)
    script = data / "bash-completion/completions/chonkle"
    if any(map(exists, _BASH_COMPLETION)):
        return Place(script)
    return Place(script, home / ".bashrc", f"source {shlex.quote(str(script))}")


def _write_script(path: Path, script: bytes) -> str:
    """Write the script, and say what was done."""
    before = read_file(path, size_max=_START_FILE_MAX_BYTES) if path.exists() else None
    if before == script:
        return f"unchanged  {path}"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, script)
    return f"{'written' if before is None else 'renewed'}    {path}"


def _add_line(path: Path, line: str) -> str:
    """Add a line to a start-up file, unless it has it, and say what was done."""
    text = b""
    if path.exists():
        text = read_file(path, size_max=_START_FILE_MAX_BYTES)
    added = f"{line}{_MARK}"
    if added.encode() in text.splitlines():
        return f"unchanged  {path}"
    # In place: it may be a link to a file that the user keeps elsewhere.
    with path.open("ab") as file:
        gap = b"" if text.endswith(b"\n") or not text else b"\n"
        file.write(gap + added.encode() + b"\n")
    return f"one line   {path}"
