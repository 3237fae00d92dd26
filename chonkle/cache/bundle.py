"""A bundle: cache entries in one file, for the image of a container or the cache of a CI service.

    bundle.toml                 manifest: what the native code runs on
    <kk>/<key>-<digest>.cwasm   artifacts of an entry, then
    <kk>/<key>.toml             its record; entries in the order of their keys

Members have the names and the contents that files have in a cache directory, so that a bundle may
also be unpacked there. A bundle comes from elsewhere, and is hostile until all of it was checked:
only then is anything written, and what is written is checked again.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from chonkle.cache.archive import (
    END,
    Member,
    archive_size,
    member_header,
    member_padding,
    read_members,
)
from chonkle.cache.directory import CacheDirectory
from chonkle.cache.layers import CacheConfig
from chonkle.cache.record import (
    RECORD_MAX_BYTES,
    About,
    Artifact,
    Doubt,
    Record,
    Seal,
    parse_record,
    parse_table,
    unseal,
    write_record,
)
from chonkle.cache.survey import (
    Machine,
    Status,
    demand_trust,
    demand_writable,
    directories,
    survey,
    write_error,
)
from chonkle.cache.verify import check_key
from chonkle.errors import CacheError
from chonkle.storage.files import open_regular

_FORMAT_VERSION = 1
_MANIFEST = "bundle.toml"
_MEMBER = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})(\.toml|-[0-9a-f]{16}\.cwasm)")
_RECORD_SUFFIX = ".toml"
_MEMBERS_MAX = 1 << 18
_MANIFEST_MAX_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_LOCK_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be exported.

    Attributes:
        machine: what it runs on.
        seal: how the records are sealed.
        entries: records in the order of their keys, with the paths of their artifacts.
        stale: how many entries were left out because another engine made them.
        doubtful: how many were left out because they are not believed.
    """

    machine: Machine
    seal: Seal
    entries: Sequence[tuple[Record, Sequence[Path]]]
    stale: int
    doubtful: int

    @property
    def size_bytes(self) -> int:
        """How long the artifacts are together."""
        return sum(record.size_bytes for record, _ in self.entries)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        entries: how many entries were written.
        size_bytes: how long their artifacts are together.
        kept: how many were there already.
        busy: how many were left to who is writing them.
    """

    entries: int
    size_bytes: int
    kept: int
    busy: int = 0


def select_entries(
    config: CacheConfig, *, machine: Machine, codecs: Collection[str] = ()
) -> Selection:
    """Choose the entries to export: those of the user's own cache, then those of the system's.

    Args:
        config: where they are.
        machine: what they must be for.
        codecs: codec ids, or implementations with or without a version; all entries if there are
            none.

    Raises:
        CacheError: when a cache is not trusted, there is nothing of a codec that is asked for, or
            the bundle would be one that no import takes.
    """
    if config.mode == "off":
        raise CacheError(
            "CHONKLE_AOT=off: nothing is read from the cache", hint="unset CHONKLE_AOT"
        )
    chosen: dict[str, tuple[Record, Sequence[Path]]] = {}
    left_out: Counter[Status] = Counter()
    for directory in reversed(directories(config)):
        demand_trust(directory)
        for found in survey(directory, machine) if directory.exists() else ():
            record = found.entry.record
            if record is None or found.status != "usable":
                left_out[found.status] += 1
            elif record.key not in chosen and _is_asked_for(record.about, codecs):
                try:
                    check_key(record)
                    chosen[record.key] = record, directory.checked_artifacts(record)
                except Doubt:
                    # What somebody removed meanwhile is only gone.
                    left_out["doubtful"] += not _is_gone(directory, record.key)
    entries = [chosen[key] for key in sorted(chosen)]
    stale, doubtful = left_out["stale"], left_out["doubtful"]
    selection = Selection(machine, config.seal, entries, stale=stale, doubtful=doubtful)
    _demand_codecs(selection, codecs)
    _demand_importable(selection, size_max=config.size_max_bytes)
    return selection


def bundle_parts(selection: Selection) -> Iterator[bytes]:
    """Give the bytes of a bundle, an artifact at a time.

    Raises:
        CacheError: when an entry changes meanwhile; the parts so far are not a bundle.
    """
    yield from _member_parts(_MANIFEST, _write_manifest(selection.machine))
    for record, paths in selection.entries:
        shard = record.key[:2]
        # Two modules of a component may have the same code, which is one file.
        for path, artifact in sorted(dict(zip(paths, record.artifacts, strict=True)).items()):
            yield from _member_parts(f"{shard}/{artifact.name}", _read(path, artifact))
        text = write_record(record, selection.seal)
        yield from _member_parts(f"{shard}/{record.key}{_RECORD_SUFFIX}", text)
    yield END


def import_bundle(
    path: Path, config: CacheConfig, *, machine: Machine, allow_unauthenticated: bool = False
) -> Imported:
    """Write the entries of a bundle into the user's own cache, where it lacks them.

    Args:
        path: the bundle.
        config: where the cache is, and the seal that records must have.
        machine: what the entries must be for.
        allow_unauthenticated: accept records that anybody can have written; they are sealed anew.

    Raises:
        CacheError: when the bundle is not believed, in which case nothing was written, or when the
            cache cannot be written to.
    """
    check = _Check(config.seal, machine, allow_unauthenticated=allow_unauthenticated)
    try:
        with _open_bundle(path, size_max=config.size_max_bytes) as file:
            for _ in check.entries(file):
                pass
            demand_writable(config)
            *_, own = directories(config)
            return _write_entries(own, check, file)
    except CacheError as failure:
        raise failure.within(f"cannot import {path}") from failure
    except Doubt as doubt:
        raise CacheError(f"cannot import {path}: {doubt}") from doubt
    except OSError as failure:
        raise CacheError(f"cannot import {path}: {failure.strerror or failure}") from failure


@dataclass(frozen=True, slots=True)
class _Check:
    """What every entry of a bundle must be."""

    seal: Seal
    machine: Machine
    allow_unauthenticated: bool

    def entries(self, file: BinaryIO) -> Iterator[tuple[Record, Mapping[Artifact, Member]]]:
        """Give each entry that was found to be true: its record, and where its artifacts are.

        Raises:
            Doubt: when one is not.
            CacheError: when it is refused for a reason that somebody can do something about.
        """
        members = read_members(file)
        self._manifest(next(members, None), file)
        previous = ""
        artifacts: dict[Artifact, Member] = {}
        for count, member in enumerate(members):
            if count == _MEMBERS_MAX:
                raise Doubt(f"it has more than {_MEMBERS_MAX} members")
            match = _MEMBER.fullmatch(member.name)
            if match is None:
                raise Doubt(f"the member `{member.name}` has no place in it")
            if member.name <= previous:
                raise Doubt(f"the member `{member.name}` is not in its order")
            previous = member.name
            _, key, suffix = match.groups()
            if suffix == _RECORD_SUFFIX:
                text = _read_text(member, file, size_max=RECORD_MAX_BYTES)
                try:
                    record = self._record(text, key, artifacts)
                except Doubt as doubt:
                    raise Doubt(f"entry {key}: {doubt}") from doubt
                yield record, artifacts
                artifacts = {}
            else:
                name = member.name.rpartition("/")[2]
                artifacts[Artifact(name, member.size, _hash(member, file))] = member
        if artifacts:
            raise Doubt("it has artifacts without a record")

    def _manifest(self, member: Member | None, file: BinaryIO) -> None:
        if member is None or member.name != _MANIFEST:
            raise Doubt("it does not begin with its manifest")
        text = _read_text(member, file, size_max=_MANIFEST_MAX_BYTES)
        found = parse_table(text, what="its manifest", size_max=_MANIFEST_MAX_BYTES)
        wanted = _manifest(self.machine)
        if found.get("format") != _FORMAT_VERSION:
            raise Doubt(f"it is not of format {_FORMAT_VERSION}, the only one that is read here")
        if any(found.get(name) != value for name, value in wanted.items()):
            raise CacheError(
                "its native code is for another engine",
                expected=_words(wanted),
                got=_words(found),
                hint="export it where wasmtime, the system and the processor's features are those "
                "of this machine",
            )

    def _record(self, text: bytes, key: str, artifacts: Collection[Artifact]) -> Record:
        record = self._sealed_record(text, key)
        if record.about.engine not in self.machine.engines:
            raise Doubt("it is for an engine that the manifest does not name")
        check_key(record)
        if set(record.artifacts) != set(artifacts):
            raise Doubt("the artifacts are not those of its record")
        return record

    def _sealed_record(self, text: bytes, key: str) -> Record:
        try:
            unseal(text, Seal())
        except Doubt:
            return parse_record(text, key, self.seal)
        if self.allow_unauthenticated:
            return parse_record(text, key, Seal())
        raise CacheError(
            "it is not authenticated, and whoever made it could run code as you",
            hint="set CHONKLE_CACHE_KEY to one key for export and import, or give "
            "--allow-unauthenticated if you trust where it comes from",
        )


def _write_entries(own: CacheDirectory, check: _Check, file: BinaryIO) -> Imported:
    written = size_bytes = kept = busy = 0
    wait_s = _LOCK_WAIT_S
    for record, artifacts in check.entries(file):
        try:
            with own.lock(record.key, timeout_s=wait_s):
                if _is_there(own, record.key):
                    kept += 1
                else:
                    own.write(record, _contents(record, artifacts, file))
                    written += 1
                    size_bytes += record.size_bytes
        except TimeoutError:
            # Whoever holds it writes the same. Once is enough to wait for such a one.
            busy += 1
            wait_s = 0.0
        except OSError as failure:
            raise write_error(own, failure) from failure
    return Imported(written, size_bytes, kept, busy)


def _contents(
    record: Record, artifacts: Mapping[Artifact, Member], file: BinaryIO
) -> Iterator[bytes]:
    """Give the contents of artifacts; they were checked, but the file may have changed since."""
    for artifact in record.artifacts:
        member = artifacts[artifact]
        file.seek(member.offset)
        content = file.read(member.size)
        if blake3(content).hexdigest() != artifact.blake3:
            raise Doubt("it changed while it was read")
        yield content


def _is_there(directory: CacheDirectory, key: str) -> bool:
    """Whether there is an entry to keep; one that would not be believed is written anew."""
    try:
        record = directory.read(key)
        if record is not None:
            directory.checked_artifacts(record)
    except Doubt:
        return False
    return record is not None


def _is_asked_for(about: About, codecs: Collection[str]) -> bool:
    # What chonkle compiles for itself has no codec, and every codec may need it.
    return not codecs or not about.codec_id or not _names_of(about).isdisjoint(codecs)


def _names_of(about: About) -> set[str]:
    return {about.codec_id, about.label, about.label.partition("@")[0]}


def _is_gone(directory: CacheDirectory, key: str) -> bool:
    try:
        return directory.read(key) is None
    except Doubt:
        return False


def _demand_codecs(selection: Selection, codecs: Iterable[str]) -> None:
    """Demand that there is an entry of each codec that is asked for."""
    abouts = [record.about for record, _ in selection.entries if record.about.codec_id]
    names = {name for about in abouts for name in _names_of(about)}
    missing = [codec for codec in codecs if codec not in names]
    if not missing:
        return
    left_out = f"{selection.stale} stale and {selection.doubtful} doubtful entries"
    raise CacheError(
        f"nothing to export of codec `{missing[0]}`",
        got=left_out if selection.stale or selection.doubtful else "",
        hint="`chonkle cache warm` compiles codecs into the cache",
    )


def _demand_importable(selection: Selection, *, size_max: int) -> None:
    """Demand what an import demands, before anything is written that none would take."""
    sizes = [len(_write_manifest(selection.machine))]
    for record, _ in selection.entries:
        sizes += [artifact.size for artifact in set(record.artifacts)]
        sizes.append(len(write_record(record, selection.seal)))
    size = archive_size(sizes)
    if size > size_max:
        raise CacheError(
            "the bundle would be larger than a cache may be, and no import would take it",
            expected=f"at most {size_max} bytes",
            got=f"{size} bytes",
            hint="name the codecs to export, or set CHONKLE_CACHE_MAX_SIZE for both",
        )
    if len(sizes) - 1 > _MEMBERS_MAX:
        raise CacheError(
            "the bundle would have more members than any import takes",
            expected=f"at most {_MEMBERS_MAX}",
            got=str(len(sizes) - 1),
            hint="name the codecs to export",
        )


def _read(path: Path, artifact: Artifact) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise CacheError(
            f"{artifact.name} went away while it was exported", hint="export again"
        ) from failure
    if blake3(content).hexdigest() != artifact.blake3:
        raise CacheError(f"{artifact.name} changed while it was exported")
    return content


def _member_parts(name: str, content: bytes) -> tuple[bytes, ...]:
    return member_header(name, len(content)), content, member_padding(len(content))


def _write_manifest(machine: Machine) -> bytes:
    import tomli_w  # noqa: PLC0415 - only who exports needs it

    return tomli_w.dumps(_manifest(machine)).encode()


def _manifest(machine: Machine) -> dict[str, object]:
    return {"format": _FORMAT_VERSION, **asdict(machine)}


def _words(manifest: Mapping[str, object]) -> str:
    """Name the machine of a manifest, which may hold anything."""
    listed = manifest.get("engines")
    engines = ", ".join(each[:8] for each in listed) if isinstance(listed, dict) else listed
    return f"wasmtime {manifest.get('wasmtime')} on {manifest.get('target')} (engines {engines})"


def _open_bundle(path: Path, *, size_max: int) -> BinaryIO:
    file = open_regular(path)
    size = os.fstat(file.fileno()).st_size
    if size > size_max:
        file.close()
        raise CacheError(
            "it is larger than the cache may be",
            expected=f"at most {size_max} bytes",
            got=f"{size} bytes",
            hint="set CHONKLE_CACHE_MAX_SIZE",
        )
    return file


def _read_text(member: Member, file: BinaryIO, *, size_max: int) -> bytes:
    if member.size > size_max:
        raise Doubt(f"the member `{member.name}` is longer than {size_max} bytes")
    return file.read(member.size)


def _hash(member: Member, file: BinaryIO) -> str:
    hasher = blake3()
    left = member.size
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        hasher.update(chunk)
        left -= len(chunk)
    return hasher.hexdigest()
