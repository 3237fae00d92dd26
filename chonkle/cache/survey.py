"""What a cache holds, as its owner sees it: looking makes nothing and changes nothing."""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from chonkle.cache.directory import FORMAT_VERSION, CacheDirectory, Entry
from chonkle.cache.layers import CacheConfig
from chonkle.engine import ENGINE_CONFIGS, Engine, EngineConfig, target, wasmtime_version
from chonkle.errors import CacheError, explained
from chonkle.names import version_key

Layer = Literal["own", "system"]
EngineName = Literal["default", "interruptible"]
Status = Literal["usable", "stale", "doubtful", "unfinished"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_OURS = (PermissionError, FileExistsError, NotADirectoryError)


def engine_name(config: EngineConfig) -> EngineName:
    """Name a configuration by what tells those that chonkle uses apart."""
    return "interruptible" if config.interruptible else "default"


def layer_name(directory: CacheDirectory) -> Layer:
    """Name the layer that a directory is."""
    return "system" if directory.is_system else "own"


def directories(config: CacheConfig) -> list[CacheDirectory]:
    """Name the directories of a configuration, in the order in which they are read.

    They need not exist.
    """
    roots = ((config.system, True), (config.root, False))
    return [
        CacheDirectory(root, seal=config.seal, is_system=is_system)
        for root, is_system in roots
        if root is not None
    ]


def cache_words(directory: CacheDirectory) -> str:
    """Name the layer that a directory is, in a sentence for its user."""
    return "the system's cache" if directory.is_system else "your own cache"


def distrust_of(directory: CacheDirectory) -> str | None:
    """Say who else could have put native code into a directory, which need not exist.

    Raises:
        OSError: when that cannot be told, or something else is in its place.
    """
    for path in (directory.root, directory.root / f"aot-v{FORMAT_VERSION}"):
        if os.path.lexists(path) and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return directory.distrust()


def demand_trust(directory: CacheDirectory) -> None:
    """Demand that nobody else could have put native code into a directory, which need not exist.

    Raises:
        CacheError: saying who could, or why that cannot be told.
    """
    try:
        reason = distrust_of(directory)
    except OSError as failure:
        raise CacheError(f"cannot read {cache_words(directory)}: {explained(failure)}") from failure
    if reason is not None:
        raise CacheError(
            f"{cache_words(directory)} is not used: {reason}",
            hint="nobody but its owner may be able to write to it",
        )


def demand_writable(config: CacheConfig) -> None:
    """Demand that what is compiled is kept, making the user's own directory where it is missing.

    Raises:
        CacheError: when nothing would be kept.
    """
    if config.mode != "auto" or config.root is None:
        raise CacheError(
            f"CHONKLE_AOT={config.mode}: nothing is written to the cache", hint="unset CHONKLE_AOT"
        )
    own = CacheDirectory(config.root, seal=config.seal)
    demand_trust(own)
    try:
        own.create()
    except OSError as failure:
        raise write_error(own, failure) from failure


def write_error(directory: CacheDirectory, failure: OSError) -> CacheError:
    """Say that a directory cannot be written to, with advice where that is of use."""
    hint = ""
    if failure.errno in _NO_ROOM:
        hint = "make room, or set CHONKLE_CACHE_DIR to a directory that has some"
    elif isinstance(failure, _NOT_OURS) or failure.errno == errno.EROFS:
        hint = "set CHONKLE_CACHE_DIR to a directory of your own"
    what = f"cannot write to {cache_words(directory)}: {explained(failure)}"
    return CacheError(what, hint=hint)


@dataclass(frozen=True, slots=True)
class Machine:
    """What native code must be for to be of use here.

    Attributes:
        wasmtime: the version of wasmtime.
        target: operating system and processor.
        engines: fingerprint of each engine that chonkle uses -> its name.
    """

    wasmtime: str
    target: str
    engines: Mapping[str, EngineName]

    @classmethod
    def here(cls) -> Self:
        """Describe this machine."""
        engines = {Engine(each).fingerprint.hex: engine_name(each) for each in ENGINE_CONFIGS}
        return cls(wasmtime_version(), target(), engines)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """An entry, and what it is worth here.

    Attributes:
        directory: where it is.
        entry: the entry.
        engine: which of our engines made it; None where none did.
        status: `usable`; `stale`, made by what is not in use here; `doubtful`, not believed; or
            `unfinished`, without a record: being written, or left by a writer that died.
        reason: why it is not usable.
    """

    directory: CacheDirectory
    entry: Entry
    engine: EngineName | None
    status: Status
    reason: str | None

    @property
    def saved_s(self) -> float:
        """The time for compiling that its uses saved, in seconds."""
        record = self.entry.record
        return self.entry.uses * record.about.compile_seconds if record else 0.0


def survey(directory: CacheDirectory, machine: Machine) -> list[Surveyed]:
    """Look at every entry of a directory, codecs first, by codec, implementation and version.

    Args:
        directory: a directory that exists and is trusted.
        machine: what entries must be for to be of use.

    Raises:
        OSError: as the file system says.
    """
    return sorted(
        (_surveyed(directory, entry, machine) for entry in directory.entries()), key=_rank
    )


def _surveyed(directory: CacheDirectory, entry: Entry, machine: Machine) -> Surveyed:
    if entry.record is None:
        status: Status = "doubtful" if entry.doubt else "unfinished"
        reason = entry.doubt or "no record: being written, or left by a writer that died"
        return Surveyed(directory, entry, None, status, reason)
    about = entry.record.about
    engine = machine.engines.get(about.engine)
    if engine is not None:
        return Surveyed(directory, entry, engine, "usable", None)
    made_by = "another engine"
    if about.wasmtime != machine.wasmtime:
        made_by = f"wasmtime {about.wasmtime}"
    elif about.target != machine.target:
        made_by = f"wasmtime on {about.target}"
    return Surveyed(directory, entry, None, "stale", f"made by {made_by}")


def _rank(surveyed: Surveyed) -> tuple[object, ...]:
    record, key = surveyed.entry.record, surveyed.entry.key
    if record is None:
        return (True, surveyed.status, key)
    about = record.about
    implementation, _, version = about.label.partition("@")
    # What is of no codec comes after those that are.
    return (
        False,
        not about.codec_id,
        about.codec_id,
        implementation,
        version_key(version),
        about.kind != "core",
        about.kind,
        surveyed.status != "usable",
        surveyed.engine or "",
        key,
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """What a directory holds altogether.

    Attributes:
        entries: how many entries, usable or not.
        stale: how many of them are stale.
        doubtful: how many are not believed.
        size_bytes: how long all files are together.
        uses: how often one was loaded since it was made.
        saved_s: the time for compiling that this saved, in seconds.
    """

    entries: int
    stale: int
    doubtful: int
    size_bytes: int
    uses: int
    saved_s: float

    @classmethod
    def of(cls, found: Iterable[Surveyed]) -> Self:
        """Add up entries."""
        every = list(found)
        statuses = [each.status for each in every]
        return cls(
            entries=len(every) - statuses.count("unfinished"),
            stale=statuses.count("stale"),
            doubtful=statuses.count("doubtful"),
            size_bytes=sum(each.entry.size_bytes for each in every),
            uses=sum(each.entry.uses for each in every),
            saved_s=sum(each.saved_s for each in every),
        )
