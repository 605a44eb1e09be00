"""A network's inside in pictures: layers, channels, filters, exciting pieces, and what channels want."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radiolucent.features import ChannelMaps, Concepts, FirstFilters, Patch, Wanted
from radiolucent.figures.cases import draw_film
from radiolucent.figures.display import display_map
from radiolucent.figures.style import GREY, MARGIN, blank, place, plain, styled
from radiolucent.types import Radiograph

__all__ = ["channel_grid", "concept_grid", "filter_grid", "layer_strip_plot", "patch_grid", "wanted_grid"]

TILE, GAP, HEAD = 1.25, 0.1, 0.24  # inches: a picture, between pictures, a picture's heading


def _sheet(rows: int, columns: int, title: str, note: str = "", left: float = 0.0) -> tuple[Figure, float]:
    """An empty sheet for a grid, and where (inches from the top) the grid begins."""
    top = 0.32 + (0.18 if note else 0.0)
    width = 2 * MARGIN + left + columns * (TILE + GAP) - GAP
    height = top + rows * (TILE + HEAD) + MARGIN
    made = Figure(figsize=(width, height), facecolor="white")
    made.text(MARGIN / width, 1 - 0.1 / height, plain(title), weight="bold", fontsize=11, va="top")
    if note:
        made.text(MARGIN / width, 1 - 0.33 / height, plain(note), fontsize=8, color=GREY, va="top")
    return made, top


def _tile(made: Figure, top: float, row: int, column: int, left: float = 0.0) -> Axes:
    return place(made, MARGIN + left + column * (TILE + GAP), top + row * (TILE + HEAD) + HEAD, TILE, TILE)


def _show_map(ax: Axes, values: NDArray[np.floating[Any]], title: str) -> None:
    signed = bool(values.min() < -0.05 * max(float(values.max()), 1e-12))
    shown = display_map(values, signed=signed)
    options: Any = {"cmap": "RdBu_r", "vmin": -1} if signed else {"cmap": "inferno", "vmin": 0}
    ax.imshow(shown, vmax=1, interpolation="nearest", **options)
    _name(ax, title)


def _name(ax: Axes, title: str) -> None:
    ax.set_title(plain(title), fontsize=7.5, fontweight="normal", pad=3)
    blank(ax)


def _short(name: str, width: int = 20) -> str:
    return name if len(name) <= width else "…" + name[1 - width :]


@styled
def layer_strip_plot(film: Radiograph, strip: Sequence[ChannelMaps]) -> Figure:
    """The layers from stem to head: above, what all channels see together; below, the most active channel alone."""
    made, top = _sheet(
        2,
        1 + len(strip),
        "From stem to head",
        "above: mean of all channels; below: the most active one. Bright (with signs: red) is active.",
    )
    draw_film(_tile(made, top, 0, 0), film.pixels, "X-ray", size=7.5)
    for column, stage in enumerate(strip, start=1):
        size = f"{stage.layer.height} × {stage.layer.width}"
        _show_map(_tile(made, top, 0, column), stage.maps[0], f"{_short(stage.layer.name, 16)}\n{size}")
        share = f"channel {stage.channels[1]}: {100 * stage.activity[1]:.0f} %"
        _show_map(_tile(made, top, 1, column), stage.maps[1], share)
    return made


@styled
def channel_grid(film: Radiograph, found: ChannelMaps, *, columns: int = 6) -> Figure:
    """A layer's channels on one film, beside the film."""
    count = len(found.channels) + 1
    across = min(columns, count)
    layer = found.layer
    note = f"{layer.channels} channels of {layer.height} × {layer.width}; % of the layer's activity; each scaled alone"
    made, top = _sheet(-(-count // across), across, f"Channels of {_short(layer.name, 40)}", note)
    draw_film(_tile(made, top, 0, 0), film.pixels, "X-ray", size=7.5)
    for i, (channel, values) in enumerate(zip(found.channels, found.maps, strict=True), start=1):
        title = f"channel {channel}: {100 * found.activity[i - 1]:.1f} %"
        _show_map(_tile(made, top, i // across, i % across), values, title)
    return made


@styled
def filter_grid(found: FirstFilters, *, most: int = 32, columns: int = 8) -> Figure:
    """The first layer's kernels as grey pictures: grey is 0, bright looks for bright; each scaled alone."""
    count = min(most, len(found.kernels))
    across = min(columns, count)
    size = f"{found.kernels.shape[1]} × {found.kernels.shape[2]}"
    note = f"{count} of {len(found.kernels)} kernels of {size}, strongest first; mid-grey is 0; each scaled alone"
    made, top = _sheet(-(-count // across), across, f"First filters: {_short(found.layer, 40)}", note)
    for i in range(count):
        kernel = found.kernels[i]
        ax = _tile(made, top, i // across, i % across)
        largest = float(np.abs(kernel).max()) or 1.0
        ax.imshow(kernel / largest, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        _name(ax, f"{found.channels[i]}")
    return made


@styled
def patch_grid(layer: str, patches: Mapping[int, Sequence[Patch]], wanted: Wanted | None = None) -> Figure:
    """A row a channel: what it wants (where made), then the pieces of films that excite it most."""
    columns = max((len(p) for p in patches.values()), default=1) + (wanted is not None)
    left = 0.62
    made, top = _sheet(
        len(patches), columns, f"What excites {_short(layer, 40)}", "pieces as large as a unit can see; value", left
    )
    films = {} if wanted is None else dict(zip(wanted.channels.tolist(), wanted.images, strict=True))
    width, height = (float(v) for v in made.get_size_inches())
    for row, (channel, found) in enumerate(patches.items()):
        middle = top + row * (TILE + HEAD) + HEAD + TILE / 2
        made.text(MARGIN / width, 1 - middle / height, f"channel\n{channel}", fontsize=8.5, va="center")
        if channel in films:
            draw_film(_tile(made, top, row, 0, left), films[channel], "wanted", size=7.5)
        for k, patch in enumerate(found, start=int(wanted is not None)):
            draw_film(_tile(made, top, row, k, left), patch.pixels / 255, f"{patch.value:.2f}", size=7.5)
    return made


@styled
def wanted_grid(found: Wanted, *, negative: bool = False, columns: int = 6) -> Figure:
    """Films that a layer's channels want, or are suppressed by."""
    across = min(columns, len(found.channels))
    words = "is suppressed by" if negative else "looks for"
    note = "made by gradient ascent from noise; mean activation before → after"
    made, top = _sheet(-(-len(found.channels) // across), across, f"What {_short(found.layer, 40)} {words}", note)
    for i, channel in enumerate(found.channels):
        title = f"{channel}: {found.start[i]:.2f} → {found.end[i]:.2f}"
        draw_film(_tile(made, top, i // across, i % across), found.images[i], title, size=7.5)
    return made


@styled
def concept_grid(found: Concepts) -> Figure:
    """A row a concept: what it does to the score, then the pieces of films that show it most."""
    columns, left = max(len(c.crops) for c in found.concepts), 1.5
    made, top = _sheet(
        len(found.concepts), columns, f"Concepts of {_short(found.layer, 40)}",
        f"share of the {found.score} of {found.target}; what removing it takes off; pieces that show it", left,
    )  # fmt: skip
    width, height = (float(v) for v in made.get_size_inches())
    for row, concept in enumerate(found.concepts):
        middle = top + row * (TILE + HEAD) + HEAD + TILE / 2
        e = concept.removal
        ends = "" if e.low is None or e.high is None else f"\n({e.low:+.2f} to {e.high:+.2f})"
        words = f"concept {concept.number}\nshare {concept.share:.0%}\nremoved {e.value or 0:+.2f}{ends}"
        made.text(MARGIN / width, 1 - middle / height, words, fontsize=8.5, va="center")
        for k, crop in enumerate(concept.crops):
            draw_film(_tile(made, top, row, k, left), crop.pixels / 255, f"{crop.value:.2f}", size=7.5)
    return made
