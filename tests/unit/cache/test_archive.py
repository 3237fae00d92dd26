"""One form of tar: every tar reads what is written, and nothing else is read."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.cache.archive import (
    END,
    archive_size,
    member_header,
    member_padding,
    read_members,
)
from chonkle.cache.record import Doubt

type Files = Sequence[tuple[str, bytes]]

FILES = [("a.toml", b"text"), ("b/empty", b""), ("b/block", bytes(512)), ("c" * 100, b"x" * 513)]


def pack(files: Files) -> bytes:
    parts = [
        member_header(name, len(content)) + content + member_padding(len(content))
        for name, content in files
    ]
    return b"".join([*parts, END])


def unpack(archive: bytes) -> list[tuple[str, bytes]]:
    file = io.BytesIO(archive)
    found = []
    for member in read_members(file):
        content = file.read(member.size)
        assert archive[member.offset : member.offset + member.size] == content
        found.append((member.name, content))
    return found


NAMES = st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1, max_size=100)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=5))
def test_what_is_packed_is_unpacked(files: Files) -> None:
    assert unpack(pack(files)) == list(files)
    assert archive_size(len(content) for _, content in files) == len(pack(files))


def test_contents_need_not_be_read() -> None:
    assert [member.name for member in read_members(io.BytesIO(pack(FILES)))] == [
        name for name, _ in FILES
    ]


def test_python_reads_it(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(FILES)), mode="r:") as archive:
        for member, (name, content) in zip(archive, FILES, strict=True):
            assert (member.name, member.size, member.type) == (name, len(content), b"0")
            assert (member.mode, member.uid, member.gid, member.mtime) == (0o600, 0, 0, 0)
            assert (member.uname, member.gname, member.linkname) == ("", "", "")
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


def test_a_header_of_another_maker_is_the_same() -> None:
    # GNU tar 1.34: tar --format=ustar --mode=0600 --owner=0 --group=0 --numeric-owner --mtime=@0,
    # of a file `a/b` with 1234 bytes.
    wanted = {
        0: b"a/b",
        100: b"0000600\0" + b"0000000\0" * 2 + b"00000002322\0" + b"00000000000\0" + b"007560\0 0",
        257: b"ustar\x0000",
        329: b"0000000\0" * 2,
    }
    header = bytearray(512)
    for offset, field in wanted.items():
        header[offset : offset + len(field)] = field
    assert member_header("a/b", 1234) == header


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_of_a_header_or_of_padding_is_found(bit: int) -> None:
    archive = pack([("a.toml", b"text")])
    for at in (*range(512), *range(516, len(archive))):
        damaged = bytearray(archive)
        damaged[at] ^= 1 << bit
        with pytest.raises(Doubt):
            unpack(bytes(damaged))


def test_an_archive_that_is_cut_anywhere_is_truncated() -> None:
    archive = pack(FILES)
    for length in range(len(archive)):
        with pytest.raises(Doubt, match=r"it is truncated|it does not end"):
            unpack(archive[:length])


@pytest.mark.parametrize("more", [b"\0", bytes(512), bytes(8 * 1024), b"PK\x03\x04"])
def test_nothing_follows_the_end(more: bytes) -> None:
    with pytest.raises(Doubt, match="it does not end where its members end"):
        unpack(pack(FILES) + more)


def with_checksum(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(b"77777777777\0", id="8-gib"),
        pytest.param(b"00000001005\0", id="one-more-than-there-is"),
        pytest.param(b"-0000000001\0", id="negative"),
        pytest.param(b"\x80" + b"\0" * 10 + b"\x04", id="base-256"),
        pytest.param(b"\xff" * 12, id="base-256-negative"),
        pytest.param(b"4\0" + b"\0" * 10, id="short"),
        pytest.param(b"          4\0", id="blanks"),
        pytest.param(b"00000000004 ", id="blank-at-the-end"),
        pytest.param(b"000000000008", id="no-octal"),
        pytest.param(b"\0" * 12, id="nothing"),
    ],
)
def test_a_size_that_is_none_is_refused(size: bytes) -> None:
    header = bytearray(member_header("a.toml", 4))
    header[124:136] = size
    with pytest.raises(Doubt):
        unpack(with_checksum(header) + b"text" + bytes(508) + END)


def made_by_python(change: Callable[[tarfile.TarInfo], object], kind: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        member = tarfile.TarInfo("a.toml")
        member.mode, member.size = 0o600, 4
        change(member)
        archive.addfile(member, io.BytesIO(b"text"))
    return buffer.getvalue()


def of_type(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname = kind, "/etc/passwd"
        if kind != tarfile.REGTYPE:
            member.size = 0

    return change


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(of_type(kind), tarfile.USTAR_FORMAT, id=repr(kind))
        for kind in (
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
        )
    ]
    + [
        pytest.param(lambda member: setattr(member, "mode", 0o4755), 0, id="mode"),
        pytest.param(lambda member: setattr(member, "uid", 1000), 0, id="user"),
        pytest.param(lambda member: setattr(member, "mtime", 1), 0, id="time"),
        pytest.param(lambda member: setattr(member, "uname", "root"), 0, id="user-name"),
        pytest.param(lambda member: setattr(member, "name", "p/" * 80), 0, id="prefix"),
        pytest.param(
            lambda member: setattr(member, "name", "p" * 200), tarfile.GNU_FORMAT, id="gnu"
        ),
        pytest.param(
            lambda member: setattr(member, "pax_headers", {"size": "1"}),
            tarfile.PAX_FORMAT,
            id="pax",
        ),
    ],
)
def test_what_else_tar_can_say_is_refused(
    change: Callable[[tarfile.TarInfo], object], kind: int
) -> None:
    with pytest.raises(Doubt, match="is not a plain file as chonkle writes them"):
        unpack(made_by_python(change, kind))


@pytest.mark.parametrize(
    "other", [b"", b"x", b"x" * 2048, bytes(512), b"\x1f\x8b\x08" + bytes(2048)]
)
def test_what_is_no_archive_is_refused(other: bytes) -> None:
    with pytest.raises(Doubt):
        unpack(other)
