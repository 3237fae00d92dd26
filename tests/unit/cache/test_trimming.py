"""Trimming: daily at most, garbage and stale entries first, then the least recently used."""

import os
from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.entry_files import EntryFiles
from chonkle.cache.record import Authenticator, Record
from chonkle.cache.trimming import DAY_S, STALE_GRACE_S, Removed, clear, prune, trim_if_due
from chonkle.digest import Digest

type Write = Callable[..., Record]

NOW = 1_800_000_000.0
WASMTIME = "48.0.0"
PLENTY = 1 << 40
HOUR_S = 3600.0


def key_of(name: str) -> str:
    return Digest.blake3(name.encode()).hex


def remaining(directory: CacheDirectory, names: Iterable[str]) -> set[str]:
    kept = {entry.key for entry in directory.entries()}
    found = {name for name in names if key_of(name) in kept}
    assert len(found) == len(kept)
    return found


def size_of(directory: CacheDirectory, name: str) -> int:
    (size,) = (entry.files.size_bytes for entry in directory.entries() if entry.key == key_of(name))
    return size


def prune_at(
    directory: CacheDirectory,
    now: float,
    *,
    size_max_bytes: int = PLENTY,
    unused_s: float | None = None,
) -> Removed:
    return prune(
        directory, size_max_bytes=size_max_bytes, wasmtime=WASMTIME, now=now, unused_s=unused_s
    )


def test_a_directory_is_tidied_once_a_day(directory: CacheDirectory, write: Write) -> None:
    def trim_at(now: float) -> Removed | None:
        return trim_if_due(directory, size_max_bytes=0, wasmtime=WASMTIME, now=now)

    write("first", written_at=NOW)
    removed = trim_at(NOW)
    assert removed is not None
    assert removed.entries == 1
    assert directory.last_trimmed() == NOW
    write("second", written_at=NOW)
    assert trim_at(NOW) is None
    assert trim_at(NOW + DAY_S - 1) is None
    assert remaining(directory, ["second"]) == {"second"}
    assert trim_at(NOW + DAY_S) is not None
    assert remaining(directory, ["second"]) == set()
    assert directory.last_trimmed() == NOW + DAY_S
    # A clock that was ahead when it was noted would otherwise keep everybody from it for ever.
    assert trim_at(NOW) is not None
    assert directory.last_trimmed() == NOW


def test_it_is_noted_before_it_is_done(
    directory: CacheDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(*_: object, **__: object) -> int:
        raise KilledError

    monkeypatch.setattr(CacheDirectory, "restore_rights", killed)
    with pytest.raises(KilledError):
        trim_if_due(directory, size_max_bytes=0, wasmtime=WASMTIME, now=NOW)
    assert trim_if_due(directory, size_max_bytes=0, wasmtime=WASMTIME, now=NOW + 1) is None


def test_within_the_budget_nothing_goes(directory: CacheDirectory, write: Write) -> None:
    write("one", (b"1" * 1000,), written_at=NOW - 1000 * DAY_S)
    assert prune_at(directory, NOW) == Removed(0, 0)
    budget = size_of(directory, "one")
    assert prune_at(directory, NOW, size_max_bytes=budget) == Removed(0, 0)
    assert prune_at(directory, NOW, size_max_bytes=budget - 1) == Removed(1, budget)


def test_the_least_recently_used_go_first(directory: CacheDirectory, write: Write) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        write(name, (b"1" * 10_000,), written_at=NOW - 10)
    for hours, name in enumerate(["a", "c", "b", "a"], 1):
        directory.note_use(key_of(name), now=NOW + hours * HOUR_S)
    # Now `d` was never used, then come `c`, `b`, `a`.
    for count, kept in ((3, {"a", "b", "c"}), (2, {"a", "b"}), (1, {"a"}), (0, set())):
        budget = sum(size_of(directory, name) for name in kept)
        removed = prune_at(directory, NOW + 5 * HOUR_S, size_max_bytes=budget)
        assert removed.entries == 1
        assert remaining(directory, names) == kept
        assert len(kept) == count


def test_one_too_large_entry_goes_alone(directory: CacheDirectory, write: Write) -> None:
    write("large", (b"1" * 100_000,), written_at=NOW)
    write("small", written_at=NOW - DAY_S)
    prune_at(directory, NOW, size_max_bytes=50_000)
    assert remaining(directory, ["large", "small"]) == {"small"}


def test_code_for_another_wasmtime_has_a_grace(directory: CacheDirectory, write: Write) -> None:
    names = ["current", "stale", "stale, used"]
    write("current", written_at=NOW)
    for name in names[1:]:
        write(name, wasmtime="47.0.0", written_at=NOW)
    directory.note_use(key_of("stale, used"), now=NOW + DAY_S)
    assert prune_at(directory, NOW + STALE_GRACE_S).entries == 0
    assert prune_at(directory, NOW + STALE_GRACE_S + 1).entries == 1
    assert remaining(directory, names) == {"current", "stale, used"}
    prune_at(directory, NOW + STALE_GRACE_S + DAY_S + 1)
    assert remaining(directory, names) == {"current"}


def test_an_invalid_entry_has_the_same_grace(directory: CacheDirectory, write: Write) -> None:
    record = write("broken", written_at=NOW)
    path = directory.root / "aot-v3" / record.key[:2] / f"{record.key}.record"
    path.write_bytes(b"nonsense")
    os.utime(path, (NOW, NOW))
    other = CacheDirectory(directory.root, authenticator=Authenticator(b"k" * 32))
    write("of another key", into=other, written_at=NOW)
    names = ["broken", "of another key"]
    assert prune_at(directory, NOW + STALE_GRACE_S).entries == 0
    assert remaining(directory, names) == set(names)
    assert prune_at(directory, NOW + STALE_GRACE_S + 1).entries == 2
    assert remaining(directory, names) == set()


def test_unused_entries_go_when_asked(directory: CacheDirectory, write: Write) -> None:
    write("old", written_at=NOW)
    write("used", written_at=NOW)
    directory.note_use(key_of("used"), now=NOW + HOUR_S)
    assert prune_at(directory, NOW + HOUR_S, unused_s=HOUR_S).entries == 0
    assert prune_at(directory, NOW + HOUR_S + 1, unused_s=HOUR_S).entries == 1
    assert remaining(directory, ["old", "used"]) == {"used"}


def test_leftovers_go_and_are_counted(directory: CacheDirectory, write: Write) -> None:
    record = write("dead", (b"12345",), written_at=NOW)
    (directory.root / "aot-v3" / record.key[:2] / f"{record.key}.record").unlink()
    write("alive", written_at=NOW)
    assert prune_at(directory, NOW) == Removed(0, 5)
    assert remaining(directory, ["dead", "alive"]) == {"alive"}


def test_an_entry_that_is_being_written_stays_and_is_not_counted(
    directory: CacheDirectory, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("busy", written_at=NOW)
    monkeypatch.setattr(CacheDirectory, "remove", lambda *_, **__: 0)
    assert prune_at(directory, NOW, size_max_bytes=0) == Removed(0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 50)), max_size=6),
    st.integers(0, 12_000),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_stays_fits_and_is_never_older_than_what_went_unless_smaller(
    tmp_path_factory: pytest.TempPathFactory,
    write: Write,
    entries: list[tuple[int, int]],
    budget: int,
) -> None:
    directory = CacheDirectory(
        tmp_path_factory.mktemp("c") / "cache", authenticator=Authenticator()
    )
    directory.create()
    for index, (size, age) in enumerate(entries):
        write(str(index), (b"1" * size,), into=directory, written_at=NOW - age)
    before = {entry.key: entry for entry in directory.entries()}
    removed = prune_at(directory, NOW, size_max_bytes=budget)
    after = {entry.key: entry for entry in directory.entries()}
    gone = [entry for key, entry in before.items() if key not in after]
    assert removed == Removed(len(gone), sum(entry.files.size_bytes for entry in gone))
    assert sum(entry.files.size_bytes for entry in after.values()) <= budget
    for entry in gone:
        # With all that is newer, or as old, it would not have fitted.
        newer = [other for other in after.values() if other.files.used_at >= entry.files.used_at]
        assert sum(other.files.size_bytes for other in newer) + entry.files.size_bytes > budget


def test_clearing_removes_everything(directory: CacheDirectory, write: Write) -> None:
    write("whole", (b"12345",))
    orphan = write("orphan", (b"123",))
    (directory.root / "aot-v3" / orphan.key[:2] / f"{orphan.key}.record").unlink()
    invalid = write("invalid")
    path = directory.root / "aot-v3" / invalid.key[:2] / f"{invalid.key}.record"
    path.write_bytes(path.read_bytes()[1:])
    total = sum(entry.files.size_bytes for entry in directory.entries())
    cleared = clear(directory)
    assert cleared.removed == Removed(3, total)
    assert (cleared.busy, cleared.removed.failures) == (0, ())
    assert list(directory.entries()) == []


def test_clearing_leaves_busy_entries(directory: CacheDirectory, write: Write) -> None:
    write("idle")
    with directory.lock(key_of("new"), timeout_s=0), directory.lock(key_of("busy"), timeout_s=0):
        write("busy")
        cleared = clear(directory)
        assert (cleared.removed.entries, cleared.busy, cleared.removed.failures) == (1, 2, ())
        # Of the other there is only the lock as yet.
        assert remaining(directory, ["new", "busy"]) == {"busy"}
    assert clear(directory).busy == 0
    assert list(directory.entries()) == []


def test_a_time_to_come_is_none(directory: CacheDirectory, write: Write) -> None:
    write("wrong", wasmtime=WASMTIME, written_at=NOW + 1000 * DAY_S)
    write("skewed", wasmtime=WASMTIME, written_at=NOW + 60)
    write("old", wasmtime=WASMTIME, written_at=NOW - 10 * DAY_S)
    prune_at(directory, NOW, size_max_bytes=PLENTY)
    assert remaining(directory, ["wrong", "skewed", "old"]) == {"wrong", "skewed", "old"}
    prune_at(directory, NOW, unused_s=DAY_S * 20)
    assert remaining(directory, ["wrong", "skewed", "old"]) == {"skewed", "old"}


@pytest.mark.parametrize("tidy", [clear, lambda directory: prune_at(directory, NOW)])
def test_no_shard_is_listed_once_for_each_of_its_entries(
    directory: CacheDirectory,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    tidy: Callable[[CacheDirectory], object],
) -> None:
    scanned = []
    scandir = os.scandir

    def note(path: os.PathLike[str]) -> object:
        scanned.append(path)
        return scandir(path)

    for number in range(20):
        write(str(number), written_at=NOW - 100 * DAY_S)
    shards = len([path for path in (directory.root / "aot-v3").iterdir() if path.is_dir()])
    monkeypatch.setattr(os, "scandir", note)
    tidy(directory)
    # Each once, or twice, and the directory that they are in.
    assert shards < len(scanned) <= 2 * shards + 3


def test_an_entry_that_cannot_be_removed_does_not_keep_the_rest(
    directory: CacheDirectory, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["one", "two", "three"]

    def write_all() -> None:
        for name in names:
            write(name, written_at=NOW)

    write_all()
    remove = CacheDirectory.remove

    def denied(own: CacheDirectory, key: str, *, files: EntryFiles | None = None) -> int:
        if key == key_of("two"):
            raise PermissionError(13, "Permission denied", "two.record")
        return remove(own, key, files=files)

    monkeypatch.setattr(CacheDirectory, "remove", denied)
    removed = prune_at(directory, NOW, size_max_bytes=0)
    assert removed.entries == 2
    assert [failure.filename for failure in removed.failures] == ["two.record"]
    assert remaining(directory, names) == {"two"}
    write_all()
    cleared = clear(directory)
    assert (cleared.removed.entries, cleared.busy) == (2, 0)
    assert len(cleared.removed.failures) == 1
    assert remaining(directory, names) == {"two"}
    with pytest.raises(PermissionError):
        trim_if_due(directory, size_max_bytes=0, wasmtime=WASMTIME, now=NOW)
