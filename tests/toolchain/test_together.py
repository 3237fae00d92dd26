"""Builds at the same time, in real processes: none disturbs another."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.codecs_lock import read_lock
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import Language
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import Tools

type StartBuild = Callable[..., subprocess.Popen[str]]
type PlayWasmTools = Callable[[str], dict[str, str]]

pytestmark = pytest.mark.toolchain

# The first to make anything of a module says so, and goes on when it is told to.
PAUSED_TOOL = """\
if mkdir {once} 2>/dev/null; then
    echo started > {started}
    read -r line < {go}
fi
exec {real} "$@"
"""


def new(folder: Path, language: Language = "c", distance: int = 1) -> Path:
    """Begin a codec whose parameter has a default of one's choice."""
    folder.mkdir()
    made = write_project(Project(f"try-{language}", language, "try"), into=folder, sdk=sdk_folder())
    signature = made / "signature.json"
    text = signature.read_text("utf-8")
    assert '"default": 1' in text
    signature.write_text(text.replace('"default": 1', f'"default": {distance}'), "utf-8")
    return made


def artifacts(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.rglob("*.wasm")}


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names are POSIX's")
def test_two_builds_of_a_folder_take_turns(
    tmp_path: Path, start_build: StartBuild, tools: Tools, play_wasm_tools: PlayWasmTools
) -> None:
    folder = new(tmp_path / "project")
    once, started, go = (tmp_path / name for name in ("once", "started", "go"))
    os.mkfifo(started)
    os.mkfifo(go)
    (real,) = tools.need({"wasm-tools"}).wasm_tools
    paused = play_wasm_tools(PAUSED_TOOL.format(once=once, started=started, go=go, real=real))
    with start_build(folder, environment=paused) as first:
        assert started.read_text() == "started\n"
        with start_build(folder) as second:
            assert second.stderr is not None
            assert second.stderr.readline().startswith("waiting for another build in ")
            go.write_text("go\n")
            said = [process.communicate()[0].split()[0] for process in (first, second)]
            assert (first.returncode, second.returncode) == (0, 0)
    assert said == ["built", "up"]
    assert not list((folder / "codec").glob(".*"))


@pytest.mark.parametrize("language", ["c", "rust"])
def test_codecs_of_one_name_in_one_build_folder_stay_apart(
    language: Language, tmp_path: Path, start_build: StartBuild, tools: Tools, build_dir: Path
) -> None:
    folders = [new(tmp_path / name, language, distance) for name, distance in (("a", 2), ("b", 3))]
    alone = []
    for folder in folders:
        built = Folders(folder, folder / "codec", build_dir, sdk_folder())
        build(built, tools=tools)
        alone.append(artifacts(built.output))
        shutil.rmtree(built.output)
    assert alone[0] != alone[1]
    with ExitStack() as stack:
        running = [
            stack.enter_context(start_build(folder, "--build-dir", build_dir)) for folder in folders
        ]
        for process in running:
            _, said = process.communicate()
            assert process.returncode == 0, said
    assert [artifacts(folder / "codec") for folder in folders] == alone


def test_builds_into_one_folder_keep_all_entries(tmp_path: Path, start_build: StartBuild) -> None:
    codecs, output = tmp_path / "codecs", tmp_path / "output"
    codecs.mkdir()
    names = ("one-c", "two-c")
    for name in names:
        write_project(Project(name, "c", "try"), into=codecs, sdk=sdk_folder())
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                start_build(codecs, name, "--output", output, "--build-dir", tmp_path / name)
            )
            for name in names
        ]
        for process in running:
            _, said = process.communicate()
            assert process.returncode == 0, said
    assert read_lock(output).codecs.keys() == set(names)
