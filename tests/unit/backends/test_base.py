"""The limits of a call."""

from typing import Any

import pytest

from chonkle.backends.base import Limits
from chonkle.errors import LimitError
from chonkle.limits import CompileLimits


@pytest.mark.parametrize(
    "limits",
    [{"timeout_s": value} for value in (0, -1, float("nan"), float("inf"), 86_401, "1", True)]
    + [
        {name: value}
        for name in ("memory_bytes", "output_bytes")
        for value in (0, -1, 1.5, "5", None, 1 << 64, True)
    ]
    + [{"memory_bytes": (1 << 32) + 1}],
    ids=str,
)
def test_a_limit_that_limits_nothing_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(LimitError, match="bad limit"):
        Limits(**limits)
    # The compiler is no guest, and may have more than 4 GiB.
    if limits.get("memory_bytes") != (1 << 32) + 1 and "output_bytes" not in limits:
        with pytest.raises(LimitError, match="bad limit"):
            CompileLimits(**limits)


def test_limits_are_limits_or_the_defaults() -> None:
    given = Limits(memory_bytes=1 << 20)
    assert Limits.of(given) is given
    assert Limits.of(None) == Limits()
    for wrong in ({"memory": 1}, {}, 0, 1 << 20):
        with pytest.raises(LimitError, match="bad `limits`, expected"):
            Limits.of(wrong)


def test_the_highest_limits() -> None:
    limits = Limits(memory_bytes=1 << 32, output_bytes=1 << 44, timeout_s=86_400)
    assert limits.memory_bytes == 4 << 30
