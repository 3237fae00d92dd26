"""Which instances may wait for calls."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
import wasmtime

from chonkle.backends.base import Codec, Limits
from chonkle.backends.wasm.guest_store import GuestFunctions
from chonkle.backends.wasm.instance_pool import LIGHT_MEMORY_BYTES, IdleInstances, InstancePool
from chonkle.backends.wasm.unchecked_calls import PublicCalls
from chonkle.engine import Engine, EngineConfig
from tests.unit.backends.conftest import guest
from tests.unit.backends.wasm.written import component

type OpenGuest = Callable[..., Codec]

MIB = 1 << 20


@dataclass(slots=True, eq=False)
class Idler:
    """An instance that does nothing."""

    kept_bytes: int = 0
    given_s: float = 0.0


def work(pool: InstancePool[Idler], sizes: list[int]) -> None:
    """Have so many calls at once, after which the memories have these sizes."""
    taken = [pool.take() for _ in sizes]
    while taken:
        pool.give_grown(taken.pop(), sizes[len(taken)])


def sizes_of(pool: InstancePool[Idler]) -> list[int]:
    return sorted(each.kept_bytes for each in pool.waiting())


@pytest.fixture
def _moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no two moments be the same."""
    moments = count(1)
    monkeypatch.setattr(
        "chonkle.backends.wasm.instance_pool.time.monotonic", lambda: float(next(moments))
    )


pytestmark = pytest.mark.usefixtures("_moments")


def test_the_start_of_an_instance_is_in_the_time_of_its_first_call() -> None:
    # Each look at the clock takes a second.
    engine = Engine(EngineConfig(interruptible=True))
    functions = GuestFunctions(
        engine, wasmtime.Store(engine.wasmtime), limits=Limits(timeout_s=10.0), calls=PublicCalls()
    )
    functions.begin(is_start=True)
    left = [functions.left_s()]
    functions.begin()
    left.append(functions.left_s())
    functions.begin()
    left.append(functions.left_s())
    assert left == [9.0, 8.0, 9.0]


def test_so_many_instances_are_kept_of_all_pools_and_the_oldest_go() -> None:
    idle = IdleInstances(count_max=3)
    first, second, third = (InstancePool(Idler, idle) for _ in range(3))
    work(first, [1])
    work(second, [1, 1])
    assert (len(first.waiting()), len(second.waiting())) == (1, 2)
    work(third, [1])
    assert (len(first.waiting()), len(second.waiting()), len(third.waiting())) == (0, 2, 1)


def test_of_more_calls_at_once_than_instances_may_wait_the_last_are_kept() -> None:
    pool = InstancePool(Idler, IdleInstances(count_max=3))
    for _ in range(3):
        taken = [pool.take() for _ in range(10)]
        for instance in taken:
            pool.give(instance)
        assert pool.waiting() == tuple(taken[-3:])


def test_so_much_memory_is_kept_of_all_pools_and_the_oldest_goes() -> None:
    idle = IdleInstances(bytes_max=100 * MIB)
    first, second, third = (InstancePool(Idler, idle) for _ in range(3))
    # The last one is given back first.
    work(first, [30 * MIB, 40 * MIB])
    work(second, [30 * MIB])
    assert (sizes_of(first), sizes_of(second)) == ([30 * MIB, 40 * MIB], [30 * MIB])
    work(third, [LIGHT_MEMORY_BYTES + 1])
    assert (sizes_of(first), sizes_of(second)) == ([30 * MIB], [30 * MIB])
    work(second, [100 * MIB])
    assert [sizes_of(pool) for pool in (first, second, third)] == [[], [100 * MIB], []]
    work(second, [100 * MIB + 1])
    assert sizes_of(second) == []


def test_light_instances_have_no_part_in_that() -> None:
    idle = IdleInstances(bytes_max=10 * MIB)
    light, heavy = InstancePool(Idler, idle), InstancePool(Idler, idle)
    work(light, [LIGHT_MEMORY_BYTES] * 20)
    work(heavy, [10 * MIB])
    assert (len(light.waiting()), len(heavy.waiting())) == (20, 1)


@pytest.mark.parametrize("kind", ["core", "component"])
def test_threads_leave_no_more_memory_than_is_allowed(open_guest: OpenGuest, kind: str) -> None:
    # All are in a call at the same time, each with 48 MiB.
    codec = open_guest(guest(memory="768") if kind == "core" else component(memory="768"))
    together = threading.Barrier(8)
    data = {"bytes": bytes(100_000)}

    def call() -> None:
        result = codec.call_borrowed("decode", data)
        together.wait()
        result.close()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codec.memory_bytes() == 5 * 48 * MIB
    # Another codec of the runtime has its part in the same bound.
    other = open_guest(guest(memory="1024"))
    assert other.call("decode", data) == data
    assert (codec.memory_bytes(), other.memory_bytes()) == (4 * 48 * MIB, 64 * MIB)


def test_small_calls_of_large_instances_are_no_way_around(open_guest: OpenGuest) -> None:
    codec = open_guest(guest(memory="768"))
    for size in (100_000, 1, 1):
        lent = [codec.call_borrowed("decode", {"bytes": bytes(100_000)}) for _ in range(7)]
        codec.call("decode", {"bytes": bytes(size)})
        for result in lent:
            result.close()
        assert codec.memory_bytes() == 5 * 48 * MIB
        codec.call("decode", {"bytes": bytes(size)})
        assert codec.memory_bytes() == 5 * 48 * MIB
