"""Native code that is carried from one cache to another, by processes."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle

type Environment = Mapping[str, str]

KEY = "5e" * 32
ALLOW = "--allow-unauthenticated"


@pytest.fixture
def command(tmp_path: Path, tile: Tile) -> list[str]:
    (tmp_path / "tile.json").write_text(json.dumps(tile.pipeline))
    (tmp_path / "tile.bin").write_bytes(tile.encoded)
    return ["tile.json", "--preference", "core", "--input", "bytes=tile.bin"]


@pytest.fixture
def warm(tmp_path: Path, command: list[str], chonkle: Chonkle) -> Environment:
    """Give a cache that has run the tile, with and without a timeout."""
    environment = {"CHONKLE_CACHE_DIR": str(tmp_path / "warm")}
    for more in ((), ("--timeout", "60")):
        chonkle("run", *command, "--output", "bytes=warm.raw", *more, environment=environment)
    return environment


@pytest.fixture
def bundle(tmp_path: Path, warm: Environment, chonkle: Chonkle) -> Path:
    chonkle("cache", "export", "codecs.tar", environment=warm)
    return tmp_path / "codecs.tar"


def only(root: Path, **more: str) -> Environment:
    return {"CHONKLE_CACHE_DIR": str(root), "CHONKLE_AOT": "only", **more}


def check_run(chonkle: Chonkle, command: list[str], tile: Tile, environment: Environment) -> None:
    """Run the tile as the code that was carried says, and compile nothing."""
    for more in ((), ("--timeout", "60")):
        done = chonkle(
            *("run", *command, "--output", "bytes=-", "--explain", *more), environment=environment
        )
        assert done.stdout == tile.pixels
        assert b"2 loaded from the cache, 0 compiled, 0 cached and rejected" in done.stderr


def test_what_one_machine_compiled_another_runs(
    *,
    tmp_path: Path,
    tile: Tile,
    command: list[str],
    bundle: Path,
    warm: Environment,
    chonkle: Chonkle,
    error_of: Callable[..., str],
) -> None:
    cold = only(tmp_path / "cold")
    assert "CHONKLE_AOT=only" in error_of("run", *command, "--output", "bytes=-", environment=cold)
    there = {"CHONKLE_CACHE_DIR": str(tmp_path / "cold")}
    done = chonkle("cache", "import", "codecs.tar", ALLOW, "--json", environment=there)
    exported = json.loads(
        chonkle("cache", "export", "again.tar", "--json", environment=warm).stdout
    )
    assert (tmp_path / "again.tar").read_bytes() == bundle.read_bytes()
    # Two codecs, for two engines.
    assert (exported["entries"], exported["stale"], exported["invalid"]) == (4, 0, 0)
    assert json.loads(done.stdout) == {
        "file": "codecs.tar",
        "entries": 4,
        "size_bytes": exported["size_bytes"],
        "kept": 0,
        "busy": 0,
    }
    check_run(chonkle, command, tile, cold)
    done = chonkle("cache", "import", "codecs.tar", ALLOW, environment=there)
    assert done.stderr.decode() == "codecs.tar: imported 0 entries, 0 B; 4 were there already\n"
    assert done.stdout == b""


def test_a_bundle_goes_through_a_pipe(bundle: Path, warm: Environment, chonkle: Chonkle) -> None:
    done = chonkle("cache", "export", "-", environment=warm)
    assert done.stdout == bundle.read_bytes()
    assert done.stderr.startswith(b"-: 4 entries, ")


def test_a_job_without_codecs_has_an_empty_bundle(tmp_path: Path, chonkle: Chonkle) -> None:
    cold = {"CHONKLE_CACHE_DIR": str(tmp_path / "cold")}
    done = chonkle("cache", "export", "codecs.tar", environment=cold)
    assert done.stderr.decode() == (
        "codecs.tar: an empty bundle, for there is nothing to export: "
        "`chonkle cache warm` compiles codecs\n"
    )
    done = chonkle("cache", "import", "codecs.tar", environment=cold)
    assert done.stderr.decode() == "codecs.tar: imported 0 entries, 0 B\n"


def test_one_entry_is_one_entry(tmp_path: Path, warm: Environment, chonkle: Chonkle) -> None:
    cold = {"CHONKLE_CACHE_DIR": str(tmp_path / "cold")}
    entries = json.loads(chonkle("cache", "list", "--json", environment=warm).stdout)
    for each in entries[1:]:
        for path in (tmp_path / "warm").rglob(f"{each['key']}*"):
            path.unlink()
    done = chonkle("cache", "export", "one.tar", environment=warm)
    assert done.stderr.startswith(b"one.tar: 1 entry, ")
    done = chonkle("cache", "import", "one.tar", ALLOW, environment=cold)
    assert done.stderr.startswith(b"one.tar: imported 1 entry, ")
    done = chonkle("cache", "import", "one.tar", ALLOW, environment=cold)
    assert done.stderr == b"one.tar: imported 0 entries, 0 B; 1 was there already\n"


def test_json_and_a_bundle_do_not_mix(
    tmp_path: Path, warm: Environment, chonkle_done: Chonkle
) -> None:
    done = chonkle_done("cache", "export", "-", "--json", cwd=tmp_path, environment=warm)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"cannot both go to standard output" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")
def test_an_unpacked_bundle_is_a_cache_of_the_system(
    tmp_path: Path, tile: Tile, command: list[str], bundle: Path, chonkle: Chonkle
) -> None:
    entries = tmp_path / "system" / "aot-v3"
    entries.mkdir(parents=True)
    old = os.umask(0o022)
    try:
        with tarfile.open(bundle, "r:") as archive:
            archive.extractall(entries, filter="data")
    finally:
        os.umask(old)
    for path in (tmp_path / "system").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    system = {"CHONKLE_CACHE_SYSTEM": str(tmp_path / "system")}
    check_run(chonkle, command, tile, only(tmp_path / "none", **system))
    assert not (tmp_path / "none").exists()


def test_a_key_vouches_for_a_bundle(
    tmp_path: Path, tile: Tile, command: list[str], bundle: Path, chonkle: Chonkle
) -> None:
    keyed = {"CHONKLE_CACHE_DIR": str(tmp_path / "keyed"), "CHONKLE_CACHE_KEY": KEY}
    # Accepted by the user; from here on the key authenticates it.
    chonkle("cache", "import", bundle, ALLOW, environment=keyed)
    chonkle("cache", "export", "keyed.tar", environment=keyed)
    goal = only(tmp_path / "goal", CHONKLE_CACHE_KEY=KEY)
    chonkle("cache", "import", "keyed.tar", environment={**goal, "CHONKLE_AOT": "auto"})
    check_run(chonkle, command, tile, goal)


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    """Give a directory that others may write to."""
    folder = tmp_path / "loose"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        pytest.param(
            ("import", "codecs.tar"),
            {},
            f"it is not authenticated, and its author could run code as you; hint: set "
            f"CHONKLE_CACHE_KEY to one key for export and import, or give {ALLOW} if you trust",
            id="not-authenticated",
        ),
        pytest.param(
            ("import", "codecs.tar", ALLOW),
            {"CHONKLE_CACHE_DIR": "loose"},
            "may be written by others",
            id="untrusted",
        ),
        pytest.param(
            ("export", "none/new.tar"),
            {"CHONKLE_CACHE_DIR": "warm"},
            "cannot write none/new.tar: No such file or directory",
            id="no-folder",
        ),
    ],
)
@pytest.mark.usefixtures("loose", "bundle")
def test_what_cannot_be_done_is_one_line(
    error_of: Callable[..., str],
    *,
    arguments: tuple[str, ...],
    environment: Environment,
    words: str,
) -> None:
    assert words in error_of(
        "cache", *arguments, environment={"CHONKLE_CACHE_DIR": "cold", **environment}
    )


def test_processes_that_import_at_once_agree(
    tmp_path: Path, tile: Tile, command: list[str], bundle: Path, chonkle: Chonkle
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "chonkle", "cache", "import", bundle, ALLOW, "--json"],
            cwd=tmp_path,
            env={**os.environ, "CHONKLE_CACHE_DIR": str(tmp_path / "cold")},
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(each["entries"] for each in told) == 4
    assert [each["entries"] + each["kept"] for each in told] == [4] * 4
    check_run(chonkle, command, tile, only(tmp_path / "cold"))


@pytest.mark.slow
def test_an_import_that_is_killed_leaves_whole_entries_and_can_be_done_again(
    tmp_path: Path, chonkle: Chonkle, chonkle_process: Callable[..., Any]
) -> None:
    warm, cold = ({"CHONKLE_CACHE_DIR": str(tmp_path / name)} for name in ("warm", "cold"))
    chonkle("cache", "warm", "--interruptible", environment=warm)
    chonkle("cache", "export", "codecs.tar", environment=warm)
    with chonkle_process(
        *("cache", "import", "codecs.tar", ALLOW), cwd=tmp_path, environment=cold
    ) as process:
        while process.poll() is None and not any((tmp_path / "cold").rglob("*.record")):
            pass
        process.kill()
    there = json.loads(chonkle("cache", "list", "--json", environment=cold).stdout)
    whole = [each for each in there if each["status"] == "usable"]
    assert whole
    assert {each["status"] for each in there} <= {"usable", "unfinished"}
    chonkle("cache", "verify", environment=cold)
    done = json.loads(
        chonkle("cache", "import", "codecs.tar", ALLOW, "--json", environment=cold).stdout
    )
    assert done["kept"] == len(whole)
    chonkle("cache", "export", "again.tar", environment=cold)
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "codecs.tar").read_bytes()
