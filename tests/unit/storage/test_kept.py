import os
import time
from pathlib import Path

import pytest

from chonkle.digest import Digest
from chonkle.errors import StoreError
from chonkle.storage import kept as kept_module
from chonkle.storage.kept import KeptFiles

DATA = b"any\nbytes\n" * 3


@pytest.fixture
def kept(tmp_path: Path) -> KeptFiles:
    return KeptFiles(tmp_path / "kept")


@pytest.mark.parametrize("digest", [Digest.blake3(DATA), Digest.sha256(DATA)])
def test_a_copy_is_found_by_its_digest_alone(kept: KeptFiles, digest: Digest) -> None:
    assert kept.find(digest, size_max=len(DATA)) is None
    kept.keep(digest, DATA)
    assert kept.find(digest, size_max=len(DATA)) == DATA
    assert kept.find(digest, size_max=len(DATA) - 1) is None
    assert kept.find(digest.of(b"other"), size_max=len(DATA)) is None


@pytest.mark.parametrize("content", [b"", DATA[:-1], DATA + b"x", b"x" * len(DATA)])
def test_copies_are_checked(
    kept: KeptFiles, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    digest = Digest.blake3(DATA)
    kept.keep(digest, content)  # as another process may have written it
    assert kept.find(digest, size_max=1 << 20) is None
    assert "what is kept in the codec store is not used: " in caplog.text
    assert "wrong digest" in caplog.text


def test_an_origin_is_remembered(kept: KeptFiles) -> None:
    digest = Digest.blake3(DATA)
    assert kept.origin(digest) == ""
    kept.keep_origin(digest, "file:///x#blake3=1")
    assert kept.origin(digest) == "file:///x#blake3=1"
    # A line break would add a source that gave nothing; what is too long could not be read again.
    kept.keep_origin(digest, "oci-layout:///a\noci://good/x", "oci-layout:///" + "a" * 9000)
    kept.keep_origin(digest, "file:///y", "file:///z")
    kept.keep_origin(digest, "file:///y")
    assert kept.origins(digest) == ("file:///y", "file:///z", "file:///x#blake3=1")
    (note,) = (kept.root / "origins").iterdir()
    note.write_bytes(b"\xff")
    assert kept.origin(digest) == ""


def test_what_a_source_without_a_pin_gave_is_remembered(kept: KeptFiles) -> None:
    uri, digest = "https://r.example/x.wasm", Digest.blake3(DATA)
    assert kept.latest(uri) is None
    kept.keep_latest(uri, Digest.blake3(b"older"))
    kept.keep_latest(uri, digest)
    assert kept.latest(uri) == digest
    assert kept.latest(f"{uri}?") is None
    (note,) = (kept.root / "names").iterdir()
    for broken in (b"", b"\xff", b"blake3:00", b"x" * 9000):
        note.write_bytes(broken)
        assert kept.latest(uri) is None


def test_the_oldest_copies_are_removed(kept: KeptFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "_FILES_MAX", 3)
    copies = {Digest.blake3(data): data for data in (b"a", b"b", b"c", b"d", b"e")}
    first, second, *others = copies
    for age_days, digest in zip((40, 30, 20), copies, strict=False):
        kept.keep(digest, copies[digest])
        then = time.time() - age_days * 86400
        os.utime(kept.root / "blake3" / digest.hex, (then, then))
    # A use makes a copy new again.
    assert kept.find(first, size_max=1) == b"a"
    for digest in others[1:]:
        kept.keep(digest, copies[digest])
    left = {digest for digest in copies if kept.find(digest, size_max=1) is not None}
    assert left == {first, *others[1:]}
    assert second not in left
    # Copies of another kind are counted by themselves.
    kept.keep(Digest.sha256(b"a"), b"a")
    assert len(list((kept.root / "blake3").iterdir())) == 3


def test_what_cannot_be_written_is_said(kept: KeptFiles) -> None:
    kept.root.write_bytes(b"")
    with pytest.raises(StoreError, match="cannot keep a copy in"):
        kept.keep(Digest.blake3(DATA), DATA)
