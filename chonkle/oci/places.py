"""Opening registries and image layouts, as the user allows it.

What speaks HTTP takes a quarter of a second to import, and most runs find everything in the codec
store: it is imported when a registry is asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from chonkle.oci.access import RegistryAccess
from chonkle.oci.address import Address
from chonkle.oci.model import ArtifactReference, LayoutReference, Reference
from chonkle.oci.repository import Repository

if TYPE_CHECKING:
    from chonkle.oci.authorization import RegistryTransport


def open_repository(
    reference: ArtifactReference,
    *,
    access: RegistryAccess,
    transport: "RegistryTransport | None" = None,
) -> Repository:
    """Open the repository of a registry, or the image layout, that an artifact is in.

    Args:
        reference: the artifact.
        access: how a registry may be asked.
        transport: makes the requests to a registry, and stays open; a new one when left out.

    Raises:
        FetchError: when it is in a registry, and none may be asked.
    """
    if isinstance(reference, LayoutReference):
        from chonkle.oci.layout import LayoutRepository  # noqa: PLC0415 - brings tarfile with it

        return LayoutRepository(reference.path)
    from chonkle.oci.registry import RegistryRepository  # noqa: PLC0415 - brings requests with it

    owns = transport is None
    transport = transport or open_transport(reference, access=access)
    return RegistryRepository(transport, reference.repository, owns=owns)


@contextmanager
def opened(
    references: Sequence[ArtifactReference], *, access: RegistryAccess
) -> Iterator[list[Repository]]:
    """Open the repositories of several artifacts; those in registries are all in one registry.

    They share connections, tokens and a limit of time, and are closed together.

    Yields:
        The repository of each; the same object for artifacts in one repository.

    Raises:
        FetchError: when an artifact is in a registry, and none may be asked.
    """
    found: dict[str, Repository] = {}
    transport: RegistryTransport | None = None
    with ExitStack() as stack:
        for reference in references:
            if isinstance(reference, Reference) and transport is None:
                transport = stack.enter_context(open_transport(reference, access=access))
            if _collection(reference) not in found:
                repository = open_repository(reference, access=access, transport=transport)
                found[_collection(reference)] = stack.enter_context(repository)
        yield [found[_collection(reference)] for reference in references]


def _collection(reference: ArtifactReference) -> str:
    if isinstance(reference, LayoutReference):
        return str(reference.path)
    return reference.repository


def open_transport(reference: Reference, *, access: RegistryAccess) -> "RegistryTransport":
    """Make the transport to a registry, with the credentials that it may get.

    Raises:
        FetchError: when no server may be asked.
    """
    access.require_online(reference.uri)
    # Late: these bring requests.
    from chonkle.oci.authorization import RegistryTransport  # noqa: PLC0415
    from chonkle.oci.credentials import Credentials, Login  # noqa: PLC0415

    registry = reference.registry
    named = access.is_for(registry)
    plain = None
    if access.insecure and (named or not access.registry):
        plain = True
    elif access.ca_file is not None:
        plain = False
    login = Login(access.docker_config)
    if named and access.username:
        host = Address.of_registry(registry, plain=plain).host
        login = replace(login, given={host: Credentials(access.username, access.password)})
    elif plain and not named and not registry.is_loopback:
        login = Login()  # `insecure` without a name is no leave to send credentials
    return RegistryTransport(
        registry,
        login=login,
        plain=plain,
        what=reference.uri,
        bounds=access.bounds,
        ca_file=access.ca_file,
    )
