"""Making the two artifacts of one codec, with commands that are there."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from chonkle_toolchain.compile_c import compile_c
from chonkle_toolchain.compile_rust import compile_rust
from chonkle_toolchain.reactor import without_empty_initialize
from chonkle_toolchain.recipe import Abi, Recipe
from chonkle_toolchain.tools import Commands
from chonkle_toolchain.vectors import verify
from chonkle_toolchain.wrap import wrap

ABIS: tuple[Abi, ...] = ("core", "component")
_WARNING_LINES_MAX = 30


@dataclass(frozen=True, slots=True)
class Workshop:
    """What codecs are made with, and where.

    Attributes:
        commands: the compilers.
        sdk: the codec SDK.
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

    def tidy(self) -> None:
        """Remove what a build that was killed left, and make room."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)


def make_artifacts(recipe: Recipe, workshop: Workshop) -> dict[Abi, bytes]:
    """Compile a codec for both ABIs, and make of each what ships.

    Args:
        recipe: the codec.
        workshop: what to make it with.

    Returns:
        The artifacts, which have given what the golden vectors say.

    Raises:
        BuildError: when the codec does not compile, imports anything, exports something else than
            its ABI, or fails a golden vector.
    """
    artifacts: dict[Abi, bytes] = {}
    warned = set()

    def warn(said: str) -> None:
        # Mostly, both compilations warn of the same.
        if said not in warned:
            warned.add(said)
            workshop.warn(_shortened(said))

    for abi in ABIS:
        module = _compile(recipe, abi, workshop, warn)
        artifacts[abi] = wrap(
            module,
            recipe=recipe,
            abi=abi,
            wit=workshop.sdk / "wit",
            wasm_tools=workshop.commands.wasm_tools,
        )
        verify(recipe, artifacts[abi])
    return artifacts


def _shortened(said: str) -> str:
    lines = said.splitlines()
    hidden = len(lines) - _WARNING_LINES_MAX
    more = [f"({hidden} more lines)"] if hidden > 0 else []
    return "\n".join([*lines[:_WARNING_LINES_MAX], *more])


def _compile(recipe: Recipe, abi: Abi, workshop: Workshop, warn: Callable[[str], None]) -> bytes:
    commands = workshop.commands
    if recipe.language == "rust":
        return compile_rust(
            recipe,
            abi=abi,
            sdk=workshop.sdk / "rust",
            rust=commands.rust,
            zig=commands.zig,
            build_dir=workshop.build_dir,
            warn=warn,
        )
    # A folder of its own: the compiler of a build that was killed may still be writing to another.
    with TemporaryDirectory(dir=workshop.work, ignore_cleanup_errors=True) as folder:
        module = compile_c(
            recipe,
            abi=abi,
            sdk=workshop.sdk / "c",
            zig=commands.zig,
            build_dir=Path(folder),
            stage=workshop.build_dir / "stage" / recipe.name,
            warn=warn,
        )
    return without_empty_initialize(module)
