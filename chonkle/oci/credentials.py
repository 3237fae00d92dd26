"""Credentials for registries, from where `docker login` puts them.

    <directory>/config.json
      auths         registry -> {"auth": base64 of `user:password`}
      credHelpers   registry -> NAME, of the program `docker-credential-NAME` that knows them
      credsStore    NAME, for all other registries

A program is asked with `get`: the registry goes to its standard input, and the answer is JSON with
`Username` and `Secret` (docker's credential helper protocol).
"""

import base64
import logging
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chonkle.errors import FetchError, printable
from chonkle.formats.json_text import parse_json
from chonkle.storage.files import read_file

_FILE = "config.json"
_SIZE_MAX_BYTES = 4 << 20
# Long enough for somebody to be asked for a password.
_PROGRAM_TIMEOUT_S = 60.0

_log = logging.getLogger("chonkle.oci")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and what proves it.

    Attributes:
        user: the name.
        password: the password, or a token that stands for it.
    """

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credentials(registry: str, directory: Path) -> Credentials | None:
    """Look up what docker would log in with.

    Args:
        registry: host, with a port where it is not the usual one.
        directory: docker's directory, `~/.docker` or what DOCKER_CONFIG says.

    Returns:
        The credentials; None where there are none for this registry.

    Raises:
        FetchError: when docker's file is there and cannot be read.
    """
    path = directory / _FILE
    try:
        text = read_file(path, size_max=_SIZE_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise FetchError(f"cannot read {path}: {failure.strerror}") from failure
    config = _object(parse_json(text, what=str(path), error=FetchError))
    for name, entry in _object(config.get("auths")).items():
        auth = _object(entry).get("auth")
        if _host(name) == registry and isinstance(auth, str) and auth:
            return _decoded(auth, what=f"{path}: `auth` of {registry}")
    program = _object(config.get("credHelpers")).get(registry) or config.get("credsStore")
    return _asked(program, registry) if isinstance(program, str) and program else None


def _host(name: str) -> str:
    # Some are written as the URL of an old interface: `https://host/v1/`.
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _decoded(auth: str, *, what: str) -> Credentials:
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError as failure:
        raise FetchError(f"{what}: malformed", expected="base64 of `user:password`") from failure
    return Credentials(user, password.rstrip("\0"))


def _asked(name: str, registry: str) -> Credentials | None:
    """Ask a program; without an answer, a registry may still have something for everybody."""
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own file says which
            [program, "get"],
            input=registry.encode(),
            capture_output=True,
            check=False,
            timeout=_PROGRAM_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        _log.warning(printable(f"no credentials for {registry}: cannot ask {program}: {failure}"))
        return None
    if done.returncode != 0:
        return None  # it knows of none
    answer = _object(parse_json(done.stdout, what=program, error=FetchError))
    user, secret = answer.get("Username"), answer.get("Secret")
    if isinstance(user, str) and isinstance(secret, str):
        return Credentials(user, secret)
    raise FetchError(f"{program}: malformed answer", expected="`Username` and `Secret`")


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
