"""The commands of the build side: what they say, above all of what is wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import Language
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import WASM_TOOLS_VERSION, Tools

type RunCli = Callable[..., subprocess.CompletedProcess[str]]

# Says that it was started, and waits for what never comes.
STUCK_TOOL = """\
#!/bin/sh
if [ "$1" = --version ]; then echo "wasm-tools {version}"; exit; fi
echo started > {started}
read -r nothing < {never}
"""


def new(folder: Path, language: Language = "c") -> Path:
    return write_project(Project(f"try-{language}", language, "try"), into=folder, sdk=sdk_folder())


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Demand a failure of one line, and give it."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.parametrize("command", ["build"])
def test_a_folder_without_a_codec_is_refused_and_left_alone(
    command: str, run_cli: RunCli, tmp_path: Path
) -> None:
    said = error_of(run_cli(command, tmp_path))
    assert said.startswith(f"no codec in `{tmp_path}`, expected codec.toml")
    assert error_of(run_cli(command, tmp_path / "nowhere")).startswith("no folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert run_cli(command, tmp_path / "file").returncode == 2


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("codec.toml", "language = ", "malformed TOML"),
        ("codec.toml", 'language = "go"', "bad `language`"),
        ("signature.json", "{", "signature.json"),
        ("signature.json", '{"codec_id": "try"}', "signature.json"),
    ],
)
def test_a_broken_file_is_named(
    file: str, text: str, said: str, run_cli: RunCli, tmp_path: Path
) -> None:
    folder = new(tmp_path)
    (folder / file).write_text(text)
    message = error_of(run_cli("build", folder))
    assert str(folder / file) in message
    assert said in message


def test_a_missing_tool_is_named_with_the_way_to_get_it(run_cli: RunCli, tmp_path: Path) -> None:
    folder = new(tmp_path)
    nowhere = tmp_path / "nowhere"
    said = error_of(run_cli("build", folder, "--tools-dir", nowhere, path=str(nowhere)))
    assert said.startswith("`wasm-tools` ")
    assert f"hint: `cargo install --locked --root {nowhere} " in said
    assert said.endswith("or `chonkle tools --install`")


def test_the_tools_are_listed(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("tools", "--tools-dir", tmp_path, "--json", path=str(tmp_path))
    assert done.returncode == 1
    listed = {tool["name"]: tool for tool in json.loads(done.stdout)}
    assert listed.keys() == {"zig", "rust", "wasm-tools"}
    assert listed["wasm-tools"]["command"] == []
    assert "cargo install" in listed["wasm-tools"]["hint"]
    shown = run_cli("tools", "--tools-dir", tmp_path, path=str(tmp_path)).stdout
    assert "hint: `cargo install" in shown


@pytest.mark.toolchain
@pytest.mark.parametrize("language", ["c", "rust"])
def test_a_compiler_speaks_for_itself(
    language: Language, run_cli: RunCli, tmp_path: Path, tools: Tools
) -> None:
    folder = new(tmp_path, language)
    source = {"c": "src/codec.c", "rust": "src/lib.rs"}[language]
    with (folder / source).open("a") as file:
        file.write("nonsense\n")
    done = run_cli("build", folder, "--tools-dir", tools.folder)
    assert (done.returncode, done.stdout) == (1, "")
    *said, last = done.stderr.splitlines()
    assert any(source in line for line in said)
    assert any("error: " in line for line in said)
    assert any("nonsense" in line for line in said)
    assert last.startswith(f"error: compiling `try-{language}` for the core ABI failed with exit ")
    assert not any((folder / "codec").iterdir())


@pytest.mark.toolchain
@pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes are POSIX's")
def test_an_interrupted_build_leaves_nothing_half_done(
    run_cli: RunCli, tmp_path: Path, tools: Tools
) -> None:
    folder = new(tmp_path)
    stuck, started, never = (tmp_path / name for name in ("bin", "started", "never"))
    stuck.mkdir()
    os.mkfifo(started)
    os.mkfifo(never)
    program = stuck / "wasm-tools"
    program.write_text(STUCK_TOOL.format(version=WASM_TOOLS_VERSION, started=started, never=never))
    program.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-m", "chonkle.cli", "build", folder, "--tools-dir", tmp_path],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert started.read_text() == "started\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (130, "interrupted")
    assert not any((folder / "codec").iterdir())
    done = run_cli("build", folder, "--tools-dir", tools.folder)
    assert done.returncode == 0, done.stderr
