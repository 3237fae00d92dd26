"""Pipelines of several steps, against other libraries and against the sum of their own steps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import imagecodecs
import numcodecs
import numpy as np

import chonkle
from chonkle.formats.signature import DIRECTIONS, Direction
from tests.bench.codec_speed.case import KIB, MIB, format_size
from tests.bench.codec_speed.targets import Outcome
from tests.bench.codec_speed.timing import Call, Effort, ratio_of, seconds_in_turn
from tests.bench.sample import SIDE, Chunk, make_chunk

SIZES = (64 * KIB, 2 * MIB)
COG_WANTED = 1.5
# At most as much time as its steps together, within the precision of the measurement.
STEPS_WANTED = 0.95

type Steps = Mapping[str, Mapping[str, int | str]]


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of codecs.

    Attributes:
        kind: the data, a kind of `make_chunk`.
        steps: the values of each codec's ports, starting at the encoded form.
    """

    kind: str
    steps: Steps

    @property
    def name(self) -> str:
        """The codecs."""
        return " + ".join(self.steps)


COG = Chain("uint16", {"zlib": {}, "tiff-predictor-2": {"bytes_per_sample": 2, "width": SIDE}})
CHAINS = (
    COG,
    Chain("rounded", {"zstd": {}, "shuffle": {"elementsize": 4}}),
    Chain("float32", {"zlib": {}, "tiff-predictor-3": {"bytes_per_sample": 4, "width": SIDE}}),
    Chain("int32", {"zstd": {}, "shuffle": {"elementsize": 4}, "delta": {"dtype": "<i4"}}),
)


def measure_chains(runtime: chonkle.Runtime, effort: Effort, there: set[str]) -> Iterator[Outcome]:
    """Measure the chains whose codecs exist.

    Args:
        runtime: opens the codecs.
        effort: how long to measure.
        there: the codecs that exist.
    """
    for chain in CHAINS:
        if chain.steps.keys() <= there:
            for size in SIZES:
                chunk = make_chunk(chain.kind, size)
                if chain is COG:
                    yield against_others(chunk, runtime, effort)
                for direction in DIRECTIONS:
                    yield against_steps(chain, chunk, direction, runtime=runtime, effort=effort)


def against_others(chunk: Chunk, runtime: chonkle.Runtime, effort: Effort) -> Outcome:
    """Compare decoding a GeoTIFF's tile with numcodecs followed by imagecodecs."""
    pixels = chunk.array
    deflate = numcodecs.Zlib(6)
    encoded = deflate.encode(imagecodecs.delta_encode(pixels, axis=-1))
    prepared = prepare(COG.steps, "decode", runtime)

    def others() -> object:
        rows = np.frombuffer(deflate.decode(encoded), pixels.dtype).reshape(pixels.shape)
        return imagecodecs.delta_decode(rows, axis=-1)

    if prepared.run({"bytes": encoded})["bytes"] != pixels.tobytes():
        raise AssertionError(f"{COG.name} decodes to something else")
    calls: dict[str, Call] = {"ours": partial(prepared.run, {"bytes": encoded}), "others": others}
    times = seconds_in_turn(calls, effort)
    size = format_size(pixels.nbytes)
    ratio = ratio_of(times["others"], times["ours"])
    return Outcome(COG.name, "decode", size, "numcodecs + imagecodecs", ratio, COG_WANTED)


def against_steps(
    chain: Chain, chunk: Chunk, direction: Direction, *, runtime: chonkle.Runtime, effort: Effort
) -> Outcome:
    """Compare a run with runs of its single steps and a copy of each result."""
    data = chunk.array.tobytes()
    order = list(chain.steps.items())
    # Encoding goes from the last step to the first.
    for name, settings in reversed(order):
        data = prepare({name: settings}, "encode", runtime).run({"bytes": data})["bytes"]
    if direction == "encode":
        data = chunk.array.tobytes()
        order.reverse()
    whole = prepare(chain.steps, direction, runtime)
    calls: dict[str, Call] = {"whole": partial(whole.run, {"bytes": data})}
    for name, settings in order:
        step = prepare({name: settings}, direction, runtime)
        calls[name] = partial(step.run, {"bytes": data})
        data = step.run({"bytes": data})["bytes"]
        calls[f"copy of {name}"] = partial(bytearray, data)
    times = seconds_in_turn(calls, effort)
    ours = times.pop("whole")
    steps = [sum(each) for each in zip(*times.values(), strict=True)]
    size = format_size(chunk.array.nbytes)
    return Outcome(chain.name, direction, size, "its steps", ratio_of(steps, ours), STEPS_WANTED)


def prepare(
    steps: Steps, direction: Direction, runtime: chonkle.Runtime
) -> chonkle.PreparedPipeline:
    """Prepare a pipeline of a chain of core modules."""
    wiring: dict[str, object] = {}
    source = "input.bytes"
    for name, settings in steps.items():
        constants = {port: f"constant.{port}" for port in settings}
        wiring[name] = {"codec_id": name, "inputs": {"bytes": source, **constants}}
        source = f"{name}.bytes"
    document = {
        "codec_id": "bench",
        "direction": "decode",
        "inputs": {"bytes": {"type": "bytes"}},
        "constants": {
            port: {"type": "uint" if isinstance(value, int) else "string", "value": value}
            for settings in steps.values()
            for port, value in settings.items()
        },
        "outputs": {"bytes": source},
        "steps": wiring,
    }
    resolver = chonkle.Resolver(preference=["core"])
    return chonkle.prepare(document, direction=direction, resolver=resolver, runtime=runtime)
