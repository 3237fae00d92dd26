"""Sources that are edited while a build runs: what the lock says of bytes stays true."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chonkle_toolchain import build as build_module
from chonkle_toolchain import make as make_module
from chonkle_toolchain.build import Folders, build
from chonkle_toolchain.lock import LOCK_FILE
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import Abi, Recipe, find_recipes
from chonkle_toolchain.sdk import place_sdk
from chonkle_toolchain.tools import Tool, Tools

from chonkle.errors import BuildError

ROOT = Path(__file__).parents[2]
SDK = ROOT / "codec-src" / "sdk"
IDENTITY = ROOT / "codec" / "identity" / "identity-c@1.0.0"


class PlayedTools(Tools):
    """Tools that are all there."""

    def zig(self) -> Tool:
        return Tool("zig", "", "", command=("zig",))

    def wasm_tools(self) -> Tool:
        return Tool("wasm-tools", "", "", command=("wasm-tools",))


@dataclass
class Desk:
    """A codec in C, compilers that are played, and somebody who edits meanwhile.

    Attributes:
        folder: the codec's folder.
        sdk: the SDK.
        edits: what to do when a codec is compiled for an ABI.
        compiled: what the compiler read then: the codec's source, and the SDK's header.
    """

    folder: Path
    sdk: Path
    edits: dict[Abi, Callable[[], None]] = field(default_factory=dict)
    compiled: dict[Abi, tuple[str, str]] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        return self.folder / "src" / "codec.c"

    @property
    def header(self) -> Path:
        return self.sdk / "c" / "chonkle_codec.h"

    def compile(self, _: object, *, folder: Path, abi: Abi, sdk: Path, **__: object) -> bytes:
        self.edits.pop(abi, lambda: None)()
        read = (folder / "src" / "codec.c", sdk / "chonkle_codec.h")
        self.compiled[abi] = (read[0].read_text("utf-8"), read[1].read_text("utf-8"))
        return b""

    def build(self, begin: Callable[[str], None] = lambda _: None) -> str:
        folders = Folders(self.folder, self.folder / "codec", self.folder / "build", self.sdk)
        (outcome,) = build(folders, tools=PlayedTools(), begin=begin)
        return outcome.state

    def refused(self, begin: Callable[[str], None] = lambda _: None) -> str:
        """Build what is refused, and give the words; nothing of it may be there then."""
        with pytest.raises(BuildError) as caught:
            self.build(begin)
        assert not list((self.folder / "codec").rglob("*.wasm"))
        assert not (self.folder / "codec" / LOCK_FILE).exists()
        return str(caught.value)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    sdk = Path(shutil.copytree(SDK, tmp_path / "sdk", ignore=shutil.ignore_patterns("target")))
    made = Desk(write_project(Project("try-c", "c", "try"), into=tmp_path, sdk=sdk), sdk)
    shutil.rmtree(made.folder / "vectors")

    def wrap(_: bytes, *, abi: Abi, **__: object) -> bytes:
        return Path(f"{IDENTITY}.{abi}.wasm").read_bytes()

    monkeypatch.setattr(make_module, "compile_c", made.compile)
    monkeypatch.setattr(make_module, "without_empty_initialize", lambda module: module)
    monkeypatch.setattr(make_module, "wrap", wrap)
    return made


def append(path: Path, text: str = "\n") -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def test_an_edit_after_the_fingerprint_is_refused(desk: Desk) -> None:
    said = desk.refused(lambda _: append(desk.source, "// more"))
    assert said.startswith("`try-c` was edited while it was built: src/codec.c changed")
    assert desk.compiled == {}
    assert desk.build() == "built"


def test_an_edit_between_the_two_forms_is_refused(desk: Desk) -> None:
    desk.edits["core"] = lambda: append(desk.source, "// more")
    said = desk.refused()
    assert said.startswith("`try-c` was edited while it was built: src/codec.c changed")
    assert desk.compiled.keys() == {"core"}


def test_an_edit_that_is_taken_back_is_never_compiled(desk: Desk) -> None:
    whole = desk.source.read_text("utf-8"), desk.header.read_text("utf-8")

    def edit() -> None:
        append(desk.source, "// more")
        append(desk.header, "// more")

    def take_back() -> None:
        desk.source.write_text(whole[0], "utf-8")
        desk.header.write_text(whole[1], "utf-8")

    def edit_and_take_back() -> None:
        edit()
        assert desk.source.read_text("utf-8") != whole[0]
        take_back()

    desk.edits["core"] = edit_and_take_back
    desk.edits["component"] = edit
    assert desk.build() == "built"
    assert desk.compiled == {"core": whole, "component": whole}
    take_back()
    assert desk.build() == "up to date"


def test_an_edit_of_the_signature_after_it_was_read_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:

    def find_and_edit(codec_src: Path, *, names: Iterable[str]) -> dict[str, Recipe]:
        found = find_recipes(codec_src, names=names)
        signature = desk.folder / "signature.json"
        document = json.loads(signature.read_text("utf-8"))
        signature.write_text(json.dumps({**document, "version": "9.9.9"}), "utf-8")
        return found

    monkeypatch.setattr(build_module, "find_recipes", find_and_edit)
    assert "edited while it was built: signature.json changed" in desk.refused()


def test_an_edit_of_the_sdk_after_the_fingerprint_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place_and_edit(sdk: Path, folder: Path) -> list[str]:
        append(desk.header, "// more")
        return place_sdk(sdk, folder)

    monkeypatch.setattr(build_module, "place_sdk", place_and_edit)
    assert "edited while it was built: the C SDK changed" in desk.refused()


def test_golden_vectors_that_come_while_others_are_tried_are_refused(desk: Desk) -> None:
    vectors = ROOT / "codec-src" / "identity-c" / "vectors"

    def come() -> None:
        shutil.copytree(vectors, desk.folder / "vectors")

    desk.edits["component"] = come
    assert desk.refused().startswith("the golden vectors of `try-c` were edited")
    assert desk.build() == "built"
