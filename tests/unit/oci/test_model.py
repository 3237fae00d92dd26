import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.oci.address import Host
from chonkle.oci.model import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    WASM_CONFIG_TYPE,
    WASM_LAYER_TYPE,
    Descriptor,
    LayoutReference,
    Reference,
    index_entries,
    is_index,
    parse_manifest,
    parse_reference,
    wasm_layer,
)

HEX = "0123456789abcdef" * 4
DIGEST = Digest("sha256", HEX)


def reference(registry: str, repository: str, *more: Any) -> Reference:
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
        ("OCI://host/a", reference("host", "a")),
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
    text = json.dumps(manifest).encode()
    return wasm_layer(parse_manifest(text, "oci://host/a:1"), "oci://host/a:1")


def test_the_wasm_layer_is_found() -> None:
    assert layer_of(MANIFEST) == Descriptor(WASM_LAYER_TYPE, DIGEST, 12)
    assert layer_of({**MANIFEST, "annotations": {"more": "fields"}}).size == 12


@pytest.mark.parametrize(
    "changed",
    [
        {"config": {**LAYER, "mediaType": "application/vnd.unknown.config.v1+json"}},
        {"config": {**LAYER, "mediaType": "application/vnd.oci.empty.v1+json", "size": 2}},
        {"layers": [{**LAYER, "mediaType": "application/vnd.wasm.content.layer.v1+wasm"}]},
        {"mediaType": None, "annotations": None},
    ],
)
def test_what_other_tools_write_is_a_wasm_artifact_too(changed: dict[str, Any]) -> None:
    assert layer_of({**MANIFEST, **changed}).digest == DIGEST


def test_an_index_lists_manifests_with_their_platforms() -> None:
    entry = {**LAYER, "mediaType": MANIFEST_TYPE}
    platform = {"architecture": "wasm", "os": "wasip2", "variant": "x"}
    document = {"manifests": [{**entry, "platform": platform}, {**entry, "platform": None}]}
    fields = parse_manifest(json.dumps(document).encode(), "index")
    assert is_index(fields)
    first, second = index_entries(fields, "index")
    assert (first.platform_os, second.platform_os) == ("wasip2", "")
    assert first.to_json()["platform"] == {"architecture": "wasm", "os": "wasip2"}
    assert second.to_json() == entry


@pytest.mark.parametrize(
    "manifests", [None, {}, "x", [1], [{}], [{**LAYER, "platform": 1}], [{**LAYER, "size": "1"}]]
)
def test_a_malformed_index_is_refused(manifests: object) -> None:
    fields = parse_manifest(json.dumps({"manifests": manifests}).encode(), "index")
    with pytest.raises(FetchError, match=r"^index: (not an index|malformed descriptor)"):
        index_entries(fields, "index")


@pytest.mark.parametrize(
    ("text", "path", "tag", "is_pinned"),
    [
        ("a", "a", "latest", False),
        ("/a/b.tar:1.0.0-core", "/a/b.tar", "1.0.0-core", False),
        ("a:b/c", "a:b/c", "latest", False),
        (f"../a@sha256:{HEX}", "../a", "latest", True),
        (f"a b:2@sha256:{HEX}", "a b", "2", True),
    ],
)
def test_a_reference_to_a_layout(text: str, path: str, tag: str, *, is_pinned: bool) -> None:
    found = parse_reference(f"oci-layout://{text}")
    assert found == LayoutReference(Path(path), tag, DIGEST if is_pinned else None)
    assert parse_reference(found.uri) == found
    assert parse_reference(found.pinned(DIGEST).uri) == LayoutReference(Path(path), tag, DIGEST)


@pytest.mark.parametrize("text", ["", "\0", "a\0b:1"])
def test_a_malformed_reference_to_a_layout_is_refused(text: str) -> None:
    with pytest.raises(FetchError, match="malformed reference to an image layout"):
        parse_reference(f"oci-layout://{text}")


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ([], "not an image manifest"),
        (None, "not an image manifest"),
        ({}, "not an image manifest"),
        ({"manifests": [LAYER]}, "not an image manifest"),
        ({"layers": LAYER}, "not an image manifest"),
        ({**MANIFEST, "manifests": []}, "a manifest and an index in one document"),
        ({**MANIFEST, "mediaType": INDEX_TYPE}, "its `mediaType` contradicts its fields"),
        ({"mediaType": MANIFEST_TYPE, "manifests": []}, "its `mediaType` contradicts its fields"),
        ({**MANIFEST, "config": {**LAYER, "size": (4 << 20) + 1}}, "configuration: too large"),
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
        parse_manifest(text, "oci://host/a:1")


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
