"""The parts of OCI that a codec artifact uses: references, descriptors and the wasm manifest.

    manifest  application/vnd.oci.image.manifest.v1+json
      config  application/vnd.wasm.config.v0+json         or another type; it is not read
      layer   application/wasm                            exactly one: the codec
    index     application/vnd.oci.image.index.v1+json
      manifest  platform.os `wasip1`: a core module; `wasip2`: a component

Sources: OCI Distribution Specification 1.1 (names and references), OCI Image Specification 1.1
(descriptors, manifests), CNCF TAG Runtime, "Wasm OCI Artifact layout".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import format_value
from chonkle.formats.wasm_binary import Kind
from chonkle.oci.address import Host

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY_CONFIG_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY_CONFIG = b"{}"
WASM_CONFIG_TYPE = "application/vnd.wasm.config.v0+json"
WASM_LAYER_TYPE = "application/wasm"
# The second type is older than the agreed layout.
_WASM_LAYER_TYPES = (WASM_LAYER_TYPE, "application/vnd.wasm.content.layer.v1+wasm")
MANIFEST_MAX_BYTES = 4 << 20
CONFIG_MAX_BYTES = 4 << 20
# The operating system of an entry in an index -> the form of the codec (CNCF TAG Runtime).
KIND_BY_OS: Mapping[str, Kind] = {"wasip1": "core", "wasip2": "component"}

LAYOUT_SCHEME = "oci-layout"
_SCHEME = re.compile(r"(oci|oci-layout)://.*", re.IGNORECASE | re.DOTALL)
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_LAYOUT = re.compile(
    rf"(?i:{LAYOUT_SCHEME}://)?+(?P<path>.+?)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.DOTALL,
)
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?i:oci://)?+(?P<registry>[^/]+)/"
    rf"(?P<repository>{_NAME}(?:/{_NAME})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """An artifact in a registry: `registry/repository[:tag][@digest]`."""

    registry: Host
    repository: str
    tag: str = "latest"
    digest: Digest | None = None  # of the manifest; it goes before the tag

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference, with or without `oci://`.

        Raises:
            FetchError: when it is malformed.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise FetchError(
                "malformed OCI reference",
                expected="`oci://registry/repository[:tag][@sha256:<hex>]`",
                got=format_value(text),
            )
        try:
            registry = Host.parse(match["registry"])
        except FetchError as failure:
            raise failure.within("malformed OCI reference") from failure
        return cls(registry, match["repository"], *_tag_and_digest(match))

    def __str__(self) -> str:
        """Write the reference as in `oci://`."""
        return f"{self.registry}/{self.repository}:{self.tag}{_pin(self.digest)}"

    @property
    def uri(self) -> str:
        """The reference as a source."""
        return f"oci://{self}"

    def pinned(self, digest: Digest) -> "Reference":
        """Return the reference with a digest, which always leads to the same manifest."""
        return replace(self, digest=digest)


@dataclass(frozen=True, slots=True)
class LayoutReference:
    """An artifact in an OCI image layout: `path[:tag][@digest]`."""

    path: Path  # a directory, or a tar file
    tag: str = "latest"
    digest: Digest | None = None  # of the manifest; it goes before the tag

    @classmethod
    def parse(cls, text: str) -> "LayoutReference":
        """Read a reference, with or without `oci-layout://`.

        Raises:
            FetchError: when it is malformed.
        """
        match = _LAYOUT.fullmatch(text)
        if match is None or "\0" in match["path"]:
            raise FetchError(
                "malformed reference to an image layout",
                expected="`oci-layout://path[:tag][@sha256:<hex>]`",
                got=format_value(text),
            )
        return cls(Path(match["path"]), *_tag_and_digest(match))

    def __str__(self) -> str:
        """Write the reference as in `oci-layout://`."""
        return f"{self.path}:{self.tag}{_pin(self.digest)}"

    @property
    def uri(self) -> str:
        """The reference as a source."""
        return f"{LAYOUT_SCHEME}://{self}"

    def pinned(self, digest: Digest) -> "LayoutReference":
        """Return the reference with a digest, which always leads to the same manifest."""
        return replace(self, digest=digest)


def _tag_and_digest(match: re.Match[str]) -> tuple[str, Digest | None]:
    return match["tag"] or "latest", Digest.parse(match["digest"]) if match["digest"] else None


def _pin(digest: Digest | None) -> str:
    return "" if digest is None else f"@{digest}"


type ArtifactReference = Reference | LayoutReference


def artifact_scheme(text: str) -> str:
    """Give the scheme of an artifact's URI, in lower case; empty for any other text."""
    match = _SCHEME.fullmatch(text)
    return "" if match is None else match[1].lower()


def parse_reference(uri: str) -> ArtifactReference:
    """Read a reference to an artifact, `oci://` or `oci-layout://`.

    Raises:
        FetchError: when it is not one.
    """
    is_layout = artifact_scheme(uri) == LAYOUT_SCHEME
    return LayoutReference.parse(uri) if is_layout else Reference.parse(uri)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The type, digest and size of a blob, as a manifest or an index gives them."""

    media_type: str
    digest: Digest
    size: int  # in bytes
    artifact_type: str = ""  # of a manifest in a list of referrers or in an index; otherwise empty
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)  # texts by name
    platform_os: str = ""  # of a manifest in an index, the operating system; otherwise empty

    def to_json(self) -> dict[str, object]:
        """Write the descriptor as a JSON object; empty fields are left out."""
        return {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            **({"artifactType": self.artifact_type} if self.artifact_type else {}),
            **({"annotations": dict(self.annotations)} if self.annotations else {}),
            **(
                {"platform": {"architecture": "wasm", "os": self.platform_os}}
                if self.platform_os
                else {}
            ),
        }

    def check(self, data: bytes, *, what: str) -> None:
        """Require the size and the digest of a blob's bytes.

        Raises:
            DigestMismatchError: when they differ.
        """
        if len(data) != self.size:
            raise DigestMismatchError(
                f"{what}: wrong size", expected=f"{self.size} bytes", got=f"{len(data)} bytes"
            )
        self.digest.check(data, what=what)

    def require_size(self, size_max: int, *, what: str) -> None:
        """Refuse a blob that is larger than the caller accepts.

        Raises:
            FetchError: when it is.
        """
        if self.size > size_max:
            raise FetchError(
                f"{what}: too large", expected=f"at most {size_max} bytes", got=str(self.size)
            )

    def as_referrer(self, manifest: Mapping[str, object]) -> "Descriptor":
        """Describe a manifest for a list of referrers ("Pushing Manifests with Subject").

        Raises:
            FetchError: when it is malformed.
        """
        config = manifest.get("config")
        kind = config.get("mediaType") if isinstance(config, dict) else ""
        fields = {
            **self.to_json(),
            "artifactType": manifest.get("artifactType") or kind or "",
            "annotations": manifest.get("annotations"),
        }
        return parse_descriptor(fields, str(self.digest))


def parse_manifest(data: bytes, what: str) -> Mapping[str, object]:
    """Parse a manifest or an index, and refuse a document that could be read as either.

    Raises:
        FetchError: when it is not JSON, has the fields of both, or names the type of the other.
    """
    document = parse_json(data, what=f"{what}: manifest", error=FetchError)
    fields = document if isinstance(document, dict) else {}
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        # Readers could take it for either (CVE-2021-41190).
        raise FetchError(f"{what}: a manifest and an index in one document")
    if fields.get("mediaType") == (MANIFEST_TYPE if is_index(fields) else INDEX_TYPE):
        raise FetchError(
            f"{what}: its `mediaType` contradicts its fields", got=f"`{fields['mediaType']}`"
        )
    return fields


def is_index(manifest: Mapping[str, object]) -> bool:
    """Tell an index from a manifest."""
    return "manifests" in manifest


def index_entries(index: Mapping[str, object], what: str) -> list[Descriptor]:
    """List the manifests of an index.

    Raises:
        FetchError: when an entry is malformed.
    """
    entries = index["manifests"]
    if not isinstance(entries, list):
        raise FetchError(f"{what}: not an index", expected=f"`{INDEX_TYPE}`")
    return [parse_descriptor(each, what) for each in entries]


def wasm_layer(manifest: Mapping[str, object], what: str) -> Descriptor:
    """Find the codec in a manifest.

    Raises:
        FetchError: when it is not a manifest with exactly one wasm layer.
    """
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise FetchError(f"{what}: not an image manifest", expected=f"`{MANIFEST_TYPE}`")
    config = parse_descriptor(manifest.get("config"), what)
    config.require_size(CONFIG_MAX_BYTES, what=f"{what}: configuration")
    descriptors = [parse_descriptor(layer, what) for layer in layers]
    types = [each.media_type for each in descriptors]
    if len(types) != 1 or types[0] not in _WASM_LAYER_TYPES:
        raise FetchError(
            f"{what}: not a wasm artifact",
            expected=f"one layer of type `{WASM_LAYER_TYPE}`",
            got=", ".join(f"`{each}`" for each in types) or "no layers",
        )
    return descriptors[0]


def parse_descriptor(document: object, what: str) -> Descriptor:
    """Read a descriptor.

    Raises:
        FetchError: when it is malformed.
    """
    fields = document if isinstance(document, dict) else {}
    media_type, digest, size = (fields.get(name) for name in ("mediaType", "digest", "size"))
    artifact_type = fields.get("artifactType", "")
    # Some tools write null for an empty field.
    annotations = fields.get("annotations") or {}
    platform = fields.get("platform") or {}
    if (
        not isinstance(media_type, str)
        or not isinstance(digest, str)
        or not isinstance(size, int)
        or isinstance(size, bool)
        or size < 0
        or not isinstance(artifact_type, str)
        or not isinstance(annotations, dict)
        or not all(isinstance(each, str) for pair in annotations.items() for each in pair)
        or not isinstance(platform, dict)
        or not isinstance(platform.get("os", ""), str)
    ):
        raise FetchError(f"{what}: malformed descriptor", got=format_value(document))
    try:
        parsed = Digest.parse(digest)
    except FetchError as failure:
        raise failure.within(what) from failure
    platform_os = platform.get("os", "")
    return Descriptor(media_type, parsed, size, artifact_type, annotations, platform_os)
