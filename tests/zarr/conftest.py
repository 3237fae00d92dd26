"""Tests of the Zarr door: two sides, zarr-python's own and chonkle's, in one process.

Hundreds of arrays change sides, and `chonkle.zarr.use` registers every codec; so what it puts in
place is taken once, and put in place by hand.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numcodecs.registry
import pytest
import zarr

import chonkle.zarr

type Side = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave zarr-python and numcodecs as they were."""
    with chonkle.zarr.using():
        pass  # loads what loads lazily
    config, codecs = dict(zarr.config.config), dict(numcodecs.registry.codec_registry)
    yield
    chonkle.zarr.unuse()
    zarr.config.config.clear()
    zarr.config.config.update(config)
    numcodecs.registry.codec_registry.clear()
    numcodecs.registry.codec_registry.update(codecs)


@pytest.fixture(scope="session")
def sides() -> dict[str, Side]:
    """Give what puts a side in place, by name: `stock` and `ours`."""
    keys = ("codec_pipeline.path", "codecs")

    def taken() -> tuple[dict[str, Any], dict[str, Any]]:
        config = {key: zarr.config.get(key) for key in keys}
        return config, dict(numcodecs.registry.codec_registry)

    def side(config: dict[str, Any], codecs: dict[str, Any]) -> Side:
        @contextmanager
        def in_place() -> Iterator[None]:
            registry = numcodecs.registry.codec_registry
            before = dict(registry)
            with zarr.config.set(config):
                registry.update(codecs)
                try:
                    yield
                finally:
                    registry.clear()
                    registry.update(before)

        return in_place

    stock = side(*taken())
    with chonkle.zarr.using():
        return {"stock": stock, "ours": side(*taken())}
