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
from collections.abc import Collection, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Speed, documentation, and what needs other versions of zarr-python, show nothing here.
_LEFT_OUT = {
    "zarr": ["benchmarks", "test_docs.py", "test_examples.py", "test_regression/scripts"],
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


def _outcomes(
    suite: Path, results: Path, *, in_place: bool, tests: Collection[str], arguments: list[str]
) -> dict[str, bool]:
    """Run tests, and tell by the id of each that was not skipped whether it passed."""
    options = [each for line in _options(suite) for each in line]
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(_configuration(suite))),
            *(f"--rootdir={suite}", "-p", "in_place", "-q", "--tb=line", "-p", "no:cacheprovider"),
            *(f"--junitxml={results}", *options, *arguments, *(tests or ["tests"])),
        ],
        cwd=suite,
        env={
            **os.environ,
            "CHONKLE_IN_PLACE": str(int(in_place)),
            "PYTHONPATH": os.pathsep.join([str(HERE), str(suite.parent / "plugins"), str(ROOT)]),
        },
        check=False,
    )
    found: dict[str, bool] = {}
    for case in ET.parse(results).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        if case.find("skipped") is None:
            name = f"{case.get('classname')}::{case.get('name')}"
            passed = case.find("failure") is None and case.find("error") is None
            found[name] = found.get(name, True) and passed
    return found


def _options(suite: Path) -> list[list[str]]:
    left_out = _LEFT_OUT[suite.name.partition("-")[0]]
    return [["--ignore", f"tests/{each}"] for each in left_out]


def _configuration(suite: Path) -> Path:
    path = suite.parent / "pytest.ini"
    path.write_text(f"[pytest]{_INI}", encoding="utf-8")
    return path


def _path_of(name: str, suite: Path) -> str:
    """Give what pytest takes for a test of its results: the file, the class and the function."""
    dotted, _, function = name.partition("::")
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        path = Path(f"{'/'.join(parts[:end])}.py")
        if (suite / path).exists():
            return "::".join([str(path), *parts[end:], function.partition("[")[0]])
    return "tests"  # it could not be collected


def _compare(suite: Path, differences: Mapping[str, str], arguments: list[str]) -> bool:
    """Run a suite, and print what is not as it should be."""
    with_us = _outcomes(
        suite, suite.parent / "with.xml", in_place=True, tests=(), arguments=arguments
    )
    failed = {name for name, passed in with_us.items() if not passed}
    without: dict[str, bool] = {}
    if failed:
        tests = sorted({_path_of(name, suite) for name in failed})
        without = _outcomes(
            suite, suite.parent / "without.xml", in_place=False, tests=tests, arguments=arguments
        )
    both = {name for name in failed if not without.get(name, False)}
    listed = {name for name in failed if {name, name.partition("[")[0]} & differences.keys()}
    seen = {each for name in listed for each in (name, name.partition("[")[0])}
    unexpected = sorted(failed - both - listed)
    stale = [] if "-k" in arguments else sorted(differences.keys() - seen)
    sys.stdout.write(
        f"== {suite.name}: {len(with_us):,} tests ran with chonkle in place, {len(failed)} failed; "
        f"{len(both)} of them fail without it too, {len(listed)} are listed\n"
    )
    for name in unexpected:
        sys.stdout.write(f"error: {name} passes without chonkle only\n")
    for name in stale:
        sys.stdout.write(f"error: {name} is in differences.toml, and does not fail\n")
    return bool(with_us) and not unexpected and not stale


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
        reasons = {test: group["reason"] for group in listed[suite] for test in group["tests"]}
        is_as_expected &= _compare(folder, reasons, arguments)
    return 0 if is_as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
