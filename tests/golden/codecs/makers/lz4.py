"""Vectors of `lz4`."""

from collections.abc import Iterator

import numcodecs
import numpy as np
from golden_vector import Vector, smooth
from numcodecs.lz4 import LZ4


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    for case, plain, acceleration in (
        ("empty", b"", 1),
        ("literals", data[:11], 1),
        ("planes", data[::2] + data[1::2], 1),
        ("acceleration-50", data[::2] + data[1::2], 50),
        ("runs", bytes(5000) + b"ab" * 3000 + data[:200], 1),
    ):
        yield Vector(
            implementation="lz4-rs",
            case=case,
            made_by=f"numcodecs {numcodecs.__version__}",
            # The choices of later versions may differ: only decoding is exact.
            directions=("decode",),
            inputs={"bytes": bytes(LZ4(acceleration=acceleration).encode(plain))},
            outputs={"bytes": plain},
        )
    # Values beyond the bounds count as these.
    for case, acceleration in (("acceleration-minus-7", -7), ("acceleration-million", 10**6)):
        yield Vector(
            implementation="lz4-rs",
            case=case,
            made_by=f"numcodecs {numcodecs.__version__}",
            directions=("decode", "encode"),
            inputs={
                "bytes": bytes(LZ4(acceleration=acceleration).encode(data)),
                "acceleration": acceleration,
            },
            outputs={"bytes": data},
        )
