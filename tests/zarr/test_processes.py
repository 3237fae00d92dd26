"""Arrays and codecs of the Zarr door in threads and other processes."""

import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.registry import get_codec_class

import chonkle.zarr

pytestmark = [
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in:UserWarning"),
    # zarr-python runs an event loop in a thread; a forked child makes its own.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning"),
]

_DATA = np.arange(400, dtype="<i4").reshape(20, 20)
_METHODS = ["spawn", "fork"] if sys.platform == "linux" else ["spawn"]
_SETTINGS: list[Any] = [
    {
        "compressors": {"name": "numcodecs.zlib", "configuration": {"level": 1}},
        "filters": {"name": "numcodecs.delta", "configuration": {"dtype": "<i4"}},
    },
    {"shards": (5, 20)},
    {"zarr_format": 2, "order": "F", "compressors": {"id": "blosc"}},
]


def _made(place: Path, settings: Any) -> Any:
    array = zarr.create_array(
        zarr.storage.LocalStore(place), shape=(20, 20), chunks=(5, 5), dtype="<i4", **settings
    )
    array[...] = _DATA
    return array


def _read(array: Any, row: int) -> tuple[Any, str, float | None]:
    pipeline = array._async_array.codec_pipeline  # noqa: SLF001
    chain = pipeline.sync_transform
    limit = chain.options.timeout_s if hasattr(chain, "options") else None
    array[row] = -array[row]
    return np.asarray(array[row]), f"{type(pipeline).__module__}", limit


@pytest.mark.slow
@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("settings", _SETTINGS)
def test_arrays_go_to_other_processes(tmp_path: Path, method: str, settings: Any) -> None:
    context = multiprocessing.get_context(method)
    with chonkle.zarr.using(timeout_s=30):
        array = _made(tmp_path, settings)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            results = list(pool.map(_read, [array] * 4, range(0, 20, 5)))
    for row, (values, module, limit) in zip(range(0, 20, 5), results, strict=True):
        np.testing.assert_array_equal(values, -_DATA[row])
        assert module == "chonkle.zarr"
        assert limit == (None if "shards" in settings else 30)


@pytest.mark.parametrize("settings", _SETTINGS)
def test_a_pickle_keeps_codecs_and_limits(tmp_path: Path, settings: Any) -> None:
    with chonkle.zarr.using(memory_bytes=1 << 28):
        array = _made(tmp_path, settings)
    again = pickle.loads(pickle.dumps(array))  # noqa: S301
    assert again.metadata == array.metadata
    np.testing.assert_array_equal(again[...], _DATA)
    with chonkle.zarr.using(memory_bytes=1 << 28):
        codec = get_codec_class("gzip").from_dict({"name": "gzip", "configuration": {"level": 3}})
        old = numcodecs.get_codec({"id": "zlib", "level": 3})
    for made in (codec, old):
        copied: Any = pickle.loads(pickle.dumps(made))  # noqa: S301
        assert copied == made
        assert copied.codec.limits.memory_bytes == 1 << 28


def test_threads_share_an_array(tmp_path: Path) -> None:
    with chonkle.zarr.using():
        array = _made(tmp_path, _SETTINGS[0])
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda row: np.asarray(array[row % 20]), range(200)))
    for row, values in enumerate(found):
        np.testing.assert_array_equal(values, _DATA[row % 20])
