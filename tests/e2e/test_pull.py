"""`chonkle pull`: codecs come from a real registry, an image layout or a file, into the store."""

import json
from pathlib import Path
from typing import Any

import pytest

from chonkle.digest import Digest
from tests.e2e import registries
from tests.e2e.registries import INDEX_TYPE, MANIFEST_TYPE, PASSWORD, USER, Registry
from tests.fixture_types import Chonkle, ErrorOf, PipelineOf
from tests.loopback import sha256

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("store")]

NAME = "codecs/guest"
STORE = ("--codec-store", "store")
OFFLINE = {"CHONKLE_OFFLINE": "1"}
UNKNOWN_SECTION = b"\0\2\1x"


def pulled(chonkle: Chonkle, source: str, *more: str, **options: Any) -> Any:
    return json.loads(chonkle("pull", source, *STORE, "--json", *more, **options).stdout)


def asked(registry: Registry, since: int = 0) -> list[tuple[str, str]]:
    return [
        (each.method, each.path.removeprefix(f"/v2/{NAME}/"))
        for each in registry.requests()[since:]
    ]


def test_a_codec_that_is_there_costs_one_request(
    *, chonkle: Chonkle, store: Path, registry: Registry, wasm: bytes
) -> None:
    manifest = registry.push(NAME, "1", wasm)
    uri = f"oci://{registry.address}/{NAME}:1"
    before = len(registry.requests())
    first = pulled(chonkle, uri)
    installed = store / "guest/guest-wat@1.0.0.core.wasm"
    assert first == {
        "codec_id": "guest",
        "policy": None,
        "signed_by": None,
        "implementation": "guest-wat",
        "version": "1.0.0",
        "backend": "core",
        "digest": str(Digest.blake3(wasm)),
        "manifest": manifest,
        "source": f"{uri}@{manifest}",
        "path": str(installed.relative_to(store.parent)),
        "was_there": False,
    }
    assert installed.read_bytes() == wasm
    layer = f"blobs/{sha256(wasm)}"
    assert asked(registry, before) == [("GET", "manifests/1"), ("GET", layer)]

    before = len(registry.requests())
    assert pulled(chonkle, uri) == {**first, "was_there": True}
    assert asked(registry, before) == [("GET", "manifests/1")]
    # A pinned artifact needs no server the second time.
    pinned = f"{uri}@{manifest}"
    assert pulled(chonkle, pinned, environment=OFFLINE)["was_there"]
    before = len(registry.requests())
    assert pulled(chonkle, pinned)["source"] == pinned
    assert asked(registry, before) == []
    pulled(chonkle, pinned, environment={"CHONKLE_FORCE_DOWNLOAD": "1"})
    assert asked(registry, before) == [("GET", f"manifests/{manifest}"), ("GET", layer)]
    words = chonkle("pull", uri, *STORE).stdout.decode().splitlines()
    assert words[0] == "already installed guest: guest-wat@1.0.0 (core)"
    assert f"  manifest  {manifest}" in words


def test_offline_names_what_would_be_fetched_and_the_command(
    error_of: ErrorOf, tmp_path: Path, pipeline_of: PipelineOf
) -> None:
    for uri in (
        "oci://registry.invalid/codecs/guest:1",
        f"https://host.invalid/a#blake3={'0' * 64}",
    ):
        for arguments in (
            ("pull", uri, *STORE),
            ("run", "pipeline.json", *STORE, "--explain", "--source", f"guest={uri}"),
        ):
            (tmp_path / "pipeline.json").write_text(json.dumps(pipeline_of()))
            message = error_of(*arguments, environment=OFFLINE)
            assert f"{uri}: not fetched, because CHONKLE_OFFLINE is set" in message
            assert f"`CHONKLE_OFFLINE=0 chonkle pull '{uri}'` fetches it" in message


def test_an_index_gives_the_backend_that_is_preferred(chonkle: Chonkle, registry: Registry) -> None:
    root = Path(__file__).parents[2]
    component = (root / "codec/identity/identity-c@1.0.0.component.wasm").read_bytes()
    core = (root / "codec/identity/identity-c@1.0.0.core.wasm").read_bytes()
    entries = []
    for tag, data, os in (("core", core, "wasip1"), ("component", component, "wasip2")):
        registry.push(NAME, tag, data)
        manifest = registry.read(f"{NAME}/manifests/{tag}")
        platform = {"platform": {"architecture": "wasm", "os": os}}
        entries.append({**registries.descriptor(MANIFEST_TYPE, manifest), **platform})
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    registry.push_manifest(NAME, "1", index)
    uri = f"oci://{registry.address}/{NAME}:1"
    for preference in ("core", "component"):
        found = pulled(chonkle, uri, "--preference", preference)
        assert (found["backend"], found["codec_id"]) == (preference, "identity")
    digest = registry.push_manifest(NAME, "2", {**index, "manifests": entries[:1]})
    assert pulled(chonkle, f"oci://{registry.address}/{NAME}@{digest}")["backend"] == "core"


@pytest.mark.parametrize("name", ["layout", "layout.tar"])
def test_a_layout_takes_the_place_of_a_registry(
    *, tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, wasm: bytes, name: str
) -> None:
    (tmp_path / "guest.wasm").write_bytes(wasm)
    uri = f"oci-layout://{name}"
    chonkle("publish", "guest.wasm", f"{uri}:1", "--no-verify")
    found = pulled(chonkle, f"{uri}:1", environment=OFFLINE)
    assert found["source"] == f"{uri}:1@{found['manifest']}"
    assert "no manifest `2`, got the tags `1`" in error_of("pull", f"{uri}:2", *STORE)
    assert "nowhere: the folder does not exist" in error_of("pull", "oci-layout://nowhere", *STORE)


def test_a_file_is_pulled_and_a_web_server_needs_a_pin(
    tmp_path: Path, chonkle: Chonkle, error_of: ErrorOf, wasm: bytes
) -> None:
    path = tmp_path / "guest.wasm"
    path.write_bytes(wasm)
    found = pulled(chonkle, path.as_uri())
    pin = Digest.blake3(wasm).hex
    assert (found["source"], found["manifest"]) == (f"{path.as_uri()}#blake3={pin}", None)
    message = error_of("pull", "https://host.invalid/guest.wasm", *STORE)
    assert "not pinned, expected `#blake3=<hex>` behind it" in message
    path.write_bytes(b"no wasm")
    assert "guest.wasm: " in error_of("pull", path.as_uri(), *STORE)


def test_a_private_registry_gets_the_credentials_that_are_for_it(
    *,
    chonkle: Chonkle,
    error_of: ErrorOf,
    tmp_path_factory: pytest.TempPathFactory,
    registry_program: str,
    wasm: bytes,
) -> None:
    folder = tmp_path_factory.mktemp("registry")
    with registries.started(folder, registry_program, "private") as registry:
        registry.push(NAME, "1", wasm)
        uri = f"oci://{registry.address}/{NAME}:1"
        trust = () if registry.ca_file is None else ("--ca-file", str(registry.ca_file))
        assert "401" in error_of("pull", uri, *STORE, *trust)
        login = {
            "CHONKLE_REGISTRY": registry.address,
            "CHONKLE_REGISTRY_USERNAME": USER,
            "CHONKLE_REGISTRY_PASSWORD": PASSWORD,
        }
        elsewhere = {**login, "CHONKLE_REGISTRY": "registry.invalid"}
        message = error_of("pull", uri, *STORE, *trust, environment=elsewhere)
        assert "401" in message
        assert PASSWORD not in message
        assert not pulled(chonkle, uri, *trust, environment=login)["was_there"]
        given = (*trust, "--username", USER, "--password-stdin")
        assert pulled(chonkle, uri, *given, stdin=PASSWORD.encode())["was_there"]
