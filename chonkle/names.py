"""Validated names: codec ids, implementations, ports, steps and versions.

Names come from signatures, pipelines and registries, all of which may be hostile, and some become
file names. So each rule lists what a name may contain.
"""

import re
from functools import lru_cache

# Letters, digits and `. _ + -` between; begins and ends with a letter or digit. No separators, no
# leading dot: any such name is one path component on every file system.
_CODEC_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?", re.ASCII)
# Ports and steps are written in wiring references, where the dot separates them.
_WIRE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
# Semantic Versioning 2.0.0, section 2, 9 and 10.
_PRE_RELEASE = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    rf"(?:-({_PRE_RELEASE}(?:\.{_PRE_RELEASE})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)
_VERSION_MAX = 64
# Names that Windows reserves for devices, with any suffix.
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)}
)

CODEC_NAME_RULE = (
    "1 to 128 of letters, digits and `. _ + -`, beginning and ending with a letter or digit"
)
WIRE_NAME_RULE = "1 to 64 of letters, digits, `_` and `-`, not beginning with a digit or `-`"


def is_codec_name(name: object) -> bool:
    """Tell whether a value may be a codec id or an implementation name."""
    return (
        isinstance(name, str)
        and _CODEC_NAME.fullmatch(name) is not None
        and ".." not in name
        and name.partition(".")[0].lower() not in _WINDOWS_DEVICES
    )


def implementation_of(file: str) -> str:
    """Give the implementation that a wasm file's name says, `zlib-rs` of `zlib-rs@1.0.0.core.wasm`.

    Args:
        file: a path or a URI.

    Returns:
        The name; empty where the file's is none.
    """
    name = re.split(r"[/\\]", re.split("[?#]", file, maxsplit=1)[0])[-1]
    if not name.endswith(".wasm"):
        return ""
    stem = name.removesuffix(".wasm").removesuffix(".core").removesuffix(".component")
    stem = stem.partition("@")[0]
    return stem if is_codec_name(stem) else ""


def is_wire_name(name: object) -> bool:
    """Tell whether a value may name a port, a step or a constant."""
    return isinstance(name, str) and _WIRE_NAME.fullmatch(name) is not None


def is_version(version: object) -> bool:
    """Tell whether a value is a semantic version."""
    return (
        isinstance(version, str)
        and len(version) <= _VERSION_MAX
        and _VERSION.fullmatch(version) is not None
    )


@lru_cache(maxsize=256)
def version_key(version: str) -> tuple[object, ...]:
    """Give a sort key with the precedence of Semantic Versioning 2.0.0, section 11.

    Args:
        version: a semantic version, or an empty string, which sorts before all of them.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, -1, -1, (0,))
    major, minor, patch, pre = match.group(1, 2, 3, 4)
    # Numeric identifiers sort before alphanumeric ones, and a release after its pre-releases. A
    # number may be too long for `int`; without leading zeros, the longer one is the larger.
    rank: tuple[object, ...] = (1,)
    if pre is not None:
        rank = (0, *((0, len(i), i) if i.isdigit() else (1, 0, i) for i in pre.split(".")))
    return (int(major), int(minor), int(patch), rank)
