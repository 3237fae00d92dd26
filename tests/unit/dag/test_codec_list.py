from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.dag.codec_list import (
    ArraySpec,
    CodecEntry,
    ListedCodec,
    codec_list_pipeline,
    is_codec_list,
    listed_array,
    listed_codec,
    read_codec_list,
    read_entry,
)
from chonkle.dag.graph import Pipeline, WiringRef
from chonkle.errors import PipelineError
from chonkle.formats.dtypes import Dtype
from chonkle.formats.signature import Signature

ZLIB: dict[str, Any] = {"name": "zlib", "type": "numcodecs", "configuration": {"level": 6}}
PREDICTOR: dict[str, Any] = {"name": "predictor", "type": "wasm", "uri": "oci://r.example/p:1"}


def signature(codec_id: str = "x", /, *, fields: Any = None, **parameters: Any) -> Signature:
    return Signature.from_json(
        {
            "codec_id": codec_id,
            "implementation": f"{codec_id}-c",
            "inputs": {"bytes": {"type": "bytes"}, **parameters},
            "outputs": {"bytes": {"type": "bytes"}},
            **(fields or {}),
        }
    )


def optional(port_type: str, **fields: Any) -> dict[str, Any]:
    return {"type": port_type, "required": False, **fields}


# Codecs with parameters of every kind, as signatures declare them.
LEVEL = signature("level", level=optional("int", default=1, minimum=0, maximum=9, encode_only=True))
CLAMPED = signature("clamped", level=optional("int", minimum=-1, maximum=9, clamp=True))
WORDS = signature(
    "words",
    mode=optional("int", values={"off": 0, "on": 1}),
    name=optional("string", choices=["lz4", "zstd"]),
    filters=optional("string", json_text=True),
)
SHUFFLE = signature("shuffle", elementsize=optional("uint", default=4, from_array="itemsize"))
SWAP = signature(
    "swap",
    endian=optional("string", default="little"),
    elementsize={"type": "uint", "from_array": "scalarsize"},
    fields={"identity": [{"endian": "little"}, {"elementsize": 1}]},
)
DELTA = Signature.from_json(
    {
        "codec_id": "delta",
        "kind": "array-to-array",
        "implementation": "delta-c",
        "inputs": {
            "bytes": {"type": "bytes", "array": {"dtype": ["astype", "dtype"]}},
            "dtype": {"type": "dtype_desc", "from_array": "dtype"},
            "astype": optional("dtype_desc"),
        },
        "outputs": {"bytes": {"type": "bytes"}},
    }
)
TRANSPOSE = Signature.from_json(
    {
        "codec_id": "transpose",
        "kind": "array-to-array",
        "implementation": "transpose-c",
        "inputs": {
            "bytes": {"type": "bytes", "array": {"permuted_by": "order"}},
            "order": {"type": "uint[]"},
            "shape": {"type": "uint[]", "from_array": "shape"},
        },
        "outputs": {"bytes": {"type": "bytes"}},
    }
)

PIXELS = signature(
    "pixels",
    columns={"type": "int", "from_array": "width"},
    samples=optional("int", default=1, from_array="samples_per_pixel"),
    order=optional("string", default="little", from_array="byte_order"),
)


def listed(codec: Signature, **configuration: object) -> ListedCodec:
    entry = CodecEntry(codec.codec_id, configuration)
    return listed_codec(entry, codec.codec_id, codec, "")


def array(dtype: str, *shape: int) -> ArraySpec:
    return ArraySpec(Dtype.of(dtype), shape)


def constants(pipeline: Pipeline) -> dict[str, bytes]:
    """The JSON text of each parameter that is wired, by its step and name."""
    return {
        f"{name}.{port}": pipeline.constants[ref.port].data
        for name, step in pipeline.steps.items()
        for port, ref in step.inputs.items()
        if ref.scope == "constant"
    }


def problems_of(*codecs: object) -> tuple[str, ...]:
    with pytest.raises(PipelineError) as caught:
        read_codec_list({"codecs": list(codecs)})
    return caught.value.problems


def test_the_linear_form_has_a_field_codecs() -> None:
    assert is_codec_list({"codecs": []})
    assert not is_codec_list({"codecs": [], "steps": {}})
    assert not is_codec_list({"steps": {}})
    assert not is_codec_list([])
    assert not is_codec_list(None)


@pytest.mark.parametrize(
    ("written", "entry"),
    [
        (ZLIB, CodecEntry("zlib", {"level": 6}, backends=("native",), prefers_defaults=True)),
        (
            PREDICTOR,
            CodecEntry("predictor", {}, uri="oci://r.example/p:1", prefers_defaults=True),
        ),
        ({"name": "zstd"}, CodecEntry("zstd", {}, scope="zarr_v3")),
        ("zstd", CodecEntry("zstd", {}, scope="zarr_v3")),
        (
            {"name": "numcodecs.zlib", "configuration": {"id": "zlib", "level": 1}},
            CodecEntry("numcodecs.zlib", {"level": 1}, scope="zarr_v3"),
        ),
        (
            {"id": "zlib", "level": 1},
            CodecEntry("zlib", {"level": 1}, scope="numcodecs", prefers_defaults=True),
        ),
        (
            {"name": "zlib", "type": "wasm", "configuration": None},
            CodecEntry("zlib", {}, prefers_defaults=True),
        ),
    ],
)
def test_an_entry_has_three_forms(written: object, entry: CodecEntry) -> None:
    assert read_entry(written) == entry


@pytest.mark.parametrize("codecs", [None, {}, [], "zlib", ...])
def test_a_list_without_codecs_is_refused(codecs: object) -> None:
    with pytest.raises(PipelineError, match="not a codec list"):
        read_codec_list({} if codecs is ... else {"codecs": codecs})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "not an object, got `null`"),
        ({"type": "wasm"}, "bad `name`"),
        ({**ZLIB, "name": ""}, "bad `name`"),
        ({**ZLIB, "name": []}, "bad `name`"),
        ({"id": 5}, "bad `id`"),
        ({**ZLIB, "type": "core"}, "bad `type`, expected `numcodecs` or `wasm`"),
        ({**ZLIB, "type": []}, "bad `type`"),
        ({**ZLIB, "level": 1}, "unknown field `level`"),
        ({**ZLIB, "configuration": []}, "bad `configuration`"),
        ({**ZLIB, "configuration": {1: 1}}, "bad `configuration`"),
        ({**ZLIB, "uri": 1}, "bad `uri`, got `1`"),
    ],
)
def test_each_problem_is_named(entry: object, words: str) -> None:
    (problem,) = problems_of(entry)
    assert words in problem


def test_all_problems_are_found_together() -> None:
    found = problems_of({"name": -1, "type": "native"}, 5.5, {**ZLIB, "uri": []})
    assert [problem.partition(",")[0] for problem in found] == [
        "codec 0: bad `name`",
        "codec 0: bad `type`",
        "codec 1: not an object",
        "codec 2: bad `uri`",
    ]


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("file://a/x.wasm", "file:///data/a/x.wasm"),
        ("file://../x%20y.wasm#blake3=00", "file:///data/../x%20y.wasm#blake3=00"),
        ("file:///x.wasm", "file:///x.wasm"),
        ("file://localhost/x.wasm", "file://localhost/x.wasm"),
        ("oci://r.example/p:1", "oci://r.example/p:1"),
        ("oci-layout://a/lay:1", "oci-layout:///data/a/lay:1"),
        ("oci-layout:///lay:1", "oci-layout:///lay:1"),
    ],
)
def test_uris_of_files_are_relative_to_the_list(uri: str, absolute: str) -> None:
    (entry,) = read_codec_list(
        {"codecs": [{**PREDICTOR, "uri": uri}]}, folder=Path("/data")
    ).entries
    assert entry.uri == absolute


def test_codecs_are_a_chain_in_the_order_of_encoding() -> None:
    pipeline = codec_list_pipeline([listed(CLAMPED), listed(LEVEL, level=3), listed(LEVEL)])
    assert pipeline.direction == "encode"
    assert [step.codec_id for step in pipeline.steps.values()] == ["clamped", "level", "level"]
    first, second, third = pipeline.steps
    assert (first, second) == ("clamped", "level")
    assert pipeline.steps[first].inputs["bytes"] == WiringRef("input", "bytes")
    assert pipeline.steps[second].inputs["bytes"] == WiringRef(first, "bytes")
    assert pipeline.outputs == {"bytes": WiringRef(third, "bytes")}
    assert constants(pipeline) == {"level.level": b"3"}


@pytest.mark.parametrize("name", [8, "8"])
def test_a_number_is_a_compression_of_tiff(name: object) -> None:
    for entry in (name, {"name": name}):
        assert read_entry(entry) == CodecEntry("8", {}, scope="tiff_compression")


def test_each_entry_has_its_own_source() -> None:
    one = listed_codec(CodecEntry("x", {}, uri="oci://r.example/p:1"), "x", signature(), "")
    other = listed_codec(CodecEntry("x", {}, uri="oci://r.example/p:2"), "x", signature(), "")
    none = listed_codec(CodecEntry("x", {}), "x", signature(), "")
    pipeline = codec_list_pipeline([one, other, none])
    assert pipeline.sources == {}
    found = [step.source for step in pipeline.steps.values()]
    assert found == ["oci://r.example/p:1", "oci://r.example/p:2", ""]
    assert codec_list_pipeline([one, one]).to_json()["sources"] == {"x": "oci://r.example/p:1"}
    with pytest.raises(PipelineError, match="codec `x` from two sources"):
        pipeline.to_json()


@pytest.mark.parametrize(
    ("codec", "configuration", "values"),
    [
        (LEVEL, {"level": 3}, {"level": 3}),
        (LEVEL, {"level": None}, {}),
        (CLAMPED, {"level": 100}, {"level": 9}),
        (CLAMPED, {"level": -100}, {"level": -1}),
        (WORDS, {"mode": "on"}, {"mode": 1}),
        (WORDS, {"mode": 0, "name": "zstd"}, {"mode": 0, "name": "zstd"}),
        (WORDS, {"filters": [{"id": 3}]}, {"filters": '[{"id":3}]'}),
        (WORDS, {"filters": "[]"}, {"filters": "[]"}),
        (DELTA, {"dtype": "float32", "astype": ">i2"}, {"dtype": "<f4", "astype": ">i2"}),
        (TRANSPOSE, {"order": (1, 0)}, {"order": [1, 0]}),
    ],
)
def test_a_configuration_means_what_the_signature_declares(
    codec: Signature, configuration: dict[str, object], values: dict[str, object]
) -> None:
    assert listed(codec, **configuration).values == values


@pytest.mark.parametrize(
    ("codec", "configuration", "words"),
    [
        (LEVEL, {"levl": 3}, "unknown parameter `levl`, there is `level`"),
        (signature(), {"levl": 3}, "unknown parameter `levl`, there is none"),
        (LEVEL, {"level": 10}, "parameter `level`: out of range, expected 0 to 9, got `10`"),
        (LEVEL, {"level": "3"}, "parameter `level`: wrong type, expected `int`"),
        (WORDS, {"mode": "no"}, 'expected `int`, or one of `"off"`, `"on"`'),
        (WORDS, {"name": "lz5"}, "did you mean `lz4`"),
        (WORDS, {"filters": {1, 2}}, "parameter `filters`: wrong type, expected JSON"),
        (DELTA, {"dtype": "float33"}, "parameter `dtype`: bad dtype"),
        (SHUFFLE, {"data_type": "x"}, "bad `data_type`"),
        (SHUFFLE, {"shape": [1]}, "`shape` without `data_type`"),
        (SHUFFLE, {"data_type": "<u2", "shape": [-1]}, "bad `shape`"),
    ],
)
def test_a_wrong_configuration_is_refused(
    codec: Signature, configuration: dict[str, object], words: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        listed(codec, **configuration)
    assert words in str(caught.value)


def test_a_codec_of_several_values_is_no_part_of_a_list() -> None:
    several = Signature.from_json(
        {
            "codec_id": "split",
            "implementation": "split-c",
            "inputs": {"bytes": {"type": "bytes"}},
            "outputs": {"a": {"type": "bytes"}, "b": {"type": "bytes"}},
        }
    )
    with pytest.raises(PipelineError, match="called `bytes`, got `a`, `b`"):
        listed(several)


def test_parameters_come_from_the_array_as_each_codec_sees_it() -> None:
    codecs = [
        listed(TRANSPOSE, order=[1, 0]),
        listed(DELTA, astype="<i2"),
        listed(SWAP, endian="big"),
        listed(SHUFFLE),
    ]
    assert constants(codec_list_pipeline(codecs, array("<i8", 5, 7))) == {
        "transpose.order": b"[1,0]",
        "transpose.shape": b"[5,7]",
        "delta.astype": b'"<i2"',
        "delta.dtype": b'"<i8"',
        "swap.endian": b'"big"',
        "swap.elementsize": b"2",
        "shuffle.elementsize": b"2",
    }


def test_without_an_array_such_a_parameter_has_no_value() -> None:
    with pytest.raises(PipelineError, match="`elementsize` has no value, and there is no array"):
        codec_list_pipeline([listed(SHUFFLE)])
    # numcodecs has a default, and takes nothing from an array.
    entry = CodecEntry("shuffle", {}, prefers_defaults=True)
    codec = listed_codec(entry, "shuffle", SHUFFLE, "")
    assert constants(codec_list_pipeline([codec], array("<i8"))) == {"shuffle.elementsize": b"4"}


@pytest.mark.parametrize(("names", "elementsize"), [({"numcodecs": ["shuffle"]}, 4), ({}, 8)])
def test_numcodecs_has_defaults_only_of_its_own_codecs(
    names: dict[str, Any], elementsize: int
) -> None:
    size = optional("uint", default=4, from_array="itemsize")
    shuffle = signature("shuffle", fields={"aliases": names}, elementsize=size)
    codec = listed_codec(read_entry({"id": "shuffle"}), "shuffle", shuffle)
    assert codec.completed(array("<i8")) == {"elementsize": elementsize}


@pytest.mark.parametrize(
    ("shape", "given", "taken"),
    [
        ((5, 7), {}, {"columns": 7, "samples": 1}),
        ((5, 7), {"samples": 1}, {"columns": 7}),
        ((5, 7), {"columns": 7}, {"samples": 1}),
        ((5, 7, 3), {"samples": 3}, {"columns": 7}),
        ((2, 5, 7, 3), {"samples": 3}, {"columns": 7}),
        ((5, 7, 1), {"samples": 1}, {"columns": 7}),
        ((5, 7, 3), {"columns": 4, "samples": 2}, {}),
    ],
)
def test_an_array_tells_the_pixels_of_an_image(
    shape: tuple[int, ...], given: dict[str, int], taken: dict[str, int]
) -> None:
    found = listed(PIXELS, **given).completed(array("<u2", *shape))
    assert found == {**given, **taken, "order": "little"}


@pytest.mark.parametrize(
    ("shape", "given", "missing"),
    [
        # Rows, or pixels, or the samples of a whole tile.
        ((35,), {}, "`columns` and `samples`"),
        ((), {}, "`columns` and `samples`"),
        # Samples of each pixel last, or planes first.
        ((5, 7, 3), {}, "`columns` and `samples`"),
        ((5, 7, 3), {"columns": 7}, "`samples`"),
        ((3, 5, 7), {"samples": 3}, "`columns`"),
        ((3, 5, 7), {"samples": 1}, "`columns`"),
        # The samples of a row side by side.
        ((5, 21), {"columns": 7}, "`samples`"),
        ((5, 21), {"samples": 3}, "`columns`"),
    ],
)
def test_an_array_that_may_be_several_images_tells_nothing(
    shape: tuple[int, ...], given: dict[str, int], missing: str
) -> None:
    samples = given.get("samples")
    ending = f", or a shape that ends with {samples}, as `samples`" if samples else ""
    with pytest.raises(PipelineError) as caught:
        codec_list_pipeline([listed(PIXELS, **given)], array("|u1", *shape))
    assert str(caught.value) == (
        f'codec `pixels`: an array "|u1" of shape {shape} does not determine {missing}; '
        f"hint: give {missing}{ending}"
    )


@pytest.mark.parametrize(
    ("dtype", "order"),
    [("<f4", "little"), (">f4", "big"), (">c8", "big"), ("|u1", "little"), ("|S3", "little")],
)
def test_the_byte_order_is_that_of_the_elements(dtype: str, order: str) -> None:
    assert listed(PIXELS).completed(array(dtype, 5, 7))["order"] == order
    assert listed(PIXELS, order=order).completed(array(dtype, 5, 7))["order"] == order


def test_a_byte_order_that_the_elements_do_not_have_is_refused() -> None:
    for dtype, order, other in (("<u2", "little", "big"), (">u2", "big", "little")):
        with pytest.raises(PipelineError) as caught:
            codec_list_pipeline([listed(PIXELS, order=other)], array(dtype, 5, 7))
        assert str(caught.value) == (
            f'codec `pixels`: parameter `order`: not the byte order of the array "{dtype}" of '
            f'shape (5, 7), expected `"{order}"`, got `"{other}"`; hint: both are the byte order '
            "of the data"
        )
    # It is the same for single bytes.
    codec_list_pipeline([listed(PIXELS, order="big")], array("|u1", 5, 7))


def test_a_dtype_tells_no_byte_order_behind_a_codec_that_makes_bytes() -> None:
    to_bytes = signature("to-bytes", fields={"kind": "array-to-bytes"})
    with pytest.raises(PipelineError, match="as bytes of another codec does not determine `order`"):
        codec_list_pipeline([listed(to_bytes), listed(PIXELS)], array("<u2", 5, 7))
    for order in ("little", "big"):
        pipeline = codec_list_pipeline(
            [listed(to_bytes), listed(PIXELS, order=order)], array("<u2", 5, 7)
        )
        assert constants(pipeline)["pixels.order"] == f'"{order}"'.encode()
    # Nor do the fields of a structure, which may differ.
    mixed = ArraySpec(Dtype.of([["a", "<u2"], ["b", ">u4"]]), (5, 7))
    with pytest.raises(PipelineError, match="does not determine `order`"):
        codec_list_pipeline([listed(PIXELS)], mixed)


def test_codecs_that_change_nothing_are_left_out() -> None:
    assert not codec_list_pipeline([listed(SWAP)], array("<i8")).steps
    assert not codec_list_pipeline([listed(SWAP, endian="big")], array("|u1")).steps
    assert codec_list_pipeline([listed(SWAP, endian="big")], array("<c8")).steps


def test_an_entry_anywhere_in_the_list_describes_the_array() -> None:
    codecs = [
        listed(DELTA, dtype=">i4", astype="<i2"),
        listed(TRANSPOSE, order=[2, 0, 1]),
        listed(SWAP, data_type="int16", shape=[4, 2, 3]),
    ]
    found = listed_array(codecs)
    assert found == array(">i4", 2, 3, 4)
    assert listed_array(codecs[:2]) is None


def test_zarr_metadata_describe_the_chunk() -> None:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [10, 10],
        "chunk_key_encoding": {"name": "default"},
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 5]}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}],
    }
    assert read_codec_list(document).array == array("<f4", 4, 5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["bytes", "wasm"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "type", "configuration", "uri", "data_type", "mode"]), inner
        )
    ),
    max_leaves=8,
)


@given(json_values | st.fixed_dictionaries({"name": json_values, "configuration": json_values}))
def test_any_entry_is_a_codec_or_the_error(written: Any) -> None:
    try:
        listed_codec(read_entry(written), "words", WORDS, "")
    except PipelineError:
        return
