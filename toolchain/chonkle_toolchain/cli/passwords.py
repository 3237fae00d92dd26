"""Passwords of private keys: asked for without echo, or from the environment or standard input."""

import os
import sys

import click

from chonkle.errors import AttestationError

# The second one is cosign's.
_VARIABLES = ("CHONKLE_KEY_PASSWORD", "COSIGN_PASSWORD")

key_password_stdin = click.option(
    "--key-password-stdin",
    is_flag=True,
    help="Read the key's password from stdin, one line.",
)


def key_password(*, from_stdin: bool, is_new: bool = False) -> bytes:
    """Get the password of a private key.

    Args:
        from_stdin: whether to read it from standard input.
        is_new: whether it is for a new key: then it is asked for twice and must not be empty. A key
            of cosign may have an empty one.

    Raises:
        AttestationError: when there is no password, or that of a new key is empty.
    """
    password, where = _find(from_stdin=from_stdin, is_new=is_new)
    if is_new and not password.strip():
        raise AttestationError(
            f"an empty password for the new key, from {where}",
            expected="a password with a character that is not white space",
            hint="every reader of the file could sign with a key that has an empty password",
        )
    return password


def _find(*, from_stdin: bool, is_new: bool) -> tuple[bytes, str]:
    """Return the password, and where it is from in words."""
    if from_stdin:
        line = sys.stdin.readline()
        if not line:
            raise AttestationError("no password on standard input", expected="one line")
        return line.rstrip("\r\n").encode(), "standard input"
    for name in _VARIABLES:
        if name in os.environ:
            return os.environ[name].encode(), name
    if sys.stdin is None or not sys.stdin.isatty():
        raise AttestationError(
            "no password for the key, and no terminal to ask for it",
            hint=f"set {_VARIABLES[0]}, or use --key-password-stdin",
        )
    words = "Password for the new key" if is_new else "Password of the key"
    text: str = click.prompt(
        words, hide_input=True, err=True, default="", show_default=False, confirmation_prompt=is_new
    )
    return text.encode(), "the terminal"
