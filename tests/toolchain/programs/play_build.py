"""Build the codec in a folder with compilers that are played: fast, and with large artifacts.

    play_build.py FOLDER

says `made` when compilers would be done and nothing is written yet, and ends with the state of the
codec. An artifact is the shipped `identity` with a custom section that repeats the codec's source.
"""

import sys
from pathlib import Path

from chonkle_toolchain import build as build_module
from chonkle_toolchain.abi import ABIS, Abi
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.recipe import Recipe
from chonkle_toolchain.sdk import sdk_folder
from chonkle_toolchain.tools import Tool, Tools

from chonkle.formats.signature import embed_signature
from chonkle.formats.wasm_binary import with_custom_section

SHIPPED = Path(__file__).parents[3] / "codec" / "identity"
SIZE_BYTES = 8 << 20


class PlayedTools(Tools):
    """Tools that are all there."""

    def zig(self) -> Tool:
        """Find Zig."""
        return Tool("zig", "", "", command=("zig",))

    def wasm_tools(self) -> Tool:
        """Find wasm-tools."""
        return Tool("wasm-tools", "", "", command=("wasm-tools",))


def make(recipe: Recipe, _: object, **__: object) -> dict[Abi, bytes]:
    """Play the compilers."""
    source = (recipe.folder / recipe.sources[0]).read_bytes()
    made: dict[Abi, bytes] = {}
    for abi in ABIS:
        shipped = (SHIPPED / f"identity-c@1.0.0.{abi}.wasm").read_bytes()
        large = with_custom_section(shipped, "source", source * (SIZE_BYTES // len(source)))
        made[abi] = embed_signature(large, recipe.signature)
    sys.stdout.write("made\n")
    sys.stdout.flush()
    return made


def main(folder: Path) -> None:
    """Build the codec in a folder."""
    vars(build_module)["make_artifacts"] = make
    folders = Folders(folder, folder / "codec", folder / "build", sdk_folder())
    (outcome,) = build(folders, tools=PlayedTools())
    sys.stdout.write(f"{outcome.state}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
