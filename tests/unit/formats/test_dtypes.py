from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from chonkle.arrays import numpy_dtype
from chonkle.errors import PipelineError
from chonkle.formats.dtypes import Dtype

plain = npst.scalar_dtypes() | npst.array_dtypes(
    subtype_strategy=npst.scalar_dtypes(), max_size=4, allow_subarrays=True
)


def sized(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize > 0 and "V0" not in str(dtype.descr)


def without_titles(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.subdtype is not None:
        return np.dtype((without_titles(dtype.subdtype[0]), dtype.subdtype[1]))
    if not dtype.names:
        return dtype
    return np.dtype([(name, without_titles(dtype[name])) for name in dtype.names])


@given(plain.filter(sized))
def test_numpy_dtypes_keep_their_layout(dtype: np.dtype[Any]) -> None:
    found = Dtype.of(dtype)
    assert found.itemsize == dtype.itemsize
    assert numpy_dtype(found) == without_titles(dtype)
    assert Dtype.of(found.description) == found


@given(plain.filter(sized))
def test_little_endian_elements_have_the_same_values(dtype: np.dtype[Any]) -> None:
    assert numpy_dtype(Dtype.of(dtype).little) == without_titles(dtype).newbyteorder("<")


@pytest.mark.parametrize(
    "name",
    ["bool", "int8", "uint64", "float16", "float64", "complex64", "f4", "<i2", ">u8", "=f8", "|b1",
     "?", "i", "int", "float", "datetime64[ns]", "timedelta64[25s]", "M8[us]", "S3", "<U5", "V7"],
)  # fmt: skip
def test_spellings_mean_what_they_mean_to_numpy(name: str) -> None:
    assert Dtype.of(name).description == np.dtype(name).str


@pytest.mark.parametrize("kind", [np.float32, np.bool_, np.uint8, np.complex128, float, bool, int])
def test_scalar_types_are_dtypes(kind: type) -> None:
    assert Dtype.of(kind).description == np.dtype(kind).str


@pytest.mark.parametrize(
    ("written", "description"),
    [
        ("r16", "|V2"),
        ({"name": "float32"}, "<f4"),
        ({"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}, "<M8[s]"),
        ({"name": "numpy.timedelta64", "configuration": {"unit": "us", "scale_factor": 10}},
         "<m8[10us]"),
        ({"name": "numpy.datetime64", "configuration": {"unit": "generic", "scale_factor": 1}},
         "<M8"),
        ({"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}}, "<U3"),
        ({"name": "null_terminated_bytes", "configuration": {"length_bytes": 5}}, "|S5"),
        ({"name": "raw_bytes", "configuration": {"length_bytes": 5}}, "|V5"),
        ({"name": "structured", "configuration": {"fields": [["a", "int16"], ["b", "float64"]]}},
         [["a", "<i2"], ["b", "<f8"]]),
        ({"name": "struct", "configuration": {"fields": [{"name": "a", "data_type": "int16"}]}},
         [["a", "<i2"]]),
        ([("a", ">i2", (2, 3)), ["b", [("c", "|u1")]]],
         [["a", ">i2", [2, 3]], ["b", [["c", "|u1"]]]]),
    ],
)  # fmt: skip
def test_zarr_data_types_are_dtypes(written: object, description: object) -> None:
    assert Dtype.of(written).description == description


@pytest.mark.parametrize(("name", "size"), [("<c16", 8), ("<U5", 4), ("|S5", 1), ("<i8", 8)])
def test_what_is_swapped_as_a_whole(name: str, size: int) -> None:
    assert Dtype.of(name).scalarsize == size


@pytest.mark.parametrize(
    "wrong",
    ["", "float33", "<i3", "O", "|O8", "S0", "U", "i4[s]", None, 5, {}, {"name": 5}, [], [["a"]],
     [["a", "<i2", [-1]]], [[1, "<i2"]], {"name": "numpy.datetime64", "configuration": {}},
     {"name": "string"}, np.dtype("O"), np.dtype("S0"), object],
)  # fmt: skip
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(PipelineError, match="bad dtype"):
        Dtype.of(wrong)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda e: (
            st.lists(e) | st.dictionaries(st.sampled_from(["name", "configuration", "fields"]), e)
        ),
    )
)
def test_any_value_is_a_dtype_or_the_error(value: Any) -> None:
    try:
        Dtype.of(value)
    except PipelineError:
        return


def test_a_type_that_is_nested_too_deeply_is_refused() -> None:
    nested: Any = "<u2"
    for _ in range(3000):
        nested = [["inner", nested]]
    with pytest.raises(PipelineError, match="bad dtype, expected a type that is nested less"):
        Dtype.of(nested)
