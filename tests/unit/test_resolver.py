import json
from pathlib import Path
from typing import Any

import pytest

from chonkle import inventory as inventory_module
from chonkle.digest import Digest
from chonkle.errors import (
    ChonkleError,
    DigestMismatchError,
    FetchError,
    PipelineError,
    ResolveError,
    SignatureError,
    StoreError,
    WasmFormatError,
)
from chonkle.formats.signature import Signature
from chonkle.oci import places
from chonkle.resolver import PipelineResolution, Resolution, Resolver
from chonkle.storage.store import CodecStore, WasmCodec
from tests.fixture_types import MakeCodec

NATIVE = Signature.from_json(
    {
        "codec_id": "echo",
        "implementation": "echo-native",
        "inputs": {"bytes": {"type": "bytes"}},
        "outputs": {"bytes": {"type": "bytes"}},
    }
)
PIPELINE: dict[str, Any] = {
    "codec_id": "echo",
    "direction": "decode",
    "inputs": {"bytes": {"type": "bytes"}},
    "outputs": {"bytes": "x.bytes"},
    "steps": {"x": {"codec_id": "identity", "inputs": {"bytes": "input.bytes"}}},
}


class World:
    """Everything that a codec `echo` can come from, in one folder."""

    def __init__(self, root: Path, make_codec: MakeCodec) -> None:
        self.root = root
        self.store = CodecStore(root / "store")
        self._make = make_codec

    def file(self, implementation: str, version: str = "1.0.0", **more: Any) -> Path:
        path = self.root / f"{implementation} {version} {more.get('kind', '')}.wasm"
        path.write_bytes(self._make("echo", implementation, version, **more))
        return path

    def uri(self, implementation: str, *, pin: str = "", **more: Any) -> str:
        path = self.file(implementation, **more)
        if pin == "right":
            pin = Digest.blake3(path.read_bytes()).hex
        return f"{path.as_uri()}#blake3={pin}" if pin else path.as_uri()

    def install(self, implementation: str, version: str = "1.0.0", **more: Any) -> None:
        self.store.install(WasmCodec.from_file(self.file(implementation, version, **more)))

    def implementations(self) -> list[str]:
        """Name what is installed."""
        return [each.signature.implementation for each in self.store.survey()[0]]

    def resolver(self, **more: Any) -> Resolver:
        return Resolver(codec_store=self.store.root, **more)

    def pick(self, **more: Any) -> Resolution:
        found = self.resolver(**more).resolve("echo")
        assert isinstance(found, Resolution)
        return found


@pytest.fixture
def world(tmp_path: Path, make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch) -> World:
    shipped = CodecStore(tmp_path / "shipped")
    monkeypatch.setattr(inventory_module, "bundled_store", lambda: shipped)
    return World(tmp_path, make_codec)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the native backend have the codec too."""
    found = {"echo": NATIVE}
    monkeypatch.setattr(inventory_module, "native_signature", found.get)
    monkeypatch.setattr(inventory_module, "is_available", found.__contains__)


# Precedence


@pytest.mark.usefixtures("native")
def test_each_rule_comes_before_the_next(world: World) -> None:
    world.install("installed")
    rules: list[tuple[str, dict[str, Any], str]] = [
        ("path ", {"paths": {"echo": world.file("by-path")}}, "by-path"),
        ("forced source ", {"force_sources": {"echo": world.uri("forced")}}, "forced"),
        ("installed, override `installed`", {"overrides": {"echo": "installed"}}, "installed"),
        (
            "pinned source ",
            {"pipeline_sources": {"echo": world.uri("pinned", pin="right")}},
            "pinned",
        ),
        # The forced source was installed.
        ("numcodecs, best of 3", {}, "echo-native"),
    ]
    for at, (reason, _, implementation) in enumerate(rules):
        lower: dict[str, Any] = {}
        for _, given, _ in rules[at:]:
            lower.update(given)
        found = world.pick(**lower)
        assert found.signature.implementation == implementation
        assert found.reason.startswith(reason)


def test_a_source_that_is_not_pinned_comes_last(world: World) -> None:
    sources = {"echo": world.uri("source")}
    found = world.pick(pipeline_sources=sources)
    assert found.reason == f"source of the pipeline {sources['echo']}"
    # It was installed, where there was nothing, and so is a candidate from now on.
    assert world.implementations() == ["source"]
    assert world.pick().reason == "installed, the only one"
    assert (
        world.pick(pipeline_sources={"echo": world.uri("another")}).label == "source@1.0.0 (core)"
    )


@pytest.mark.usefixtures("native")
def test_a_preference_is_the_whole_list_of_backends(world: World) -> None:
    world.install("a", kind="core")
    world.install("a", kind="component")
    labels = {
        "native": "echo-native (native)",
        "core": "a@1.0.0 (core)",
        "component": "a@1.0.0 (component)",
    }
    for preference in (
        ["native", "core", "component"],
        ["component"],
        ["core", "component"],
        ["component", "core", "native"],
    ):
        resolver = world.resolver(preference=preference)
        assert [each.backend for each in resolver.codecs("echo")] == preference
        found = world.pick(preference=preference)
        assert (found.label, *found.passed_over) == tuple(labels[each] for each in preference)
        assert found.left_out == tuple(
            label for backend, label in labels.items() if backend not in preference
        )


@pytest.mark.usefixtures("native")
def test_what_the_preference_leaves_out_is_told_and_not_used(world: World) -> None:
    with pytest.raises(ResolveError) as caught:
        world.pick(preference=["component", "core"])
    assert str(caught.value) == (
        "codec `echo`: no implementation for backend component, core, got `echo-native (native)`; "
        "hint: the preference leaves out `native`"
    )
    world.install("a")
    for preference, more, got in (
        (["core"], {"overrides": {"echo": "echo-native"}}, "native"),
        (["native", "component"], {"overrides": {"echo": "a@1.0.0"}}, "core"),
        (["component"], {"paths": {"echo": world.file("b")}}, "core"),
        (["native"], {"force_sources": {"echo": world.uri("b")}}, "core"),
        (["native"], {"pipeline_sources": {"echo": world.uri("b", pin="right")}}, "core"),
    ):
        with pytest.raises(ResolveError, match=f"is for another backend.* got `{got}`; hint: the"):
            world.pick(preference=preference, **more)
    # What may not be used is not installed either.
    assert world.implementations() == ["a"]


def test_an_empty_preference_is_refused() -> None:
    with pytest.raises(ResolveError, match="the preference is empty, expected at least one"):
        Resolver(preference=())


def test_ties_go_to_the_highest_version_and_then_to_the_first_name(world: World) -> None:
    for implementation, version in (
        ("b", "1.9.0"),
        ("a", "1.10.0-rc.1"),
        ("c", "1.10.0"),
        ("b", "1.10.0"),
        ("z", ""),
    ):
        world.install(implementation, version)
    labels = [each.label for each in world.resolver().codecs("echo")]
    assert labels == [
        "b@1.10.0 (core)",
        "c@1.10.0 (core)",
        "a@1.10.0-rc.1 (core)",
        "b@1.9.0 (core)",
        "z (core)",
    ]


def test_shipped_and_installed_are_one_pool(world: World) -> None:
    shipped = CodecStore(world.root / "shipped")
    for version in ("1.0.0", "2.0.0"):
        shipped.install(WasmCodec.from_file(world.file("a", version)))
    world.install("a", "1.0.0")
    found = world.resolver().codecs("echo")
    assert [(each.label, each.reason) for each in found] == [
        ("a@2.0.0 (core)", "shipped"),
        ("a@1.0.0 (core)", "installed"),
    ]
    world.install("a", "2.0.0-rc.1")
    assert world.pick().reason == "shipped, best of 3"


# Bad files


def junk(world: World, name: str) -> None:
    path = world.store.root / "echo" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"junk")


def test_a_bad_file_concerns_only_its_users(world: World, caplog: pytest.LogCaptureFixture) -> None:
    CodecStore(world.root / "shipped").install(WasmCodec.from_file(world.file("a")))
    world.install("b")
    junk(world, "c@9.0.0.core.wasm")
    for overrides, label in (
        ({}, "a@1.0.0 (core)"),
        ({"echo": "a"}, "a@1.0.0 (core)"),
        ({"echo": "b@1.0.0"}, "b@1.0.0 (core)"),
    ):
        caplog.clear()
        assert world.pick(overrides=overrides).label == label
        (message,) = caplog.messages
        assert message.startswith("codec file not used: ")
        assert "c@9.0.0.core.wasm" in message
    for override in ("c", "c@9.0.0"):
        with pytest.raises(WasmFormatError, match=r"c@9\.0\.0\.core\.wasm: not a WebAssembly"):
            world.pick(overrides={"echo": override})
    with pytest.raises(ResolveError, match="no implementation `d`, which was asked for, got `a@1"):
        world.pick(overrides={"echo": "d"})


def test_a_bad_file_is_said_where_there_is_nothing_else(world: World) -> None:
    junk(world, "c.core.wasm")
    with pytest.raises(WasmFormatError, match=r"c\.core\.wasm: not a WebAssembly binary"):
        world.pick()


def test_a_bad_file_does_not_stand_before_a_source_and_is_left_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    junk(world, "a@1.0.0.core.wasm")
    uri = world.uri("a")
    assert world.pick(pipeline_sources={"echo": uri}).reason == f"source of the pipeline {uri}"
    assert "codec file not used" in caplog.text
    assert (world.store.root / "echo" / "a@1.0.0.core.wasm").read_bytes() == b"junk"


def test_two_files_of_one_name_are_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    CodecStore(world.root / "shipped").install(WasmCodec.from_file(world.file("a")))
    world.install("a", note="different")
    with pytest.raises(StoreError, match="two different files claim codec `echo`"):
        world.pick()
    world.install("b", "0.1.0")
    assert world.pick().label == "b@0.1.0 (core)"
    assert "two different files claim codec `echo`" in caplog.text
    with pytest.raises(StoreError, match="two different files claim codec `echo`"):
        world.pick(overrides={"echo": "a"})


# Overrides


def test_an_override_names_an_implementation_with_or_without_its_version(world: World) -> None:
    for version in ("1.0.0", "2.0.0"):
        world.install("a", version)
    world.install("b", "3.0.0")
    assert world.pick(overrides={"echo": "a"}).label == "a@2.0.0 (core)"
    assert world.pick(overrides={"echo": "a@1.0.0"}).label == "a@1.0.0 (core)"
    assert world.pick(overrides={"other": "a"}).label == "b@3.0.0 (core)"


def test_an_override_that_is_not_there_is_refused_and_not_ignored(world: World) -> None:
    world.install("a")
    with pytest.raises(ResolveError) as caught:
        world.pick(overrides={"echo": "b"})
    assert str(caught.value) == (
        "codec `echo`: no implementation `b`, which was asked for, got `a@1.0.0 (core)`"
    )
    with pytest.raises(ResolveError, match="got none at all"):
        world.resolver(overrides={"nothing": "b"}).resolve("nothing")


# Preference and backends


@pytest.mark.parametrize("preference", [["wasm"], ["core", "Native"], "core", [1], [None]])
def test_a_preference_for_an_unknown_backend_is_refused(preference: Any) -> None:
    with pytest.raises(ResolveError, match="unknown backend in the preference, expected `native`"):
        Resolver(preference=preference)


@pytest.mark.usefixtures("native")
def test_a_step_may_allow_only_some_backends(world: World) -> None:
    world.install("a")
    found = world.resolver().resolve("echo", backends=("core", "component"))
    assert isinstance(found, Resolution)
    assert found.backend == "core"
    with pytest.raises(ResolveError, match="no implementation for backend component, got `echo-na"):
        world.resolver().resolve("echo", backends=("component",))


def test_a_native_step_is_never_run_from_a_source(world: World) -> None:
    for pin in ("", "right"):
        resolver = world.resolver(pipeline_sources={"echo": world.uri("a", pin=pin)})
        with pytest.raises(ResolveError, match="no implementation of codec `echo`"):
            resolver.resolve("echo", backends=("native",))


def test_a_codec_that_is_nowhere_is_said_with_what_helps(world: World) -> None:
    with pytest.raises(ResolveError) as caught:
        world.pick()
    assert str(caught.value).startswith("no implementation of codec `echo`; hint: `chonkle codecs`")
    # A similar name does not hide how to get this codec.
    world.install("a")
    with pytest.raises(ResolveError, match=r"hint: did you mean `echo`.* `chonkle pull` installs"):
        world.resolver().resolve("ehco")


def test_a_codec_that_is_refused_says_why(world: World) -> None:
    with pytest.raises(ResolveError, match="`pickle` is not offered: it executes code"):
        world.resolver().resolve("pickle")


# Identity


def test_a_file_of_another_codec_is_refused(world: World, make_codec: MakeCodec) -> None:
    path = world.root / "other.wasm"
    path.write_bytes(make_codec("other"))
    for more in (
        {"paths": {"echo": path}},
        {"force_sources": {"echo": path.as_uri()}},
        {"pipeline_sources": {"echo": path.as_uri()}},
    ):
        with pytest.raises(ResolveError, match="is another codec, expected a signature of `echo`"):
            world.resolver(**more).resolve("echo")
    assert world.implementations() == []


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", WasmFormatError),
        (b"text", WasmFormatError),
        (b"\0asm\x01\0\0\0", SignatureError),
        (b"{", PipelineError),
        (b" {}", PipelineError),
        (b'{"codecs": []}', ResolveError),
    ],
)
def test_another_file_is_refused(world: World, data: bytes, kind: type[ChonkleError]) -> None:
    path = world.root / "file"
    path.write_bytes(data)
    with pytest.raises(kind):
        world.resolver(paths={"echo": path}).resolve("echo")


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/", "a\0b"])
def test_a_path_that_cannot_be_read_is_said(world: World, path: str) -> None:
    with pytest.raises(ResolveError, match="codec `echo`: cannot read"):
        world.pick(paths={"echo": path})


# Pipelines as codecs


@pytest.mark.parametrize("begin", [b"", b" \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_pipeline_file_is_a_codec(world: World, begin: bytes) -> None:
    path = world.root / "echo.json"
    path.write_bytes(begin + json.dumps(PIPELINE).encode())
    for more in ({"paths": {"echo": path}}, {"pipeline_sources": {"echo": path.as_uri()}}):
        found = world.resolver(**more).resolve("echo")
        assert isinstance(found, PipelineResolution)
        assert found.pipeline.codec_id == "echo"
    path.write_bytes(json.dumps({**PIPELINE, "codec_id": "other"}).encode())
    with pytest.raises(ResolveError, match="is another codec"):
        world.resolver(paths={"echo": path}).resolve("echo")


# Sources


def test_a_pinned_source_is_kept_and_not_asked_again(world: World) -> None:
    uri = world.uri("pinned", pin="right")
    first = world.pick(pipeline_sources={"echo": uri})
    assert first.reason == f"pinned source {uri}"
    (world.root / "pinned 1.0.0 .wasm").unlink()
    again = world.pick(pipeline_sources={"echo": uri})
    assert again.reason == f"pinned source {uri}, kept"
    assert again.signature == first.signature
    # It serves that source alone.
    with pytest.raises(ResolveError, match="no implementation"):
        world.pick()
    with pytest.raises(FetchError, match="cannot read the file"):
        world.pick(pipeline_sources={"echo": uri}, force_download=True)


@pytest.mark.parametrize("forged", [False, True])
def test_what_is_kept_is_checked_against_the_pin_each_time(
    *, world: World, caplog: pytest.LogCaptureFixture, forged: bool
) -> None:
    uri = world.uri("pinned", pin="right")
    world.pick(pipeline_sources={"echo": uri})
    (kept,) = (world.store.root / ".sources/blake3").iterdir()
    right = kept.read_bytes()
    if forged:
        # Another process that may write there writes a codec in the right form.
        kept.write_bytes(world.file("forged").read_bytes())
    else:
        kept.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    again = world.pick(pipeline_sources={"echo": uri})
    assert again.reason == f"pinned source {uri}"
    assert "what is kept in the codec store is not used: " in caplog.text
    assert "wrong digest" in caplog.text
    assert kept.read_bytes() == right


def test_a_kept_artifact_is_checked_by_manifest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def manifest_of(wasm: bytes) -> bytes:
        types = ("application/vnd.wasm.config.v0+json", "application/wasm")
        config, layer = (
            {"mediaType": each, "digest": str(Digest.sha256(data)), "size": len(data)}
            for each, data in zip(types, (b"{}", wasm), strict=True)
        )
        return json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode()

    def unreachable(*_: object, **_more: object) -> None:
        raise FetchError("asked again")

    right, forged = world.file("right").read_bytes(), world.file("forged").read_bytes()
    manifest = manifest_of(right)
    pin, layer = Digest.sha256(manifest), Digest.sha256(right)
    uri = f"oci://registry.invalid/echo@{pin}"
    monkeypatch.setattr(places, "open_repository", unreachable)
    sources = {"echo": uri}
    kept = world.store.kept

    def keep(manifest: bytes, data: bytes) -> None:
        kept.keep(pin, manifest)
        kept.keep(layer, data)

    keep(manifest, right)
    found = world.pick(pipeline_sources=sources)
    assert found.reason == f"pinned source {uri}, kept"
    assert found.source == f"oci://registry.invalid/echo:latest@{pin}"
    for other, data in (
        (manifest, forged),
        (manifest_of(forged), forged),
        (manifest, right + b"\0"),
        (b"", right),
        (b"{}", right),
    ):
        keep(other, data)
        with pytest.raises(FetchError, match="asked again"):
            world.pick(pipeline_sources=sources)


def test_a_wrong_pin_is_refused_and_nothing_is_kept(world: World) -> None:
    uri = world.uri("pinned", pin="0" * 64)
    for more in ({"pipeline_sources": {"echo": uri}}, {"force_sources": {"echo": uri}}):
        with pytest.raises(DigestMismatchError, match="wrong digest"):
            world.pick(**more)
    assert not (world.store.root / ".sources").exists()


def test_a_forced_download_goes_before_what_is_installed(world: World) -> None:
    world.install("installed", "9.0.0")
    sources = {"echo": world.uri("source")}
    assert world.pick(pipeline_sources=sources).signature.implementation == "installed"
    found = world.pick(pipeline_sources=sources, force_download=True)
    assert found.reason == f"source, download forced {sources['echo']}"
    assert world.implementations() == ["installed"]
    assert world.pick(force_download=True).signature.implementation == "installed"


def test_a_source_of_another_scheme_is_refused(world: World) -> None:
    for uri, words in (
        ("http://host/a", "not a scheme that .*; hint: http:// is refused"),
        ("ftp://host/a", "not a scheme that chonkle fetches from"),
        ("host/a:1.0.0", "it has no scheme, expected file://, .* at its beginning"),
    ):
        with pytest.raises(FetchError, match=words):
            world.pick(pipeline_sources={"echo": uri})


def test_the_resolvers_own_sources_win_over_a_pipelines(world: World) -> None:
    resolver = world.resolver(pipeline_sources={"echo": "a"})
    combined = resolver.with_sources({"echo": "b", "more": "c"})
    assert combined.pipeline_sources == {"echo": "a", "more": "c"}
    assert resolver.pipeline_sources == {"echo": "a"}


def test_a_resolver_alone_uses_the_store_of_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHONKLE_CODEC_STORE", str(world.store.root))
    world.install("a")
    found = Resolver(preference=("core",)).codecs()
    assert [each.label for each in found] == ["a@1.0.0 (core)"]
    assert Resolver().resolve("echo") == world.resolver().resolve("echo")


# Forced sources


def test_a_forced_source_is_installed_in_place_of_its_version(world: World) -> None:
    world.install("a", "1.0.0", note="old")
    world.install("a", "2.0.0")
    uri = world.uri("a", note="new")
    found = world.pick(force_sources={"echo": uri})
    assert found.reason == f"forced source {uri}"
    assert found.wasm is not None
    assert found.wasm.origin == str(world.store.root / "echo/a@1.0.0.core.wasm")
    assert b"new" in Path(found.wasm.origin).read_bytes()
    # Other versions stay, and so the highest one is picked again without the source.
    assert world.pick().label == "a@2.0.0 (core)"
    assert world.implementations() == ["a", "a"]


def test_a_forced_source_replaces_a_file_where_it_is(world: World, make_codec: MakeCodec) -> None:
    flat = world.store.root / "anything.wasm"
    flat.parent.mkdir()
    flat.write_bytes(make_codec("echo", "a", "1.0.0", note="old"))
    again = world.store.root / "again" / "echo.wasm"
    again.parent.mkdir()
    again.write_bytes(flat.read_bytes())
    new = world.uri("a", note="new")
    found = world.pick(force_sources={"echo": new})
    assert [found.wasm] == world.store.survey("echo")[0]
    (left,) = world.store.root.rglob("*.wasm")
    assert b"new" in left.read_bytes()


def test_a_forced_source_leaves_the_file_of_another_codec_alone(
    world: World, make_codec: MakeCodec
) -> None:
    place = world.store.root / "echo" / "a@1.0.0.core.wasm"
    place.parent.mkdir(parents=True)
    place.write_bytes(make_codec("other"))
    with pytest.raises(StoreError, match=r"cannot install a@1\.0\.0\.core\.wasm: another file is"):
        world.pick(force_sources={"echo": world.uri("a")})
    place.write_bytes(b"junk")
    assert world.pick(force_sources={"echo": world.uri("a")}).label == "a@1.0.0 (core)"
    assert world.implementations() == ["a"]


# Names


def named(world: World, make_codec: MakeCodec, codec_id: str, **aliases: Any) -> Path:
    path = world.store.root / f"{codec_id}.wasm"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(make_codec(codec_id, f"{codec_id}-a", aliases=aliases))
    return path


@pytest.mark.parametrize(
    ("name", "scope", "codec_id"),
    [
        ("first", None, "first"),
        ("x.first", None, "first"),
        (7, None, "first"),
        ("7", None, "first"),
        (7, "tiff_compression", "first"),
        (7, "tiff_predictor", "second"),
        ("old_second", "chonkle", "second"),
        # A codec id comes first, unless the scope has a name of its own.
        ("second", None, "second"),
        ("second", "zarr_v2", "first"),
        ("second", "zarr_v3", "second"),
        # It is only a predictor.
        (777, None, None),
        ("old_second", "zarr_v3", None),
        ("third", None, None),
        ("", None, None),
        (True, None, None),
        (-1, None, None),
    ],
)
def test_codecs_are_found_under_other_names(
    world: World, make_codec: MakeCodec, name: str | int, scope: str | None, codec_id: str | None
) -> None:
    named(
        world,
        make_codec,
        "first",
        zarr_v3=["x.first"],
        zarr_v2=["second"],
        tiff_compression=[7],
    )
    named(world, make_codec, "second", tiff_predictor=[7, 777], chonkle=["old_second"])
    resolver = world.resolver()
    if codec_id is None:
        with pytest.raises(
            ResolveError, match=r"no codec (has the name|for TIFF) .*hint: .*`chonkle codecs`"
        ):
            resolver.resolve_name(name, scope)
    else:
        assert resolver.resolve_name(name, scope) == codec_id


def test_a_name_of_two_codecs_names_both(world: World, make_codec: MakeCodec) -> None:
    for codec_id in ("first", "second"):
        named(world, make_codec, codec_id, zarr_v2=["both"])
    expected = (
        '`"both"` is a name of several codecs, got `first`, `second`; hint: write the codec_id'
    )
    for ask in (
        world.resolver().resolve,
        world.resolver().resolve_name,
        world.resolver().codecs,
    ):
        with pytest.raises(ResolveError, match=expected):
            ask("both")


def test_a_step_and_the_options_may_use_different_names(
    world: World, make_codec: MakeCodec
) -> None:
    named(world, make_codec, "echo", zarr_v3=["x.echo"])
    world.install("b", "2.0.0")
    for asked in ("echo", "x.echo"):
        for given in ("echo", "x.echo"):
            for more, implementation in (
                ({"overrides": {given: "echo-a"}}, "echo-a"),
                ({"paths": {given: world.file("c")}}, "c"),
                ({"force_sources": {given: world.uri("d", version="0.1.0")}}, "d"),
            ):
                if given == "x.echo" == asked and "overrides" not in more:
                    continue  # the file would have to have this name too
                found = world.resolver(**more).resolve(asked)
                assert isinstance(found, Resolution)
                assert found.signature.implementation == implementation
    # A file that is not installed may have the name itself.
    path = world.root / "x.wasm"
    path.write_bytes(make_codec("new", "new-a", aliases={"numcodecs": ["x.new"]}))
    found = world.resolver(pipeline_sources={"x.new": path.as_uri()}).resolve("x.new")
    assert isinstance(found, Resolution)
    assert found.signature.codec_id == "new"
