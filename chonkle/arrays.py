"""NumPy arrays as the bytes that codecs take, and back."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from chonkle.arguments import data_view, writable_view
from chonkle.dag.codec_list import ArraySpec
from chonkle.errors import PipelineError
from chonkle.formats.dtypes import Dtype
from chonkle.formats.portmap import Buffer

# Types that stay known: each call of a codec with an array asks.
_KNOWN_MAX = 256

if TYPE_CHECKING:
    import numpy as np

    type AnyArray = np.ndarray[Any, Any]


def as_array(data: object) -> "AnyArray | None":
    """View data as an array, without a copy if it is a buffer.

    Args:
        data: anything.

    Returns:
        None for data that is no array, and for a buffer of single bytes, which says nothing about
        the elements.

    Raises:
        PipelineError: when an array cannot be converted to one of NumPy.
    """
    if type(data) is bytes:
        return None
    if not hasattr(data, "__array_interface__"):
        try:
            view = memoryview(cast("Buffer", data))
        except (TypeError, ValueError, BufferError):
            if not hasattr(data, "__array__"):
                return None
        else:
            if not view.c_contiguous or (view.ndim == 1 and view.format in ("B", "b", "c")):
                return None
    import numpy as np  # noqa: PLC0415 - bytes do without it

    try:
        array = np.asarray(data)
    except Exception as failure:
        # Each library raises its own errors.
        raise PipelineError(
            "an array that NumPy cannot read",
            got=f"{type(data).__name__} ({type(failure).__name__}: {failure})",
        ) from failure
    return None if array.dtype.hasobject else array


def elements_of(
    data: object, array: "AnyArray | None", dtype: "np.dtype[Any] | None" = None
) -> Buffer:
    """Give the elements of an array in C order as bytes, without a copy if they are that.

    Args:
        data: what was given.
        array: the same as an array, or None where it is none; then it is returned as it is.
        dtype: the same type in the byte order of the elements; that of the array when left out.

    Raises:
        PipelineError: when the array has elements of another type.
    """
    if array is None:
        return cast("Buffer", data)
    import numpy as np  # noqa: PLC0415 - bytes do without it

    if dtype is not None:
        try:
            array = array.astype(dtype, casting="equiv", copy=False)
        except TypeError:
            raise PipelineError(
                "another type of elements", expected=f"`{dtype}`", got=f"`{array.dtype}`"
            ) from None
    if array.nbytes == 0:
        return b""
    # Of bytes: a buffer cannot describe the elements of some dtypes.
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def array_spec(array: "AnyArray") -> ArraySpec:
    """Describe an array."""
    return ArraySpec(Dtype.of(array.dtype), array.shape)


def require_array(data: object, array: ArraySpec) -> None:
    """Require that data are the elements of an array.

    Args:
        data: an array of NumPy, in any byte order, or bytes.
        array: what they must be.

    Raises:
        PipelineError: when they are not.
    """
    import numpy as np  # noqa: PLC0415 - bytes do without it

    if not isinstance(data, np.ndarray):
        array_of(data_view(data, "data"), array)
        return
    given = array_spec(data)
    if given.dtype.little != array.dtype.little or array.shape not in (None, given.shape):
        raise PipelineError(
            "not the array that the codecs are for",
            expected=str(array),
            got=str(given),
        )


def copy_elements(data: Buffer, stored: ArraySpec, wanted: ArraySpec, out: object = None) -> object:
    """Copy elements out of bytes, and convert their byte order.

    Args:
        data: the bytes of the elements.
        stored: the array that they are.
        wanted: the same array in the byte order that is wanted.
        out: what is filled; a new array when left out.

    Returns:
        `out`, or the new array, which owns its memory.

    Raises:
        PipelineError: when the bytes do not have the size of the array, or `out` cannot be filled.
    """
    elements = array_of(data, stored)
    if out is None:
        return elements.astype(numpy_dtype(wanted.dtype))
    _fill(out, elements, wanted)
    return out


def array_of(data: Buffer, array: ArraySpec) -> "AnyArray":
    """View bytes as the elements of an array.

    Args:
        data: the bytes.
        array: the array.

    Raises:
        PipelineError: when the bytes do not have the size of the array.
    """
    import numpy as np  # noqa: PLC0415 - bytes do without it

    size, itemsize = len(data), array.dtype.itemsize
    if array.size_bytes not in (None, size) or size % itemsize:
        expected = (
            f"a multiple of {itemsize} bytes"
            if array.shape is None
            else f"{array.size_bytes} bytes, for {array}"
        )
        raise PipelineError(
            "the data does not have the size of the array", expected=expected, got=f"{size} bytes"
        )
    found = np.frombuffer(data, numpy_dtype(array.dtype))
    return found if array.shape is None else found.reshape(array.shape)


def array_view(array: ArraySpec) -> Callable[[Buffer], "AnyArray"]:
    """Give what views bytes as the elements of an array that has a shape, as `array_of`."""
    import numpy as np  # noqa: PLC0415 - bytes do without it

    shape, dtype, size = array.shape, numpy_dtype(array.dtype), array.size_bytes

    def view(data: Buffer) -> "AnyArray":
        if shape is None or len(data) != size:
            return array_of(data, array)
        return np.ndarray(shape, dtype, data)

    return view


def _fill(out: object, elements: "AnyArray", array: ArraySpec) -> None:
    import numpy as np  # noqa: PLC0415 - bytes do without it

    with writable_view(out, "out") as view:
        if view.nbytes != elements.nbytes:
            raise PipelineError(
                "out: another size than the result, so nothing was written",
                expected=f"{elements.nbytes} bytes",
                got=f"{view.nbytes}",
            )
        np.frombuffer(view, numpy_dtype(array.dtype))[...] = elements.reshape(-1)


@lru_cache(maxsize=_KNOWN_MAX)
def numpy_dtype(dtype: Dtype) -> "np.dtype[Any]":
    """Give a dtype as NumPy's."""
    import numpy as np  # noqa: PLC0415 - bytes do without it

    return cast("np.dtype[Any]", np.dtype(_with_tuples(dtype.description)))


def _with_tuples(description: Any) -> Any:  # noqa: ANN401 - a tree of both
    # NumPy wants tuples where JSON has lists.
    if isinstance(description, str):
        return description
    return [
        (name, _with_tuples(inner), *(tuple(extents) for extents in shape))
        for name, inner, *shape in description
    ]
