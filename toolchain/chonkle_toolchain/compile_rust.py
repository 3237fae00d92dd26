"""A Rust crate to linked modules, through Cargo."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.abi import LINKED_EXPORTS, Abi
from chonkle_toolchain.documents import read_toml
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.inclusions import require_no_variables, require_own_crates
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.recipe import SDK_CRATE, Recipe
from chonkle_toolchain.rust import TARGET, Rust
from chonkle_toolchain.staging import stage_files
from chonkle_toolchain.zig_cc import write_launchers

# The flags of every Rust codec.
RUST_FLAGS = ("-Ctarget-feature=+simd128,+bulk-memory", "-Cpanic=abort")
RUST_PROFILE = (
    "profile.release.opt-level=3",
    "profile.release.lto='fat'",
    "profile.release.codegen-units=1",
    "profile.release.panic='abort'",
    # Names of functions stay until the module is wrapped.
    "profile.release.strip='debuginfo'",
    "profile.release.debug=false",
    "profile.release.incremental=false",
)

# For C inside of crates. Debug information and macros with dates would carry this machine's paths.
C_FLAGS_IN_CRATES = ("-O3", "-g0", "-DNDEBUG", "-msimd128", "-mbulk-memory", "-fvisibility=hidden")

# Imports are allowed here because `wrap` names them in words of its own.
LINK_FLAGS = (
    "--no-entry",
    "--gc-sections",
    "--stack-first",
    "--strip-debug",
    "--no-demangle",
    "--allow-undefined",
)

# The SDK's crate reads the defaults of ports from it.
_DEFAULTS = "CHONKLE_DEFAULTS"
# Cargo's message names this option when the lock does not match.
_LOCKED = "--locked"
_BUILD_STD = ("-Zbuild-std=core,alloc,std,panic_abort",)


def crate_flags(recipe: Recipe) -> tuple[str, ...]:
    """Give the flags of a codec's compilers and linker that are the same on every machine."""
    in_crates = C_FLAGS_IN_CRATES if recipe.c_in_crates else ()
    return (*RUST_FLAGS, *RUST_PROFILE, *_link_flags(recipe), *in_crates)


def compile_rust(
    recipe: Recipe,
    *,
    folder: Path,
    sdk: Path,
    rust: Rust,
    zig: Sequence[str],
    build_dir: Path,
    warn: Callable[[str], None] = lambda _: None,
) -> dict[Abi, bytes]:
    """Compile a codec once, and link it for each ABI.

    Args:
        recipe: the codec, written in Rust.
        folder: the copy of its sources that is compiled, in a folder of the codec's own, which
            becomes a Cargo workspace; it has the codec's name.
        sdk: the folder of the Rust SDK.
        rust: the compiler.
        zig: how to run Zig, which compiles C in crates.
        build_dir: where Cargo keeps its output; shared by all codecs.
        warn: told the compiler's warnings.

    Returns:
        The linked modules, with their `name` sections.

    Raises:
        BuildError: when the crate reads a file or variable from elsewhere, or its lock is stale.
        ToolError: when the compiler rejects the crate.
    """
    workspace = _workspace(recipe, folder.resolve(), sdk)
    target_dir = (build_dir / "cargo").resolve()
    command = [
        rust.cargo,
        "rustc",
        "--lib",
        # An archive that is optimised as a whole, whatever the crate calls itself.
        "--crate-type=staticlib",
        "--release",
        _LOCKED,
        # Faults and warnings only, and not what is compiled.
        "--quiet",
        # What it makes is told on its standard output; faults are still shown as text.
        "--message-format=json-render-diagnostics",
        f"--target={TARGET}",
        f"--target-dir={target_dir}",
        f"--manifest-path={workspace / recipe.name / 'Cargo.toml'}",
        *(part for setting in RUST_PROFILE for part in ("--config", setting)),
        *(_BUILD_STD if rust.build_std else ()),
    ]
    what = f"compiling `{recipe.name}`"
    try:
        said = run(
            command,
            what=what,
            # Cargo heeds `.cargo/config.toml` in every folder above the one that it runs in.
            cwd=Path(workspace.anchor),
            environment=_environment(recipe, rust, zig, workspace, build_dir),
            warn=warn,
        )
    except ToolError as failure:
        if _LOCKED not in failure.said:
            raise
        # Cargo's own words name a copy of the lock, and would have the author drop that option.
        raise BuildError(
            f"{recipe.folder}: Cargo.lock is not that of Cargo.toml",
            hint=f"`cargo update --workspace` in {recipe.folder}",
        ) from failure
    made = list(_made(said))
    (archive,) = (path for path in made if path.suffix == ".a")
    folders = (workspace, target_dir, Path(rust.sysroot).resolve())
    require_own_crates(archive, folders=folders, what=what)
    require_no_variables(_listings(archive, made), environment=_passed_on(), what=what)
    return {
        abi: _link(archive, names, recipe=recipe, linker=rust.linker, what=what)
        for abi, names in LINKED_EXPORTS.items()
    }


def _link(
    archive: Path, exports: Sequence[str], *, recipe: Recipe, linker: Sequence[str], what: str
) -> bytes:
    output = archive.with_suffix(".wasm")
    named = [f"--export={name}" for name in exports]
    run([*linker, *_link_flags(recipe), *named, archive, "-o", output], what=what)
    return output.read_bytes()


def _link_flags(recipe: Recipe) -> tuple[str, ...]:
    return (*LINK_FLAGS, f"-zstack-size={recipe.stack_size_bytes}")


def _made(said: bytes) -> Iterator[Path]:
    """Read which files Cargo made, new or unchanged."""
    for line in said.splitlines():
        match json.loads(line):
            case {"reason": "compiler-artifact", "filenames": files}:
                yield from map(Path, files)


def _listings(archive: Path, made: Iterable[Path]) -> Iterator[Path]:
    """Give rustc's lists of what went into the archive and the libraries in it."""
    crate = archive.stem.removeprefix("lib")
    # Earlier builds with other flags left theirs under other hashes.
    yield max((archive.parent / "deps").glob(f"{crate}-*.d"), key=lambda path: path.stat().st_mtime)
    for path in made:
        if path.suffix == ".rlib":
            yield path.with_name(f"{path.stem.removeprefix('lib')}.d")


def _passed_on() -> dict[str, str]:
    """Give the variables of this process that crates could ask for; Cargo has its own."""
    return {
        name: value
        for name, value in build_environment().items()
        if name != _DEFAULTS and not name.startswith("CARGO")
    }


def _workspace(recipe: Recipe, crate: Path, sdk: Path) -> Path:
    """Make one Cargo workspace of the copy of the crate, and of the SDK.

    Cargo names a crate outside of the workspace by its absolute path, and that name goes into
    symbols and so into the order of functions: the same source would give other bytes elsewhere.
    The SDK goes to where the crate names it, so that editors, which read the crate where it is, can
    find a copy there too; headers and crates that several codecs share go to where it names them.
    """
    workspace = crate.parent
    (crate / "Cargo.lock").replace(workspace / "Cargo.lock")
    # What lies in the workspace and is depended on is a member of it.
    (workspace / "Cargo.toml").write_text(
        f'[workspace]\nresolver = "3"\nmembers = ["{recipe.name}"]\n', encoding="utf-8"
    )
    place = Path(os.path.normpath(crate / _sdk_path(recipe.folder / "Cargo.toml")))
    if not place.is_relative_to(workspace):
        raise BuildError(
            f"{recipe.folder / 'Cargo.toml'}: bad path of `{SDK_CRATE}`",
            expected="one in the codec's folder or beside it, such as `build/sdk/rust`",
        )
    stage_files(sdk, place)
    return workspace


def _sdk_path(manifest: Path) -> str:
    """Read where a crate says that the SDK's crate is."""
    match read_toml(manifest):
        case {"dependencies": {"chonkle-codec": {"path": str(path)}}}:
            return path
    raise BuildError(
        f"{manifest}: no `{SDK_CRATE}` with a path among the dependencies",
        hint=f'`{SDK_CRATE} = {{ path = "build/sdk/rust" }}` in `[dependencies]`',
    )


def _environment(
    recipe: Recipe, rust: Rust, zig: Sequence[str], workspace: Path, build_dir: Path
) -> dict[str, str]:
    environment = build_environment()
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()
    library = Path(rust.sysroot) / "lib" / "rustlib" / "src" / "rust"
    # As they are called, and as they are called where no link is.
    named = {workspace.parent: "codec-src", cargo_home: "cargo", library: "rust"}
    named |= {path.resolve(): name for path, name in named.items()}
    flags = [
        *RUST_FLAGS,
        # Panic messages carry file names. The flags are the same for every codec, because Cargo
        # builds everything again, the standard library too, when they change.
        *(f"--remap-path-prefix={path}={name}" for path, name in named.items()),
    ]
    environment[_DEFAULTS] = recipe.defaults
    # This form of the flags may hold paths with spaces.
    environment["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(flags)
    environment["RUSTC"] = rust.rustc
    if recipe.c_in_crates:
        environment.update(write_launchers(build_dir, zig))
        environment["CFLAGS_wasm32_unknown_unknown"] = " ".join(C_FLAGS_IN_CRATES)
    if rust.build_std:
        environment["RUSTC_BOOTSTRAP"] = "1"
    return environment
