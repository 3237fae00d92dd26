"""New codecs: what `chonkle new` writes is complete, and works as it is."""

import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chonkle_toolchain import project as new_projects
from chonkle_toolchain.build import build
from chonkle_toolchain.cli.build import folders_of
from chonkle_toolchain.direct_call import call
from chonkle_toolchain.project import Project, default_codec_id, write_project
from chonkle_toolchain.recipe import Language, read_recipe
from chonkle_toolchain.sdk import place_sdk, sdk_folder
from chonkle_toolchain.tools import Tools
from chonkle_toolchain.vectors import read_vectors
from jsonschema import Draft202012Validator

from chonkle.errors import BuildError, CodecError
from chonkle.pipeline import load

ROOT = Path(__file__).parents[2]
LANGUAGES: tuple[Language, ...] = ("c", "rust")
# Names that Cargo, a shell or a template could stumble over.
ODD_NAMES = ("1st.try+x_Y", "self", "a")

type RunCli = Callable[..., subprocess.CompletedProcess[str]]


def written(into: Path, language: Language, name: str = "delta-x", codec_id: str = "delta") -> Path:
    return write_project(Project(name, language, codec_id), into=into, sdk=sdk_folder())


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def schema(name: str) -> Draft202012Validator:
    path = ROOT / f"chonkle/formats/schemas/{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_codec_is_complete(language: Language, tmp_path: Path) -> None:
    folder = written(tmp_path, language)
    own = {name for name in files_in(folder) if not name.startswith("build/")}
    common = {"README.md", ".gitignore", "codec.toml", "signature.json", "pipeline.json"}
    source = {
        "c": {"src/codec.c", "compile_flags.txt"},
        "rust": {"src/lib.rs", "Cargo.toml", "Cargo.lock"},
    }
    assert own == common | source[language] | {"vectors/distance-2.json"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["delta-x"]
    for name in own:
        assert "{{" not in (folder / name).read_text("utf-8"), name

    signature = json.loads((folder / "signature.json").read_text("utf-8"))
    schema("signature").validate(signature)
    pipeline = json.loads((folder / "pipeline.json").read_text("utf-8"))
    schema("pipeline").validate(pipeline)
    load(pipeline)
    recipe = read_recipe(folder)
    assert (recipe.language, recipe.name, recipe.signature.codec_id) == (
        language,
        "delta-x",
        "delta",
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_transform_of_a_new_codec_is_short(language: Language, tmp_path: Path) -> None:
    source = {"c": "src/codec.c", "rust": "src/lib.rs"}[language]
    text = (written(tmp_path, language) / source).read_text("utf-8")
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_golden_vector_is_what_numpy_says(language: Language, tmp_path: Path) -> None:
    (vector,) = read_vectors(read_recipe(written(tmp_path, language)))
    decoded = np.frombuffer(vector.outputs["bytes"], "u1")
    distance = int(vector.inputs["distance"])
    lagged = np.concatenate([np.zeros(distance, "u1"), decoded[:-distance]])
    assert vector.inputs["bytes"] == (decoded - lagged).tobytes()
    assert vector.directions == ("decode", "encode")


def test_the_lock_of_a_new_crate_names_the_sdk_as_it_is() -> None:
    folder = Path(new_projects.__file__).parent / "templates/rust"
    lock = tomllib.loads((folder / "Cargo.lock").read_text("utf-8"))
    crate = tomllib.loads((sdk_folder() / "rust/Cargo.toml").read_text("utf-8"))["package"]
    manifest = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))["package"]
    assert lock["package"][0] == {"name": crate["name"], "version": crate["version"]}
    assert lock["package"][1]["version"] == manifest["version"]
    assert manifest["rust-version"] == crate["rust-version"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_editors_find_a_copy_of_the_sdk(language: Language, tmp_path: Path) -> None:
    folder = written(tmp_path, language)
    if language == "c":
        flags = (folder / "compile_flags.txt").read_text("utf-8").split()
        (include,) = (Path(flag[2:]) for flag in flags if flag.startswith("-I"))
        assert (folder / include / "chonkle_codec.h").is_file()
    else:
        manifest = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))
        path = folder / manifest["dependencies"]["chonkle-codec"]["path"]
        assert (path / "Cargo.toml").is_file()


@pytest.mark.toolchain
def test_what_an_editor_runs_on_a_new_crate_warns_of_nothing(tmp_path: Path, tools: Tools) -> None:
    done = subprocess.run(
        [tools.need({"rust"}).rust.cargo, "check", "--locked", "--offline"],
        cwd=written(tmp_path, "rust"),
        env={**os.environ, "RUSTC": tools.rust().rustc, "RUSTFLAGS": "-Dwarnings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_copy_of_the_sdk_is_brought_up_to_date_and_otherwise_left_alone(tmp_path: Path) -> None:
    assert place_sdk(sdk_folder(), tmp_path) == []
    header, crate = tmp_path / "c/chonkle_codec.h", tmp_path / "rust/src/lib.rs"
    header.write_text("/* edited */")
    (tmp_path / "c/old.h").write_text("")
    os.utime(crate, ns=(1, 1))
    assert place_sdk(sdk_folder(), tmp_path) == ["c/chonkle_codec.h", "c/old.h"]
    assert header.read_bytes() == (sdk_folder() / "c/chonkle_codec.h").read_bytes()
    assert not (tmp_path / "c/old.h").exists()
    assert crate.stat().st_mtime_ns == 1
    assert place_sdk(sdk_folder(), tmp_path) == []


def test_the_codec_id_is_the_name_without_the_language() -> None:
    assert default_codec_id("zlib-rs", "rust") == "zlib"
    assert default_codec_id("zlib-rs", "c") == "zlib-rs"
    assert default_codec_id("zlib-c", "c") == "zlib"
    assert default_codec_id("zlib", "c") == "zlib"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "-c", "a\n", "nul", "a" * 129]
)
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    for names in ({"name": name}, {"codec_id": name}):
        with pytest.raises(BuildError, match=r"bad (name|codec id) .*expected"):
            written(tmp_path, "c", **names)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "delta-x"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    with pytest.raises(BuildError, match="there already, with something in it"):
        written(tmp_path, "c")
    assert files_in(tmp_path) == {"delta-x/precious"}
    (folder / "precious").unlink()
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(BuildError, match="there already, and no folder"):
        written(tmp_path, "c")
    assert folder.read_text() == "a file"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "delta-x").mkdir()
    assert "codec.toml" in files_in(written(tmp_path, "c"))


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (OSError(28, "No space left on device"), "delta-x: cannot be written: No space left on"),
        (KeyboardInterrupt(), None),
    ],
)
def test_nothing_is_left_half_written(
    failure: BaseException, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(new_projects, "place_sdk", fail)
    with pytest.raises((BuildError, KeyboardInterrupt), match=said):
        written(tmp_path, "rust")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_how_to_go_on(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("new", "delta-rs", "--lang", "rust", "--into", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    displayed = (tmp_path / "delta-rs").as_posix()
    for command in ("build", "test", "verify", "run"):
        assert f"\n  chonkle {command} {displayed}" in done.stdout
    again = run_cli("new", "delta-rs", "--lang", "rust", "--into", tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"error: `{displayed}` is there already, with something in it\n"
    nowhere = run_cli("new", "delta-rs", "--lang", "rust", "--into", tmp_path / "nowhere")
    assert nowhere.returncode == 2


def test_a_name_that_chonkle_gave_away_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    command = ("new", "identity-c", "--lang", "c", "--into", tmp_path)
    done = run_cli(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: chonkle ships the implementation `identity-c` of the ")
    assert list(tmp_path.iterdir()) == []
    assert run_cli(*command, "--codec-id", "my-identity").returncode == 0


@pytest.mark.toolchain
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["delta-x", *ODD_NAMES])
def test_a_new_codec_builds(
    language: Language, name: str, tmp_path: Path, tools: Tools, build_dir: Path
) -> None:
    folders = folders_of(written(tmp_path, language, name), build_dir=build_dir)
    (outcome,) = build(folders, tools=tools)
    assert (outcome.name, outcome.state) == (name, "built")
    assert outcome.core is not None
    wasm = (folders.output / outcome.core.file).read_bytes()
    assert call(wasm, "encode", {"bytes": bytes([5, 4, 3])}) == {"bytes": bytes([5, 255, 255])}
    with pytest.raises(CodecError, match="`distance`"):
        call(wasm, "encode", {"bytes": b"abc", "distance": b"0"})
    assert [each.state for each in build(folders, tools=tools)] == ["up to date"]
