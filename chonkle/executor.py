"""The executor: one loop over a plan.

It knows codecs only as `Codec`, and values only as slots. The result of a step stays where the
codec put it, in a guest's memory for wasm, until the last step that reads it has run.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from chonkle.backends.base import CallResult, Codec
from chonkle.dag.plan import Plan, PlannedStep
from chonkle.errors import (
    ChonkleError,
    CodecError,
    CodecTrap,
    LimitExceeded,
    PipelineError,
    list_choices,
)
from chonkle.formats.portmap import Buffer, is_data
from chonkle.formats.signature import Port
from chonkle.formats.values import check_scalar, encode_scalar, format_value, is_value


class Prepared(Protocol):
    """What the executor needs of a prepared pipeline."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def codecs(self) -> Sequence[Codec]:
        """An opened codec for each step of the plan."""


def run(prepared: Prepared, inputs: Mapping[str, object]) -> dict[str, bytes]:
    """Run a prepared pipeline once.

    Args:
        prepared: what `chonkle.prepare` gave; several threads may run it at once.
        inputs: a value for each input: any contiguous buffer for `bytes` (bytes, memoryview, a
            NumPy array), and for other types either the plain value or its JSON text as bytes.

    Returns:
        The bytes of each output; scalars as JSON text.

    Raises:
        PipelineError: an input is missing, unknown or of the wrong type.
        CodecError: a codec refused its input.
        CodecTrap: a codec broke; the next run works.
        LimitExceeded: a codec asked for more than its limits allow.
    """
    plan = prepared.plan
    values: list[Buffer | None] = list(plan.slots)
    _bind(plan, inputs, values)
    # By the index of the step. Final outputs are copied immediately and need no closing.
    results: dict[int, CallResult] = {}
    try:
        for index, (step, codec) in enumerate(zip(plan.steps, prepared.codecs, strict=True)):
            port_map = {
                port: value
                for port, slot in step.input_ports
                if (value := values[slot]) is not None
            }
            ports: Mapping[str, Buffer]
            try:
                if step.is_final_output:
                    ports = codec.call(plan.direction, port_map)
                else:
                    results[index] = result = codec.call_borrowed(plan.direction, port_map)
                    ports = result.ports
            except (CodecError, CodecTrap, LimitExceeded) as failure:
                raise failure.within(f"step `{step.path}`") from failure.__cause__
            for port, slot in step.output_ports:
                if port in ports:
                    values[slot] = ports[port]
                else:
                    _allow_missing(codec, plan, step, port)
            if step.frees_after:
                _close(results, plan.steps, step.frees_after)
        outputs = {
            name: bytes(value)
            for name, slot in plan.outputs.items()
            if (value := values[slot]) is not None
        }
        if results:
            _close(results, plan.steps, results)
    except BaseException:
        # The first failure is reported, not those that follow from it.
        for result in results.values():
            with suppress(ChonkleError):
                result.close()
        raise
    return outputs


def _allow_missing(codec: Codec, plan: Plan, step: PlannedStep, port: str) -> None:
    signature = codec.signature()
    if signature.output_ports(plan.direction)[port].required:
        raise CodecTrap(
            f"step `{step.path}`: codec `{signature.codec_id}` ({signature.label}), "
            f"{plan.direction}: did not return its port `{port}`"
        )


def _close(
    results: Mapping[int, CallResult], steps: Sequence[PlannedStep], indices: Iterable[int]
) -> None:
    for index in indices:
        result = results.get(index)
        if result is not None and result.is_borrowed:
            try:
                result.close()
            except (CodecTrap, LimitExceeded) as failure:
                raise failure.within(f"step `{steps[index].path}`") from failure.__cause__


def _bind(plan: Plan, inputs: Mapping[str, object], values: list[Buffer | None]) -> None:
    """Put the caller's inputs into their slots; every problem is reported together."""
    problems = []
    known = 0
    for name, (slot, port) in plan.inputs.items():
        if name in inputs:
            known += 1
            try:
                values[slot] = _as_buffer(inputs[name], port, name)
            except ChonkleError as failure:
                problems.append(str(failure))
        elif port.required and port.default is None:
            problems.append(f"input `{name}` is missing")
    if known != len(inputs):
        problems.extend(
            f"unknown input `{name}`, {list_choices(plan.inputs)}"
            for name in inputs
            if name not in plan.inputs and name not in plan.unused_inputs
        )
    if problems:
        raise PipelineError.from_problems(plan.codec_id, problems)
    for source, slot in plan.copies:
        if values[source] is not None:
            values[slot] = values[source]


def _as_buffer(value: object, port: Port, name: str) -> Buffer:
    """Check one input and give it as contiguous bytes; `bytes` and `memoryview` are not copied."""
    if port.type == "bytes":
        if isinstance(value, bytes):
            return value
        what = f"input `{name}`"
        try:
            view = memoryview(value)  # type: ignore[arg-type]  # anything may come; checked here
        except (TypeError, ValueError, BufferError) as failure:
            # No buffer, a released buffer, or elements that a buffer cannot describe.
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
            raise PipelineError(f"{what}: not contiguous", hint="pass a contiguous copy")
        # An empty view of several dimensions cannot be cast.
        return view.cast("B") if view.nbytes else b""
    what = f"input `{name}`"
    if isinstance(value, (bytes, bytearray, memoryview)):
        # Written again, so that a codec never gets the white space of a file.
        return encode_scalar(check_scalar(bytes(value), port.type, what=what))
    # NumPy's numbers and arrays, and shapes, which are tuples.
    value = value.tolist() if hasattr(value, "tolist") else value
    value = list(value) if isinstance(value, tuple) else value
    if not is_value(value, port.type):
        raise PipelineError(
            f"{what}: wrong type", expected=f"`{port.type}`", got=format_value(value)
        )
    return encode_scalar(value)
