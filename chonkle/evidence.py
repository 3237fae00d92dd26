"""Evidence: the attestations of a codec, read where the codec comes from, and kept in the store.

    <codec store>/.attestations/<BLAKE3 of the codec>.json

        {"version": 1, "evidence": [{
          "repository": "host/path",        where it was found; a URI for what is no registry
          "links": [base64, ...],           index and manifest, each naming the next, the last one
                                            the codec; none where that is a file
          "attestations": [{"layout": "classic", "document": base64, "signature": base64}, ...]}]}

Kept evidence is verified with public keys at each use: a kept codec needs no network to be checked
again, and a file that another program wrote there allows nothing.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from chonkle.digest import Digest
from chonkle.errors import AttestationError, FetchError, StoreError
from chonkle.formats.json_text import parse_json
from chonkle.oci.access import RegistryAccess
from chonkle.oci.address import Address, Host
from chonkle.oci.attestation import (
    BUNDLE_SUFFIX,
    DOCUMENT_MAX_BYTES,
    Attestation,
    read_attestations,
)
from chonkle.oci.model import (
    MANIFEST_MAX_BYTES,
    Descriptor,
    Reference,
    artifact_scheme,
    parse_descriptor,
    parse_reference,
)
from chonkle.oci.pem import from_base64, to_base64
from chonkle.oci.places import open_repository
from chonkle.oci.repository import Repository
from chonkle.storage.files import PUBLIC_FILE, read_file, write_atomic
from chonkle.storage.kept import KeptFiles

# `chonkle.oci.places.open_repository`, or a substitute.
type OpenRepository = Callable[..., Repository]

_VERSION = 1
_KEPT_MAX_BYTES = 64 << 20
_EVIDENCE_MAX = 16
# Of an index: how many of its manifests are read.
_MANIFESTS_MAX = 64
_SIGNATURE_MAX_BYTES = 1024
_HTTPS_PORT = 443
# Docker Hub as users write it, and the host of its registry.
_HUB, _HUB_ASKED = "docker.io", "registry-1.docker.io"
_SLASHES = re.compile(r"/+")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Attestations of a codec, and the manifests that connect them to it."""

    repository: str  # where they were found: `host/path`, or a URI for other places than registries
    # The index and the manifest that lead to the codec, outermost first.
    links: tuple[bytes, ...] = ()
    attestations: tuple[Attestation, ...] = ()  # of any of these, or of the codec itself
    problems: tuple[str, ...] = ()  # why others could not be read

    def subjects(self, data: bytes) -> tuple[Digest, ...]:
        """List the digests that an attestation of a codec may be of, outermost first.

        Args:
            data: the codec. If the links do not lead to it, only its own digest counts.
        """
        digests = [*map(Digest.sha256, self.links), Digest.sha256(data)]
        for link, following in zip(self.links, digests[1:], strict=True):
            if following not in _named_in(link):
                return (digests[-1],)
        return tuple(digests)

    def to_json(self) -> dict[str, object]:
        """Write the evidence as a JSON object."""
        return {
            "repository": self.repository,
            "links": [to_base64(link) for link in self.links],
            "attestations": [
                {
                    "layout": each.layout,
                    "document": to_base64(each.document),
                    "signature": to_base64(each.signature),
                }
                for each in self.attestations
            ],
        }


def find_evidence(
    uri: str,
    data: bytes,
    *,
    access: RegistryAccess,
    links: tuple[bytes, ...] = (),
    open_repository: OpenRepository = open_repository,
) -> Evidence:
    """Look for attestations where a codec comes from.

    Args:
        uri: its source.
        data: the codec.
        access: how servers may be asked.
        links: the index and the manifest that were read to find it; read again when left out.
        open_repository: opens where artifacts are.

    Raises:
        FetchError: when the source cannot be asked, or holds another codec by now.
    """
    place = place_of(uri)
    if place.startswith("file://"):
        return find_beside(Path.from_uri(uri.partition("#")[0]), repository=place)
    if place.startswith("https://"):
        return _find_on_server(uri.partition("#")[0], place, access)
    reference = parse_reference(uri)
    with open_repository(reference, access=access) as repository:
        if not links:
            wanted = reference.digest or reference.tag
            top = repository.manifest(wanted).data
            links = _links(top, lambda each: repository.manifest(each).data, Digest.sha256(data))
            if not links:
                raise FetchError(
                    f"{repository.name}: `{wanted}` does not lead to the codec that was fetched",
                    hint="it was changed meanwhile; try again",
                )
        return evidence_in(repository, links, place=place)


def evidence_in(repository: Repository, links: tuple[bytes, ...], *, place: str) -> Evidence:
    """Read the attestations of the index and the manifest that lead to a codec.

    Args:
        repository: the repository that they are in.
        links: their bytes, outermost first.
        place: what a policy calls the repository.

    Raises:
        FetchError: when the repository cannot be asked.
    """
    found = [read_attestations(repository, Digest.sha256(link)) for link in links]
    return Evidence(
        place,
        links,
        tuple(attestation for each in found for attestation in each.attestations),
        tuple(problem for each in found for problem in each.problems),
    )


def place_of(uri: str) -> str:
    """Return the name of a source's place, as policies use it.

    Returns:
        `host/path` for a registry's repository; otherwise the URI. It has no tag or pin, and is
        normalized by the rules of URIs and of registries.

    Raises:
        FetchError: when it is malformed.
    """
    if not artifact_scheme(uri):
        return canonical_place(uri.partition("#")[0])
    reference = parse_reference(uri)
    if isinstance(reference, Reference):
        return canonical_place(f"{reference.registry}/{reference.repository}")
    return canonical_place(f"oci-layout://{reference.path.absolute()}")


def canonical_place(text: str) -> str:
    """Normalize a place, or a pattern of places, for comparison.

    The host is in lower case and without its usual port, Docker Hub is `docker.io`, `localhost` is
    left out of `file://`, and needless percent-encoding is removed.

    Args:
        text: `host/path`, or a URI; each may have `*` in it.
    """
    scheme, has_scheme, rest = text.partition("://")
    scheme = scheme.lower() if has_scheme else "oci"
    host, slash, path = (rest if has_scheme else text).partition("/")
    match scheme:
        case "oci":
            return f"{_canonical_host(host, scheme)}/{path}" if slash else text
        case "https":
            return f"https://{_canonical_host(host, scheme)}{slash}{_decoded(path)}"
        case "file":
            host = "" if host.lower() == "localhost" else host.lower()
            # Opening the file decodes all of it, and two slashes are one.
            return f"file://{host}{slash}{_SLASHES.sub('/', unquote(path)).lstrip('/')}"
        case "oci-layout":
            return f"oci-layout://{_SLASHES.sub('/', rest)}"
        case _:
            return text


def _canonical_host(text: str, scheme: str) -> str:
    try:
        host = Host.parse(text)
    except FetchError:
        # It has `*` in it.
        return text.lower().removesuffix(":443")
    if scheme == "https":
        return str(Host(host.name) if host.port == _HTTPS_PORT else host)
    asked = str(Address.of_registry(host).host)
    return _HUB if asked == _HUB_ASKED else asked


def _decoded(path: str) -> str:
    """Decode what needs no percent-encoding (RFC 3986, section 6.2.2)."""

    def written(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if _UNRESERVED.fullmatch(character) else match[0].upper()

    return _ENCODED.sub(written, path)


def pin_of(uri: str) -> Digest | None:
    """Return the digest of the manifest or the index that a source names; None for none.

    Raises:
        FetchError: when it is malformed.
    """
    if not artifact_scheme(uri):
        return None
    return parse_reference(uri).digest


def kept_links(kept: KeptFiles, pin: Digest, codec: Digest) -> tuple[bytes, ...]:
    """Return the kept manifests that lead to a codec, outermost first; nothing where none do.

    Args:
        kept: copies of what was fetched.
        pin: digest of an index or a manifest.
        codec: SHA-256 digest of the codec.
    """

    def read(digest: Digest) -> bytes | None:
        return kept.find(digest, size_max=MANIFEST_MAX_BYTES)

    return _links(read(pin), read, codec)


def _links(
    top: bytes | None, read: Callable[[Digest], bytes | None], codec: Digest
) -> tuple[bytes, ...]:
    """Give the index and the manifest, or the manifest alone, that lead to a codec."""
    if top is None:
        return ()
    if codec in _named_in(top):
        return (top,)
    for descriptor in _descriptors(top, "manifests")[:_MANIFESTS_MAX]:
        manifest = read(descriptor.digest)
        if manifest is not None and codec in _named_in(manifest):
            return (top, manifest)
    return ()


def find_beside(path: Path, *, repository: str = "") -> Evidence:
    """Read the attestation beside a file.

    Args:
        path: the file.
        repository: the name of its place; the URI of the file when left out.
    """
    place = repository or place_of(path.absolute().as_uri())
    try:
        bundle = read_file(path.with_name(path.name + BUNDLE_SUFFIX), size_max=DOCUMENT_MAX_BYTES)
    except FileNotFoundError:
        return Evidence(place)
    except OSError as failure:
        reason = f"cannot read {path.name}{BUNDLE_SUFFIX}: {failure.strerror}"
        return Evidence(place, problems=(reason,))
    return Evidence(place, attestations=(Attestation("bundle", bundle),))


def _find_on_server(url: str, place: str, access: RegistryAccess) -> Evidence:
    access.require_online(url)
    from chonkle.oci.transport import download  # noqa: PLC0415 - brings requests with it

    try:
        bundle = download(
            f"{url}{BUNDLE_SUFFIX}",
            size_max=DOCUMENT_MAX_BYTES,
            bounds=access.bounds,
            ca_file=access.ca_file,
        )
    except FetchError as failure:
        return Evidence(place, problems=(str(failure),))
    return Evidence(place, attestations=(Attestation("bundle", bundle),))


def _named_in(manifest: bytes) -> frozenset[Digest]:
    return frozenset(
        each.digest for name in ("manifests", "layers") for each in _descriptors(manifest, name)
    )


def _descriptors(manifest: bytes, name: str) -> list[Descriptor]:
    what = "manifest"
    try:
        document = parse_json(manifest, what=what, error=FetchError)
        listed = document.get(name) if isinstance(document, dict) else None
        return [parse_descriptor(each, what) for each in listed] if isinstance(listed, list) else []
    except FetchError:
        return []


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """Evidence in a codec store."""

    root: Path

    def find(self, data: bytes) -> tuple[Evidence, ...]:
        """Return what is kept for a codec; nothing where it cannot be read."""
        path = self._path(data)
        try:
            text = read_file(path, size_max=_KEPT_MAX_BYTES)
        except OSError:
            return ()
        try:
            return _parse(text)
        except AttestationError:
            # Another program wrote it; the source is asked again.
            return ()

    def keep(self, data: bytes, evidence: Evidence) -> None:
        """Keep evidence for a codec, in place of older evidence of the same repository.

        Raises:
            StoreError: when it cannot be written.
        """
        others = [each for each in self.find(data) if each.repository != evidence.repository]
        kept = [evidence, *others][:_EVIDENCE_MAX]
        document = {"version": _VERSION, "evidence": [each.to_json() for each in kept]}
        path = self._path(data)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(document, indent=1).encode(), mode=PUBLIC_FILE)
        except OSError as failure:
            raise StoreError(f"cannot keep {path}: {failure.strerror}") from failure

    def _path(self, data: bytes) -> Path:
        return self.root / ".attestations" / f"{Digest.blake3(data).hex}.json"


_WHAT = "kept evidence"


def _parse(text: bytes) -> tuple[Evidence, ...]:
    match parse_json(text, what=_WHAT, error=AttestationError):
        case {"version": int(version), "evidence": list(listed)} if version == _VERSION:
            return tuple(map(_evidence, listed))
    raise AttestationError(f"{_WHAT}: malformed, or another version")


def _evidence(document: object) -> Evidence:
    match document:
        case {"repository": str(repository), "links": list(links), "attestations": list(listed)}:
            data = (from_base64(link, what=_WHAT, size_max=MANIFEST_MAX_BYTES) for link in links)
            return Evidence(repository, tuple(data), tuple(map(_attestation, listed)))
    raise AttestationError(f"{_WHAT}: malformed")


def _attestation(document: object) -> Attestation:
    match document:
        case {"layout": "classic" | "bundle" as layout, "document": text, "signature": signature}:
            return Attestation(
                layout,
                from_base64(text, what=_WHAT, size_max=DOCUMENT_MAX_BYTES),
                from_base64(signature, what=_WHAT, size_max=_SIGNATURE_MAX_BYTES),
            )
    raise AttestationError(f"{_WHAT}: malformed attestation")
