"""Random graphs of invertible codecs, run as written and then backwards, give the input back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chonkle import executor
from chonkle.backends.base import CallResult, Codec
from chonkle.dag.graph import Pipeline
from chonkle.dag.plan import Definition, Plan, ResolvedPipeline, make_plan, resolve_pipeline
from chonkle.formats import portmap
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Signature, opposite

type Ports = dict[str, bytes]
BYTES = {"type": "bytes"}
UINT = {"type": "uint"}


def exclusive_or(ports: Ports) -> Ports:
    key = int(ports["key"]) % 256
    return {"bytes": bytes(byte ^ key for byte in ports["bytes"])}


def deal(ports: Ports) -> Ports:
    return {name: ports["whole"][index::3] for index, name in enumerate("abc")}


def gather(ports: Ports) -> Ports:
    whole = bytearray(sum(map(len, (ports["a"], ports["b"], ports["c"]))))
    for index, name in enumerate("abc"):
        whole[index::3] = ports[name]
    return {"whole": bytes(whole)}


def pack(ports: Ports) -> Ports:
    return {"whole": portmap.encode(ports)}


def unpack(ports: Ports) -> Ports:
    return portmap.decode(ports["whole"])


@dataclass(frozen=True)
class Operation:
    """A function that any input has a value of, and its inverse."""

    input_ports: tuple[str, ...]
    output_ports: tuple[str, ...]
    forward: Callable[[Ports], Ports]
    backward: Callable[[Ports], Ports]
    parameters: tuple[str, ...] = ()

    def signature(self, forward: Direction) -> Signature:
        """Describe a codec that runs the function in one direction and its inverse in the other."""
        input_ports: dict[str, Any] = dict.fromkeys(self.input_ports, BYTES)
        output_ports: dict[str, Any] = dict.fromkeys(self.output_ports, BYTES)
        inputs, outputs = (
            (input_ports, output_ports) if forward == "decode" else (output_ports, input_ports)
        )
        return Signature.from_json(
            {
                "codec_id": "c",
                "implementation": self.forward.__name__.replace("_", "-"),
                "inputs": {**inputs, **dict.fromkeys(self.parameters, UINT)},
                "outputs": outputs,
            }
        )


XOR = Operation(("bytes",), ("bytes",), exclusive_or, exclusive_or, ("key",))
DEAL = Operation(("whole",), ("a", "b", "c"), deal, gather)
PACK = Operation(("a", "b", "c"), ("whole",), pack, unpack)
BY_NAME = {each.forward.__name__.replace("_", "-"): each for each in (XOR, DEAL, PACK)}


class Invertible(Codec):
    """An operation as a codec; its answers cannot be read once they are closed."""

    open = 0

    def __init__(self, signature: Signature, forward: Direction) -> None:
        self._signature = signature
        self._operation = BY_NAME[signature.implementation]
        self._forward = forward

    def signature(self) -> Signature:
        return self._signature

    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        operation = self._operation
        ports = {name: bytes(data) for name, data in port_map.items()}
        assert ports.keys() == self._signature.input_ports(direction).keys()
        function = operation.forward if direction == self._forward else operation.backward
        Invertible.open += 1

        def release() -> None:
            Invertible.open -= 1

        return CallResult(
            {name: memoryview(made) for name, made in function(ports).items()}, release
        )


@dataclass
class Prepared:
    plan: Plan
    codecs: list[Codec]


def leaf(definition: Definition, path: str) -> Signature:
    for name in path.split("/"):
        assert isinstance(definition, ResolvedPipeline)
        definition = definition.steps[name]
    assert isinstance(definition, Signature)
    return definition


def run(
    resolved: ResolvedPipeline,
    direction: Direction,
    forward: Direction,
    inputs: Mapping[str, object],
) -> dict[str, bytes]:
    plan = make_plan(resolved, direction)
    codecs: list[Codec] = [Invertible(leaf(resolved, step.path), forward) for step in plan.steps]
    made = executor.run(Prepared(plan, codecs), inputs)
    assert Invertible.open == 0
    return made


@st.composite
def nested(draw: st.DrawFn, forward: Direction, depth: int) -> ResolvedPipeline:
    """Give a pipeline of one `bytes` each way and a `key`, written in either direction."""
    written: Direction = draw(st.sampled_from(["encode", "decode"]))
    length = draw(st.integers(1, 3))
    steps: dict[str, Any] = {}
    definitions: dict[str, Definition] = {}
    value = "input.bytes"
    for index in range(length):
        name = f"n{index}"
        key = draw(st.sampled_from(["input.key", "constant.k"]))
        steps[name] = {"codec_id": "c", "inputs": {"bytes": value, "key": key}}
        deeper = depth > 0 and draw(st.booleans())
        definitions[name] = draw(nested(forward, depth - 1)) if deeper else XOR.signature(forward)
        value = f"{name}.bytes"
    document = {
        "codec_id": "inner",
        "direction": written,
        "inputs": {"bytes": BYTES, "key": {**UINT, "required": False, "default": 3}},
        "constants": {"k": {"type": "uint", "value": draw(st.integers(0, 255))}},
        "outputs": {"bytes": value},
        "steps": steps,
    }
    return resolve_pipeline(Pipeline.from_json(document), definitions)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[ResolvedPipeline, Direction]:
    """Give a graph in which every value has one consumer, and the direction it is written in."""
    written: Direction = draw(st.sampled_from(["encode", "decode"]))
    names = [f"in{index}" for index in range(draw(st.integers(1, 3)))]
    values = [f"input.{name}" for name in names]
    steps: dict[str, Any] = {}
    definitions: dict[str, Definition] = {}
    for index in range(draw(st.integers(1, 8))):
        fitting = [DEAL, XOR, XOR, *([PACK] if len(values) >= 3 else [])]
        operation = draw(st.sampled_from(fitting))
        consumed = [
            values.pop(draw(st.integers(0, len(values) - 1))) for _ in operation.input_ports
        ]
        wiring = dict(zip(operation.input_ports, consumed, strict=True))
        name = f"s{index}"
        definitions[name] = operation.signature(written)
        if operation is XOR:
            wiring["key"] = draw(st.sampled_from(["input.key", "constant.k"]))
            if draw(st.booleans()):
                definitions[name] = draw(nested(written, 1))
        steps[name] = {"codec_id": "c", "inputs": wiring}
        values += [f"{name}.{port}" for port in operation.output_ports]
    # The order in a document means nothing.
    order = draw(st.permutations(list(steps)))
    document = {
        "codec_id": "outer",
        "direction": written,
        "inputs": {**dict.fromkeys(names, BYTES), "key": {**UINT, "required": False, "default": 9}},
        "constants": {"k": {"type": "int", "value": 77}},
        "outputs": {f"out{index}": value for index, value in enumerate(values)},
        "steps": {name: steps[name] for name in order},
    }
    return resolve_pipeline(Pipeline.from_json(document), definitions), written


@given(graphs(), st.data())
def test_the_inverse_gives_the_input_back(
    graph: tuple[ResolvedPipeline, Direction], data: st.DataObject
) -> None:
    resolved, written = graph
    names = [name for name in resolved.pipeline.inputs if name != "key"]
    inputs = {name: data.draw(st.binary(max_size=20), label=name) for name in names}
    key = data.draw(st.none() | st.integers(0, 2**64 - 1), label="key")
    more = {} if key is None else {"key": key}
    made = run(resolved, written, written, {**inputs, **more})
    assert made.keys() == resolved.pipeline.outputs.keys()
    assert run(resolved, opposite(written), written, {**made, **more}) == inputs


@given(graphs())
def test_a_graph_has_the_ports_of_its_plans(graph: tuple[ResolvedPipeline, Direction]) -> None:
    resolved, written = graph
    for direction in (written, opposite(written)):
        plan = make_plan(resolved, direction)
        assert plan.inputs.keys() == resolved.signature.input_ports(direction).keys()
        assert plan.outputs.keys() == resolved.signature.output_ports(direction).keys()
        # Every answer is closed once, and not before the last step that reads it.
        closed = [index for step in plan.steps for index in step.frees_after]
        assert len(closed) == len(set(closed))
        for at, step in enumerate(plan.steps):
            for index in step.frees_after:
                slots = {slot for _, slot in plan.steps[index].output_ports}
                later = (slot for reader in plan.steps[at + 1 :] for _, slot in reader.input_ports)
                assert not slots.intersection(later)
                assert not slots.intersection(plan.outputs.values())
