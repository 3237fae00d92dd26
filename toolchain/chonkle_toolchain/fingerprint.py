"""What a build depends on, as one digest.

Everything that can change an artifact's bytes is in it: the recipe, the signature, the sources, the
SDK of that language, the WIT world, the flags and the pinned versions of the tools. It is computed
from files alone, so that a clone without a compiler can tell what is up to date. The Rust compiler
is not in it: it cannot be pinned on every machine; `codecs.lock` records the one that was used.
"""

from pathlib import Path

from blake3 import blake3

from chonkle.errors import BuildError
from chonkle_toolchain.compile_c import C_FLAGS
from chonkle_toolchain.compile_rust import C_FLAGS_IN_CRATES, RUST_FLAGS, RUST_PROFILE
from chonkle_toolchain.recipe import Recipe, source_files
from chonkle_toolchain.tools import WASM_TOOLS_VERSION, ZIG_VERSION

# Raised when the toolchain itself makes other bytes of the same inputs.
_BUILD_VERSION = "2"


def build_digest(recipe: Recipe, *, sdk: Path) -> str:
    """Hash everything that a codec's build depends on.

    Args:
        recipe: the codec.
        sdk: the SDK's folder, with `wit`, `c` and `rust` in it.

    Returns:
        `blake3:` and 64 hexadecimal digits.

    Raises:
        BuildError: when the SDK is not there or a file cannot be read.
    """
    hasher = blake3()
    for item in (*_toolset(recipe), str(recipe.stack_size_bytes)):
        _add(hasher, item.encode())
    for label, folder in (
        ("codec", recipe.folder),
        ("sdk", sdk / recipe.language),
        ("wit", sdk / "wit"),
        *((name, recipe.folder / name) for name in recipe.shared),
    ):
        if not folder.is_dir():
            raise BuildError(f"no folder `{folder}`")
        for path in source_files(folder):
            _add(hasher, f"{label}/{path.as_posix()}".encode())
            _add(hasher, _content(folder / path))
    return f"blake3:{hasher.hexdigest()}"


def _toolset(recipe: Recipe) -> tuple[str, ...]:
    common = (_BUILD_VERSION, recipe.language, WASM_TOOLS_VERSION)
    if recipe.language == "c":
        return (*common, ZIG_VERSION, *C_FLAGS)
    rust = (*common, *RUST_FLAGS, *RUST_PROFILE)
    return (*rust, ZIG_VERSION, *C_FLAGS_IN_CRATES) if recipe.c_in_crates else rust


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise BuildError(f"{path}: cannot be read: {failure.strerror}") from failure
    # Git may check text out with other line ends on Windows.
    return data.replace(b"\r\n", b"\n")


def _add(hasher: blake3, item: bytes) -> None:
    # The length in front keeps two items from being taken for one.
    hasher.update(len(item).to_bytes(8, "little"))
    hasher.update(item)
