from typing import Any

import pytest

from chonkle.dag.graph import Pipeline, WiringRef, topological_order
from chonkle.errors import PipelineError
from tests.documents import changed

DOCUMENT: dict[str, Any] = {
    "codec_id": "cog",
    "direction": "decode",
    "description": "words",
    "version": 3,
    "$schema": "x",
    "sources": {"predictor": "oci://registry.example/predictor:1"},
    "inputs": {"bytes": {"type": "bytes"}, "level": {"type": "int", "encode_only": True}},
    "constants": {
        "width": {"type": "int", "value": 1024, "description": "of a tile"},
        "magic": {"type": "bytes", "value": "AP8="},
        "dtype": {"type": "dtype_desc", "value": "<u2"},
    },
    "outputs": {"bytes": "predictor.bytes"},
    "steps": {
        "predictor": {
            "codec_id": "predictor",
            "inputs": {"bytes": "zlib.bytes", "width": "constant.width"},
        },
        "zlib": {
            "codec_id": "zlib",
            "inputs": {"bytes": "input.bytes", "level": "input.level"},
            "description": "first",
        },
    },
}


def problems_of(document: object) -> tuple[str, ...]:
    with pytest.raises(PipelineError) as caught:
        Pipeline.from_json(document)
    return caught.value.problems


def test_a_pipeline_is_parsed_with_its_steps_in_order() -> None:
    pipeline = Pipeline.from_json(DOCUMENT)
    assert list(pipeline.steps) == ["zlib", "predictor"]
    assert pipeline.outputs == {"bytes": WiringRef("predictor", "bytes")}
    assert pipeline.constants["width"].data == b"1024"
    assert pipeline.constants["magic"].data == b"\0\xff"
    assert pipeline.constants["dtype"].data == b'"<u2"'
    assert pipeline.inputs["level"].parameter
    assert pipeline.sources == DOCUMENT["sources"]


def test_optional_sections_may_be_left_out() -> None:
    document = changed(DOCUMENT, "sources", ...)
    del document["constants"], document["steps"]["predictor"]["inputs"]["width"]
    assert Pipeline.from_json(document).constants == {}


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_a_pipeline_is_an_object(document: object) -> None:
    with pytest.raises(PipelineError, match="not a pipeline, expected a JSON object"):
        Pipeline.from_json(document)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("codec_id", ..., "bad `codec_id`"),
        ("codec_id", "../x", "bad `codec_id`"),
        ("direction", ..., "bad `direction`, expected `encode` or `decode`, got `null`"),
        ("direction", "both", "bad `direction`"),
        ("direction", [], "bad `direction`"),
        ("step", {}, "unknown field `step`, expected $schema, codec_id, constants,"),
        ("outputs", ..., "bad `outputs`, expected an object"),
        ("outputs", {}, "no outputs, expected at least one"),
        ("sources", [], "bad `sources`, expected an object"),
        ("sources/predictor", 1, "bad source of codec `predictor`, expected a URI"),
        ("sources/..", "oci://x", "bad codec id in `sources`"),
        ("inputs/a.b", {"type": "bytes"}, "bad name in `inputs`"),
        ("inputs/more", {"type": "u8"}, "input `more`: bad `type`"),
        ("inputs/more", None, "input `more`: not an object"),
        ("constants/9", {"type": "int", "value": 1}, "bad name in `constants`"),
        ("constants/width", 1024, "bad constant `width`, expected an object with `type` and"),
        ("constants/width", {"type": "int"}, "bad constant `width`"),
        ("constants/width/type", [], "bad constant `width`"),
        ("constants/width/value", "1024", "bad value of constant `width`, expected type `int`"),
        ("constants/width/value", 2**63, "bad value of constant `width`"),
        ("constants/width/values", 1, "constant `width`: unknown field `values`"),
        ("constants/magic/value", "AP8", "bad value of constant `magic`, expected bytes written"),
        ("constants/magic/value", "A P8=", "bad value of constant `magic`"),
        ("constants/magic/value", "é", "bad value of constant `magic`"),
        ("constants/magic/value", 1, "bad value of constant `magic`"),
        ("constants/magic/value", None, "bad value of constant `magic`"),
        ("constants/dtype/value", [float("nan")], "bad value of constant `dtype`"),
        ("outputs/x y", "zlib.bytes", "bad name in `outputs`"),
        ("outputs/more", "zlib", "output `more`: bad wiring"),
        ("outputs/more", 1, "output `more`: bad wiring"),
        ("outputs/more", "zlib.bytes.x", "output `more`: bad wiring"),
        ("outputs/more", "constant.width", "output `more`: a constant cannot be an output"),
        ("outputs/more", "nope.bytes", "output `more`: no step `nope`, there is `predictor`, `zl"),
        ("outputs/more", "input.nope", "output `more`: no input `nope`, there is `bytes`, `level`"),
        ("steps/a.b", {"codec_id": "x", "inputs": {}}, "bad name in `steps`"),
        ("steps/input", {"codec_id": "x", "inputs": {}}, "a step may not be named `input`"),
        ("steps/constant", {}, "a step may not be named `constant`"),
        ("steps/zlib/codec_id", "a/b", "step `zlib`: bad `codec_id`"),
        ("steps/zlib/codec", "zlib", "step `zlib`: unknown field `codec`"),
        ("steps/more", None, "bad step `more`"),
        ("steps/more", {"codec_id": "x"}, "step `more`: bad `inputs`"),
        ("steps/zlib/inputs/bytes", "", "step `zlib`, port `bytes`: bad wiring, expected `input."),
        ("steps/zlib/inputs/bytes", ".bytes", "step `zlib`, port `bytes`: bad wiring"),
        ("steps/zlib/inputs/bytes", None, "step `zlib`, port `bytes`: bad wiring"),
        ("steps/zlib/inputs/level", "constant.nope", "step `zlib`, port `level`: no constant `no"),
        ("steps/zlib/inputs/level", "nope.x", "step `zlib`, port `level`: no step `nope`"),
    ],
)
def test_each_problem_is_named_where_it_is(path: str, value: object, words: str) -> None:
    found = problems_of(changed(DOCUMENT, path, value))
    assert len(found) == 1, found
    assert words in found[0]


@pytest.mark.parametrize(
    ("section", "value"), [("inputs", ...), ("steps", []), ("constants", None)]
)
def test_a_missing_section_is_named_before_what_refers_to_it(section: str, value: object) -> None:
    assert problems_of(changed(DOCUMENT, section, value))[0].startswith(
        f"bad `{section}`, expected an object, got "
    )


def test_all_problems_are_found_together() -> None:
    found = problems_of(
        {
            "codec_id": "a/b",
            "direction": "up",
            "colour": "red",
            "inputs": {"x": {"type": "what"}, "bytes": {"type": "bytes"}},
            "constants": {"k": {"type": "int", "value": "1"}},
            "outputs": {"o": "nowhere.bytes", "c": "constant.k"},
            "steps": {
                "input": {"codec_id": "zlib", "inputs": {}},
                "s": {"codec_id": "zlib", "inputs": {"a": "input.x", "b": "input.y", "c": "!"}},
            },
        }
    )
    assert [problem.partition(",")[0] for problem in found] == [
        "bad `codec_id`",
        "bad `direction`",
        "unknown field `colour`",
        "input `x`: bad `type`",
        "bad value of constant `k`",
        "a step may not be named `input`",
        "step `s`",
        "step `s`",
        "output `o`: no step `nowhere`",
        "output `c`: a constant cannot be an output",
    ]


def test_a_cycle_of_steps_is_named() -> None:
    document = changed(DOCUMENT, "steps/zlib/inputs/bytes", "predictor.bytes")
    assert problems_of(document) == (
        "the steps form a cycle: `predictor` -> `zlib` -> `predictor`",
    ) or problems_of(document) == ("the steps form a cycle: `zlib` -> `predictor` -> `zlib`",)
    assert problems_of(changed(DOCUMENT, "steps/zlib/inputs/bytes", "zlib.bytes")) == (
        "the steps form a cycle: `zlib` -> `zlib`",
    )


def test_many_steps_are_ordered_without_recursion() -> None:
    count = 20_000
    needs = {f"s{index}": {f"s{index - 1}"} if index else set() for index in range(count)}
    assert topological_order(needs) == [f"s{index}" for index in range(count)]
    needs["s0"] = {f"s{count - 1}"}
    with pytest.raises(PipelineError, match="form a cycle"):
        topological_order(needs)


@pytest.mark.parametrize("text", ["input.bytes", "constant._", "a-b.c-d", "A.b"])
def test_a_reference_is_written_as_it_was_read(text: str) -> None:
    assert str(WiringRef.parse(text)) == text


@pytest.mark.parametrize("text", ["", ".", "a", "a.", ".a", "a.b.c", "a b.c", "9.a", None, 1, []])
def test_text_that_is_not_a_reference(text: object) -> None:
    assert WiringRef.parse(text) is None


def test_steps_that_do_not_need_each_other_keep_their_order() -> None:
    # Sets of strings have another order in every process.
    needs = {name: set[str]() for name in ("z", "m", "a", "q")}
    assert topological_order({**needs, "last": {"a", "z", "m", "q"}}) == [
        "z",
        "m",
        "a",
        "q",
        "last",
    ]
