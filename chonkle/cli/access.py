"""Options of commands that reach a registry: credentials, and which servers to trust."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chonkle.cli.usage import WrongUsage
from chonkle.errors import FetchError
from chonkle.oci.access import RegistryAccess
from chonkle.settings import Settings

if TYPE_CHECKING:
    from chonkle.oci.model import ArtifactReference

# For a whole command, which may send hundreds of files.
_TOTAL_S = 3600.0


def together[F: Callable[..., Any]](*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Make one decorator of several options."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


# What a command that reads sources needs to know of servers; `access_of` reads it.
server_options = together(
    click.option(
        "--ca-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Trust the certificates in this file, and no others.",
    ),
    click.option("--insecure", is_flag=True, help="Speak to the registry without TLS."),
)
_login_options = together(
    click.option("--username", metavar="NAME", help="Log in as NAME, and not as docker would."),
    click.option("--password-stdin", is_flag=True, help="Read NAME's password from stdin."),
)

# Gives how the registry of an artifact may be asked; None stands for a file.
type AccessTo = Callable[["ArtifactReference | None"], RegistryAccess]


def access_of(options: Mapping[str, Any]) -> RegistryAccess:
    """Give how servers may be asked; the environment decides what the options leave out."""
    access = Settings.from_environment().access
    return replace(access, ca_file=options["ca_file"], insecure=options["insecure"])


def with_access(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets all of them as its argument `access_to`."""

    @wraps(command)
    def with_one(
        *args: Any,  # noqa: ANN401 - the command's own
        username: str | None,
        password_stdin: bool,
        ca_file: Path | None,
        insecure: bool,
        **options: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        if (username is not None) != password_stdin:
            raise WrongUsage("--username and --password-stdin go together")

        def access_to(reference: "ArtifactReference | None") -> RegistryAccess:
            from chonkle.oci.model import Reference  # noqa: PLC0415 - not for files
            from chonkle.oci.transport import Bounds  # noqa: PLC0415 - brings requests with it

            access = replace(
                Settings.from_environment().access,
                ca_file=ca_file,
                bounds=Bounds(total_s=_TOTAL_S),
            )
            if not isinstance(reference, Reference):
                return access
            registry = str(reference.registry)
            if insecure and not access.is_for(reference.registry):
                access = replace(access, registry=registry, username="", password="")
            if username is not None:
                password = sys.stdin.readline().rstrip("\r\n")
                if not password:
                    raise FetchError("no password on standard input", expected="one line")
                access = replace(access, registry=registry, username=username, password=password)
            return replace(access, insecure=insecure)

        command(*args, access_to=access_to, **options)

    return _login_options(server_options(with_one))
