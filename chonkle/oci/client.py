"""Pulling the codec of a wasm artifact."""

from dataclasses import dataclass
from pathlib import Path

from chonkle.errors import FetchError
from chonkle.oci.authorization import RegistryTransport
from chonkle.oci.credentials import DockerLogin
from chonkle.oci.model import Reference
from chonkle.oci.registry import RegistryRepository
from chonkle.oci.transport import Bounds


@dataclass(frozen=True, slots=True)
class Pulled:
    """A codec, and what leads to it from the digest that pins it.

    Attributes:
        manifest: its bytes.
        wasm: the codec, which the manifest describes.
    """

    manifest: bytes
    wasm: bytes


def pull_wasm(
    reference: Reference,
    *,
    size_max: int,
    docker_config: Path | None = None,
    bounds: Bounds | None = None,
) -> Pulled:
    """Pull the codec of a wasm artifact.

    Args:
        reference: where it is; its digest, if it has one, pins the manifest.
        size_max: bytes to accept at most.
        docker_config: docker's directory, which has credentials; None for none.
        bounds: limits of time.

    Returns:
        The manifest and the wasm, each checked against what promised it.

    Raises:
        FetchError: when the registry cannot be reached, refuses, has no such artifact or takes too
            long, or credentials cannot be read.
        DigestMismatchError: when it sends other bytes than it promised.
    """
    what = f"oci://{reference}"
    login = None if docker_config is None else DockerLogin(docker_config)
    with RegistryTransport(reference.registry, login=login, what=what, bounds=bounds) as transport:
        repository = RegistryRepository(transport, reference.repository, name=what)
        manifest = repository.manifest(reference.digest or reference.tag).data
        layer = reference.layer_in(manifest)
        if layer.size > size_max:
            raise FetchError(
                f"{what}: too large", expected=f"at most {size_max} bytes", got=str(layer.size)
            )
        wasm = repository.blob(layer)
    return Pulled(manifest, wasm)
