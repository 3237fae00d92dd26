"""Public keys: what openssl signed is accepted, and nothing that differs in a bit."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import AttestationError
from chonkle.oci.keys import ALGORITHMS, PublicKey
from chonkle.oci.private_keys import PrivateKey

P384 = """\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEo/IUSmZT0cyeZ2/mVpltJhElfRw66ZEW
TmVnQ7jT5LdrZBV5QgwRDKZvd70yEw9MXiTAgxvfZud1Z3m/HQa2DWajimwADiIf
dzfmP6T3avmWDz4zpBUe2bVtTdqSjm8h
-----END PUBLIC KEY-----
"""
RSA = """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1/uLHTPHBdQ0YPkrh1Cz
fx6+eqsSfwg/aERT5feVHqOYZhcVKQqaCrnd4cq3dTsX493igATRVVcvnc1kSYa+
k6pmPAXfTXNMGTjEJdf54VZw94jflZft7bcIj5WNXZIERHP9gu068zuOyrqRAC4w
p/AmfRxeLSVYycleA36RXw7qI7F17QOYS7ssekTy490aK9EChbOlulez69Wrbqsa
Rh7guN4j44+wPXD6OILndhzMPBHpqaTBj2bZ51tzEsGgG4mszdBWEkvnW/UoB3RU
l4yaBVI+Rtn8ZWw6GXvdP3P3qoHmZJHDISWlA0JWgzJzAcC2R24E/ENVxRzN3ZWH
2QIDAQAB
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_of_openssl_is_accepted(algorithm: str, golden: Path) -> None:
    key = PublicKey.from_file(golden / f"{algorithm}.pub")
    message = (golden / "payload.json").read_bytes()
    signature = (golden / f"payload.json.{algorithm}.sig").read_bytes()
    assert key.algorithm == algorithm
    assert key.verifies(signature, message)
    assert not key.verifies(signature, message + b" ")
    assert key.to_pem() == (golden / f"{algorithm}.pub").read_bytes()


@given(data=st.data())
def test_a_bit_that_is_changed_is_noticed(data: st.DataObject, golden: Path) -> None:
    algorithm = data.draw(st.sampled_from(ALGORITHMS))
    key = PublicKey.from_file(golden / f"{algorithm}.pub")
    parts = {
        "message": (golden / "payload.json").read_bytes(),
        "signature": (golden / f"payload.json.{algorithm}.sig").read_bytes(),
    }
    name = data.draw(st.sampled_from(sorted(parts)))
    bit = data.draw(st.integers(0, len(parts[name]) * 8 - 1))
    changed = bytearray(parts[name])
    changed[bit // 8] ^= 1 << bit % 8
    parts[name] = bytes(changed)
    assert not key.verifies(parts["signature"], parts["message"])


@given(data=st.data())
def test_a_key_with_a_changed_bit_is_another_key_or_none(data: st.DataObject, golden: Path) -> None:
    algorithm = data.draw(st.sampled_from(ALGORITHMS))
    text = bytearray((golden / f"{algorithm}.pub").read_bytes())
    # Behind the line break at the end there is nothing to change.
    bit = data.draw(st.integers(0, (len(text) - 1) * 8 - 1))
    text[bit // 8] ^= 1 << bit % 8
    message = (golden / "payload.json").read_bytes()
    signature = (golden / f"payload.json.{algorithm}.sig").read_bytes()
    try:
        key = PublicKey.from_pem(bytes(text), what="k")
    except AttestationError:
        return
    original = PublicKey.from_file(golden / f"{algorithm}.pub")
    # A line break may become another white space.
    assert key == original or not key.verifies(signature, message)


def test_a_key_is_named_as_cosign_names_it(golden: Path) -> None:
    key = PublicKey.from_file(golden / "cosign.pub")
    assert f'"hint":"{key.hint}"' in (golden / "cosign-bundle.json").read_text()
    assert str(key) == f"ecdsa-p256 sha256:{key.fingerprint}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(P384, "P-256, or Ed25519, got ECPublicKey", id="another-curve"),
        pytest.param(RSA, "P-256, or Ed25519, got RSAPublicKey", id="rsa"),
        pytest.param(P384.replace("PUBLIC", "PRIVATE"), "not a public key", id="private"),
        pytest.param(
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "malformed public key",
            id="malformed",
        ),
    ],
)
def test_other_keys_are_refused(text: str, words: str) -> None:
    with pytest.raises(AttestationError, match=words):
        PublicKey.from_pem(text, what="k")


def test_nothing_of_chonkle_needs_the_libraries_until_a_key_is_used() -> None:
    code = (
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "sys.modules['nacl'] = None\n"
        "import chonkle, chonkle.pipeline, chonkle.oci.attestation, chonkle.policy\n"
        "import chonkle_toolchain.cli.sign, chonkle_toolchain.cli.keygen\n"
        "import chonkle_toolchain.cli.verify\n"
        "try:\n"
        "    import chonkle.oci.keys\n"
        "except chonkle.ChonkleError as failure:\n"
        "    print(failure)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "keys and attestations need `cryptography`, which is not installed; "
        "hint: install the extra `attest` of chonkle\n"
    )


def test_keys_are_equal_by_what_they_are(private_keys: dict[str, PrivateKey], golden: Path) -> None:
    for name, key in private_keys.items():
        assert key.public == PublicKey.from_file(golden / f"{name}.pub")
    first, second = private_keys.values()
    assert first.public != second.public
