"""Timing: all calls in turn, in many rounds, so that a slow machine slows all of them.

Times are processor times of this process, as each call runs on one thread: other processes do not
add to them.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

type Call = Callable[[], object]

# Reading the processor time takes 1 to 2 microseconds, so short calls are timed together.
SAMPLE_S = 5e-4


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: the number of turns of each call.
        turn_s: the approximate length of a turn.
    """

    rounds: int
    turn_s: float


def seconds_in_turn(calls: Mapping[str, Call], effort: Effort) -> dict[str, list[float]]:
    """Return the median time of each call in each round."""
    together = {name: how_many(call, SAMPLE_S) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(effort.rounds):
        for name, call in calls.items():
            times[name].append(median_seconds(call, together[name], effort.turn_s))
    return times


def how_many(call: Call, seconds: float) -> int:
    """Return how many calls take `seconds`, at least one. They also warm it up."""
    call()
    count = 1
    while (taken := seconds_of(call, count)) < seconds:
        count *= 2
    return max(1, round(count * seconds / taken))


def median_seconds(call: Call, together: int, turn_s: float) -> float:
    """Return the median time of a call over one turn."""
    times = [seconds_of(call, together)]
    while sum(times) < turn_s:
        times.append(seconds_of(call, together))
    return statistics.median(times) / together


def seconds_of(call: Call, count: int) -> float:
    """Return the time of some calls together."""
    started = time.process_time()
    for _ in range(count):
        call()
    return time.process_time() - started


def ratio_of(other: Sequence[float], ours: Sequence[float]) -> float:
    """Return the time of the other call as a multiple, the median over rounds."""
    return statistics.median(a / b for a, b in zip(other, ours, strict=True))
