"""Run the tests of zarr-python and numcodecs with chonkle in place: `make test-zarr`.

    python -m tests.zarr.upstream FOLDER [arguments for pytest]

FOLDER holds the unpacked sources. Every test that passes without chonkle has to pass with it, but
for those in differences.toml, which gives a reason for each; and those have to fail.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Speed, documentation, and what needs other versions of zarr-python, show nothing here.
_LEFT_OUT = {
    "zarr": [
        *("benchmarks", "test_docs.py", "test_examples.py", "test_api/test_synchronous.py"),
        "test_regression/scripts",
    ],
    "numcodecs": ["test_entrypoints.py", "test_entrypoints_backport.py", "package_with_entrypoint"],
}
_INI = """
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
markers =
    asyncio: in an event loop
    gpu: needs one
    slow_hypothesis: takes long
    skip_old: not used
    benchmark: not run here
"""


def _passed(suite: Path, *, in_place: bool, arguments: list[str]) -> set[str]:
    """Run a suite, and give the ids of the tests that passed."""
    options = [each for line in _options(suite) for each in line]
    results = suite.parent / f"{suite.name}-{'with' if in_place else 'without'}.xml"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(_configuration(suite))),
            *(f"--rootdir={suite}", "-p", "in_place", "-q", "--tb=line", "-p", "no:cacheprovider"),
            *(f"--junitxml={results}", *options, *arguments, "tests"),
        ],
        cwd=suite,
        env={
            **os.environ,
            "CHONKLE_IN_PLACE": str(int(in_place)),
            "PYTHONPATH": os.pathsep.join([str(HERE), str(suite.parent / "plugins"), str(ROOT)]),
        },
        check=False,
    )
    passed: set[str] = set()
    others: set[str] = set()
    for case in ET.parse(results).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        is_other = any(case.find(each) is not None for each in ("skipped", "failure", "error"))
        (others if is_other else passed).add(f"{case.get('classname')}::{case.get('name')}")
    return passed - others  # a test may have an error after it, in a case of its own


def _options(suite: Path) -> list[list[str]]:
    left_out = _LEFT_OUT[suite.name.partition("-")[0]]
    return [["--ignore", f"tests/{each}"] for each in left_out]


def _configuration(suite: Path) -> Path:
    path = suite.parent / "pytest.ini"
    path.write_text(f"[pytest]{_INI}", encoding="utf-8")
    return path


def _compare(suite: Path, differences: Collection[str], arguments: list[str]) -> bool:
    """Run a suite with and without chonkle, and print what is not as it should be."""
    with_us = _passed(suite, in_place=True, arguments=arguments)
    without = _passed(suite, in_place=False, arguments=arguments)
    lost = without - with_us
    listed = {name for name in lost if {name, name.partition("[")[0]} & set(differences)}
    seen = {each for name in listed for each in (name, name.partition("[")[0])}
    stale = [] if "-k" in arguments else sorted(set(differences) - seen)
    sys.stdout.write(
        f"== {suite.name}: {len(without):,} tests pass without chonkle, {len(with_us):,} with it "
        f"in place; {len(lost)} differ, {len(listed)} of them are listed\n"
    )
    for name in sorted(lost - listed):
        sys.stdout.write(f"error: {name} passes without chonkle only\n")
    for name in stale:
        sys.stdout.write(f"error: {name} is in differences.toml, and does not differ\n")
    return bool(without) and lost == listed and not stale


def main() -> int:
    """Run both suites; 0 if nothing is unexpected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suite", choices=[*_LEFT_OUT], action="append")
    given, arguments = parser.parse_known_args()
    listed = tomllib.loads((HERE / "differences.toml").read_text(encoding="utf-8"))
    is_as_expected = True
    for suite in given.suite or _LEFT_OUT:
        (folder,) = (each for each in given.folder.resolve().glob(f"{suite}-*") if each.is_dir())
        differences = [test for group in listed[suite] for test in group["tests"]]
        is_as_expected &= _compare(folder, differences, arguments)
    return 0 if is_as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
