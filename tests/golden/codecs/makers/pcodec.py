"""Vectors of `pcodec`, from numcodecs."""

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import numcodecs
import numpy as np
from golden_vector import Vector, smooth
from numcodecs.pcodec import PCodec

MADE_BY = f"numcodecs {numcodecs.__version__} with pcodec {importlib.metadata.version('pcodec')}"


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    for dtype in ("<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8"):
        values = smooth(np.dtype(dtype), (12, 40)).ravel()
        yield encoding(np.dtype(dtype).name, values)
    walk = smooth(np.dtype("<u4"), (24, 40)).view("<i4").ravel().cumsum(dtype="<i4")
    yield encoding("empty", walk[:0])
    yield encoding("constant", np.full(3000, 7, "<i8"), level=0)
    yield encoding("pages", walk, level=4, equal_pages_up_to=300)
    yield encoding("order-2", walk, delta_spec="try_consecutive", delta_encoding_order=2)
    yield encoding("order-alone", walk, delta_encoding_order=1)
    yield encoding("lookback", np.tile(walk[:300], 3), delta_spec="try_lookback")
    yield encoding("plain", walk, mode_spec="classic", delta_spec="no_op", level=12)
    # What follows is ignored by numcodecs, too.
    yield encoding("followed", walk, more=b"\0??")


def encoding(
    case: str, values: np.ndarray[Any, Any], *, more: bytes = b"", **config: int | str
) -> Vector:
    """Return the vector of an array."""
    return Vector(
        implementation="pcodec-rs",
        case=case,
        made_by=MADE_BY,
        directions=("decode",),
        inputs={
            "bytes": bytes(PCodec(**config).encode(values)) + more,
            "dtype": values.dtype.str,
            **config,
        },
        outputs={"bytes": values.tobytes()},
    )
