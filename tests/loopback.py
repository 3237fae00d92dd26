"""Web servers on the loopback interface that say what a test wants, and remember what they saw.

`unit/oci/tls` holds the certificate of an authority made for these tests, and the key and
certificate of a server with the names in `NAMES`. OpenSSL 3.0 made them (`openssl ca`), valid from
2020 to 2120; the authority's key was thrown away.
"""

import hashlib
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_ROUTE = re.compile(r"/v2/(.+?)/(manifests|blobs/uploads|blobs|referrers|tags)/(.*)")
TLS = Path(__file__).parent / "unit/oci/tls"
NAMES = ("registry.test", "storage.test", "tokens.test")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that a server got.

    Attributes:
        method: in upper case.
        path: with its query.
        headers: by their names in lower case.
        body: its bytes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True, slots=True)
class Response:
    """The response of a server.

    Attributes:
        body: its bytes.
        status: of the response; 0 breaks the connection instead.
        headers: more of them.
        claimed: `Content-Length`; the true one when left out.
        endless: whether the body has no end.
        drip_s: a pause after each piece of a body without end.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed: int | None = None
    endless: bool = False
    drip_s: float = 0.0


type Told = bytes | dict[str, Any]


class Server(ThreadingHTTPServer):
    """A web server.

    Attributes:
        host: what it is called, with its port.
        respond: gives the response to a request: a body, or the fields of a `Response`.
        breaks_off: tells by method and path whether to break off in the middle of a request.
        seen: all requests so far.
    """

    daemon_threads = True

    def __init__(self, name: str, respond: Callable[[Seen], Told]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if name in NAMES:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "server.pem")
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"{name}:{self.server_port}"
        self.respond = respond
        self.breaks_off: Callable[[str, str], bool] = lambda *_: False
        self.seen: list[Seen] = []

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def credentials(self) -> list[str]:
        return [seen.authorization for seen in self.seen if seen.authorization is not None]

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing of clients that left."""


type Serve = Callable[..., Server]


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        if self.server.breaks_off(self.command, self.path):
            self.server.seen.append(Seen(self.command, self.path, {}, self.rfile.read(size // 2)))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, self.rfile.read(size))
        self.server.seen.append(seen)
        told = self.server.respond(seen)
        response = Response(told) if isinstance(told, bytes) else Response(**told)
        if response.status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.endless:
            self.close_connection = True
        else:
            claimed = len(response.body) if response.claimed is None else response.claimed
            self.send_header("Content-Length", str(claimed))
            self.close_connection = claimed != len(response.body)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        while response.endless:
            self.wfile.write(b" " if response.drip_s else bytes(1 << 16))
            time.sleep(response.drip_s)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@dataclass
class Registry:
    """A registry in memory (Distribution Specification 1.1), to be told what goes wrong in it.

    Attributes:
        lists_referrers: whether it knows of subjects and has the referrers API.
        chunk_min_bytes: what it says of the least size of a chunk; nothing for 0.
        fault: looks at each request first; what it gives is said instead.
        blobs: by digest.
        manifests: type and bytes, by repository and tag or digest.
        uploads: those that were begun and not ended.
    """

    lists_referrers: bool = True
    chunk_min_bytes: int = 0
    fault: Callable[[Seen], Told | None] = lambda _: None
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, seen: Seen) -> Told:
        told = self.fault(seen)
        if told is not None:
            return told
        url = urlsplit(seen.path)
        query = dict(parse_qsl(url.query))
        match = _ROUTE.fullmatch(url.path)
        if match is None:
            return {"status": 404}
        name, kind, wanted = match.groups()
        handle: Callable[..., Told] = getattr(self, f"_{kind.replace('/', '_')}")
        return handle(seen, name, wanted, query)

    def tags(self, name: str = "codecs/guest") -> list[str]:
        return [tag for there, tag in self.manifests if there == name and ":" not in tag]

    def _manifests(self, seen: Seen, name: str, wanted: str, _query: dict[str, str]) -> Told:
        if seen.method == "PUT":
            digest = sha256(seen.body)
            document = json.loads(seen.body)
            named = [document.get("config"), *document.get("layers", [])]
            missing = [
                each["digest"] for each in named if each and each["digest"] not in self.blobs
            ]
            if missing or (":" in wanted and wanted != digest):
                return refusal(400, "MANIFEST_BLOB_UNKNOWN", ", ".join(missing))
            for key in (wanted, digest):
                self.manifests[name, key] = (seen.headers["content-type"], seen.body)
            headers = {"Docker-Content-Digest": digest}
            if "subject" in document and self.lists_referrers:
                headers["OCI-Subject"] = document["subject"]["digest"]
            return {"status": 201, "headers": headers}
        if (name, wanted) not in self.manifests:
            return refusal(404, "MANIFEST_UNKNOWN", wanted)
        media_type, data = self.manifests[name, wanted]
        headers = {"Content-Type": media_type, "Docker-Content-Digest": sha256(data)}
        return {"body": data, "headers": headers}

    def _blobs(self, _seen: Seen, _name: str, wanted: str, _query: dict[str, str]) -> Told:
        return self.blobs.get(wanted) or refusal(404, "BLOB_UNKNOWN", wanted)

    def _blobs_uploads(self, seen: Seen, name: str, upload: str, query: dict[str, str]) -> Told:
        if seen.method == "POST":
            upload = str(len(self.blobs) + len(self.uploads))
            self.uploads[upload] = b""
        elif upload not in self.uploads:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", upload)
        arrived = self.uploads[upload]
        if seen.method == "PATCH":
            first, last = map(int, seen.headers["content-range"].split("-"))
            if first != len(arrived):
                return {"status": 416}
            assert last - first + 1 == len(seen.body)
        self.uploads[upload] = arrived = arrived + (b"" if seen.method == "POST" else seen.body)
        if seen.method == "PUT":
            digest = sha256(self.uploads.pop(upload))
            if digest != query["digest"]:
                return refusal(400, "DIGEST_INVALID", "provided digest did not match")
            self.blobs[digest] = arrived
            return {"status": 201, "headers": {"Docker-Content-Digest": digest}}
        headers = {
            "Location": f"/v2/{name}/blobs/uploads/{upload}?state=a",
            "Range": f"0-{max(len(arrived) - 1, 0)}",
        }
        if self.chunk_min_bytes:
            headers["OCI-Chunk-Min-Length"] = str(self.chunk_min_bytes)
        return {"status": 204 if seen.method == "GET" else 202, "headers": headers}

    def _referrers(self, _seen: Seen, name: str, wanted: str, _query: dict[str, str]) -> Told:
        # The filter is optional for a registry.
        if not self.lists_referrers:
            return {"status": 404, "body": b"404 page not found"}
        found = []
        for (there, key), (media_type, data) in self.manifests.items():
            document = json.loads(data)
            about = document.get("subject", {}).get("digest")
            if (there, about) == (name, wanted) and ":" in key:
                entry = {"mediaType": media_type, "digest": key, "size": len(data)}
                found.append({**entry, "artifactType": document["artifactType"]})
        return json.dumps({"schemaVersion": 2, "manifests": found}).encode()

    def _tags(self, _seen: Seen, name: str, _wanted: str, query: dict[str, str]) -> Told:
        following = [tag for tag in sorted(self.tags(name)) if tag > query.get("last", "")]
        page = following[:2]
        link = f'</v2/{name}/tags/list?n=2&last={page[-1]}>; rel="next"' if following[2:] else ""
        body = json.dumps({"name": name, "tags": page}).encode()
        return {"body": body, "headers": {"Link": link} if link else {}}


def refusal(status: int, code: str, message: str) -> Told:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return {"status": status, "body": body}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
