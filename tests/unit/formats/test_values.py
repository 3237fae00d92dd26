import array
import json
import math
import subprocess
import sys
from collections import OrderedDict, namedtuple
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import PipelineError
from chonkle.formats.values import (
    PORT_TYPES,
    accepts,
    check_scalar,
    encode_scalar,
    format_value,
    is_value,
    plain_value,
    read_older_constant,
)

SCALAR_TYPES = [name for name in PORT_TYPES if name != "bytes"]

GOOD: dict[str, list[Any]] = {
    "string": ["", "x", "\0", "é", "\U0001f600"],
    "int": [0, -1, 2**63 - 1, -(2**63)],
    "uint": [0, 2**63, 2**64 - 1],
    "float": [0, -1, 0.5, 5e-324, 1.7976931348623157e308, -(2**63), 2**64 - 1],
    "bool": [True, False],
    "uint[]": [[], [0], [2**64 - 1, 3]],
    "dtype_desc": ["<u2", "|S5", [["a", "<u2"]], [["a", "<u2", [2, 3]], ["b", [["c", "|b1"]]]]],
}
BAD: dict[str, list[Any]] = {
    "string": [1, None, b"x", ["x"], True],
    "int": [True, False, 2**63, -(2**63) - 1, 1.0, "1", None, [1]],
    "uint": [True, -1, 2**64, 1.0, "1", None],
    "float": [True, math.nan, math.inf, -math.inf, "1", None, 2**64, -(2**63) - 1, 10**400],
    "bool": [0, 1, "true", None],
    "uint[]": [None, 1, [-1], [2**64], [True], [1.0], [[1]], {"0": 1}, "12", b"12"],
    "dtype_desc": ["", [], None, 2, {"a": "<u2"}, True, [math.nan], [object()], [b"<u2"]],
}


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize("port_type", SCALAR_TYPES)
def test_values_of_a_type_belong_to_it_and_travel_as_json(port_type: str) -> None:
    for value in GOOD[port_type]:
        assert is_value(value, port_type), value
        assert check_scalar(encode_scalar(value), port_type, what="x") == value


@pytest.mark.parametrize("port_type", SCALAR_TYPES)
def test_other_values_do_not_belong_to_a_type(port_type: str) -> None:
    for value in [*BAD[port_type], circle(), object()]:
        assert not is_value(value, port_type), value


@pytest.mark.parametrize("port_type", ["bytes", "", "uint8", "int[]"])
def test_other_types_have_no_scalar_values(port_type: str) -> None:
    assert not is_value(1, port_type)
    assert not is_value(b"", port_type)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2, b"2"),
        ("<u2", b'"<u2"'),
        ([3, 4], b"[3,4]"),
        (True, b"true"),
        (0.1, b"0.1"),
        ("é", b'"\\u00e9"'),
    ],
)
def test_a_scalar_travels_as_compact_ascii_json(value: object, text: bytes) -> None:
    assert encode_scalar(value) == text


def test_a_value_that_json_does_not_have_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_scalar(math.nan)


@pytest.mark.parametrize(
    ("text", "port_type", "message"),
    [
        (b"1.5", "int", "level: wrong type, expected JSON text of type `int`, got `1.5`"),
        (b"18446744073709551616", "uint", "level: wrong type"),
        (b"true", "float", "level: wrong type"),
        (b"1e400", "float", "level: the number"),
        (b"NaN", "float", "level: `NaN`"),
        (b"", "string", "level: malformed JSON"),
        (b"abc", "string", "level: malformed JSON"),
        (b"\xff", "string", "level: not UTF-8"),
        (b"[" * 100_000, "uint[]", "level: JSON nested too deeply"),
        (b"1", "bytes", "level: wrong type"),
    ],
)
def test_text_of_another_type_is_refused(text: bytes, port_type: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        check_scalar(text, port_type, what="level")
    assert str(caught.value).startswith(message)


ACCEPTED = {("uint", "int"), ("uint", "float"), ("int", "float"), ("string", "dtype_desc")}


@pytest.mark.parametrize("source", PORT_TYPES)
@pytest.mark.parametrize("target", PORT_TYPES)
def test_a_value_flows_only_into_its_own_or_a_wider_type(source: str, target: str) -> None:
    assert accepts(target, source) == (source == target or (source, target) in ACCEPTED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a`b\n", '`"a`b\\n"`'),
        (None, "`null`"),
        (b"x", "`\"b'x'\"`"),
        (math.nan, "`NaN`"),
        pytest.param(10**5000, "`<int>`", id="huge"),
        (circle(), "`<list>`"),
        ({(1, 2): 3}, "`<dict>`"),
        ("x" * 1000, '`"' + "x" * 56 + "...`"),
    ],
)
def test_any_value_is_shown_on_one_short_line(value: object, text: str) -> None:
    assert format_value(value) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from(SCALAR_TYPES))
def test_a_value_of_a_type_round_trips(value: object, port_type: str) -> None:
    assert "\n" not in format_value(value)
    assert len(format_value(value)) <= 62
    if is_value(value, port_type):
        text = encode_scalar(value)
        assert json.loads(text) == value
        assert check_scalar(text, port_type, what="x") == value


ORDER = "<" if sys.byteorder == "little" else ">"
Shape = namedtuple("Shape", "rows columns")  # noqa: PYI024 - as programs write them


class Remote:
    """An array of no dimension, of a library whose arrays only have `item`."""

    dtype = "int64"

    def __init__(self, *values: int) -> None:
        self.values = values

    def item(self) -> int:
        if len(self.values) != 1:
            raise ValueError("not one value")
        return self.values[0]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(4), 4),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.True_, True),
        (np.str_("x"), "x"),
        (np.array(4), 4),
        (np.array([[1, 2], [3, 4]], ">u2"), [[1, 2], [3, 4]]),
        (np.array([(1, 2.5)], [("a", "u1"), ("b", "<f8")]), [[1, 2.5]]),
        (np.array([np.int8(1), (2, np.array(3))], "O"), [1, [2, 3]]),
        (array.array("h", [1, -1]), [1, -1]),
        (Remote(7), 7),
        ((np.int64(2), 3), [2, 3]),
        (Shape(np.int8(1), 2), [1, 2]),
        (np.zeros((3, 4)).shape, [3, 4]),
        ([{"a": (np.bool_(False), [np.dtype("<f4")])}], [{"a": [False, ["<f4"]]}]),  # noqa: FBT003
        (OrderedDict(a=np.int8(1)), {"a": 1}),
        (MappingProxyType({"a": (1,)}), {"a": [1]}),
        (np.dtype("<f4"), "<f4"),
        (np.dtype(">u2"), ">u2"),
        (np.dtype("u1"), "|u1"),
        (np.dtype("S5"), "|S5"),
        (np.dtype("<M8[ns]"), "<M8[ns]"),
        (np.dtype("V3"), "|V3"),
        (np.dtype([("a", "<u2", (2, 3)), ("b", [("c", "?")])]),
         [["a", "<u2", [2, 3]], ["b", [["c", "|b1"]]]]),
        (np.dtype([("a", "u1"), ("b", "<u4")], align=True),
         [["a", "|u1"], ["", "|V3"], ["b", "<u4"]]),
        (np.float32, f"{ORDER}f4"),
        (np.uint8, "|u1"),
        (np.bool_, "|b1"),
        (np.dtypes.Int16DType, f"{ORDER}i2"),
        (np.dtypes.Int16DType(), f"{ORDER}i2"),
        (float, f"{ORDER}f8"),
        (int, f"{ORDER}i8"),
        (bool, "|b1"),
        (complex, f"{ORDER}c16"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numpys_values_become_those_of_json(value: object, plain: object) -> None:
    found = plain_value(value)
    assert found == plain
    assert json.loads(json.dumps(found)) == plain
    # With the types of Python and no others, at any depth.
    assert repr(found) == repr(plain)
    if not isinstance(value, type):
        assert plain_value({"x": [value]}) == {"x": [plain]}


@pytest.mark.parametrize(
    "dtype",
    [np.dtype(None), *(np.dtype(code) for code in np.typecodes["All"] if code not in "OgG")],
    ids=str,
)
def test_a_dtype_is_what_numpy_makes_of_it_again(dtype: Any) -> None:
    for each in (dtype, dtype.newbyteorder()):
        plain: Any = plain_value(each)
        assert np.dtype(plain) == each


@pytest.mark.parametrize(
    "value",
    [None, 1, "x", b"x", bytearray(b"x"), memoryview(b"x"), object(), {1, 2}, Remote(1, 2), str,
     object, np.floating, np.void, np.longdouble(1), json],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_values_are_left_as_they_are(value: object) -> None:
    assert plain_value(value) is value


def test_a_circle_is_left_as_it_is() -> None:
    made = circle()
    assert plain_value(made) is made


class Bfloat16Type:
    """What ml_dtypes has as `dtype.type`."""


class Bfloat16Dtype:
    """What ml_dtypes has as a dtype: to a type string it would be opaque."""

    names = subdtype = None
    kind, str, name, itemsize, type = "V", "<V2", "bfloat16", 2, Bfloat16Type
    descr = (("", "<V2"),)


def test_a_dtype_without_a_type_string_has_its_name() -> None:
    assert plain_value([Bfloat16Dtype()]) == ["bfloat16"]


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (
            np.dtype({"names": ["a", "b"], "formats": ["u1", "<u4"], "offsets": [4, 0]}),
            "fields overlap or are out of order, got `.*`; hint: .*repack_fields",
        ),
        (np.dtype(("<f4", (2,))), r"a dtype of arrays, expected the dtype of their elements, got"),
    ],
)
def test_a_dtype_that_cannot_be_written_is_refused(dtype: object, words: str) -> None:
    with pytest.raises(PipelineError, match=words):
        plain_value({"x": dtype})


def test_numpy_is_not_imported() -> None:
    script = (
        "import sys; from chonkle.formats.values import plain_value; plain_value((1, float));"
        "print('numpy' in sys.modules)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("older_type", "value", "expected"),
    [
        ("number", 2, ("float", 2)),
        ("number", 0.5, ("float", 0.5)),
        ("number", "2", ("float", "2")),
        ("list", [1, 2], ("uint[]", [1, 2])),
        ("list", [], ("uint[]", [])),
        ("list", ["a", "b"], ("string", '["a","b"]')),
        ("list", [{"id": 3}], ("string", '[{"id":3}]')),
        ("list", "a", ("uint[]", "a")),
        ("list", [{1}], ("uint[]", [{1}])),
        ("int", 2, ("int", 2)),
        (None, 2, (None, 2)),
        (["x"], 2, (["x"], 2)),
    ],
)
def test_constants_of_an_older_type_have_one_of_today(
    older_type: object, value: object, expected: tuple[object, object]
) -> None:
    assert read_older_constant(older_type, value) == expected
