"""What stands between a codec that was found and its use, where a policy is set.

candidate ──▶ evidence kept for it or beside it ──▶ policy ──▶ allowed
                        │ not enough, and it comes from a source
                        ▼
              evidence at the source ──▶ policy ──▶ allowed, and the evidence is kept
"""

from dataclasses import dataclass
from pathlib import Path

from chonkle.errors import FetchError, PolicyError
from chonkle.evidence import (
    Evidence,
    KeptEvidence,
    OpenRepository,
    find_beside,
    find_evidence,
    open_artifact,
    place_of,
)
from chonkle.oci.access import RegistryAccess
from chonkle.policy import Allowed, Candidate, Origin, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Applies a policy to codecs.

    Attributes:
        policy: the policy.
        codec_store: the store in which evidence is kept; None where none is.
        access: how servers may be asked for attestations.
        open_repository: opens where artifacts are.
    """

    policy: Policy
    codec_store: Path | None
    access: RegistryAccess
    open_repository: OpenRepository = open_artifact

    def require(self, codec_id: str, origin: Origin, name: str, data: bytes = b"") -> Allowed:
        """Require that the policy allows a codec.

        Args:
            codec_id: what it is.
            origin: where it is from, in one word.
            name: its path or source URI; empty where a lock does not know the source.
            data: its bytes; empty for a native codec.

        Raises:
            PolicyError: when the policy does not, with the reason.
        """
        kept = KeptEvidence(self.codec_store) if self.codec_store is not None and data else None
        known = () if kept is None else kept.find(data)
        if origin in ("installed", "path"):
            known = (find_beside(Path(name)), *known)
        elif origin == "source" and name:
            known = (Evidence(place_of(name)), *known)
        candidate = Candidate(
            codec_id=codec_id, origin=origin, name=name, data=data, evidence=known
        )
        try:
            return self.policy.require(candidate)
        except PolicyError as refusal:
            if origin != "source" or not name:
                raise
            found = self._found(name, data, refusal)
        candidate = Candidate(
            codec_id=codec_id, origin=origin, name=name, data=data, evidence=(found, *known)
        )
        allowed = self.policy.require(candidate)
        if kept is not None and found.attestations:
            kept.keep(data, found)
        return allowed

    def _found(self, uri: str, data: bytes, refusal: PolicyError) -> Evidence:
        try:
            return find_evidence(
                uri, data, access=self.access, open_repository=self.open_repository
            )
        except FetchError as failure:
            raise PolicyError(
                f"{refusal}; its attestations could not be read: {failure}"
            ) from failure
