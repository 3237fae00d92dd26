"""The server of the tests gives what is in its folders, and nothing outside of them."""

from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

pytestmark = pytest.mark.network


def get(origin: str, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = HTTPConnection(origin.removeprefix("http://"), timeout=10)
    # As it is: a browser, and most libraries, would take `..` out.
    connection.request("GET", path, headers={name.title(): text for name, text in headers.items()})
    response = connection.getresponse()
    found = response.status, response.read(), dict(response.getheaders())
    connection.close()
    return found


@pytest.fixture
def origin(tmp_path: Path, serve: Callable[..., str]) -> str:
    (tmp_path / "public/c").mkdir(parents=True)
    (tmp_path / "public/c/0").write_bytes(b"0123456789")
    (tmp_path / "public/chonkle.js").write_text("export {}")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "public-not").mkdir()
    (tmp_path / "public-not/secret").write_text("secret")
    (tmp_path / "public/link").symlink_to(tmp_path / "secret")
    return serve(data=tmp_path / "public")


def test_files_have_their_types(origin: str) -> None:
    status, data, headers = get(origin, "/data/c/0")
    assert (status, data, headers["Content-Type"]) == (
        200,
        b"0123456789",
        "application/octet-stream",
    )
    _, _, headers = get(origin, "/data/chonkle.js?version=1")
    assert headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("asked", "got"),
    [("2-4", b"234"), ("7-", b"789"), ("-3", b"789"), ("8-20", b"89"), ("-20", b"0123456789")],
)
def test_ranges(origin: str, asked: str, got: bytes) -> None:
    status, data, headers = get(origin, "/data/c/0", range=f"bytes={asked}")
    assert (status, data) == (206, got)
    assert headers["Content-Range"].endswith("/10")


def test_a_range_beyond_the_end_is_refused(origin: str) -> None:
    assert get(origin, "/data/c/0", range="bytes=10-")[0] == 416
    assert get(origin, "/data/c/0", range="bytes=-0")[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "/data/../secret",
        "/data/%2e%2e/secret",
        "/data/..%2fsecret",
        "/data/c/../../secret",
        "/data/../public-not/secret",
        "/data//etc/passwd",
        "/data/%2fetc%2fpasswd",
        "/data/link",
        "/data/c",
        "/data/c/0%00",
        "/data/missing",
        "/secret",
        "/..",
        "/",
    ],
)
def test_nothing_else_is_given(origin: str, path: str) -> None:
    status, data, _ = get(origin, path)
    assert (status, data) == (404, b"")
