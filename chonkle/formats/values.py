"""Port types, and how scalar values travel: as JSON text.

A `bytes` port carries bytes as they are. A value of any other type is JSON text (RFC 8259): `2` is
`b"2"`, a dtype is `b'"<u2"'` and a list of lengths is `b"[3, 4]"`.

`plain_value` reads what Python programs have instead: NumPy's scalars, arrays and dtypes, tuples.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from chonkle.errors import PipelineError
from chonkle.formats.json_text import parse_json

PortType = Literal["bytes", "string", "int", "uint", "float", "bool", "uint[]", "dtype_desc"]
PORT_TYPES: tuple[str, ...] = get_args(PortType)

# Codecs read integers as 64-bit.
_INT_MIN, _INT_MAX, _UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


def is_value(value: object, port_type: str) -> bool:
    """Tell whether a parsed JSON value belongs to a scalar port type.

    Args:
        value: what `json.loads` gave.
        port_type: one of `PORT_TYPES` but `bytes`.
    """
    check = _CHECKS.get(port_type)
    return check is not None and check(value)


def _is_integer(value: object, least: int, most: int) -> bool:
    # In Python, unlike JSON, a bool is an int.
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_json(value: object) -> bool:
    # A caller's list may hold any object, itself included.
    try:
        encode_scalar(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


_CHECKS: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "int": lambda value: _is_integer(value, _INT_MIN, _INT_MAX),
    "uint": lambda value: _is_integer(value, 0, _UINT_MAX),
    "float": lambda value: (
        _is_integer(value, _INT_MIN, _UINT_MAX)
        or (isinstance(value, float) and math.isfinite(value))
    ),
    "bool": lambda value: isinstance(value, bool),
    "uint[]": lambda value: (
        isinstance(value, list) and all(_is_integer(item, 0, _UINT_MAX) for item in value)
    ),
    # A NumPy type string, or the list of fields of a structured one.
    "dtype_desc": lambda value: (
        isinstance(value, (str, list)) and len(value) > 0 and _is_json(value)
    ),
}


def read_older_constant(older_type: object, value: object) -> tuple[object, object]:
    """Give the port type and the value of a constant, whose type may be one that chonkle had first.

    A `number` is a `float`. A `list` is a `uint[]` or, with other items, the JSON text that a
    `string` port holds.

    Args:
        older_type: the type in a pipeline; any that is not an older one is returned as it is.
        value: the parsed JSON value.
    """
    if older_type == "number":
        return "float", value
    if older_type == "list":
        if isinstance(value, list) and not is_value(value, "uint[]") and _is_json(value):
            return "string", encode_scalar(value).decode()
        return "uint[]", value
    return older_type, value


def encode_scalar(value: object) -> bytes:
    """Write a scalar as the JSON text that goes into a port-map."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def check_scalar(text: bytes, port_type: str, *, what: str) -> object:
    """Parse the JSON text of a scalar and require its port's type.

    Args:
        text: JSON text.
        port_type: one of `PORT_TYPES` but `bytes`.
        what: the port, for messages.

    Raises:
        PipelineError: when the text is not JSON or has another type.
    """
    value = parse_json(text, what=what, error=PipelineError)
    if not is_value(value, port_type):
        raise PipelineError(
            f"{what}: wrong type",
            expected=f"JSON text of type `{port_type}`",
            got=format_value(value),
        )
    return value


def accepts(port_type: str, source_type: str) -> bool:
    """Tell whether values of one type may flow into a port of another."""
    return port_type == source_type or (source_type, port_type) in {
        ("uint", "int"),
        ("uint", "float"),
        ("int", "float"),
        ("string", "dtype_desc"),
    }


_ORDER = "<" if sys.byteorder == "little" else ">"
# What NumPy makes of Python's own types.
_DTYPES_OF_TYPES: dict[object, str] = {
    bool: "|b1",
    int: f"{_ORDER}i8",
    float: f"{_ORDER}f8",
    complex: f"{_ORDER}c16",
}

# Not their subclasses: NumPy has some.
_NOT_CONVERTED = frozenset({type(None), bool, int, float, str, bytes, bytearray, memoryview})


def plain_value(value: object) -> object:
    """Turn a value of a Python program into one that JSON has, where there is one.

    NumPy is not imported; other libraries whose objects have the same attributes work alike.

    Args:
        value: anything. Scalars and arrays become numbers and lists, dtypes and the types of
            scalars become type strings or lists of fields, tuples become lists; also within lists
            and mappings. All else is returned as it is.

    Raises:
        PipelineError: when a dtype has neither a type string nor a list of fields.
    """
    try:
        return _plain(value)
    except RecursionError:
        return value  # it contains itself


def _plain(value: object) -> object:
    if type(value) in _NOT_CONVERTED:
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, type):
        return _plain_type(value)
    if hasattr(value, "subdtype"):
        return _plain_dtype(value)
    return _plain_array(value)


def _plain_array(value: Any) -> object:  # noqa: ANN401 - anything may come
    """Give the numbers of an array or a scalar, and all else as it is."""
    # Arrays of zero dimensions of some libraries have only `item`.
    convert = getattr(value, "tolist", None) or (hasattr(value, "dtype") and value.item)
    if not callable(convert):
        return value
    try:
        converted: object = convert()
    except (TypeError, ValueError):
        return value
    # A long double has no other form.
    return value if type(converted) is type(value) else _plain(converted)


def _plain_type(value: type) -> object:
    """Give the dtype of a type of scalars, such as `numpy.float32`, or of a type of Python."""
    if value in _DTYPES_OF_TYPES:
        return _DTYPES_OF_TYPES[value]
    if not hasattr(value, "dtype") and not hasattr(value, "subdtype"):
        return value
    try:
        made = value()
    except TypeError:
        return value  # an abstract one
    return _plain_dtype(getattr(made, "dtype", made))


def _plain_dtype(dtype: Any) -> object:  # noqa: ANN401 - of a library that is not imported
    """Give the type string of a dtype, or the list of fields of a structured one."""
    if dtype.names is not None:
        try:
            return _plain(dtype.descr)
        except ValueError:
            raise PipelineError(
                "a dtype whose fields overlap or are out of order",
                got=f"`{dtype}`",
                hint="`numpy.lib.recfunctions.repack_fields` puts them in order",
            ) from None
    if dtype.subdtype is not None:
        raise PipelineError(
            "a dtype of arrays",
            expected="the dtype of their elements",
            got=f"`{dtype}`",
        )
    # A type string has no word for bfloat16 and its kind, and would call them opaque.
    is_named = dtype.kind == "V" and dtype.type.__name__ != "void"
    name: str = dtype.name if is_named else dtype.str
    return name


def format_value(value: object) -> str:
    """Write a value for a message, cut to a readable length."""
    try:
        text = json.dumps(value, default=repr)
    except (TypeError, ValueError, RecursionError):
        # JSON has no text for a circle, odd keys or an integer of many digits.
        text = f"<{type(value).__name__}>"
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"  # noqa: PLR2004 - a screen's width
