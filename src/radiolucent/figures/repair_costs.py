"""What each repair costs beside what it leaves of the shortcut."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radiolucent.figures.style import BLUE, GREEN, GREY, RED, figure, plain, styled, tidy

__all__ = ["repair_plot"]


@styled
def repair_plot(found: Mapping[str, Any]) -> Figure:
    """One row a model: left its change of AUROC, right what is left of the test that failed most (`repair.json`)."""
    rows: Sequence[Mapping[str, Any]] = found["rows"]
    lead = found["lead"]
    made, axes = figure(8.2, 0.42 * len(rows) + 1.3, 1, 2 if lead else 1, sharey=True)
    left: Axes = axes[0][0]
    names = [plain(row["title"]) for row in rows]
    left.set_yticks(range(len(rows)), names)
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.axvline(0, color=GREY, lw=1)
    left.plot(0, 0, "D", color=GREY, ms=5)
    for place, row in enumerate(rows[1:], 1):
        _point(left, place, row["costs"]["auroc"], 100.0, BLUE)
    tidy(left, "What it costs", "change of AUROC, points of 100")
    if lead:
        right: Axes = axes[0][1]
        right.axvline(1, color=GREY, lw=1, ls="--")
        for place, row in enumerate(rows):
            test = row["tests"].get(lead)
            if test is None or test["estimate"] is None or not test["threshold"]:
                right.text(0, place, "not applicable", va="center", color=GREY)
                continue
            colour = {"fail": RED, "pass": GREEN}.get(test["verdict"], GREY)
            _point(right, place, test["estimate"], 1 / test["threshold"], colour)
        right.set_xlim(left=min(0.0, right.get_xlim()[0]))
        tidy(right, "What is left", f"{lead}, multiples of its threshold")
    return made


def _point(axes: Axes, place: float, estimate: Mapping[str, Any], scale: float, colour: str) -> None:
    if estimate["value"] is None:
        axes.text(0, place, "not applicable", va="center", color=GREY)
        return
    value, low, high = (estimate[k] for k in ("value", "low", "high"))
    if low is not None:
        axes.plot([low * scale, high * scale], [place, place], color=colour, lw=1.6, solid_capstyle="butt")
    axes.plot(value * scale, place, "o", color=colour, ms=6)
