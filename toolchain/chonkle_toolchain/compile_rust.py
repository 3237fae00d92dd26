"""A Rust crate to a linked module, through Cargo."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.compact import compact
from chonkle_toolchain.documents import read_toml
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.exports import without_exports
from chonkle_toolchain.inclusions import demand_no_variables, demand_own_crates
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.recipe import SDK_CRATE, Abi, Recipe
from chonkle_toolchain.rust import TARGET, Rust
from chonkle_toolchain.staging import stage_files
from chonkle_toolchain.zig_cc import write_launchers

# What every Rust codec is compiled with.
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

# Where the SDK's crate finds what its calls leave out.
_DEFAULTS = "CHONKLE_DEFAULTS"
# rustc asks the linker for them in every module.
_LINKER_EXPORTS = frozenset({"__data_end", "__heap_base"})
# What it asks for is in Cargo's words when a lock does not fit.
_LOCKED = "--locked"
_BUILD_STD = ("-Zbuild-std=core,alloc,std,panic_abort",)


def crate_flags(recipe: Recipe) -> tuple[str, ...]:
    """Give what a codec's compilers are told, as far as it is the same on every machine."""
    in_crates = C_FLAGS_IN_CRATES if recipe.c_in_crates else ()
    return (*_rustc_flags(recipe), *RUST_PROFILE, *in_crates)


def compile_rust(
    recipe: Recipe,
    *,
    folder: Path,
    abi: Abi,
    sdk: Path,
    rust: Rust,
    zig: Sequence[str],
    build_dir: Path,
    warn: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Compile and link one codec for one ABI.

    Args:
        recipe: the codec, written in Rust.
        folder: the copy of its sources that is compiled, in a folder of the codec's own, which
            becomes a Cargo workspace; it has the codec's name.
        abi: which of the two ABIs the module exports.
        sdk: the folder of the Rust SDK.
        rust: the compiler.
        zig: how to run Zig, which compiles C in crates.
        build_dir: where Cargo keeps what it makes; shared by all codecs.
        warn: told the compiler's warnings.

    Returns:
        The linked module.

    Raises:
        BuildError: when the compiler finds fault with the crate, or it makes no module.
    """
    workspace = _workspace(recipe, folder.resolve(), sdk)
    target_dir = (build_dir / "cargo").resolve()
    command = [
        rust.cargo,
        "build",
        "--release",
        _LOCKED,
        # Faults and warnings only, and not what is compiled.
        "--quiet",
        # What it makes is told on its standard output; faults are still shown as people read them.
        "--message-format=json-render-diagnostics",
        f"--target={TARGET}",
        f"--target-dir={target_dir}",
        f"--manifest-path={workspace / recipe.name / 'Cargo.toml'}",
        f"--features=chonkle-codec/{abi}-abi",
        *(part for setting in RUST_PROFILE for part in ("--config", setting)),
        *(_BUILD_STD if rust.build_std else ()),
    ]
    what = f"compiling `{recipe.name}` for the {abi} ABI"
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
    modules = list(_modules(said, workspace / recipe.name))
    if len(modules) != 1:
        raise BuildError(
            f"{recipe.folder}: the crate made {len(modules)} modules",
            expected="one",
            hint='`crate-type = ["cdylib"]` in the `[lib]` table of Cargo.toml',
        )
    demand_own_crates(
        modules[0], folders=(workspace, target_dir, Path(rust.sysroot).resolve()), what=what
    )
    demand_no_variables(_listings(said, modules[0]), environment=_passed_on(), what=what)
    return compact(without_exports(modules[0].read_bytes(), _LINKER_EXPORTS))


def _rustc_flags(recipe: Recipe) -> tuple[str, ...]:
    return (*RUST_FLAGS, f"-Clink-arg=-zstack-size={recipe.stack_size_bytes}")


def _modules(said: bytes, crate: Path) -> Iterator[Path]:
    """Read which modules Cargo made of a crate, new or as they were."""
    for line in said.splitlines():
        match json.loads(line):
            case {"reason": "compiler-artifact", "manifest_path": str(path), "filenames": files}:
                if Path(path).parent == crate:
                    yield from (Path(file) for file in files if file.endswith(".wasm"))


def _listings(said: bytes, module: Path) -> Iterator[Path]:
    """Give where rustc lists what went into the module and the libraries in it."""
    yield module.parent / "deps" / f"{module.stem}.d"
    for line in said.splitlines():
        match json.loads(line):
            case {"reason": "compiler-artifact", "filenames": files}:
                libraries = (Path(file) for file in files if file.endswith(".rlib"))
                yield from (
                    library.with_name(f"{library.stem.removeprefix('lib')}.d")
                    for library in libraries
                )


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
        *_rustc_flags(recipe),
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
    if rust.linker:
        environment["CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER"] = rust.linker
    if rust.build_std:
        environment["RUSTC_BOOTSTRAP"] = "1"
    return environment
