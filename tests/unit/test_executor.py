import array
import ctypes
import json
import math
from collections.abc import Mapping

import numpy as np
import pytest

from chonkle import executor
from chonkle.backends.base import CallResult
from chonkle.errors import ChonkleError, CodecError, CodecTrap, LimitExceeded, PipelineError
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction
from tests.unit.fake_codecs import (
    BYTES,
    FakeCodec,
    Tally,
    chain,
    echo,
    echoing,
    prepared,
)


class Addresses(ctypes.Structure):
    _fields_ = (("n", ctypes.c_int), ("p", ctypes.POINTER(ctypes.c_int)))


GRID = np.arange(6, dtype="<u2").reshape(2, 3)
read_only = bytes(range(12))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        pytest.param(b"abc", b"abc", id="bytes"),
        pytest.param(bytearray(b"abc"), b"abc", id="bytearray"),
        pytest.param(memoryview(b"abc"), b"abc", id="read-only-view"),
        pytest.param(memoryview(bytearray(b"abc")), b"abc", id="view"),
        pytest.param(memoryview(b"abcdef")[2:4], b"cd", id="slice"),
        pytest.param(memoryview(read_only).cast("B", (2, 6)), read_only, id="two-dimensions"),
        pytest.param(memoryview(read_only).cast("I"), read_only, id="wide-view"),
        pytest.param(array.array("h", [1, -1]), b"\x01\0\xff\xff", id="array"),
        pytest.param((ctypes.c_uint8 * 2)(1, 2), b"\x01\x02", id="ctypes"),
        pytest.param(GRID, GRID.tobytes(), id="numpy"),
        pytest.param(GRID[1], GRID[1].tobytes(), id="numpy-row"),
        pytest.param(GRID.astype(">u2"), GRID.astype(">u2").tobytes(), id="big-endian"),
        pytest.param(np.zeros(2, [("a", "u1"), ("O", "<f4")]), bytes(10), id="structured"),
        pytest.param(
            np.zeros(
                2, [("Z", [("O", "c16"), ("P", "U1", (2,)), ("&", "V3"), ("X", "?")]), ("z", "g")]
            ),
            bytes(2 * (16 + 8 + 3 + 1 + np.dtype("g").itemsize)),
            id="nested",
        ),
        pytest.param(np.zeros(2, "c16"), bytes(32), id="complex"),
        pytest.param(np.zeros(2, "f2"), bytes(4), id="half"),
        pytest.param(np.array([True, False]), b"\x01\0", id="bool"),
        pytest.param(np.array([b"ab", b"c"]), b"abc\0", id="strings"),
        pytest.param(np.array(7, "<u4"), b"\x07\0\0\0", id="no-dimension"),
        pytest.param(np.uint16(7), b"\x07\0", id="numpy-scalar"),
        pytest.param(np.array(["2000-01-02"], "M8[D]"), b"\xce*" + bytes(6), id="datetime"),
        pytest.param(np.array(7, "m8[s]"), b"\x07" + bytes(7), id="timedelta"),
        pytest.param(np.zeros(2, [("t", "M8[s]"), ("n", "u1")]), bytes(18), id="time-field"),
        pytest.param(b"", b"", id="empty"),
        pytest.param(np.empty((0, 3)), b"", id="empty-numpy"),
        pytest.param(np.empty((3, 0))[::2], b"", id="empty-strided"),
    ],
)
def test_any_contiguous_buffer_is_taken_for_bytes(value: object, data: bytes) -> None:
    assert executor.run(echoing(BYTES), {"x": value}) == {"bytes": data}


def test_a_callers_buffer_is_handed_on_without_a_copy() -> None:
    seen: list[Buffer] = []

    def look(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        seen.append(ports["x"])
        return {"bytes": b""}

    run = prepared({"x": BYTES}, {"e": ({"x": "input.x"}, look)}, {"b": "e.bytes"}, tally=Tally())
    data = bytearray(b"abc")
    executor.run(run, {"x": data})
    data[:] = b"xyz"
    assert bytes(seen[0]) == b"xyz"


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param(
            GRID.T,
            r"not contiguous in C order, expected contiguous elements in C order, .*, "
            r"got Fortran order; hint: `numpy\.ascontiguousarray\(array\)`",
            id="transposed",
        ),
        pytest.param(np.asfortranarray(GRID), "got Fortran order; hint", id="fortran"),
        pytest.param(GRID[:, ::2], "got elements with gaps or another order; hint", id="columns"),
        pytest.param(np.zeros((4, 4), "M8[s]").T[1:], "got elements with gaps", id="times"),
        pytest.param(memoryview(b"abcd")[::2], "not contiguous", id="strided"),
        pytest.param(memoryview(b"abcd")[::-1], "not contiguous", id="backwards"),
        pytest.param("abc", "not a buffer, expected bytes", id="text"),
        pytest.param(1, "not a buffer", id="integer"),
        pytest.param(None, "not a buffer", id="none"),
        pytest.param([1, 2], "not a buffer", id="list"),
        pytest.param(released(), "not a buffer", id="released"),
        pytest.param(np.zeros(2, [("t", "M8[s]"), ("o", "O")]), "not a buffer", id="datetime"),
        pytest.param(np.array(["a", None]), "Python objects", id="objects"),
        pytest.param(np.zeros(2, [("a", "O")]), "got elements of the format `", id="structured"),
        pytest.param(np.zeros(2, [("a", [("b", "O", (2,)), ("c", "i4")])]), "objects", id="nested"),
        pytest.param(np.zeros(2, [("x", "u1"), ("a", "O")])[:0], "objects", id="no-objects"),
        pytest.param((ctypes.py_object * 2)(), "Python objects", id="ctypes-objects"),
        pytest.param((Addresses * 2)(), "Python objects or addresses", id="addresses"),
        pytest.param((ctypes.c_char_p * 2)(), "addresses", id="address-of-text"),
    ],
)
def test_what_is_no_contiguous_buffer_is_refused(value: object, problem: str) -> None:
    tally = Tally()
    with pytest.raises(PipelineError, match=problem) as caught:
        executor.run(echoing(BYTES, tally), {"x": value})
    assert str(caught.value).startswith("pipeline `p`: input `x`: ")
    assert not tally.calls


@pytest.mark.parametrize(
    ("port_type", "value", "text"),
    [
        ("int", -5, b"-5"),
        ("int", b" -5\n", b"-5"),
        ("int", bytearray(b"7"), b"7"),
        ("int", memoryview(b"7"), b"7"),
        ("uint", 2**64 - 1, b"18446744073709551615"),
        ("float", 1, b"1"),
        ("float", 0.5, b"0.5"),
        ("float", np.float64(0.5), b"0.5"),
        ("float", b"1e3", b"1000.0"),
        ("bool", True, b"true"),
        ("string", "a\nb", b'"a\\nb"'),
        ("string", b'"\xc3\xa9"', b'"\\u00e9"'),
        ("uint[]", [1, 2], b"[1,2]"),
        ("uint[]", b"[ 1, 2 ]", b"[1,2]"),
        ("uint[]", np.array([1, 2]), b"[1,2]"),
        ("uint[]", np.zeros((3, 4)).shape, b"[3,4]"),
        ("int", np.int16(-5), b"-5"),
        ("dtype_desc", "<u2", b'"<u2"'),
        ("dtype_desc", [("a", "<u2")], b'[["a","<u2"]]'),
        ("dtype_desc", np.dtype([("a", "<u2", (2,))]).descr, b'[["a","<u2",[2]]]'),
        ("dtype_desc", np.dtype(">u2"), b'">u2"'),
        ("dtype_desc", np.dtype([("a", "<u2", (2,))]), b'[["a","<u2",[2]]]'),
        ("dtype_desc", np.float32, b'"<f4"'),
        ("string", np.dtype("i1"), b'"|i1"'),
        ("bool", np.bool_(True), b"true"),  # noqa: FBT003 - the value itself
        ("uint", np.array(3, "u1"), b"3"),
        ("uint[]", (np.int64(2), np.array(3)), b"[2,3]"),
    ],
)
def test_a_scalar_is_taken_as_it_is_or_as_json(port_type: str, value: object, text: bytes) -> None:
    assert executor.run(echoing({"type": port_type}), {"x": value}) == {"bytes": text}


@pytest.mark.parametrize(
    ("port_type", "value"),
    [
        ("int", True),
        ("int", 2**63),
        ("int", 1.0),
        ("int", "1"),
        ("int", None),
        ("int", b"1.0"),
        ("int", b"one"),
        ("int", b""),
        ("int", 10**5000),
        ("float", math.nan),
        ("float", b"NaN"),
        ("float", b"1e999"),
        ("string", b"text"),
        ("bool", 1),
        ("uint[]", (1, -2)),
        ("uint[]", np.array([1, -2])),
        ("dtype_desc", [math.nan]),
        ("dtype_desc", [object()]),
        ("dtype_desc", np.dtype(("<u2", (2,)))),
        ("dtype_desc", np.floating),
        ("int", np.float32(2)),
        ("bool", np.int8(1)),
        ("float", np.complex64(1)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_scalar_of_another_type_is_refused(port_type: str, value: object) -> None:
    with pytest.raises(PipelineError, match="input `x`: "):
        executor.run(echoing({"type": port_type}), {"x": value})


def test_everything_wrong_with_the_inputs_is_said_together() -> None:
    run = prepared(
        {"a": BYTES, "b": {"type": "int"}, "c": {"type": "bool"}},
        {"e": ({"a": "input.a", "b": "input.b", "c": "input.c"}, echo)},
        {"bytes": "e.bytes"},
        tally=Tally(),
    )
    with pytest.raises(PipelineError) as caught:
        executor.run(run, {"a": "text", "b": 1.5, "d": 1, "e": 2})
    assert [problem.partition(",")[0] for problem in caught.value.problems] == [
        "input `a`: not a buffer",
        "input `b`: wrong type",
        "input `c` is missing",
        "unknown input `d`",
        "unknown input `e`",
    ]
    assert caught.value.problems[-1].endswith("there is `a`, `b`, `c`")


def test_an_input_of_the_other_direction_is_ignored() -> None:
    run = prepared(
        {"x": BYTES, "level": {"type": "int", "encode_only": True}},
        {"e": ({"x": "input.x", "level": "input.level"}, echo)},
        {"bytes": "e.bytes"},
        tally=Tally(),
    )
    assert executor.run(run, {"x": b"a", "level": 3}) == {"bytes": b"a"}


def test_an_optional_input_is_left_out_and_a_default_is_put_in() -> None:
    tally = Tally()
    run = prepared(
        {"x": {"type": "int", "required": False}, "y": {"type": "int", "default": 7}},
        {"e": ({"x": "input.x", "y": "input.y"}, echo)},
        {"bytes": "e.bytes"},
        tally=tally,
        input_ports={"required": False},
    )
    for inputs in ({}, {"x": 1}, {"y": 2}, {"x": 1, "y": 2}):
        executor.run(run, inputs)
    assert tally.calls == [{"y": b"7"}, {"x": b"1", "y": b"7"}, {"y": b"2"}, {"x": b"1", "y": b"2"}]


def test_results_are_closed_after_their_last_reader() -> None:
    tally = Tally()
    assert executor.run(chain(10, tally), {"bytes": b"abc"}) == {"bytes": b"abc"}
    assert tally.peak == 2
    assert tally.open == 0


@pytest.mark.parametrize("kind", [CodecError, CodecTrap, LimitExceeded, MemoryError, KeyError])
@pytest.mark.parametrize("failing", [0, 2, 4])
def test_all_results_are_closed_when_a_step_fails(kind: type[Exception], failing: int) -> None:
    tally = Tally()

    def fail(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        if len(tally.calls) > failing:
            raise kind("no")
        return echo(ports)

    with pytest.raises(kind) as caught:
        executor.run(chain(5, tally, fail), {"bytes": b"abc"})
    assert tally.open == 0
    assert len(tally.calls) == failing + 1
    if isinstance(caught.value, ChonkleError):
        assert str(caught.value) == f"step `s{failing}`: no"


def test_a_port_that_a_codec_did_not_return_is_its_fault() -> None:
    tally = Tally()
    with pytest.raises(CodecTrap) as caught:
        executor.run(chain(2, tally, lambda _: {"other": b""}), {"bytes": b""})
    assert str(caught.value) == (
        "step `s0`: codec `c` (c-fake), decode: did not return its port `bytes`"
    )
    assert tally.open == 0


def test_an_optional_port_that_a_codec_did_not_return_is_left_out() -> None:
    tally = Tally()
    run = prepared(
        {"x": BYTES},
        {
            "a": ({"x": "input.x"}, lambda _: {"bytes": b"1"}),
            "b": ({"y": "a.bytes", "z": "a.more"}, echo),
        },
        {"bytes": "b.bytes", "more": "a.more"},
        tally=tally,
        output_ports={"bytes": BYTES, "more": {"type": "bytes", "required": False}},
    )
    # Whether `b` needs it is for `b` to say.
    assert executor.run(run, {"x": b""}) == {"bytes": b"1"}
    assert tally.calls[1] == {"y": b"1"}


def test_a_port_that_is_not_in_the_signature_is_not_passed_on() -> None:
    run = chain(2, Tally(), lambda ports: {**echo(ports), "secret": b"x"})
    assert executor.run(run, {"bytes": b"a"}) == {"bytes": b"a"}


def test_outputs_belong_to_the_caller() -> None:
    found = executor.run(chain(1, Tally()), {"bytes": bytearray(b"abc")})["bytes"]
    assert type(found) is bytes
    assert json.dumps(found.decode()) == '"abc"'


def test_one_prepared_pipeline_runs_again_after_a_failure() -> None:
    tally = Tally()
    run = chain(2, tally)
    with pytest.raises(PipelineError):
        executor.run(run, {})
    assert executor.run(run, {"bytes": b"1"}) == {"bytes": b"1"}
    assert executor.run(run, {"bytes": b"2"}) == {"bytes": b"2"}


class BreaksWhenClosed(FakeCodec):
    """Gives answers whose memory cannot be given back."""

    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        def release() -> None:
            raise CodecTrap("dealloc broke")

        return CallResult(dict(super().call_borrowed(direction, port_map).ports), release)


def test_what_went_wrong_first_is_told() -> None:
    def refuse(_ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        raise CodecError("no")

    for function, kind, message in (
        (refuse, CodecError, "^step `s1`: no$"),
        (echo, CodecTrap, "^step `s0`: dealloc broke$"),
    ):
        run = chain(2, Tally(), function)
        run.codecs[0] = BreaksWhenClosed(run.codecs[0].signature(), echo, Tally())
        with pytest.raises(kind, match=message):
            executor.run(run, {"bytes": b"x"})
