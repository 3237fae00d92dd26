"""The environment that compilers get: without what would change what they make.

Variables that other builds want, such as `CFLAGS` or `RUSTFLAGS`, would give other bytes of the
same sources without a trace in the fingerprint.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from chonkle.errors import BuildError

# What Cargo, rustc, its `cc` crate, Zig and clang read and what reaches their output.
_HEEDED = re.compile(
    r"CARGO_(BUILD|ENCODED|INCREMENTAL|PROFILE|TARGET|UNSTABLE).*"
    r"|RUSTC.*|.*RUSTFLAGS"
    r"|((HOST|TARGET)_)?(AR|ARFLAGS|CC|CFLAGS|CXX|CXXFLAGS|RANLIB)(_.*)?|CRATE_CC_.*"
    r"|.*_PKG_CONFIG|PKG_CONFIG.*"
    r"|ZIG_(LIB_DIR|LIBC)|NIX_(CFLAGS_COMPILE|LDFLAGS).*"
    r"|(C|CPLUS)_INCLUDE_PATH|CPATH|COMPILER_PATH|CCC_.*|SOURCE_DATE_EPOCH"
)
# How many compilers run at once changes nothing.
_HARMLESS = frozenset({"CARGO_BUILD_JOBS"})


def build_environment() -> dict[str, str]:
    """Give this process's environment, as far as builds want it."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _HARMLESS or not _HEEDED.fullmatch(name)
    }


def demand_room_for_zig(folder: Path) -> None:
    """Demand that Zig can work in a folder, and with the caches that it has.

    Args:
        folder: where its sources are.

    Raises:
        BuildError: when its flags cannot name the folder, or a cache cannot be made.
    """
    if "=" in str(folder.resolve()):
        # Clang takes the first `=` for the end of a path, and paths would get into the module.
        raise BuildError(
            f"{folder.resolve()}: C cannot be built in a folder with `=` in its path",
            hint="name another with `--build-dir`",
        )
    for name, cache in _zig_caches(os.environ).items():
        # Zig would try to make it for ever.
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise BuildError(
                f"{cache}: cannot be made for Zig's cache: {failure.strerror}",
                hint=f"{name} says where it goes",
            ) from failure


def _zig_caches(environment: Mapping[str, str]) -> dict[str, Path]:
    """Tell where Zig keeps what it compiled, by the variable that says so."""
    named = {
        name: Path(environment[name])
        for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
        if environment.get(name)
    }
    for name, place in (("XDG_CACHE_HOME", "zig"), ("HOME", ".cache/zig")):
        if "ZIG_GLOBAL_CACHE_DIR" not in named and environment.get(name):
            return {**named, name: Path(environment[name], place)}
    return named
