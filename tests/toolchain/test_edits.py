"""Sources that are edited while a build runs: what the lock says of bytes stays true."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from chonkle_toolchain import build as build_module
from chonkle_toolchain import make as make_module
from chonkle_toolchain.abi import ABIS, Abi
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.codecs_lock import LOCK_FILE
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import Recipe, find_recipes
from chonkle_toolchain.sdk import place_sdk
from chonkle_toolchain.staging import stage_codec
from chonkle_toolchain.tools import Tool, Tools

from chonkle.errors import BuildError

ROOT = Path(__file__).parents[2]
SDK = ROOT / "codec-src" / "sdk"
IDENTITY = ROOT / "codec" / "identity" / "identity-c@1.0.0"


class PlayedTools(Tools):
    """Tools that are all installed."""

    def zig(self) -> Tool:
        return Tool("zig", "", "", command=("zig",))

    def wasm_tools(self) -> Tool:
        return Tool("wasm-tools", "", "", command=("wasm-tools",))


type Step = Literal["staging", "compiling", "checking"]


@dataclass
class EditedCodec:
    """A codec in C that is edited while fake compilers build it.

    Attributes:
        folder: the codec's folder.
        sdk: the SDK.
        edits: what to do before a step of the build.
        compiled: what the compiler read: the codec's source, and the SDK's header.
    """

    folder: Path
    sdk: Path
    edits: dict[Step, Callable[[], None]] = field(default_factory=dict)
    compiled: list[tuple[str, str]] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "src" / "codec.c"

    @property
    def header(self) -> Path:
        return self.sdk / "c" / "chonkle_codec.h"

    def edit(self, step: Step) -> None:
        self.edits.pop(step, lambda: None)()

    def stage(self, recipe: Recipe, target: Path) -> None:
        self.edit("staging")
        stage_codec(recipe, target)

    def compile(self, _: object, *, folder: Path, sdk: Path, **__: object) -> dict[Abi, bytes]:
        self.edit("compiling")
        read = (folder / "src" / "codec.c", sdk / "chonkle_codec.h")
        self.compiled.append((read[0].read_text("utf-8"), read[1].read_text("utf-8")))
        return dict.fromkeys(ABIS, b"")

    def wrap(self, _: bytes, *, abi: Abi, **__: object) -> bytes:
        self.edit("checking")
        return Path(f"{IDENTITY}.{abi}.wasm").read_bytes()

    def build(self) -> str:
        folders = Folders(self.folder, self.folder / "codec", self.folder / "build", self.sdk)
        (outcome,) = build(folders, tools=PlayedTools())
        return outcome.state

    def refused(self) -> str:
        """Require that the build fails and leaves nothing, and give its message."""
        with pytest.raises(BuildError) as caught:
            self.build()
        assert not list((self.folder / "codec").rglob("*.wasm"))
        assert not (self.folder / "codec" / LOCK_FILE).exists()
        return str(caught.value)


@pytest.fixture
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EditedCodec:
    sdk = Path(shutil.copytree(SDK, tmp_path / "sdk", ignore=shutil.ignore_patterns("target")))
    made = EditedCodec(write_project(Project("try-c", "c", "try"), into=tmp_path, sdk=sdk), sdk)
    shutil.rmtree(made.folder / "vectors")
    monkeypatch.setattr(make_module, "stage_codec", made.stage)
    monkeypatch.setattr(make_module, "compile_c", made.compile)
    monkeypatch.setattr(make_module, "wrap", made.wrap)
    return made


def append(path: Path, text: str = "\n") -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def test_an_edit_after_the_fingerprint_is_refused(codec: EditedCodec) -> None:
    codec.edits["staging"] = lambda: append(codec.source, "// more")
    said = codec.refused()
    assert said.startswith("`try-c` was edited while it was built: src/codec.c changed")
    assert codec.compiled == []
    assert codec.build() == "built"


def test_an_edit_after_the_copy_is_not_compiled(codec: EditedCodec) -> None:
    whole = codec.source.read_text("utf-8"), codec.header.read_text("utf-8")

    def edit() -> None:
        append(codec.source, "// more")
        append(codec.header, "// more")

    codec.edits["compiling"] = edit
    assert codec.build() == "built"
    assert codec.compiled == [whole]
    assert codec.build() == "rebuilt"
    codec.source.write_text(whole[0], "utf-8")
    codec.header.write_text(whole[1], "utf-8")
    assert codec.build() == "rebuilt"
    assert codec.build() == "up to date"


def test_an_edit_of_the_signature_after_it_was_read_is_refused(
    codec: EditedCodec, monkeypatch: pytest.MonkeyPatch
) -> None:

    def find_and_edit(codec_src: Path, *, names: Iterable[str]) -> dict[str, Recipe]:
        found = find_recipes(codec_src, names=names)
        signature = codec.folder / "signature.json"
        document = json.loads(signature.read_text("utf-8"))
        signature.write_text(json.dumps({**document, "version": "9.9.9"}), "utf-8")
        return found

    monkeypatch.setattr(build_module, "find_recipes", find_and_edit)
    assert "edited while it was built: signature.json changed" in codec.refused()


def test_an_edit_of_the_sdk_after_the_fingerprint_is_refused(
    codec: EditedCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place_and_edit(sdk: Path, folder: Path) -> list[str]:
        append(codec.header, "// more")
        return place_sdk(sdk, folder)

    monkeypatch.setattr(build_module, "place_sdk", place_and_edit)
    assert "edited while it was built: the C SDK changed" in codec.refused()


def test_golden_vectors_that_come_while_others_are_tried_are_refused(codec: EditedCodec) -> None:
    vectors = ROOT / "codec-src" / "identity-c" / "vectors"

    def come() -> None:
        shutil.copytree(vectors, codec.folder / "vectors")

    codec.edits["checking"] = come
    assert codec.refused().startswith("the golden vectors of `try-c` were edited")
    assert codec.build() == "built"
