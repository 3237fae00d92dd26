"""Attestations in both layouts and of files: made, found and checked; and everything tampered with.

What openssl 3.0 signed with the fixed keys in `tests/golden/attestations`, and what cosign 3.1.1
wrote there, is the reference; `tests/e2e/test_cosign.py` runs cosign itself.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.digest import Digest
from chonkle.errors import AttestationError, FetchError
from chonkle.oci.attestation import (
    ATTESTATIONS_MAX,
    BUNDLE_TYPE,
    IN_TOTO_TYPE,
    LAYOUTS,
    Attestation,
    Layout,
    Verified,
    read_attestations,
    sign,
    sign_file,
    verify,
)
from chonkle.oci.keys import ALGORITHMS, Algorithm, PublicKey
from chonkle.oci.model import MANIFEST_TYPE, Descriptor
from chonkle.oci.pem import to_base64
from chonkle.oci.private_keys import PrivateKey

type Repository = Any  # MemoryRepository of the conftest
type PrivateKeys = dict[str, PrivateKey]

SUBJECT = Digest("sha256", "c60b8dafdfbd6bb34335bc38928da412a6ff0a9b05680af0dc91b16d7f50b037")
OTHER = Digest.sha256(b"another")
IDENTITY = "registry.test/codecs/x"


def bundle_of(key: PublicKey, statement: bytes, *signatures: bytes) -> dict[str, Any]:
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key.hint}},
        "dsseEnvelope": {
            "payload": to_base64(statement),
            "payloadType": IN_TOTO_TYPE,
            "signatures": [{"sig": to_base64(each)} for each in signatures],
        },
    }


@dataclass(frozen=True)
class Golden:
    """What openssl made: a key, and an attestation of `SUBJECT` in each layout."""

    folder: Path
    algorithm: Algorithm

    @property
    def key(self) -> PublicKey:
        return PublicKey.from_file(self.folder / f"{self.algorithm}.pub")

    @property
    def classic(self) -> Attestation:
        payload = (self.folder / "payload.json").read_bytes()
        signature = (self.folder / f"payload.json.{self.algorithm}.sig").read_bytes()
        return Attestation("classic", payload, signature)

    @property
    def document(self) -> dict[str, Any]:
        statement = (self.folder / "statement.json").read_bytes()
        signature = (self.folder / f"statement.pae.{self.algorithm}.sig").read_bytes()
        return bundle_of(self.key, statement, signature)

    @property
    def bundle(self) -> Attestation:
        return bundled(self.document)

    def of(self, layout: Layout) -> Attestation:
        return self.classic if layout == "classic" else self.bundle


def bundled(document: object) -> Attestation:
    return Attestation("bundle", json.dumps(document, separators=(",", ":")).encode())


@pytest.fixture(params=ALGORITHMS)
def made(request: pytest.FixtureRequest, golden: Path) -> Golden:
    return Golden(golden, request.param)


def check(attestation: Attestation, **keys: PublicKey) -> Verified:
    return verify(attestation, subjects=(OTHER, SUBJECT), keys=keys)


def refusal(attestation: Attestation, **keys: PublicKey) -> str:
    with pytest.raises(AttestationError) as caught:
        check(attestation, **keys)
    return str(caught.value)


# What others signed


def test_what_openssl_signed_is_verified(made: Golden) -> None:
    assert check(made.classic, me=made.key) == Verified("me", SUBJECT, "classic", IDENTITY)
    assert check(made.bundle, me=made.key) == Verified("me", SUBJECT, "bundle")


def test_what_cosign_wrote_is_verified(golden: Path) -> None:
    key = PublicKey.from_file(golden / "cosign.pub")
    payload = (golden / "cosign-payload.json").read_bytes()
    classic = Attestation("classic", payload, (golden / "cosign-payload.json.sig").read_bytes())
    assert check(classic, me=key).layout == "classic"
    bundle = Attestation("bundle", (golden / "cosign-bundle.json").read_bytes())
    assert check(bundle, me=key).layout == "bundle"
    data = (golden / "cosign-file.txt").read_bytes()
    of_file = Attestation("bundle", (golden / "cosign-file.txt.bundle.json").read_bytes())
    found = verify(of_file, subjects=(Digest.sha256(data),), keys={"me": key}, file=data)
    assert found.subject == Digest.sha256(data)


# What is made here


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_is_found_and_verified(
    algorithm: Algorithm, repository: Repository, private_keys: PrivateKeys
) -> None:
    key, subject = private_keys[algorithm], repository.push(b"codec")
    assert sign(repository, subject, key, layouts=LAYOUTS, identity=IDENTITY) == list(LAYOUTS)
    found = read_attestations(repository, subject.digest)
    assert found.problems == ()
    assert [
        verify(each, subjects=(subject.digest,), keys={"me": key.public})
        for each in found.attestations
    ] == [Verified("me", subject.digest, layout, IDENTITY) for layout in LAYOUTS]


def test_a_key_signs_only_once(repository: Repository, private_keys: PrivateKeys) -> None:
    key, other = private_keys.values()
    subject = repository.push(b"codec")
    sign(repository, subject, key, layouts=LAYOUTS, identity=IDENTITY)
    before = set(repository.manifests), set(repository.blobs)
    assert sign(repository, subject, key, layouts=LAYOUTS, identity=IDENTITY) == []
    assert (set(repository.manifests), set(repository.blobs)) == before
    # Another name for the repository, and another key, say something new.
    assert sign(repository, subject, key, layouts=("classic",), identity="else") == ["classic"]
    assert sign(repository, subject, other, layouts=LAYOUTS, identity=IDENTITY) == list(LAYOUTS)
    assert len(read_attestations(repository, subject.digest).attestations) == 5


def test_what_others_signed_stays(repository: Repository, private_keys: PrivateKeys) -> None:
    subject = repository.push(b"codec")
    blob = repository.write_blob(b"theirs", "application/vnd.dev.cosign.simplesigning.v1+json")
    theirs = {
        **blob.to_json(),
        "annotations": {
            "dev.cosignproject.cosign/signature": "QQ==",
            "dev.sigstore.cosign/bundle": "{}",
        },
    }
    config = repository.write_blob(b"{}", "application/vnd.oci.image.config.v1+json").to_json()
    tag = f"sha256-{subject.digest.hex}.sig"
    document = {"schemaVersion": 2, "config": config, "layers": [theirs]}
    repository.write_manifest(json.dumps(document).encode(), MANIFEST_TYPE, tag=tag)
    sign(repository, subject, private_keys["ed25519"], layouts=("classic",), identity=IDENTITY)
    manifest = json.loads(repository.manifest(tag).data)
    first, second = manifest["layers"]
    assert first == theirs
    config = json.loads(repository.blobs[Digest.parse(manifest["config"]["digest"])])
    assert config["rootfs"]["diff_ids"] == [first["digest"], second["digest"]]
    assert len(config["history"]) == 2


def test_a_foreign_tag_is_not_overwritten(
    repository: Repository, private_keys: PrivateKeys
) -> None:
    subject = repository.push(b"codec")
    tag = f"sha256-{subject.digest.hex}.sig"
    repository.write_manifest(b'{"manifests": []}', MANIFEST_TYPE, tag=tag)
    with pytest.raises(AttestationError, match=r"\.sig` holds no attestations"):
        sign(repository, subject, private_keys["ed25519"], layouts=("classic",))
    # The other layout does not suffer.
    sign(repository, subject, private_keys["ed25519"], layouts=("bundle",))
    found = read_attestations(repository, subject.digest)
    assert [each.layout for each in found.attestations] == ["bundle"]
    assert len(found.problems) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_file_has_a_bundle_beside_it(algorithm: Algorithm, private_keys: PrivateKeys) -> None:
    key = private_keys[algorithm]
    bundle = Attestation("bundle", sign_file(b"codec", key))

    def checked(file: bytes, *subjects: bytes) -> Verified:
        digests = tuple(map(Digest.sha256, subjects))
        return verify(bundle, subjects=digests, keys={"me": key.public}, file=file)

    assert checked(b"codec", b"codec").key == "me"
    with pytest.raises(AttestationError, match="it attests another artifact"):
        checked(b"other", b"other")
    # Even a digest that was forged in the bundle does not make the signature fit.
    with pytest.raises(AttestationError, match="no accepted key"):
        checked(b"other", b"codec")
    with pytest.raises(AttestationError, match="attests no artifact"):
        verify(bundle, subjects=(SUBJECT,), keys={"me": key.public})


# What is refused


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_wrong_key_is_refused(layout: Layout, golden: Path, made: Golden) -> None:
    wrong = PublicKey.from_file(golden / "cosign.pub")
    words = refusal(made.of(layout), me=wrong)
    assert words == f"no accepted key made this signature, expected `me` ({wrong})"
    assert "no key at all" in refusal(made.of(layout))
    assert check(made.of(layout), wrong=wrong, right=made.key).key == "right"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_attestation_of_another_digest_is_refused(layout: Layout, made: Golden) -> None:
    with pytest.raises(AttestationError, match="another artifact") as caught:
        verify(made.of(layout), subjects=(OTHER,), keys={"me": made.key})
    assert str(OTHER) in str(caught.value)
    assert str(SUBJECT) in str(caught.value)


@given(data=st.data())
def test_a_bit_that_is_changed_is_refused(data: st.DataObject, golden: Path) -> None:
    made = Golden(golden, data.draw(st.sampled_from(ALGORITHMS)))
    attestation = data.draw(st.sampled_from([made.classic, made.bundle]))
    length = len(attestation.document)
    text = bytearray(attestation.document + attestation.signature)
    hint = bytes(text).find(made.key.hint.encode())
    at = data.draw(st.integers(0, len(text) - 1))
    if 0 <= hint <= at < hint + len(made.key.hint):
        return  # It only helps to find the key, and is not looked at.
    text[at] ^= 1 << data.draw(st.integers(0, 7))
    changed = Attestation(attestation.layout, bytes(text[:length]), bytes(text[length:]))
    refusal(changed, me=made.key)


type Change = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda d: d.update(mediaType="x"), "wrong `mediaType`", id="media-type"),
        pytest.param(
            lambda d: d.update(verificationMaterial={"certificate": {}}), "certificate", id="cert"
        ),
        pytest.param(lambda d: d.pop("verificationMaterial"), "not a JSON object", id="material"),
        pytest.param(lambda d: d.pop("dsseEnvelope"), "attests no artifact", id="empty"),
        pytest.param(
            lambda d: d.update(messageSignature={}), "attests no artifact", id="two-contents"
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"].update(payloadType="text/plain"),
            "wrong `payloadType`",
            id="payload-type",
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"].update(signatures=[]), "expected one signature", id="none"
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"]["signatures"].append({"sig": "QQ=="}),
            "expected one signature",
            id="one-more-that-is-bad",
        ),
        pytest.param(lambda d: d.update(more=1), "bundle: unknown fields", id="more"),
        pytest.param(
            lambda d: d["verificationMaterial"].update(certificate={"rawBytes": ""}),
            "made with a certificate",
            id="key-and-certificate",
        ),
        pytest.param(
            lambda d: d["verificationMaterial"].update(x509CertificateChain={}),
            "made with a certificate",
            id="key-and-chain",
        ),
        pytest.param(
            lambda d: d["verificationMaterial"].update(more=1),
            "`verificationMaterial`: unknown fields",
            id="more-material",
        ),
        pytest.param(
            lambda d: d["verificationMaterial"]["publicKey"].update(more=1),
            "`publicKey`: unknown fields",
            id="more-key",
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"].update(more=1), "envelope: unknown fields", id="more-dsse"
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"]["signatures"][0].update(cert=""),
            "envelope: unknown fields",
            id="more-signature",
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"].update(signatures=[{"sig": 1}]), "base64", id="number"
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"].update(signatures=[{"sig": "A" * 4096}]),
            "base64 of at most",
            id="long-signature",
        ),
        pytest.param(
            lambda d: d["dsseEnvelope"].update(payload=to_base64(b"[]")), "JSON object", id="list"
        ),
    ],
)
def test_a_malformed_bundle_is_refused(change: Change, words: str, made: Golden) -> None:
    document = made.document
    change(document)
    assert words in refusal(bundled(document), me=made.key)


def test_a_bundle_with_a_byte_order_mark_is_refused(made: Golden) -> None:
    document = b"\xef\xbb\xbf" + made.bundle.document
    assert "bundle: begins with a byte order mark" in refusal(
        Attestation("bundle", document), me=made.key
    )


def statement(**changed: Any) -> bytes:
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": SUBJECT.hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
        **changed,
    }
    return json.dumps(document).encode()


def envelope_of(key: PrivateKey, payload: bytes) -> Attestation:
    kind = IN_TOTO_TYPE
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    return bundled(bundle_of(key.public, payload, key.sign(message)))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        pytest.param(statement(_type="x"), "wrong `_type`", id="type"),
        pytest.param(
            statement(predicateType="https://slsa.dev/provenance/v1"),
            "wrong `predicateType`",
            id="provenance-is-no-signature",
        ),
        pytest.param(statement(subject=[]), "1 to 64 subjects", id="no-subject"),
        pytest.param(
            statement(subject=[{"digest": {"sha256": SUBJECT.hex}}] * 65), "1 to 64", id="many"
        ),
        pytest.param(statement(subject=[{"digest": {"sha512": "0"}}]), "`sha256` is", id="sha512"),
        pytest.param(
            statement(subject=[{"digest": {"sha256": SUBJECT.hex.upper()}}]),
            "malformed digest",
            id="upper-case",
        ),
        pytest.param(
            statement(subject=[{"name": 1, "digest": {"sha256": SUBJECT.hex}}]),
            "name of a subject",
            id="name",
        ),
        pytest.param(statement(more=1), "statement: unknown fields", id="more"),
        pytest.param(statement(predicate="x"), "`predicate` is not a JSON object", id="predicate"),
        pytest.param(b"\xef\xbb\xbf" + statement(), "byte order mark", id="bom"),
        pytest.param(b'{"_type": "a", "_type": "b"}', "occurs twice", id="twice"),
        pytest.param(b"\xff", "not UTF-8", id="bytes"),
    ],
)
def test_a_statement_that_is_signed_well_must_say_the_right_thing(
    payload: bytes, words: str, private_keys: PrivateKeys
) -> None:
    key = private_keys["ed25519"]
    assert check(envelope_of(key, statement()), me=key.public).key == "me"
    assert words in refusal(envelope_of(key, payload), me=key.public)


def payload_of(**changed: Any) -> bytes:
    critical = {
        "identity": {"docker-reference": ""},
        "image": {"docker-manifest-digest": str(SUBJECT)},
        "type": "cosign container image signature",
        **changed,
    }
    return json.dumps({"critical": critical, "optional": {"who": "cares"}}).encode()


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        pytest.param(payload_of(type="atomic container signature"), "wrong `type`", id="type"),
        pytest.param(payload_of(more=1), "`critical`: unknown fields", id="critical"),
        pytest.param(
            payload_of(identity={"docker-reference": "", "more": 1}),
            "`identity`: unknown fields",
            id="more-identity",
        ),
        pytest.param(
            payload_of(image={"docker-manifest-digest": str(SUBJECT), "more": 1}),
            "`image`: unknown fields",
            id="more-image",
        ),
        pytest.param(
            json.dumps({**json.loads(payload_of()), "codec_id": "x"}).encode(),
            'payload: unknown fields, expected `critical`, `optional`, got `["codec_id"]`',
            id="a-file-of-another-format",
        ),
        pytest.param(payload_of(identity={}), "`docker-reference` is no text", id="identity"),
        pytest.param(payload_of(image={"docker-manifest-digest": "md5:0"}), "malformed", id="md5"),
        pytest.param(b"{}", "`critical` is not a JSON object", id="empty"),
        pytest.param(b"null", "not a JSON object", id="null"),
        pytest.param(b"\xef\xbb\xbf" + payload_of(), "byte order mark", id="bom"),
        pytest.param(b" " * (1 << 20) + b"{}", "more than 1048576 bytes", id="long"),
    ],
)
def test_a_payload_that_is_signed_well_must_say_the_right_thing(
    payload: bytes, words: str, private_keys: PrivateKeys
) -> None:
    key = private_keys["ed25519"]
    good = Attestation("classic", payload_of(), key.sign(payload_of()))
    assert check(good, me=key.public).key == "me"
    assert words in refusal(Attestation("classic", payload, key.sign(payload)), me=key.public)


# What a repository may do


def test_a_false_referrer_does_not_count(repository: Repository, private_keys: PrivateKeys) -> None:
    key = private_keys["ed25519"]
    subject, other = repository.push(b"codec"), repository.push(b"evil", tag="evil")
    sign(repository, subject, key, layouts=("bundle",))
    # The registry lists it as a referrer of something else.
    repository.known_referrers[other.digest] = repository.known_referrers[subject.digest]
    found = read_attestations(repository, other.digest)
    assert found.attestations == ()
    assert "refers to another artifact" in found.problems[0]


def test_a_replaced_referrer_is_refused(repository: Repository, private_keys: PrivateKeys) -> None:
    key = private_keys["ed25519"]
    subject, other = repository.push(b"codec"), repository.push(b"evil", tag="evil")
    sign(repository, subject, key, layouts=("bundle",))
    [referrer] = repository.known_referrers[subject.digest]
    # The same bundle, in a manifest that says that it is about the other one.
    manifest = json.loads(repository.manifests[referrer.digest].data)
    manifest["subject"] = other.to_json()
    repository.write_manifest(json.dumps(manifest).encode(), MANIFEST_TYPE)
    [attestation] = read_attestations(repository, other.digest).attestations
    with pytest.raises(AttestationError, match="it attests another artifact"):
        verify(attestation, subjects=(other.digest,), keys={"me": key.public})


def test_a_bad_attestation_hides_no_good(repository: Repository, private_keys: PrivateKeys) -> None:
    key, other = private_keys.values()
    subject = repository.push(b"codec")
    sign(repository, subject, other, layouts=LAYOUTS)
    for digest in [d for d, data in repository.blobs.items() if b"critical" in data]:
        del repository.blobs[digest]
    [referrer] = repository.known_referrers[subject.digest]
    stored = repository.manifests[referrer.digest]
    repository.manifests[referrer.digest] = replace(
        stored, data=stored.data.replace(b'"layers":[', b'"layers":[{},')
    )
    sign(repository, subject, key, layouts=("bundle",))
    found = read_attestations(repository, subject.digest)
    [attestation] = found.attestations
    assert verify(attestation, subjects=(subject.digest,), keys={"me": key.public}).key == "me"
    assert ["no blob" in found.problems[0], "expected one layer" in found.problems[1]] == [True] * 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"layers":[{"mediaType":"', b'"layers":[{"mediaType":"x', "wrong layer"),
        (b'"subject"', b'"subjekt"', "malformed descriptor"),
        (b'"size":', b'"size":1', "too large"),
        (b'{"schema', b'["schema', "malformed JSON"),
    ],
)
def test_a_malformed_referrer_is_a_problem(
    old: bytes, new: bytes, words: str, repository: Repository, private_keys: PrivateKeys
) -> None:
    subject = repository.push(b"codec")
    sign(repository, subject, private_keys["ed25519"], layouts=("bundle",))
    [referrer] = repository.known_referrers[subject.digest]
    stored = repository.manifests[referrer.digest]
    data = stored.data
    if words == "too large":
        data = data.replace(b'"size":', b'"size":99999')
    repository.manifests[referrer.digest] = replace(stored, data=data.replace(old, new))
    found = read_attestations(repository, subject.digest)
    assert found.attestations == ()
    assert words in found.problems[0]


def test_a_layer_lacks_its_annotation(repository: Repository, private_keys: PrivateKeys) -> None:
    subject = repository.push(b"codec")
    sign(repository, subject, private_keys["ed25519"], layouts=("classic",))
    tag = f"sha256-{subject.digest.hex}.sig"
    manifest = repository.manifest(tag).data.replace(b"cosign/signature", b"cosign/sig")
    repository.write_manifest(manifest, MANIFEST_TYPE, tag=tag)
    found = read_attestations(repository, subject.digest)
    assert found.attestations == ()
    assert "annotation `dev.cosignproject.cosign/signature`: not base64" in found.problems[0]


def test_a_registry_that_lists_without_end_is_not_followed(repository: Repository) -> None:
    subject = repository.push(b"codec")
    repository.known_referrers[subject.digest] = [
        Descriptor(MANIFEST_TYPE, Digest.sha256(b"%d" % number), 1) for number in range(1000)
    ]
    before = repository.questions
    found = read_attestations(repository, subject.digest)
    assert "only the first 64" in found.problems[-1]
    assert repository.questions - before < 2 * ATTESTATIONS_MAX


def test_a_repository_that_cannot_be_asked_is_an_error(repository: Repository) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FetchError("cannot connect")

    repository.referrers = fail
    with pytest.raises(FetchError, match="cannot connect"):
        read_attestations(repository, SUBJECT)
