"""The AOT cache: compiled once, loaded only after checks, and never worse than no cache."""

import dataclasses
import errno
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.wasm.trampoline import TrampolineOpener
from chonkle.backends.wasm.trampoline_texts import CORE_TRAMPOLINE
from chonkle.cache.aot import EXPLAIN_MAX, AotCache, Binary
from chonkle.cache.compilers import ArtifactSource, ModuleCompiler, load_native
from chonkle.cache.directory import USE_RESOLUTION_S, CacheDirectory, Entry
from chonkle.cache.entry_files import EntryFiles
from chonkle.cache.layers import CacheConfig, CacheLayers
from chonkle.cache.record import Artifact, Authenticator, InvalidEntry, Record
from chonkle.cache.trimming import DAY_S
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig, target
from chonkle.errors import CacheError
from chonkle.wasmtime_version import wasmtime_version

type OpenCache = Callable[..., AotCache]

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")


def wasm_that_gives(number: int) -> bytes:
    return bytes(
        wasmtime.wat2wasm(f'(module (func (export "run") (result i32) i32.const {number}))')
    )


ONE, TWO = wasm_that_gives(1), wasm_that_gives(2)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_cache(tmp_path: Path, clock: Clock) -> Callable[..., AotCache]:
    def open_(**settings: object) -> AotCache:
        config = settings.pop("config", None)
        assert config is None or isinstance(config, EngineConfig)
        root = settings.pop("root", tmp_path / "cache")
        assert root is None or isinstance(root, Path)
        layers = CacheLayers(CacheConfig(root, **settings), clock=clock)  # type: ignore[arg-type]
        return AotCache(Engine(config), layers)

    return open_


def get(cache: AotCache, wasm: bytes) -> wasmtime.Module:
    return cache.get_or_compile(binary(wasm), ModuleCompiler())


def binary(wasm: bytes) -> Binary:
    return Binary(wasm, Digest.blake3(wasm), codec_id="x", label="test")


def run(cache: AotCache, wasm: bytes) -> object:
    """Get a module from a cache and run it."""
    module = get(cache, wasm)
    wasm_store = wasmtime.Store(cache.engine.wasmtime)
    exported = wasmtime.Instance(wasm_store, module, []).exports(wasm_store)["run"]
    assert isinstance(exported, wasmtime.Func)
    return exported(wasm_store)


def counts(cache: AotCache) -> tuple[int, int, int]:
    """Give how much was loaded, compiled and rejected."""
    return cache.counts.loaded, cache.counts.compiled, cache.counts.rejected


def records(root: Path) -> list[Path]:
    return sorted(root.rglob("*.record"))


def artifacts(root: Path) -> list[Path]:
    return sorted(root.rglob("*.cwasm"))


def test_what_was_compiled_once_is_loaded(open_cache: OpenCache) -> None:
    first, second = open_cache(), open_cache()
    assert run(first, ONE) == 1
    assert run(second, ONE) == 1
    assert counts(first) == (0, 1, 0)
    assert counts(second) == (1, 0, 0)


def test_an_entry_says_what_it_is(open_cache: OpenCache, tmp_path: Path, clock: Clock) -> None:
    cache = open_cache()
    run(cache, ONE)
    (path,) = records(tmp_path)
    record = json.loads(path.read_text().partition("\n")[2])
    (artifact,) = artifacts(tmp_path)
    assert record["artifacts"] == [
        {
            "name": artifact.name,
            "size": artifact.stat().st_size,
            "blake3": Digest.blake3(artifact.read_bytes()).hex,
        }
    ]
    assert record["wasm"] == str(Digest.blake3(ONE))
    assert record["engine"] == cache.engine.fingerprint.hex
    assert (record["codec_id"], record["label"]) == ("x", "test")
    assert (record["wasmtime"], record["target"]) == (wasmtime_version(), target())
    assert record["created"] == clock.now
    assert record["compile_seconds"] >= 0
    assert (tmp_path / "cache" / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d")


def test_the_key_depends_on_kind_content_and_engine(open_cache: OpenCache) -> None:
    cache, other = open_cache(), open_cache(config=EngineConfig(interruptible=True))
    one, two = Digest.blake3(ONE), Digest.blake3(TWO)
    keys = {cache.key("core", one), cache.key("component", one), cache.key("core", two)}
    assert len({*keys, other.key("core", one)}) == 4
    run(cache, ONE)
    get(other, ONE)
    assert counts(other) == (0, 1, 0)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    # Renamed over the old file, as any writer would: this process has the old one mapped.
    other = path.with_suffix(".flipped")
    other.write_bytes(data)
    other.replace(path)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("files", [records, artifacts])
def test_one_flipped_bit_is_a_logged_miss(
    open_cache: OpenCache,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    files: Callable[[Path], list[Path]],
    place: float,
) -> None:
    run(open_cache(), ONE)
    (path,) = files(tmp_path)
    flip(path, round(place * (path.stat().st_size - 1)))
    cache = open_cache()
    with caplog.at_level(logging.WARNING):
        assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 1)
    assert "AOT cache entry of codec test not used: " in caplog.text
    # The entry was made again.
    healed = open_cache()
    assert run(healed, ONE) == 1
    assert counts(healed) == (1, 0, 0)


def test_only_loads_and_never_compiles(open_cache: OpenCache, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="CHONKLE_AOT=only forbids"):
        run(open_cache(mode="only"), ONE)
    assert not (tmp_path / "cache").exists()
    run(open_cache(), ONE)
    cache = open_cache(mode="only")
    assert run(cache, ONE) == 1
    assert counts(cache) == (1, 0, 0)


@posix
def test_a_path_that_is_not_utf8_is_as_good(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        root.mkdir(mode=0o700)
    except OSError:
        pytest.skip("the file system wants UTF-8")
    run(open_cache(root=root), ONE)
    cache = open_cache(root=root)
    assert run(cache, ONE) == 1
    assert counts(cache) == (1, 0, 0)
    assert caplog.text == ""


@pytest.mark.parametrize("native", [wasmtime.Module, wasm_component.Component])
def test_what_may_not_be_mapped_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: type[wasmtime.Module]
) -> None:
    def refuse(*_: object) -> None:
        raise wasmtime.WasmtimeError("unable to make memory executable")

    engine, path = wasmtime.Engine(), tmp_path / "native"
    text = "(module)" if native is wasmtime.Module else "(component)"
    path.write_bytes(native(engine, text).serialize())
    monkeypatch.setattr(native, "deserialize_file", refuse)
    assert isinstance(load_native(native, engine, path), native)
    path.write_bytes(b"nonsense")
    with pytest.raises(wasmtime.WasmtimeError):
        load_native(native, engine, path)


def test_an_unreadable_version_only_costs_the_cache(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    cache = open_cache()
    key = cache.key("core", Digest.blake3(ONE))
    with monkeypatch.context() as changed:
        changed.setattr("chonkle.cache.aot.wasmtime_version", refuse)
        assert run(cache, ONE) == 1
    assert "codecs are compiled in memory and not kept: " in caplog.text
    assert next(iter(cache.layers.readable)).read(key) is None


@posix
def test_a_warning_is_one_printable_line(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(open_cache(system=tmp_path / "a\n\x1b[2J"), ONE)
    assert [message.isprintable() for message in caplog.messages] == [True]


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_may_write_is_not_used(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    root.chmod(mode)
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert "may be written by others" in caplog.text
    assert list(root.iterdir()) == []
    # It warns once, not for every codec.
    caplog.clear()
    assert run(cache, TWO) == 2
    assert caplog.text == ""


def test_a_write_that_fails_costs_only_the_cache(
    open_cache: OpenCache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    real = os.fsync

    def full(handle: int) -> None:
        if os.path.isdir(f"/dev/fd/{handle}"):  # noqa: PTH112 - a directory, not the file
            real(handle)
        raise OSError(28, "No space left on device")

    cache = open_cache()
    run(cache, TWO)
    monkeypatch.setattr(os, "fsync", full)
    assert run(cache, ONE) == 1
    assert "compiled in memory and not kept: No space left on device" in caplog.text
    assert (cache.counts.compiled, cache.counts.kept) == (2, 1)
    assert len(records(tmp_path)) == len(artifacts(tmp_path)) == 1
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_load_notes_its_time(open_cache: OpenCache, tmp_path: Path, clock: Clock) -> None:
    run(open_cache(), ONE)
    (path,) = records(tmp_path)
    os.utime(path, (clock.now, clock.now))
    for seconds, noted in ((10, 0), (2 * USE_RESOLUTION_S, 2 * USE_RESOLUTION_S)):
        before = clock.now
        clock.now += seconds
        run(open_cache(), ONE)
        assert path.stat().st_mtime == before + noted


def only_entry(root: Path) -> tuple[CacheDirectory, Entry]:
    directory = CacheDirectory(root, authenticator=Authenticator())
    (entry,) = directory.entries()
    return directory, entry


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Give every file and folder with what changes when it is written to."""
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in (root, *root.rglob("*"))
    }


def test_the_system_is_read_before_the_users_own_and_never_written(
    open_cache: OpenCache, tmp_path: Path, clock: Clock
) -> None:
    system, own = tmp_path / "system", tmp_path / "own"
    run(open_cache(root=system), ONE)
    run(open_cache(root=own), ONE)
    before = snapshot(system)
    clock.now += 10
    both = open_cache(root=own, system=system)
    assert (run(both, ONE), run(both, TWO)) == (1, 2)
    assert counts(both) == (1, 1, 0)
    assert snapshot(system) == before
    assert len(records(own)) == 2


def test_an_invalid_entry_of_the_system_is_logged_and_the_users_own_is_loaded(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system, own = tmp_path / "system", tmp_path / "own"
    run(open_cache(root=system), ONE)
    run(open_cache(root=own), ONE)
    flip(artifacts(system)[0], 1000)
    cache = open_cache(root=own, system=system)
    assert run(cache, ONE) == 1
    assert counts(cache) == (1, 0, 1)
    assert caplog.text.count("AOT cache entry of codec test not used: ") == 1


def test_a_system_that_is_not_there_is_said_and_done_without(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = tmp_path / "system"
    cache = open_cache(system=system)
    assert (run(cache, ONE), run(cache, TWO)) == (1, 2)
    assert caplog.messages == [f"AOT cache of the system not used: there is no cache in {system}"]
    assert not system.exists()
    assert len(records(tmp_path / "cache")) == 2


@posix
def test_a_system_that_others_may_write_is_not_used(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = tmp_path / "system"
    run(open_cache(root=system), ONE)
    (system / "aot-v3").chmod(0o777)
    cache = open_cache(system=system)
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 0)
    assert "AOT cache of the system not used: " in caplog.text


def test_a_system_alone_is_read_and_nothing_is_kept(open_cache: OpenCache, tmp_path: Path) -> None:
    system = tmp_path / "system"
    run(open_cache(root=system), ONE)
    before = snapshot(tmp_path)
    cache = open_cache(root=None, system=system)
    assert (run(cache, ONE), run(cache, TWO)) == (1, 2)
    assert counts(cache) == (1, 1, 0)
    assert cache.layers.own is None
    assert snapshot(tmp_path) == before


def test_only_with_a_system_alone(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system, own = tmp_path / "system", tmp_path / "own"
    run(open_cache(root=system), ONE)
    for root in (None, own):
        cache = open_cache(root=root, system=system, mode="only")
        assert run(cache, ONE) == 1
        with pytest.raises(CacheError, match="CHONKLE_AOT=only forbids"):
            run(cache, TWO)
        assert counts(cache) == (1, 0, 0)
    # That there is no own one is what was asked for.
    assert not own.exists()
    assert caplog.text == ""


def test_only_mode_reports_invalid_entries(
    open_cache: OpenCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(open_cache(), ONE)
    flip(artifacts(tmp_path)[0], 1000)
    cache = open_cache(mode="only")
    with pytest.raises(CacheError, match="got none"):
        run(cache, ONE)
    assert counts(cache) == (0, 0, 1)
    assert caplog.text.count("does not have the digest of its record") == 1


def test_what_is_missing_is_said_with_advice(open_cache: OpenCache, tmp_path: Path) -> None:
    system, own = tmp_path / "system", tmp_path / "own"
    for root, version in ((system, "47.0.0"), (own, "46.0.2")):
        run(open_cache(root=root), ONE)
        directory, entry = only_entry(root)
        assert entry.record is not None
        # As another version would have written it: elsewhere, since its fingerprint is another.
        key = Digest.blake3(version.encode()).hex
        (path,) = artifacts(root)
        content = path.read_bytes()
        metadata = dataclasses.replace(entry.record.metadata, wasmtime=version, engine="0" * 64)
        directory.write(Record(key, (Artifact.of(key, content),), metadata), [content])
        directory.remove(entry.key)
    with pytest.raises(CacheError) as caught:
        run(open_cache(root=own, system=system, mode="only"), ONE)
    assert str(caught.value) == (
        f"no native code for codec test ({Digest.blake3(ONE)}), and CHONKLE_AOT=only forbids to "
        f"compile it, expected an entry for wasmtime {wasmtime_version()} on {target()} in "
        f"{system} and {own}, got code for wasmtime 46.0.2 on {target()}, wasmtime 47.0.0 on "
        f"{target()}; "
        "hint: `CHONKLE_AOT=auto chonkle cache warm test` makes it"
    )
    # Nor is code of another codec any help.
    with pytest.raises(CacheError, match="got none; hint"):
        run(open_cache(root=own, system=system, mode="only"), TWO)


def test_code_for_other_settings_is_said_to_be_that(open_cache: OpenCache) -> None:
    run(open_cache(), ONE)
    cache = open_cache(mode="only", config=EngineConfig(interruptible=True))
    wasmtime_here = f"wasmtime {wasmtime_version()} on {target()}"
    with pytest.raises(CacheError) as caught:
        get(cache, ONE)
    assert f", got code for {wasmtime_here} with other settings; hint: " in str(caught.value)
    assert "chonkle cache warm --interruptible test`" in str(caught.value)


@pytest.mark.parametrize("settings", [{"root": None}, {}], ids=["none named", "none made"])
def test_only_without_a_cache(
    open_cache: OpenCache, tmp_path: Path, settings: dict[str, Any]
) -> None:
    where = "no cache" if settings else str(tmp_path / "cache")
    with pytest.raises(CacheError) as caught:
        run(open_cache(mode="only", **settings), ONE)
    assert f" in {where}, got none; hint: " in str(caught.value)


def test_only_survives_a_deleted_cache(open_cache: OpenCache, tmp_path: Path) -> None:
    run(open_cache(), ONE)
    cache = open_cache(mode="only")
    run(cache, ONE)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(CacheError, match="got none"):
        run(cache, TWO)


def test_an_optional_miss_is_silent(open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    run(open_cache(), ONE)
    cache = open_cache(mode="only")
    monkeypatch.delattr(CacheDirectory, "entries")
    assert cache.find_or_compile(binary(TWO), ModuleCompiler()) is None
    assert TrampolineOpener(cache, CORE_TRAMPOLINE)() is None


def test_an_explanation_has_a_limit(open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    run(open_cache(), ONE)
    given = 0

    def entries(_: CacheDirectory) -> Iterator[Entry]:
        nonlocal given
        while True:
            given += 1
            yield Entry(EntryFiles("0" * 64, {}, {}, 0.0), None, None)

    monkeypatch.setattr(CacheDirectory, "entries", entries)
    with pytest.raises(CacheError, match=f"got none, as far as {EXPLAIN_MAX} entries tell"):
        run(open_cache(mode="only"), TWO)
    assert given == EXPLAIN_MAX + 1


def test_an_entry_that_is_replaced_while_it_is_read_is_loaded(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run(open_cache(), ONE)
    checked = CacheDirectory.checked_artifacts
    gone = [True, True]

    def missing_at_first(own: CacheDirectory, record: Record) -> list[Path]:
        if gone:
            gone.pop()
            failure = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "code")
            raise InvalidEntry("code: No such file or directory") from failure
        return checked(own, record)

    monkeypatch.setattr(CacheDirectory, "checked_artifacts", missing_at_first)
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (1, 0, 0)
    assert (gone, caplog.messages) == ([], [])


def test_a_deleted_cache_is_made_again(open_cache: OpenCache, tmp_path: Path) -> None:
    cache = open_cache()
    run(cache, ONE)
    shutil.rmtree(tmp_path / "cache")
    assert (run(cache, ONE), run(open_cache(), ONE)) == (1, 1)
    assert counts(cache) == (0, 2, 0)
    assert len(records(tmp_path / "cache")) == 1


def test_a_key_decides_what_is_valid(
    open_cache: OpenCache, caplog: pytest.LogCaptureFixture
) -> None:
    key, other = Authenticator(b"k" * 32), Authenticator(b"o" * 32)
    run(open_cache(), ONE)
    # Each replaces the entry that it rejects.
    for authenticator, reason in (
        (key, "it is not authenticated, and a cache key is set"),
        (other, "the record does not match its authenticator or was made with another key"),
        (Authenticator(), "it is authenticated with a cache key, and none is set here"),
    ):
        caplog.clear()
        cache = open_cache(authenticator=authenticator)
        assert run(cache, ONE) == 1
        assert counts(cache) == (0, 1, 1)
        assert caplog.messages == [f"AOT cache entry of codec test not used: {reason}"]
        again = open_cache(authenticator=authenticator)
        assert run(again, ONE) == 1
        assert counts(again) == (1, 0, 0)


def fail(code: int, *, where: tuple[object, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_(*_: object, **__: object) -> object:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*where, raise_)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_where_there_are_no_locks_entries_are_kept_all_the_same(
    open_cache: OpenCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    fail(code, where=(CacheDirectory, "lock"), monkeypatch=monkeypatch)
    cache = open_cache()
    assert (run(cache, ONE), run(cache, TWO)) == (1, 2)
    assert len(records(tmp_path)) == 2
    assert [message.rpartition(": ")[0] for message in caplog.messages] == [
        "AOT cache: no locks, so that several processes may compile the same"
    ]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_without_write_access_codecs_are_compiled_in_memory(
    open_cache: OpenCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    run(open_cache(), ONE)
    fail(code, where=(CacheDirectory, "lock"), monkeypatch=monkeypatch)
    cache = open_cache()
    assert (run(cache, ONE), run(cache, TWO), run(cache, wasm_that_gives(3))) == (1, 2, 3)
    assert counts(cache) == (1, 2, 0)
    assert len(records(tmp_path)) == 1
    assert [message.rpartition(": ")[0] for message in caplog.messages] == [
        "AOT cache: codecs are compiled in memory and not kept"
    ]


def test_a_wait_that_takes_too_long_ends_in_compiling(
    open_cache: OpenCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waited = []

    def held(_: object, __: str, *, timeout_s: float) -> AbstractContextManager[None]:
        waited.append(timeout_s)
        raise TimeoutError

    monkeypatch.setattr(CacheDirectory, "lock", held)
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 0)
    assert records(tmp_path) == []
    assert caplog.text == ""
    (timeout_s,) = waited
    assert timeout_s >= 30


def test_a_lock_is_followed_by_a_look(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, lock = open_cache(), CacheDirectory.lock

    def lock_after_another(
        directory: CacheDirectory, key: str, *, timeout_s: float
    ) -> AbstractContextManager[None]:
        monkeypatch.setattr(CacheDirectory, "lock", lock)
        run(open_cache(), ONE)
        return lock(directory, key, timeout_s=timeout_s)

    monkeypatch.setattr(CacheDirectory, "lock", lock_after_another)
    assert run(cache, ONE) == 1
    assert counts(cache) == (1, 0, 0)


def test_compiling_trims_once_a_day(open_cache: OpenCache, tmp_path: Path, clock: Clock) -> None:
    run(open_cache(), ONE)
    ((trimmed),) = tmp_path.rglob("trimmed")
    assert trimmed.stat().st_mtime == clock.now
    for path in tmp_path.rglob("*.record"):
        os.utime(path, (clock.now, clock.now))
    clock.now += DAY_S - 1
    run(open_cache(size_max_bytes=0), TWO)
    assert len(records(tmp_path)) == 2
    clock.now += 1
    run(open_cache(size_max_bytes=0), ONE)
    # Reading does not trim.
    assert len(records(tmp_path)) == 2
    run(open_cache(size_max_bytes=0), wasm_that_gives(3))
    assert records(tmp_path) == []


def test_trimming_that_fails_is_logged_and_costs_nothing_else(
    open_cache: OpenCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail(errno.EROFS, where=(CacheDirectory, "note_trimmed"), monkeypatch=monkeypatch)
    assert run(open_cache(), ONE) == 1
    assert "AOT cache: not trimmed: Read-only file system" in caplog.text
    assert len(records(tmp_path)) == 1


def test_an_entry_that_is_removed_while_it_is_read_is_a_miss(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(open_cache(), ONE)
    checked = CacheDirectory.checked_artifacts

    def remove_first(directory: CacheDirectory, record: Record) -> list[Path]:
        monkeypatch.setattr(CacheDirectory, "checked_artifacts", checked)
        directory.remove(record.key)
        return checked(directory, record)

    monkeypatch.setattr(CacheDirectory, "checked_artifacts", remove_first)
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 0)


class RefusingCompiler(ModuleCompiler):
    """Loads no file, with the words of wasmtime where files may not be executed."""

    def load(self, engine: wasmtime.Engine, artifacts: Sequence[ArtifactSource]) -> wasmtime.Module:
        (artifact,) = artifacts
        if isinstance(artifact, bytes):
            return super().load(engine, artifacts)
        raise wasmtime.WasmtimeError(
            f"failed to load code for: {artifact}\n\nCaused by:\n"
            "    0: failed to make memory executable\n"
            "    1: Permission denied (os error 13)\n"
        )


def test_a_refusal_of_wasmtime_is_one_line(
    open_cache: OpenCache, caplog: pytest.LogCaptureFixture
) -> None:
    run(open_cache(), ONE)
    open_cache().get_or_compile(binary(ONE), RefusingCompiler())
    (message,) = caplog.messages
    assert message.endswith("not used: wasmtime refuses it: Permission denied (os error 13)")
