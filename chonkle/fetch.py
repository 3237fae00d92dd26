"""From a source URI to verified bytes: `file://`, `https://`, `oci://` and `oci-layout://`.

A URI may pin what it leads to: `#blake3=<hex>` behind `file://` and `https://`, and
`@sha256:<hex>` behind `oci://` and `oci-layout://`, where it is the digest of the manifest or of an
index. `http://` is refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.formats.values import format_value
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES, Kind
from chonkle.oci.access import RegistryAccess
from chonkle.storage.files import read_file
from chonkle.storage.kept import KeptFiles

if TYPE_CHECKING:
    from chonkle.oci.model import ArtifactReference
    from chonkle.oci.pull import ArtifactReader

_PIN = "blake3="
_ARTIFACTS = ("oci", "oci-layout")
_SCHEMES = ("file", "https", *_ARTIFACTS)
# A tag follows a path without a separator between them: `oci-layout:///a/..:1.0.0`.
_SEPARATORS = re.compile(r"[/\\?]|(?<=\.)[:@]")
# How often a path may be percent-encoded: servers may decode it several times.
_DECODED_MAX = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a source."""

    data: bytes
    # The source with a pin that always leads to these bytes; for an index then also with the pin of
    # the index.
    origins: tuple[str, ...]
    # Everything that was fetched and may be kept, each with its digest.
    fetched: tuple[tuple[Digest, bytes], ...]
    is_kept: bool  # whether all of it came from kept copies
    # The index and the manifest that lead to an artifact, outermost first.
    links: tuple[bytes, ...] = ()

    @property
    def pinned(self) -> str:
        """The source with a pin that always leads to these bytes."""
        return self.origins[0]

    def keep(self, kept: KeptFiles) -> None:
        """Keep what was fetched. The caller has checked that it may be used.

        Raises:
            StoreError: when it cannot be written.
        """
        for digest, data in self.fetched:
            kept.keep(digest, data)
        if self.fetched:
            kept.keep_origin(Digest.blake3(self.data), *self.origins)


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source URI."""

    uri: str  # as written, without a `#blake3=` pin
    scheme: str  # `file`, `https`, `oci` or `oci-layout`
    pin: Digest | None  # the BLAKE3 digest that the bytes must have; None where the URI has none
    is_pinned: bool  # whether the URI has a pin of either form

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Read a source URI.

        Raises:
            FetchError: for another scheme, a malformed pin, or `.` or `..` as a part of a path.
        """
        uri, has_fragment, fragment = text.partition("#")
        scheme = uri.partition("://")[0].lower() if "://" in uri else ""
        if scheme not in _SCHEMES:
            problem = "not a scheme that chonkle fetches from" if scheme else "it has no scheme"
            raise FetchError(
                f"source {format_value(text)}: {problem}",
                expected="file://, https://, oci:// or oci-layout:// at its beginning",
                hint="http:// is refused: anyone on the network could replace the codec"
                if scheme == "http"
                else "",
            )
        # A scheme has no case (RFC 3986, section 3.1).
        uri = scheme + uri[len(scheme) :]
        has_host = scheme != "oci-layout"
        if has_host and "@" in uri.partition("://")[2].partition("/")[0]:
            # Not shown: it holds a password.
            raise FetchError(
                "a source with credentials in it",
                hint="they would end up in logs; use `docker login`, or a URI that needs none",
            )
        if _has_dots(uri):
            raise FetchError(
                f"source {format_value(text)}: `.` or `..` as a part of its path",
                hint="write the path without it: a server and a policy could read it differently",
            )
        pin = None
        if has_fragment:
            if scheme in _ARTIFACTS or not fragment.startswith(_PIN):
                raise FetchError(
                    f"source {format_value(text)}: malformed pin",
                    expected="`#blake3=<hex>`, or `@sha256:<hex>` behind oci:// and oci-layout://",
                )
            try:
                pin = Digest.parse(f"blake3:{fragment.removeprefix(_PIN)}")
            except DigestMismatchError as failure:
                raise failure.within(f"source {format_value(text)}") from None
        is_pinned = pin is not None or (scheme in _ARTIFACTS and "@sha256:" in uri)
        return cls(uri, scheme, pin, is_pinned)

    @property
    def reference(self) -> "ArtifactReference | None":
        """The reference to the artifact; None where the source is a file.

        Raises:
            FetchError: when it is malformed.
        """
        if self.scheme not in _ARTIFACTS:
            return None
        from chonkle.oci.model import parse_reference  # noqa: PLC0415 - only for artifacts

        return parse_reference(self.uri)

    def fetch(
        self,
        *,
        access: RegistryAccess,
        kinds: Sequence[Kind] = ("core", "component"),
        kept: KeptFiles | None = None,
        fetch_anew: bool = False,
        is_from: Callable[[str, bytes], bool] | None = None,
    ) -> Fetched:
        """Fetch the bytes and check them against the pin, or take them from kept copies.

        Args:
            access: how servers may be asked.
            kinds: what to take from an index, best first.
            kept: copies of what was fetched before; nothing is added to them.
            fetch_anew: fetch also what is kept.
            is_from: tells whether a kept copy came from the place of a source; others are fetched.

        Raises:
            FetchError: when they cannot be fetched.
            DigestMismatchError: when they do not have the digest of the pin.
        """
        fetched = self._fetch(access, kinds, None if fetch_anew else kept)
        if not fetched.is_kept or is_from is None or is_from(self.uri, fetched.data):
            return fetched
        return self._fetch(access, kinds, None)

    def _fetch(
        self, access: RegistryAccess, kinds: Sequence[Kind], kept: KeptFiles | None
    ) -> Fetched:
        if self.scheme in _ARTIFACTS:
            return self._pull(access, kinds, kept)
        if self.pin is not None and kept is not None:
            data = kept.find(self.pin, size_max=SIZE_MAX_BYTES)
            if data is not None:
                return Fetched(data, (self._pinned(self.pin),), (), is_kept=True)
        data = self._read(access)
        if self.pin is not None:
            self.pin.check(data, what=self.uri)
        digest = Digest.blake3(data)
        # Without a pin, a copy would never be found.
        fetched = () if self.pin is None else ((digest, data),)
        return Fetched(data, (self._pinned(digest),), fetched, is_kept=False)

    def codec_digest(
        self, *, access: RegistryAccess, kinds: Sequence[Kind], kept: KeptFiles | None
    ) -> Digest | None:
        """Read the digest of the codec in an artifact's manifest, without fetching the codec.

        Args:
            access: how servers may be asked.
            kinds: what to take from an index, best first.
            kept: copies of what was fetched before; fetched manifests are added.

        Returns:
            The SHA-256 digest of the codec; None where the source is no artifact.

        Raises:
            FetchError: when a manifest cannot be read.
            DigestMismatchError: when it does not have the digest of the pin.
            StoreError: when a copy cannot be written.
        """
        if self.scheme not in _ARTIFACTS:
            return None
        with self._reader(access, kinds, kept) as reader:
            _, layer = reader.links()
        if kept is not None:
            for digest, data in reader.fetched:
                kept.keep(digest, data)
        return layer.digest

    def _pull(
        self, access: RegistryAccess, kinds: Sequence[Kind], kept: KeptFiles | None
    ) -> Fetched:
        with self._reader(access, kinds, kept) as reader:
            pulled = reader.pull(size_max=SIZE_MAX_BYTES)
        # The manifest first: which manifest an index gives depends on `kinds`.
        pins = dict.fromkeys((pulled.manifest, pulled.top))
        return Fetched(
            pulled.wasm,
            tuple(reader.reference.pinned(digest).uri for digest in pins),
            pulled.fetched,
            is_kept=not pulled.fetched,
            links=pulled.links,
        )

    def _reader(
        self, access: RegistryAccess, kinds: Sequence[Kind], kept: KeptFiles | None
    ) -> "ArtifactReader":
        # Late: only artifacts need these.
        from chonkle.oci.model import parse_reference  # noqa: PLC0415
        from chonkle.oci.places import open_repository  # noqa: PLC0415
        from chonkle.oci.pull import ArtifactReader  # noqa: PLC0415

        reference = parse_reference(self.uri)
        return ArtifactReader(
            reference, lambda: open_repository(reference, access=access), kinds=kinds, kept=kept
        )

    def _pinned(self, digest: Digest) -> str:
        return f"{self.uri}#{_PIN}{digest.hex}"

    def _read(self, access: RegistryAccess) -> bytes:
        if self.scheme == "file":
            return _read_file(self.uri)
        access.require_online(self.uri if self.pin is None else self._pinned(self.pin))
        # Late: requests takes a quarter of a second to import.
        from chonkle.oci.transport import download  # noqa: PLC0415

        return download(
            self.uri, size_max=SIZE_MAX_BYTES, bounds=access.bounds, ca_file=access.ca_file
        )


def _has_dots(uri: str) -> bool:
    """Tell whether a path has `.` or `..` as a part, however often they are percent-encoded."""
    # Late: every run imports this module, and few runs have a source.
    from urllib.parse import unquote  # noqa: PLC0415

    scheme, _, path = uri.partition("://")
    if scheme != "oci-layout":
        path = path.partition("/")[2]
    for _ in range(_DECODED_MAX):
        if any(part.partition(";")[0] in (".", "..") for part in _SEPARATORS.split(path)):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True


def _read_file(uri: str) -> bytes:
    host = uri.removeprefix("file://").partition("/")[0]
    if host not in ("", "localhost"):
        raise FetchError(
            f"source `{uri}`: a relative path, or a file on another host, `{host}`",
            expected="`file:///absolute/path`",
            hint="only the `uri` of a codec list may be relative; a path is given without `file://`",
        )
    try:
        return read_file(Path.from_uri(uri), size_max=SIZE_MAX_BYTES)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        raise FetchError(f"source `{uri}`: cannot read the file: {reason}") from failure
