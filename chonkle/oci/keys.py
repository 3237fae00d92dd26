"""Public keys, which verify signatures. Importing this needs the extra `attest`.

    NAME.pub   -----BEGIN PUBLIC KEY-----       PKIX, DER (RFC 5280, section 4.1.2.7)

Two algorithms: ECDSA on the curve P-256 with SHA-256, whose signatures are DER (`ecdsa-p256`), and
Ed25519 without a hash before it (`ed25519`).

Sources: FIPS 186-5 (ECDSA), RFC 3279, section 2.2.3 (its signatures), RFC 8032 (Ed25519).
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chonkle.errors import AttestationError
from chonkle.oci.pem import Pem, missing_extra, to_base64

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import (
        ECDSA,
        SECP256R1,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
    )
except ImportError as failure:
    raise missing_extra(failure) from failure

Algorithm = Literal["ecdsa-p256", "ed25519"]

ALGORITHMS: tuple[Algorithm, ...] = ("ecdsa-p256", "ed25519")
_LABEL = "PUBLIC KEY"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies signatures."""

    algorithm: Algorithm  # of its signatures
    der: bytes  # the key, PKIX; keys with the same bytes are equal
    key: EllipticCurvePublicKey | Ed25519PublicKey = field(compare=False, repr=False)

    @classmethod
    def from_pem(cls, text: bytes | str, *, what: str) -> "PublicKey":
        """Read a public key.

        Raises:
            AttestationError: when it is no key of a known algorithm.
        """
        return cls._of_block(Pem.parse(text, what=what), what)

    @classmethod
    def from_file(cls, path: Path) -> "PublicKey":
        """Read the file of a public key.

        Raises:
            AttestationError: when it cannot be read, or is none.
        """
        return cls._of_block(Pem.read(path), str(path))

    @classmethod
    def _of_block(cls, block: Pem, what: str) -> "PublicKey":
        if block.label != _LABEL:
            raise AttestationError(
                f"{what}: not a public key",
                expected=f"`-----BEGIN {_LABEL}-----`",
                got=f"`-----BEGIN {block.label}-----`",
            )
        try:
            key = load_der_public_key(block.data)
        except Exception as failure:  # several kinds, none of which is promised
            raise AttestationError(f"{what}: malformed public key") from failure
        found = cls.of(key, what=what)
        if found.der != block.data:
            raise AttestationError(f"{what}: malformed public key", expected="DER in its one form")
        return found

    @classmethod
    def of(cls, key: object, *, what: str) -> "PublicKey":
        """Take a key of the library.

        Raises:
            AttestationError: when it is of another algorithm.
        """
        algorithm: Algorithm
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            algorithm = "ecdsa-p256"
        elif isinstance(key, Ed25519PublicKey):
            algorithm = "ed25519"
        else:
            raise unknown_algorithm(key, what=what)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(algorithm, der, key)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 digest of the key in hexadecimal digits."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def hint(self) -> str:
        """The name of the key in a bundle."""
        return to_base64(hashlib.sha256(self.der).digest())

    def __str__(self) -> str:
        """Write algorithm and fingerprint, `ecdsa-p256 sha256:<hex>`."""
        return f"{self.algorithm} sha256:{self.fingerprint}"

    def to_pem(self) -> bytes:
        """Write the key as the text of a file."""
        return bytes(Pem(_LABEL, self.der))

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature of a message was made with the private key.

        Args:
            signature: DER for ECDSA, 64 bytes for Ed25519.
            message: the whole message, not its hash.
        """
        try:
            if isinstance(self.key, EllipticCurvePublicKey):
                self.key.verify(signature, message, ECDSA(SHA256()))
            else:
                self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def unknown_algorithm(key: object, *, what: str) -> AttestationError:
    """Refuse a key of another algorithm."""
    return AttestationError(
        f"{what}: a key of an algorithm that is not accepted",
        expected="ECDSA on the curve P-256, or Ed25519",
        got=type(key).__name__.strip("_"),
    )
