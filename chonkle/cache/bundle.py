"""A bundle: cache entries in one file, for the image of a container or the cache of a CI service.

    bundle.json                 manifest: what the native code was compiled for
    <kk>/<key>-<digest>.cwasm   artifacts of an entry, then
    <kk>/<key>.record           its record; entries in the order of their keys

Members are named like the files of a cache directory, so that a bundle may also be unpacked there.
A bundle may be hostile: nothing is written before all of it was checked, and every entry is checked
again when it is written.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from chonkle.cache.archive import END, Member, archive_size, member_parts, read_members
from chonkle.cache.directory import CacheDirectory
from chonkle.cache.integrity import check_key
from chonkle.cache.layers import CacheConfig
from chonkle.cache.record import (
    RECORD_MAX_BYTES,
    RECORD_SUFFIX,
    Artifact,
    Authenticator,
    EntryMetadata,
    InvalidEntry,
    Record,
    authenticated_body,
    parse_record,
    parse_table,
    write_record,
)
from chonkle.cache.survey import (
    Machine,
    Status,
    directories,
    require_trust,
    require_writable,
    survey,
    write_error,
)
from chonkle.errors import CacheError
from chonkle.storage.files import open_regular

_FORMAT_VERSION = 2
_MANIFEST = "bundle.json"
_MEMBER = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})(\.record|-[0-9a-f]{16}\.cwasm)")
_MEMBERS_MAX = 1 << 18
_MANIFEST_MAX_BYTES = 4096
_CHUNK_BYTES = 1 << 20
_LOCK_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Export:
    """The entries to export."""

    machine: Machine  # what they were compiled for
    authenticator: Authenticator  # how the records are authenticated
    # Records in the order of their keys, with the paths of their artifacts.
    entries: Sequence[tuple[Record, Sequence[Path]]]
    stale: int  # how many entries of other engines were left out
    invalid: int  # how many invalid entries were left out

    @property
    def size_bytes(self) -> int:
        """The length of the artifacts together."""
        return sum(record.size_bytes for record, _ in self.entries)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    entries: int  # how many entries were written
    size_bytes: int  # the length of their artifacts together
    kept: int  # how many were there already
    busy: int = 0  # how many were skipped because another process is writing them


def select_entries(
    config: CacheConfig, *, machine: Machine, codecs: Collection[str] = ()
) -> Export:
    """Choose the entries to export: those of the user's own cache, then those of the system's.

    Args:
        config: the cache.
        machine: what the entries must be compiled for.
        codecs: codec ids, or implementations with or without a version; empty for all entries.

    Raises:
        CacheError: when a cache is not trusted, a codec has no entry, or no import would accept the
            bundle.
    """
    if config.mode == "off":
        raise CacheError(
            "CHONKLE_AOT=off: nothing is read from the cache", hint="unset CHONKLE_AOT"
        )
    chosen: dict[str, tuple[Record, Sequence[Path]]] = {}
    left_out: Counter[Status] = Counter()
    for directory in reversed(directories(config)):
        require_trust(directory)
        for found in survey(directory, machine) if directory.exists() else ():
            record = found.entry.record
            if record is None or found.status != "usable":
                left_out[found.status] += 1
            elif record.key not in chosen and _is_asked_for(record.metadata, codecs):
                try:
                    check_key(record)
                    chosen[record.key] = record, directory.checked_artifacts(record)
                except InvalidEntry:
                    # It may have been removed meanwhile, which does not make it invalid.
                    left_out["invalid"] += not _is_gone(directory, record.key)
    entries = [chosen[key] for key in sorted(chosen)]
    stale, invalid = left_out["stale"], left_out["invalid"]
    export = Export(machine, config.authenticator, entries, stale=stale, invalid=invalid)
    _require_codecs(export, codecs)
    _require_importable(export, size_max=config.size_max_bytes)
    return export


def bundle_parts(export: Export) -> Iterator[bytes]:
    """Give the bytes of a bundle, an artifact at a time.

    Raises:
        CacheError: when an entry changes meanwhile; the parts so far are not a bundle.
    """
    yield from member_parts(_MANIFEST, _write_manifest(export.machine))
    for record, paths in export.entries:
        shard = record.key[:2]
        # Two modules of a component may have the same code, which is one file.
        for path, artifact in sorted(dict(zip(paths, record.artifacts, strict=True)).items()):
            yield from member_parts(f"{shard}/{artifact.name}", _read(path, artifact))
        text = write_record(record, export.authenticator)
        yield from member_parts(f"{shard}/{record.key}{RECORD_SUFFIX}", text)
    yield END


def import_bundle(
    path: Path, config: CacheConfig, *, machine: Machine, allow_unauthenticated: bool = False
) -> Imported:
    """Write the entries of a bundle into the user's own cache, where it lacks them.

    Args:
        path: the bundle.
        config: where the cache is, and how records must be authenticated.
        machine: what the entries must be compiled for.
        allow_unauthenticated: accept records with a plain digest, and authenticate them anew.

    Raises:
        CacheError: when the bundle fails a check, in which case nothing was written, or when the
            cache cannot be written to.
    """
    check = _Check(config.authenticator, machine, allow_unauthenticated=allow_unauthenticated)
    try:
        with _open_bundle(path, size_max=config.size_max_bytes) as file:
            for _ in check.entries(file):
                pass
            require_writable(config)
            *_, own = directories(config)
            return _write_entries(own, check, file)
    except CacheError as failure:
        raise failure.within(f"cannot import {path}") from failure
    except InvalidEntry as reason:
        raise CacheError(f"cannot import {path}: {reason}") from reason
    except OSError as failure:
        raise CacheError(f"cannot import {path}: {failure.strerror or failure}") from failure


@dataclass(frozen=True, slots=True)
class _Check:
    authenticator: Authenticator
    machine: Machine
    allow_unauthenticated: bool

    def entries(self, file: BinaryIO) -> Iterator[tuple[Record, Mapping[Artifact, Member]]]:
        """Give each checked entry: its record, and where its artifacts are.

        Raises:
            InvalidEntry: when one fails a check.
            CacheError: when one is refused for a reason that the user can change.
        """
        members = read_members(file)
        self._manifest(next(members, None), file)
        previous = ""
        artifacts: dict[Artifact, Member] = {}
        for count, member in enumerate(members):
            if count == _MEMBERS_MAX:
                raise InvalidEntry(f"it has more than {_MEMBERS_MAX} members")
            match = _MEMBER.fullmatch(member.name)
            if match is None:
                raise InvalidEntry(f"the member `{member.name}` has no place in it")
            if member.name <= previous:
                raise InvalidEntry(f"the member `{member.name}` is not in its order")
            previous = member.name
            _, key, suffix = match.groups()
            if suffix == RECORD_SUFFIX:
                text = _read_text(member, file, size_max=RECORD_MAX_BYTES)
                try:
                    record = self._record(text, key, artifacts)
                except InvalidEntry as reason:
                    raise InvalidEntry(f"entry {key}: {reason}") from reason
                yield record, artifacts
                artifacts = {}
            else:
                name = member.name.rpartition("/")[2]
                artifacts[Artifact(name, member.size, _hash(member, file))] = member
        if artifacts:
            raise InvalidEntry("it has artifacts without a record")

    def _manifest(self, member: Member | None, file: BinaryIO) -> None:
        if member is None or member.name != _MANIFEST:
            raise InvalidEntry("it does not begin with its manifest")
        text = _read_text(member, file, size_max=_MANIFEST_MAX_BYTES)
        found = parse_table(text, what="its manifest")
        wanted = _manifest(self.machine)
        if found.get("format") != _FORMAT_VERSION:
            raise InvalidEntry(f"it is not of format {_FORMAT_VERSION}, the only one supported")
        if any(found.get(name) != value for name, value in wanted.items()):
            raise CacheError(
                "its native code is for another engine",
                expected=_words(wanted),
                got=_words(found),
                hint="export it where wasmtime, the system and the processor's features are those "
                "of this machine",
            )

    def _record(self, text: bytes, key: str, artifacts: Collection[Artifact]) -> Record:
        record = self._authenticated_record(text, key)
        if record.metadata.engine not in self.machine.engines:
            raise InvalidEntry("it is for an engine that the manifest does not name")
        check_key(record)
        if set(record.artifacts) != set(artifacts):
            raise InvalidEntry("the artifacts are not those of its record")
        return record

    def _authenticated_record(self, text: bytes, key: str) -> Record:
        plain = Authenticator()
        try:
            authenticated_body(text, plain)
        except InvalidEntry:
            return parse_record(text, key, self.authenticator)
        if self.allow_unauthenticated:
            return parse_record(text, key, plain)
        raise CacheError(
            "it is not authenticated, and its author could run code as you",
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
            # The process that holds the lock writes the same. Waiting for one is enough.
            busy += 1
            wait_s = 0.0
        except OSError as failure:
            raise write_error(own, failure) from failure
    return Imported(written, size_bytes, kept, busy)


def _contents(
    record: Record, artifacts: Mapping[Artifact, Member], file: BinaryIO
) -> Iterator[bytes]:
    for artifact in record.artifacts:
        member = artifacts[artifact]
        file.seek(member.offset)
        content = file.read(member.size)
        # The file may have changed since it was checked.
        if blake3(content).hexdigest() != artifact.blake3:
            raise InvalidEntry("it changed while it was read")
        yield content


def _is_there(directory: CacheDirectory, key: str) -> bool:
    """Whether there is a valid entry; an invalid one is written anew."""
    try:
        record = directory.read(key)
        if record is not None:
            directory.checked_artifacts(record)
    except InvalidEntry:
        return False
    return record is not None


def _is_asked_for(metadata: EntryMetadata, codecs: Collection[str]) -> bool:
    # Entries without a codec id are chonkle's own, and every codec may need them.
    return not codecs or not metadata.codec_id or not _names_of(metadata).isdisjoint(codecs)


def _names_of(metadata: EntryMetadata) -> set[str]:
    return {metadata.codec_id, metadata.label, metadata.label.partition("@")[0]}


def _is_gone(directory: CacheDirectory, key: str) -> bool:
    try:
        return directory.read(key) is None
    except InvalidEntry:
        return False


def _require_codecs(export: Export, codecs: Iterable[str]) -> None:
    every = [record.metadata for record, _ in export.entries if record.metadata.codec_id]
    names = {name for metadata in every for name in _names_of(metadata)}
    missing = [codec for codec in codecs if codec not in names]
    if not missing:
        return
    left_out = f"{export.stale} stale and {export.invalid} invalid entries"
    raise CacheError(
        f"nothing to export of codec `{missing[0]}`",
        got=left_out if export.stale or export.invalid else "",
        hint="`chonkle cache warm` compiles codecs into the cache",
    )


def _require_importable(export: Export, *, size_max: int) -> None:
    """Require what an import requires, before anything is written."""
    sizes = [len(_write_manifest(export.machine))]
    for record, _ in export.entries:
        sizes += [artifact.size for artifact in set(record.artifacts)]
        sizes.append(len(write_record(record, export.authenticator)))
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


def _write_manifest(machine: Machine) -> bytes:
    return json.dumps(_manifest(machine), indent=2).encode() + b"\n"


def _manifest(machine: Machine) -> dict[str, object]:
    return {"format": _FORMAT_VERSION, **asdict(machine)}


def _words(manifest: Mapping[str, object]) -> str:
    """Name the machine of a manifest, whose fields may have any type."""
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
        raise InvalidEntry(f"the member `{member.name}` is longer than {size_max} bytes")
    return file.read(member.size)


def _hash(member: Member, file: BinaryIO) -> str:
    hasher = blake3()
    left = member.size
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        hasher.update(chunk)
        left -= len(chunk)
    return hasher.hexdigest()
