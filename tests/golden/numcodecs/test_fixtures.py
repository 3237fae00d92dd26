"""The fixtures of numcodecs through `chonkle.codec`: what numcodecs wrote, and what it reads."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
import pytest
from numcodecs.compat import ensure_contiguous_ndarray

import chonkle
from chonkle.codecs import ChunkCodec

type Array = np.ndarray[Any, Any]

# How many chunks each folder has. A chunk of Python objects is not counted.
CHUNKS = {
    "adler32": 13, "astype/f": 2, "astype/i": 2, "base64": 13, "blosc": 169, "bz2": 52,
    "categorize/O": 0, "categorize/U": 4, "crc32": 13, "crc32c": 13, "delta/bool": 1,
    "delta/float32": 1, "delta/float64": 1, "delta/int32": 1, "delta/uint16": 1,
    "fixedscaleoffset": 25, "gzip": 78, "json2": 6, "lz4": 91, "lzma": 65, "msgpack2": 3,
    "packbits": 4, "pcodec": 110, "quantize": 25, "shuffle": 52, "zlib": 78, "zstd": 130,
}  # fmt: skip
# No WebAssembly codec has these.
NATIVE = {"base64", "categorize", "json2", "msgpack2"}
LOSSY = {"astype", "fixedscaleoffset", "quantize"}


@dataclass
class Folder:
    """The fixtures of one codec: its arrays and, by configuration, the chunk of each."""

    arrays: dict[str, Array] = field(default_factory=dict)
    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    encoded: dict[tuple[str, str], bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def folders() -> Mapping[str, Folder]:
    found: dict[str, Folder] = {}
    with tarfile.open(Path(__file__).parent / "fixtures.tar.xz") as archive:
        for member in archive:
            path, file = Path(member.name), archive.extractfile(member)
            assert file is not None
            if path.name.startswith("array."):
                folder = found.setdefault(str(path.parent), Folder())
                array = read_array(file.read())
                if array is not None:
                    folder.arrays[path.suffixes[0]] = array
            elif path.name == "config.json":
                folder = found.setdefault(str(path.parents[1]), Folder())
                folder.configurations[path.parent.name] = json.load(file)
            elif path.name.startswith("encoded."):
                folder = found.setdefault(str(path.parents[1]), Folder())
                folder.encoded[path.parent.name, path.suffixes[0]] = file.read()
    return found


def read_array(data: bytes) -> Array | None:
    """Read an array, unless it has Python objects.

    numcodecs writes elements in the order of memory: a Fortran-ordered array is the C-ordered one
    of its transposed.
    """
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError:
        return None
    assert isinstance(array, np.ndarray)
    return array if array.flags.c_contiguous else array.T


def made_by_numcodecs(codec: Any, encoded: bytes) -> bytes:
    """Decode with numcodecs, and give the bytes of the elements."""
    return bytes(ensure_contiguous_ndarray(codec.decode(encoded)))


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_of_numcodecs_and_ours_decode_in_both(
    folders: Mapping[str, Folder], name: str
) -> None:
    folder, count = folders[name], 0
    for (number, index), encoded in folder.encoded.items():
        array = folder.arrays.get(index)
        if array is None:
            continue
        count += 1
        configuration = folder.configurations[number]
        codec = opened(configuration)
        decoded = codec.decode(encoded, dtype=array.dtype, shape=array.shape)
        assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
        if configuration["id"] not in LOSSY:
            assert decoded.tobytes() == array.tobytes(), (configuration, index)
        if configuration.get("cname") == "snappy":  # which the wheels of numcodecs leave out
            assert imagecodecs.blosc_decode(codec.encode(array)) == array.tobytes()
            continue
        theirs = numcodecs.get_codec(configuration)
        expected = made_by_numcodecs(theirs, encoded)
        assert decoded.tobytes() == expected, (configuration, index)
        ours = codec.encode(array)
        assert made_by_numcodecs(theirs, ours) == expected, (configuration, index)
    assert count == CHUNKS[name]


def opened(configuration: Mapping[str, Any]) -> ChunkCodec:
    return chonkle.codec(configuration, backend="native" if configuration["id"] in NATIVE else None)


def test_every_folder_is_tested(folders: Mapping[str, Folder]) -> None:
    assert sorted(folders) == sorted(CHUNKS)
