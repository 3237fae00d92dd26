"""Vectors of `tiff-predictor-2` and `tiff-predictor-3`."""

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from golden_vector import Vector, smooth

INTEGERS = (
    *(("u1", 1), ("u1", 3), ("<u2", 1), ("<u2", 5), ("<u4", 1), ("<u8", 2)),
    *((">u2", 1), (">u2", 3), (">u4", 1), (">u8", 1)),
)
FLOATS = (
    *(("<f2", 1), ("<f4", 1), ("<f4", 3), ("<f8", 1), ("<f8", 2)),
    *((">f2", 3), (">f4", 1), (">f8", 1)),
)
SHAPE = (5, 37)

type Rows = np.ndarray[Any, Any]


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    for dtype, samples in INTEGERS:
        rows = smooth(np.dtype(dtype), (*SHAPE, samples))
        yield vector("tiff-predictor-2-c", imagecodecs.delta_encode, rows)
    for dtype, samples in FLOATS:
        floats = smooth(np.dtype("<u4"), (*SHAPE, samples)).astype("<i4").astype(dtype) / 7
        yield vector("tiff-predictor-3-c", imagecodecs.floatpred_encode, floats.astype(dtype))
    for samples in (1, 3):
        # NumPy has no floats of 24 bits; imagecodecs takes items of 3 bytes instead.
        floats = smooth(np.dtype("<u4"), (*SHAPE, samples)).astype("<i4").astype("<f4") / 7
        rows = np.frombuffer(imagecodecs.float24_encode(floats), "V3").reshape(floats.shape)
        yield vector("tiff-predictor-3-c", imagecodecs.floatpred_encode, rows)


def vector(implementation: str, encode: Callable[..., Rows], rows: Rows) -> Vector:
    """Return the vector of rows of pixels."""
    _, width, samples = rows.shape
    is_big = rows.dtype.byteorder == ">"
    return Vector(
        implementation=implementation,
        case=f"{'big-' if is_big else ''}{rows.dtype.name}-{samples}".replace("void", "float"),
        made_by=f"imagecodecs {imagecodecs.__version__}, {encode.__name__}(axis=1) of NumPy "
        f"{np.__version__}",
        directions=("decode", "encode"),
        inputs={
            "bytes": encode(rows, axis=1).tobytes(),
            "bytes_per_sample": rows.itemsize,
            "width": width,
            "samples_per_pixel": samples,
            **({"byte_order": "big"} if is_big else {}),
        },
        outputs={"bytes": rows.tobytes()},
    )
