"""Vectors of `zlib`."""

import platform
import zlib
from collections.abc import Iterator

import numpy as np
from golden_vector import Vector, smooth


def vectors() -> Iterator[Vector]:
    """Give the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    for case, plain, level in (
        ("empty", b"", 6),
        ("stored", data[:512], 0),
        ("fixed-codes", b"chonkle chonkle", 9),
        ("level-1", data, 1),
        ("level-6", data, 6),
        ("level-9-runs", bytes(4096) + data, 9),
    ):
        yield Vector(
            implementation="zlib-rs",
            case=case,
            made_by=f"zlib {zlib.ZLIB_RUNTIME_VERSION} of Python {platform.python_version()}",
            # Encoders differ in their choices, so only decoding is exact.
            directions=("decode",),
            inputs={"bytes": zlib.compress(plain, level)},
            outputs={"bytes": plain},
        )
