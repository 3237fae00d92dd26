from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.digest import Digest, read_verified
from chonkle.errors import DigestMismatchError, FetchError

# The digests of nothing: from the BLAKE3 paper's test vectors and from FIPS 180-4.
EMPTY_BLAKE3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_digests_of_nothing_are_those_of_the_standards() -> None:
    assert str(Digest.blake3(b"")) == f"blake3:{EMPTY_BLAKE3}"
    assert str(Digest.sha256(b"")) == f"sha256:{EMPTY_SHA256}"


@given(st.binary())
def test_a_digest_is_written_and_parsed(data: bytes) -> None:
    for digest in (Digest.blake3(data), Digest.sha256(data)):
        assert Digest.parse(str(digest)) == digest
        assert digest.of(memoryview(data)) == digest
        digest.check(data, what="x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY_SHA256,
        "sha256:",
        f"sha256:{EMPTY_SHA256[:-1]}",
        f"sha256:{EMPTY_SHA256}0",
        f"sha256:{EMPTY_SHA256.upper()}",
        f"sha256:{EMPTY_SHA256}\n",
        f" sha256:{EMPTY_SHA256}",
        f"SHA256:{EMPTY_SHA256}",
        f"sha512:{EMPTY_SHA256}",
        f"md5:{EMPTY_SHA256}",
        "sha256:" + "g" * 64,
        "sha256:" + "٣" * 64,
        "sha256:../../../etc/passwd",
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(DigestMismatchError, match="malformed digest"):
        Digest.parse(text)


def test_a_mismatch_shows_both_digests() -> None:
    with pytest.raises(FetchError) as caught:
        Digest("sha256", EMPTY_SHA256).check(b"x", what="oci://host/a")
    assert f"oci://host/a: wrong digest, expected `sha256:{EMPTY_SHA256}`" in str(caught.value)
    assert str(Digest.sha256(b"x")) in str(caught.value)


def test_a_stream_is_collected_and_checked() -> None:
    chunks = [b"ab", b"", b"c"]
    for digest in (None, Digest.sha256(b"abc"), Digest.blake3(b"abc")):
        assert read_verified(chunks, digest=digest, size_max=3, what="x") == b"abc"
    with pytest.raises(DigestMismatchError, match="wrong digest"):
        read_verified(chunks, digest=Digest.sha256(b"abd"), size_max=3, what="x")


def test_a_stream_is_left_as_soon_as_it_is_too_long() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"12345678"

    with pytest.raises(DigestMismatchError, match="longer than allowed, expected at most 20 bytes"):
        read_verified(endless(), digest=None, size_max=20, what="x")
    assert sent == 3
