"""Vectors of `bz2`."""

import bz2
import platform
from collections.abc import Iterator

import numpy as np
from golden_vector import Vector, smooth


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    for case, plains, level in (
        ("empty", [b""], 1),
        ("level-1", [data], 1),
        ("level-9", [data], 9),
        ("runs", [bytes(5000) + data[:300] + b"\xff" * 900], 5),
        ("streams", [data[:99], b"", data[99:400]], 1),
    ):
        yield Vector(
            implementation="bz2-rs",
            case=case,
            made_by=f"libbz2 of Python {platform.python_version()}",
            # Encoders make different choices: only decoding is exact.
            directions=("decode",),
            inputs={"bytes": b"".join(bz2.compress(plain, level) for plain in plains)},
            outputs={"bytes": b"".join(plains)},
        )
