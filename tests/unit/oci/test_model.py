import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.oci.address import Host
from chonkle.oci.model import (
    MANIFEST_TYPE,
    WASM_CONFIG_TYPE,
    WASM_LAYER_TYPE,
    Descriptor,
    Reference,
)

HEX = "0123456789abcdef" * 4
DIGEST = Digest("sha256", HEX)


def reference(registry: str, repository: str, *more: Any) -> Reference:  # noqa: ANN401 - tag, digest
    return Reference(Host.parse(registry), repository, *more)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("host/a", reference("host", "a")),
        ("oci://host/a", reference("host", "a")),
        ("host/a:1.0.0", reference("host", "a", "1.0.0")),
        ("host/a:V_1-x", reference("host", "a", "V_1-x")),
        ("host:5000/a/b/c:t", reference("host:5000", "a/b/c", "t")),
        (
            "registry.example/a-b/c.d/e_f/g__h:1",
            reference("registry.example", "a-b/c.d/e_f/g__h", "1"),
        ),
        (f"host/a@sha256:{HEX}", reference("host", "a", "latest", DIGEST)),
        (f"host/a:t@sha256:{HEX}", reference("host", "a", "t", DIGEST)),
        ("127.0.0.1:1/a", reference("127.0.0.1:1", "a")),
        ("[::1]:5000/a", reference("[::1]:5000", "a")),
        ("HOST:5000/a", reference("host:5000", "a")),
        ("host/a:" + "t" * 128, reference("host", "a", "t" * 128)),
    ],
)
def test_a_reference_is_parsed_and_written_back(text: str, found: Reference) -> None:
    assert Reference.parse(text) == found
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "oci://",
        "host",
        "host/",
        "/a",
        "host//a",
        "host/a/",
        "host/A",
        "host/a b",
        "host/../a",
        "host/a/../b",
        "host/-a",
        "host/a-",
        "host/a___b",
        "host/a._b",
        "host/a:",
        "host/a:-t",
        "host/a:t:u",
        "host/a:" + "t" * 129,
        "host/a@sha256:abc",
        f"host/a@sha256:{HEX.upper()}",
        f"host/a@sha512:{HEX * 2}",
        f"host/a@{HEX}",
        f"host/a@sha256:{HEX}:t",
        "host:port/a",
        "host:123456/a",
        "user:secret@host/a",
        "localhost:80@host/a",
        "host./a",
        "host/a?x",
        "host/a#x",
        "host/a\n",
        "https://host/a",
        "oci://oci://host/a",
        "hóst/a",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(FetchError, match="malformed OCI reference"):
        Reference.parse(text)


def test_a_long_hostile_reference_is_refused_at_once() -> None:
    for text in ("host/" + "a-" * 20_000, "host/" + "a/" * 20_000, "a." * 20_000 + "!"):
        with pytest.raises(FetchError):
            Reference.parse(text)


LAYER = {"mediaType": WASM_LAYER_TYPE, "digest": str(DIGEST), "size": 12}
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": MANIFEST_TYPE,
    "config": {"mediaType": WASM_CONFIG_TYPE, "digest": str(DIGEST), "size": 2},
    "layers": [LAYER],
}


def layer_of(manifest: object) -> Descriptor:
    return reference("host", "a", "1").layer_in(json.dumps(manifest).encode())


def test_the_wasm_layer_is_found() -> None:
    assert layer_of(MANIFEST) == Descriptor(WASM_LAYER_TYPE, DIGEST, 12)
    assert layer_of({**MANIFEST, "annotations": {"more": "fields"}}).size == 12


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ([], "not an image manifest"),
        (None, "not an image manifest"),
        ({}, "not an image manifest"),
        ({"manifests": [LAYER]}, "not an image manifest"),
        ({"layers": LAYER}, "not an image manifest"),
        ({**MANIFEST, "layers": []}, "not a wasm artifact, .* got no layers"),
        ({**MANIFEST, "layers": [LAYER, LAYER]}, "not a wasm artifact"),
        (
            {**MANIFEST, "layers": [{**LAYER, "mediaType": "application/gzip"}]},
            "got `application/gzip`",
        ),
        ({**MANIFEST, "layers": [None]}, "malformed descriptor, got `null`"),
        ({"layers": [LAYER]}, "malformed descriptor, got `null`"),
        ({**MANIFEST, "config": {**LAYER, "size": -1}}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "mediaType": 1}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "size": "12"}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "size": -1}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "size": 1.5}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "size": True}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "digest": None}]}, "malformed descriptor"),
        ({**MANIFEST, "layers": [{**LAYER, "digest": "sha256:12"}]}, "malformed digest"),
        ({**MANIFEST, "layers": [{**LAYER, "digest": "md5:" + HEX}]}, "malformed digest"),
        ({**MANIFEST, "layers": [{**LAYER, "digest": "../../x"}]}, "malformed digest"),
    ],
)
def test_a_manifest_without_one_wasm_layer_is_refused(manifest: object, problem: str) -> None:
    with pytest.raises(FetchError, match=problem):
        layer_of(manifest)


@pytest.mark.parametrize(
    "text", [b"", b"<html>", b"\xff", b'{"layers":[],"layers":[]}', b"[" * 9999]
)
def test_a_manifest_that_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(FetchError, match="oci://host/a:1: manifest: "):
        reference("host", "a", "1").layer_in(text)


def test_a_manifest_is_checked_against_the_digest_that_pins_it() -> None:
    manifest = json.dumps(MANIFEST).encode()
    pinned = reference("host", "a", "1", Digest.sha256(manifest))
    assert pinned.layer_in(manifest).size == 12
    with pytest.raises(DigestMismatchError, match=r"oci://host/a:1@.*: manifest: wrong digest"):
        pinned.layer_in(manifest + b" ")


@pytest.mark.parametrize(
    ("data", "size", "problem"),
    [
        (b"abc", 3, ""),
        (b"abc", 4, "what: wrong size, expected 4 bytes, got 3 bytes"),
        (b"abc", 2, "wrong size"),
        (b"abd", 3, "what: wrong digest"),
    ],
)
def test_bytes_are_checked_against_size_and_digest(data: bytes, size: int, problem: str) -> None:
    descriptor = Descriptor("type", Digest.sha256(b"abc"), size)
    if not problem:
        descriptor.check(data, what="what")
        return
    with pytest.raises(DigestMismatchError, match=problem):
        descriptor.check(data, what="what")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["mediaType", "digest", "size", "layers"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_manifest_gives_a_layer_or_the_error(manifest: object) -> None:
    try:
        assert layer_of(manifest).media_type == WASM_LAYER_TYPE
    except FetchError:
        return
