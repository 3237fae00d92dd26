"""A Rust crate to a linked module, through Cargo."""

import os
import shutil
import tomllib
from pathlib import Path

from chonkle.errors import BuildError
from chonkle_toolchain.compact import compact
from chonkle_toolchain.exports import without_exports
from chonkle_toolchain.process import run
from chonkle_toolchain.recipe import SDK_CRATE, Abi, Recipe, source_files
from chonkle_toolchain.rust import TARGET, Rust
from chonkle_toolchain.zig_cc import write_launchers

# What every Rust codec is compiled with; part of a build's fingerprint.
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

# rustc asks the linker for them in every module.
_LINKER_EXPORTS = frozenset({"__data_end", "__heap_base"})
_BUILD_STD = ("-Zbuild-std=core,alloc,std,panic_abort",)


def compile_rust(recipe: Recipe, *, abi: Abi, sdk: Path, rust: Rust, build_dir: Path) -> bytes:
    """Compile and link one codec for one ABI.

    Args:
        recipe: the codec, written in Rust.
        abi: which of the two ABIs the module exports.
        sdk: the folder of the Rust SDK.
        rust: the compiler.
        build_dir: where Cargo keeps what it makes; shared by all codecs.

    Returns:
        The linked module.

    Raises:
        BuildError: when the compiler finds fault with the crate, or it makes no module.
    """
    workspace = _stage(recipe, sdk, build_dir.resolve())
    target_dir = (build_dir / "cargo").resolve()
    # With --target, Cargo leaves this file here whatever the crate is called.
    release = target_dir / TARGET / "release"
    for old in release.glob("*.wasm"):
        old.unlink()
    command = [
        rust.cargo,
        "build",
        "--release",
        "--locked",
        f"--target={TARGET}",
        f"--target-dir={target_dir}",
        f"--features=chonkle-codec/{abi}-abi",
        *(part for setting in RUST_PROFILE for part in ("--config", setting)),
        *(_BUILD_STD if rust.build_std else ()),
    ]
    run(
        command,
        what=f"compiling `{recipe.name}` for the {abi} ABI",
        cwd=workspace / recipe.name,
        environment=_environment(recipe, rust, workspace, build_dir),
    )
    modules = list(release.glob("*.wasm"))
    if len(modules) != 1:
        raise BuildError(
            f"{recipe.folder}: the crate made {len(modules)} modules",
            expected="one",
            hint='`crate-type = ["cdylib"]` in the `[lib]` table of Cargo.toml',
        )
    return compact(without_exports(modules[0].read_bytes(), _LINKER_EXPORTS))


def _stage(recipe: Recipe, sdk: Path, build_dir: Path) -> Path:
    """Copy the crate and the SDK into one Cargo workspace.

    Cargo names a crate outside of the workspace by its absolute path, and that name goes into
    symbols and so into the order of functions: the same source would give other bytes elsewhere.
    The SDK goes to where the crate names it, so that editors, which read the crate where it is, can
    find a copy there too; crates that several codecs share go to where it names them.
    """
    workspace = build_dir / "stage" / recipe.name
    shutil.rmtree(workspace, ignore_errors=True)
    crate = workspace / recipe.name
    _copy_sources(recipe.folder, crate)
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
    _copy_sources(sdk, place)
    for name in recipe.crates:
        _copy_sources(recipe.folder / name, Path(os.path.normpath(crate / name)))
    return workspace


def _copy_sources(source: Path, target: Path) -> None:
    for path in source_files(source):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, target / path)


def _sdk_path(manifest: Path) -> str:
    """Read where a crate says that the SDK's crate is."""
    try:
        document = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise BuildError(f"{manifest}: malformed: {failure}") from failure
    match document:
        case {"dependencies": {"chonkle-codec": {"path": str(path)}}}:
            return path
    raise BuildError(
        f"{manifest}: no `{SDK_CRATE}` with a path among the dependencies",
        hint=f'`{SDK_CRATE} = {{ path = "build/sdk/rust" }}` in `[dependencies]`',
    )


def _environment(recipe: Recipe, rust: Rust, workspace: Path, build_dir: Path) -> dict[str, str]:
    # RUSTFLAGS and the like, set for other builds, would change the bytes.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CC_", "CFLAGS_")
        )
        and not name.endswith("RUSTFLAGS")
        and name not in ("AR", "CC", "CFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER")
    }
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").resolve()
    source = Path(rust.sysroot) / "lib" / "rustlib" / "src" / "rust"
    flags = [
        *RUST_FLAGS,
        f"-Clink-arg=-zstack-size={recipe.stack_size_bytes}",
        # Panic messages carry file names. The flags are the same for every codec, because Cargo
        # builds everything again, the standard library too, when they change.
        f"--remap-path-prefix={workspace.parent}=codec-src",
        f"--remap-path-prefix={cargo_home}=cargo",
        f"--remap-path-prefix={source}=rust",
        f"--remap-path-prefix={source.resolve()}=rust",
    ]
    # This form of the flags may hold paths with spaces.
    kept["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(flags)
    kept["RUSTC"] = rust.rustc
    kept["CHONKLE_DEFAULTS"] = recipe.defaults
    if recipe.c_in_crates:
        kept.update(write_launchers(build_dir))
        kept["CFLAGS_wasm32_unknown_unknown"] = " ".join(C_FLAGS_IN_CRATES)
    if rust.linker:
        kept["CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER"] = rust.linker
    if rust.build_std:
        kept["RUSTC_BOOTSTRAP"] = "1"
    return kept
