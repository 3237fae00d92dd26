import base64
import json
import logging
import sys
from pathlib import Path

import pytest

from chonkle.errors import FetchError
from chonkle.oci.address import Address, Host
from chonkle.oci.credentials import Credentials, Login

REGISTRY = "registry.example:5000"
HUB_KEY = "https://index.docker.io/v1/"


def find_credentials(registry: str, directory: Path) -> Credentials | None:
    return Login(directory).credentials(Address.of_registry(Host.parse(registry)).host)


def encoded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


def write(folder: Path, config: object) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_what_is_written_down_is_found(tmp_path: Path) -> None:
    auths = {
        "registry.example": {"auth": encoded("other:one")},
        REGISTRY: {"auth": encoded("me:a:b é")},
    }
    found = find_credentials(REGISTRY, write(tmp_path, {"auths": auths}))
    assert found == Credentials("me", "a:b é")
    assert found.basic == f"Basic {encoded('me:a:b é')}"
    assert "a:b" not in repr(found)


@pytest.mark.parametrize(
    "name", [f"https://{REGISTRY}", f"https://{REGISTRY}/v1/", REGISTRY + "/", REGISTRY.upper()]
)
def test_a_registry_may_be_written_as_a_url(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"auths": {name: {"auth": encoded("me:secret")}}})
    assert find_credentials(REGISTRY, tmp_path) == Credentials("me", "secret")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auths": {}},
        {"auths": {"registry.example": {"auth": encoded("me:secret")}}},
        {"auths": {REGISTRY: {}}},
        {"auths": {REGISTRY: {"auth": ""}}},
        {"auths": {REGISTRY: None}, "credHelpers": {"elsewhere": "x"}, "credsStore": ""},
        {"auths": {REGISTRY: {"username": "me"}}},
        {"auths": {REGISTRY: {"username": "", "password": "secret"}}},
        {"auths": {REGISTRY: {"identitytoken": ""}}},
        {"auths": {"user@" + REGISTRY: {"auth": encoded("me:secret")}, "": {}}},
        {"auths": {REGISTRY.partition(":")[0] + ":443": {"auth": encoded("me:secret")}}},
        {"auths": []},
        [],
    ],
)
def test_there_may_be_none(tmp_path: Path, config: object) -> None:
    assert find_credentials(REGISTRY, tmp_path / "nowhere") is None
    assert find_credentials(REGISTRY, write(tmp_path, config)) is None


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"username": "me", "password": "a:b"}, Credentials("me", "a:b")),
        ({"auth": encoded("me:one"), "username": "x", "password": "y"}, Credentials("me", "one")),
        # What docker writes for a registry that gave it a refresh token.
        ({"auth": encoded("me:"), "identitytoken": "t"}, Credentials("", identity_token="t")),  # noqa: S106
    ],
)
def test_the_forms_of_an_entry(tmp_path: Path, entry: dict[str, str], found: Credentials) -> None:
    write(tmp_path, {"auths": {REGISTRY: entry}})
    assert find_credentials(REGISTRY, tmp_path) == found
    assert repr(found) == f"Credentials(user={found.user!r})"


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io:443"])
def test_docker_hub_has_a_key_of_its_own(tmp_path: Path, registry: str) -> None:
    write(tmp_path, {"auths": {HUB_KEY: {"auth": encoded("me:secret")}}})
    assert find_credentials(registry, tmp_path) == Credentials("me", "secret")
    assert find_credentials("docker.example", tmp_path) is None


def test_a_configuration_names_hosts(tmp_path: Path) -> None:
    config = {"auths": {"https://a.example/v1/": {}}, "credHelpers": {"b.example:5": "x"}}
    login = Login(write(tmp_path, config))
    for host, is_named in (("a.example", True), ("b.example:5", True), ("b.example", False)):
        assert login.names(Host.parse(host)) == is_named
    assert not Login(tmp_path / "nowhere").names(Host("a.example"))


@pytest.mark.parametrize("auth", ["*", encoded("me")[:-1], "_w=="])
def test_what_is_no_base64_is_said_and_not_shown(tmp_path: Path, auth: str) -> None:
    write(tmp_path, {"auths": {REGISTRY: {"auth": auth}}})
    with pytest.raises(FetchError, match=r"`auth` of registry.*: malformed, expected") as caught:
        find_credentials(REGISTRY, tmp_path)
    assert auth not in str(caught.value).removeprefix(str(tmp_path))


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FetchError, match=r"config\.json: malformed JSON"):
        find_credentials(REGISTRY, tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(FetchError, match=r"cannot read .*config\.json"):
        find_credentials(REGISTRY, tmp_path)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install `docker-credential-test`, which answers with what is in its file `reply`."""
    path = tmp_path / "bin" / "docker-credential-test"
    path.parent.mkdir()
    path.write_text(
        '#!/bin/sh\n[ "$1" = get ] || exit 1\n'
        f'case "$(cat)" in {REGISTRY} | {HUB_KEY}) cat "$0.reply" ;; *) exit 1 ;; esac\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
@pytest.mark.parametrize(
    "config", [{"credsStore": "test"}, {"credsStore": "x", "credHelpers": {REGISTRY: "test"}}]
)
def test_a_program_is_asked(tmp_path: Path, program: Path, config: dict[str, object]) -> None:
    reply = program.with_name(f"{program.name}.reply")
    reply.write_text(json.dumps({"ServerURL": REGISTRY, "Username": "me", "Secret": "s"}))
    # What `docker login` leaves where a program keeps the credentials.
    write(tmp_path, {"auths": {REGISTRY: {}}, **config})
    assert find_credentials(REGISTRY, tmp_path) == Credentials("me", "s")
    reply.write_text(json.dumps({"Username": "<token>", "Secret": "s"}))
    assert find_credentials(REGISTRY, tmp_path) == Credentials("", identity_token="s")  # noqa: S106
    reply.write_text('{"Username": 7}')
    with pytest.raises(FetchError, match="docker-credential-test: malformed answer"):
        find_credentials(REGISTRY, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
def test_a_program_knows_docker_hub_by_its_key(tmp_path: Path, program: Path) -> None:
    program.with_name(f"{program.name}.reply").write_text('{"Username": "me", "Secret": "s"}')
    write(tmp_path, {"credsStore": "test"})
    assert find_credentials("docker.io", tmp_path) == Credentials("me", "s")


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
@pytest.mark.usefixtures("program")
def test_a_program_may_know_of_none(tmp_path: Path) -> None:
    write(tmp_path, {"credsStore": "test"})
    assert find_credentials("elsewhere.example", tmp_path) is None


def test_a_missing_program_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, {"credsStore": "no-such-program"})
    with caplog.at_level(logging.WARNING):
        assert find_credentials(REGISTRY, tmp_path) is None
    assert "cannot ask docker-credential-no-such-program" in caplog.text
