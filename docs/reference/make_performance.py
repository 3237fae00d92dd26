"""Write `performance.md` and its picture from the figures that the benchmarks write.

make bench-codecs ARGS=--markdown
make bench-calls ARGS=--markdown
"""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.picture import draw_ratio_axis, small_png

PAGE = Path(__file__).with_name("performance.md")
PICTURE = PAGE.with_suffix(".png")
FIGURES = PAGE.with_suffix(".json")
CALLS = PAGE.with_name("performance-calls.json")

SIZES = {4 << 10: "4 KiB", 64 << 10: "64 KiB", 4 << 20: "4 MiB"}
DIRECTIONS = ("decode", "encode")
COLUMNS = [(direction, size) for direction in DIRECTIONS for size in SIZES]
COLOURS = ("#9ecae1", "#3182bd", "#08306b")
TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
# The reference where a name has no other in brackets.
REFERENCE = "numcodecs"
FAMILIES = ("compressors", "TIFF", "filters", "checksums", "others")

HEAD = """# Performance

`make bench-codecs ARGS=--markdown` writes this page; do not edit it.
[performance.json](performance.json) has all figures.

Table and picture show each shipped codec, as `chonkle.run` runs its core module in a pipeline of
one step. Speed is megabytes of decoded data a second; copies into and out of the codec's memory
count. In brackets is the ratio to the reference, which is native code: above 1, our codec is
faster. The reference is numcodecs unless the name has another in brackets.

Figures are medians of processor time over rounds that measure each codec in turn, on one thread.
The data are real elevations and data made from them: differences for compressors, air pressures as
floats. Ratios are good to about 10 %, and to 20 % where memory bandwidth is the limit.
"""
OTHERS = """
## Other packages

Ratios to codecs of other packages. numcodecs-wasm is WebAssembly too, in a format of its own.
"""
TARGETS = """
## Targets

Measured ratio / wanted ratio, by chunk size; missed ones are bold. Rows without one are left out.
"""
MEMORY = """
## Memory
"""
CALL_TIMES = """
## Calls from Python

`make bench-calls ARGS=--markdown` measures calls of one small chunk of differences: `decode` and
`encode` of `chonkle.codec`, in microseconds of processor time. In brackets is the ratio to the same
call of numcodecs: above 1, ours is faster.
"""
RESULTS = """
A large result may go to the caller's memory, or stay in the codec's. The ratio is to `decode`,
which copies it into new bytes.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A case with all of its rows.

    Attributes:
        name: the codec, and what sets the case apart.
        family: its group.
        rows: what was measured, by direction and size.
    """

    name: str
    family: str
    rows: Mapping[tuple[str, int], Mapping[str, Any]]

    @property
    def rivals(self) -> list[str]:
        """Whom it is compared with, the reference first."""
        return list(next(iter(self.rows.values()))["ratio"])

    def ratio(self, rival: str, direction: str, size: int) -> float | None:
        """Give how many times as fast as a rival it is; None where that was not measured."""
        row = self.rows.get((direction, size))
        ratio: float | None = row["ratio"].get(rival) if row else None
        return ratio


def cases_of(rows: Iterable[Mapping[str, Any]]) -> list[Case]:
    """Gather rows by case, family by family."""
    found: dict[tuple[str, str], dict[tuple[str, int], Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["name"], row["family"])
        found.setdefault(key, {})[row["direction"], row["size_bytes"]] = row
    cases = [Case(name, family, rows) for (name, family), rows in found.items()]
    return sorted(cases, key=lambda case: (FAMILIES.index(case.family), case.name))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table whose figures are aligned to the right."""
    rule = "|".join("---" if name == "codec" else "---:" for name in header)
    lines = [f"| {' | '.join(line)} |" for line in (header, *rows)]
    lines.insert(1, f"|{rule}|")
    return "\n" + "\n".join(lines) + "\n"


def speed(case: Case, direction: str, size: int) -> str:
    """Write a speed, and how it compares with the reference."""
    row = case.rows.get((direction, size))
    if row is None:
        return ""
    ratio = case.ratio(case.rivals[0], direction, size) if case.rivals else None
    return f"{row['mb_s']['run']:.0f}" + (f" ({ratio:.2f})" if ratio is not None else "")


def against(case: Case, rival: str) -> list[str]:
    """Write a line of ratios."""
    ratios = [case.ratio(rival, *column) for column in COLUMNS]
    return [case.name, *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)]


def page(figures: Mapping[str, Any]) -> str:
    """Write the whole page."""
    cases = cases_of(figures["rows"])
    speeds = [f"{direction} {SIZES[size]}" for direction, size in COLUMNS]
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    lines = []
    for family, group in groupby(cases, lambda case: case.family):
        lines.append([f"**{family}**", *("" for _ in speeds)])
        lines += [[named(case), *(speed(case, *column) for column in COLUMNS)] for case in group]
    others = []
    for rival in sorted({rival for case in cases for rival in case.rivals[1:]}):
        others.append([f"**{rival}**", *("" for _ in speeds)])
        others += [against(case, rival) for case in cases if rival in case.rivals[1:]]
    return "".join(
        [
            HEAD,
            f"\nMeasured on {figures['machine']}, with {versions}.\n",
            "\n![The speed of each codec, as a ratio to its reference](performance.png)\n",
            table(["codec", *speeds], lines),
            OTHERS,
            table(["codec", *speeds], others),
            TARGETS,
            targets_words(figures["targets"]),
            pipelines_words(figures["targets"], {case.name for case in cases}),
            MEMORY,
            memory_words(figures["memory"]),
            calls_words(json.loads(CALLS.read_text("utf-8"))),
        ]
    )


def targets_words(targets: Sequence[Mapping[str, Any]]) -> str:
    """Write which targets were missed: a row for each case, direction and rival."""
    missed = {row_of(target) for target in targets if not target["held"]}
    shown = [target for target in targets if row_of(target) in missed]
    sizes = sorted({target["size"] for target in shown}, key=size_order)
    rows: dict[str, dict[str, str]] = {}
    for target in shown:
        row = rows.setdefault(row_of(target), {})
        ratios = f"{target['found']:.2f} / {target['wanted']:.2f}"
        row[target["size"]] = ratios if target["held"] else f"**{ratios}**"
    lines = [[name, *(row.get(size, "") for size in sizes)] for name, row in rows.items()]
    held = sum(target["held"] for target in targets)
    return table(["codec", *sizes], lines) + f"\n{held} of {len(targets)} reached.\n"


def pipelines_words(targets: Sequence[Mapping[str, Any]], codecs: Container[str]) -> str:
    """Write how fast the pipelines are, which the tables of codecs do not show."""
    found: dict[str, list[float]] = {}
    for target in targets:
        if target["name"] not in codecs:
            found.setdefault(target["rival"], []).append(target["found"])
    ratios = (f"{min(each):.2f} to {max(each):.2f} ({name})" for name, each in found.items())
    return (
        f"\nRatios of pipelines of several steps: {', '.join(ratios)}.\n"
        "`its steps` stands for runs of each step alone, and a copy of the output of each.\n"
    )


def row_of(target: Mapping[str, Any]) -> str:
    """Name the row of a target."""
    rival = "" if target["rival"] == REFERENCE else f" ({target['rival']})"
    return f"{target['name']}, {target['direction']}{rival}"


def size_order(size: str) -> tuple[int, int]:
    """Give what sorts sizes such as `64 KiB`."""
    number, unit = size.split()
    return ["KiB", "MiB"].index(unit), int(number)


def memory_words(growths: Sequence[Mapping[str, Any]]) -> str:
    """Write how much larger the process became."""
    worst = max(growths, key=lambda growth: growth["growth_bytes"])
    return (
        f"\nEach codec encoded and decoded {worst['chunks']} chunks of 64 KiB. The process grew by"
        f" at most {worst['growth_bytes'] // 1024} KiB (`{worst['name']}`).\n"
    )


def calls_words(figures: Mapping[str, Any]) -> str:
    """Write how long calls from Python take, by codec, and beside other ways to get a result."""
    small: dict[str, dict[tuple[str, str], str]] = {}
    large = []
    for row in figures["rows"]:
        name, way = row["call"].split(", ")
        time = f"{row['microseconds']:.1f}"
        if row["beside"] == REFERENCE:
            column = (way, row["size"])
            small.setdefault(name, {})[column] = f"{time} ({row['ratio']:.2f})"
        else:
            large.append([f"{name}, `{way}`", row["size"], time, f"{row['ratio']:.2f}"])
    # Directions first, as in the table of codecs.
    columns = sorted(next(iter(small.values())), key=lambda column: DIRECTIONS.index(column[0]))
    lines = [[name, *(row[column] for column in columns)] for name, row in small.items()]
    return "".join(
        [
            CALL_TIMES,
            table(["codec", *map(" ".join, columns)], lines),
            RESULTS,
            table(["codec", "size", "microseconds", "ratio"], large),
        ]
    )


def picture(cases: Sequence[Case]) -> bytes:
    """Draw how cases compare with their references: a dot for each size, around a line at 1.

    Args:
        cases: sorted by family; those without a reference are left out.

    Returns:
        A PNG.
    """
    lines: list[Case | str] = []
    for family, group in groupby((case for case in cases if case.rivals), lambda c: c.family):
        lines += [family, *group]
    figure = Figure(figsize=(8.6, 0.21 * len(lines) + 1.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, direction in zip(panels, DIRECTIONS, strict=True):
        frame(panel, direction, limits_of(cases))
        for place, line in enumerate(lines):
            if isinstance(line, Case):
                dots(panel, line, direction, place)
    labels = [line if isinstance(line, str) else named(line) for line in lines]
    panels[0].set_yticks(range(len(lines)), labels, fontsize=8)
    for line, label in zip(lines, panels[0].get_yticklabels(), strict=True):
        label.set_fontweight("bold" if isinstance(line, str) else "normal")
    panels[0].set_ylim(len(lines) - 0.4, -0.6)
    for size, colour in zip(SIZES.values(), COLOURS, strict=True):
        panels[1].plot([], [], "o", color=colour, markersize=5.5, label=size)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return small_png(figure)


def limits_of(cases: Sequence[Case]) -> tuple[float, float]:
    """Give the least and the greatest ratio to draw, with room around them."""
    ratios = [
        ratio
        for case in cases
        for column in COLUMNS
        if case.rivals and (ratio := case.ratio(case.rivals[0], *column)) is not None
    ]
    return min([0.2, *ratios]) * 0.85, max([5, *ratios]) * 1.2


def frame(panel: Axes, direction: str, limits: tuple[float, float]) -> None:
    """Draw what stands behind the dots."""
    draw_ratio_axis(panel, f"{direction}, times as fast as the reference", limits, TICKS)
    at_top = panel.get_xaxis_transform()
    panel.text(0.95, 1, "slower", ha="right", va="top", fontsize=8, transform=at_top)
    panel.text(1.05, 1, "faster", ha="left", va="top", fontsize=8, transform=at_top)
    panel.axvspan(1, limits[1], color="#eef5ee", zorder=0)


def dots(panel: Axes, case: Case, direction: str, place: int) -> None:
    """Draw one case."""
    ratios = [case.ratio(case.rivals[0], direction, size) for size in SIZES]
    known = [ratio for ratio in ratios if ratio is not None]
    if known:
        panel.plot([min(known), max(known)], [place] * 2, color="#c9c9c9", linewidth=1, zorder=1)
    for ratio, colour in zip(ratios, COLOURS, strict=True):
        if ratio is not None:
            panel.plot(ratio, place, "o", color=colour, markersize=5.5, zorder=3)


def named(case: Case) -> str:
    """Name a case, and its reference where that is not numcodecs."""
    others = [rival for rival in case.rivals[:1] if rival != REFERENCE]
    return " ".join([case.name, *(f"({rival})" for rival in others)])


def main() -> None:
    """Write the page and its picture."""
    figures = json.loads(FIGURES.read_text("utf-8"))
    PAGE.write_text(page(figures), encoding="utf-8")
    PICTURE.write_bytes(picture(cases_of(figures["rows"])))


if __name__ == "__main__":
    main()
