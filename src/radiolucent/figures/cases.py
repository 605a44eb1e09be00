"""The case panel: the X-ray, the doctor, Grad-CAM and LIME side by side."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray

from radiolucent.explainers import lime_view
from radiolucent.figures.case import Case
from radiolucent.figures.case_text import (
    DOCTOR,
    broke_or_failed,
    method_name,
    of_target,
    readers_colours,
    readers_words,
    said_below,
    to_film,
)
from radiolucent.figures.display import AGAINST, FOR, key_colours, overlay, tint
from radiolucent.figures.style import GREEN, GREY, INK, MARGIN, RED, blank, fitting, place, plain, styled
from radiolucent.images import map_to_source
from radiolucent.types import NO_CALL, Annotation, Explanation, Radiograph

__all__ = [
    "case_panel",
    "draw_film",
    "draw_lime",
    "gallery",
    "method_strip",
    "outline",
    "overlay_plot",
]

SIDE, GAP = 3.1, 0.14  # inches: a picture's width, and between pictures
ACROSS = 4  # methods in a row


def draw_film(ax: Axes, pixels: NDArray[Any], title: str = "", *, size: float = 11) -> None:
    """A film (H, W) or picture (H, W, 3) in [0, 1] on axes without a frame."""
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    if title:
        ax.set_title(plain(title), fontsize=size, fontweight="normal", pad=5)
    blank(ax)


def outline(ax: Axes, annotations: Sequence[Annotation], *, width: float = 1.5) -> None:
    """Draw readers' regions as outlines (a fill would tint the finding), one colour a reader, on a dark casing."""
    colours = readers_colours(annotations)
    casing: list[effects.AbstractPathEffect] = [effects.withStroke(linewidth=width + 1.4, foreground="#111827")]
    for a in annotations:
        colour: Any = {"ec": colours[a.reader], "lw": width, "fill": False, "path_effects": casing}
        for region in a.regions:
            if region.kind == "box" and region.points is not None:
                (x0, y0), (x1, y1) = region.points - 0.5
                ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **colour))
            elif region.kind == "polygon" and region.points is not None:
                ax.add_patch(Polygon(region.points - 0.5, closed=True, **colour))
            elif region.pixels is not None and region.pixels.any():
                edge = ax.contour(region.pixels.astype(float), [0.5], colors=[colours[a.reader]], linewidths=width)
                edge.set_path_effects(casing)


def _cut(text: str, width: int, lines: int) -> list[str]:
    found = textwrap.wrap(plain(" ".join(text.split())), width) or [""]
    return found if len(found) <= lines else [*found[: lines - 1], found[lines - 1][: width - 1].rstrip() + "…"]


LINE = 0.165  # inches from one line of a doctor's words to the next


def _lines(annotations: Sequence[Annotation]) -> list[tuple[str, list[str]]]:
    """(colour, lines) of each reader's words as they are written below the doctor's picture."""
    said, colours = readers_words(annotations), readers_colours(annotations)
    kept = [(colours[reader], _cut(f"{reader}: {words}", 39, 3 if len(said) < 3 else 2)) for reader, words in said[:5]]
    more = [(GREY, [f"and {len(said) - 5} more readers"])] if len(said) > 5 else []
    return kept + more or [("none", ["not read by a doctor"])]


def _write_readings(ax: Axes, readings: Sequence[tuple[str, Sequence[str]]], inches: float) -> None:
    y = 0.0
    for colour, lines in readings:
        ax.plot([0, 0.05], [y + LINE * 0.42] * 2, color=colour, lw=3, solid_capstyle="butt")
        for line in lines:
            ax.text(0.07, y, line, va="top", fontsize=9, color=GREY if colour == "none" else INK)
            y += LINE
        y += LINE * 0.2
    ax.set(xlim=(0, 1), ylim=(inches, 0))
    blank(ax)


@styled
def case_panel(case: Case) -> Figure:
    """X-ray, doctor's marking and words, and one picture a method, under the calibrated call.

    A film of which neither label nor reading is known has no picture for the doctor. Colours are scaled to each map:
    they say where, not how much. A stamped map's trust stands below it, or that it breaks its method's promise; above
    one that failed stands a warning. More than four methods continue in rows below.
    """
    count = len(case.explanations)
    lead = 2 if case.annotations or case.known else 1
    columns = lead + min(count, ACROSS)
    top, tall, readings = 0.98, _height(case.film), _lines(case.annotations) if lead > 1 else []
    step = tall + (0.8 if any(map(said_below, case.explanations)) else 0.5) + 0.3
    below = max(step - tall - 0.3, 0.1 + LINE * sum(len(lines) + 0.2 for _, lines in readings))
    rows = max(1, -(-count // ACROSS))
    made = _sheet(columns, top + max(tall + below, (rows - 1) * step + tall + step - tall - 0.3))
    _headline(made, case)
    pictures = [place(made, MARGIN + i * (SIDE + GAP), top, SIDE, tall) for i in range(lead)]
    draw_film(pictures[0], case.film.pixels, "X-ray")
    if lead > 1:
        title = DOCTOR[bool(case.annotations), any(a.regions for a in case.annotations)]
        draw_film(pictures[1], case.film.pixels, title)
        outline(pictures[1], case.annotations)
        _write_readings(place(made, MARGIN + SIDE + GAP, top + tall + 0.06, SIDE, below - 0.06), readings, below - 0.06)
    for i, explanation in enumerate(case.explanations):
        left, down = MARGIN + (lead + i % ACROSS) * (SIDE + GAP), top + i // ACROSS * step
        picture = place(made, left, down, SIDE, tall)
        key = place(made, left, down + tall + 0.08, SIDE, 0.1)
        _explained(picture, key, case.film, explanation, of_target(case, explanation))
        if said_below(explanation):
            _write_trust(place(made, left, down + tall + 0.42, SIDE, 2 * LINE), explanation)
    return made


def _write_trust(ax: Axes, e: Explanation) -> None:
    colour = RED if broke_or_failed(e) else GREEN if e.trust["verdict"] == "pass" else GREY
    for i, line in enumerate(_cut(said_below(e), 50, 2)):
        ax.text(0, i, line, va="center", fontsize=8, color=colour)
    ax.set(xlim=(0, 1), ylim=(1.5, -0.5))
    blank(ax)


def _height(film: Radiograph) -> float:
    return SIDE * min(max(film.shape[0] / film.shape[1], 0.5), 1.35)


def _sheet(columns: int, height: float) -> Figure:
    return Figure(figsize=(2 * MARGIN + columns * SIDE + (columns - 1) * GAP, height + MARGIN), facecolor="white")


def _headline(made: Figure, case: Case) -> None:
    across, down = (float(size) for size in made.get_size_inches())
    verdict, colour = case.verdict, {None: GREY, True: GREEN, False: RED}[case.right]
    at: Any = {"va": "baseline", "ha": "left"}
    made.text(
        MARGIN / across,
        1 - 0.34 / down,
        fitting(case.headline, 17, across - 2 * MARGIN, weight="bold"),
        fontsize=17,
        weight="bold",
        **at,
    )
    facts = f"{plain(verdict)}   "
    made.text(MARGIN / across, 1 - 0.6 / down, facts, fontsize=11, weight="bold", color=colour, **at)
    line = f"research use, not for diagnosis · {case.chance and f'{case.chance} · '}"
    room = max(12, 48 * round(across / SIDE) - 2 * len(facts))
    name = case.film.image_id
    if (spare := room - len(line)) < len(name) and spare > 1:  # the end of a path says which film it is
        name = f"…{name[1 - spare :]}"
    made.text(
        1 - MARGIN / across,
        1 - 0.6 / down,
        _cut(line + name, room, 1)[0],
        fontsize=8,
        color=GREY,
        va="baseline",
        ha="right",
    )


def _explained(ax: Axes, key: Axes, film: Radiograph, e: Explanation, annotations: Sequence[Annotation]) -> None:
    title = fitting(f"{e.title or method_name(e.method)}: what speaks for {e.target_name}", 11, SIDE)
    if "segments" in e.details:
        draw_lime(ax, film, e)
        _lime_key(key, e)
    else:
        draw_film(ax, overlay(film.pixels, map_to_source(e.map, e.geometry), signed=e.signed))
        _colour_bar(key, _cut(e.target_name, 16, 1)[0], signed=e.signed)
    ax.set_title(title, fontsize=11, fontweight="normal", pad=5)
    if broke_or_failed(e):
        frame: Any = {"boxstyle": "square,pad=0.35", "fc": RED, "ec": "none"}
        at: Any = {"transform": ax.transAxes, "va": "top", "fontsize": 9, "weight": "bold", "color": "white"}
        ax.text(0.025, 0.975, "do not rely on this map", bbox=frame, **at)
    outline(ax, annotations, width=0.9)


def _colour_bar(axes: Axes, target: str, *, signed: bool) -> None:
    """What the colours of `overlay` mean, in words."""
    axes.imshow(np.arange(256)[None], cmap=ListedColormap(key_colours(signed)), aspect="auto")
    blank(axes)
    ends = ("against", f"for {target}") if signed else ("nothing", f"strongest for {target}")
    for x, text, side in zip((0, 1), ends, ("left", "right"), strict=True):
        axes.text(x, -0.35, plain(text), transform=axes.transAxes, ha=side, va="top", fontsize=9)


def _lime_key(ax: Axes, e: Explanation) -> None:
    r2 = float(e.details.get("r2", 1.0))  # KernelSHAP fits no line: its values add up by construction
    fit = f"R² {r2:.2f}" + (", weak: take care" if r2 < 0.5 else "") if "r2" in e.details else ""
    for x, colour, text in ((0, FOR, "+ for"), (0.2, AGAINST, "− against")):
        ax.add_patch(Rectangle((x, 0), 0.05, 1, fc=colour, ec="none"))
        ax.text(x + 0.062, 0.5, text, va="center", fontsize=9)
    ax.text(1, 0.5, fit, va="center", ha="right", fontsize=9, color=RED if r2 < 0.5 else INK)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    blank(ax)


def draw_lime(ax: Axes, film: Radiograph, e: Explanation, *, pieces: int = 8) -> None:
    """Superpixels that speak for the class in green with a "+", against it in red, dashed, with a "−"."""
    view = lime_view(e, np.zeros(e.map.shape, np.float32), positive_only=False, num_features=pieces)
    signs = to_film(view.mask, e.geometry)
    draw_film(ax, tint(film.pixels, signs))
    for sign, colour, line in ((1, "#00b87f", "solid"), (-1, "#e34600", "dashed")):
        if (signs == sign).any() and not (signs == sign).all():
            ax.contour((signs == sign).astype(float), [0.5], colors=[colour], linewidths=1.0, linestyles=line)
    casing = [effects.withStroke(linewidth=2, foreground="#111827")]
    labels = np.asarray(e.details["segments"])
    for piece, weight in zip(view.chosen, view.weights, strict=True):
        rows, columns = np.nonzero(labels == piece)
        middle = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
        x, y = e.geometry.to_source(np.array([[columns[middle] + 0.5, rows[middle] + 0.5]]))[0] - 0.5
        if 0 <= x < film.shape[1] and 0 <= y < film.shape[0]:
            ax.text(
                x,
                y,
                "+" if weight > 0 else "−",
                color="white",
                fontsize=11,
                ha="center",
                va="center",
                path_effects=casing,
            )


@styled
def method_strip(
    film: Radiograph, explanations: Sequence[Explanation], annotations: Sequence[Annotation] = ()
) -> Figure:
    """One film under several methods, with the doctors' outlines."""
    columns, tall = 1 + len(explanations), _height(film)
    made = _sheet(columns, 0.36 + tall + 0.4)
    places = [place(made, MARGIN + i * (SIDE + GAP), 0.36, SIDE, tall) for i in range(columns)]
    draw_film(places[0], film.pixels, "X-ray")
    outline(places[0], annotations)
    for i, e in enumerate(explanations, start=1):
        key = place(made, MARGIN + i * (SIDE + GAP), 0.36 + tall + 0.08, SIDE, 0.1)
        _explained(places[i], key, film, e, annotations)
    return made


def overlay_plot(film: Radiograph, explanation: Explanation, annotations: Sequence[Annotation] = ()) -> Figure:
    """One map on its film, with the doctors' outlines, beside the bare film."""
    return method_strip(film, [explanation], annotations)


@styled
def gallery(cases: Sequence[Case], title: str) -> Figure:
    """Films in a grid, each under its call and over its label; wrong calls in red."""
    columns, side = max(1, min(len(cases), 6)), 2.0
    tall = side * max([min(max(c.film.shape[0] / c.film.shape[1], 0.5), 1.35) for c in cases], default=1.0)
    rows, step = max(1, -(-len(cases) // columns)), tall + 0.78
    made = Figure(figsize=(2 * MARGIN + columns * (side + GAP), 0.3 + rows * step), facecolor="white")
    made.text(
        MARGIN / float(made.get_figwidth()), 1 - 0.08 / (0.3 + rows * step), plain(title), weight="bold", va="top"
    )
    for i, case in enumerate(cases):
        ax = place(made, MARGIN + i % columns * (side + GAP), 0.66 + i // columns * step, side, tall)
        draw_film(ax, case.film.pixels)
        head = (NO_CALL if case.no_call else case.headline).replace(" sure: ", " sure:\n").replace(" by ", "\nby ")
        ax.set_title(plain(head), fontsize=8, fontweight="normal", pad=3)
        colour = RED if case.right is False else GREY
        ax.text(
            0,
            -0.02,
            f"label: {_cut(case.truth or 'unknown', 24, 1)[0]}",
            transform=ax.transAxes,
            va="top",
            fontsize=8,
            color=colour,
        )
    return made
