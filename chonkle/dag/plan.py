"""The plan: a pipeline in one direction, checked against signatures.

A plan is a list of codec calls over numbered slots. It is made in three steps:

1. `_check_wiring` checks the wiring as written against the signatures;
2. `_orient` gives the links in the requested direction, as written or inverted;
3. `_Emitter` writes the calls, also those of steps that are pipelines.

Inversion reverses every edge that carries data: the consumer of a value becomes its producer. A
value with two consumers would have two producers, which is an error. The edges of constants and
parameters stay.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from chonkle.dag.graph import CONSTANT, INPUT, Pipeline, Step, WiringRef, topological_order
from chonkle.errors import PipelineError, list_choices
from chonkle.formats.signature import Direction, Port, Signature, opposite
from chonkle.formats.values import PortType, accepts, encode_scalar, is_value

LEVELS_MAX = 16
_STEPS_MAX = 100_000
_PARTS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class ResolvedPipeline:
    """A pipeline whose steps are all defined, so that it is a codec."""

    pipeline: Pipeline
    steps: Mapping[str, "Definition"]  # the codec of each step: a signature, or a pipeline
    signature: Signature
    size: "Size"

    def codec_ids(self) -> set[str]:
        """Give the ids of all codecs in it, also within pipelines among its steps."""
        found = {step.codec_id for step in self.pipeline.steps.values()}
        for definition in self.steps.values():
            if isinstance(definition, ResolvedPipeline):
                found |= definition.codec_ids()
        return found


type Definition = Signature | ResolvedPipeline


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a plan; a pipeline that is a step counts at each use."""

    levels: int  # the levels of pipelines within pipelines
    steps: int  # the number of codec calls and uses of pipelines
    parts: int  # the number of ports, constants and wiring references

    @classmethod
    def of(cls, pipeline: Pipeline, steps: Mapping[str, Definition]) -> "Size":
        """Compute the size without planning."""
        inner = [steps[name] for name in pipeline.steps]
        nested = [
            definition.size for definition in inner if isinstance(definition, ResolvedPipeline)
        ]
        own = (pipeline.inputs, pipeline.outputs, pipeline.constants)
        return cls(
            levels=max((1 + size.levels for size in nested), default=0),
            steps=len(inner) + sum(size.steps for size in nested),
            parts=sum(map(len, own))
            + sum(len(step.inputs) for step in pipeline.steps.values())
            + sum(len(each.inputs) + len(each.outputs) for each in map(_signature, inner))
            + sum(size.parts for size in nested),
        )

    def check(self) -> None:
        """Refuse a plan that would take too long; a few small files can multiply into one.

        Raises:
            PipelineError: with the limits.
        """
        if self.levels > LEVELS_MAX or self.steps > _STEPS_MAX or self.parts > _PARTS_MAX:
            raise PipelineError(
                "the pipeline is too large, pipelines that are steps counted at each use",
                expected=f"at most {_STEPS_MAX} steps, {_PARTS_MAX} ports, constants and wiring "
                f"references, and {LEVELS_MAX} levels of pipelines within pipelines",
                got=f"{self.steps} steps, {self.parts} ports, constants and wiring references, "
                f"and {self.levels} levels",
            )


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One codec call."""

    path: str  # the step's name after those of the pipelines around it: `outer/inner`
    subject: str  # the step, for messages; empty if the pipeline is nothing but this step
    # The slot of each input port; a port whose slot is empty is left out.
    input_ports: tuple[tuple[str, int], ...]
    output_ports: tuple[tuple[str, int], ...]  # the slot of each output port that is used
    frees_after: tuple[int, ...] = ()  # indices of the steps whose results no later step needs
    is_final_output: bool = False  # whether its results go to outputs only, and to no step


@dataclass(frozen=True, slots=True)
class DirectCall:
    """A plan of one call, of one input and one output, both data: it needs no slots."""

    input: str  # the input, and the port that it goes to
    input_port: str
    constants: Mapping[str, bytes]  # the values of the other ports
    output: str  # the output, and the port that it comes from
    output_port: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline in one direction, ready for the executor."""

    codec_id: str
    subject: str  # the pipeline, for messages
    direction: Direction
    inputs: Mapping[str, tuple[int, Port]]  # the slot and port of each input
    unused_inputs: frozenset[str]  # inputs of the other direction only, which a run ignores
    steps: tuple[PlannedStep, ...]
    outputs: Mapping[str, int]  # the slot of each output
    slots: tuple[bytes | None, ...]  # the initial values: constants and defaults, otherwise None
    # Slots of optional inputs, each with the slot of the default that it overrides.
    copies: tuple[tuple[int, int], ...] = ()
    # The index of the step that makes the value of each slot; inputs and constants have none.
    makers: Mapping[int, int] = field(default_factory=dict)
    direct: DirectCall | None = None  # the same as one call, where it is that simple


def resolve_pipeline(pipeline: Pipeline, steps: Mapping[str, Definition]) -> ResolvedPipeline:
    """Check a pipeline's wiring against its steps and derive its signature.

    Raises:
        PipelineError: with every problem of the wiring as written, or when the plan is too large.
    """
    problems = list(_check_wiring(pipeline, steps))
    if problems:
        raise PipelineError.from_problems(pipeline.subject, problems)
    signature = _derive_signature(pipeline, steps)
    shared = [
        f"output `{name}` has the name of a parameter"
        for name in pipeline.outputs
        if name in signature.inputs and signature.inputs[name].parameter
    ]
    if shared:
        raise PipelineError.from_problems(pipeline.subject, shared)
    size = Size.of(pipeline, steps)
    size.check()
    return ResolvedPipeline(pipeline, steps, signature, size)


def make_plan(resolved: ResolvedPipeline, direction: Direction) -> Plan:
    """Plan a pipeline for one direction.

    Raises:
        PipelineError: with every reason why it cannot run in that direction.
    """
    pipeline = resolved.pipeline
    emitter = _Emitter(direction)
    oriented = emitter.orient(resolved)
    inputs: dict[str, tuple[int, Port]] = {}
    bindings: dict[str, int] = {}
    for name, port in oriented.inputs.items():
        default = None if port.default is None else encode_scalar(port.default)
        bindings[name] = emitter.slot(default)
        inputs[name] = (bindings[name], port)
    outputs = emitter.emit(resolved, bindings, "")
    if emitter.problems:
        raise PipelineError.from_problems(pipeline.subject, emitter.problems)
    both = pipeline.inputs.keys() | pipeline.outputs.keys()
    steps = emitter.planned(set(outputs.values()))
    plan = Plan(
        codec_id=pipeline.codec_id,
        subject=pipeline.subject,
        direction=direction,
        inputs=inputs,
        unused_inputs=frozenset(
            name
            for name in both - inputs.keys()
            if name in pipeline.inputs and not pipeline.inputs[name].exists(direction)
        ),
        steps=steps,
        outputs=outputs,
        slots=tuple(emitter.slots),
        copies=tuple(emitter.copies),
        makers={slot: index for index, step in enumerate(steps) for _, slot in step.output_ports},
    )
    return replace(plan, direct=_direct_call(plan))


def _direct_call(plan: Plan) -> DirectCall | None:
    match [*plan.inputs.items()], plan.steps, [*plan.outputs.items()]:
        case [(input_name, (slot, port))], [step], [(output, result)]:
            given = {name for name, source in step.input_ports if source == slot}
            made = {name for name, target in step.output_ports if target == result}
            if port.type == "bytes" and len(given) == len(made) == 1:
                return DirectCall(
                    input=input_name,
                    input_port=given.pop(),
                    constants={
                        name: value
                        for name, source in step.input_ports
                        if (value := plan.slots[source]) is not None
                    },
                    output=output,
                    output_port=made.pop(),
                )
    return None


def _signature(definition: Definition) -> Signature:
    return definition.signature if isinstance(definition, ResolvedPipeline) else definition


def _per_codec[T](
    pipeline: Pipeline, steps: Mapping[str, Definition], read: Callable[[Signature], T]
) -> dict[str, T]:
    """Read something from the signature of each step, once for each codec."""
    by_codec: dict[int, T] = {}
    found = {}
    for name in pipeline.steps:
        definition = steps[name]
        key = id(definition)
        if key not in by_codec:
            by_codec[key] = read(_signature(definition))
        found[name] = by_codec[key]
    return found


def _check_wiring(pipeline: Pipeline, steps: Mapping[str, Definition]) -> Iterator[str]:
    written = pipeline.direction
    connectable_ports = _per_codec(
        pipeline, steps, lambda signature: signature.connectable_ports(written)
    )
    output_ports = _per_codec(pipeline, steps, lambda signature: signature.output_ports(written))
    for name, step in pipeline.steps.items():
        ports = connectable_ports[name]
        for port_name, ref in step.inputs.items():
            port = ports.get(port_name)
            source = _source_type(pipeline, output_ports, ref)
            if port is not None and source is not None and _fits(pipeline, ref, port, source):
                continue
            where = f"step `{name}` (codec `{step.codec_id}`)"
            if port is None:
                yield f"{where}: no input port `{port_name}`, {list_choices(ports)}"
            if source is None:
                yield f"{where}, port `{port_name}`: {_no_such_output(ref, output_ports)}"
            elif port is not None:
                yield (
                    f"{where}, port `{port_name}`: wrong type, expected `{port.type}`, "
                    f"got `{source}` from `{ref}`"
                )
    for name, ref in pipeline.outputs.items():
        if _source_type(pipeline, output_ports, ref) is None:
            yield f"output `{name}`: {_no_such_output(ref, output_ports)}"


def _no_such_output(ref: WiringRef, output_ports: Mapping[str, Mapping[str, Port]]) -> str:
    choices = list_choices(output_ports[ref.scope])
    return f"step `{ref.scope}` has no output port `{ref.port}`, {choices}"


def _source_type(
    pipeline: Pipeline, output_ports: Mapping[str, Mapping[str, Port]], ref: WiringRef
) -> PortType | None:
    if ref.scope == INPUT:
        return pipeline.inputs[ref.port].type
    if ref.scope == CONSTANT:
        return pipeline.constants[ref.port].type
    port = output_ports[ref.scope].get(ref.port)
    return None if port is None else port.type


def _fits(pipeline: Pipeline, ref: WiringRef, port: Port, source_type: str) -> bool:
    if ref.scope == CONSTANT and "bytes" not in (port.type, source_type):
        # The value is known, so that an `int` of 2 may feed a `uint`.
        return is_value(pipeline.constants[ref.port].value, port.type)
    return accepts(port.type, source_type)


def _data_consumers(
    pipeline: Pipeline, steps: Mapping[str, Definition]
) -> dict[WiringRef, list[WiringRef]]:
    """Find the consumers of each value as data, which are its producers in the inverse."""
    inverse = opposite(pipeline.direction)
    given_back = _per_codec(pipeline, steps, lambda signature: signature.output_ports(inverse))
    found: dict[WiringRef, list[WiringRef]] = {}
    for name, step in pipeline.steps.items():
        for port, ref in step.inputs.items():
            if port in given_back[name] and ref.scope != CONSTANT:
                found.setdefault(ref, []).append(WiringRef(name, port))
    for name, ref in pipeline.outputs.items():
        found.setdefault(ref, []).append(WiringRef(INPUT, name))
    return found


def _derive_signature(pipeline: Pipeline, steps: Mapping[str, Definition]) -> Signature:
    consumers = _data_consumers(pipeline, steps)
    output_ports = _per_codec(
        pipeline, steps, lambda signature: signature.output_ports(pipeline.direction)
    )
    inputs = {}
    for name, port in pipeline.inputs.items():
        # An input that no step and no output takes as data has no producer in the inverse, and so
        # is an input there too.
        inputs[name] = replace(port, parameter=WiringRef(INPUT, name) not in consumers)
    outputs = {
        name: Port(type=cast("PortType", _source_type(pipeline, output_ports, ref)))
        for name, ref in pipeline.outputs.items()
    }
    if pipeline.direction == "encode":
        # The outputs are the encoded form.
        carried_in = {name: port for name, port in inputs.items() if not port.parameter}
        parameters = {name: port for name, port in inputs.items() if port.parameter}
        inputs, outputs = {**outputs, **parameters}, carried_in
    return Signature(
        codec_id=pipeline.codec_id, implementation="pipeline", inputs=inputs, outputs=outputs
    )


@dataclass(frozen=True, slots=True)
class _Oriented:
    """A pipeline's links in one direction."""

    inputs: dict[str, Port]  # the input ports of that direction
    # The source of each input port of each step, steps in order.
    links: dict[str, dict[str, WiringRef]]
    outputs: dict[str, WiringRef]  # the source of each output
    input_ports: dict[str, dict[str, Port]]  # the input ports of each step
    output_ports: dict[str, dict[str, Port]]  # the output ports of each step
    problems: list[str]  # why it cannot run in that direction


def _orient(resolved: ResolvedPipeline, direction: Direction) -> _Oriented:
    pipeline, steps = resolved.pipeline, resolved.steps
    input_ports = _per_codec(pipeline, steps, lambda signature: signature.input_ports(direction))
    output_ports = _per_codec(pipeline, steps, lambda signature: signature.output_ports(direction))
    inputs = resolved.signature.input_ports(direction)
    if direction == pipeline.direction:
        links = {name: dict(step.inputs) for name, step in pipeline.steps.items()}
        return _Oriented(inputs, links, dict(pipeline.outputs), input_ports, output_ports, [])
    problems: list[str] = []
    producer_of = _producers(resolved, inputs, problems)
    # The outputs as written are the inputs now.
    written = _per_codec(
        pipeline, steps, lambda signature: signature.output_ports(pipeline.direction)
    )
    links = {}
    for name, step in pipeline.steps.items():
        # An output overrides an input of the same name that this direction does not have.
        wanted = {port: ref for port, ref in step.inputs.items() if port not in output_ports[name]}
        wanted.update((port, WiringRef(name, port)) for port in written[name])
        links[name] = {
            port: source for port, ref in wanted.items() if (source := producer_of(ref)) is not None
        }
    outputs = {
        name: source
        for name in resolved.signature.output_ports(direction)
        if (source := producer_of(WiringRef(INPUT, name), is_data=True)) is not None
    }
    needs = {
        name: {ref.scope for ref in sources.values() if ref.scope in pipeline.steps}
        for name, sources in links.items()
    }
    try:
        links = {name: links[name] for name in topological_order(needs)}
    except PipelineError as failure:
        problems.append(f"cannot be inverted: {failure}")
    return _Oriented(inputs, links, outputs, input_ports, output_ports, problems)


def _producers(
    resolved: ResolvedPipeline, inputs: Mapping[str, Port], problems: list[str]
) -> Callable[..., WiringRef | None]:
    """Make a function that finds the producer of a written value in the inverse.

    Args:
        resolved: the pipeline.
        inputs: its inputs in the inverse.
        problems: gets a problem for each value that would have several producers.
    """
    consumers = _data_consumers(resolved.pipeline, resolved.steps)

    def producer_of(ref: WiringRef, *, is_data: bool = False) -> WiringRef | None:
        if ref.scope == CONSTANT:
            return ref
        found = consumers.get(ref)
        if found:
            if len(found) > 1:
                named = " and ".join(
                    f"output `{producer.port}`" if producer.scope == INPUT else f"`{producer}`"
                    for producer in found
                )
                problems.append(f"ambiguous when inverted: {named} would both produce `{ref}`")
                del found[1:]  # so that it is reported once
            return found[0]
        # Only parameters use it: a pipeline input stays one.
        is_input = ref.scope == INPUT and ref.port in inputs and not is_data
        return ref if is_input else None

    return producer_of


class _Emitter:
    """Writes the calls of a plan, and allocates their slots."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.slots: list[bytes | None] = []
        self.copies: list[tuple[int, int]] = []
        self.steps: list[tuple[str, str, dict[str, int], dict[str, int]]] = []
        self.problems: list[str] = []
        # A pipeline with several uses is oriented once.
        self._oriented: dict[int, _Oriented] = {}

    def slot(self, value: bytes | None = None) -> int:
        self.slots.append(value)
        return len(self.slots) - 1

    def orient(self, resolved: ResolvedPipeline, context: str = "") -> _Oriented:
        """Orient a pipeline; its problems are reported at its first use."""
        oriented = self._oriented.get(id(resolved))
        if oriented is None:
            oriented = self._oriented[id(resolved)] = _orient(resolved, self.direction)
            self.problems.extend(context + problem for problem in oriented.problems)
        return oriented

    def emit(
        self, resolved: ResolvedPipeline, bindings: Mapping[str, int], path: str
    ) -> dict[str, int]:
        """Write one pipeline's calls, and give the slots of its outputs.

        Args:
            resolved: the pipeline.
            bindings: the slots of its inputs; others have no value.
            path: the names of the steps around it, each followed by `/`.
        """
        context = f"step `{path[:-1]}`: " if path else ""
        oriented = self.orient(resolved, context)
        values: dict[WiringRef, int] = {}
        for name, port in oriented.inputs.items():
            if name in bindings:
                values[WiringRef(INPUT, name)] = bindings[name]
            elif port.default is not None:
                values[WiringRef(INPUT, name)] = self.slot(encode_scalar(port.default))
        for name, constant in resolved.pipeline.constants.items():
            values[WiringRef(CONSTANT, name)] = self.slot(constant.data)
        for name, links in oriented.links.items():
            ports = oriented.input_ports[name]
            bound = {
                port: values[ref] for port, ref in links.items() if port in ports and ref in values
            }
            unsure = {port for port in bound if not _surely_has_value(oriented, links[port])}
            step = resolved.pipeline.steps[name]
            where = context + _before_problem(name, step)
            self._check_required(where, ports, bound.keys() - unsure)
            definition = resolved.steps[name]
            if isinstance(definition, ResolvedPipeline):
                for port_name in sorted(unsure):
                    # Without a value from outside, the pipeline has its own default.
                    default = ports[port_name].default
                    if default is not None:
                        slot = self.slot(encode_scalar(default))
                        self.copies.append((bound[port_name], slot))
                        bound[port_name] = slot
                given = self.emit(definition, bound, f"{path}{name}/")
            else:
                given = {port: self.slot() for port in oriented.output_ports[name]}
                subject = f"step `{path}{name}`" if step.title is None else step.title
                self.steps.append((f"{path}{name}", subject, bound, given))
            for port_name, slot in given.items():
                values[WiringRef(name, port_name)] = slot
        return {name: values[ref] for name, ref in oriented.outputs.items() if ref in values}

    def _check_required(self, where: str, ports: Mapping[str, Port], sure: set[str]) -> None:
        for name, port in ports.items():
            if port.required and port.default is None and name not in sure:
                verb = "decoding" if self.direction == "decode" else "encoding"
                self.problems.append(f"{where}required port `{name}` gets no value when {verb}")

    def planned(self, kept: set[int]) -> tuple[PlannedStep, ...]:
        """Give the steps, each with the results to free after it: those that it reads last."""
        reader = {
            slot: index
            for index, (_, _, taken, _) in enumerate(self.steps)
            for slot in taken.values()
        }
        frees_after: dict[int, list[int]] = {}
        for index, (_, _, _, given) in enumerate(self.steps):
            if kept.isdisjoint(given.values()):
                last = max((reader.get(slot, index) for slot in given.values()), default=index)
                frees_after.setdefault(last, []).append(index)
        return tuple(
            PlannedStep(
                path,
                subject,
                input_ports=tuple(taken.items()),
                output_ports=tuple(
                    (port, slot) for port, slot in given.items() if slot in reader or slot in kept
                ),
                frees_after=tuple(frees_after.get(index, ())),
                is_final_output=not any(slot in reader for slot in given.values()),
            )
            for index, (path, subject, taken, given) in enumerate(self.steps)
        )


def _before_problem(name: str, step: Step) -> str:
    """Give what is before a problem of a step."""
    if step.title is None:
        return f"step `{name}` (codec `{step.codec_id}`): "
    return f"{step.title}: codec `{step.codec_id}`: " if step.title else ""


def _surely_has_value(oriented: _Oriented, ref: WiringRef) -> bool:
    """Tell whether a link always has a value; an optional input may have none."""
    if ref.scope != INPUT:
        return True
    port = oriented.inputs[ref.port]
    return port.required or port.default is not None
