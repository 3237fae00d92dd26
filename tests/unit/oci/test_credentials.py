import base64
import json
import logging
import sys
from pathlib import Path

import pytest

from chonkle.errors import FetchError
from chonkle.oci.credentials import Credentials, find_credentials

REGISTRY = "registry.example:5000"


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


@pytest.mark.parametrize("name", [f"https://{REGISTRY}", f"https://{REGISTRY}/v1/", REGISTRY + "/"])
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
        {"auths": []},
        [],
    ],
)
def test_there_may_be_none(tmp_path: Path, config: object) -> None:
    assert find_credentials(REGISTRY, tmp_path / "nowhere") is None
    assert find_credentials(REGISTRY, write(tmp_path, config)) is None


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
    """Install `docker-credential-test`, which answers with what is in its file `answer`."""
    path = tmp_path / "bin" / "docker-credential-test"
    path.parent.mkdir()
    path.write_text(
        '#!/bin/sh\n[ "$1" = get ] && [ "$(cat)" = registry.example:5000 ] || exit 1\n'
        'cat "$0.answer"\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
@pytest.mark.parametrize(
    "config", [{"credsStore": "test"}, {"credsStore": "x", "credHelpers": {REGISTRY: "test"}}]
)
def test_a_program_is_asked(tmp_path: Path, program: Path, config: dict[str, object]) -> None:
    answer = program.with_name(f"{program.name}.answer")
    answer.write_text(json.dumps({"ServerURL": REGISTRY, "Username": "me", "Secret": "s"}))
    # What `docker login` leaves where a program keeps the credentials.
    write(tmp_path, {"auths": {REGISTRY: {}}, **config})
    assert find_credentials(REGISTRY, tmp_path) == Credentials("me", "s")
    answer.write_text('{"Username": 7}')
    with pytest.raises(FetchError, match="docker-credential-test: malformed answer"):
        find_credentials(REGISTRY, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
@pytest.mark.usefixtures("program")
def test_a_program_may_know_of_none(tmp_path: Path) -> None:
    write(tmp_path, {"credsStore": "test"})
    assert find_credentials("elsewhere.example", tmp_path) is None


def test_a_program_that_is_not_there_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, {"credsStore": "no-such-program"})
    with caplog.at_level(logging.WARNING):
        assert find_credentials(REGISTRY, tmp_path) is None
    assert "cannot ask docker-credential-no-such-program" in caplog.text
