"""Builds: only what changed is built, and what is built is whole and correct."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chonkle_toolchain.build import Folders, Outcome, build
from chonkle_toolchain.fingerprint import build_digest
from chonkle_toolchain.lock import read_lock
from chonkle_toolchain.recipe import find_recipes, read_recipe
from chonkle_toolchain.rust import Rust, find_rust
from chonkle_toolchain.tools import Tools

from chonkle.errors import BuildError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folders(sources: Path, tmp_path: Path) -> Folders:
    """Give a copy of the sources and of what was built from them."""
    output = Path(shutil.copytree(ROOT / "codec", tmp_path / "codec"))
    return Folders(sources, output, tmp_path / "build", sources / "sdk")


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Give a machine without any compiler."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return Tools(tmp_path / "tools")


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.state for outcome in outcomes}


def stale(folders: Folders, tools: Tools) -> set[str]:
    return {o.name for o in build(folders, tools=tools, check=True) if o.state == "stale"}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_nothing_is_stale_in_a_copy(folders: Folders, no_tools: Tools) -> None:
    assert stale(folders, no_tools) == set()
    assert set(states(build(folders, tools=no_tools)).values()) == {"up to date"}


def test_a_source_makes_its_own_codec_stale(folders: Folders, no_tools: Tools) -> None:
    append(folders.codec_src / "page-split-c" / "src" / "codec.c", "/* more */\n")
    assert stale(folders, no_tools) == {"page-split-c"}


def test_a_signature_makes_its_own_codec_stale(folders: Folders, no_tools: Tools) -> None:
    append(folders.codec_src / "zlib-rs" / "signature.json", "\n")
    assert stale(folders, no_tools) == {"zlib-rs"}


def test_an_sdk_makes_the_codecs_of_its_language_stale(folders: Folders, no_tools: Tools) -> None:
    recipes = find_recipes(folders.codec_src)
    in_c = {name for name, recipe in recipes.items() if recipe.language == "c"}
    append(folders.sdk / "c" / "chonkle_codec.h", "/* more */\n")
    assert stale(folders, no_tools) == in_c
    append(folders.sdk / "rust" / "src" / "lib.rs", "// more\n")
    assert stale(folders, no_tools) == recipes.keys()


def test_a_shared_header_makes_those_that_include_it_stale(
    folders: Folders, no_tools: Tools
) -> None:
    append(folders.codec_src / "kernels" / "byteorder" / "byteorder.h", "/* more */\n")
    found = stale(folders, no_tools)
    assert "bitround-c" in found
    assert "page-split-c" not in found


def test_a_shared_crate_makes_those_that_depend_on_it_stale(
    folders: Folders, no_tools: Tools
) -> None:
    append(folders.codec_src / "kernels" / "deflate" / "src" / "lib.rs", "// more\n")
    assert stale(folders, no_tools) == {"deflate-rs", "gzip-rs", "zlib-rs"}


def test_the_wit_makes_every_codec_stale(folders: Folders, no_tools: Tools) -> None:
    append(folders.sdk / "wit" / "codec.wit", "// more\n")
    assert stale(folders, no_tools) == find_recipes(folders.codec_src).keys()


def test_vectors_hidden_files_and_line_ends_make_nothing_stale(
    folders: Folders, no_tools: Tools
) -> None:
    codec = folders.codec_src / "identity-c"
    (codec / "vectors").mkdir()
    (codec / "vectors" / "more.json").write_text("{}")
    (codec / ".swap").write_text("")
    source = codec / "src" / "codec.c"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    assert stale(folders, no_tools) == set()


@pytest.mark.parametrize("damage", [b"", b"x"])
def test_a_damaged_file_is_stale(folders: Folders, no_tools: Tools, damage: bytes) -> None:
    path = folders.output / "identity" / "identity-c@1.0.0.core.wasm"
    path.write_bytes(path.read_bytes() + b"x" if damage else b"")
    assert stale(folders, no_tools) == {"identity-c"}
    path.unlink()
    assert stale(folders, no_tools) == {"identity-c"}


def test_a_file_that_moves_to_another_name_changes_the_digest(folders: Folders) -> None:
    recipe = read_recipe(folders.codec_src / "identity-c")
    before = build_digest(recipe, sdk=folders.sdk)
    (recipe.folder / "src" / "other.h").write_text("")
    between = build_digest(recipe, sdk=folders.sdk)
    (recipe.folder / "src" / "other.h").rename(recipe.folder / "src" / "another.h")
    assert len({before, between, build_digest(recipe, sdk=folders.sdk)}) == 3


def test_a_codec_without_a_recipe_is_removed(folders: Folders, no_tools: Tools) -> None:
    shutil.rmtree(folders.codec_src / "page-split-c")
    assert stale(folders, no_tools) == {"page-split-c"}
    assert states(build(folders, tools=no_tools, names=["identity-c"])) == {
        "identity-c": "up to date"
    }
    assert states(build(folders, tools=no_tools))["page-split-c"] == "removed"
    assert not (folders.output / "page-split").exists()
    assert "page-split-c" not in read_lock(folders.output).codecs


def test_a_lock_that_names_files_elsewhere_deletes_none(
    folders: Folders, no_tools: Tools, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("")
    lock = folders.output / "codecs.lock"
    text = lock.read_text().replace("page-split/page-split-c@1.0.0.core.wasm", "../precious")
    lock.write_text(text)
    shutil.rmtree(folders.codec_src / "page-split-c")
    build(folders, tools=no_tools)
    assert precious.exists()


def test_an_unknown_name_and_a_missing_sdk(folders: Folders, no_tools: Tools) -> None:
    with pytest.raises(BuildError, match="no codec `zlib`, expected one of identity-c, "):
        build(folders, tools=no_tools, names=["zlib"])
    shutil.rmtree(folders.sdk / "wit")
    with pytest.raises(BuildError, match="no folder"):
        build(folders, tools=no_tools)


def test_a_missing_tool_is_named_with_the_way_to_get_it(folders: Folders, no_tools: Tools) -> None:
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "/* more */\n")
    with pytest.raises(BuildError, match=r"`wasm-tools` .* is missing.*hint: `cargo install"):
        build(folders, tools=no_tools)
    # Nothing was touched.
    assert stale(folders, no_tools) == {"identity-c"}
    assert len(list(folders.output.rglob("*.wasm"))) == 8


def test_no_rust_is_said_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    rust = find_rust()
    assert not rust.found
    with pytest.raises(BuildError, match=r"no Rust compiler for wasm32.*hint: install Rust with"):
        rust.need()
    assert Rust(cargo="cargo").need().cargo == "cargo"


def test_the_command_line(
    folders: Folders, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    paths = (f"--output={folders.output}", f"--build-dir={folders.build_dir}")
    done = run_cli("build", folders.codec_src, *paths, "--json")
    assert done.returncode == 0, done.stderr
    assert [item["state"] for item in json.loads(done.stdout)] == ["up to date"] * 4
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "/* more */\n")
    done = run_cli("build", folders.codec_src, *paths, "--check")
    assert (done.returncode, done.stderr.strip()) == (1, "1 stale, 3 up to date")
    done = run_cli("build", folders.codec_src, "nothing", *paths)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no codec `nothing`")
    assert run_cli("build", "--nothing").returncode == 2


@pytest.mark.toolchain
def test_only_an_edited_codec_is_built_again(
    folders: Folders, tools: Tools, build_dir: Path
) -> None:
    folders = replace(folders, build_dir=build_dir)
    before = read_lock(folders.output)
    append(folders.codec_src / "tiff-predictor-2-c" / "src" / "codec.c", "/* more */\n")
    outcomes = states(build(folders, tools=tools))
    assert outcomes.pop("tiff-predictor-2-c") == "built"
    assert set(outcomes.values()) == {"up to date"}
    assert set(states(build(folders, tools=tools)).values()) == {"up to date"}
    after = read_lock(folders.output)
    changed = {name for name in after.codecs if after.codecs[name] != before.codecs[name]}
    assert changed == {"tiff-predictor-2-c"}


@pytest.mark.toolchain
@pytest.mark.parametrize("name", ["identity-c", "page-split-c", "tiff-predictor-2-c"])
def test_a_c_build_elsewhere_gives_the_committed_bytes(
    name: str, sources: Path, tmp_path: Path, tools: Tools, build_dir: Path
) -> None:
    folders = Folders(sources, tmp_path / "elsewhere", build_dir, sources / "sdk")
    build(folders, tools=tools, names=[name])
    built = read_lock(folders.output).codecs[name]
    assert built == read_lock(ROOT / "codec").codecs[name]


@pytest.mark.toolchain
def test_a_new_version_takes_the_place_of_the_old(
    folders: Folders, tools: Tools, build_dir: Path
) -> None:
    folders = replace(folders, build_dir=build_dir)
    signature = folders.codec_src / "identity-c" / "signature.json"
    signature.write_text(signature.read_text().replace('"1.0.0"', '"1.1.0"'))
    build(folders, tools=tools, names=["identity-c"])
    names = {path.name for path in (folders.output / "identity").iterdir()}
    assert names == {"identity-c@1.1.0.core.wasm", "identity-c@1.1.0.component.wasm"}


@pytest.mark.toolchain
def test_a_compiler_error_keeps_what_was_built(
    folders: Folders, tools: Tools, build_dir: Path
) -> None:
    folders = replace(folders, build_dir=build_dir)
    before = sorted(path.read_bytes() for path in folders.output.rglob("*.wasm"))
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "nonsense\n")
    with pytest.raises(BuildError, match="compiling `identity-c` for the core ABI"):
        build(folders, tools=tools)
    assert sorted(path.read_bytes() for path in folders.output.rglob("*.wasm")) == before


@pytest.mark.toolchain
def test_a_codec_that_fails_its_vector_is_not_written(
    folders: Folders, tools: Tools, build_dir: Path
) -> None:
    folders = replace(folders, build_dir=build_dir)
    name = "page-split-c"
    shutil.copytree(ROOT / "codec-src" / name / "vectors", folders.codec_src / name / "vectors")
    source = folders.codec_src / name / "src" / "codec.c"
    wrong = source.read_text().replace("bytes->data + levels,", "bytes->data,")
    source.write_text(wrong)
    with pytest.raises(BuildError, match="`page-split-c` fails its golden vector `levels`"):
        build(folders, tools=tools, names=[name])


@pytest.mark.toolchain
def test_a_codec_that_imports_is_refused(folders: Folders, tools: Tools, build_dir: Path) -> None:
    folders = replace(folders, build_dir=build_dir)
    source = folders.codec_src / "identity-c" / "src" / "codec.c"
    source.write_text(
        "#include <stdio.h>\n"
        + source.read_text().replace("return bytes &&", 'puts("x"); return bytes &&')
    )
    with pytest.raises(BuildError, match="it imports `wasi_snapshot_preview1") as caught:
        build(folders, tools=tools, names=["identity-c"])
    assert "hint: avoid files" in str(caught.value)
