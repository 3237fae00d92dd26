"""Flattened components against wasmtime's own support: the same answers, or it is not flattened.

`make fuzz` tries 100,000 components; `make test` a slice of them.
"""

import collections
import os
import random

import pytest
import wasmtime
from wasmtime import component as wasm_component

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.component_abi import FlattenedComponent, flattened_codec
from chonkle.backends.wasm.component_interface import check_interface
from chonkle.backends.wasm.component_planner import plan_component
from chonkle.backends.wasm.guest_codec import GuestSetup
from chonkle.backends.wasm.host_component import HostComponentCodec
from chonkle.backends.wasm.instance_pool import IdleInstances
from chonkle.backends.wasm.unchecked_calls import open_calls
from chonkle.engine import Engine
from chonkle.errors import ChonkleError, CodecError, WasmFormatError
from chonkle.formats.component_binary import Unsupported, read_interface
from chonkle.formats.signature import Signature
from tests.fuzz.components import Writer, damaged

COUNT = 100_000 if os.environ.get("FUZZ") == "full" else 1000
PORTS = {"bytes": {"type": "bytes"}}
SIGNATURE = Signature.from_json(
    {"codec_id": "guest", "implementation": "guest-wat", "inputs": PORTS, "outputs": PORTS}
)
PORT_MAP = {"bytes": b"some bytes", "more": b""}


def outcome(codec: Codec) -> list[object]:
    """Say what both functions do: the ports that they give, or the kind of failure."""
    found: list[object] = []
    for direction in ("encode", "decode"):
        try:
            found.append(codec.call(direction, PORT_MAP))
        except CodecError as failure:
            found.append(str(failure).rpartition(": ")[2])
        except ChonkleError:
            # The two ways tell one trap differently: a refusal of the allocator, for one.
            found.append("broken")
    return found


def is_told_apart(mine: object, theirs: object) -> bool:
    """Tell whether two outcomes differ.

    A refusal counts for a flattened component although its post-return traps after it.
    """
    return mine != theirs and not (isinstance(mine, str) and theirs == "broken")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_flattened_components_do_what_wasmtime_does(part: int) -> None:
    engine = Engine()
    # What is compiled runs twice and is gone, so that it need not be good.
    settings = wasmtime.Config()
    settings.cranelift_opt_level = "none"
    settings.memory_may_move = engine.config.memory_may_move
    settings.parallel_compilation = False
    engine.wasmtime = wasmtime.Engine(settings)
    calls = open_calls()
    limits = Limits()
    seen: collections.Counter[str] = collections.Counter()
    for number in range(part * COUNT // 4, (part + 1) * COUNT // 4):
        chance = random.Random(number)  # noqa: S311 - not for keys
        wasm = Writer(chance).component()
        if number % 2:
            wasm = damaged(chance, wasm)
        try:
            component = wasm_component.Component(engine.wasmtime, wasm)
            check_interface(component, engine.wasmtime)
        except (wasmtime.WasmtimeError, WasmFormatError):
            # The compiler asks wasmtime first, in the same way.
            seen["refused"] += 1
            continue
        seen["valid"] += 1
        names = component.type.exports(engine.wasmtime), component.type.imports(engine.wasmtime)
        read = read_interface(wasm)
        assert {each.name for each in read.exports} == set(names[0]), (number, wasm.hex())
        assert {each.name for each in read.imports} == set(names[1]), (number, wasm.hex())
        try:
            plan = plan_component(wasm)
        except Unsupported:
            seen["not flattened"] += 1
            continue
        modules = [
            wasmtime.Module(engine.wasmtime, wasm[each.start : each.end]) for each in plan.modules
        ]
        flattened = FlattenedComponent(plan, modules)
        setup = GuestSetup(
            signature=SIGNATURE, engine=engine, limits=limits, calls=calls, idle=IdleInstances()
        )
        mine, theirs = flattened_codec(flattened, setup), HostComponentCodec(component, setup)
        with mine, theirs:
            pairs = list(zip(outcome(mine), outcome(theirs), strict=True))
        assert not any(is_told_apart(*pair) for pair in pairs), (number, pairs, wasm.hex())
        seen.update("answers" if isinstance(a, dict) else str(a)[1:2] for a, _ in pairs)
    print(f"\n{COUNT // 4} components: {dict(seen)}")  # noqa: T201
    # Or else the components show nothing.
    assert seen["valid"] > COUNT // 4 * 0.5, seen
    assert seen["not flattened"] < seen["valid"] * 0.1, seen
    assert min(seen["answers"], seen[":"], seen["!"]) > COUNT // 4 * 0.02, seen
