"""Vectors of `tiff-predictor-2` and `tiff-predictor-3`."""

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from golden_vector import Vector, smooth

INTEGERS = (("u1", 1), ("u1", 3), ("<u2", 1), ("<u2", 5), ("<u4", 1), ("<u8", 2))
FLOATS = (("<f2", 1), ("<f4", 1), ("<f4", 3), ("<f8", 1), ("<f8", 2))
SHAPE = (5, 37)

type Rows = np.ndarray[Any, Any]


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    for dtype, samples in INTEGERS:
        rows = smooth(np.dtype(dtype), (*SHAPE, samples))
        yield vector("tiff-predictor-2-c", imagecodecs.delta_encode, rows)
    for dtype, samples in FLOATS:
        floats = smooth(np.dtype("<u4"), (*SHAPE, samples)).astype("<i4").astype(dtype) / 7
        yield vector("tiff-predictor-3-c", imagecodecs.floatpred_encode, floats)


def vector(implementation: str, encode: Callable[..., Rows], rows: Rows) -> Vector:
    """Return the vector of rows of pixels."""
    _, width, samples = rows.shape
    return Vector(
        implementation=implementation,
        case=f"{rows.dtype.name}-{samples}",
        made_by=f"imagecodecs {imagecodecs.__version__}, {encode.__name__}(axis=1) of NumPy "
        f"{np.__version__}",
        directions=("decode", "encode"),
        inputs={
            "bytes": encode(rows, axis=1).tobytes(),
            "bytes_per_sample": rows.itemsize,
            "width": width,
            "samples_per_pixel": samples,
        },
        outputs={"bytes": rows.tobytes()},
    )
