"""Real registries on the loopback interface: plain, with TLS and passwords, with tokens.

    plain     docker-registry, which any client may read and write
    private   the same with TLS, whose certificate a private authority signed, and basic
              authentication
    token     the same without TLS, which takes only tokens of a server that the test's own process
              runs

Keys and certificates are made here, for each registry anew.
"""

import base64
import datetime as dt
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.loopback import sha256

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.wasm.config.v0+json"
WASM_TYPE = "application/wasm"

USER = "me"
PASSWORD = "secret"  # noqa: S105 - of a registry that lives as long as a test
# bcrypt of the password.
HTPASSWD = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SERVICE, ISSUER = "codecs", "the tests"

Kind = Literal["plain", "private", "token"]


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def manifest_of(*layers: dict[str, Any], config: bytes = b"{}") -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, config),
        "layers": list(layers),
    }


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the registry's own log has it."""

    method: str
    path: str
    status: int

    @property
    def sends_blob(self) -> bool:
        return "/blobs/uploads/" in self.path and self.method in ("POST", "PATCH", "PUT")


@dataclass(slots=True)
class Registry:
    """A real registry, spoken to without any client of ours.

    Attributes:
        address: host and port.
        process: the program.
        log: what it says, with a line for each request.
        authorization: what a request of the test itself carries.
        ca_file: certificate of the authority, where it has TLS.
        tokens: what gives out its tokens, where it wants them.
    """

    address: str
    process: "subprocess.Popen[bytes]"
    log: Path
    authorization: str = ""
    ca_file: Path | None = None
    tokens: "TokenServer | None" = None

    def request(
        self, method: str, url: str, body: bytes = b"", content_type: str = ""
    ) -> tuple[int, str, bytes]:
        """Make a request, and give the status, the location and the body of the response."""
        parts = urlsplit(url)
        authorization = self.authorization
        if self.tokens is not None:
            name = parts.path.removeprefix("/v2/")
            name = re.split("/(?:blobs|manifests|tags)/", name)[0]
            authorization = f"Bearer {self.tokens.token(f'repository:{name}:pull,push')}"
        if self.ca_file is None:
            connection = HTTPConnection(self.address, timeout=30)
        else:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            connection = HTTPSConnection(self.address, timeout=30, context=context)
        try:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            headers = {"Content-Type": content_type, "Authorization": authorization}
            # One type has all that there may be in a manifest's place.
            headers["Accept"] = f"{MANIFEST_TYPE}, {INDEX_TYPE}"
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheader("Location", ""), response.read()
        finally:
            connection.close()

    def read(self, path: str) -> bytes:
        status, _, body = self.request("GET", f"/v2/{path}")
        assert status == 200, (path, status, body)
        return body

    def tags(self, name: str) -> list[str]:
        status, _, body = self.request("GET", f"/v2/{name}/tags/list")
        return [] if status == 404 else sorted(json.loads(body)["tags"] or [])

    def push_blob(self, name: str, blob: bytes) -> None:
        status, location, _ = self.request("POST", f"/v2/{name}/blobs/uploads/")
        assert status == 202
        both = "&" if "?" in location else "?"
        target = f"{location}{both}digest={sha256(blob)}"
        status, *_ = self.request("PUT", target, blob, "application/octet-stream")
        assert status == 201

    def push_manifest(self, name: str, tag: str, document: object) -> str:
        manifest = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = json.loads(manifest)["mediaType"]
        status, *_ = self.request("PUT", f"/v2/{name}/manifests/{tag}", manifest, kind)
        assert status == 201
        return sha256(manifest)

    def push(self, name: str, tag: str, wasm: bytes) -> str:
        """Push a codec (OCI Distribution Specification 1.1, "Pushing"), and give its digest."""
        config = json.dumps({"architecture": "wasm", "os": "wasip1", "layerDigests": []}).encode()
        for blob in (config, wasm):
            self.push_blob(name, blob)
        return self.push_manifest(
            name, tag, manifest_of(descriptor(WASM_TYPE, wasm), config=config)
        )

    def requests(self) -> list[Request]:
        """List all requests so far."""
        # A line is written after its request was answered: ask for one more, and wait for its line.
        mark = f"mark={time.monotonic_ns()}"
        self.request("GET", f"/v2/?{mark}")
        deadline = time.monotonic() + 20
        while mark not in (text := self.log.read_text("utf-8", "replace")):
            assert time.monotonic() < deadline, text
            time.sleep(0.01)
        found = re.findall(r'\] "([A-Z]+) (\S+) HTTP/[\d.]+" (\d+) ', text)
        return [
            Request(method, path, int(status))
            for method, path, status in found
            if "/v2/?mark=" not in path
        ]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def certificate(name: str, *, issuer: Certificate | None = None) -> Certificate:
    """Make a certificate of an authority, or one of a loopback server that an authority signs."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if issuer is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Certificate(key, builder.sign(signer, hashes.SHA256()))


class TokenServer(ThreadingHTTPServer):
    """Gives tokens to clients that know the password (Docker Registry, "Token Authentication").

    Without a password, a token permits nothing.

    Attributes:
        signed_by: the key of the tokens, and its certificate.
        asked: the scopes and the authorization of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.signed_by = certificate(ISSUER)
        self.asked: list[tuple[list[str], str | None]] = []

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"

    def token(self, *scopes: str) -> str:
        """Make a token (RFC 7515, ES256) for scopes, each `type:name:action,action`."""
        der = self.signed_by.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        claims = {
            "iss": ISSUER,
            "sub": USER,
            "aud": SERVICE,
            "jti": str(time.monotonic_ns()),
            "iat": now,
            "nbf": now - 60,
            "exp": now + 300,
            "access": access,
        }
        text = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.signed_by.key.sign(text, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return (text + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class TokenHandler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        # One scope may be several, separated by spaces.
        scopes = " ".join(query.get("scope", [])).split()
        authorization = self.headers.get("Authorization")
        self.server.asked.append((scopes, authorization))
        may = query["service"] == [SERVICE] and authorization == f"Basic {BASIC}"
        body = json.dumps({"token": self.server.token(*(scopes if may else []))}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class _Setting:
    """What makes a registry one of its kind."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    http: Mapping[str, Any] = field(default_factory=dict)
    authorization: str = ""
    ca_file: Path | None = None
    tokens: TokenServer | None = None


def _private(folder: Path) -> _Setting:
    authority = certificate("authority of a test")
    server = certificate("registry", issuer=authority)
    contents = {
        "ca.pem": authority.pem,
        "server.pem": server.pem,
        "server.key": server.key_pem,
        "htpasswd": HTPASSWD.encode(),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return _Setting(
        {"auth": {"htpasswd": {"realm": "codecs", "path": str(folder / "htpasswd")}}},
        {"tls": {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}},
        authorization=f"Basic {BASIC}",
        ca_file=folder / "ca.pem",
    )


def _with_tokens(folder: Path, tokens: TokenServer) -> _Setting:
    bundle = folder / "tokens.pem"
    bundle.write_bytes(tokens.signed_by.pem)
    told = {
        "realm": tokens.realm,
        "service": SERVICE,
        "issuer": ISSUER,
        "rootcertbundle": str(bundle),
    }
    return _Setting({"auth": {"token": told}}, tokens=tokens)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve in a thread."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def started(folder: Path, program: str, kind: Kind = "plain") -> Iterator[Registry]:
    """Start a registry, and stop it."""
    with ExitStack() as stack:
        setting = _Setting()
        if kind == "private":
            setting = _private(folder)
        elif kind == "token":
            tokens = TokenServer()
            stack.enter_context(serving(tokens))
            setting = _with_tokens(folder, tokens)
        address = f"127.0.0.1:{free_port()}"
        document = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": {"addr": address, **setting.http},
            **setting.settings,
        }
        # JSON is YAML too.
        (folder / "config.yml").write_text(json.dumps(document))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "serve", str(folder / "config.yml")], stdout=output, stderr=output
            )
        found = Registry(
            address,
            process,
            log,
            authorization=setting.authorization,
            ca_file=setting.ca_file,
            tokens=setting.tokens,
        )
        stack.callback(found.stop)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert found.request("GET", "/v2/")[0] == 200
                break
            except OSError:
                words = log.read_text()
                assert process.poll() is None, words
                assert time.monotonic() < deadline, words
                time.sleep(0.05)
        yield found


def docker_login(folder: Path, address: str) -> Path:
    """Write what `docker login` would, and give docker's directory."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": BASIC}}}))
    return folder
