"""Artifacts as they are written: a codec, and a referrer of one.

    codec       application/vnd.oci.image.manifest.v1+json
      config      application/vnd.wasm.config.v0+json      os: wasip2 for a component, else wasip1
      layer       application/wasm                         exactly one
      annotations org.opencontainers.image.*, and the signature as `dev.chonkle.signature`

    referrer    application/vnd.oci.image.manifest.v1+json
      artifactType, subject                                its type, and what it is about
      config      application/vnd.oci.empty.v1+json
      layers      its content

The same input gives the same bytes: keys are sorted, and the time is an argument.

Sources: CNCF TAG Runtime, "Wasm OCI Artifact layout"; OCI Image Specification 1.1 (manifest,
annotations, "Guidelines for Artifact Usage").
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chonkle.digest import Digest
from chonkle.errors import WasmFormatError
from chonkle.formats.component_binary import read_interface
from chonkle.oci.model import (
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    MANIFEST_TYPE,
    WASM_CONFIG_TYPE,
    WASM_LAYER_TYPE,
    Descriptor,
)
from chonkle.oci.repository import Progress, Repository
from chonkle.storage.store import WasmCodec

SIGNATURE_ANNOTATION = "dev.chonkle.signature"
_TITLE = "org.opencontainers.image.title"
# Annotation -> field of a signature.
_ANNOTATIONS = {
    "org.opencontainers.image.version": "version",
    "org.opencontainers.image.licenses": "license",
    "org.opencontainers.image.source": "source",
    "org.opencontainers.image.description": "description",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Blob:
    """A config or a layer."""

    media_type: str
    data: bytes
    title: str = ""  # the name of a file for it; empty for none

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor for a manifest."""
        annotations = {_TITLE: self.title} if self.title else {}
        return Descriptor(
            self.media_type, Digest.sha256(self.data), len(self.data), annotations=annotations
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest with its blobs."""

    manifest: bytes
    blobs: tuple[Blob, ...]  # its config and its layers

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest."""
        return Descriptor(MANIFEST_TYPE, Digest.sha256(self.manifest), len(self.manifest))

    @property
    def size_bytes(self) -> int:
        """The size of the manifest and all blobs."""
        return len(self.manifest) + sum(len(blob.data) for blob in self.blobs)

    def write(
        self, repository: Repository, *, tag: str | None = None, progress: Progress | None = None
    ) -> Descriptor:
        """Write the artifact, its manifest last.

        Args:
            repository: the destination.
            tag: its tag; none when left out.
            progress: called for each blob.

        Raises:
            FetchError: when the repository refuses it.
        """
        for blob in self.blobs:
            repository.write_blob(blob.data, blob.media_type, progress=progress)
        return repository.write_manifest(self.manifest, MANIFEST_TYPE, tag=tag)


def codec_artifact(codec: WasmCodec, *, created: datetime = _EPOCH) -> Artifact:
    """Make the artifact of a codec.

    Args:
        codec: a core module or component.
        created: its time, which changes its digest.

    Raises:
        WasmFormatError: when its imports and exports cannot be read.
    """
    layer = Blob(WASM_LAYER_TYPE, codec.wasm, codec.file_name)
    config = Blob(WASM_CONFIG_TYPE, _to_json(_config(codec, layer, created)))
    document = codec.signature.document
    annotations = {
        _TITLE: codec.signature.label,
        SIGNATURE_ANNOTATION: _to_json(codec.signature.to_json()).decode(),
        **{
            name: text
            for name, field in _ANNOTATIONS.items()
            if isinstance(text := document.get(field), str) and text
        },
    }
    return _artifact(config, [layer], {"annotations": annotations})


def referrer(
    subject: Descriptor,
    *,
    artifact_type: str,
    layers: Sequence[Blob],
    annotations: Mapping[str, str] | None = None,
) -> Artifact:
    """Make an artifact about another one.

    Args:
        subject: the manifest that it is about.
        artifact_type: its type.
        layers: its content, at least one.
        annotations: of its manifest.
    """
    fields: dict[str, object] = {
        "artifactType": artifact_type,
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
    }
    if annotations:
        fields["annotations"] = dict(annotations)
    return _artifact(Blob(EMPTY_CONFIG_TYPE, EMPTY_CONFIG), layers, fields)


def _artifact(config: Blob, layers: Sequence[Blob], fields: Mapping[str, object]) -> Artifact:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor.to_json(),
        "layers": [layer.descriptor.to_json() for layer in layers],
        **fields,
    }
    return Artifact(_to_json(manifest), (config, *layers))


def _config(codec: WasmCodec, layer: Blob, created: datetime) -> dict[str, object]:
    config: dict[str, object] = {
        "created": created.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "author": None,
        "architecture": "wasm",
        "os": "wasip2" if codec.kind == "component" else "wasip1",
        "layerDigests": [str(layer.descriptor.digest)],
    }
    if codec.kind == "component":
        try:
            interface = read_interface(codec.wasm)
        except WasmFormatError as failure:
            raise failure.within(codec.origin) from failure
        config["component"] = {
            "exports": [each.name for each in interface.exports],
            "imports": [each.name for each in interface.imports],
            "target": None,
        }
    return config


def _to_json(document: object) -> bytes:
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()
