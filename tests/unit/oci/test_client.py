"""Registries on the loopback interface that ask for credentials, and that lie.

Those with names ending in `.test` have TLS, and are other hosts for the client. Most of these tests
are about what each of them sees of a user's credentials.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chonkle.errors import DigestMismatchError, FetchError
from chonkle.fetch import Source
from chonkle.installing import install
from chonkle.oci.access import RegistryAccess
from chonkle.oci.address import Address, Host
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.credentials import Login
from chonkle.oci.model import MANIFEST_TYPE, WASM_CONFIG_TYPE, WASM_LAYER_TYPE, Reference
from chonkle.oci.places import open_repository
from chonkle.oci.pull import ArtifactReader, Pulled
from chonkle.oci.transport import Bounds
from chonkle.storage.store import CodecStore
from tests.loopback import Serve

pytestmark = pytest.mark.network

type LogIn = Callable[..., Path]
type Told = bytes | dict[str, Any]

WASM = b"\0asm what was asked for"
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
TOKEN = "Bearer t"  # noqa: S105 - no password
SERVICE, SCOPE = "a registry", "repository:codecs/guest:pull"
ASKED = {"service": [SERVICE], "scope": [SCOPE]}
QUICK = Bounds(total_s=20, pause_s=0.01)


def descriptor(media_type: str, data: bytes, **more: object) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(data), **more}


def manifest_of(**layer: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(WASM_CONFIG_TYPE, b"{}"),
        "layers": [descriptor(WASM_LAYER_TYPE, WASM, **layer)],
    }
    return json.dumps(document).encode()


MANIFEST = manifest_of()


def content(seen: Any) -> Told:
    return MANIFEST if "/manifests/" in seen.path else WASM


def redirect(to: str) -> Told:
    return {"status": 307, "headers": {"Location": to}}


def refuse(challenge: str) -> Told:
    return {"status": 401, "headers": {"WWW-Authenticate": challenge} if challenge else {}}


def bearer(realm: str) -> str:
    return f'Bearer realm="{realm}",service="{SERVICE}",scope="{SCOPE}"'


def wanting(authorization: str, challenge: str, then: Callable[[Any], Told] = content) -> Any:
    """Make a server that answers only to one authorization."""
    return lambda seen: then(seen) if seen.authorization == authorization else refuse(challenge)


def token_server(_: object) -> Told:
    return b'{"token": "t"}'


def pull_from(reference: Reference, *, size_max: int = 1 << 20, **options: Any) -> Pulled:
    access = RegistryAccess(**{"bounds": QUICK, **options})
    with ArtifactReader(
        reference, lambda: open_repository(reference, access=access), kinds=("core", "component")
    ) as reader:
        return reader.pull(size_max=size_max)


def pull(server: Any, **options: Any) -> bytes:
    return pull_from(Reference.parse(f"{server.host}/codecs/guest:1"), **options).wasm


@pytest.fixture
def log_in(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that does what `docker login` does, as `me`, in a directory that it gives."""

    def log_in(*hosts: str, **entry: str) -> Path:
        auths = {host: entry or {"auth": BASIC.removeprefix("Basic ")} for host in hosts}
        (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
        return tmp_path

    return log_in


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file of passwords for every host, of which nothing may ever be sent."""
    path = tmp_path / "netrc"
    path.write_text("default login netrc password netrc\n")
    monkeypatch.setenv("NETRC", str(path))


# What a registry asks for


def test_a_registry_for_everybody_is_told_nothing(serve: Serve, log_in: LogIn) -> None:
    registry = serve(content)
    assert pull(registry, docker_config=log_in(registry.host)) == WASM
    assert registry.credentials == []


def test_a_token_is_given_to_everybody_and_serves_every_request(serve: Serve) -> None:
    tokens = serve(token_server)
    registry = serve(wanting(TOKEN, bearer(f"{tokens.origin}/token?a=b")))
    assert pull(registry) == WASM
    assert [seen.authorization for seen in registry.seen] == [None, TOKEN, TOKEN]
    (asked,) = tokens.seen
    assert parse_qs(urlsplit(asked.path).query) == {"a": ["b"], **ASKED}
    assert tokens.credentials == []


@pytest.mark.parametrize(
    "answer", [b'{"access_token": "t"}', b'{"token": "t", "access_token": ""}']
)
def test_credentials_get_a_token(serve: Serve, log_in: LogIn, answer: bytes) -> None:
    tokens = serve(wanting(BASIC, "", lambda _: answer))
    registry = serve(wanting(TOKEN, bearer(tokens.origin)))
    assert pull(registry, docker_config=log_in(registry.host)) == WASM
    assert (registry.credentials, tokens.credentials) == ([TOKEN, TOKEN], [BASIC])


def test_an_identity_token_gets_a_token(serve: Serve, log_in: LogIn) -> None:
    tokens = serve(lambda _: b'{"access_token": "t"}')
    registry = serve(wanting(TOKEN, bearer(f"{tokens.origin}/token")))
    config = log_in(registry.host, identitytoken="refresh me", auth="bWU6")
    assert pull(registry, docker_config=config) == WASM
    (asked,) = tokens.seen
    assert (asked.method, asked.path, asked.authorization) == ("POST", "/token", None)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["refresh me"],
        "client_id": ["chonkle"],
        **ASKED,
    }


@pytest.mark.parametrize("challenge", ['Basic realm="codecs"', "basic", 'X a="b", Basic realm=x'])
def test_credentials_are_shown_when_asked_for(serve: Serve, log_in: LogIn, challenge: str) -> None:
    registry = serve(wanting(BASIC, challenge))
    config = log_in(registry.host, username="me", password="secret")  # noqa: S106
    assert pull(registry, docker_config=config) == WASM
    assert registry.credentials == [BASIC, BASIC]


def test_of_two_challenges_the_token_is_chosen(serve: Serve, log_in: LogIn) -> None:
    tokens = serve(token_server)
    challenge = f'Basic realm="codecs", {bearer(tokens.origin)}'
    registry = serve(wanting(TOKEN, challenge))
    assert pull(registry, docker_config=log_in(registry.host)) == WASM
    assert BASIC not in registry.credentials


@pytest.mark.parametrize("challenge", ["token", 'Basic realm="codecs"', "Digest x", ""])
def test_a_denied_request_is_told_to_log_in(
    serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str], challenge: str
) -> None:
    tokens = serve(wanting(BASIC, ""))
    registry = serve(wanting(TOKEN, bearer(tokens.origin) if challenge == "token" else challenge))
    for options in ({}, {"docker_config": tmp_path}):
        with pytest.raises(FetchError) as caught:
            pull(registry, **options)
        what = f"oci://{registry.host}/codecs/guest"
        asked = f":1: {tokens.origin}" if challenge == "token" else ": manifest 1"
        words = (
            f"{what}{asked}: the server answered 401 Unauthorized; hint: check the name, and log in"
        )
        assert str(caught.value).startswith(words)
    assert capfd.readouterr() == ("", "")


def test_an_identity_token_is_no_password(serve: Serve, log_in: LogIn) -> None:
    registry = serve(wanting(BASIC, "Basic"))
    with pytest.raises(FetchError, match="401"):
        pull(registry, docker_config=log_in(registry.host, identitytoken="secret"))
    assert registry.credentials == []


@pytest.mark.parametrize(
    ("challenge", "answer", "words"),
    [
        ("Bearer", b"", "does not say where"),
        ('Bearer realm="here"', b"", "the registry's token server: not an address"),
        ('Bearer realm="http://registry.invalid/"', b"", "`http://registry.invalid`, an address w"),
        ('Bearer realm="http://127.0.0.1:80@registry.invalid/"', b"", "user information"),
        ('Bearer realm="file:///etc/passwd"', b"", "not an address"),
        (None, b"[]", "no token"),
        (None, b'{"token": 7}', "no token"),
        (None, b'{"token": "a b"}', "no token"),
        (None, b'{"token": "a\\r\\nX-Evil: b"}', "no token"),
        (None, b"<html>", "malformed JSON"),
        (None, b" " * (2 << 20), "longer than allowed"),
        (None, b"", "malformed JSON"),
    ],
)
def test_strange_challenges(serve: Serve, challenge: str | None, answer: bytes, words: str) -> None:
    tokens = serve(lambda _: answer)
    registry = serve(wanting(TOKEN, bearer(tokens.origin) if challenge is None else challenge))
    with pytest.raises(FetchError) as caught:
        pull(registry)
    assert str(caught.value).startswith(f"oci://{registry.host}/codecs/guest:")
    assert words in str(caught.value)
    assert "X-Evil" not in str(registry.seen)


@pytest.mark.parametrize("challenge", ["token", "Basic"])
def test_a_registry_that_always_refuses(serve: Serve, log_in: LogIn, challenge: str) -> None:
    tokens = serve(token_server)
    told = bearer(tokens.origin) if challenge == "token" else challenge
    registry = serve(lambda _: refuse(told))
    with pytest.raises(FetchError, match="the server answered 401"):
        pull(registry, docker_config=log_in(registry.host))
    assert len(registry.seen) == 2
    assert len(tokens.seen) <= 1


def test_a_token_that_expires_is_replaced(serve: Serve) -> None:
    given = iter(["t1", "t2", "t3"])
    tokens = serve(lambda _: json.dumps({"token": next(given)}).encode())
    registry = serve(
        lambda seen: (
            content(seen)
            if seen.authorization == ("Bearer t1" if "/manifests/" in seen.path else "Bearer t2")
            else refuse(bearer(tokens.origin))
        )
    )
    assert pull(registry) == WASM
    assert [seen.authorization for seen in registry.seen[1:]] == [
        *("Bearer t1", "Bearer t1", "Bearer t2")
    ]


def test_tokens_are_kept_apart_by_what_they_are_for(serve: Serve) -> None:
    tokens = serve(token_server)
    registry = serve(wanting(TOKEN, bearer(tokens.origin)))
    with RegistryTransport(Host.parse(registry.host), what="what", bounds=QUICK) as transport:
        for path in ("a/manifests/1", "a/blobs/x", "b/c/manifests/1", "b/c/tags/list"):
            address = Address.parse(f"{registry.origin}/v2/{path}")
            assert transport.request("GET", address, size_max=1 << 20).status_code == 200
        assert len(tokens.seen) == 2
        address = Address.parse(f"{registry.origin}/v2/a/manifests/1")
        answer = transport.request("PUT", address, size_max=1 << 20, body=MANIFEST)
    assert answer.status_code == 200
    assert registry.seen[-1].body == MANIFEST
    assert len(tokens.seen) == 3


def test_a_token_server_that_is_busy_is_asked_again(serve: Serve) -> None:
    answers = iter([{"status": 429, "headers": {"Retry-After": "0"}}, b'{"token": "t"}'])
    tokens = serve(lambda _: next(answers))
    registry = serve(wanting(TOKEN, bearer(tokens.origin)))
    assert pull(registry) == WASM


def test_a_token_is_fetched_in_the_time_of_the_pull(serve: Serve) -> None:
    tokens = serve(lambda _: {"body": b" ", "endless": True, "drip_s": 0.05})
    registry = serve(wanting(TOKEN, bearer(tokens.origin)))
    with pytest.raises(FetchError, match=r"guest:1: took too long, expected at most 0\.3 seconds"):
        pull(registry, bounds=Bounds(total_s=0.3))


# Where credentials are sent


@pytest.mark.usefixtures("names")
def test_credentials_stay_where_they_belong(
    serve: Serve, log_in: LogIn, record_property: Callable[[str, object], None]
) -> None:
    """A blob, or a manifest, is on another host, which asks for credentials in every way."""
    tokens = serve(token_server, "tokens.test")
    challenges = {
        "Basic": "Basic",
        "Bearer, of the registry's token server": bearer(f"{tokens.origin}/token"),
        "Bearer, of its own": bearer("self"),
        "nothing": "",
    }
    for asks_for, challenge in challenges.items():
        for redirected in ("/blobs/", "/manifests/"):
            storage = serve(lambda _: refuse(""), "storage.test")
            told = challenge.replace('"self"', f'"{storage.origin}/token"')
            storage.respond = lambda _, told=told: refuse(told)  # type: ignore[misc]
            registry = serve(
                wanting(
                    TOKEN,
                    bearer(f"{tokens.origin}/token"),
                    lambda seen, part=redirected, to=storage.origin: (  # type: ignore[misc]
                        redirect(to) if part in seen.path else content(seen)
                    ),
                ),
                "registry.test",
            )
            tokens.seen.clear()
            with pytest.raises(FetchError, match="the server answered 401"):
                pull(registry, docker_config=log_in(registry.host))
            saw = {
                "registry": registry.credentials,
                "its token server": tokens.credentials,
                "where it redirects to": storage.credentials,
            }
            words = "; ".join(
                f"{server}: {', '.join(found) or 'none'}" for server, found in saw.items()
            )
            record_property(
                "measured",
                f"{redirected} redirected to a host that asks for {asks_for}; seen by {words}",
            )
            assert set(registry.credentials) == {TOKEN}
            assert tokens.credentials == [BASIC]
            assert storage.credentials == []
            assert len(storage.seen) == 1


@pytest.mark.usefixtures("names")
def test_a_blob_may_be_elsewhere(serve: Serve, log_in: LogIn) -> None:
    storage = serve(lambda _: WASM, "storage.test")
    registry = serve(
        wanting(
            BASIC,
            "Basic",
            lambda seen: (
                redirect(f"{storage.origin}/x?signature") if "/blobs/" in seen.path else MANIFEST
            ),
        ),
        "registry.test",
    )
    assert pull(registry, docker_config=log_in(registry.host)) == WASM
    assert registry.credentials == [BASIC, BASIC]
    assert [(seen.path, seen.authorization) for seen in storage.seen] == [("/x?signature", None)]


@pytest.mark.usefixtures("names")
def test_only_the_first_token_server_gets_credentials(serve: Serve, log_in: LogIn) -> None:
    tokens = serve(lambda _: b'{"token": "first"}', "tokens.test")
    other = serve(lambda _: b'{"token": "second"}', "storage.test")
    registry = serve(lambda _: b"", "registry.test")
    registry.respond = lambda seen: (
        refuse(bearer((tokens if "/manifests/" in seen.path else other).origin))
        if seen.authorization != f"Bearer {'first' if '/manifests/' in seen.path else 'second'}"
        else content(seen)
    )
    assert pull(registry, docker_config=log_in(registry.host)) == WASM
    assert (tokens.credentials, other.credentials) == ([BASIC], [])
    # Another scheme, host or port is another server; the user's configuration may name it.
    assert pull(registry, docker_config=log_in(registry.host, other.host)) == WASM
    assert other.credentials == [BASIC]


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.usefixtures("names")
def test_without_tls_no_token_server_elsewhere(
    *, serve: Serve, log_in: LogIn, is_named: bool
) -> None:
    tokens = serve(token_server, "tokens.test")
    registry = serve(wanting(TOKEN, bearer(tokens.origin)))
    hosts = (registry.host, tokens.host) if is_named else (registry.host,)
    assert pull(registry, docker_config=log_in(*hosts)) == WASM
    assert tokens.credentials == ([BASIC] if is_named else [])


@pytest.mark.usefixtures("names")
def test_a_token_server_without_tls_is_not_asked(serve: Serve, log_in: LogIn) -> None:
    tokens = serve(token_server)
    registry = serve(wanting(TOKEN, bearer(tokens.origin)), "registry.test")
    for hosts in ((registry.host,), (registry.host, tokens.host)):
        with pytest.raises(FetchError, match="an address without TLS"):
            pull(registry, docker_config=log_in(*hosts))
    assert tokens.seen == []


@pytest.mark.parametrize("entry", [{}, {"identitytoken": "refresh"}])
@pytest.mark.usefixtures("names")
def test_no_credentials_are_sent_on(serve: Serve, log_in: LogIn, entry: dict[str, str]) -> None:
    other = serve(token_server, "storage.test")
    tokens = serve(lambda _: redirect(f"{other.origin}/elsewhere"), "tokens.test")
    registry = serve(wanting(TOKEN, bearer(f"{tokens.origin}/token")), "registry.test")
    config = log_in(registry.host, **entry)
    if entry:
        with pytest.raises(FetchError, match="the server answered 307"):
            pull(registry, docker_config=config)
        assert other.seen == []
    else:
        assert pull(registry, docker_config=config) == WASM
        # Neither the header nor the query is repeated.
        assert [(seen.path, seen.authorization) for seen in other.seen] == [("/elsewhere", None)]


def test_another_port_or_name_is_another_host(serve: Serve, log_in: LogIn) -> None:
    elsewhere = serve(wanting(BASIC, "Basic"))
    for there in (elsewhere.host, elsewhere.host.replace("127.0.0.1", "localhost")):
        registry = serve(lambda _, to=there: redirect(f"http://{to}/x"))
        with pytest.raises(FetchError, match="the server answered 401"):
            pull(registry, docker_config=log_in(registry.host, there))
    assert elsewhere.credentials == []


def test_a_bad_configuration_is_said_only_when_it_is_needed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert pull(serve(content), docker_config=tmp_path) == WASM
    with pytest.raises(FetchError, match=r"guest:1: .*config\.json: malformed JSON"):
        pull(serve(wanting(BASIC, "Basic")), docker_config=tmp_path)
    assert Login(tmp_path / "none").credentials(Host("a")) is None


# What a registry sends


@pytest.mark.parametrize(
    ("manifest", "blob", "words"),
    [
        (manifest_of(size=len(WASM) + 1), WASM, ": wrong size, expected 24 bytes, got 23"),
        (manifest_of(size=len(WASM) - 1), WASM, "longer than allowed, expected at most 22 bytes"),
        (manifest_of(size=1 << 40), WASM, "too large"),
        (MANIFEST, WASM[:-1] + b"x", "wrong digest"),
        (MANIFEST, WASM[:-1], "wrong size"),
        (MANIFEST, WASM + b"\0", "longer than allowed"),
        (manifest_of(size=-1), WASM, "malformed descriptor"),
        (manifest_of(digest="../../../etc/passwd"), WASM, "malformed digest"),
        (b"<html>", WASM, "malformed JSON"),
        (MANIFEST, {"status": 404}, "the server answered 404"),
        ({"status": 404}, WASM, "the server answered 404"),
        (MANIFEST, {"body": WASM[:-1], "claimed": len(WASM)}, "the connection broke"),
        (MANIFEST, {"body": WASM, "endless": True}, "longer than allowed"),
        (b" " * (5 << 20), WASM, "longer than allowed"),
        ({"body": MANIFEST[:9], "claimed": 99}, WASM, "the connection broke"),
    ],
)
def test_other_bytes_than_promised_are_refused(
    serve: Serve, tmp_path: Path, manifest: Told, blob: Told, words: str
) -> None:
    registry = serve(lambda seen: manifest if "/manifests/" in seen.path else blob)
    uri = f"oci://{registry.host}/codecs/guest"
    store, access = CodecStore(tmp_path / "store"), RegistryAccess(bounds=QUICK)
    with pytest.raises(FetchError) as caught:
        install(Source.parse(f"{uri}:1"), store, access=access, kinds=("core",))
    assert str(caught.value).startswith(f"{uri}:")
    assert words in str(caught.value)
    assert not store.root.exists()


def test_a_pinned_manifest_may_not_be_another(serve: Serve) -> None:
    registry = serve(content)

    def reference(manifest: bytes) -> Reference:
        digest = hashlib.sha256(manifest).hexdigest()
        return Reference.parse(f"{registry.host}/codecs/guest:1@sha256:{digest}")

    pulled = pull_from(reference(MANIFEST))
    assert (pulled.top, pulled.manifest) == (reference(MANIFEST).digest,) * 2
    assert [data for _, data in pulled.fetched] == [MANIFEST, WASM]
    assert registry.seen[0].path == f"/v2/codecs/guest/manifests/{reference(MANIFEST).digest}"
    with pytest.raises(DigestMismatchError, match=r"manifest .*: wrong digest"):
        pull_from(reference(MANIFEST + b" "))
