"""Vectors of `tiff-lzw`."""

import io
from collections.abc import Iterator

import imagecodecs
import numpy as np
import PIL
from golden_vector import Vector, smooth
from PIL import Image

RANDOM = np.random.default_rng(20240603)


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    yield from new()
    yield from old()


def new() -> Iterator[Vector]:
    """Return those of TIFF 6.0."""
    for case, plain in (
        ("empty", b""),
        ("one-byte", b"\xa5"),
        ("image", smooth(np.dtype("u1"), (40, 40)).tobytes()),
        ("runs", bytes(3000) + b"\xff" * 700 + b"ab" * 300),
        ("noise", RANDOM.bytes(3500)),
        ("tables", RANDOM.integers(0, 4, 12_000, "u1").tobytes()),
    ):
        yield Vector(
            implementation="tiff-lzw-c",
            case=case,
            made_by=f"imagecodecs {imagecodecs.__version__}, lzw_encode",
            # The second table begins one code later than in TIFF 6.0.
            directions=("decode",) if case == "tables" else ("decode", "encode"),
            inputs={"bytes": bytes(imagecodecs.lzw_encode(plain))},
            outputs={"bytes": plain},
        )


def old() -> Iterator[Vector]:
    """Return one with the least significant bit first, as in GIF and from old writers of TIFF."""
    rows = smooth(np.dtype("u1"), (80, 90))
    file = io.BytesIO()
    Image.fromarray(rows).save(file, format="GIF", optimize=False, interlace=False)
    yield Vector(
        implementation="tiff-lzw-c",
        case="old",
        made_by=f"the blocks of a GIF by Pillow {PIL.__version__}",
        directions=("decode",),
        inputs={"bytes": gif_blocks(file.getvalue())},
        outputs={"bytes": rows.tobytes()},
    )


def gif_blocks(file: bytes) -> bytes:
    """Return the LZW codes of the image in a GIF of 256 colours (GIF89a, sections 20 to 22)."""
    descriptor = b"," + bytes(4)
    at = file.index(descriptor) + 10
    has_palette = file[at - 1] >> 7
    at += has_palette * 768
    assert file[at] == 8
    at += 1
    blocks = []
    while size := file[at]:
        blocks.append(file[at + 1 : at + 1 + size])
        at += 1 + size
    return b"".join(blocks)
