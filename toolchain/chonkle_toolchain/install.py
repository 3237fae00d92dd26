"""Installing the tools that are missing, through the package registries' own clients."""

import shutil
from collections.abc import Callable, Iterable

from chonkle.errors import BuildError
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.rust import RUST_VERSION, RUSTUP_INSTALL, Rust, install_commands
from chonkle_toolchain.tools import Tools, wasm_tools_install, zig_install


def install_missing(tools: Tools, *, say: Callable[[str], None]) -> None:
    """Install every tool that is not here yet.

    Args:
        tools: where to look and to install.
        say: told what is being done.

    Raises:
        BuildError: when an installation fails or does not give the tool.
    """
    if not tools.zig().found:
        _install([[command] for command in zig_install()], what="zig", say=say)
    # Before wasm-tools, which is compiled with it.
    _install_rust(tools.rust(), say=say)
    if not tools.wasm_tools().found:
        say("compiling wasm-tools, a few minutes, once")
        _install([[wasm_tools_install(tools.folder)]], what="wasm-tools", say=say)


def _install_rust(rust: Rust, *, say: Callable[[str], None]) -> None:
    if not rust.found:
        ways = install_commands()
        if not ways:
            raise BuildError("Rust cannot be installed from here", hint=rust.hint)
        _install(ways, what="Rust", say=say)
    elif rust.version != RUST_VERSION and shutil.which("rustup"):
        try:
            _install([[RUSTUP_INSTALL]], what=f"Rust {RUST_VERSION}", say=say)
        except BuildError as failure:
            say(f"going on with Rust {rust.version}: {failure}")


def _install(
    ways: Iterable[Iterable[tuple[str, ...]]], *, what: str, say: Callable[[str], None]
) -> None:
    """Try one way after the other, each a list of commands, until one succeeds."""
    failure: BuildError | None = None
    for commands in ways:
        if failure is not None:
            # Of the last one, whoever is told of the failure hears.
            say(f"{failure.said}\n{failure}" if isinstance(failure, ToolError) else str(failure))
        try:
            for command in commands:
                say(f"installing {what}: {' '.join(command)}")
                run(command, what=f"installing {what}")
        except BuildError as refused:
            failure = refused
            continue
        return
    raise failure or BuildError(f"no way to install {what}")
