"""Attestations: signatures of artifacts in the two layouts of cosign, and of files.

    classic   tag `sha256-<hex of the subject>.sig` ──▶ manifest, one layer for each signature
                layer       application/vnd.dev.cosign.simplesigning.v1+json: the payload
                annotation  dev.cosignproject.cosign/signature: base64 of the signature over it

    bundle    subject ◀── manifest of the type application/vnd.dev.sigstore.bundle.v0.3+json
                layer       of the same type: a bundle with a DSSE envelope
                              payload     an in-toto statement, predicate `cosign/sign/v1`
                              signatures  over `DSSEv1 <length> <type> <length> <payload>`

    file      NAME.bundle.json: a bundle with a signature over the bytes of the file NAME

A subject is a digest of a manifest or an index; a tag is never signed. A public key is enough to
verify: no network, transparency log or certificate is needed.

Sources: cosign, `specs/SIGNATURE_SPEC.md` and `specs/BUNDLE_SPEC.md`; containers/image, "Simple
Signing"; Sigstore bundle 0.3; in-toto Statement v1; DSSE 1.0.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from chonkle.digest import Digest
from chonkle.errors import AttestationError, FetchError
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import format_value
from chonkle.oci.model import (
    EMPTY_CONFIG,
    EMPTY_CONFIG_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    parse_descriptor,
)
from chonkle.oci.pem import from_base64, to_base64
from chonkle.oci.repository import Repository

if TYPE_CHECKING:
    from chonkle.oci.keys import PublicKey
    from chonkle.oci.private_keys import PrivateKey

Layout = Literal["classic", "bundle"]

LAYOUTS: tuple[Layout, ...] = ("classic", "bundle")
# The ending of the attestation beside a file.
BUNDLE_SUFFIX = ".bundle.json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
DOCUMENT_MAX_BYTES = 1 << 20

_IMAGE_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
_PAYLOAD_KIND = "cosign container image signature"
_SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
_SIGNATURE_MAX_BYTES = 1024
_BUNDLE_ANNOTATIONS = {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": SIGN_PREDICATE,
}
# The fields of Sigstore bundle 0.3, DSSE 1.0 and in-toto Statement v1.
_BUNDLE_FIELDS = ("mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature")
_MATERIAL_FIELDS = ("publicKey", "tlogEntries", "timestampVerificationData")
_STATEMENT_FIELDS = ("_type", "subject", "predicateType", "predicate")
# A registry may list attestations without end.
ATTESTATIONS_MAX = 64
_SUBJECTS_MAX = 64
_NO_DATE = "0001-01-01T00:00:00Z"


def _parse(text: bytes, *, what: str) -> object:
    if text.startswith(BOM_UTF8):
        # Not allowed (RFC 8259, section 8.1); cosign refuses it too.
        raise AttestationError(f"{what}: begins with a byte order mark", expected="a JSON document")
    return parse_json(text, what=what, error=AttestationError)


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation as it is stored, unverified."""

    layout: Layout
    document: bytes  # the payload of the classic layout, or the bundle
    signature: bytes = b""  # over the payload; empty for a bundle, which has its own


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified attestation."""

    key: str  # the name of the accepted key that made it
    subject: Digest  # the digest that it attests
    layout: Layout
    identity: str = ""  # the repository that the signer names, `host/path`; empty for none


@dataclass(frozen=True, slots=True)
class _Statement:
    """The subjects of a signed document, with their identities, and the exact bytes signed."""

    subjects: Mapping[Digest, str]
    message: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """The attestations of an artifact that could be read, and why others could not."""

    attestations: tuple[Attestation, ...] = ()
    problems: tuple[str, ...] = ()


def verify(
    attestation: Attestation,
    *,
    subjects: Collection[Digest],
    keys: Mapping[str, "PublicKey"],
    file: bytes | None = None,
) -> Verified:
    """Verify an attestation of an artifact.

    Args:
        attestation: the attestation.
        subjects: digests of the artifact; one of them must be attested.
        keys: the accepted keys, by name.
        file: the artifact's bytes, where it is a file.

    Raises:
        AttestationError: when it is malformed, attests something else, or no accepted key made it.
    """
    if len(attestation.document) > DOCUMENT_MAX_BYTES:
        raise AttestationError(f"more than {DOCUMENT_MAX_BYTES} bytes")
    if attestation.layout == "classic":
        statement = _classic(attestation)
    else:
        statement = _bundle(attestation, file)
    attested = [digest for digest in statement.subjects if digest in subjects]
    if not attested:
        raise AttestationError(
            "it attests another artifact",
            expected=" or ".join(f"`{each}`" for each in subjects),
            got=", ".join(f"`{each}`" for each in statement.subjects),
        )
    for name, key in keys.items():
        if key.verifies(statement.signature, statement.message):
            identity = statement.subjects[attested[0]]
            return Verified(name, attested[0], attestation.layout, identity)
    raise AttestationError(
        "no accepted key made this signature",
        expected=", ".join(f"`{name}` ({key})" for name, key in keys.items()) or "no key at all",
    )


def read_attestations(repository: Repository, subject: Digest) -> Found:
    """Read all attestations of an artifact, in both layouts.

    Raises:
        FetchError: when the repository cannot be asked.
    """
    found: list[Attestation] = []
    problems: list[str] = []
    for listed, read in _LAYOUT_READERS:
        try:
            places = listed(repository, subject)
        except AttestationError as failure:
            problems.append(str(failure))
            continue
        for place in places:
            if len(found) + len(problems) >= ATTESTATIONS_MAX:
                problems.append(f"only the first {ATTESTATIONS_MAX} attestations are looked at")
                return Found(tuple(found), tuple(problems))
            try:
                attestation = read(repository, subject, place)
            except (AttestationError, FetchError) as failure:
                problems.append(str(failure))
            else:
                found.extend([] if attestation is None else [attestation])
    return Found(tuple(found), tuple(problems))


def sign(
    repository: Repository,
    subject: Descriptor,
    key: "PrivateKey",
    *,
    layouts: Sequence[Layout],
    identity: str = "",
) -> list[Layout]:
    """Attest an artifact, beside the attestations of others.

    Args:
        repository: where the artifact is.
        subject: its manifest or index.
        key: the key.
        layouts: how to store the attestation.
        identity: the repository that readers shall find the artifact in, `host/path`.

    Returns:
        The layouts that were written: those without an attestation of this key before.

    Raises:
        FetchError: when the repository cannot be asked, or refuses.
        AttestationError: when the tag of the classic layout holds something else.
    """
    written: list[Layout] = []
    with repository.exclusive():
        known = read_attestations(repository, subject.digest).attestations
        for layout in layouts:
            wanted = Verified("key", subject.digest, layout, identity)
            if any(_made_by(key, each, subject.digest) == wanted for each in known):
                continue
            write = _write_classic if layout == "classic" else _write_bundle
            write(repository, subject, key, identity)
            written.append(layout)
    return written


def sign_file(data: bytes, key: "PrivateKey") -> bytes:
    """Attest a file: make the bundle that goes beside it, which `cosign verify-blob` reads too."""
    digest = bytes.fromhex(Digest.sha256(data).hex)
    content = {
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": to_base64(digest)},
            "signature": to_base64(key.sign(data)),
        }
    }
    return _bundled(key, content)


def _made_by(key: "PrivateKey", attestation: Attestation, subject: Digest) -> Verified | None:
    try:
        return verify(attestation, subjects=(subject,), keys={"key": key.public})
    except AttestationError:
        return None


# The classic layout


def _classic(attestation: Attestation) -> _Statement:
    what = "payload"
    document = _object(_parse(attestation.document, what=what), what)
    critical = _object(document, what, "critical")
    image = _object(critical, what, "image")
    named = _object(critical, what, "identity")
    identity = _text(named, what, "docker-reference")
    # A reader may not ignore a critical field that it does not know. A document with more fields is
    # of another format, and its signature is not that of an image.
    _require_known(document, what, "critical", "optional")
    _require_known(critical, f"{what}: `critical`", "identity", "image", "type")
    _require_known(named, f"{what}: `identity`", "docker-reference")
    _require_known(image, f"{what}: `image`", "docker-manifest-digest")
    _require(critical, what, "type", _PAYLOAD_KIND)
    subject = _digest(_text(image, what, "docker-manifest-digest"), what)
    return _Statement({subject: identity}, attestation.document, attestation.signature)


def _payload(subject: Digest, identity: str) -> bytes:
    return _compact(
        {
            "critical": {
                "identity": {"docker-reference": identity},
                "image": {"docker-manifest-digest": str(subject)},
                "type": _PAYLOAD_KIND,
            },
            "optional": None,
        }
    )


def _classic_tag(subject: Digest) -> str:
    return f"{subject.algorithm}-{subject.hex}.sig"


def _read_classic(repository: Repository, subject: Digest, layer: object) -> Attestation | None:
    what = f"layer of `{_classic_tag(subject)}`"
    descriptor = _parsed_descriptor(layer, what)
    if descriptor.media_type != _PAYLOAD_TYPE:
        return None
    descriptor.require_size(DOCUMENT_MAX_BYTES, what=what)
    signature = from_base64(
        descriptor.annotations.get(_SIGNATURE_ANNOTATION),
        what=f"{what}: annotation `{_SIGNATURE_ANNOTATION}`",
        size_max=_SIGNATURE_MAX_BYTES,
    )
    return Attestation("classic", repository.blob(descriptor), signature)


def _classic_layers(repository: Repository, subject: Digest) -> list[object]:
    tag = _classic_tag(subject)
    if repository.resolve(tag) is None:
        return []
    document = _parse(repository.manifest(tag).data, what=tag)
    layers = document.get("layers") if isinstance(document, dict) else None
    if not isinstance(layers, list):
        raise AttestationError(f"{repository.name}: the tag `{tag}` holds no attestations")
    return layers


def _write_classic(
    repository: Repository, subject: Descriptor, key: "PrivateKey", identity: str
) -> None:
    payload = _payload(subject.digest, identity)
    blob = repository.write_blob(payload, _PAYLOAD_TYPE).to_json()
    layer = {**blob, "annotations": {_SIGNATURE_ANNOTATION: to_base64(key.sign(payload))}}
    # The layers of others stay as they are. A registry cannot be told to move a tag only from the
    # manifest that was read: of two signatures at the same moment, it may lose one.
    layers = [*_classic_layers(repository, subject.digest), layer]
    tag = _classic_tag(subject.digest)
    config = {
        "architecture": "",
        "created": _NO_DATE,
        "history": [{"created": _NO_DATE} for _ in layers],
        "os": "",
        "rootfs": {
            "type": "layers",
            "diff_ids": [str(parse_descriptor(each, tag).digest) for each in layers],
        },
        "config": {},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": repository.write_blob(_compact(config), _IMAGE_CONFIG_TYPE).to_json(),
        "layers": layers,
    }
    repository.write_manifest(_compact(manifest), MANIFEST_TYPE, tag=tag)


# The layout of bundles


def _bundle(attestation: Attestation, file: bytes | None) -> _Statement:
    what = "bundle"
    bundle = _object(_parse(attestation.document, what=what), what)
    _require(bundle, what, "mediaType", BUNDLE_TYPE)
    _require_known(bundle, what, *_BUNDLE_FIELDS)
    material = _object(bundle, what, "verificationMaterial")
    if "publicKey" not in material or material.keys() & {"certificate", "x509CertificateChain"}:
        raise AttestationError(
            f"{what}: made with a certificate", expected="an attestation that was made with a key"
        )
    _require_known(material, f"{what}: `verificationMaterial`", *_MATERIAL_FIELDS)
    _require_known(_object(material, what, "publicKey"), f"{what}: `publicKey`", "hint")
    contents = bundle.keys() & {"dsseEnvelope", "messageSignature"}
    if contents == {"dsseEnvelope"}:
        return _enveloped(_object(bundle, what, "dsseEnvelope"))
    if contents == {"messageSignature"} and file is not None:
        return _of_file(_object(bundle, what, "messageSignature"), file)
    raise AttestationError(
        f"{what}: attests no artifact", expected="a DSSE envelope, or for a file its signature"
    )


def _enveloped(envelope: Mapping[str, object]) -> _Statement:
    what = "envelope"
    payload = from_base64(envelope.get("payload"), what=what, size_max=DOCUMENT_MAX_BYTES)
    _require(envelope, what, "payloadType", IN_TOTO_TYPE)
    _require_known(envelope, what, "payload", "payloadType", "signatures")
    listed = envelope.get("signatures")
    if not isinstance(listed, list) or len(listed) != 1:
        # Sigstore bundle 0.3. With several, readers could disagree on which must hold.
        raise AttestationError(f"{what}: expected one signature")
    signed = _object(listed[0], what)
    _require_known(signed, what, "sig", "keyid")
    signature = _signature(signed, what, "sig")
    statement = parse_statement(payload)
    _require_known(statement.document, "statement", *_STATEMENT_FIELDS)
    _require(statement.document, "statement", "predicateType", SIGN_PREDICATE)
    _object(statement.document, "statement", "predicate")
    return _Statement(statement.subjects, _encoded_for_signing(payload), signature)


def _of_file(signed: Mapping[str, object], file: bytes) -> _Statement:
    what = "signature of a file"
    _require_known(signed, what, "messageDigest", "signature")
    claimed = _object(signed, what, "messageDigest")
    _require_known(claimed, what, "algorithm", "digest")
    digest = Digest.sha256(file)
    # cosign leaves it out for keys with another hash; the signature is over the file anyway.
    if claimed:
        _require(claimed, what, "algorithm", "SHA2_256")
        found = from_base64(claimed.get("digest"), what=what, size_max=32)
        digest = _digest(f"sha256:{found.hex()}", what)
    return _Statement({digest: ""}, file, _signature(signed, what, "signature"))


def _encoded_for_signing(payload: bytes) -> bytes:
    """Return the bytes that the signature of an envelope is over (DSSE 1.0, "PAE")."""
    kind = IN_TOTO_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto statement."""

    # The digests that it is about, with their names, which may be empty.
    subjects: Mapping[Digest, str]
    document: Mapping[str, object]


def parse_statement(text: bytes) -> Statement:
    """Read an in-toto statement.

    Raises:
        AttestationError: when it is malformed, or has no subject with a SHA-256 digest.
    """
    what = "statement"
    document = _object(_parse(text, what=what), what)
    _require(document, what, "_type", STATEMENT_TYPE)
    listed = document.get("subject")
    if not isinstance(listed, list) or not 0 < len(listed) <= _SUBJECTS_MAX:
        raise AttestationError(f"{what}: expected 1 to {_SUBJECTS_MAX} subjects")
    subjects = {}
    for each in listed:
        subject = _object(each, what)
        digits = _text(_object(subject, what, "digest"), what, "sha256")
        name = subject.get("name", "")
        if not isinstance(name, str):
            raise AttestationError(
                f"{what}: the name of a subject is no text", got=format_value(name)
            )
        subjects[_digest(f"sha256:{digits}", what)] = name
    return Statement(subjects, document)


def _bundle_referrers(repository: Repository, subject: Digest) -> list[Descriptor]:
    # Where a registry has no referrers API, cosign lists bundles with the type of their config.
    return [
        each
        for each in repository.referrers(subject)
        if each.artifact_type in (BUNDLE_TYPE, EMPTY_CONFIG_TYPE, "")
    ]


def _read_bundle(
    repository: Repository, subject: Digest, referrer: Descriptor
) -> Attestation | None:
    what = f"referrer `{referrer.digest}`"
    manifest = _object(_parse(repository.manifest(referrer.digest).data, what=what), what)
    if manifest.get("artifactType") != BUNDLE_TYPE:
        return None
    layer = only_layer(manifest, subject, what=what)
    if layer.media_type != BUNDLE_TYPE:
        raise AttestationError(
            f"{what}: wrong layer", expected=f"`{BUNDLE_TYPE}`", got=f"`{layer.media_type}`"
        )
    return Attestation("bundle", repository.blob(layer))


def only_layer(manifest: Mapping[str, object], subject: Digest, *, what: str) -> Descriptor:
    """Return the one layer of a referrer.

    Args:
        manifest: the referrer.
        subject: the digest that it must refer to.
        what: the referrer, for messages.

    Raises:
        AttestationError: when it refers to something else, or has no such layer.
        FetchError: when the layer is too large.
    """
    named = _parsed_descriptor(manifest.get("subject"), what).digest
    if named != subject:
        raise AttestationError(
            f"{what}: refers to another artifact", expected=f"`{subject}`", got=f"`{named}`"
        )
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) != 1:
        raise AttestationError(f"{what}: expected one layer")
    layer = _parsed_descriptor(layers[0], what)
    layer.require_size(DOCUMENT_MAX_BYTES, what=what)
    return layer


def _parsed_descriptor(document: object, what: str) -> Descriptor:
    try:
        return parse_descriptor(document, what)
    except FetchError as failure:
        raise AttestationError(str(failure)) from failure


def _write_bundle(
    repository: Repository, subject: Descriptor, key: "PrivateKey", identity: str
) -> None:
    named = {"name": identity} if identity else {}
    payload = _compact(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{**named, "digest": {"sha256": subject.digest.hex}}],
            "predicateType": SIGN_PREDICATE,
            "predicate": {},
        }
    )
    envelope = {
        "payload": to_base64(payload),
        "payloadType": IN_TOTO_TYPE,
        "signatures": [{"sig": to_base64(key.sign(_encoded_for_signing(payload)))}],
    }
    bundle = repository.write_blob(_bundled(key, {"dsseEnvelope": envelope}), BUNDLE_TYPE)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": BUNDLE_TYPE,
        "config": repository.write_blob(EMPTY_CONFIG, EMPTY_CONFIG_TYPE).to_json(),
        "layers": [bundle.to_json()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
        "annotations": _BUNDLE_ANNOTATIONS,
    }
    repository.write_manifest(_compact(manifest), MANIFEST_TYPE)


def _bundled(key: "PrivateKey", content: Mapping[str, object]) -> bytes:
    material = {"publicKey": {"hint": key.public.hint}}
    return _compact({"mediaType": BUNDLE_TYPE, "verificationMaterial": material, **content})


# JSON that others wrote


def _object(value: object, what: str, name: str = "") -> Mapping[str, object]:
    """Require a JSON object, or with a name, that the member of that name is one."""
    member = value.get(name) if name and isinstance(value, dict) else value
    if not isinstance(member, dict):
        raise AttestationError(f"{what}: {f'`{name}` is' if name else ''} not a JSON object")
    return member


def _text(fields: Mapping[str, object], what: str, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise AttestationError(f"{what}: `{name}` is no text", got=format_value(value))
    return value


def _require(fields: Mapping[str, object], what: str, name: str, wanted: str) -> None:
    if fields.get(name) != wanted:
        raise AttestationError(
            f"{what}: wrong `{name}`", expected=f"`{wanted}`", got=format_value(fields.get(name))
        )


def _require_known(fields: Mapping[str, object], what: str, *known: str) -> None:
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise AttestationError(
            f"{what}: unknown fields",
            expected=", ".join(f"`{each}`" for each in known),
            got=format_value(unknown),
        )


def _signature(fields: Mapping[str, object], what: str, name: str) -> bytes:
    return from_base64(fields.get(name), what=what, size_max=_SIGNATURE_MAX_BYTES)


def _digest(text: str, what: str) -> Digest:
    try:
        return Digest.parse(text)
    except FetchError as failure:
        raise AttestationError(f"{what}: {failure}") from failure


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


_LAYOUT_READERS: tuple[
    tuple[
        Callable[[Repository, Digest], Sequence[Any]],
        Callable[[Repository, Digest, Any], Attestation | None],
    ],
    ...,
] = ((_classic_layers, _read_classic), (_bundle_referrers, _read_bundle))
