"""What an audit did to films, and how well it finds what was planted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radiolucent.figures.style import BLUE, GREEN, GREY, MARGIN, ORANGE, blank, figure, place, plain, styled, tidy
from radiolucent.types import Estimate

__all__ = ["Change", "changes_plot", "detection_plot", "mean_maps_plot"]

SIDE, GAP, HEAD, FOOT = 1.9, 0.1, 0.28, 0.36  # inches


@dataclass(frozen=True, eq=False)
class Change:
    """One film before and after: pictures float32 (S, S) in [0, 1] with the probability of the positive class each."""

    image_id: str
    pictures: Sequence[NDArray[np.float32]]
    probabilities: Sequence[float]


@styled
def changes_plot(changes: Sequence[Change], titles: Sequence[str], positive: str) -> Figure:
    """One row a film, one column a version; below each picture what the model makes of it."""
    wide = 2 * MARGIN + len(titles) * (SIDE + GAP)
    made = Figure(figsize=(wide, 2 * MARGIN + HEAD + len(changes) * (SIDE + FOOT)), facecolor="white")
    for column, title in enumerate(titles):
        middle = (MARGIN + column * (SIDE + GAP) + SIDE / 2) / wide
        made.text(middle, 1 - (MARGIN + 0.16) / float(made.get_figheight()), plain(title), ha="center", weight="bold")
    for row, change in enumerate(changes):
        top = MARGIN + HEAD + row * (SIDE + FOOT)
        for column, (pixels, chance) in enumerate(zip(change.pictures, change.probabilities, strict=True)):
            axes = place(made, MARGIN + column * (SIDE + GAP), top, SIDE, SIDE)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            blank(axes)
            axes.set_xlabel(plain(f"{positive} {chance:.1%}"), labelpad=3)
    return made


@styled
def mean_maps_plot(means: Mapping[str, NDArray[np.float64]]) -> Figure:
    """The mean map of each called class, each scaled to its own maximum."""
    made, axes = figure(2.6 * max(len(means), 1), 2.9, 1, max(len(means), 1))
    for one, (name, values) in zip(axes[0], means.items(), strict=False):
        one.imshow(values / max(float(values.max()), 1e-12), cmap="viridis", vmin=0, vmax=1)
        blank(one)
        one.set_title(plain(name))
    return made


@styled
def detection_plot(rates: Mapping[tuple[str, str, float], Estimate], names: Mapping[str, str]) -> Figure:
    """Share of models in which each finder reports a shortcut, against the share of ill films that carried it."""
    kinds = list(dict.fromkeys(kind for _, kind, _ in rates))
    finders = list(dict.fromkeys(finder for finder, _, _ in rates))
    made, axes = figure(2.5 * max(len(kinds), 1) + 0.6, 3.2, 1, max(len(kinds), 1), sharey=True)
    looks = dict(zip(finders, ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (GREY, "d")), strict=False))
    for one, kind in zip(axes[0], kinds, strict=True):
        for k, finder in enumerate(finders):
            points = sorted((s, e) for (f, own, s), e in rates.items() if f == finder and own == kind and e.n)
            if not points:
                continue
            x = np.array([s for s, _ in points]) * 100 + 1.5 * k
            y = np.array([e.value for _, e in points], float)
            low, high = (np.array([getattr(e, end) for _, e in points], float) for end in ("low", "high"))
            colour, marker = looks[finder]
            one.errorbar(
                x, y * 100, np.stack([y - low, high - y]) * 100, color=colour, marker=marker, ms=5, lw=1.4,
                capsize=2, label=names.get(finder, finder),
            )  # fmt: skip
        tidy(one, kind, "ill films with it for being ill, %", "models reported, %" if kind == kinds[0] else "")
        one.set_ylim(-4, 104)
    handles, labels = axes[0][0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1))
    return made
