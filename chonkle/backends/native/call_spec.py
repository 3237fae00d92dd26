"""How numcodecs is called for one codec: the field `native` of a signature, parsed.

Codecs differ only in these fields, and need no code of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Self, cast

# What numcodecs is given when encoding, and what it gives back when decoding:
#   bytes  raw bytes, from which the numcodecs class makes elements itself, if it needs any;
#   array  elements of the parameter `dtype`, in the machine's byte order;
#   items  elements of the parameters `dtype` and `shape`, which are written one by one;
#   text   the same, where elements of type `S` are UTF-8 text.
DataKind = Literal["bytes", "array", "items", "text"]
# No empty form is longer.
_EMPTY_BYTES_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """How numcodecs is called for one codec."""

    codec_class: str  # the numcodecs class, as `module.Class` below `numcodecs`
    data: DataKind
    # The function of `bounded_decoders` that decodes instead of numcodecs, which cannot bound the
    # decoded size.
    decoder: str = ""
    # The function of `frame_sizes` that reads what the encoded data claims.
    frame: str = ""
    # The parameters with the encoded and the decoded type, where the element count stays the same;
    # without the first, the two are equal.
    dtypes: tuple[str, ...] = ()
    # Parameters that describe the data, or say how to read it, and are none of the class's
    # constructor.
    describes: frozenset[str] = frozenset()
    # Parameters whose JSON text holds what port types cannot say.
    convert: Mapping[str, str] = field(default_factory=dict)
    # The kinds of elements, as NumPy's letters, that numcodecs encodes and decodes right.
    kinds: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""  # what helps with other kinds
    # Parameters that are at most the bits of the mantissa of the parameter `dtype`.
    mantissa: frozenset[str] = frozenset()
    # Decoding sums elements of `dtypes`. Of two types of integers, numcodecs sums some as floats,
    # which lose bits; integers of one type are summed modulo 2^bits.
    sums: bool = False
    nonzero: frozenset[str] = frozenset()  # parameters that may not be 0
    # What the constructor is given for parameters that the direction does not have.
    placeholder: Mapping[str, object] = field(default_factory=dict)
    # The encoded form of no bytes, in hexadecimal, where numcodecs fails on it.
    empty: str | None = None
    # Forms of no bytes, as a regular expression over hexadecimal digits, that numcodecs writes and
    # does not read.
    unreadable: str = ""
    needs: tuple[str, ...] = ()  # modules of which numcodecs needs one
    distribution: str = ""  # what to install to get it

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Read the field `native` of one of our own signatures."""
        # A test reads every file, so a misspelt key is found there.
        written = dict(cast("dict[str, object]", document))
        written["codec_class"] = written.pop("class")
        for each in fields(cls):
            value = written.get(each.name)
            if isinstance(value, list):
                written[each.name] = (
                    frozenset(value)
                    if each.name in {"describes", "mantissa", "nonzero"}
                    else tuple(value)
                )
        return cls(**written)  # type: ignore[arg-type]

    def is_empty(self, data: memoryview) -> bool:
        """Tell whether encoded data is a form of no bytes that numcodecs does not read."""
        if len(data) > _EMPTY_BYTES_MAX:
            return False
        digits = data.hex()
        return digits == self.empty or re.fullmatch(self.unreadable or "-", digits) is not None
