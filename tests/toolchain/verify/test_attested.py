"""What is attested of a codec, demanded; and provenance that does not agree with the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chonkle_toolchain.attachments import PROVENANCE_TYPE, provenance_attachment
from chonkle_toolchain.codecs_lock import read_lock
from chonkle_toolchain.verify.attested import Demands, check_file, check_published
from chonkle_toolchain.verify.report import Check

from chonkle.digest import Digest
from chonkle.oci.artifact import Blob, codec_artifact, referrer
from chonkle.oci.attestation import sign, sign_file
from chonkle.oci.layout import LayoutRepository
from chonkle.oci.model import LayoutReference
from chonkle.oci.private_keys import PrivateKey
from chonkle.storage.store import WasmCodec

STORE = Path(__file__).parents[3] / "codec"
FILE = STORE / "packbits/packbits-c@1.0.0.core.wasm"
CODEC = WasmCodec.from_file(FILE)
STATEMENT = provenance_attachment(CODEC, read_lock(STORE).codecs["packbits-c"]).layer.data

type Change = Callable[[dict[str, Any]], None]


def checks_of(folder: Path, statement: bytes, demands: Demands | None = None) -> dict[str, Check]:
    """Publish the codec with a statement of provenance, and check what is attested of it."""
    with LayoutRepository(folder) as repository:
        subject = codec_artifact(CODEC).write(repository, tag="1")
        layer = Blob(PROVENANCE_TYPE, statement)
        referrer(subject, artifact_type=PROVENANCE_TYPE, layers=[layer]).write(repository)
        links = (repository.manifest("1").data,)
        found = check_published(
            LayoutReference(folder, "1"), repository, links, CODEC.wasm, demands or Demands()
        )
    return {each.name: each for each in found}


def test_what_was_published_agrees(tmp_path: Path) -> None:
    found = checks_of(tmp_path / "layout", STATEMENT)["provenance"]
    assert found.outcome == "passed"
    assert found.reason.endswith("sources and parts, as codecs.lock says")


def entry_of(document: dict[str, Any]) -> dict[str, Any]:
    internal = document["predicate"]["buildDefinition"]["internalParameters"]
    entry: dict[str, Any] = internal["codecs.lock"]["packbits-c"]
    return entry


def set_subject(document: dict[str, Any]) -> None:
    document["subject"][0]["digest"]["sha256"] = "0" * 64


def set_dependency(document: dict[str, Any]) -> None:
    document["predicate"]["buildDefinition"]["resolvedDependencies"].pop()


def set_source(document: dict[str, Any]) -> None:
    entry_of(document)["sources"]["more.c"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(set_subject, "the provenance of another file", id="subject"),
        pytest.param(set_dependency, "its dependencies are not the sources", id="dependency"),
        pytest.param(set_source, "disagree in `build`", id="source"),
        pytest.param(
            lambda d: entry_of(d)["core"].update(sha256="0" * 64), "in `sha256`", id="sha256"
        ),
        pytest.param(
            lambda d: entry_of(d)["core"].update(blake3="0" * 64), "in `blake3`", id="blake3"
        ),
        pytest.param(lambda d: entry_of(d)["core"].update(size_bytes=1), "in `size`", id="size"),
        pytest.param(lambda d: entry_of(d).update(version="9.0.0"), "in `version`", id="version"),
        pytest.param(lambda d: entry_of(d).update(codec_id="zlib"), "in `codec_id`", id="id"),
        pytest.param(lambda d: entry_of(d).pop("core"), "bad or missing field", id="field"),
        pytest.param(lambda d: d.update(predicate={}), "malformed provenance", id="predicate"),
        pytest.param(lambda d: d.update(_type="x"), "wrong `_type`", id="type"),
    ],
)
def test_provenance_that_does_not_agree_fails(change: Change, words: str, tmp_path: Path) -> None:
    document = json.loads(STATEMENT)
    change(document)
    found = checks_of(tmp_path / "layout", json.dumps(document).encode())["provenance"]
    assert found.outcome == "failed"
    assert words in found.reason


def test_other_statements_and_builders_say_nothing_of_codecs_lock(tmp_path: Path) -> None:
    document = json.loads(STATEMENT)
    document["predicateType"] = "https://example.test/review"
    found = checks_of(tmp_path / "one", json.dumps(document).encode())["provenance"]
    assert found.outcome == "not applicable"
    document = json.loads(STATEMENT)
    document["predicate"] = {"buildDefinition": {"buildType": "urn:other"}}
    found = checks_of(tmp_path / "two", json.dumps(document).encode())["provenance"]
    assert found.reason == "built as `urn:other` says"


def test_demands_of_what_is_published(tmp_path: Path) -> None:
    key, other = PrivateKey.generate("ed25519"), PrivateKey.generate("ecdsa-p256")
    (tmp_path / "key.pub").write_bytes(key.public.to_pem())
    (tmp_path / "policy.toml").write_text(
        'version = 1\ndefault = "deny"\nkeys.me = "key.pub"\n[[rules]]\nsigned-by = ["me"]\n'
    )
    demands = Demands.read([tmp_path / "key.pub"], tmp_path / "policy.toml")
    folder = tmp_path / "layout"
    found = checks_of(folder, STATEMENT, demands)
    assert found["attestation"].reason.startswith("it is not signed, expected")
    assert "it is not signed, and has to be by `me`" in found["policy"].reason
    subject = codec_artifact(CODEC).descriptor
    with LayoutRepository(folder) as repository:
        sign(repository, subject, other, layouts=("bundle",))
    assert "no accepted key" in checks_of(folder, STATEMENT, demands)["attestation"].reason
    with LayoutRepository(folder) as repository:
        sign(repository, subject, key, layouts=("bundle",))
    found = checks_of(folder, STATEMENT, demands)
    assert {each.outcome for each in found.values()} == {"passed"}


def test_demands_of_a_file(tmp_path: Path) -> None:
    key = PrivateKey.generate("ed25519")
    (tmp_path / "key.pub").write_bytes(key.public.to_pem())
    path = tmp_path / "codec.wasm"
    path.write_bytes(CODEC.wasm)
    assert check_file(path, Demands()) == ()
    demands = Demands.read([tmp_path / "key.pub"], None)
    assert [each.outcome for each in check_file(path, demands)] == ["failed"]
    beside = tmp_path / "codec.wasm.bundle.json"
    beside.write_bytes(sign_file(CODEC.wasm, key))
    [check] = check_file(path, demands)
    assert check.reason == f"signed by `{tmp_path / 'key.pub'}` (bundle)"
    path.write_bytes(CODEC.wasm + b"\0\1\0")
    [check] = check_file(path, demands)
    assert str(Digest.sha256(CODEC.wasm)) in check.reason
