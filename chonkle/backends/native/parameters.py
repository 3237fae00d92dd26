"""Parameters of a port-map, converted for a numcodecs constructor."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chonkle.backends.native.call_spec import CallSpec
from chonkle.errors import CodecError, PipelineError
from chonkle.formats.declared import Parameter
from chonkle.formats.json_text import parse_json
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Port
from chonkle.formats.values import check_scalar, format_value

if TYPE_CHECKING:
    import numpy as np

_CONVERTED = {
    "strings": "JSON text of a list of strings",
    "objects": "JSON text of a list of objects",
}
_ITEM_TYPES = {"strings": str, "objects": dict}
_FIELD_MIN, _FIELD_MAX = 2, 3
# Kinds of elements by NumPy's letter, in the words of the SDK of the WebAssembly codecs.
_KINDS = {
    "b": ("booleans", ("b1",)),
    "i": ("integers", ("i1", "i2", "i4", "i8")),
    "u": ("unsigned integers", ("u1", "u2", "u4", "u8")),
    "f": ("floats", ("f2", "f4", "f8")),
    "c": ("complex numbers", ("c8", "c16")),
    "m": ("timedeltas", ("m8",)),
}


def read_parameters(
    texts: Mapping[str, Buffer],
    *,
    ports: Mapping[str, Port],
    declared: Mapping[str, Parameter],
    call: CallSpec,
    where: str,
) -> dict[str, object]:
    """Read the parameters of one call.

    Args:
        texts: the data of the parameters that are there.
        ports: every parameter that exists in the direction; defaults stand in for what is missing.
        declared: what each of them declares: its range and choices.
        call: how numcodecs is called.
        where: codec and direction, for messages.

    Returns:
        Each parameter that has a value, as numcodecs wants it; types as `numpy.dtype`.

    Raises:
        CodecError: a value is not what its port expects.
    """
    found: dict[str, object] = {}
    for name, port in ports.items():
        what = f"{where}: port `{name}`"
        if name in texts:
            value = _read(bytes(texts[name]), port, what)
        elif port.default is not None:
            value = port.default
        else:
            continue
        value = declared[name].accept(value, what=what, error=CodecError)
        if name in call.nonzero and value == 0:
            raise CodecError(f"{what}: out of range", expected="a number other than 0", got="`0`")
        if port.type == "dtype_desc":
            dtype = read_dtype(value, what=what)
            if name in call.kinds:
                _check_kind(value, dtype, call.kinds[name], what, hint=call.hint)
            value = dtype
        elif name in call.convert:
            value = _converted(str(value), call.convert[name], what)
        found[name] = value
    for name in sorted(call.mantissa & found.keys()):
        _check_mantissa(found[name], found["dtype"], f"{where}: port `{name}`")
    return found


def missing_placeholders(
    call: CallSpec, ports: Mapping[str, Port], direction: Direction
) -> dict[str, object]:
    """Give values for parameters that a constructor requires and a direction does not have."""
    return {
        name: value for name, value in call.placeholder.items() if not ports[name].exists(direction)
    }


def read_dtype(value: object, *, what: str) -> "np.dtype[Any]":
    """Make a NumPy type of its description.

    Args:
        value: a type string such as `<u2`, or a list of `[name, type]` or `[name, type, shape]`.
        what: the port, for messages.

    Raises:
        CodecError: it describes no type, or one that holds Python objects.
    """
    import numpy as np  # noqa: PLC0415 - costs 100 ms that only a running codec pays

    expected = "a NumPy type such as `<u2`"
    try:
        dtype = np.dtype(_as_fields(value))  # type: ignore[call-overload]
    except Exception as failure:
        raise CodecError(
            f"{what}: no type", expected=expected, got=format_value(value)
        ) from failure
    if dtype.hasobject:
        # Such an element is a pointer, an address of this process.
        raise CodecError(
            f"{what}: a type of Python objects", expected=expected, got=format_value(value)
        )
    if dtype.itemsize == 0:
        raise CodecError(
            f"{what}: a type without a size", expected=expected, got=format_value(value)
        )
    return dtype  # type: ignore[no-any-return]


def _as_fields(value: object) -> object:
    # NumPy wants tuples where JSON only has lists.
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    made = []
    for item in value:
        if not isinstance(item, list) or not _FIELD_MIN <= len(item) <= _FIELD_MAX:
            raise TypeError(type(item).__name__)
        name, description, *shape = item
        made.append((name, _as_fields(description), *(tuple(extents) for extents in shape)))
    return made


def _read(text: bytes, port: Port, what: str) -> object:
    if port.type == "bytes":
        return text
    try:
        return check_scalar(text, port.type, what=what)
    except PipelineError as failure:
        # The message names the port, what was expected and what came.
        raise CodecError(str(failure)) from failure


def _check_kind(value: object, dtype: "np.dtype[Any]", kinds: str, what: str, *, hint: str) -> None:
    allowed = [_KINDS[kind] for kind in kinds]
    if any(f"{dtype.kind}{dtype.itemsize}" in types for _, types in allowed):
        return
    words = [f"{name} ({', '.join(f'`{each}`' for each in types)})" for name, types in allowed]
    *first, last = words
    expected = f"{', '.join(first)} or {last}" if first else last
    raise CodecError(
        f"{what}: wrong type of elements",
        expected=f"a type of {expected}",
        got=format_value(value),
        hint=hint,
    )


def _check_mantissa(value: object, dtype: Any, what: str) -> None:  # noqa: ANN401
    import numpy as np  # noqa: PLC0415 - costs 100 ms that only a running codec pays

    most = np.finfo(dtype).nmant
    Parameter(maximum=most).accept(value, what=f"{what} of {dtype.name}", error=CodecError)


def _converted(text: str, conversion: str, what: str) -> object:
    value = parse_json(text, what=what, error=CodecError)
    item_type = _ITEM_TYPES[conversion]
    if not isinstance(value, list) or not all(isinstance(item, item_type) for item in value):
        raise CodecError(
            f"{what}: wrong content", expected=_CONVERTED[conversion], got=format_value(value)
        )
    return value


def written(parameters: Mapping[str, object]) -> str:
    """Write parameters for a message, `digits=3, dtype="<i4"`."""
    return ", ".join(
        f"{name}={json.dumps(value, default=str)[:60]}" for name, value in parameters.items()
    )
