"""What signatures declare: ranges, choices, arrays and encoded sizes."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.errors import PipelineError, SignatureError
from chonkle.formats.declared import ArrayForm, Declared, Parameter, is_type_string, read_aliases
from chonkle.formats.signature import Signature
from tests.documents import changed

# A filter with parameters of every kind.
CAST: Mapping[str, Any] = {
    "codec_id": "cast",
    "implementation": "cast-c",
    "kind": "array-to-array",
    "inputs": {
        "bytes": {"type": "bytes", "array": {"dtype": ["astype", "dtype"]}},
        "dtype": {"type": "dtype_desc", "from_array": "dtype"},
        "astype": {"type": "dtype_desc", "required": False},
        "width": {"type": "uint", "required": False, "default": 7},
        "scale": {"type": "float", "required": False},
        "mode": {"type": "string", "required": False, "default": "fast"},
        "order": {"type": "uint[]", "required": False},
        "strict": {"type": "bool", "required": False},
        "dictionary": {"type": "bytes", "parameter": True, "required": False},
        "checksum": {"type": "uint", "parameter": False},
    },
    "outputs": {"bytes": {"type": "bytes"}, "mask": {"type": "bytes", "required": False}},
}


def declared(*changes: tuple[tuple[str, ...], object], **fields: object) -> Declared:
    document: Any = {**CAST, **fields}
    for path, value in changes:
        document = changed(document, path, value)
    return Declared.of(Signature.from_json(document), what="it")


def problem_of(*changes: tuple[tuple[str, ...], object], **fields: object) -> str:
    with pytest.raises(SignatureError) as caught:
        declared(*changes, **fields)
    text = str(caught.value)
    assert text.startswith("it: ")
    assert text.isprintable()
    return text


def sized(formula: str, kind: str = "fixed") -> Declared:
    return declared(encoded_size={"kind": kind, "formula": formula})


def test_a_signature_without_declarations_declares_nothing() -> None:
    bare = Signature.from_json(
        {
            "codec_id": "x",
            "implementation": "x-c",
            "inputs": {"bytes": {"type": "bytes"}, "level": {"type": "int"}},
            "outputs": {"bytes": {"type": "bytes"}},
        }
    )
    found = Declared.of(bare)
    assert found == Declared(
        signature=bare,
        kind=None,
        aliases={},
        parameters={"level": Parameter()},
        decoded=ArrayForm(),
        encoded=ArrayForm(),
        encoded_size=found.encoded_size,
        partial_decode="none",
        concurrency=1,
        identity=(),
    )
    assert found.encoded_bytes({"bytes": 5}, {}) is None


def test_everything_that_is_declared_is_read() -> None:
    found = declared(
        (("inputs", "width", "minimum"), 1),
        (("inputs", "width", "maximum"), 9),
        (("inputs", "mode", "choices"), ["fast", "best"]),
        (("inputs", "mode", "values"), {"quick": "fast"}),
        (("outputs", "bytes", "array"), {"byte_order": "little"}),
        aliases={"zarr_v3": ["cast"], "tiff_compression": [8, "9"]},
        encoded_size={"kind": "fixed", "formula": "bytes"},
        partial_decode="elements",
        concurrency=4,
        identity=[{"width": 1, "mode": "best"}],
    )
    assert found.kind == "array-to-array"
    assert found.parameters["width"] == Parameter(minimum=1, maximum=9)
    assert found.parameters["mode"] == Parameter(choices=("fast", "best"), values={"quick": "fast"})
    assert found.parameters["dtype"].from_array == "dtype"
    assert "checksum" not in found.parameters  # which is data
    assert found.decoded == ArrayForm(byte_order="little")
    assert found.encoded == ArrayForm(dtype=("astype", "dtype"))
    assert found.aliases == {"zarr_v3": ("cast",), "tiff_compression": ("8", "9")}
    assert (found.partial_decode, found.concurrency) == ("elements", 4)
    assert found.identity == ({"width": 1, "mode": "best"},)


WIDTH, MODE, BYTES = ("inputs", "width"), ("inputs", "mode"), ("inputs", "bytes")
FIXED = {"kind": "fixed", "formula": "bytes"}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((*WIDTH, "minimum"), -1, "bad `minimum` of port `width`, expected a value of the port"),
        ((*WIDTH, "maximum"), 1.5, "bad `maximum` of port `width`"),
        ((*MODE, "maximum"), 1, "bad `maximum` of port `mode`, expected a value of the port, whi"),
        ((*WIDTH, "maximum"), 6, "bad `default` of port `width`: out of range, expected at most 6"),
        ((*WIDTH, "clamp"), True, "bad `clamp` of port `width`, expected a boolean, beside `mini"),
        ((*WIDTH, "choices"), [1, "2"], "bad `choices` of port `width`, expected a list of value"),
        ((*WIDTH, "choices"), [1, 2], "bad `default` of port `width`: unknown value, expected on"),
        ((*WIDTH, "values"), {"off": "0"}, "bad `values` of port `width`, expected an object of"),
        ((*WIDTH, "from_array"), "shape", "expected one of itemsize, scalarsize, shape[-1], width"),
        ((*MODE, "from_array"), "dtype", "expected one of byte_order, got"),
        (("inputs", "strict", "from_array"), "dtype", "expected none on a port of type `bool`"),
        ((*WIDTH, "json_text"), True, "bad `json_text` of port `width`, expected a boolean, on"),
        ((*BYTES, "array"), 1, "bad `array` of input port `bytes`, expected an object with noth"),
        ((*BYTES, "array"), {"byte_order": "little"}, "expected an object with nothing but dtype"),
        ((*BYTES, "array"), {"dtype": "astype"}, "bad `dtype` in `array` of input port `bytes`"),
        ((*BYTES, "array"), {"dtype": ["mode"]}, "expected a list of dtype ports or type strings"),
        ((*BYTES, "array"), {"dtype": [1]}, "expected a list of dtype ports or type strings"),
        ((*BYTES, "array"), {"permuted_by": "width"}, "expected a port of type `uint[]`, got"),
        ((*BYTES, "array"), {"permuted_by": ["order"]}, "expected a port of type `uint[]`, got"),
        (("outputs", "bytes", "array"), {"byte_order": "big"}, "expected `little`, or nothing"),
        (("outputs", "bytes", "array"), {"permuted_by": "order"}, "nothing but byte_order, dtype"),
        (("kind",), "array-to-bytes", "in a codec of another `kind`, expected `array-to-array`"),
        (("kind",), ..., "in a codec of another `kind`, expected `array-to-array`, got none"),
        (("partial_decode",), "some", "bad `partial_decode`, expected one of none, elements, got"),
        (("partial_decode",), "elements", "expected `encoded_size` of kind `fixed` beside `eleme"),
        (("concurrency",), 0, "bad `concurrency`, expected a number of threads, at least 1"),
        (("concurrency",), True, "bad `concurrency`"),
        (("identity",), [{}], "bad `identity`, expected a list of objects of parameter values"),
        (("identity",), [{"checksum": 1}], "bad `identity`, expected a list of objects"),
        (("identity",), [{"width": "1"}], "bad `identity`, expected a list of objects"),
        (("aliases",), ["zlib"], "bad `aliases`, expected an object of lists of names"),
        (("aliases",), {"zarr_v3": [True]}, "bad `aliases`, expected an object of lists of names"),
        (("encoded_size",), "fixed", "bad `encoded_size`, expected an object with `kind`, one of"),
        (("encoded_size",), {"kind": "exact"}, "bad `encoded_size`, expected an object with"),
        (("encoded_size",), {"kind": "fixed", "formula": 1}, "bad `encoded_size`, expected an ob"),
    ],
)
def test_what_is_malformed_is_named(path: tuple[str, ...], value: object, said: str) -> None:
    assert said in problem_of((path, value))


def test_declarations_that_contradict_each_other_are_refused() -> None:
    assert "bad `maximum` of port `scale`, expected at least `minimum`, 2" in problem_of(
        (("inputs", "scale", "minimum"), 2), (("inputs", "scale", "maximum"), 1.5)
    )
    assert "bad `values` of port `width`: out of range, expected at least 5, got `0`" in problem_of(
        ((*WIDTH, "minimum"), 5), ((*WIDTH, "values"), {"off": 0})
    )
    assert "bad `width` in `identity`: out of range, expected at least 5" in problem_of(
        ((*WIDTH, "minimum"), 5), identity=[{"width": 4}]
    )


def test_an_array_of_little_endian_elements_is_not_for_codecs_of_bytes() -> None:
    order = (("outputs", "bytes", "array"), {"byte_order": "little"})
    said = problem_of(order, ((*BYTES, "array"), ...), kind="bytes-to-bytes")
    assert 'expected `array-to-array` or `array-to-bytes`, got `"bytes-to-bytes"`' in said
    for kind in ("array-to-array", "array-to-bytes"):
        assert declared(order, ((*BYTES, "array"), ...), kind=kind).decoded.byte_order == "little"


# Values


@given(value=st.integers(-50, 50), least=st.integers(-10, 10), more=st.integers(0, 20), clamp=...)
def test_a_value_beyond_a_range_is_refused_or_counts_as_the_bound(
    value: int, least: int, more: int, *, clamp: bool
) -> None:
    most = least + more
    parameter = Parameter(minimum=least, maximum=most, clamp=clamp)
    if clamp or least <= value <= most:
        accepted = parameter.accept(value, what="x", error=PipelineError)
        assert accepted == min(max(value, least), most)
    else:
        with pytest.raises(PipelineError) as caught:
            parameter.accept(value, what="x", error=PipelineError)
        assert str(caught.value) == f"x: out of range, expected {least} to {most}, got `{value}`"


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        (Parameter(minimum=1), 0, "x: out of range, expected at least 1, got `0`"),
        (Parameter(maximum=1), 2, "x: out of range, expected at most 1, got `2`"),
        (
            Parameter(choices=("lz4", "zstd")),
            "lz5",
            'x: unknown value, expected one of `"lz4"`, `"zstd"`, got `"lz5"`; hint: did you mean',
        ),
        (Parameter(choices=(1, 2)), 3, "x: unknown value, expected one of `1`, `2`, got `3`"),
    ],
)
def test_a_refused_value_is_explained(parameter: Parameter, value: object, said: str) -> None:
    with pytest.raises(SignatureError) as caught:
        parameter.accept(value, what="x", error=SignatureError)
    assert str(caught.value).startswith(said)


def test_aliases_are_text() -> None:
    assert read_aliases({}, what="it") == {}
    assert read_aliases({"aliases": {"new scope": [1, "a"]}}, what="it") == {
        "new scope": ("1", "a")
    }


def test_defaults_count_where_no_value_is_given() -> None:
    assert declared().with_defaults({"scale": 2}) == {"width": 7, "mode": "fast", "scale": 2}
    assert declared().with_defaults({"width": 0})["width"] == 0


@pytest.mark.parametrize(
    ("values", "first", "expected"),
    [
        ({}, "", None),
        ({"b": "<f4"}, "", "<f4"),
        ({"a": "<u2", "b": "<f4"}, "", "<u2"),
        ({"a": "<u2", "b": "<f4"}, "b", "<f4"),
        ({"a": "<u2"}, "b", None),
        ({"a": [["x", "<u2"], ["y", "<u4"]]}, "a", [["x", "<u2"], ["y", "<u4"]]),
    ],
)
def test_the_dtype_of_an_array_is_the_first_that_has_a_value(
    values: dict[str, object], first: str, expected: object
) -> None:
    found = ArrayForm(dtype=("a", "b")).find_dtype(values, first=first)
    assert (found and found.description) == expected
    constant = ArrayForm(dtype=("a", "b", "|u1")).find_dtype(values, first=first)
    assert constant is not None
    assert constant.description == (expected or "|u1")


def test_type_strings_are_no_names_of_ports() -> None:
    assert [is_type_string(each) for each in ("<u2", "|u1", ">f8", "dtype", "", 1)] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


# Encoded sizes


@pytest.mark.parametrize(
    ("formula", "size"),
    [
        ("bytes", 1000),
        ("bytes + 4", 1004),
        ("4 * ceil(bytes / 3)", 1336),
        ("1 + ceil(bytes / 8)", 126),
        ("bytes / 3", 334),  # rounded up
        ("bytes - mask - 2 - 3", 985),
        ("bytes - 2000", 0),  # no size is negative
        ("  (bytes)  ", 1000),
        ("bytes / size(dtype) * size(astype)", 500),
        ("bytes / width", 143),  # its default
        ("bytes * scale", 2500),
        ("dictionary + bytes", 1003),
        ("100000000000000000000 * bytes", 10**23),
        ("ceil(ceil(ceil(bytes / 7) / 7) / 7)", 3),
        ("bytes / 0", None),
        ("bytes / (width - 7)", None),
        ("bytes / (bytes - 1000)", None),
    ],
)
def test_a_formula_is_computed(formula: str, size: int | None) -> None:
    sizes = {"bytes": 1000, "mask": 10, "dictionary": 3}
    values = {"dtype": "<f8", "astype": "<f4", "scale": 2.5}
    assert sized(formula).encoded_bytes(sizes, values) == size


@pytest.mark.parametrize(
    ("formula", "values"),
    [
        ("bytes * scale", {}),
        ("bytes * scale", {"scale": "2"}),
        ("bytes * scale", {"scale": True}),
        ("bytes * scale", {"scale": math.inf}),
        ("mask", {}),
        ("size(dtype)", {}),
        ("size(dtype)", {"astype": "<u2"}),
        ("size(astype)", {}),
        ("size(astype)", {"astype": "<f99"}),
        ("size(dtype)", {"dtype": [[]]}),
    ],
)
def test_without_a_value_there_is_no_size(formula: str, values: dict[str, object]) -> None:
    assert sized(formula).encoded_bytes({"bytes": 1000}, values) is None


def test_a_dtype_without_a_value_is_the_next_of_the_encoded_array() -> None:
    size = sized("bytes / size(dtype) * size(astype)")
    assert size.encoded_bytes({"bytes": 80}, {"dtype": "<f8"}) == 80
    assert size.encoded_bytes({"bytes": 80}, {"dtype": "<f8", "astype": "|u1"}) == 10
    constant = declared(
        ((*BYTES, "array"), {"dtype": ["astype", "|u1"]}),
        encoded_size={"kind": "fixed", "formula": "bytes / size(dtype) * size(astype)"},
    )
    assert constant.encoded_bytes({"bytes": 80}, {"dtype": "<f8"}) == 10
    # One that the array does not list has no other.
    alone = declared(
        ((*BYTES, "array"), ...), encoded_size={"kind": "fixed", "formula": "size(astype)"}
    )
    assert alone.encoded_bytes({"bytes": 80}, {"dtype": "<f8"}) is None


def test_a_dtype_in_a_formula_may_be_structured() -> None:
    pixel = [["position", "<u2", [2]], ["value", "<f8"]]
    assert sized("bytes / size(dtype)").encoded_bytes({"bytes": 120}, {"dtype": pixel}) == 10


RULE = "an expression of whole numbers, ports, `+ - * /`, `ceil(...)` and `size(port)`"


@pytest.mark.parametrize(
    "formula",
    [
        "", " ", "bytes +", "(bytes", "1.5", "1e3", "0x10", "1_000", "007", "١٢", "bytes ** 2",
        "bytes // 2", "bytes % 2", "-bytes", "+1", "not bytes", "bytes if 1 else 2", "lambda: 1",
        "ceil()", "ceil(1, 2)", "ceil(x=1)", "size(1)", "size(dtype, astype)", "size(size(dtype))",
        "bytes()", "len(bytes)", "bytes.real", "bytes[0]", "'a'", "True", "None", "(1, 2)", "1 < 2",
        "bytes; 1", "bytes\n+ 1", "bytes\0", "\ud800", "bytes # all", "1or 2", "1 (2)", "ceil",
        "__import__('os')", "(yield)", "f''", "[1]", "{1}", "bytes := 1", "*bytes", "a" * 200,
        "(" * 99 + "1" + ")" * 100, "byte\uff53",
    ],
)  # fmt: skip
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(SignatureError) as caught:
        sized(formula)
    said = str(caught.value)
    assert "bad `formula` of `encoded_size`, expected " in said
    assert RULE in said or "expected data or a number: bytes, dictionary, mask, scale, wi" in said


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("level", 'data or a number: bytes, dictionary, mask, scale, width, got `"level"`'),
        ("bytes * mode", 'data or a number: bytes, dictionary, mask, scale, width, got `"mode"`'),
        ("checksum", 'data or a number: bytes, dictionary, mask, scale, width, got `"checksum"`'),
        ("dtype", 'data or a number: bytes, dictionary, mask, scale, width, got `"dtype"`'),
        ("size(bytes)", 'in `size` a dtype: astype, dtype, got `"bytes"`'),
        ("size(other)", 'in `size` a dtype: astype, dtype, got `"other"`'),
    ],
)
def test_ports_of_a_formula_exist_and_have_a_size(formula: str, expected: str) -> None:
    said = problem_of(encoded_size={"kind": "bounded", "formula": formula})
    assert said.endswith(f"bad `formula` of `encoded_size`, expected {expected}")


def test_a_formula_is_short() -> None:
    longest = "+".join(["1"] * 100)
    assert sized(f"{longest} ").encoded_bytes({}, {}) == 100
    with pytest.raises(SignatureError, match="bad `encoded_size`"):
        sized(f"{longest}+1")
    with pytest.raises(SignatureError, match="bad `encoded_size`"):
        sized("9" * 1_000_000)


def test_the_deepest_and_the_largest_formulas_are_computed() -> None:
    deep = "(" * 90 + "bytes" + ")" * 90
    assert sized(deep).encoded_bytes({"bytes": 3}, {}) == 3
    nested = "ceil(" * 30 + "bytes" + ")" * 30
    assert sized(nested).encoded_bytes({"bytes": 3}, {}) == 3
    large = "9" * 200
    assert sized(large).encoded_bytes({}, {}) == int(large)
    power = "*".join(["width"] * 33)
    assert sized(power).encoded_bytes({}, {"width": 2**64 - 1}) == (2**64 - 1) ** 33
    tower = "1" + "/(1/7)" * 30
    assert sized(tower).encoded_bytes({}, {}) == 7**30


# A formula, and the same as a function.
numbers = st.integers(0, 40).map(lambda each: (str(each), lambda _: Fraction(each)))
names = st.sampled_from(["bytes", "mask", "width"]).map(
    lambda name: (name, lambda values: Fraction(values[name]))
)
OPERATORS: dict[str, Any] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
}


def combine(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def join(one: Any, sign: str, other: Any) -> Any:
        text = f"({one[0]} {sign} {other[0]})"
        return text, lambda values: OPERATORS[sign](one[1](values), other[1](values))

    def up(one: Any) -> Any:
        return f"ceil({one[0]})", lambda values: Fraction(math.ceil(one[1](values)))

    return st.builds(join, inner, st.sampled_from("+-*/"), inner) | st.builds(up, inner)


formulas = st.recursive(numbers | names, combine, max_leaves=8).filter(lambda f: len(f[0]) <= 200)


@given(formulas, st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 2**64 - 1))
def test_every_formula_is_exact(formula: Any, size: int, mask: int, width: int) -> None:
    text, function = formula
    found = sized(text).encoded_bytes({"bytes": size, "mask": mask}, {"width": width})
    try:
        expected = function({"bytes": size, "mask": mask, "width": width})
    except ZeroDivisionError:
        assert found is None
    else:
        assert found == max(0, math.ceil(expected))


@given(formulas, st.integers(0, 300), st.integers(0, 100), st.integers(0, 9), st.data())
def test_a_bound_for_smaller_data_holds(
    formula: Any, size: int, mask: int, width: int, data: st.DataObject
) -> None:
    size_ = sized(formula[0])
    most = size_.encoded_bytes({"bytes": size, "mask": mask}, {"width": width}, up_to=True)
    smaller = {
        "bytes": data.draw(st.integers(0, size)),
        "mask": data.draw(st.integers(0, mask)),
    }
    found = size_.encoded_bytes(smaller, {"width": width})
    if most is not None:
        assert found is not None
        assert found <= most


@given(st.text(max_size=220) | st.text("bytes()+-*/ 019ceilsz", max_size=60))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        found = sized(text, "bounded").encoded_bytes({"bytes": 8}, {"dtype": "<u2"})
    except SignatureError as failure:
        assert "\n" not in str(failure)  # noqa: PT017 - any other exception fails
    else:
        assert found is None or found >= 0


def test_an_unbounded_size_has_no_formula_to_check() -> None:
    found = declared(encoded_size={"kind": "unbounded", "formula": "anything"})
    assert found.encoded_bytes({"bytes": 1}, {}) is None
