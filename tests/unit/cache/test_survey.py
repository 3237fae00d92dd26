"""What a look at a cache finds, and that it leaves nothing behind."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chonkle.cache.directory import CacheDirectory
from chonkle.cache.layers import CacheConfig
from chonkle.cache.record import Authenticator, Record
from chonkle.cache.survey import (
    Machine,
    Totals,
    directories,
    require_trust,
    require_writable,
    survey,
)
from chonkle.engine import ENGINE_CONFIGS, Engine, target
from chonkle.errors import CacheError
from chonkle.wasmtime_version import wasmtime_version

type Write = Callable[..., Record]

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")

PLAIN, INTERRUPTIBLE, FOREIGN = "1" * 64, "2" * 64, "3" * 64
HERE = Machine("50.0.0", "linux-x86_64", {PLAIN: "default", INTERRUPTIBLE: "interruptible"})


def test_this_machine_has_an_engine_for_each_configuration() -> None:
    here = Machine.here()
    assert (here.wasmtime, here.target) == (wasmtime_version(), target())
    assert here.engines == {
        Engine(config).fingerprint.hex: "interruptible" if config.interruptible else "default"
        for config in ENGINE_CONFIGS
    }
    assert len(here.engines) == 2


def test_directories_come_in_the_order_in_which_they_are_read() -> None:
    found = directories(CacheConfig(Path("own"), system=Path("system")))
    assert [(each.root, each.is_system) for each in found] == [
        (Path("system"), True),
        (Path("own"), False),
    ]
    assert directories(CacheConfig(None)) == []
    authenticator = Authenticator(b"k" * 32)
    (own,) = directories(CacheConfig(Path("own"), authenticator=authenticator))
    assert own.authenticator is authenticator


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"engine": PLAIN}, ("default", "usable", None)),
        ({"engine": INTERRUPTIBLE}, ("interruptible", "usable", None)),
        ({"engine": FOREIGN}, (None, "stale", "made by another engine")),
        ({"engine": FOREIGN, "wasmtime": "49.0.1"}, (None, "stale", "made by wasmtime 49.0.1")),
        (
            {"engine": FOREIGN, "target": "darwin-arm64"},
            (None, "stale", "made by wasmtime on darwin-arm64"),
        ),
    ],
)
def test_an_entry_is_of_use_to_the_engine_that_made_it(
    directory: CacheDirectory,
    write: Write,
    metadata: dict[str, str],
    expected: tuple[str | None, ...],
) -> None:
    write(**{"wasmtime": HERE.wasmtime, "target": HERE.target, **metadata})
    (found,) = survey(directory, HERE)
    assert (found.engine, found.status, found.reason) == expected


def test_codecs_come_first_then_entries_of_chonkle_then_invalid_ones(
    directory: CacheDirectory, write: Write
) -> None:
    wanted = [
        ("a", "a-c@1.0.0", "core", PLAIN),
        ("a", "a-c@1.0.0", "core", INTERRUPTIBLE),
        ("a", "a-c@1.0.0", "core", FOREIGN),
        ("a", "a-c@1.0.0", "component", PLAIN),
        ("a", "a-c@1.0.0", "component-whole", PLAIN),
        ("a", "a-c@1.9.0", "core", PLAIN),
        ("a", "a-c@1.10.0", "core", PLAIN),
        ("a", "a-rs", "core", PLAIN),
        ("b", "a-c@1.0.0", "core", PLAIN),
        ("", "a", "core", PLAIN),
    ]
    for codec_id, label, kind, engine in reversed(wanted):
        name = f"{codec_id} {label} {kind} {engine}"
        write(name, codec_id=codec_id, label=label, kind=kind, engine=engine)
    bad = write("bad")
    (directory.root / "aot-v3" / bad.key[:2] / f"{bad.key}.record").write_bytes(b"")
    *found, last = survey(directory, HERE)
    abouts = [each.entry.record.metadata for each in found if each.entry.record]
    assert [(each.codec_id, each.label, each.kind, each.engine) for each in abouts] == wanted
    assert last.status == "invalid"


def test_totals_add_up(directory: CacheDirectory, write: Write) -> None:
    write("usable", (b"12345",), engine=PLAIN)
    write("stale", engine=FOREIGN)
    invalid = write("invalid")
    unfinished = write("unfinished")
    shards = {
        record.key: directory.root / "aot-v3" / record.key[:2] for record in (invalid, unfinished)
    }
    (shards[invalid.key] / f"{invalid.key}.record").write_bytes(b"")
    (shards[unfinished.key] / f"{unfinished.key}.record").unlink()
    size_bytes = sum(entry.files.size_bytes for entry in directory.entries())
    assert Totals.of(survey(directory, HERE)) == Totals(
        entries=3, stale=1, invalid=1, size_bytes=size_bytes
    )
    assert Totals.of([]) == Totals(0, 0, 0, 0)


@posix
@pytest.mark.parametrize("is_system", [True, False])
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path, *, is_system: bool) -> None:
    tmp_path.chmod(0o777)
    name = "the system's cache" if is_system else "your own cache"
    message = f"{name} is not used: .* may be written by others .*; hint: only its owner"
    with pytest.raises(CacheError, match=message):
        require_trust(CacheDirectory(tmp_path, authenticator=Authenticator(), is_system=is_system))


def test_a_directory_that_cannot_be_looked_at_is_refused(
    directory: CacheDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: CacheDirectory) -> None:
        raise PermissionError(13, "Permission denied", "cache")

    monkeypatch.setattr(CacheDirectory, "check_trust", denied)
    with pytest.raises(CacheError) as caught:
        require_trust(directory)
    assert str(caught.value) == "cannot read your own cache: cache: Permission denied"


def test_a_cache_to_be_written_is_made(tmp_path: Path) -> None:
    root = tmp_path / "new" / "cache"
    for _ in range(2):
        require_writable(CacheConfig(root))
        assert CacheDirectory(root, authenticator=Authenticator()).exists()


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tag = tmp_path / "cache" / "CACHEDIR.TAG"
    # Too deep to be anything of ours.
    (tag / "of" / "another").mkdir(parents=True)
    (tmp_path / "cache").chmod(0o700)
    with pytest.raises(CacheError, match=f"cannot write to your own cache: {tag}/of: "):
        require_writable(CacheConfig(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "; hint: set CHONKLE_CACHE_DIR to a directory of your own"),
        (errno.EROFS, "; hint: set CHONKLE_CACHE_DIR to a directory of your own"),
        (errno.ENOSPC, "; hint: make room, or set CHONKLE_CACHE_DIR to a directory that has some"),
        (errno.EDQUOT, "; hint: make room, or set CHONKLE_CACHE_DIR to a directory that has some"),
        (errno.EIO, ""),
    ],
)
def test_advice_fits_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fail(_: CacheDirectory) -> None:
        raise OSError(number, os.strerror(number), "cache")

    monkeypatch.setattr(CacheDirectory, "create", fail)
    with pytest.raises(CacheError) as caught:
        require_writable(CacheConfig(tmp_path))
    assert str(caught.value) == (
        f"cannot write to your own cache: cache: {os.strerror(number)}{hint}"
    )
