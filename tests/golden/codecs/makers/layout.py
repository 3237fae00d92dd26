"""Vectors of `bytes` and `transpose`: NumPy's answers, which are also those of Zarr's codecs."""

from collections.abc import Iterator

import numpy as np
from golden_vector import Vector, smooth

MADE_BY = f"NumPy {np.__version__}"
ORDERS = {"little": "<", "big": ">"}


def vectors() -> Iterator[Vector]:
    """Give the vectors."""
    data = smooth(np.dtype("<u2"), (20, 44)).tobytes()
    for endian, size, count in (
        ("little", 2, 9),
        ("big", 1, 20),
        ("big", 2, 44),
        ("big", 4, 35),
        ("big", 8, 9),
    ):
        plain = np.frombuffer(data, f"<u{size}", count)
        yield Vector(
            implementation="bytes-c",
            case=f"{endian}-elements-of-{size}",
            made_by=MADE_BY,
            directions=("decode", "encode"),
            inputs={
                "bytes": plain.astype(f"{ORDERS[endian]}u{size}").tobytes(),
                "endian": endian,
                "elementsize": size,
            },
            outputs={"bytes": plain.tobytes()},
        )
