"""The options about registries: what a command is given for them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from chonkle.cli.access import AccessTo, with_access
from chonkle.cli.options import resolver_options, runtime_of
from chonkle.errors import FetchError
from chonkle.oci.access import RegistryAccess
from chonkle.oci.model import parse_reference

ENVIRONMENT = {
    "CHONKLE_REGISTRY": "host",
    "CHONKLE_REGISTRY_USERNAME": "env",
    "CHONKLE_REGISTRY_PASSWORD": "of env",
    "DOCKER_CONFIG": "docker",
}
USUAL = RegistryAccess(
    docker_config=Path("docker"),
    registry="host",
    username="env",
    password="of env",  # noqa: S106
)
NAMED = RegistryAccess(docker_config=Path("docker"))
ME = ("--username", "me", "--password-stdin")


def access(
    *options: str, uri: str = "oci://host/a", stdin: str = "secret\nmore\n"
) -> RegistryAccess:
    """Give what a command gets, but for the limit of time."""
    found: list[RegistryAccess] = []

    @click.command()
    @with_access
    def command(access_to: AccessTo) -> None:
        found.append(replace(access_to(parse_reference(uri)), bounds=None))

    done = CliRunner(env=ENVIRONMENT).invoke(command, options, input=stdin)
    if done.exception is not None:
        raise done.exception
    return found[0]


@pytest.mark.parametrize(
    ("options", "uri", "expected"),
    [
        ((), "oci://host/a", {}),
        ((), "oci://other/a", {}),
        (("--insecure",), "oci://host/a", {"insecure": True}),
        (ME, "oci://host/a", {"username": "me", "password": "secret"}),
        (
            (*ME, "--insecure"),
            "oci://host/a",
            {"username": "me", "password": "secret", "insecure": True},
        ),
        (("--insecure",), "oci-layout://a", {}),
        (ME, "oci-layout://a", {}),
    ],
)
def test_options_go_before_the_environment(
    options: tuple[str, ...], uri: str, expected: Mapping[str, object]
) -> None:
    assert access(*options, uri=uri) == replace(USUAL, **dict(expected))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--insecure",), replace(NAMED, registry="other:80", insecure=True)),
        (ME, replace(NAMED, registry="other:80", username="me", password="secret")),  # noqa: S106
    ],
)
def test_credentials_stay_with_their_registry(
    options: tuple[str, ...], expected: RegistryAccess
) -> None:
    assert access(*options, uri="oci://other:80/a") == expected


def test_certificates_are_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with pytest.raises(SystemExit):
        access("--ca-file", str(path))
    path.touch()
    assert access("--ca-file", str(path)) == replace(USUAL, ca_file=path)


def test_a_password_is_a_line() -> None:
    with pytest.raises(FetchError, match="no password on standard input, expected one line"):
        access(*ME, stdin="")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), USUAL),
        (("--insecure",), replace(USUAL, insecure=True)),
        (("--ca-file", __file__), replace(USUAL, ca_file=Path(__file__))),
    ],
)
def test_commands_that_read_sources_have_the_options_about_servers(
    options: tuple[str, ...], expected: RegistryAccess
) -> None:
    @click.command()
    @resolver_options
    def command(**options: Any) -> None:
        assert runtime_of(options).settings.access == expected

    done = CliRunner(env=ENVIRONMENT).invoke(command, options)
    assert done.exception is None
