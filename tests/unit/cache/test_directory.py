"""A directory of entries: what is written is read, and whatever others could have put is not."""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from chonkle.cache.directory import CACHEDIR_TAG, USE_RESOLUTION_S, CacheDirectory
from chonkle.cache.entry_files import EntryFiles
from chonkle.cache.record import Authenticator, InvalidEntry, Record
from chonkle.storage.files import UntrustedError

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes and links are POSIX")

type Write = Callable[..., Record]
type Redirect = Callable[[], CacheDirectory]
type Spoil = Callable[[Path], object]

NOW = 1_800_000_000.0
HOUR_S = 3600.0


def shard_of(directory: CacheDirectory, record: Record) -> Path:
    return directory.root / "aot-v3" / record.key[:2]


def record_path(directory: CacheDirectory, record: Record) -> Path:
    return shard_of(directory, record) / f"{record.key}.record"


def artifact_path(directory: CacheDirectory, record: Record, index: int = 0) -> Path:
    return shard_of(directory, record) / record.artifacts[index].name


def collect(directory: CacheDirectory, *, now: float) -> int:
    return sum(directory.remove_leftovers(listed, now=now) for listed in directory.files())


def files_in(directory: CacheDirectory) -> list[str]:
    return sorted(path.name for path in directory.root.rglob("*") if path.is_file())


def test_a_directory_is_made_when_told_and_not_before(tmp_path: Path) -> None:
    directory = CacheDirectory(tmp_path / "a" / "b", authenticator=Authenticator())
    assert not directory.exists()
    directory.check_trust()
    assert not (tmp_path / "a").exists()
    for _ in range(2):
        directory.create()
        assert directory.exists()
        directory.check_trust()
    assert files_in(directory) == ["CACHEDIR.TAG"]
    assert (directory.root / "CACHEDIR.TAG").read_bytes() == CACHEDIR_TAG


@posix
def test_all_files_are_their_owners_alone(directory: CacheDirectory, write: Write) -> None:
    record = write(contents=(b"one", b"two"))
    with directory.lock(record.key, timeout_s=0):
        pass
    for path in directory.root.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


@posix
def test_nothing_is_written_where_others_write(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    root.chmod(0o770)
    directory = CacheDirectory(root, authenticator=Authenticator())
    with pytest.raises(PermissionError, match="may be written by others"):
        directory.create()
    assert list(root.iterdir()) == []
    with pytest.raises(UntrustedError, match=r"may be written by others \(mode 0770\)"):
        directory.check_trust()


@posix
def test_nothing_is_made_in_a_foreign_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root finds it with another user's environment.
    home = tmp_path / "home"
    home.mkdir()
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        os.chown(home, 12345, -1)
    directory = CacheDirectory(home / ".cache" / "chonkle", authenticator=Authenticator())
    with pytest.raises(PermissionError, match=f"{tmp_path}.*, above it, belongs to user "):
        directory.create()
    assert list(home.iterdir()) == []


@posix
def test_a_directory_that_took_the_place_is_judged_anew(
    tmp_path: Path, directory: CacheDirectory, write: Write
) -> None:
    record = write()
    assert directory.read(record.key) == record
    entries = directory.root / "aot-v3"
    entries.rename(tmp_path / "moved")
    assert directory.read(record.key) is None
    # The shard and the files are ours, the directory above is not.
    shutil.copytree(tmp_path / "moved", entries)
    assert directory.read(record.key) == record
    entries.rename(tmp_path / "again")
    shutil.copytree(tmp_path / "moved", entries)
    directory.root.chmod(0o777)
    with pytest.raises(InvalidEntry, match="may be written by others"):
        directory.read(record.key)
    for use in (
        lambda: directory.lock(record.key, timeout_s=0),
        lambda: directory.remove(record.key),
        lambda: list(directory.entries()),
        lambda: write("other"),
        lambda: directory.note_trimmed(now=NOW),
    ):
        with pytest.raises(PermissionError, match="may be written by others"):
            use()


@pytest.fixture
def linked(tmp_path: Path, directory: CacheDirectory) -> CacheDirectory:
    """Give the directory through a link."""
    (tmp_path / "link").symlink_to(directory.root)
    return CacheDirectory(tmp_path / "link", authenticator=Authenticator())


@pytest.fixture
def redirect(tmp_path: Path) -> Redirect:
    """Give a function that lets the link lead to another directory."""

    def redirect_() -> CacheDirectory:
        other = CacheDirectory(tmp_path / "other", authenticator=Authenticator())
        other.create()
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(other.root)
        return other

    return redirect_


@posix
def test_what_was_read_is_of_the_place_that_is_trusted(
    tmp_path: Path,
    directory: CacheDirectory,
    linked: CacheDirectory,
    write: Write,
    redirect: Redirect,
) -> None:
    record = write()
    assert linked.read(record.key) == record
    redirect()
    entries = directory.root / "aot-v3"
    shutil.copytree(entries, tmp_path / "copy")
    shutil.rmtree(entries)
    (tmp_path / "copy").rename(entries)
    assert linked.read(record.key) is None


@posix
def test_a_root_without_parents_is_judged_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PermissionError, match="/ belongs to user 0, not to 12345"):
        CacheDirectory(Path("/"), authenticator=Authenticator()).create()


@posix
def test_lost_rights_are_restored(directory: CacheDirectory, write: Write) -> None:
    records = [write("one"), write("two")]
    with directory.lock(records[0].key, timeout_s=0):
        pass
    for path in [*directory.root.rglob("*.lock"), *(shard_of(directory, r) for r in records)]:
        path.chmod(0)
    directory.restore_rights()
    assert [directory.read(record.key) for record in records] == records
    assert all(directory.remove(record.key) > 0 for record in records)


@posix
def test_the_root_may_be_a_link_and_what_is_in_it_may_not(
    tmp_path: Path, directory: CacheDirectory, linked: CacheDirectory, write: Write
) -> None:
    record = write()
    linked.check_trust()
    assert linked.read(record.key) == record
    entries = directory.root / "aot-v3"
    entries.symlink_to(entries.rename(tmp_path / "real"))
    with pytest.raises(UntrustedError, match=f"{entries} is a link"):
        directory.check_trust()


@posix
def test_a_link_that_leads_elsewhere_later_is_not_followed(
    directory: CacheDirectory, linked: CacheDirectory, write: Write, redirect: Redirect
) -> None:
    linked.create()
    other = redirect()
    record = write(into=linked)
    assert directory.read(record.key) == record
    assert other.read(record.key) is None


def test_a_relative_root_in_a_directory_that_was_deleted_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    relative = CacheDirectory(Path("relative"), authenticator=Authenticator())
    assert not relative.exists()
    with pytest.raises(OSError, match="No such file"):
        relative.create()


def test_a_relative_root_stays_where_it_was(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = CacheDirectory(Path("relative"), authenticator=Authenticator())
    monkeypatch.chdir(tmp_path / "elsewhere")
    relative.create()
    record = write(into=relative)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (
        CacheDirectory(tmp_path / "relative", authenticator=Authenticator()).read(record.key)
        == record
    )


def make_a_link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


@posix
@pytest.mark.parametrize("make", [Path.mkdir, make_a_link, os.mkfifo])
@pytest.mark.parametrize("name", ["CACHEDIR.TAG", "aot-v3/trimmed"])
def test_other_files_are_replaced(
    directory: CacheDirectory, make: Callable[[Path], object], name: str
) -> None:
    path = directory.root / name
    path.unlink(missing_ok=True)
    make(path)
    assert directory.last_trimmed() is None
    directory.create()
    directory.note_trimmed(now=NOW)
    assert path.is_file()
    assert not path.is_symlink()
    assert directory.last_trimmed() == NOW


@posix
@pytest.mark.parametrize("name", ["CACHEDIR.TAG", "aot-v3/trimmed"])
def test_nothing_is_written_through_a_link(
    tmp_path: Path, directory: CacheDirectory, name: str
) -> None:
    target, link = tmp_path / "target", directory.root / name
    target.write_bytes(b"theirs")
    before = target.stat().st_mtime_ns
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    write = directory.create if name == "CACHEDIR.TAG" else partial(directory.note_trimmed, now=NOW)
    write()
    assert not link.is_symlink()
    assert target.read_bytes() == b"theirs"
    assert target.stat().st_mtime_ns == before


@posix
def test_only_a_directory_of_the_system_may_be_roots(
    directory: CacheDirectory, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = write()
    owner = os.geteuid()
    # The effective user counts, not the real one.
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    own = CacheDirectory(directory.root, authenticator=Authenticator())
    with pytest.raises(UntrustedError, match=f"belongs to user {owner}, not to {owner + 1}"):
        own.check_trust()
    with pytest.raises(InvalidEntry, match=f"belongs to user {owner}"):
        own.read(record.key)
    system = CacheDirectory(directory.root, authenticator=Authenticator(), is_system=True)
    if owner == 0:
        system.check_trust()
        assert system.read(record.key) == record
        assert system.checked_artifacts(record) == [artifact_path(directory, record)]
    else:
        with pytest.raises(UntrustedError, match=f"not to {owner + 1} or 0"):
            system.check_trust()


@pytest.mark.parametrize(
    "authenticator", [Authenticator(), Authenticator(b"k" * 32)], ids=["plain", "keyed"]
)
def test_entries_come_back(tmp_path: Path, write: Write, authenticator: Authenticator) -> None:
    directory = CacheDirectory(tmp_path / "other", authenticator=authenticator)
    directory.create()
    contents = (b"second", b"", b"first" * 100_000)
    record = write(contents=contents, into=directory)
    assert directory.read(record.key) == record
    paths = directory.checked_artifacts(record)
    assert tuple(path.read_bytes() for path in paths) == contents
    assert files_in(directory) == sorted(
        ["CACHEDIR.TAG", f"{record.key}.record", *(each.name for each in record.artifacts)]
    )
    with pytest.raises(InvalidEntry):
        CacheDirectory(directory.root, authenticator=Authenticator(b"o" * 32)).read(record.key)


def test_a_missing_entry_is_none(tmp_path: Path, directory: CacheDirectory, write: Write) -> None:
    record = write()
    assert directory.read(record.key[:2] + "0" * 62) is None
    assert directory.read("0" * 64) is None
    assert CacheDirectory(tmp_path / "none", authenticator=Authenticator()).read(record.key) is None


def link_away(path: Path) -> None:
    path.symlink_to(path.rename(path.with_suffix(".real")))


def make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@posix
@pytest.mark.parametrize(
    ("path_of", "spoil", "reason"),
    [
        (shard_of, lambda path: path.chmod(0o770), "may be written by others"),
        (shard_of, link_away, "is a link"),
        (record_path, lambda path: path.chmod(0o620), "may be written by others"),
        (record_path, link_away, "link"),
        (record_path, make_a_pipe, "not a regular file"),
        (record_path, make_a_folder, "not a regular file"),
        (record_path, lambda path: path.write_bytes(b"#" * (1 << 20)), "the record is longer than"),
    ],
)
def test_a_record_that_other_users_could_have_written_is_invalid(
    directory: CacheDirectory,
    write: Write,
    path_of: Callable[[CacheDirectory, Record], Path],
    spoil: Spoil,
    reason: str,
) -> None:
    record = write()
    spoil(path_of(directory, record))
    with pytest.raises(InvalidEntry, match=reason):
        directory.read(record.key)


@posix
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "No such file"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "has 5 bytes, not 4"),
        (lambda path: path.write_bytes(b"xxxx"), "does not have the digest of its record"),
        (lambda path: path.chmod(0o602), "may be written by others"),
        (link_away, "link"),
        (make_a_pipe, "not a regular file"),
    ],
)
@pytest.mark.parametrize("index", [0, 1])
def test_an_artifact_that_is_not_what_was_written_is_invalid(
    directory: CacheDirectory, write: Write, spoil: Spoil, reason: str, index: int
) -> None:
    record = write(contents=(b"code", b"more"))
    spoil(artifact_path(directory, record, index))
    assert directory.read(record.key) == record
    with pytest.raises(InvalidEntry, match=reason):
        directory.checked_artifacts(record)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that cannot be read")
def test_an_entry_on_a_failing_disk_is_invalid(
    directory: CacheDirectory, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = write(contents=(b"",))

    def open_unreadable(_: Path, *, owners: Sequence[int]) -> BinaryIO:
        assert owners
        # There is nothing at address 0 of this process: reading gives what a bad block does.
        return Path("/proc/self/mem").open("rb")

    monkeypatch.setattr("chonkle.cache.directory.open_trusted", open_unreadable)
    with pytest.raises(InvalidEntry, match="Input/output error"):
        directory.checked_artifacts(record)


def test_a_use_is_noted_at_most_hourly(directory: CacheDirectory, write: Write) -> None:
    record = write(written_at=NOW)
    hour = USE_RESOLUTION_S
    for now, noted in (
        (NOW + hour - 1, NOW),
        (NOW + hour, NOW + hour),
        (NOW + hour + 1, NOW + hour),
        (NOW - 10 * hour, NOW - 10 * hour),  # a clock that was ahead
    ):
        directory.note_use(record.key, now=now)
        (entry,) = directory.entries()
        assert entry.files.used_at == noted
        assert directory.read(record.key) == record


def test_a_use_that_cannot_be_noted(directory: CacheDirectory, write: Write) -> None:
    directory.note_use("0" * 64, now=NOW)
    record = write(written_at=NOW)
    directory.note_use(record.key, now=1e300)
    system = CacheDirectory(directory.root, authenticator=Authenticator(), is_system=True)
    system.note_use(record.key, now=NOW + 1e6)
    (entry,) = directory.entries()
    assert entry.files.used_at == NOW


def test_entries_come_in_the_order_of_their_keys_with_what_they_take(
    directory: CacheDirectory, write: Write
) -> None:
    records = {write(name, (b"a" * 10, b"b")).key for name in map(str, range(20))}
    entries = list(directory.entries())
    assert [entry.key for entry in entries] == sorted(records)
    for entry in entries:
        assert entry.record is not None
        assert entry.problem is None
        assert entry.files.size_bytes == 11 + record_path(directory, entry.record).stat().st_size


def test_an_invalid_entry_has_a_reason(directory: CacheDirectory, write: Write) -> None:
    broken, orphan = write("broken"), write("orphan", (b"12345",))
    record_path(directory, broken).write_bytes(b"nonsense")
    record_path(directory, orphan).unlink()
    found = {entry.key: entry for entry in directory.entries()}
    assert found[broken.key].record is None
    assert found[broken.key].problem == "the record does not match its authenticator"
    assert (found[orphan.key].record, found[orphan.key].problem) == (None, None)
    assert found[orphan.key].files.size_bytes == 5


def test_foreign_files_are_left_alone(directory: CacheDirectory, write: Write) -> None:
    record = write()
    shard = shard_of(directory, record)
    entries = directory.root / "aot-v3"
    other = "00" if record.key[:2] != "00" else "01"
    foreign = [
        shard / "notes.txt",
        shard / f"{record.key[:63]}.record",
        shard / f"{other}{record.key[2:]}.record",
        entries / "trimmed",
        entries / "readme",
    ]
    (entries / "zz").mkdir()
    (entries / other).write_bytes(b"a file")
    for path in foreign:
        path.write_bytes(b"x")
    assert [entry.key for entry in directory.entries()] == [record.key]
    assert collect(directory, now=NOW) == 0
    assert directory.remove(record.key) > 0
    assert all(path.exists() for path in foreign)
    assert list(directory.entries()) == []


@posix
def test_entries_behind_a_link_are_not_seen(directory: CacheDirectory, write: Write) -> None:
    record = write()
    shard = shard_of(directory, record)
    link_away(shard)
    assert list(directory.entries()) == []
    assert directory.remove(record.key) == 0
    assert collect(directory, now=NOW) == 0
    assert (shard.with_suffix(".real") / f"{record.key}.record").exists()


def test_a_deleted_directory_is_empty(tmp_path: Path, write: Write) -> None:
    directory = CacheDirectory(tmp_path / "none", authenticator=Authenticator())
    assert list(directory.entries()) == []
    assert collect(directory, now=NOW) == 0
    assert directory.last_trimmed() is None
    record = write(into=directory)
    assert directory.read(record.key) == record


def test_an_entry_is_removed_with_all_of_it(directory: CacheDirectory, write: Write) -> None:
    kept, record = write("kept"), write(contents=(b"1", b"2"))
    (entry,) = (entry for entry in directory.entries() if entry.key == record.key)
    assert directory.remove(record.key) == entry.files.size_bytes > 0
    assert not any(record.key in name for name in files_in(directory))
    assert directory.read(record.key) is None
    assert directory.read(kept.key) == kept
    assert directory.remove(record.key) == 0


def listed_unfinished(directory: CacheDirectory, record: Record) -> EntryFiles:
    """List an entry as it was before its record was written."""
    path = record_path(directory, record)
    text = path.read_bytes()
    path.unlink()
    (listed,) = directory.files()
    path.write_bytes(text)
    path.chmod(0o600)
    return listed


def test_an_entry_finished_later_goes_whole(directory: CacheDirectory, write: Write) -> None:
    record = write()
    listed = listed_unfinished(directory, record)
    assert directory.remove(record.key, files=listed) > 0
    assert directory.read(record.key) is None


def test_an_entry_finished_later_stays(directory: CacheDirectory, write: Write) -> None:
    record = write()
    left = leave_behind(directory, record, written_at=NOW)
    listed = listed_unfinished(directory, record)
    assert directory.remove_leftovers(listed, now=NOW) == 3
    assert not left.exists()
    assert directory.read(record.key) == record
    assert directory.checked_artifacts(record)


def test_the_record_is_written_last_and_removed_first(
    directory: CacheDirectory, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed, written = [], []
    unlink, replace = Path.unlink, Path.replace

    def note_written(path: Path, target: Path) -> Path:
        written.append(target.suffix)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", note_written)
    record = write(contents=(b"1", b"2"))
    assert written == [".cwasm", ".cwasm", ".record"]

    def note(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as Path has it
        removed.append(path.suffix)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", note)
    directory.remove(record.key)
    assert removed[0] == ".record"
    assert sorted(removed[1:]) == [".cwasm", ".cwasm", ".lock"]


@pytest.mark.parametrize(
    ("failure", "is_removed"),
    [
        (TimeoutError(), False),
        *((OSError(code, os.strerror(code)), True) for code in (errno.ENOSPC, errno.EDQUOT)),
        (OSError(errno.ENOLCK, "no locks"), True),
    ],
)
def test_an_entry_is_removed_without_a_lock_unless_another_process_has_it(
    directory: CacheDirectory,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    failure: OSError,
    *,
    is_removed: bool,
) -> None:
    def fail(*_: object, **__: object) -> AbstractContextManager[None]:
        raise failure

    record = write()
    monkeypatch.setattr(CacheDirectory, "lock", fail)
    assert (directory.remove(record.key) > 0) == is_removed
    assert directory.read(record.key) == (None if is_removed else record)


def test_deep_foreign_folders_stay(directory: CacheDirectory, write: Write) -> None:
    record = write()
    path = record_path(directory, record)
    path.unlink()
    (path / "of" / "another").mkdir(parents=True)
    with pytest.raises(OSError, match="of"):
        directory.remove(record.key)
    assert (path / "of" / "another").is_dir()
    (path / "of" / "another").rmdir()
    (path / "of").rmdir()
    (path / "file").write_bytes(b"")
    write()
    assert directory.read(record.key) == record


def leave_behind(directory: CacheDirectory, record: Record, *, written_at: float) -> Path:
    """Write what a writer of an entry leaves that dies."""
    path = shard_of(directory, record) / f".{record.key}.0123456789abcdef.tmp"
    path.write_bytes(b"123")
    os.utime(path, (written_at, written_at))
    return path


def test_what_dead_writers_left_is_collected(directory: CacheDirectory, write: Write) -> None:
    whole, orphan = write("whole"), write("orphan", (b"12345",))
    record_path(directory, orphan).unlink()
    left = [leave_behind(directory, record, written_at=NOW) for record in (whole, orphan)]
    assert collect(directory, now=NOW) == 5 + 2 * 3
    assert not any(path.exists() for path in left)
    assert not artifact_path(directory, orphan).exists()
    assert directory.read(whole.key) == whole
    assert directory.checked_artifacts(whole)
    assert collect(directory, now=NOW) == 0


def test_files_of_a_writer_are_kept(directory: CacheDirectory, write: Write) -> None:
    record = write()
    record_path(directory, record).unlink()
    left = leave_behind(directory, record, written_at=NOW)
    with directory.lock(record.key, timeout_s=0):
        assert collect(directory, now=NOW + 100 * HOUR_S) == 0
        assert left.exists()
        assert artifact_path(directory, record).exists()
    assert collect(directory, now=NOW) == 7


def test_where_there_are_no_locks_only_old_leftovers_are_collected(
    directory: CacheDirectory, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object, **__: object) -> AbstractContextManager[None]:
        raise OSError(errno.ENOLCK, "no locks available")

    record = write()
    record_path(directory, record).unlink()
    left = leave_behind(directory, record, written_at=NOW)
    monkeypatch.setattr(CacheDirectory, "lock", no_locks)
    assert collect(directory, now=NOW + HOUR_S / 2) == 0
    assert collect(directory, now=NOW + HOUR_S * 2) == 3
    assert not left.exists()
    # A writer may be about to write its record.
    assert artifact_path(directory, record).exists()


def test_the_time_of_trimming_is_noted(directory: CacheDirectory) -> None:
    assert directory.last_trimmed() is None
    for now in (NOW, NOW + 1, NOW - 1):
        directory.note_trimmed(now=now)
        assert directory.last_trimmed() == now
