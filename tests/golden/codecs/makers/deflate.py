"""Vectors of `zlib`, `gzip` and `deflate`."""

import gzip
import platform
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from golden_vector import Vector, smooth

MADE_BY = f"zlib {zlib.ZLIB_RUNTIME_VERSION} of Python {platform.python_version()}"
# zlib's window bits of a raw stream.
RAW_WBITS = -15


def member(plain: bytes, level: int) -> bytes:
    """Return a gzip member with a fixed time."""
    return gzip.compress(plain, level, mtime=1)


def raw(plain: bytes, level: int) -> bytes:
    """Return a raw deflate stream."""
    return zlib.compress(plain, level, RAW_WBITS)


ENCODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zlib-rs": zlib.compress,
    "gzip-rs": member,
    "deflate-rs": raw,
}


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    # Repeated bytes, at each distance that the decoder copies within a vector, and some larger.
    repeats = b"".join(
        (data[64 * distance :][:distance] * 40)[: distance + length]
        for distance in range(1, 20)
        for length in (9, 40)
    )
    for implementation, encode in ENCODERS.items():
        for case, plain, level in (
            ("empty", b"", 6),
            ("stored", data[:512], 0),
            ("fixed-codes", b"chonkle chonkle", 9),
            ("level-1", data, 1),
            ("level-6", data, 6),
            ("level-9-runs", bytes(4096) + data, 9),
            ("level-9-repeats", repeats + data, 9),
        ):
            yield decoding(implementation, case, encode(plain, level), plain)
        if implementation != "gzip-rs":
            # What follows is ignored by Python, too.
            yield decoding(implementation, "followed", encode(data[:300], 6) + b"\0??", data[:300])
    two = member(data[:99], 1) + member(b"", 6) + member(data[99:400], 9)
    yield decoding("gzip-rs", "members-and-padding", two + bytes(7), data[:400])
    padded = member(data[:99], 1) + bytes(512) + member(data[99:400], 9) + bytes(512)
    yield decoding("gzip-rs", "padding-between", padded, data[:400])


def decoding(implementation: str, case: str, encoded: bytes, plain: bytes) -> Vector:
    """Return a vector. Encoders make different choices: only decoding is exact."""
    return Vector(
        implementation=implementation,
        case=case,
        made_by=MADE_BY,
        directions=("decode",),
        inputs={"bytes": encoded},
        outputs={"bytes": plain},
    )
