"""The codec store: installed `.wasm` files.

    <root>/<codec_id>/<implementation>@<version>.<core|component>.wasm
    <root>/.sources/                      copies of what was fetched (`chonkle.storage.kept`)

The folder and the file name are for people and for finding candidates; what a file *is* comes from
the signature embedded in it, and where the two disagree the file is refused. The same layout serves
the user's store and the codecs that are shipped with chonkle.
"""

from collections import defaultdict
from collections.abc import Iterator
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
    """A codec in a wasm file.

    Attributes:
        origin: the path or URI that it comes from.
        kind: core module or component.
        signature: what it says of itself.
        wasm: the binary.
        digest: its BLAKE3 digest.
    """

    origin: str
    kind: Kind
    signature: Signature
    wasm: bytes
    digest: Digest

    @classmethod
    def from_bytes(cls, wasm: bytes, origin: str) -> "WasmCodec":
        """Read what a binary says of itself.

        Args:
            wasm: the binary.
            origin: the path or URI that it comes from.

        Raises:
            WasmFormatError: when it is no wasm binary.
            SignatureError: when it carries no valid signature.
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
            WasmFormatError: when it is no wasm binary.
            SignatureError: when it carries no valid signature.
        """
        try:
            wasm = read_file(path, size_max=SIZE_MAX_BYTES)
        except OSError as failure:
            raise StoreError(f"cannot read {path}: {failure.strerror}") from failure
        return cls.from_bytes(wasm, str(path))

    @property
    def file_name(self) -> str:
        """The name that the codec has in a store."""
        return f"{self.signature.label}.{self.kind}.wasm"


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file in a codec store that cannot be used.

    Attributes:
        path: the file, or the folder where that cannot be read.
        failure: what is wrong with it.
        label: the implementation and version that it stands for, as far as its signature or its
            name tells.
    """

    path: Path
    failure: ChonkleError
    label: str

    def is_named(self, implementation: str) -> bool:
        """Tell whether an override, with or without a version, asks for this file."""
        return implementation in (self.label, self.label.partition("@")[0])


@dataclass(frozen=True, slots=True)
class CodecStore:
    """A directory of installed codecs.

    Attributes:
        root: the directory; it need not exist.
    """

    root: Path

    def find(self, codec_id: str) -> list[WasmCodec]:
        """Give every installed file of a codec.

        Args:
            codec_id: a validated codec id.

        Raises:
            StoreError: when a file is not what its place says.
            WasmFormatError: when a file is no wasm binary.
            SignatureError: when a file carries no valid signature.
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
                raise  # a bad store, and not a bad file in one
            return [], [BadFile(directory, failure, "")]
        found, bad_files = [], []
        for path in paths:
            try:
                found.append(_in_its_place(WasmCodec.from_file(path), codec_id))
            except ChonkleError as failure:
                bad_files.append(BadFile(path, failure, _label(path)))
        return found, bad_files

    def codec_ids(self) -> list[str]:
        """Give the ids of all codecs that have a file here, or a folder that cannot be read.

        Raises:
            StoreError: when the store cannot be read.
        """
        return [path.name for path in self._entries(self.root) if self._may_hold_files(path)]

    def all(self) -> Iterator[WasmCodec]:
        """Give every installed file, by codec id."""
        for codec_id in self.codec_ids():
            yield from self.find(codec_id)

    def install(self, codec: WasmCodec, *, source: str = "") -> WasmCodec:
        """Install a codec, or give the one that is there already with the same bytes.

        Args:
            codec: what to install; its signature alone says where it goes.
            source: the pinned source that it came from, which is remembered.

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
        """Copies of what was fetched from sources, which are no candidates."""
        return KeptFiles(self.root / ".sources")

    def _may_hold_files(self, directory: Path) -> bool:
        try:
            return bool(self._wasm_files(directory))
        except StoreError:
            return True

    def _wasm_files(self, directory: Path) -> list[Path]:
        return [path for path in self._entries(directory) if path.suffix == ".wasm"]

    def _entries(self, directory: Path) -> list[Path]:
        # Not `Path.glob`, which imports as much as all of chonkle's formats.
        try:
            return sorted(directory.iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError as failure:
            # Other files may lie in a store, but none in its place.
            if self.root.is_dir():
                return []
            raise StoreError(f"codec store {self.root}: not a directory") from failure
        except OSError as failure:
            raise StoreError(f"cannot read {directory}: {failure.strerror}") from failure


def bundled_store() -> CodecStore:
    """Give the store of the codecs that are shipped with chonkle."""
    package = Path(__file__).parent.parent
    # In a wheel they lie inside the package; in a checkout beside it, where they are built.
    inside = package / "codec"
    return CodecStore(inside if inside.is_dir() else package.parent / "codec")


def without_conflicts(codecs: list[WasmCodec]) -> tuple[list[WasmCodec], list[BadFile]]:
    """Drop files that occur twice, and those that claim the same name with different bytes.

    Returns:
        One file for each name that is not in dispute, and one bad file for each conflict.
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
    """Give the label that a file's name claims: `<label>.<core|component>.wasm`."""
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
