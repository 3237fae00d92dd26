"""Copies of fetched files, by their digests.

    <root>/<blake3|sha256>/<hex>   bytes with that digest: files, manifests and layers of artifacts
    <root>/origins/<hex>           pinned sources of the file with that BLAKE3 digest, one a line,
                                   the last one that gave it first
    <root>/names/<hex>             BLAKE3 digest of the file that a source without a pin gave last;
                                   named by the digest of the URI

A copy is found by its digest alone and is no candidate for resolution: otherwise an untrusted
pipeline could change what other pipelines run. It is checked at each use, since other programs may
have written the file. Each of the folders keeps a number of files; the least recently used
one is removed first.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, StoreError, warn
from chonkle.storage.files import PUBLIC_FILE, read_file, write_atomic

_ORIGIN_MAX_BYTES = 8192
_NAME_MAX_BYTES = 256
_FILES_MAX = 2000
# A use is noted at most once a day.
_NOTED_S = 86400.0


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """A directory of copies."""

    root: Path  # the directory; it need not exist

    def find(self, digest: Digest, *, size_max: int) -> bytes | None:
        """Give the copy with a digest, or None where there is none.

        Args:
            digest: the digest, which is checked.
            size_max: bytes to accept at most.
        """
        path = self._path(digest)
        try:
            data = read_file(path, size_max=size_max)
        except OSError:
            return None
        try:
            digest.check(data, what=str(path))
        except DigestMismatchError as failure:
            words = "what is kept in the codec store is not used"
            warn("chonkle.storage", f"{words}: {failure}")
            return None
        _note_use(path)
        return data

    def keep(self, digest: Digest, data: bytes) -> None:
        """Keep a copy of bytes that have this digest.

        Raises:
            StoreError: when it cannot be written.
        """
        self._write(self._path(digest), data)

    def origin(self, digest: Digest) -> str:
        """Give the last pinned source that a file came from, or an empty text.

        It is not authenticated. A file fetched from it must be checked against the digest.
        """
        return next(iter(self.origins(digest)), "")

    def origins(self, digest: Digest) -> tuple[str, ...]:
        """Give the pinned sources that a file came from, the last one first."""
        try:
            text = read_file(self._origin_path(digest), size_max=_ORIGIN_MAX_BYTES).decode()
        except (OSError, UnicodeDecodeError):
            return ()
        return tuple(line.strip() for line in text.split("\n") if line.strip())

    def keep_origin(self, digest: Digest, *sources: str) -> None:
        """Keep the pinned sources that a file came from, before the earlier ones.

        The oldest ones are dropped when there are too many.

        Args:
            digest: the BLAKE3 digest of the file.
            sources: the sources; the first one leads straight to the file.

        Raises:
            StoreError: when it cannot be written.
        """
        earlier = self.origins(digest)
        listed = dict.fromkeys((*sources, *earlier))
        text = b""
        for line in (f"{source}\n".encode() for source in listed):
            # A line break in a path would begin another source.
            if line.count(b"\n") == 1 and len(text) + len(line) <= _ORIGIN_MAX_BYTES:
                text += line
        self._write(self._origin_path(digest), text)

    def latest(self, uri: str) -> Digest | None:
        """Give the digest of what a source without a pin gave last, or None where it is not known.

        It is not authenticated, like an origin.
        """
        try:
            text = read_file(self._name_path(uri), size_max=_NAME_MAX_BYTES).decode()
            return Digest.parse(text.strip())
        except (OSError, UnicodeDecodeError, DigestMismatchError):
            return None

    def keep_latest(self, uri: str, digest: Digest) -> None:
        """Keep the digest of what a source without a pin gave.

        Raises:
            StoreError: when it cannot be written.
        """
        self._write(self._name_path(uri), f"{digest}\n".encode())

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data, mode=PUBLIC_FILE)
        except OSError as failure:
            raise StoreError(f"cannot keep a copy in {path.parent}: {failure}") from failure
        _trim(path.parent)

    def _path(self, digest: Digest) -> Path:
        return self.root / digest.algorithm / digest.hex

    def _origin_path(self, digest: Digest) -> Path:
        return self.root / "origins" / digest.hex

    def _name_path(self, uri: str) -> Path:
        return self.root / "names" / Digest.blake3(uri.encode()).hex


def _note_use(path: Path) -> None:
    # The store may be read-only, or another process may have removed the file.
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _NOTED_S:
            os.utime(path)


def _trim(folder: Path) -> None:
    with contextlib.suppress(OSError):
        files = [each for each in folder.iterdir() if not each.name.startswith(".")]
        if len(files) <= _FILES_MAX:
            return
        files.sort(key=lambda each: each.stat().st_mtime)
        for each in files[: len(files) - _FILES_MAX]:
            each.unlink(missing_ok=True)
