"""Vectors of `identity`."""

from collections.abc import Iterator

import numpy as np
from golden_vector import Vector, smooth


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    for case, data in (("some", smooth(np.dtype("<u2"), (8, 33)).tobytes()), ("empty", b"")):
        yield Vector(
            implementation="identity-c",
            case=case,
            made_by="the definition of the codec, written out",
            directions=("decode", "encode"),
            inputs={"bytes": data},
            outputs={"bytes": data},
        )
