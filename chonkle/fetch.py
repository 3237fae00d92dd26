"""From a source URI to verified bytes: `file://`, `https://` and `oci://`.

A URI may pin what it leads to: `#blake3=<hex>` behind `file://` and `https://`, and
`@sha256:<hex>` behind `oci://`, where it is the digest of the manifest. `http://` is refused.
"""

from dataclasses import dataclass
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.formats.values import shown
from chonkle.formats.wasm_binary import SIZE_MAX_BYTES
from chonkle.storage.files import read_file

_PIN = "blake3="
_SCHEMES = ("file", "https", "oci")


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source URI.

    Attributes:
        uri: as written, without its pin.
        scheme: `file`, `https` or `oci`.
        pin: the BLAKE3 digest that the bytes must have, if the URI says one.
        is_pinned: whether the URI says what it leads to, in either form.
    """

    uri: str
    scheme: str
    pin: Digest | None
    is_pinned: bool

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Read a source URI.

        Raises:
            FetchError: for another scheme, a remote `file://` host or a malformed pin.
        """
        uri, has_fragment, fragment = text.partition("#")
        scheme = uri.partition("://")[0].lower() if "://" in uri else ""
        if scheme not in _SCHEMES:
            raise FetchError(
                f"source {shown(text)}: not a scheme that chonkle fetches from",
                expected="file://, https:// or oci://",
                hint="http:// is refused: anybody on the way could replace the codec"
                if scheme == "http"
                else "",
            )
        # A scheme has no case (RFC 3986, section 3.1); what reads the URI need not know that.
        uri = scheme + uri[len(scheme) :]
        if "@" in uri.partition("://")[2].partition("/")[0]:
            # Not shown: it holds a password.
            raise FetchError(
                "a source with credentials in it",
                hint="they would end up in logs; use `docker login`, or a URI that needs none",
            )
        pin = None
        if has_fragment:
            if scheme == "oci" or not fragment.startswith(_PIN):
                raise FetchError(
                    f"source {shown(text)}: malformed pin",
                    expected="`#blake3=<hex>`, or `@sha256:<hex>` behind oci://",
                )
            try:
                pin = Digest.parse(f"blake3:{fragment.removeprefix(_PIN)}")
            except DigestMismatchError as failure:
                raise failure.within(f"source {shown(text)}") from None
        is_pinned = pin is not None or (scheme == "oci" and "@sha256:" in uri)
        return cls(uri, scheme, pin, is_pinned)

    def fetch(self, *, docker_config: Path | None = None) -> bytes:
        """Fetch the bytes and check them against the pin.

        Args:
            docker_config: docker's directory, which has credentials for registries; None for
                everybody's access.

        Raises:
            FetchError: when they cannot be had.
            DigestMismatchError: when they are others than the pin promised.
        """
        data = self._read(docker_config)
        if self.pin is not None:
            self.pin.check(data, what=self.uri)
        return data

    def _read(self, docker_config: Path | None) -> bytes:
        if self.scheme == "file":
            return _read_file(self.uri)
        # What speaks HTTP takes a quarter of a second to import; only who downloads waits for it.
        if self.scheme == "https":
            from chonkle.oci.transport import download  # noqa: PLC0415

            return download(self.uri, size_max=SIZE_MAX_BYTES)
        from chonkle.oci.client import pull_wasm  # noqa: PLC0415
        from chonkle.oci.model import Reference  # noqa: PLC0415

        return pull_wasm(
            Reference.parse(self.uri), size_max=SIZE_MAX_BYTES, docker_config=docker_config
        )


def _read_file(uri: str) -> bytes:
    host = uri.removeprefix("file://").partition("/")[0]
    if host not in ("", "localhost"):
        raise FetchError(
            f"source `{uri}`: a file on another host", expected="`file:///absolute/path`"
        )
    try:
        return read_file(Path.from_uri(uri), size_max=SIZE_MAX_BYTES)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        raise FetchError(f"source `{uri}`: cannot read the file: {reason}") from failure
