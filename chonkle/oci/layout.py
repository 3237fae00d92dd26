"""OCI image layouts: artifacts in a directory or a tar file, for sites without a registry.

    oci-layout                   {"imageLayoutVersion": "1.0.0"}
    index.json                   the manifests, some with a name: the annotation
                                 `org.opencontainers.image.ref.name`, which is the tag
    blobs/sha256/<hex>           manifests, configurations and layers, each named by its digest

Blobs are written before the index that lists them, each to a temporary file that is renamed. A tar
file is rewritten as a whole with each manifest. Referrers are found by their `subject`.

A layout may be hostile: links in place of files or folders are refused, and so are members of a tar
file that occur twice. Names in it are only looked up and never become paths.

Source: OCI Image Specification 1.1, "OCI Image Layout Specification".
"""

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError, os_error_text
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import format_value
from chonkle.oci.model import (
    INDEX_TYPE,
    LAYOUT_SCHEME,
    MANIFEST_MAX_BYTES,
    MANIFEST_TYPE,
    Descriptor,
    parse_descriptor,
    parse_manifest,
)
from chonkle.oci.repository import Progress, Repository, StoredManifest
from chonkle.storage.files import PUBLIC_FILE, locked, open_regular, replace_file_in_parts
from chonkle.storage.files import write_atomic as write_file

REF_NAME = "org.opencontainers.image.ref.name"
TAR_SUFFIX = ".tar"

_MARK = "oci-layout"
_INDEX = "index.json"
_VERSION = "1.0.0"
_MARK_MAX_BYTES = 4096
_INDEX_MAX_BYTES = 4 << 20
_ENTRIES_MAX = 10_000
_TAR_MAX_BYTES = 8 << 30
# Of a header or a long name in a tar file.
_TAR_RECORD_MAX_BYTES = 1 << 16
_LOCK_TIMEOUT_S = 30.0


class LayoutRepository(Repository):
    """An image layout.

    Args of the constructor:
        path: a directory or a tar file. The first write makes one that is missing: a tar file if
            its name ends in `.tar`.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"{LAYOUT_SCHEME}://{path}"
        is_tar = path.is_file() or (path.suffix == TAR_SUFFIX and not path.exists())
        self._files: _Directory | _Tar = _Tar(path) if is_tar else _Directory(path)
        self._is_exclusive = False

    def resolve(self, wanted: str | Digest) -> Descriptor | None:
        """Look a manifest up without reading it, unless only its blob is there."""
        with self._translating_errors():
            entries = self._entries()
            if isinstance(wanted, Digest):
                for entry in entries:
                    if entry.digest == wanted:
                        return _unnamed(entry)
                data = self._files.read(_blob(wanted), MANIFEST_MAX_BYTES)
                return None if data is None else self._described(wanted, data)
            named = [entry for entry in entries if entry.annotations.get(REF_NAME) == wanted]
            if not named and wanted == "latest" and len(entries) == 1:
                # Some tools give the only artifact of a layout no name.
                named = [entry for entry in entries if REF_NAME not in entry.annotations]
            if len({entry.digest for entry in named}) > 1:
                raise FetchError(f"two manifests are named `{wanted}`")
            return _unnamed(named[0]) if named else None

    def manifest(self, wanted: str | Digest) -> StoredManifest:
        """Read a manifest or an index."""
        found = self.resolve(wanted)
        with self._translating_errors():
            if found is None:
                names = ", ".join(f"`{tag}`" for tag in self.tags()) or "none"
                raise FetchError(f"no manifest `{wanted}`", got=f"the tags {names}")
            found.require_size(MANIFEST_MAX_BYTES, what="manifest")
            return StoredManifest(found, self._read(found))

    def tags(self) -> list[str]:
        """List the tags, sorted."""
        with self._translating_errors():
            names = {entry.annotations.get(REF_NAME, "") for entry in self._entries()}
            return sorted(names - {""})

    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there, with the size that it should have."""
        with self._translating_errors():
            self._entries()
            return self._files.size(_blob(blob.digest)) == blob.size

    def blob(self, blob: Descriptor, *, progress: Progress | None = None) -> bytes:
        """Read a blob."""
        with self._translating_errors():
            self._entries()
            data = self._read(blob)
        if progress is not None:
            progress(len(data), blob.size)
        return data

    def write_blob(
        self, data: bytes, media_type: str, *, progress: Progress | None = None
    ) -> Descriptor:
        """Write a blob, unless it is there."""
        written = Descriptor(media_type, Digest.sha256(data), len(data))
        with self._translating_errors():
            self._begin()
            if self._files.read(_blob(written.digest), written.size) != data:
                self._files.write(_blob(written.digest), data)
        if progress is not None:
            progress(len(data), len(data))
        return written

    def write_manifest(self, data: bytes, media_type: str, *, tag: str | None = None) -> Descriptor:
        """Write a manifest or an index, and list it under its digest and perhaps a tag."""
        fields = parse_manifest(data, self.name)
        artifact_type = fields.get("artifactType")
        written = Descriptor(
            media_type,
            Digest.sha256(data),
            len(data),
            artifact_type if isinstance(artifact_type, str) else "",
        )
        listed = written if tag is None else replace(written, annotations={REF_NAME: tag})
        with self._translating_errors():
            self._begin()
            self._files.write(_blob(written.digest), data)
            with self.exclusive():
                kept = [
                    entry
                    for entry in self._entries(may_be_new=True)
                    if (tag is None or entry.annotations.get(REF_NAME) != tag)
                    # An entry with a name replaces the one without.
                    and not (entry.digest == written.digest and REF_NAME not in entry.annotations)
                ]
                if tag is not None or all(entry.digest != written.digest for entry in kept):
                    kept.append(listed)
                self._files.write(_INDEX, _index_of(kept))
        return written

    def referrers(self, subject: Digest, *, artifact_type: str = "") -> list[Descriptor]:
        """List the manifests that refer to a manifest, in the order of the index."""
        found = {}
        with self._translating_errors():
            for entry in self._entries():
                if entry.size > MANIFEST_MAX_BYTES or entry.digest in found:
                    continue
                data = self._files.read(_blob(entry.digest), entry.size)
                if data is None:
                    continue  # a layout may lack some of what its index lists
                entry.check(data, what=str(entry.digest))
                fields = parse_manifest(data, str(entry.digest))
                if _subject(fields) == subject:
                    found[entry.digest] = entry.as_referrer(fields)
        return [
            each
            for each in found.values()
            if not artifact_type or each.artifact_type == artifact_type
        ]

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other writers out, between a read and the write that depends on it."""
        if self._is_exclusive:
            yield
            return
        with self._translating_errors(), self._files.changing():
            self._is_exclusive = True
            try:
                yield
            finally:
                self._is_exclusive = False

    def close(self) -> None:
        """Close the tar file. Idempotent."""
        self._files.close()

    def _begin(self) -> None:
        if self._files.exists():
            self._entries(may_be_new=True)
        else:
            self._files.write(_MARK, json.dumps({"imageLayoutVersion": _VERSION}).encode())

    def _entries(self, *, may_be_new: bool = False) -> list[Descriptor]:
        """Check the version of the layout, and read its index."""
        mark = self._files.read(_MARK, _MARK_MAX_BYTES)
        if mark is None:
            self._files.require_place()
            raise FetchError("not an OCI image layout", expected=f"a file `{_MARK}` in it")
        document = parse_json(mark, what=_MARK, error=FetchError)
        version = document.get("imageLayoutVersion") if isinstance(document, dict) else None
        if version != _VERSION:
            raise FetchError(
                f"{_MARK}: another version of layouts",
                expected=f"`{_VERSION}`",
                got=format_value(version),
            )
        text = self._files.read(_INDEX, _INDEX_MAX_BYTES)
        if text is None and may_be_new:
            return []
        if text is None:
            raise FetchError(f"no file `{_INDEX}` in it")
        fields = parse_manifest(text, _INDEX)
        listed = fields.get("manifests")
        if not isinstance(listed, list):
            raise FetchError(f"{_INDEX}: not an index", expected="a list `manifests`")
        if len(listed) > _ENTRIES_MAX:
            raise FetchError(
                f"{_INDEX}: too many manifests",
                expected=f"at most {_ENTRIES_MAX}",
                got=str(len(listed)),
            )
        return [parse_descriptor(each, _INDEX) for each in listed]

    def _read(self, blob: Descriptor) -> bytes:
        data = self._files.read(_blob(blob.digest), blob.size)
        if data is None:
            raise FetchError(f"no blob `{blob.digest}`")
        blob.check(data, what=_blob(blob.digest))
        return data

    def _described(self, digest: Digest, data: bytes) -> Descriptor:
        digest.check(data, what=_blob(digest))
        fields = parse_manifest(data, _blob(digest))
        usual = INDEX_TYPE if "manifests" in fields else MANIFEST_TYPE
        media_type = fields.get("mediaType", usual)
        return Descriptor(media_type if isinstance(media_type, str) else usual, digest, len(data))

    @contextlib.contextmanager
    def _translating_errors(self) -> Iterator[None]:
        """Name the layout in every failure."""
        try:
            yield
        except FetchError as failure:
            if str(failure).startswith(self.name):
                raise
            raise failure.within(self.name) from failure.__cause__
        except OSError as failure:
            raise FetchError(f"{self.name}: {os_error_text(failure)}") from failure
        except tarfile.TarError as failure:
            raise FetchError(f"{self.name}: not a tar file: {failure}") from failure


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _index_of(entries: list[Descriptor]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [entry.to_json() for entry in entries],
    }
    return json.dumps(document, indent=2).encode()


def _unnamed(entry: Descriptor) -> Descriptor:
    others = {name: text for name, text in entry.annotations.items() if name != REF_NAME}
    return replace(entry, annotations=others)


def _subject(manifest: Mapping[str, object]) -> Digest | None:
    if manifest.get("subject") is None:
        return None
    return parse_descriptor(manifest["subject"], "subject").digest


class _Directory:
    """The files of a layout in a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def exists(self) -> bool:
        # Hidden files are the lock, and what another process is about to rename.
        names = (path.name for path in self._root.iterdir()) if self._root.is_dir() else ()
        return any(not name.startswith(".") for name in names)

    def require_place(self) -> None:
        """Require that the directory is there."""
        if not self._root.exists():
            raise FetchError("the folder does not exist")

    def read(self, name: str, size_max: int) -> bytes | None:
        with self._opened(name) as file:
            if file is None:
                return None
            return _bounded(file.read(size_max + 1), size_max, name)

    def size(self, name: str) -> int | None:
        with self._opened(name) as file:
            return None if file is None else file.seek(0, io.SEEK_END)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, so that readers see it whole or not at all."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._refuse_links(name)
        write_file(path, data, mode=PUBLIC_FILE)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        with locked(self._root / ".lock", timeout_s=_LOCK_TIMEOUT_S):
            yield

    def close(self) -> None:
        """Nothing is held open."""

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        self._refuse_links(name)
        try:
            file = open_regular(self._root / name, follow_links=False)
        except FileNotFoundError:
            yield None
            return
        with file:
            yield file

    def _refuse_links(self, name: str) -> None:
        # The user names the root; only what is below it belongs to the layout.
        for parent in list(Path(name).parents)[:-1]:
            if (self._root / parent).is_symlink():
                raise FetchError(f"`{parent}` is a link")


class _Tar:
    """The files of a layout in a tar file, which is rewritten with each manifest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._known_members: dict[str, tuple[int, int]] | None = None
        self._pending: dict[str, bytes] = {}

    def exists(self) -> bool:
        return bool(self._members()) or bool(self._pending)

    def require_place(self) -> None:
        """Require that the file is there."""
        if not self._path.exists():
            raise FetchError("the file does not exist")

    def read(self, name: str, size_max: int) -> bytes | None:
        if name in self._pending:
            return _bounded(self._pending[name], size_max, name)
        found = self._members().get(name)
        if found is None or self._file is None:
            return None
        offset, size = found
        self._file.seek(offset)
        return _bounded(self._file.read(min(size, size_max + 1)), size_max, name)

    def size(self, name: str) -> int | None:
        if name in self._pending:
            return len(self._pending[name])
        return self._members().get(name, (0, None))[1]

    def write(self, name: str, data: bytes) -> None:
        self._pending[name] = data

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_name(f".{self._path.name}.lock"), timeout_s=_LOCK_TIMEOUT_S):
            self.close()  # another process may have replaced the file
            yield
            if self._pending:
                replace_file_in_parts(self._path, self._parts())
            self.close()
            self._pending.clear()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._known_members = None

    def _members(self) -> dict[str, tuple[int, int]]:
        """List the offset and the size of each file in the archive."""
        if self._known_members is not None:
            return self._known_members
        found: dict[str, tuple[int, int]] = {}
        try:
            self._file = open_regular(self._path)
        except FileNotFoundError:
            return found
        length = self._file.seek(0, io.SEEK_END)
        _require_at_most(_TAR_MAX_BYTES, length, "the file")
        self._file.seek(0)
        with tarfile.open(fileobj=_Headers(self._file), mode="r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isdir():
                    continue
                if not member.isreg() or member.sparse is not None:
                    raise FetchError(f"`{name}` in it is not a plain file")
                if name in found:
                    raise FetchError(f"`{name}` is in it twice")
                if member.offset_data + member.size > length:
                    raise FetchError("the file is truncated")
                found[name] = member.offset_data, member.size
                _require_at_most(2 * _ENTRIES_MAX, len(found), "the number of files in it")
        self._known_members = found
        return found

    def _parts(self) -> Iterator[bytes]:
        """Yield the new archive: its old files, and those that were written since."""
        names = dict.fromkeys((_MARK, _INDEX, *self._members(), *self._pending))
        for name in names:
            data = self.read(name, _TAR_MAX_BYTES) or b""
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            yield member.tobuf(tarfile.USTAR_FORMAT)
            yield data
            yield bytes(-len(data) % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)


class _Headers(io.RawIOBase):
    """The file of a tar archive while it is listed; only its headers are read."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _TAR_RECORD_MAX_BYTES:
            raise FetchError("a name or another record in it is too long")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _bounded(data: bytes, size_max: int, name: str) -> bytes:
    if len(data) > size_max:
        raise DigestMismatchError(
            f"{name}: longer than allowed", expected=f"at most {size_max} bytes"
        )
    return data


def _require_at_most(most: int, found: int, what: str) -> None:
    if found > most:
        raise FetchError(f"{what} is too large", expected=f"at most {most}", got=str(found))
