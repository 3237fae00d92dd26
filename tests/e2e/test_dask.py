"""A cluster of dask.distributed whose workers have warm codecs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster, Worker
from zarr.codecs.numcodecs import Shuffle, Zlib

import chonkle.zarr
from chonkle.dask import WarmCodecs
from chonkle.errors import CacheError
from chonkle.resolver import Resolver
from chonkle.runtime import default_runtime

pytestmark = [pytest.mark.network, pytest.mark.slow]

VALUES = np.arange(64 * 64, dtype="f4").reshape(64, 64)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Give a cluster of two processes, with a cache that is empty."""
    monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / "cache"))
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def state(dask_worker: Worker) -> dict[str, Any]:
    """Give what a worker did, for its plugin and since then."""
    counts, plugin = default_runtime().counts, dask_worker.plugins[WarmCodecs.name]
    assert isinstance(plugin, WarmCodecs)
    assert plugin.counts is not None
    return {
        "warmed": plugin.counts.compiled,
        "compiled": counts.compiled,
        "loaded": counts.loaded,
        "options": options_in_use(),
    }


# Bound methods of these objects would take the objects of this process along.
def options_in_use() -> Any:
    return zarr.config.get("chonkle", None)


def plugin_counts(dask_worker: Worker) -> Any:
    return dask_worker.plugins["chonkle-warm-codecs"].counts  # type: ignore[attr-defined]


def set_variable(name: str, value: str) -> None:
    os.environ[name] = value


def native_code(folder: Path) -> set[Path]:
    return set(folder.rglob("*.cwasm"))


def test_two_processes_compile_each_codec_once(client: Client, tmp_path: Path) -> None:
    codecs = {each.signature.codec_id for each in Resolver(preference=["core"]).codecs()}
    source, target = str(tmp_path / "source.zarr"), str(tmp_path / "target.zarr")
    compressors = [Shuffle(elementsize=4), Zlib(level=1)]
    zarr.create_array(source, data=VALUES, chunks=(16, 16), filters=None, compressors=compressors)

    with chonkle.zarr.using(timeout_s=60):
        client.register_plugin(WarmCodecs())
        warmed = client.run(state)
        counts = client.run(plugin_counts)
        compiled = native_code(tmp_path / "cache")
        read = dask.array.from_zarr(source, chunks=(32, 32))
        made = zarr.create_array(
            target, shape=VALUES.shape, dtype="f4", chunks=(32, 32), compressors=compressors
        )
        dask.array.to_zarr(read + 1, made)
        after = client.run(state)

    assert len(warmed) == 2
    assert sum(each["warmed"] for each in warmed.values()) == len(codecs)
    assert sum(each.compiled for each in counts.values()) == len(codecs)
    assert all(each["options"]["timeout_s"] == 60 for each in warmed.values())
    assert all(each["compiled"] == 0 and each["loaded"] for each in after.values())
    assert native_code(tmp_path / "cache") == compiled
    np.testing.assert_array_equal(zarr.open_array(target, mode="r")[:], VALUES + 1)

    client.unregister_worker_plugin(WarmCodecs.name)
    assert set(client.run(options_in_use).values()) == {None}

    # What goes wrong in a worker is raised where the plugin is registered.
    client.run(set_variable, "CHONKLE_AOT", "only")
    client.run(set_variable, "CHONKLE_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(CacheError, match="zlib"):
        client.register_plugin(WarmCodecs("zlib"))
