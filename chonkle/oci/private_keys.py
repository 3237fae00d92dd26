"""Private keys, and their files, which cosign reads too. Importing this needs the extra `attest`.

    NAME.key   -----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----       JSON:

        {"kdf":    {"name": "scrypt", "params": {"N": 65536, "r": 8, "p": 1}, "salt": base64},
         "cipher": {"name": "nacl/secretbox", "nonce": base64},
         "ciphertext": base64}          the box holds a key in the form of PKCS #8, DER

Older keys of cosign, `ENCRYPTED COSIGN PRIVATE KEY`, and keys without a password in the form of
PKCS #8, `PRIVATE KEY`, as OpenSSL makes them, are read as well.

Sources: RFC 5958 (PKCS #8), RFC 7914 (scrypt), NaCl (secretbox: XSalsa20 and Poly1305),
`encrypted` of go-securesystemslib (the JSON).
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chonkle.errors import AttestationError
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import format_value
from chonkle.oci.keys import Algorithm, PublicKey, unknown_algorithm
from chonkle.oci.pem import Pem, from_base64, missing_extra, to_base64

try:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        ECDSA,
        SECP256R1,
        EllipticCurvePrivateKey,
        generate_private_key,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_der_private_key,
    )
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox
except ImportError as failure:
    raise missing_extra(failure) from failure

# Called for the password of a key that has one.
type AskPassword = Callable[[], bytes]

_LABEL = "ENCRYPTED SIGSTORE PRIVATE KEY"
_LABELS = (_LABEL, "ENCRYPTED COSIGN PRIVATE KEY")
_PLAIN_LABEL = "PRIVATE KEY"
_PLAIN_MAX_BYTES = 4096
_SALT_MAX_BYTES = 1024
_SALT_BYTES = 32
# Of new keys, as in cosign: 64 MiB of memory and a quarter of a second.
_COSTS = {"N": 1 << 16, "r": 8, "p": 1}
# Limits for keys that are read: a hostile file could ask for all memory, or for years.
_MEMORY_MAX_BYTES = 512 << 20
_WORK_MAX_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that makes signatures."""

    public: PublicKey
    key: EllipticCurvePrivateKey | Ed25519PrivateKey = field(compare=False, repr=False)

    @classmethod
    def generate(cls, algorithm: Algorithm) -> "PrivateKey":
        """Make a new key."""
        if algorithm == "ed25519":
            return cls._of(Ed25519PrivateKey.generate(), "a new key")
        return cls._of(generate_private_key(SECP256R1()), "a new key")

    @classmethod
    def from_pem(cls, text: bytes | str, *, what: str, password: AskPassword) -> "PrivateKey":
        """Read a private key.

        Args:
            text: one PEM block.
            what: the key, for messages.
            password: called where the key has one.

        Raises:
            AttestationError: when it is no key of a known algorithm, or the password is wrong.
        """
        return cls._of_block(Pem.parse(text, what=what), what, password)

    @classmethod
    def from_file(cls, path: Path, *, password: AskPassword) -> "PrivateKey":
        """Read the file of a private key.

        Args:
            path: the file.
            password: called where the key has one.

        Raises:
            AttestationError: when it cannot be read, is none, or the password is wrong.
        """
        return cls._of_block(Pem.read(path), str(path), password)

    @classmethod
    def _of_block(cls, block: Pem, what: str, password: AskPassword) -> "PrivateKey":
        if block.label in _LABELS:
            data = _opened(block.data, password, what)
        elif block.label == _PLAIN_LABEL:
            data = block.data
        else:
            raise AttestationError(
                f"{what}: not a supported private key",
                expected=f"`-----BEGIN {_LABEL}-----` or `-----BEGIN {_PLAIN_LABEL}-----`",
                got=f"`-----BEGIN {block.label}-----`",
                hint="`openssl pkcs8 -topk8 -nocrypt` converts other forms",
            )
        try:
            key = load_der_private_key(data, password=None)
        except Exception as failure:  # several kinds, none of them documented
            raise AttestationError(f"{what}: malformed private key") from failure
        return cls._of(key, what)

    @classmethod
    def _of(cls, key: object, what: str) -> "PrivateKey":
        if not isinstance(key, (EllipticCurvePrivateKey, Ed25519PrivateKey)):
            raise unknown_algorithm(key, what=what)
        return cls(PublicKey.of(key.public_key(), what=what), key)

    def sign(self, message: bytes) -> bytes:
        """Sign a message, in the form that `PublicKey.verifies` documents."""
        if isinstance(self.key, EllipticCurvePrivateKey):
            return self.key.sign(message, ECDSA(SHA256()))
        return self.key.sign(message)

    def to_pem(self, password: bytes) -> bytes:
        """Write the key as the text of a file, encrypted with a password."""
        plain = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return bytes(Pem(_LABEL, _sealed(plain, password)))


def _sealed(plain: bytes, password: bytes) -> bytes:
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(SecretBox.NONCE_SIZE)
    box = SecretBox(_derived(password, salt, _COSTS))
    document = {
        "kdf": {"name": "scrypt", "params": _COSTS, "salt": to_base64(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": to_base64(nonce)},
        "ciphertext": to_base64(box.encrypt(plain, nonce).ciphertext),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _opened(data: bytes, ask: AskPassword, what: str) -> bytes:
    document = parse_json(data, what=what, error=AttestationError)
    kdf, cipher = _member(document, "kdf"), _member(document, "cipher")
    names = _member(kdf, "name"), _member(cipher, "name")
    if names != ("scrypt", "nacl/secretbox"):
        raise AttestationError(
            f"{what}: encrypted in an unknown way",
            expected="`scrypt` and `nacl/secretbox`",
            got=f"{format_value(names[0])} and {format_value(names[1])}",
        )
    costs = _read_costs(_member(kdf, "params"), what)
    salt = from_base64(_member(kdf, "salt"), what=f"{what}: salt", size_max=_SALT_MAX_BYTES)
    nonce = from_base64(
        _member(cipher, "nonce"), what=f"{what}: nonce", size_max=SecretBox.NONCE_SIZE
    )
    boxed = from_base64(
        _member(document, "ciphertext"), what=f"{what}: ciphertext", size_max=_PLAIN_MAX_BYTES
    )
    if len(nonce) != SecretBox.NONCE_SIZE or len(boxed) < SecretBox.MACBYTES:
        raise AttestationError(f"{what}: the sealed key is cut short")
    try:
        return SecretBox(_derived(ask(), salt, costs)).decrypt(boxed, nonce)
    except CryptoError as failure:
        raise AttestationError(f"{what}: the password is wrong, or the file damaged") from failure


def _read_costs(params: object, what: str) -> Mapping[str, int]:
    costs = {name: _member(params, name) for name in _COSTS}
    numbers = {name: n for name, n in costs.items() if type(n) is int and n > 0}
    if len(numbers) == len(costs):
        n, r, p = (numbers[name] for name in ("N", "r", "p"))
        is_power = n > 1 and not n & (n - 1)
        block_bytes = 128 * r
        if (
            is_power
            and block_bytes * (n + p) <= _MEMORY_MAX_BYTES
            and block_bytes * n * p <= _WORK_MAX_BYTES
        ):
            return numbers
    raise AttestationError(
        f"{what}: costs of scrypt that are not accepted",
        expected=f"N a power of two, and at most {_MEMORY_MAX_BYTES >> 20} MiB of memory",
        got=", ".join(f"{name}={format_value(n)}" for name, n in costs.items()),
    )


def _derived(password: bytes, salt: bytes, costs: Mapping[str, int]) -> bytes:
    n, r, p = (costs[name] for name in ("N", "r", "p"))
    # OpenSSL counts two more blocks and some bytes.
    memory_bytes = 128 * r * (n + p + 2) + (1 << 16)
    return hashlib.scrypt(
        password, salt=salt, n=n, r=r, p=p, maxmem=memory_bytes, dklen=SecretBox.KEY_SIZE
    )


def _member(document: object, name: str) -> object:
    return document.get(name) if isinstance(document, dict) else None
