"""Bundles: what goes in comes out, and what did not go in never does."""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.cache import bundle as bundle_module
from chonkle.cache.aot import entry_key
from chonkle.cache.archive import END, member_parts, read_members
from chonkle.cache.bundle import Imported, bundle_parts, import_bundle, select_entries
from chonkle.cache.directory import CacheDirectory
from chonkle.cache.layers import CacheConfig
from chonkle.cache.record import Artifact, Authenticator, EntryMetadata, Record, write_record
from chonkle.cache.survey import Machine
from chonkle.digest import Digest
from chonkle.errors import CacheError

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")

KEYED, OTHER_KEY, PLAIN = Authenticator(b"k" * 32), Authenticator(b"o" * 32), Authenticator()
ENGINES = [Digest.blake3(name).hex for name in (b"default", b"interruptible", b"other")]
HERE = Machine("50.0.0", "linux-pdp11", {ENGINES[0]: "default", ENGINES[1]: "interruptible"})

type Members = list[tuple[str, bytes]]


def entry(
    name: str, contents: Sequence[bytes], *, engine: str = ENGINES[0], kind: str = "core"
) -> tuple[Record, Sequence[bytes]]:
    """Make an entry that is what its record says, except that its code is none."""
    wasm = Digest.blake3(name.encode())
    key = entry_key(kind, wasm, Digest("blake3", engine))
    metadata = EntryMetadata(
        kind=kind,
        codec_id=name,
        label=f"{name}-c@1.0.0" if name else "of chonkle itself",
        wasm=str(wasm),
        wasm_size=4,
        engine=engine,
        wasmtime=HERE.wasmtime,
        target=HERE.target,
        created=1_800_000_000,
        compile_seconds=0.5,
    )
    return Record(key, tuple(Artifact.of(key, each) for each in contents), metadata), contents


ENTRIES = [
    entry("zlib", [b"inflate" * 200]),
    entry("zlib", [b"inflate, stop" * 200], engine=ENGINES[1]),
    # A component: a plan and two modules that are the same.
    entry("shuffle", [b'{"plan": {}}', b"twice", b"twice"], kind="component"),
    entry("bz2", [b""]),
    entry("", [b"of no codec"]),
]
KEYS = {record.key for record, _ in ENTRIES}


def config_of(root: Path, **settings: object) -> CacheConfig:
    return CacheConfig(root, **settings)  # type: ignore[arg-type]


def root_of(config: CacheConfig) -> Path:
    assert config.root is not None
    return config.root


def fill(config: CacheConfig, entries: Sequence[tuple[Record, Sequence[bytes]]] = ENTRIES) -> None:
    directory = CacheDirectory(root_of(config), authenticator=config.authenticator)
    directory.create()
    for record, contents in entries:
        directory.write(record, contents)


def files_of(config: CacheConfig) -> dict[str, bytes]:
    """Give the files that make up entries."""
    root = root_of(config)
    return {
        str(path.relative_to(root / "aot-v3")): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.suffix in {".record", ".cwasm"}
    }


def exported(config: CacheConfig, *codecs: str, machine: Machine = HERE) -> bytes:
    return b"".join(bundle_parts(select_entries(config, machine=machine, codecs=codecs)))


def members_of(bundle: bytes, folder: Path) -> Members:
    path = folder / "to-read.tar"
    path.write_bytes(bundle)
    with path.open("rb") as file:
        return [(member.name, file.read(member.size)) for member in read_members(file)]


def pack(members: Members) -> bytes:
    return b"".join(part for member in members for part in member_parts(*member)) + END


@pytest.fixture
def source(tmp_path: Path) -> CacheConfig:
    """Give a cache with entries."""
    config = config_of(tmp_path / "source")
    fill(config)
    return config


@pytest.fixture
def bundle(tmp_path: Path, source: CacheConfig) -> Path:
    """Give a bundle of it."""
    path = tmp_path / "bundle.tar"
    path.write_bytes(exported(source))
    return path


@pytest.fixture
def goal(tmp_path: Path) -> CacheConfig:
    """Give a cache that is not there yet."""
    return config_of(tmp_path / "goal")


def take_in(path: Path, config: CacheConfig, machine: Machine = HERE) -> Imported:
    return import_bundle(path, config, machine=machine, allow_unauthenticated=True)


def refusal(path: Path, config: CacheConfig, *, allow: bool = True, machine: Machine = HERE) -> str:
    """Import what must be refused, and demand that nothing was written."""
    with pytest.raises(CacheError) as caught:
        import_bundle(path, config, machine=machine, allow_unauthenticated=allow)
    assert not root_of(config).exists()
    message = str(caught.value)
    assert message.startswith(f"cannot import {path}: ")
    assert message.isprintable()
    return message.removeprefix(f"cannot import {path}: ")


def test_what_goes_in_comes_out(source: CacheConfig, bundle: Path, goal: CacheConfig) -> None:
    assert take_in(bundle, goal) == EVERYTHING
    assert files_of(goal) == files_of(source)
    assert list(root_of(goal).rglob("*.tmp")) == []
    assert exported(goal) == bundle.read_bytes()


def test_a_bundle_is_like_a_directory(source: CacheConfig, bundle: Path, tmp_path: Path) -> None:
    first, *others = members_of(bundle.read_bytes(), tmp_path)
    assert dict(others) == files_of(source)
    assert [name for name, _ in others] == sorted(name for name, _ in others)
    assert first[0] == "bundle.json"
    assert json.loads(first[1]) == {
        "format": 2,
        "wasmtime": "50.0.0",
        "target": "linux-pdp11",
        "engines": HERE.engines,
    }


def test_equal_entries_give_one_bundle(source: CacheConfig, bundle: Path, tmp_path: Path) -> None:
    again = config_of(tmp_path / "again")
    fill(again, ENTRIES[::-1])
    assert exported(again) == exported(source) == bundle.read_bytes()


def test_an_export_takes_valid_and_usable_entries(source: CacheConfig, bundle: Path) -> None:
    damaged, other = entry("damaged", [b"code"]), entry("other", [b"code"], engine=ENGINES[2])
    lost, broken = entry("lost", [b"code"]), entry("broken", [b"code"])
    fill(source, [damaged, lost, broken, other])
    for record, suffix in ((damaged[0], "cwasm"), (broken[0], "record")):
        (path,) = root_of(source).rglob(f"{record.key}*{suffix}")
        path.write_bytes(path.read_bytes().replace(b"o", b"0", 1))
    for path in root_of(source).rglob(f"{lost[0].key}*.cwasm"):
        path.unlink()
    selection = select_entries(source, machine=HERE)
    assert {record.key for record, _ in selection.entries} == KEYS
    assert (selection.stale, selection.invalid) == (1, 3)
    assert exported(source) == bundle.read_bytes()


def test_the_layers_are_exported_together_and_nothing_twice(tmp_path: Path) -> None:
    config = config_of(tmp_path / "own", system=tmp_path / "system")
    fill(config_of(tmp_path / "system"), ENTRIES[:3])
    assert len(select_entries(config, machine=HERE).entries) == 3
    # An entry of the system that was compiled again, with another result.
    record, _ = ENTRIES[0]
    own = Artifact.of(record.key, b"own")
    fill(config, [(dataclasses.replace(record, artifacts=(own,)), [b"own"]), *ENTRIES[3:]])
    selection = select_entries(config, machine=HERE)
    assert {each.key for each, _ in selection.entries} == KEYS
    assert own in {artifact for each, _ in selection.entries for artifact in each.artifacts}
    only = dataclasses.replace(config, mode="only")
    assert exported(only) == exported(config)


@pytest.mark.parametrize(
    ("codecs", "expected"),
    [
        (("zlib",), ["", "zlib", "zlib"]),
        (("bz2", "shuffle"), ["", "bz2", "shuffle"]),
        (("zlib-c@1.0.0",), ["", "zlib", "zlib"]),
        (("shuffle-c",), ["", "shuffle"]),
    ],
)
def test_some_codecs_are_exported_with_what_every_codec_needs(
    source: CacheConfig, codecs: Sequence[str], expected: Sequence[str]
) -> None:
    selection = select_entries(source, machine=HERE, codecs=codecs)
    assert sorted(record.metadata.codec_id for record, _ in selection.entries) == expected


def test_a_bundle_may_be_empty(source: CacheConfig, goal: CacheConfig, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(HERE, engines={ENGINES[2]: "default"})
    keyed = dataclasses.replace(source, authenticator=KEYED)
    for config, machine, stale, invalid in (
        (goal, HERE, 0, 0),
        (source, elsewhere, 5, 0),
        (keyed, HERE, 0, 5),
    ):
        selection = select_entries(config, machine=machine)
        assert (selection.entries, selection.stale, selection.invalid) == ([], stale, invalid)
    path = tmp_path / "empty.tar"
    path.write_bytes(exported(goal))
    assert [name for name, _ in members_of(path.read_bytes(), tmp_path)] == ["bundle.json"]
    assert take_in(path, goal) == Imported(entries=0, size_bytes=0, kept=0)


def test_a_codec_that_is_asked_for_must_be_there(source: CacheConfig, goal: CacheConfig) -> None:
    missing = r"nothing to export of codec `zlib`; hint: `chonkle cache warm`"
    with pytest.raises(CacheError, match=missing):
        select_entries(goal, machine=HERE, codecs=["zlib"])
    with pytest.raises(CacheError, match="nothing to export of codec `zip`"):
        select_entries(source, machine=HERE, codecs=["zlib", "zip"])
    elsewhere = dataclasses.replace(HERE, engines={ENGINES[2]: "default"})
    left_out = "nothing to export of codec `zlib`, got 5 stale and 0 invalid entries"
    with pytest.raises(CacheError, match=left_out):
        select_entries(source, machine=elsewhere, codecs=["zlib"])
    # What chonkle compiles for itself goes with every codec, and is none.
    fill(goal, ENTRIES[-1:])
    with pytest.raises(CacheError, match=missing):
        select_entries(goal, machine=HERE, codecs=["zlib"])
    assert len(select_entries(goal, machine=HERE).entries) == 1


def test_what_is_removed_during_an_export_is_gone_and_not_invalid(
    source: CacheConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = CacheDirectory.checked_artifacts

    def remove_it(directory: CacheDirectory, record: Record) -> list[Path]:
        if record.key == ENTRIES[0][0].key:
            directory.remove(record.key)
        return check(directory, record)

    monkeypatch.setattr(CacheDirectory, "checked_artifacts", remove_it)
    selection = select_entries(source, machine=HERE)
    assert {record.key for record, _ in selection.entries} == KEYS - {ENTRIES[0][0].key}
    assert selection.invalid == 0


def test_an_import_has_limits_and_no_bundle_is_made_beyond_them(
    source: CacheConfig, bundle: Path, goal: CacheConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = bundle.stat().st_size
    fits = dataclasses.replace(source, size_max_bytes=size)
    assert exported(fits) == bundle.read_bytes()
    assert refusal(bundle, dataclasses.replace(goal, size_max_bytes=size - 1)) == (
        f"it is larger than the cache may be, expected at most {size - 1} bytes, got {size} bytes; "
        "hint: set CHONKLE_CACHE_MAX_SIZE"
    )
    with pytest.raises(CacheError) as caught:
        select_entries(dataclasses.replace(source, size_max_bytes=size - 1), machine=HERE)
    assert str(caught.value) == (
        "the bundle would be larger than a cache may be, and no import would take it, expected at "
        f"most {size - 1} bytes, got {size} bytes; hint: name the codecs to export, or set "
        "CHONKLE_CACHE_MAX_SIZE for both"
    )
    monkeypatch.setattr(bundle_module, "_MEMBERS_MAX", 10)
    with pytest.raises(CacheError, match="more members than any import takes, expected at most 10"):
        select_entries(source, machine=HERE)
    assert refusal(bundle, goal) == "it has more than 10 members"
    monkeypatch.setattr(bundle_module, "_MEMBERS_MAX", 11)
    assert exported(source) == bundle.read_bytes()
    assert take_in(bundle, dataclasses.replace(goal, size_max_bytes=size)).entries == 5


def test_modes_that_move_nothing(source: CacheConfig, bundle: Path, goal: CacheConfig) -> None:
    off = dataclasses.replace(source, mode="off")
    with pytest.raises(CacheError, match="CHONKLE_AOT=off: nothing is read"):
        select_entries(off, machine=HERE)
    for mode in ("off", "only"):
        config = dataclasses.replace(goal, mode=mode)
        assert refusal(bundle, config).startswith(f"CHONKLE_AOT={mode}: nothing is written")


@posix
@pytest.mark.parametrize("place", ["root", "system"])
def test_nothing_is_exported_from_where_others_may_write(tmp_path: Path, place: str) -> None:
    config = config_of(tmp_path / "root", system=tmp_path / "system")
    fill(config)
    fill(config_of(tmp_path / "system"))
    (tmp_path / place).chmod(0o777)
    with pytest.raises(CacheError, match=f"{place} may be written by others"):
        select_entries(config, machine=HERE)


def test_an_entry_that_changes_while_it_is_exported_is_an_error(source: CacheConfig) -> None:
    selection = select_entries(source, machine=HERE)
    record, (path, *_) = selection.entries[0]
    path.write_bytes(b"other code")
    with pytest.raises(CacheError, match=f"{path.name} changed while it was exported"):
        list(bundle_parts(selection))
    path.unlink()
    with pytest.raises(CacheError, match=f"{path.name} went away while it was exported"):
        list(bundle_parts(selection))
    assert record.key in path.name


def test_what_is_there_is_kept_and_what_is_damaged_is_replaced(
    bundle: Path, goal: CacheConfig, source: CacheConfig
) -> None:
    fill(goal, ENTRIES[:3])
    record, _ = ENTRIES[0]
    (kept,) = root_of(goal).rglob(f"{ENTRIES[1][0].key}*.cwasm")
    status = kept.stat()
    (damaged,) = root_of(goal).rglob(f"{record.key}*.cwasm")
    damaged.write_bytes(bytes(record.size_bytes))
    assert take_in(bundle, goal) == Imported(
        entries=3, size_bytes=sum(ENTRIES[each][0].size_bytes for each in (0, 3, 4)), kept=2
    )
    assert files_of(goal) == files_of(source)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert take_in(bundle, goal) == Imported(entries=0, size_bytes=0, kept=5)


ALLOWED = "it is not authenticated, and its author could run code as you; hint: "
NO_KEY = "it is authenticated with a cache key, and none is set here"
WRONG_KEY = "the record does not match its authenticator or was made with another key"


@pytest.mark.parametrize(
    ("made_with", "read_with", "allow", "reason"),
    [
        pytest.param(PLAIN, PLAIN, True, None, id="allowed"),
        pytest.param(PLAIN, PLAIN, False, ALLOWED, id="no-key"),
        pytest.param(PLAIN, KEYED, True, None, id="authenticated-anew"),
        pytest.param(PLAIN, KEYED, False, ALLOWED, id="no-key-in-the-bundle"),
        pytest.param(KEYED, KEYED, False, None, id="authenticated"),
        pytest.param(KEYED, KEYED, True, None, id="authenticated-and-allowed"),
        pytest.param(KEYED, PLAIN, False, NO_KEY, id="no-key-here"),
        pytest.param(KEYED, PLAIN, True, NO_KEY, id="no-key-here-and-allowed"),
        pytest.param(KEYED, OTHER_KEY, False, WRONG_KEY, id="other-key"),
        pytest.param(KEYED, OTHER_KEY, True, WRONG_KEY, id="other-key-and-allowed"),
    ],
)
def test_a_bundle_is_authenticated(
    tmp_path: Path,
    *,
    made_with: Authenticator,
    read_with: Authenticator,
    allow: bool,
    reason: str | None,
) -> None:
    source = config_of(tmp_path / "source", authenticator=made_with)
    fill(source)
    path = tmp_path / "bundle.tar"
    path.write_bytes(exported(source))
    goal = config_of(tmp_path / "goal", authenticator=read_with)
    if reason is not None:
        assert reason in refusal(path, goal, allow=allow)
        return
    import_bundle(path, goal, machine=HERE, allow_unauthenticated=allow)
    # All of it is valid with the authenticator that is in use here.
    selection = select_entries(goal, machine=HERE)
    assert {record.key for record, _ in selection.entries} == KEYS
    assert selection.invalid == 0


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(HERE, wasmtime="49.0.2"),
        dataclasses.replace(HERE, target="darwin-vax"),
        dataclasses.replace(HERE, engines={ENGINES[2]: "default", ENGINES[1]: "interruptible"}),
        dataclasses.replace(HERE, engines={ENGINES[0]: "default"}),
    ],
)
def test_a_bundle_for_another_engine_is_refused(
    bundle: Path, goal: CacheConfig, other: Machine
) -> None:
    def named(machine: Machine) -> str:
        engines = ", ".join(each[:8] for each in machine.engines)
        return f"wasmtime {machine.wasmtime} on {machine.target} (engines {engines})"

    message = refusal(bundle, goal, machine=other)
    assert message.startswith(
        f"its native code is for another engine, expected {named(other)}, got {named(HERE)}; hint: "
    )


def with_entry(members: Members, record: Record, contents: Sequence[bytes]) -> Members:
    """Add an entry with a plain digest, in its place."""
    shard = record.key[:2]
    named = zip(record.artifacts, contents, strict=True)
    added = [(f"{shard}/{artifact.name}", content) for artifact, content in named]
    text = write_record(record, PLAIN)
    return [members[0], *sorted([*members[1:], *added, (f"{shard}/{record.key}.record", text)])]


def crafted(**changed: object) -> Callable[[Members], Members]:
    """Add an entry whose record says something else, with a proper authenticator."""

    def change(members: Members) -> Members:
        record, contents = entry("crafted", [b"code"])
        metadata = {name: changed[name] for name in changed if name != "artifacts"}
        record = dataclasses.replace(
            record,
            metadata=dataclasses.replace(record.metadata, **metadata),  # type: ignore[arg-type]
            artifacts=changed.get("artifacts", record.artifacts),  # type: ignore[arg-type]
        )
        return with_entry(members, record, contents)

    return change


def for_another_engine(members: Members) -> Members:
    return with_entry(members, *entry("crafted", [b"code"], engine=ENGINES[2]))


def renamed(name: str) -> Callable[[Members], Members]:
    return lambda members: [members[0], (name, members[1][1]), *members[2:]]


def backwards(members: Members) -> Members:
    first, *others = members
    # Each record still comes after its artifacts.
    return [first, *sorted(others, key=lambda member: (-int(member[0][3:67], 16), member[0]))]


def manifest(text: bytes) -> Callable[[Members], Members]:
    return lambda members: [("bundle.json", text), *members[1:]]


RECORD, CONTENTS = ENTRIES[0]
CODE = f"{RECORD.key[:2]}/{RECORD.artifacts[0].name}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        *(
            pytest.param(renamed(name), "has no place in it", id=f"named-{name[:24]!r}")
            for name in (
                "../../../evil.cwasm",
                "/etc/ld.so.preload",
                f"./{CODE}",
                f"{CODE[:2]}/../{CODE}",
                f"{CODE[:2]}\\{CODE[3:]}",
                f"{CODE}\n",
                f"{CODE[:2]}/.{CODE[3:]}",
                f"00/{CODE[3:]}" if CODE[:2] != "00" else f"11/{CODE[3:]}",
                CODE.upper(),
                f"{CODE}.tmp",
                f"{CODE[:67]}.lock",
                f"{CODE[:67]}.toml",
                "CACHEDIR.TAG",
                "bundle.json",
                "",
            )
        ),
        pytest.param(lambda m: m[1:], "does not begin with its manifest", id="no-manifest"),
        pytest.param(lambda _: [], "does not begin with its manifest", id="nothing"),
        pytest.param(lambda m: [m[1], m[0], *m[2:]], "does not begin", id="manifest-later"),
        pytest.param(manifest(b"\xff"), "its manifest: not UTF-8", id="no-utf-8"),
        pytest.param(manifest(b'{"format": '), "its manifest: malformed JSON", id="no-json"),
        pytest.param(manifest(b"[" * 4000), "its manifest: ", id="deep"),
        pytest.param(manifest(b"5"), "its manifest: not a JSON object", id="no-object"),
        pytest.param(manifest(b"{}"), "it is not of format 2", id="no-format"),
        pytest.param(manifest(b'{"format": 1}'), "it is not of format 2", id="format-1"),
        pytest.param(manifest(b'{"format": 2}'), "for another engine", id="no-fields"),
        pytest.param(
            manifest(b'{"format": 2, "engines": 5, "wasmtime": 31, "target": [1]}'),
            "got wasmtime 31 on [1] (engines 5)",
            id="odd-fields",
        ),
        pytest.param(manifest(b" " * 4097), "is longer than 4096 bytes", id="long-manifest"),
        pytest.param(lambda m: [*m, m[-1]], "is not in its order", id="twice"),
        pytest.param(backwards, "is not in its order", id="entries-backwards"),
        pytest.param(lambda m: [m[0], *m[2:]], "the artifacts are not", id="no-artifact"),
        pytest.param(lambda m: m[:-1], "it has artifacts without a record", id="no-record"),
        pytest.param(
            lambda m: [m[0], (m[1][0], m[1][1] + b"\0"), *m[2:]], "the artifacts", id="longer"
        ),
        pytest.param(
            lambda m: sorted([*m, (f"{CODE[:68]}{'0' * 16}.cwasm", b"")], key=is_later),
            "the artifacts are not those of its record",
            id="one-artifact-more",
        ),
        pytest.param(
            lambda m: [*m[:-1], (m[-1][0], b"#" * 300_000)],
            f"{max(KEYS)}.record` is longer than",
            id="long-record",
        ),
        pytest.param(crafted(kind="other"), "it has the key of another entry", id="kind"),
        pytest.param(crafted(wasm=f"blake3:{'0' * 64}"), "the key of another entry", id="wasm"),
        pytest.param(crafted(wasm="blake3:0"), "malformed digest", id="no-digest"),
        pytest.param(crafted(wasm="\x1b[2J"), "malformed digest", id="terminal"),
        pytest.param(crafted(engine=ENGINES[1]), "the key of another entry", id="engine"),
        pytest.param(crafted(engine=""), "is for an engine that", id="no-engine"),
        pytest.param(for_another_engine, "is for an engine that", id="other-engine"),
        pytest.param(
            crafted(artifacts=(Artifact.of("f" * 64, b"code"),)),
            "the record names a file of another entry",
            id="foreign-artifact",
        ),
    ],
)
def test_a_bundle_that_is_not_what_export_writes_is_refused(
    tmp_path: Path,
    bundle: Path,
    goal: CacheConfig,
    change: Callable[[Members], Members],
    reason: str,
) -> None:
    bundle.write_bytes(pack(change(members_of(bundle.read_bytes(), tmp_path))))
    assert reason in refusal(bundle, goal)


def is_later(member: tuple[str, bytes]) -> tuple[bool, str]:
    return member[0] != "bundle.json", member[0]


def test_two_artifacts_whose_names_are_the_same_need_the_same_content(
    tmp_path: Path, bundle: Path, goal: CacheConfig
) -> None:
    # As with two contents whose digests begin alike.
    record, contents = entry("crafted", [b"code"])
    (artifact,) = record.artifacts
    other = dataclasses.replace(artifact, blake3=artifact.blake3[:16] + "0" * 48)
    record = dataclasses.replace(record, artifacts=(artifact, other))
    members = with_entry(members_of(bundle.read_bytes(), tmp_path), record, [*contents, b""])
    members = [each for each in members if each != (f"{record.key[:2]}/{other.name}", b"")]
    bundle.write_bytes(pack(members))
    assert "the artifacts are not those of its record" in refusal(bundle, goal)


def test_what_is_no_file_is_refused(tmp_path: Path, goal: CacheConfig) -> None:
    assert refusal(tmp_path / "missing.tar", goal) == "No such file or directory"
    (tmp_path / "folder.tar").mkdir()
    assert refusal(tmp_path / "folder.tar", goal) == "not a regular file"
    (tmp_path / "compressed.tar").write_bytes(b"\x1f\x8b\x08" + bytes(4096))
    assert refusal(tmp_path / "compressed.tar", goal) == "it is not a plain tar archive"


@pytest.mark.parametrize("authenticator", [PLAIN, KEYED])
def test_a_record_is_authenticated_before_it_is_parsed(
    bundle: Path, goal: CacheConfig, authenticator: Authenticator
) -> None:
    manifest, *_, (name, _) = members_of(bundle.read_bytes(), bundle.parent)
    body = b"no JSON"
    bundle.write_bytes(pack([manifest, (name, f"{PLAIN.tag(body)}\n".encode() + body)]))
    goal = dataclasses.replace(goal, authenticator=authenticator)
    assert refusal(bundle, goal, allow=False).startswith("it is not authenticated")
    assert "the record: malformed JSON" in refusal(bundle, goal, allow=True)


def test_a_bundle_that_changes_after_it_was_checked_is_refused(
    bundle: Path, goal: CacheConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bundle.read_bytes()
    position = data.index(b"inflate" * 10)

    def change_it(*_: object) -> None:
        CacheDirectory(root_of(goal), authenticator=PLAIN).create()
        with bundle.open("r+b") as file:
            file.seek(position)
            file.write(b"explode")

    monkeypatch.setattr(bundle_module, "require_writable", change_it)
    with pytest.raises(CacheError, match="the artifacts are not those of its record"):
        take_in(bundle, goal)
    assert not any(b"explode" in content for content in files_of(goal).values())
    assert not any(ENTRIES[0][0].key in name for name in files_of(goal))


def test_what_is_written_is_what_was_checked_last(
    tmp_path: Path, goal: CacheConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than a reader keeps in its buffer.
    source, code = config_of(tmp_path / "source"), b"inflate" * 300_000
    fill(source, [entry("zlib", [code])])
    bundle = tmp_path / "bundle.tar"
    bundle.write_bytes(exported(source))
    position = bundle.read_bytes().index(code)
    lock = CacheDirectory.lock

    def change_it(directory: CacheDirectory, key: str, *, timeout_s: float) -> object:
        with bundle.open("r+b") as file:
            file.seek(position)
            file.write(b"explode")
        return lock(directory, key, timeout_s=timeout_s)

    # Between the last look at the entry and its being written.
    monkeypatch.setattr(CacheDirectory, "lock", change_it)
    with pytest.raises(CacheError, match="it changed while it was read"):
        take_in(bundle, goal)
    assert files_of(goal) == {}


def test_an_import_that_fails_half_way_leaves_whole_entries_and_can_be_done_again(
    bundle: Path, goal: CacheConfig, source: CacheConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace
    left = 6

    def full(path: Path, new: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device", str(new))
        return real(path, new)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        message = rf"cannot write to your own cache: {goal.root}.*: No space left .*hint: make room"
        with pytest.raises(CacheError, match=f"cannot import .*: {message}"):
            take_in(bundle, goal)
    whole = select_entries(goal, machine=HERE)
    assert whole.invalid == 0
    assert 0 < len(whole.entries) < 5
    assert take_in(bundle, goal).kept == len(whole.entries)
    assert files_of(goal) == files_of(source)


def test_an_entry_that_another_process_writes_is_skipped(
    bundle: Path, goal: CacheConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "_LOCK_WAIT_S", 0.01)
    fill(goal, [])
    own = CacheDirectory(root_of(goal), authenticator=goal.authenticator)
    with own.lock(ENTRIES[2][0].key, timeout_s=10):
        imported = take_in(bundle, goal)
    assert (imported.entries, imported.busy) == (len(ENTRIES) - 1, 1)
    assert own.read(ENTRIES[2][0].key) is None
    assert take_in(bundle, goal).entries == 1


@pytest.fixture(scope="module")
def whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        config = config_of(Path(folder) / "source")
        fill(config)
        return exported(config)


def try_out(bundle: bytes) -> Imported | None:
    """Import a bundle that may be anything: it is refused, or gives true entries and no others."""
    with tempfile.TemporaryDirectory() as folder:
        path, goal = Path(folder) / "bundle.tar", config_of(Path(folder) / "goal")
        path.write_bytes(bundle)
        imported, message = None, ""
        try:
            imported = take_in(path, goal)
        except CacheError as failure:
            message = str(failure)
        if imported is None:
            assert message.isprintable()
            assert not root_of(goal).exists()
            return None
        wanted = config_of(Path(folder) / "wanted")
        fill(wanted)
        assert files_of(goal).items() <= files_of(wanted).items()
        return imported


EVERYTHING = Imported(
    entries=len(ENTRIES), size_bytes=sum(record.size_bytes for record, _ in ENTRIES), kept=0
)


@given(st.data())
def test_a_changed_bit_is_found_or_changes_nothing(whole: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    # Some bits of headers and of padding mean nothing.
    assert try_out(bytes(damaged)) in (None, EVERYTHING)


@given(st.data())
def test_a_bundle_that_is_cut_or_goes_on_is_refused(whole: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(whole) - 1))
    assert try_out(whole[:length]) is None
    assert try_out(whole + data.draw(st.binary(min_size=1, max_size=1100))) is None
    assert try_out(whole + whole[: length + 1]) is None


@given(st.data())
def test_reordered_blocks_give_nothing_that_was_not_there(
    whole: bytes, data: st.DataObject
) -> None:
    blocks = [whole[at : at + 512] for at in range(0, len(whole), 512)]
    for _ in range(data.draw(st.integers(1, 3))):
        one, other = (data.draw(st.integers(0, len(blocks) - 1)) for _ in range(2))
        if data.draw(st.booleans()):
            blocks[one], blocks[other] = blocks[other], blocks[one]
        else:
            blocks[one:other] = data.draw(st.sampled_from([[], blocks[other : other + 2]]))
    try_out(b"".join(blocks))


HOSTILE_NAMES = st.sampled_from(
    ["../evil", "/evil", "a/../../evil", "bundle.json", "aot-v3/x", "", *(CODE, f"../{CODE}")]
) | st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=100)


@given(st.data())
def test_members_that_were_swapped_renamed_or_lost_give_nothing_that_was_not_there(
    whole: bytes, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        members = members_of(whole, Path(folder))
    for _ in range(data.draw(st.integers(1, 3))):
        one, other = (data.draw(st.integers(0, len(members) - 1)) for _ in range(2))
        name, content = members[one]
        match data.draw(st.sampled_from(["move", "swap", "rename", "lose", "copy"])):
            case "move":
                members.insert(other, members.pop(one))
            case "swap":
                members[one] = name, members[other][1]
                members[other] = members[other][0], content
            case "rename":
                members[one] = data.draw(HOSTILE_NAMES), content
            case "lose" if len(members) > 1:
                del members[one]
            case _:
                members.insert(other, members[one])
    try_out(pack(members))


def test_whole_entries_may_be_left_out(whole: bytes, tmp_path: Path) -> None:
    members = members_of(whole, tmp_path)
    for record, _ in ENTRIES:
        rest = [member for member in members if record.key not in member[0]]
        assert try_out(pack(rest)) == Imported(
            entries=4,
            size_bytes=sum(each.size_bytes for each, _ in ENTRIES) - record.size_bytes,
            kept=0,
        )
