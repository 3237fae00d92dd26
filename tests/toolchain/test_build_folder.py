"""The folder that builds work in, and what others have there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from chonkle_toolchain.build_folder import BUILD_LOCK, claim_build_folder
from chonkle_toolchain.project import Project, write_project
from chonkle_toolchain.sdk import place_sdk, sdk_folder

from chonkle.errors import BuildError


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_or_empty_folder_is_taken_and_known_again(tmp_path: Path) -> None:
    new, empty = tmp_path / "some" / "new", tmp_path / "empty"
    empty.mkdir()
    # Of a build that has only begun.
    (empty / BUILD_LOCK).touch()
    for folder in (new, empty):
        claim_build_folder(folder)
        (folder / "work").mkdir()
        claim_build_folder(folder)


@pytest.mark.parametrize("name", ["work/notes.txt", "CACHEDIR.TAG", "Makefile"])
def test_a_folder_of_others_is_refused_and_left_alone(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("Signature: 8a477f597d28d172789f06886806bc55\n# by another program\n")
    before = contents(tmp_path)
    with pytest.raises(BuildError) as caught:
        claim_build_folder(tmp_path)
    said = str(caught.value)
    there = Path(name).parts[0]
    assert said.startswith(f"{tmp_path}: no build made this folder, and there is `{there}` in it")
    assert said.endswith("hint: name another with `--build-dir`, or remove it")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["sdk", "stage", "work"])
def test_a_link_in_it_is_refused(name: str, tmp_path: Path) -> None:
    folder, own = tmp_path / "build", tmp_path / "own"
    own.mkdir()
    claim_build_folder(folder)
    (folder / name).symlink_to(own)
    with pytest.raises(BuildError, match=f"{name}: a link, and builds delete .*hint: remove the"):
        claim_build_folder(folder)


@pytest.mark.toolchain
def test_the_command_line_keeps_other_files(tmp_path: Path, run_cli: Callable[..., object]) -> None:
    folder = write_project(Project("try-c", "c", "try"), into=tmp_path, sdk=sdk_folder())
    for name in ("work", "sdk", "stage/try-c", "reproduce"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    for command in ("build", "reproduce"):
        said = str(run_cli(command, folder, "--build-dir", tmp_path))
        assert "no build made this folder" in said
    assert contents(tmp_path) == before


def test_what_a_link_in_the_copy_of_the_sdk_leads_to_is_left_alone(tmp_path: Path) -> None:
    own, copy = tmp_path / "own", tmp_path / "sdk"
    for folder in (own, copy):
        place_sdk(sdk_folder(), folder)
    (own / "c" / "chonkle_codec.h").write_text("/* edited */")
    (own / "c" / "more.h").write_text("")
    before = contents(own)
    for path in (copy / "c").iterdir():
        path.unlink()
    (copy / "c").rmdir()
    (copy / "c").symlink_to(own / "c")
    assert place_sdk(sdk_folder(), copy) == ["c"]
    assert contents(own) == before
    header = (sdk_folder() / "c" / "chonkle_codec.h").read_bytes()
    assert (copy / "c" / "chonkle_codec.h").read_bytes() == header
