"""Authorization: which servers get a user's credentials.

A registry that needs a login answers `401` with a challenge (RFC 9110, section 11.6.1): `Basic`, or
`Bearer` with the address of a token server (Docker Registry, "Token Authentication"; for identity
tokens "OAuth 2"). Credentials are sent only

- to the registry's own scheme, host and port, when it challenges;
- to a token server that the registry's first challenge names over TLS, or that the user's
  configuration has an entry for. A registry on the loopback interface, which is asked without TLS,
  may name others there.

A challenge from another host, where a redirect led, gets no answer.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import requests

from chonkle.errors import FetchError
from chonkle.formats.json_text import parse_json
from chonkle.oci.address import Address, Host
from chonkle.oci.credentials import Credentials, Login
from chonkle.oci.transport import Request, Transport

_TOKEN_MAX_BYTES = 1 << 20
_CHALLENGE = re.compile(
    r'\b(basic|bearer)\b((?:[\s,]*[a-z_]+=(?:"[^"]*"|[^\s",]+))*)', re.IGNORECASE
)
_PARAMETER = re.compile(r'([a-z_]+)=(?:"([^"]*)"|([^\s",]+))', re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")
_REPOSITORY = re.compile(r"/v2/(.+)/(?:blobs|manifests|referrers|tags)/")


class RegistryTransport(Transport):
    """Makes all exchanges of one operation with one registry, and logs in where it asks for that.

    Args:
        registry: the registry.
        login: where credentials come from; there are none when left out.
        plain: whether to ask without TLS; None for the loopback interface alone.
        options: those of `Transport`.
    """

    def __init__(
        self,
        registry: Host,
        *,
        login: Login | None = None,
        plain: bool | None = None,
        **options: Any,  # noqa: ANN401 - handed on
    ) -> None:
        base = Address.of_registry(registry, plain=plain)
        super().__init__(base, without_tls=bool(plain), **options)
        self._login = login or Login()
        self._token_server: str | None = None
        # By scope: a token for reading one repository is none for another one, nor for writing.
        self._granted: dict[str, str] = {}

    def _authorized(self, request: Request, size_max: int) -> requests.Response:
        if request.address.origin != self.base.origin:
            return super()._authorized(request, size_max)
        scope = _scope(request)

        def send() -> tuple[requests.Response, Address]:
            granted = {"Authorization": self._granted[scope]} if scope in self._granted else {}
            response, where = self._follow(request.with_headers(granted))
            return self._read(response, size_max), where

        response, where = send()
        if response.status_code == requests.codes.unauthorized and where.origin == self.base.origin:
            granted = self._authorize(response.headers.get("WWW-Authenticate", ""))
            if granted is not None:
                self._granted[scope] = granted
                response, _ = send()
        return response

    def _authorize(self, challenges: str) -> str | None:
        """Return the `Authorization` header that answers a challenge; None where there is none."""
        found = {each[1].lower(): _parameters(each[2]) for each in _CHALLENGE.finditer(challenges)}
        if "bearer" in found:
            return f"Bearer {self._token(found['bearer'])}"
        if "basic" in found:
            credentials = self._credentials
            if credentials is not None and not credentials.identity_token:
                return credentials.basic
        return None

    def _token(self, challenge: Mapping[str, str]) -> str:
        if not challenge.get("realm"):
            raise FetchError("the registry wants a token and does not say where to get one")
        try:
            realm = Address.parse(challenge["realm"])
        except FetchError as failure:
            raise failure.within("the registry's token server") from failure
        asked = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        credentials = self._credentials if self._is_trusted(realm) else None
        response = self._persist(lambda: self._ask(realm, asked, credentials), repeatable=True)
        text = self.accepted(response, what=realm.origin).content
        document = parse_json(text, what=realm.origin, error=FetchError)
        token = None
        if isinstance(document, dict):
            token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise FetchError(f"{realm.origin}: no token in the answer")
        return token

    def _ask(
        self, realm: Address, asked: dict[str, str], credentials: Credentials | None
    ) -> requests.Response:
        if credentials is not None and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": "chonkle",
                "refresh_token": credentials.identity_token,
                **asked,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            request = Request("POST", realm, headers, urlencode(form).encode())
        else:
            headers = {} if credentials is None else {"Authorization": credentials.basic}
            request = Request("GET", realm.with_query(asked), headers)
        return self._read(self._follow(request)[0], _TOKEN_MAX_BYTES)

    def _is_trusted(self, realm: Address) -> bool:
        """Whether a token server may get the registry's credentials."""
        if self._token_server is None:
            self._token_server = realm.origin
        named_first = realm.origin == self._token_server
        safely = self.base.scheme == "https" or realm.host.is_loopback
        return (
            realm.origin == self.base.origin
            or (named_first and safely)
            or self._login.names(realm.host)
        )

    @cached_property
    def _credentials(self) -> Credentials | None:
        # Looked up once: a program may ask the user.
        return self._login.credentials(self.base.host)


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}


def _scope(request: Request) -> str:
    """Return what a request needs permission for, to keep tokens apart."""
    match = _REPOSITORY.match(request.address.target)
    if match is None:
        return ""
    return f"{match[1]}:{'pull' if request.method in ('GET', 'HEAD') else 'pull,push'}"
