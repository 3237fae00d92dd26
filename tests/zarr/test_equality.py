"""Arrays read and written by zarr-python alone and through chonkle are equal.

A few hundred arrays in a usual run; `ZARR_ARRAYS=16000`, which `make test-zarr` sets, takes 20,000.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import obstore.store
import pytest
import zarr
from hypothesis import HealthCheck, given, settings

from tests.zarr.arrays import Index, Written, arrays
from tests.zarr.conftest import Side

_ARRAYS = int(os.environ.get("ZARR_ARRAYS", "200"))
_STORES = ("local", "fsspec", "zip", "obstore")

pytestmark = pytest.mark.filterwarnings(
    # Each is zarr-python's own, and says that something is no standard of Zarr 3.
    "ignore::zarr.errors.ZarrUserWarning",
    "ignore::zarr.errors.UnstableSpecificationWarning",
    "ignore:Numcodecs codecs are not in the Zarr version 3:UserWarning",
)
_SETTINGS = settings(
    max_examples=_ARRAYS,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
    ],
)


@pytest.fixture(scope="module", autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Count arrays by the store they were in, and print it."""
    counts: Counter[str] = Counter()
    yield counts
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write(f"\narrays compared: {counts.total():,} {dict(counts)}\n")


def _store(kind: str, place: Path) -> Any:
    if kind == "memory":
        return zarr.storage.MemoryStore()
    if kind == "local":
        return zarr.storage.LocalStore(place)
    if kind == "zip":
        place.mkdir(parents=True, exist_ok=True)
        return zarr.storage.ZipStore(place / "array.zip", mode="w")
    if kind == "obstore":
        return zarr.storage.ObjectStore(obstore.store.MemoryStore())
    return zarr.storage.FsspecStore.from_url(f"memory://{place}")


def _get(array: Any, index: Index) -> Any:
    kind, where = index
    if kind == "basic":
        return array[where]
    return getattr(array, f"get_{kind}_selection")(where)


def _set(array: Any, index: Index, value: Any) -> None:
    kind, where = index
    if kind == "basic":
        array[where] = value
    else:
        getattr(array, f"set_{kind}_selection")(where, value)


def _written(case: Written, store: Any) -> Any:
    """Write an array; what zarr-python refuses comes back as its error."""
    array = zarr.create_array(store, name="a", **case.settings, **case.make())
    for index, value in case.writes:
        _set(array, index, value)
    if case.resized is not None:
        array.resize(case.resized)
        if case.appended is not None:
            array.append(case.appended)
    return array


def _outcome(call: Any) -> Any:
    try:
        return call()
    except Exception as failure:  # noqa: BLE001 - compared with that of the other side
        return failure


def _assert_same(mine: Any, theirs: Any, what: object) -> None:
    if isinstance(theirs, Exception):
        return  # zarr-python cannot do it
    assert not isinstance(mine, Exception), (what, mine)
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape), what
    if theirs.dtype.hasobject or theirs.dtype.kind == "T":
        assert mine.tolist() == theirs.tolist(), what
    else:  # bit for bit, so that NaN equals itself
        assert np.ascontiguousarray(mine).tobytes() == np.ascontiguousarray(theirs).tobytes(), what


def _compare(case: Written, sides: dict[str, Side], place: Path, counts: Counter[str]) -> None:
    stores = {name: _store(case.store, place / name) for name in sides}
    outcomes = {}
    for name, side in sides.items():
        with side():
            outcomes[name] = _outcome(lambda name=name: _written(case, stores[name]))
    if isinstance(outcomes["stock"], Exception):
        return
    assert not isinstance(outcomes["ours"], Exception), outcomes["ours"]
    counts[case.store] += 1
    read = {}
    for written, store in stores.items():
        if case.store == "zip":
            store.close()
            stores[written] = store = zarr.storage.ZipStore(store.path, mode="r")  # noqa: PLW2901
        for name, side in sides.items():
            with side():
                array = zarr.open_array(store, path="a", mode="r")
                read[written, name] = [
                    _outcome(lambda array=array, index=index: _get(array, index))
                    for index in case.reads
                ]
        if case.store == "zip":
            store.close()
    for key in (("stock", "ours"), ("ours", "stock"), ("ours", "ours")):
        for index, mine, theirs in zip(case.reads, read[key], read["stock", "stock"], strict=True):
            _assert_same(mine, theirs, (key, index))


@pytest.mark.slow
@_SETTINGS
@given(case=arrays())
def test_arrays_in_memory(
    case: Written, sides: dict[str, Side], tmp_path: Path, counted: Counter[str]
) -> None:
    _compare(case, sides, tmp_path, counted)


_made = iter(range(10**9))


@pytest.mark.slow
@settings(_SETTINGS, max_examples=_ARRAYS // 4)
@given(case=arrays(stores=_STORES))
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # a zip file that is written twice
def test_arrays_in_stores(
    case: Written, sides: dict[str, Side], tmp_path: Path, counted: Counter[str]
) -> None:
    _compare(case, sides, tmp_path / str(next(_made)), counted)
