"""The pictures that the demo leaves: the decoded tile, and the times."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from elevation import COLUMN, ROW, TILE, UNITS_PER_METRE, Elevation, Pixels
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from ways import Comparison

OURS, SLOWER, THEIRS = "#2f6f5e", "#9dbdb2", "#b9bdb8"


def draw_relief(path: Path, pixels: Pixels, elevation: Elevation) -> None:
    """Draw the decoded tile as a shaded relief."""
    west = elevation.west + COLUMN * TILE * elevation.step
    north = elevation.north - ROW * TILE * elevation.step
    east, south = west + TILE * elevation.step, north - TILE * elevation.step
    relief, key = shade(pixels, elevation)
    with mpl.rc_context({"font.size": 9, "axes.linewidth": 0.6}):
        # A figure of its own needs no display and no global state.
        figure = Figure(figsize=(8.2, 8.4), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.imshow(relief, extent=(west, east, south, north), aspect=1 / narrowing(elevation))
        bar = figure.colorbar(key, ax=axes, shrink=0.6, aspect=30, pad=0.02)
        bar.set_label("elevation in metres")
        bar.outline.set_visible(False)
        axes.set_title("Jacksboro fault, Tennessee: one tile, decoded in a sandbox", loc="left")
        axes.xaxis.set_major_formatter(lambda value, _: f"{-value:.2f}° W")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}° N")
        axes.xaxis.set_major_locator(MultipleLocator(0.04))
        axes.yaxis.set_major_locator(MultipleLocator(0.04))
        figure.savefig(path)


def shade(pixels: Pixels, elevation: Elevation) -> tuple[Any, mpl.cm.ScalarMappable]:
    """Give the tile as a shaded relief, with what its colours mean.

    Returns:
        An image, shape (TILE, TILE, 4), and the scale of colours in metres.
    """
    metres = pixels / UNITS_PER_METRE
    up = 111_320 * elevation.step  # metres between rows
    colours = LinearSegmentedColormap.from_list(
        "hills", ["#4f7d63", "#8fae7c", "#d9d3a3", "#c7a67d", "#97694f", "#efe9e1"]
    )
    light = LightSource(azdeg=315, altdeg=42)
    across = up * narrowing(elevation)
    relief = light.shade(metres, cmap=colours, blend_mode="soft", vert_exag=2.5, dx=across, dy=up)
    scale = mpl.colors.Normalize(metres.min(), metres.max())
    return relief, mpl.cm.ScalarMappable(scale, colours)


def narrowing(elevation: Elevation) -> float:
    """Give the length of a degree of longitude in the tile, in degrees of latitude."""
    middle = elevation.north - (ROW + 0.5) * TILE * elevation.step
    return float(np.cos(np.radians(middle)))


def draw_front(
    path: Path, pixels: Pixels, elevation: Elevation, comparisons: Sequence[Comparison]
) -> None:
    """Draw the tile beside the times, for the README."""
    with mpl.rc_context({"font.size": 9, "axes.linewidth": 0.6}):
        figure = Figure(figsize=(9.6, 3.5), dpi=110, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.9))
        relief, _ = shade(pixels, elevation)
        left.imshow(relief, aspect=1 / narrowing(elevation))
        left.set_axis_off()
        left.set_title("A GeoTIFF tile, decoded in a sandbox", loc="left", size=9)
        draw_times(right, comparisons)
        figure.savefig(path)


def draw_times(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    """Draw how many times as fast chonkle is as what people use today."""
    labels: dict[float, str] = {}
    for row, each in enumerate(comparisons):
        ratio = each.theirs_s / each.ours_s
        for place, name, seconds, times, colour in (
            (row - 0.19, each.theirs, each.theirs_s, 1, THEIRS),
            (row + 0.19, each.ours, each.ours_s, ratio, OURS if ratio >= 1 else SLOWER),
        ):
            axes.barh(place, times, 0.34, color=colour)
            text = f" {seconds * 1e3:.0f} ms" + (f", {ratio:.1f} times" if times == ratio else "")
            axes.text(times, place, text, va="center")
            labels[place] = name
    axes.set_yticks(list(labels), list(labels.values()))
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.set_xlim(0, max(each.theirs_s / each.ours_s for each in comparisons) * 1.3)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("Speed, as a multiple of what people use today", loc="left", size=9)
