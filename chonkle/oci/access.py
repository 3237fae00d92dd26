"""Access: what the user allows for requests to registries and other servers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chonkle.errors import FetchError

if TYPE_CHECKING:
    from chonkle.oci.address import Host
    from chonkle.oci.transport import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """How registries and other servers may be asked.

    Attributes:
        docker_config: docker's directory, for credentials; None for none.
        registry: the one registry that `username`, `password` and `insecure` are for, as
            `host[:port]`; empty for none.
        username: the user name there; empty for docker's credentials.
        password: the password or token.
        insecure: whether that registry is spoken to without TLS. Where none is named, all are, and
            get no credentials, except on the loopback interface.
        ca_file: certificates of the authorities to trust, in PEM; None for those of the
            environment. With it a registry on the loopback interface is asked over TLS too.
        offline: whether to fail instead of asking any server.
        bounds: limits of time; None for the usual ones.
    """

    docker_config: Path | None = None
    registry: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False
    ca_file: Path | None = None
    offline: bool = False
    bounds: "Bounds | None" = None

    def __post_init__(self) -> None:
        """Refuse credentials that are incomplete, or not for one registry, with a FetchError."""
        if self.registry:
            # Late: most runs name no registry.
            from chonkle.oci.address import Host  # noqa: PLC0415

            Host.parse(self.registry)
        elif self.username or self.password:
            raise FetchError(
                "credentials for a registry without its name", expected="`host[:port]`"
            )
        if bool(self.username) != bool(self.password):
            raise FetchError("a user name and a password for a registry come together")

    def require_online(self, uri: str) -> None:
        """Refuse to ask a server if the user is offline.

        Args:
            uri: what would be fetched.

        Raises:
            FetchError: naming the URI, and the command that fetches it.
        """
        if self.offline:
            raise FetchError(
                f"{uri}: not fetched, because CHONKLE_OFFLINE is set",
                hint=f"with a network, `CHONKLE_OFFLINE=0 chonkle pull '{uri}'` fetches it",
            )

    def is_for(self, host: "Host") -> bool:
        """Tell whether a registry is the one that is named."""
        from chonkle.oci.address import Address, Host  # noqa: PLC0415

        if not self.registry:
            return False
        named = Address.of_registry(Host.parse(self.registry)).host
        return named == Address.of_registry(host).host
