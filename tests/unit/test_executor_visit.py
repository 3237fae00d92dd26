"""Runs whose outputs are given to a function: of one item, and of several together."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from chonkle import executor
from chonkle.errors import CodecError, CodecTrap, PipelineError
from chonkle.formats.portmap import Buffer
from tests.unit.fake_codecs import BYTES, FakePrepared, Tally, chain, echo, prepared

ITEMS = [{"bytes": bytes([each]) * each} for each in range(5)]


def visited(run: Any, items: Any = ITEMS) -> list[bytes]:
    found: list[bytes] = []

    def use(index: int, outputs: Mapping[str, Buffer]) -> None:
        assert index == len(found)
        found.append(bytes(outputs["bytes"]))

    executor.visit_many(run, items, use)
    return found


@pytest.mark.parametrize("length", [1, 2, 5])
def test_each_item_gets_its_outputs_and_no_result_stays_open(length: int) -> None:
    tally = Tally()
    assert visited(chain(length, tally)) == [each["bytes"] for each in ITEMS]
    # Step by step, for all items; what the step before gave is closed then.
    assert [call["bytes"] for call in tally.calls] == [each["bytes"] for each in ITEMS] * length
    assert tally.open == 0
    assert tally.peak == min(length, 2) * len(ITEMS)


def test_no_items_are_no_calls() -> None:
    tally = Tally()
    assert visited(chain(2, tally), []) == []
    assert tally.calls == []


def failing(failure: Exception) -> Callable[[Mapping[str, Buffer]], Mapping[str, bytes]]:
    def run(ports: Mapping[str, Buffer]) -> Mapping[str, bytes]:
        if len(ports["bytes"]) == 3:
            raise failure
        return echo(ports)

    return run


@pytest.mark.parametrize("failure", [CodecError("no"), CodecTrap("broke"), KeyError("x")])
def test_a_failure_closes_every_result(failure: Exception) -> None:
    tally = Tally()
    with pytest.raises(type(failure)):
        visited(chain(2, tally, failing(failure)))
    assert tally.open == 0


def test_a_failure_names_its_step() -> None:
    with pytest.raises(CodecError, match="step `s0`"):
        visited(chain(2, Tally(), failing(CodecError("no"))))


def test_a_bad_input_is_refused_before_any_call() -> None:
    tally = Tally()
    with pytest.raises(PipelineError, match="not a buffer"):
        visited(chain(1, tally), [*ITEMS, {"bytes": 5}])
    assert tally.calls == []


def test_an_output_that_a_codec_must_return_and_does_not_is_a_trap() -> None:
    tally = Tally()
    run: FakePrepared = prepared(
        {"bytes": BYTES},
        {"s": ({"bytes": "input.bytes"}, lambda _: {})},
        {"bytes": "s.bytes"},
        tally=tally,
    )
    with pytest.raises(CodecTrap, match="did not return"):
        visited(run)
    assert tally.open == 0


def test_a_function_that_fails_leaves_no_result_open() -> None:
    tally = Tally()

    def use(index: int, _: Mapping[str, Buffer]) -> None:
        raise RuntimeError(str(index))

    with pytest.raises(RuntimeError, match="0"):
        executor.visit_many(chain(2, tally), ITEMS, use)
    assert tally.open == 0
