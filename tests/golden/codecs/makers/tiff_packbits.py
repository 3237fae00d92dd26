"""Vectors of `tiff-packbits`."""

import io
from collections.abc import Iterator

import imagecodecs
import numpy as np
import PIL
import tifffile
from golden_vector import Directions, Value, Vector, smooth
from PIL import Image

BOTH: Directions = ("decode", "encode")
TN1023 = (
    "fe aa 02 80 00 2a fd aa 03 80 00 2a 22 f7 aa",
    "aa aa aa 80 00 2a aa aa aa aa 80 00 2a 22 aa aa aa aa aa aa aa aa aa aa",
)


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    encoded, plain = map(bytes.fromhex, TN1023)
    yield vector("tn1023", "Apple's Technical Note TN1023", BOTH, encoded, plain)
    # Encoders may differ for a pair of equal bytes, which these data lack.
    theirs = f"imagecodecs {imagecodecs.__version__}, packbits_encode"
    rows = np.repeat(np.arange(24, dtype="u1").reshape(3, 8), [1, 5, 1, 1, 130, 3, 1, 300], axis=1)
    for case, row_size in (("whole", rows.size), ("rows", rows.size // len(rows))):
        packed = bytes(imagecodecs.packbits_encode(rows.reshape(-1, row_size)))
        yield vector(case, theirs, BOTH, packed, rows.tobytes(), row_size=row_size)
    noise = np.random.default_rng(20240604).permutation(256).astype("u1").tobytes()
    for case, plain in (("empty", b""), ("one-byte", b"\xa5"), ("literals", noise + noise[:5])):
        yield vector(case, theirs, BOTH, bytes(imagecodecs.packbits_encode(plain)), plain)
    image = smooth(np.dtype("u1"), (30, 50))
    yield vector(
        "pairs",
        theirs,
        ("decode",),
        bytes(imagecodecs.packbits_encode(image // 16)),
        (image // 16).tobytes(),
    )
    yield libtiff(image // 8)


def libtiff(image: np.ndarray[tuple[int, int], np.dtype[np.unsignedinteger]]) -> Vector:
    """Return the vector of a strip in a TIFF file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="TIFF", compression="packbits")
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        (start,), (size,) = page.dataoffsets, page.databytecounts
    made_by = f"libtiff of Pillow {PIL.__version__}"
    strip = file.getvalue()[start : start + size]
    return vector("libtiff", made_by, ("decode",), strip, image.tobytes())


def vector(
    case: str, made_by: str, directions: Directions, packed: bytes, plain: bytes, **more: Value
) -> Vector:
    """Return a vector."""
    return Vector(
        implementation="tiff-packbits-c",
        case=case,
        made_by=made_by,
        directions=directions,
        inputs={"bytes": packed, **more},
        outputs={"bytes": plain},
    )
