"""NumPy arrays as the bytes that codecs take, and back."""

from typing import TYPE_CHECKING, Any, cast

from chonkle.dag.codec_list import ArraySpec
from chonkle.errors import PipelineError
from chonkle.formats.dtypes import Dtype
from chonkle.formats.portmap import Buffer

if TYPE_CHECKING:
    import numpy as np

    type AnyArray = np.ndarray[Any, Any]


def elements_of(data: object, *, is_little: bool) -> tuple[Buffer, ArraySpec | None]:
    """Give the elements of an array in C order as bytes, and what array it is.

    Args:
        data: an array, or a buffer. C-contiguous arrays in the right byte order are not copied.
        is_little: whether elements are converted to little-endian ones.

    Returns:
        Contiguous bytes and the array. A buffer of single bytes is no array, and is given back with
        everything else that has no elements with bytes of their own.
    """
    if not hasattr(data, "__array_interface__"):
        try:
            view = memoryview(cast("Buffer", data))
        except (TypeError, ValueError, BufferError):
            return cast("Buffer", data), None
        if not view.c_contiguous or (view.ndim == 1 and view.format in ("B", "b", "c")):
            return view, None
    import numpy as np  # noqa: PLC0415 - bytes do without it

    array = np.asarray(data)
    if array.dtype.hasobject:
        return cast("Buffer", data), None
    spec = ArraySpec(Dtype.of(array.dtype), array.shape)
    if is_little:
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.nbytes == 0:
        return b"", spec
    # Of bytes: a buffer cannot describe the elements of some dtypes.
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8)), spec


def empty_array(array: ArraySpec) -> "AnyArray":
    """Make an array of a known shape, whose elements are not set."""
    import numpy as np  # noqa: PLC0415 - bytes do without it

    return np.empty(array.shape or (), numpy_dtype(array.dtype))


def array_of(data: Buffer, array: ArraySpec, dtype: "np.dtype[Any] | None" = None) -> "AnyArray":
    """Make an array of the bytes of its elements, without a copy.

    Args:
        data: the bytes.
        array: the array.
        dtype: NumPy's form of its dtype, where the caller has it.

    Raises:
        PipelineError: when the bytes do not have the size of the array.
    """
    import numpy as np  # noqa: PLC0415 - bytes do without it

    size, itemsize = memoryview(data).nbytes, array.dtype.itemsize
    if array.size_bytes not in (None, size) or size % itemsize:
        expected = (
            f"a multiple of {itemsize} bytes"
            if array.shape is None
            else f"{array.size_bytes} bytes, for {array.dtype.text} of shape {array.shape}"
        )
        raise PipelineError(
            "the data does not have the size of the array", expected=expected, got=f"{size} bytes"
        )
    found = np.frombuffer(data, numpy_dtype(array.dtype) if dtype is None else dtype)
    return found if array.shape is None else found.reshape(array.shape)


def fill(out: Any, elements: "AnyArray", array: ArraySpec) -> None:  # noqa: ANN401 - any buffer
    """Fill a buffer with elements, converted to those of an array.

    Raises:
        PipelineError: when the buffer is not writable and C-contiguous, or has another size.
    """
    import numpy as np  # noqa: PLC0415 - bytes do without it

    target = np.asarray(out)
    if not (target.flags.c_contiguous and target.flags.writeable):
        raise PipelineError("`out` cannot be filled", expected="a writable C-contiguous buffer")
    if target.nbytes != elements.nbytes:
        raise PipelineError(
            "`out` does not have the decoded size",
            expected=f"{elements.nbytes} bytes",
            got=f"{target.nbytes} bytes",
        )
    target.reshape(-1).view(numpy_dtype(array.dtype))[...] = elements.reshape(-1)


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
