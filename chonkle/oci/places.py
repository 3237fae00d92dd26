"""Where artifacts are: URIs of repositories, and how these are opened.

oci://HOST/PATH[:TAG][@sha256:HEX]      a repository of a registry
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chonkle.digest import Digest
from chonkle.errors import FetchError
from chonkle.formats.values import shown
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.credentials import Login
from chonkle.oci.model import Reference
from chonkle.oci.registry import RegistryRepository
from chonkle.oci.repository import Repository
from chonkle.oci.transport import Bounds

OCI = "oci://"


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, and what is meant in it.

    Attributes:
        repository: its URI, without tag and digest.
        tag: empty where none is written.
        digest: of a manifest; it wins over the tag.
    """

    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read a URI.

        Raises:
            FetchError: for another scheme, or a malformed one.
        """
        if not text.startswith(OCI):
            raise FetchError(
                f"{shown(text)}: not a place for artifacts",
                expected="`oci://HOST/REPOSITORY[:TAG]`",
            )
        reference = Reference.parse(text)
        has_tag = ":" in text.partition("@")[0].rpartition("/")[2]
        return cls(
            f"{OCI}{reference.registry}/{reference.repository}",
            reference.tag if has_tag else "",
            reference.digest,
        )

    @staticmethod
    def is_one(text: str) -> bool:
        """Tell whether a text is meant as such a URI, and not as a path."""
        return text.startswith(OCI)

    @property
    def wanted(self) -> str | Digest:
        """What to look up: the digest, or the tag, which is `latest` when left out."""
        return self.digest or self.tag or "latest"

    def within(self, name: str) -> "Place":
        """Give a repository below this one.

        Raises:
            FetchError: when it cannot have that name.
        """
        return Place.parse(f"{self.repository}/{name}")

    def with_tag(self, tag: str) -> "Place":
        """Give the repository with another tag.

        Raises:
            FetchError: when there can be no such tag.
        """
        return Place.parse(f"{self.repository}:{tag}")

    def __str__(self) -> str:
        """Write the URI."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{'' if self.digest is None else f'@{self.digest}'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How registries are reached.

    Attributes:
        login: where credentials come from; None for none.
        ca_file: certificates to trust instead of the usual ones.
        insecure: whether a registry on another machine may be one without TLS.
        bounds: limits of time, for everything that goes to one registry.
        on_retry: is told why a request is made again; a log line when left out.
    """

    login: Login | None = None
    ca_file: Path | None = None
    insecure: bool = False
    bounds: Bounds | None = None
    on_retry: Callable[[str], None] | None = None


class Places:
    """Opens repositories; those of one registry share connections, tokens and a limit of time.

    Args:
        access: how registries are reached.
    """

    def __init__(self, access: Access | None = None) -> None:
        self._access = access or Access()
        self._stack = ExitStack()
        self._transports: dict[str, RegistryTransport] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, place: Place) -> Repository:
        """Open a repository, which is closed with all others."""
        reference = Reference.parse(place.repository)
        transport = self._transports.get(str(reference.registry))
        if transport is None:
            transport = self._stack.enter_context(
                RegistryTransport(
                    reference.registry,
                    login=self._access.login,
                    insecure=self._access.insecure,
                    what=f"{OCI}{reference.registry}",
                    bounds=self._access.bounds,
                    on_retry=self._access.on_retry,
                    ca_file=self._access.ca_file,
                )
            )
            self._transports[str(reference.registry)] = transport
        return RegistryRepository(transport, reference.repository)


@contextmanager
def open_repository(place: Place | str, *, access: Access | None = None) -> Iterator[Repository]:
    """Open one repository.

    Args:
        place: where it is; tag and digest are of no effect.
        access: how its registry is reached.

    Raises:
        FetchError: when there can be none there.
    """
    with Places(access) as places:
        yield places.open(Place.parse(place) if isinstance(place, str) else place)
