"""The record of a cache entry: a small sealed TOML file.

seal = "blake3:<hex>"          digest of everything below this line
key = "<64 hex digits>"        the entry that it belongs to
kind, codec, wasm, ...         what was compiled, by what, when: for people and upkeep
[[artifacts]]
name = "<key>-<digest>.cwasm"
size = 37640
blake3 = "<hex>"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from chonkle.digest import Digest

_SEAL = "seal = "
_ARTIFACTS_MAX = 256


class Doubt(Exception):  # noqa: N818 - not a failure of anybody's: a reason for a miss
    """A reason not to believe a cache entry."""


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


def write_record(key: str, artifacts: list[Artifact], about: Mapping[str, object]) -> bytes:
    """Write a record.

    Args:
        key: the entry's key.
        artifacts: its files, in the order in which they are loaded.
        about: what else it says.
    """
    import tomli_w  # noqa: PLC0415 - only who writes an entry needs it

    body = tomli_w.dumps(
        {
            "key": key,
            **about,
            "artifacts": [
                {"name": each.name, "size": each.size, "blake3": each.blake3} for each in artifacts
            ],
        }
    )
    return f'{_SEAL}"{Digest.blake3(body.encode())}"\n{body}'.encode()


def parse_record(text: bytes, key: str) -> list[Artifact]:
    """Read the artifacts of an entry out of its record.

    Args:
        text: the file.
        key: the entry that it was found as.

    Raises:
        Doubt: when it is not the record that chonkle wrote for this entry.
    """
    first, _, body = text.partition(b"\n")
    if first.decode(errors="replace") != f'{_SEAL}"{Digest.blake3(body)}"':
        raise Doubt("the record's seal is broken")
    try:
        fields = tomllib.loads(body.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as failure:
        raise Doubt(f"the record is not TOML: {failure}") from failure
    if fields.get("key") != key:
        raise Doubt("the record belongs to another entry")
    listed = fields.get("artifacts")
    if not isinstance(listed, list) or not 0 < len(listed) <= _ARTIFACTS_MAX:
        raise Doubt("the record names no artifacts")
    return [_artifact(each, key) for each in listed]


def _artifact(fields: object, key: str) -> Artifact:
    table = fields if isinstance(fields, dict) else {}
    name, size, digest = (table.get(field) for field in ("name", "size", "blake3"))
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(digest, str)):
        raise Doubt("the record lacks a field")
    # So that no record leads out of its directory.
    if name != artifact_name(key, digest) or "/" in name or "\\" in name:
        raise Doubt("the record names a file that is not its own")
    return Artifact(name, size, digest)
