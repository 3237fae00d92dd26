import re
from pathlib import Path

import pytest

from chonkle import fetch
from chonkle.digest import Digest
from chonkle.errors import DigestMismatchError, FetchError
from chonkle.fetch import Source
from chonkle.oci.access import RegistryAccess

DATA = b"\0asm some bytes"
ACCESS = RegistryAccess()
PIN = Digest.blake3(DATA).hex
OTHER_PIN = Digest.blake3(b"other").hex


@pytest.mark.parametrize(
    "name", ["codec.wasm", "with space.wasm", "100%.wasm", "a#b?c.wasm", "é ü.wasm", "%41.wasm"]
)
def test_a_file_uri_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(DATA)
    assert Source.parse(path.as_uri()).fetch(access=ACCESS).data == DATA
    assert Source.parse(f"{path.as_uri()}#blake3={PIN}").fetch(access=ACCESS).data == DATA


@pytest.mark.parametrize("begin", ["file://", "file://localhost", "FILE://", "File://"])
def test_a_file_uri_may_name_this_host_in_any_case(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "a b"
    path.write_bytes(DATA)
    source = Source.parse(begin + path.as_uri().removeprefix("file://"))
    assert source.scheme == "file"
    assert source.fetch(access=ACCESS).data == DATA


@pytest.mark.parametrize(
    ("text", "scheme", "is_pinned"),
    [
        ("file:///a", "file", False),
        (f"file:///a#blake3={PIN}", "file", True),
        ("https://host/a?b=c", "https", False),
        (f"HTTPS://host/a#blake3={PIN}", "https", True),
        ("oci://host/a:1", "oci", False),
        (f"OCI://host/a@sha256:{PIN}", "oci", True),
    ],
)
def test_a_source_says_whether_it_is_pinned(text: str, scheme: str, is_pinned: bool) -> None:  # noqa: FBT001 - a column of the table
    source = Source.parse(text)
    assert (source.scheme, source.is_pinned) == (scheme, is_pinned)
    assert source.uri.startswith(f"{scheme}://")
    assert "#" not in source.uri


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://host/a", "hint: http:// is refused"),
        ("HTTP://host/a", "hint: http:// is refused"),
        ("", "it has no scheme"),
        ("a.wasm", "it has no scheme"),
        ("/a.wasm", "it has no scheme"),
        ("file:/a.wasm", "it has no scheme"),
        ("ftp://host/a", "not a scheme"),
        ("javascript://x", "not a scheme"),
        ("file:///a#", "malformed pin"),
        ("file:///a#sha256=" + PIN, "malformed pin"),
        ("file:///a#b.wasm", "malformed pin"),
        ("oci://host/a#blake3=" + PIN, "malformed pin"),
        ("file:///a#blake3=", "malformed digest"),
        ("file:///a#blake3=" + PIN.upper(), "malformed digest"),
        ("file:///a#blake3=" + PIN[:-1], "malformed digest"),
        ("file:///a#blake3=" + PIN + "#x", "malformed digest"),
    ],
)
def test_another_source_is_refused(text: str, problem: str) -> None:
    with pytest.raises(FetchError, match=problem):
        Source.parse(text)


@pytest.mark.parametrize("host", ["server", "server:80", "127.0.0.1", "..", "mine.wasm"])
def test_a_relative_path_and_a_file_on_another_host_are_refused(host: str) -> None:
    words = f"a relative path, or a file on another host, `{re.escape(host)}`, expected"
    with pytest.raises(FetchError, match=words):
        Source.parse(f"file://{host}/etc/passwd").fetch(access=ACCESS)


@pytest.mark.parametrize("scheme", ["file", "https"])
def test_credentials_are_refused_and_not_shown(scheme: str) -> None:
    with pytest.raises(FetchError, match="credentials in it") as caught:
        Source.parse(f"{scheme}://user:secret@localhost/codec.wasm")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/", "/%00", "/a%00b", "", "/" + "a" * 5000])
def test_a_file_that_cannot_be_read_is_said_so(path: str) -> None:
    with pytest.raises(FetchError, match="cannot read the file"):
        Source.parse(f"file://{path}").fetch(access=ACCESS)


def test_other_bytes_than_pinned_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA)
    with pytest.raises(DigestMismatchError) as caught:
        Source.parse(f"{path.as_uri()}#blake3={OTHER_PIN}").fetch(access=ACCESS)
    assert str(caught.value) == (
        f"{path.as_uri()}: wrong digest, expected `blake3:{OTHER_PIN}`, got `blake3:{PIN}`"
    )


def test_a_file_is_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SIZE_MAX_BYTES", 10)
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert len(Source.parse(path.as_uri()).fetch(access=ACCESS).data) == 10
    path.write_bytes(b"x" * 11)
    with pytest.raises(FetchError, match="more than the allowed 10 bytes"):
        Source.parse(path.as_uri()).fetch(access=ACCESS)


def test_a_malformed_oci_reference_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(FetchError, match="malformed OCI reference"):
        Source.parse("oci://HOST//a").fetch(access=ACCESS)


@pytest.mark.parametrize(
    "text",
    [
        "file:///opt/codecs/../../evil/e.wasm",
        "file:///opt/codecs/./e.wasm",
        "file:///opt/codecs/%2e%2e/e.wasm",
        "file:///opt/codecs/.%2E/e.wasm",
        "file:///opt/codecs/..%2fevil.wasm",
        "file:///opt/codecs/..%5cevil.wasm",
        "file:///opt/codecs/%252e%252e/e.wasm",
        f"file:///opt/codecs/../e.wasm#blake3={PIN}",
        "oci-layout:///opt/codecs/../../w/bad:1.0.0",
        "oci-layout:///opt/codecs/..:1.0.0",
        f"oci-layout:///opt/codecs/..@sha256:{PIN}",
        "oci-layout://../codecs",
        "oci-layout:///opt/%2e%2e/codecs",
        "https://host/codecs/%2e%2e/evil/x.wasm",
        "https://host/codecs/..;a=b/evil/x.wasm",
        "https://host/codecs/..?a=b",
        "https://host/%25252525252e",
        "oci://host/codecs/../evil:1.0.0",
    ],
)
def test_a_path_that_leads_elsewhere_than_it_seems_is_refused(text: str) -> None:
    with pytest.raises(FetchError, match="as a part of its path"):
        Source.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "file:///a/..b/.c/d../e...wasm",
        "file:///a/100%25.wasm",
        "oci-layout:///a/b.:1.0.0",
        "https://host/a?b=..",
    ],
)
def test_dots_in_names_are_fine(text: str) -> None:
    assert Source.parse(text).uri == text
