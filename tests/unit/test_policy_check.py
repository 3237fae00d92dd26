"""A policy between what was found and its use: with the resolver, and where attestations are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chonkle import inventory as inventory_module
from chonkle.digest import Digest
from chonkle.errors import ChonkleError, FetchError, PolicyError
from chonkle.evidence import KeptEvidence
from chonkle.fetch import Source
from chonkle.installing import Installed, install
from chonkle.oci.access import RegistryAccess
from chonkle.oci.attestation import LAYOUTS, sign, sign_file
from chonkle.oci.layout import LayoutRepository
from chonkle.oci.model import INDEX_TYPE, MANIFEST_TYPE, WASM_CONFIG_TYPE, WASM_LAYER_TYPE
from chonkle.oci.private_keys import PrivateKey
from chonkle.policy import Policy
from chonkle.policy_check import PolicyCheck
from chonkle.resolver import Resolution, Resolver
from chonkle.storage.store import CodecStore, WasmCodec
from tests.fixture_types import MakeCodec

type Repository = Any  # MemoryRepository of the conftest

URI = "oci://registry.test/codecs/x:1.0.0"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
POLICY = """\
version = 1
default = "deny"
keys.alice = "ed25519.pub"
[[rules]]
signed-by = ["alice"]
"""


class Place:
    """A store, a registry in memory, keys, and a policy by which alice signs everything."""

    def __init__(
        self, folder: Path, repository: Repository, golden: Path, keys: dict[str, PrivateKey]
    ) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.repository = repository
        self.alice, self.mallory = keys["ed25519"], keys["ecdsa-p256"]
        self.is_online = True
        (folder / "ed25519.pub").write_bytes((golden / "ed25519.pub").read_bytes())
        self.policy = self.policy_of(POLICY)

    def policy_of(self, text: str) -> Policy:
        path = self.folder / "policy.toml"
        path.write_text(text)
        return Policy.read(path, now=lambda: NOW)

    def opened(self, *_: object, **_more: object) -> Repository:
        if not self.is_online:
            raise FetchError("the network is off")
        return self.repository

    def require(self, data: bytes, policy: Policy | None = None) -> str:
        policy_check = PolicyCheck(
            policy=policy or self.policy,
            codec_store=self.store,
            access=RegistryAccess(),
            open_repository=self.opened,
        )
        return policy_check.require("x", "source", URI, data).reason

    def refusal(self, data: bytes, policy: Policy | None = None) -> str:
        with pytest.raises(PolicyError) as caught:
            self.require(data, policy)
        return str(caught.value)

    def resolver(self, policy: Policy | None = None, **more: Any) -> Resolver:
        return Resolver(codec_store=self.store, policy=policy or self.policy, **more)

    def file(self, data: bytes, name: str = "x.wasm", signer: PrivateKey | None = None) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        if signer is not None:
            path.with_name(f"{name}.bundle.json").write_bytes(sign_file(data, signer))
        return path


@pytest.fixture
def place(
    tmp_path: Path,
    repository: Repository,
    golden: Path,
    private_keys: dict[str, PrivateKey],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    shipped = CodecStore(tmp_path / "shipped")
    monkeypatch.setattr(inventory_module, "bundled_store", lambda: shipped)
    return Place(tmp_path, repository, golden, private_keys)


def test_what_was_signed_is_allowed_later_without_a_network(place: Place) -> None:
    sign(place.repository, place.repository.push(b"codec"), place.alice, layouts=LAYOUTS)
    assert place.require(b"codec") == "rule 1: signed by `alice` (classic)"
    place.is_online = False
    asked = place.repository.questions
    assert place.require(b"codec") == "rule 1: signed by `alice` (classic)"
    assert place.repository.questions == asked
    # It is for these bytes alone.
    assert "its attestations could not be read: the network is off" in place.refusal(b"evil")


def test_kept_evidence_is_verified_at_each_use(place: Place) -> None:
    sign(place.repository, place.repository.push(b"codec"), place.alice, layouts=LAYOUTS)
    place.require(b"codec")
    place.is_online = False
    [path] = (place.store / ".attestations").iterdir()
    good = path.read_bytes()
    # What is kept for one codec does not vouch for another one.
    evil = place.store / ".attestations" / f"{Digest.blake3(b'evil').hex}.json"
    evil.write_bytes(good)
    assert "it attests another artifact" in place.refusal(b"evil")
    # A policy that changed since decides.
    expired = place.policy_of(f"{POLICY}until = 2026-01-01\n")
    assert "rule 1: it expired at 2026-01-01" in place.refusal(b"codec", expired)
    path.write_bytes(good.replace(b'"signature": "', b'"signature": "A'))
    place.refusal(b"codec")


def test_what_is_not_signed_is_refused_and_leaves_nothing(place: Place) -> None:
    place.repository.push(b"codec")
    assert "it is not signed, and has to be by `alice`" in place.refusal(b"codec")
    assert not place.store.exists()


def test_a_signature_that_comes_later_is_found(place: Place) -> None:
    subject = place.repository.push(b"codec")
    sign(place.repository, subject, place.mallory, layouts=LAYOUTS)
    assert "no accepted key made this signature" in place.refusal(b"codec")
    sign(place.repository, subject, place.alice, layouts=("bundle",))
    assert place.require(b"codec") == "rule 1: signed by `alice` (bundle)"


def test_the_signer_names_the_repository_where_the_policy_asks(place: Place) -> None:
    policy = place.policy_of(f'{POLICY}identities = ["registry.test/codecs/*"]\n')
    subject = place.repository.push(b"codec")
    sign(place.repository, subject, place.alice, layouts=LAYOUTS, identity="registry.test/evil")
    words = place.refusal(b"codec", policy)
    assert words.count('signed by `alice` as `"registry.test/evil"`') == 1
    for layout in LAYOUTS:
        sign(
            place.repository,
            subject,
            place.alice,
            layouts=(layout,),
            identity=f"registry.test/codecs/{layout}",
        )
    assert place.require(b"codec", policy).startswith("rule 1: signed by `alice`")


def test_a_rule_about_a_repository_holds_before_anything_is_asked(place: Place) -> None:
    policy = place.policy_of(
        f'{POLICY.replace("deny", "allow")}repositories = ["registry.test/**"]\n'
    )
    place.repository.push(b"codec")
    assert "it is not signed" in place.refusal(b"codec", policy)


def test_a_file_is_signed_by_what_is_beside_it(place: Place, make_codec: MakeCodec) -> None:
    wasm = make_codec()
    for more in (
        {"paths": {"echo": place.file(wasm)}},
        {"force_sources": {"echo": place.file(wasm).as_uri()}},
    ):
        with pytest.raises(PolicyError, match="it is not signed"):
            place.resolver(**more).resolve("echo")
    path = place.file(wasm, signer=place.alice)
    pinned = f"{path.as_uri()}#blake3={Digest.blake3(wasm).hex}"
    for more in ({"paths": {"echo": path}}, {"force_sources": {"echo": path.as_uri()}}):
        found = place.resolver(**more).resolve("echo")
        assert found.reason.endswith(", rule 1: signed by `alice` (bundle)")
        assert found.allowed is not None
    # A pinned source is kept, and so is what it was signed with.
    place.resolver(force_sources={"echo": pinned}).resolve("echo")
    path.unlink()
    path.with_name("x.wasm.bundle.json").unlink()
    found = place.resolver(force_sources={"echo": pinned}).resolve("echo")
    assert "kept, rule 1: signed by `alice`" in found.reason


def test_a_source_that_is_refused_is_not_kept(place: Place, make_codec: MakeCodec) -> None:
    wasm = make_codec()
    uri = place.file(wasm).as_uri()
    for source in (uri, f"{uri}#blake3={Digest.blake3(wasm).hex}"):
        with pytest.raises(PolicyError):
            place.resolver(pipeline_sources={"echo": source}).resolve("echo")
    assert not place.store.exists()


def test_an_installed_codec_that_is_not_signed_is_passed_over(
    place: Place, make_codec: MakeCodec, caplog: pytest.LogCaptureFixture
) -> None:
    store = CodecStore(place.store)
    newer = WasmCodec.from_bytes(make_codec(version="2.0.0"), "x")
    installed = Path(store.install(newer).origin)
    with pytest.raises(PolicyError, match=r"\(installed, .*@2\.0\.0\.core\.wasm\): rule 1"):
        place.resolver().resolve("echo")
    older = make_codec(version="1.0.0")
    place.file(older, signer=place.alice)
    store.install(WasmCodec.from_bytes(older, "x"))
    bundle = place.folder / "x.wasm.bundle.json"
    installed.with_name("echo-a@1.0.0.core.wasm.bundle.json").write_bytes(bundle.read_bytes())
    found = place.resolver().resolve("echo")
    assert isinstance(found, Resolution)
    assert found.label == "echo-a@1.0.0 (core)"
    assert found.reason == "installed, rule 1: signed by `alice` (bundle), the only one"
    assert "policy" in caplog.text
    with pytest.raises(PolicyError):
        place.resolver(overrides={"echo": "echo-a@2.0.0"}).resolve("echo")
    with pytest.raises(ChonkleError, match="was asked for"):
        place.resolver(overrides={"echo": "echo-b"}).resolve("echo")


def test_an_installed_codec_is_known_by_its_fetch_record(
    place: Place, make_codec: MakeCodec
) -> None:
    wasm = make_codec()
    path = place.file(wasm, signer=place.alice)
    place.resolver(pipeline_sources={"echo": path.as_uri()}).resolve("echo")
    assert KeptEvidence(place.store).find(wasm) != ()
    path.unlink()
    found = place.resolver().resolve("echo")
    assert found.reason == "installed, rule 1: signed by `alice` (bundle), the only one"


def test_shipped_codecs_need_no_signature_by_default(place: Place, make_codec: MakeCodec) -> None:
    CodecStore(place.folder / "shipped").install(WasmCodec.from_bytes(make_codec(), "x"))
    assert place.resolver().resolve("echo").reason == "shipped, `shipped` is trusted, the only one"
    strict = place.policy_of(POLICY.replace("keys", "trusted = []\nkeys"))
    with pytest.raises(PolicyError, match="shipped"):
        place.resolver(strict).resolve("echo")


class Layout:
    """Codecs in an image layout: what a manifest, an index and their place are called."""

    def __init__(self, folder: Path, wasm: bytes) -> None:
        self.path = folder / "layout"
        config, layer = (
            {"mediaType": kind, "digest": self._write(data), "size": len(data)}
            for data, kind in ((b"{}", WASM_CONFIG_TYPE), (wasm, WASM_LAYER_TYPE))
        )
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer]}
        ).encode()
        self.manifest = self._write(manifest)
        entry = {
            "mediaType": MANIFEST_TYPE,
            "digest": self.manifest,
            "size": len(manifest),
            "platform": {"architecture": "wasm", "os": "wasip1"},
        }
        index = json.dumps(
            {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}
        ).encode()
        self.index = self._write(index)
        top = {
            "mediaType": INDEX_TYPE,
            "digest": self.index,
            "size": len(index),
            "annotations": {"org.opencontainers.image.ref.name": "1.0.0"},
        }
        (self.path / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": [top, {**entry}]})
        )
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def _write(self, data: bytes) -> str:
        digest = Digest.sha256(data)
        folder = self.path / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / digest.hex).write_bytes(data)
        return str(digest)

    @property
    def uri(self) -> str:
        return f"oci-layout://{self.path}"


def pulled(place: Place, uri: str, policy: Policy | None = None) -> Installed:
    return install(
        Source.parse(uri),
        CodecStore(place.store),
        access=RegistryAccess(),
        kinds=("core", "component"),
        policy=policy,
    )


ALLOW = 'version = 1\ndefault = "allow"\n'


@pytest.mark.parametrize("named", ["index", "manifest"])
@pytest.mark.parametrize("head", [ALLOW, f"{ALLOW}[[rules]]\nunsigned = true\n"])
def test_a_deny_by_the_digest_of_a_manifest_or_an_index_is_seen_whatever_allows(
    place: Place, make_codec: MakeCodec, named: str, head: str
) -> None:
    layout = Layout(place.folder, make_codec())
    digest = getattr(layout, named)
    policy = place.policy_of(f'{head}[[rules]]\ndigests = ["{digest}"]\ndeny = "withdrawn"\n')
    uris = [f"{layout.uri}:1.0.0", f"{layout.uri}:1.0.0@{layout.index}"]
    if named == "manifest":
        uris.append(f"{layout.uri}@{layout.manifest}")
    for uri in uris:
        with pytest.raises(PolicyError, match="withdrawn"):
            pulled(place, uri, policy)
        with pytest.raises(PolicyError, match="withdrawn"):
            place.resolver(policy, force_sources={"echo": uri}).resolve("echo")
    assert not place.store.exists()
    # It was installed before it was withdrawn.
    pulled(place, uris[0])
    with pytest.raises(PolicyError, match="withdrawn"):
        place.resolver(policy).resolve("echo")
    # A pin that nothing verifies denies, and allows nothing.
    allowing = place.policy_of(
        f'version = 1\ndefault = "deny"\n[[rules]]\ndigests = ["{digest}"]\nunsigned = true\n'
    )
    claimed = f"oci://registry.test/x@{digest}"
    policy_check = PolicyCheck(policy=policy, codec_store=None, access=RegistryAccess())
    with pytest.raises(PolicyError, match="withdrawn"):
        policy_check.require("x", "source", claimed, b"codec")
    policy_check = PolicyCheck(
        policy=allowing, codec_store=None, access=RegistryAccess(), open_repository=place.opened
    )
    place.is_online = False
    with pytest.raises(PolicyError, match="no rule applies"):
        policy_check.require("x", "source", claimed, b"codec")


def test_an_attestation_of_an_index_counts_inside_it(place: Place, make_codec: MakeCodec) -> None:
    layout = Layout(place.folder, make_codec())
    with LayoutRepository(layout.path) as repository:
        index = repository.manifest("1.0.0").descriptor
        assert str(index.digest) == layout.index
        sign(repository, index, place.alice, layouts=LAYOUTS)
    uri = f"{layout.uri}:1.0.0"
    # The manifest itself is not signed, and nothing says which index lists it.
    direct = f"{uri}@{layout.manifest}"
    with pytest.raises(PolicyError, match="it is not signed"):
        pulled(place, direct, place.policy)
    found = place.resolver(force_sources={"echo": uri}).resolve("echo")
    assert found.reason.endswith("rule 1: signed by `alice` (classic)")
    # A lock pins what was signed.
    assert found.source == f"{uri}@{layout.index}"
    found = place.resolver(force_sources={"echo": found.source}).resolve("echo")
    assert "kept, rule 1: signed by `alice`" in found.reason
    assert pulled(place, uri, place.policy).allowed is not None
    assert "signed by `alice`" in place.resolver().resolve("echo").reason


def test_rules_by_repository_reach_installs(place: Place, make_codec: MakeCodec) -> None:
    layout = Layout(place.folder, make_codec())
    denying = place.policy_of(f'{ALLOW}[[rules]]\nrepositories = ["{layout.uri}"]\ndeny = "evil"\n')
    allowing = place.policy_of(
        f'version = 1\ndefault = "deny"\n[[rules]]\nrepositories = ["{layout.uri}"]\n'
        "unsigned = true\n"
    )
    pulled(place, f"{layout.uri}:1.0.0", allowing)
    found = place.resolver(allowing).resolve("echo")
    assert found.reason == "installed, rule 1 allows it unsigned, the only one"
    with pytest.raises(PolicyError, match="evil"):
        place.resolver(denying).resolve("echo")
    # Notes that another program wrote are passed over.
    [path] = (place.store / ".sources" / "origins").iterdir()
    path.write_text("oci://nothing\nwhatever\n")
    with pytest.raises(PolicyError, match="no rule applies"):
        place.resolver(allowing).resolve("echo")


def test_a_kept_copy_is_from_where_it_was_fetched_and_not_from_where_a_source_says(
    place: Place, make_codec: MakeCodec
) -> None:
    wasm = make_codec()
    layout = Layout(place.folder, wasm)
    pin = f"#blake3={Digest.blake3(wasm).hex}"
    file = f"{place.file(wasm).as_uri()}{pin}"
    # Without a policy, both are kept.
    for uri in (f"{layout.uri}@{layout.manifest}", file):
        Resolver(codec_store=place.store, force_sources={"echo": uri}).resolve("echo")
    (place.folder / "x.wasm").unlink()
    policy = place.policy_of(f"{ALLOW}[[rules]]\nunsigned = true\n")
    for claimed in (
        f"file:///nope.wasm{pin}",
        f"https://registry.test/nope.wasm{pin}",
        f"oci://registry.test/zz@{layout.manifest}",
        f"oci-layout:///nope@{layout.manifest}",
    ):
        # Nor does a use without a policy record it.
        Resolver(codec_store=place.store, force_sources={"echo": claimed}).resolve("echo")
        pulled(place, claimed)
        offline = RegistryAccess(offline=True)
        with pytest.raises(FetchError):
            place.resolver(policy, force_sources={"echo": claimed}, access=offline).resolve("echo")
        with pytest.raises(FetchError):
            install(
                Source.parse(claimed),
                CodecStore(place.store),
                access=offline,
                kinds=("core",),
                policy=policy,
            )
    found = place.resolver(policy, force_sources={"echo": file}).resolve("echo")
    assert "kept, rule 1 allows it unsigned" in found.reason
