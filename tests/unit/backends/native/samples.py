"""Codecs of numcodecs, with data and parameters for each."""

import json
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from chonkle.backends.native import is_available, native_codec_ids
from chonkle.backends.native.catalog import native_call
from chonkle.backends.native.native_codec import NativeCodec
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction
from chonkle.formats.values import encode_scalar

np = pytest.importorskip("numpy")
numcodecs: ModuleType = pytest.importorskip("numcodecs")

VECTORS = json.loads((Path(__file__).parents[3] / "golden" / "native" / "vectors.json").read_text())
CODEC_IDS = native_codec_ids()
RUNNABLE = [codec_id for codec_id in CODEC_IDS if is_available(codec_id)]
TEXT = b"the quick brown fox jumps over the lazy dog, " * 20
FLOATS = np.linspace(-3, 3, 64)
RAMP = np.arange(1000, 1064, dtype="<u2")

# Decoded bytes and parameters for each codec that needs some.
SAMPLES: dict[str, tuple[bytes, dict[str, object]]] = {
    "astype": (RAMP.tobytes(), {"encode_dtype": "<f4", "decode_dtype": "<u2"}),
    "bitround": (FLOATS.astype("<f4").tobytes(), {"dtype": "<f4", "keepbits": 6}),
    "blosc": (RAMP.tobytes(), {"cname": "zstd", "clevel": 3, "shuffle": 1, "typesize": 2}),
    "bz2": (TEXT, {"level": 9}),
    "categorize": (
        np.array(["red", "green", "blue"], "<U5").tobytes(),
        {"labels": '["red","green","blue"]', "dtype": "<U5"},
    ),
    "crc32": (TEXT, {"location": "end"}),
    "delta": (RAMP.tobytes(), {"dtype": "<u2", "astype": "<i2"}),
    "fixedscaleoffset": (
        FLOATS.tobytes(),
        {"offset": -3, "scale": 40, "dtype": "<f8", "astype": "|u1"},
    ),
    "jenkins_lookup3": (TEXT, {"initval": 7}),
    "json2": (RAMP.tobytes(), {"dtype": "<u2", "shape": [8, 8]}),
    "lzma": (TEXT, {"preset": 1}),
    "msgpack2": (RAMP.tobytes(), {"dtype": "<u2", "shape": [8, 8]}),
    "packbits": (bytes([1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1]), {}),
    "quantize": (FLOATS.tobytes(), {"digits": 2, "dtype": "<f8"}),
    "shuffle": (TEXT, {"elementsize": 5}),
    "zstd": (TEXT, {"level": 9, "checksum": True}),
}
LOSSY = {"bitround", "fixedscaleoffset", "quantize"}


def run(
    codec: NativeCodec | str,
    direction: Direction,
    data: Buffer,
    parameters: Mapping[str, object] | None = None,
) -> bytes:
    """Call a codec with the parameters that exist in a direction."""
    codec = NativeCodec.of(codec) if isinstance(codec, str) else codec
    ports = codec.signature().input_ports(direction)
    scalars = {
        name: encode_scalar(value) for name, value in (parameters or {}).items() if name in ports
    }
    return codec.call(direction, {"bytes": data, **scalars})["bytes"]


def reference(codec_id: str, parameters: Mapping[str, object]) -> Any:
    """Make the numcodecs object for a set of parameters."""
    call = native_call(codec_id)
    assert call is not None
    arguments = {
        name: json.loads(cast("str", value)) if name in call.convert else value
        for name, value in parameters.items()
        if name not in call.describes
    }
    return attrgetter(call.codec_class)(numcodecs)(**arguments)


def sample(codec_id: str) -> tuple[bytes, dict[str, object]]:
    return SAMPLES.get(codec_id, (TEXT, {}))


def as_given(codec_id: str, data: bytes, parameters: Mapping[str, object]) -> Any:
    """Make of raw bytes what a user of numcodecs holds."""
    call = native_call(codec_id)
    assert call is not None
    if call.data == "bytes":
        return data
    array = np.frombuffer(data, cast("str", parameters["dtype"]))
    return array.reshape(parameters.get("shape", -1))
