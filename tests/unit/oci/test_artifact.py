"""Artifacts: what another tool reads in them, and that the same input gives the same bytes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from chonkle.oci.artifact import Artifact, Blob, codec_artifact, referrer
from chonkle.oci.model import MANIFEST_TYPE, Descriptor, parse_manifest, wasm_layer
from chonkle.storage.store import WasmCodec

CODECS = Path(__file__).parents[3] / "codec"
LABEL = "zlib-rs@1.0.0"


def codec(kind: str) -> WasmCodec:
    return WasmCodec.from_file(CODECS / "zlib" / f"{LABEL}.{kind}.wasm")


def documents(artifact: Artifact) -> tuple[Any, Any]:
    """Read manifest and config without our own reader."""
    manifest = json.loads(artifact.manifest)
    config = artifact.blobs[0]
    assert manifest["config"]["digest"] == str(Digest.sha256(config.data))
    return manifest, json.loads(config.data)


# CNCF TAG Runtime, "Wasm OCI Artifact layout"
@pytest.mark.parametrize("kind", ["core", "component"])
def test_a_codec_is_a_wasm_artifact(kind: str) -> None:
    given = codec(kind)
    artifact = codec_artifact(given)
    manifest, config = documents(artifact)
    digest = str(Digest.sha256(given.wasm))
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == MANIFEST_TYPE
    assert manifest["config"]["mediaType"] == "application/vnd.wasm.config.v0+json"
    assert manifest["layers"] == [
        {
            "mediaType": "application/wasm",
            "digest": digest,
            "size": len(given.wasm),
            "annotations": {"org.opencontainers.image.title": f"{LABEL}.{kind}.wasm"},
        }
    ]
    interface = {"exports": ["chonkle:codec/transform@0.1.0"], "imports": [], "target": None}
    assert config == {
        "created": "1970-01-01T00:00:00Z",
        "author": None,
        "architecture": "wasm",
        "os": "wasip2" if kind == "component" else "wasip1",
        "layerDigests": [digest],
        **({"component": interface} if kind == "component" else {}),
    }
    layer = wasm_layer(parse_manifest(artifact.manifest, "it"), "it")
    assert str(layer.digest) == digest


def test_a_registry_can_be_read_without_pulling() -> None:
    annotations = documents(codec_artifact(codec("core")))[0]["annotations"]
    assert json.loads(annotations.pop("dev.chonkle.signature")) == codec("core").signature.to_json()
    assert annotations == {
        "org.opencontainers.image.title": LABEL,
        "org.opencontainers.image.version": "1.0.0",
        "org.opencontainers.image.licenses": (
            "Apache-2.0 AND MIT AND Apache-2.0 WITH LLVM-exception"
        ),
        "org.opencontainers.image.source": "codec-src/zlib-rs",
        "org.opencontainers.image.description": (
            "DEFLATE in the zlib format, RFC 1950, with the checksum verified"
        ),
    }


def test_the_same_file_is_the_same_artifact() -> None:
    first = codec_artifact(codec("core"))
    assert codec_artifact(codec("core")) == first
    later = codec_artifact(codec("core"), created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert documents(later)[1]["created"] == "2026-01-02T03:04:05Z"
    assert later.descriptor != first.descriptor
    assert first.size_bytes == len(first.manifest) + sum(len(blob.data) for blob in first.blobs)


def test_a_referrer_is_an_artifact_with_a_subject() -> None:
    subject = Descriptor(MANIFEST_TYPE, Digest.sha256(b"a"), 1, "x/y", {"left": "out"})
    layer = Blob("text/plain", b"words", "words.txt")
    artifact = referrer(
        subject, artifact_type="text/words", layers=[layer], annotations={"said": "b"}
    )
    manifest, config = documents(artifact)
    assert config == {}
    assert manifest == {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": "text/words",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": str(Digest.sha256(b"{}")),
            "size": 2,
        },
        "layers": [layer.descriptor.to_json()],
        "subject": {"mediaType": MANIFEST_TYPE, "digest": str(subject.digest), "size": 1},
        "annotations": {"said": "b"},
    }
