"""The report on one file: named checks, each passed, failed, or not applicable."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from chonkle.errors import ChonkleError, printable

type Outcome = Literal["passed", "failed", "not applicable"]

_OUTCOME_WIDTH = len("not applicable")


class CheckFailed(ChonkleError):  # noqa: N818 - what was found, and not a failure of ours
    """A codec does not meet the requirement of a check."""


class NotApplicable(ChonkleError):  # noqa: N818 - the same
    """A check has nothing to look at."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one file.

    Attributes:
        name: its name, the same in every report.
        outcome: the outcome.
        reason: why it did not pass; otherwise what was looked at.
    """

    name: str
    outcome: Outcome
    reason: str = ""


def carry_out(name: str, check: Callable[[], str]) -> Check:
    """Carry out a check; an error is its outcome.

    Args:
        name: the check's name.
        check: does the work, and describes what it looked at.
    """
    try:
        return Check(name, "passed", check())
    except NotApplicable as reason:
        return Check(name, "not applicable", str(reason))
    except ChonkleError as failure:
        return Check(name, "failed", str(failure))


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one file.

    Attributes:
        file: its name.
        codec: the codec of its signature, `zlib-rs@1.0.0 (core)`; empty without one.
        checks: in the order in which they were carried out.
        seconds: how long they took.
    """

    file: str
    codec: str
    checks: tuple[Check, ...]
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == "failed")

    def with_checks(self, checks: tuple[Check, ...]) -> "Report":
        """Give the report with more checks after the others."""
        return replace(self, checks=(*self.checks, *checks))

    def lines(self, *, every: bool = False) -> Iterator[str]:
        """Format the report as text.

        Args:
            every: include the checks that did not fail.

        Yields:
            A line about the file, and one about each check.
        """
        yield f"{'failed' if self.failed else 'passed'}  {printable(self.file)}  {self._summary()}"
        for check in self.checks if every else self.failed:
            line = f"  {check.outcome:<{_OUTCOME_WIDTH}}  {check.name:<15}  {check.reason}"
            yield line.rstrip()

    def to_json(self) -> dict[str, object]:
        """Format the report as a JSON object."""
        return {
            "file": self.file,
            "codec": self.codec,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "checks": [
                {"name": check.name, "outcome": check.outcome, "reason": check.reason}
                for check in self.checks
            ],
        }

    def _summary(self) -> str:
        counts = dict.fromkeys(("passed", "failed", "not applicable"), 0)
        for check in self.checks:
            counts[check.outcome] += 1
        displayed = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        return f"{displayed}, {self.seconds:.1f} s"
