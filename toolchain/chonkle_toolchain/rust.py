"""Finding a Rust compiler that can build for wasm32-unknown-unknown.

Two kinds of machine occur. Where rustup manages Rust, the target's standard library is installed
with `rustup target add`. A distribution's Rust has none; but where it packages the library's source
and a linker, the library can be built along (`-Zbuild-std`, which asks for RUSTC_BOOTSTRAP=1 on a
release compiler).
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.process import first_line

TARGET = "wasm32-unknown-unknown"
# What the SDK's crate says in `rust-version`.
RUST_MINIMUM = (1, 87)

_DEBIAN_PACKAGES = ("rustc-web", "cargo-web", "rust-web-src", "lld-19")
_WASM_LINKERS = ("wasm-ld", *(f"wasm-ld-{major}" for major in range(25, 16, -1)))


@dataclass(frozen=True, slots=True)
class Rust:
    """A Rust toolchain, found or missing.

    Attributes:
        cargo: the path of cargo; empty when nothing fitting was found.
        rustc: the path of rustc.
        version: what rustc calls itself.
        sysroot: where rustc's libraries are.
        linker: a linker to name, where rustc brings none of its own.
        build_std: whether the standard library has to be built along.
        why_not: what is missing, when nothing fitting was found.
        hint: how to get it on this machine.
    """

    cargo: str = ""
    rustc: str = ""
    version: str = ""
    sysroot: str = ""
    linker: str = ""
    build_std: bool = False
    why_not: str = ""
    hint: str = ""

    @property
    def found(self) -> bool:
        """Whether it can build."""
        return bool(self.cargo)

    def need(self) -> "Rust":
        """Give itself, or fail with the way to get it."""
        if self.found:
            return self
        raise BuildError(
            f"no Rust compiler for {TARGET}; it compiles Rust codecs",
            got=self.why_not,
            hint=f"{self.hint}, or `chonkle tools --install`",
        )


def find_rust() -> Rust:
    """Look at every rustc of this machine and take the first that can build.

    One with the target installed is preferred to one that has to build the standard library.
    """
    looked = [_look_at(Path(folder)) for folder in _folders()]
    fitting = sorted((rust for rust in looked if rust.found), key=lambda rust: rust.build_std)
    if fitting:
        return fitting[0]
    reasons = [rust.why_not for rust in looked if rust.why_not]
    return Rust(why_not="; ".join(reasons) or "no rustc and cargo", hint=install_hint())


def install_commands() -> list[list[list[str]]]:
    """Give the ways to install what is missing on this machine.

    Returns:
        Each way is a list of commands; the first way that succeeds is enough.
    """
    ways = []
    if shutil.which("rustup"):
        ways.append([["rustup", "target", "add", TARGET]])
    if _is_debian_root():
        update = ["apt-get", "update"]
        ways.append([update, ["apt-get", "install", "--yes", *_DEBIAN_PACKAGES]])
    return ways


def install_hint() -> str:
    """Give the way to get a fitting Rust on this machine, for messages."""
    ways = [f"`{' && '.join(' '.join(command) for command in way)}`" for way in install_commands()]
    return " or ".join(ways) or f"install Rust with rustup, then `rustup target add {TARGET}`"


def _is_debian_root() -> bool:
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        return False
    return os.geteuid() == 0


def _folders() -> list[str]:
    """Folders of the search path, and the distribution's, that hold both programs."""
    path = os.get_exec_path()
    if sys.platform != "win32":
        # rustup's folder usually hides the distribution's compiler.
        path.append("/usr/bin")
    return [
        folder
        for folder in dict.fromkeys(path)
        if shutil.which("rustc", path=folder) and shutil.which("cargo", path=folder)
    ]


def _look_at(folder: Path) -> Rust:
    rustc = shutil.which("rustc", path=folder)
    cargo = shutil.which("cargo", path=folder)
    said = first_line([rustc, "--version"]) if rustc and cargo else None
    if not rustc or not cargo or not said or len(said.split()) < 2:  # noqa: PLR2004 - name, number
        return Rust()
    version = said.split()[1]
    if not _is_recent(version):
        wanted = ".".join(map(str, RUST_MINIMUM))
        return Rust(why_not=f"rustc {version}, older than {wanted}")
    sysroot = first_line([rustc, "--print", "sysroot"]) or ""
    libraries = Path(sysroot) / "lib" / "rustlib"
    own_linker = any(libraries.glob("*/bin/rust-lld*"))
    linker = "" if own_linker else next((n for n in _WASM_LINKERS if shutil.which(n)), "")
    if not own_linker and not linker:
        return Rust(why_not=f"rustc {version} without a linker for wasm")
    has_target = any((libraries / TARGET / "lib").glob("libstd-*.rlib"))
    if not has_target and not (libraries / "src" / "rust" / "library" / "Cargo.lock").exists():
        return Rust(why_not=f"rustc {version} without the target {TARGET}")
    return Rust(
        cargo=cargo,
        rustc=rustc,
        version=version,
        sysroot=sysroot,
        linker=linker,
        build_std=not has_target,
    )


def _is_recent(version: str) -> bool:
    numbers = version.partition("-")[0].split(".")
    try:
        return (int(numbers[0]), int(numbers[1])) >= RUST_MINIMUM
    except (ValueError, IndexError):
        return False
