import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import ChonkleError, PipelineError, SignatureError
from chonkle.formats.json_text import parse_json

DEEP = 100_000


def parse(text: bytes | str) -> object:
    return parse_json(text, what="the document", error=PipelineError)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(b"", "line 1, column 1", id="empty"),
        pytest.param(b"{", "line 1, column 2", id="cut"),
        pytest.param(b'{\n "a": 1,\n}', "line 2, column", id="trailing-comma"),
        pytest.param(b"{} {}", "extra data", id="two-documents"),
        pytest.param(b"'a'", "malformed JSON", id="single-quotes"),
        pytest.param(b'"\n"', "malformed JSON", id="control-character"),
        pytest.param(b"// no\n1", "malformed JSON", id="comment"),
        pytest.param(b'{"a": 1, "b": 2, "a": 3}', "the key `a` occurs twice", id="duplicate"),
        pytest.param(b'[{"x": {"a": 1, "a": 1}}]', "`a` occurs twice", id="duplicate-inside"),
        pytest.param(b"NaN", "`NaN` is not a JSON number", id="nan"),
        pytest.param(b"[Infinity]", "`Infinity` is not a JSON number", id="infinity"),
        pytest.param(b"-Infinity", "`-Infinity` is not a JSON number", id="minus-infinity"),
        pytest.param(b"1e999", "`1e999` is too large", id="overflow"),
        pytest.param(b'{"a": [-1E400]}', "`-1E400` is too large", id="negative-overflow"),
        pytest.param(b"9" * 5000, "a number is too long", id="huge-integer"),
        pytest.param(b"[" * DEEP, "nested too deeply", id="deep-lists"),
        pytest.param(b'{"a":' * DEEP, "nested too deeply", id="deep-objects"),
        pytest.param(b"[" * DEEP + b"]" * DEEP, "nested too deeply", id="deep-and-closed"),
        pytest.param(b'"\xff"', "not UTF-8 text (byte 1)", id="not-utf-8"),
        pytest.param('"\ud800"'.encode("utf-8", "surrogatepass"), "not UTF-8", id="raw-surrogate"),
        pytest.param('"é"'.encode("utf-16"), "not UTF-8", id="utf-16"),
        pytest.param(b'"\\ud800"', "half of a surrogate pair", id="high-surrogate"),
        pytest.param(b'{"\\uDFFF": 1}', "half of a surrogate pair", id="low-surrogate-key"),
        pytest.param('"\udc80"', "half of a surrogate pair", id="surrogate-in-text"),
    ],
)
def test_text_that_is_not_strict_json_is_refused(text: bytes | str, problem: str) -> None:
    with pytest.raises(PipelineError, match=r"^the document: ") as caught:
        parse(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b"\xef\xbb\xbf{}", {}, id="byte-order-mark"),
        pytest.param(b' [1, -0.5, 1e300, true, null, ""] ', [1, -0.5, 1e300, True, None, ""]),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="surrogate-pair"),
        pytest.param(b'"\\\\ud800"', "\\ud800", id="escaped-backslash"),
        pytest.param('"é"', "é", id="text"),
        pytest.param(b"1e-999", 0.0, id="underflow"),
        pytest.param(b"9" * 400, int("9" * 400), id="long-integer"),
    ],
)
def test_strict_json_is_parsed(text: bytes | str, value: object) -> None:
    assert parse(text) == value


def test_the_given_class_is_raised() -> None:
    with pytest.raises(SignatureError):
        parse_json(b"{", what="x", error=SignatureError)


def test_a_late_duplicate_among_many_keys_is_found_at_once() -> None:
    keys = ",".join(f'"{index}":0' for index in range(100_000))
    begin = time.monotonic()
    with pytest.raises(PipelineError, match="`99999` occurs twice"):
        parse(f'{{{keys},"99999":0}}'.encode())
    # Counting each key against all others would take minutes.
    assert time.monotonic() - begin < 5


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_every_value_that_json_writes_comes_back(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u01adDeE+-.tfn ').map(str.encode))
def test_any_bytes_give_a_value_or_the_error(text: bytes) -> None:
    try:
        value = parse(text)
    except ChonkleError:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
