"""Libraries that read and write Zarr through zarr-python, and other processes, use chonkle too."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cubed
import cubed.array_api
import icechunk
import numpy as np
import pytest
import xarray
import zarr
from zarr.codecs.numcodecs import Shuffle, Zlib

import chonkle.zarr

ROOT = Path(__file__).parents[2]
VALUES = np.linspace(0, 1, 64 * 48, dtype="f4").reshape(64, 48)
CODECS: dict[str, Any] = {
    "chunks": (16, 16),
    "filters": (),
    "compressors": (Shuffle(elementsize=4), Zlib(level=1)),
}
USED = {"shuffle", "zlib"}  # `bytes` changes nothing here


@pytest.fixture
def codecs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], set[str]]]:
    """Give a function that tells which codecs chonkle has run since the last call."""
    known: set[str] = set()

    def run_since() -> set[str]:
        cache = tmp_path / f"cache{len(known)}"
        known.add(str(cache))
        monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / f"cache{len(known)}"))
        records = [path.read_bytes().splitlines()[1] for path in cache.rglob("*.record")]
        return {json.loads(record)["codec_id"] for record in records} - {""}

    run_since()
    yield run_since
    chonkle.zarr.unuse()


Run = Callable[[], set[str]]


def test_xarray(tmp_path: Path, codecs_run: Run) -> None:
    store, copied = str(tmp_path / "store.zarr"), str(tmp_path / "copy.zarr")
    dataset = xarray.Dataset({"t": (("y", "x"), VALUES)}, {"x": np.arange(48), "y": np.arange(64)})
    dataset.to_zarr(store, encoding={"t": CODECS}, consolidated=False)
    assert codecs_run() == set()

    chonkle.zarr.use(strict=True)
    read = xarray.open_zarr(store, chunks={"x": 32}, consolidated=False)
    xarray.testing.assert_identical(read.load(), dataset)
    assert codecs_run() >= USED
    (read + 1).to_zarr(copied, encoding={"t": CODECS}, consolidated=False)
    assert codecs_run() >= USED

    chonkle.zarr.unuse()
    again = xarray.open_zarr(copied, consolidated=False)
    xarray.testing.assert_identical(again.load(), dataset + 1)


def test_icechunk(codecs_run: Run) -> None:
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    zarr.create_array(session.store, name="stock", data=VALUES, **CODECS)
    assert codecs_run() == set()

    chonkle.zarr.use(strict=True)
    group = zarr.open_group(session.store)
    np.testing.assert_array_equal(array_of(group, "stock")[:], VALUES)
    assert codecs_run() >= USED
    group.create_array("ours", data=VALUES + 1, **CODECS)
    assert codecs_run() >= USED
    session.commit("two arrays")

    chonkle.zarr.unuse()
    committed = zarr.open_group(repository.readonly_session("main").store, mode="r")
    np.testing.assert_array_equal(array_of(committed, "ours")[:], VALUES + 1)


def test_cubed(tmp_path: Path, codecs_run: Run) -> None:
    source, target = str(tmp_path / "source.zarr"), str(tmp_path / "target.zarr")
    zarr.create_array(source, data=VALUES, **CODECS)
    spec = cubed.Spec(work_dir=str(tmp_path / "work"), allowed_mem="100MB")

    chonkle.zarr.use(strict=True)
    array = cubed.from_zarr(source, spec=spec)
    cubed.to_zarr(cubed.array_api.add(array, array), target)
    assert codecs_run() >= {"shuffle", "zlib", "zstd"}

    chonkle.zarr.unuse()
    np.testing.assert_array_equal(zarr.open_array(target, mode="r")[:], VALUES + VALUES)


def array_of(group: zarr.Group, name: str) -> zarr.Array[Any]:
    found = group[name]
    assert isinstance(found, zarr.Array)
    return found


# Arrays of both formats, read and written here first, so that a fork finds threads and instances.
PROGRAM = """
import multiprocessing
import sys

import numpy
import zarr
from numcodecs import Delta, Zlib

import chonkle.zarr

def work(job):
    array, row = job
    array[row : row + 4] = array[row : row + 4] + 1
    return type(array.async_array.codec_pipeline).__module__

def main(way, folder):
    values = numpy.arange(256, dtype="i4").reshape(16, 16)
    chonkle.zarr.use(strict=True)
    new = zarr.create_array(f"{folder}/new.zarr", data=values, chunks=(4, 4))
    old = zarr.create_array(
        f"{folder}/old.zarr", data=values, chunks=(4, 8), zarr_format=2, filters=Delta("i4"),
        compressors=Zlib(),
    )
    sharded = zarr.create_array(
        f"{folder}/sharded.zarr", data=values, chunks=(2, 4), shards=(4, 8)
    )
    arrays = (new, old, sharded)
    jobs = [(array, row) for array in arrays for row in range(0, 16, 4)]
    with multiprocessing.get_context(way).Pool(2) as pool:
        modules = set(pool.map(work, jobs))
    assert modules == {"chonkle.zarr"}, modules
    chonkle.zarr.unuse()
    for array in arrays:
        again = zarr.open_array(array.store_path, mode="r")
        assert (again[:] == values + 1).all()

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", multiprocessing.get_all_start_methods())
def test_processes_take_open_arrays(way: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", way, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
