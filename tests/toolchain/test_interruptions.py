"""Builds that are ended before their time: whatever they left, the next one makes it whole."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chonkle_toolchain.codecs_lock import LOCK_FILE, read_lock
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import Language
from chonkle_toolchain.sdk import sdk_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes are POSIX's")

type StartBuild = Callable[..., subprocess.Popen[str]]
type Files = dict[str, bytes]

PLAY = Path(__file__).parent / "programs" / "play_build.py"
# It and what it starts hold one end of a pipe until they are killed.
STUCK_TOOL = """\
exec 3> {held}
sleep 1000 &
echo started >&3
read -r line < {never}
"""


def new(folder: Path, language: Language = "c") -> Path:
    return write_project(Project(f"try-{language}", language, "try"), into=folder, sdk=sdk_folder())


def turn(folder: Path) -> None:
    """Turn a codec into the other one of two."""
    signature = folder / "signature.json"
    one, other = '"default": 1', '"default": 2'
    text = signature.read_text("utf-8")
    old, new = (one, other) if one in text else (other, one)
    signature.write_text(text.replace(old, new), "utf-8")


def artifacts(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in (folder / "codec").rglob("*.wasm")}


def is_whole(folder: Path, known: list[Files]) -> bool:
    """Tell whether each file is that of one of the two codecs, and the lock can be read."""
    read_lock(folder / "codec")
    return all(data in [files[name] for files in known] for name, data in artifacts(folder).items())


def leftovers(folder: Path) -> list[Path]:
    return [path for path in (folder / "codec").rglob("*") if path.name.startswith(".")]


@pytest.mark.slow
def test_a_build_that_is_killed_while_it_writes_leaves_whole_files(tmp_path: Path) -> None:
    folder = new(tmp_path)

    def start() -> subprocess.Popen[str]:
        turn(folder)
        return subprocess.Popen([sys.executable, PLAY, folder], stdout=subprocess.PIPE, text=True)

    known, seconds = [], 0.0
    for _ in range(2):
        with start() as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "made\n"
            began = time.monotonic()
            assert process.stdout.readline() in ("built\n", "rebuilt\n")
            seconds = max(seconds, time.monotonic() - began)
        known.append(artifacts(folder))
    assert known[0] != known[1]
    moments = random.Random(0)  # noqa: S311 - no secret
    for _ in range(12):
        with start() as process:
            assert process.stdout is not None
            if process.stdout.readline() == "made\n":
                time.sleep(moments.uniform(0, seconds))
                process.kill()
        assert is_whole(folder, known)
    with start() as process:
        assert process.stdout is not None
        # Up to date, where the last one was killed before it had written anything.
        assert process.stdout.read().splitlines()[-1] in ("built", "rebuilt", "up to date")
    assert artifacts(folder) == known[0]
    # The next build that writes removes what the killed ones left.
    with start() as process:
        assert process.stdout is not None
        assert process.stdout.read().splitlines()[-1] == "rebuilt"
    assert artifacts(folder) == known[1]
    assert leftovers(folder) == []


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("language", "signals"),
    [("c", [signal.SIGKILL, signal.SIGTERM] * 2), ("rust", [signal.SIGKILL, signal.SIGTERM])],
)
def test_a_build_that_is_ended_while_it_compiles_harms_none_after_it(
    language: Language,
    signals: list[signal.Signals],
    tmp_path: Path,
    start_build: StartBuild,
    build_dir: Path,
) -> None:
    folder = new(tmp_path, language)

    def start() -> subprocess.Popen[str]:
        turn(folder)
        return start_build(folder, "--build-dir", build_dir)

    known, seconds = [], 0.0
    for _ in range(2):
        began = time.monotonic()
        with start() as process:
            _, said = process.communicate()
            assert process.returncode == 0, said
        seconds = time.monotonic() - began
        known.append(artifacts(folder))
    moments = random.Random(1)  # noqa: S311 - no secret
    for number in signals:
        with start() as process:
            time.sleep(moments.uniform(0, seconds))
            process.send_signal(number)
            process.communicate()
            assert process.returncode in (0, -number, 128 + number)
        assert is_whole(folder, known)
    # At once, while a compiler that was not killed may still be at work.
    with start() as process:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert artifacts(folder) == known[0]
    assert leftovers(folder) == []


@pytest.mark.toolchain
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_compilers_end_with_the_build(
    number: signal.Signals,
    tmp_path: Path,
    start_build: StartBuild,
    play_wasm_tools: Callable[[str], dict[str, str]],
) -> None:
    folder = new(tmp_path)
    held, never = tmp_path / "held", tmp_path / "never"
    os.mkfifo(held)
    os.mkfifo(never)
    stuck = play_wasm_tools(STUCK_TOOL.format(held=held, never=never))
    with start_build(folder, environment=stuck) as process, held.open() as pipe:
        assert pipe.readline() == "started\n"
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode == 128 + number, said
        assert said.strip() == ("interrupted" if number == signal.SIGINT else "")
        assert select.select([pipe], [], [], 60)[0]
        assert pipe.read() == ""
    assert not any((folder / "codec").iterdir())
    assert [path.name for path in (folder / "build" / "work").iterdir()] == ["sdk"]
    with start_build(folder) as process:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert (folder / "codec" / LOCK_FILE).is_file()
