"""Timing: everybody in turn, round after round, so that what slows the machine slows them all.

Seconds are those that the processor worked for this process: everybody is measured on one thread,
and what else runs on the machine takes nothing away.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

type Call = Callable[[], object]

# Asking for the time of a process takes a microsecond or two, so short calls are timed together.
SAMPLE_S = 5e-4


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: how often everybody has a turn.
        turn_s: how long one lasts, about.
    """

    rounds: int
    turn_s: float


def seconds_in_turn(calls: Mapping[str, Call], effort: Effort) -> dict[str, list[float]]:
    """Give the median time of each call in each round."""
    together = {name: how_many(call, SAMPLE_S) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(effort.rounds):
        for name, call in calls.items():
            times[name].append(median_seconds(call, together[name], effort.turn_s))
    return times


def how_many(call: Call, seconds: float) -> int:
    """Say how many calls take so long together, at least one; they are warm then."""
    call()
    count = 1
    while (taken := seconds_of(call, count)) < seconds:
        count *= 2
    return max(1, round(count * seconds / taken))


def median_seconds(call: Call, together: int, turn_s: float) -> float:
    """Give the median time of a call over one turn."""
    times = [seconds_of(call, together)]
    while sum(times) < turn_s:
        times.append(seconds_of(call, together))
    return statistics.median(times) / together


def seconds_of(call: Call, count: int) -> float:
    """Give the time of some calls together."""
    started = time.process_time()
    for _ in range(count):
        call()
    return time.process_time() - started


def ratio_of(other: Sequence[float], ours: Sequence[float]) -> float:
    """Give how many times as long the other takes, from round to round."""
    return statistics.median(a / b for a, b in zip(other, ours, strict=True))
