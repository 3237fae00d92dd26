"""The programs that builds run: which ones, in which version, and whether they are here."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.process import first_line
from chonkle_toolchain.rust import RUST_MINIMUM, TARGET, Rust, find_rust

# Pinned: another version gives other bytes for the same source.
ZIG_VERSION = "0.17.0"
WASM_TOOLS_VERSION = "1.263.0"

INSTALL_COMMAND = "chonkle tools --install"


@dataclass(frozen=True, slots=True)
class Tool:
    """One program, found or missing.

    Attributes:
        name: what it is called.
        purpose: what builds need it for.
        wanted: the version that builds want.
        command: how to run it; empty when it is missing.
        version: the version that was found, or empty.
        hint: how to get it on this machine.
    """

    name: str
    purpose: str
    wanted: str
    command: tuple[str, ...] = ()
    version: str = ""
    hint: str = ""

    @property
    def found(self) -> bool:
        """Whether it is here, in a version that builds can use."""
        return bool(self.command)


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of this machine, each looked for when it is first wanted.

    Attributes:
        folder: where `wasm-tools` is installed for this project or user.
    """

    folder: Path

    def zig(self) -> Tool:
        """Look for Zig, whose C compiler carries its own linker and libc."""
        wanted = Tool(
            name="zig",
            purpose="compiles C",
            wanted=ZIG_VERSION,
            hint=f"`{sys.executable} -m pip install ziglang=={ZIG_VERSION}`",
        )
        return _first_of([(sys.executable, "-m", "ziglang"), ("zig",)], ("version",), wanted)

    def wasm_tools(self) -> Tool:
        """Look for wasm-tools: in the tools folder, then in the search path."""
        wanted = Tool(
            name="wasm-tools",
            purpose="makes and checks components",
            wanted=WASM_TOOLS_VERSION,
            hint=f"`{' '.join(wasm_tools_install(self.folder))}`",
        )
        program = "wasm-tools.exe" if sys.platform == "win32" else "wasm-tools"
        own = self.folder / "bin" / program
        return _first_of([(str(own),), ("wasm-tools",)], ("--version",), wanted)

    def rust(self) -> Rust:
        """Look for a Rust compiler that can build for wasm32-unknown-unknown."""
        return find_rust()

    def all(self) -> list[Tool]:
        """Look for every tool."""
        rust = self.rust()
        shown = Tool(
            name="rust",
            purpose=f"compiles Rust to {TARGET}",
            wanted=f">={'.'.join(map(str, RUST_MINIMUM))}",
            command=(rust.cargo,) if rust.found else (),
            version=rust.version,
            hint=rust.hint,
        )
        return [self.zig(), shown, self.wasm_tools()]

    def need_zig(self) -> tuple[str, ...]:
        """Give the command for Zig, or fail with the way to get it."""
        return _needed(self.zig())

    def need_wasm_tools(self) -> tuple[str, ...]:
        """Give the command for wasm-tools, or fail with the way to get it."""
        return _needed(self.wasm_tools())


def wasm_tools_install(folder: Path) -> tuple[str, ...]:
    """Give the command that installs the pinned wasm-tools, with only what builds use."""
    return (
        "cargo", "install", "--locked", "--root", str(folder), "--no-default-features",
        "--features", "component,strip,validate", f"wasm-tools@{WASM_TOOLS_VERSION}",
    )  # fmt: skip


def _first_of(commands: list[tuple[str, ...]], arguments: tuple[str, ...], wanted: Tool) -> Tool:
    """Take the first command that runs and has the wanted version."""
    others = []
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        said = first_line([*command, *arguments])
        if said is None:
            continue
        version = said.split()[1] if " " in said else said
        if version == wanted.wanted:
            return Tool(wanted.name, wanted.purpose, wanted.wanted, command, version, wanted.hint)
        others.append(version)
    return Tool(wanted.name, wanted.purpose, wanted.wanted, (), ", ".join(others), wanted.hint)


def _needed(tool: Tool) -> tuple[str, ...]:
    if not tool.found:
        raise BuildError(
            f"`{tool.name}` {tool.wanted} is missing; it {tool.purpose}",
            got=f"version {tool.version}" if tool.version else "",
            hint=f"{tool.hint}, or `{INSTALL_COMMAND}`",
        )
    return tool.command
