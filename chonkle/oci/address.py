"""Addresses of HTTP servers, parsed once and strictly.

Every host and URL of a user, a registry, a redirect or docker's configuration is read here.
Requests use the text that is written again from the parsed parts, so that no library can read
another host.

Refused are: user information before the host, names that are not ASCII (an internationalized name
is written as punycode, `xn--...`), a dot behind the name, addresses in short or octal form
(`127.1`), and zones of IPv6 addresses. Upper case becomes lower case, and a scheme's usual port is
left out.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode, urljoin

from chonkle.errors import FetchError
from chonkle.formats.values import format_value

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST = re.compile(r"(?P<name>[^:\[\]]+|\[[^\[\]]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
# A host whose last part is a number is an IPv4 address for some readers.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME_MAX = 253
_PORT_MAX = 65535
_USUAL_PORTS = {"http": 80, "https": 443}
_UNQUOTED = "/?%!$&'()*+,;=:@[]"
# Docker Hub's registry, and the names that users and `docker login` know it by.
_HUB = "registry-1.docker.io"
_HUB_NAMES = ("docker.io", "index.docker.io")


@dataclass(frozen=True, slots=True)
class Host:
    """A host with its port: another port is another host."""

    name: str  # ASCII, in lower case; an IPv6 address without brackets
    port: int | None = None  # None for the usual one of the scheme

    @classmethod
    def parse(cls, text: str) -> "Host":
        """Read `name[:port]`.

        Raises:
            FetchError: when it is not exactly that.
        """
        if "@" in text:
            # The text is not shown: it may have a password.
            raise FetchError("a host with user information before it", expected="`host[:port]`")
        match = _HOST.fullmatch(text)
        name = None if match is None else _name(match["name"].lower())
        port = None if match is None or match["port"] is None else int(match["port"])
        if name is None or (port is not None and not 0 < port <= _PORT_MAX):
            raise FetchError(
                "malformed host",
                expected="`host[:port]`",
                got=format_value(text),
                hint="" if text.isascii() else "write the name as punycode, `xn--...`",
            )
        return cls(name, port)

    def __str__(self) -> str:
        """Write the host as in a URL."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine itself."""
        if self.name == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.name).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Address:
    """An `http://` or `https://` URL."""

    scheme: Literal["http", "https"]
    host: Host  # where the request goes
    target: str = "/"  # path and query, quoted; it begins with a slash

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read a URL; its fragment is dropped.

        Raises:
            FetchError: when it is not one.
        """
        match = _URL.fullmatch(text) if text.isprintable() else None
        if match is None:
            raise FetchError(
                "not an address of a web server",
                expected="`https://host[:port]/path`",
                got=format_value(text.partition("?")[0]),
            )
        scheme: Literal["http", "https"] = "https" if match[1].lower() == "https" else "http"
        target = quote(match[3], safe=_UNQUOTED)
        return cls._of(
            scheme, Host.parse(match[2]), target if target.startswith("/") else f"/{target}"
        )

    @classmethod
    def of_registry(cls, host: Host, *, plain: bool | None = None) -> "Address":
        """Return the base address of a registry.

        Args:
            host: the registry.
            plain: whether to ask without TLS; None for the loopback interface alone.
        """
        if host.name in _HUB_NAMES:
            host = Host(_HUB)
        plain = host.is_loopback if plain is None else plain
        return cls._of("http" if plain else "https", host, "/v2/")

    @classmethod
    def _of(cls, scheme: Literal["http", "https"], host: Host, target: str) -> "Address":
        usual = host.port == _USUAL_PORTS[scheme]
        return cls(scheme, Host(host.name) if usual else host, target)

    def __str__(self) -> str:
        """Write the URL."""
        return f"{self.origin}{self.target}"

    @property
    def origin(self) -> str:
        """Scheme, host and port; credentials are for one origin."""
        return f"{self.scheme}://{self.host}"

    def joined(self, location: str) -> "Address":
        """Resolve a `Location` in an answer from this address.

        Raises:
            FetchError: when it is malformed.
        """
        try:
            return Address.parse(urljoin(str(self), location) if location.isprintable() else "")
        except ValueError as failure:
            raise FetchError("malformed redirect", got=format_value(location)) from failure

    def with_query(self, pairs: dict[str, str]) -> "Address":
        """Return the address with a longer query."""
        if not pairs:
            return self
        both = "&" if "?" in self.target else "?"
        return Address(self.scheme, self.host, f"{self.target}{both}{urlencode(pairs)}")


def _name(text: str) -> str | None:
    """Normalize a host's name; None where it is malformed."""
    try:
        if text.startswith("["):
            address = ipaddress.IPv6Address(text[1:-1])
            return None if address.scope_id else str(address)
        if _NUMBER.fullmatch(text.rpartition(".")[2]):
            return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None
    return text if len(text) <= _NAME_MAX and _NAME.fullmatch(text) else None
