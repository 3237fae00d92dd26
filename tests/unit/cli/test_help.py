"""The help of every command is a manual page, and what it names exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from chonkle.cli import chonkle
from chonkle.cli.help import VARIABLES, adopt

ROOT = Path(__file__).parents[3]
TITLES = ("Exit codes", "Environment", "Examples", "See also")


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*words, name))


COMMANDS = list(commands(chonkle))


def help_of(words: tuple[str, ...], *, color: bool = False) -> str:
    done = CliRunner().invoke(
        chonkle, [*words, "--help"], color=color, terminal_width=80, prog_name="chonkle"
    )
    assert done.exit_code == 0
    return done.output


def sections_of(text: str) -> dict[str, str]:
    parts = re.split(r"^([A-Z][A-Za-z -]+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_help_is_a_manual_page(words: tuple[str, ...]) -> None:
    text = help_of(words)
    assert max(map(len, text.splitlines())) <= 80
    sections = sections_of(text)
    assert [title for title in sections if title in ("Options", "Exit codes")] == [
        "Options",
        "Exit codes",
    ]
    found = [title for title in sections if title in TITLES]
    assert found == [title for title in TITLES if title in found]
    assert {"Exit codes", "Examples", "See also"} <= {*found}
    codes = re.findall(r"^  ([0-9])  [A-Za-z]", sections["Exit codes"], re.MULTILINE)
    assert codes == ["0", "1", "2"]
    if "Environment" in sections:
        names = re.findall(r"^  ([A-Z_]+)  ", sections["Environment"], re.MULTILINE)
        assert names
        assert len(names) == len({*names})


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_examples_and_references_exist(words: tuple[str, ...]) -> None:
    sections = sections_of(help_of(words))
    lines = sections["Examples"].replace("\\\n", " ").splitlines()
    examples = [re.sub(r"^source <\(|\)$", "", line.strip()) for line in lines if line.strip()]
    own = ["chonkle", *words]
    assert any(line.split()[: len(own)] == own for line in examples)
    named = re.findall(r"`chonkle ([^`]*)`", sections["See also"])
    for line in [*(line.partition("chonkle ")[2] for line in examples), *named]:
        command: click.Command = chonkle
        used = line.split("|")[0].split()
        while isinstance(command, click.Group) and used and not used[0].startswith("-"):
            if used[0] == "COMMAND":
                break
            found = command.get_command(click.Context(command), used.pop(0))
            assert found is not None, line
            command = found
        known = {option for each in command.params for option in each.opts}
        given = {word.partition("=")[0] for word in used if word.startswith("-") and word != "-"}
        assert given - known == set(), line
    for path in re.findall(r"docs/[a-z/-]+\.md", sections["See also"]):
        assert (ROOT / path).is_file()


def test_every_variable_of_the_settings_is_explained() -> None:
    settings = (ROOT / "chonkle/settings.py").read_text("utf-8")
    read = set(re.findall(r'"((?:CHONKLE|DOCKER)_[A-Z_]+)"', settings))
    assert read - VARIABLES.keys() == set()
    assert {name for name in VARIABLES if name.startswith("CHONKLE_")} - read == {
        "CHONKLE_KEY_PASSWORD"
    }


def test_names_and_headings_have_styles() -> None:
    text = help_of(("codecs",), color=True)
    assert text.startswith("\x1b[1mUsage:\x1b[0m chonkle codecs")
    assert "\x1b[1mExamples:\x1b[0m\n  chonkle codecs\n" in text
    assert "\x1b[36m--json\x1b[0m" in text
    assert click.unstyle(text) == help_of(("codecs",))


def test_a_command_of_another_distribution_keeps_what_it_has() -> None:
    @click.command(epilog="The end.")
    @click.option("--color", help="Its own.")
    def foreign(color: str) -> None:
        """Do something.

        \b
        Notes:
          as it was

        \b
        Environment:
          OTHER_PATH  where it is

        \b
        Exit codes:
          1
          3  it is late
        """
        click.echo(color)

    assert adopt(adopt(foreign)) is foreign
    done = CliRunner().invoke(foreign, ["--color", "red"])
    assert done.output == "red\n"
    text = CliRunner().invoke(foreign, ["--help"]).output
    assert "Notes:\n    as it was\n" in text
    assert text.count("--color") == 1
    assert "\nExit codes:\n  0  success\n  1  a failure" in text
    assert "\n  3  it is late\n" in text
    assert "\nEnvironment:\n  OTHER_PATH  where it is\n" in text
    assert CliRunner().invoke(foreign, ["--help"]).output == text
    assert "The end." in text
