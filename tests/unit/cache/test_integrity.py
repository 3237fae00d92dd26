"""Verifying: every byte that changed is found, and what compiling gives can be compared."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from chonkle.cache.aot import AotCache, Binary
from chonkle.cache.compilers import ModuleCompiler
from chonkle.cache.directory import CacheDirectory, Entry
from chonkle.cache.integrity import IncomparableError, Recompiler, check_entry
from chonkle.cache.layers import CacheConfig, CacheLayers
from chonkle.cache.record import Artifact, InvalidEntry, Record
from chonkle.digest import Digest
from chonkle.engine import ENGINE_CONFIGS, Engine, EngineConfig

type Write = Callable[..., Record]
type Compiled = Callable[..., Entry]

ONE, TWO = (
    bytes(wasmtime.wat2wasm(f'(module (func (export "run") (result i32) i32.const {number}))'))
    for number in (1, 2)
)


@pytest.fixture
def compiled(directory: CacheDirectory) -> Callable[..., Entry]:
    """Give a function that has a module compiled, and gives its entry."""

    def compile_(wasm: bytes = ONE, config: EngineConfig | None = None) -> Entry:
        cache = AotCache(Engine(config), CacheLayers(CacheConfig(directory.root)))
        binary = Binary(wasm, Digest.blake3(wasm), codec_id="x", label="x@1.0.0")
        cache.get_or_compile(binary, ModuleCompiler())
        return entry_of(directory, cache.key("core", binary.digest))

    return compile_


@pytest.fixture
def recompiler() -> Recompiler:
    return Recompiler(compilers=[ModuleCompiler()], binaries=[ONE], limits=None)


def entry_of(directory: CacheDirectory, key: str) -> Entry:
    (entry,) = (entry for entry in directory.entries() if entry.key == key)
    return entry


def file_of(directory: CacheDirectory, entry: Entry, suffix: str) -> Path:
    (path,) = (directory.root / "aot-v3" / entry.key[:2]).glob(f"{entry.key}*{suffix}")
    return path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)
    path.chmod(0o600)


def rewritten(directory: CacheDirectory, entry: Entry, **metadata: object) -> Entry:
    """Write the record of an entry anew, with a right tag."""
    assert entry.record is not None
    record = dataclasses.replace(
        entry.record,
        metadata=dataclasses.replace(entry.record.metadata, **metadata),  # type: ignore[arg-type]
    )
    shard = directory.root / "aot-v3" / entry.key[:2]
    contents = [(shard / artifact.name).read_bytes() for artifact in record.artifacts]
    directory.write(record, contents)
    return entry_of(directory, entry.key)


def test_what_was_written_is_fine(
    directory: CacheDirectory, compiled: Compiled, recompiler: Recompiler
) -> None:
    for config in ENGINE_CONFIGS:
        entry = compiled(config=config)
        check_entry(directory, entry)
        assert entry.record is not None
        recompiler.compare(entry.record)


@pytest.mark.parametrize(
    ("suffix", "reason"),
    [(".record", "does not match its authenticator"), (".cwasm", "does not have the digest")],
)
def test_a_changed_file_is_found(
    directory: CacheDirectory, compiled: Compiled, suffix: str, reason: str
) -> None:
    before = compiled()
    flip(file_of(directory, before, suffix))
    with pytest.raises(InvalidEntry, match=reason):
        check_entry(directory, entry_of(directory, before.key))


def test_an_unfinished_or_removed_entry_is_fine(
    directory: CacheDirectory, compiled: Compiled
) -> None:
    entry = compiled()
    file_of(directory, entry, ".record").unlink()
    check_entry(directory, entry_of(directory, entry.key))
    directory.remove(entry.key)
    check_entry(directory, entry)


def test_a_missing_artifact_is_found(directory: CacheDirectory, compiled: Compiled) -> None:
    entry = compiled()
    file_of(directory, entry, ".cwasm").unlink()
    with pytest.raises(InvalidEntry, match="No such file"):
        check_entry(directory, entry)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"wasm": str(Digest.blake3(TWO))}, "it has the key of another entry"),
        ({"kind": "component"}, "it has the key of another entry"),
        ({"engine": "0" * 64}, "it has the key of another entry"),
        ({"wasm": "blake3:abc"}, "its record: malformed digest"),
        ({"engine": "\x1b[2J"}, "its record: malformed digest"),
    ],
)
def test_a_record_of_something_else_is_found(
    directory: CacheDirectory, compiled: Compiled, metadata: dict[str, object], reason: str
) -> None:
    entry = rewritten(directory, compiled(), **metadata)
    assert entry.problem is None
    with pytest.raises(InvalidEntry, match=reason):
        check_entry(directory, entry)


def test_other_native_code_with_the_right_digests_is_found_by_compiling_again(
    directory: CacheDirectory, compiled: Compiled, recompiler: Recompiler
) -> None:
    entry, other = compiled(ONE), compiled(TWO)
    assert entry.record is not None
    content = file_of(directory, other, ".cwasm").read_bytes()
    file_of(directory, entry, ".cwasm").unlink()
    planted = dataclasses.replace(entry.record, artifacts=(Artifact.of(entry.key, content),))
    directory.write(planted, [content])
    entry = entry_of(directory, entry.key)
    check_entry(directory, entry)
    with pytest.raises(InvalidEntry, match="compiling its binary again gives other bytes"):
        recompiler.compare(planted)


def test_incomparable_says_why(write: Write, compiled: Compiled, recompiler: Recompiler) -> None:
    foreign = write(wasmtime="7")
    with pytest.raises(IncomparableError, match="made by another engine, wasmtime 7"):
        recompiler.compare(foreign)
    other = compiled(TWO).record
    assert other is not None
    with pytest.raises(
        IncomparableError, match=f"its binary is not installed: {other.metadata.wasm}"
    ):
        recompiler.compare(other)
    kind = dataclasses.replace(compiled().record.metadata, kind="x")  # type: ignore[union-attr]
    with pytest.raises(IncomparableError, match="nothing here makes entries of kind `x`"):
        recompiler.compare(dataclasses.replace(other, metadata=kind))


def test_an_invalid_binary_has_no_entry(write: Write, directory: CacheDirectory) -> None:
    broken = ONE[:-3]
    record = write(wasm=str(Digest.blake3(broken)), engine=Engine().fingerprint.hex, into=directory)
    with pytest.raises(InvalidEntry, match="its binary cannot be compiled"):
        Recompiler(compilers=[ModuleCompiler()], binaries=[broken], limits=None).compare(record)
