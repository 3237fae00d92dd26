"""The executor: one loop over a plan.

It knows codecs only as `Codec`, and values only as slots. The result of a step stays where the
codec put it, in a guest's memory for wasm, until the last step that reads it has run.

`run` copies the outputs, into new bytes or into the caller's buffers; `borrow` lends them without a
copy; `run_many` runs many inputs on several threads.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Protocol, overload

from chonkle.arguments import OutputBuffers, bind_data, bind_inputs
from chonkle.backends.base import CallResult, Codec, Loan
from chonkle.dag.plan import DirectCall, Plan, PlannedStep
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded, PipelineError
from chonkle.formats.portmap import Buffer
from chonkle.formats.values import format_value, plain_value

# More threads than this are a mistake; each has inputs and results of its own.
_THREADS_MAX = 1024
# How many items of `run_many`, for each thread, are taken before the consumer asks for them.
_AHEAD = 2


class Prepared(Protocol):
    """What the executor needs of a prepared pipeline."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    @property
    def codecs(self) -> Sequence[Codec]:
        """An opened codec for each step of the plan."""


@overload
def run(
    prepared: Prepared, inputs: Mapping[str, object], *, out: None = None
) -> dict[str, bytes]: ...
@overload
def run(
    prepared: Prepared, inputs: Mapping[str, object], *, out: Mapping[str, object] | None
) -> dict[str, Any]: ...
def run(
    prepared: Prepared,
    inputs: Mapping[str, object],
    *,
    out: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Run a prepared pipeline once.

    Args:
        prepared: what `chonkle.prepare` gave; several threads may run it at once.
        inputs: a value for each input: any contiguous buffer for `bytes` (bytes, memoryview, a
            NumPy array), and for other types either the plain value or its JSON text as bytes.
        out: for some outputs a buffer that gets the result: writable, in C order, of any type of
            elements, and of exactly the size of the result. It belongs to the caller, may be the
            buffer of an input, and is written when all results are there and fit.

    Returns:
        For each output its buffer in `out`, or else bytes; scalars as JSON text.

    Raises:
        PipelineError: an input or a buffer is missing, unknown or of the wrong type or size.
        CodecError: a codec refused its input.
        CodecTrap: a codec broke; the next run works.
        LimitExceeded: a codec asked for more than its limits allow.
    """
    try:
        plan, codecs = prepared.plan, prepared.codecs
    except AttributeError:
        raise _not_prepared(prepared) from None
    direct = plan.direct
    if (
        direct is not None
        and out is None
        and type(inputs) is dict
        and len(inputs) == 1
        and direct.input in inputs
    ):
        return _call_directly(plan, direct, codecs[0], inputs[direct.input])
    buffers = None if out is None else OutputBuffers(plan, out)
    # By the index of the step. Final outputs that become bytes are copied immediately.
    results: dict[int, CallResult | Loan] = {}
    try:
        values = bind_inputs(plan, inputs)
        _call_steps(plan, codecs, values, results, borrows=buffers is not None)
        outputs: dict[str, Any] = (
            {
                name: bytes(value)
                for name, slot in plan.outputs.items()
                if (value := values[slot]) is not None
            }
            if buffers is None
            else buffers.fill(_apart_from_inputs(plan, values))
        )
        if results:
            _close(results, plan.steps, results)
    except BaseException:
        _abandon(results)
        raise
    finally:
        if buffers is not None:
            buffers.close()
    return outputs


def _call_directly(plan: Plan, direct: DirectCall, codec: Codec, value: object) -> dict[str, bytes]:
    """Make the only call of a plan."""
    data = value if type(value) is bytes else bind_data(plan, direct.input, value)
    try:
        ports = codec.call(plan.direction, {direct.input_port: data, **direct.constants})
    except (CodecError, CodecTrap, LimitExceeded) as failure:
        raise failure.within(plan.steps[0].subject) from failure.__cause__
    if direct.output_port in ports:
        return {direct.output: ports[direct.output_port]}
    _allow_missing(codec, plan, plan.steps[0], direct.output_port)
    return {}


def _apart_from_inputs(plan: Plan, values: Sequence[Buffer | None]) -> dict[str, Buffer]:
    """Give the outputs, none of them in the memory of an input, which may be that of a buffer."""
    return {
        name: value if slot in plan.makers else bytes(value)
        for name, slot in plan.outputs.items()
        if (value := values[slot]) is not None
    }


def visit[T](
    prepared: Prepared, inputs: Mapping[str, object], use: Callable[[Mapping[str, Buffer]], T]
) -> T:
    """Run a prepared pipeline once, and give its outputs to a function, without copying them.

    Args:
        prepared: what `chonkle.prepare` gave; several threads may run it at once.
        inputs: as for `run`.
        use: gets the outputs, and keeps no view of them: their memory is used again when it ends.

    Returns:
        What the function gives.

    Raises:
        ChonkleError: as `run`.
    """
    plan = prepared.plan
    results: dict[int, CallResult | Loan] = {}
    try:
        values = bind_inputs(plan, inputs)
        _call_steps(plan, prepared.codecs, values, results, borrows=True)
        found = use(_outputs(plan, values))
        _close(results, plan.steps, results)
    except BaseException:
        _abandon(results)
        raise
    return found


def visit_many(
    prepared: Prepared,
    items: Sequence[Mapping[str, object]],
    use: Callable[[int, Mapping[str, Buffer]], None],
) -> None:
    """Run a prepared pipeline on a few inputs, each step on all of them; as `visit` on each.

    Small inputs take fewer calls of guests this way.

    Args:
        prepared: what `chonkle.prepare` gave.
        items: the inputs of each run.
        use: gets the index of an item and its outputs, when all of the items have theirs.

    Raises:
        ChonkleError: as `run`, for any of the items.
    """
    plan = prepared.plan
    # By the index of the item and that of the step.
    results: list[dict[int, CallResult | Loan]] = [{} for _ in items]
    try:
        values = [bind_inputs(plan, inputs) for inputs in items]
        for index, (step, codec) in enumerate(zip(plan.steps, prepared.codecs, strict=True)):
            port_maps = [_port_map(step, given) for given in values]
            try:
                found = codec.call_many(plan.direction, port_maps)
            except (CodecError, CodecTrap, LimitExceeded) as failure:
                raise failure.within(step.subject) from failure.__cause__
            for each, result in zip(results, found, strict=True):
                each[index] = result
            for taken, result in zip(values, found, strict=True):
                _take_outputs(codec, plan, step, result.ports, taken)
            for each in results:
                _close(each, plan.steps, step.frees_after)
        for index, made in enumerate(values):
            use(index, _outputs(plan, made))
        for each in results:
            _close(each, plan.steps, each)
    except BaseException:
        for each in results:
            _abandon(each)
        raise


@contextmanager
def borrow(prepared: Prepared, inputs: Mapping[str, object]) -> Iterator[dict[str, memoryview]]:
    """Run a prepared pipeline once, and lend its outputs without copying them.

    Args:
        prepared: what `chonkle.prepare` gave; several threads may run it at once.
        inputs: as for `run`; they must not change before the end.

    Returns:
        A context manager that gives a read-only view of each output, of one-byte elements. The
        memory belongs to the codec; at the end the views are released, and raise a ValueError then.
        Arrays and slices made of a view stay valid: the memory is not used again before they are
        gone.

    Raises:
        ChonkleError: as `run`, on entry; a codec that breaks while it frees its result, at the end.
    """
    try:
        plan, codecs = prepared.plan, prepared.codecs
    except AttributeError:
        raise _not_prepared(prepared) from None
    with _open_results(plan, codecs, inputs) as (values, results):
        views = _lend(plan, codecs, values, results)
        try:
            yield dict(views)
        finally:
            for view in views.values():
                # Something still reads the view itself, so that only its memory can stay.
                with suppress(BufferError):
                    view.release()


def run_many(
    prepared: Prepared, items: Iterable[Mapping[str, object]], *, threads: int | None = None
) -> Generator[dict[str, bytes]]:
    """Run a prepared pipeline on many inputs, in several threads.

    Args:
        prepared: what `chonkle.prepare` gave.
        items: the inputs of each run, taken by the thread that takes the results, at most twice as
            many as there are threads before their results are wanted; it may be endless.
        threads: how many threads; as many as the processors that this process may use when left
            out. They end with the iterator.

    Returns:
        A generator of the outputs of each run, in the order of the items. Closing it early waits
        for the runs that have begun.

    Raises:
        ChonkleError: as `run`, when the result of the item that failed is wanted, whose index the
            message has; later items that have not begun are not run.
    """
    count = read_threads(threads)
    try:
        _ = prepared.plan, prepared.codecs
    except AttributeError:
        raise _not_prepared(prepared) from None
    try:
        iterator = iter(items)
    except TypeError:
        raise PipelineError(
            "the items of `run_many` cannot be iterated over",
            expected="an iterable of mappings",
            got=format_value(items),
        ) from None
    return _run_in_order(prepared, iterator, count)


def read_threads(threads: object) -> int:
    """Give a number of threads; the processors that this process may use for None.

    Raises:
        PipelineError: when it is none.
    """
    count = plain_value(threads)
    if count is None:
        count = os.process_cpu_count() or 1
    # A bool is an int.
    if type(count) is not int or not 1 <= count <= _THREADS_MAX:
        raise PipelineError(
            "bad `threads`", expected=f"1 to {_THREADS_MAX}", got=format_value(count)
        )
    return count


def _run_in_order(
    prepared: Prepared, items: Iterator[Mapping[str, object]], threads: int
) -> Generator[dict[str, bytes]]:
    # Takes as long as all of chonkle, and only this needs it.
    from concurrent.futures import Future, ThreadPoolExecutor  # noqa: PLC0415

    # Items behind the first failure that is known are not run. Those before it always are.
    end = threading.Event()
    failed: list[int] = []

    def call(index: int, item: Mapping[str, object]) -> dict[str, bytes]:
        if end.is_set() or (failed and index > failed[0]):
            return {}  # never looked at
        try:
            return run(prepared, item)
        except ChonkleError as failure:
            failed.append(index)
            raise failure.within(f"item {index}") from failure.__cause__
        except BaseException as failure:
            failed.append(index)
            failure.add_note(f"item {index} of `run_many`")
            raise

    def submit() -> Iterator[Future[dict[str, bytes]]]:
        try:
            for index, item in enumerate(items):
                yield pool.submit(call, index, item)
        except Exception as failure:  # noqa: BLE001 - raised in its turn
            broken: Future[dict[str, bytes]] = Future()
            broken.set_exception(failure)
            yield broken

    with ThreadPoolExecutor(threads, thread_name_prefix="chonkle") as pool:
        submitted = submit()
        pending = deque(islice(submitted, _AHEAD * threads))
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(islice(submitted, 1))
        finally:
            end.set()
            pool.shutdown(cancel_futures=True)


def _not_prepared(given: object) -> PipelineError:
    is_pipeline = isinstance(given, (str, os.PathLike, Mapping))
    return PipelineError(
        "not a prepared pipeline",
        expected="what `chonkle.prepare` returns",
        got=format_value(given) if is_pipeline else type(given).__name__,
        hint="`chonkle.run(chonkle.prepare(pipeline, direction), inputs)`",
    )


def _call_steps(
    plan: Plan,
    codecs: Sequence[Codec],
    values: list[Buffer | None],
    results: dict[int, CallResult | Loan],
    *,
    borrows: bool = False,
) -> None:
    """Call the codec of each step.

    Args:
        plan: the plan.
        codecs: the codec of each step.
        values: the value of each slot, which steps read and write.
        results: gets the open results, by the index of the step, also when a step fails.
        borrows: whether results that only go to outputs are borrowed too, and not copied.
    """
    for index, step in enumerate(plan.steps):
        codec = codecs[index]
        port_map = _port_map(step, values)
        ports: Mapping[str, Buffer]
        try:
            if step.is_final_output and not borrows:
                ports = codec.call(plan.direction, port_map)
            else:
                results[index] = result = codec.call_borrowed(plan.direction, port_map)
                ports = result.ports
        except (CodecError, CodecTrap, LimitExceeded) as failure:
            raise failure.within(step.subject) from failure.__cause__
        _take_outputs(codec, plan, step, ports, values)
        if step.frees_after:
            _close(results, plan.steps, step.frees_after)


@contextmanager
def _open_results(
    plan: Plan, codecs: Sequence[Codec], inputs: Mapping[str, object]
) -> Iterator[tuple[list[Buffer | None], dict[int, CallResult | Loan]]]:
    """Run a plan; gives the values and the results that own them, which it closes at the end."""
    values = bind_inputs(plan, inputs)
    results: dict[int, CallResult | Loan] = {}
    try:
        _call_steps(plan, codecs, values, results, borrows=True)
        yield values, results
        _close(results, plan.steps, results)
    except BaseException:
        _abandon(results)
        raise


def _lend(
    plan: Plan,
    codecs: Sequence[Codec],
    values: Sequence[Buffer | None],
    results: dict[int, CallResult | Loan],
) -> dict[str, memoryview]:
    """Give a view of each output, and put loans in the place of the results that they borrow."""
    views = {}
    for name, slot in plan.outputs.items():
        value = values[slot]
        if value is None:
            continue
        index = plan.makers.get(slot, -1)
        result = results.get(index)
        if isinstance(result, CallResult) and result.is_borrowed:
            result = results[index] = Loan(result, codecs[index].close_later)
        if isinstance(result, Loan):
            views[name] = result.lend(value)
        else:
            views[name] = memoryview(value).toreadonly()
    return views


def _port_map(step: PlannedStep, values: Sequence[Buffer | None]) -> dict[str, Buffer]:
    return {port: value for port, slot in step.input_ports if (value := values[slot]) is not None}


def _outputs(plan: Plan, values: Sequence[Buffer | None]) -> dict[str, Buffer]:
    return {
        name: value for name, slot in plan.outputs.items() if (value := values[slot]) is not None
    }


def _take_outputs(
    codec: Codec,
    plan: Plan,
    step: PlannedStep,
    ports: Mapping[str, Buffer],
    values: list[Buffer | None],
) -> None:
    for port, slot in step.output_ports:
        if port in ports:
            values[slot] = ports[port]
        else:
            _allow_missing(codec, plan, step, port)


def _allow_missing(codec: Codec, plan: Plan, step: PlannedStep, port: str) -> None:
    signature = codec.signature()
    if signature.output_ports(plan.direction)[port].required:
        raise CodecTrap(
            f"codec `{signature.codec_id}` ({signature.label}), {plan.direction}: did not return "
            f"its port `{port}`"
        ).within(step.subject)


def _close(
    results: Mapping[int, CallResult | Loan], steps: Sequence[PlannedStep], indices: Iterable[int]
) -> None:
    for index in indices:
        result = results.get(index)
        if result is not None:
            try:
                result.close()
            except (CodecTrap, LimitExceeded) as failure:
                raise failure.within(steps[index].subject) from failure.__cause__


def _abandon(results: Mapping[int, CallResult | Loan]) -> None:
    """Close results after a failure, which is reported and not those that follow from it."""
    for result in results.values():
        with suppress(ChonkleError):
            result.close()
