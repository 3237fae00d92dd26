"""Write `zarr-performance.md` and its picture from `zarr-performance.json`, of the benchmark.

make bench-zarr ARGS=--markdown
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.picture import draw_ratio_axis, small_png

PAGE = Path(__file__).with_name("zarr-performance.md")
PICTURE = PAGE.with_suffix(".png")
FIGURES = PAGE.with_suffix(".json")

STOCK, OURS = "stock", "chonkle"
CONTENDERS = {
    "stock, fused": "#bdbdbd",
    "chonkle codecs, fused": "#9ecae1",
    OURS: "#08519c",
    "zarrs-python": "#d95f0e",
    "tensorstore": "#41ab5d",
}
DIRECTIONS = {"read": "Reading", "write": "Writing"}
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50)

HEAD = """# Performance of Zarr arrays

`make bench-zarr ARGS=--markdown` writes this page; do not edit it.
[zarr-performance.json](zarr-performance.json) has all figures.

A float32 array of {mib} MiB, air pressures over real elevations, is read and written as a whole,
with square chunks. Contenders:

- stock: zarr-python with its default pipeline; fused: with its `FusedCodecPipeline`;
- chonkle: after `chonkle.zarr.use()`; chonkle codecs, fused: only its codecs, in the pipeline of
  zarr-python;
- zarrs-python: a pipeline in Rust, behind zarr-python;
- tensorstore: a library of its own in C++, which lacks the codecs of numcodecs.

Each has a process of its own, and they take turns. Figures are medians; the files are in memory.
"""
CHUNKS_WORDS = """
Codecs stand in the order of encoding. A shard has sixteen chunks.
"""
TARGETS = """
## Targets

Reading, measured ratio / wanted ratio; a ratio within 10 % of what is wanted is reached, and others
are bold.
"""


def chunk_text(size_bytes: int) -> str:
    """Write the size of a chunk."""
    return f"{size_bytes >> 20} MiB" if size_bytes >> 20 else f"{size_bytes >> 10} KiB"


type Results = Mapping[tuple[str, str, int, str], Mapping[str, Any]]


def keyed(results: Iterable[Mapping[str, Any]]) -> Results:
    """Give results by direction, codecs, chunk and contender."""
    return {
        (each["direction"], each["case"], each["chunk_bytes"], each["contender"]): each
        for each in results
    }


def rows_of(results: Results) -> list[tuple[str, int]]:
    """Give codecs and chunks, the largest chunks first."""
    found = dict.fromkeys((case, chunk) for _, case, chunk, _ in results)
    return sorted(found, key=lambda row: -row[1])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table whose figures are aligned to the right."""
    rule = "|".join(["---", "---", *["---:"] * (len(header) - 2)])
    lines = [f"| {' | '.join(line)} |" for line in (header, *rows)]
    lines.insert(1, f"|{rule}|")
    return "\n" + "\n".join(lines) + "\n"


def figures_table(
    results: Results,
    direction: str,
    contenders: Sequence[str],
    text: Callable[[Mapping[str, Any]], str],
) -> str:
    """Lay out one figure of all contenders."""
    lines = []
    for case, chunk in rows_of(results):
        found = [results.get((direction, case, chunk, name)) for name in contenders]
        lines.append([chunk_text(chunk), case, *(text(each) if each else "" for each in found)])
    return table(["chunk", "codecs", *contenders], lines)


def page(figures: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        figures: what is in the file of results.
    """
    results = keyed(figures["results"])
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    everybody = [STOCK, *CONTENDERS]
    parts = [
        HEAD.format(mib=figures["mib"]),
        f"\nMeasured on {figures['machine']}, with {versions}.\n",
        "\n![The speed of each contender, as a multiple of zarr-python's](zarr-performance.png)\n",
        CHUNKS_WORDS,
    ]
    for direction, title in DIRECTIONS.items():
        parts += [
            f"\n## {title}\n\nTimes as fast as stock zarr-python:\n",
            figures_table(
                results, direction, [*CONTENDERS], lambda each: f"{each['times_stock']:.2f}"
            ),
            "\nProcessor time of all threads, in milliseconds:\n",
            figures_table(
                results, direction, everybody, lambda each: f"{each['cpu_seconds'] * 1e3:.0f}"
            ),
            "\nThe most memory of the process, in MiB:\n",
            figures_table(
                results, direction, everybody, lambda each: f"{each['peak_bytes'] >> 20}"
            ),
        ]
    return "".join([*parts, TARGETS, targets_table(figures["targets"])])


def targets_table(targets: Sequence[Mapping[str, Any]]) -> str:
    """Lay out which targets were reached."""
    rivals = list(dict.fromkeys(target["rival"] for target in targets))
    rows: dict[tuple[int, str], dict[str, str]] = {}
    for target in targets:
        ratios = f"{target['found']:.2f} / {target['wanted']:.2f}"
        row = rows.setdefault((target["chunk_bytes"], target["case"]), {})
        row[target["rival"]] = ratios if target["held"] else f"**{ratios}**"
    lines = [
        [chunk_text(chunk), case, *(row.get(rival, "") for rival in rivals)]
        for (chunk, case), row in rows.items()
    ]
    held = sum(target["held"] for target in targets)
    return table(["chunk", "codecs", *rivals], lines) + f"\n{held} of {len(targets)} reached.\n"


def picture(figures: Mapping[str, Any]) -> bytes:
    """Draw how fast each contender is: a dot for each, around a line at stock zarr-python.

    Returns:
        A PNG.
    """
    results = keyed(figures["results"])
    lines: list[tuple[str, int]] = []
    for case, chunk in rows_of(results):
        if not lines or lines[-1][1] != chunk:
            lines.append(("", chunk))
        lines.append((case, chunk))
    figure = Figure(figsize=(8.6, 0.23 * len(lines) + 1.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (direction, title) in zip(panels, DIRECTIONS.items(), strict=True):
        ratios = [each["times_stock"] for key, each in results.items() if key[0] == direction]
        limits = min([0.4, *ratios]) * 0.85, max([5, *ratios]) * 1.2
        draw_ratio_axis(panel, f"{title}, times as fast as stock zarr-python", limits, TICKS)
        for place, (case, chunk) in enumerate(lines):
            dots(panel, place, {
                name: results[key]["times_stock"]
                for name in CONTENDERS
                if case and (key := (direction, case, chunk, name)) in results
            })  # fmt: skip
    labels = [case or f"chunks of {chunk_text(chunk)}" for case, chunk in lines]
    panels[0].set_yticks(range(len(lines)), labels, fontsize=8)
    for (case, _), label in zip(lines, panels[0].get_yticklabels(), strict=True):
        label.set_fontweight("normal" if case else "bold")
    panels[0].set_ylim(len(lines) - 0.4, -0.6)
    for name, colour in CONTENDERS.items():
        panels[1].plot([], [], "o", color=colour, markersize=5.5, label=name)
    figure.legend(loc="outside lower center", ncols=len(CONTENDERS), fontsize=8, frameon=False)
    return small_png(figure)


def dots(panel: Axes, place: int, ratios: Mapping[str, float]) -> None:
    """Draw one array; chonkle's dot lies above the others."""
    if ratios:
        ends = [min(ratios.values()), max(ratios.values())]
        panel.plot(ends, [place] * 2, color="#d9d9d9", linewidth=1, zorder=1)
    for name, ratio in ratios.items():
        panel.plot(
            ratio, place, "o", color=CONTENDERS[name], markersize=5.5, zorder=3 + (name == OURS)
        )


def main() -> None:
    """Write the page and its picture."""
    figures = json.loads(FIGURES.read_text("utf-8"))
    PAGE.write_text(page(figures), encoding="utf-8")
    PICTURE.write_bytes(picture(figures))


if __name__ == "__main__":
    main()
