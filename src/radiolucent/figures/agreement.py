"""Explanations against doctors, beside the area, chance and the other doctors."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radiolucent.audits.agreement import Agreement
from radiolucent.figures.case_text import method_name
from radiolucent.figures.style import BLUE, GREEN, GREY, INK, ORANGE, figure, plain, styled, tidy
from radiolucent.types import Estimate

__all__ = ["agreement_plot"]

# Title, and which figure each row shows: the method, nothing seen, chance, another doctor.
_PANELS = (
    ("Strongest point in the marking", ("hit_rate", "other_hit_rate", "area", "random_hit_rate", "reader_hit_rate")),
    ("Share of the map in the marking", ("energy_in_region", "other_energy", "area", "random_energy", "")),
    ("Overlap with the marking (IoU)", ("iou_at_area", "other_iou_at_area", "", "random_iou_at_area", "reader_iou")),
)
_ROWS = (
    ("", BLUE, "o"),
    ("its maps of other patients", INK, "v"),
    ("a map that saw nothing (area)", GREY, "s"),
    ("random maps", ORANGE, "D"),
    ("another doctor", GREEN, "^"),
)


@styled
def agreement_plot(found: Sequence[Agreement]) -> Figure:
    """Each method with what it has to beat and the ceiling, on the same films, with 95 % intervals."""
    step = len(_ROWS) + 0.6
    made, axes = figure(11, 0.9 + 0.27 * step * max(len(found), 1), 1, len(_PANELS), sharey=True, sharex=True)
    for ax, (title, keys) in zip(axes[0], _PANELS, strict=True):
        for block, a in enumerate(found):
            for row, (key, (_, colour, mark)) in enumerate(zip(keys, _ROWS, strict=True)):
                _row(ax, block * step + row, a.estimates[key] if key else None, colour, mark)
        tidy(ax, title)
        ax.set(xlim=(-0.02, 1.42), xticks=[0, 0.5, 1])
        ax.spines["bottom"].set_bounds(0, 1)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    labels: list[tuple[float, str]] = []
    for block, a in enumerate(found):
        heads = [f"{method_name(a.method)} ({a.reader}, {a.films} films)", *(name for name, _, _ in _ROWS[1:])]
        labels += [(block * step + row, plain(name)) for row, name in enumerate(heads)]
    axes[0, 0].set_yticks([y for y, _ in labels], [name for _, name in labels])
    for i, text in enumerate(axes[0, 0].get_yticklabels()):
        text.set_fontweight("bold" if i % len(_ROWS) == 0 else "normal")
    axes[0, 0].set_ylim(step * max(len(found), 1) - 0.9, -0.7)
    return made


def _row(ax: Axes, y: float, e: Estimate | None, colour: str, mark: str) -> None:
    if e is None or e.value is None:
        ax.text(1.07, y, "–", color=GREY, va="center", fontsize=8)
        return
    if e.low is not None and e.high is not None:
        ax.plot([e.low, e.high], [y, y], color=colour, lw=2.2, solid_capstyle="butt", alpha=0.55)
    ax.plot([e.value], [y], mark, color=colour, ms=6 if mark != "D" else 5)
    ends = "" if e.low is None or e.high is None else f" ({e.low:.2f}–{e.high:.2f})"
    ax.text(1.07, y, f"{e.value:.2f}{ends}", color=INK, va="center", fontsize=7.5)
