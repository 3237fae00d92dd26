"""Publishing into image layouts on disk: what is written, refused and left alone."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chonkle_toolchain.attachments import (
    PROVENANCE_TYPE,
    VECTORS_TYPE,
    provenance_attachment,
    read_vectors_layer,
    vectors_attachment,
)
from chonkle_toolchain.codecs_lock import Lock, read_lock, write_lock
from chonkle_toolchain.publish import (
    Candidate,
    Plan,
    Target,
    blob_progress,
    file_candidate,
    folder_candidates,
    plan,
    read_published,
)
from chonkle_toolchain.vectors import read_vector_files

from chonkle.errors import BuildError, ChonkleError, FetchError
from chonkle.formats.signature import Signature, embed_signature
from chonkle.oci.layout import LayoutRepository
from chonkle.oci.model import MANIFEST_TYPE, Descriptor, LayoutReference
from chonkle.oci.repository import Repository
from chonkle.storage.store import WasmCodec

ROOT = Path(__file__).parents[2]
CORE = ROOT / "codec/crc32/crc32-rs@1.0.0.core.wasm"
COMPONENT = CORE.with_name("crc32-rs@1.0.0.component.wasm")
VECTORS = ROOT / "codec-src/crc32-rs/vectors"

type RunCli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target.parse(f"oci-layout://{tmp_path / 'layout'}")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a codec store with one codec of two files, and its lock."""
    folder = tmp_path / "codec"
    shutil.copytree(CORE.parent, folder / "crc32")
    lock = read_lock(ROOT / "codec")
    write_lock(folder, Lock({"crc32-rs": lock.codecs["crc32-rs"]}))
    return folder


def repository_of(candidate: Candidate) -> Repository:
    assert isinstance(candidate.reference, LayoutReference)
    return LayoutRepository(candidate.reference.path)


def planned(candidate: Candidate, *, force: bool = False) -> Plan:
    (found,) = plan([candidate], [repository_of(candidate)], force=force)
    return found


def published(candidate: Candidate, *, force: bool = False) -> tuple[str, tuple[str, ...]]:
    found = planned(candidate, force=force)
    found.carry_out()
    return found.state, tuple(each.name for each in found.missing)


def another(path: Path, into: Path, **fields: object) -> Path:
    """Make another file that says it is the same codec, but for some fields."""
    codec = WasmCodec.from_file(path)
    document = {**codec.signature.to_json(), "description": "another", **fields}
    signature = Signature.from_json({name: text for name, text in document.items() if text})
    into.write_bytes(embed_signature(codec.wasm, signature))
    return into


# Where things go


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("oci://host:80/a", ""),
        ("OCI://host:80/a:1.0", "1.0"),
        ("Oci-Layout://a/b:latest", "latest"),
        ("oci-layout://a/b", ""),
        ("oci-layout://a:b/c", ""),
        ("oci-layout://a/b:latest", "latest"),
    ],
)
def test_a_target_has_a_tag_where_one_is_written(text: str, tag: str) -> None:
    assert Target.parse(text).tag == tag


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("codec", "no place to publish to, expected `oci://"),
        ("https://host/a", "no place to publish to"),
        ("oci://host", "malformed OCI reference"),
        (f"oci://host/a@sha256:{'0' * 64}", "a digest cannot be published to"),
    ],
)
def test_what_is_no_target(text: str, words: str) -> None:
    with pytest.raises(FetchError, match=words):
        Target.parse(text)


@pytest.mark.parametrize(("path", "tag"), [(CORE, "1.0.0-core"), (COMPONENT, "1.0.0")])
def test_the_tag_is_the_version(target: Target, path: Path, tag: str) -> None:
    assert file_candidate(path, target).reference.tag == tag


def test_a_version_is_written_as_a_tag_may_be(target: Target, tmp_path: Path) -> None:
    built = another(COMPONENT, tmp_path / "a.wasm", version="1.0.0-rc.1+b.2")
    assert file_candidate(built, target).reference.tag == "1.0.0-rc.1_b.2"
    nameless = another(COMPONENT, tmp_path / "b.wasm", version="")
    with pytest.raises(BuildError, match="says no version to publish it under; hint: name a tag"):
        file_candidate(nameless, target)
    tagged = Target.parse(f"oci-layout://{tmp_path / 'layout'}:today")
    assert file_candidate(nameless, tagged).reference.tag == "today"


@pytest.mark.parametrize("tag", ["1.0.0", "v1.0.0", "1.0.0-core", "1.0", "2026", "stable"])
def test_another_tag_than_a_version_may_be_any(tmp_path: Path, tag: str) -> None:
    target = Target.parse(f"oci-layout://{tmp_path}/layout:{tag}")
    assert file_candidate(CORE, target).reference.tag == tag


@pytest.mark.parametrize("tag", ["9.9.9", "v1.0.1", "1.0.0-rc.1", "1.0.0.1", "9.9.9-core"])
def test_the_version_of_another_codec_is_refused(tmp_path: Path, tag: str) -> None:
    target = Target.parse(f"oci-layout://{tmp_path}/layout:{tag}")
    words = f"the tag is another version .* expected `1.0.0`, as its signature says, got `{tag}`"
    with pytest.raises(BuildError, match=words):
        file_candidate(CORE, target)


def test_a_folder_is_what_its_lock_lists(store: Path, target: Target) -> None:
    found = folder_candidates(store, target, codec_src=ROOT / "codec-src")
    places = [each.reference.uri for each in found]
    where = f"{target.reference.uri.removesuffix(':latest')}/crc32-rs"
    assert places == [f"{where}:1.0.0", f"{where}:1.0.0-core"]
    for each in found:
        assert [one.name for one in each.attachments] == ["golden vectors", "provenance"]
    # An author's folder has its own store in it.
    for name in ("crc32-rs", "kernels"):
        shutil.copytree(
            ROOT / "codec-src" / name, store.parent / name, ignore=shutil.ignore_patterns("target")
        )
    assert folder_candidates(store.parent, target) == found


def test_a_codec_that_is_not_built_from_its_sources_is_not_published(
    run_cli: RunCli, store: Path, target: Target
) -> None:
    folder = store.parent / "crc32-rs"
    for name in ("crc32-rs", "kernels"):
        shutil.copytree(
            ROOT / "codec-src" / name,
            store.parent / name,
            ignore=shutil.ignore_patterns("target"),
        )
    store.rename(folder / "codec")
    with (folder / "src/lib.rs").open("a") as source:
        source.write("// changed\n")
    done = run_cli("publish", folder, target.reference.uri.removesuffix(":latest"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: not published: crc32-rs is stale: ")
    assert "src/lib.rs changed" in done.stderr
    assert f"hint: `chonkle build {folder}` builds it" in done.stderr
    assert not (store.parent / "layout").exists()


def test_a_folder_that_cannot_be_published(store: Path, target: Target, tmp_path: Path) -> None:
    tagged = Target.parse(f"oci-layout://{tmp_path / 'layout'}:1.0.0")
    with pytest.raises(FetchError, match="under the versions of its codecs, expected a target"):
        folder_candidates(store, tagged)
    tar = Target.parse(f"oci-layout://{tmp_path / 'layout.tar'}")
    with pytest.raises(FetchError, match="several codecs do not go into one tar file; hint"):
        folder_candidates(store, tar)
    with pytest.raises(BuildError, match=r"no codec is listed in `.*codecs.lock`; hint: `chonkle"):
        folder_candidates(tmp_path / "crc32", target)
    another(CORE, store / "crc32" / CORE.name)
    with pytest.raises(BuildError, match=r"other bytes than codecs.lock says, expected sha256"):
        folder_candidates(store, target)


# What is done


def test_a_version_is_published_once(target: Target, tmp_path: Path) -> None:
    candidate = file_candidate(CORE, target, vectors=VECTORS)
    assert published(candidate) == ("published", ("golden vectors", "provenance"))
    assert published(candidate) == ("unchanged", ())
    repository = repository_of(candidate)
    assert repository.tags() == ["1.0.0-core"]
    other = file_candidate(another(CORE, tmp_path / "other.wasm"), target)
    with pytest.raises(FetchError, match="something else is published there, expected `sha256:"):
        planned(other)
    assert published(other, force=True) == ("replaced", ())
    found = repository.resolve("1.0.0-core")
    assert found is not None
    assert found.digest == other.artifact.descriptor.digest


def test_the_same_file_is_no_change_whatever_its_manifest_says(target: Target) -> None:
    candidate = file_candidate(CORE, target)
    published(candidate)
    later = file_candidate(CORE, target, created=candidate_time())
    assert later.artifact.descriptor != candidate.artifact.descriptor
    found = planned(later)
    assert found.state == "unchanged"
    assert found.reference.digest == candidate.artifact.descriptor.digest
    assert published(later, force=True)[0] == "replaced"


def candidate_time() -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime(2026, 1, 1, tzinfo=UTC)


def test_what_is_missing_is_attached_later(target: Target) -> None:
    assert published(file_candidate(CORE, target)) == ("published", ("provenance",))
    later = file_candidate(CORE, target, vectors=VECTORS)
    assert published(later) == ("unchanged", ("golden vectors",))
    assert published(later) == ("unchanged", ())


def test_all_conflicts_are_told_and_none_written(
    store: Path, target: Target, tmp_path: Path
) -> None:
    candidates = folder_candidates(store, target)
    for each in candidates:
        own = Target(each.reference, each.reference.tag)
        published(file_candidate(another(Path(each.codec.origin), tmp_path / "x.wasm"), own))
    repositories = [repository_of(each) for each in candidates]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(FetchError) as caught:
        plan(candidates, repositories, force=False)
    assert str(caught.value).count("something else is published there") == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("layers", [[], [{"mediaType": "text/plain"}]])
def test_what_is_no_codec_is_not_replaced_unasked(target: Target, layers: list[Any]) -> None:
    candidate = file_candidate(CORE, target)
    empty = Descriptor("application/vnd.oci.empty.v1+json", candidate.codec.digest, 2)
    with repository_of(candidate) as repository:
        config = repository.write_blob(b"{}", empty.media_type).to_json()
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config,
            "layers": [{**config, **layer} for layer in layers],
        }
        repository.write_manifest(json.dumps(document).encode(), MANIFEST_TYPE, tag="1.0.0-core")
    with pytest.raises(FetchError, match="something else is published there"):
        planned(candidate)
    assert published(candidate, force=True)[0] == "replaced"


def test_the_tag_is_written_last(target: Target) -> None:
    candidate = file_candidate(CORE, target, vectors=VECTORS)
    written: list[str] = []

    class Watched(LayoutRepository):
        def write_blob(self, *args: Any, **options: Any) -> Descriptor:
            written.append("blob")
            return super().write_blob(*args, **options)

        def write_manifest(self, *args: Any, **options: Any) -> Descriptor:
            written.append(options.get("tag") or "manifest")
            return super().write_manifest(*args, **options)

    assert isinstance(candidate.reference, LayoutReference)
    (found,) = plan([candidate], [Watched(candidate.reference.path)], force=False)
    found.carry_out()
    assert written[-1] == "1.0.0-core"
    assert written.count("1.0.0-core") == 1
    assert written.count("manifest") == 2


def test_progress_is_the_bytes_of_one_blob_after_the_other() -> None:
    sent: list[int] = []
    progress = blob_progress(sent.append)
    for done, total in ((0, 10), (4, 10), (2, 10), (10, 10), (7, 7), (0, 3), (3, 3)):
        progress(done, total)
    assert sum(sent) == 20


# What travels with a codec


def test_golden_vectors_come_back_as_they_were(target: Target) -> None:
    candidate = file_candidate(CORE, target, vectors=VECTORS)
    published(candidate)
    repository = repository_of(candidate)
    [found] = read_published(candidate.reference, repository, size_max=1 << 20)
    assert found.wasm == CORE.read_bytes()
    assert found.vectors == read_vector_files(VECTORS)
    with pytest.raises(FetchError, match=r"too large, expected at most 9 bytes, got \d+"):
        list(read_published(candidate.reference, repository, size_max=9))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 1 of the golden vectors: malformed JSON"),
        (b"[]", "line 1 of the golden vectors: malformed, expected an object with a case"),
        (b'{"case": "a", "vector": {"made_by": 7}}', "line 1 of the golden vectors: malformed go"),
    ],
)
def test_golden_vectors_may_be_anything(line: bytes, words: str) -> None:
    with pytest.raises(BuildError, match=f"^oci://a/b: {words}"):
        read_vectors_layer(line, what="oci://a/b")


def test_no_golden_vectors_are_no_attachment(tmp_path: Path) -> None:
    assert vectors_attachment(tmp_path / "none") is None


# in-toto Attestation Framework, "Statement"; SLSA, "Provenance", version 1
def test_provenance_says_what_a_file_was_built_from() -> None:
    codec = WasmCodec.from_file(CORE)
    built = read_lock(ROOT / "codec").codecs["crc32-rs"]
    attachment = provenance_attachment(codec, built)
    assert attachment.artifact_type == PROVENANCE_TYPE != VECTORS_TYPE
    statement = json.loads(attachment.layer.data)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert attachment.annotations == {"in-toto.io/predicate-type": statement["predicateType"]}
    assert statement["subject"] == [{"name": CORE.name, "digest": {"sha256": built.core.sha256}}]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "implementation": "crc32-rs",
        "version": "1.0.0",
        "form": "core",
        "recipe": {"blake3": built.fingerprint.parts["recipe"]},
    }
    digests = {each["name"]: each["digest"] for each in definition["resolvedDependencies"]}
    known = {**built.fingerprint.sources, **built.fingerprint.parts}
    assert digests == {name: {"blake3": digest} for name, digest in known.items()}
    entry = definition["internalParameters"]["codecs.lock"]["crc32-rs"]
    assert entry["core"]["sha256"] == built.core.sha256
    builder = statement["predicate"]["runDetails"]["builder"]
    assert builder["version"] == built.fingerprint.toolset


def test_a_file_that_its_lock_does_not_list_has_no_provenance(store: Path, target: Target) -> None:
    path = store / "crc32" / CORE.name
    assert [each.name for each in file_candidate(path, target).attachments] == ["provenance"]
    another(path, path)
    assert file_candidate(path, target).attachments == ()


# The command


def test_the_command_publishes_good_codecs(run_cli: RunCli, target: Target, tmp_path: Path) -> None:
    uri = target.reference.uri
    done = run_cli("publish", CORE, uri, "--vectors", VECTORS, "--json")
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert said == {
        "file": str(CORE),
        "reference": f"oci-layout://{tmp_path / 'layout'}:latest@{said['digest']}",
        "digest": said["digest"],
        "state": "published",
        "attached": ["golden vectors", "provenance"],
        "dry_run": False,
    }
    done = run_cli("verify", said["reference"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"passed  {said['reference']}  ")


def test_the_command_refuses_bad_codecs(run_cli: RunCli, target: Target, tmp_path: Path) -> None:
    shutil.copy(CORE, tmp_path / CORE.name)
    shutil.copytree(VECTORS, tmp_path / "vectors")
    path = next((tmp_path / "vectors").glob("*.json"))
    vector = json.loads(path.read_text())
    vector["outputs"] = {"bytes": {"base64": "AAAA"}}
    path.write_text(json.dumps(vector))
    arguments = ("publish", tmp_path / CORE.name, target.reference.uri)
    done = run_cli(*arguments, "--vectors", tmp_path / "vectors")
    assert (done.returncode, done.stdout) == (1, "")
    failed, *checks, error = done.stderr.splitlines()
    assert failed.startswith("failed  ")
    assert any("golden-vectors" in line for line in checks)
    assert error == (
        "error: not published: 1 of 1 reports of `chonkle verify` have failures;"
        " hint: `--no-verify` publishes without these checks"
    )
    assert not (tmp_path / "layout").exists()
    done = run_cli(*arguments, "--no-verify", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dry run: published  oci-layout://")
    assert not (tmp_path / "layout").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((CORE, "oci://host/a", "--codec-src", "codec-src"), "--codec-src is for a folder"),
        ((ROOT / "codec", "oci://host/a", "--vectors", "a"), "--vectors is for a file"),
        ((CORE, "oci://host/a", "--username", "me"), "--username and --password-stdin go together"),
        ((CORE, "oci://host/a", "--password-stdin"), "--username and --password-stdin go together"),
    ],
)
def test_conflicting_options(run_cli: RunCli, arguments: tuple[object, ...], words: str) -> None:
    done = run_cli("publish", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@pytest.mark.parametrize("text", ["x", "-1", "9" * 20, "253402300800"])
def test_a_time_that_is_none(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, target: Target, text: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    done = run_cli("publish", CORE, target.reference.uri, "--no-verify")
    assert done.returncode == 1
    assert "bad SOURCE_DATE_EPOCH, expected seconds since 1970" in done.stderr


# Publishes, which takes more than a second.
SLOWLY = """
import time
from chonkle.cli import main
from chonkle_toolchain.publish import Plan
carry_out = Plan.carry_out
def wait(self, **options):
    carry_out(self, **options)
    time.sleep(1.5)
Plan.carry_out = wait
main()
"""


def test_a_progress_bar_needs_a_terminal(target: Target) -> None:
    command = ["publish", str(CORE), target.reference.uri, "--no-verify"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *command], stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        stdout, _ = process.communicate(timeout=60)
        seen = b""
        try:
            while piece := os.read(ours, 1 << 16):
                seen += piece
        except OSError:
            pass  # the other end is closed
        os.close(ours)
    assert process.returncode == 0
    assert b"publishing" in seen
    assert re.search(rb"[0-9.]+ KiB/[0-9.]+ KiB, [0-9] s", seen)
    assert seen.endswith(b"\r\x1b[K")  # the line is removed
    assert b"publishing" not in stdout


def test_a_published_codec_has_vectors_of_its_own(run_cli: RunCli) -> None:
    done = run_cli("verify", "oci://host/a", "--vectors", VECTORS)
    assert done.returncode == 2
    assert "a published codec has golden vectors attached to it" in done.stderr


def test_a_reference_that_is_none_is_one_error(run_cli: RunCli) -> None:
    with pytest.raises(ChonkleError):
        Target.parse("oci://")
    done = run_cli("verify", "oci://")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: malformed OCI reference")
