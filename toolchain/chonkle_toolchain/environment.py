"""The environment of compilers, without variables that would change their output.

Variables for other builds, such as `CFLAGS` or `RUSTFLAGS`, would give other bytes of the same
sources, and the fingerprint would not show it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from chonkle.errors import BuildError

# Variables that Cargo, rustc, the `cc` crate, Zig and clang read and that reach their output.
_READ = re.compile(
    r"CARGO_(BUILD|ENCODED|INCREMENTAL|PROFILE|TARGET|UNSTABLE).*"
    r"|RUSTC.*|.*RUSTFLAGS"
    r"|((HOST|TARGET)_)?(AR|ARFLAGS|CC|CFLAGS|CXX|CXXFLAGS|RANLIB)(_.*)?|CRATE_CC_.*"
    r"|.*_PKG_CONFIG|PKG_CONFIG.*"
    r"|ZIG_(LIB_DIR|LIBC)|NIX_(CFLAGS_COMPILE|LDFLAGS).*"
    r"|(C|CPLUS)_INCLUDE_PATH|CPATH|COMPILER_PATH|CCC_.*|SOURCE_DATE_EPOCH"
)
# The number of parallel compilers changes no output.
_HARMLESS = frozenset({"CARGO_BUILD_JOBS"})


def build_environment() -> dict[str, str]:
    """Give this process's environment without those variables."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _HARMLESS or not _READ.fullmatch(name)
    }


def require_zig_folders(folder: Path) -> None:
    """Require that Zig can work in a folder and write its caches.

    Args:
        folder: the folder of its sources.

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
        # Zig would try to make it without end.
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise BuildError(
                f"{cache}: cannot be made for Zig's cache: {failure.strerror}",
                hint=f"{name} says where it goes",
            ) from failure


def is_zig_cache_empty() -> bool:
    """Tell whether Zig has compiled nothing yet on this machine."""
    return not any(any(cache.glob("*")) for cache in _zig_caches(os.environ).values())


def _zig_caches(environment: Mapping[str, str]) -> dict[str, Path]:
    """Give Zig's caches by the variable that names each."""
    named = {
        name: Path(environment[name])
        for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
        if environment.get(name)
    }
    for name, place in (("XDG_CACHE_HOME", "zig"), ("HOME", ".cache/zig")):
        if "ZIG_GLOBAL_CACHE_DIR" not in named and environment.get(name):
            return {**named, name: Path(environment[name], place)}
    return named
