"""One calm look for all figures, whatever text they are given."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from numpy.typing import NDArray
from PIL import Image

from radiolucent.figures.palette import BLUE, GREEN, GREY, INK, ORANGE, PALE, READERS, RED, plain
from radiolucent.figures.png import encoded

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "MARGIN",
    "ORANGE",
    "PALE",
    "READERS",
    "RED",
    "STYLE",
    "blank",
    "drawn",
    "figure",
    "fitting",
    "place",
    "plain",
    "styled",
    "tidy",
    "to_png",
    "to_svg",
]

MARGIN = 0.12  # inches around pictures

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # texts come from files: a "$" is a dollar
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eef0f3",
    "xtick.color": "#9ca3af",
    "ytick.color": "#9ca3af",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "savefig.bbox": "standard",  # the size asked for, whatever a user has set
    "svg.hashsalt": "radiolucent",
}
styled = mpl.rc_context(STYLE)  # decorates what draws: text and ticks take the style when they are made


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """A figure of the given size in inches with a grid of axes (rows, columns), laid out to fit its labels."""
    made = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return made, made.subplots(rows, columns, squeeze=False, **options)


def place(made: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the figure's top left corner."""
    across, down = (float(size) for size in made.get_size_inches())
    return made.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def tidy(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title and labels."""
    axes.set_title(plain(title))
    axes.set_xlabel(plain(x))
    axes.set_ylabel(plain(y))
    axes.tick_params(length=3, labelsize=8)


def blank(axes: Axes) -> None:
    """Axes for a picture: no ticks, no frame, no grid."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def fitting(text: str, points: float, inches: float, *, weight: str = "normal") -> str:
    """A text as it can be drawn in a width, cut at its end with an ellipsis where it is too wide by its letters."""
    font = font_manager.FontProperties(size=points, weight=weight)
    whole = shown = plain(text)[:200]
    while (
        len(shown) > 1 and TextPath((0, 0), shown, prop=font).get_extents().width > 70 * inches
    ):  # points, of 72: drawing rounds letters up
        whole = whole[:-1].rstrip()
        shown = f"{whole}…"
    return shown


def drawn(made: Figure, dpi: int = 130) -> Image.Image:
    """The figure as an RGB picture."""
    stream = io.BytesIO()
    with mpl.rc_context(STYLE):
        made.savefig(stream, format="raw", dpi=dpi, facecolor="white")
    across = int(made.get_figwidth() * dpi)
    return Image.fromarray(np.frombuffer(stream.getbuffer(), np.uint8).reshape(-1, across, 4)[..., :3].copy())


def to_png(made: Figure, dpi: int = 130) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    return encoded(drawn(made, dpi), dpi)


def to_svg(made: Figure) -> bytes:
    """The figure as SVG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with mpl.rc_context(STYLE):
        made.savefig(stream, format="svg", facecolor="white", metadata={"Date": None, "Creator": "radiolucent"})
    return stream.getvalue()
