"""Misspelt fields and bad values in an author's signature.

Readers ignore unknown fields, so that later versions can add some. An author means the fields that
exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import cast

from chonkle.errors import SignatureError, list_choices
from chonkle.formats.declared import Declared, Parameter
from chonkle.formats.signature import Port, Signature
from chonkle.formats.values import format_value

_PORT_FIELDS = (
    *(field.name for kind in (Port, Parameter) for field in fields(kind)),
    "array",
    "description",
)
_FIELDS = (
    "$schema", "codec_id", "implementation", "version", "kind", "inputs", "outputs", "description",
    "license", "source", "deterministic", "lossless", "encoded_size", "partial_decode",
    "concurrency", "aliases", "identity",
)  # fmt: skip
_FLAGS = ("deterministic", "lossless")
# 1 for equal names; `licence` and `determinstic` are nearer.
_NEAR = 0.8


def require_known_fields(signature: Signature, *, what: str) -> None:
    """Require known fields in ports, and valid values.

    Args:
        signature: the signature.
        what: its origin, for messages.

    Raises:
        SignatureError: naming the field.
    """
    document = signature.document
    for side in ("inputs", "outputs"):
        for name, port in cast("Mapping[str, Mapping[str, object]]", document[side]).items():
            unknown = sorted(port.keys() - {*_PORT_FIELDS})
            if unknown:
                raise SignatureError(
                    f"{what}: {side[:-1]} port `{name}`: unknown field `{unknown[0]}`",
                    hint=list_choices(_PORT_FIELDS),
                )
    for flag in _FLAGS:
        if not isinstance(value := document.get(flag, True), bool):
            raise SignatureError(
                f"{what}: bad `{flag}`", expected="a boolean", got=format_value(value)
            )
    Declared.of(signature, what=what)


def misspelt(signature: Signature) -> Iterator[str]:
    """Find fields with almost the name of a known one.

    Yields:
        A suggestion for each.
    """
    for name in sorted(signature.document.keys() - {*_FIELDS}):
        for meant in get_close_matches(name, _FIELDS, n=1, cutoff=_NEAR):
            yield f"unknown field `{name}` in the signature: did you mean `{meant}`?"
