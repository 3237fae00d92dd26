"""`chonkle cache` between processes: warming, and watching it grow."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle

type Cold = Mapping[str, str]


@pytest.fixture
def pipeline(tmp_path: Path, tile: Tile) -> str:
    (tmp_path / "tile.json").write_text(json.dumps(tile.pipeline))
    return "tile.json"


@pytest.fixture
def cold(tmp_path: Path) -> dict[str, str]:
    return {"CHONKLE_CACHE_DIR": str(tmp_path / "cold")}


@pytest.mark.parametrize(
    ("backend", "more"), [("core", ()), ("component", ()), ("core", ("--timeout", "60"))]
)
def test_what_was_warmed_is_not_compiled(
    request: pytest.FixtureRequest, pipeline: str, cold: Cold, backend: str, more: tuple[str, ...]
) -> None:
    chonkle, explain = map(request.getfixturevalue, ("chonkle", "explain"))
    words = (pipeline, "--preference", backend)
    chonkle("cache", "warm", *words, *(["--interruptible"] if more else []), environment=cold)
    only = {**cold, "CHONKLE_AOT": "only"}
    cache = explain(*words, *more, environment=only)["cache"]
    assert cache == {"loaded": 2, "compiled": 0, "rejected": 0}


@pytest.mark.slow
def test_all_shipped_codecs_are_warmed_by_default(chonkle: Chonkle, cold: Cold) -> None:
    codecs = json.loads(chonkle("codecs", "--json").stdout)
    shipped = {(each["implementation"], each["backend"]) for each in codecs if each["path"]}
    warmed = json.loads(chonkle("cache", "warm", "--json", environment=cold).stdout)
    found = {(each["implementation"].partition("@")[0], each["backend"]) for each in warmed}
    assert found == shipped
    assert {each["result"] for each in warmed} == {"compiled"}
    listed = json.loads(chonkle("cache", "list", "--json", environment=cold).stdout)
    # And the trampolines of core modules and of components.
    assert len(listed) == len(warmed) + 2
    assert {each["status"] for each in listed} == {"usable"}
    verified = chonkle("cache", "verify", "--recompile", environment=cold).stdout.decode()
    count = f"{len(listed)} of {len(listed)} entries"
    assert verified == f"{count} as written\n{count} as compiling gives\n"


def test_what_the_mode_only_advises_helps(
    request: pytest.FixtureRequest, tmp_path: Path, pipeline: str, cold: Cold
) -> None:
    names = ("chonkle", "chonkle_done", "explain")
    chonkle, chonkle_done, explain = map(request.getfixturevalue, names)
    only = {**cold, "CHONKLE_AOT": "only"}
    words = (pipeline, "--preference", "core")
    for _ in range(2):
        failed = chonkle_done("run", *words, "--explain", cwd=tmp_path, environment=only)
        assert failed.returncode == 1
        _, advice, _ = failed.stderr.decode().rpartition("hint: ")[2].split("`")
        mode, program, *command = advice.split()
        assert (mode, program) == ("CHONKLE_AOT=auto", "chonkle")
        chonkle(*command, environment={**cold, "CHONKLE_AOT": "auto"})
    assert explain(*words, environment=only)["cache"]["loaded"] == 2


# Compiles, which takes more than a second.
SLOWLY = """
import time
from chonkle.cli import main
from chonkle.runtime import Runtime
warm = Runtime.warm
def wait(self, *given):
    time.sleep(1.5)
    return warm(self, *given)
Runtime.warm = wait
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_progress_is_shown_on_a_terminal_alone(tmp_path: Path, cold: Cold) -> None:
    import pty  # noqa: PLC0415 - there is none on Windows

    watcher, terminal = pty.openpty()
    command = [sys.executable, "-c", SLOWLY, "cache", "warm", "identity"]
    environment = {**os.environ, **cold, "TERM": "xterm"}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=terminal,
        timeout=120,
        check=True,
    )
    os.close(terminal)
    displayed = b""
    try:
        while part := os.read(watcher, 4096):
            displayed += part
    except OSError:
        pass  # what Linux says where the other end is closed
    finally:
        os.close(watcher)
    assert b"compiling" in displayed
    assert b"0/2, " in displayed
    assert displayed.endswith(b"\r\x1b[K")  # the line is removed
    assert b"compiled in" in done.stdout
    assert b"compiling" not in done.stdout
