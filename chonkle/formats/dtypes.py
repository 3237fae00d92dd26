"""Element types of arrays, as NumPy and Zarr write them, without NumPy.

A dtype is described as in a `dtype_desc` port: a type string of the array interface protocol
(version 3), such as `<u2`, or the list of fields of a structured type, `[name, type]` or
`[name, type, shape]`. `Dtype.of` takes the other spellings too: names such as `float32`, NumPy's
objects, and the `data_type` of Zarr 3 metadata.
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from chonkle.errors import PipelineError
from chonkle.formats.values import format_value, plain_value

_KNOWN_MAX = 256
_NATIVE = "<" if sys.byteorder == "little" else ">"
_TYPE_STRING = re.compile(r"([<>|=]?)([?biufcmMSUV])([0-9]{0,9})(\[(?:[0-9]*[a-zA-Zμ]{1,2})\])?")
# Bytes of an element of a kind without a number, as NumPy reads it.
_USUAL_SIZES = {"?": 1, "b": 1, "i": 4, "u": None, "f": 4, "S": None, "U": None, "m": 8, "M": 8}
_SIZES = {
    "b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8, 12, 16), "c": (8, 16, 24, 32),
    "m": (8,), "M": (8,),
}  # fmt: skip
_NAMES = {
    "bool": "b1", "half": "f2", "single": "f4", "double": "f8", "float": "f8", "int": "i8",
    "uint": "u8", "complex": "c16", "byte": "i1", "ubyte": "u1",
    **{f"{name}{8 * size}": f"{kind}{size}" for name, kind in (("int", "i"), ("uint", "u"))
       for size in (1, 2, 4, 8)},
    **{f"float{8 * size}": f"f{size}" for size in (2, 4, 8)},
    **{f"complex{8 * size}": f"c{size}" for size in (8, 16)},
}  # fmt: skip
_NAMED_TIME = re.compile(r"(datetime64|timedelta64)(\[[^\]]*\])?")
_RAW_BITS = re.compile(r"r([0-9]{1,9})")
_CODE_POINT_BYTES = 4
_FIELD_MIN, _FIELD_MAX = 2, 3


@dataclass(frozen=True, slots=True)
class Dtype:
    """The type of an array's elements.

    Attributes:
        text: its description as JSON text, which a port-map carries.
        itemsize: bytes of an element.
        scalarsize: bytes of what is swapped as a whole: of a complex number, half of it. 0 for
            a structure whose fields differ in it.
    """

    text: str
    itemsize: int
    scalarsize: int

    @property
    def description(self) -> str | list[object]:
        """The type string, or the list of fields."""
        return cast("str | list[object]", json.loads(self.text))

    @property
    def is_big(self) -> bool:
        """Whether elements, or some fields of them, may be big-endian."""
        return ">" in self.text

    @property
    def byte_order(self) -> str:
        """The byte order of elements: `little`, `big`, or empty for single bytes and structures."""
        return {"<": "little", ">": "big"}.get(self.text[1], "")

    @property
    def little(self) -> "Dtype":
        """The same type with little-endian elements."""
        return _make(_little(self.description)) if self.is_big else self

    @classmethod
    def of(cls, value: object) -> "Dtype":
        """Read a dtype in any spelling.

        Args:
            value: a type string, a name, a list of fields, a NumPy dtype or scalar type, or the
                `data_type` of Zarr 3 metadata.

        Raises:
            PipelineError: when it is none, or one of Python objects.
        """
        if isinstance(value, cls):
            return value
        try:
            return _read(value)
        except TypeError:  # a list of fields, which is no key
            pass
        try:
            return _make(_described(plain_value(value)))
        except RecursionError:
            raise _wrong(value, "a type that is nested less deeply") from None


# Each call of a codec with an array asks for its type.
@lru_cache(maxsize=_KNOWN_MAX, typed=True)
def _read(value: object) -> Dtype:
    return _make(_described(plain_value(value)))


def _make(description: str | list[object]) -> Dtype:
    itemsize, scalarsize = _sizes(description)
    if itemsize == 0:
        raise _wrong(description, "a type whose elements have a size")
    return Dtype(json.dumps(description, separators=(",", ":")), itemsize, scalarsize)


def _wrong(got: object, expected: str = "a type such as `<u2` or `float32`") -> PipelineError:
    return PipelineError("bad dtype", expected=expected, got=format_value(got))


def _described(value: object) -> str | list[object]:
    if isinstance(value, str):
        return _type_string(value)
    if isinstance(value, Mapping):
        return _from_zarr(value)
    if isinstance(value, list):
        return [_field(each) for each in value]
    raise _wrong(value)


def _type_string(text: str) -> str:
    named = _NAMES.get(text, text)
    time, raw = _NAMED_TIME.fullmatch(text), _RAW_BITS.fullmatch(text)
    if time:
        named = f"{'M' if time[1] == 'datetime64' else 'm'}8{time[2] or ''}"
    elif raw:
        named = f"V{math.ceil(int(raw[1]) / 8)}"
    found = _TYPE_STRING.fullmatch(named)
    if found is None:
        raise _wrong(text)
    order, kind, digits, unit = found.groups(default="")
    size = int(digits) if digits else _USUAL_SIZES.get(kind)
    if kind == "?":
        kind, size = "b", 1
    if size is None or size not in _SIZES.get(kind, (size,)) or (unit and kind not in "mM"):
        raise _wrong(text)
    itemsize = size * _CODE_POINT_BYTES if kind == "U" else size
    if kind in "SV" or itemsize == 1:
        order = "|"
    elif order not in "<>" or not order:
        order = _NATIVE
    return f"{order}{kind}{size}{unit}"


def _field(written: object) -> list[object]:
    if not isinstance(written, list) or not _FIELD_MIN <= len(written) <= _FIELD_MAX:
        raise _wrong(written, "a field `[name, type]` or `[name, type, shape]`")
    name, inner, *shape = written
    if isinstance(name, list):  # NumPy's title and name
        name = name[-1] if name else None
    if not isinstance(name, str):
        raise _wrong(written, "a field whose name is text")
    extents = [each if isinstance(each, list) else [each] for each in shape]
    for each in extents:
        if not all(isinstance(extent, int) and extent >= 0 for extent in each):
            raise _wrong(written, "a field with a shape of whole numbers")
    return [name, _described(inner), *extents]


def _from_zarr(written: Mapping[object, object]) -> str | list[object]:
    """Read a `data_type` that is an object: `{"name": ..., "configuration": {...}}`."""
    name, settings = written.get("name"), written.get("configuration", {})
    if not isinstance(settings, Mapping):
        raise _wrong(written)
    text: object = name if not settings else None
    match name, dict(settings):
        case (("numpy.datetime64" | "numpy.timedelta64"), {"unit": str(unit), **others}):
            kind = "M" if name == "numpy.datetime64" else "m"
            factor = others.get("scale_factor", 1)
            step = "" if unit == "generic" else f"[{'' if factor == 1 else factor}{unit}]"
            text = f"{kind}8{step}"
        case "fixed_length_utf32", {"length_bytes": int(length)}:
            text = f"U{length // _CODE_POINT_BYTES}"
        case "null_terminated_bytes", {"length_bytes": int(length)}:
            text = f"S{length}"
        case "raw_bytes", {"length_bytes": int(length)}:
            text = f"V{length}"
        case (("structured" | "struct"), {"fields": list(listed)}):
            return [
                _field(
                    [each.get("name"), each.get("data_type")] if isinstance(each, dict) else each
                )
                for each in listed
            ]
    if not isinstance(text, str):
        raise _wrong(written)
    return _type_string(text)


def _sizes(description: object) -> tuple[int, int]:
    """Give the bytes of an element, and of what is swapped as a whole."""
    if isinstance(description, str):
        found = _TYPE_STRING.fullmatch(description)
        if found is None:
            raise _wrong(description)
        size = int(found[3])
        if found[2] == "U":
            return size * _CODE_POINT_BYTES, _CODE_POINT_BYTES
        if found[2] == "c":
            return size, size // 2
        return size, (1 if found[2] in "SV" else size)
    total, scalars = 0, set()
    for _, inner, *shape in cast("list[list[object]]", description):
        count = math.prod(cast("list[int]", shape[0])) if shape else 1
        itemsize, scalarsize = _sizes(inner)
        total += count * itemsize
        scalars.add(scalarsize)
    return total, scalars.pop() if len(scalars) == 1 else 0


def _little(description: object) -> str | list[object]:
    if isinstance(description, str):
        return description.replace(">", "<")
    fields = cast("list[list[object]]", description)
    return [[name, _little(inner), *shape] for name, inner, *shape in fields]
