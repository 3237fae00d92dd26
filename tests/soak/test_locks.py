"""A lock saves work and never stops any, also a lost or a missing one."""

import os
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be stopped"),
]
# How long the program waits for a stopped process.
WAITED_S = 0.3
KILLED = 9


def came(loaded: int, compiled: int, kept: int) -> dict[str, object]:
    return {"right": True, "loaded": loaded, "compiled": compiled, "kept": kept}


def require(looked: Any, expected: dict[str, object], *, told: str = "") -> None:
    """Require an outcome, and one message, or none."""
    assert {name: looked[name] for name in expected} == expected
    assert len(looked["messages"]) == bool(told)
    assert all(told in message for message in looked["messages"])


@pytest.fixture(scope="module", params=["core", "component"])
def report(
    request: pytest.FixtureRequest,
    report_of: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    return report_of("lock", request.param, tmp_path_factory.mktemp("locks"))


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_where_there_are_no_locks_entries_are_kept_all_the_same(report: Any, name: str) -> None:
    found = report[name]
    require(found["first"], came(0, 1, 1), told="several processes may compile the same")
    require(found["second"], came(1, 0, 0))
    assert found["freed"] > 0


def test_where_locks_fail_nothing_is_kept(report: Any) -> None:
    for look in ("first", "second"):
        require(
            report["with_broken_locks"][look], came(0, 1, 0), told="compiled in memory and not kept"
        )


def test_a_stopped_process_only_delays_others(report: Any) -> None:
    found = report["while_stopped"]
    require(found["meanwhile"], came(0, 1, 0))
    assert found["meanwhile"]["seconds"] >= WAITED_S
    # What was stopped goes on, and its work is kept.
    assert found["status"] == 0
    require(found["afterwards"], came(1, 0, 0))


def test_a_waiting_process_loads_what_the_other_compiled(report: Any) -> None:
    found = report["until_it_goes_on"]
    assert (found["status"], found["waiter"]) == (0, 0)
    require(found["looked"], came(1, 0, 0))


def test_the_lock_of_a_dead_process_is_free(report: Any) -> None:
    # The program would have waited for it for a day.
    found = report["after_a_death"]
    assert found["status"] == KILLED
    require(found["first"], came(0, 1, 1))
    require(found["second"], came(1, 0, 0))
