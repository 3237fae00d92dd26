"""`chonkle keygen`: a pair of keys to sign codecs with."""

import os
from pathlib import Path

import click

from chonkle.cli.output import print_json, print_lines
from chonkle.errors import AttestationError, os_error_text
from chonkle.storage.files import write_atomic
from chonkle_toolchain.cli import options
from chonkle_toolchain.cli.passwords import key_password, key_password_stdin

# Not writable for others, whatever the process's mask: they could replace the key.
_PUBLIC_MODE = 0o644
_ALGORITHMS = ("ecdsa-p256", "ed25519")


@click.command(short_help="Make a pair of keys to sign codecs with.")
@click.option(
    "--output-prefix",
    type=click.Path(path_type=Path),
    default=Path("chonkle"),
    metavar="PREFIX",
    help="Write PREFIX.key and PREFIX.pub.  [default: chonkle]",
)
@click.option(
    "--algorithm",
    type=click.Choice(_ALGORITHMS),
    default=_ALGORITHMS[0],
    show_default=True,
    help="The kind of key. cosign 3 checks only signatures of ecdsa-p256.",
)
@key_password_stdin
@options.as_json
def keygen(output_prefix: Path, algorithm: str, *, key_password_stdin: bool, as_json: bool) -> None:
    """Make a private key, which signs codecs, and a public key, which checks the signatures.

    The private key is encrypted with a password, in a form that cosign reads too. The password is
    CHONKLE_KEY_PASSWORD or COSIGN_PASSWORD, or it is asked for. Existing files are not replaced.

    \b
    Exit codes:
      1  a file is there already or cannot be written, or the extra `attest` is missing

    \b
    Environment:
      CHONKLE_KEY_PASSWORD COSIGN_PASSWORD

    \b
    Examples:
      chonkle keygen
      chonkle keygen --output-prefix release --algorithm ed25519

    \b
    See also:
      `chonkle sign`, `chonkle verify --key`, and docs/reference/attestations.md.
    """
    # Late: the extra may be missing.
    from chonkle.oci.private_keys import PrivateKey  # noqa: PLC0415

    secret, public = (
        output_prefix.with_name(f"{output_prefix.name}.{ending}") for ending in ("key", "pub")
    )
    for path in (secret, public):
        if os.path.lexists(path):  # also a link that leads nowhere
            raise AttestationError(
                f"{path} is there already", hint="remove it, or name another --output-prefix"
            )
    password = key_password(from_stdin=key_password_stdin, is_new=True)
    key = PrivateKey.generate("ed25519" if algorithm == "ed25519" else "ecdsa-p256")
    try:
        write_atomic(public, key.public.to_pem(), mode=_PUBLIC_MODE)
        try:
            write_atomic(secret, key.to_pem(password))
        except BaseException:
            public.unlink()
            raise
    except OSError as failure:
        raise AttestationError(f"cannot write the keys: {os_error_text(failure)}") from failure
    if as_json:
        print_json({"private": str(secret), "public": str(public), "key": str(key.public)})
    else:
        print_lines(
            f"{secret}  private: keep it, and its password, to yourself",
            f"{public}  public: {key.public}",
        )
