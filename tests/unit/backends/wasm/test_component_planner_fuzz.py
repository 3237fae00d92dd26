"""Hostile components and plans: the planner plans, or says why not, and does nothing else.

Mutants differ from real components in their metadata. The code in core modules, which no plan
looks at, is cut away first, so that most mutations hit something.
"""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import component as wasm_component

from chonkle.backends.wasm.component_plan import ComponentPlan
from chonkle.backends.wasm.component_planner import plan_component
from chonkle.errors import WasmFormatError
from chonkle.formats.component_binary import Unsupported
from chonkle.formats.wasm_binary import sections, write_u32

HERE = Path(__file__).parent
CODECS = sorted((HERE.parents[3] / "codec").glob("*/*.component.wasm"))
WRITTEN = sorted((HERE / "components").glob("*.wat"))
HEADER = b"\0asm\x0d\0\1\0"
CORE_MODULE = 1
# No mutant takes a hundredth of it; a planner that hangs takes all of it.
SLOW_S = 2.0

type Part = tuple[int, bytes]


def split(component: bytes) -> list[Part]:
    """Give the sections of a component, its custom sections with their names in front."""
    parts = []
    reached = len(HEADER)
    for section in sections(component):
        size = len(write_u32(section.end - reached))
        # Behind the id stands the size in one to five bytes; a custom section's name is payload.
        start = section.payload if section.name == "" else reached + 1 + size
        parts.append((section.id, component[start : section.end]))
        reached = section.end
    return parts


def join(parts: list[Part]) -> bytes:
    return HEADER + b"".join(
        bytes([identity]) + write_u32(len(payload)) + payload for identity, payload in parts
    )


def without_code(parts: list[Part]) -> list[Part]:
    return [
        (identity, payload[:8] if identity == CORE_MODULE else payload)
        for identity, payload in parts
        if identity != 0
    ]


def written() -> list[bytes]:
    return [bytes(wasmtime.wat2wasm(path.read_text(encoding="utf-8"))) for path in WRITTEN]


def seeds() -> list[list[Part]]:
    shipped = [path.read_bytes() for path in CODECS]
    return [without_code(split(each)) for each in (*written(), *shipped)]


def change_bytes(chance: random.Random, payload: bytes) -> bytes:
    """Change a payload a little: single bytes, indices, or stretches."""
    data = bytearray(payload)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(data):
                data[at] = chance.randrange(256)
            case 2 if at < len(data):
                # Most counts and indices are a byte.
                data[at] = (data[at] + chance.choice((-1, 1))) % 256
            case 3:
                data[at:at] = write_u32(chance.choice((0, 1, 127, 1 << 20, (1 << 32) - 1)))
            case 4:
                del data[at : at + chance.choice((1, 1, 2, 8))]
            case _:
                other = chance.randrange(len(data) + 1)
                data[at:at] = data[other : other + chance.randrange(16)]
    return bytes(data)


def mutant(  # noqa: C901 - one arm a mutation
    chance: random.Random, seed: list[Part], donors: list[list[Part]]
) -> bytes:
    """Change a component, keeping its sections whole, or as nothing but bytes."""
    parts = list(seed)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(parts)) if parts else 0
        match chance.randrange(10):
            case 0 if parts:
                del parts[at]
            case 1 if parts:
                parts.insert(chance.randrange(len(parts) + 1), parts[at])
            case 2 if parts:
                other = chance.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 3 if parts:
                parts[at] = (chance.randrange(14), parts[at][1])
            case 4:
                parts.insert(at, chance.choice(chance.choice(donors)))
            case 5:
                # A component inside the component, or the component inside itself.
                parts.insert(at, (4, join(chance.choice([parts[:at], chance.choice(donors)]))))
            case _ if parts:
                parts[at] = (parts[at][0], change_bytes(chance, parts[at][1]))
    whole = join(parts)
    if chance.randrange(8) == 0:
        whole = whole[:8] + change_bytes(chance, whole[8:])
    if chance.randrange(16) == 0:
        whole = whole[: chance.randrange(len(whole) + 1)]
    return whole


def outcomes(count: int, seed: int) -> dict[str, int]:
    """Plan so many mutants, and count how it went."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    donors = seeds()
    found = {"plan": 0, "unsupported": 0, "malformed": 0}
    for number in range(count):
        wasm = mutant(chance, chance.choice(donors), donors)
        begun = time.perf_counter()
        try:
            plan = plan_component(wasm)
        except Unsupported:
            found["unsupported"] += 1
        except WasmFormatError:
            found["malformed"] += 1
        except Exception as failure:
            failure.add_note(f"mutant {number} of seed {seed}: {wasm.hex()}")
            raise
        else:
            found["plan"] += 1
            # Reading back checks every index.
            assert ComponentPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
        assert time.perf_counter() - begun < SLOW_S, wasm.hex()
    return found


def test_splitting_and_joining_gives_the_component_back() -> None:
    for wasm in (*written(), *(path.read_bytes() for path in CODECS)):
        plan = plan_component(wasm)
        again = plan_component(join(split(wasm)))
        assert (plan.instances, plan.functions) == (again.instances, again.functions)


def test_mutants_plan_or_say_why_not() -> None:
    found = outcomes(15_000, seed=1)
    assert min(found.values()) > 100, found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_many_mutants_plan_or_say_why_not(seed: int) -> None:
    found = outcomes(10_000, seed=seed)
    assert min(found.values()) > 100, found


def judged(count: int, seed: int) -> Iterator[tuple[bytes, bool]]:
    """Give mutants of the written components, code and all, and whether wasmtime accepts them."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    engine = wasmtime.Engine()
    donors = [split(each) for each in written()]
    for _ in range(count):
        wasm = mutant(chance, chance.choice(donors), donors)
        yield wasm, is_accepted(engine, wasm)


def is_accepted(engine: wasmtime.Engine, wasm: bytes) -> bool:
    try:
        wasm_component.Component(engine, wasm)
    except wasmtime.WasmtimeError:
        return False
    return True


def check_accepted(count: int, seed: int) -> int:
    """Demand that nothing is called malformed that wasmtime accepts."""
    accepted = 0
    # Before 50, wasmtime took a component within for whole that the end of the file cuts off.
    cut_is_accepted = is_accepted(wasmtime.Engine(), HEADER + b"\4\x30" + HEADER)
    for wasm, valid in judged(count, seed):
        if not valid:
            continue
        accepted += 1
        try:
            plan_component(wasm)
        except Unsupported:
            pass
        except WasmFormatError as failure:
            if cut_is_accepted and "is truncated" in str(failure):
                continue
            pytest.fail(f"{failure}, but wasmtime accepts it: {wasm.hex()}")
    return accepted


def test_what_wasmtime_accepts_is_not_malformed() -> None:
    assert check_accepted(1_500, seed=1) > 50


@pytest.mark.slow
def test_much_of_what_wasmtime_accepts_is_not_malformed() -> None:
    assert check_accepted(50_000, seed=2) > 1000


def read(document: object) -> bool:
    try:
        ComponentPlan.from_json(document)
    except WasmFormatError:
        return False
    return True


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_any_json_is_a_plan_or_malformed(document: object) -> None:
    read(document)


def places(value: object) -> Iterator[tuple[dict[str, object] | list[object], str | int]]:
    """Give each place inside a JSON value: what holds it, and where."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from places(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield value, index
            yield from places(inner)


PLANS = [json.dumps(plan_component(wasm).to_json()) for wasm in written()]


@given(st.sampled_from(PLANS), st.data())
def test_a_changed_plan_is_a_plan_or_malformed(text: str, data: st.DataObject) -> None:
    document = json.loads(text)
    assert read(document)
    holder, place = data.draw(st.sampled_from(list(places(document))))
    # The place fits what holds it.
    holder[place] = data.draw(  # type: ignore[index]
        JSON_VALUES | st.integers(-1, 12) | st.just([0, "x"])
    )
    read(document)
