"""Shards: what is read and written of them."""

from typing import Any

import numpy as np
import pytest
import zarr

import chonkle.zarr

_DATA = np.arange(1, 65, dtype="<i4").reshape(8, 8)


@pytest.mark.parametrize("compressors", [None, "auto"])
def test_single_elements(compressors: Any) -> None:
    with chonkle.zarr.using():
        array = zarr.create_array(
            zarr.storage.MemoryStore(),
            data=_DATA,
            chunks=(2, 2),
            shards=(4, 4),
            compressors=compressors,
        )
        array = zarr.open_array(array.store)
        for at in np.ndindex(_DATA.shape):
            assert array[at] == _DATA[at]
        array[5, 6] = -1
        expected = _DATA.copy()
        expected[5, 6] = -1
        np.testing.assert_array_equal(np.asarray(array[...]), expected)
        assert array[5, 6] == -1
