"""C sources to linked modules, through the C compiler that Zig brings."""

from collections.abc import Callable, Sequence
from pathlib import Path

from chonkle_toolchain.abi import LINKED_EXPORTS, Abi
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.inclusions import require_own_inclusions
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.reactor import without_empty_initialize
from chonkle_toolchain.recipe import Recipe

# The flags of every C codec.
C_FLAGS = (
    "--target=wasm32-wasi",
    "-mexec-model=reactor",
    "-O3",
    "-DNDEBUG",
    "-msimd128",
    "-mbulk-memory",
    "-fvisibility=hidden",
    "-fno-sanitize=undefined",
    "-Wall",
    "-Wextra",
    "-g0",
)

# Compiled with the codec's own sources; the first includes the parts of the SDK.
_SDK_SOURCES = ("chonkle_sdk.c", "chonkle_memory.c")


def c_flags(recipe: Recipe) -> tuple[str, ...]:
    """Give the flags of a codec's compiler that are the same on every machine."""
    return (*C_FLAGS, f"-Wl,-z,stack-size={recipe.stack_size_bytes}", *recipe.flags)


def compile_c(
    recipe: Recipe,
    *,
    folder: Path,
    sdk: Path,
    zig: Sequence[str],
    build_dir: Path,
    warn: Callable[[str], None] = lambda _: None,
) -> dict[Abi, bytes]:
    """Compile a codec once, and link it for each ABI.

    Args:
        recipe: the codec, written in C.
        folder: the copy of its sources that is compiled, in a folder of the codec's own.
        sdk: the folder of the C SDK.
        zig: how to run Zig.
        build_dir: where the output goes.
        warn: told the compiler's warnings.

    Returns:
        The linked modules, with their `name` sections.

    Raises:
        BuildError: when a source includes a file from elsewhere.
        ToolError: when the compiler rejects the sources.
    """
    origin, folder, sdk = recipe.folder.resolve(), folder.resolve(), sdk.resolve()
    listing = build_dir.resolve() / "read.d"

    def placed(said: str) -> str:
        # The compiler names the copies; authors edit the originals.
        own = said.replace(str(folder), str(origin))
        return own.replace(str(folder.parent), str(origin.parent))

    compiler = [
        *zig,
        "cc",
        *c_flags(recipe),
        f"-ffile-prefix-map={folder}=.",
        f"-ffile-prefix-map={sdk}=sdk",
        f"-DCHONKLE_DEFAULTS={_c_string(recipe.defaults)}",
        "-I",
        str(sdk),
        *(part for name in recipe.include for part in ("-I", str(folder / name))),
    ]
    own = [folder / name for name in recipe.sources]
    sources = [str(path) for path in (*(sdk / name for name in _SDK_SOURCES), *own)]
    what = f"compiling `{recipe.name}`"
    modules: dict[Abi, bytes] = {}
    try:
        for source in own:
            require_own_inclusions(
                source, command=compiler, folders=(folder.parent, sdk), listing=listing, what=what
            )
        for abi, names in LINKED_EXPORTS.items():
            output = build_dir.resolve() / f"{abi}.wasm"
            exports = [f"-Wl,--export={name}" for name in names]
            # Only the first link compiles: Zig finds the objects in its cache for the second.
            run(
                [*compiler, *sources, *exports, "-o", str(output)],
                what=what,
                cwd=folder,
                environment=build_environment(),
                warn=lambda said: warn(placed(said)),
            )
            modules[abi] = without_empty_initialize(output.read_bytes())
    except ToolError as failure:
        raise ToolError(str(failure), said=placed(failure.said)) from failure
    return modules


def _c_string(text: str) -> str:
    """Write ASCII text as C does."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'
