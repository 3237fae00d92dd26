"""Configurations exactly as numcodecs and Zarr write them, with values beyond the ranges."""

import json
import lzma
from collections.abc import Callable, Iterator
from typing import Any

import numcodecs
import numpy as np
import pytest
from numcodecs.pcodec import PCodec

import chonkle
from chonkle.errors import PipelineError
from chonkle.runtime import Runtime

VALUES = np.cumsum(np.random.default_rng(5).integers(-3, 4, 3000)).astype("<i4")
RAW = lzma.FORMAT_RAW
DELTA = {"id": lzma.FILTER_DELTA, "dist": 4}
CHAIN = [DELTA, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]

CODECS = [
    numcodecs.Zlib(9),
    numcodecs.Zlib(-1),
    numcodecs.GZip(0),
    numcodecs.BZ2(9),
    numcodecs.LZMA(),
    numcodecs.LZMA(format=RAW, filters=CHAIN),
    numcodecs.LZMA(format=RAW, filters=[{"id": lzma.FILTER_LZMA1, "preset": 2}]),
    numcodecs.LZMA(check=lzma.CHECK_SHA256, preset=9 | lzma.PRESET_EXTREME),
    numcodecs.LZ4(0),
    numcodecs.LZ4(-5),
    numcodecs.LZ4(10**6),
    numcodecs.Zstd(0, checksum=True),
    numcodecs.Zstd(100),
    numcodecs.Zstd(-200_000),
    numcodecs.Blosc("zstd", 9, numcodecs.Blosc.BITSHUFFLE, 4096),
    numcodecs.Blosc("blosclz", 0, numcodecs.Blosc.AUTOSHUFFLE),
    PCodec(),
    PCodec(4, mode_spec="classic", delta_spec="try_consecutive", delta_encoding_order=2),
    PCodec(equal_pages_up_to=1 << 30),
    numcodecs.Adler32(),
    numcodecs.CRC32(location="end"),
    numcodecs.CRC32C(),
    numcodecs.Fletcher32(),
]


@pytest.fixture(scope="module")
def runtime(open_runtime: Callable[..., Runtime]) -> Iterator[Runtime]:
    with open_runtime(cache=None) as opened:
        yield opened


@pytest.mark.parametrize("theirs", CODECS, ids=lambda each: json.dumps(each.get_config()))
def test_configurations_of_numcodecs(runtime: Runtime, theirs: Any) -> None:
    # As it is stored: `None` is null, and a chain of filters is a list of objects.
    config = json.loads(json.dumps(theirs.get_config()))
    ours = chonkle.codec(config, runtime=runtime)
    assert bytes(ours.decode(bytes(theirs.encode(VALUES)))) == VALUES.tobytes()
    back = theirs.decode(ours.encode(VALUES))
    assert np.asarray(back).tobytes() == VALUES.tobytes()


def test_a_chain_of_filters_in_xz(runtime: Runtime) -> None:
    """numcodecs writes it, and does not read it: xz records the chain."""
    theirs = numcodecs.LZMA(filters=CHAIN)
    ours = chonkle.codec(theirs.get_config(), runtime=runtime)
    assert bytes(ours.decode(bytes(theirs.encode(VALUES)))) == VALUES.tobytes()
    assert lzma.decompress(bytes(ours.encode(VALUES))) == VALUES.tobytes()


@pytest.mark.parametrize(("word", "number"), [("noshuffle", 0), ("shuffle", 1), ("bitshuffle", 2)])
def test_blosc_of_zarr_3(runtime: Runtime, word: str, number: int) -> None:
    configuration = {
        "cname": "zstd", "clevel": 5, "shuffle": word, "typesize": 4, "blocksize": 0,
    }  # fmt: skip
    ours = chonkle.codec({"name": "blosc", "configuration": configuration}, runtime=runtime)
    encoded = numcodecs.Blosc("zstd", 5, number).encode(VALUES)
    assert bytes(ours.encode(VALUES)) == bytes(encoded)
    assert bytes(ours.decode(encoded)) == VALUES.tobytes()


@pytest.mark.parametrize("itemsize", [1, 255, 256, 300])
@pytest.mark.parametrize("shuffle", [-1, 1, 2])
def test_blosc_takes_the_size_of_an_element_from_the_array(
    runtime: Runtime, itemsize: int, shuffle: int
) -> None:
    texts = np.frombuffer(VALUES.tobytes()[: itemsize * 40], f"S{itemsize}")
    theirs = numcodecs.Blosc("lz4", 5, shuffle)
    ours = chonkle.codec(theirs.get_config(), runtime=runtime)
    assert bytes(ours.encode(texts)) == bytes(theirs.encode(texts))


def test_pcodec_stores_little_endian_numbers(runtime: Runtime) -> None:
    """numcodecs refuses other numbers; ours come back in the order of the array."""
    ours = chonkle.codec("pcodec", runtime=runtime)
    encoded = ours.encode(VALUES.astype(">i4"))
    assert np.array_equal(PCodec().decode(encoded), VALUES)
    decoded = ours.decode(encoded, dtype=">i4")
    assert decoded.dtype == np.dtype(">i4")
    assert np.array_equal(decoded, VALUES)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"id": "zlib", "level": 10}, "parameter `level`: out of range, expected -1 to 9"),
        ({"id": "gzip", "level": -2}, "parameter `level`: out of range, expected -1 to 9"),
        ({"id": "bz2", "level": 0}, "parameter `level`: out of range, expected 1 to 9"),
        ({"id": "blosc", "clevel": 10}, "parameter `clevel`: out of range, expected 0 to 9"),
        ({"id": "blosc", "shuffle": 3}, "parameter `shuffle`: out of range"),
        ({"id": "blosc", "cname": "LZ4"}, "parameter `cname`: unknown value"),
        ({"id": "lzma", "format": 4}, "parameter `format`: out of range, expected 0 to 3"),
        ({"id": "lzma", "check": 16}, "parameter `check`: out of range, expected -1 to 15"),
        ({"id": "pcodec", "level": 13}, "parameter `level`: out of range, expected 0 to 12"),
        ({"id": "pcodec", "delta_spec": "x"}, "parameter `delta_spec`: unknown value"),
        ({"id": "pcodec", "delta_encoding_order": 8}, "parameter `delta_encoding_order`: out of"),
        ({"id": "crc32", "location": "middle"}, "parameter `location`: unknown value"),
        ({"id": "zstd", "trailing": "drop"}, "parameter `trailing`: unknown value"),
    ],
    ids=lambda given: json.dumps(given) if isinstance(given, dict) else "",
)
def test_what_the_libraries_refuse_is_refused_at_once(
    runtime: Runtime, config: dict[str, object], words: str
) -> None:
    with pytest.raises(PipelineError, match=words):
        chonkle.codec(config, runtime=runtime)
