"""Archives of bundles: every tar reads them, and only plain files are read."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.cache.archive import END, archive_size, member_parts, read_members
from chonkle.cache.record import InvalidEntry

type Files = Sequence[tuple[str, bytes]]

FILES = [("a.toml", b"text"), ("b/empty", b""), ("b/block", bytes(512)), ("c" * 100, b"x" * 513)]


def pack(files: Files) -> bytes:
    return b"".join(part for file in files for part in member_parts(*file)) + END


def unpack(archive: bytes) -> list[tuple[str, bytes]]:
    file = io.BytesIO(archive)
    found = []
    for member in read_members(file):
        content = file.read(member.size)
        assert archive[member.offset : member.offset + member.size] == content
        found.append((member.name, content))
    return found


NAMES = st.text("abc/._-0", min_size=1, max_size=100)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=5))
def test_packed_files_are_unpacked(files: Files) -> None:
    assert unpack(pack(files)) == list(files)
    assert archive_size(len(content) for _, content in files) == len(pack(files))
    # Contents need not be read.
    members = read_members(io.BytesIO(pack(files)))
    assert [member.name for member in members] == [name for name, _ in files]


def test_python_reads_it(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(FILES)), mode="r:") as archive:
        for member, (name, content) in zip(archive, FILES, strict=True):
            assert (member.name, member.size, member.type) == (name, len(content), b"0")
            assert (member.mode, member.uid, member.gid, member.mtime) == (0o600, 0, 0, 0)
        archive.extractall(tmp_path, filter="data")
    assert all((tmp_path / name).read_bytes() == content for name, content in FILES)


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar")
def test_tar_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(pack(FILES))
    done = subprocess.run(
        ["tar", "xf", "a.tar"],  # noqa: S607 - whichever there is
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert all((tmp_path / name).read_bytes() == content for name, content in FILES)


@pytest.mark.parametrize("bit", range(8))
def test_a_changed_bit_of_a_header_is_found_or_changes_nothing(bit: int) -> None:
    files = [("a.toml", b"text")]
    for at in range(512):
        damaged = bytearray(pack(files))
        damaged[at] ^= 1 << bit
        try:
            assert unpack(bytes(damaged)) == files
            # In the checksum itself: a blank for its leading zero, and what follows its digits.
            assert at in (148, 154, 155)
        except InvalidEntry:
            pass


def test_a_truncated_archive_is_refused() -> None:
    archive = pack(FILES)
    for length in range(len(archive)):
        with pytest.raises(InvalidEntry, match=r"it is truncated|it does not end"):
            unpack(archive[:length])


@pytest.mark.parametrize("more", [b"\0", bytes(512), bytes(8 * 1024), b"PK\x03\x04"])
def test_nothing_follows_the_end(more: bytes) -> None:
    with pytest.raises(InvalidEntry, match="it does not end where its members end"):
        unpack(pack(FILES) + more)


@pytest.mark.parametrize(
    "size",
    [b"77777777777\0", b"00000001005\0", b"-0000000001\0", b"\xff" * 12, b"000000000008"],
    ids=["8-gib", "one-more-than-there-is", "negative", "base-256-negative", "no-octal"],
)
def test_a_size_out_of_range_is_refused(size: bytes) -> None:
    archive = bytearray(pack([("a.toml", bytes(4))]))
    archive[124:136] = size
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    with pytest.raises(InvalidEntry):
        unpack(bytes(archive))


def made_by_python(member: tarfile.TarInfo, kind: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        tarfile.AREGTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME,
    ],
)
def test_only_plain_files_are_read(kind: bytes) -> None:
    member = tarfile.TarInfo("a.toml")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(InvalidEntry, match=r"the member `a\.toml` is not a plain file"):
        unpack(made_by_python(member, tarfile.USTAR_FORMAT))


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_extended_headers_are_refused(kind: int) -> None:
    with pytest.raises(InvalidEntry, match="is not a plain file"):
        unpack(made_by_python(tarfile.TarInfo("p" * 300), kind))


@pytest.mark.parametrize(
    "other", [b"", b"x", b"x" * 2048, bytes(512), b"\x1f\x8b\x08" + bytes(2048)]
)
def test_other_bytes_are_refused(other: bytes) -> None:
    with pytest.raises(InvalidEntry):
        unpack(other)
