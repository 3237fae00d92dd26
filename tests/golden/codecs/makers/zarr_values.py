"""Vectors of `scale_offset` and `cast_value`, from zarr-python.

`cast_value` needs cast-value-rs, which no test needs, so it is no dependency.
"""

import asyncio
import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from golden_vector import Value, Vector
from zarr.codecs.cast_value import CastValue
from zarr.codecs.scale_offset import ScaleOffset
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.dtype import parse_dtype

ZARR = f"zarr {version('zarr')} with NumPy {np.__version__}"
CAST = f"zarr {version('zarr')} with cast-value-rs {version('cast-value-rs')}"


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    yield from scale_offset_vectors()
    yield from cast_value_vectors()


def scale_offset_vectors() -> Iterator[Vector]:
    """Return those of `scale_offset`: each type, and numbers in each notation."""
    for dtype, first, offset, scale in (
        ("|i1", -30, -3, 2),
        ("|u1", 3, 3, 2),
        ("<i2", 970, 1000, -300),
        (">u2", 9, 5, 6.0),
        ("<i4", -(2**31), -(2**31) + 30, 1),
        ("<u4", 2**32 - 75, 7, 1),
        (">i8", 2**40 - 9, 2**40, "-12"),
        ("<u8", 2**64 - 75, 2**63, 1),
        ("<f2", -30, 1.3, 0.7),
        ("<f4", -30, -1000.1, 0.1),
        (">f4", -30, "0x42280000", "3.5"),
        ("<f8", -30, 1e-3, -1e10),
    ):
        array = np.array([first + i for i in range(75)]).astype(dtype)
        codec = ScaleOffset(offset=offset, scale=scale)
        yield zarr_vector(
            "scale_offset",
            f"{array.dtype.name}-offset-{offset}-scale-{scale}".replace("--", "-minus-"),
            codec,
            array,
            array.dtype,
            made_by=ZARR,
            offset=offset if isinstance(offset, str) else json.dumps(offset),
            scale=scale if isinstance(scale, str) else json.dumps(scale),
        )


def cast_value_vectors() -> Iterator[Vector]:
    """Return those of `cast_value`: each rounding and range, between kinds of types."""
    halves = np.arange(-38, 37) / 2
    large = np.concatenate([halves[:40], [300.5, -129.0, 65536.0, 2.0**31, -(2.0**63), 2.0**64]])
    every = np.concatenate([halves, [np.nan, np.inf, -np.inf, -0.0]])
    fine = np.concatenate([1 + np.arange(40) * 2.0**-13, [1e-8, 65519.0, 65520.0, -1e6, 1e39]])
    far = np.array([0, 2**24 + 1, -(2**24) - 1, 2**53 + 1, -(2**53) - 3, 2**62 + 2**38, 2**63 - 1])
    words = {"encode": [["NaN", 0], ["Infinity", 255], ["-Infinity", 254], [-0.5, 7]],
             "decode": [[0, "NaN"], [255, "Infinity"]]}  # fmt: skip
    ways: list[tuple[str, Any, str, dict[str, Any]]] = [
        ("<i2", np.arange(-30, 40), "|i1", {}),
        ("<i4", np.arange(-40, 600, 9), "|u1", {"out_of_range": "clamp"}),
        (">i8", far, "<u4", {"out_of_range": "wrap"}),
        ("<u8", np.abs(far), ">i8", {}),
        ("<f4", large, "|u1", {"out_of_range": "clamp", "rounding": "towards-zero"}),
        ("<f8", large, "<i4", {"out_of_range": "wrap", "rounding": "nearest-away"}),
        ("<f8", large, "<u8", {"out_of_range": "wrap"}),
        ("<f4", large, "<i8", {"out_of_range": "clamp"}),
        ("<f8", np.concatenate([halves, every[-4:]]) + 30, "|u1", {"scalar_map": words}),
        ("<f2", every, "<f8", {}),
        (">i8", far, ">f8", {"rounding": "towards-negative"}),
        ("<i8", far[:-1], "<f4", {"rounding": "nearest-away"}),
        ("<u4", np.arange(75) * 871, "<f2", {"out_of_range": "clamp", "rounding": "towards-zero"}),
    ]
    ways += [
        ("<f8", halves, ">i2", {"rounding": rounding})
        for rounding in (
            "nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away",
        )
    ]  # fmt: skip
    ways += [
        ("<f4", fine, "<f2", {"out_of_range": "clamp", "rounding": rounding})
        for rounding in ("nearest-even", "towards-positive", "towards-negative", "nearest-away")
    ]
    for decoded, values, encoded, config in ways:
        with np.errstate(over="ignore"):
            array = np.asarray(values).astype(decoded)
        name = np.dtype(encoded).name
        codec = CastValue(data_type=name, **config)
        said = ["map" if key == "scalar_map" else value for key, value in config.items()]
        case = "-".join([np.dtype(decoded).name, "to", name, *said])
        told = {
            name: json.dumps(value) if name == "scalar_map" else value
            for name, value in config.items()
        }
        yield zarr_vector(
            "cast_value",
            case,
            codec,
            array,
            np.dtype(encoded),
            made_by=CAST,
            data_type=encoded,
            **told,
        )


def zarr_vector(
    codec_id: str,
    case: str,
    codec: Any,
    array: np.ndarray[Any, Any],
    encoded_dtype: np.dtype[Any],
    *,
    made_by: str,
    **ports: Value,
) -> Vector:
    """Return the vector of an array; zarr-python works in the processor's byte order."""
    prototype = default_buffer_prototype()
    native = array.astype(array.dtype.newbyteorder("="))
    dtype = parse_dtype(native.dtype, zarr_format=3)
    spec = ArraySpec(
        shape=array.shape,
        dtype=dtype,
        fill_value=dtype.default_scalar(),
        config=ArrayConfig(order="C", write_empty_chunks=True),
        prototype=prototype,
    )
    codec.validate(shape=array.shape, dtype=dtype, chunk_grid=None)

    encoded = run(codec.encode, native, spec)
    # Tests decode what they encode, so it must not be refused.
    is_lossy = run(codec.decode, encoded, spec).tobytes() != native.tobytes()
    return Vector(
        implementation=f"{codec_id}-c",
        case=case,
        made_by=made_by,
        directions=("encode",) if is_lossy else ("decode", "encode"),
        inputs={
            "bytes": encoded.astype(encoded_dtype).tobytes(),
            **ports,
            "dtype": array.dtype.str,
        },
        outputs={"bytes": array.tobytes()},
    )


def run(direction: Any, values: np.ndarray[Any, Any], spec: ArraySpec) -> np.ndarray[Any, Any]:
    """Run one direction of a codec."""
    buffer = spec.prototype.nd_buffer.from_ndarray_like(values)
    [found] = asyncio.run(direction([(buffer, spec)]))
    result: np.ndarray[Any, Any] = found.as_ndarray_like()
    return result
