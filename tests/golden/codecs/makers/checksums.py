"""Vectors of the checksums: numcodecs' answers."""

import zlib
from collections.abc import Iterator
from importlib.metadata import version

import numcodecs
import numpy as np
from golden_vector import Vector, smooth

MADE_BY = f"numcodecs {numcodecs.__version__}"
# What computes the checksum, where that is not numcodecs itself.
WITH = {
    "adler32": f" with zlib {zlib.ZLIB_RUNTIME_VERSION}",
    "crc32": f" with zlib {zlib.ZLIB_RUNTIME_VERSION}",
    "crc32c": f" with google-crc32c {version('google-crc32c')}",
    "fletcher32": "",
}


def vectors() -> Iterator[Vector]:
    """Give the vectors: of nothing, of an odd size, and of what is done in several ways."""
    data = smooth(np.dtype("u1"), (500, 20)).tobytes()
    for codec_id in ("adler32", "crc32", "crc32c", "fletcher32"):
        # numcodecs' fletcher32 refuses to encode nothing.
        for size in (() if codec_id == "fletcher32" else (0,)) + (1, 777, 9987):
            yield checked(codec_id, f"{size}-bytes", data[:size])
        yield checked(codec_id, "greatest-sums", b"\xff" * 6000)
    for codec_id in ("adler32", "crc32", "crc32c"):
        for location in ("start", "end"):
            yield checked(codec_id, f"at-the-{location}", data[:99], location=location)


def checked(codec_id: str, case: str, plain: bytes, **config: str) -> Vector:
    """Give the vector of some data."""
    codec = numcodecs.get_codec({"id": codec_id, **config})
    return Vector(
        implementation=f"{codec_id}-rs",
        case=case,
        made_by=MADE_BY + WITH[codec_id],
        directions=("decode", "encode"),
        inputs={"bytes": bytes(codec.encode(np.frombuffer(plain, "u1"))), **config},
        outputs={"bytes": plain},
    )
