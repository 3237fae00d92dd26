"""`chonkle cache`: the output of each command, as text and as JSON."""

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from chonkle.cache.directory import CacheDirectory, Entry
from chonkle.cache.record import Artifact, Authenticator, EntryMetadata, Record
from chonkle.cli import main
from chonkle.digest import Digest
from chonkle.engine import Engine, EngineConfig, target
from chonkle.wasmtime_version import wasmtime_version
from tests.fixture_types import MakeCodec

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")

type Install = Callable[..., Path]

KEY = "5e" * 32
# Moves the cursor up, clears the screen, turns text round.
HOSTILE = "\x1b[2A\x1b[2J\u202ename\n"
LOOKING = ["info", "list", "verify"]
READING = ["list", "verify", "prune", "clear"]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Run(Protocol):
    def __call__(self, *words: str | Path, code: int = 0) -> Done: ...


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a cache and a store that are not there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CHONKLE_CODEC_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `chonkle cache`, and demand an exit code."""

    def run_(*words: str | Path, code: int = 0) -> Done:
        monkeypatch.setattr(sys, "argv", ["chonkle", "cache", *map(str, words)])
        # click asks how Python itself was started, which here was as pytest.
        monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        done = Done(int(ended.value.code or 0), *capsys.readouterr())
        assert done.code == code, done
        assert (done.err + done.out).replace("\n", "").isprintable()
        return done

    return run_


@pytest.fixture
def install(folder: Path, make_codec: MakeCodec) -> Install:
    """Put a codec into a store."""

    def install_(
        codec_id: str = "echo",
        implementation: str = "echo-a",
        version: str = "1.0.0",
        *,
        store: str = "store",
        wasm: bytes | None = None,
    ) -> Path:
        path = folder / store / codec_id / f"{implementation}@{version}.core.wasm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wasm or make_codec(codec_id, implementation, version))
        return path

    return install_


@pytest.fixture
def own(folder: Path) -> CacheDirectory:
    return CacheDirectory(folder / "cache", authenticator=Authenticator())


def entries(directory: CacheDirectory) -> dict[str, Entry]:
    """Give the entries by what they were compiled from."""
    return {
        entry.record.metadata.label if entry.record else entry.key: entry
        for entry in directory.entries()
    }


def shard(directory: CacheDirectory, key: str) -> Path:
    return directory.root / "aot-v3" / key[:2]


def write(directory: CacheDirectory, *, content: bytes = b"code", **metadata: Any) -> Record:
    """Write an entry as if something had been compiled."""
    usual = {
        "kind": "core",
        "codec_id": "made-up",
        "label": "made-up-c@1.0.0",
        "wasm": str(Digest.blake3(b"wasm")),
        "wasm_size": 4,
        "engine": "0" * 64,
        "wasmtime": wasmtime_version(),
        "target": target(),
        "created": 1_800_000_000,
        "compile_seconds": 0.25,
    }
    metadata = {**usual, **metadata}
    key = Digest.blake3(repr(metadata).encode()).hex
    directory.create()
    record = Record(key, (Artifact.of(key, content),), EntryMetadata(**metadata))
    directory.write(record, [content])
    return record


def pipeline_of(*codec_ids: str) -> dict[str, Any]:
    """Make a pipeline of codecs, one after the other."""
    names = ["input", *(f"step-{number}" for number in range(len(codec_ids)))]
    return {
        "codec_id": "chain",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": f"{names[-1]}.bytes"},
        "steps": {
            name: {"codec_id": codec_id, "inputs": {"bytes": f"{before}.bytes"}}
            for before, name, codec_id in zip(names, names[1:], codec_ids, strict=False)
        },
    }


def spoil(directory: CacheDirectory, key: str) -> None:
    """Flip a bit of an artifact."""
    (path,) = shard(directory, key).glob(f"{key}*.cwasm")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def denied(*_: object, **__: object) -> int:
    """Stand for what removes an entry where that is not allowed."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x.record")


def rows(text: str) -> list[list[str]]:
    """Give the cells of a table, whose columns are two spaces or more apart."""
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()
    ]


def test_compiling_takes_no_more_than_the_options_say(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    late = "codec echo-a@1.0.0: compiling it took too long, expected at most 0.01 s"
    assert f"failed: {late}" in run("warm", "echo", "--compile-timeout", "0.01", code=1).out
    monkeypatch.setenv("CHONKLE_COMPILE_TIMEOUT", "0.01")
    assert f"failed: {late}" in run("warm", "echo", code=1).out
    # The command line wins over the environment.
    assert "compiled in" in run("warm", "echo", "--compile-timeout", "120").out
    done = run("verify", "--recompile")
    assert f"not compared: {late}" in done.out
    # The other one is of a module of our own.
    assert "2 of 2 entries as written\n1 of 2 entries as compiling gives" in done.out


def test_help_names_every_command(run: Run) -> None:
    out = run("--help").out
    for name in ("info", "list", "warm", "verify", "prune", "clear", "export", "import"):
        assert f"\n  {name} " in out


def test_a_cache_that_is_not_there_is_no_failure_and_is_not_made(run: Run, folder: Path) -> None:
    for command in READING:
        done = run(command)
        assert (done.out, done.err) == ("", f"your own cache is not there: {folder / 'cache'}\n")
    assert run("list", "--json").document == run("verify", "--json").document == []
    empty = {"removed": 0, "freed_bytes": 0}
    assert run("prune", "--json").document == {**empty, "left": 0, "left_bytes": 0, "entries": []}
    assert run("clear", "--json").document == {**empty, "left": 0}
    assert ["state", "there is none"] in rows(run("info").out)
    assert run("info", "--json").document["layers"][0]["state"] == "absent"
    assert list(folder.iterdir()) == []


def test_an_empty_cache_is_no_failure(run: Run, own: CacheDirectory) -> None:
    own.create()
    assert run("list").err == "the cache is empty\n"
    assert run("verify").err == "the cache is empty\n"
    assert run("prune").out == "removed 0 entries, 0 B\nleft 0 entries, 0 B\n"
    assert run("clear").out == "removed 0 entries, 0 B\n"
    assert ["entries", "0"] in rows(run("info").out)


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_cache_that_others_may_write_is_refused(
    run: Run, own: CacheDirectory, install: Install, mode: int
) -> None:
    install()
    write(own)
    own.root.chmod(mode)
    before = sorted(own.root.rglob("*"))
    for command in [*READING, "warm"]:
        done = run(command, *(["echo"] if command == "warm" else []), code=1)
        assert done.out == ""
        assert done.err == (
            f"error: your own cache is not used: {own.root} may be written by others "
            f"(mode {mode:04o}); hint: only its owner may have permission to write to it\n"
        )
    assert sorted(own.root.rglob("*")) == before
    state = f"not used: {own.root} may be written by others (mode {mode:04o})"
    assert ["state", state] in rows(run("info").out)
    (layer,) = run("info", "--json").document["layers"]
    assert (layer["state"], layer["entries"]) == ("untrusted", None)
    assert layer["reason"] == f"{own.root} may be written by others (mode {mode:04o})"


@posix
@pytest.mark.parametrize("command", READING)
def test_a_file_in_the_place_of_a_cache_is_not_an_empty_one(
    run: Run, own: CacheDirectory, command: str
) -> None:
    own.root.mkdir(mode=0o700)
    entries = own.root / "aot-v3"
    entries.write_bytes(b"")
    entries.chmod(0o600)
    reason = f"{entries}: Not a directory"
    done = run(command, code=1)
    assert (done.out, done.err) == ("", f"error: cannot read your own cache: {reason}\n")
    assert ["state", f"cannot be read: {reason}"] in rows(run("info").out)
    (layer,) = run("info", "--json").document["layers"]
    assert (layer["state"], layer["reason"], layer["entries"]) == ("unreadable", reason, None)


def test_messages_name_the_layer(
    run: Run, folder: Path, own: CacheDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHONKLE_CACHE_SYSTEM", str(folder / "system"))
    own.create()
    assert run("verify").err.startswith(f"the system's cache is not there: {folder / 'system'}\n")
    (folder / "system").write_bytes(b"")
    assert run("list", code=1).err.startswith("error: cannot read the system's cache: ")


class TestInfo:
    def test_it_adds_up(self, run: Run, own: CacheDirectory, install: Install) -> None:
        install()
        run("warm", "echo")
        write(own)
        bad = write(own, label="bad")
        (shard(own, bad.key) / f"{bad.key}.record").write_bytes(b"")
        listed = run("list", "--json").document
        document = run("info", "--json").document
        layer = {
            "layer": "own",
            "path": str(own.root),
            "state": "trusted",
            "reason": None,
            "entries": 4,
            "stale": 1,
            "invalid": 1,
            "size_bytes": sum(each["size_bytes"] for each in listed),
            "trimmed": own.last_trimmed(),
        }
        assert document == {
            "mode": "auto",
            "key_configured": False,
            "size_max_bytes": 2 << 30,
            "wasmtime": wasmtime_version(),
            "target": target(),
            "engines": {
                "default": Engine().fingerprint.hex,
                "interruptible": Engine(EngineConfig(interruptible=True)).fingerprint.hex,
            },
            "layers": [layer],
        }
        said = [row for row in rows(run("info").out) if row]
        assert ["wasmtime", f"{wasmtime_version()} on {target()}"] in said
        assert ["default engine", Engine().fingerprint.hex] in said
        assert ["own cache", str(own.root)] in said
        assert ["entries", "4 (1 stale, 1 invalid)"] in said
        (size,) = (row[1] for row in said if row[0] == "size")
        assert size.endswith(" KiB of 2.0 GiB")

    def test_the_key_is_never_shown(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, own: CacheDirectory
    ) -> None:
        write(own)
        monkeypatch.setenv("CHONKLE_CACHE_KEY", KEY)
        done, document = run("info"), run("info", "--json")
        assert ["key", "configured"] in rows(done.out)
        assert document.document["key_configured"] is True
        for each in (done, document, run("list"), run("verify", code=1)):
            assert KEY not in each.out + each.err
            assert KEY[:16] not in each.out + each.err

    def test_the_cache_of_the_system_comes_first(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHONKLE_CACHE_SYSTEM", str(folder / "system"))
        write(CacheDirectory(folder / "system", authenticator=Authenticator()))
        layers = run("info", "--json").document["layers"]
        assert [(each["layer"], each["state"]) for each in layers] == [
            ("system", "trusted"),
            ("own", "absent"),
        ]
        assert ["system cache", str(folder / "system")] in rows(run("info").out)

    def test_it_says_what_is_off(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHONKLE_AOT", "off")
        monkeypatch.setenv("CHONKLE_CACHE_MAX_SIZE", "3M")
        document = run("info", "--json").document
        assert (document["mode"], document["size_max_bytes"]) == ("off", 3 << 20)


class TestList:
    def test_nothing_was_used_in_the_future(self, run: Run, own: CacheDirectory) -> None:
        record = write(own)
        own.note_use(record.key, now=time.time() + 1e6)
        (entry,) = run("list", "--json").document
        assert entry["used"] <= time.time()
        assert rows(run("list").out)[1][6] == "0 s"

    def test_an_entry_is_shown_with_all_that_is_known(
        self, run: Run, own: CacheDirectory, install: Install
    ) -> None:
        wasm = install().read_bytes()
        run("warm", "echo")
        entry = entries(own)["echo-a@1.0.0"]
        run("warm", "echo", "--interruptible")
        document = run("list", "--json").document
        assert [(each["implementation"], each["engine"]) for each in document] == [
            ("echo-a@1.0.0", "default"),
            ("echo-a@1.0.0", "interruptible"),
            ("chonkle's trampoline", "default"),
            ("chonkle's trampoline", "interruptible"),
        ]
        assert entry.record is not None
        assert document[0] == {
            "layer": "own",
            "key": entry.key,
            "status": "usable",
            "reason": None,
            "codec_id": "echo",
            "implementation": "echo-a@1.0.0",
            "backend": "core",
            "kind": "core",
            "engine": "default",
            "wasmtime": wasmtime_version(),
            "target": target(),
            "wasm": str(Digest.blake3(wasm)),
            "size_bytes": entry.files.size_bytes,
            "created": entry.record.metadata.created,
            "used": entry.files.used_at,
            "compile_s": entry.record.metadata.compile_seconds,
        }
        assert document[2]["codec_id"] is None
        header, first, second, *_ = rows(run("list").out)
        assert header == [
            *("codec", "implementation", "kind", "wasmtime", "size", "age", "last use", "note")
        ]
        assert first[:4] == ["echo", "echo-a@1.0.0", "core", wasmtime_version()]
        assert second[-1] == "interruptible"

    def test_what_cannot_be_used_says_why(self, run: Run, own: CacheDirectory) -> None:
        write(own, wasmtime="1.2.3")
        bad, left = write(own, label="bad"), write(own, label="left")
        (shard(own, bad.key) / f"{bad.key}.record").write_bytes(b"")
        (shard(own, left.key) / f"{left.key}.record").unlink()
        statuses = {each["key"]: each["status"] for each in run("list", "--json").document}
        assert sorted(statuses.values()) == ["invalid", "stale", "unfinished"]
        assert (statuses[bad.key], statuses[left.key]) == ("invalid", "unfinished")
        notes = {row[1]: row[-1] for row in rows(run("list").out)}
        assert notes["made-up-c@1.0.0"] == "stale: made by wasmtime 1.2.3"
        assert notes[bad.key[:16]] == "invalid: the record does not match its authenticator"
        assert notes[left.key[:16]].startswith("unfinished: no record")

    def test_layers_are_told_apart(
        self, run: Run, own: CacheDirectory, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHONKLE_CACHE_SYSTEM", str(folder / "system"))
        write(CacheDirectory(folder / "system", authenticator=Authenticator()), label="theirs")
        write(own, label="ours")
        layers = {each["implementation"]: each["layer"] for each in run("list", "--json").document}
        assert layers == {"theirs": "system", "ours": "own"}
        notes = {row[1]: row[-1] for row in rows(run("list").out)}
        assert notes["theirs"] == "system, stale: made by another engine"
        assert notes["ours"] == "stale: made by another engine"


class TestHostileContents:
    @posix
    def test_a_pipe_is_no_record(self, run: Run, own: CacheDirectory) -> None:
        own.create()
        key = "ab" * 32
        shard(own, key).mkdir(mode=0o700)
        os.mkfifo(shard(own, key) / f"{key}.record")
        (listed,) = run("list", "--json").document
        assert listed["status"] == "invalid"
        assert listed["reason"].endswith(f"{key}.record: not a regular file")
        assert "not a regular file" in run("verify", code=1).out
        assert "1 of 1 entry bad, and were removed" in run("verify", "--remove", code=1).err
        assert list(own.entries()) == []

    @pytest.mark.parametrize("as_json", [True, False])
    def test_hostile_words_are_printed_safely(
        self, run: Run, own: CacheDirectory, *, as_json: bool
    ) -> None:
        fields = ("codec_id", "label", "kind", "wasmtime", "target", "wasm")
        metadata: dict[str, Any] = dict.fromkeys(fields, HOSTILE)
        record = write(own, **metadata)
        # `run` demands that what is printed is printable.
        more = ["--json"] if as_json else []
        assert run("list", *more).out
        assert run("verify", *more, code=1).out
        assert run("verify", "--recompile", *more, code=1).out
        if as_json:
            assert run("list", "--json").document[0]["implementation"] == HOSTILE
        assert entries(own)[HOSTILE].key == record.key

    def test_a_directory_with_such_a_name_is_printed_safely(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHONKLE_CACHE_DIR", str(folder / HOSTILE))
        for command in (*READING, "info"):
            run(command)

    def test_numbers_of_a_record_may_be_large(self, run: Run, own: CacheDirectory) -> None:
        record = write(own, created=1 << 53, compile_seconds=float(1 << 53))
        os.utime(shard(own, record.key) / f"{record.key}.record", (1 << 33, 1 << 33))
        for command in ("list", "info"):
            assert run(command).out
        assert run("list", "--json").document[0]["created"] == 1 << 53


class TestWarm:
    def test_warm_codecs_stay(self, run: Run, own: CacheDirectory, install: Install) -> None:
        install()
        (first,) = run("warm", "echo", "--json").document
        (second,) = run("warm", "echo", "--json").document
        assert first.pop("seconds") > 0
        assert second.pop("seconds") > 0
        assert first == {
            "codec_id": "echo",
            "implementation": "echo-a@1.0.0",
            "backend": "core",
            "engine": "default",
            "result": "compiled",
            "problem": None,
        }
        assert second == {**first, "result": "present"}
        assert set(entries(own)) == {"echo-a@1.0.0", "chonkle's trampoline"}

    def test_it_prints_a_table(self, run: Run, install: Install) -> None:
        install()
        header, row = rows(run("warm", "echo").out)
        assert header == ["codec", "implementation", "backend", "engine", "result"]
        assert row[:4] == ["echo", "echo-a@1.0.0", "core", "default"]
        assert row[4].startswith("compiled in ")
        done = run("warm", "echo")
        assert rows(done.out)[1][4] == "already there"
        # Progress is for terminals.
        assert done.err == ""

    def test_code_for_time_limits_is_made_when_asked_for(
        self, run: Run, own: CacheDirectory, install: Install
    ) -> None:
        install()
        document = run("warm", "echo", "--interruptible", "--json").document
        assert [(each["engine"], each["result"]) for each in document] == [
            ("default", "compiled"),
            ("interruptible", "compiled"),
        ]
        engines = {entry.record.metadata.engine for entry in own.entries() if entry.record}
        assert engines == {
            Engine().fingerprint.hex,
            Engine(EngineConfig(interruptible=True)).fingerprint.hex,
        }

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("echo", ["echo-a@2.0.0", "echo-a@1.0.0", "echo-b@1.0.0"]),
            ("echo-a", ["echo-a@2.0.0", "echo-a@1.0.0"]),
            ("echo-a@1.0.0", ["echo-a@1.0.0"]),
            ("echo-b echo-b@1.0.0 echo-b", ["echo-b@1.0.0"]),
            ("other echo-b", ["other-a@1.0.0", "echo-b@1.0.0"]),
            ("store/other/other-a@1.0.0.core.wasm other", ["other-a@1.0.0"]),
            ("elsewhere", ["new-a@1.0.0"]),
            ("./elsewhere --codec-store elsewhere", ["new-a@1.0.0"]),
            ("new --codec-store elsewhere", ["new-a@1.0.0"]),
            ("pipeline.json", ["echo-a@2.0.0", "other-a@1.0.0"]),
            ("./echo", ["other-a@1.0.0"]),
        ],
    )
    def test_codecs_are_named_in_many_ways(
        self, run: Run, install: Install, folder: Path, words: str, expected: list[str]
    ) -> None:
        for implementation, version in (("echo-a", "1.0.0"), ("echo-a", "2.0.0")):
            install("echo", implementation, version)
        install("echo", "echo-b")
        install("other", "other-a")
        install("new", "new-a", store="elsewhere")
        # A name stands for a codec before it stands for a file.
        install("other", "other-a", store="echo")
        (folder / "pipeline.json").write_text(json.dumps(pipeline_of("echo", "echo", "other")))
        document = run("warm", *words.split(), "--json").document
        assert [each["implementation"] for each in document] == expected
        assert {each["result"] for each in document} == {"compiled"}

    def test_what_runs_natively_needs_nothing(self, run: Run, folder: Path) -> None:
        (folder / "one.json").write_text(json.dumps(pipeline_of("zstd")))
        (found,) = run("warm", "one.json", "--interruptible", "--json").document
        assert (found["backend"], found["result"]) == ("native", "native")
        assert rows(run("warm", "one.json").out)[1][-1] == "nothing to compile"

    def test_a_preference_counts_for_pipelines(self, run: Run, folder: Path) -> None:
        (folder / "one.json").write_text(json.dumps(pipeline_of("identity")))
        for backend in ("core", "component"):
            (found,) = run("warm", "one.json", "--preference", backend, "--json").document
            assert (found["backend"], found["result"]) == (backend, "compiled")

    def test_what_fails_does_not_keep_the_rest(
        self, run: Run, own: CacheDirectory, install: Install, make_codec: MakeCodec
    ) -> None:
        install("good", "good-a")
        # A component, of no interface at all.
        wasm = make_codec("hollow", "hollow-a", kind="component")
        install("hollow", "hollow-a", wasm=wasm)
        install("broken", "broken-a", wasm=b"broken")
        done = run("warm", "store", "--json", code=1)
        results = {each["codec_id"]: each for each in done.document}
        assert {name: each["result"] for name, each in results.items()} == {
            "good": "compiled",
            "hollow": "failed",
            None: "failed",
        }
        assert "broken-a@1.0.0.core.wasm: not a WebAssembly binary" in results[None]["problem"]
        assert results["hollow"]["problem"]
        assert done.err == "error: 2 of 3 could not be compiled and kept\n"
        assert "good-a@1.0.0" in entries(own)
        out = run("warm", "store", code=1).out
        assert ["good", "good-a@1.0.0", "core", "default", "already there"] in rows(out)
        assert "failed: " in out

    def test_a_full_disk_is_a_failure_and_is_reported_once(
        self,
        run: Run,
        own: CacheDirectory,
        install: Install,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        for number in range(4):
            install(f"echo-{number}", f"echo-{number}")
        monkeypatch.setattr(CacheDirectory, "write", full)
        done = run("warm", *(f"echo-{number}" for number in range(4)), "--json", code=1)
        assert done.err.endswith("error: 4 of 4 could not be compiled and kept\n")
        assert {each["problem"] for each in done.document} == {
            f"compiled, and not kept in {own.root}"
        }
        assert [each.getMessage() for each in caplog.records] == [
            "AOT cache: codecs are compiled in memory and not kept: No space left on device"
        ]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("ecko", "no codec, implementation or file `ecko`; hint: did you mean `echo`"),
            ("echo-a@1.0.1", "`echo-a@1.0.1`; hint: did you mean `echo-a@1.0.0`"),
            ("xyzzy", "no codec, implementation or file `xyzzy`; hint: `chonkle codecs` lists"),
            ("./xyzzy", "cannot read pipeline xyzzy: No such file or directory"),
            ("xyzzy.json", "cannot read pipeline xyzzy.json: No such file or directory"),
            ("xyzzy.wasm", "cannot read xyzzy.wasm: No such file or directory"),
            ("empty", "no codecs in empty, expected `.wasm` files"),
            (HOSTILE, "no codec, implementation or file `\\x1b"),
        ],
    )
    def test_what_names_nothing_is_one_line(
        self, run: Run, folder: Path, install: Install, name: str, message: str
    ) -> None:
        install()
        (folder / "empty").mkdir()
        done = run("warm", name, code=1)
        assert (done.out, done.err.count("\n")) == ("", 1)
        assert message in done.err
        assert not (folder / "cache").exists()


class TestVerify:
    def test_intact_entries(self, run: Run, own: CacheDirectory, install: Install) -> None:
        install()
        run("warm", "echo", "--interruptible")
        assert run("verify").out == "4 of 4 entries as written\n"
        assert run("verify", "--recompile").out == (
            "4 of 4 entries as written\n4 of 4 entries as compiling gives\n"
        )
        document = run("verify", "--recompile", "--json").document
        assert len(document) == 4
        (entry,) = (each for each in document if each["key"] == entries(own)["echo-a@1.0.0"].key)
        assert entry == {
            "layer": "own",
            "key": entry["key"],
            "codec_id": "echo",
            "implementation": "echo-a@1.0.0",
            "kind": "core",
            "problem": None,
            "not_compared": None,
            "removed": False,
        }

    def test_components_are_compared_too(self, run: Run) -> None:
        run("warm", "identity")
        assert "4 of 4 entries as compiling gives" in run("verify", "--recompile").out

    def test_a_bad_entry_is_listed_and_removed_when_asked(
        self, run: Run, own: CacheDirectory, install: Install
    ) -> None:
        install()
        run("warm", "echo")
        key = entries(own)["echo-a@1.0.0"].key
        spoil(own, key)
        for words in ((), ("--recompile",)):
            done = run("verify", *words, code=1)
            (row, *_) = rows(done.out)
            assert row[:3] == ["own", "echo", "echo-a@1.0.0 (core)"]
            assert row[3].startswith("bad: ")
            assert "does not have the digest of its record" in row[3]
            assert "1 of 2 entries as written" in done.out
            assert done.err.startswith("error: 1 of 2 entries bad; hint: `--remove` removes")
        problems = {
            each["key"]: each["problem"] for each in run("verify", "--json", code=1).document
        }
        assert problems[key] is not None
        assert list(problems.values()).count(None) == 1
        done = run("verify", "--remove", code=1)
        assert done.err == "error: 1 of 2 entries bad, and were removed\n"
        assert rows(done.out)[0][3].endswith(", removed")
        assert set(entries(own)) == {"chonkle's trampoline"}
        run("verify")

    def test_a_bad_entry_of_the_system_stays(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, install: Install
    ) -> None:
        install()
        run("warm", "echo")
        (folder / "cache").rename(folder / "system")
        monkeypatch.setenv("CHONKLE_CACHE_SYSTEM", str(folder / "system"))
        system = CacheDirectory(folder / "system", authenticator=Authenticator(), is_system=True)
        key = entries(system)["echo-a@1.0.0"].key
        spoil(system, key)
        done = run("verify", "--remove", "--json", code=1)
        hint = "; hint: the owner of the system's cache can remove them\n"
        assert done.err.endswith(f"\nerror: 1 of 2 entries bad, and 1 could not be removed{hint}")
        assert run("verify", code=1).err.endswith(f"\nerror: 1 of 2 entries bad{hint}")
        assert [each["removed"] for each in done.document] == [False, False]
        assert key in {each.key for each in system.entries()}

    def test_what_cannot_be_removed_is_said(
        self, run: Run, own: CacheDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(CacheDirectory, "remove", denied)
        for label in ("one", "two"):
            spoil(own, write(own, label=label).key)
        done = run("verify", "--remove", code=1)
        assert done.err == "error: 2 of 2 entries bad, and 2 could not be removed\n"
        assert ", removed" not in done.out


class TestPrune:
    def test_what_was_not_used_for_long_goes(self, run: Run, own: CacheDirectory) -> None:
        old, new = write(own, label="old"), write(own, label="new")
        os.utime(shard(own, old.key) / f"{old.key}.record", (1_000_000_000, 1_000_000_000))
        size = entries(own)["old"].files.size_bytes
        left = entries(own)["new"].files.size_bytes
        listed = {each["implementation"]: each for each in run("list", "--json").document}
        document = run("prune", "--older-than", "30d", "--json").document
        assert document == {
            "entries": [listed["old"]],
            "removed": 1,
            "freed_bytes": size,
            "left": 1,
            "left_bytes": left,
        }
        assert own.read(old.key) is None
        assert own.read(new.key) == new

    def test_verbose_pruning_lists_what_goes(self, run: Run, own: CacheDirectory) -> None:
        write(own, label="one")
        record = write(own, label="two")
        orphan = write(own, label="of a writer that died")
        (shard(own, orphan.key) / f"{orphan.key}.record").unlink()
        path = shard(own, record.key) / f"{record.key}.record"
        os.utime(path, (1_000_000_000, 1_000_000_000))
        header, entry, removed, left = run("prune", "--older-than", "30d", "-v").out.splitlines()
        assert header.startswith("codec ")
        assert rows(entry)[0][1] == "two"
        assert removed.startswith("removed 1 entry, ")
        assert left.startswith("left 1 entry, ")
        assert run("prune", "--verbose").out.startswith("removed 0 entries")

    @pytest.mark.parametrize("age", ["1min", "1h", "1d", "1w"])
    def test_ages_have_units(self, run: Run, own: CacheDirectory, age: str) -> None:
        seconds = {"min": 60, "h": 3600, "d": 86400, "w": 604800}[age[1:]]
        record = write(own, wasmtime=wasmtime_version())
        path = shard(own, record.key) / f"{record.key}.record"
        now = path.stat().st_mtime
        os.utime(path, (now - seconds + 30, now - seconds + 30))
        assert run("prune", "--older-than", age, "--json").document["removed"] == 0
        os.utime(path, (now - seconds - 30, now - seconds - 30))
        assert run("prune", "--older-than", age, "--json").document["removed"] == 1

    def test_what_is_too_much_goes(self, run: Run, own: CacheDirectory) -> None:
        for label in ("one", "two", "three"):
            write(own, content=b"x" * 4096, label=label)
        assert run("prune", "--max-size", "1G").out.startswith("removed 0 entries, 0 B\nleft 3 ")
        assert run("prune", "--max-size", "10K").out.startswith("removed 1 entry, 4.")
        assert run("prune", "--max-size", "0").out.endswith("left 0 entries, 0 B\n")

    def test_the_budget_is_that_of_the_environment(
        self, run: Run, own: CacheDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(own)
        monkeypatch.setenv("CHONKLE_CACHE_MAX_SIZE", "1")
        assert run("prune", "--json").document["removed"] == 1

    @pytest.mark.parametrize(
        "words",
        ["--older-than 30", "--older-than d", "--older-than -1d", "--max-size lots", "everything"],
    )
    def test_what_is_no_size_and_no_age_is_a_usage_error(self, run: Run, words: str) -> None:
        assert "see `chonkle cache prune --help`" in run("prune", *words.split(), code=2).err


class TestClear:
    def test_everything_goes(self, run: Run, own: CacheDirectory) -> None:
        write(own, label="one")
        orphan = write(own, label="two")
        (shard(own, orphan.key) / f"{orphan.key}.record").unlink()
        size = sum(entry.files.size_bytes for entry in own.entries())
        assert run("clear", "--json").document == {"removed": 2, "freed_bytes": size, "left": 0}
        assert list(own.entries()) == []
        write(own)
        assert run("clear").out.startswith("removed 1 entry, ")

    def test_the_cache_of_the_system_stays(
        self, run: Run, folder: Path, own: CacheDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHONKLE_CACHE_SYSTEM", str(folder / "system"))
        system = CacheDirectory(folder / "system", authenticator=Authenticator(), is_system=True)
        write(system)
        write(own)
        run("clear")
        run("prune", "--max-size", "0")
        assert (len(list(system.entries())), len(list(own.entries()))) == (1, 0)

    def test_what_is_being_written_stays_and_is_said(self, run: Run, own: CacheDirectory) -> None:
        record = write(own)
        write(own, label="idle")
        with own.lock(record.key, timeout_s=0):
            done = run("clear")
            assert done.err == "left 1 entry that another process is writing\n"
            assert done.out.startswith("removed 1 entry, ")
            assert run("clear", "--json").document["left"] == 1
        assert own.read(record.key) == record

    def test_what_cannot_be_removed_is_a_failure(
        self, run: Run, own: CacheDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(own)
        monkeypatch.setattr(CacheDirectory, "remove", denied)
        done = run("clear", code=1)
        assert done.out == "removed 0 entries, 0 B\n"
        assert done.err == "error: 1 entry could not be removed: x.record: Permission denied\n"
        assert run("clear", "--json", code=1).document["left"] == 1
