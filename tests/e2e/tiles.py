"""A tile of pixels that was made without chonkle."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile made without chonkle, and the pipeline that decodes it.

    Attributes:
        pipeline: the demo's pipeline, for this tile's width.
        pixels: little-endian uint16.
        encoded: the pixels, differenced by NumPy and deflated by Python's zlib.
    """

    pipeline: Mapping[str, Any]
    pixels: bytes
    encoded: bytes

    def undo(self, encoded: bytes) -> bytes:
        """Decode what any encoder of such tiles wrote, without chonkle."""
        width = self.pipeline["constants"]["width"]["value"]
        differences = np.frombuffer(zlib.decompress(encoded), dtype="<u2").reshape(-1, width)
        return np.cumsum(differences, axis=1, dtype=np.uint16).tobytes()
