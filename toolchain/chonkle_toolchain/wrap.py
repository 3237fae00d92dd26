"""A linked module to the file that ships: wrapped, stripped, checked, with its signature."""

from collections.abc import Sequence
from pathlib import Path

from chonkle.errors import BuildError
from chonkle.formats.component_binary import read_interface
from chonkle.formats.signature import embed_signature
from chonkle_toolchain.process import run
from chonkle_toolchain.recipe import Abi, Language, Recipe

WORLD = "codec"
# WebAssembly 2.0, which has SIMD: what every runtime of today takes, and nothing newer.
VALIDATE_FLAGS = ("--features=-all,wasm2,component-model",)

CORE_EXPORTS = {
    "memory": "",
    "alloc": "(i32) -> i32",
    "dealloc": "(i32, i32) -> ()",
    "encode": "(i32, i32) -> i64",
    "decode": "(i32, i32) -> i64",
    "last_error": "() -> i64",
}
COMPONENT_EXPORTS = {"chonkle:codec/transform@0.1.0": ""}
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
        abi: what to make of it.
        wit: the folder of the WIT package.
        wasm_tools: how to run wasm-tools.

    Returns:
        A core module or component, stripped, with the signature embedded.

    Raises:
        BuildError: when it imports anything, or exports something else than its ABI.
    """
    what = f"making the {abi} of `{recipe.name}`"
    if abi == "component":
        embedded = run(
            [*wasm_tools, "component", "embed", wit, "--world", WORLD], what=what, stdin=module
        )
        module = run([*wasm_tools, "component", "new"], what=what, stdin=embedded)
    stripped = run([*wasm_tools, "strip", "--all"], what=what, stdin=module)
    artifact = embed_signature(stripped, recipe.signature)
    run([*wasm_tools, "validate", *VALIDATE_FLAGS], what=what, stdin=artifact)
    check_interface(artifact, abi=abi, what=what, hint=_HINTS[recipe.language])
    return artifact


def check_interface(artifact: bytes, *, abi: Abi, what: str, hint: str = "") -> None:
    """Demand that a codec imports nothing and exports its ABI, no more.

    Args:
        artifact: a core module or component.
        abi: which of the two it should be.
        what: what is being done, for the message.
        hint: how exports come to be there.

    Raises:
        BuildError: naming the import, or the export that is missing, wrong or too much.
    """
    interface = read_interface(artifact)
    if interface.imports:
        raise BuildError(
            f"{what}: it imports `{interface.imports[0].name}`",
            expected="no import at all: a codec gets memory and time, and no more",
            hint="avoid files, clocks, environment, printing and threads in the source",
        )
    wanted = CORE_EXPORTS if abi == "core" else COMPONENT_EXPORTS
    exports = {item.name: item.type for item in interface.exports}
    for name, type_ in wanted.items():
        if exports.get(name) != type_:
            raise BuildError(
                f"{what}: bad export `{name}`",
                expected=type_ or "to be there",
                got=exports.get(name) or "none",
                hint=hint,
            )
    extra = sorted(exports.keys() - wanted.keys() - _OPTIONAL_EXPORTS)
    if extra:
        raise BuildError(f"{what}: unexpected export `{extra[0]}`")
