"""The programs that builds run: which ones, in which version, and whether they are here."""

import shutil
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from chonkle.errors import BuildError
from chonkle_toolchain.process import first_line
from chonkle_toolchain.recipe import Recipe
from chonkle_toolchain.rust import (
    RUST_MINIMUM,
    RUST_VERSION,
    TARGET,
    Rust,
    find_rust,
    install_hint,
)

# Pinned: another version gives other bytes for the same source.
ZIG_VERSION = "0.17.0"
WASM_TOOLS_VERSION = "1.263.0"

ToolName = Literal["zig", "rust", "wasm-tools"]

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
            hint=f"`{' '.join(zig_install()[0])}`",
        )
        return _first_of([*_packaged_zig(), ("zig",)], ("version",), wanted)

    def wasm_tools(self) -> Tool:
        """Look for wasm-tools: in the tools folder, then in the search path."""
        wanted = Tool(
            name="wasm-tools",
            purpose="makes and checks components",
            wanted=WASM_TOOLS_VERSION,
            hint=f"`{' '.join(wasm_tools_install(self.folder))}`{_with_cargo()}",
        )
        program = "wasm-tools.exe" if sys.platform == "win32" else "wasm-tools"
        own = self.folder / "bin" / program
        return _first_of([(str(own),), ("wasm-tools",)], ("--version",), wanted)

    def rust(self) -> Rust:
        """Look for a Rust compiler that can build for wasm32-unknown-unknown."""
        return find_rust()

    def all(self) -> list[Tool]:
        """Look for every tool."""
        return [self.zig(), _tool_of(self.rust()), self.wasm_tools()]

    def need(self, names: Collection[ToolName]) -> "Commands":
        """Give the commands of tools, or fail once with the ways to get all that are missing.

        Args:
            names: the tools.

        Raises:
            BuildError: naming each tool that is missing.
        """
        rust = self.rust() if "rust" in names else Rust()
        looks: dict[ToolName, Callable[[], Tool]] = {
            "zig": self.zig,
            "rust": lambda: _tool_of(rust),
            "wasm-tools": self.wasm_tools,
        }
        found = {name: look() for name, look in looks.items() if name in names}
        missing = [tool for tool in found.values() if not tool.found]
        if missing:
            others = [f"{tool.name} {tool.version}" for tool in missing if tool.version]
            ways = {tool.name: tool.hint for tool in missing}
            if "wasm-tools" in ways and "rust" not in names and shutil.which("cargo") is None:
                ways["cargo"] = install_hint()
            one_by_one = "; ".join(f"for {name} {way}" for name, way in ways.items())
            raise BuildError(
                "; ".join(f"`{t.name}` {t.wanted} is missing, it {t.purpose}" for t in missing),
                got="; ".join([*others, *([rust.why_not] if rust.why_not else [])]),
                hint=f"`{INSTALL_COMMAND}`, or {one_by_one}",
            )
        command = {name: tool.command for name, tool in found.items()}
        return Commands(command.get("zig", ()), command.get("wasm-tools", ()), rust)


@dataclass(frozen=True, slots=True)
class Commands:
    """How to run the tools that a build asked for; what it did not ask for is empty.

    Attributes:
        zig: how to run Zig.
        wasm_tools: how to run wasm-tools.
        rust: the Rust compiler.
    """

    zig: tuple[str, ...]
    wasm_tools: tuple[str, ...]
    rust: Rust


def tools_for(recipe: Recipe) -> frozenset[ToolName]:
    """Tell which tools it takes to make a codec."""
    names: set[ToolName] = {"wasm-tools", "zig" if recipe.language == "c" else "rust"}
    return frozenset(names | {"zig"} if recipe.c_in_crates else names)


def zig_install() -> list[tuple[str, ...]]:
    """Give the commands that install the pinned Zig beside this Python; one is enough."""
    package = f"ziglang=={ZIG_VERSION}"
    # Without `-P` what stands in the current folder would be taken for pip.
    pip = (sys.executable, "-P", "-m", "pip", "install", "--disable-pip-version-check", package)
    uv = ("uv", "pip", "install", "--python", sys.executable, package)
    # An environment that uv made has no pip.
    return [pip, uv] if find_spec("pip") else [uv, pip]


def wasm_tools_install(folder: Path) -> tuple[str, ...]:
    """Give the command that installs the pinned wasm-tools, with only what builds use."""
    return (
        "cargo", "install", "--locked", "--root", str(folder), "--no-default-features",
        "--features", "component,strip,validate", f"wasm-tools@{WASM_TOOLS_VERSION}",
    )  # fmt: skip


def _packaged_zig() -> list[tuple[str, ...]]:
    """Give the program in the Python package.

    Not `python -m ziglang`: compilers run in folders of sources, and Python takes modules that lie
    in the current folder, or on a relative PYTHONPATH, for those that are installed.
    """
    package = find_spec("ziglang")
    folders = (package and package.submodule_search_locations) or ()
    return [(str(Path(folder, "zig")),) for folder in folders]


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


def _with_cargo() -> str:
    return "" if shutil.which("cargo") else " with cargo, which comes with Rust"


def _tool_of(rust: Rust) -> Tool:
    return Tool(
        name="rust",
        purpose=f"compiles Rust to {TARGET}, best in {RUST_VERSION}",
        wanted=f">={'.'.join(map(str, RUST_MINIMUM))}",
        command=(rust.cargo,) if rust.found else (),
        version=rust.version,
        hint=rust.hint,
    )
