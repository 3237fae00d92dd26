"""The sources that data may name: what the `uri` of a codec list, or metadata, may have fetched.

Data may come from anybody, so that the user allows the places that codecs come from.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from chonkle.errors import ResolveError
from chonkle.fetch import Source


@dataclass(frozen=True, slots=True)
class AllowedSources:
    """Places that codecs may be fetched from.

    Attributes:
        places: URIs, or what they begin with, up to a `/`, or to a pin.
        option: what allows another place, for messages.
        folder: the folder of the file that names sources, which may name what is below it.
    """

    places: tuple[str, ...] = ()
    option: str = "`sources=[...]`"
    folder: Path | None = None

    @classmethod
    def of(cls, places: Iterable[str] | None, *, folder: Path | None = None) -> Self | None:
        """Make it of what a caller in Python gives; None allows every source."""
        return None if places is None else cls(tuple(places), folder=folder)

    def allows(self, uri: str) -> bool:
        """Tell whether a source may be fetched from.

        Raises:
            FetchError: the URI is malformed; so none that is allowed leads out of its place.
        """
        Source.parse(uri)
        return any(
            uri == each or uri.startswith((f"{each.rstrip('/')}/", f"{each}@", f"{each}#"))
            for each in self._all_places()
        )

    def _all_places(self) -> tuple[str, ...]:
        if self.folder is None:
            return self.places
        folder = self.folder.resolve()
        return (*self.places, folder.as_uri(), f"oci-layout://{folder}")

    def require(self, name: str, uri: str) -> None:
        """Require that a codec may be fetched from where data say.

        Raises:
            ResolveError: it may not.
            FetchError: the URI is malformed.
        """
        if not self.allows(uri):
            raise ResolveError(
                f"codec `{name}`: its source is not allowed",
                got=uri,
                hint=f"{self.option} allows to fetch it",
            )

    def including(self, *places: str) -> "AllowedSources":
        """Allow more places."""
        return replace(self, places=(*self.places, *places))
