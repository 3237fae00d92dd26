"""The codec store: installed `.wasm` files.

    <root>/<codec_id>/<implementation>@<version>.<core|component>.wasm    what is installed
    <root>/.sources/                      copies of what was fetched (`chonkle.storage.kept`)

Any other folder of `.wasm` files is a store too. What a file *is* comes from its embedded signature
(`chonkle.storage.codec_files`), never from its place. The codecs shipped with chonkle have the
layout above.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import ChonkleError, StoreError, WasmFormatError
from chonkle.formats.signature import Signature, read_signature
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind, binary_kind
from chonkle.names import implementation_of
from chonkle.storage.codec_files import BadFile, CodecFile, codec_files, identity, wasm_files
from chonkle.storage.files import PUBLIC_FILE, locked, read_file, write_atomic
from chonkle.storage.kept import KeptFiles

_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class WasmCodec:
    """A codec in a wasm file."""

    origin: str  # the path or URI that it comes from
    kind: Kind
    signature: Signature  # its embedded signature
    wasm: bytes
    digest: Digest  # its BLAKE3 digest

    @classmethod
    def from_bytes(cls, wasm: bytes, origin: str, *, file: str = "") -> "WasmCodec":
        """Read the kind and the signature of a binary.

        Args:
            wasm: the binary.
            origin: the path or URI that it comes from, for messages.
            file: a path or URI that names the implementation where the signature does not.

        Raises:
            WasmFormatError: when it is not a wasm binary.
            SignatureError: when it has no valid signature.
        """
        try:
            kind = binary_kind(wasm)
            implementation = implementation_of(file)
            signature = read_signature(wasm, what=origin, implementation=implementation)
        except WasmFormatError as failure:
            raise WasmFormatError(f"{origin}: {failure}") from failure
        return cls(origin, kind, signature, wasm, Digest.blake3(wasm))

    @classmethod
    def from_file(cls, path: Path) -> "WasmCodec":
        """Read a wasm file.

        Raises:
            StoreError: when it cannot be read.
            WasmFormatError: when it is not a wasm binary.
            SignatureError: when it has no valid signature.
        """
        try:
            wasm = read_file(path, size_max=SIZE_MAX_BYTES)
        except OSError as failure:
            raise StoreError(f"cannot read {path}: {failure.strerror}") from failure
        return cls.from_bytes(wasm, str(path), file=str(path))

    @property
    def file_name(self) -> str:
        """The file name of the codec in a store."""
        return f"{self.signature.label}.{self.kind}.wasm"

    @property
    def name(self) -> tuple[str, str]:
        """What at most one file of a store may be: the codec, and which one of it."""
        return self.signature.codec_id, self.file_name


@dataclass(frozen=True, slots=True)
class CodecStore:
    """A directory of installed codecs."""

    root: Path  # the directory; it need not exist
    # Whether each file is in the folder of its codec, so that others need not be looked into.
    is_sorted: bool = False

    def survey(self, codec_id: str | None = None) -> tuple[list[WasmCodec], list[BadFile]]:
        """Give every file of a codec, and those that may be of it and cannot be used.

        Args:
            codec_id: a validated codec id; None for every codec.

        Raises:
            StoreError: when the store is not a directory, or cannot be read.
        """
        files, bad_files = self._files(codec_id)
        found, unreadable = _read(each for each in files if codec_id in (None, each.codec_id))
        if codec_id is not None:
            # Another process may have exchanged a file.
            found = [each for each in found if each.signature.codec_id == codec_id]
            bad_files = [each for each in bad_files if each.concerns(codec_id)]
        return found, bad_files + unreadable

    def holds(self, codec_id: str) -> bool:
        """Tell whether a file here is of a codec.

        Raises:
            StoreError: when the store is not a directory, or cannot be read.
        """
        files, _ = self._files(codec_id)
        return any(each.codec_id == codec_id for each in files)

    def _files(self, codec_id: str | None) -> tuple[list[CodecFile], list[BadFile]]:
        if codec_id is None or not self.is_sorted:
            return codec_files(self.root)
        folder = self.root / codec_id
        # Beside the folders may be other files.
        return codec_files(folder) if folder.is_dir() else ([], [])

    def signatures(self) -> list[Signature]:
        """Give the signature of every file.

        Raises:
            StoreError: when the store is not a directory, or cannot be read.
        """
        return [each.signature for each in self._files(None)[0]]

    def state(self) -> Hashable:
        """Give a value that is another one once a file was installed, changed or removed.

        Raises:
            StoreError: when the store is not a directory, or cannot be read.
        """
        return tuple(
            (path, str(status) if isinstance(status, StoreError) else identity(status))
            for path, status in wasm_files(self.root)
        )

    def has(self, digest: Digest, *, size: int) -> bool:
        """Tell whether a file here has these bytes, whatever its name.

        Args:
            digest: their BLAKE3 digest.
            size: their number; files of another size are not read.
        """
        for path, status in wasm_files(self.root):
            if isinstance(status, StoreError) or status.st_size != size:
                continue
            # An unreadable file cannot match.
            with suppress(OSError):
                if Digest.blake3(read_file(Path(path), size_max=size)) == digest:
                    return True
        return False

    def install(self, codec: WasmCodec, *, source: str = "", replace: bool = False) -> WasmCodec:
        """Install a codec, or give the installed one with the same bytes.

        Args:
            codec: the codec; its signature determines the path, unless it is there already.
            source: the pinned source that it came from, to be noted.
            replace: install it in place of other bytes of the same implementation and version.

        Raises:
            StoreError: when other bytes are installed under the same implementation and version,
                or the file cannot be written.
        """
        path = self.root / codec.signature.codec_id / codec.file_name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.root / ".lock", timeout_s=_LOCK_TIMEOUT_S):
                path = self._put(codec, path, replace=replace)
        except OSError as failure:
            raise StoreError(f"cannot install {codec.file_name}: {failure}") from failure
        if source:
            self.kept.keep_origin(codec.digest, source)
        return dataclasses.replace(codec, origin=str(path))

    def _put(self, codec: WasmCodec, path: Path, *, replace: bool) -> Path:
        """Write a codec, and return where it is: at `path`, or where one of its name is."""
        found, _ = self.survey(codec.signature.codec_id)
        present = [each for each in found if each.name == codec.name]
        others = [each for each in present if each.digest != codec.digest]
        if present and not others:
            return Path(present[0].origin)
        if others and not replace:
            raise _conflict(codec, others[0].origin, others[0].digest)
        for other in others[1:]:
            Path(other.origin).unlink(missing_ok=True)
        if present:
            path = Path(others[0].origin)
        elif path.exists() and not (replace and _is_unusable(path)):
            raise StoreError(
                f"cannot install {codec.file_name}: another file is at {path}",
                hint="remove it, or give it another name",
            )
        write_atomic(path, codec.wasm, mode=PUBLIC_FILE)
        return path

    @property
    def kept(self) -> KeptFiles:
        """Copies of fetched files, which are not candidates."""
        return KeptFiles(self.root / ".sources")


def bundled_store() -> CodecStore:
    """Give the store of the codecs shipped with chonkle."""
    package = Path(__file__).parent.parent
    # In a wheel it is inside the package, in a checkout beside it.
    inside = package / "codec"
    root = inside if inside.is_dir() else package.parent / "codec"
    return CodecStore(root, is_sorted=True)


def without_conflicts(codecs: list[WasmCodec]) -> tuple[list[WasmCodec], list[BadFile]]:
    """Drop duplicates, and files that claim the same name with different bytes.

    Returns:
        One file for each name without a conflict, and one bad file for each conflict.
    """
    by_name: dict[tuple[str, str], list[WasmCodec]] = defaultdict(list)
    for codec in codecs:
        by_name[codec.name].append(codec)
    found, bad_files = [], []
    for first, *others in by_name.values():
        conflicts = [codec for codec in others if codec.digest != first.digest]
        if not conflicts:
            found.append(first)
        for codec in conflicts:
            failure = _conflict(codec, first.origin, first.digest)
            signature = codec.signature
            bad = BadFile(Path(codec.origin), failure, signature.codec_id, signature.label)
            bad_files.append(bad)
    return found, bad_files


def _read(files: Iterable[CodecFile]) -> tuple[list[WasmCodec], list[BadFile]]:
    found, bad_files = [], []
    for each in files:
        path, signature = Path(each.path), each.signature
        try:
            found.append(WasmCodec.from_file(path))
        except ChonkleError as failure:
            bad_files.append(BadFile(path, failure, signature.codec_id, signature.label))
    return found, bad_files


def _is_unusable(path: Path) -> bool:
    try:
        WasmCodec.from_file(path)
    except ChonkleError:
        return True
    return False


def _conflict(codec: WasmCodec, origin: str, present: Digest) -> StoreError:
    return StoreError(
        f"two different files claim codec `{codec.signature.codec_id}`, implementation "
        f"`{codec.signature.label}`, {codec.kind}: {origin} ({present}) and {codec.origin} "
        f"({codec.digest})",
        hint="remove one of them, or give the newer one a new version",
    )
