"""Attachments of a published codec, as OCI referrers: golden vectors and provenance.

    golden vectors   artifactType and layer  application/vnd.chonkle.vectors.v1+jsonl
                     a line for each, in JSON: {"case": name, "vector": what its file holds}
    provenance       artifactType and layer  application/vnd.in-toto+json
                     an in-toto Statement v1, whose subject is the wasm file, with a predicate of
                     SLSA v1 made of the codec's entry in codecs.lock

Neither holds a time, so that publishing again makes the same bytes.

Sources: in-toto Attestation Framework, "Statement layer specification, v1"; SLSA, "Provenance",
version 1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import BuildError
from chonkle.formats.json_text import parse_json
from chonkle.oci.artifact import Artifact, Blob, referrer
from chonkle.oci.attestation import IN_TOTO_TYPE, STATEMENT_TYPE
from chonkle.oci.model import Descriptor
from chonkle.storage.store import WasmCodec
from chonkle_toolchain.codecs_lock import Built
from chonkle_toolchain.vectors import Vector, parse_vector, read_vector_texts

VECTORS_TYPE = "application/vnd.chonkle.vectors.v1+jsonl"
PROVENANCE_TYPE = IN_TOTO_TYPE
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
VECTORS_MAX_BYTES = 256 << 20

BUILD_TYPE = "urn:chonkle:build:2"
_BUILDER = "urn:chonkle:toolchain"
# Readers list referrers without reading them (in-toto, "Storing attestations").
_PREDICATE_ANNOTATION = "in-toto.io/predicate-type"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment of a published codec.

    Attributes:
        name: in words.
        artifact_type: its type.
        layer: its content.
        annotations: of its manifest, for lists of referrers.
    """

    name: str
    artifact_type: str
    layer: Blob
    annotations: Mapping[str, str] = field(default_factory=dict)

    def referrer_of(self, subject: Descriptor) -> Artifact:
        """Make the referrer of a manifest."""
        return referrer(
            subject,
            artifact_type=self.artifact_type,
            layers=[self.layer],
            annotations=self.annotations,
        )


def vectors_attachment(folder: Path) -> Attachment | None:
    """Pack the golden vectors in a folder; None where there are none.

    Raises:
        BuildError: when one is malformed.
    """
    lines = [
        _to_json({"case": case, "vector": parse_json(text, what=case, error=BuildError)})
        for case, text in read_vector_texts(folder)
    ]
    if not lines:
        return None
    layer = Blob(VECTORS_TYPE, b"".join(lines), "vectors.jsonl")
    return Attachment("golden vectors", VECTORS_TYPE, layer)


def read_vectors_layer(data: bytes, *, what: str) -> list[Vector]:
    """Read packed golden vectors.

    Args:
        data: the layer.
        what: where it is from, for messages.

    Raises:
        BuildError: when one is malformed.
    """
    vectors = []
    for number, line in enumerate(data.splitlines(), 1):
        where = f"{what}: line {number} of the golden vectors"
        match parse_json(line, what=where, error=BuildError):
            case {"case": str(case), "vector": document}:
                vectors.append(parse_vector(document, case=case, what=where))
            case _:
                raise BuildError(f"{where}: malformed", expected="an object with a case")
    return vectors


def provenance_attachment(codec: WasmCodec, built: Built) -> Attachment:
    """Make the provenance of a codec: its sources and its tools.

    Args:
        codec: the file.
        built: its entry in codecs.lock.
    """
    name = codec.signature.implementation
    fingerprint = built.fingerprint
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": codec.file_name, "digest": {"sha256": Digest.sha256(codec.wasm).hex}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "implementation": name,
                    "version": built.version,
                    "form": codec.kind,
                    "recipe": {"blake3": fingerprint.parts.get("recipe", "")},
                },
                "internalParameters": {"codecs.lock": {name: built.to_toml()}},
                "resolvedDependencies": [
                    {"name": each, "digest": {"blake3": digest}}
                    for each, digest in sorted({**fingerprint.sources, **fingerprint.parts}.items())
                ],
            },
            "runDetails": {
                "builder": {
                    "id": _BUILDER,
                    "version": dict(sorted(fingerprint.toolset.items())),
                }
            },
        },
    }
    layer = Blob(PROVENANCE_TYPE, _to_json(statement), "provenance.json")
    annotations = {_PREDICATE_ANNOTATION: PREDICATE_TYPE}
    return Attachment("provenance", PROVENANCE_TYPE, layer, annotations)


def _to_json(document: object) -> bytes:
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{text}\n".encode()
