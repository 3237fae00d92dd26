"""Functions as codecs, in prepared pipelines of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chonkle.backends.base import CallResult, Codec
from chonkle.dag.graph import Pipeline
from chonkle.dag.plan import Plan, make_plan, resolve_pipeline
from chonkle.formats.portmap import Buffer
from chonkle.formats.signature import Direction, Signature

BYTES = {"type": "bytes"}
type Function = Callable[[Mapping[str, Buffer]], Mapping[str, bytes]]


@dataclass
class Tally:
    """Counts the answers of all codecs of a test."""

    open: int = 0
    peak: int = 0
    calls: list[dict[str, bytes]] = field(default_factory=list)


class FakeCodec(Codec):
    """A function as a codec, whose answers are views that may not be read once closed."""

    def __init__(self, signature: Signature, function: Function, tally: Tally) -> None:
        self._signature = signature
        self._function = function
        self._tally = tally

    def signature(self) -> Signature:
        return self._signature

    def call_borrowed(self, direction: Direction, port_map: Mapping[str, Buffer]) -> CallResult:
        assert direction in ("encode", "decode")
        tally = self._tally
        tally.calls.append({name: bytes(data) for name, data in port_map.items()})
        made = self._function(port_map)
        tally.open += 1
        tally.peak = max(tally.peak, tally.open)

        def release() -> None:
            tally.open -= 1

        return CallResult({name: memoryview(data) for name, data in made.items()}, release)


@dataclass
class FakePrepared:
    """The least that the executor runs."""

    plan: Plan
    codecs: list[Codec]


def prepared(
    inputs: dict[str, Any],
    steps: dict[str, tuple[dict[str, str], Function]],
    outputs: dict[str, str],
    *,
    tally: Tally,
    output_ports: dict[str, Any] | None = None,
    input_ports: dict[str, Any] | None = None,
) -> FakePrepared:
    """Prepare a pipeline of functions, each with the input ports that are wired."""
    document = {
        "codec_id": "p",
        "direction": "decode",
        "inputs": inputs,
        "outputs": outputs,
        "steps": {name: {"codec_id": "c", "inputs": wiring} for name, (wiring, _) in steps.items()},
    }
    signatures = {}
    for name, (wiring, _) in steps.items():
        ports = {
            port: {**inputs[ref.removeprefix("input.")], **(input_ports or {})}
            if ref.startswith("input.")
            else BYTES
            for port, ref in wiring.items()
        }
        signatures[name] = Signature.from_json(
            {
                "codec_id": "c",
                "implementation": "c-fake",
                "inputs": ports,
                "outputs": output_ports or {"bytes": BYTES},
            }
        )
    plan = make_plan(resolve_pipeline(Pipeline.from_json(document), signatures), "decode")
    codecs: list[Codec] = [
        FakeCodec(signatures[step.path], steps[step.path][1], tally) for step in plan.steps
    ]
    return FakePrepared(plan, codecs)


def echo(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
    return {"bytes": b"".join(bytes(data) for data in ports.values())}


def echoing(port: dict[str, Any], tally: Tally | None = None) -> FakePrepared:
    """Prepare a pipeline of one input `x`, which comes out as it went in."""
    return prepared(
        {"x": port}, {"e": ({"x": "input.x"}, echo)}, {"bytes": "e.bytes"}, tally=tally or Tally()
    )


def chain(length: int, tally: Tally, function: Function = echo) -> FakePrepared:
    steps: dict[str, tuple[dict[str, str], Function]] = {"s0": ({"bytes": "input.bytes"}, function)}
    for index in range(1, length):
        steps[f"s{index}"] = ({"bytes": f"s{index - 1}.bytes"}, function)
    return prepared({"bytes": BYTES}, steps, {"bytes": f"s{length - 1}.bytes"}, tally=tally)
