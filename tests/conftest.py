"""What holds for every test: nothing of the user's is read or written, and nothing is left behind.

Hypothesis profiles: `dev` looks for new failures on every run; `ci` tries the same examples each
time, so that a red run can be repeated. `HYPOTHESIS_PROFILE` names another one.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from chonkle.runtime import Runtime
from chonkle.settings import Settings
from chonkle.wasmtime_version import wasmtime_version

# The first call of a codec compiles it, so that times vary by a factor of a thousand.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    print_blob=True,
)
# For a long search by hand.
settings.register_profile(
    "thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=5000
)
in_ci = os.environ.get("CI", "").lower() in {"1", "true"}
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if in_ci else "dev"))

ROOT = Path(__file__).parents[1]
EQUIPPED_BY = "`sh .ci/system-packages` as root on Debian, and `make registry-tools`, get it"

# What a run of the tests may be told. Where registry tools are says nothing about what tests find;
# how guests are called and how components are run must make no difference to them.
PASSED_ON = ("CHONKLE_TOOLS_DIR", "CHONKLE_CALLS", "CHONKLE_COMPONENT")


def pytest_report_header() -> str:
    """Say what the tests run with."""
    told = [f"{name}={os.environ[name]}" for name in PASSED_ON if os.environ.get(name)]
    return " ".join([f"wasmtime {wasmtime_version()}", *told])


@pytest.fixture(scope="session", autouse=True)
def hermetic_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give chonkle, in this process and in those that tests start, folders of its own.

    Every pytest-xdist worker has its own folders: what a test finds in a cache is what tests of
    the same worker left there.
    """
    home = tmp_path_factory.mktemp("chonkle")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("CHONKLE_") and name not in PASSED_ON:
                patch.delenv(name)
        patch.setenv("CHONKLE_CACHE_DIR", str(home / "cache"))
        patch.setenv("CHONKLE_CODEC_STORE", str(home / "store"))
        # No credentials of the user's go to a test's registry, and no proxy stands before it.
        patch.setenv("DOCKER_CONFIG", str(home / "docker"))
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost,::1")
        yield home


@pytest.fixture(scope="session")
def open_runtime() -> Callable[..., Runtime]:
    """Give a function that opens a runtime as the run of the tests was told, or as a test says."""

    def open_(**options: Any) -> Runtime:
        told = Settings.from_environment()
        usual = {
            "prepared_calls": told.prepared_calls,
            "flatten_components": told.flatten_components,
            # Tests write many codecs, and trust them.
            "compile_limits": None,
        }
        return Runtime(**{**usual, **options})

    return open_


@pytest.fixture(scope="session")
def external_program() -> Callable[[str], str]:
    """Give a function that finds a program of another project, and gives its path.

    Without the program the test is skipped, except in CI, where a skipped test would go unseen.
    """
    tools = Path(os.environ.get("CHONKLE_TOOLS_DIR", ROOT / ".tools"))

    def find(name: str) -> str:
        program = shutil.which(name, path=tools / "bin") or shutil.which(name)
        if program is None:
            reason = f"NOT TESTED with `{name}`, which is missing; hint: {EQUIPPED_BY}"
            if in_ci:
                pytest.fail(reason)
            pytest.skip(reason)
        return program

    return find


@pytest.fixture(scope="session")
def registry_program(external_program: Callable[[str], str]) -> str:
    """Give the path of `docker-registry`, a real registry to start on the loopback interface."""
    return external_program("docker-registry")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured, as `record_property("measured", ...)`, also of passed ones."""
    figures = [
        f"{report.nodeid}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == "measured" and report.when == "call"
    ]
    if figures:
        terminalreporter.section("measured")
        for figure in figures:
            terminalreporter.write_line(figure)
