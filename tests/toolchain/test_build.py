"""Builds: only what changed is built, and what is built is whole and correct."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chonkle_toolchain.build import Folders, Outcome, build
from chonkle_toolchain.cli.build import folders_of
from chonkle_toolchain.codecs_lock import read_lock
from chonkle_toolchain.process import ToolError
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.recipe import find_recipes
from chonkle_toolchain.sdk import sdk_folder
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
    monkeypatch.setattr("chonkle_toolchain.tools.find_spec", lambda _: None)
    return Tools()


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.state for outcome in outcomes}


def stale(folders: Folders, tools: Tools) -> set[str]:
    return {o.name for o in build(folders, tools=tools, check=True) if o.state == "stale"}


def contents(folder: Path) -> dict[Path, bytes]:
    """Give the bytes of all files but the locks between processes."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_nothing_is_stale_in_a_copy(folders: Folders, no_tools: Tools) -> None:
    assert stale(folders, no_tools) == set()
    assert set(states(build(folders, tools=no_tools)).values()) == {"up to date"}


def test_a_lock_deletes_no_files_elsewhere(
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
    with pytest.raises(BuildError, match=r"no codec `zlib`, expected one of .*identity-c, "):
        build(folders, tools=no_tools, names=["zlib"])
    shutil.rmtree(folders.sdk / "wit")
    with pytest.raises(BuildError, match="no folder"):
        build(folders, tools=no_tools)


def test_missing_tools_are_named_before_building(folders: Folders, no_tools: Tools) -> None:
    before = contents(folders.output)
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "/* more */\n")
    append(folders.codec_src / "zlib-rs" / "src" / "lib.rs", "// more\n")
    with pytest.raises(BuildError) as caught:
        build(folders, tools=no_tools)
    said = str(caught.value)
    assert said.startswith("`zig` ")
    assert "; `rust` >=1.87 is missing, it compiles Rust" in said
    assert "; `wasm-tools` " in said
    assert "; hint: `chonkle tools --install`, or for " in said
    assert contents(folders.output) == before
    assert stale(folders, no_tools) == {"identity-c", "zlib-rs"}


def test_the_command_line(
    folders: Folders, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    paths = (f"--output={folders.output}", f"--build-dir={folders.build_dir}")
    done = run_cli("build", folders.codec_src, *paths, "--json")
    assert done.returncode == 0, done.stderr
    codecs = json.loads(done.stdout)
    assert {codec["state"] for codec in codecs} == {"up to date"}
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "/* more */\n")
    done = run_cli("build", folders.codec_src, *paths, "--check")
    counted = sorted(done.stderr.strip().split(", "))
    assert (done.returncode, counted) == (1, ["1 stale", f"{len(codecs) - 1} up to date"])
    done = run_cli("build", folders.codec_src, "nothing", *paths)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no codec `nothing`")
    assert run_cli("build", "--nothing").returncode == 2


@pytest.mark.toolchain
def test_only_edited_codecs_are_rebuilt(folders: Folders, tools: Tools, build_dir: Path) -> None:
    folders = replace(folders, build_dir=build_dir)
    before = read_lock(folders.output)
    append(folders.codec_src / "tiff-predictor-2-c" / "src" / "codec.c", "/* more */\n")
    # Another Rust compiler than the recorded one is a reason of its own.
    names = [r.name for r in find_recipes(folders.codec_src).values() if r.language == "c"]
    outcomes = states(build(folders, tools=tools, names=names))
    assert outcomes.pop("tiff-predictor-2-c") == "rebuilt"
    assert set(outcomes.values()) == {"up to date"}
    assert set(states(build(folders, tools=tools, names=names)).values()) == {"up to date"}
    after = read_lock(folders.output)
    changed = {name for name in after.codecs if after.codecs[name] != before.codecs[name]}
    assert changed == {"tiff-predictor-2-c"}


@pytest.mark.toolchain
def test_an_error_keeps_what_was_built(folders: Folders, tools: Tools, build_dir: Path) -> None:
    folders = replace(folders, build_dir=build_dir)
    before = contents(folders.output)
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "nonsense\n")
    with pytest.raises(BuildError, match="compiling `identity-c` failed"):
        build(folders, tools=tools, names=["identity-c"])
    assert contents(folders.output) == before


@pytest.mark.toolchain
def test_a_codec_that_fails_is_not_written(folders: Folders, tools: Tools, build_dir: Path) -> None:
    folders = replace(folders, build_dir=build_dir)
    name = "page-split-c"
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


@pytest.mark.toolchain
def test_a_crate_without_exports_gets_advice(tmp_path: Path, tools: Tools, build_dir: Path) -> None:
    folder = write_project(Project("try-rs", "rust", "try"), into=tmp_path, sdk=sdk_folder())
    source = folder / "src" / "lib.rs"
    source.write_text(source.read_text("utf-8").replace("chonkle_codec::export!(Codec);", ""))
    with pytest.raises(BuildError, match=r"bad export `.*hint: `chonkle_codec::export!\(Codec\);`"):
        build(folders_of(folder, build_dir=build_dir), tools=tools)


@pytest.mark.toolchain
@pytest.mark.parametrize("place", ["try-c/tests/table.h", "table.h", "try-c/.table.h"])
def test_a_foreign_header_is_refused(
    place: str, tmp_path: Path, tools: Tools, build_dir: Path
) -> None:
    """Nothing else would show that it is another file."""
    folder = write_project(Project("try-c", "c", "try"), into=tmp_path, sdk=sdk_folder())
    header, source = tmp_path / place, folder / "src" / "codec.c"
    header.parent.mkdir(exist_ok=True)
    header.write_text("")
    path = os.path.relpath(header, source.parent)
    source.write_text(f'#include "{path}"\n{source.read_text()}')
    with pytest.raises(ToolError) as caught:
        build(folders_of(folder, build_dir=build_dir), tools=tools)
    first = caught.value.said.splitlines()[0]
    assert first == f"{source}:1:10: fatal error: '{path}' file not found"


@pytest.mark.toolchain
@pytest.mark.parametrize("directive", ["#include", "#embed"])
def test_a_file_elsewhere_is_not_included(
    directive: str, tmp_path: Path, tools: Tools, build_dir: Path
) -> None:
    folder = write_project(Project("try-c", "c", "try"), into=tmp_path, sdk=sdk_folder())
    elsewhere, source = tmp_path / "some where" / "$1,#2.h", folder / "src" / "codec.c"
    elsewhere.parent.mkdir()
    elsewhere.write_text("1")
    line = f'{directive} "{elsewhere}"\n'
    source.write_text(f"{source.read_text()}static const int more[] = {{\n{line}, 2}};\n")
    folders = folders_of(folder, build_dir=build_dir)
    with pytest.raises(BuildError) as caught:
        build(folders, tools=tools)
    said = str(caught.value)
    assert f"`codec.c` includes `{elsewhere}`, which is no source of the codec; hint: put" in said
    shutil.move(elsewhere, source.with_name("more numbers.h"))
    source.write_text(source.read_text().replace(str(elsewhere), "more numbers.h"))
    assert states(build(folders, tools=tools)) == {"try-c": "built"}


@pytest.mark.toolchain
def test_a_crate_takes_in_nothing_of_the_machine(
    tmp_path: Path, tools: Tools, build_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_project(Project("try-rs", "rust", "try"), into=tmp_path, sdk=sdk_folder())
    elsewhere, source = tmp_path / "some where" / "1.bin", folder / "src" / "lib.rs"
    elsewhere.parent.mkdir()
    elsewhere.write_text("1")
    whole = source.read_text()
    folders = folders_of(folder, build_dir=build_dir)
    append(source, f'pub const MORE: &[u8] = include_bytes!("{elsewhere}");\n')
    with pytest.raises(BuildError) as caught:
        build(folders, tools=tools)
    said = str(caught.value)
    assert f"a crate includes `{elsewhere}`, which is no source of the codec; hint: put" in said
    source.write_text(whole)
    append(source, 'pub const MORE: Option<&str> = option_env!("SOME_VARIABLE");\n')
    monkeypatch.setenv("SOME_VARIABLE", "a \\ b\nc")
    with pytest.raises(BuildError, match=r"the crate `.*` takes in the variable `SOME_VARIABLE`, "):
        build(folders, tools=tools)
    monkeypatch.delenv("SOME_VARIABLE")
    assert states(build(folders, tools=tools)) == {"try-rs": "built"}


@pytest.mark.toolchain
def test_python_that_lies_among_the_sources_does_not_run(
    tmp_path: Path, tools: Tools, build_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_project(Project("try-c", "c", "try"), into=tmp_path, sdk=sdk_folder())
    ran = tmp_path / "ran"
    for name in ("ziglang", "pip", "os", "runpy"):
        (folder / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", ".")
    (outcome,) = build(folders_of(folder, build_dir=build_dir), tools=tools)
    assert outcome.state == "built"
    assert not ran.exists()


@pytest.mark.toolchain
def test_a_configuration_of_cargo_elsewhere_is_ignored(tmp_path: Path, tools: Tools) -> None:
    project = Project("try-rs", "rust", "try")
    plain, around = tmp_path / "plain" / "try-rs", tmp_path / "around" / "try-rs"
    for folder in (plain, around):
        folder.parent.mkdir()
        write_project(project, into=folder.parent, sdk=sdk_folder())
    (around / ".cargo").mkdir()
    (around / ".cargo" / "config.toml").write_text(
        '[profile.release]\noverflow-checks = true\n[build]\nrustflags = ["--cfg=odd"]\n'
    )
    files = []
    for folder in (plain, around):
        (built,) = build(folders_of(folder), tools=tools)
        files.append((built.core, built.component))
    assert files[0] == files[1]


@pytest.mark.toolchain
def test_a_codec_that_has_the_time_is_refused(
    folders: Folders, tools: Tools, build_dir: Path
) -> None:
    folders = replace(folders, build_dir=build_dir)
    append(folders.codec_src / "identity-c" / "src" / "codec.c", "const char *t = __TIME__;\n")
    with pytest.raises(ToolError) as caught:
        build(folders, tools=tools, names=["identity-c"])
    assert "date or time macro is not reproducible" in caught.value.said
