"""The parts of OCI that a codec artifact uses: references, descriptors and the wasm manifest.

    manifest  application/vnd.oci.image.manifest.v1+json
      config  application/vnd.wasm.config.v0+json
      layer   application/wasm                            exactly one: the codec

Sources: OCI Distribution Specification 1.1 (names and references), OCI Image Specification 1.1
(descriptors, manifests), CNCF TAG Runtime, "Wasm OCI Artifact layout".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import shown
from chonkle.oci.address import Host

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY_CONFIG_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY_CONFIG = b"{}"
WASM_CONFIG_TYPE = "application/vnd.wasm.config.v0+json"
WASM_LAYER_TYPE = "application/wasm"

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?P<registry>[^/]+)/"
    rf"(?P<repository>{_NAME}(?:/{_NAME})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an artifact is: `registry/repository[:tag][@digest]`.

    Attributes:
        registry: its host.
        repository: path of names.
        tag: `latest` when left out.
        digest: of the manifest; it wins over the tag.
    """

    registry: Host
    repository: str
    tag: str = "latest"
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference, with or without `oci://` before it.

        Raises:
            FetchError: when it is not one.
        """
        match = _REFERENCE.fullmatch(text.removeprefix("oci://"))
        if match is None:
            raise FetchError(
                "malformed OCI reference",
                expected="`oci://registry/repository[:tag][@sha256:<hex>]`",
                got=shown(text),
            )
        try:
            registry = Host.parse(match["registry"])
        except FetchError as failure:
            raise failure.within("malformed OCI reference") from failure
        digest = match["digest"]
        return cls(
            registry,
            match["repository"],
            match["tag"] or "latest",
            None if digest is None else Digest.parse(digest),
        )

    def __str__(self) -> str:
        """Write the reference as in `oci://`."""
        pin = "" if self.digest is None else f"@{self.digest}"
        return f"{self.registry}/{self.repository}:{self.tag}{pin}"

    def layer_in(self, manifest: bytes) -> "Descriptor":
        """Check a manifest against the digest that pins it, and find the codec in it.

        Args:
            manifest: its bytes.

        Raises:
            FetchError: when it is not a manifest with exactly one wasm layer.
            DigestMismatchError: when it is another one.
        """
        what = f"oci://{self}"
        if self.digest is not None:
            self.digest.check(manifest, what=f"{what}: manifest")
        return wasm_layer(manifest, what)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob.

    Attributes:
        media_type: its type.
        digest: what its bytes must hash to.
        size: how many there are.
        artifact_type: of a manifest in a list of referrers or in an index; otherwise empty.
        annotations: what else is said of it.
    """

    media_type: str
    digest: Digest
    size: int
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, object]:
        """Give the descriptor as a JSON object, without what is empty."""
        return {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            **({"artifactType": self.artifact_type} if self.artifact_type else {}),
            **({"annotations": dict(self.annotations)} if self.annotations else {}),
        }

    def check(self, data: bytes, *, what: str) -> None:
        """Require that bytes are what the manifest says: their number and their digest.

        Args:
            data: the bytes.
            what: what they are, for messages.

        Raises:
            DigestMismatchError: when they are not.
        """
        if len(data) != self.size:
            raise DigestMismatchError(
                f"{what}: wrong size", expected=f"{self.size} bytes", got=f"{len(data)} bytes"
            )
        self.digest.check(data, what=what)


def wasm_layer(manifest: bytes, what: str) -> Descriptor:
    """Find the codec in a manifest.

    Args:
        manifest: its bytes.
        what: whose it is, for messages.

    Raises:
        FetchError: when it is not a manifest with exactly one wasm layer.
    """
    (layer,) = layers_of(manifest, what, expected=WASM_LAYER_TYPE)
    return layer


def layers_of(manifest: bytes, what: str, *, expected: str) -> list[Descriptor]:
    """Read the layers of a manifest that has exactly one.

    Args:
        manifest: its bytes.
        what: whose it is, for messages.
        expected: the type of the layer.

    Raises:
        FetchError: when it is not such a manifest.
    """
    document = parse_json(manifest, what=f"{what}: manifest", error=FetchError)
    fields = document if isinstance(document, dict) else {}
    layers = fields.get("layers")
    if not isinstance(layers, list):
        raise FetchError(f"{what}: not an image manifest", expected=f"`{MANIFEST_TYPE}`")
    parse_descriptor(fields.get("config"), what)
    descriptors = [parse_descriptor(layer, what) for layer in layers]
    if [each.media_type for each in descriptors] != [WASM_LAYER_TYPE]:
        raise FetchError(
            f"{what}: not a wasm artifact",
            expected=f"one layer of type `{WASM_LAYER_TYPE}`",
            got=", ".join(f"`{each.media_type}`" for each in descriptors) or "no layers",
        )
    return descriptors[0]


def parse_descriptor(document: object, what: str) -> Descriptor:
    """Check a parsed JSON object and make a descriptor of it.

    Args:
        document: the parsed JSON.
        what: what it stands in, for the message.

    Raises:
        FetchError: when it is none.
    """
    fields = document if isinstance(document, dict) else {}
    media_type, digest, size = (fields.get(name) for name in ("mediaType", "digest", "size"))
    artifact_type = fields.get("artifactType", "")
    # Some tools write null for what they have nothing to say of.
    annotations = fields.get("annotations") or {}
    if (
        not isinstance(media_type, str)
        or not isinstance(digest, str)
        or not isinstance(size, int)
        or isinstance(size, bool)
        or size < 0
        or not isinstance(artifact_type, str)
        or not isinstance(annotations, dict)
        or not all(isinstance(each, str) for pair in annotations.items() for each in pair)
    ):
        raise FetchError(f"{what}: malformed descriptor", got=shown(document))
    try:
        parsed = Digest.parse(digest)
    except FetchError as failure:
        raise failure.within(what) from failure
    return Descriptor(media_type, parsed, size, artifact_type, annotations)
