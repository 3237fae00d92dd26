"""What the documentation shows is what happens.

Every Markdown file is played in an empty folder, from top to bottom. The first word behind a fence
says what a block is:

- `python`: runs; all blocks of a file share their names;
- `console`: commands behind `$`; each `chonkle` command runs, with the variables set before it, and
  prints the text below it, where `...` matches anything;
- `json`: is JSON; pipelines and signatures are valid ones;
- `toml`: is TOML;
- `sh`: `chonkle` commands in it exist, with these options, but are not run here; those of an author
  are in `tests/e2e/test_author.py`.

A second word names the file that a block is written to. Everything else is not looked at.
"""

import doctest
import itertools
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

import chonkle
from chonkle import errors
from chonkle.cli import chonkle as command_line
from chonkle.formats.signature import Signature
from chonkle.pipeline import load
from chonkle.wasmtime_version import TESTED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [
    ROOT / "README.md",
    ROOT / "codec-src/README.md",
    ROOT / "toolchain/README.md",
    *(path for path in sorted(DOCS.rglob("*.md")) if not path.is_relative_to(EXAMPLES)),
]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"[A-Z_]+=")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
INLINE_COMMAND = re.compile(r"`chonkle ([a-z][^`]*)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its kind, the other words behind the fence, its text and its first line."""

    kind: str
    words: tuple[str, ...]
    text: str
    line: int


def blocks_of(page: Path) -> Iterator[Block]:
    source = page.read_text("utf-8")
    for match in FENCE.finditer(source):
        kind, *words = match["info"].split() or [""]
        yield Block(kind, tuple(words), match["text"], source.count("\n", 0, match.start()) + 2)


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Give each command of a console block, and what it prints there."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.replace("\\\n", " ").partition("\n")
        yield command, printed


def assigned(command: str) -> tuple[dict[str, str], list[str]]:
    """Give the variables that a command line sets for a command, and the command's words."""
    words = shlex.split(command)
    variables = list(itertools.takewhile(ASSIGNMENT.match, words))
    named = (each.partition("=") for each in variables)
    return {name: value for name, _, value in named}, words[len(variables) :]


def run_console(block: Block, folder: Path, where: str) -> None:
    checker = doctest.OutputChecker()
    for command, expected in commands_of(block):
        variables, (program, *arguments) = assigned(command)
        assert program == "chonkle", f"{where}: only chonkle runs in a console block: {command}"
        result = subprocess.run(
            [sys.executable, "-m", "chonkle", *arguments],
            cwd=folder,
            env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in result.stdout, f"{where}: {command}\n{result.stdout}"
        wanted, found = expected.rstrip() + "\n", result.stdout.rstrip() + "\n"
        assert checker.check_output(wanted, found, doctest.ELLIPSIS), (
            f"{where}: `{command}` prints\n{found}\nand not\n{wanted}"
        )


def check_json(block: Block, where: str) -> None:
    try:
        document = json.loads(block.text)
    except json.JSONDecodeError as failure:
        pytest.fail(f"{where}: not JSON: {failure}")
    keys = document.keys() if isinstance(document, dict) else set()
    if keys & {"steps", "codecs"}:
        validate("pipeline", document)
        load(document)
    elif "implementation" in keys and "digest" not in keys:
        validate("signature", document)
        Signature.from_json(document)


def validate(name: str, document: object) -> None:
    path = ROOT / f"chonkle/formats/schemas/{name}.schema.json"
    Draft202012Validator(json.loads(path.read_text("utf-8"))).validate(document)


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / ".chonkle/cache"))
    monkeypatch.setenv("CHONKLE_CODEC_STORE", str(tmp_path / ".chonkle/store"))
    shared: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(ROOT / name):
        where = f"{name}:{block.line}"
        if block.kind == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(ROOT / name), "exec")
            exec(code, shared)  # noqa: S102 - running them is what this test is for
        elif block.kind == "console":
            run_console(block, tmp_path, where)
        elif block.kind == "json":
            check_json(block, where)
        elif block.kind == "toml":
            tomllib.loads(block.text)
        for file in block.words:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


def test_there_is_one_tile_json() -> None:
    demo = json.loads((EXAMPLES / "demo/tile.json").read_text("utf-8"))
    for page in PAGES:
        for block in blocks_of(page):
            if "tile.json" in block.words:
                where = f"{page.relative_to(ROOT)}:{block.line}"
                assert json.loads(block.text) == demo, f"{where}: not the demo's"


def documented_commands(page: Path) -> Iterator[list[str]]:
    for block in blocks_of(page):
        if block.kind in {"console", "sh"}:
            for line in block.text.replace("\\\n", " ").splitlines():
                # After a pipe comes a program that is not chonkle.
                for part in line.removeprefix("$ ").partition("#")[0].split("|"):
                    words = assigned(part)[1] if "chonkle" in part else []
                    if words[:1] == ["chonkle"]:
                        yield words[1:]
    for match in INLINE_COMMAND.finditer(prose_of(page)):
        yield match[1].split()


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_options_exist(name: str) -> None:
    for words in documented_commands(ROOT / name):
        command: click.Command = command_line
        path = "chonkle"
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            path = f"{path} {words[0]}"
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, f"{name}: no command `{path}`"
            command = found
        known = {option for each in command.params for option in each.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        missing = used - known - {"--help"}
        assert missing == set(), f"{name}: `{path}` has no {', '.join(missing)}"


@pytest.mark.parametrize("name", [*NAMES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_goals_of_make_exist(name: str) -> None:
    rules = re.findall(r"^([a-z- ]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    goals = {goal for rule in rules for goal in rule.split()}
    for script in (ROOT / "tests/bench").glob("*.py"):
        goals.add(f"bench-{script.stem.replace('_', '-')}")
    lines = [block.text for block in blocks_of(ROOT / name) if block.kind == "sh"]
    inline = re.findall(r"`([^`]+)`", prose_of(ROOT / name))
    named = re.findall(r"^make ([a-z-]+)", "\n".join([*lines, *inline]), re.MULTILINE)
    assert set(named) - goals == set()


def slug(heading: str) -> str:
    """Give the anchor that GitHub makes of a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    kept = (c for c in plain if c in "-_ " or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    return {slug(line.lstrip("#")) for line in prose_of(page).splitlines() if line.startswith("#")}


def links_of(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Give each link into the repository as written, and the file and the anchor it leads to."""
    for target in LINK.findall(prose_of(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield target, (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for target, found, anchor in links_of(ROOT / name):
        assert found.exists(), f"{name}: {target}"
        assert found.is_relative_to(ROOT), f"{name}: {target}"
        if anchor:
            assert anchor in anchors_of(found), f"{name}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting.extend(found for _, found, _ in links_of(page))
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_the_page_of_codecs_is_current() -> None:
    script = DOCS / "reference/make_codecs.py"
    wanted = runpy.run_path(str(script))["page"]()
    found = (DOCS / "reference/codecs.md").read_text("utf-8")
    assert found == wanted, "hint: run `python docs/reference/make_codecs.py`"


def test_the_page_of_performance_is_made_of_its_figures() -> None:
    figures = json.loads((DOCS / "reference/performance.json").read_text("utf-8"))
    wanted = runpy.run_path(str(DOCS / "reference/make_performance.py"))["page"](figures)
    found = (DOCS / "reference/performance.md").read_text("utf-8")
    assert found == wanted, "hint: run `python docs/reference/make_performance.py`"
    assert (DOCS / "reference/performance.png").stat().st_size < 60_000


def test_the_page_of_zarr_performance_is_made_of_its_figures() -> None:
    figures = json.loads((DOCS / "reference/zarr-performance.json").read_text("utf-8"))
    wanted = runpy.run_path(str(DOCS / "reference/make_zarr_performance.py"))["page"](figures)
    found = (DOCS / "reference/zarr-performance.md").read_text("utf-8")
    assert found == wanted, "hint: run `python docs/reference/make_zarr_performance.py`"
    assert (DOCS / "reference/zarr-performance.png").stat().st_size < 60_000


def test_the_page_of_hosts_is_made_of_its_figures() -> None:
    figures = json.loads((DOCS / "reference/hosts.json").read_text("utf-8"))
    wanted = runpy.run_path(str(DOCS / "reference/make_hosts.py"))["page"](figures)
    found = (DOCS / "reference/hosts.md").read_text("utf-8")
    assert found == wanted, "hint: run `python docs/reference/make_hosts.py`"
    assert (DOCS / "reference/hosts.png").stat().st_size < 60_000


def test_every_variable_of_the_environment_is_described() -> None:
    settings = (ROOT / "chonkle/settings.py").read_text("utf-8")
    described = (DOCS / "reference/environment.md").read_text("utf-8")
    # Quoted, so that it is the code that names it.
    read = set(re.findall(r'"((?:CHONKLE|XDG|DOCKER)_[A-Z_]+|LOCALAPPDATA)"', settings))
    assert read
    assert {name for name in read if f"`{name}`" not in described} == set()
    # zarr-python reads `ZARR_CHONKLE__...`.
    assert set(re.findall(r"\bCHONKLE_[A-Z_]+", described)) <= read


def test_the_tested_versions_of_wasmtime_are_those_of_the_code() -> None:
    listed = (DOCS / "reference/versions.md").read_text("utf-8")
    assert f"| wasmtime | {TESTED[0]} to {TESTED[-1]} |" in listed


def test_every_error_is_described() -> None:
    described = (DOCS / "reference/errors.md").read_text("utf-8")
    names = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ChonkleError)
    }
    assert {name for name in names if f"`{name}`" not in described} == set()


def test_the_reference_of_docstrings_has_every_public_name() -> None:
    listed = (DOCS / "reference/api.rst").read_text("utf-8")
    # The class of errors is described with the others.
    public = {*chonkle.__all__} - {"__version__", "ChonkleError"}
    assert {*re.findall(r":: chonkle\.(\w+)$", listed, re.MULTILINE)} - {
        *("dask", "errors", "tiff", "zarr")
    } == public


def commands_below(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Give each command that does something, with the words that call it."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands_below(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def options_of(command: click.Command) -> set[str]:
    return {option for each in command.params for option in each.opts if "--" in option}


def common_options(section: str, commands: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
    """Give each option that the table lists, and the commands that it lists for it."""
    for option, cell in re.findall(r"^\| `(--[a-z-]+)[^|]*\| ([^|]+) \|", section, re.MULTILINE):
        listed = {f"chonkle {each}" for each in cell.removeprefix("all but ").split(", ")}
        is_all = cell == "all" or cell.startswith("all but ")
        yield option, {*commands} - listed if is_all else listed


def test_every_command_and_option_is_described() -> None:
    described = (DOCS / "reference/cli.md").read_text("utf-8")
    commands = dict(commands_below(command_line, "chonkle"))
    common = dict.fromkeys(commands, frozenset[str]())
    table = described.partition("## Common options")[2].partition("\n## ")[0]
    for option, names in common_options(table, commands):
        for name in names:
            assert option in options_of(commands[name]), f"`{name}` has no {option}"
            common[name] |= {option}
    assert any(common.values())
    for name, command in commands.items():
        assert f"## `{name}`" in described
        section = described.partition(f"## `{name}`")[2].partition("\n## ")[0]
        own = {each for each in options_of(command) if f"`{each}" in section}
        assert options_of(command) - own - common[name] == set(), name
