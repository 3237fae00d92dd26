"""Strict JSON: UTF-8, no duplicate keys, no NaN, and one clear error for everything else.

Values that other parsers cannot hold (RFC 8259, sections 6 and 8.2) are refused too: a float beyond
64 bits, which Python reads as infinity, and half of a surrogate pair.
"""

import json
import math
import re
from collections.abc import Callable
from typing import NoReturn

from chonkle.errors import ChonkleError

# In UTF-8, only an escape can contain a surrogate.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: bytes | str, *, what: str, error: Callable[..., ChonkleError]) -> object:
    """Parse strict JSON.

    Args:
        text: the document; bytes are UTF-8, with or without a byte order mark.
        what: the document's name in messages.
        error: the exception class to raise.

    Raises:
        ChonkleError: of that class, when the text is not strict JSON.
    """
    try:
        return _parse(text)
    except UnicodeDecodeError as failure:
        raise error(
            f"{what}: not UTF-8 text (byte {failure.start})", expected="a JSON document"
        ) from failure
    except UnicodeEncodeError as failure:
        raise error(f"{what}: a string holds half of a surrogate pair") from failure
    except json.JSONDecodeError as failure:
        raise error(
            f"{what}: malformed JSON at line {failure.lineno}, column {failure.colno}: "
            f"{failure.msg[:1].lower()}{failure.msg[1:]}"
        ) from failure
    except RecursionError as failure:
        raise error(f"{what}: JSON nested too deeply") from failure
    except _NotStrictError as failure:
        raise error(f"{what}: {failure}") from None
    except ValueError as failure:
        # An integer of more digits than Python converts.
        raise error(f"{what}: a number is too long") from failure


class _NotStrictError(ValueError):
    """Something that Python parses and strict JSON does not have."""


def _parse(text: bytes | str) -> object:
    decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    value: object = _DECODER.decode(decoded)
    if isinstance(text, str) or _SURROGATE.search(decoded):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _NotStrictError(f"the key `{key}` occurs twice in one object")
            seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise _NotStrictError(f"`{name}` is not a JSON number")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _NotStrictError(f"the number `{digits[:60]}` is too large for 64 bits")
    return number


# Made once: making one takes as long as parsing a short document.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
