"""A C compiler and archiver for C inside of crates: Zig's, as Cargo's `cc` crate can run them.

`cc` runs one program with arguments of its own choice; one of them names the target
`wasm32-unknown-unknown`, which Zig does not know. So a launcher beside the build runs this file,
which translates the arguments. It imports nothing of the package.

    zig-cc = PYTHON -I zig_cc.py ZIG... -- cc ARGUMENT...
"""

import shlex
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TARGET = "--target=wasm32-wasi"


def write_launchers(folder: Path, zig: Sequence[str]) -> dict[str, str]:
    """Write launchers for the compiler and the archiver.

    Args:
        folder: where they go.
        zig: how to run Zig.

    Returns:
        The environment variables that make the `cc` crate use them.
    """
    paths = {}
    # Without `-I`, modules in a crate's folder could be taken for Python's own.
    command = (sys.executable, "-I", __file__, *zig, "--")
    for tool in ("cc", "ar"):
        if sys.platform == "win32":
            path = folder / f"zig-{tool}.cmd"
            quoted = " ".join(f'"{part}"' for part in command).replace("%", "%%")
            text = f"@{quoted} {tool} %*\r\n"
        else:
            path = folder / f"zig-{tool}"
            text = f'#!/bin/sh\nexec {shlex.join(command)} {tool} "$@"\n'
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        paths[tool] = str(path.resolve())
    return {
        "CC_wasm32_unknown_unknown": paths["cc"],
        "AR_wasm32_unknown_unknown": paths["ar"],
    }


def translate(arguments: list[str]) -> list[str]:
    """Translate the arguments of the `cc` crate for Zig."""
    tool, *rest = arguments
    if tool != "cc":
        return arguments
    kept = [argument for argument in rest if not argument.startswith("--target=")]
    # It runs in the crate's folder, whose path differs between machines.
    return [tool, _TARGET, f"-ffile-prefix-map={Path.cwd()}=.", *kept]


if __name__ == "__main__":
    end = sys.argv.index("--")
    run = [*sys.argv[1:end], *translate(sys.argv[end + 1 :])]
    sys.exit(subprocess.run(run, check=False).returncode)
