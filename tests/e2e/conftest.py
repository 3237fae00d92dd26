"""What end-to-end tests share: the command line as a process, a tile, codecs for a test."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime

from chonkle.formats.signature import Signature, embed_signature
from tests.e2e.registries import Registry, started
from tests.e2e.tiles import Tile
from tests.fixture_types import Chonkle, ErrorOf, Explain, MakeCodec, PipelineOf

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
INSTALL_TIMEOUT_S = 300

# A codec whose transforms echo their input, unless told otherwise, with an allocator that only ever
# moves on.
SKELETON = """
(module
  {more}
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "alloc") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $next))
    (global.set $next (i32.add (local.get $start) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.const 64)))))
    {alloc})
  (func (export "dealloc") (param i32 i32) (global.set $next (i32.const 4096)))
  (func (export "encode") (param $pointer i32) (param $size i32) (result i64) {transform})
  (func (export "decode") (param $pointer i32) (param $size i32) (result i64) {transform}))
"""
ECHO = """
  (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
          (i64.extend_i32_u (local.get $size)))
"""


@pytest.fixture(scope="session", autouse=True)
def kept_bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the hundreds of processes share bytecode, also where Python may not write any.

    It is a third of the time that a process takes, and lies in a folder of the tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@pytest.fixture(scope="session")
def tile() -> Tile:
    """Give a tile that is small, since a component may take a second for each megabyte."""
    pipeline = json.loads((ROOT / "docs/examples/demo/tile.json").read_text("utf-8"))
    width = pipeline["constants"]["width"]["value"] = 96
    y, x = np.mgrid[0:width, 0:width] / width
    hills = 900 * np.sin(5 * x + 2 * y) * np.cos(7 * y) + np.random.default_rng(7).normal(
        size=x.shape
    )
    # Around zero, so that differences wrap.
    pixels = np.rint(hills).astype(np.int16).view("<u2")
    differences = np.diff(pixels, axis=1, prepend=np.zeros((width, 1), np.uint16))
    return Tile(pipeline, pixels.tobytes(), zlib.compress(differences.astype("<u2").tobytes()))


type Completed = subprocess.CompletedProcess[bytes]


def start_chonkle(
    *arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "chonkle", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_chonkle(
    *arguments: str | Path,
    cwd: Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Completed:
    with start_chonkle(*arguments, cwd=cwd, environment=environment) as process:
        stdout, stderr = process.communicate(stdin, timeout=TIMEOUT_S)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.fixture(scope="session")
def chonkle_process() -> Callable[..., subprocess.Popen[bytes]]:
    """Start `chonkle`, and leave the rest to the test."""
    return start_chonkle


@pytest.fixture(scope="session")
def chonkle_done() -> Chonkle:
    """Run `chonkle`, and leave it to the test what to make of it."""
    return run_chonkle


@pytest.fixture
def chonkle(tmp_path: Path) -> Chonkle:
    """Run `chonkle` as a process and demand that it succeeds."""

    def run(*arguments: str | Path, cwd: Path = tmp_path, **options: Any) -> Completed:
        done = run_chonkle(*arguments, cwd=cwd, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done

    return run


@pytest.fixture
def explain(chonkle: Chonkle) -> Explain:
    """Run `chonkle run` and give what `--explain --json` says."""

    def run(*arguments: str | Path, **options: Any) -> Any:
        done = chonkle("run", *arguments, "--explain", "--json", **options)
        return json.loads(done.stdout)

    return run


def everything_under(*folders: Path) -> dict[Path, bytes | None]:
    return {
        path: path.read_bytes() if path.is_file() else None
        for folder in folders
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def error_of(tmp_path: Path) -> ErrorOf:
    """Run `chonkle` and demand that it fails as every failure must.

    Exit code 1 (2 for wrong usage), one line on standard error (several problems of one pipeline
    are a list), nothing on standard output, no trace, and no new file. The message is returned.
    """

    def run(*arguments: str | Path, cwd: Path = tmp_path, code: int = 1, **options: Any) -> str:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = {
            **options.pop("environment", {}),
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch)),
        }
        before = everything_under(tmp_path, cwd)
        done = run_chonkle(*arguments, cwd=cwd, environment=environment, **options)
        message = done.stderr.decode()
        assert done.returncode == code, message
        assert "Traceback" not in message
        first, *others = message.splitlines()
        assert first.startswith("error: "), message
        assert all(line.startswith("  - ") for line in others), message
        assert bool(others) == first.endswith("problems:"), message
        assert done.stdout == b""
        assert everything_under(tmp_path, cwd) == before
        return message.removeprefix("error: ").rstrip()

    return run


def run_elsewhere(
    *command: str | Path,
    cwd: Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Run a program with nothing in its environment that leads back to the repository."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    pip = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**inherited, **pip, **(environment or {})},
        input=stdin,
        capture_output=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="session")
def call() -> Callable[..., bytes]:
    """Run a program that is installed elsewhere, and demand that it succeeds."""
    return run_elsewhere


@pytest.fixture(scope="session")
def copy_sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Copy what a distribution is built from, so that a working tree stays as it is."""

    def copy(*names: str) -> Path:
        folder = tmp_path_factory.mktemp("source")
        for name in names:
            source = ROOT / name
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                skipped = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, ignore=skipped)
            else:
                shutil.copy(source, folder / name)
        return folder

    return copy


@pytest.fixture(scope="session")
def install_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Install wheels into an environment of their own, and give the command `chonkle` there."""

    def install(*wheels: Path) -> Path:
        environment = tmp_path_factory.mktemp("environment")
        venv.create(environment, with_pip=False, symlinks=os.name != "nt")
        scheme = {"base": str(environment), "platbase": str(environment)}
        programs = Path(sysconfig.get_path("scripts", "venv", scheme))
        libraries = Path(sysconfig.get_path("purelib", "venv", scheme))
        # The dependencies come from where the tests run, as files and not as installed packages, so
        # that nothing is downloaded. chonkle's own entry there is left out.
        here = Path(sysconfig.get_path("purelib"))
        (libraries / "dependencies.pth").write_text(f"{here}\n")
        python = programs / Path(sys.executable).name
        run_elsewhere(
            *(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps"),
            "--ignore-installed",
            *wheels,
            cwd=environment,
        )
        where = run_elsewhere(
            python, "-c", "import chonkle; print(chonkle.__file__)", cwd=environment
        )
        assert Path(where.decode().strip()).is_relative_to(environment)
        command = shutil.which("chonkle", path=programs)
        assert command is not None
        return Path(command)

    return install


@pytest.fixture(scope="session")
def make_codec() -> MakeCodec:
    """Make a core codec of WebAssembly text."""

    def make(
        codec_id: str = "guest", *, transform: str = ECHO, alloc: str = "", more: str = ""
    ) -> bytes:
        text = SKELETON.format(transform=transform, alloc=alloc or "(local.get $start)", more=more)
        document = {
            "codec_id": codec_id,
            "implementation": "guest-wat",
            "version": "1.0.0",
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"bytes": {"type": "bytes"}},
        }
        return embed_signature(bytes(wasmtime.wat2wasm(text)), Signature.from_json(document))

    return make


@pytest.fixture(scope="session")
def pipeline_of() -> PipelineOf:
    """Write a pipeline of one step, which maps `bytes` to `bytes`."""

    def write(codec_id: str = "guest", **fields: object) -> dict[str, Any]:
        return {
            "codec_id": "one-step",
            "direction": "decode",
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"bytes": "only.bytes"},
            "steps": {"only": {"codec_id": codec_id, "inputs": {"bytes": "input.bytes"}}},
            **fields,
        }

    return write


@pytest.fixture
def wasm(make_codec: MakeCodec) -> bytes:
    return make_codec()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make the folder `store`, for `--codec-store store`."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory, registry_program: str) -> Iterator[Registry]:
    with started(tmp_path_factory.mktemp("registry"), registry_program) as found:
        yield found


@pytest.fixture(scope="module")
def shared_registry(
    tmp_path_factory: pytest.TempPathFactory, registry_program: str
) -> Iterator[Registry]:
    """Start one registry for all tests of a file."""
    with started(tmp_path_factory.mktemp("registry"), registry_program) as found:
        yield found
