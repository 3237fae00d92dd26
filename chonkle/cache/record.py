"""The record of a cache entry: a small authenticated file.

    blake3:<hex>                         tag of the second line; with a key `blake3-keyed:<hex>`
    {"key": "<64 hex digits>",           the entry that it belongs to
     "artifacts": [{"name": "<key>-<digest>.cwasm", "size": 37640, "blake3": "<hex>"}],
     "kind": ..., "codec_id": ...}       what was compiled, by what, when

The second line is JSON, and is parsed only after the authenticator was checked. A plain digest
finds accidents. A keyed one, a BLAKE3 MAC, also shows that the writer had the key. The record holds
the digests of the artifacts, so it authenticates the whole entry.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hmac import compare_digest

from blake3 import blake3

from chonkle.digest import Digest
from chonkle.errors import CacheError
from chonkle.formats.json_text import parse_json

# The file name of a record is its key and this.
RECORD_SUFFIX = ".record"
# 256 artifacts need about 50 kB.
RECORD_MAX_BYTES = 64 * 1024
_ARTIFACTS_MAX = 256
_ALGORITHM, _KEYED_ALGORITHM = "blake3", "blake3-keyed"
_KEY_BYTES = 32
_KEY_DIGITS = 2 * _KEY_BYTES
# Larger than any size, time and date, and exact as a float.
_NUMBER_MAX = 1 << 53
_DIGEST = re.compile(r"[0-9a-f]{64}")


class InvalidEntry(Exception):  # noqa: N818 - not a failure: a reason for a miss
    """A cache entry fails a check; the text says which."""


@dataclass(frozen=True, slots=True)
class Authenticator:
    """How records are authenticated: with a plain digest, or with a key.

    Attributes:
        key: 32 bytes, known only to the writers of entries; None for a plain digest.
    """

    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a key of another length, with a CacheError."""
        if self.key is not None and len(self.key) != _KEY_BYTES:
            raise CacheError(
                "bad key of an authenticator",
                expected=f"{_KEY_BYTES} bytes",
                got=str(len(self.key)),
            )

    @classmethod
    def from_hex(cls, text: str, *, what: str) -> "Authenticator":
        """Make a keyed authenticator.

        Args:
            text: the key, as 64 hexadecimal digits.
            what: the name of the setting, for the message.

        Raises:
            CacheError: when the text is not a key.
        """
        digits = text.strip()
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if len(digits) != _KEY_DIGITS or len(key) != _KEY_BYTES:
            # The message never shows the key itself.
            raise CacheError(
                f"bad {what}",
                expected=f"{_KEY_DIGITS} hexadecimal digits",
                got=f"{len(digits)} characters",
                hint="`openssl rand -hex 32` makes a key",
            )
        return cls(key)

    @property
    def is_keyed(self) -> bool:
        """Whether making a tag takes the key."""
        return self.key is not None

    def tag(self, body: bytes) -> str:
        """Compute the tag of the body of a record."""
        if self.key is None:
            return f"{_ALGORITHM}:{blake3(body).hexdigest()}"
        return f"{_KEYED_ALGORITHM}:{blake3(body, key=self.key).hexdigest()}"

    def check(self, body: bytes, found: str) -> None:
        """Check the tag of a body.

        Raises:
            InvalidEntry: when it is another one.
        """
        if compare_digest(found.encode(), self.tag(body).encode()):
            return
        algorithm = found.partition(":")[0]
        if self.is_keyed and algorithm == _ALGORITHM:
            raise InvalidEntry("it is not authenticated, and a cache key is set")
        if not self.is_keyed and algorithm == _KEYED_ALGORITHM:
            raise InvalidEntry("it is authenticated with a cache key, and none is set here")
        other_key = " or was made with another key" * self.is_keyed
        raise InvalidEntry(f"the record does not match its authenticator{other_key}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of an entry."""

    name: str  # its file name, which contains the first digits of its digest
    size: int  # its length in bytes
    blake3: str  # its BLAKE3 digest, as hexadecimal digits

    @classmethod
    def of(cls, key: str, data: bytes) -> "Artifact":
        """Describe the bytes of an artifact of the entry with this key."""
        digest = Digest.blake3(data).hex
        return cls(artifact_name(key, digest), len(data), digest)


def artifact_name(key: str, digest: str) -> str:
    """Give the file name of an artifact, from the key of its entry and its digest."""
    return f"{key}-{digest[:16]}.cwasm"


@dataclass(frozen=True, slots=True)
class EntryMetadata:
    """What a record says of its entry besides its files."""

    kind: str  # what was compiled: `core`, `component` or `component-whole`
    codec_id: str
    label: str  # its implementation and version
    wasm: str  # digest of the binary
    wasm_size: int  # its length in bytes
    engine: str  # fingerprint of the engine that compiled it, as hexadecimal digits
    wasmtime: str
    target: str  # operating system and processor
    created: int  # when it was compiled, in seconds since the epoch
    compile_seconds: float  # how long that took


# Evaluated once: a record is parsed on every load.
_METADATA_TYPES = tuple((each.name, each.type) for each in fields(EntryMetadata))
_METADATA_NUMBERS = ("wasm_size", "created", "compile_seconds")


@dataclass(frozen=True, slots=True)
class Record:
    """A record that passed its checks."""

    key: str
    artifacts: tuple[Artifact, ...]  # its files, in the order in which they are loaded
    metadata: EntryMetadata

    @property
    def size_bytes(self) -> int:
        """The length of all artifacts together."""
        return sum(artifact.size for artifact in self.artifacts)


def write_record(record: Record, authenticator: Authenticator) -> bytes:
    """Write a record as a file."""
    table = {
        "key": record.key,
        **asdict(record.metadata),
        "artifacts": [asdict(artifact) for artifact in record.artifacts],
    }
    body = json.dumps(table).encode() + b"\n"
    return f"{authenticator.tag(body)}\n".encode() + body


def parse_record(text: bytes, key: str, authenticator: Authenticator) -> Record:
    """Read a record.

    Args:
        text: the file.
        key: the entry that it was found as.
        authenticator: what must have authenticated it.

    Raises:
        InvalidEntry: when it is not a valid record of this entry.
    """
    table = parse_table(authenticated_body(text, authenticator), what="the record")
    if table.get("key") != key:
        raise InvalidEntry("the record belongs to another entry")
    listed = table.get("artifacts")
    if not isinstance(listed, list) or not 0 < len(listed) <= _ARTIFACTS_MAX:
        raise InvalidEntry("the record names no artifacts")
    return Record(key, tuple(_artifact(each, key) for each in listed), _metadata(table))


def authenticated_body(text: bytes, authenticator: Authenticator) -> bytes:
    """Give the part of a record that is authenticated, unparsed.

    Raises:
        InvalidEntry: when it is too long, or was not authenticated like this.
    """
    if len(text) > RECORD_MAX_BYTES:
        raise InvalidEntry(f"the record is longer than {RECORD_MAX_BYTES} bytes")
    tag, _, body = text.partition(b"\n")
    authenticator.check(body, tag.decode(errors="replace"))
    return body


def parse_table(text: bytes, *, what: str) -> Mapping[str, object]:
    """Read an untrusted JSON object; the caller has limited its length.

    Raises:
        InvalidEntry: when it is something else.
    """
    try:
        table = parse_json(text, what=what, error=CacheError)
    except CacheError as failure:
        raise InvalidEntry(str(failure)) from failure
    if not isinstance(table, dict):
        raise InvalidEntry(f"{what}: not a JSON object")
    return table


def _artifact(listed: object, key: str) -> Artifact:
    table = listed if isinstance(listed, dict) else {}
    name, size, digest = (table.get(field) for field in ("name", "size", "blake3"))
    if not (isinstance(name, str) and type(size) is int and isinstance(digest, str)):
        raise InvalidEntry("the record lacks a field")
    if not 0 <= size <= _NUMBER_MAX:
        raise InvalidEntry("the record's field `size` is out of range")
    # So that no record names a file outside its directory.
    if _DIGEST.fullmatch(digest) is None or name != artifact_name(key, digest):
        raise InvalidEntry("the record names a file of another entry")
    return Artifact(name, size, digest)


def _metadata(table: Mapping[str, object]) -> EntryMetadata:
    found = {}
    for name, expected in _METADATA_TYPES:
        value = found[name] = table.get(name)
        if type(value) is not expected:
            raise InvalidEntry(f"the record's field `{name}` is missing or of another type")
    for name in _METADATA_NUMBERS:
        number = found[name]
        if not 0 <= number <= _NUMBER_MAX:  # type: ignore[operator]  # checked just now
            raise InvalidEntry(f"the record's field `{name}` is out of range")
    return EntryMetadata(**found)  # type: ignore[arg-type]  # checked just now
