"""The environment that compilers get: without what would change what they make.

Variables that other builds want, such as `CFLAGS` or `RUSTFLAGS`, would give other bytes of the
same sources without a trace in the fingerprint.
"""

import os
import re

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
