"""C sources to a linked module, through the C compiler that Zig carries."""

from collections.abc import Callable, Sequence
from pathlib import Path

from chonkle_toolchain.compact import compact
from chonkle_toolchain.environment import build_environment
from chonkle_toolchain.inclusions import demand_own_inclusions
from chonkle_toolchain.process import ToolError, run
from chonkle_toolchain.recipe import Abi, Recipe

# What every C codec is compiled with.
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

# Beside the codec's own: includes the parts of the SDK.
_SDK_SOURCES = ("chonkle_sdk.c", "chonkle_memory.c")


def c_flags(recipe: Recipe) -> tuple[str, ...]:
    """Give the flags of a codec's compiler, as far as they are the same on every machine."""
    return (*C_FLAGS, f"-Wl,-z,stack-size={recipe.stack_size_bytes}", *recipe.flags)


def compile_c(
    recipe: Recipe,
    *,
    folder: Path,
    abi: Abi,
    sdk: Path,
    zig: Sequence[str],
    build_dir: Path,
    warn: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Compile and link one codec for one ABI.

    The link keeps the `name` section: the caller strips it once it has been read.

    Args:
        recipe: the codec, written in C.
        folder: the copy of its sources that is compiled, in a folder of the codec's own.
        abi: which of the two ABIs the module exports.
        sdk: the folder of the C SDK.
        zig: how to run Zig.
        build_dir: where to put what comes out.
        warn: told the compiler's warnings.

    Returns:
        The linked module.

    Raises:
        BuildError: when the compiler finds fault with the sources.
    """
    output = build_dir.resolve() / f"{recipe.name}.{abi}.linked.wasm"
    origin, folder, sdk = recipe.folder.resolve(), folder.resolve(), sdk.resolve()

    def placed(said: str) -> str:
        # The compiler names what it reads, and authors want to hear where that comes from.
        own = said.replace(str(folder), str(origin))
        return own.replace(str(folder.parent), str(origin.parent))

    compiler = [
        *zig,
        "cc",
        *c_flags(recipe),
        f"-ffile-prefix-map={folder}=.",
        f"-ffile-prefix-map={sdk}=sdk",
        f"-DCHONKLE_{abi.upper()}_ABI",
        f"-DCHONKLE_DEFAULTS={_c_string(recipe.defaults)}",
        "-I",
        str(sdk),
        *(part for name in recipe.include for part in ("-I", str(folder / name))),
    ]
    own = [folder / name for name in recipe.sources]
    sources = [*(sdk / name for name in _SDK_SOURCES), *own]
    what = f"compiling `{recipe.name}` for the {abi} ABI"
    try:
        for source in own:
            demand_own_inclusions(
                source,
                command=compiler,
                folders=(folder.parent, sdk),
                listing=output.with_suffix(".read"),
                what=what,
            )
        run(
            [*compiler, *map(str, sources), "-o", str(output)],
            what=what,
            cwd=folder,
            environment=build_environment(),
            warn=lambda said: warn(placed(said)),
        )
    except ToolError as failure:
        raise ToolError(str(failure), said=placed(failure.said)) from failure
    return compact(output.read_bytes())


def _c_string(text: str) -> str:
    """Write ASCII text as C does."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'
