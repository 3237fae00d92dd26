"""Evidence: found at a codec's source, kept in the store, and always verified."""

import json
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from chonkle.errors import FetchError, StoreError
from chonkle.evidence import Evidence, KeptEvidence, find_beside, find_evidence, place_of
from chonkle.oci.access import RegistryAccess
from chonkle.oci.attestation import LAYOUTS, Attestation, sign, sign_file
from chonkle.oci.model import INDEX_TYPE
from chonkle.oci.private_keys import PrivateKey

type Repository = Any  # MemoryRepository of the conftest

URI = "oci://registry.test/codecs/x:1.0.0"


def found_in(repository: Repository, wanted: str | Digest, data: bytes) -> Evidence:
    uri = f"{URI}@{wanted}" if isinstance(wanted, Digest) else URI
    return find_evidence(
        uri, data, access=RegistryAccess(), open_repository=lambda *_, **_more: repository
    )


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("oci://Registry.test:5000/a/b:1.0@sha256:" + "0" * 64, "registry.test:5000/a/b"),
        ("oci://registry.test/a/b", "registry.test/a/b"),
        ("oci-layout:///srv/codecs:1.0", "oci-layout:///srv/codecs"),
        ("oci-layout://codecs.tar:x@sha256:" + "0" * 64, f"oci-layout://{Path.cwd()}/codecs.tar"),
        ("https://host:1/a/zlib.wasm#blake3=00", "https://host:1/a/zlib.wasm"),
        ("file:///a/zlib.wasm", "file:///a/zlib.wasm"),
        ("oci://docker.io/a/b:1", "docker.io/a/b"),
        ("oci://index.docker.io/a/b:1", "docker.io/a/b"),
        ("oci://registry-1.docker.io:443/a/b:1", "docker.io/a/b"),
        ("oci://Registry.test:443/a/b:1", "registry.test/a/b"),
        ("oci://localhost:80/a/b:1", "localhost/a/b"),
        ("oci://127.0.0.1/a/b:1", "127.0.0.1/a/b"),
        ("oci-layout:////srv//codecs/:1.0", "oci-layout:///srv/codecs"),
        ("https://HOST:443/%7Ea/%2f/Z.wasm", "https://host/~a/%2F/Z.wasm"),
        ("file://localhost/a/zlib.wasm", "file:///a/zlib.wasm"),
        ("file://LOCALHOST//a//%7A%6Cib.wasm", "file:///a/zlib.wasm"),
    ],
)
def test_a_place_has_no_tag_and_no_pin(uri: str, place: str) -> None:
    assert place_of(uri) == place


def test_links_lead_from_the_manifest_to_the_codec(
    repository: Repository, private_keys: dict[str, PrivateKey]
) -> None:
    manifest = repository.push(b"codec")
    sign(repository, manifest, private_keys["ed25519"], layouts=LAYOUTS)
    for wanted in ("1.0.0", manifest.digest):
        found = found_in(repository, wanted, b"codec")
        assert found.repository == "registry.test/codecs/x"
        assert found.subjects(b"codec") == (manifest.digest, Digest.sha256(b"codec"))
        assert [each.layout for each in found.attestations] == list(LAYOUTS)


def test_what_leads_elsewhere_says_nothing_of_a_codec(repository: Repository) -> None:
    repository.push(b"codec")
    found = found_in(repository, "1.0.0", b"codec")
    assert found.subjects(b"evil") == (Digest.sha256(b"evil"),)
    broken = Evidence("", (b"{}", *found.links))
    assert broken.subjects(b"codec") == (Digest.sha256(b"codec"),)


def test_an_index_is_followed(repository: Repository, private_keys: dict[str, PrivateKey]) -> None:
    first, second = repository.push(b"one", tag="a"), repository.push(b"two", tag="b")
    document = {"manifests": [first.to_json(), second.to_json()]}
    index = repository.write_manifest(json.dumps(document).encode(), INDEX_TYPE, tag="1.0.0")
    sign(repository, index, private_keys["ed25519"], layouts=("classic",))
    sign(repository, second, private_keys["ecdsa-p256"], layouts=("bundle",))
    found = found_in(repository, "1.0.0", b"two")
    assert found.subjects(b"two") == (index.digest, second.digest, Digest.sha256(b"two"))
    assert [each.layout for each in found.attestations] == ["classic", "bundle"]


def test_a_tag_that_was_moved_meanwhile_is_an_error(repository: Repository) -> None:
    repository.push(b"newer")
    with pytest.raises(FetchError, match="does not lead to the codec that was fetched"):
        found_in(repository, "1.0.0", b"codec")


def test_a_file_has_its_attestation(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> None:
    path = tmp_path / "codec.wasm"
    assert find_beside(path) == Evidence(path.as_uri())
    bundle = sign_file(b"codec", private_keys["ed25519"])
    (tmp_path / "codec.wasm.bundle.json").write_bytes(bundle)
    wanted = Evidence(path.as_uri(), attestations=(Attestation("bundle", bundle),))
    assert find_beside(path) == wanted

    def never(*_: object, **_more: object) -> Any:
        pytest.fail("asked a repository for a file")

    uri = f"{path.as_uri()}#blake3={Digest.blake3(b'codec').hex}"
    assert find_evidence(uri, b"codec", access=RegistryAccess(), open_repository=never) == wanted


def test_an_attestation_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "codec.wasm.bundle.json").mkdir()
    found = find_beside(tmp_path / "codec.wasm")
    assert found.attestations == ()
    assert "cannot read codec.wasm.bundle.json" in found.problems[0]


def test_what_is_kept_is_found_again(
    tmp_path: Path, repository: Repository, private_keys: dict[str, PrivateKey]
) -> None:
    kept = KeptEvidence(tmp_path)
    assert kept.find(b"codec") == ()
    sign(repository, repository.push(b"codec"), private_keys["ed25519"], layouts=LAYOUTS)
    evidence = found_in(repository, "1.0.0", b"codec")
    other = Evidence("elsewhere")
    kept.keep(b"codec", other)
    kept.keep(b"codec", evidence)
    kept.keep(b"codec", evidence)
    assert kept.find(b"codec") == (evidence, other)
    assert kept.find(b"another") == ()
    for number in range(20):
        kept.keep(b"codec", Evidence(f"place {number}"))
    assert len(kept.find(b"codec")) == 16


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"version": 2, "evidence": []}',
        b'{"version": 1}',
        b'{"version": 1, "evidence": [{}]}',
        b'{"version": 1, "evidence": [{"repository": "r"}]}',
        b'{"version": 1, "evidence": [{"repository": "r", "links": [1], "attestations": []}]}',
        b'{"version": 1, "evidence": [{"repository": "r", "links": [], "attestations": [1]}]}',
    ],
)
def test_what_another_program_wrote_counts_for_nothing(text: bytes, tmp_path: Path) -> None:
    kept = KeptEvidence(tmp_path)
    kept.keep(b"codec", Evidence("r"))
    [path] = (tmp_path / ".attestations").iterdir()
    path.write_bytes(text)
    assert kept.find(b"codec") == ()


def test_a_store_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".attestations").write_text("a file")
    with pytest.raises(StoreError, match="cannot keep"):
        KeptEvidence(tmp_path).keep(b"codec", Evidence("r"))
