"""A repository of an OCI registry.

    resolve, manifest   HEAD, GET   <name>/manifests/<tag or digest>
    tags                GET         <name>/tags/list, page by page
    blob                HEAD, GET   <name>/blobs/<digest>
    write_blob          POST        <name>/blobs/uploads/      begins an upload
                        PATCH       where that says            a chunk of a large blob
                        GET         the same                   how much arrived, after a broken one
                        PUT         the same                   ends it: the blob has this digest
    write_manifest      PUT         <name>/manifests/<tag or digest>
    referrers           GET         <name>/referrers/<digest>, or the tag `sha256-<hex>`

A tag is written with its manifest, after all blobs: an interrupted upload leaves no tag of a part
of an artifact.

Source: OCI Distribution Specification 1.1.
"""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import requests

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError, printable
from chonkle.formats.json_text import parse_json
from chonkle.formats.values import format_value
from chonkle.oci.address import Address
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.model import (
    INDEX_TYPE,
    MANIFEST_MAX_BYTES,
    MANIFEST_TYPE,
    Descriptor,
    parse_descriptor,
    parse_manifest,
)
from chonkle.oci.repository import Progress, Repository, StoredManifest

CHUNK_BYTES = 8 << 20

_ACCEPTED = (MANIFEST_TYPE, INDEX_TYPE)
_PAGES_MAX = 100
_PAGE_ENTRIES = 1000
# Tries of an upload, resumptions of one upload, and tries of writing a list of referrers.
_UPLOADS_MAX = 2
_RESUMES_MAX = 3
_LISTINGS_MAX = 3
# Answers of a registry that lost an upload, or has another part of it.
_LOST = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.RANGE_NOT_SATISFIABLE)
_SIZE = re.compile(r"[0-9]{1,15}", re.ASCII)
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)
_WORDS_MAX = 200
_BINARY = {"Content-Type": "application/octet-stream"}


class _UploadLostError(FetchError):
    """An upload failed, and another one may succeed."""


class RegistryRepository(Repository):
    """A repository of a registry.

    Args:
        transport: makes the requests; repositories of one registry may share it.
        path: of the repository in the registry.
        owns: whether closing the repository closes the transport.
        chunk_bytes: bytes of a blob to send in one request; a registry may ask for more.
    """

    def __init__(
        self,
        transport: RegistryTransport,
        path: str,
        *,
        owns: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.name = f"oci://{transport.base.host}/{path}"
        self._transport = transport
        self._path = path
        self._owns = owns
        self._chunk_bytes = chunk_bytes
        # None until it was asked.
        self._lists_referrers: bool | None = None

    def resolve(self, wanted: str | Digest) -> Descriptor | None:
        """Look a manifest up; read it only where the registry's headers say too little."""
        response = self._request("HEAD", f"manifests/{wanted}", headers=_accept())
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        media_type = _media_type(response)
        size = _SIZE.fullmatch(response.headers.get("Content-Length", ""))
        digest = response.headers.get("Docker-Content-Digest")
        if (
            response.status_code != HTTPStatus.OK
            or media_type not in _ACCEPTED
            or digest is None
            or size is None
        ):
            stored = self._stored(wanted)
            return None if stored is None else stored.descriptor
        found = Descriptor(media_type, self._parsed(digest), int(size[0]))
        if isinstance(wanted, Digest) and found.digest != wanted:
            raise DigestMismatchError(
                f"{self.name}: manifest {wanted}: wrong digest",
                expected=f"`{wanted}`",
                got=f"`{found.digest}`",
            )
        return found

    def manifest(self, wanted: str | Digest) -> StoredManifest:
        """Read a manifest or an index."""
        stored = self._stored(wanted)
        if stored is None:
            raise FetchError(
                f"{self.name}: manifest {wanted}: the server answered 404 Not Found",
                hint="check the name and the tag; a private repository needs `docker login`",
            )
        return stored

    def tags(self) -> list[str]:
        """List the tags, sorted; a repository that the registry does not know has none."""
        found: set[str] = set()
        for document in self._pages(f"tags/list?{urlencode({'n': _PAGE_ENTRIES})}"):
            tags = document.get("tags") or []
            if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                raise FetchError(f"{self.name}: malformed list of tags", got=format_value(tags))
            found.update(tags)
        return sorted(found)

    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""
        response = self._request("HEAD", f"blobs/{blob.digest}")
        if response.status_code == HTTPStatus.NOT_FOUND:
            return False
        self._accepted(response, "")
        return True

    def blob(self, blob: Descriptor, *, progress: Progress | None = None) -> bytes:
        """Read a blob."""
        response = self._request("GET", f"blobs/{blob.digest}", size_max=blob.size)
        what = f"blob {blob.digest}"
        data = self._accepted(response, what).content
        blob.check(data, what=f"{self.name}: {what}")
        if progress is not None:
            progress(len(data), len(data))
        return data

    def write_blob(
        self, data: bytes, media_type: str, *, progress: Progress | None = None
    ) -> Descriptor:
        """Write a blob, unless it is there."""
        blob = Descriptor(media_type, Digest.sha256(data), len(data))
        for number in range(1, _UPLOADS_MAX + 1):
            # A broken upload may nevertheless have arrived in full.
            if self.has_blob(blob):
                break
            try:
                self._upload(blob, data, progress)
                break
            except _UploadLostError:
                if number == _UPLOADS_MAX:
                    raise
        if progress is not None:
            progress(blob.size, blob.size)
        return blob

    def write_manifest(self, data: bytes, media_type: str, *, tag: str | None = None) -> Descriptor:
        """Write a manifest or an index, after its blobs."""
        written = Descriptor(media_type, Digest.sha256(data), len(data))
        response = self._request(
            "PUT",
            f"manifests/{tag or written.digest}",
            headers={"Content-Type": media_type},
            body=data,
        )
        what = f"manifest {tag or written.digest}"
        self._accepted(response, what)
        self._require_stored(response, written.digest, what)
        document = parse_json(data, what=what, error=FetchError)
        if isinstance(document, dict) and document.get("subject") is not None:
            subject = parse_descriptor(document["subject"], what).digest
            if "OCI-Subject" not in response.headers:
                self._list_under_tag(subject, written.as_referrer(document))
        return written

    def referrers(self, subject: Digest, *, artifact_type: str = "") -> list[Descriptor]:
        """List the manifests that refer to a manifest, in the order of the registry."""
        found = self._from_api(subject, artifact_type)
        if found is None:
            found = self._under_tag(subject)
        return [each for each in found if artifact_type in ("", each.artifact_type)]

    def close(self) -> None:
        """Close the connections that are its own. Idempotent."""
        if self._owns:
            self._transport.close()

    # Manifests

    def _stored(self, wanted: str | Digest) -> StoredManifest | None:
        response = self._request("GET", f"manifests/{wanted}", headers=_accept())
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        data = self._accepted(response, f"manifest {wanted}").content
        what = f"{self.name}: manifest {wanted}"
        promised = {wanted} if isinstance(wanted, Digest) else set()
        header = response.headers.get("Docker-Content-Digest")
        if header is not None:
            promised.add(self._parsed(header))
        for digest in promised:
            digest.check(data, what=what)
        media_type = _type_of_manifest(data, _media_type(response), what)
        return StoredManifest(Descriptor(media_type, Digest.sha256(data), len(data)), data)

    def _parsed(self, digest: str) -> Digest:
        try:
            return Digest.parse(digest)
        except DigestMismatchError as failure:
            raise failure.within(f"{self.name}: Docker-Content-Digest") from failure

    # Referrers

    def _from_api(self, subject: Digest, artifact_type: str) -> list[Descriptor] | None:
        """Ask the referrers API; None where the registry has none."""
        if self._lists_referrers is False:
            return None
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        documents = list(self._pages(f"referrers/{subject}{query}"))
        self._lists_referrers = bool(documents)
        if not documents:
            return None
        return [each for page in documents for each in self._entries(page)]

    def _under_tag(self, subject: Digest) -> list[Descriptor]:
        stored = self._stored(_referrers_tag(subject))
        if stored is None:
            return []
        return self._entries(parse_json(stored.data, what=self.name, error=FetchError))

    def _entries(self, document: object) -> list[Descriptor]:
        entries = document.get("manifests") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise FetchError(
                f"{self.name}: malformed list of referrers", got=format_value(document)
            )
        return [parse_descriptor(entry, f"{self.name}: list of referrers") for entry in entries]

    def _list_under_tag(self, subject: Digest, referrer: Descriptor) -> None:
        """Add a referrer to the list under the tag, again if another writer replaced the list."""
        for _ in range(_LISTINGS_MAX):
            known = self._under_tag(subject)
            if referrer.digest in {each.digest for each in known}:
                return
            index = {
                "schemaVersion": 2,
                "mediaType": INDEX_TYPE,
                "manifests": [each.to_json() for each in (*known, referrer)],
            }
            self.write_manifest(
                json.dumps(index, separators=(",", ":")).encode(),
                INDEX_TYPE,
                tag=_referrers_tag(subject),
            )
        if referrer.digest not in {each.digest for each in self._under_tag(subject)}:
            raise FetchError(
                f"{self.name}: other writers keep replacing the list of referrers of {subject}",
                hint="let one process publish at a time",
            )

    # Uploads

    def _upload(self, blob: Descriptor, data: bytes, progress: Progress | None) -> None:
        response = self._request("POST", "blobs/uploads/", repeatable=True)
        what = f"blob {blob.digest}"
        self._accepted(response, what)
        location = self._location(response, what)
        shortest = _SIZE.fullmatch(response.headers.get("OCI-Chunk-Min-Length", ""))
        chunk_bytes = max(self._chunk_bytes, 0 if shortest is None else int(shortest[0]))
        rest = data
        if len(data) > chunk_bytes:
            location = self._send_chunks(location, data, chunk_bytes, what, progress)
            rest = b""
        ended = self._request(
            "PUT", location.with_query({"digest": str(blob.digest)}), headers=_BINARY, body=rest
        )
        self._require_kept(ended, what)
        self._require_stored(ended, blob.digest, what)

    def _send_chunks(
        self,
        location: Address,
        data: bytes,
        chunk_bytes: int,
        what: str,
        progress: Progress | None,
    ) -> Address:
        """Send a blob in chunks, and return where its upload ends."""
        start, resumes = 0, 0
        failure: FetchError | None = None
        while start < len(data):
            if progress is not None:
                progress(start, len(data))
            end = min(start + chunk_bytes, len(data))
            headers = {**_BINARY, "Content-Range": f"{start}-{end - 1}"}
            response, usual = None, end
            try:
                response = self._request("PATCH", location, headers=headers, body=data[start:end])
            except FetchError as broken:
                failure = broken
            if response is None or response.status_code == HTTPStatus.RANGE_NOT_SATISFIABLE:
                response, usual = self._request("GET", location), 0
            if failure is not None and not _is_success(response):
                raise _UploadLostError(str(failure)) from failure
            self._require_kept(response, what)
            location = self._location(response, what, usual=location)
            arrived = _arrived(response, usual)
            resumes += arrived != end
            if arrived > end or resumes > _RESUMES_MAX:
                raise failure or FetchError(
                    f"{self.name}: {what}: the registry has another number of bytes than was sent",
                    expected=f"{end} bytes",
                    got=f"{arrived} bytes",
                )
            start = arrived
        return location

    def _require_kept(self, response: requests.Response, what: str) -> None:
        """Refuse an error, and mark one that another upload may not meet."""
        try:
            self._accepted(response, what)
        except FetchError as failure:
            if response.status_code in _LOST:
                raise _UploadLostError(str(failure)) from failure
            raise

    def _require_stored(self, response: requests.Response, digest: Digest, what: str) -> None:
        stored = response.headers.get("Docker-Content-Digest", str(digest))
        if stored != str(digest):
            raise DigestMismatchError(
                f"{self.name}: {what}: the registry stored another one",
                expected=f"`{digest}`",
                got=format_value(stored),
            )

    def _location(
        self, response: requests.Response, what: str, *, usual: Address | None = None
    ) -> Address:
        """Return where an upload continues, which must be on the registry itself."""
        text = response.headers.get("Location")
        if text is None and usual is not None:
            return usual
        if text is None:
            raise FetchError(
                f"{self.name}: {what}: the registry does not say where to upload to",
                expected="a `Location`",
                got=f"{response.status_code} without one",
            )
        try:
            location = Address.parse(response.url).joined(text)
        except FetchError as failure:
            raise failure.within(f"{self.name}: {what}: `Location`") from failure
        if location.origin != self._transport.base.origin:
            raise FetchError(
                f"{self.name}: {what}: the upload leads to another server",
                expected=self._transport.base.origin,
                got=location.origin,
            )
        return location

    # Requests

    def _pages(self, path: str) -> Iterator[dict[str, object]]:
        address = self._address(path)
        for number in range(_PAGES_MAX):
            response = self._request("GET", address)
            if number == 0 and response.status_code == HTTPStatus.NOT_FOUND:
                return
            text = self._accepted(response, "").content
            document = parse_json(text, what=self.name, error=FetchError)
            if not isinstance(document, dict):
                raise FetchError(f"{self.name}: malformed list", got=format_value(document))
            yield document
            following = _NEXT.search(response.headers.get("Link", ""))
            if following is None:
                return
            try:
                address = address.joined(following[1])
            except FetchError as failure:
                raise failure.within(f"{self.name}: `Link`") from failure
        raise FetchError(f"{self.name}: a list without end", expected=f"at most {_PAGES_MAX} pages")

    def _address(self, path: str) -> Address:
        return self._transport.base.joined(f"/v2/{self._path}/{path}")

    def _request(
        self,
        method: str,
        where: str | Address,
        *,
        size_max: int = MANIFEST_MAX_BYTES,
        **options: Any,  # noqa: ANN401 - handed on
    ) -> requests.Response:
        address = self._address(where) if isinstance(where, str) else where
        return self._transport.request(method, address, size_max=size_max, **options)

    def _accepted(self, response: requests.Response, what: str) -> requests.Response:
        """Return a successful answer; otherwise raise an error with the registry's own words."""
        what = f"{self.name}: {what}" if what else self.name
        try:
            return self._transport.accepted(response, what=what)
        except FetchError as failure:
            words = _words(response.content)
            if not words:
                raise
            text, _, hint = str(failure).partition("; hint: ")
            raise FetchError(f"{text}: {words}", hint=hint) from failure


def _accept() -> dict[str, str]:
    return {"Accept": ", ".join(_ACCEPTED)}


def _is_success(response: requests.Response) -> bool:
    return HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES


def _arrived(response: requests.Response, usual: int) -> int:
    """Return how many bytes of an upload arrived; registries write `0-0` for none."""
    said = _RANGE.fullmatch(response.headers.get("Range", ""))
    if said is None:
        return usual
    return int(said[1]) + 1 if int(said[1]) else 0


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _type_of_manifest(data: bytes, header: str, what: str) -> str:
    """Return the type of a manifest, and refuse one whose header or own field contradicts it.

    Either may be missing.
    """
    fields = parse_manifest(data, what)
    said = fields.get("mediaType") or ""
    by_shape = INDEX_TYPE if "manifests" in fields else MANIFEST_TYPE
    if said not in ("", by_shape) or (header in _ACCEPTED and header != by_shape):
        raise FetchError(
            f"{what}: neither an image manifest nor an index",
            expected=f"`{by_shape}`",
            got=format_value(header if said in ("", by_shape) else said),
        )
    return by_shape


def _referrers_tag(subject: Digest) -> str:
    return f"{subject.algorithm}-{subject.hex}"


def _words(body: bytes) -> str:
    """Return the text of a registry's error (Distribution Specification, "Error Codes")."""
    try:
        document = json.loads(body)
        first = document["errors"][0]
        code, message = first.get("code", ""), first.get("message", "")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    parts = [part for part in (code, message) if isinstance(part, str) and part]
    return printable(": ".join(parts))[:_WORDS_MAX]
