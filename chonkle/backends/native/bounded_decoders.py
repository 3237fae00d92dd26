"""Decoders that stop at a size, for formats that numcodecs decodes without any bound.

numcodecs decodes these formats without a limit, so that a few hundred bytes can fill the memory of
a machine. The functions here call the same libraries, give the same bytes, and stop one byte
over the limit. Unlike numcodecs they refuse no data where a format has a header, and damage in a
further stream, which numcodecs drops with all that follows.
"""

import base64 as stdlib_base64
import bz2 as stdlib_bz2
import json as stdlib_json
import lzma as stdlib_lzma
import sys
import zlib as stdlib_zlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, cast

from chonkle.backends.base import Limits
from chonkle.backends.native import frame_sizes
from chonkle.backends.native.parameters import read_dtype
from chonkle.errors import CodecError, LimitExceeded

if TYPE_CHECKING:
    import numpy as np

type Decoder = Callable[[memoryview, Mapping[str, object], Limits], bytes]

# zlib's window bits: 15, the greatest, and 16 more for gzip's header and trailer.
_GZIP_WBITS = 31
_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\0"
# The header of a bzip2 stream, with any level, before its first block or its end.
_BZ2_HEADERS = tuple(
    b"BZh%d" % level + next_ for level in range(1, 10) for next_ in (b"1AY&SY", b"\x17rE8P\x90")
)
# LZMA-alone: the bytes of the header, before a zero, and the bound of its first byte.
_ALONE_HEADER_BYTES, _ALONE_PROPERTIES = 13, 225
# What is always decoded where a claimed size may be only a bound: 128 KiB for a frame of a few
# bytes. The true size is checked once it is known.
_ALWAYS_ALLOWED_BYTES = 16 << 20
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
        f"output over the limit of {limits.output_bytes} bytes",
        hint="raise the output limit",
        limit="output_bytes",
    )


def check_claim(size_bytes: int, limits: Limits) -> None:
    """Refuse a claimed decoded size, or a bound of it, that is certainly over the limit."""
    if size_bytes > max(limits.output_bytes, _ALWAYS_ALLOWED_BYTES):
        raise too_large(limits)


def check_end(data: memoryview, used: int, parameters: Mapping[str, object]) -> None:
    """Refuse bytes after the data, unless the parameter `trailing` says to ignore them.

    Args:
        data: the encoded data, and what follows.
        used: the bytes that belong to the data.
        parameters: those of the call.
    """
    if used < len(data) and parameters["trailing"] != "ignore":
        # The words of the shipped codecs.
        raise ValueError(
            f"port `bytes`: {len(data) - used} bytes after the end of the stream at offset {used}; "
            "hint: the value `ignore` of the parameter `trailing` skips them"
        )


def zlib(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode one zlib stream."""
    return _streams(data, stdlib_zlib.decompressobj, parameters, limits)


def gzip(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode gzip members; zero bytes may pad each, as on tapes."""
    return _streams(
        data,
        partial(stdlib_zlib.decompressobj, _GZIP_WBITS),
        parameters,
        limits,
        marks=(_GZIP_MAGIC,),
        padding_bytes=1,
    )


def bz2(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode bzip2 streams, one behind the other."""
    return _streams(data, stdlib_bz2.BZ2Decompressor, parameters, limits, marks=_BZ2_HEADERS)


def lzma(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode LZMA streams, one behind the other; zero bytes may pad xz streams."""
    file_format = cast("int", parameters["format"])
    # A header names the dictionary's size, up to 4 GiB, and the decoder allocates it.
    memory = None if file_format == stdlib_lzma.FORMAT_RAW else limits.memory_bytes
    filters = cast("Any", parameters.get("filters"))
    is_xz = file_format in (stdlib_lzma.FORMAT_AUTO, stdlib_lzma.FORMAT_XZ)
    try:
        return _streams(
            data,
            lambda: stdlib_lzma.LZMADecompressor(file_format, memory, filters),
            parameters,
            limits,
            marks=(_XZ_MAGIC,) if is_xz else (),
            is_possible=lambda rest: _may_be_lzma(rest, file_format),
            padding_bytes=4 if is_xz else 0,
        )
    except stdlib_lzma.LZMAError as failure:
        if _is_memory_limit(failure):
            raise LimitExceeded(
                f"dictionary over the limit of {limits.memory_bytes} bytes of memory",
                limit="memory_bytes",
            ) from failure
        raise


def _may_be_lzma(rest: bytes, file_format: int) -> bool:
    """Tell whether bytes without a mark may be a stream."""
    match file_format:
        case stdlib_lzma.FORMAT_RAW:
            return any(rest)
        case stdlib_lzma.FORMAT_XZ:
            return False
        case _:
            return (
                any(rest)
                and rest[0] < _ALONE_PROPERTIES
                and rest[_ALONE_HEADER_BYTES : _ALONE_HEADER_BYTES + 1] == b"\0"
            )


def _is_memory_limit(failure: Exception) -> bool:
    # liblzma's LZMA_MEMLIMIT_ERROR has no class of its own.
    return "limit exceeded" in str(failure)


def _never(_rest: bytes) -> bool:
    return False


def _streams(
    data: memoryview,
    open_stream: Callable[[], _Stream],
    parameters: Mapping[str, object],
    limits: Limits,
    *,
    marks: Collection[bytes] = (),
    is_possible: Callable[[bytes], bool] = _never,
    padding_bytes: int = 0,
) -> bytes:
    """Decode streams, one behind the other, to at most one byte over the limit.

    Args:
        data: the streams, and what follows them.
        open_stream: makes a decompressor.
        parameters: those of the call.
        limits: what the call may take.
        marks: how a further stream begins.
        is_possible: tells whether what follows a stream may be a further one without a mark: it is
            none when it cannot be decoded.
        padding_bytes: zeros may follow a stream, in multiples of this number; 0 for none.
    """
    parts: list[bytes] = []
    made = used = 0
    rest: bytes | memoryview = data
    is_marked = True
    while True:
        stream = open_stream()
        try:
            # typeshed asks for bytes, where the modules take any buffer.
            part = stream.decompress(
                cast("bytes", rest), min(limits.output_bytes - made + 1, sys.maxsize)
            )
        except stdlib_lzma.LZMAError as failure:
            if is_marked or _is_memory_limit(failure):
                raise
            break
        made += len(part)
        if made > limits.output_bytes:
            raise too_large(limits)
        if not stream.eof:
            raise EOFError("truncated before the end of the stream")
        parts.append(part)
        rest = stream.unused_data
        used = len(data) - len(rest)
        if padding_bytes:
            zeros = len(rest) - len(rest.lstrip(b"\0"))
            rest = rest[zeros - zeros % padding_bytes :]
            used = used if rest else len(data)
        # The rest may be only a part of a mark.
        is_marked = any(rest and mark.startswith(rest[: len(mark)]) for mark in marks)
        if not (is_marked or is_possible(rest)):
            break
    check_end(data, used, parameters)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def lz4(data: memoryview, parameters: Mapping[str, object], limits: Limits) -> bytes:
    """Decode an LZ4 block after its decoded size, as numcodecs writes it."""
    # Costs 150 ms that only a running codec pays.
    from numcodecs import lz4 as library  # noqa: PLC0415

    size = frame_sizes.lz4(data)
    check_claim(size, limits)
    try:
        return cast("bytes", library.decompress(data))
    except Exception:
        # A block has no mark of its end. numcodecs refuses one that holds nothing, too.
        end = frame_sizes.lz4_end(data)
        if end is None or (end == len(data) and size > 0):
            raise
        check_end(data, end, parameters)
        return cast("bytes", library.decompress(data[:end])) if size > 0 else b""


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
    "lz4": lz4,
    "lzma": lzma,
    "msgpack": msgpack,
    "zlib": zlib,
}
