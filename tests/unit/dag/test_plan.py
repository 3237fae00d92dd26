from collections.abc import Callable
from typing import Any

import pytest

from chonkle.dag.graph import Pipeline
from chonkle.dag.plan import Definition, Plan, ResolvedPipeline, make_plan, resolve_pipeline
from chonkle.errors import PipelineError
from chonkle.formats.signature import Direction, Signature

BYTES = {"type": "bytes"}
UINT = {"type": "uint"}
OPTIONAL = {"type": "bytes", "required": False}


def signature(inputs: dict[str, Any], outputs: dict[str, Any], codec_id: str = "c") -> Signature:
    return Signature.from_json(
        {"codec_id": codec_id, "implementation": "i", "inputs": inputs, "outputs": outputs}
    )


ONE = signature({"bytes": BYTES}, {"bytes": BYTES})
LEVEL = signature({"bytes": BYTES, "level": {"type": "int", "encode_only": True}}, {"bytes": BYTES})
WIDTH = signature({"bytes": BYTES, "width": UINT}, {"bytes": BYTES})
MAYBE = signature({"bytes": BYTES, "width": {**UINT, "required": False}}, {"bytes": BYTES})
SPLIT = signature({"bytes": BYTES}, {"a": BYTES, "b": BYTES, "c": BYTES})
JOIN = signature({"a": BYTES, "b": BYTES, "c": BYTES}, {"bytes": BYTES})
COUNT = signature({"bytes": BYTES}, {"bytes": BYTES, "count": UINT})


def pipeline(
    steps: dict[str, dict[str, str]],
    outputs: dict[str, str],
    *,
    inputs: dict[str, Any] | None = None,
    constants: dict[str, Any] | None = None,
    direction: Direction = "decode",
) -> Pipeline:
    return Pipeline.from_json(
        {
            "codec_id": "p",
            "direction": direction,
            "inputs": {"bytes": BYTES} if inputs is None else inputs,
            "constants": constants or {},
            "outputs": outputs,
            "steps": {
                name: {"codec_id": f"codec-{name}", "inputs": wiring}
                for name, wiring in steps.items()
            },
        }
    )


def compose(
    steps: dict[str, tuple[Definition, dict[str, str]]], outputs: dict[str, str], **more: Any
) -> ResolvedPipeline:
    wiring = {name: links for name, (_, links) in steps.items()}
    definitions = {name: definition for name, (definition, _) in steps.items()}
    return resolve_pipeline(pipeline(wiring, outputs, **more), definitions)


def trace(plan: Plan) -> tuple[dict[str, dict[str, object]], dict[str, object]]:
    """Say where each port of each step, and each output, gets its value."""
    sources: dict[int, object] = {
        slot: value for slot, value in enumerate(plan.slots) if value is not None
    }
    for name, (slot, _) in plan.inputs.items():
        default = sources.get(slot)
        sources[slot] = f"input.{name}" if default is None else (f"input.{name}", default)
    for source, slot in plan.copies:
        sources[slot] = (sources[source], sources[slot])
    steps = {}
    for step in plan.steps:
        steps[step.path] = {port: sources[slot] for port, slot in step.input_ports}
        sources.update({slot: f"{step.path}.{port}" for port, slot in step.output_ports})
    return steps, {name: sources[slot] for name, slot in plan.outputs.items()}


def traced(resolved: ResolvedPipeline, direction: Direction) -> Any:
    return trace(make_plan(resolved, direction))


def problems_of[**P](
    make: Callable[P, object], *arguments: P.args, **more: P.kwargs
) -> tuple[str, ...]:
    with pytest.raises(PipelineError) as caught:
        make(*arguments, **more)
    return caught.value.problems


CHAIN = {"x": (ONE, {"bytes": "input.bytes"}), "y": (ONE, {"bytes": "x.bytes"})}


def test_a_chain_runs_as_written_and_backwards() -> None:
    resolved = compose(dict(CHAIN), {"bytes": "y.bytes"})
    assert traced(resolved, "decode") == (
        {"x": {"bytes": "input.bytes"}, "y": {"bytes": "x.bytes"}},
        {"bytes": "y.bytes"},
    )
    encode = traced(resolved, "encode")
    assert list(encode[0]) == ["y", "x"]
    assert encode == (
        {"y": {"bytes": "input.bytes"}, "x": {"bytes": "y.bytes"}},
        {"bytes": "x.bytes"},
    )


def test_renamed_outputs_are_the_inputs_of_the_inverse() -> None:
    resolved = compose(
        {"s": (SPLIT, {"bytes": "input.page"})},
        {"first": "s.a", "second": "s.b", "third": "s.c"},
        inputs={"page": BYTES},
    )
    assert traced(resolved, "encode") == (
        {"s": {"a": "input.first", "b": "input.second", "c": "input.third"}},
        {"page": "s.bytes"},
    )
    assert set(resolved.signature.inputs) == {"page"}
    assert set(resolved.signature.outputs) == {"first", "second", "third"}


def test_values_split_and_joined_cross_over_in_both_directions() -> None:
    resolved = compose(
        {
            "s": (SPLIT, {"bytes": "input.bytes"}),
            "x": (ONE, {"bytes": "s.b"}),
            "j": (JOIN, {"a": "s.c", "b": "x.bytes", "c": "s.a"}),
        },
        {"bytes": "j.bytes"},
    )
    assert traced(resolved, "encode") == (
        {
            "j": {"bytes": "input.bytes"},
            "x": {"bytes": "j.b"},
            "s": {"a": "j.c", "b": "x.bytes", "c": "j.a"},
        },
        {"bytes": "s.bytes"},
    )


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_constants_and_parameters_stay_in_both_directions(direction: Direction) -> None:
    resolved = compose(
        {
            "x": (WIDTH, {"bytes": "input.bytes", "width": "constant.w"}),
            "y": (WIDTH, {"bytes": "x.bytes", "width": "input.width"}),
            "z": (WIDTH, {"bytes": "y.bytes", "width": "input.width"}),
        },
        {"bytes": "z.bytes"},
        inputs={"bytes": BYTES, "width": UINT},
        constants={"w": {"type": "int", "value": 7}},
    )
    steps, _ = traced(resolved, direction)
    assert [steps[name]["width"] for name in "xyz"] == [b"7", "input.width", "input.width"]
    assert resolved.signature.inputs["width"].parameter
    assert set(make_plan(resolved, direction).inputs) == {"bytes", "width"}


def test_a_port_is_left_out_in_the_direction_that_excludes_it() -> None:
    resolved = compose(
        {"x": (LEVEL, {"bytes": "input.bytes", "level": "input.level"})},
        {"bytes": "x.bytes"},
        inputs={"bytes": BYTES, "level": {"type": "int", "encode_only": True}},
    )
    decode, encode = make_plan(resolved, "decode"), make_plan(resolved, "encode")
    assert dict(decode.steps[0].input_ports).keys() == {"bytes"}
    assert dict(encode.steps[0].input_ports).keys() == {"bytes", "level"}
    assert set(decode.inputs) == {"bytes"}
    assert decode.unused_inputs == {"level"}
    assert set(encode.inputs) == {"bytes", "level"}
    assert encode.unused_inputs == frozenset()


def test_a_constant_may_feed_a_port_of_one_direction() -> None:
    resolved = compose(
        {"x": (LEVEL, {"bytes": "input.bytes", "level": "constant.l"})},
        {"bytes": "x.bytes"},
        constants={"l": {"type": "int", "value": 9}},
    )
    assert traced(resolved, "decode")[0]["x"] == {"bytes": "input.bytes"}
    assert traced(resolved, "encode")[0]["x"] == {"bytes": "input.bytes", "level": b"9"}


def test_an_optional_port_without_a_value_is_left_out() -> None:
    resolved = compose({"x": (MAYBE, {"bytes": "input.bytes"})}, {"bytes": "x.bytes"})
    assert traced(resolved, "decode")[0] == {"x": {"bytes": "input.bytes"}}


def test_a_default_of_the_pipeline_is_in_its_slot() -> None:
    resolved = compose(
        {"x": (WIDTH, {"bytes": "input.bytes", "width": "input.w"})},
        {"bytes": "x.bytes"},
        inputs={"bytes": BYTES, "w": {**UINT, "required": False, "default": 3}},
    )
    assert traced(resolved, "decode")[0]["x"]["width"] == ("input.w", b"3")
    assert traced(resolved, "encode")[0]["x"]["width"] == ("input.w", b"3")


def test_two_consumers_have_two_inverse_producers_and_both_are_named() -> None:
    resolved = compose(
        {
            "x": (ONE, {"bytes": "input.bytes"}),
            "y": (ONE, {"bytes": "x.bytes"}),
            "z": (ONE, {"bytes": "x.bytes"}),
        },
        {"one": "y.bytes", "two": "z.bytes"},
    )
    make_plan(resolved, "decode")
    assert problems_of(make_plan, resolved, "encode") == (
        "ambiguous when inverted: `y.bytes` and `z.bytes` would both produce `x.bytes`",
    )


def test_an_output_is_a_consumer_too() -> None:
    resolved = compose(dict(CHAIN), {"bytes": "y.bytes", "middle": "x.bytes", "again": "x.bytes"})
    assert problems_of(make_plan, resolved, "encode") == (
        (
            "ambiguous when inverted: `y.bytes` and output `middle` and output `again` would both "
            "produce `x.bytes`"
        ),
    )


def test_all_reasons_against_a_direction_are_reported() -> None:
    resolved = compose(
        {
            "x": (ONE, {"bytes": "input.bytes"}),
            "y": (ONE, {"bytes": "input.bytes"}),
            "s": (SPLIT, {"bytes": "x.bytes"}),
        },
        {"y": "y.bytes", "a": "s.a"},
    )
    found = problems_of(make_plan, resolved, "encode")
    assert found == (
        "ambiguous when inverted: `x.bytes` and `y.bytes` would both produce `input.bytes`",
        "step `s` (codec `codec-s`): required port `b` gets no value when encoding",
        "step `s` (codec `codec-s`): required port `c` gets no value when encoding",
    )


def test_a_parameter_computed_by_a_step_has_no_value_in_the_inverse() -> None:
    steps: dict[str, tuple[Definition, dict[str, str]]] = {
        "n": (COUNT, {"bytes": "input.bytes"}),
        "x": (WIDTH, {"bytes": "n.bytes", "width": "n.count"}),
    }
    resolved = compose(dict(steps), {"bytes": "x.bytes"})
    make_plan(resolved, "decode")
    assert problems_of(make_plan, resolved, "encode") == (
        "step `x` (codec `codec-x`): required port `width` gets no value when encoding",
        "step `n` (codec `codec-n`): required port `count` gets no value when encoding",
    )
    # As an output it comes back from the caller, for both.
    resolved = compose(dict(steps), {"bytes": "x.bytes", "count": "n.count"})
    assert traced(resolved, "encode")[0] == {
        "x": {"bytes": "input.bytes", "width": "input.count"},
        "n": {"bytes": "x.bytes", "count": "input.count"},
    }


def test_an_inverse_that_would_be_a_cycle_is_refused() -> None:
    # Backwards, x needs the dictionary that y gives, and y the data that x gives.
    dictionary = signature({"bytes": BYTES, "dict": {**BYTES, "parameter": True}}, {"bytes": BYTES})
    resolved = compose(
        {
            "s": (SPLIT, {"bytes": "input.bytes"}),
            "x": (dictionary, {"bytes": "s.a", "dict": "s.b"}),
            "j": (JOIN, {"a": "x.bytes", "b": "s.b", "c": "s.c"}),
        },
        {"bytes": "j.bytes"},
    )
    assert traced(resolved, "encode")[0]["x"] == {"bytes": "j.a", "dict": "j.b"}
    circle = compose(
        {
            "s": (SPLIT, {"bytes": "input.bytes"}),
            "x": (dictionary, {"bytes": "s.a", "dict": "s.b"}),
            "y": (dictionary, {"bytes": "s.b", "dict": "s.a"}),
        },
        {"x": "x.bytes", "y": "y.bytes", "c": "s.c"},
    )
    assert (
        "cannot be inverted: the steps form a cycle" in problems_of(make_plan, circle, "encode")[0]
    )


def test_all_problems_of_the_wiring_are_found_together() -> None:
    found = problems_of(
        compose,
        {
            "x": (WIDTH, {"byte": "input.bytes", "width": "constant.w"}),
            "y": (WIDTH, {"bytes": "x.nothing", "width": "input.bytes"}),
            "z": (WIDTH, {"bytes": "constant.w", "width": "constant.minus"}),
        },
        {"bytes": "z.bytes", "count": "z.count"},
        constants={"w": {"type": "string", "value": "7"}, "minus": {"type": "int", "value": -1}},
    )
    x, y, z = (f"step `{name}` (codec `codec-{name}`)" for name in "xyz")
    assert set(found) == {
        f"{x}: no input port `byte`, there is `bytes`, `width`",
        f"{x}, port `width`: wrong type, expected `uint`, got `string` from `constant.w`",
        f"{y}, port `bytes`: step `x` has no output port `nothing`, there is `bytes`",
        f"{y}, port `width`: wrong type, expected `uint`, got `bytes` from `input.bytes`",
        f"{z}, port `bytes`: wrong type, expected `bytes`, got `string` from `constant.w`",
        f"{z}, port `width`: wrong type, expected `uint`, got `int` from `constant.minus`",
        "output `count`: step `z` has no output port `count`, there is `bytes`",
    }


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_a_missing_required_port_is_reported_for_the_direction(direction: Direction) -> None:
    resolved = compose({"x": (WIDTH, {"bytes": "input.bytes"})}, {"bytes": "x.bytes"})
    verb = {"encode": "encoding", "decode": "decoding"}[direction]
    assert problems_of(make_plan, resolved, direction) == (
        f"step `x` (codec `codec-x`): required port `width` gets no value when {verb}",
    )


def test_an_optional_input_is_not_enough_for_a_required_port() -> None:
    resolved = compose(
        {"x": (WIDTH, {"bytes": "input.bytes", "width": "input.w"})},
        {"bytes": "x.bytes"},
        inputs={"bytes": BYTES, "w": {**UINT, "required": False}},
    )
    assert "required port `width` gets no value" in problems_of(make_plan, resolved, "decode")[0]


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_an_output_with_the_name_of_a_parameter_is_refused(direction: Direction) -> None:
    # The inverse would have two inputs of one name.
    assert problems_of(
        compose,
        {"x": (WIDTH, {"bytes": "input.bytes", "width": "input.width"})},
        {"width": "x.bytes"},
        inputs={"bytes": BYTES, "width": UINT},
        direction=direction,
    ) == ("output `width` has the name of a parameter",)


def test_an_output_wins_over_an_input_that_its_direction_does_not_have() -> None:
    indexed = signature(
        {"bytes": BYTES, "index": {**BYTES, "decode_only": True}}, {"bytes": BYTES, "index": BYTES}
    )
    resolved = compose(
        {"x": (indexed, {"bytes": "input.bytes", "index": "input.hints"})},
        {"bytes": "x.bytes", "index": "x.index"},
        inputs={"bytes": BYTES, "hints": {**BYTES, "decode_only": True}},
    )
    assert traced(resolved, "decode")[0]["x"] == {"bytes": "input.bytes", "index": "input.hints"}
    assert traced(resolved, "encode")[0]["x"] == {"bytes": "input.bytes", "index": "input.index"}


# Pipelines as codecs


def inner(direction: Direction) -> ResolvedPipeline:
    """Give a pipeline that decodes `raw` to `x` and `y`, written in either direction."""
    inputs = {"raw": BYTES, "w": {**UINT, "required": False, "default": 5}}
    steps: dict[str, tuple[Definition, dict[str, str]]]
    if direction == "decode":
        steps = {
            "one": (WIDTH, {"bytes": "input.raw", "width": "input.w"}),
            "two": (COUNT, {"bytes": "one.bytes"}),
        }
        return compose(steps, {"x": "two.bytes", "y": "two.count"}, inputs=inputs)
    steps = {
        "two": (COUNT, {"bytes": "input.x", "count": "input.y"}),
        "one": (WIDTH, {"bytes": "two.bytes", "width": "input.w"}),
    }
    inputs = {"x": BYTES, "y": {**UINT, "parameter": False}, "w": inputs["w"]}
    return compose(steps, {"raw": "one.bytes"}, inputs=inputs, direction="encode")


def test_a_pipeline_has_one_signature_however_it_is_written() -> None:
    for written in (inner("decode"), inner("encode")):
        assert set(written.signature.input_ports("decode")) == {"raw", "w"}
        assert set(written.signature.output_ports("decode")) == {"x", "y"}
        assert set(written.signature.input_ports("encode")) == {"x", "y", "w"}
        assert set(written.signature.output_ports("encode")) == {"raw"}


@pytest.mark.parametrize("nested", ["encode", "decode"])
@pytest.mark.parametrize("written", ["encode", "decode"])
def test_a_pipeline_is_a_codec_in_either_direction(nested: Direction, written: Direction) -> None:
    if written == "decode":
        resolved = compose(
            {
                "before": (ONE, {"bytes": "input.bytes"}),
                "in": (inner(nested), {"raw": "before.bytes"}),
            },
            {"data": "in.x", "count": "in.y"},
        )
    else:
        resolved = compose(
            {
                "in": (inner(nested), {"x": "input.data", "y": "input.count"}),
                "before": (ONE, {"bytes": "in.raw"}),
            },
            {"bytes": "before.bytes"},
            inputs={"data": BYTES, "count": UINT},
            direction="encode",
        )
    assert traced(resolved, "decode") == (
        {
            "before": {"bytes": "input.bytes"},
            "in/one": {"bytes": "before.bytes", "width": b"5"},
            "in/two": {"bytes": "in/one.bytes"},
        },
        {"data": "in/two.bytes", "count": "in/two.count"},
    )
    assert traced(resolved, "encode") == (
        {
            "in/two": {"bytes": "input.data", "count": "input.count"},
            "in/one": {"bytes": "in/two.bytes", "width": b"5"},
            "before": {"bytes": "in/one.bytes"},
        },
        {"bytes": "before.bytes"},
    )


def test_problems_inside_a_nested_pipeline_name_its_step() -> None:
    forked = compose(
        {"x": (ONE, {"bytes": "input.bytes"}), "y": (ONE, {"bytes": "input.bytes"})},
        {"x": "x.bytes", "y": "y.bytes"},
    )
    resolved = compose({"in": (forked, {"bytes": "input.bytes"})}, {"x": "in.x", "y": "in.y"})
    assert problems_of(make_plan, resolved, "encode") == (
        (
            "step `in`: ambiguous when inverted: `x.bytes` and `y.bytes` would both produce "
            "`input.bytes`"
        ),
    )


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_an_optional_input_left_out_leaves_a_nested_default(direction: Direction) -> None:
    defaulted = compose(
        {"x": (WIDTH, {"bytes": "input.bytes", "width": "input.w"})},
        {"bytes": "x.bytes"},
        inputs={"bytes": BYTES, "w": {**UINT, "required": False, "default": 5}},
    )
    maybe: dict[str, Any] = {"bytes": BYTES, "w": {**UINT, "required": False}}
    resolved = compose(
        {
            "in": (defaulted, {"bytes": "input.bytes", "w": "input.w"}),
            "out": (MAYBE, {"bytes": "in.bytes", "width": "input.w"}),
        },
        {"bytes": "out.bytes"},
        inputs=maybe,
    )
    outermost = compose(
        {"deep": (resolved, {"bytes": "input.bytes", "w": "input.w"})},
        {"bytes": "deep.bytes"},
        inputs=maybe,
    )
    steps, _ = traced(outermost, direction)
    assert steps["deep/in/x"]["width"] == ("input.w", b"5")
    assert steps["deep/out"]["width"] == "input.w"


# Lifetimes


def test_a_result_is_freed_after_its_last_reader() -> None:
    resolved = compose(
        {
            "s": (SPLIT, {"bytes": "input.bytes"}),
            "x": (ONE, {"bytes": "s.a"}),
            "y": (ONE, {"bytes": "x.bytes"}),
            "j": (JOIN, {"a": "y.bytes", "b": "s.b", "c": "input.bytes"}),
        },
        {"bytes": "j.bytes"},
    )
    plan = make_plan(resolved, "decode")
    assert [step.path for step in plan.steps] == ["s", "x", "y", "j"]
    assert [step.frees_after for step in plan.steps] == [(), (), (1,), (0, 2)]
    # Nothing reads the port `c` of `s`, so it is not kept.
    assert dict(plan.steps[0].output_ports).keys() == {"a", "b"}


def test_a_result_that_no_step_reads_is_freed_after_its_own_step() -> None:
    resolved = compose(
        {"x": (ONE, {"bytes": "input.bytes"}), "y": (ONE, {"bytes": "input.bytes"})},
        {"bytes": "y.bytes"},
    )
    plan = make_plan(resolved, "decode")
    assert [(step.path, step.frees_after) for step in plan.steps] == [("x", (0,)), ("y", ())]


def test_results_that_only_go_to_outputs_are_final() -> None:
    resolved = compose(
        {"x": (ONE, {"bytes": "input.bytes"}), "y": (ONE, {"bytes": "x.bytes"})},
        {"bytes": "y.bytes", "also": "x.bytes"},
    )
    plan = make_plan(resolved, "decode")
    assert [(step.path, step.is_final_output) for step in plan.steps] == [("x", False), ("y", True)]


def test_steps_may_share_a_codec() -> None:
    document = pipeline(
        {"x": {"bytes": "input.bytes"}, "y": {"bytes": "x.bytes"}}, {"bytes": "y.bytes"}
    )
    assert {step.codec_id for step in document.steps.values()} == {"codec-x", "codec-y"}
    resolved = resolve_pipeline(document, {"x": ONE, "y": ONE})
    assert resolved.codec_ids() == {"codec-x", "codec-y"}
    assert len(make_plan(resolved, "decode").steps) == 2


def test_an_input_may_go_straight_out() -> None:
    resolved = compose(
        {"x": (ONE, {"bytes": "input.bytes"})},
        {"bytes": "x.bytes", "m": "input.m"},
        inputs={"bytes": BYTES, "m": OPTIONAL},
    )
    assert traced(resolved, "decode")[1] == {"bytes": "x.bytes", "m": "input.m"}
    assert traced(resolved, "encode")[1] == {"bytes": "x.bytes", "m": "input.m"}
