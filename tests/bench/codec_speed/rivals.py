"""Codecs of other libraries, each ready for a chunk.

They get the best arguments that a caller has: arrays of the right type where that matters, one
thread, and the decoded size where they take it.
"""

from functools import partial
from importlib import import_module
from typing import Any

import imagecodecs
import numcodecs
import numcodecs.blosc
import numpy as np

from tests.bench.codec_speed.case import MakeRival, Rival
from tests.bench.sample import Chunk

# Ours has one thread, too.
numcodecs.blosc.set_nthreads(1)


def native(codec_id: str, **config: object) -> MakeRival:
    """Compare with a codec of numcodecs.

    Args:
        codec_id: its name there.
        config: its parameters; `dtype`, and those that are None, come from the chunk.
    """

    def make(chunk: Chunk) -> Rival:
        facts = {name: chunk.facts[name] for name, value in config.items() if value is None}
        codec = numcodecs.get_codec({"id": codec_id, **config, **facts})
        data = chunk.array.ravel()
        return Rival("numcodecs", partial(codec.encode, data), codec.decode)

    return make


def in_wasm(package: str, name: str, **config: object) -> MakeRival:
    """Compare with a codec of numcodecs-wasm, which writes its own header before the data."""

    def make(chunk: Chunk) -> Rival:
        codec = getattr(import_module(package), name)(**config)
        data = chunk.array.ravel()
        return Rival("numcodecs-wasm", partial(codec.encode, data), codec.decode, own_format=True)

    return make


def images(codec: str, *, sized: bool = True, **options: Any) -> MakeRival:
    """Compare with a codec of imagecodecs that maps bytes to bytes.

    Args:
        codec: its name there.
        sized: whether to pass the decoded size.
        options: arguments of both directions; `level` is for encoding only.
    """

    def make(chunk: Chunk) -> Rival:
        encode, decode = (getattr(imagecodecs, f"{codec}_{way}") for way in ("encode", "decode"))
        data = chunk.array.tobytes()
        told = {name: value for name, value in options.items() if name != "level"}
        if sized:
            told["out"] = len(data)
        return Rival("imagecodecs", partial(encode, data, **options), partial(decode, **told))

    return make


def image_rows(codec: str, *, dtype: str | None = None) -> MakeRival:
    """Compare with a codec of imagecodecs that maps the rows of an image to rows.

    Args:
        codec: its name there.
        dtype: the type of the encoded form, if it differs.
    """

    def make(chunk: Chunk) -> Rival:
        encode, decode = (getattr(imagecodecs, f"{codec}_{way}") for way in ("encode", "decode"))

        def decoded(encoded: Any) -> object:
            rows = np.frombuffer(as_bytes(encoded), dtype or chunk.array.dtype)
            return decode(rows.reshape(chunk.array.shape), axis=-1)

        return Rival("imagecodecs", lambda: encode(chunk.array, axis=-1), decoded)

    return make


def blosc_images(compressor: str, shuffle: int) -> MakeRival:
    """Compare with c-blosc in imagecodecs."""

    def make(chunk: Chunk) -> Rival:
        encode = partial(
            imagecodecs.blosc_encode,
            chunk.array,
            level=5,
            compressor=compressor,
            shuffle=shuffle,
            typesize=chunk.array.itemsize,
            numthreads=1,
        )
        return Rival("imagecodecs", encode, partial(imagecodecs.blosc_decode, numthreads=1))

    return make


def bitshuffle_images(chunk: Chunk) -> Rival:
    """Compare with bitshuffle in imagecodecs."""
    size, data = chunk.array.itemsize, chunk.array.tobytes()
    return Rival(
        "imagecodecs",
        partial(imagecodecs.bitshuffle_encode, data, itemsize=size),
        partial(imagecodecs.bitshuffle_decode, itemsize=size),
    )


def pcodec_images(chunk: Chunk) -> Rival:
    """Compare with pcodec in imagecodecs."""
    data = chunk.array.ravel()
    decode = partial(imagecodecs.pcodec_decode, shape=data.shape, dtype=data.dtype)
    return Rival("imagecodecs", partial(imagecodecs.pcodec_encode, data, level=8), decode)


def byte_swap(chunk: Chunk) -> Rival:
    """Compare with swapping bytes in NumPy."""
    swapped = chunk.array.dtype.newbyteorder(">")

    def decode(encoded: Any) -> bytes:
        return np.frombuffer(as_bytes(encoded), swapped).astype(chunk.array.dtype).tobytes()

    return Rival("NumPy", lambda: chunk.array.astype(swapped).tobytes(), decode)


def transposition(chunk: Chunk) -> Rival:
    """Compare with swapping two axes in NumPy."""
    shape = chunk.array.shape

    def decode(encoded: Any) -> bytes:
        turned = np.frombuffer(as_bytes(encoded), chunk.array.dtype).reshape(shape[::-1])
        return turned.T.tobytes()

    return Rival("NumPy", chunk.array.T.tobytes, decode)


def as_bytes(data: Any) -> bytes:
    """Return the result of any codec as bytes."""
    return np.ascontiguousarray(data).tobytes() if isinstance(data, np.ndarray) else bytes(data)
