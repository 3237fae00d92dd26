"""Making the two artifacts of one codec."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from chonkle.errors import BuildError
from chonkle_toolchain.abi import Abi
from chonkle_toolchain.compile_c import compile_c
from chonkle_toolchain.compile_rust import compile_rust
from chonkle_toolchain.environment import is_zig_cache_empty, require_zig_folders
from chonkle_toolchain.fingerprint import Fingerprint, fingerprint
from chonkle_toolchain.recipe import SIGNATURE_FILE, Recipe, read_signature
from chonkle_toolchain.sdk import SDK_PARTS
from chonkle_toolchain.staging import stage_codec, stage_files
from chonkle_toolchain.tools import Commands, tools_for
from chonkle_toolchain.vectors import verify
from chonkle_toolchain.wrap import wrap

_WARNING_LINES_MAX = 30


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What codecs are built with, and where.

    Attributes:
        commands: the compilers.
        sdk: the codec SDK; a copy of it is compiled.
        build_dir: the build root, which holds what compilers leave behind; one build at a time uses
            it.
        warn: told the compilers' warnings, and what is only done once and takes long.
        step: told what begins.
    """

    commands: Commands
    sdk: Path
    build_dir: Path
    warn: Callable[[str], None] = lambda _: None
    step: Callable[[str], None] = lambda _: None

    @property
    def work(self) -> Path:
        """The folder of files that no later build needs."""
        return self.build_dir / "work"

    @property
    def sdk_copy(self) -> Path:
        """The copy of the SDK, which stays the same while the original may be edited."""
        return self.work / "sdk"

    def prepare(self) -> None:
        """Remove what a killed build left, and copy the SDK."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        for part in SDK_PARTS:
            stage_files(self.sdk / part, self.sdk_copy / part)


def make_artifacts(
    recipe: Recipe, context: BuildContext, *, expected: Fingerprint
) -> dict[Abi, bytes]:
    """Compile a codec, and make the file that ships for each ABI.

    Args:
        recipe: the codec.
        context: what to build it with.
        expected: what the build depends on.

    Returns:
        The artifacts, checked against the golden vectors.

    Raises:
        BuildError: when a source differs from the expected one, or the codec does not compile,
            imports anything, exports something else than its ABI, or fails a golden vector.
    """
    folder = _stage(recipe, context, expected)
    modules = _compile(recipe, context, folder)
    artifacts: dict[Abi, bytes] = {}
    for abi, module in modules.items():
        context.step(f"making and checking the {abi} of `{recipe.name}`")
        artifacts[abi] = wrap(
            module,
            recipe=recipe,
            abi=abi,
            wit=context.sdk_copy / "wit",
            wasm_tools=context.commands.wasm_tools,
        )
        verify(recipe, artifacts[abi])
    return artifacts


def _stage(recipe: Recipe, context: BuildContext, expected: Fingerprint) -> Path:
    """Copy a codec's sources, and require that the copy is what the lock will say it is.

    Sources may be edited meanwhile; the copy is compiled.
    """
    parent = context.build_dir / "stage" / recipe.name
    shutil.rmtree(parent, ignore_errors=True)
    folder = parent / recipe.name
    stage_codec(recipe, folder)
    rust = expected.toolset.get("rust", "")
    found = fingerprint(replace(recipe, folder=folder), sdk=context.sdk_copy, rust=rust)
    changes = list(found.changes_since(expected))
    # The signature was read before the fingerprint was taken.
    if not changes and read_signature(folder) != recipe.signature:
        changes.append(f"{SIGNATURE_FILE} changed")
    if changes:
        raise BuildError(
            f"`{recipe.name}` was edited while it was built: {', '.join(changes)}",
            hint="build it again",
        )
    return folder


def _compile(recipe: Recipe, context: BuildContext, folder: Path) -> dict[Abi, bytes]:
    commands = context.commands
    if "zig" in tools_for(recipe):
        require_zig_folders(context.build_dir)
        if is_zig_cache_empty():
            context.warn("compiling Zig's C library, once on this machine; it may take minutes")
    context.step(f"compiling `{recipe.name}`")

    def warn(said: str) -> None:
        lines = said.splitlines()
        hidden = len(lines) - _WARNING_LINES_MAX
        more = [f"({hidden} more lines)"] if hidden > 0 else []
        context.warn("\n".join([*lines[:_WARNING_LINES_MAX], *more]))

    if recipe.language == "rust":
        return compile_rust(
            recipe,
            folder=folder,
            sdk=context.sdk_copy / "rust",
            rust=commands.rust,
            zig=commands.zig,
            build_dir=context.build_dir,
            warn=warn,
        )
    # A new folder: the compiler of a killed build may still be writing to another.
    with TemporaryDirectory(dir=context.work, ignore_cleanup_errors=True) as outputs:
        return compile_c(
            recipe,
            folder=folder,
            sdk=context.sdk_copy / "c",
            zig=commands.zig,
            build_dir=Path(outputs),
            warn=warn,
        )
