"""PEM blocks and base64: one text for some bytes, and nothing else is read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import AttestationError
from chonkle.oci.pem import Pem, from_base64, missing_extra, to_base64


@given(st.binary(min_size=1, max_size=300))
def test_what_is_written_is_read_again(data: bytes) -> None:
    block = Pem("PUBLIC KEY", data)
    assert Pem.parse(bytes(block), what="k") == block
    assert Pem.parse(bytes(block).replace(b"\n", b"\r\n"), what="k") == block


def test_a_block_is_what_openssl_writes(golden: Path) -> None:
    for path in (golden / "ecdsa-p256.pub", golden / "ed25519.pub"):
        assert bytes(Pem.read(path)) == path.read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"-----BEGIN A-----\nAAAA\n-----END B-----\n",
        b"-----BEGIN A-----\nAAAA\n-----END A-----\nmore",
        b"-----BEGIN A-----\nAAAA\n-----END A-----\n" * 2,
        b"-----BEGIN A-----\n\xff\n-----END A-----\n",
        b"-----BEGIN A-----\nAAA\n-----END A-----\n",
        b"-----BEGIN A-----\n" + b"AAAA" * 20000 + b"\n-----END A-----\n",
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(AttestationError, match=r"^k: "):
        Pem.parse(text, what="k")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttestationError, match=r"none\.pub: No such file"):
        Pem.read(tmp_path / "none.pub")


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ==\n", "Q Q==", "QQ==QQ==", "_w==", 7])
def test_bytes_have_one_text(text: object) -> None:
    assert to_base64(b"A") == "QQ=="
    with pytest.raises(AttestationError, match="base64"):
        from_base64(text, what="x", size_max=100)


def test_base64_is_bounded() -> None:
    assert from_base64(to_base64(b"123"), what="x", size_max=3) == b"123"
    with pytest.raises(AttestationError, match="at most 3 bytes"):
        from_base64(to_base64(b"1234567"), what="x", size_max=3)


def test_a_missing_library_is_named_with_the_command_that_installs_it() -> None:
    failure = missing_extra(ImportError("no", name="nacl"))
    assert "need `nacl`" in str(failure)
    assert "install the extra `attest` of chonkle" in str(failure)
