"""Vectors of `zstd`."""

from collections.abc import Iterator
from struct import pack

import numcodecs
import numpy as np
from golden_vector import Vector, smooth
from numcodecs.zstd import Zstd


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    made_by = f"numcodecs {numcodecs.__version__}"
    skipped = pack("<II", 0x184D2A53, 5) + b"skip!"
    for case, plain, encoded, how in (
        ("empty", b"", encode(b""), ""),
        ("level-1", data, encode(data, level=1), ""),
        ("level-19", data, encode(data, level=19), ""),
        ("level-minus-5", data, encode(data, level=-5), ""),
        ("checksum", data, encode(data, checksum=True), ""),
        ("runs", bytes(140_000), encode(bytes(140_000)), ""),
        ("unsized", data, without_size(encode(data)), ", its frame header without the size"),
        (
            "frames",
            data + data[:99],
            encode(data) + skipped + encode(data[:99]),
            ", two frames around one to skip",
        ),
    ):
        yield Vector(
            implementation="zstd-rs",
            case=case,
            made_by=made_by + how,
            # Encoders make different choices: only decoding is exact.
            directions=("decode",),
            inputs={"bytes": encoded},
            outputs={"bytes": plain},
        )


def encode(data: bytes, *, level: int = 3, checksum: bool = False) -> bytes:
    """Encode with numcodecs."""
    return bytes(Zstd(level=level, checksum=checksum).encode(data))


def without_size(frame: bytes) -> bytes:
    """Turn a frame into that of a stream: with a window of 128 KiB, and without the size.

    RFC 8878, section 3.1.1.1: the frame is a single segment with a size of two bytes.
    """
    descriptor, blocks = frame[4], frame[7:]
    assert descriptor == 0x60
    return frame[:4] + bytes([0, 7 << 3]) + blocks
