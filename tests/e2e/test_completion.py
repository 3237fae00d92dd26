"""`chonkle completion`: what it writes where, and that a shell completes with it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chonkle.cli.completion import place_of
from tests.fixture_types import Chonkle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="for shells of POSIX")

type Install = Callable[..., list[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    cleared = dict.fromkeys(("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"), "")
    return {**cleared, "HOME": str(home), "SHELL": "/bin/zsh"}


@pytest.fixture
def install(chonkle: Chonkle, environment: dict[str, str]) -> Install:
    def run(*arguments: str) -> list[str]:
        done = chonkle("completion", "install", *arguments, environment=environment)
        assert b"completes `chonkle`" in done.stderr
        return done.stdout.decode().splitlines()

    return run


def test_zsh_gets_a_script_and_one_line(install: Install, home: Path) -> None:
    # As many people keep it.
    (home / "dotfiles").write_text("setopt autocd")
    (home / ".zshrc").symlink_to("dotfiles")
    script = home / ".local/share/chonkle/completion.zsh"
    assert install() == [f"written    {script}", f"one line   {home / '.zshrc'}"]
    assert install() == [f"unchanged  {script}", f"unchanged  {home / '.zshrc'}"]
    assert (home / ".zshrc").is_symlink()
    first, line = (home / "dotfiles").read_text().splitlines()
    assert first == "setopt autocd"
    assert f"source {script}" in line
    assert script.read_text().startswith("#compdef chonkle")
    script.write_text("# of an older version")
    assert install()[0] == f"renewed    {script}"
    assert "compdef" in script.read_text()


def test_fish_and_bash_find_their_scripts(install: Install, home: Path) -> None:
    fish = home / ".config/fish/completions/chonkle.fish"
    assert install("--shell", "fish") == [f"written    {fish}"]
    assert "complete --no-files --command chonkle" in fish.read_text()
    script = home / ".local/share/bash-completion/completions/chonkle"
    assert install("--shell", "bash")[0] == f"written    {script}"


def test_bash_needs_a_line_only_without_bash_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/my user")
    found = place_of("bash", {}, exists=lambda _: False)
    script = "/home/my user/.local/share/bash-completion/completions/chonkle"
    assert str(found.script) == script
    assert str(found.start_file) == "/home/my user/.bashrc"
    assert found.line == f"source '{script}'"
    assert place_of("bash", {}, exists=lambda _: True).start_file is None
    named = {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config", "ZDOTDIR": "/zsh"}
    assert str(place_of("zsh", named).script) == "/data/chonkle/completion.zsh"
    assert str(place_of("zsh", named).start_file) == "/zsh/.zshrc"
    assert str(place_of("fish", named).script) == "/config/fish/completions/chonkle.fish"


def test_a_shell_that_is_unknown(chonkle_done: Chonkle, tmp_path: Path, home: Path) -> None:
    for command in ("install", "show"):
        done = chonkle_done("completion", command, cwd=tmp_path, environment={"SHELL": "/bin/tcsh"})
        assert done.returncode == 1
        assert done.stderr == (
            b"error: the shell is unknown, expected SHELL to be bash, zsh or fish, got `tcsh`; "
            b"hint: name it: `--shell bash`\n"
        )
    assert list(home.iterdir()) == []


def test_a_place_that_cannot_be_written_to(
    chonkle_done: Chonkle, tmp_path: Path, home: Path, environment: dict[str, str]
) -> None:
    (home / ".local").write_text("a file")
    done = chonkle_done("completion", "install", cwd=tmp_path, environment=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: cannot install completion: ")
    assert done.stderr.endswith(b"hint: `chonkle completion show --shell zsh` prints the script\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_the_script(
    chonkle: Chonkle, tmp_path: Path, environment: dict[str, str]
) -> None:
    shown = chonkle("completion", "show", "--shell", "bash").stdout
    (tmp_path / "script").write_bytes(shown)
    program = tmp_path / "chonkle"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m chonkle "$@"\n')
    program.chmod(0o755)
    complete = (
        "source ./script; COMP_WORDS=(chonkle cache l); COMP_CWORD=2; "
        '_chonkle_completion ./chonkle; echo "${COMPREPLY[@]}"; complete -p chonkle'
    )
    done = subprocess.run(
        [str(shutil.which("bash")), "--norc", "-c", complete],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    completed, registered = done.stdout.splitlines()
    assert completed == "list"
    assert registered == "complete -o nosort -F _chonkle_completion chonkle"
