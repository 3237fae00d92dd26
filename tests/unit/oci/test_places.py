"""Opening repositories: what those of one registry share, and which servers the user allows."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from chonkle.errors import FetchError
from chonkle.oci.access import RegistryAccess
from chonkle.oci.model import LayoutReference, Reference
from chonkle.oci.places import opened
from chonkle.oci.transport import Bounds
from tests.loopback import Serve

BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
QUICK = Bounds(total_s=20, pause_s=0.01)


def resolve(reference: Reference, **access: Any) -> object:
    with opened([reference], access=RegistryAccess(bounds=QUICK, **access)) as (repository,):
        return repository.resolve("1")


@pytest.mark.network
def test_repositories_of_one_registry_share_what_was_learned(serve: Serve, registry: Any) -> None:
    def answer(seen: Any) -> Any:
        refused = {"status": 401, "headers": {"WWW-Authenticate": "Basic"}}
        return registry(seen) if seen.authorization == BASIC else refused

    server = serve(answer)
    access = RegistryAccess(registry=server.host, username="me", password="secret", bounds=QUICK)  # noqa: S106
    references = [Reference.parse(f"{server.host}/codecs/{name}") for name in ("a", "b")]
    with opened(references, access=access) as repositories:
        for repository, name in zip(repositories, ("a", "b"), strict=True):
            assert repository.name == f"oci://{server.host}/codecs/{name}"
            for _ in range(2):
                assert repository.resolve("1") is None
    # One refusal for each repository: a token for one is none for another.
    assert [seen.authorization for seen in server.seen] == [None, BASIC, BASIC] * 2


def test_layouts_are_opened_as_registries_are(tmp_path: Path) -> None:
    references = [LayoutReference(tmp_path / name) for name in ("a", "b")]
    with opened(references, access=RegistryAccess(offline=True)) as repositories:
        names = [each.name for each in repositories]
        assert names == [f"oci-layout://{tmp_path / n}" for n in ("a", "b")]
    with (
        pytest.raises(FetchError, match="not fetched, because CHONKLE_OFFLINE is set"),
        opened([Reference.parse("host/a")], access=RegistryAccess(offline=True)),
    ):
        pass


@pytest.mark.network
@pytest.mark.usefixtures("names")
def test_certificates_are_those_of_the_file_whatever_the_variables_say(
    serve: Serve, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(registry, "registry.test")
    reference = Reference.parse(f"{server.host}/codecs/guest")
    own, other = Path(__file__).parent / "tls/ca.pem", Path(DEFAULT_CA_BUNDLE_PATH)
    for given, variable in ((own, other), (other, own)):
        monkeypatch.setenv("SSL_CERT_FILE", str(variable))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(variable))
        if given is own:
            assert resolve(reference, ca_file=given) is None
            continue
        with pytest.raises(FetchError, match="certificate cannot be trusted"):
            resolve(reference, ca_file=given)


@pytest.mark.network
@pytest.mark.usefixtures("names")
def test_a_server_without_tls_has_to_be_allowed_and_no_other_is_with_it(
    serve: Serve, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    server, other = serve(registry), serve(registry)
    # The same server, by a name that is not of the loopback interface.
    host = f"storage.test:{server.server_port}"
    reference = Reference.parse(f"{host}/a")
    assert resolve(reference, registry=host, insecure=True) is None
    away = f"http://storage.test:{other.server_port}/"
    registry.fault = lambda _: {"status": 307, "headers": {"Location": away}}
    with pytest.raises(FetchError, match="an address without TLS"):
        resolve(reference, registry=host, insecure=True)
    with pytest.raises(FetchError, match=r"certificate cannot be trusted|the connection broke"):
        resolve(reference)
    assert len(server.seen) == 2
    # Where another registry is named, this one is not; where none is, all are.
    with pytest.raises(FetchError, match=r"certificate cannot be trusted|the connection broke"):
        resolve(reference, registry="host", insecure=True)
    registry.fault = lambda _: None
    assert resolve(reference, insecure=True) is None
    assert len(server.seen) == 3
    assert other.seen == []


@pytest.mark.network
@pytest.mark.usefixtures("names")
def test_without_tls_no_credentials_to_unnamed_hosts(
    serve: Serve, registry: Any, tmp_path: Path
) -> None:
    registry.fault = lambda _: {"status": 401, "headers": {"WWW-Authenticate": "Basic"}}
    server = serve(registry)
    host = f"storage.test:{server.server_port}"
    auths = {host: {"auth": BASIC.removeprefix("Basic ")}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    reference = Reference.parse(f"{host}/a")
    for named, wanted in (({}, set()), ({"registry": host}, {BASIC})):
        with pytest.raises(FetchError, match="401"):
            resolve(reference, insecure=True, docker_config=tmp_path, **named)
        assert set(server.credentials) == wanted
