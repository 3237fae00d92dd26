import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chonkle.dag.codec_list import codec_list_pipeline, is_codec_list
from chonkle.dag.graph import WiringRef
from chonkle.errors import PipelineError

ZLIB: dict[str, Any] = {"name": "zlib", "type": "numcodecs", "configuration": {"level": 6}}
PREDICTOR: dict[str, Any] = {"name": "predictor", "type": "wasm", "uri": "oci://r.example/p:1"}
ARRAY: dict[str, Any] = {
    "name": "bytes",
    "configuration": {"endian": "little", "data_type": "uint16", "shape": [2, 3]},
}


def problems_of(*codecs: object) -> tuple[str, ...]:
    with pytest.raises(PipelineError) as caught:
        codec_list_pipeline({"codecs": list(codecs)})
    return caught.value.problems


def test_the_linear_form_has_a_field_codecs() -> None:
    assert is_codec_list({"codecs": []})
    assert not is_codec_list({"codecs": [], "steps": {}})
    assert not is_codec_list({"steps": {}})
    assert not is_codec_list([])
    assert not is_codec_list(None)


def test_codecs_are_a_chain_in_the_order_of_encoding() -> None:
    pipeline = codec_list_pipeline({"codecs": [ARRAY, PREDICTOR, ZLIB]})
    assert pipeline.direction == "encode"
    assert [step.codec_id for step in pipeline.steps.values()] == ["predictor", "zlib"]
    first, second = pipeline.steps
    assert pipeline.steps[first].inputs["bytes"] == WiringRef("input", "bytes")
    assert pipeline.steps[second].inputs["bytes"] == WiringRef(first, "bytes")
    assert pipeline.outputs == {"bytes": WiringRef(second, "bytes")}
    assert pipeline.steps[first].backends == ("core", "component")
    assert pipeline.steps[second].backends == ("native",)
    assert pipeline.sources == {"predictor": "oci://r.example/p:1"}


def test_configuration_becomes_constants() -> None:
    settings = {
        "flag": True,
        "level": -1,
        "scale": 0.5,
        "name": "a",
        "shape": [2, 3],
        "dtype": [["a", "<u2"]],
        "empty": [],
        "id": "zlib",
        "nothing": None,
    }
    pipeline = codec_list_pipeline({"codecs": [{**ZLIB, "configuration": settings}]})
    (step,) = pipeline.steps.values()
    assert set(step.inputs) == {"bytes"} | settings.keys() - {"id", "nothing"}
    found = {
        name: (pipeline.constants[ref.port].type, pipeline.constants[ref.port].data)
        for name, ref in step.inputs.items()
        if name != "bytes"
    }
    assert found == {
        "flag": ("bool", b"true"),
        "level": ("int", b"-1"),
        "scale": ("float", b"0.5"),
        "name": ("string", b'"a"'),
        "shape": ("uint[]", b"[2,3]"),
        "dtype": ("dtype_desc", b'[["a","<u2"]]'),
        "empty": ("uint[]", b"[]"),
    }


def test_two_steps_with_one_codec_keep_their_own_settings() -> None:
    other = {**ZLIB, "configuration": {"level": 1}}
    pipeline = codec_list_pipeline({"codecs": [ZLIB, other]})
    assert sorted(constant.data for constant in pipeline.constants.values()) == [b"1", b"6"]
    assert len(pipeline.steps) == 2


@pytest.mark.parametrize("configuration", [None, {}, ...])
def test_configuration_may_be_left_out(configuration: object) -> None:
    entry = {**ZLIB, "configuration": configuration}
    if configuration is ...:
        del entry["configuration"]
    assert codec_list_pipeline({"codecs": [entry]}).constants == {}


@pytest.mark.parametrize("codecs", [None, {}, [], "zlib", ...])
def test_a_list_without_codecs_is_refused(codecs: object) -> None:
    with pytest.raises(PipelineError, match="not a codec list"):
        codec_list_pipeline({} if codecs is ... else {"codecs": codecs})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "codec 0: not an object, got `null`"),
        ("zlib", "codec 0: not an object"),
        ({"type": "wasm"}, "codec 0: bad `name`"),
        ({**ZLIB, "name": "../x"}, "codec 0: bad `name`"),
        ({**ZLIB, "name": []}, "codec 0: bad `name`"),
        ({"name": "zlib"}, "codec 0: bad `type`, expected `numcodecs` or `wasm`, got `null`"),
        ({**ZLIB, "type": "core"}, "codec 0: bad `type`"),
        ({**ZLIB, "type": []}, "codec 0: bad `type`"),
        ({**ZLIB, "level": 1}, "codec 0: unknown field `level`"),
        ({**ZLIB, "configuration": []}, "codec 0: bad `configuration`"),
        ({**ZLIB, "configuration": {"a b": 1}}, "codec 0: bad `configuration`"),
        ({**ZLIB, "configuration": {"a": math.nan}}, "codec 0: bad `configuration`, expected JSON"),
        ({**ZLIB, "configuration": {"a": object()}}, "codec 0: bad `configuration`, expected JSON"),
        ({**ZLIB, "uri": 1}, "codec 0: bad `uri`, got `1`"),
        ({"name": "bytes", "type": "wasm"}, "no codec besides `bytes`"),
        ({"name": "bytes", "configuration": 1}, "codec 0 (`bytes`): bad `configuration`"),
        ({"name": "bytes", "configuration": {"order": "C"}}, "unknown field `order`"),
        ({"name": "bytes", "configuration": {"endian": "middle"}}, "bad `endian`, expected `litt"),
        ({"name": "bytes", "configuration": {"endian": []}}, "bad `endian`"),
    ],
)
def test_each_problem_is_named(entry: object, words: str) -> None:
    (problem,) = problems_of(entry)
    assert words in problem


def test_all_problems_are_found_together() -> None:
    found = problems_of(
        {"name": "bytes", "configuration": {"endian": 1}},
        {"name": "/", "type": "native"},
        5,
        {**ZLIB, "uri": []},
    )
    assert [problem.partition(",")[0] for problem in found] == [
        "codec 0 (`bytes`): bad `endian`",
        "codec 1: bad `name`",
        "codec 1: bad `type`",
        "codec 2: not an object",
        "codec 3: bad `uri`",
    ]


def test_a_codec_has_one_source() -> None:
    assert len(codec_list_pipeline({"codecs": [PREDICTOR, PREDICTOR]}).steps) == 2
    assert problems_of(PREDICTOR, {**PREDICTOR, "uri": "oci://other.example/p:1"}) == (
        'codec 1: another `uri` of `predictor`, got `"oci://other.example/p:1"`',
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["bytes", "wasm"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "type", "configuration", "uri", "endian", "level"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.lists(json_values | st.fixed_dictionaries({"name": json_values, "type": json_values})))
def test_any_list_is_a_pipeline_or_the_error(codecs: list[Any]) -> None:
    try:
        pipeline = codec_list_pipeline({"codecs": [ZLIB, *codecs]})
    except PipelineError:
        return
    assert len(pipeline.steps) == len(codecs) + 1
