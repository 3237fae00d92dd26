"""Make the golden vectors of the shipped codecs with implementations that are not ours.

Run by hand, once, when a case is added; the files that exist are never written again, so that a
codec which changes its output fails its test instead of changing its vectors.

    python tests/golden/codecs/make_vectors.py

A vector is a JSON file in `codec-src/<implementation>/vectors/`:

    made_by      what computed the expected side, with versions
    directions   which directions must give exactly the other side
    inputs       ports of the encoded form and parameters: {"base64": ...} or {"json": ...}
    outputs      ports of the decoded form
"""

import base64
import json
import platform
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

CODEC_SRC = Path(__file__).parents[3] / "codec-src"

Ports = dict[str, bytes | int]


def main() -> None:
    """Write the vectors that do not exist yet."""
    for implementation, case, vector in vectors():
        path = CODEC_SRC / implementation / "vectors" / f"{case}.json"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")


def vectors() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Give implementation, case and vector of each."""
    data = smooth(np.dtype("<u2"), (8, 33)).tobytes()
    both = ("decode", "encode")
    definition = "the definition of the codec, written out"
    yield "identity-c", "some", vector(definition, both, {"bytes": data}, {"bytes": data})
    yield "identity-c", "empty", vector(definition, both, {"bytes": b""}, {"bytes": b""})
    yield from page_split(definition)
    yield from predictor()
    yield from deflate()


def page_split(definition: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    for case, rep, levels, data in (
        ("levels", b"\x02\x00\x03\x01", b"\x06\x01", bytes(range(40))),
        ("no-levels", b"", b"", b"flat and required"),
        ("only-levels", b"\x04\x00", b"\x04\x00", b""),
    ):
        inputs: Ports = {
            "bytes": rep + levels + data,
            "rep_levels_length": len(rep),
            "def_levels_length": len(levels),
        }
        outputs: Ports = {"rep_levels": rep, "def_levels": levels, "data": data}
        yield "page-split-c", case, vector(definition, ("decode", "encode"), inputs, outputs)


def predictor() -> Iterator[tuple[str, str, dict[str, object]]]:
    made_by = (
        f"imagecodecs {imagecodecs.__version__}, delta_encode(axis=1) of NumPy {np.__version__}"
    )
    for dtype, samples in (("u1", 1), ("u1", 3), ("<u2", 1), ("<u2", 5), ("<u4", 1), ("<u8", 2)):
        rows = smooth(np.dtype(dtype), (5, 37, samples))
        inputs: Ports = {
            "bytes": imagecodecs.delta_encode(rows, axis=1).tobytes(),
            "bytes_per_sample": rows.itemsize,
            "width": rows.shape[1],
            "samples_per_pixel": samples,
        }
        case = f"{rows.dtype.name}-{samples}"
        found = vector(made_by, ("decode", "encode"), inputs, {"bytes": rows.tobytes()})
        yield "tiff-predictor-2-c", case, found


def deflate() -> Iterator[tuple[str, str, dict[str, object]]]:
    made_by = f"zlib {zlib.ZLIB_RUNTIME_VERSION} of Python {platform.python_version()}"
    data = smooth(np.dtype("<u2"), (16, 64)).tobytes()
    for case, plain, level in (
        ("empty", b"", 6),
        ("stored", data[:512], 0),
        ("fixed-codes", b"chonkle chonkle", 9),
        ("level-1", data, 1),
        ("level-6", data, 6),
        ("level-9-runs", bytes(4096) + data, 9),
    ):
        inputs: Ports = {"bytes": zlib.compress(plain, level)}
        # Encoders differ in their choices, so only decoding is exact.
        yield "zlib-rs", case, vector(made_by, ("decode",), inputs, {"bytes": plain})


def smooth(
    dtype: np.dtype[np.unsignedinteger], shape: tuple[int, ...]
) -> NDArray[np.unsignedinteger]:
    """Give integers like those of an image: neighbours are alike, and some wrap around."""
    noise = np.random.default_rng(20240601).integers(-40, 41, shape)
    return np.cumsum(noise, axis=-2).astype(dtype)


def vector(
    made_by: str, directions: tuple[str, ...], inputs: Ports, outputs: Ports
) -> dict[str, object]:
    return {
        "made_by": made_by,
        "directions": list(directions),
        "inputs": {name: written(value) for name, value in inputs.items()},
        "outputs": {name: written(value) for name, value in outputs.items()},
    }


def written(value: bytes | int) -> dict[str, object]:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return {"json": value}


if __name__ == "__main__":
    main()
