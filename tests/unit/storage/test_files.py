import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from chonkle.storage.files import (
    PUBLIC_FILE,
    UntrustedError,
    check_ownership,
    check_status,
    locked,
    make_private_directory,
    open_trusted,
    read_file,
    read_secret,
    replace_file,
    replace_file_in_parts,
    write_atomic,
)

posix = pytest.mark.skipif(os.name == "nt", reason="file modes and links are POSIX")
ME = [] if os.name == "nt" else [os.getuid()]


def problem(check: Callable[..., None], *arguments: object, owners: Sequence[int]) -> str | None:
    """Give why a check fails, or None where it passes."""
    try:
        check(*arguments, owners=owners)
    except UntrustedError as reason:
        return str(reason)
    return None


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("data", [b"", b"abc", b"\r\n\0" * 100_000])
def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    write_atomic(path, data)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_private_unless_asked_otherwise(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_atomic(tmp_path / "private", b"")
        write_atomic(tmp_path / "public", b"", mode=PUBLIC_FILE)
    finally:
        os.umask(old)
    assert mode_of(tmp_path / "private") == 0o600
    assert mode_of(tmp_path / "public") == 0o644


def test_a_file_is_replaced_and_never_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_long_name_leaves_room_for_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(("owner", "broken"), [(os, "fsync"), (Path, "replace")])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, broken: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(owner, broken, full)
    with pytest.raises(OSError, match="no space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "no" / "a", b"")


def test_a_lock_is_held_by_one_and_freed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = pytest.raises(TimeoutError, match="is locked by another")
    with locked(path, timeout_s=1), held, locked(path, timeout_s=0):
        pass
    with pytest.raises(KeyError), locked(path, timeout_s=0):
        raise KeyError
    with locked(path, timeout_s=0):
        pass


def test_a_private_directory_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    make_private_directory(path)
    make_private_directory(path)
    assert mode_of(path) == 0o700
    assert problem(check_ownership, path, owners=ME) is None


@posix
def test_parents_that_are_missing_are_made_private_too(tmp_path: Path) -> None:
    # As on systems where every user has a group: a parent that it may write to is not trusted.
    old = os.umask(0o002)
    try:
        make_private_directory(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(old)
    assert {mode_of(tmp_path / each) for each in ("a", "a/b", "a/b/c")} == {0o700}
    assert problem(check_ownership, tmp_path / "a" / "b" / "c", owners=ME) is None


def test_a_private_directory_cannot_be_made_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "a"):
        with pytest.raises(OSError, match="file"):
            make_private_directory(path)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_write_to_is_not_trusted(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    path.mkdir()
    path.chmod(mode)
    assert f"may be written by others (mode {mode:04o})" in str(
        problem(check_ownership, path, owners=ME)
    )


def test_a_directory_below_one_that_others_write_to_is_not_trusted(tmp_path: Path) -> None:
    parent = tmp_path / "a"
    path = parent / "b"
    path.mkdir(parents=True)
    parent.chmod(0o777)
    assert f"{parent}, above it, may be written by others" == problem(
        check_ownership, path, owners=ME
    )
    # In a sticky directory, users may rename only their own files.
    parent.chmod(0o1777)
    assert problem(check_ownership, path, owners=ME) is None


@posix
def test_a_directory_below_another_users_is_not_trusted_unless_that_is_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "a"
    path = parent / "b"
    path.mkdir(parents=True)
    stat_of, owner = Path.stat, 12345

    def stat_with_owner(of: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat_of(of, follow_symlinks=follow_symlinks)
        return os.stat_result((*found[:4], owner, *found[5:])) if of == parent else found

    monkeypatch.setattr(Path, "stat", stat_with_owner)
    assert problem(check_ownership, path, owners=ME) == f"{parent}, above it, belongs to user 12345"
    owner = 0
    assert problem(check_ownership, path, owners=ME) is None


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert problem(check_ownership, link, owners=ME) is None
    real.chmod(0o777)
    assert str(real) in str(problem(check_ownership, link, owners=ME))


@posix
@pytest.mark.parametrize("target", ["../real", "{}/real"])
def test_every_link_on_the_way_must_be_an_owners_and_in_a_closed_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    shared, real = tmp_path / "shared", tmp_path / "real"
    shared.mkdir()
    (real / "below").mkdir(parents=True)
    link = shared / "link"
    link.symlink_to(target.format(tmp_path))
    (shared / "other").symlink_to("./link")
    given = [link, link / "below", shared / "other", shared / "other" / ".." / "real"]
    assert [problem(check_ownership, path, owners=ME) for path in given] == [None] * 4
    shared.chmod(0o777)
    for path in given:
        assert (
            problem(check_ownership, path, owners=ME)
            == f"{shared}, above it, may be written by others"
        )
    shared.chmod(0o1777)
    assert [problem(check_ownership, path, owners=ME) for path in given] == [None] * 4
    stat_of = Path.lstat

    def stat_with_owner(of: Path) -> os.stat_result:
        found = stat_of(of)
        return os.stat_result((*found[:4], 12345, *found[5:])) if of == link else found

    # In a sticky directory, any user may make a link to what the victim trusts.
    monkeypatch.setattr(Path, "lstat", stat_with_owner)
    for path in given:
        assert problem(check_ownership, path, owners=ME) == (
            f"{link}, a link on the way to it, belongs to user 12345"
        )


@posix
def test_links_lead_to_the_top_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link, ring = tmp_path / "real", tmp_path / "link", tmp_path / "ring"
    real.mkdir()
    (real / "here").symlink_to(".")
    assert problem(check_ownership, real / "here" / "here", owners=ME) is None
    link.symlink_to("/")
    assert problem(check_ownership, link, owners=[*ME, 0]) is None
    monkeypatch.chdir(real)
    assert problem(check_ownership, Path(), owners=ME) is None
    ring.symlink_to(ring)
    with pytest.raises(OSError, match="symbolic links"):
        problem(check_ownership, ring, owners=ME)


def test_a_file_is_no_directory_and_another_users_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "is not a directory" in str(problem(check_ownership, tmp_path / "file", owners=ME))
    (user,) = ME
    assert f"belongs to user {user}, not to {user + 1}" in str(
        problem(check_ownership, tmp_path, owners=[user + 1])
    )


@posix
def test_a_files_status_is_judged_by_owner_kind_and_mode(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"")
    link.symlink_to(path)
    (user,) = ME
    for mode, reason in (
        (0o600, None),
        (0o644, None),
        (0o620, f"{path} may be written by others (mode 0620)"),
        (0o602, f"{path} may be written by others (mode 0602)"),
    ):
        path.chmod(mode)
        assert problem(check_status, path.lstat(), path, owners=ME) == reason
    assert problem(check_status, link.lstat(), link, owners=ME) == f"{link} is a link"
    assert problem(check_status, tmp_path.lstat(), tmp_path, owners=[user + 1, user + 2]) == (
        f"{tmp_path} belongs to user {user}, not to {user + 1} or {user + 2}"
    )


def test_a_trusted_file_is_opened_and_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(FileNotFoundError):
        open_trusted(path, owners=ME)
    path.write_bytes(b"\r\n\x1aabc")
    with open_trusted(path, owners=ME) as file:
        assert file.read() == b"\r\n\x1aabc"


@posix
def test_what_others_could_have_written_is_not_opened(tmp_path: Path) -> None:
    path, link, pipe = tmp_path / "a", tmp_path / "link", tmp_path / "pipe"
    path.write_bytes(b"")
    link.symlink_to(path)
    # Without a writer, opening it must not wait.
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="link"):
        open_trusted(link, owners=ME)
    for other in (pipe, tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            open_trusted(other, owners=ME)
    with pytest.raises(PermissionError, match="belongs to user"):
        open_trusted(path, owners=[ME[0] + 1])
    path.chmod(0o666)
    with pytest.raises(PermissionError, match=r"may be written by others \(mode 0666\)"):
        open_trusted(path, owners=ME)


@posix
@pytest.mark.parametrize("refused", [0o640, 0o604, 0o610, 0o601, 0o644])
def test_a_secret_is_its_owners_alone(tmp_path: Path, refused: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"12345")
    for mode in (0o600, 0o400):
        path.chmod(mode)
        assert read_secret(path, size_max=5) == b"12345"
    with pytest.raises(OSError, match="more than the allowed 4 bytes"):
        read_secret(path, size_max=4)
    path.chmod(refused)
    with pytest.raises(PermissionError, match=rf"others may read it \(mode {refused:04o}\)"):
        read_secret(path, size_max=5)


@posix
def test_a_users_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_bytes(b"before")
    kept.chmod(0o640)
    link.symlink_to(kept)
    replace_file(link, b"after")
    assert link.is_symlink()
    assert kept.read_bytes() == b"after"
    assert mode_of(kept) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "link"]


def test_parts_that_cannot_be_made_leave_the_old_file_and_no_other(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"a"
        yield b"b"
        if is_broken:
            raise ValueError("no more")

    path = tmp_path / "a"
    is_broken = False
    replace_file_in_parts(path, parts())
    is_broken = True
    with pytest.raises(ValueError, match="no more"):
        replace_file_in_parts(path, parts())
    assert path.read_bytes() == b"ab"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12\r\n\x1a")
    assert read_file(path, size_max=5) == b"12\r\n\x1a"
    with pytest.raises(OSError, match="more than the allowed 4 bytes"):
        read_file(path, size_max=4)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_what_is_no_path_fails_as_any_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"null|encode") as caught:
        read_file(tmp_path / name, size_max=5)
    assert caught.value.strerror


@posix
def test_a_file_replaced_by_a_pipe_is_not_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    status = path.stat()
    path.unlink()
    os.mkfifo(path)
    # A check of the name before opening would see what was there before.
    monkeypatch.setattr(Path, "stat", lambda *_, **__: status)
    monkeypatch.setattr(os, "stat", lambda *_, **__: status)
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 - it asks nothing of the paths
    with pytest.raises(OSError, match="not a regular file"):
        read_file(path, size_max=5)
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


def test_an_idle_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As the log of the kernel in /proc, which is regular to the system.
    class Empty(BytesIO):
        def fileno(self) -> int:
            return 0

        def read(self, *_: object) -> None:  # type: ignore[override]
            return None

    monkeypatch.setattr("chonkle.storage.files.open_regular", lambda _: Empty())
    with pytest.raises(OSError, match="has nothing to read now"):
        read_file(tmp_path, size_max=5)
