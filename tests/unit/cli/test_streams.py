import os
import sys
from pathlib import Path

import pytest

from chonkle.cli.streams import is_standard_output, written_twice

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes links")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "here").write_bytes(b"")
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "hard").hardlink_to(tmp_path / "here")
    for name, target in (
        ("link", "here"),
        ("dangling", "sub/new"),
        ("far", "dangling"),
        ("around", "sub"),
    ):
        (tmp_path / name).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("here", "here"),
        ("here", "./here"),
        ("here", "sub/../here"),
        ("here", "{folder}/here"),
        ("here", "link"),
        ("here", "hard"),
        ("new", "new"),
        ("new", "sub/../new"),
        ("sub/new", "around/new"),
        ("sub/new", "dangling"),
        ("dangling", "far"),
        ("nowhere/new", "./nowhere/new"),
    ],
)
def test_two_names_of_one_file_are_found(folder: Path, one: str, other: str) -> None:
    files = {"a": "elsewhere", "b": one, "c": other.format(folder=folder)}
    assert written_twice(files) == ("b", "c")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("here", "other"),
        ("here", "sub/here"),
        ("here", "new"),
        ("new", "newer"),
        ("new", "sub/new"),
        ("nowhere/new", "nowhere/newer"),
        (os.devnull, os.devnull),
        ("-", "new"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_different_files_and_the_null_device_do_not_collide(one: str, other: str) -> None:
    assert written_twice({"a": one, "b": other}) is None


def test_the_names_of_standard_output(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "here").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert [name for name in ("-", "here", "link", "other") if is_standard_output(name)] == [
            "-",
            "here",
            "link",
        ]
    with Path(os.devnull).open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert is_standard_output("-")
        assert not is_standard_output(os.devnull)
    monkeypatch.setattr(sys, "stdout", None)
    assert is_standard_output("-")
    assert not is_standard_output("here")
