"""Making the two artifacts of one codec, with commands that are there."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from chonkle.errors import BuildError
from chonkle_toolchain.compile_c import compile_c
from chonkle_toolchain.compile_rust import compile_rust
from chonkle_toolchain.environment import demand_room_for_zig
from chonkle_toolchain.fingerprint import Fingerprint, fingerprint
from chonkle_toolchain.reactor import without_empty_initialize
from chonkle_toolchain.recipe import SIGNATURE_FILE, Abi, Recipe, read_signature
from chonkle_toolchain.sdk import SDK_PARTS
from chonkle_toolchain.staging import stage_codec, stage_files
from chonkle_toolchain.tools import Commands, tools_for
from chonkle_toolchain.vectors import verify
from chonkle_toolchain.wrap import wrap

ABIS: tuple[Abi, ...] = ("core", "component")
_WARNING_LINES_MAX = 30


@dataclass(frozen=True, slots=True)
class Workshop:
    """What codecs are made with, and where.

    Attributes:
        commands: the compilers.
        sdk: the codec SDK, of which a copy is compiled.
        build_dir: what compilers leave behind; nobody else works in it.
        warn: told what compilers warn of.
    """

    commands: Commands
    sdk: Path
    build_dir: Path
    warn: Callable[[str], None] = lambda _: None

    @property
    def work(self) -> Path:
        """Where what is of no use later goes."""
        return self.build_dir / "work"

    @property
    def sdk_copy(self) -> Path:
        """The copy of the SDK, which stays as it is while its origin may be edited."""
        return self.work / "sdk"

    def tidy(self) -> None:
        """Remove what a build that was killed left, and lay out what all codecs take."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        for part in SDK_PARTS:
            stage_files(self.sdk / part, self.sdk_copy / part)


def make_artifacts(
    recipe: Recipe, workshop: Workshop, *, expected: Fingerprint
) -> dict[Abi, bytes]:
    """Compile a codec for both ABIs, and make of each what ships.

    Args:
        recipe: the codec.
        workshop: what to make it with.
        expected: what the build is to depend on.

    Returns:
        The artifacts, which have given what the golden vectors say.

    Raises:
        BuildError: when a source is not as expected, or the codec does not compile, imports
            anything, exports something else than its ABI, or fails a golden vector.
    """
    artifacts: dict[Abi, bytes] = {}
    warned = set()

    def warn(said: str) -> None:
        # Mostly, both compilations warn of the same.
        if said not in warned:
            warned.add(said)
            workshop.warn(_shortened(said))

    for abi in ABIS:
        folder = _stage(recipe, workshop, expected)
        module = _compile(recipe, abi, workshop, folder, warn)
        artifacts[abi] = wrap(
            module,
            recipe=recipe,
            abi=abi,
            wit=workshop.sdk_copy / "wit",
            wasm_tools=workshop.commands.wasm_tools,
        )
        verify(recipe, artifacts[abi])
    return artifacts


def _shortened(said: str) -> str:
    lines = said.splitlines()
    hidden = len(lines) - _WARNING_LINES_MAX
    more = [f"({hidden} more lines)"] if hidden > 0 else []
    return "\n".join([*lines[:_WARNING_LINES_MAX], *more])


def _stage(recipe: Recipe, workshop: Workshop, expected: Fingerprint) -> Path:
    """Copy a codec's sources, and demand that the copy is what the build is recorded to depend on.

    What is edited meanwhile, and perhaps back again, is compiled as it was copied.
    """
    room = workshop.build_dir / "stage" / recipe.name
    shutil.rmtree(room, ignore_errors=True)
    folder = room / recipe.name
    stage_codec(recipe, folder)
    rust = expected.toolset.get("rust", "")
    found = fingerprint(replace(recipe, folder=folder), sdk=workshop.sdk_copy, rust=rust)
    changes = list(found.changes_since(expected))
    # It was read before the fingerprint was taken.
    if not changes and read_signature(folder) != recipe.signature:
        changes.append(f"{SIGNATURE_FILE} changed")
    if changes:
        raise BuildError(
            f"`{recipe.name}` was edited while it was built: {', '.join(changes)}",
            hint="build it again",
        )
    return folder


def _compile(
    recipe: Recipe, abi: Abi, workshop: Workshop, folder: Path, warn: Callable[[str], None]
) -> bytes:
    commands = workshop.commands
    if "zig" in tools_for(recipe):
        demand_room_for_zig(workshop.build_dir)
    if recipe.language == "rust":
        return compile_rust(
            recipe,
            folder=folder,
            abi=abi,
            sdk=workshop.sdk_copy / "rust",
            rust=commands.rust,
            zig=commands.zig,
            build_dir=workshop.build_dir,
            warn=warn,
        )
    # A folder of its own: the compiler of a build that was killed may still be writing to another.
    with TemporaryDirectory(dir=workshop.work, ignore_cleanup_errors=True) as outputs:
        module = compile_c(
            recipe,
            folder=folder,
            abi=abi,
            sdk=workshop.sdk_copy / "c",
            zig=commands.zig,
            build_dir=Path(outputs),
            warn=warn,
        )
    return without_empty_initialize(module)
