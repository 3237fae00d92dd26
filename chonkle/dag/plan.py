"""The plan: a pipeline turned into one direction, checked against signatures, made explicit.

A plan is a list of codec calls over numbered slots. Making it takes three steps, each a function:

1. `_check_wiring` holds the wiring as written against the signatures;
2. `_orient` gives the links in the direction asked for: as they are, or inverted;
3. `_Emitter` writes the calls, and goes into the steps that are pipelines themselves.

Inversion reverses every edge that carries data: what consumed a value produces it, so that a value
with two consumers would have two producers, which is an error. Constants stay, and so does what is
wired to parameters.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from chonkle.dag.graph import CONSTANT, INPUT, Pipeline, WiringRef, topological_order
from chonkle.errors import PipelineError, offer
from chonkle.formats.signature import Direction, Port, Signature, opposite
from chonkle.formats.values import accepts, encode_scalar, is_value


@dataclass(frozen=True, slots=True)
class Composite:
    """A pipeline whose every step is defined, and which so is a codec.

    Attributes:
        pipeline: the pipeline.
        steps: what each step's codec is: a signature, or a pipeline again.
        signature: the derived signature.
    """

    pipeline: Pipeline
    steps: Mapping[str, "Definition"]
    signature: Signature

    def codec_ids(self) -> set[str]:
        """Give the ids of all codecs in it, those of pipelines among them included."""
        found = {step.codec_id for step in self.pipeline.steps.values()}
        for definition in self.steps.values():
            if isinstance(definition, Composite):
                found |= definition.codec_ids()
        return found


type Definition = Signature | Composite


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One codec call.

    Attributes:
        path: the step's name, with the names of the pipelines around it: `outer/inner`.
        takes: slot of each input port; an empty slot leaves its port out.
        gives: slot of each output port that something uses.
        closes: indices of the steps whose answers nobody needs after this one.
        is_handed_out: whether all that it gives goes to outputs, and to no other step.
    """

    path: str
    takes: tuple[tuple[str, int], ...]
    gives: tuple[tuple[str, int], ...]
    closes: tuple[int, ...] = ()
    is_handed_out: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline in one direction, ready for the executor.

    Attributes:
        codec_id: the pipeline's.
        direction: the direction it runs in.
        inputs: slot and port of each input that a run takes.
        unused_inputs: names that belong to the other direction only; a run leaves them out.
        steps: the calls, in order.
        outputs: slot of each output.
        slots: the values to begin with: constants and defaults, otherwise None.
        copies: slots of optional inputs, each with the slot of a default that it goes before.
    """

    codec_id: str
    direction: Direction
    inputs: Mapping[str, tuple[int, Port]]
    unused_inputs: frozenset[str]
    steps: tuple[PlannedStep, ...]
    outputs: Mapping[str, int]
    slots: tuple[bytes | None, ...]
    copies: tuple[tuple[int, int], ...] = ()


def make_composite(pipeline: Pipeline, steps: Mapping[str, Definition]) -> Composite:
    """Check a pipeline's wiring against its steps and derive its signature.

    Args:
        pipeline: the pipeline.
        steps: what each of its steps is.

    Raises:
        PipelineError: with every problem of the wiring as written.
    """
    signatures = {name: _signature(steps[name]) for name in pipeline.steps}
    problems = list(_check_wiring(pipeline, signatures))
    if problems:
        raise PipelineError.from_problems(pipeline.codec_id, problems)
    signature = _derive_signature(pipeline, signatures)
    shared = [
        f"output `{name}` has the name of a parameter"
        for name in pipeline.outputs
        if name in signature.inputs and signature.inputs[name].parameter
    ]
    if shared:
        raise PipelineError.from_problems(pipeline.codec_id, shared)
    return Composite(pipeline, steps, signature)


def make_plan(composite: Composite, direction: Direction) -> Plan:
    """Plan a pipeline for one direction.

    Raises:
        PipelineError: with every reason why it cannot run in that direction.
    """
    pipeline = composite.pipeline
    emitter = _Emitter(direction)
    oriented = _orient(composite, direction)
    inputs: dict[str, tuple[int, Port]] = {}
    bindings: dict[str, int] = {}
    for name, port in oriented.inputs.items():
        default = None if port.default is None else encode_scalar(port.default)
        bindings[name] = emitter.slot(default)
        inputs[name] = (bindings[name], port)
    outputs = emitter.emit(composite, bindings, "")
    if emitter.problems:
        raise PipelineError.from_problems(pipeline.codec_id, emitter.problems)
    both = pipeline.inputs.keys() | pipeline.outputs.keys()
    return Plan(
        codec_id=pipeline.codec_id,
        direction=direction,
        inputs=inputs,
        unused_inputs=frozenset(
            name
            for name in both - inputs.keys()
            if name in pipeline.inputs and not pipeline.inputs[name].exists(direction)
        ),
        steps=_with_lifetimes(emitter.steps, set(outputs.values())),
        outputs=outputs,
        slots=tuple(emitter.slots),
        copies=tuple(emitter.copies),
    )


def _signature(definition: Definition) -> Signature:
    return definition.signature if isinstance(definition, Composite) else definition


def _check_wiring(pipeline: Pipeline, signatures: Mapping[str, Signature]) -> Iterator[str]:
    written = pipeline.direction
    for name, step in pipeline.steps.items():
        where = f"step `{name}` (codec `{step.codec_id}`)"
        ports = signatures[name].wireable(written)
        for port_name, ref in step.inputs.items():
            port = ports.get(port_name)
            if port is None:
                yield f"{where}: no input port `{port_name}`, {offer(ports)}"
            source = _source_type(pipeline, signatures, ref)
            if source is None:
                yield (
                    f"{where}, port `{port_name}`: step `{ref.scope}` has no output port "
                    f"`{ref.port}`, {offer(signatures[ref.scope].gives(written))}"
                )
            elif port is not None and not _fits(pipeline, ref, port, source):
                yield (
                    f"{where}, port `{port_name}`: wrong type, expected `{port.type}`, "
                    f"got `{source}` from `{ref}`"
                )
    for name, ref in pipeline.outputs.items():
        if _source_type(pipeline, signatures, ref) is None:
            yield (
                f"output `{name}`: step `{ref.scope}` has no output port `{ref.port}`, "
                f"{offer(signatures[ref.scope].gives(written))}"
            )


def _source_type(
    pipeline: Pipeline, signatures: Mapping[str, Signature], ref: WiringRef
) -> str | None:
    if ref.scope == INPUT:
        return pipeline.inputs[ref.port].type
    if ref.scope == CONSTANT:
        return pipeline.constants[ref.port].type
    port = signatures[ref.scope].gives(pipeline.direction).get(ref.port)
    return None if port is None else port.type


def _fits(pipeline: Pipeline, ref: WiringRef, port: Port, source_type: str) -> bool:
    if ref.scope == CONSTANT and "bytes" not in (port.type, source_type):
        # The value itself is known, so that an `int` of 2 may feed a `uint`.
        return is_value(pipeline.constants[ref.port].value, port.type)
    return accepts(port.type, source_type)


def _data_consumers(
    pipeline: Pipeline, signatures: Mapping[str, Signature]
) -> dict[WiringRef, list[WiringRef]]:
    """Find who consumes each value as data, and so produces it in the other direction."""
    found: dict[WiringRef, list[WiringRef]] = {}
    for name, step in pipeline.steps.items():
        given_back = signatures[name].gives(opposite(pipeline.direction))
        for port, ref in step.inputs.items():
            if port in given_back and ref.scope != CONSTANT:
                found.setdefault(ref, []).append(WiringRef(name, port))
    for name, ref in pipeline.outputs.items():
        found.setdefault(ref, []).append(WiringRef(INPUT, name))
    return found


def _derive_signature(pipeline: Pipeline, signatures: Mapping[str, Signature]) -> Signature:
    consumers = _data_consumers(pipeline, signatures)
    inputs = {}
    for name, port in pipeline.inputs.items():
        # What no step and no output takes as data comes from nowhere in the inverse, so it stays an
        # input there.
        inputs[name] = replace(port, parameter=WiringRef(INPUT, name) not in consumers)
    outputs = {
        name: Port(type=_source_type(pipeline, signatures, ref))  # type: ignore[arg-type]  # checked
        for name, ref in pipeline.outputs.items()
    }
    if pipeline.direction == "encode":
        # Written the other way round: what comes out is the encoded form.
        carried_in = {name: port for name, port in inputs.items() if not port.parameter}
        parameters = {name: port for name, port in inputs.items() if port.parameter}
        inputs, outputs = {**outputs, **parameters}, carried_in
    return Signature(
        codec_id=pipeline.codec_id, implementation="pipeline", inputs=inputs, outputs=outputs
    )


@dataclass(frozen=True, slots=True)
class _Oriented:
    """A pipeline's links in one direction.

    Attributes:
        inputs: what it takes in that direction.
        links: where each step's input ports get their values, steps in order.
        outputs: where what it gives comes from.
        problems: why it cannot be turned that way.
    """

    inputs: dict[str, Port]
    links: dict[str, dict[str, WiringRef]]
    outputs: dict[str, WiringRef]
    problems: list[str]


def _orient(composite: Composite, direction: Direction) -> _Oriented:
    pipeline = composite.pipeline
    inputs = composite.signature.takes(direction)
    if direction == pipeline.direction:
        links = {name: dict(step.inputs) for name, step in pipeline.steps.items()}
        return _Oriented(inputs, links, dict(pipeline.outputs), [])
    return _invert(composite, direction, inputs)


def _invert(composite: Composite, direction: Direction, inputs: dict[str, Port]) -> _Oriented:
    pipeline = composite.pipeline
    signatures = {name: _signature(composite.steps[name]) for name in pipeline.steps}
    producers = _data_consumers(pipeline, signatures)
    problems: list[str] = []

    def produced(ref: WiringRef) -> WiringRef | None:
        """Give what produces a written value in the inverse."""
        if ref.scope == CONSTANT:
            return ref
        found = producers.get(ref, [])
        if len(found) > 1:
            named = " and ".join(
                f"output `{producer.port}`" if producer.scope == INPUT else f"`{producer}`"
                for producer in found
            )
            problem = f"ambiguous when inverted: {named} would both produce `{ref}`"
            if problem not in problems:
                problems.append(problem)
        if found:
            return found[0]
        # Only parameters want it: a pipeline input stays one.
        return ref if ref.scope == INPUT and ref.port in inputs else None

    links: dict[str, dict[str, WiringRef]] = {}
    for name, step in pipeline.steps.items():
        given_back = signatures[name].gives(direction)
        wanted = {port: ref for port, ref in step.inputs.items() if port not in given_back}
        # An output wins over an input of its name that this direction does not have.
        wanted.update(
            {port: WiringRef(name, port) for port in signatures[name].gives(pipeline.direction)}
        )
        links[name] = {
            port: source for port, ref in wanted.items() if (source := produced(ref)) is not None
        }
    outputs = {}
    for name in composite.signature.gives(direction):
        ref = WiringRef(INPUT, name)
        source = produced(ref)
        if source is not None and ref in producers:
            outputs[name] = source
    needs = {
        name: {ref.scope for ref in sources.values() if ref.scope in pipeline.steps}
        for name, sources in links.items()
    }
    try:
        links = {name: links[name] for name in topological_order(needs)}
    except PipelineError as failure:
        problems.append(f"cannot be inverted: {failure}")
    return _Oriented(inputs, links, outputs, problems)


class _Emitter:
    """Writes the calls of a plan, over slots that it hands out."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.slots: list[bytes | None] = []
        self.copies: list[tuple[int, int]] = []
        self.steps: list[PlannedStep] = []
        self.problems: list[str] = []

    def slot(self, value: bytes | None = None) -> int:
        self.slots.append(value)
        return len(self.slots) - 1

    def emit(self, composite: Composite, bindings: Mapping[str, int], path: str) -> dict[str, int]:
        """Write one pipeline's calls.

        Args:
            composite: the pipeline.
            bindings: slots of its inputs; one that is left out has no value.
            path: the names of the steps that it stands in, each with a `/` behind it.

        Returns:
            Slots of its outputs.
        """
        oriented = _orient(composite, self.direction)
        context = f"step `{path[:-1]}`: " if path else ""
        self.problems.extend(context + problem for problem in oriented.problems)
        values: dict[WiringRef, int] = {}
        for name, port in oriented.inputs.items():
            if name in bindings:
                values[WiringRef(INPUT, name)] = bindings[name]
            elif port.default is not None:
                values[WiringRef(INPUT, name)] = self.slot(encode_scalar(port.default))
        for name, constant in composite.pipeline.constants.items():
            values[WiringRef(CONSTANT, name)] = self.slot(constant.data)
        for name, links in oriented.links.items():
            definition = composite.steps[name]
            ports = _signature(definition).takes(self.direction)
            bound = {
                port: values[ref] for port, ref in links.items() if port in ports and ref in values
            }
            codec_id = composite.pipeline.steps[name].codec_id
            sure = {port for port in bound if _surely_has_value(oriented, links[port])}
            self._check_required(f"{context}step `{name}` (codec `{codec_id}`)", ports, sure)
            if isinstance(definition, Composite):
                for unsure in sorted(bound.keys() - sure):
                    # What may be left out around a pipeline leaves it its own default.
                    default = ports[unsure].default
                    if default is not None:
                        slot = self.slot(encode_scalar(default))
                        self.copies.append((bound[unsure], slot))
                        bound[unsure] = slot
                given = self.emit(definition, bound, f"{path}{name}/")
            else:
                given = {port: self.slot() for port in definition.gives(self.direction)}
                self.steps.append(
                    PlannedStep(f"{path}{name}", tuple(bound.items()), tuple(given.items()))
                )
            values.update({WiringRef(name, port): slot for port, slot in given.items()})
        return {name: values[ref] for name, ref in oriented.outputs.items() if ref in values}

    def _check_required(self, where: str, ports: Mapping[str, Port], sure: set[str]) -> None:
        for name, port in ports.items():
            if port.required and port.default is None and name not in sure:
                verb = "decoding" if self.direction == "decode" else "encoding"
                self.problems.append(f"{where}: required port `{name}` gets no value when {verb}")


def _surely_has_value(oriented: _Oriented, ref: WiringRef) -> bool:
    """Tell whether a link always carries something; an optional input may be left out."""
    if ref.scope != INPUT:
        return True
    port = oriented.inputs[ref.port]
    return port.required or port.default is not None


def _with_lifetimes(steps: list[PlannedStep], kept: set[int]) -> tuple[PlannedStep, ...]:
    """Say after which step each answer's memory can go back: behind the last one that reads it."""
    reader = {slot: index for index, step in enumerate(steps) for _, slot in step.takes}
    closes: dict[int, list[int]] = {}
    for index, step in enumerate(steps):
        slots = [slot for _, slot in step.gives]
        if not kept.intersection(slots):
            last = max((reader.get(slot, index) for slot in slots), default=index)
            closes.setdefault(last, []).append(index)
    wanted = reader.keys() | kept
    return tuple(
        replace(
            step,
            gives=tuple((port, slot) for port, slot in step.gives if slot in wanted),
            closes=tuple(closes.get(index, ())),
            is_handed_out=reader.keys().isdisjoint(slot for _, slot in step.gives),
        )
        for index, step in enumerate(steps)
    )
