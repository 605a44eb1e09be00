"""Explanations against doctors, beside the area, chance and the other doctors."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from radiolucent.audits import Agreement
from radiolucent.figures.style import BLUE, GREEN, GREY, ORANGE, figure, tidy
from radiolucent.types import Estimate

__all__ = ["agreement_plot"]

_PANELS = (
    ("Hit rate", "hit_rate", "area", "random_hit_rate", "reader_hit_rate"),
    ("Energy in the region", "energy_in_region", "area", "random_energy", None),
    ("IoU at the region's area", "iou_at_area", None, "random_iou_at_area", "reader_iou"),
)


def agreement_plot(found: Sequence[Agreement]) -> Figure:
    """Each method's figures with intervals, and what they have to beat."""
    made, axes = figure(10, 1.3 + 0.42 * (len(found) + 3), 1, len(_PANELS), sharey=False)
    for ax, (title, own, area, chance, readers) in zip(axes[0], _PANELS, strict=True):
        rows: list[tuple[str, Estimate, str]] = [
            (a.method, a.estimates[own], BLUE) for a in found if own in a.estimates
        ]
        first = found[0].estimates
        for name, key, colour in (
            ("a map that says nothing (area)", area, GREY),
            ("chance", chance, ORANGE),
            ("another doctor", readers, GREEN),
        ):
            if key and key in first:
                rows.append((name, first[key], colour))
        for y, (_, e, colour) in enumerate(rows):
            if e.value is None or e.low is None or e.high is None:
                continue
            ax.plot([e.low, e.high], [y, y], color=colour, lw=2)
            ax.plot([e.value], [y], "o", color=colour)
            ax.annotate(
                f"{e.value:.2f}", (e.value, y), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7
            )
        ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        ax.set_ylim(len(rows) - 0.4, -0.7)
        ax.set_xlim(0, 1)
        tidy(ax, title)
    return made
