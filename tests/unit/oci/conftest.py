"""Fixtures for web servers on the loopback interface."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.loopback import NAMES, TLS, Registry, Seen, Serve, Server, Told


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
