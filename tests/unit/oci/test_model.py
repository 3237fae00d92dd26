import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.digest import Digest
from chonkle.errors import FetchError
from chonkle.oci.model import (
    MANIFEST_TYPE,
    WASM_CONFIG_TYPE,
    WASM_LAYER_TYPE,
    Descriptor,
    Reference,
    wasm_layer,
)

HEX = "0123456789abcdef" * 4
DIGEST = Digest("sha256", HEX)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("host/a", Reference("host", "a")),
        ("oci://host/a", Reference("host", "a")),
        ("host/a:1.0.0", Reference("host", "a", "1.0.0")),
        ("host/a:V_1-x", Reference("host", "a", "V_1-x")),
        ("host:5000/a/b/c:t", Reference("host:5000", "a/b/c", "t")),
        (
            "registry.example/a-b/c.d/e_f/g__h:1",
            Reference("registry.example", "a-b/c.d/e_f/g__h", "1"),
        ),
        (f"host/a@sha256:{HEX}", Reference("host", "a", "latest", DIGEST)),
        (f"host/a:t@sha256:{HEX}", Reference("host", "a", "t", DIGEST)),
        ("127.0.0.1:1/a", Reference("127.0.0.1:1", "a")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a")),
        ("host/a:" + "t" * 128, Reference("host", "a", "t" * 128)),
    ],
)
def test_a_reference_is_parsed_and_written_back(text: str, reference: Reference) -> None:
    assert Reference.parse(text) == reference
    assert Reference.parse(str(reference)) == reference


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
    return wasm_layer(json.dumps(manifest).encode(), what="oci://host/a:1")


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
        ({"layers": []}, "not a wasm artifact, .* got no layers"),
        ({"layers": [LAYER, LAYER]}, "not a wasm artifact"),
        ({"layers": [{**LAYER, "mediaType": "application/gzip"}]}, "got `application/gzip`"),
        ({"layers": [None]}, "malformed descriptor, got `null`"),
        ({"layers": [{}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "mediaType": 1}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "size": "12"}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "size": -1}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "size": 1.5}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "size": True}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "digest": None}]}, "malformed descriptor"),
        ({"layers": [{**LAYER, "digest": "sha256:12"}]}, "malformed digest"),
        ({"layers": [{**LAYER, "digest": "md5:" + HEX}]}, "malformed digest"),
        ({"layers": [{**LAYER, "digest": "../../x"}]}, "malformed digest"),
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
        wasm_layer(text, what="oci://host/a:1")


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
