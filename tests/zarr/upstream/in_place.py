"""A plugin for pytest: tests of zarr-python and numcodecs run with chonkle in place.

The tests make codecs by their classes, so those of numcodecs are replaced by what its registry has.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import numcodecs
import numcodecs.registry
import pytest
import zarr

import chonkle.zarr

IS_IN_PLACE = os.environ.get("CHONKLE_IN_PLACE") == "1"


@pytest.fixture(autouse=True)
def chonkle_in_place() -> Iterator[None]:
    """Put chonkle in place for each test: some reset what it is in."""
    if not IS_IN_PLACE:
        yield
        return
    zarr.config.reset()
    chonkle.zarr.use()
    yield
    chonkle.zarr.unuse()


def pytest_configure(config: pytest.Config) -> None:
    """Replace the classes of numcodecs, where its own tests are run."""
    if not (IS_IN_PLACE and config.rootpath.name.startswith("numcodecs-")):
        return
    stock: dict[Any, Any] = dict(numcodecs.registry.codec_registry)
    with chonkle.zarr.using():
        ours = dict(numcodecs.registry.codec_registry)
    for name, cls in stock.items():
        if ours[name] is not cls:
            shown = cls.__name__
            constants = {each: getattr(cls, each) for each in dir(cls) if each.isupper()}
            members = {**constants, "__new__": _maker(cls, ours[name]), "codec_id": name}
            members["from_config"] = ours[name].from_config
            made = type(shown, (), members)
            for module in (numcodecs, sys.modules[cls.__module__]):
                if getattr(module, shown, None) is cls:
                    setattr(module, shown, made)


def _maker(stock: Any, ours: Any) -> Any:
    def make(_cls: Any, *arguments: Any, **named: Any) -> Any:
        return ours.from_config(stock(*arguments, **named).get_config())

    return make
