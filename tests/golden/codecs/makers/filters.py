"""Vectors of the filters, from numcodecs, or imagecodecs where numcodecs lacks the filter."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
from golden_vector import Value, Vector, smooth

MADE_BY = f"numcodecs {numcodecs.__version__} with NumPy {np.__version__}"


def filtered(
    codec_id: str, case: str, array: np.ndarray[Any, Any], *, lossy: bool = False, **config: Value
) -> Vector:
    """Return the vector of an array.

    Args:
        codec_id: the codec.
        case: the name of the vector.
        array: the decoded form.
        lossy: whether decoding does not return `array`: then only encoding is exact.
        config: parameters; `dtype` is the array's when numcodecs does not take it.
    """
    theirs = {name: value for name, value in config.items() if (codec_id, name) not in DESCRIBING}
    encoded = numcodecs.get_codec({"id": codec_id, **theirs}).encode(array)
    return Vector(
        implementation=f"{codec_id}-c",
        case=case,
        made_by=MADE_BY,
        directions=("encode",) if lossy else ("decode", "encode"),
        inputs={"bytes": np.asarray(encoded).tobytes(), **config},
        outputs={"bytes": array.tobytes()},
    )


def between(dtype: str, astype: str) -> str:
    """Return the name of a case with two types."""
    names = (name.strip("<|").replace(">", "big-").translate(UNIT) for name in (dtype, astype))
    return "-to-".join(names)


# The brackets of `m8[s]`.
UNIT = str.maketrans("[", "-", "]")

# Our parameters that numcodecs takes from the array.
DESCRIBING = {("bitround", "dtype")}


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    yield from shuffle_vectors()
    yield from bitround_vectors()
    yield from astype_vectors()
    yield from categorize_vectors()
    yield from base64_vectors()
    yield from delta_vectors()
    yield from fixedscaleoffset_vectors()
    yield from quantize_vectors()
    yield from packbits_vectors()
    yield from bitshuffle_vectors()


def shuffle_vectors() -> Iterator[Vector]:
    """Return those of `shuffle`, with sizes for each code path."""
    data = smooth(np.dtype("u1"), (40, 24)).ravel()
    for size in (0, 1, 2, 3, 4, 7, 8, 12, 16, 20):
        whole = data[: data.size // size * size] if size else data
        yield filtered("shuffle", f"elements-of-{size}", whole, elementsize=size)


def bitround_vectors() -> Iterator[Vector]:
    """Return those of `bitround`."""
    values = np.linspace(-7, 1e4, 75)
    values[:4] = np.inf, -np.inf, 0.0, -0.0
    for dtype, keepbits in (("<f2", 3), ("<f4", 0), ("<f4", 12), ("<f4", 23), ("<f8", 31)):
        array = values.astype(dtype)
        yield filtered(
            "bitround",
            f"{array.dtype.name}-{keepbits}",
            array,
            lossy=True,
            keepbits=keepbits,
            dtype=dtype,
        )


def astype_vectors() -> Iterator[Vector]:
    """Return those of `astype`: each way of converting, in both byte orders."""
    values = np.linspace(-300, 300, 75)
    for decoded, encoded in (
        ("|b1", "<f4"),
        ("|u1", "|b1"),
        ("<f8", "|b1"),
        ("<i2", "|i1"),
        ("|i1", ">u4"),
        (">u4", "<i8"),
        ("<i4", "<f4"),
        ("<u8", ">f4"),
        ("<f4", "<f2"),
        ("<f2", "<f8"),
        ("<f4", "|u1"),
        (">f8", ">i2"),
        ("<f4", "<i8"),
        ("<c16", "<c8"),
        (">c8", "<f8"),
        ("<i2", ">c8"),
        ("<M8[s]", "<i4"),
        ("<i8", ">m8[ms]"),
    ):
        plain = values if np.dtype(decoded).kind in "fc" else np.rint(values).astype("i8")
        array = plain.astype(decoded)
        # A real part only, and floats that do not fit, on purpose.
        with warnings.catch_warnings(action="ignore"):
            is_lossy = not np.array_equal(array.astype(encoded).astype(decoded), array)
            yield filtered(
                "astype",
                between(decoded, encoded),
                array,
                lossy=is_lossy,
                encode_dtype=encoded,
                decode_dtype=decoded,
            )


def categorize_vectors() -> Iterator[Vector]:
    """Return those of `categorize`: text with and without a label."""
    words = ["red", "", "green", "blau", "grün", "green!", "\U0001f7e6"] * 7
    for labels, dtype, astype in (
        (["green", "red", "blau"], "<U5", "|u1"),
        (["grün", "\U0001f7e6", "much too long"], ">U6", "<i2"),
        (["red", "", "red"], "<U3", ">u8"),
        ([], "<U1", "|i1"),
    ):
        array = np.array(words, dtype)
        codec = numcodecs.Categorize(labels, dtype, astype)
        encoded = np.asarray(codec.encode(array)).tobytes()
        is_lossy = codec.decode(encoded).tobytes() != array.tobytes()
        yield Vector(
            implementation="categorize-c",
            case=f"{between(dtype, astype)}-{len(labels)}-labels",
            made_by=MADE_BY,
            directions=("encode",) if is_lossy else ("decode", "encode"),
            inputs={
                "bytes": encoded,
                "labels": json.dumps(labels),
                "dtype": dtype,
                "astype": astype,
            },
            outputs={"bytes": array.tobytes()},
        )
    # What comes back where a label is cut, and where there is none.
    numbers = np.arange(-1, 5, dtype="<i4")
    labels = ["green", "red", "a"]
    yield Vector(
        implementation="categorize-c",
        case="decoded-numbers",
        made_by=MADE_BY,
        directions=("decode",),
        inputs={
            "bytes": numbers.tobytes(),
            "labels": json.dumps(labels),
            "dtype": "<U3",
            "astype": "<i4",
        },
        outputs={"bytes": numcodecs.Categorize(labels, "<U3", "<i4").decode(numbers).tobytes()},
    )


def base64_vectors() -> Iterator[Vector]:
    """Return those of `base64`: every padding, and several vectors."""
    data = np.random.default_rng(64).integers(0, 256, 500, "u1")
    for size in (0, 1, 2, 3, 12, 17, 500):
        yield Vector(
            implementation="base64-c",
            case=f"{size}-bytes",
            made_by=MADE_BY,
            directions=("decode", "encode"),
            inputs={"bytes": numcodecs.Base64().encode(data[:size])},
            outputs={"bytes": data[:size].tobytes()},
        )


def delta_vectors() -> Iterator[Vector]:
    """Return those of `delta`.

    numcodecs does not decode booleans and dates to what it has encoded. Ours does, so that decoding
    has to return the array.
    """
    values = smooth(np.dtype("u1"), (70, 1)).ravel()
    for dtype, astype in (
        ("|u1", "|u1"),
        ("<i2", "|i1"),
        ("<u2", "<u2"),
        ("<i4", "<i8"),
        (">i4", ">i4"),
        ("<u8", "<u8"),
        ("<f2", "<f2"),
        ("<f4", "<f4"),
        ("<f8", "<f4"),
        (">f8", "<f8"),
        ("<i4", "<f4"),
        ("<i8", ">f4"),
        ("<f4", "<i2"),
        (">f8", "|u1"),
        ("<c8", "<c8"),
        (">c16", "<c8"),
        ("|b1", "|b1"),
        ("|b1", "<f2"),
        ("<m8[s]", "<m8[s]"),
        (">M8[D]", ">M8[D]"),
        ("<M8[ns]", "<m8[ns]"),
    ):
        # Differences of booleans take the parity, and floats to be stored in bytes rise.
        array = values % 3 == 0 if dtype == "|b1" else values // 2
        array = (np.sort(array) if astype == "|u1" != dtype else array).astype("i8").astype(dtype)
        yield filtered("delta", between(dtype, astype), array, dtype=dtype, astype=astype)


def fixedscaleoffset_vectors() -> Iterator[Vector]:
    """Return those of `fixedscaleoffset`, some values halfway between integers.

    With whole numbers, integers are near their bounds, where they wrap.
    """
    for dtype, astype, offset, scale in (
        ("|u1", "|u1", 5, 3),
        ("|i1", "<i4", -5, 7),
        ("<u2", "<f2", 40_000, 1),
        (">i4", ">f8", 9, -2),
        ("<i8", "<i8", 1, 1),
        ("<i8", "<f4", 2**40, 3),
        ("<u8", ">u8", 2**63, 2),
        ("<i2", "<f4", 300, 0.25),
    ):
        bound = np.iinfo(dtype).max
        low, high = np.arange(40, dtype=dtype), bound - np.arange(35, dtype=dtype)
        array = np.concatenate([low, high]).astype(dtype)
        yield filtered(
            "fixedscaleoffset",
            f"{between(dtype, astype)}-offset-{offset}-scale-{scale}".replace("--", "-minus-"),
            array,
            lossy=True,
            offset=offset,
            scale=scale,
            dtype=dtype,
            astype=astype,
        )
    for dtype, astype in (
        ("<f4", "<i2"),
        ("<f8", "|u1"),
        ("<f8", "<i8"),
        ("<f2", "<i2"),
        ("<f4", "<f4"),
        ("<i2", "<u4"),
        (">f4", ">i2"),
    ):
        array = (np.arange(75) * 0.625 + 1000).astype(dtype)
        yield filtered(
            "fixedscaleoffset",
            between(dtype, astype),
            array,
            lossy=True,
            offset=1000.0,
            scale=4.0,
            dtype=dtype,
            astype=astype,
        )


def quantize_vectors() -> Iterator[Vector]:
    """Return those of `quantize`."""
    for digits, dtype, astype in (
        (2, "<f4", "<f4"),
        (-1, "<f8", "<f8"),
        (3, "<f8", "<f4"),
        (1, "<f2", "<f2"),
        (2, ">f4", "<f8"),
    ):
        array = np.linspace(-40, 40, 75).astype(dtype)
        yield filtered(
            "quantize",
            f"{between(dtype, astype)}-{digits}".replace("--", "-minus-"),
            array,
            lossy=True,
            digits=digits,
            dtype=dtype,
            astype=astype,
        )


def packbits_vectors() -> Iterator[Vector]:
    """Return those of `packbits`, with and without padding."""
    flags = smooth(np.dtype("u1"), (75, 1)).ravel() % 3 == 0
    for count in (0, 1, 8, 20, 75):
        yield filtered("packbits", f"{count}-booleans", flags[:count])


def bitshuffle_vectors() -> Iterator[Vector]:
    """Return those of `bitshuffle`: several blocks, a smaller last block, and a rest."""
    data = smooth(np.dtype("u1"), (300, 8)).tobytes()
    for size, count, block in ((1, 300, 0), (2, 300, 64), (4, 7, 0), (4, 299, 0), (8, 44, 16)):
        plain = data[: size * count]
        yield Vector(
            implementation="bitshuffle-c",
            case=f"elements-of-{size}-blocks-of-{block}-{count}",
            made_by=f"imagecodecs {imagecodecs.__version__}, {imagecodecs.bitshuffle_version()}",
            directions=("decode", "encode"),
            inputs={
                "bytes": bytes(
                    imagecodecs.bitshuffle_encode(plain, itemsize=size, blocksize=block)
                ),
                "elementsize": size,
                "blocksize": block,
            },
            outputs={"bytes": plain},
        )
