"""The codec store: installed `.wasm` files.

    <root>/<codec_id>/<implementation>@<version>.<core|component>.wasm

The folder and the file name are for people and for finding candidates; what a file *is* comes from
the signature embedded in it, and where the two disagree the file is refused. The same layout serves
the user's store and the codecs that are shipped with chonkle.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import ChonkleError, StoreError, WasmFormatError
from chonkle.formats.signature import Signature, read_signature
from chonkle.formats.wasm_binary import Kind, binary_kind
from chonkle.storage.files import PUBLIC_FILE, locked, write_atomic

_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class WasmCodec:
    """A codec in a wasm file.

    Attributes:
        path: where it is.
        kind: core module or component.
        signature: what it says of itself.
        wasm: the binary.
        digest: its BLAKE3 digest.
    """

    path: Path
    kind: Kind
    signature: Signature
    wasm: bytes
    digest: Digest

    @classmethod
    def from_bytes(cls, wasm: bytes, path: Path) -> "WasmCodec":
        """Read what a binary says of itself.

        Args:
            wasm: the binary.
            path: where it comes from, for messages.

        Raises:
            WasmFormatError: when it is no wasm binary.
            SignatureError: when it carries no valid signature.
        """
        try:
            kind = binary_kind(wasm)
            signature = read_signature(wasm, what=str(path))
        except WasmFormatError as failure:
            raise WasmFormatError(f"{path}: {failure}") from failure
        return cls(path, kind, signature, wasm, Digest.blake3(wasm))

    @classmethod
    def from_file(cls, path: Path) -> "WasmCodec":
        """Read a wasm file.

        Raises:
            StoreError: when it cannot be read.
            WasmFormatError: when it is no wasm binary.
            SignatureError: when it carries no valid signature.
        """
        try:
            wasm = path.read_bytes()
        except OSError as failure:
            raise StoreError(f"cannot read {path}: {failure.strerror}") from failure
        return cls.from_bytes(wasm, path)

    @property
    def file_name(self) -> str:
        """The name that the codec has in a store."""
        return f"{self.signature.label}.{self.kind}.wasm"


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
        found = []
        for path in _wasm_files(self.root / codec_id):
            codec = WasmCodec.from_file(path)
            if codec.signature.codec_id != codec_id:
                raise StoreError(
                    f"{path}: wrong place in the codec store",
                    expected=f"a codec `{codec_id}`",
                    got=f"`{codec.signature.codec_id}`",
                    hint="remove the file and install the codec again",
                )
            found.append(codec)
        return found

    def codec_ids(self) -> list[str]:
        """Give the ids of all codecs that have a file here."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if _wasm_files(path))

    def all(self) -> Iterator[WasmCodec]:
        """Give every installed file, by codec id."""
        for codec_id in self.codec_ids():
            yield from self.find(codec_id)

    def install(self, codec: WasmCodec) -> WasmCodec:
        """Install a codec, or give the one that is there already with the same bytes.

        Args:
            codec: what to install; its signature alone says where it goes.

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
                    present = Digest.blake3(path.read_bytes())
                    if present != codec.digest:
                        raise _conflict(codec, path, present)
                else:
                    write_atomic(path, codec.wasm, mode=PUBLIC_FILE)
        except OSError as failure:
            raise StoreError(f"cannot install {codec.file_name}: {failure}") from failure
        return WasmCodec(path, codec.kind, codec.signature, codec.wasm, codec.digest)

    def remember(self, uri: str, digest: Digest) -> None:
        """Note which bytes a pinned source led to, so that it need not be asked again.

        Args:
            uri: the source, with its pin.
            digest: the BLAKE3 digest of the installed file.
        """
        note = self._note(uri)
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(note, str(digest).encode())

    def recall(self, uri: str, codec_id: str) -> WasmCodec | None:
        """Give the installed file that a pinned source led to, if it is still there.

        Args:
            uri: the source, with its pin.
            codec_id: the codec that it is a source of.
        """
        try:
            digest = Digest.parse(self._note(uri).read_text())
        except (OSError, ValueError, ChonkleError):
            return None
        return next((codec for codec in self.find(codec_id) if codec.digest == digest), None)

    def _note(self, uri: str) -> Path:
        return self.root / ".sources" / Digest.blake3(uri.encode()).hex


def _wasm_files(directory: Path) -> list[Path]:
    # Not `Path.glob`, which imports as much as all of chonkle's formats.
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".wasm")
    except (FileNotFoundError, NotADirectoryError):
        return []


def bundled_store() -> CodecStore:
    """Give the store of the codecs that are shipped with chonkle."""
    package = Path(__file__).parent.parent
    # In a wheel they lie inside the package; in a checkout beside it, where they are built.
    inside = package / "codec"
    return CodecStore(inside if inside.is_dir() else package.parent / "codec")


def without_conflicts(codecs: list[WasmCodec]) -> list[WasmCodec]:
    """Drop files that occur twice, and refuse two different ones that claim the same name.

    Raises:
        StoreError: naming both files.
    """
    by_name: dict[str, WasmCodec] = {}
    for codec in codecs:
        other = by_name.setdefault(codec.file_name, codec)
        if other.digest != codec.digest:
            raise _conflict(codec, other.path, other.digest)
    return list(by_name.values())


def _conflict(codec: WasmCodec, path: Path, present: Digest) -> StoreError:
    return StoreError(
        f"two different files claim codec `{codec.signature.codec_id}`, implementation "
        f"`{codec.signature.label}`, {codec.kind}: {path} ({present}) and {codec.path} "
        f"({codec.digest})",
        hint="remove one of them, or give the newer one a new version",
    )
