"""How fast dask.distributed reads a Zarr array, with and without `chonkle.dask.WarmCodecs`.

`make bench-dask`; `make bench-dask ARGS="1024 9"` reads 1024 MiB nine times each way.

Two clusters of two processes take turns, so that what else runs on the machine slows both.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import zarr
from distributed import Client, LocalCluster
from zarr.codecs.numcodecs import Shuffle, Zlib

import chonkle.zarr
from chonkle.dask import WarmCodecs
from chonkle.runtime import default_runtime
from tests.bench.sample import whole_field

CHUNK = (256, 1024)  # 1 MiB
TASK = (4096, 1024)  # of one task: with one chunk each, dask itself would take most of the time
TARGET = 1.8


@dataclass(frozen=True, slots=True)
class Read:
    """One reading of the whole array."""

    wall_s: float
    cpu_s: float  # of the workers


def main() -> None:
    """Write an array, read it both ways in turns, and print medians."""
    size_mib, turns = map(int, sys.argv[1:] or ("256", "7"))
    with (
        tempfile.TemporaryDirectory(prefix="chonkle-dask-") as temporary,
        cluster(temporary) as stock,
        cluster(temporary) as ours,
    ):
        path = Path(temporary, "array.zarr")
        write(path, size_mib)
        ours.register_plugin(WarmCodecs())
        reads: list[tuple[Read, Read]] = []
        for _ in range(turns + 1):
            before = read(stock, path)
            with chonkle.zarr.using():
                reads.append((before, read(ours, path)))
        compiled = sum(ours.run(compilations).values())
    print(f"{size_mib} MiB of float32, zlib and shuffle, chunks of 1 MiB; two processes")
    print(f"  medians of {turns} turns      wall        CPU of the workers")
    names = ("zarr-python", "chonkle")
    # The first turn opens files and loads code.
    for name, found in zip(names, zip(*reads[1:], strict=True), strict=True):
        wall, cpu = (
            size_mib * 1.048576 / statistics.median(each)
            for each in ([one.wall_s for one in found], [one.cpu_s for one in found])
        )
        print(f"  {name:<20}{wall:>8.0f} MB/s{cpu:>10.0f} MB/s")
    wall, cpu = (
        statistics.median(each)
        for each in (
            [before.wall_s / after.wall_s for before, after in reads[1:]],
            [before.cpu_s / after.cpu_s for before, after in reads[1:]],
        )
    )
    print(f"  times as fast       {wall:>8.2f}{cpu:>15.2f}          target: at least {TARGET}")
    print(f"  codecs compiled after the warm-up: {compiled}")


@contextmanager
def cluster(folder: str) -> Iterator[Client]:
    """Give a client of two processes with a thread each."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=folder
        ) as made,
        Client(made, set_as_default=False) as client,
    ):
        yield client


def write(path: Path, size_mib: int) -> None:
    """Write air pressures as zarr-python does."""
    field = whole_field("float32")
    rows = size_mib * CHUNK[0]
    array = zarr.create_array(
        path,
        shape=(rows, CHUNK[1]),
        chunks=CHUNK,
        dtype=field.dtype,
        filters=None,
        compressors=[Shuffle(elementsize=4), Zlib(level=1)],
    )
    for row in range(0, rows, len(field)):
        array[row : row + len(field)] = field[: rows - row]


def read(client: Client, path: Path) -> Read:
    """Read every chunk in the workers, and give the time that it took."""
    array = dask.array.from_zarr(zarr.open_array(path, mode="r"), chunks=TASK)
    touched = array.map_blocks(first_element, chunks=((1,) * array.numblocks[0], (1,)))
    cpu_s, started = cpu_of(client), time.perf_counter()
    client.compute(touched).result()
    return Read(time.perf_counter() - started, cpu_of(client) - cpu_s)


def first_element(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return block[:1, :1].copy()


def cpu_of(client: Client) -> float:
    found: dict[str, float] = client.run(time.process_time)
    return sum(found.values())


def compilations() -> int:
    return default_runtime().counts.compiled


if __name__ == "__main__":
    main()
