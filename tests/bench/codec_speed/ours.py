"""Our codec with the parameters of a case, on both ABIs and in both directions."""

from collections.abc import Mapping
from functools import partial

import chonkle
from chonkle.formats.signature import DIRECTIONS, Direction, Signature
from chonkle.formats.values import encode_scalar
from tests.bench.codec_speed.case import Case
from tests.bench.codec_speed.timing import Call
from tests.bench.sample import Chunk

# A run of a one-step pipeline on the core module, which is compared with rivals; the bare call; a
# run on the component.
RUN, CALL, COMPONENT = "run", "call", "component"

type Ports = Mapping[str, bytes]


class Ours:
    """Our codec, ready for one chunk."""

    def __init__(
        self, signature: Signature, case: Case, chunk: Chunk, runtime: chonkle.Runtime
    ) -> None:
        """Prepare it on both ABIs and in both directions.

        Args:
            signature: of the implementation.
            case: its parameters.
            chunk: the data, which other parameters follow from.
            runtime: opens the codec.
        """
        known = {**chunk.facts, **case.settings}
        settings = {
            name: {"type": port.type, "value": known[name]}
            for name, port in signature.inputs.items()
            if port.parameter and name in known
        }
        document = one_step(signature, settings)
        self._parameters = {name: encode_scalar(known[name]) for name in settings}
        self._prepared = {
            (kind, direction): chonkle.prepare(
                document,
                direction=direction,
                resolver=chonkle.Resolver(
                    preference=[kind], overrides={signature.codec_id: signature.label}
                ),
                runtime=runtime,
            )
            for kind in ("core", "component")
            for direction in DIRECTIONS
        }

    def run(self, direction: Direction, ports: Ports) -> dict[str, bytes]:
        """Run it once, and check that the component returns the same."""
        core, component = (
            self._prepared[kind, direction].run(ports) for kind in ("core", "component")
        )
        if core != component:
            raise AssertionError("core module and component give different bytes")
        return core

    def calls(self, direction: Direction, ports: Ports) -> dict[str, Call]:
        """Return our calls that are measured."""
        core, component = (self._prepared[kind, direction] for kind in ("core", "component"))
        (codec,) = core.codecs
        input_ports = codec.signature().input_ports(direction)
        parameters = {name: text for name, text in self._parameters.items() if name in input_ports}
        return {
            RUN: partial(chonkle.run, core, ports),
            CALL: partial(codec.call, direction, {**ports, **parameters}),
            COMPONENT: partial(chonkle.run, component, ports),
        }


def one_step(signature: Signature, settings: Mapping[str, object]) -> dict[str, object]:
    """Return a pipeline of one step.

    Args:
        signature: of the codec.
        settings: its parameters, which become constants of the pipeline.
    """
    data = {name: port for name, port in signature.inputs.items() if not port.parameter}
    return {
        "codec_id": "bench",
        "direction": "decode",
        "inputs": {name: {"type": port.type} for name, port in data.items()},
        "constants": dict(settings),
        "outputs": {name: f"step.{name}" for name in signature.outputs},
        "steps": {
            "step": {
                "codec_id": signature.codec_id,
                "inputs": {
                    **{name: f"input.{name}" for name in data},
                    **{name: f"constant.{name}" for name in settings},
                },
            }
        },
    }
