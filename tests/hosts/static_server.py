"""A web server on the loopback interface that gives files of some folders, and nothing else."""

import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}
RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


class StaticServer(ThreadingHTTPServer):
    """Gives `/NAME/PATH` the bytes of a file in the folder NAME, or a range of them.

    Attributes:
        folders: by name.
    """

    daemon_threads = True

    def __init__(self, folders: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders = {name: folder.resolve() for name, folder in folders.items()}

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def find(self, path: str) -> Path | None:
        """Give the file of a path; None if it is none, or lies outside of its folder."""
        name, _, rest = unquote(urlsplit(path).path).removeprefix("/").partition("/")
        folder = self.folders.get(name)
        if folder is None or "\0" in rest:
            return None
        # After links and `..` were followed.
        found = folder.joinpath(rest).resolve()
        return found if found.is_relative_to(folder) and found.is_file() else None


class _Handler(BaseHTTPRequestHandler):
    server: StaticServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply()

    def do_HEAD(self) -> None:
        self._reply()

    def _reply(self) -> None:
        path = self.server.find(self.path)
        if path is None:
            self._send(404, b"", {})
            return
        data = path.read_bytes()
        headers = {
            "Content-Type": TYPES.get(path.suffix, "application/octet-stream"),
            "Accept-Ranges": "bytes",
            # A test that changes a file sees the change.
            "Cache-Control": "no-store",
        }
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None:
            self._send(200, data, headers)
            return
        # RFC 9110, section 14.1.2: first and last, or the number of last bytes.
        first, last = match.groups()
        start = int(first) if first else max(0, len(data) - int(last or 0))
        end = min(len(data), int(last) + 1) if first and last else len(data)
        if start >= end:
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self._send(206, data[start:end], headers)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""
