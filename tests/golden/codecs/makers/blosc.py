"""Vectors of `blosc`."""

from collections.abc import Iterator
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
from golden_vector import Vector, smooth
from numcodecs.blosc import Blosc


def vectors() -> Iterator[Vector]:
    """Return the vectors."""
    numbers = smooth(np.dtype("<u4"), (24, 64)).ravel()
    odd = np.frombuffer(numbers.tobytes()[: 3 * 777], "V3")
    short, long = numbers[:31], np.tile(numbers, 3)
    cases: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        *(
            (cname, numbers, {"cname": cname})
            for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
        ),
        ("bits", numbers, {"cname": "lz4", "shuffle": 2}),
        ("bits-of-no-eights", numbers[:1001], {"cname": "zstd", "shuffle": 2}),
        ("unshuffled", numbers, {"cname": "zstd", "shuffle": 0}),
        ("elements-of-3", odd, {"cname": "lz4", "shuffle": 1}),
        ("blocks", long, {"cname": "lz4", "blocksize": 4096}),
        ("rest", long[:-99], {"cname": "blosclz", "blocksize": 4096}),
        ("stored", short, {"cname": "lz4"}),
        ("level-0", numbers[:99], {"cname": "zstd", "clevel": 0}),
        ("empty", numbers[:0], {}),
    ]
    for case, array, settings in cases:
        yield Vector(
            implementation="blosc-rs",
            case=case,
            made_by=f"numcodecs {numcodecs.__version__}",
            # Encoders make different choices: only decoding is exact.
            directions=("decode",),
            inputs={"bytes": bytes(Blosc(**settings).encode(array))},
            outputs={"bytes": array.tobytes()},
        )
    yield Vector(
        implementation="blosc-rs",
        case="followed",
        made_by=f"numcodecs {numcodecs.__version__}, which ignores what follows, too",
        directions=("decode",),
        inputs={"bytes": bytes(Blosc().encode(numbers)) + b"\0??"},
        outputs={"bytes": numbers.tobytes()},
    )
    # Which the wheels of numcodecs leave out.
    snappy = imagecodecs.blosc_encode(numbers, level=5, compressor="snappy", typesize=4, shuffle=1)
    yield Vector(
        implementation="blosc-rs",
        case="snappy",
        made_by=f"imagecodecs {imagecodecs.__version__}, {imagecodecs.blosc_version()}",
        directions=("decode",),
        inputs={"bytes": bytes(snappy)},
        outputs={"bytes": numbers.tobytes()},
    )
