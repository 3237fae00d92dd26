"""What the command line says of builds and tools."""

from collections.abc import Iterable, Iterator

from chonkle_toolchain.build import Outcome
from chonkle_toolchain.tools import Tool

_KIB = 1024


def outcome_line(outcome: Outcome) -> str:
    """Write one line about one codec."""
    parts = [f"{outcome.name:<24} {outcome.state:<11}"]
    for abi, artifact in (("core", outcome.core), ("component", outcome.component)):
        if artifact is not None:
            parts.append(f"{abi} {artifact.size_bytes / _KIB:7.1f} KiB")
    if outcome.state == "built":
        parts.append(f"{outcome.seconds:5.1f} s")
    if outcome.reason:
        parts.append(f"({outcome.reason})")
    return "  ".join(parts).rstrip()


def summary_line(outcomes: Iterable[Outcome]) -> str:
    """Write one line about all of them."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "no codecs"


def tool_lines(tools: Iterable[Tool]) -> Iterator[str]:
    """Write a line about each tool, and the way to get what is missing."""
    for tool in tools:
        state = "found" if tool.found else "missing"
        version = tool.version or "-"
        yield f"{tool.name:<12} {state:<8} {version:<10} wants {tool.wanted:<10} {tool.purpose}"
        if not tool.found:
            yield f"{'':<12} hint: {tool.hint}"
