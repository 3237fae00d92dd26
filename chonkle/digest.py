"""Content digests: BLAKE3 inside chonkle, SHA-256 where OCI wants it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from blake3 import blake3

from chonkle.errors import DigestMismatchError

Algorithm = Literal["blake3", "sha256"]

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of some bytes, written `algorithm:hex`."""

    algorithm: Algorithm  # `blake3` or `sha256`
    hex: str  # 64 lower-case hexadecimal digits

    def __post_init__(self) -> None:
        """Refuse another algorithm or malformed digits, with a DigestMismatchError."""
        if self.algorithm not in ("blake3", "sha256") or _HEX.fullmatch(self.hex) is None:
            raise DigestMismatchError(
                "malformed digest",
                expected="`blake3:` or `sha256:` and 64 lower-case hexadecimal digits",
                got=f"`{self.algorithm}:{self.hex}`"[:120],
            )

    def __str__(self) -> str:
        """Write the digest as `algorithm:hex`."""
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read `algorithm:hex`.

        Raises:
            DigestMismatchError: when the text is not a digest.
        """
        algorithm, _, digits = text.partition(":")
        return cls(algorithm, digits)  # type: ignore[arg-type]  # checked in __post_init__

    @classmethod
    def blake3(cls, data: bytes | memoryview) -> "Digest":
        """Hash bytes with BLAKE3."""
        return cls("blake3", blake3(data).hexdigest())

    @classmethod
    def sha256(cls, data: bytes | memoryview) -> "Digest":
        """Hash bytes with SHA-256."""
        # A run from a warm cache needs BLAKE3 alone, and this brings OpenSSL with it.
        import hashlib  # noqa: PLC0415

        return cls("sha256", hashlib.sha256(data).hexdigest())

    def of(self, data: bytes | memoryview) -> "Digest":
        """Hash other bytes with this digest's algorithm."""
        return Digest.blake3(data) if self.algorithm == "blake3" else Digest.sha256(data)

    def check(self, data: bytes, *, what: str) -> None:
        """Demand that bytes have this digest.

        Raises:
            DigestMismatchError: when they have another digest.
        """
        found = self.of(data)
        if found != self:
            raise DigestMismatchError(
                f"{what}: wrong digest", expected=f"`{self}`", got=f"`{found}`"
            )


def read_verified(
    chunks: Iterable[bytes], *, digest: Digest | None, size_max: int, what: str
) -> bytes:
    """Collect a stream of bytes, bounded in size, and check its digest.

    Args:
        chunks: the stream.
        digest: what the whole must hash to; None where nothing is promised.
        size_max: bytes to accept at most; the stream is left as soon as it is longer.
        what: the source, for messages.

    Raises:
        DigestMismatchError: when the stream is too long or has another digest.
    """
    data = b"".join(_bounded(chunks, size_max, what))
    if digest is not None:
        digest.check(data, what=what)
    return data


def _bounded(chunks: Iterable[bytes], size_max: int, what: str) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > size_max:
            raise DigestMismatchError(
                f"{what}: longer than allowed", expected=f"at most {size_max} bytes"
            )
        yield chunk
