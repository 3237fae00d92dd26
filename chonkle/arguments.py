"""What a caller gives to a run: values for its inputs and buffers for its outputs.

Both are checked before anything runs. No library of arrays is imported here: an array is taken as a
buffer, and other values as `chonkle.formats.values.plain_value` reads them.
"""

import ctypes
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from chonkle.closing import Closing
from chonkle.dag.plan import Plan
from chonkle.errors import ChonkleError, PipelineError, list_choices
from chonkle.formats.portmap import Buffer, is_data
from chonkle.formats.signature import Port
from chonkle.formats.values import check_scalar, encode_scalar, format_value, is_value, plain_value

_IN_C_ORDER = "contiguous elements in C order, the last index varying fastest"
_IN_C_ORDER_HINT = "`numpy.ascontiguousarray(array)` is a copy in that order"


def bind_inputs(plan: Plan, inputs: Mapping[str, object]) -> list[Buffer | None]:
    """Put a caller's inputs into the slots of a plan.

    Args:
        plan: the plan.
        inputs: a value for each input; see `chonkle.executor.run`.

    Returns:
        A value for each slot, or None. Data stay in the caller's memory.

    Raises:
        PipelineError: with every problem.
    """
    values: list[Buffer | None] = list(plan.slots)
    problems = []
    known = 0
    if type(inputs) is not dict:
        _require_mapping(inputs, plan, "inputs", "a value for each")
    for name, (slot, port) in plan.inputs.items():
        if name in inputs:
            known += 1
            value = inputs[name]
            # The usual case, without a call.
            if type(value) is bytes and port.type == "bytes":
                values[slot] = value
                continue
            try:
                values[slot] = _as_buffer(value, port, name)
            except ChonkleError as failure:
                problems.append(str(failure))
        elif port.required and port.default is None:
            problems.append(f"input `{name}` is missing")
    if known != len(inputs):
        problems.extend(_unknown_inputs(plan, inputs))
    if problems:
        raise PipelineError.from_problems(plan.subject, problems)
    for source, slot in plan.copies:
        values[slot] = values[slot] if values[source] is None else values[source]
    return values


def bind_data(plan: Plan, name: str, value: object) -> Buffer:
    """Give a caller's value for the only input of a plan, data, as `bind_inputs` does.

    Raises:
        PipelineError: when it is no contiguous buffer.
    """
    try:
        return _as_buffer(value, plan.inputs[name][1], name)
    except ChonkleError as failure:
        raise PipelineError.from_problems(plan.subject, [str(failure)]) from None


def _unknown_inputs(plan: Plan, inputs: Mapping[str, object]) -> Iterator[str]:
    for name in inputs:
        if name not in plan.inputs and name not in plan.unused_inputs:
            yield f"unknown input `{name}`, {list_choices(plan.inputs)}"


class OutputBuffers(Closing):
    """A caller's buffers for some outputs of a run.

    Closing releases the views of them, so that a `bytearray` can grow again.

    Args of the constructor:
        plan: the plan of the run.
        given: by the name of an output, a writable and contiguous buffer, which the caller owns.

    Raises:
        PipelineError: with every problem.
    """

    def __init__(self, plan: Plan, given: Mapping[str, object]) -> None:
        if type(given) is not dict:
            _require_mapping(given, plan, "out", "a buffer for some outputs")
        self._plan = plan
        self._given = given
        self._views: dict[str, memoryview] = {}
        problems = [
            f"out: unknown output `{name}`, {list_choices(plan.outputs)}"
            for name in given
            if name not in plan.outputs
        ]
        for name in plan.outputs:
            if name in given:
                try:
                    self._views[name] = writable_view(
                        given[name], f"out: buffer of output `{name}`"
                    )
                except ChonkleError as failure:
                    problems.append(str(failure))
        if len(self._views) > 1:
            problems.extend(_overlaps(self._views))
        if problems:
            self.close()
            raise PipelineError.from_problems(plan.subject, problems)

    def fill(self, outputs: Mapping[str, Buffer]) -> dict[str, Any]:
        """Copy outputs into their buffers: all of them, or none when one does not fit.

        Args:
            outputs: the data of each output, in memory that no buffer shares.

        Returns:
            For each output the caller's buffer; bytes for those without one.

        Raises:
            PipelineError: when a buffer has another size than its output, or gets none.
        """
        problems = []
        for name, view in self._views.items():
            data = outputs.get(name)
            if data is None:
                problems.append(f"out: the run gave no output `{name}`, so nothing was written")
            elif len(data) != len(view):
                problems.append(
                    f"out: buffer of output `{name}` has another size than the result, so nothing "
                    f"was written, expected {len(data)} bytes, got {len(view)}"
                )
        if problems:
            raise PipelineError.from_problems(self._plan.subject, problems)
        filled: dict[str, Any] = {}
        for name, data in outputs.items():
            if name in self._views:
                self._views[name][:] = data
                filled[name] = self._given[name]
            else:
                filled[name] = bytes(data)
        return filled

    def close(self) -> None:
        """Release the buffers. Idempotent."""
        for view in self._views.values():
            view.release()
        self._views = {}


def _require_mapping(given: object, plan: Plan, what: str, meaning: str) -> None:
    if not isinstance(given, Mapping):
        raise PipelineError(
            f"{plan.subject}: {what}: not a mapping",
            expected=f'{meaning}, such as `{{"bytes": data}}`',
            got=format_value(given),
        )


def _as_buffer(value: object, port: Port, name: str) -> Buffer:
    """Check one input and give it as contiguous bytes; data are not copied."""
    if port.type == "bytes":
        view = data_view(value, f"input `{name}`")
        return view if view.nbytes else b""
    what = f"input `{name}`"
    if isinstance(value, (bytes, bytearray, memoryview)):
        # Written again, so that a codec never gets the white space of a file.
        return encode_scalar(check_scalar(bytes(value), port.type, what=what))
    try:
        plain = plain_value(value)
    except PipelineError as failure:
        raise failure.within(what) from None
    if not is_value(plain, port.type):
        raise PipelineError(
            f"{what}: wrong type", expected=f"`{port.type}`", got=format_value(plain)
        )
    return encode_scalar(plain)


def writable_view(value: object, what: str) -> memoryview:
    """Give a view of a caller's buffer, of one-byte elements.

    Args:
        value: the buffer.
        what: the buffer, for messages.

    Raises:
        PipelineError: when it is no writable and contiguous buffer.
    """
    view = data_view(value, what, hint="`numpy.empty(shape, dtype)` is in that order")
    if view.readonly:
        raise PipelineError(
            f"{what}: read-only",
            expected="a writable buffer, such as a bytearray or a NumPy array",
            got=type(value).__name__,
        )
    return view


def data_view(value: object, what: str, *, hint: str = _IN_C_ORDER_HINT) -> memoryview:
    """Give the data of a contiguous buffer as bytes.

    Args:
        value: anything.
        what: the value, for messages.
        hint: what helps when the elements are in another order.

    Raises:
        PipelineError: when it is no contiguous buffer of data.
    """
    try:
        view = _buffer_of(value)
    except (TypeError, ValueError, BufferError) as failure:
        # No buffer, a released buffer, or elements that are objects.
        raise PipelineError(
            f"{what}: not a buffer",
            expected="bytes, memoryview or another contiguous buffer",
            got=f"{type(value).__name__} ({failure})",
        ) from None
    if not is_data(view):
        raise PipelineError(
            f"{what}: Python objects or addresses, which have no bytes of their own",
            expected="numbers or text",
            got=f"elements of the format {format_value(view.format)}",
        )
    if not view.c_contiguous:
        raise PipelineError(
            f"{what}: not contiguous in C order",
            expected=_IN_C_ORDER,
            got="Fortran order" if view.f_contiguous else "elements with gaps or another order",
            hint=hint,
        )
    # An empty view of several dimensions cannot be cast.
    return view.cast("B") if view.nbytes else memoryview(b"" if view.readonly else bytearray())


def _buffer_of(value: Any) -> memoryview:  # noqa: ANN401 - anything may come
    """Give a memoryview of a buffer, or of an array whose elements buffers have no format for."""
    try:
        return memoryview(value)
    except ValueError:
        # datetime64, bfloat16 and their kind are bytes like any other number.
        dtype = getattr(value, "dtype", None)
        if getattr(dtype, "hasobject", True):
            raise
        return memoryview(value.view(f"V{value.dtype.itemsize}"))


def _overlaps(views: Mapping[str, memoryview]) -> Iterator[str]:
    """Find outputs whose buffers share memory, so that one would overwrite the other."""
    places = []
    for name, view in views.items():
        if view.nbytes and not view.readonly:
            start = ctypes.addressof(ctypes.c_char.from_buffer(view))
            places.append((start, start + view.nbytes, name))
    for (_, end, first), (start, _, second) in pairwise(sorted(places)):
        if start < end:
            yield f"out: buffers of outputs `{first}` and `{second}` share memory"
