"""The AOT cache: compiled once, believed only with proof, and never worse than no cache."""

import logging
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from chonkle.cache.aot import AotCache, CacheConfig, CacheLayers, ModuleCompiler
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig, target, wasmtime_version
from chonkle.errors import CacheError, WasmFormatError

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
    return cache.get_or_compile(
        ModuleCompiler(), wasm, digest=Digest.blake3(wasm), codec_id="x", label="test"
    )


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
    return sorted(root.rglob("*.toml"))


def artifacts(root: Path) -> list[Path]:
    return sorted(root.rglob("*.cwasm"))


def test_what_was_compiled_once_is_loaded(open_cache: Callable[..., AotCache]) -> None:
    first, second = open_cache(), open_cache()
    assert run(first, ONE) == 1
    assert run(second, ONE) == 1
    assert counts(first) == (0, 1, 0)
    assert counts(second) == (1, 0, 0)


def test_an_entry_says_what_it_is(
    open_cache: Callable[..., AotCache], tmp_path: Path, clock: Clock
) -> None:
    cache = open_cache()
    run(cache, ONE)
    (path,) = records(tmp_path)
    record = tomllib.loads(path.read_text())
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


def test_another_configuration_has_another_entry(open_cache: Callable[..., AotCache]) -> None:
    run(open_cache(), ONE)
    other = open_cache(config=EngineConfig(interruptible=True))
    digest = Digest.blake3(ONE)
    assert other.key("core", digest) != open_cache().key("core", digest)
    get(other, ONE)
    assert counts(other) == (0, 1, 0)


def test_the_key_depends_on_kind_and_content(open_cache: Callable[..., AotCache]) -> None:
    cache = open_cache()
    one, two = Digest.blake3(ONE), Digest.blake3(TWO)
    assert len({cache.key("core", one), cache.key("component", one), cache.key("core", two)}) == 3


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
    open_cache: Callable[..., AotCache],
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


@pytest.mark.parametrize("files", [records, artifacts])
@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_truncated_file_is_a_miss(
    open_cache: Callable[..., AotCache],
    tmp_path: Path,
    files: Callable[[Path], list[Path]],
    size: int,
) -> None:
    run(open_cache(), ONE)
    (path,) = files(tmp_path)
    data = path.read_bytes()[:size]
    path.unlink()
    path.write_bytes(data)
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 1)


def test_an_artifact_without_its_record_is_not_used(
    open_cache: Callable[..., AotCache], tmp_path: Path
) -> None:
    run(open_cache(), ONE)
    records(tmp_path)[0].unlink()
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 0)


def test_swapped_records_are_a_miss(open_cache: Callable[..., AotCache], tmp_path: Path) -> None:
    cache = open_cache()
    run(cache, ONE)
    run(cache, TWO)
    one, two = records(tmp_path)
    spare = tmp_path / "spare"
    one.rename(spare)
    two.rename(one)
    spare.rename(two)
    again = open_cache()
    assert (run(again, ONE), run(again, TWO)) == (1, 2)
    assert counts(again) == (0, 2, 2)


def test_swapped_artifacts_are_a_miss(open_cache: Callable[..., AotCache], tmp_path: Path) -> None:
    cache = open_cache()
    run(cache, ONE)
    run(cache, TWO)
    one, two = artifacts(tmp_path)
    data = one.read_bytes(), two.read_bytes()
    for path, content in ((one, data[1]), (two, data[0])):
        path.unlink()
        path.write_bytes(content)
    again = open_cache()
    assert (run(again, ONE), run(again, TWO)) == (1, 2)
    assert counts(again) == (0, 2, 2)


def test_a_record_cannot_name_a_file_elsewhere(
    open_cache: Callable[..., AotCache], tmp_path: Path
) -> None:
    run(open_cache(), ONE)
    (path,) = records(tmp_path)
    (artifact,) = artifacts(tmp_path)
    shutil.copy(artifact, tmp_path / "elsewhere.cwasm")
    _, _, body = path.read_text().partition("\n")
    body = body.replace(artifact.name, "../../../elsewhere.cwasm")
    path.unlink()
    path.write_text(f'seal = "{Digest.blake3(body.encode())}"\n{body}')
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 1)


def test_an_invalid_binary_is_an_error_and_no_entry(
    open_cache: Callable[..., AotCache], tmp_path: Path
) -> None:
    broken = ONE[:-3]
    with pytest.raises(WasmFormatError, match="codec test: not a valid core binary"):
        get(open_cache(), broken)
    assert records(tmp_path) == artifacts(tmp_path) == []


def test_only_loads_and_never_compiles(open_cache: Callable[..., AotCache], tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="CHONKLE_AOT=only forbids"):
        run(open_cache(mode="only"), ONE)
    assert not (tmp_path / "cache").exists()
    run(open_cache(), ONE)
    cache = open_cache(mode="only")
    assert run(cache, ONE) == 1
    assert counts(cache) == (1, 0, 0)


def test_off_keeps_nothing(open_cache: Callable[..., AotCache], tmp_path: Path) -> None:
    cache = open_cache(mode="off")
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 0)
    assert not (tmp_path / "cache").exists()
    assert run(open_cache(root=None), ONE) == 1


@posix
def test_a_new_cache_is_private(open_cache: Callable[..., AotCache], tmp_path: Path) -> None:
    run(open_cache(), ONE)
    for path in (tmp_path / "cache").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.suffix == ".lock"
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_may_write_is_not_used(
    open_cache: Callable[..., AotCache],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    mode: int,
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


@posix
def test_a_planted_entry_in_a_loose_directory_is_never_loaded(
    open_cache: Callable[..., AotCache], tmp_path: Path
) -> None:
    run(open_cache(), ONE)
    (tmp_path / "cache" / "aot-v1").chmod(0o777)
    cache = open_cache()
    assert run(cache, ONE) == 1
    assert counts(cache) == (0, 1, 0)


@posix
def test_a_loose_parent_is_as_bad(open_cache: Callable[..., AotCache], tmp_path: Path) -> None:
    run(open_cache(), ONE)
    tmp_path.chmod(0o777)
    try:
        cache = open_cache()
        assert run(cache, ONE) == 1
        assert counts(cache) == (0, 1, 0)
        # Sticky, as temporary directories are: others cannot rename what is not theirs.
        tmp_path.chmod(0o1777)
        assert counts(cache) == (0, 1, 0)
        sticky = open_cache()
        assert run(sticky, ONE) == 1
        assert counts(sticky) == (1, 0, 0)
    finally:
        tmp_path.chmod(0o700)


def test_a_cache_that_is_a_file_is_not_used(
    open_cache: Callable[..., AotCache], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("not a directory")
    assert run(open_cache(), ONE) == 1
    assert "AOT cache not used" in caplog.text


def test_a_write_that_fails_costs_only_the_cache(
    open_cache: Callable[..., AotCache],
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
    assert "compiled in memory and not kept: [Errno 28] No space left on device" in caplog.text
    assert len(records(tmp_path)) == len(artifacts(tmp_path)) == 1
    assert list(tmp_path.rglob("*.tmp")) == []


def test_every_load_is_counted_with_its_time(
    open_cache: Callable[..., AotCache], tmp_path: Path, clock: Clock
) -> None:
    run(open_cache(), ONE)
    assert list(tmp_path.rglob("*.uses")) == []
    (record,) = records(tmp_path)
    written = record.stat().st_mtime_ns
    for uses in (1, 2, 3):
        clock.now += 10
        run(open_cache(), ONE)
        (path,) = tmp_path.rglob("*.uses")
        assert (path.stat().st_size, path.stat().st_mtime) == (uses, clock.now)
    assert record.stat().st_mtime_ns == written


CHILD = """
import sys, time
from pathlib import Path
from chonkle.digest import Digest
from chonkle.engine import Engine
from chonkle.cache.aot import AotCache, CacheConfig, CacheLayers, ModuleCompiler

root, start = Path(sys.argv[1]), float(sys.argv[2])
wasm = Path(sys.argv[3]).read_bytes()
cache = AotCache(Engine(), CacheLayers(CacheConfig(root)))
while time.time() < start:
    pass
cache.get_or_compile(ModuleCompiler(), wasm, digest=Digest.blake3(wasm), codec_id="x", label="test"
    )
print(cache.counts.compiled, cache.counts.loaded, cache.counts.rejected)
"""


def test_processes_that_start_together_compile_once(tmp_path: Path) -> None:
    import time  # noqa: PLC0415 - real time, for a common start

    wasm = tmp_path / "one.wasm"
    wasm.write_bytes(ONE)
    start = time.time() + 1.5
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "cache"), str(start), str(wasm)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    results = [tuple(map(int, child.communicate(timeout=60)[0].split())) for child in children]
    assert [child.returncode for child in children] == [0] * 8
    assert sum(compiled for compiled, _, _ in results) == 1
    assert sum(loaded for _, loaded, _ in results) == 7
    assert sum(rejected for _, _, rejected in results) == 0
