"""Places: which repository a URI means, and how one is opened."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from chonkle.digest import Digest
from chonkle.errors import FetchError
from chonkle.oci.credentials import Credentials, GivenLogin
from chonkle.oci.places import Access, Place, Places, open_repository
from chonkle.oci.transport import Bounds

BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
LOGIN = GivenLogin(Credentials("me", "secret"))
DIGEST = Digest.sha256(b"")
QUICK = Bounds(total_s=20, pause_s=0.01)

type Serve = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "place", "wanted"),
    [
        ("oci://host/a/b", Place("oci://host/a/b"), "latest"),
        ("oci://host:80/a", Place("oci://host:80/a"), "latest"),
        ("oci://host:80/a:1.0", Place("oci://host:80/a", "1.0"), "1.0"),
        (f"oci://host/a@{DIGEST}", Place("oci://host/a", "", DIGEST), DIGEST),
        (f"oci://host/a:1@{DIGEST}", Place("oci://host/a", "1", DIGEST), DIGEST),
    ],
)
def test_a_place_is_a_repository_and_what_is_meant_in_it(
    text: str, place: Place, wanted: str | Digest
) -> None:
    assert Place.parse(text) == place
    assert (place.wanted, str(place)) == (wanted, text)


def test_a_place_leads_to_others() -> None:
    place = Place.parse("oci://host/a:1")
    assert place.within("b-c") == Place("oci://host/a/b-c")
    assert place.with_tag("2") == Place("oci://host/a", "2")
    for name in ("B", ""):
        with pytest.raises(FetchError, match="malformed OCI reference"):
            place.within(name)
    with pytest.raises(FetchError, match="malformed OCI reference"):
        place.with_tag("1+2")


@pytest.mark.parametrize("text", ["", "https://host/a", "a/b", "oci://", "oci://host", "OCI://a/b"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(FetchError, match=r"not a place for artifacts|malformed OCI reference"):
        Place.parse(text)


@pytest.mark.network
def test_repositories_of_one_registry_share_what_was_learned(serve: Serve, registry: Any) -> None:  # noqa: ANN401
    def answer(seen: Any) -> Any:  # noqa: ANN401
        refused = {"status": 401, "headers": {"WWW-Authenticate": "Basic"}}
        return registry(seen) if seen.authorization == BASIC else refused

    server = serve(answer)
    with Places(Access(login=LOGIN, bounds=QUICK)) as places:
        place = Place.parse(f"oci://{server.host}/codecs")
        for name in ("a", "b"):
            repository = places.open(place.within(name))
            assert repository.name == f"oci://{server.host}/codecs/{name}"
            for _ in range(2):
                assert repository.resolve("1") is None
    # One refusal for each repository: a token for one is none for another.
    assert [seen.authorization for seen in server.seen] == [None, BASIC, BASIC] * 2


@pytest.mark.network
@pytest.mark.usefixtures("names")
def test_certificates_are_those_of_the_file_whatever_the_variables_say(
    *,
    serve: Serve,
    registry: Any,  # noqa: ANN401
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(registry, "registry.test")
    own, other = Path(__file__).parent / "tls/ca.pem", Path(DEFAULT_CA_BUNDLE_PATH)
    uri = f"oci://{server.host}/codecs/guest"
    for good, variable in ((True, other), (False, own)):
        monkeypatch.setenv("SSL_CERT_FILE", str(variable))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(variable))
        access = Access(ca_file=own if good else other, bounds=QUICK)
        with open_repository(uri, access=access) as repository:
            if good:
                assert repository.resolve("1") is None
                continue
            with pytest.raises(FetchError, match="certificate is not to be trusted"):
                repository.resolve("1")
    with (
        pytest.raises(FetchError, match="no file with certificates"),
        open_repository(uri, access=Access(ca_file=tmp_path / "none")),
    ):
        pass


@pytest.mark.network
@pytest.mark.usefixtures("names")
def test_a_server_without_tls_has_to_be_allowed_and_no_other_is_with_it(
    serve: Serve,
    registry: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = serve(registry)
    # The same server, by a name that is not of the loopback interface.
    host = f"storage.test:{server.server_port}"
    other = serve(registry)
    away = {"status": 307, "headers": {"Location": f"http://storage.test:{other.server_port}/"}}
    with open_repository(f"oci://{host}/a", access=Access(insecure=True, bounds=QUICK)) as there:
        assert there.resolve("1") is None
        registry.fault = lambda _: away
        with pytest.raises(FetchError, match="an address without TLS"):
            there.resolve("1")
    with (
        open_repository(f"oci://{host}/a", access=Access(bounds=QUICK)) as there,
        pytest.raises(FetchError, match=r"certificate is not to be trusted|the connection broke"),
    ):
        there.resolve("1")
    assert len(server.seen) == 2
    assert other.seen == []
