"""Vectors of `lzma`."""

import json
import lzma
import platform
from collections.abc import Iterator
from typing import Any

import numpy as np
from golden_vector import Value, Vector, smooth

FILTERS = [
    {"id": lzma.FILTER_DELTA, "dist": 2},
    {"id": lzma.FILTER_X86, "start_offset": 16},
    {"id": lzma.FILTER_LZMA2, "preset": 3, "lc": 1, "lp": 2, "pb": 1, "nice_len": 40},
]


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    for case, plains, options in (
        ("empty", [b""], {}),
        ("default", [data], {}),
        ("preset-0", [data], {"preset": 0}),
        ("preset-9", [data], {"preset": 9}),
        ("extreme", [data], {"preset": 3 | lzma.PRESET_EXTREME}),
        ("runs", [bytes(200_000) + data[:300] + b"\xff" * 900], {}),
        ("no-check", [data], {"check": lzma.CHECK_NONE}),
        ("crc32", [data], {"check": lzma.CHECK_CRC32}),
        ("sha256", [data], {"check": lzma.CHECK_SHA256}),
        ("streams", [data[:99], b"", data[99:400]], {"preset": 1}),
        ("filters", [data], {"filters": FILTERS}),
        ("alone", [data], {"format": lzma.FORMAT_ALONE}),
        ("raw", [data], {"format": lzma.FORMAT_RAW, "filters": FILTERS}),
        ("raw-lzma1", [data], {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_LZMA1}]}),
    ):
        yield vector(case, plains, options)
    # What follows is ignored by Python, too.
    yield Vector(
        implementation="lzma-rs",
        case="followed",
        made_by=made_by(),
        directions=("decode",),
        inputs={"bytes": lzma.compress(data) + b"no stream"},
        outputs={"bytes": data},
    )
    for case, file_format in (("auto-xz", lzma.FORMAT_XZ), ("auto-alone", lzma.FORMAT_ALONE)):
        encoded = lzma.compress(data, format=file_format)
        yield Vector(
            implementation="lzma-rs",
            case=case,
            made_by=made_by(),
            directions=("decode",),
            inputs={"bytes": encoded, "format": lzma.FORMAT_AUTO},
            outputs={"bytes": data},
        )


def vector(case: str, plains: list[bytes], options: dict[str, Any]) -> Vector:
    """Return a vector of one or more streams."""
    ports: dict[str, Value] = {**options}
    if "filters" in options:
        ports["filters"] = json.dumps(options["filters"])
    return Vector(
        implementation="lzma-rs",
        case=case,
        made_by=made_by(),
        # Our headers have a dictionary that is at most as large as the data.
        directions=("decode",),
        inputs={"bytes": b"".join(lzma.compress(plain, **options) for plain in plains), **ports},
        outputs={"bytes": b"".join(plains)},
    )


def made_by() -> str:
    """Return the name of the library."""
    return f"liblzma of Python {platform.python_version()}"
