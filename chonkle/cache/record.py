"""The record of a cache entry: a small sealed TOML file.

seal = "blake3:<hex>"          digest of everything below this line; `blake3-keyed:` with a key
key = "<64 hex digits>"        the entry that it belongs to
kind, codec_id, label, ...     what was compiled, by what, when: for people and upkeep
[[artifacts]]
name = "<key>-<digest>.cwasm"
size = 37640
blake3 = "<hex>"

A plain seal finds accidents. A keyed one, a BLAKE3 MAC, also says that who wrote the record had the
key; since the record holds the digests of the artifacts, it speaks for the whole entry.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hmac import compare_digest

from blake3 import blake3

from chonkle.digest import Digest
from chonkle.errors import CacheError

_SEAL = "seal = "
_ARTIFACTS_MAX = 256
_ALGORITHM, _KEYED_ALGORITHM = "blake3", "blake3-keyed"
_KEY_BYTES = 32
_KEY_DIGITS = 2 * _KEY_BYTES
# Beyond any size, time and date, and still exact as a float.
_NUMBER_MAX = 1 << 53
# What 256 artifacts need, which is 55 kB, with room for the rest.
RECORD_MAX_BYTES = 64 * 1024
_LINE_MAX_BYTES = 1024
# What chonkle writes of TOML: tables, and bare keys without dots whose values are text or numbers.
_LINE = re.compile(
    rb"""\[[\w-]+\]|\[\[[\w-]+\]\]|[\w-]+ = (?:"(?:[^"\\]|\\.)*+"|[\w.:+-]{1,32})|"""
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Doubt(Exception):  # noqa: N818 - not a failure of anybody's: a reason for a miss
    """A reason not to believe a cache entry."""


@dataclass(frozen=True, slots=True)
class Seal:
    """How records are sealed: with a plain digest, or with a key.

    Attributes:
        key: 32 bytes that only those have who may write entries; None for a plain digest.
    """

    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no key.

        Raises:
            CacheError: saying how long it is.
        """
        if self.key is not None and len(self.key) != _KEY_BYTES:
            raise CacheError(
                "bad key of a seal", expected=f"{_KEY_BYTES} bytes", got=str(len(self.key))
            )

    @classmethod
    def from_hex(cls, text: str, *, what: str) -> "Seal":
        """Make a keyed seal.

        Args:
            text: the key, as 64 hexadecimal digits.
            what: where it stood, for the message.

        Raises:
            CacheError: when it is not one.
        """
        digits = text.strip()
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if len(digits) != _KEY_DIGITS or len(key) != _KEY_BYTES:
            # The key itself is never shown.
            raise CacheError(
                f"bad {what}",
                expected=f"{_KEY_DIGITS} hexadecimal digits",
                got=f"{len(digits)} characters",
                hint="`openssl rand -hex 32` makes a key",
            )
        return cls(key)

    @property
    def is_keyed(self) -> bool:
        """Whether only who has the key can make this seal."""
        return self.key is not None

    def of(self, body: bytes) -> str:
        """Seal the body of a record."""
        if self.key is None:
            return f"{_ALGORITHM}:{blake3(body).hexdigest()}"
        return f"{_KEYED_ALGORITHM}:{blake3(body, key=self.key).hexdigest()}"

    def check(self, body: bytes, found: str) -> None:
        """Demand that a body has this seal.

        Raises:
            Doubt: when it has another one.
        """
        if compare_digest(found.encode(), self.of(body).encode()):
            return
        algorithm = found.partition(":")[0]
        if self.is_keyed and algorithm == _ALGORITHM:
            raise Doubt("it is not authenticated, and a cache key is set")
        if not self.is_keyed and algorithm == _KEYED_ALGORITHM:
            raise Doubt("it is sealed with a cache key, and none is set here")
        raise Doubt(f"the record's seal is broken{' or made with another key' * self.is_keyed}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of an entry.

    Attributes:
        name: its file name, which holds the first digits of its digest.
        size: its length in bytes.
        blake3: its BLAKE3 digest, as hexadecimal digits.
    """

    name: str
    size: int
    blake3: str

    @classmethod
    def of(cls, key: str, data: bytes) -> "Artifact":
        """Describe the bytes of an artifact of an entry."""
        digest = Digest.blake3(data).hex
        return cls(artifact_name(key, digest), len(data), digest)


def artifact_name(key: str, digest: str) -> str:
    """Give the file name of an artifact: of its entry, and of its content."""
    return f"{key}-{digest[:16]}.cwasm"


@dataclass(frozen=True, slots=True)
class About:
    """What a record says of its entry besides its files.

    Attributes:
        kind: what was compiled: `core`, `component` or `component-whole`.
        codec_id: what the codec does.
        label: its implementation and version.
        wasm: digest of the binary.
        wasm_size: its length in bytes.
        engine: fingerprint of the engine that compiled it, as hexadecimal digits.
        wasmtime: version of wasmtime.
        target: operating system and processor.
        created: when, in seconds since the epoch.
        compile_seconds: how long that took.
    """

    kind: str
    codec_id: str
    label: str
    wasm: str
    wasm_size: int
    engine: str
    wasmtime: str
    target: str
    created: int
    compile_seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read and believed.

    Attributes:
        key: the entry's key.
        artifacts: its files, in the order in which they are loaded.
        about: what else it says.
    """

    key: str
    artifacts: tuple[Artifact, ...]
    about: About

    @property
    def size_bytes(self) -> int:
        """How long the artifacts are together."""
        return sum(artifact.size for artifact in self.artifacts)


def write_record(record: Record, seal: Seal) -> bytes:
    """Write a record as a file."""
    import tomli_w  # noqa: PLC0415 - only who writes an entry needs it

    body = tomli_w.dumps(
        {
            "key": record.key,
            **asdict(record.about),
            "artifacts": [asdict(artifact) for artifact in record.artifacts],
        }
    ).encode()
    return f'{_SEAL}"{seal.of(body)}"\n'.encode() + body


def parse_record(text: bytes, key: str, seal: Seal) -> Record:
    """Read a record.

    Args:
        text: the file.
        key: the entry that it was found as.
        seal: the seal that it must have.

    Raises:
        Doubt: when it is not the record that chonkle wrote for this entry.
    """
    body = unseal(text, seal)
    table = parse_table(body, what="the record", size_max=RECORD_MAX_BYTES)
    if table.get("key") != key:
        raise Doubt("the record belongs to another entry")
    listed = table.get("artifacts")
    if not isinstance(listed, list) or not 0 < len(listed) <= _ARTIFACTS_MAX:
        raise Doubt("the record names no artifacts")
    return Record(key, tuple(_artifact(each, key) for each in listed), _about(table))


def unseal(text: bytes, seal: Seal) -> bytes:
    """Give what the seal of a record covers, unread.

    Args:
        text: the file.
        seal: the seal that it must have.

    Raises:
        Doubt: when it has another one, or none.
    """
    first, _, body = text.partition(b"\n")
    line = first.decode(errors="replace")
    if not line.startswith(f'{_SEAL}"') or not line.endswith('"'):
        raise Doubt("the record's seal is broken")
    seal.check(body, line.removeprefix(f'{_SEAL}"').removesuffix('"'))
    return body


def parse_table(text: bytes, *, what: str, size_max: int) -> dict[str, object]:
    """Read the little of TOML that chonkle writes, in time and memory that grow with the text.

    Anybody can have written it, and all of TOML costs more: a key of n dotted parts costs n * n.

    Args:
        text: what to read.
        what: what it is, for the doubt.
        size_max: how long it may be.

    Raises:
        Doubt: when it is longer, or something else.
    """
    if len(text) > size_max:
        raise Doubt(f"{what} is longer than {size_max} bytes")
    for number, line in enumerate(text.split(b"\n"), 1):
        if len(line) > _LINE_MAX_BYTES or _LINE.fullmatch(line) is None:
            raise Doubt(f"{what} is not TOML: chonkle writes no such line as its line {number}")
    try:
        return tomllib.loads(text.decode())
    except ValueError as failure:
        raise Doubt(f"{what} is not TOML: {failure}") from failure


def _artifact(listed: object, key: str) -> Artifact:
    table = listed if isinstance(listed, dict) else {}
    name, size, digest = (table.get(field) for field in ("name", "size", "blake3"))
    if not (isinstance(name, str) and type(size) is int and isinstance(digest, str)):
        raise Doubt("the record lacks a field")
    if not 0 <= size <= _NUMBER_MAX:
        raise Doubt("the record's field `size` is out of range")
    # So that no record leads out of its directory.
    if _DIGEST.fullmatch(digest) is None or name != artifact_name(key, digest):
        raise Doubt("the record names a file that is not its own")
    return Artifact(name, size, digest)


def _about(table: Mapping[str, object]) -> About:
    found = {each.name: table.get(each.name) for each in fields(About)}
    for each in fields(About):
        assert isinstance(each.type, type)  # noqa: S101 - the class above says so
        if type(found[each.name]) is not each.type:
            raise Doubt(f"the record's field `{each.name}` is missing or of another type")
    for name in ("wasm_size", "created", "compile_seconds"):
        number = found[name]
        assert isinstance(number, int | float)  # noqa: S101 - just checked
        # Written so that a NaN, which compares with nothing, is refused.
        if not 0 <= number <= _NUMBER_MAX:
            raise Doubt(f"the record's field `{name}` is out of range")
    return About(**found)  # type: ignore[arg-type]  # checked just now
