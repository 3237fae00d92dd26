"""Small real codecs, modules written in WebAssembly text; a place for them, in memory; servers."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from chonkle.digest import Digest
from chonkle.errors import FetchError
from chonkle.formats.signature import Signature, embed_signature
from chonkle.oci.keys import ALGORITHMS
from chonkle.oci.model import MANIFEST_TYPE, WASM_CONFIG_TYPE, WASM_LAYER_TYPE, Descriptor
from chonkle.oci.private_keys import PrivateKey
from chonkle.oci.repository import Progress, Repository, StoredManifest
from tests.fixture_types import MakeCodec
from tests.loopback import NAMES, TLS, Registry, Seen, Serve, Server, Told

# Gives back what it was given: the port-map itself is the answer.
_ECHO = """(module
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "dealloc") (param i32 i32))
  (func $echo (param $at i32) (param $size i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
            (i64.extend_i32_u (local.get $size))))
  (export "encode" (func $echo)) (export "decode" (func $echo)))"""


@cache
def _compiled(wat: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat))


@pytest.fixture(scope="session")
def make_codec() -> MakeCodec:
    """Give a function that makes a wasm codec which echoes its `bytes`."""

    def make(
        codec_id: str = "echo",
        implementation: str | None = "echo-a",
        version: str = "1.0.0",
        *,
        kind: str = "core",
        note: str = "",
        **fields: object,
    ) -> bytes:
        document = {
            "codec_id": codec_id,
            "implementation": implementation,
            "version": version,
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"bytes": {"type": "bytes"}},
            "description": note,
            **fields,
        }
        if implementation is None:
            del document["implementation"]
        wat = _ECHO if kind == "core" else "(component)"
        return embed_signature(_compiled(wat), Signature.from_json(document))

    return make


class MemoryRepository(Repository):
    """A repository in memory, which gives what it holds unchecked where it was tampered with."""

    def __init__(self, name: str = "oci://registry.test/codecs/x") -> None:
        self.name = name
        self.blobs: dict[Digest, bytes] = {}
        self.manifests: dict[Digest, StoredManifest] = {}
        self.named: dict[str, Digest] = {}
        self.known_referrers: dict[Digest, list[Descriptor]] = {}
        self.questions = 0

    def resolve(self, wanted: str | Digest) -> Descriptor | None:
        self.questions += 1
        digest = self.named.get(wanted) if isinstance(wanted, str) else wanted
        return None if digest not in self.manifests else self.manifests[digest].descriptor

    def manifest(self, wanted: str | Digest) -> StoredManifest:
        found = self.resolve(wanted)
        if found is None:
            raise FetchError(f"{self.name}: no manifest `{wanted}`")
        return self.manifests[found.digest]

    def tags(self) -> list[str]:
        return sorted(self.named)

    def has_blob(self, blob: Descriptor) -> bool:
        return blob.digest in self.blobs

    def blob(self, blob: Descriptor, *, progress: Progress | None = None) -> bytes:  # noqa: ARG002
        self.questions += 1
        if blob.digest not in self.blobs:
            raise FetchError(f"{self.name}: no blob `{blob.digest}`")
        return self.blobs[blob.digest]

    def write_blob(
        self,
        data: bytes,
        media_type: str,
        *,
        progress: Progress | None = None,  # noqa: ARG002
    ) -> Descriptor:
        digest = Digest.sha256(data)
        self.blobs[digest] = data
        return Descriptor(media_type, digest, len(data))

    def write_manifest(self, data: bytes, media_type: str, *, tag: str | None = None) -> Descriptor:
        document = json.loads(data)
        kind = document.get("artifactType", "")
        descriptor = Descriptor(media_type, Digest.sha256(data), len(data), kind)
        self.manifests[descriptor.digest] = StoredManifest(descriptor, data)
        if tag is not None:
            self.named[tag] = descriptor.digest
        if "subject" in document:
            subject = Digest.parse(document["subject"]["digest"])
            self.known_referrers.setdefault(subject, []).append(descriptor)
        return descriptor

    def referrers(self, subject: Digest, *, artifact_type: str = "") -> list[Descriptor]:
        self.questions += 1
        found = self.known_referrers.get(subject, [])
        return [each for each in found if artifact_type in ("", each.artifact_type)]

    def push(self, wasm: bytes, *, tag: str = "1.0.0") -> Descriptor:
        """Push a codec as an artifact."""
        config = self.write_blob(b"{}", WASM_CONFIG_TYPE)
        layer = self.write_blob(wasm, WASM_LAYER_TYPE)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.to_json(),
            "layers": [layer.to_json()],
        }
        return self.write_manifest(json.dumps(manifest).encode(), MANIFEST_TYPE, tag=tag)


@pytest.fixture
def repository() -> MemoryRepository:
    return MemoryRepository()


@pytest.fixture(scope="session")
def golden() -> Path:
    """Give the folder with keys and attestations that openssl and cosign made."""
    return Path(__file__).parents[1] / "golden/attestations"


@pytest.fixture(scope="session")
def private_keys(golden: Path) -> dict[str, PrivateKey]:
    """Give a private key of each algorithm, which openssl made."""
    return {
        name: PrivateKey.from_file(golden / f"{name}.pem", password=bytes) for name in ALGORITHMS
    }


@pytest.fixture
def registry() -> Registry:
    """Give an empty registry; `serve(registry)` starts it."""
    return Registry()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that starts a server; a name out of `NAMES` makes it one with TLS."""
    with ExitStack() as stack:

        def start(answer: Callable[[Seen], Told], name: str = "127.0.0.1") -> Server:
            server = stack.enter_context(Server(name, answer))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names of `NAMES` lead to the loopback interface, and their certificate be trusted."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> object:
        return real("127.0.0.1" if host in NAMES else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
