"""A pipeline as written: a graph of codec steps, parsed from JSON.

    {"codec_id", "direction", "sources", "inputs", "constants", "outputs", "steps"}

Parsing checks the document and every wiring reference that can be checked without signatures, and
reports all problems together. `dag.plan` checks the rest.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, cast

from chonkle.errors import ChonkleError, PipelineError, list_choices
from chonkle.formats.signature import Direction, Port, read_port
from chonkle.formats.values import (
    PORT_TYPES,
    PortType,
    encode_scalar,
    format_value,
    is_value,
    read_older_constant,
)
from chonkle.names import CODEC_NAME_RULE, WIRE_NAME_RULE, is_codec_name, is_wire_name

INPUT, CONSTANT = "input", "constant"
RESERVED_STEP_NAMES = frozenset({INPUT, CONSTANT})

_FIELDS = frozenset(
    {"codec_id", "direction", "sources", "inputs", "constants", "outputs", "steps"}
    | {"$schema", "description", "version"}
)
_STEP_FIELDS = frozenset({"codec_id", "inputs", "description"})
_CONSTANT_FIELDS = frozenset({"type", "value", "description"})


class WiringRef(NamedTuple):
    """The source of a value: `input.<port>`, `constant.<name>` or `<step>.<port>`."""

    scope: str  # `input`, `constant` or the name of a step
    port: str  # the name within it

    def __str__(self) -> str:
        """Write the reference as in a pipeline."""
        return f"{self.scope}.{self.port}"

    @classmethod
    def parse(cls, text: object) -> "WiringRef | None":
        """Read a reference, or return None if the text is none."""
        if not isinstance(text, str):
            return None
        scope, _, port = text.partition(".")
        if not is_wire_name(scope) or not is_wire_name(port):
            return None
        return cls(scope, port)


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant value of the pipeline."""

    type: PortType
    value: object  # the parsed JSON value; for `bytes`, base64
    data: bytes  # its bytes in a port-map


@dataclass(frozen=True, slots=True)
class Step:
    """One use of a codec."""

    codec_id: str
    inputs: Mapping[str, WiringRef]  # the source of each input port's value
    backends: tuple[str, ...] = ()  # the only backends that may run it; any if empty
    # What messages call it; None for its name, empty if the pipeline is nothing but this step.
    title: str | None = None
    # The URI that decides what runs it, and only it, as data name one; empty for none.
    source: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline as written."""

    codec_id: str  # the pipeline's id as a codec
    direction: Direction  # the direction that its wiring is written in
    inputs: Mapping[str, Port]  # its inputs in that direction
    outputs: Mapping[str, WiringRef]  # its outputs in that direction, and the source of each
    steps: Mapping[str, Step]  # the steps by name, each after those that it needs
    constants: Mapping[str, Constant] = field(default_factory=dict)
    # URIs of codecs that may not be installed.
    sources: Mapping[str, str] = field(default_factory=dict)
    title: str = ""  # what messages call it; empty for its id

    @property
    def subject(self) -> str:
        """The pipeline, for messages."""
        return self.title or f"pipeline `{self.codec_id}`"

    @classmethod
    def from_json(cls, document: object) -> "Pipeline":
        """Make a pipeline of a parsed JSON document.

        Raises:
            PipelineError: with every problem.
        """
        return _Parser(document).pipeline()

    def to_json(self) -> dict[str, object]:
        """Write the pipeline as a JSON document; which backends may run a step is not in it.

        Raises:
            PipelineError: when steps have one codec from two sources.
        """
        sources = dict(self.sources)
        for step in self.steps.values():
            source = step.source or self.sources.get(step.codec_id, "")
            if source and sources.setdefault(step.codec_id, source) != source:
                raise PipelineError(
                    f"{self.subject}: codec `{step.codec_id}` from two sources, which a document "
                    "cannot name",
                    got=f"{sources[step.codec_id]} and {source}",
                )
        sections: dict[str, object] = {
            "sources": sources,
            "inputs": {name: port.to_json(side="inputs") for name, port in self.inputs.items()},
            "constants": {
                name: {"type": each.type, "value": each.value}
                for name, each in self.constants.items()
            },
            "outputs": {name: str(ref) for name, ref in self.outputs.items()},
            "steps": {
                name: {
                    "codec_id": step.codec_id,
                    "inputs": {port: str(ref) for port, ref in step.inputs.items()},
                }
                for name, step in self.steps.items()
            },
        }
        optional = ("sources", "constants")
        kept = {name: each for name, each in sections.items() if each or name not in optional}
        return {"codec_id": self.codec_id, "direction": self.direction, **kept}


def topological_order(needs: Mapping[str, set[str]]) -> list[str]:
    """Order steps so that each comes after those that it needs, otherwise as given.

    Args:
        needs: the steps that each step needs.

    Raises:
        PipelineError: when the steps form a cycle, which it names.
    """
    place = {name: index for index, name in enumerate(needs)}
    users: dict[str, list[str]] = {name: [] for name in needs}
    missing = {name: len(needed) for name, needed in needs.items()}
    for name, needed in needs.items():
        for each in needed:
            users[each].append(name)
    ordered: list[str] = []
    ready = [name for name, count in missing.items() if count == 0]
    while ready:
        ordered += ready
        freed = []
        for name in ready:
            for user in users[name]:
                missing[user] -= 1
                if missing[user] == 0:
                    freed.append(user)
        # The order of a set differs between processes.
        ready = sorted(freed, key=place.__getitem__)
    if len(ordered) < len(needs):
        cycle = " -> ".join(f"`{name}`" for name in _cycle(needs, set(ordered)))
        raise PipelineError(f"the steps form a cycle: {cycle}")
    return ordered


def _cycle(needs: Mapping[str, set[str]], ordered: set[str]) -> list[str]:
    """Find a cycle: each step that is not ordered needs another one that is not."""
    name = next(name for name in needs if name not in ordered)
    passed: dict[str, int] = {}
    while name not in passed:
        passed[name] = len(passed)
        name = min(needs[name] - ordered)
    return [*list(passed)[passed[name] :], name]


class _Parser:
    """Parses one document and collects its problems, so that all are reported at once."""

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise PipelineError(
                "not a pipeline", expected="a JSON object", got=format_value(document)
            )
        self.document: dict[str, object] = document
        self.problems: list[str] = []

    def pipeline(self) -> Pipeline:
        codec_id = self.document.get("codec_id")
        if not is_codec_name(codec_id):
            self._problem("bad `codec_id`", CODEC_NAME_RULE, codec_id)
        direction = self.document.get("direction")
        if direction not in ("encode", "decode"):
            self._problem("bad `direction`", "`encode` or `decode`", direction)
        self._refuse_unknown(self.document, _FIELDS, "")
        inputs = dict(self._each("inputs", self._input))
        constants = dict(self._each("constants", self._constant, optional=True))
        steps = dict(self._each("steps", self._step))
        outputs = dict(self._each("outputs", self._output))
        sources = dict(self._each("sources", self._source, optional=True))
        if not outputs and isinstance(self.document.get("outputs"), dict):
            self.problems.append("no outputs, expected at least one")
        order = self._check_references(steps, outputs)
        if self.problems:
            subject = f"pipeline `{codec_id}`" if is_codec_name(codec_id) else "the pipeline"
            raise PipelineError.from_problems(subject, self.problems)
        return Pipeline(
            codec_id=cast("str", codec_id),
            direction=cast("Direction", direction),
            inputs=inputs,
            outputs=outputs,
            steps={name: steps[name] for name in order},
            constants=constants,
            sources=sources,
        )

    def _problem(self, what: str, expected: str, got: object) -> None:
        self.problems.append(f"{what}, expected {expected}, got {format_value(got)}")

    def _refuse_unknown(
        self, document: Mapping[str, object], known: frozenset[str], where: str
    ) -> None:
        # A misspelt field would otherwise be ignored.
        for name in document:
            if name not in known:
                self.problems.append(
                    f"{where}unknown field `{name}`, expected {', '.join(sorted(known))}"
                )

    def _each[T](
        self, section: str, read: Callable[[str, object], T | None], *, optional: bool = False
    ) -> Iterator[tuple[str, T]]:
        items = self.document.get(section, {} if optional else None)
        if not isinstance(items, dict):
            self._problem(f"bad `{section}`", "an object", items)
            return
        for name, item in items.items():
            if section != "sources" and not is_wire_name(name):
                self._problem(f"bad name in `{section}`", WIRE_NAME_RULE, name)
                continue
            value = read(name, item)
            if value is not None:
                yield name, value

    def _input(self, name: str, item: object) -> Port | None:
        try:
            return read_port(name, item, what=f"input `{name}`", side="inputs")
        except ChonkleError as failure:
            self.problems.append(str(failure))
            return None

    def _constant(self, name: str, item: object) -> Constant | None:
        where = f"constant `{name}`"
        is_object = isinstance(item, dict) and "value" in item
        fields = cast("dict[str, object]", item) if is_object else {"value": None}
        found_type, value = read_older_constant(fields.get("type"), fields["value"])
        if found_type not in PORT_TYPES:
            self._problem(f"bad {where}", "an object with `type` and `value`", item)
            return None
        self._refuse_unknown(fields, _CONSTANT_FIELDS, f"{where}: ")
        constant_type = cast("PortType", found_type)
        if constant_type == "bytes":
            try:
                data = base64.b64decode(cast("str", value), validate=True)
            except (TypeError, ValueError, binascii.Error):
                self._problem(f"bad value of {where}", "bytes written in base64", value)
                return None
            return Constant(constant_type, value, data)
        if not is_value(value, constant_type):
            self._problem(f"bad value of {where}", f"type `{constant_type}`", value)
            return None
        return Constant(constant_type, value, encode_scalar(value))

    def _step(self, name: str, item: object) -> Step | None:
        if name in RESERVED_STEP_NAMES:
            self.problems.append(
                f"a step may not be named `{name}`, which stands for the pipeline's own {name}s"
            )
            return None
        where = f"step `{name}`"
        if not isinstance(item, dict):
            self._problem(f"bad {where}", "an object with `codec_id` and `inputs`", item)
            return None
        self._refuse_unknown(item, _STEP_FIELDS, f"{where}: ")
        codec_id, wiring = item.get("codec_id"), item.get("inputs")
        if type(codec_id) is int:
            codec_id = str(codec_id)  # TIFF's name of a compression
        if not is_codec_name(codec_id):
            self._problem(f"{where}: bad `codec_id`", CODEC_NAME_RULE, codec_id)
        if not isinstance(wiring, dict):
            self._problem(f"{where}: bad `inputs`", "an object of wiring references", wiring)
            return None
        inputs = {}
        for port, text in wiring.items():
            ref = self._reference(text, f"{where}, port `{port}`")
            if ref is not None:
                inputs[port] = ref
        return Step(cast("str", codec_id), inputs)

    def _output(self, name: str, item: object) -> WiringRef | None:
        return self._reference(item, f"output `{name}`")

    def _reference(self, text: object, where: str) -> WiringRef | None:
        ref = WiringRef.parse(text)
        if ref is None:
            self._problem(
                f"{where}: bad wiring",
                "`input.<port>`, `constant.<name>` or `<step>.<port>`",
                text,
            )
        return ref

    def _source(self, codec_id: str, uri: object) -> str | None:
        if not is_codec_name(codec_id):
            self._problem("bad codec id in `sources`", CODEC_NAME_RULE, codec_id)
        if not isinstance(uri, str):
            self._problem(f"bad source of codec `{codec_id}`", "a URI", uri)
            return None
        return uri

    def _check_references(
        self, steps: Mapping[str, Step], outputs: Mapping[str, WiringRef]
    ) -> list[str]:
        """Check that each reference leads to something, and order the steps."""
        # A malformed item counts as known: its problem is reported once, and not at each reference.
        known = {scope: _names(self.document.get(f"{scope}s")) for scope in (INPUT, CONSTANT)}
        known_steps = _names(self.document.get("steps"))
        references = [
            (ref, f"step `{name}`, port `{port}`")
            for name, step in steps.items()
            for port, ref in step.inputs.items()
        ]
        references += [(ref, f"output `{name}`") for name, ref in outputs.items()]
        # Sorted once for all wrong references.
        offered = cache(lambda scope: list_choices(sorted(known.get(scope, known_steps))))
        for ref, where in references:
            if ref.scope not in known:
                if ref.scope not in known_steps:
                    self.problems.append(f"{where}: no step `{ref.scope}`, {offered('')}")
            elif ref.port not in known[ref.scope]:
                self.problems.append(f"{where}: no {ref.scope} `{ref.port}`, {offered(ref.scope)}")
        for name, ref in outputs.items():
            if ref.scope == CONSTANT:
                self.problems.append(f"output `{name}`: a constant cannot be an output")
        needs = {
            name: {ref.scope for ref in step.inputs.values() if ref.scope in steps}
            for name, step in steps.items()
        }
        try:
            return topological_order(needs)
        except PipelineError as failure:
            self.problems.append(str(failure))
            return []


def _names(section: object) -> set[str]:
    return set(section) if isinstance(section, dict) else set()
