"""Credentials for registries: those that the user gave, and those of `docker login`.

    <directory>/config.json
      auths         registry -> {"auth": base64 of `user:password`}
                             or {"username": ..., "password": ...}
                             or {"identitytoken": ...}, a refresh token of OAuth 2
      credHelpers   registry -> NAME, of the program `docker-credential-NAME` that knows them
      credsStore    NAME, for all other registries

A program is called with `get`: it reads the registry from standard input, and answers in JSON with
`Username` and `Secret` (docker's credential helper protocol). With the user name `<token>`, the
secret is an identity token.
"""

import base64
import logging
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chonkle.errors import FetchError, printable
from chonkle.formats.json_text import parse_json
from chonkle.oci.address import Address, Host
from chonkle.storage.files import read_file

_FILE = "config.json"
_SIZE_MAX_BYTES = 4 << 20
# Long enough for a program to ask the user for a password.
_PROGRAM_TIMEOUT_S = 60.0
_TOKEN_USER = "<token>"  # noqa: S105 - no password, but docker's mark for a token
# Docker Hub is the one registry that docker knows by a URL.
_HUB = Address.of_registry(Host("docker.io")).host
_HUB_KEY = "https://index.docker.io/v1/"

_log = logging.getLogger("chonkle.oci")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with a password or a token."""

    user: str
    password: str = field(default="", repr=False)  # the password, or a token in its place
    # A refresh token, which only buys tokens; empty where there is a password.
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, slots=True)
class Login:
    """The credentials that the user gave for registries, and those of docker."""

    # Docker's directory, `~/.docker` or that of DOCKER_CONFIG; None for none.
    directory: Path | None = None
    # Credentials that go before docker's, by registry as `Address.of_registry` gives it.
    given: Mapping[Host, Credentials] = field(default_factory=dict)

    def credentials(self, registry: Host) -> Credentials | None:
        """Look up the credentials for a registry; None where there are none.

        Args:
            registry: its host, as `Address.of_registry` gives it.

        Raises:
            FetchError: when docker's file, or the answer of a program, cannot be read.
        """
        if registry in self.given:
            return self.given[registry]
        config = self._config()
        for name, entry in _object(config.get("auths")).items():
            if _host(name) == registry:
                found = _written(_object(entry), what=f"{self._path}: `auth` of {registry}")
                if found is not None:
                    return found
        programs = _object(config.get("credHelpers"))
        named = [programs[name] for name in programs if _host(name) == registry]
        program = next(filter(None, named), config.get("credsStore"))
        key = _HUB_KEY if registry == _HUB else str(registry)
        return _asked(program, key) if isinstance(program, str) and program else None

    def names(self, host: Host) -> bool:
        """Tell whether docker's configuration has an entry for a host.

        Raises:
            FetchError: when docker's file cannot be read.
        """
        config = self._config()
        entries = (*_object(config.get("auths")), *_object(config.get("credHelpers")))
        return any(_host(name) == host for name in entries)

    def registries(self) -> list[str]:
        """Name the registries that docker's configuration has credentials for, sorted.

        A program that keeps credentials of any registry is not asked which.

        Raises:
            FetchError: when docker's file cannot be read.
        """
        config = self._config()
        entries = (*_object(config.get("auths")), *_object(config.get("credHelpers")))
        return sorted({str(host) for host in map(_host, entries) if host is not None})

    @property
    def _path(self) -> Path:
        return (self.directory or Path()) / _FILE

    def _config(self) -> Mapping[str, object]:
        if self.directory is None:
            return {}
        try:
            text = read_file(self._path, size_max=_SIZE_MAX_BYTES)
        except FileNotFoundError:
            return {}
        except OSError as failure:
            raise FetchError(f"cannot read {self._path}: {failure.strerror}") from failure
        return _object(parse_json(text, what=str(self._path), error=FetchError))


def _host(name: str) -> Host | None:
    """Read a name in docker's file, which may be the URL of an old API: `https://host/v1/`."""
    text = name.removeprefix("https://").removeprefix("http://").partition("/")[0]
    try:
        return Address.of_registry(Host.parse(text)).host
    except FetchError:
        return None


def _written(entry: Mapping[str, object], *, what: str) -> Credentials | None:
    token, auth = entry.get("identitytoken"), entry.get("auth")
    user, password = entry.get("username"), entry.get("password")
    if isinstance(token, str) and token:
        return Credentials(user if isinstance(user, str) else "", identity_token=token)
    if isinstance(auth, str) and auth:
        return _decoded(auth, what=what)
    if isinstance(user, str) and isinstance(password, str) and user:
        return Credentials(user, password)
    return None


def _decoded(auth: str, *, what: str) -> Credentials:
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError as failure:
        raise FetchError(f"{what}: malformed", expected="base64 of `user:password`") from failure
    return Credentials(user, password.rstrip("\0"))


def _asked(name: str, registry: str) -> Credentials | None:
    """Ask a program. A failure is logged only: the registry may need no credentials."""
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
        return None  # it has none
    reply = _object(parse_json(done.stdout, what=program, error=FetchError))
    user, secret = reply.get("Username"), reply.get("Secret")
    if isinstance(user, str) and isinstance(secret, str):
        if user == _TOKEN_USER:
            return Credentials("", identity_token=secret)
        return Credentials(user, secret)
    raise FetchError(f"{program}: malformed answer", expected="`Username` and `Secret`")


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
