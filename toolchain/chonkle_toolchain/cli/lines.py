"""The lines that commands print about builds and tools."""

from collections.abc import Iterable, Iterator

from chonkle_toolchain.build import Outcome
from chonkle_toolchain.reproduce import Reproduction
from chonkle_toolchain.tools import Tool

_KIB = 1024
# More reasons are only counted.
_REASONS_MAX = 4


def outcome_line(outcome: Outcome) -> str:
    """Format an outcome as one line."""
    what = f"{outcome.state} {outcome.name}"
    if outcome.reasons:
        hidden = len(outcome.reasons) - _REASONS_MAX
        more = [f"{hidden} more"] if hidden > 0 else []
        what += f": {', '.join([*outcome.reasons[:_REASONS_MAX], *more])}"
    facts = [
        f"{abi} {artifact.size_bytes / _KIB:.1f} KiB"
        for abi, artifact in (("core", outcome.core), ("component", outcome.component))
        if artifact is not None
    ]
    if outcome.state in ("built", "rebuilt"):
        facts.append(f"{outcome.seconds:.1f} s")
    if outcome.note:
        facts.append(outcome.note)
    return f"{what} ({', '.join(facts)})" if facts else what


def summary_line(outcomes: Iterable[Outcome]) -> str:
    """Format the number of outcomes of each state as one line."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "no codecs"


def tool_lines(tools: Iterable[Tool]) -> Iterator[str]:
    """Format a line for each tool, and how to get a missing one."""
    for tool in tools:
        state = "found" if tool.found else "missing"
        version = tool.version or "-"
        yield f"{tool.name:<12} {state:<8} {version:<10} wants {tool.wanted:<10} {tool.purpose}"
        if not tool.found:
            yield f"{'':<12} hint: {tool.hint}"


def reproduction_lines(found: Reproduction) -> Iterator[str]:
    """Format the outcome of building one codec twice."""
    if found.differences:
        yield f"different {found.name}"
        yield from (f"  {difference}" for difference in found.differences)
    else:
        yield f"same {found.name}: twice{'' if found.note else ', and as it was'}"
    if found.note:
        yield f"  {found.note}"
