"""Installing the tools that are missing, through the package registries' own clients."""

import sys
from collections.abc import Callable

from chonkle.errors import BuildError
from chonkle_toolchain.process import run
from chonkle_toolchain.rust import install_commands
from chonkle_toolchain.tools import ZIG_VERSION, Tools, wasm_tools_install


def install_missing(tools: Tools, *, say: Callable[[str], None]) -> None:
    """Install every tool that is not here yet.

    Args:
        tools: where to look and to install.
        say: told what is being done.

    Raises:
        BuildError: when an installation fails or does not give the tool.
    """
    if not tools.zig().found:
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        _install([[*pip, f"ziglang=={ZIG_VERSION}"]], what="zig", say=say)
    # Before wasm-tools, which is compiled with it.
    if not tools.rust().found:
        commands = install_commands()
        if not commands:
            raise BuildError("cannot install Rust here", hint=tools.rust().hint)
        _install(commands, what="Rust", say=say)
    if not tools.wasm_tools().found:
        say("compiling wasm-tools, a few minutes, once")
        _install([list(wasm_tools_install(tools.folder))], what="wasm-tools", say=say)


def _install(commands: list[list[str]], *, what: str, say: Callable[[str], None]) -> None:
    """Try alternatives until one succeeds."""
    failures = []
    for command in commands:
        say(f"installing {what}: {' '.join(command)}")
        try:
            run(command, what=f"installing {what}")
        except BuildError as failure:
            failures.append(failure)
            continue
        return
    raise failures[-1]
