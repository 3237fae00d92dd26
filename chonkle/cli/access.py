"""Options of commands that reach a registry: who asks, and which servers are to be trusted."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chonkle.settings import Settings

if TYPE_CHECKING:
    from chonkle.oci.places import Access

# For a whole command, which may send hundreds of files.
_TOTAL_S = 3600.0

_OPTIONS = (
    click.option("--username", metavar="NAME", help="Log in as NAME, and not as docker would."),
    click.option("--password-stdin", is_flag=True, help="Read NAME's password from stdin."),
    click.option(
        "--ca-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Trust the certificates in this file, and no others.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Let the registry be one without TLS on another machine."
    ),
)


def with_access(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets an `access` for all of them."""

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
            raise click.UsageError("--username and --password-stdin go together")
        access = _access(username, ca_file=ca_file, insecure=insecure)
        command(*args, access=access, **options)

    for option in reversed(_OPTIONS):
        with_one = option(with_one)
    return with_one


def _access(username: str | None, *, ca_file: Path | None, insecure: bool) -> Callable[[], "Access"]:
    """Give a function that makes the access, for commands that may not need one."""

    def make() -> "Access":
        # What speaks HTTP takes a quarter of a second to import.
        from chonkle.oci.credentials import Credentials, DockerLogin, GivenLogin, Login  # noqa: PLC0415
        from chonkle.oci.places import Access  # noqa: PLC0415
        from chonkle.oci.transport import Bounds  # noqa: PLC0415

        login: Login | None = None
        if username is not None:
            password = click.get_text_stream("stdin").readline().rstrip("\r\n")
            login = GivenLogin(Credentials(username, password))
        else:
            directory = Settings.from_environment().docker_config
            login = None if directory is None else DockerLogin(directory)
        return Access(
            login=login, ca_file=ca_file, insecure=insecure, bounds=Bounds(total_s=_TOTAL_S)
        )

    return make
