"""A linked module to the file that ships: wrapped, stripped, checked, with its signature."""

from collections.abc import Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import embed_signature
from chonkle_toolchain.abi import CORE_FUNCTIONS, INTERFACE, Abi
from chonkle_toolchain.process import run
from chonkle_toolchain.recipe import Language, Recipe

WORLD = "codec"
# WebAssembly 2.0, which has SIMD: every current runtime takes it.
VALIDATE_FLAGS = ("--features=-all,wasm2,component-model",)

_EXPORTS = {"core": {"memory": "", **CORE_FUNCTIONS}, "component": {INTERFACE: ""}}
_OPTIONAL_EXPORTS = {"_initialize"}
_HINTS: dict[Language, str] = {
    "c": "define `chonkle_encode` and `chonkle_decode`, and export nothing",
    "rust": "`chonkle_codec::export!(Codec);` in the crate makes the exports of a `Transform`",
}


def wrap(module: bytes, *, recipe: Recipe, abi: Abi, wit: Path, wasm_tools: Sequence[str]) -> bytes:
    """Make the file that ships out of a linked module.

    Args:
        module: the linked core module, with the exports of its ABI.
        recipe: the codec.
        abi: the ABI.
        wit: the folder of the WIT package.
        wasm_tools: how to run wasm-tools.

    Returns:
        A core module or component, stripped, with the signature embedded.

    Raises:
        BuildError: when it imports anything, or exports something else than its ABI.
    """
    what = f"making the {abi} of `{recipe.name}`"

    def tool(*arguments: str | Path, stdin: bytes) -> bytes:
        return run([*wasm_tools, *arguments], what=what, stdin=stdin)

    stripped = tool("strip", "--all", stdin=module)
    made = compact(stripped, wasm_tools=wasm_tools, what=what)
    if abi == "component":
        embedded = tool("component", "embed", wit, "--world", WORLD, stdin=made)
        made = tool("strip", "--all", stdin=tool("component", "new", stdin=embedded))
    artifact = embed_signature(made, recipe.signature)
    tool("validate", *VALIDATE_FLAGS, stdin=artifact)
    check_interface(artifact, abi=abi, what=what, hint=_HINTS[recipe.language])
    return artifact


def compact(module: bytes, *, wasm_tools: Sequence[str], what: str = "compacting") -> bytes:
    """Encode each number of a module in as few bytes as it needs, by way of the text format.

    A linker leaves five bytes for each address and function index: a tenth of a small codec.
    """
    text = run([*wasm_tools, "print"], what=what, stdin=module)
    return run([*wasm_tools, "parse"], what=what, stdin=text)


def check_interface(artifact: bytes, *, abi: Abi, what: str, hint: str = "") -> None:
    """Require that a codec imports nothing and exports its ABI and nothing else.

    Args:
        artifact: a core module or component.
        abi: its ABI.
        what: what is being done, for the message.
        hint: how to get the exports right.

    Raises:
        BuildError: naming the import, or an export that is missing, wrong or unexpected.
    """
    interface = read_interface(artifact)
    if interface.imports:
        raise BuildError(
            f"{what}: it imports `{interface.imports[0].name}`",
            expected="no import at all: a codec gets memory and time, and no more",
            hint="avoid files, clocks, environment, printing and threads in the source",
        )
    wanted = _EXPORTS[abi]
    exports = {item.name: item.type for item in interface.exports}
    for name, type_ in wanted.items():
        if exports.get(name) != type_:
            raise BuildError(
                f"{what}: bad export `{name}`",
                expected=type_ or "an export of that name",
                got=exports.get(name) or "none",
                hint=hint,
            )
    extra = sorted(exports.keys() - wanted.keys() - _OPTIONAL_EXPORTS)
    if extra:
        raise BuildError(f"{what}: unexpected export `{extra[0]}`")
