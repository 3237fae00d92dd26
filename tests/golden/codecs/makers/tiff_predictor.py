"""Vectors of `tiff-predictor-2` and `tiff-predictor-3`."""

from collections.abc import Iterator

import imagecodecs
import numpy as np
from golden_vector import Vector, smooth


def vectors() -> Iterator[Vector]:
    """Give the vectors."""
    yield from horizontal()
    yield from floating_point()


def horizontal() -> Iterator[Vector]:
    """Give those of `tiff-predictor-2`."""
    made_by = (
        f"imagecodecs {imagecodecs.__version__}, delta_encode(axis=1) of NumPy {np.__version__}"
    )
    for dtype, samples in (("u1", 1), ("u1", 3), ("<u2", 1), ("<u2", 5), ("<u4", 1), ("<u8", 2)):
        rows = smooth(np.dtype(dtype), (5, 37, samples))
        yield Vector(
            implementation="tiff-predictor-2-c",
            case=f"{rows.dtype.name}-{samples}",
            made_by=made_by,
            directions=("decode", "encode"),
            inputs={
                "bytes": imagecodecs.delta_encode(rows, axis=1).tobytes(),
                "bytes_per_sample": rows.itemsize,
                "width": rows.shape[1],
                "samples_per_pixel": samples,
            },
            outputs={"bytes": rows.tobytes()},
        )


def floating_point() -> Iterator[Vector]:
    """Give those of `tiff-predictor-3`."""
    made_by = (
        f"imagecodecs {imagecodecs.__version__}, floatpred_encode(axis=1) of NumPy {np.__version__}"
    )
    for dtype, samples in (("<f2", 1), ("<f4", 1), ("<f4", 3), ("<f8", 1), ("<f8", 2)):
        rows = smooth(np.dtype("<u4"), (5, 37, samples)).astype("<i4").astype(dtype) / 7
        yield Vector(
            implementation="tiff-predictor-3-c",
            case=f"{rows.dtype.name}-{samples}",
            made_by=made_by,
            directions=("decode", "encode"),
            inputs={
                "bytes": imagecodecs.floatpred_encode(rows, axis=1).tobytes(),
                "bytes_per_sample": rows.itemsize,
                "width": rows.shape[1],
                "samples_per_pixel": samples,
            },
            outputs={"bytes": rows.tobytes()},
        )
