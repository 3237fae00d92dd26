"""What the pictures of benchmarks share: an axis of ratios, and a small file."""

from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from PIL import Image


def draw_ratio_axis(
    panel: Axes, title: str, limits: tuple[float, float], ticks: Sequence[float]
) -> None:
    """Draw a logarithmic axis of ratios, with a line at 1.

    Args:
        panel: where it is drawn.
        title: the title of the panel.
        limits: the least and the largest ratio.
        ticks: ratios to write; those outside the limits are left out.
    """
    panel.set_title(title, fontsize=9)
    panel.set_xscale("log")
    panel.set_xlim(*limits)
    panel.set_xticks([tick for tick in ticks if limits[0] < tick < limits[1]])
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.tick_params(length=0, labelsize=8)
    panel.grid(axis="x", color="#e2e2e2", linewidth=0.5, zorder=0)
    panel.axvline(1, color="#444444", linewidth=1, zorder=2)
    panel.spines[:].set_visible(False)


def small_png(figure: Figure) -> bytes:
    """Save a picture in few colours, which is a third of the size."""
    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(48, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return small.getvalue()
