"""What a worker is warmed with; `tests/e2e/test_dask.py` has a cluster."""

import asyncio
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zarr
from numcodecs import Delta, Zlib
from zarr.codecs import BloscCodec

import chonkle.zarr
from chonkle.dask import WarmCodecs
from chonkle.errors import LimitError, PipelineError, ResolveError
from chonkle.zarr import Options

# What a plugin is given, and does not look at.
WORKER: Any = None


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty cache, and restore what is in use."""
    monkeypatch.setenv("CHONKLE_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    chonkle.zarr.unuse()


def set_up(plugin: WarmCodecs) -> WarmCodecs:
    """Do what a worker does with a plugin."""
    received: WarmCodecs = pickle.loads(pickle.dumps(plugin))  # noqa: S301 - our own
    asyncio.run(received.setup(WORKER))
    return received


def compiled(cache: Path) -> set[str]:
    """Give the ids of the codecs in a cache; the trampoline has none."""
    records = (path.read_bytes().splitlines()[1] for path in cache.rglob("*.record"))
    return {json.loads(record)["codec_id"] for record in records} - {""}


def test_codecs_are_named_as_everywhere(cache: Path) -> None:
    plugin = set_up(WarmCodecs("numcodecs.zlib", {"id": "delta", "dtype": "<f4"}, ["gzip", 5]))
    assert compiled(cache) == {"zlib", "delta", "gzip", "tiff-lzw"}
    assert plugin.counts is not None
    assert plugin.counts.compiled == 4

    again = set_up(WarmCodecs("zlib"))
    assert again.counts is not None
    assert (again.counts.compiled, again.counts.loaded) == (0, 1)


def test_codecs_of_shards_count(cache: Path) -> None:
    shards = zarr.create_array(
        {}, shape=(8, 8), chunks=(2, 2), shards=(4, 4), dtype="f4", compressors=BloscCodec()
    )
    set_up(WarmCodecs(shards))
    assert compiled(cache) == {"blosc", "bytes", "crc32c"}


def test_a_group_means_its_arrays_of_both_formats(cache: Path) -> None:
    group = zarr.open_group({}, zarr_format=2)
    group.create_array("a/b", shape=8, dtype="i4", filters=Delta("i4"), compressors=Zlib())
    group.create_array("c", shape=8, dtype="i4", filters=None, compressors=None)
    set_up(WarmCodecs(group))
    assert compiled(cache) == {"delta", "zlib"}


def test_what_only_zarr_python_has_is_left_to_it(cache: Path) -> None:
    strings = zarr.create_array({}, shape=8, dtype=str)
    assert "vlen-utf8" in str(strings.metadata.to_dict())
    set_up(WarmCodecs(strings))
    assert compiled(cache) == {"zstd"}


def test_options_are_those_in_use_unless_given(cache: Path) -> None:
    del cache
    chonkle.zarr.use(threads=3)
    found = WarmCodecs("zlib")
    given = WarmCodecs("zlib", backend="component", timeout_s=9)
    chonkle.zarr.unuse()

    cases: list[tuple[WarmCodecs, dict[str, Any]]] = [
        (found, {"threads": 3}),
        (given, {"backend": "component", "timeout_s": 9}),
    ]
    for plugin, options in cases:
        received = set_up(plugin)
        assert Options.current() == Options.of(options)
        received.teardown(WORKER)
        assert zarr.config.get("chonkle", None) is None


def test_a_worker_in_a_process_of_its_client_restores_its_options(cache: Path) -> None:
    del cache
    chonkle.zarr.use(threads=3)
    plugin = set_up(WarmCodecs("zlib", threads=1))
    assert Options.current().threads == 1
    plugin.teardown(WORKER)
    assert Options.current().threads == 3


def test_mistakes_are_found_before_a_worker_is_asked() -> None:
    with pytest.raises(PipelineError, match=r"unknown option `thread`.*did you mean `threads`"):
        WarmCodecs(thread=1)
    with pytest.raises(LimitError):
        WarmCodecs(memory_bytes=0)
    with pytest.raises(ResolveError, match=r"`\"zlip\"`.*did you mean `zlib`"):
        WarmCodecs("zlip")
    with pytest.raises(PipelineError, match="level"):
        WarmCodecs({"id": "zlib", "level": 99})
