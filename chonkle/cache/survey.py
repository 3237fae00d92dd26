"""What a cache contains, for its user; looking changes nothing."""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from chonkle.cache.directory import FORMAT_VERSION, CacheDirectory, Entry
from chonkle.cache.layers import CacheConfig
from chonkle.engine import ENGINE_CONFIGS, Engine, EngineConfig, target
from chonkle.errors import CacheError, os_error_text
from chonkle.names import version_key
from chonkle.storage.files import UntrustedError
from chonkle.wasmtime_version import wasmtime_version

Layer = Literal["own", "system"]
EngineName = Literal["default", "interruptible"]
Status = Literal["usable", "stale", "invalid", "unfinished"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_OURS = (PermissionError, FileExistsError, NotADirectoryError)


def engine_name(config: EngineConfig) -> EngineName:
    """Name one of the engine configurations that chonkle uses."""
    return "interruptible" if config.interruptible else "default"


def layer_name(directory: CacheDirectory) -> Layer:
    """Name the layer of a directory."""
    return "system" if directory.is_system else "own"


def cache_words(directory: CacheDirectory) -> str:
    """Name the layer of a directory within a sentence."""
    return "the system's cache" if directory.is_system else "your own cache"


def directories(config: CacheConfig) -> list[CacheDirectory]:
    """Give the directories of a configuration in the order of reading; they need not exist."""
    roots = ((config.system, True), (config.root, False))
    return [
        CacheDirectory(root, authenticator=config.authenticator, is_system=is_system)
        for root, is_system in roots
        if root is not None
    ]


def check_directory(directory: CacheDirectory) -> None:
    """Check that no other user could have put native code into a directory; it need not exist.

    Raises:
        UntrustedError: when another user could.
        OSError: when it cannot be checked, or something else is in its place.
    """
    for path in (directory.root, directory.root / f"aot-v{FORMAT_VERSION}"):
        if os.path.lexists(path) and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    directory.check_trust()


def require_trust(directory: CacheDirectory) -> None:
    """Require that no other user could have put native code into a directory; it need not exist.

    Raises:
        CacheError: when another user could, or when that cannot be checked.
    """
    try:
        check_directory(directory)
    except UntrustedError as reason:
        raise CacheError(
            f"{cache_words(directory)} is not used: {reason}",
            hint="only its owner may have permission to write to it",
        ) from reason
    except OSError as failure:
        raise CacheError(
            f"cannot read {cache_words(directory)}: {os_error_text(failure)}"
        ) from failure


def require_writable(config: CacheConfig) -> None:
    """Require that compiled code can be kept; the user's own directory is made if it is missing.

    Raises:
        CacheError: when nothing would be kept.
    """
    if config.mode != "auto" or config.root is None:
        raise CacheError(
            f"CHONKLE_AOT={config.mode}: nothing is written to the cache", hint="unset CHONKLE_AOT"
        )
    own = CacheDirectory(config.root, authenticator=config.authenticator)
    require_trust(own)
    try:
        own.create()
    except OSError as failure:
        raise write_error(own, failure) from failure


def write_error(directory: CacheDirectory, failure: OSError) -> CacheError:
    """Make the error for a directory that cannot be written to, with a hint where one helps."""
    hint = ""
    if failure.errno in _NO_ROOM:
        hint = "make room, or set CHONKLE_CACHE_DIR to a directory that has some"
    elif isinstance(failure, _NOT_OURS) or failure.errno == errno.EROFS:
        hint = "set CHONKLE_CACHE_DIR to a directory of your own"
    what = f"cannot write to {cache_words(directory)}: {os_error_text(failure)}"
    return CacheError(what, hint=hint)


@dataclass(frozen=True, slots=True)
class Machine:
    """What native code must be compiled for to be usable here."""

    wasmtime: str
    target: str  # operating system and processor
    engines: Mapping[str, EngineName]  # fingerprint of each engine that chonkle uses -> its name

    @classmethod
    def here(cls) -> Self:
        """Describe this machine."""
        engines = {Engine(each).fingerprint.hex: engine_name(each) for each in ENGINE_CONFIGS}
        return cls(wasmtime_version(), target(), engines)


@dataclass(frozen=True, slots=True)
class EntryStatus:
    """An entry, and whether it is usable here."""

    directory: CacheDirectory  # where it is
    entry: Entry
    engine: EngineName | None  # which of our engines compiled it; None for another one
    # `usable`; `stale`, compiled by another engine; `invalid`, its record failed a check; or
    # `unfinished`, without a record: being written, or left by an interrupted writer.
    status: Status
    reason: str | None  # why it is not usable


def survey(directory: CacheDirectory, machine: Machine) -> list[EntryStatus]:
    """Give the status of every entry, codecs first, by codec, implementation and version.

    Args:
        directory: a directory that exists and is trusted.
        machine: what entries must be compiled for.
    """
    return sorted((_status(directory, entry, machine) for entry in directory.entries()), key=_rank)


def _status(directory: CacheDirectory, entry: Entry, machine: Machine) -> EntryStatus:
    if entry.record is None:
        status: Status = "invalid" if entry.problem else "unfinished"
        reason = entry.problem or "no record: being written, or left by a writer that died"
        return EntryStatus(directory, entry, None, status, reason)
    metadata = entry.record.metadata
    engine = machine.engines.get(metadata.engine)
    if engine is not None:
        return EntryStatus(directory, entry, engine, "usable", None)
    made_by = "another engine"
    if metadata.wasmtime != machine.wasmtime:
        made_by = f"wasmtime {metadata.wasmtime}"
    elif metadata.target != machine.target:
        made_by = f"wasmtime on {metadata.target}"
    return EntryStatus(directory, entry, None, "stale", f"made by {made_by}")


def _rank(each: EntryStatus) -> tuple[object, ...]:
    record, key = each.entry.record, each.entry.key
    if record is None:
        return (True, each.status, key)
    metadata = record.metadata
    implementation, _, version = metadata.label.partition("@")
    # Entries of chonkle itself have no codec id, and come last.
    return (
        False,
        not metadata.codec_id,
        metadata.codec_id,
        implementation,
        version_key(version),
        metadata.kind != "core",
        metadata.kind,
        each.status != "usable",
        each.engine or "",
        key,
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """The contents of a directory in numbers."""

    entries: int  # how many entries have a record
    stale: int  # of these, the stale ones
    invalid: int  # of these, the invalid ones
    size_bytes: int  # the length of all files together

    @classmethod
    def of(cls, found: Iterable[EntryStatus]) -> Self:
        """Add up entries."""
        every = list(found)
        statuses = [each.status for each in every]
        return cls(
            entries=len(every) - statuses.count("unfinished"),
            stale=statuses.count("stale"),
            invalid=statuses.count("invalid"),
            size_bytes=sum(each.entry.files.size_bytes for each in every),
        )
