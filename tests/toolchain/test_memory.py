"""The C SDK's memory: it holds what is put in, and what was given back can be had again whole."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chonkle_toolchain.direct_call import call
from hypothesis import given
from hypothesis import strategies as st

from chonkle.backends.base import Limits

MALLOC, FREE, REALLOC, CALLOC, ALIGNED = range(5)
PAGE = 65536
LIMITS = Limits(memory_bytes=64 * PAGE)

sizes = st.one_of(st.integers(0, 100), st.integers(0, 5000), st.integers(0, 20 * PAGE))
orders = st.lists(st.tuples(st.integers(MALLOC, ALIGNED), st.integers(0, 15), sizes), max_size=60)
absurd = st.integers(2**31 - 40, 2**32 - 1)


@dataclass(frozen=True)
class Memory:
    """The codec that has orders carried out."""

    wasm: bytes = field(repr=False)

    def carry_out(self, given: list[tuple[int, int, int]]) -> tuple[int, int, int]:
        """Give how many orders got none, and how many pages there were when all was free, twice."""
        script = b"".join(struct.pack("<3I", *order) for order in given)
        result = call(self.wasm, "decode", {"bytes": script}, limits=LIMITS)
        refused, free, again = struct.unpack("<3I", result["bytes"])
        return refused, free, again


@pytest.fixture(scope="session")
def memory(probes: Path) -> Memory:
    return Memory((probes / "memory" / "memory-c@0.1.0.core.wasm").read_bytes())


@pytest.mark.toolchain
@given(given=orders)
def test_any_orders(memory: Memory, given: list[tuple[int, int, int]]) -> None:
    _, free, again = memory.carry_out(given)
    # All that was free was free in one piece.
    assert again == free


@pytest.mark.toolchain
@given(given=orders, order=st.tuples(st.sampled_from([MALLOC, REALLOC, CALLOC, ALIGNED]), absurd))
def test_sizes_that_nothing_has(
    memory: Memory, given: list[tuple[int, int, int]], order: tuple[int, int]
) -> None:
    before = memory.carry_out(given)
    after = memory.carry_out([*given, (order[0], 3, order[1])])
    assert after == (before[0] + 1, *before[1:])


@pytest.mark.toolchain
def test_nearly_all_allowed_memory_can_be_allocated(memory: Memory) -> None:
    most = 55 * PAGE
    rising = [(REALLOC, 0, size) for size in range(0, most, 3 * PAGE)]
    assert memory.carry_out([(MALLOC, 0, most)])[0] == 0
    # Where it stands, it can grow: there is no room for two of them.
    assert memory.carry_out(rising)[0] == 0
    # And after others of all sizes.
    others = [(MALLOC, slot, size) for slot, size in enumerate((7, 900, PAGE, 9 * PAGE, 30 * PAGE))]
    freed = [(FREE, slot, 0) for slot in (3, 0, 4, 1, 2)]
    assert memory.carry_out([*others, *freed, (MALLOC, 9, most)])[0] == 0
