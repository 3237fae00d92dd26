"""`chonkle lock` and `run --locked`: what was locked is run, whatever became of its source."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from chonkle.lock import Lock
from tests.e2e.registries import Registry
from tests.fixture_types import Chonkle, ErrorOf, Explain, PipelineOf

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("store")]

SHIPPED = Path(__file__).parents[2] / "codec"
NAME = "codecs/guest"
RUN = ("pipeline.json", "--codec-store", "store", "--locked")
LOCK = ("lock", "pipeline.json", "--codec-store", "store")
OFFLINE = {"CHONKLE_OFFLINE": "1"}


@pytest.fixture
def newer(wasm: bytes) -> bytes:
    """The same codec with other bytes: an unknown section behind it."""
    return wasm + b"\0\2\1x"


@pytest.fixture
def write(tmp_path: Path, pipeline_of: PipelineOf) -> Callable[..., None]:
    def write(uri: str, name: str = "pipeline.json", **fields: object) -> None:
        document = pipeline_of(sources={"guest": uri}, **fields)
        (tmp_path / name).write_text(json.dumps(document))

    return write


def locked(tmp_path: Path) -> Lock:
    return Lock.read(tmp_path / "pipeline.json.lock")


def empty(store: Path) -> None:
    """Remove all files that a run could take."""
    for path in sorted(store.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def reason(explain: Explain, **options: Any) -> str:
    found: str = explain(*RUN, **options)["steps"][0]["reason"]
    return found


def test_a_changed_tag_changes_nothing(
    *,
    tmp_path: Path,
    store: Path,
    chonkle: Chonkle,
    explain: Explain,
    error_of: ErrorOf,
    registry: Registry,
    write: Callable[..., None],
    wasm: bytes,
    newer: bytes,
) -> None:
    manifest = registry.push(NAME, "1", wasm)
    uri = f"oci://{registry.address}/{NAME}:1"
    pinned = f"{uri}@{manifest}"
    write(uri)
    added = chonkle(*LOCK).stdout.decode()
    assert added == f"+ guest from {uri}: guest-wat@1.0.0 (core)\n"
    (only,) = locked(tmp_path).codecs
    assert (only.source, only.digest) == (pinned, Digest.blake3(wasm))

    registry.push(NAME, "1", newer)
    chonkle(*LOCK, "--check")
    before = len(registry.requests())
    copy = Digest.blake3(wasm)
    assert reason(explain, environment=OFFLINE) == f"locked {copy}, kept"
    assert reason(explain) == f"locked {copy}, kept"
    assert len(registry.requests()) == before
    # Without the copy, the installed file; without that, the source, which is pinned.
    (store / ".sources/blake3" / copy.hex).unlink()
    assert reason(explain, environment=OFFLINE) == "locked, installed"
    empty(store)
    message = error_of("run", *RUN, "--explain", environment=OFFLINE)
    assert f"codec `guest`, locked as `{Digest.blake3(wasm)}`: {pinned}: not fetched" in message
    assert f"`CHONKLE_OFFLINE=0 chonkle pull '{pinned}'` fetches it" in message
    chonkle("pull", pinned, "--codec-store", "store")
    assert reason(explain, environment=OFFLINE) == "locked, installed"
    empty(store)
    assert reason(explain) == f"locked source {pinned}"
    # A run without the lock takes what is under the tag now.
    found = explain("pipeline.json", "--codec-store", "store")["steps"][0]
    assert found["reason"] == f"source of the pipeline {uri}"
    assert reason(explain, environment=OFFLINE) == f"locked source {pinned}, kept"
    forced = {"CHONKLE_FORCE_DOWNLOAD": "1"}
    assert reason(explain, environment=forced) == f"locked source {pinned}"


def test_an_update_says_what_changes(
    *,
    tmp_path: Path,
    store: Path,
    chonkle: Chonkle,
    chonkle_done: Chonkle,
    registry: Registry,
    write: Callable[..., None],
    wasm: bytes,
    newer: bytes,
) -> None:
    registry.push(NAME, "1", newer)
    uri = f"oci://{registry.address}/{NAME}:1"
    write(uri)
    chonkle(*LOCK)
    text = (tmp_path / "pipeline.json.lock").read_text()
    # Older bytes under the tag, in a store that has nothing: the lock stays with what it has.
    registry.push(NAME, "1", wasm)
    empty(store)
    chonkle(*LOCK)
    assert (tmp_path / "pipeline.json.lock").read_text() == text
    empty(store)
    done = chonkle_done(*LOCK, "--update", "--check", cwd=tmp_path)
    assert done.returncode == 1
    one, two = (str(Digest.blake3(each))[:19] for each in (newer, wasm))
    line = f"~ guest from {uri}: guest-wat@1.0.0 (core): digest {one}... -> {two}..., source "
    assert done.stdout.decode().startswith(line)
    assert b"is not what would be written; hint: `chonkle lock pipeline.json`" in done.stderr
    assert (tmp_path / "pipeline.json.lock").read_text() == text
    chonkle(*LOCK, "--update")
    assert locked(tmp_path).codecs[0].digest == Digest.blake3(wasm)


def test_an_update_replaces_a_lock_that_cannot_be_read(
    *, tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, write: Callable[..., None], wasm: bytes
) -> None:
    (tmp_path / "guest.wasm").write_bytes(wasm)
    write((tmp_path / "guest.wasm").as_uri())
    path = tmp_path / "pipeline.json.lock"
    path.write_text("version = 2\n")
    for command in (LOCK, ("run", *RUN, "--explain")):
        assert "hint: `chonkle lock --update` replaces it" in error_of(*command)
    done = chonkle(*LOCK, "--update")
    assert done.stdout.startswith(b"+ guest from file://")
    words = "warning: the lock is replaced: pipeline.json.lock: a lock of another version"
    assert done.stderr.decode().startswith(words)
    assert [each.digest for each in locked(tmp_path).codecs] == [Digest.blake3(wasm)]


def test_a_pipeline_that_asks_for_something_else_is_refused(
    *,
    tmp_path: Path,
    chonkle: Chonkle,
    chonkle_done: Chonkle,
    error_of: ErrorOf,
    write: Callable[..., None],
    wasm: bytes,
) -> None:
    file = tmp_path / "guest.wasm"
    file.write_bytes(wasm)
    write(file.as_uri())
    assert "`chonkle lock` writes it" in error_of("run", *RUN, "--explain")
    done = chonkle_done(*LOCK, "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout.startswith(b"+ guest from file://")) == (1, True)
    chonkle(*LOCK)
    other = tmp_path / "other.wasm"
    other.write_bytes(wasm)
    write(other.as_uri())
    message = error_of("run", *RUN, "--explain")
    assert "codec `guest` is not in the lock as this pipeline asks for it" in message
    for more in (("--source", f"guest={file.as_uri()}"), ("--codec-path", "guest=guest.wasm")):
        assert "a lock and `" in error_of("run", *RUN, "--explain", *more)
    message = error_of("run", *RUN, "--explain", "--preference", "native")
    assert "not in the lock" in message
    write(file.as_uri())
    message = error_of("run", *RUN, "--explain", "--preference", "native")
    assert "the lock has a core one, which the preference leaves out, expected `native`" in message


def test_a_forged_copy_or_source_is_refused(
    *,
    tmp_path: Path,
    store: Path,
    chonkle: Chonkle,
    explain: Explain,
    error_of: ErrorOf,
    write: Callable[..., None],
    wasm: bytes,
    newer: bytes,
) -> None:
    file = tmp_path / "guest.wasm"
    file.write_bytes(wasm)
    write(file.as_uri())
    chonkle(*LOCK)
    installed = store / "guest/guest-wat@1.0.0.core.wasm"
    installed.write_bytes(newer)
    assert reason(explain) == f"locked {Digest.blake3(wasm)}, kept"
    (store / ".sources/blake3" / Digest.blake3(wasm).hex).write_bytes(newer)
    assert reason(explain) == f"locked source {file.as_uri()}#blake3={Digest.blake3(wasm).hex}"
    empty(store)
    file.write_bytes(newer)
    assert "wrong digest" in error_of("run", *RUN, "--explain")
    # A lock that was edited contradicts the file that it names.
    file.write_bytes(wasm)
    assert reason(explain).startswith("locked source ")
    path = tmp_path / "pipeline.json.lock"
    path.write_text(path.read_text().replace('"1.0.0"', '"2.0.0"'))
    message = error_of("run", *RUN, "--explain")
    assert "not what the lock says, expected `guest-wat@2.0.0 (core)`" in message


def test_pipelines_within_pipelines_and_native_codecs_are_locked_too(
    *,
    tmp_path: Path,
    chonkle: Chonkle,
    explain: Explain,
    error_of: ErrorOf,
    write: Callable[..., None],
    pipeline_of: PipelineOf,
    wasm: bytes,
) -> None:
    file, inner = tmp_path / "guest.wasm", tmp_path / "inner.json"
    file.write_bytes(wasm)
    write(file.as_uri(), "inner.json")
    document = pipeline_of("one-step", sources={"one-step": inner.as_uri()})
    document["codec_id"] = "outer"
    document["steps"]["zlib"] = {"codec_id": "zlib", "inputs": {"bytes": "only.bytes"}}
    document["outputs"] = {"bytes": "zlib.bytes"}
    (tmp_path / "pipeline.json").write_text(json.dumps(document))
    chonkle(*LOCK, "--preference", "native,core")
    found = {each.key.codec_id: each for each in locked(tmp_path).codecs}
    assert {name: each.backend for name, each in found.items()} == {
        "guest": "core",
        "one-step": "pipeline",
        "zlib": "native",
    }
    assert found["zlib"].version[0].isdigit()
    # The pipeline that is a step has its own bytes, whatever the file holds now.
    inner.write_text("{}")
    steps = explain(*RUN, environment=OFFLINE)["steps"]
    assert [each["reason"] for each in steps] == [
        f"locked {Digest.blake3(wasm)}, kept",
        "locked, numcodecs",
    ]
    path = tmp_path / "pipeline.json.lock"
    path.write_text(path.read_text().replace(found["zlib"].version, "0.1.0"))
    message = error_of("run", *RUN, "--explain")
    assert "step `zlib`: codec `zlib`: not what the lock says, expected `numcodecs.zlib@0.1.0" in (
        message
    )


def test_a_locked_run_gives_the_same_bytes(
    *, tmp_path: Path, chonkle: Chonkle, write: Callable[..., None], wasm: bytes
) -> None:
    (tmp_path / "guest.wasm").write_bytes(wasm)
    (tmp_path / "in").write_bytes(os.urandom(100))
    write((tmp_path / "guest.wasm").as_uri())
    chonkle(*LOCK)
    chonkle("run", *RUN, "--input", "bytes=in", "--output", "bytes=out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_an_edited_lock_runs_no_native_code_where_the_step_forbids_it(
    *, tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf
) -> None:
    document = {"codecs": [{"name": "zlib", "type": "wasm", "configuration": {"level": 1}}]}
    (tmp_path / "pipeline.json").write_text(json.dumps(document))
    chonkle(*LOCK)
    path = tmp_path / "pipeline.json.lock"
    (entry,) = locked(tmp_path).codecs
    native = replace(
        entry,
        backend="native",
        implementation="numcodecs.zlib",
        version=version("numcodecs"),
        digest=None,
    )
    path.write_text(Lock((native,)).to_text())
    words = "codec `zlib`: a backend that its step does not allow, expected `core`, `component`"
    assert words in error_of("run", *RUN, "--explain")
    assert words in error_of(*LOCK, "--check")


def test_an_edited_lock_cannot_replace_what_the_pipeline_pins(
    *,
    tmp_path: Path,
    store: Path,
    chonkle: Chonkle,
    chonkle_done: Chonkle,
    explain: Explain,
    error_of: ErrorOf,
    registry: Registry,
    write: Callable[..., None],
    wasm: bytes,
    newer: bytes,
) -> None:
    one, two = (registry.push(NAME, tag, data) for tag, data in (("1", wasm), ("2", newer)))
    uri = f"oci://{registry.address}/{NAME}"
    write(f"{uri}@{one}")
    chonkle(*LOCK)
    empty(store)
    assert reason(explain) == f"locked source {uri}@{one}"
    (entry,) = locked(tmp_path).codecs
    edited = replace(entry, digest=Digest.blake3(newer), source=f"{uri}:2@{two}")
    (tmp_path / "pipeline.json.lock").write_text(Lock((edited,)).to_text())
    words = f"codec `guest`: not what its pipeline pins, expected `{one}`"
    assert words in error_of("run", *RUN, "--explain")
    assert words in error_of(*LOCK, "--check")
    # Nor do options write a lock that would be refused.
    (tmp_path / "pipeline.json.lock").unlink()
    done = chonkle_done(*LOCK, "--source", f"guest={uri}@{two}", cwd=tmp_path)
    assert (done.returncode, words in done.stderr.decode()) == (1, True)
    assert not (tmp_path / "pipeline.json.lock").exists()


def test_an_edited_lock_cannot_name_another_file_than_its_pin_leads_to(
    *,
    tmp_path: Path,
    store: Path,
    chonkle: Chonkle,
    chonkle_done: Chonkle,
    explain: Explain,
    error_of: ErrorOf,
    registry: Registry,
    write: Callable[..., None],
    wasm: bytes,
    newer: bytes,
) -> None:
    manifest = registry.push(NAME, "1", wasm)
    uri = f"oci://{registry.address}/{NAME}@{manifest}"
    write(uri)
    chonkle(*LOCK)
    (entry,) = locked(tmp_path).codecs
    edited = Lock((replace(entry, digest=Digest.blake3(newer)),))
    (tmp_path / "pipeline.json.lock").write_text(edited.to_text())
    one, two = Digest.sha256(wasm), Digest.sha256(newer)
    words = f"not the codec in {uri}, expected `{one}`, got `{two}`"
    # The other file is installed, or was kept; the manifest is kept, or has to be read again.
    (store / "guest").mkdir(exist_ok=True)
    for other in (
        store / "guest/guest-wat@1.0.0.core.wasm",
        store / ".sources/blake3" / Digest.blake3(newer).hex,
    ):
        other.write_bytes(newer)
        assert words in error_of("run", *RUN, "--explain", environment=OFFLINE)
        assert words in error_of(*LOCK, "--check")
        other.unlink()
    empty(store / ".sources/sha256")
    (store / "guest/guest-wat@1.0.0.core.wasm").write_bytes(newer)
    message = error_of("run", *RUN, "--explain", environment=OFFLINE)
    assert f"codec `guest`, locked as `{Digest.blake3(newer)}`: oci://" in message
    assert f"@{manifest}: not fetched, because CHONKLE_OFFLINE is set" in message
    assert words in chonkle_done("run", *RUN, "--explain", cwd=tmp_path).stderr.decode()
    # What the lock named before runs, and the manifest that was read is kept.
    (tmp_path / "pipeline.json.lock").write_text(Lock((entry,)).to_text())
    (store / "guest/guest-wat@1.0.0.core.wasm").write_bytes(wasm)
    assert reason(explain, environment=OFFLINE) == f"locked {Digest.blake3(wasm)}, kept"


def test_a_pinned_index_is_locked_with_its_own_pin(
    *, tmp_path: Path, chonkle: Chonkle, explain: Explain, pipeline_of: PipelineOf
) -> None:
    blobs = tmp_path / "layout/blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = Digest.sha256(data)
        (blobs / digest.hex).write_bytes(data)
        return {"mediaType": media_type, "digest": str(digest), "size": len(data)}

    def put_json(document: dict[str, object], kind: str) -> dict[str, object]:
        media_type = f"application/vnd.oci.image.{kind}.v1+json"
        fields = {"schemaVersion": 2, "mediaType": media_type, **document}
        return put(json.dumps(fields).encode(), media_type)

    def manifest(form: str, os_name: str) -> dict[str, object]:
        data = (SHIPPED / f"packbits/packbits-c@1.0.0.{form}.wasm").read_bytes()
        config = put(b"{}", "application/vnd.wasm.config.v0+json")
        layers = [put(data, "application/wasm")]
        platform = {"architecture": "wasm", "os": os_name}
        return {**put_json({"config": config, "layers": layers}, "manifest"), "platform": platform}

    entries = [manifest("core", "wasip1"), manifest("component", "wasip2")]
    index = put_json({"manifests": entries}, "index")
    (tmp_path / "layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "layout/index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [index]})
    )
    uri = f"oci-layout://{tmp_path}/layout@{index['digest']}"
    document = pipeline_of("packbits", sources={"packbits": uri})
    (tmp_path / "pipeline.json").write_text(json.dumps(document))
    chonkle(*LOCK, "--preference", "component")
    (entry,) = locked(tmp_path).codecs
    assert (entry.source, entry.backend) == (uri, "component")
    chonkle(*LOCK, "--check")
    # The entry of the index is the one of the lock, whatever the order of backends is.
    assert reason(explain, environment={"CHONKLE_FORCE_DOWNLOAD": "1"}) == f"locked source {uri}"
