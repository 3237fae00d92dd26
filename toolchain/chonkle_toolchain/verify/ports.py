"""Checking that a codec's ports are those of its signature.

Each check starts from calls that succeed, changes one port, and looks at the effect.
"""

from chonkle.formats.signature import DIRECTIONS, Direction, Port
from chonkle.formats.values import check_scalar, encode_scalar, format_value
from chonkle_toolchain.verify.codec_under_test import (
    CodecUnderTest,
    Example,
    identified,
    outcome_of,
)
from chonkle_toolchain.verify.report import CheckFailed, NotApplicable
from chonkle_toolchain.verify.round_trip import choices
from chonkle_toolchain.verify.runner import Refusal, Reply, doing
from chonkle_toolchain.verify.samples import no_values

# A name that no codec has, and that a port may have.
_UNKNOWN = "chonkle-verify-unknown"


def check_outputs(tested: CodecUnderTest) -> str:
    """Require outputs that the signature names, with values of their types."""
    if not tested.examples:
        raise NotApplicable("no successful call is known")
    for example in tested.examples:
        output_ports = tested.signature.output_ports(example.direction)
        did = doing(example.direction, "")
        for name in example.outputs.keys() - output_ports.keys():
            raise CheckFailed(f"{did} gives a port `{name}` that the signature does not name")
        for name, port in output_ports.items():
            if name not in example.outputs:
                if port.required:
                    raise CheckFailed(f"{did} does not give `{name}`, which the signature names")
            elif port.type != "bytes":
                check_scalar(example.outputs[name], port.type, what=f"{did} gives `{name}`")
    return f"in {len(tested.examples)} answers"


def check_required(tested: CodecUnderTest) -> str:
    """Require that a call without a required port is refused with a message."""
    names = []
    for examples, name, port in tested.ports_taken():
        if port.required:
            names.append(name)
            tested.require_refusal(
                examples[0].direction,
                examples[0].without(name),
                what=f"without `{name}`",
                because="the signature says that it is required",
            )
    return _join_names(names, none="no port is required")


def check_optional(tested: CodecUnderTest) -> str:
    """Require that an optional port may be left out, and may be given."""
    names, not_given = [], []
    for examples, name, port in tested.ports_taken():
        if port.required:
            continue
        names.append(name)
        direction = examples[0].direction
        refusal = _refused_by_all(
            tested, direction, [example.without(name) for example in examples], f"without `{name}`"
        )
        if refusal is not None:
            raise CheckFailed(
                f"{doing(direction, f'without `{name}`')} is refused, although the signature says"
                " that it is optional",
                got=refusal.words,
            )
        refusal = _refused_by_all(
            tested,
            direction,
            [
                example.with_port(name, value)
                for example in examples
                for value in _given_first(example, name, choices(tested, name, port))
            ],
            f"with `{name}`",
        )
        if refusal is not None:
            if port.default is not None:
                raise CheckFailed(
                    f"{doing(direction, f'with `{name}`')} is refused, even with its default",
                    got=refusal.words,
                )
            not_given.append(name)
    if not_given:
        return f"{_join_names(names)}; no value was found for {_join_names(not_given)}"
    return _join_names(names, none="no port is optional")


def check_defaults(tested: CodecUnderTest) -> str:
    """Require that leaving a port out is the same as giving its default."""
    names: list[str] = []
    refused: list[str] = []
    for examples, name, port in tested.ports_taken():
        if port.required or port.default is None:
            continue
        direction, default = examples[0].direction, encode_scalar(port.default)
        compared = 0
        for example in examples:
            left_out = tested.call(direction, example.without(name), what=f"without `{name}`")
            given = tested.call(
                direction, example.with_port(name, default), what=f"with `{name}` at its default"
            )
            if outcome_of(left_out) != outcome_of(given):
                raise CheckFailed(
                    f"{doing(direction, f'without `{name}`')} is not the same as with"
                    f" {format_value(port.default)}, which the signature gives as its default"
                )
            compared += not isinstance(left_out, Refusal)
        (names if compared else refused).append(name)
    if refused and not names:
        raise NotApplicable(f"every call with a default is refused: {_join_names(refused)}")
    return _join_names(names, none="no port has a default")


def check_directions(tested: CodecUnderTest) -> str:
    """Require that a port of the other direction has no effect, or is refused.

    A direction that the signature does not have must be refused.
    """
    names = []
    if not tested.examples:
        raise NotApplicable("no successful call is known")
    for direction in DIRECTIONS:
        if direction not in tested.directions:
            _require_no_way_back(tested, direction)
    for direction in tested.directions:
        for name, port in _ports_of_the_other(tested, direction).items():
            for example in tested.examples_of(direction):
                names.append(name)
                for value in choices(tested, name, port):
                    what = f"with `{name}`"
                    reply = tested.call(direction, example.with_port(name, value), what=what)
                    if not _same_or_refused(example, reply):
                        raise CheckFailed(
                            f"{doing(direction, what)} at {_value(value)} changes the answer,"
                            " although the signature says that the port does not exist then"
                        )
    if len(tested.directions) == 1:
        return f"{tested.directions[0]} only"
    return _join_names(names, none="every port exists in both directions")


def check_types(tested: CodecUnderTest) -> str:
    """Require that an invalid value of a port's type is refused with a message."""
    names = []
    for examples, name, port in tested.ports_taken():
        for wrong in no_values(port.type):
            names.append(name)
            tested.require_refusal(
                examples[0].direction,
                examples[0].with_port(name, wrong),
                what=f"with `{name}` at {_value(wrong)}",
                because=f"that is no value of its type, `{port.type}`",
            )
    return _join_names(names, none="every port is bytes")


def check_unknown_ports(tested: CodecUnderTest) -> str:
    """Require that an unknown port is always ignored, or always refused."""
    if not tested.examples:
        raise NotApplicable("no successful call is known")
    ignores: dict[bool, Direction] = {}
    for direction in tested.directions:
        for example in tested.examples_of(direction)[:1]:
            ports = example.with_port(_UNKNOWN, b"1")
            reply = tested.call(direction, ports, what="with an unknown port")
            if not _same_or_refused(example, reply):
                raise CheckFailed(
                    f"{doing(direction, 'with an unknown port')} gives another answer",
                    got=f"a difference made by `{_UNKNOWN}`",
                )
            ignores[not isinstance(reply, Refusal)] = direction
    if len(ignores) > 1:
        raise CheckFailed(
            f"a port that the signature does not name is ignored when {doing(ignores[True], '')},"
            f" and refused when {doing(ignores[False], '')}",
            expected="the same in both directions",
        )
    return "ignored" if True in ignores else "refused"


def _require_no_way_back(tested: CodecUnderTest, direction: Direction) -> None:
    """Require that the direction that the signature does not have is refused."""
    parameters = {name for name, port in tested.signature.inputs.items() if port.parameter}
    for example in tested.examples:
        known = {name: data for name, data in example.ports.items() if name in parameters}
        tested.require_refusal(
            direction,
            {**known, **example.outputs},
            what=f"what {doing(example.direction, '')} gave",
            because="the signature says that nothing comes out in that direction",
        )


def _ports_of_the_other(tested: CodecUnderTest, direction: Direction) -> dict[str, Port]:
    """Give the inputs of the other direction only."""
    ports = tested.signature.connectable_ports(direction)
    return {name: port for name, port in ports.items() if not port.exists(direction)}


def _refused_by_all(
    tested: CodecUnderTest, direction: Direction, calls: list[dict[str, bytes]], what: str
) -> Refusal | None:
    """Make calls until one succeeds; give the first refusal when none does."""
    first = None
    for ports in calls:
        reply = tested.call(direction, ports, what=what)
        if not isinstance(reply, Refusal):
            return None
        first = first or reply
    return first


def _given_first(example: Example, name: str, values: list[bytes]) -> list[bytes]:
    return [example.ports[name], *values] if name in example.ports else values


def _same_or_refused(example: Example, reply: Reply) -> bool:
    return isinstance(reply, Refusal) or identified(reply) == identified(example.outputs)


def _value(text: bytes) -> str:
    return f"`{text.decode(errors='replace')}`"


def _join_names(names: list[str], *, none: str = "") -> str:
    if not names and none:
        raise NotApplicable(none)
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))
