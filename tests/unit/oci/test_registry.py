"""A repository of a registry, first of one that keeps to the specification, then of others."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.oci.address import Host
from chonkle.oci.artifact import Artifact, Blob, referrer
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.model import INDEX_TYPE, MANIFEST_TYPE, Descriptor
from chonkle.oci.registry import RegistryRepository
from chonkle.oci.transport import Bounds
from tests.loopback import Serve

pytestmark = pytest.mark.network

QUICK = Bounds(total_s=20, pause_s=0.01)
LARGE = bytes(range(256)) * 40
CHUNK_BYTES = 4096

type Open = Callable[[Any], RegistryRepository]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Give a function that opens the repository `codecs/guest` of a server."""
    with ExitStack() as stack:

        def open_(server: Any) -> RegistryRepository:
            host = Host.parse(server.host)
            transport = RegistryTransport(host, what=f"oci://{host}", bounds=QUICK)
            stack.enter_context(transport)
            return RegistryRepository(transport, "codecs/guest", chunk_bytes=CHUNK_BYTES)

        yield open_


@pytest.fixture
def server(serve: Serve, registry: Any) -> Any:
    return serve(registry)


@pytest.fixture
def repository(server: Any, opened: Open) -> RegistryRepository:
    return opened(server)


def methods(server: Any) -> list[str]:
    return [seen.method for seen in server.seen]


def image(*, subject: Descriptor | None = None, kind: str = "a/b", text: str = "x") -> Artifact:
    if subject is None:
        subject = Descriptor(MANIFEST_TYPE, Digest.sha256(b"nothing"), 7)
    return referrer(subject, artifact_type=kind, layers=[Blob("text/plain", text.encode())])


def plain() -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": []}).encode()


# As the specification says


def test_what_is_written_is_there(repository: RegistryRepository, registry: Any) -> None:
    artifact = image()
    assert repository.resolve("1.0.0") is None
    assert repository.tags() == []
    written = artifact.write(repository, tag="1.0.0")
    assert written == artifact.descriptor == repository.resolve("1.0.0")
    assert repository.resolve(written.digest) == written
    assert repository.manifest("1.0.0").data == artifact.manifest
    assert repository.manifest(written.digest).descriptor == written
    for blob in artifact.blobs:
        assert repository.has_blob(blob.descriptor)
        assert repository.blob(blob.descriptor) == blob.data
    for tag in ("2.0.0", "1.5.0", "1.0.0-core"):
        artifact.write(repository, tag=tag)
    assert len(registry.tags()) == 4
    assert repository.tags() == ["1.0.0", "1.0.0-core", "1.5.0", "2.0.0"]


def test_a_blob_that_is_there_is_not_sent(repository: RegistryRepository, server: Any) -> None:
    told: list[tuple[int, int]] = []
    blob = repository.write_blob(b"small", "text/plain")
    assert methods(server) == ["HEAD", "POST", "PUT"]
    again = repository.write_blob(b"small", "text/plain", progress=lambda *p: told.append(p))
    assert again == blob
    assert methods(server)[3:] == ["HEAD"]
    assert told == [(5, 5)]


@pytest.mark.parametrize(
    ("chunk_min_bytes", "sizes"),
    [(0, [4096, 4096, 2048, 0]), (5000, [5000, 5000, 240, 0]), (1 << 20, [10240])],
)
def test_a_large_blob_is_sent_in_chunks(
    *,
    repository: RegistryRepository,
    registry: Any,
    server: Any,
    chunk_min_bytes: int,
    sizes: list[int],
) -> None:
    registry.chunk_min_bytes = chunk_min_bytes
    told: list[tuple[int, int]] = []
    blob = repository.write_blob(LARGE, "text/plain", progress=lambda *p: told.append(p))
    assert registry.blobs == {str(blob.digest): LARGE}
    assert [len(seen.body) for seen in server.seen[2:]] == sizes
    assert methods(server)[2:] == ["PATCH"] * (len(sizes) - 1) + ["PUT"]
    assert told[-1] == (len(LARGE), len(LARGE))
    assert len(told) == len(sizes)


@pytest.mark.parametrize("lists_referrers", [True, False])
def test_referrers_are_listed(
    repository: RegistryRepository, registry: Any, *, lists_referrers: bool
) -> None:
    registry.lists_referrers = lists_referrers
    subject = repository.write_manifest(plain(), MANIFEST_TYPE, tag="1.0.0")
    assert repository.referrers(subject.digest) == []
    others = [image(subject=subject, kind=kind) for kind in ("a/b", "c/d")]
    written = [other.write(repository) for other in others]
    others[0].write(repository)
    assert [each.digest for each in repository.referrers(subject.digest)] == [
        each.digest for each in written
    ]
    (found,) = repository.referrers(subject.digest, artifact_type="c/d")
    assert (found.digest, found.artifact_type) == (written[1].digest, "c/d")
    tag = f"sha256-{subject.digest.hex}"
    assert registry.tags() == (["1.0.0"] if lists_referrers else ["1.0.0", tag])


# As some registries do


def test_a_list_of_referrers_that_another_process_replaced_is_written_again(
    repository: RegistryRepository, registry: Any
) -> None:
    registry.lists_referrers = False
    subject = Descriptor(MANIFEST_TYPE, Digest.sha256(b"nothing"), 7)
    other = image(text="other").write(repository)
    tag = ("codecs/guest", f"sha256-{subject.digest.hex}")
    theirs = registry.manifests[tag]
    replaced: list[bytes] = []

    def fault(seen: Any) -> None:
        # Just after ours was written, and before it is looked at.
        ours = registry.manifests[tag][1]
        if not replaced and seen.method == "GET" and len(json.loads(ours)["manifests"]) == 2:
            replaced.append(ours)
            registry.manifests[tag] = theirs

    registry.fault = fault
    own = image(text="own").write(repository)
    assert replaced
    found = {each.digest for each in repository.referrers(subject.digest)}
    assert found == {other.digest, own.digest}

    def always(seen: Any) -> None:
        if seen.method == "GET":
            registry.manifests[tag] = theirs

    registry.fault = always
    with pytest.raises(
        FetchError, match=r"keep replacing the list of referrers of .*; hint: let one process"
    ):
        image(text="third").write(repository)


def test_what_a_registry_does_not_say_of_a_manifest_is_read_from_it(
    repository: RegistryRepository, registry: Any, server: Any
) -> None:
    data = plain()
    registry.fault = lambda seen: data if "manifests" in seen.path else None
    found = repository.resolve("1.0.0")
    assert found == Descriptor(MANIFEST_TYPE, Digest.sha256(data), len(data))
    assert methods(server) == ["HEAD", "GET"]


def test_an_upload_is_resumed(repository: RegistryRepository, registry: Any, server: Any) -> None:
    faults = iter([None, {"status": 0}, None, {"status": 0}])

    def fault(seen: Any) -> Any:
        told = next(faults, None) if seen.method == "PATCH" else None
        if told is not None and server.seen[-2].method != "GET":
            # The first to break arrived in part.
            registry.uploads["0"] += seen.body[:100]
        return told

    registry.fault = fault
    blob = repository.write_blob(LARGE, "text/plain")
    assert registry.blobs == {str(blob.digest): LARGE}
    assert len([each for each in methods(server) if each == "POST"]) == 1
    assert "GET" in methods(server)


def test_a_lost_upload_begins_anew(
    repository: RegistryRepository, registry: Any, server: Any
) -> None:
    def fault(seen: Any) -> None:
        if seen.method == "PATCH" and methods(server).count("PATCH") == 2:
            registry.uploads.clear()

    registry.fault = fault
    repository.write_blob(LARGE, "text/plain")
    assert list(registry.blobs.values()) == [LARGE]
    assert methods(server).count("POST") == 2


def test_an_upload_whose_end_arrived_and_whose_answer_did_not_is_found(
    repository: RegistryRepository, registry: Any, server: Any
) -> None:
    def fault(seen: Any) -> Any:
        if seen.method == "PUT" and methods(server).count("PUT") == 1:
            registry.fault = lambda _: None
            registry(seen)
            return {"status": 0}
        return None

    registry.fault = fault
    repository.write_blob(b"small", "text/plain")
    assert list(registry.blobs.values()) == [b"small"]
    # The second PUT finds no upload, and the blob is looked for.
    assert methods(server) == ["HEAD", "POST", "PUT", "PUT", "HEAD"]


def test_a_token_that_expires_is_replaced(serve: Serve, registry: Any, opened: Open) -> None:
    given: list[str] = []

    def give(_: object) -> bytes:
        given.append(f"t{len(given)}")
        return json.dumps({"token": given[-1]}).encode()

    tokens = serve(give)
    realm = f'Bearer realm="{tokens.origin}",service="a",scope="b"'
    used: list[str] = []

    def fault(seen: Any) -> Any:
        # Each token serves two requests.
        known = seen.authorization == f"Bearer {given[-1]}" if given else False
        if not known or used.count(given[-1]) == 2:
            return {"status": 401, "headers": {"WWW-Authenticate": realm}}
        used.append(given[-1])
        return None

    registry.fault = fault
    repository = opened(serve(registry))
    image(text="x" * 10000).write(repository, tag="1.0.0")
    assert registry.tags() == ["1.0.0"]
    assert len(given) >= 4


# As no registry may


def on(method: str, part: str, told: dict[str, Any], *, times: int = 99) -> Callable[[Any], Any]:
    """Make a fault of some requests."""
    left = [times]

    def fault(seen: Any) -> Any:
        if seen.method == method and part in seen.path and left[0]:
            left[0] -= 1
            return told
        return None

    return fault


OTHER = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
DENIED = b'{"errors": [{"code": "DENIED", "message": "not\\u001b[31m you"}]}'


@pytest.mark.parametrize(
    ("fault", "words", "requests_max"),
    [
        (on("POST", "uploads", {"status": 202}), "does not say where to upload to", 4),
        (on("POST", "uploads", {"status": 0}), "the connection broke", 4),
        (on("POST", "uploads", {"status": 500}), "the server answered 500", 4),
        (
            on("POST", "uploads", {"status": 403, "body": DENIED}),
            "the server answered 403 Forbidden: DENIED: not\\x1b[31m you; hint: check the name",
            2,
        ),
        (on("POST", "uploads", {"status": 403, "body": b'{"errors": 7}'}), "403 Forbidden; h", 2),
        (
            on(
                *("POST", "uploads"),
                {"status": 202, "headers": {"Location": "https://elsewhere.invalid/x"}},
            ),
            "leads to another server, expected http://127.0.0.1:",
            2,
        ),
        (
            on("POST", "uploads", {"status": 202, "headers": {"Location": "ftp://x"}}),
            "not an address of a web server",
            2,
        ),
        (on("PATCH", "uploads", {"status": 0}), "the connection broke", 10),
        (on("PATCH", "uploads", {"status": 413}), "answered 413", 3),
        (on("PATCH", "uploads", {"status": 416}), "has another number of bytes", 12),
        (
            on("PATCH", "uploads", {"status": 202, "headers": {"Range": "0-99999"}}),
            "has another number of bytes than was sent, expected 4096 bytes, got 100000 bytes",
            3,
        ),
        (
            on("PATCH", "uploads", {"status": 202, "headers": {"Range": "0-5"}}),
            "has another number of bytes than was sent",
            7,
        ),
        (
            on("PATCH", "uploads", {"status": 429, "headers": {"Retry-After": "0"}}),
            "the server answered 429 Too Many Requests",
            5,
        ),
        (
            on("PATCH", "uploads", {"status": 429, "headers": {"Retry-After": "9999"}}),
            "the server answered 429 Too Many Requests",
            3,
        ),
        (on("PUT", "uploads", {"status": 0}), "the connection broke", 9),
        (on("PUT", "uploads", {"status": 413}), "answered 413", 7),
        (
            on(
                "PUT", "uploads", {"status": 400, "body": b'{"errors":[{"code":"DIGEST_INVALID"}]}'}
            ),
            "the server answered 400 Bad Request: DIGEST_INVALID",
            14,
        ),
        (
            on("PUT", "uploads", {"status": 201, "headers": {"Docker-Content-Digest": OTHER}}),
            "the registry stored another one, expected",
            7,
        ),
        (on("HEAD", "blobs", {"status": 403}), "the server answered 403", 1),
        (
            on("PUT", "manifests", {"status": 201, "headers": {"Docker-Content-Digest": OTHER}}),
            "manifest 1.0.0: the registry stored another one",
            20,
        ),
        (on("PUT", "manifests", {"status": 401}), "the server answered 401", 20),
        (on("PUT", "manifests", {"status": 0}), "the connection broke", 20),
    ],
)
def test_a_fault_while_pushing_is_one_error_and_leaves_no_tag(
    *,
    repository: RegistryRepository,
    registry: Any,
    server: Any,
    fault: Callable[[Any], Any],
    words: str,
    requests_max: int,
) -> None:
    registry.fault = fault
    artifact = referrer(
        Descriptor(MANIFEST_TYPE, Digest.sha256(b"nothing"), 7),
        artifact_type="a/b",
        layers=[Blob("text/plain", LARGE)],
    )
    # The layer first, which has several chunks.
    first = Artifact(artifact.manifest, artifact.blobs[::-1])
    with pytest.raises(FetchError) as caught:
        first.write(repository, tag="1.0.0")
    assert str(caught.value).startswith(f"oci://{server.host}")
    assert words in str(caught.value)
    assert registry.tags() == []
    assert len(server.seen) <= requests_max


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"{", "", "malformed JSON"),
        (b"[]", INDEX_TYPE, "neither an image manifest nor an index"),
        (plain(), INDEX_TYPE, 'got `"application/vnd.oci.image.index'),
        (b'{"mediaType": "text/plain", "layers": []}', "", "neither an image manifest nor"),
        (b'{"mediaType": [], "manifests": [7]}', INDEX_TYPE, ""),
        (b'{"mediaType": {"a": 1}, "layers": []}', "", "neither an image manifest nor an index"),
    ],
)
def test_a_manifest_is_what_two_readers_agree_on(
    *, repository: RegistryRepository, registry: Any, body: bytes, content_type: str, words: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    registry.fault = lambda _: {"body": body, "headers": headers}
    if not words:
        assert repository.manifest("1.0.0").descriptor.media_type == content_type
        return
    with pytest.raises(FetchError, match=words):
        repository.manifest("1.0.0")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_another_manifest_is_refused(
    repository: RegistryRepository, registry: Any, method: str
) -> None:
    headers = {"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": OTHER}
    registry.fault = on(method, "manifests", {"body": plain(), "headers": headers})
    read = repository.resolve if method == "HEAD" else repository.manifest
    with pytest.raises(DigestMismatchError, match=r"manifest .*: wrong digest"):
        read(Digest.sha256(plain()))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"tags": 7, "manifests": 7}', "malformed list of"),
        (b'{"tags": [7], "manifests": [7]}', "malformed "),
        (b"[]", "malformed list"),
        (b"<html>", "malformed JSON"),
    ],
)
def test_a_list_may_be_anything(
    repository: RegistryRepository, registry: Any, body: bytes, words: str
) -> None:
    registry.fault = lambda _: body
    for read in (repository.tags, lambda: repository.referrers(Digest.sha256(b""))):
        with pytest.raises(FetchError, match=words):
            read()


def test_a_list_has_an_end(repository: RegistryRepository, registry: Any) -> None:
    headers = {"Link": '</v2/codecs/guest/tags/list?last=a>; rel="next"'}
    registry.fault = lambda _: {"body": b'{"tags": null}', "headers": headers}
    with pytest.raises(FetchError, match="a list without end, expected at most 100 pages"):
        repository.tags()
