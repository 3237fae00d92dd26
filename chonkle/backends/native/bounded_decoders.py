"""Decoders that stop at a size, for formats that numcodecs decodes without any bound.

numcodecs decodes these formats without a limit, so that a few hundred bytes can fill the memory of
a machine. The functions here call the same libraries, give the same bytes, and stop one byte
over the limit. Unlike numcodecs they refuse bytes after the end of the data, and no data where a
format has a header.
"""

import base64 as stdlib_base64
import bz2 as stdlib_bz2
import json as stdlib_json
import lzma as stdlib_lzma
import sys
import zlib as stdlib_zlib
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, cast

from chonkle.backends.base import Limits
from chonkle.backends.native.parameters import read_dtype
from chonkle.errors import CodecError, LimitExceeded

if TYPE_CHECKING:
    import numpy as np

type Decoder = Callable[[memoryview, Mapping[str, object], Limits], bytes]

# zlib's window bits: 15, the greatest, and 16 more for gzip's header and trailer.
_GZIP_WBITS = 31
_BASE64_WHITESPACE = b" \t\r\n"
_DTYPE_KINDS = "biufUSMm"


class _Stream(Protocol):
    """What the decompressor objects of zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def too_large(limits: Limits) -> LimitExceeded:
    """Make the error for data that decodes to more than the limit."""
    return LimitExceeded(
        f"output over the limit of {limits.output_bytes} bytes", hint="raise the output limit"
    )


def zlib(data: memoryview, _parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode one zlib stream."""
    return _streams(data, stdlib_zlib.decompressobj, limits, is_single=True)


def gzip(data: memoryview, _parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode gzip members; zero bytes may pad the end, as on tapes."""
    return _streams(data, partial(stdlib_zlib.decompressobj, _GZIP_WBITS), limits, padding=b"\0")


def bz2(data: memoryview, _parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode bzip2 streams, one behind the other."""
    return _streams(data, stdlib_bz2.BZ2Decompressor, limits)


def lzma(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode LZMA streams, one behind the other."""
    file_format = cast("int", parameters["format"])
    # A header names the dictionary's size, up to 4 GiB, and the decoder allocates it.
    memory = None if file_format == stdlib_lzma.FORMAT_RAW else limits.memory_bytes
    filters = cast("Any", parameters.get("filters"))
    try:
        return _streams(
            data, lambda: stdlib_lzma.LZMADecompressor(file_format, memory, filters), limits
        )
    except stdlib_lzma.LZMAError as failure:
        # liblzma's LZMA_MEMLIMIT_ERROR has no class of its own.
        if "limit exceeded" in str(failure):
            raise LimitExceeded(
                f"dictionary over the limit of {limits.memory_bytes} bytes of memory"
            ) from failure
        raise


def _streams(
    data: memoryview,
    open_stream: Callable[[], _Stream],
    limits: Limits,
    *,
    is_single: bool = False,
    padding: bytes = b"",
) -> bytes:
    """Decode streams, one behind the other, to at most one byte over the limit."""
    parts: list[bytes] = []
    made = 0
    rest: bytes | memoryview = data
    while not parts or rest:
        if parts and is_single:
            raise ValueError(f"{len(rest)} bytes after the end of the stream")
        stream = open_stream()
        # typeshed asks for bytes, where the modules take any buffer.
        part = stream.decompress(
            cast("bytes", rest), min(limits.output_bytes - made + 1, sys.maxsize)
        )
        made += len(part)
        if made > limits.output_bytes:
            raise too_large(limits)
        if not stream.eof:
            raise EOFError("truncated before the end of the stream")
        parts.append(part)
        rest = stream.unused_data
        if padding and rest.startswith(padding) and not rest.strip(padding):
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def base64(data: memoryview, _parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode base64 text; line breaks and blanks are skipped, everything else is refused."""
    text = bytes(data).translate(None, _BASE64_WHITESPACE)
    if len(text) // 4 * 3 - text[-2:].count(b"=") > limits.output_bytes:
        raise too_large(limits)
    return stdlib_base64.b64decode(text, validate=True)


def json(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode `[element, ..., type, shape]` written as JSON."""
    text = bytes(data).decode(cast("str", parameters["encoding"]))
    decoder = stdlib_json.JSONDecoder(strict=cast("bool", parameters["strict"]))
    return _elements(decoder.decode(text), parameters, limits)


def msgpack(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode `[element, ..., type, shape]` written as MessagePack."""
    # An optional library, which is there whenever numcodecs has this codec.
    from numcodecs.msgpacks import msgpack as library  # noqa: PLC0415

    return _elements(library.unpackb(data, raw=parameters["raw"]), parameters, limits)


def _elements(document: object, parameters: Mapping[str, object], limits: Limits) -> bytes:
    if not isinstance(document, list) or len(document) < 2:  # noqa: PLR2004 - type and shape
        raise ValueError("no list of elements, type and shape")
    *items, stored, shape = document
    # The caller's type comes before the stored one, which may be that of Python objects. What
    # counts is that every element comes back unchanged out of it.
    dtype = cast("np.dtype[Any]", parameters.get("dtype") or _stored_type(stored))
    if dtype.kind not in _DTYPE_KINDS:
        raise TypeError(f"elements of type `{dtype.str}` have no text form")
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape:
        raise ValueError(f"the shape is no list of lengths: {str(shape)[:60]}")
    if prod(shape) * dtype.itemsize > limits.output_bytes:
        raise too_large(limits)
    expected = parameters.get("shape")
    if expected is not None and expected != shape:
        raise ValueError(f"stored shape {shape}, but port `shape` says {expected}")
    values = _flat(items, shape or [1])
    return _packed(values, dtype)


def _stored_type(stored: object) -> "np.dtype[Any]":
    try:
        return read_dtype(stored, what="the stored type, as port `dtype` has none")
    except CodecError as failure:
        raise ValueError(str(failure)) from failure


def _flat(items: list[object], shape: list[int]) -> list[object]:
    # Level by level, so that depth and a wrong shape cost no more than the items.
    level: list[Any] = [items]
    for extent in shape:
        if not all(isinstance(row, list) and len(row) == extent for row in level):
            raise ValueError(f"the elements do not have the stored shape {shape}")
        level = list(chain.from_iterable(level))
    return level


def _packed(values: list[object], dtype: "np.dtype[Any]") -> bytes:
    import numpy as np  # noqa: PLC0415 - costs 100 ms that only a running codec pays

    if dtype.kind == "S":
        values = [value.encode() if isinstance(value, str) else value for value in values]
    array = np.array(values, dtype)
    if array.ndim != 1:
        raise ValueError("elements that are lists themselves")
    # NumPy silently cuts strings, rounds numbers and turns anything into text. A value that is not
    # equal to itself is NaN.
    back = array.view(f"{dtype.byteorder}i8") if dtype.kind in "Mm" else array
    for value, kept in zip(values, back.tolist(), strict=True):
        if kept != value and not (value != value and kept != kept):  # noqa: PLR0124
            raise ValueError(f"type `{dtype.str}` cannot hold the element {str(value)[:60]!r}")
    return array.tobytes()


DECODERS: dict[str, Decoder] = {
    "base64": base64,
    "bz2": bz2,
    "gzip": gzip,
    "json": json,
    "lzma": lzma,
    "msgpack": msgpack,
    "zlib": zlib,
}
