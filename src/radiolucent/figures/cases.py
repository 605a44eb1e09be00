"""The case panel: the X-ray, the doctor, Grad-CAM and LIME side by side."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray

from radiolucent.explainers import lime_view
from radiolucent.figures.style import GREEN, GREY, RED, blank, figure, overlay
from radiolucent.images import map_to_source
from radiolucent.types import Annotation, Explanation, Radiograph

__all__ = ["Case", "case_panel", "gallery", "method_strip", "sure"]

READER_COLOURS = ("#22d3ee", "#f0abfc", "#facc15", "#a3e635", "#fb923c")


@dataclass(frozen=True, eq=False)
class Case:
    """A film with all that was said of it.

    Attributes:
        film: the X-ray. called: class called at the threshold. probability: calibrated, of that class.
        truth: its label, or None where unknown.
        annotations: readings of it. explanations: by any methods.
    """

    film: Radiograph
    called: str
    probability: float
    truth: str | None = None
    annotations: tuple[Annotation, ...] = ()
    explanations: tuple[Explanation, ...] = ()

    @property
    def right(self) -> bool | None:
        """Whether the call was right; None where the truth is unknown."""
        return None if self.truth is None else self.called == self.truth


def sure(probability: float, name: str) -> str:
    """How sure the network is, in words; never "100 %".

    >>> sure(0.9948, "NORMAL")
    '99.5 % sure: NORMAL'
    >>> sure(1.0, "PNEUMONIA")
    'over 99.9 % sure: PNEUMONIA'
    """
    return f"over 99.9 % sure: {name}" if probability > 0.9994 else f"{probability * 100:.1f} % sure: {name}"


def _film(ax: Axes, pixels: NDArray[Any], title: str) -> None:
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
    ax.set_title(title, fontsize=9, fontweight="normal")
    blank(ax)


def outline(ax: Axes, annotations: Sequence[Annotation]) -> None:
    """Draw readers' regions as outlines (a fill would tint the finding), one colour a reader."""
    readers = list(dict.fromkeys(a.reader for a in annotations))
    for a in annotations:
        colour = READER_COLOURS[readers.index(a.reader) % len(READER_COLOURS)]
        for region in a.regions:
            if region.kind == "box" and region.points is not None:
                (x0, y0), (x1, y1) = region.points - 0.5
                ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, lw=1.4))
            elif region.kind == "polygon" and region.points is not None:
                ax.add_patch(Polygon(region.points - 0.5, closed=True, fill=False, ec=colour, lw=1.4))
            elif region.pixels is not None:
                ax.contour(region.pixels.astype(float), [0.5], colors=[colour], linewidths=1.2)


def _words(annotations: Sequence[Annotation]) -> str:
    if not annotations:
        return "no reading"
    lines = [f"{a.reader}: {a.statement or a.label or ('finding' if a.finding else 'no finding')}" for a in annotations]
    return "\n".join(textwrap.fill(line, 38) for line in lines)


def case_panel(case: Case) -> Figure:
    """X-ray, doctor's marking and words, and one picture a method, under the calibrated call."""
    columns = 2 + len(case.explanations)
    height, width = case.film.shape
    made, axes = figure(3.1 * columns, 3.1 * min(height / width, 1.4) + 1.15, 1, columns)
    verdict = {None: "", True: " (right)", False: f" (wrong: {case.truth})"}[case.right]
    colour = {None: GREY, True: GREEN, False: RED}[case.right]
    made.suptitle(sure(case.probability, case.called) + verdict, color=colour, fontweight="bold", x=0.01, ha="left")
    _film(axes[0, 0], case.film.pixels, f"X-ray{f' — truth: {case.truth}' if case.truth else ''}")
    _film(axes[0, 1], case.film.pixels, "Doctor")
    outline(axes[0, 1], case.annotations)
    axes[0, 1].set_xlabel(_words(case.annotations), fontsize=7.5)
    for ax, explanation in zip(axes[0, 2:], case.explanations, strict=True):
        _explained(ax, case, explanation)
    return made


def _explained(ax: Axes, case: Case, e: Explanation) -> None:
    if e.method == "lime":
        _lime(ax, case, e)
    else:
        picture = overlay(case.film.pixels, map_to_source(e.map, e.geometry))
        _film(ax, picture, f"{_NAMES.get(e.method, e.method)} for {e.target_name}")
        ax.set_xlabel("warm: speaks for the class\n(strongest = darkest red)", fontsize=7.5)
    outline(ax, case.annotations)


_NAMES = {"gradcam": "Grad-CAM", "cam": "CAM", "lime": "LIME"}


def _lime(ax: Axes, case: Case, e: Explanation) -> None:
    """Superpixels that speak for the class in green, against it in red; outlines sharpen the edges."""
    empty = np.zeros(e.map.shape, np.float32)
    view = lime_view(e, empty, positive_only=False, num_features=8)
    rows, columns = np.indices(case.film.shape)
    points = e.geometry.to_model(np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)).astype(int)
    seen = ((points >= 0) & (points < np.array(e.map.shape[::-1]))).all(1)
    signs = np.zeros(len(points), np.int8)
    signs[seen] = view.mask[points[seen, 1], points[seen, 0]]
    mask = signs.reshape(case.film.shape)
    picture = np.repeat(case.film.pixels[..., None], 3, axis=2)
    for sign, tint in ((1, (0.0, 0.75, 0.35)), (-1, (0.9, 0.15, 0.1))):
        picture = np.where((mask == sign)[..., None], picture * 0.68 + 0.32 * np.array(tint), picture)
    _film(ax, picture, f"LIME for {e.target_name}")
    for sign, colour in ((1, "#22c55e"), (-1, "#ef4444")):
        if (mask == sign).any() and not (mask == sign).all():
            ax.contour((mask == sign).astype(float), [0.5], colors=[colour], linewidths=0.9)
    ax.set_xlabel(f"green: for, red: against (R² {e.details['r2']:.2f})", fontsize=7.5)


def method_strip(film: Radiograph, explanations: Sequence[Explanation]) -> Figure:
    """One film under several methods."""
    made, axes = figure(3.1 * (len(explanations) + 1), 3.6, 1, len(explanations) + 1)
    _film(axes[0, 0], film.pixels, "X-ray")
    case = Case(film, "", 0.0)
    for ax, e in zip(axes[0, 1:], explanations, strict=True):
        _explained(ax, case, e)
    return made


def gallery(cases: Sequence[Case], title: str) -> Figure:
    """Films in a grid, each under its call and truth."""
    columns = min(len(cases), 6)
    rows = -(-len(cases) // max(columns, 1))
    made, axes = figure(2.1 * columns, 2.5 * rows + 0.3, rows, columns)
    made.suptitle(title, fontweight="bold", x=0.01, ha="left")
    for ax in axes.ravel():
        blank(ax)
    for ax, case in zip(axes.ravel(), cases, strict=False):
        _film(ax, case.film.pixels, sure(case.probability, case.called).replace(" sure: ", " sure:\n"))
        ax.set_xlabel(f"truth: {case.truth or 'unknown'}", fontsize=7.5, color=RED if case.right is False else GREY)
    return made
