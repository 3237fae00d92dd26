"""Private keys: those that cosign made, those of openssl, and our own; and hostile files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chonkle.errors import AttestationError
from chonkle.oci.keys import ALGORITHMS, Algorithm, PublicKey
from chonkle.oci.pem import Pem, to_base64
from chonkle.oci.private_keys import PrivateKey

PASSWORD = b"hunter2"


def ask() -> bytes:
    return PASSWORD


def never() -> bytes:
    pytest.fail("asked for the password of a key that is refused")


@pytest.fixture(scope="module")
def sealed(golden: Path) -> bytes:
    """Give a key that cosign 3.1.1 made under `PASSWORD`."""
    return (golden / "cosign.key").read_bytes()


def test_a_key_of_cosign_is_read(sealed: bytes, golden: Path) -> None:
    key = PrivateKey.from_pem(sealed, what="k", password=ask)
    assert key.public == PublicKey.from_file(golden / "cosign.pub")
    older = sealed.replace(b"SIGSTORE", b"COSIGN")
    assert PrivateKey.from_pem(older, what="k", password=ask).public == key.public


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_key_is_read_again_with_its_password_alone(algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm)
    text = key.to_pem(PASSWORD)
    again = PrivateKey.from_pem(text, what="k", password=ask)
    assert again.public == key.public
    assert again.public.algorithm == algorithm
    assert key.public.verifies(again.sign(b"message"), b"message")
    with pytest.raises(AttestationError, match="the password is wrong, or the file damaged"):
        PrivateKey.from_pem(text, what="k", password=lambda: b"other")
    assert key.to_pem(PASSWORD) != text


def test_a_key_shows_nothing_of_itself(private_keys: dict[str, PrivateKey]) -> None:
    for key in private_keys.values():
        assert "Private" not in repr(key).removeprefix("PrivateKey(")


type Change = Callable[[dict[str, dict[str, object]]], None]


def set_costs(**costs: object) -> Change:
    return lambda document: document["kdf"].update(params=costs)


def set_member(part: str, name: str, value: object) -> Change:
    return lambda document: document[part].update({name: value})


def set_text(value: bytes) -> Change:
    return lambda document: document.update(ciphertext=to_base64(value))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(set_costs(N=1 << 30, r=8, p=1), "costs of scrypt", id="memory"),
        pytest.param(set_costs(N=1 << 16, r=8, p=1 << 20), "costs of scrypt", id="time"),
        pytest.param(set_costs(N=1 << 16, r=1 << 40, p=1), "costs of scrypt", id="blocks"),
        pytest.param(set_costs(N=65537, r=8, p=1), "costs of scrypt", id="no-power-of-two"),
        pytest.param(set_costs(N=1, r=8, p=1), "costs of scrypt", id="nothing"),
        pytest.param(set_costs(N=-2, r=8, p=1), "costs of scrypt", id="negative"),
        pytest.param(set_costs(N=True, r=8, p=1), "costs of scrypt", id="true"),
        pytest.param(set_costs(N=65536.0, r=8, p=1), "costs of scrypt", id="float"),
        pytest.param(set_costs(), "costs of scrypt", id="missing"),
        pytest.param(set_member("kdf", "name", "md5"), "encrypted in an unknown way", id="kdf"),
        pytest.param(
            set_member("cipher", "name", None), "encrypted in an unknown way", id="cipher"
        ),
        pytest.param(set_member("kdf", "salt", 1), "salt: not base64", id="salt"),
        pytest.param(set_member("kdf", "salt", "A" * 4096), "salt: not base64", id="long-salt"),
        pytest.param(set_member("cipher", "nonce", "AAAA"), "cut short", id="nonce"),
        pytest.param(set_text(b""), "cut short", id="no-text"),
        pytest.param(set_text(bytes(9999)), "ciphertext: not base64", id="long-text"),
    ],
)
def test_a_hostile_file_costs_nothing(change: Change, words: str, sealed: bytes) -> None:
    block = Pem.parse(sealed, what="k")
    document = json.loads(block.data)
    change(document)
    text = bytes(Pem(block.label, json.dumps(document).encode()))
    with pytest.raises(AttestationError, match=words):
        PrivateKey.from_pem(text, what="k", password=never)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (Pem("EC PRIVATE KEY", b"x"), "not a supported private key.*openssl pkcs8"),
        (Pem("PRIVATE KEY", b"x"), "malformed private key"),
        (Pem("ENCRYPTED SIGSTORE PRIVATE KEY", b"x"), "malformed JSON"),
        (Pem("ENCRYPTED SIGSTORE PRIVATE KEY", b"[]"), "encrypted in an unknown way"),
    ],
)
def test_what_is_no_key_is_refused(block: Pem, words: str) -> None:
    with pytest.raises(AttestationError, match=words):
        PrivateKey.from_pem(bytes(block), what="k", password=never)
