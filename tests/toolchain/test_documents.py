"""Files that cannot be read or written are named, with the reason."""

import os
from pathlib import Path

import pytest
from chonkle_toolchain import documents
from chonkle_toolchain.documents import read_document, read_toml, write_published

from chonkle.errors import BuildError


def test_toml_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('a = "é"\n[b]\nc = [1, 2]\n', "utf-8")
    assert read_toml(path) == {"a": "é", "b": {"c": [1, 2]}}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no file `.*nowhere`"):
        read_document(tmp_path / "nowhere")
    with pytest.raises(BuildError, match="not a regular file"):
        read_document(tmp_path)
    (tmp_path / "long").write_bytes(b"12345")
    assert read_document(tmp_path / "long", size_max=5) == b"12345"
    with pytest.raises(BuildError, match="long: cannot be read: more than the allowed 4 bytes"):
        read_document(tmp_path / "long", size_max=4)


def test_a_full_disk_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "folder" / "a.wasm"
    write_published(path, b"before")
    monkeypatch.setattr(documents, "write_temporary", refuse)
    with pytest.raises(BuildError) as caught:
        write_published(path, b"after")
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_bytes() == b"before"


def test_what_is_published_may_be_read_by_everybody(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        write_published(tmp_path / "a.wasm", b"")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.wasm").stat().st_mode & 0o444 == 0o444
