"""Finding a Rust compiler that can build for wasm32-unknown-unknown.

There are two kinds of machines. With rustup, builds use the version pinned here, so that all such
machines make the same bytes, and the target's standard library comes with it. A distribution's Rust
has no such library; where the distribution packages its source and a linker, the library is built
with the codec (`-Zbuild-std`, which needs RUSTC_BOOTSTRAP=1 on a release compiler). Any recent
compiler will do; its version is part of the fingerprint.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from chonkle_toolchain.process import first_line

TARGET = "wasm32-unknown-unknown"
# The preferred version, which `chonkle tools --install` gets from rustup.
RUST_VERSION = "1.95.0"
# `rust-version` of the SDK's crate.
RUST_MINIMUM = (1, 87)

RUSTUP_INSTALL: tuple[str, ...] = (
    "rustup", "toolchain", "install", RUST_VERSION, "--profile", "minimal", "--target", TARGET,
    # rustup's update of itself is not wanted, and fails where a package manager installed it.
    "--no-self-update",
)  # fmt: skip
_APT: tuple[str, ...] = ("apt-get", "install", "--yes")
_DEBIAN_PACKAGES = ("rustc-web", "cargo-web", "rust-web-src", "lld-19")
_WASM_LINKERS = ("wasm-ld", *(f"wasm-ld-{major}" for major in range(25, 16, -1)))


@dataclass(frozen=True, slots=True)
class Rust:
    """A Rust toolchain, found or missing.

    Attributes:
        cargo: the path of cargo; empty when no usable Rust was found.
        rustc: the path of rustc.
        version: its version number.
        label: everything that its output depends on: version, commit and packager, and whether it
            builds the standard library and uses a linker of this machine.
        sysroot: the folder of rustc's libraries.
        linker: how to run a linker for WebAssembly: rustc's own, or one of this machine.
        build_std: whether the standard library has to be built with the codec.
        why_not: what is missing, when no usable Rust was found.
        hint: how to get it on this machine.
    """

    cargo: str = ""
    rustc: str = ""
    version: str = ""
    label: str = ""
    sysroot: str = ""
    linker: tuple[str, ...] = ()
    build_std: bool = False
    why_not: str = ""
    hint: str = ""

    @property
    def found(self) -> bool:
        """Whether it can build."""
        return bool(self.cargo)


def find_rust() -> Rust:
    """Find the best usable Rust of this machine.

    The pinned version comes first, then one with the target installed, then one that has to build
    the standard library; of several, the first in the search path.
    """
    looked = [_look_at(folder) for folder in (*_pinned_folders(), *_folders())]
    fitting = [rust for rust in looked if rust.found]
    if fitting:
        return min(fitting, key=lambda rust: (rust.version != RUST_VERSION, rust.build_std))
    reasons = dict.fromkeys(rust.why_not for rust in looked if rust.why_not)
    return Rust(why_not="; ".join(reasons) or "no rustc and cargo", hint=install_hint())


def install_commands() -> list[list[tuple[str, ...]]]:
    """Give the ways to install Rust on this machine, best first; each is a list of commands."""
    ways = [[RUSTUP_INSTALL]] if shutil.which("rustup") else []
    if _has_apt() and os.geteuid() == 0:
        update = ("apt-get", "update")
        if not ways:
            ways.append([update, (*_APT, "rustup"), RUSTUP_INSTALL])
        ways.append([update, (*_APT, *_DEBIAN_PACKAGES)])
    return ways


def install_hint() -> str:
    """Say how to get a usable Rust on this machine."""
    ways = [f"`{' && '.join(' '.join(command) for command in way)}`" for way in install_commands()]
    if ways:
        return " or ".join(ways)
    if _has_apt():
        get_rustup = f"as root `{' '.join(_APT)} rustup`"
    elif sys.platform == "darwin":
        get_rustup = "`brew install rustup`, whose folder has to be added to PATH"
    elif sys.platform == "win32":
        get_rustup = "`winget install Rustlang.Rustup`"
    else:
        get_rustup = "install rustup"
    return f"{get_rustup}, then `{' '.join(RUSTUP_INSTALL)}`"


def _has_apt() -> bool:
    return sys.platform == "linux" and shutil.which("apt-get") is not None


def _pinned_folders() -> list[str]:
    """Give the folder of the pinned version, if rustup has it."""
    rustup = shutil.which("rustup")
    which = [rustup, "which", "--toolchain", RUST_VERSION, "rustc"] if rustup else None
    rustc = first_line(which) if which else None
    return [str(Path(rustc).parent)] if rustc else []


def _folders() -> list[str]:
    """Give the folders of the search path and of the distribution that hold both programs."""
    path = os.get_exec_path()
    if sys.platform != "win32":
        # rustup's compiler usually comes first in the search path and hides the distribution's.
        path.append("/usr/bin")
    return [
        folder
        for folder in dict.fromkeys(path)
        if shutil.which("rustc", path=folder) and shutil.which("cargo", path=folder)
    ]


def _look_at(folder: str) -> Rust:
    rustc = shutil.which("rustc", path=folder)
    cargo = shutil.which("cargo", path=folder)
    said = first_line([rustc, "--version"]) if rustc and cargo else None
    if not rustc or not cargo or not said or len(said.split()) < 2:  # noqa: PLR2004 - name, number
        return Rust()
    label = said.partition(" ")[2]
    version = label.split()[0]
    if not _is_recent(version):
        wanted = ".".join(map(str, RUST_MINIMUM))
        return Rust(why_not=f"rustc {version}, older than {wanted}")
    sysroot = first_line([rustc, "--print", "sysroot"])
    if not sysroot:
        return Rust(why_not=f"rustc {version} without a sysroot")
    libraries = Path(sysroot) / "lib" / "rustlib"
    own_linker = next(libraries.glob("*/bin/rust-lld*"), None)
    other_linker = next((name for name in _WASM_LINKERS if shutil.which(name)), "")
    if not own_linker and not other_linker:
        return Rust(why_not=f"rustc {version} without a linker for wasm")
    has_target = any((libraries / TARGET / "lib").glob("libstd-*.rlib"))
    if not has_target and not (libraries / "src" / "rust" / "library" / "Cargo.lock").exists():
        return Rust(why_not=f"rustc {version} without the target {TARGET}")
    # rustup's programs choose a compiler by the current folder: name the one found here.
    own = str(Path(sysroot) / "bin")
    return Rust(
        cargo=shutil.which("cargo", path=own) or cargo,
        rustc=shutil.which("rustc", path=own) or rustc,
        version=version,
        label=" ".join(
            filter(
                None,
                [label, "" if has_target else "-Zbuild-std", "" if own_linker else other_linker],
            )
        ),
        sysroot=sysroot,
        linker=(str(own_linker), "-flavor", "wasm") if own_linker else (other_linker,),
        build_std=not has_target,
    )


def _is_recent(version: str) -> bool:
    numbers = version.partition("-")[0].split(".")
    try:
        return (int(numbers[0]), int(numbers[1])) >= RUST_MINIMUM
    except (ValueError, IndexError):
        return False
