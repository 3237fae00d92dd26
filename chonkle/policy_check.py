"""The check of a codec against a policy, before its use.

candidate ──▶ evidence without a network ──▶ policy ──▶ allowed
                        │ refused, and the codec comes from a source
                        ▼
              evidence at the source ──▶ policy ──▶ allowed, and the evidence is kept

Evidence without a network: the attestation beside a file, kept attestations, the manifests that led
to the bytes, and the recorded sources of the bytes. All of it is collected before the policy is
asked, so that a rule with `deny` sees it even if another rule would allow the codec.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import FetchError, PolicyError
from chonkle.evidence import (
    Evidence,
    KeptEvidence,
    OpenRepository,
    find_beside,
    find_evidence,
    kept_links,
    pin_of,
    place_of,
)
from chonkle.oci.access import RegistryAccess
from chonkle.oci.places import open_repository
from chonkle.policy import Allowed, Candidate, Origin, Policy
from chonkle.storage.store import CodecStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCheck:
    """Applies a policy to codecs."""

    policy: Policy
    codec_store: Path | None  # the store in which evidence is kept; None where none is
    access: RegistryAccess  # how servers may be asked for attestations
    open_repository: OpenRepository = open_repository  # opens where artifacts are

    def require(
        self,
        codec_id: str,
        origin: Origin,
        name: str,
        data: bytes = b"",
        *,
        links: tuple[bytes, ...] = (),
    ) -> Allowed:
        """Require that the policy allows a codec.

        Args:
            codec_id: its codec id.
            origin: where it is from, in one word.
            name: its path or source URI; empty where a lock does not know the source.
            data: its bytes; empty for a native codec.
            links: the index and the manifest that were read to find it, outermost first.

        Raises:
            PolicyError: when the policy refuses it, with the reason.
        """
        kept = KeptEvidence(self.codec_store) if self.codec_store is not None and data else None
        known = self._known(origin, name, data, links)
        sources = (*([name] if origin == "source" and name else []), *self._origins(origin, data))
        pins = frozenset(pin for uri in sources if (pin := pin_of(uri)) is not None)
        candidate = Candidate(
            codec_id=codec_id, origin=origin, name=name, data=data, evidence=known, pins=pins
        )
        try:
            return self.policy.require(candidate)
        except PolicyError as refusal:
            if origin != "source" or not name:
                raise
            found = self._found(name, data, links, refusal)
        allowed = self.policy.require(replace(candidate, evidence=(found, *known)))
        if kept is not None and found.attestations:
            kept.keep(data, found)
        return allowed

    def is_from(self, uri: str, data: bytes) -> bool:
        """Tell whether a kept copy is recorded as fetched from the place of a source.

        That a source names the digest of a copy does not show that the copy came from there.
        """
        origins = self._origins("source", data)
        return place_of(uri) in map(place_of, origins)

    def _known(
        self, origin: Origin, name: str, data: bytes, links: tuple[bytes, ...]
    ) -> tuple[Evidence, ...]:
        known: list[Evidence] = []
        if origin in ("installed", "path"):
            known.append(find_beside(Path(name)))
        elif origin == "source" and name:
            known.append(Evidence(place_of(name), links or self._links(name, data)))
        origins = self._origins(origin, data)
        known.extend(Evidence(place_of(uri), self._links(uri, data)) for uri in origins)
        if self.codec_store is not None and data:
            known.extend(KeptEvidence(self.codec_store).find(data))
        return tuple(known)

    def _origins(self, origin: Origin, data: bytes) -> tuple[str, ...]:
        """Return the recorded sources of these bytes; a shipped codec has none."""
        if self.codec_store is None or not data or origin == "shipped":
            return ()
        readable = []
        for uri in CodecStore(self.codec_store).kept.origins(Digest.blake3(data)):
            try:
                place_of(uri)
            except FetchError:
                continue  # a note that another program wrote
            readable.append(uri)
        return tuple(readable)

    def _links(self, uri: str, data: bytes) -> tuple[bytes, ...]:
        pin = pin_of(uri)
        if pin is None or self.codec_store is None:
            return ()
        return kept_links(CodecStore(self.codec_store).kept, pin, Digest.sha256(data))

    def _found(
        self, uri: str, data: bytes, links: tuple[bytes, ...], refusal: PolicyError
    ) -> Evidence:
        try:
            return find_evidence(
                uri,
                data,
                access=self.access,
                links=links,
                open_repository=self.open_repository,
            )
        except FetchError as failure:
            raise PolicyError(
                f"{refusal}; its attestations could not be read: {failure}"
            ) from failure
