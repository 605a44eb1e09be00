"""One calm look for all figures; and how a raw map becomes colour."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "RED",
    "blank",
    "display_map",
    "figure",
    "overlay",
    "tidy",
    "to_png",
    "to_svg",
]

# Okabe & Ito's colours, told apart by colour-blind readers.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6b7280"

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "radiolucent",
}


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """A figure of the given size in inches with a grid of axes (rows, columns), in the project's style."""
    with mpl.rc_context(STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        axes = made.subplots(rows, columns, squeeze=False, **options)
    return made, axes


def tidy(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title and labels."""
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def blank(axes: Axes) -> None:
    """Axes for a picture: no ticks, no frame, no grid."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def display_map(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The positive part of a raw map in [0, 1], 1 at its 99.5th percentile; all 0 where nothing is positive."""
    positive = np.clip(values, 0, None)
    top = float(np.percentile(positive, 99.5)) or float(positive.max())
    return np.clip(positive / top, 0, 1).astype(np.float32) if top > 0 else np.zeros(values.shape, np.float32)


def overlay(
    grey: NDArray[np.floating[Any]], values: NDArray[np.floating[Any]], strength: float = 0.55
) -> NDArray[np.float32]:
    """The film (H, W) with a raw map laid over it in colour: clear where the map says nothing, yellow to dark red."""
    heat = display_map(values)
    colour = mpl.colormaps["YlOrRd"](0.15 + 0.85 * heat)[..., :3]
    alpha = (strength * np.clip(heat * 1.6, 0, 1))[..., None]
    return (grey[..., None] * (1 - alpha) + colour * alpha).astype(np.float32)


def to_png(made: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG."""
    stream = io.BytesIO()
    made.savefig(stream, format="png", dpi=dpi, facecolor="white", metadata={"Software": "radiolucent"})
    return stream.getvalue()


def to_svg(made: Figure) -> bytes:
    """The figure as SVG, the same bytes each time."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "radiolucent"}):
        made.savefig(stream, format="svg", facecolor="white", metadata={"Date": None})
    return stream.getvalue()
