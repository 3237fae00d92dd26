"""Buffers for the outputs of a run. Its inputs are tested with the executor."""

import array
import ctypes
import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from chonkle import executor
from chonkle.errors import CodecError, PipelineError
from chonkle.formats.portmap import Buffer
from tests.unit.fake_codecs import BYTES, FakePrepared, Tally, chain, echo, prepared

DATA = bytes(range(16))


def two_outputs(tally: Tally | None = None) -> FakePrepared:
    """Prepare a pipeline whose outputs `a` and `b` are made by two steps, the second of both."""
    return prepared(
        {"x": BYTES},
        {
            "first": ({"bytes": "input.x"}, echo),
            "second": (
                {"bytes": "first.bytes"},
                lambda ports: {"bytes": bytes(ports["bytes"])[1:]},
            ),
        },
        {"a": "first.bytes", "b": "second.bytes"},
        tally=tally or Tally(),
    )


@pytest.mark.parametrize(
    "buffer",
    [
        pytest.param(bytearray(16), id="bytearray"),
        pytest.param(memoryview(bytearray(16)), id="view"),
        pytest.param(memoryview(bytearray(24))[4:20], id="slice"),
        pytest.param(memoryview(bytearray(16)).cast("I", (2, 2)), id="wide-view"),
        pytest.param(np.zeros((2, 4), "<u2"), id="numpy"),
        pytest.param(np.zeros((4, 4), ">f4")[1], id="big-endian-row"),
        pytest.param(np.zeros(1, "c16"), id="complex"),
        pytest.param(np.zeros(2, "M8[s]"), id="datetime"),
        pytest.param(np.zeros((), "V16"), id="no-dimension"),
        pytest.param(np.zeros(2, [("t", "m8[s]")]), id="structured"),
        pytest.param(np.zeros((1, 16), "?"), id="bool"),
        pytest.param(np.zeros(4, "U1"), id="text"),
        pytest.param(array.array("d", [0, 0]), id="array"),
        pytest.param((ctypes.c_uint32 * 4)(), id="ctypes"),
        pytest.param(mmap.mmap(-1, 16), id="mmap"),
    ],
)
def test_any_writable_buffer_gets_the_result(buffer: Any) -> None:
    tally = Tally()
    found = executor.run(chain(3, tally), {"bytes": DATA}, out={"bytes": buffer})
    assert found["bytes"] is buffer
    assert (buffer.tobytes() if hasattr(buffer, "tobytes") else bytes(buffer)) == DATA
    assert tally.open == 0


def test_outputs_without_a_buffer_are_bytes() -> None:
    buffer = bytearray(3)
    assert executor.run(two_outputs(), {"x": b"abcd"}, out={"b": buffer}) == {
        "a": b"abcd",
        "b": b"bcd",
    }
    assert executor.run(two_outputs(), {"x": b"abcd"}, out={}) == {"a": b"abcd", "b": b"bcd"}
    # Nothing holds on to it.
    buffer.extend(b"more")
    assert executor.run(chain(1, Tally()), {"bytes": b""}, out={"bytes": np.empty((0, 3))})


@pytest.mark.parametrize(
    ("buffer", "problem"),
    [
        pytest.param(bytes(4), "read-only, expected a writable buffer, .*, got bytes", id="bytes"),
        pytest.param(b"", "read-only", id="empty"),
        pytest.param(memoryview(bytearray(4)).toreadonly(), "read-only", id="view"),
        pytest.param(np.broadcast_to(np.uint8(1), 4), "not contiguous", id="broadcast"),
        pytest.param(
            np.zeros((2, 2), "u1", order="F"),
            r"not contiguous in C order.*got Fortran order; hint: `numpy.empty\(shape, dtype\)`",
            id="fortran",
        ),
        pytest.param(np.zeros(8, "u1")[::2], "not contiguous", id="strided"),
        pytest.param(np.zeros(1, "O"), "Python objects", id="objects"),
        pytest.param(None, "not a buffer", id="none"),
        pytest.param([0] * 4, "not a buffer", id="list"),
        pytest.param("text", "not a buffer", id="text"),
    ],
)
def test_a_buffer_that_cannot_be_written_is_refused_before_anything_runs(
    buffer: object, problem: str
) -> None:
    tally = Tally()
    with pytest.raises(PipelineError, match=problem) as caught:
        executor.run(chain(1, tally), {"bytes": b"abcd"}, out={"bytes": buffer})
    assert str(caught.value).startswith("pipeline `p`: out: buffer of output `bytes`: ")
    assert not tally.calls


def test_everything_wrong_with_the_buffers_is_said_together() -> None:
    tally = Tally()
    with pytest.raises(PipelineError) as caught:
        executor.run(two_outputs(tally), {}, out={"c": bytearray(1), "a": b"", "b": 1})
    assert [problem.partition(",")[0] for problem in caught.value.problems] == [
        "out: unknown output `c`",
        "out: buffer of output `a`: read-only",
        "out: buffer of output `b`: not a buffer",
    ]
    assert caught.value.problems[0].endswith("there is `a`, `b`")
    assert not tally.calls


@pytest.mark.parametrize("out", [bytearray(4), [("bytes", bytearray(4))], 5])
def test_what_is_no_mapping_of_buffers_is_refused(out: Any) -> None:
    with pytest.raises(PipelineError, match="pipeline `p`: out: not a mapping, expected a buffer"):
        executor.run(chain(1, Tally()), {"bytes": b""}, out=out)


@pytest.mark.parametrize("inputs", [b"abc", np.zeros(3), None, ["bytes"], "bytes"])
def test_what_is_no_mapping_of_inputs_is_refused(inputs: Any) -> None:
    with pytest.raises(PipelineError, match="pipeline `p`: inputs: not a mapping, expected a val"):
        executor.run(chain(1, Tally()), inputs)


@pytest.mark.parametrize("size", [0, 2, 4])
def test_a_buffer_of_another_size_leaves_all_untouched(size: int) -> None:
    tally = Tally()
    a, b = bytearray(b"...."), bytearray(size)
    with pytest.raises(PipelineError) as caught:
        executor.run(two_outputs(tally), {"x": b"abcd"}, out={"a": a, "b": b})
    assert str(caught.value) == (
        "pipeline `p`: out: buffer of output `b` has another size than the result, so nothing was "
        f"written, expected 3 bytes, got {size}"
    )
    assert (bytes(a), bytes(b), tally.open) == (b"....", bytes(size), 0)
    a.extend(b"it is not held")


def test_a_step_that_fails_leaves_all_untouched() -> None:
    def refuse(_ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        raise CodecError("no")

    tally = Tally()
    run = prepared(
        {"x": BYTES},
        {"first": ({"bytes": "input.x"}, echo), "second": ({"bytes": "input.x"}, refuse)},
        {"a": "first.bytes", "b": "second.bytes"},
        tally=tally,
    )
    buffer = bytearray(4)
    with pytest.raises(CodecError, match="step `second`: no"):
        executor.run(run, {"x": b"abcd"}, out={"a": buffer})
    assert (bytes(buffer), tally.open) == (bytes(4), 0)


def test_an_output_that_did_not_come_is_no_silence() -> None:
    run = prepared(
        {"x": BYTES},
        {"a": ({"x": "input.x"}, echo)},
        {"bytes": "a.bytes", "more": "a.more"},
        tally=Tally(),
        output_ports={"bytes": BYTES, "more": {"type": "bytes", "required": False}},
    )
    out = {"bytes": bytearray(1), "more": bytearray(1)}
    with pytest.raises(PipelineError, match="the run gave no output `more`, so nothing was"):
        executor.run(run, {"x": b"a"}, out=out)
    assert out["bytes"] == b"\0"


def test_an_input_may_be_overwritten_by_the_result() -> None:
    data = bytearray(b"abcd")
    executor.run(two_outputs(), {"x": data}, out={"b": memoryview(data)[1:]})
    assert data == b"abcd"[:1] + b"bcd"


def test_inputs_that_are_outputs_too_can_swap_their_buffers() -> None:
    run = prepared(
        {"x": BYTES, "y": BYTES},
        {"a": ({"x": "input.x"}, echo)},
        {"bytes": "a.bytes", "x": "input.x", "y": "input.y", "again": "input.y"},
        tally=Tally(),
    )
    x, y = bytearray(b"xxx"), bytearray(b"yyy")
    found = executor.run(run, {"x": x, "y": y}, out={"x": y, "y": x})
    assert found == {"bytes": b"xxx", "x": b"xxx", "y": b"yyy", "again": b"yyy"}
    assert (bytes(x), bytes(y)) == (b"yyy", b"xxx")


def test_outputs_cannot_share_a_buffer() -> None:
    tally = Tally()
    data = np.zeros(7, "u1")
    with pytest.raises(PipelineError, match="buffers of outputs `a` and `b` share memory"):
        executor.run(two_outputs(tally), {"x": b"abcd"}, out={"a": data[:4], "b": data[3:6]})
    assert not tally.calls
    executor.run(two_outputs(tally), {"x": b"abcd"}, out={"a": data[3:], "b": data[:3]})
    assert data.tobytes() == b"bcdabcd"
