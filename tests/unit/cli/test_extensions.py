"""Commands that other distributions add to the command line."""

import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from chonkle.cli import chonkle, extensions
from chonkle.errors import ChonkleError

ROOT = Path(__file__).parents[3]
MODULE = """
import click

@click.command(short_help="Say hello.")
@click.option("--to", default="you")
def hello(to):
    click.echo(f"hello {to}")

number = 1
"""

type Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Give a function that installs a distribution with commands."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, **commands: str) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(MODULE)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{command} = {place}" for command, place in commands.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[chonkle.commands]", *lines]))

    return install


def run(*arguments: str) -> Result:
    return CliRunner().invoke(chonkle, [*arguments])


def failure_of(*arguments: str) -> str:
    failure = run(*arguments).exception
    assert isinstance(failure, ChonkleError)
    return str(failure)


def test_a_command_of_another_distribution_runs(install: Install) -> None:
    install("greetings", hello="greetings:hello")
    result = run("hello", "--to", "her")
    assert (result.exit_code, result.stdout) == (0, "hello her\n")


def test_the_help_lists_it_under_its_distribution(install: Install) -> None:
    install("greetings", hello="greetings:hello")
    result = run("--help")
    own, _, added = result.stdout.partition("\nCommands of greetings:\n")
    assert "\n  run " in own
    assert added.splitlines()[0].split(maxsplit=1) == ["hello", "Say hello."]
    column = next(line for line in own.splitlines() if line.startswith("  run ")).index("Run a")
    assert added.index("Say hello.") == column


def test_a_command_of_chonkle_s_own_is_not_replaced(install: Install) -> None:
    install("greetings", run="greetings:hello")
    assert run("run", "--to", "her").exit_code == 2
    assert "Say hello." not in run("--help").stdout


def test_of_two_distributions_the_first_by_name_has_the_command(install: Install) -> None:
    install("b-greetings", hello="nowhere:hello")
    install("a-greetings", hello="a_greetings:hello")
    assert run("hello").stdout == "hello you\n"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere:hello", "ModuleNotFoundError: No module named 'nowhere'"),
        ("greetings:goodbye", "AttributeError: module 'greetings' has no attribute 'goodbye'"),
        ("greetings:number", "not a click command"),
    ],
)
def test_one_that_cannot_be_loaded_says_why(install: Install, place: str, said: str) -> None:
    install("greetings", hello=place)
    expected = f"`chonkle hello` of greetings cannot be loaded: {said}"
    assert failure_of("hello", "--to", "her") == expected
    assert failure_of("hello", "--help") == expected
    listed = run("--help")
    assert listed.exit_code == 0
    assert "cannot be loaded" in listed.stdout
    assert "\n  run " in listed.stdout


def test_commands_of_a_missing_build_side_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "entry_points", dict)
    said = failure_of("build", "there", "--json")
    assert said.startswith("`chonkle build` is a command of chonkle-toolchain, which is not")
    assert "; hint: install chonkle-toolchain with the extra `c`, which brings" in said
    assert "\n" not in said
    assert "build" not in run("--help").stdout
    assert run("nonsense").exit_code == 2


def test_every_command_of_the_build_side_is_known_without_it() -> None:
    project = tomllib.loads((ROOT / "toolchain/pyproject.toml").read_text("utf-8"))["project"]
    places = project["entry-points"]["chonkle.commands"]
    texts = {name: load(place).short_help for name, place in places.items()}
    assert texts == extensions.TOOLCHAIN_COMMANDS


def load(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def test_the_commands_found_are_those_that_python_finds(install: Install) -> None:
    install("some-greetings", hello="some_greetings:hello", bye="some_greetings:bye [extra]")
    expected = {
        entry.name: (entry.dist.name, f"{entry.module}:{entry.attr}")
        for entry in entry_points(group="chonkle.commands")
        if entry.dist
    }
    assert extensions.entry_points() == expected


def test_damaged_metadata_adds_nothing(tmp_path: Path, install: Install) -> None:
    install("greetings", hello="greetings:hello")
    for name, data in {"a": b"\xff", "b": b"", "c": b"[other]\nhello = b:c\n; x = y\n"}.items():
        (tmp_path / f"{name}-1.dist-info").mkdir()
        (tmp_path / f"{name}-1.dist-info/entry_points.txt").write_bytes(data)
    (tmp_path / "d-1.dist-info").write_text("a file")
    assert run("hello").stdout == "hello you\n"
