"""Checks of a codec's origin: attestations, a policy, provenance.

All but the attestation beside a file is read from the repository that the codec is in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chonkle.digest import Digest
from chonkle.errors import AttestationError, BuildError, FetchError
from chonkle.evidence import Evidence, evidence_in, find_beside, place_of
from chonkle.formats.signature import read_signature
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, binary_kind
from chonkle.oci.attestation import only_layer, parse_statement, verify
from chonkle.oci.model import ArtifactReference, Descriptor, parse_manifest
from chonkle.oci.repository import Repository
from chonkle.policy import Candidate, Origin, Policy
from chonkle_toolchain.attachments import BUILD_TYPE, PREDICATE_TYPE, PROVENANCE_TYPE
from chonkle_toolchain.codecs_lock import Built
from chonkle_toolchain.documents import read_document
from chonkle_toolchain.verify.report import Check, CheckFailed, NotApplicable, carry_out

if TYPE_CHECKING:
    from chonkle.oci.keys import PublicKey

_REFERRERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Demands:
    """What a codec's origin must be.

    Attributes:
        keys: public keys by the names of their files; one of them must have signed the codec.
        policy: must allow the codec.
    """

    keys: Mapping[str, "PublicKey"] = field(default_factory=dict)
    policy: Policy | None = None

    @classmethod
    def read(cls, keys: Sequence[Path], policy: Path | None) -> "Demands":
        """Read the files of keys and of a policy.

        Raises:
            AttestationError: when a key cannot be read.
            PolicyError: when the policy cannot be read.
        """
        found = {}
        if keys:
            # Late: the extra may be missing, and most of what is verified is not signed.
            from chonkle.oci.keys import PublicKey  # noqa: PLC0415

            found = {str(path): PublicKey.from_file(path) for path in keys}
        return cls(found, None if policy is None else Policy.read(policy))


def check_file(path: Path, demands: Demands) -> tuple[Check, ...]:
    """Check what is attested of a file.

    Args:
        path: the file; its attestation is beside it.
        demands: what is demanded.

    Raises:
        BuildError: when the file cannot be read.
    """
    if demands == Demands():
        return ()
    data = read_document(path, size_max=SIZE_MAX_BYTES)
    return _checks(find_beside(path), data, demands, origin="path", name=str(path))


def check_published(
    reference: ArtifactReference,
    repository: Repository,
    links: tuple[bytes, ...],
    data: bytes,
    demands: Demands,
) -> tuple[Check, ...]:
    """Check what is attested of a published codec.

    Args:
        reference: the codec.
        repository: where it is.
        links: the index that led to it, if one did, and its manifest.
        data: its bytes.
        demands: what is demanded.

    Raises:
        FetchError: when the repository cannot be asked.
    """
    evidence = evidence_in(repository, links, place=place_of(reference.uri))
    provenance = partial(_check_provenance, repository, evidence, data)
    return (
        *_checks(evidence, data, demands, origin="source", name=reference.uri),
        carry_out("provenance", provenance),
    )


def _checks(
    evidence: Evidence, data: bytes, demands: Demands, *, origin: Origin, name: str
) -> tuple[Check, ...]:
    checks: list[tuple[str, Callable[[], str]]] = []
    if demands.keys:
        checks.append(("attestation", lambda: _check_attestation(evidence, data, demands)))
    policy = demands.policy
    if policy is not None:

        def check_policy() -> str:
            candidate = Candidate(
                codec_id=read_signature(data, what=name).codec_id,
                origin=origin,
                name=name,
                data=data,
                evidence=(evidence,),
            )
            return policy.require(candidate).reason

        checks.append(("policy", check_policy))
    return tuple(carry_out(name, check) for name, check in checks)


def _check_attestation(evidence: Evidence, data: bytes, demands: Demands) -> str:
    signers, reasons = [], list(evidence.problems)
    subjects = evidence.subjects(data)
    for attestation in evidence.attestations:
        try:
            found = verify(attestation, subjects=subjects, keys=demands.keys, file=data)
        except AttestationError as failure:
            reasons.append(f"{attestation.layout} attestation: {failure}")
        else:
            signers.append(f"`{found.key}` ({found.layout})")
    if signers:
        return f"signed by {', '.join(dict.fromkeys(signers))}"
    if not reasons:
        raise CheckFailed("it is not signed", expected=" or ".join(map(str, demands.keys)))
    raise CheckFailed("; ".join(dict.fromkeys(reasons)))


def _check_provenance(repository: Repository, evidence: Evidence, data: bytes) -> str:
    """Require that statements of provenance are about this file, and agree with it."""
    builds = []
    for link in evidence.links:
        subject = Digest.sha256(link)
        for referrer in repository.referrers(subject)[:_REFERRERS_MAX]:
            if referrer.artifact_type in (PROVENANCE_TYPE, ""):
                builds.extend(_builds_in(repository, subject, referrer, evidence, data))
    if not builds:
        raise NotApplicable("nothing says how it was built")
    return ", ".join(dict.fromkeys(builds))


def _builds_in(
    repository: Repository, subject: Digest, referrer: Descriptor, evidence: Evidence, data: bytes
) -> list[str]:
    what = f"referrer `{referrer.digest}`"
    manifest = parse_manifest(repository.manifest(referrer.digest).data, what)
    if manifest.get("artifactType") != PROVENANCE_TYPE:
        return []
    try:
        statement = parse_statement(repository.blob(only_layer(manifest, subject, what=what)))
    except (AttestationError, FetchError) as failure:
        raise CheckFailed(f"{what}: {failure}") from failure
    if statement.document.get("predicateType") != PREDICATE_TYPE:
        return []
    wanted = evidence.subjects(data)
    if not any(digest in wanted for digest in statement.subjects):
        raise CheckFailed(
            f"{what}: the provenance of another file",
            expected=f"`{wanted[-1]}`",
            got=", ".join(f"`{each}`" for each in statement.subjects),
        )
    match statement.document.get("predicate"):
        case {
            "buildDefinition": {
                "buildType": str(kind),
                "internalParameters": {"codecs.lock": dict(entries)},
                "resolvedDependencies": list(dependencies),
            }
        } if kind == BUILD_TYPE:
            _check_build(entries, dependencies, data, what)
            return [f"built from {len(dependencies)} sources and parts, as codecs.lock says"]
        case {"buildDefinition": {"buildType": str(kind)}} if kind != BUILD_TYPE:
            return [f"built as `{kind}` says"]
        case _:
            raise CheckFailed(f"{what}: malformed provenance")


def _check_build(
    entries: dict[str, object], dependencies: list[object], data: bytes, what: str
) -> None:
    """Require that the entry of codecs.lock agrees with its sources and with the file."""
    signature = read_signature(data, what=what)
    name = signature.implementation
    try:
        built = Built.from_toml(entries.get(name))
    except BuildError as failure:
        raise CheckFailed(f"{what}: the entry of `{name}` in codecs.lock: {failure}") from failure
    listed = built.artifact(binary_kind(data))
    facts = {
        "codec_id": (built.codec_id, signature.codec_id),
        "version": (built.version, signature.version),
        "size": (listed.size_bytes, len(data)),
        "blake3": (listed.blake3, Digest.blake3(data).hex),
        "sha256": (listed.sha256, Digest.sha256(data).hex),
        "build": (built.build, built.fingerprint.digest),
    }
    for fact, (said, found) in facts.items():
        if said != found:
            raise CheckFailed(
                f"{what}: codecs.lock and the file disagree in `{fact}`",
                expected=f"`{found}`",
                got=f"`{said}`",
            )
    wanted = sorted({**built.fingerprint.sources, **built.fingerprint.parts}.items())
    if dependencies != [{"name": each, "digest": {"blake3": digest}} for each, digest in wanted]:
        raise CheckFailed(f"{what}: its dependencies are not the sources that codecs.lock has")
