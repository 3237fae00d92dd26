"""Vectors of the checksums, from numcodecs."""

import zlib
from collections.abc import Iterator
from importlib.metadata import version

import numcodecs
import numpy as np
from golden_vector import Value, Vector, smooth

MADE_BY = f"numcodecs {numcodecs.__version__}"
# The library that computes the checksum for numcodecs.
WITH = {
    "adler32": f" with zlib {zlib.ZLIB_RUNTIME_VERSION}",
    "crc32": f" with zlib {zlib.ZLIB_RUNTIME_VERSION}",
    "crc32c": f" with google-crc32c {version('google-crc32c')}",
    "fletcher32": "",
    "jenkins_lookup3": "",
}


def vectors() -> Iterator[Vector]:
    """Return the vectors: no bytes, an odd size, and data for several code paths."""
    data = smooth(np.dtype("u1"), (500, 20)).tobytes()
    for codec_id in ("adler32", "crc32", "crc32c", "fletcher32"):
        # numcodecs' fletcher32 refuses to encode no bytes.
        for size in (() if codec_id == "fletcher32" else (0,)) + (1, 777, 9987):
            yield checked(codec_id, f"{size}-bytes", data[:size])
        yield checked(codec_id, "greatest-sums", b"\xff" * 6000)
    for codec_id in ("adler32", "crc32", "crc32c"):
        for location in ("start", "end"):
            yield checked(codec_id, f"at-the-{location}", data[:99], location=location)
    # Whole steps of 12 bytes, and rests.
    for size in (0, 1, 12, 13, 777):
        yield checked("jenkins_lookup3", f"{size}-bytes", data[:size])
    yield checked("jenkins_lookup3", "initval", data[:99], initval=0xFFFF_FFFE)
    yield checked("jenkins_lookup3", "prefix", data[:99], prefix=b"prefixed", initval=7)


def checked(codec_id: str, case: str, plain: bytes, **config: Value) -> Vector:
    """Return the vector of data."""
    codec = numcodecs.get_codec({"id": codec_id, **config})
    return Vector(
        implementation=f"{codec_id}-{'c' if codec_id == 'jenkins_lookup3' else 'rs'}",
        case=case,
        made_by=MADE_BY + WITH[codec_id],
        directions=("decode", "encode"),
        inputs={"bytes": bytes(codec.encode(np.frombuffer(plain, "u1"))), **config},
        outputs={"bytes": plain},
    )
