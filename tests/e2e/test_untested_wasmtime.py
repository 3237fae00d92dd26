"""A version of wasmtime that chonkle is not tested with: one warning, the same bytes, more slowly.

The installed package stands in for it, under another version number. In `make test-wheels` a wheel
of another version is installed instead, and `TESTED_PYTHON` is a Python with one that is tested.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import wasmtime

from chonkle.wasmtime_version import TESTED
from tests.fixture_types import Chonkle, MakeCodec, PipelineOf

ROOT = Path(__file__).parents[2]
VERSION = f"{TESTED.stop}.0.0"
WARNING = (
    f"wasmtime {VERSION} is not among the versions that chonkle is tested with, {TESTED[0]} to "
    f"{TESTED[-1]}, so it is used through its public API only, and calls are slower; hint: "
    "install a tested version, or a newer chonkle"
)

# Prints what shipped codecs make of some bytes, and how they were called.
CODECS = """
import json, sys
import numpy
import chonkle
from chonkle.backends.wasm.unchecked_calls import open_calls
from chonkle.digest import Digest
found = {}
data = (numpy.arange(40_000, dtype="<i4") ** 2 % 1013).tobytes()
names = {"zlib": {}, "zstd": {}, "blosc": {"typesize": 4}, "lz4": {}, "crc32": {}}
names["delta"] = {"dtype": "<i4"}
for name, parameters in names.items():
    for backend in ("core", "component"):
        codec = chonkle.codec(name, backend=backend, **parameters)
        encoded = bytes(codec.encode(data))
        for _ in range(3):
            assert bytes(codec.decode(encoded)) == data
        found[f"{name} {backend}"] = str(Digest.blake3(encoded))
        try:
            codec.decode(encoded[: len(encoded) // 2])
        except chonkle.errors.ChonkleError as failure:
            found[f"{name} {backend} broken"] = str(failure)
print(json.dumps({"found": found, "calls": type(open_calls()).__name__}))
"""
# Opens runtimes in threads, and in the processes of a pool and forked ones.
WORKERS = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import chonkle
from chonkle.runtime import Runtime

def work(number):
    with Runtime() as runtime:
        codec = chonkle.codec("zlib", backend="core", runtime=runtime)
        return bytes(codec.decode(codec.encode(bytes([number]) * 100)))

if __name__ == "__main__":
    wanted = [bytes([number]) * 100 for number in range(6)]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(work, range(6))) == wanted
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as processes:
            assert list(processes.map(work, range(6))) == wanted
"""


# Where this process finds an untested version by itself.
TESTED_PYTHON = os.environ.get("TESTED_PYTHON")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment of a process that finds wasmtime under another version."""
    if TESTED_PYTHON:
        assert version("wasmtime") == VERSION
        return {}
    folder = tmp_path_factory.mktemp("packages")
    (folder / "wasmtime").symlink_to(Path(wasmtime.__file__).parent, target_is_directory=True)
    metadata = folder / f"wasmtime-{VERSION}.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: wasmtime\nVersion: {VERSION}\n")
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}


def run(
    program: Path,
    text: str,
    environment: dict[str, str],
    cache: Path,
    *,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    program.write_text(text)
    return subprocess.run(
        [python, program],
        env={**os.environ, "CHONKLE_CACHE_DIR": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )


def test_it_gives_the_same_bytes_and_errors(tmp_path: Path, environment: dict[str, str]) -> None:
    python, path = TESTED_PYTHON or sys.executable, {"PYTHONPATH": str(ROOT)}
    tested = run(tmp_path / "a.py", CODECS, path, tmp_path / "cache", python=python)
    untested = run(tmp_path / "a.py", CODECS, environment, tmp_path / "cache")
    ours, theirs = json.loads(tested.stdout), json.loads(untested.stdout)
    assert len(ours["found"]) > 12
    assert ours["found"] == theirs["found"]
    assert (ours["calls"], theirs["calls"]) == ("PreparedCalls", "PublicCalls")
    assert (tested.stderr, untested.stderr) == ("", f"{WARNING}\n")


def test_a_command_warns_once(
    *,
    tmp_path: Path,
    chonkle: Chonkle,
    environment: dict[str, str],
    make_codec: MakeCodec,
    pipeline_of: PipelineOf,
) -> None:
    # It is not shipped, so that it is compiled in a child process.
    (tmp_path / "store").mkdir()
    (tmp_path / "store/guest.wasm").write_bytes(make_codec())
    (tmp_path / "guest.json").write_text(json.dumps(pipeline_of()))
    command = ("run", "guest.json", "--codec-store", "store")
    files = ("--input", "bytes=-", "--output", "bytes=-")
    for _ in range(2):
        done = chonkle(*command, *files, stdin=b"data", environment=environment)
        assert (done.stdout, done.stderr.decode()) == (b"data", f"{WARNING}\n")
    quiet = {**environment, "CHONKLE_CALLS": "public"}
    assert chonkle(*command, *files, stdin=b"data", environment=quiet).stderr == b""


def test_a_process_with_threads_and_workers_warns_once(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = run(tmp_path / "workers.py", WORKERS, environment, tmp_path / "cache")
    assert done.stderr == f"{WARNING}\n"


def test_an_import_is_denied_by_its_name(tmp_path: Path, environment: dict[str, str]) -> None:
    tests = "tests/unit/backends/wasm/test_wasi.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", tests,
         "-k", "denied_by_name or realloc_and_post_return or random",
         f"--basetemp={tmp_path / 'inner'}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
