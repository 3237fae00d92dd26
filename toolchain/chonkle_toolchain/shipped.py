"""The codecs that chonkle ships, and codecs of the same name."""

from collections.abc import Iterator

from chonkle.names import version_key
from chonkle.storage.store import WasmCodec, bundled_store
from chonkle_toolchain.codecs_lock import Built, read_lock


def shipped(codec_id: str, implementation: str) -> list[WasmCodec]:
    """Give the files that chonkle ships of an implementation, if any.

    Args:
        codec_id: what it does.
        implementation: its name.
    """
    found, _ = bundled_store().survey(codec_id)
    return [each for each in found if each.signature.implementation == implementation]


def clash(name: str, built: Built) -> str:
    """Describe how a built codec with the name of a shipped one is resolved.

    Args:
        name: its implementation.
        built: its entry in the lock.

    Returns:
        A clause; empty when it is resolved like any other, or has the sources of the shipped one.
    """
    if _has_the_shipped_sources(name, built):
        return ""
    for why in _clashes(name, built):
        return f"{why}: give yours another name"
    return ""


def _has_the_shipped_sources(name: str, built: Built) -> bool:
    other = read_lock(bundled_store().root).codecs.get(name)
    return other is not None and other.fingerprint.sources == built.fingerprint.sources


def _clashes(name: str, built: Built) -> Iterator[str]:
    own = version_key(built.version)
    for other in shipped(built.codec_id, name):
        label, there = other.signature.label, version_key(other.signature.version)
        if there > own:
            yield f"chonkle ships {label} of `{built.codec_id}` and picks that"
        elif there == own and other.digest.hex != built.artifact(other.kind).blake3:
            yield f"chonkle ships another {label} of `{built.codec_id}` and runs neither"
