"""What the `uri` of a codec list decides, what it may fetch, and that it installs nothing."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chonkle.allowed_sources import AllowedSources
from chonkle.codecs import ChunkCodec, codec, get_codecs
from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError, ResolveError
from chonkle.oci.artifact import codec_artifact
from chonkle.oci.layout import LayoutRepository
from chonkle.pipeline import define, load, make_lock, prepare
from chonkle.resolver import Resolver
from chonkle.storage.store import CodecStore, WasmCodec
from tests.fixture_types import MakeCodec

DATA = b"some bytes"
HEX = "0" * 64


class World:
    """A folder with two codecs `mine`, an image layout with a third, and a codec store."""

    def __init__(self, root: Path, make_codec: MakeCodec) -> None:
        self.root = root
        self.store = CodecStore(root / "store")
        self.resolver = Resolver(codec_store=self.store.root)
        for name in ("good", "evil"):
            (root / f"{name}.wasm").write_bytes(make_codec("mine", f"{name}-c"))
        artifact = codec_artifact(WasmCodec.from_bytes(make_codec("mine", "laid-c"), "laid"))
        with LayoutRepository(root / "layout") as layout:
            for blob in artifact.blobs:
                layout.write_blob(blob.data, blob.descriptor.media_type)
            layout.write_manifest(artifact.manifest, "", tag="1.0.0")
        self.digest = Digest.sha256(artifact.manifest)

    def uri(self, name: str) -> str:
        return (self.root / f"{name}.wasm").as_uri()

    def pinned(self, name: str) -> str:
        data = (self.root / f"{name}.wasm").read_bytes()
        return f"{self.uri(name)}#blake3={Digest.blake3(data).hex}"

    def get(self, *entries: Any, folder: str = "", **more: Any) -> ChunkCodec:
        """Make the codecs of a list in a file."""
        path = self.root / folder / "list.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"codecs": entries}))
        return get_codecs(path, **{"resolver": self.resolver, **more})

    def require_nothing_installed(self) -> None:
        assert self.store.survey()[0] == []
        with pytest.raises(ResolveError):
            codec("mine", resolver=self.resolver)


def entry(uri: str) -> dict[str, str]:
    return {"name": "mine", "type": "wasm", "uri": uri}


def implementations(made: ChunkCodec) -> list[str]:
    assert made.decode(made.encode(DATA)) == DATA
    return [each.signature.implementation for each in made.resolutions()]


@pytest.fixture
def world(tmp_path: Path, make_codec: MakeCodec) -> World:
    return World(tmp_path, make_codec)


# The `uri` decides, for its entry


@pytest.mark.parametrize("is_pinned", [False, True])
def test_each_list_runs_what_it_names_in_any_order(world: World, is_pinned: bool) -> None:  # noqa: FBT001
    for name in ("evil", "good", "evil"):
        uri = world.pinned(name) if is_pinned else world.uri(name)
        assert implementations(world.get(entry(uri))) == [f"{name}-c"]
        for what in (entry(uri), [entry(uri)], {"codecs": [entry(uri)]}, uri):
            assert implementations(codec(what, resolver=world.resolver)) == [f"{name}-c"]
        world.require_nothing_installed()


def test_an_installed_codec_does_not_replace_what_a_list_names(world: World) -> None:
    world.store.install(WasmCodec.from_file(world.root / "evil.wasm"))
    assert implementations(world.get(entry(world.uri("good")))) == ["good-c"]
    assert implementations(world.get("mine")) == ["evil-c"]


def test_a_uri_is_for_its_entry_only(world: World, make_codec: MakeCodec) -> None:
    (world.root / "store").mkdir()
    (world.root / "store/own.wasm").write_bytes(make_codec("mine", "own-c"))
    entries = [entry(world.uri("good")), {"name": "mine"}, entry(world.uri("evil"))]
    # What was picked is told once for each codec and source.
    assert sorted(implementations(world.get(*entries))) == ["evil-c", "good-c", "own-c"]
    path = world.root / "list.json"
    with prepare(path, resolver=world.resolver) as prepared:
        found = [each.signature.implementation for each in prepared.resolutions.values()]
    assert found == ["good-c", "own-c", "evil-c"]
    _, resolutions = define(load(path), world.resolver)
    assert [each.signature.implementation for each in resolutions.values()] == found
    lock = make_lock(load(path), resolver=world.resolver)
    with prepare(path, resolver=world.resolver, lock=lock) as locked:
        assert [each.signature.implementation for each in locked.resolutions.values()] == found


def test_the_caller_still_decides_over_a_uri(world: World) -> None:
    named = Resolver(codec_store=world.store.root, paths={"mine": world.root / "good.wasm"})
    made = world.get(entry("oci://registry.invalid/codecs/mine:1"), resolver=named)
    assert implementations(made) == ["good-c"]


@pytest.mark.parametrize("tail", [":1.0.0", "@{digest}"])
def test_a_layout_installs_nothing(world: World, tail: str) -> None:
    uri = f"oci-layout://{world.root}/layout{tail.format(digest=world.digest)}"
    for what in (uri, entry(uri)):
        assert implementations(codec(what, resolver=world.resolver)) == ["laid-c"]
        world.require_nothing_installed()


def test_a_codec_runs_what_was_picked_when_it_was_made(world: World) -> None:
    made = codec(entry(world.uri("good")), resolver=world.resolver)
    (world.root / "good.wasm").write_bytes((world.root / "evil.wasm").read_bytes())
    with pytest.raises(DigestMismatchError, match="wrong digest"):
        made.encode(DATA)
    assert implementations(codec(entry(world.uri("good")), resolver=world.resolver)) == ["evil-c"]


# What is allowed


RELATIVE = ["file://good.wasm", "oci-layout://layout:1.0.0"]


@pytest.mark.parametrize("uri", RELATIVE)
@pytest.mark.parametrize("sources", [None, []])
def test_what_travels_with_a_list_needs_no_leave(
    world: World, uri: str, sources: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert implementations(world.get(entry(uri), sources=sources))
    # Nor does it matter where the list is named from.
    (world.root / "elsewhere").mkdir()
    monkeypatch.chdir(world.root / "elsewhere")
    made = get_codecs("../list.json", resolver=world.resolver, sources=sources)
    assert implementations(made)
    world.require_nothing_installed()


@pytest.mark.parametrize("name", ["absolute", "encoded", "layout", "registry", "server"])
def test_what_is_elsewhere_needs_leave(world: World, name: str) -> None:
    uri, place = {
        "absolute": (world.uri("good"), world.root.as_uri()),
        "encoded": (f"file://%2F{str(world.root)[1:]}/good.wasm", world.uri("good")),
        "layout": (f"oci-layout://{world.root}/layout:1.0.0", f"oci-layout://{world.root}/layout"),
        "registry": (f"oci://127.0.0.1:9/codecs/mine@sha256:{HEX}", "oci://127.0.0.1:9/codecs/"),
        "server": (f"https://127.0.0.1:9/mine.wasm#blake3={HEX}", "https://127.0.0.1:9/mine.wasm"),
    }[name]
    if name == "layout":
        place = f"{place}:1.0.0"
    for sources in ([], ["oci://other.example"], [place.rstrip("/")[:-1]]):
        with pytest.raises(ResolveError, match="codec `mine`: its source is not allowed") as caught:
            world.get(entry(uri), folder="lists", sources=sources)
        assert "`sources=[...]` allows to fetch it" in str(caught.value)
    if name in ("registry", "server"):
        with pytest.raises(FetchError, match="cannot connect"):
            world.get(entry(uri), folder="lists", sources=[place])
    else:
        assert implementations(world.get(entry(uri), folder="lists", sources=[place]))


def test_a_source_that_is_allowed_stays_so_with_its_pin(world: World) -> None:
    # A reference without a tag gets one with its pin.
    (world.root / "layout").rename(world.root / "laid")
    index = world.root / "laid/index.json"
    index.write_text(index.read_text("utf-8").replace("1.0.0", "latest"), encoding="utf-8")
    uri = f"oci-layout://{world.root}/laid"
    assert implementations(world.get(entry(uri), folder="lists", sources=[uri])) == ["laid-c"]
    # That it was fetched before is no permission.
    for each in (uri, f"{uri}@{world.digest}"):
        with pytest.raises(ResolveError, match="its source is not allowed"):
            world.get(entry(each), folder="lists", sources=[])


def test_a_uri_of_the_caller_needs_no_leave(world: World) -> None:
    made = codec(world.uri("good"), resolver=world.resolver, sources=[])
    assert implementations(made) == ["good-c"]
    # So does a codec that was made before.
    for source in (world.uri("good"), entry(world.uri("good"))):
        before = codec(source, resolver=world.resolver)
        again = codec([before, "zlib"], resolver=world.resolver, sources=[])
        assert implementations(again)[0] == "good-c"
        copied = pickle.loads(pickle.dumps(again))  # noqa: S301 - made here
        assert implementations(copied)[0] == "good-c"
    with pytest.raises(ResolveError, match="its source is not allowed"):
        codec([world.uri("good"), entry(world.uri("evil"))], resolver=world.resolver, sources=[])


def pipeline_of(sources: Mapping[str, str]) -> dict[str, Any]:
    return {
        "codec_id": "outer",
        "direction": "encode",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": "only.bytes"},
        "sources": dict(sources),
        "steps": {"only": {"codec_id": "mine", "inputs": {"bytes": "input.bytes"}}},
    }


def test_pipelines_that_a_uri_leads_to_have_no_more_leave(world: World) -> None:
    (world.root / "lists").mkdir()
    inner = world.root / "lists/outer.json"
    inner.write_text(json.dumps(pipeline_of({"mine": world.uri("evil")})))
    listed = {"name": "outer", "uri": "file://outer.json"}
    with pytest.raises(ResolveError, match="codec `mine`: its source is not allowed"):
        world.get(listed, folder="lists", sources=[])
    for sources in (None, [world.uri("evil")]):
        made = world.get(listed, folder="lists", sources=sources)
        assert implementations(made) == ["evil-c"]
        world.require_nothing_installed()
    # Under another source of the same list, another codec.
    inner.write_text(json.dumps(pipeline_of({"mine": world.uri("good")})))
    assert implementations(world.get(listed, folder="lists")) == ["good-c"]


@pytest.mark.parametrize(
    ("place", "uri", "is_allowed"),
    [
        ("oci://r.example", "oci://r.example/a/b:1", True),
        ("oci://r.example/", "oci://r.example/a", True),
        ("oci://r.example/a", f"oci://r.example/a@sha256:{HEX}", True),
        ("oci://r.example/a:1", f"oci://r.example/a:1@sha256:{HEX}", True),
        ("https://r.example/a.wasm", f"https://r.example/a.wasm#blake3={HEX}", True),
        ("oci://r.example/a", "oci://r.example/ab", False),
        ("oci://r.example", "oci://r.example:5000/a", False),
        ("oci://r.example", "oci://r.example.evil.example/a", False),
        ("oci://r.example", "https://r.example/a", False),
        ("", "oci://r.example/a", False),
    ],
)
def test_a_place_is_the_beginning_of_a_uri(place: str, uri: str, is_allowed: bool) -> None:  # noqa: FBT001
    assert AllowedSources((place,)).allows(uri) is is_allowed


@pytest.mark.parametrize(
    "uri",
    [
        "https://r.example@evil.example/a",
        "https://r.example/a/../b",
        "https://r.example/a/%2e%2e/b",
        "http://r.example/a",
    ],
)
def test_a_uri_that_leads_out_of_its_place_is_malformed(uri: str) -> None:
    with pytest.raises(FetchError):
        AllowedSources(("https://r.example", "https://r.example/a", "http://r.example")).allows(uri)
