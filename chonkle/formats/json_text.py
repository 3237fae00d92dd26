"""Strict JSON: UTF-8, no duplicate keys, no NaN, and one clear error for everything else."""

import json
from collections.abc import Callable
from typing import NoReturn

from chonkle.errors import ChonkleError


def parse_json(text: bytes | str, *, what: str, error: Callable[..., ChonkleError]) -> object:
    """Parse JSON that somebody else wrote.

    Args:
        text: the document; bytes are UTF-8, with or without a byte order mark.
        what: the document's name in messages.
        error: the exception class to raise.

    Returns:
        The parsed value.

    Raises:
        ChonkleError: of the class asked for, when the text is not strict JSON.
    """

    def refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise error(f"{what}: the key `{twice}` occurs twice in one object")
        return found

    def refuse_constant(name: str) -> NoReturn:
        raise error(f"{what}: `{name}` is not a JSON number")

    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as failure:
        raise error(
            f"{what}: not UTF-8 text (byte {failure.start})", expected="a JSON document"
        ) from failure
    try:
        value: object = json.loads(
            decoded, object_pairs_hook=refuse_duplicates, parse_constant=refuse_constant
        )
    except json.JSONDecodeError as failure:
        raise error(
            f"{what}: malformed JSON at line {failure.lineno}, column {failure.colno}: "
            f"{failure.msg[:1].lower()}{failure.msg[1:]}"
        ) from failure
    except RecursionError as failure:
        raise error(f"{what}: JSON nested too deeply") from failure
    except ValueError as failure:
        if isinstance(failure, ChonkleError):
            raise
        # An integer of more digits than Python converts.
        raise error(f"{what}: a number is too long") from failure
    return value
