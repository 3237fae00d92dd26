"""Vectors of `bz2`."""

import bz2
import platform
from collections.abc import Iterator

import numpy as np
from golden_vector import Vector, smooth


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    for case, plains, level, more in (
        ("empty", [b""], 1, b""),
        ("level-1", [data], 1, b""),
        ("level-9", [data], 9, b""),
        ("runs", [bytes(5000) + data[:300] + b"\xff" * 900], 5, b""),
        ("streams", [data[:99], b"", data[99:400]], 1, b""),
        # What follows is ignored by Python, too.
        ("followed", [data[:99], data[99:400]], 1, b"\0BZ"),
    ):
        yield Vector(
            implementation="bz2-rs",
            case=case,
            made_by=f"libbz2 of Python {platform.python_version()}",
            # Encoders make different choices: only decoding is exact.
            directions=("decode",),
            inputs={"bytes": b"".join(bz2.compress(plain, level) for plain in plains) + more},
            outputs={"bytes": b"".join(plains)},
        )
