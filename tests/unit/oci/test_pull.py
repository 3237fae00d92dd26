"""Pulling from a layout: indexes are followed, and nothing that contradicts itself is taken."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.formats.wasm_binary import Kind
from chonkle.oci.access import RegistryAccess
from chonkle.oci.layout import LayoutRepository
from chonkle.oci.model import INDEX_TYPE, MANIFEST_TYPE, LayoutReference
from chonkle.oci.places import open_repository
from chonkle.oci.pull import ArtifactReader, Pulled
from chonkle.storage.kept import KeptFiles

CORE, COMPONENT = b"\0asm a core module", b"\0asm a component"
BOTH: tuple[Kind, ...] = ("core", "component")


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def described(data: bytes, media_type: str, **more: object) -> dict[str, Any]:
    digest = str(Digest.sha256(data))
    return {"mediaType": media_type, "digest": digest, "size": len(data), **more}


def manifest_of(wasm: bytes, layer_type: str = "application/wasm") -> bytes:
    config = described(b"{}", "application/vnd.wasm.config.v0+json")
    return as_json({"schemaVersion": 2, "config": config, "layers": [described(wasm, layer_type)]})


def entry_of(wasm: bytes, os: str | None, **more: object) -> dict[str, Any]:
    platform = {} if os is None else {"platform": {"architecture": "wasm", "os": os}}
    return described(manifest_of(wasm), MANIFEST_TYPE, **platform, **more)


def index_of(*entries: object) -> bytes:
    return as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(entries)})


@pytest.fixture
def layout(tmp_path: Path) -> LayoutRepository:
    layout = LayoutRepository(tmp_path / "layout")
    for wasm in (CORE, COMPONENT):
        layout.write_blob(wasm, "application/wasm")
        layout.write_manifest(manifest_of(wasm), MANIFEST_TYPE)
    return layout


@pytest.fixture
def reference(tmp_path: Path) -> LayoutReference:
    return LayoutReference(tmp_path / "layout", "1")


def pull(
    reference: LayoutReference,
    *,
    kinds: Sequence[Kind] = BOTH,
    size_max: int = 1 << 20,
    kept: KeptFiles | None = None,
) -> Pulled:
    with ArtifactReader(
        reference,
        lambda: open_repository(reference, access=RegistryAccess()),
        kinds=kinds,
        kept=kept,
    ) as reader:
        return reader.pull(size_max=size_max)


@pytest.mark.parametrize(
    ("kinds", "wasm"),
    [
        (("core", "component"), CORE),
        (("component", "core"), COMPONENT),
        (("component",), COMPONENT),
    ],
)
def test_an_index_gives_what_is_preferred(
    layout: LayoutRepository, reference: LayoutReference, kinds: Sequence[Kind], wasm: bytes
) -> None:
    entries = (
        # What is no codec is passed over, such as an image for a computer.
        described(b"gone", MANIFEST_TYPE, platform={"architecture": "amd64", "os": "linux"}),
        entry_of(COMPONENT, "wasip2"),
        entry_of(CORE, "wasip1"),
    )
    index = layout.write_manifest(index_of(*entries), INDEX_TYPE, tag="1")
    pulled = pull(reference, kinds=kinds)
    assert (pulled.wasm, pulled.top) == (wasm, index.digest)
    assert pulled.manifest == Digest.sha256(manifest_of(wasm))
    # The manifest is what leads to the same bytes for ever.
    again = pull(reference.pinned(pulled.manifest))
    assert (again.wasm, again.top) == (wasm, pulled.manifest)


def test_a_single_manifest_needs_no_platform(
    layout: LayoutRepository, reference: LayoutReference
) -> None:
    layout.write_manifest(index_of(entry_of(CORE, None)), INDEX_TYPE, tag="1")
    assert pull(reference).wasm == CORE


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "got no manifests"),
        ([entry_of(CORE, None), entry_of(COMPONENT, None)], "nothing in the index is a codec"),
        (
            [entry_of(CORE, "linux")],
            "expected `wasip1` .core. or `wasip2` .component., got `linux`",
        ),
        ([entry_of(CORE, "wasip1")] * 1001, "an index of too many manifests"),
        ([{**entry_of(CORE, "wasip1"), "size": 1}], "longer than allowed|wrong size"),
        ([described(b"gone", MANIFEST_TYPE, platform={"os": "wasip1"})], "no manifest `sha256:"),
    ],
)
def test_a_hostile_index_is_refused(
    layout: LayoutRepository, reference: LayoutReference, entries: list[object], words: str
) -> None:
    layout.write_manifest(index_of(*entries), INDEX_TYPE, tag="1")
    with pytest.raises(FetchError, match=words):
        pull(reference)


def test_nested_indexes_are_refused(layout: LayoutRepository, reference: LayoutReference) -> None:
    inner = index_of(entry_of(CORE, "wasip1"))
    layout.write_manifest(inner, INDEX_TYPE)
    outer = index_of(described(inner, INDEX_TYPE, platform={"os": "wasip1"}))
    layout.write_manifest(outer, INDEX_TYPE, tag="1")
    with pytest.raises(FetchError, match=r"layout:1: an index in an index$"):
        pull(reference)


def test_an_index_promises_its_manifest(
    layout: LayoutRepository, reference: LayoutReference
) -> None:
    layout.write_manifest(index_of(entry_of(CORE, "wasip1")), INDEX_TYPE, tag="1")
    path = reference.path / "blobs/sha256" / Digest.sha256(manifest_of(CORE)).hex
    path.write_bytes(manifest_of(COMPONENT))
    with pytest.raises(DigestMismatchError):
        pull(reference)


def test_older_layer_types_are_taken(layout: LayoutRepository, reference: LayoutReference) -> None:
    manifest = manifest_of(CORE, "application/vnd.wasm.content.layer.v1+wasm")
    layout.write_manifest(manifest, MANIFEST_TYPE, tag="1")
    assert pull(reference).wasm == CORE


def test_large_things_are_not_read(layout: LayoutRepository, reference: LayoutReference) -> None:
    layout.write_manifest(manifest_of(CORE), MANIFEST_TYPE, tag="1")
    with pytest.raises(
        FetchError, match=f"layout:1: too large, expected at most 3 bytes, got {len(CORE)}"
    ):
        pull(reference, size_max=3)


def test_what_is_kept_is_not_asked_again(
    layout: LayoutRepository, reference: LayoutReference, tmp_path: Path
) -> None:
    layout.write_manifest(index_of(entry_of(CORE, "wasip1")), INDEX_TYPE, tag="1")
    kept = KeptFiles(tmp_path / "kept")
    first = pull(reference, kept=kept)
    assert len(first.fetched) == 3
    for digest, data in first.fetched:
        kept.keep(digest, data)
    # A tag may have moved, and is all that has to be asked.
    second = pull(reference, kept=kept)
    assert (second.wasm, [digest for digest, _ in second.fetched]) == (CORE, [first.top])
    for digest in (first.top, first.manifest):
        pinned = reference.pinned(digest)
        assert pull(pinned, kept=kept).fetched == ()
        assert len(pull(pinned).fetched) in (2, 3)
    layout.write_blob(b"", "x")
    (tmp_path / "layout").rename(tmp_path / "gone")
    assert pull(reference.pinned(first.top), kept=kept).wasm == CORE
    with pytest.raises(FetchError, match="the folder does not exist"):
        pull(reference, kept=kept)
