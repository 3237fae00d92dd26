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
        wanted = f"ziglang=={ZIG_VERSION}"
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", wanted]
        # An environment that uv made has no pip.
        uv = ["uv", "pip", "install", "--python", sys.executable, wanted]
        _install([[pip], [uv]], what="zig", say=say)
    # Before wasm-tools, which is compiled with it.
    if not tools.rust().found:
        ways = install_commands()
        if not ways:
            raise BuildError("Rust cannot be installed from here", hint=tools.rust().hint)
        _install(ways, what="Rust", say=say)
    if not tools.wasm_tools().found:
        say("compiling wasm-tools, a few minutes, once")
        _install([[list(wasm_tools_install(tools.folder))]], what="wasm-tools", say=say)


def _install(ways: list[list[list[str]]], *, what: str, say: Callable[[str], None]) -> None:
    """Try one way after the other, each a list of commands, until one succeeds."""
    failure = BuildError(f"no way to install {what}")
    for commands in ways:
        try:
            for command in commands:
                say(f"installing {what}: {' '.join(command)}")
                run(command, what=f"installing {what}")
        except BuildError as refused:
            failure = refused
            continue
        return
    raise failure
