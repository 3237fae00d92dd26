"""The installed version of wasmtime, and the versions that chonkle is tested with.

A new major version comes every month. Below wasmtime's public API anything may change with it, so
that versions which are not tested are used through that API only, which is slower.
"""

import os
from functools import cache
from pathlib import Path

import wasmtime

# Major versions; `make test-wasmtime` runs the tests with each.
TESTED = range(48, 51)


@cache
def wasmtime_version() -> str:
    """Read the installed version from the name of the distribution's directory.

    `importlib.metadata` takes as long as loading wasmtime, so it is used only where that fails.
    """
    packages = Path(wasmtime.__file__).parent.parent
    prefix, suffix = "wasmtime-", ".dist-info"
    # Names only: paths of some hundred packages take ten times as long.
    names = os.listdir(packages)  # noqa: PTH208
    found = [name for name in names if name.startswith(prefix) and name.endswith(suffix)]
    if len(found) == 1:
        return found[0].removeprefix(prefix).removesuffix(suffix)
    from importlib.metadata import version  # noqa: PLC0415 - slow, see above

    return version("wasmtime")


def is_tested() -> bool:
    """Tell whether chonkle is tested with the installed version."""
    major = wasmtime_version().partition(".")[0]
    return major.isdecimal() and int(major) in TESTED
