"""The codec store: installed `.wasm` files.

    <root>/<codec_id>/<implementation>@<version>.<core|component>.wasm
    <root>/.sources/                      copies of what was fetched (`chonkle.storage.kept`)

Folder and file name are for finding candidates. What a file *is* comes from its embedded signature,
and a file whose place disagrees with it is refused. The user's store and the codecs shipped with
chonkle have the same layout.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import ChonkleError, StoreError, WasmFormatError
from chonkle.formats.signature import Signature, read_signature
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind, binary_kind
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
    def from_bytes(cls, wasm: bytes, origin: str) -> "WasmCodec":
        """Read the kind and the signature of a binary.

        Raises:
            WasmFormatError: when it is not a wasm binary.
            SignatureError: when it has no valid signature.
        """
        try:
            kind = binary_kind(wasm)
            signature = read_signature(wasm, what=origin)
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
        return cls.from_bytes(wasm, str(path))

    @property
    def file_name(self) -> str:
        """The file name of the codec in a store."""
        return f"{self.signature.label}.{self.kind}.wasm"


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file in a codec store that cannot be used."""

    path: Path  # the file, or the folder if that cannot be read
    failure: ChonkleError  # why it cannot be used
    label: str  # its implementation and version, from its signature or its name

    def is_named(self, implementation: str) -> bool:
        """Tell whether an override, with or without a version, names this file."""
        return implementation in (self.label, self.label.partition("@")[0])


@dataclass(frozen=True, slots=True)
class CodecStore:
    """A directory of installed codecs."""

    root: Path  # the directory; it need not exist

    def find(self, codec_id: str) -> list[WasmCodec]:
        """Give every installed file of a codec.

        Args:
            codec_id: a validated codec id.

        Raises:
            StoreError: when a file is in the wrong place.
            WasmFormatError: when a file is not a wasm binary.
            SignatureError: when a file has no valid signature.
        """
        found, bad_files = self.survey(codec_id)
        if bad_files:
            raise bad_files[0].failure
        return found

    def survey(self, codec_id: str) -> tuple[list[WasmCodec], list[BadFile]]:
        """Give every installed file of a codec, and those that cannot be used.

        Args:
            codec_id: a validated codec id.

        Raises:
            StoreError: when the store is not a directory, or cannot be read.
        """
        directory = self.root / codec_id
        try:
            paths = self._wasm_files(directory)
        except StoreError as failure:
            if not self.root.is_dir():
                raise  # the store itself is bad
            return [], [BadFile(directory, failure, "")]
        found, bad_files = [], []
        for path in paths:
            try:
                found.append(_in_its_place(WasmCodec.from_file(path), codec_id))
            except ChonkleError as failure:
                bad_files.append(BadFile(path, failure, _label(path)))
        return found, bad_files

    def has(self, digest: Digest, *, size: int) -> bool:
        """Tell whether a file here has these bytes, whatever its name.

        Args:
            digest: their BLAKE3 digest.
            size: their number; files of another size are not read.
        """
        for directory in self._entries(self.root):
            # An unreadable file cannot match.
            with suppress(OSError, StoreError):
                for path in self._wasm_files(directory):
                    if path.stat().st_size == size and Digest.blake3(path.read_bytes()) == digest:
                        return True
        return False

    def codec_ids(self) -> list[str]:
        """Give the ids of all codecs with a file here, or with an unreadable folder.

        Raises:
            StoreError: when the store cannot be read.
        """
        return [path.name for path in self._entries(self.root) if self._may_hold_files(path)]

    def all(self) -> Iterator[WasmCodec]:
        """Give every installed file, by codec id."""
        for codec_id in self.codec_ids():
            yield from self.find(codec_id)

    def install(self, codec: WasmCodec, *, source: str = "") -> WasmCodec:
        """Install a codec, or give the installed one with the same bytes.

        Args:
            codec: the codec; its signature determines the path.
            source: the pinned source that it came from, to be noted.

        Raises:
            StoreError: when other bytes are installed under the same implementation and version,
                or the file cannot be written.
        """
        directory = self.root / codec.signature.codec_id
        path = directory / codec.file_name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with locked(self.root / ".lock", timeout_s=_LOCK_TIMEOUT_S):
                if path.exists():
                    present = Digest.blake3(read_file(path, size_max=SIZE_MAX_BYTES))
                    if present != codec.digest:
                        raise _conflict(codec, str(path), present)
                else:
                    write_atomic(path, codec.wasm, mode=PUBLIC_FILE)
        except OSError as failure:
            raise StoreError(f"cannot install {codec.file_name}: {failure}") from failure
        if source:
            self.kept.keep_origin(codec.digest, source)
        return WasmCodec(str(path), codec.kind, codec.signature, codec.wasm, codec.digest)

    @property
    def kept(self) -> KeptFiles:
        """Copies of fetched files, which are not candidates."""
        return KeptFiles(self.root / ".sources")

    def _may_hold_files(self, directory: Path) -> bool:
        try:
            return bool(self._wasm_files(directory))
        except StoreError:
            return True

    def _wasm_files(self, directory: Path) -> list[Path]:
        return [path for path in self._entries(directory) if path.suffix == ".wasm"]

    def _entries(self, directory: Path) -> list[Path]:
        # `Path.glob` would import as much as all of chonkle's formats.
        try:
            return sorted(directory.iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError as failure:
            # A store may contain other files, but must not be one.
            if self.root.is_dir():
                return []
            raise StoreError(f"codec store {self.root}: not a directory") from failure
        except OSError as failure:
            raise StoreError(f"cannot read {directory}: {failure.strerror}") from failure


def bundled_store() -> CodecStore:
    """Give the store of the codecs shipped with chonkle."""
    package = Path(__file__).parent.parent
    # In a wheel it is inside the package, in a checkout beside it.
    inside = package / "codec"
    return CodecStore(inside if inside.is_dir() else package.parent / "codec")


def without_conflicts(codecs: list[WasmCodec]) -> tuple[list[WasmCodec], list[BadFile]]:
    """Drop duplicates, and files that claim the same name with different bytes.

    Returns:
        One file for each name without a conflict, and one bad file for each conflict.
    """
    by_name: dict[str, list[WasmCodec]] = defaultdict(list)
    for codec in codecs:
        by_name[codec.file_name].append(codec)
    found, bad_files = [], []
    for first, *others in by_name.values():
        conflicts = [codec for codec in others if codec.digest != first.digest]
        if not conflicts:
            found.append(first)
        for codec in conflicts:
            failure = _conflict(codec, first.origin, first.digest)
            bad_files.append(BadFile(Path(codec.origin), failure, codec.signature.label))
    return found, bad_files


def _label(path: Path) -> str:
    """Give the label in a file name: `<label>.<core|component>.wasm`."""
    return path.stem.removesuffix(".core").removesuffix(".component")


def _in_its_place(codec: WasmCodec, codec_id: str) -> WasmCodec:
    if codec.signature.codec_id != codec_id:
        raise StoreError(
            f"{codec.origin}: wrong place in the codec store",
            expected=f"a codec `{codec_id}`",
            got=f"`{codec.signature.codec_id}`",
            hint="remove the file and install the codec again",
        )
    return codec


def _conflict(codec: WasmCodec, origin: str, present: Digest) -> StoreError:
    return StoreError(
        f"two different files claim codec `{codec.signature.codec_id}`, implementation "
        f"`{codec.signature.label}`, {codec.kind}: {origin} ({present}) and {codec.origin} "
        f"({codec.digest})",
        hint="remove one of them, or give the newer one a new version",
    )
