"""PEM and base64, read strictly, and the error where the extra `attest` is missing.

    -----BEGIN <label>-----
    base64, in lines of 64 characters
    -----END <label>-----

Sources: RFC 7468 (PEM), RFC 4648, section 4 (base64).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path

from chonkle.errors import AttestationError
from chonkle.storage.files import read_file

_TEXT_MAX_BYTES = 1 << 16
_LINE = 64
_BLOCK = re.compile(
    r"\s*-----BEGIN (?P<label>[A-Z0-9 ]+)-----\s+"
    r"(?P<body>[A-Za-z0-9+/=\s]+)-----END (?P=label)-----\s*"
)


@dataclass(frozen=True, slots=True)
class Pem:
    """One block."""

    label: str  # its type, in upper case
    data: bytes

    @classmethod
    def parse(cls, text: bytes | str, *, what: str) -> "Pem":
        """Read a text that is exactly one block.

        Raises:
            AttestationError: when it is malformed.
        """
        words = text if isinstance(text, str) else text.decode("ascii", errors="replace")
        match = _BLOCK.fullmatch(words) if len(words) <= _TEXT_MAX_BYTES else None
        if match is None:
            raise AttestationError(f"{what}: not a key", expected="one block, `-----BEGIN ...`")
        body = "".join(match["body"].split())
        return cls(match["label"], from_base64(body, what=what, size_max=_TEXT_MAX_BYTES))

    @classmethod
    def read(cls, path: Path) -> "Pem":
        """Read a file that is exactly one block.

        Raises:
            AttestationError: when it cannot be read, or is malformed.
        """
        try:
            text = read_file(path, size_max=_TEXT_MAX_BYTES)
        except OSError as failure:
            raise AttestationError(f"cannot read the key {path}: {failure.strerror}") from failure
        return cls.parse(text, what=str(path))

    def __bytes__(self) -> bytes:
        """Write the block as the text of a file."""
        text = to_base64(self.data)
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        ends = (f"-----BEGIN {self.label}-----", f"-----END {self.label}-----")
        return "\n".join((ends[0], *lines, ends[1], "")).encode()


def to_base64(data: bytes) -> str:
    """Write bytes as base64."""
    return base64.b64encode(data).decode()


def from_base64(text: object, *, what: str, size_max: int) -> bytes:
    """Read base64, and accept only its canonical form.

    Raises:
        AttestationError: when it is malformed or longer.
    """
    if not isinstance(text, str) or len(text) > (size_max + 2) // 3 * 4:
        raise AttestationError(f"{what}: not base64 of at most {size_max} bytes")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as failure:
        raise AttestationError(f"{what}: malformed base64") from failure
    if to_base64(data) != text:
        # Excess bits, or text behind the padding.
        raise AttestationError(f"{what}: malformed base64")
    return data


def missing_extra(failure: ImportError) -> AttestationError:
    """Make the error for a missing library of the extra `attest`."""
    library = (failure.name or "").partition(".")[0]
    return AttestationError(
        f"keys and attestations need `{library}`, which is not installed",
        hint="install the extra `attest` of chonkle",
    )
