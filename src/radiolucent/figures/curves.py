"""The curves of evaluation."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter, ScalarFormatter
from numpy.typing import NDArray

from radiolucent import metrics
from radiolucent.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED, figure, fitting, plain, styled, tidy
from radiolucent.metrics import Evaluation
from radiolucent.types import Predictions

__all__ = ["confusion_plot", "decision_plot", "pr_plot", "reliability_plot", "roc_plot", "score_histogram"]

SIZE = (4.6, 4.2)


def _known(p: Predictions) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    return p.truth[p.labels >= 0], p.scores[p.labels >= 0]


def _empty(title: str, truth: NDArray[np.bool_]) -> Figure | None:
    """A figure that says so where there is nothing to draw: films of one class only."""
    if truth.any() and not truth.all():
        return None
    made, axes = figure(*SIZE)
    tidy(axes[0, 0], title)
    why = "not applicable: no labelled film" if not len(truth) else "not applicable: films of one class only"
    axes[0, 0].text(0.5, 0.5, why, transform=axes[0, 0].transAxes, ha="center", color=GREY)
    axes[0, 0].set_axis_off()
    return made


@styled
def roc_plot(p: Predictions, evaluation: Evaluation) -> Figure:
    """ROC curve with a band (Wilson's 95 % interval of sensitivity at each point, by patient) and the chosen threshold;
    where the curve hugs its corner, that corner enlarged."""
    truth, _ = _known(p)
    empty = _empty("ROC curve", truth)
    if empty:
        return empty
    margins = p.margins[p.labels >= 0]
    fpr, tpr, thresholds = metrics.roc_curve_points(truth, margins)
    band = metrics.roc_band(truth, margins, thresholds, groups=_patients(p))
    made, axes = figure(*SIZE)
    ax = axes[0, 0]
    area = evaluation.estimates["auroc"]
    _roc(ax, fpr, tpr, band, evaluation, f"area {area}")
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.9, ls=":", label="a coin")
    ax.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal")
    if (area.value or 0) > 0.94:
        corner = ax.inset_axes((0.36, 0.3, 0.6, 0.5))
        _roc(corner, fpr, tpr, band, evaluation, "")
        corner.set(xlim=(-0.004, 0.2), ylim=(0.8, 1.004))
        corner.tick_params(length=2, labelsize=7)
        corner.set_title("the corner, enlarged", fontsize=7.5, fontweight="normal", pad=3)
        ax.indicate_inset_zoom(corner, edgecolor="#9ca3af")
    ax.legend(loc="lower right")
    tidy(ax, "ROC curve", "1 − specificity (false alarms)", "sensitivity (found)")
    return made


def _roc(
    ax: Axes, fpr: NDArray[Any], tpr: NDArray[Any], band: tuple[Any, Any], evaluation: Evaluation, label: str
) -> None:
    ax.fill_between(fpr, *band, color=BLUE, alpha=0.16, lw=0)
    ax.plot(fpr, tpr, color=BLUE, lw=1.8, label=label)
    sens, spec = evaluation.estimates["sensitivity"].value, evaluation.estimates["specificity"].value
    if sens is not None and spec is not None:
        label = f"threshold {evaluation.threshold:.2f}"
        ax.plot([1 - spec], [sens], "o", color=RED, ms=6, mec="white", label=label, zorder=5)


@styled
def pr_plot(p: Predictions, evaluation: Evaluation) -> Figure:
    """Precision–recall curve, the chosen threshold, and the prevalence, which a coin would reach."""
    truth, _ = _known(p)
    empty = _empty("Precision–recall curve", truth)
    if empty:
        return empty
    recall, precision, _ = metrics.pr_curve_points(truth, p.margins[p.labels >= 0])
    made, axes = figure(*SIZE)
    ax = axes[0, 0]
    label = f"area {evaluation.estimates['average_precision']}"
    ax.plot(recall, precision, color=BLUE, lw=1.8, drawstyle="steps-post", label=label)
    ax.axhline(
        evaluation.prevalence, color=GREY, lw=0.9, ls=":", label=f"a coin: prevalence {evaluation.prevalence:.2f}"
    )
    sens, ppv = evaluation.estimates["sensitivity"].value, evaluation.estimates["ppv"].value
    if sens is not None and ppv is not None:
        label = f"threshold {evaluation.threshold:.2f}"
        ax.plot([sens], [ppv], "o", color=RED, ms=6, mec="white", label=label, zorder=5)
    ax.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.025))
    ax.legend(loc="lower left")
    tidy(ax, "Precision–recall curve", "sensitivity = recall (found)", "PPV = precision (calls that are right)")
    return made


def _patients(p: Predictions) -> list[str]:
    """The patients of the films that `_known` gives."""
    return [name for name, label in zip(p.patient_ids, p.labels, strict=True) if label >= 0]


@styled
def reliability_plot(p: Predictions, evaluation: Evaluation) -> Figure:
    """Observed share against the probability given, with Wilson's intervals; below, the films in each bin."""
    truth, scores = _known(p)
    made, axes = figure(*SIZE, 2, 1, sharex=True, height_ratios=(5, 1))
    ax, below = axes[0, 0], axes[1, 0]
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.9, ls=":", label="a perfect forecast")
    if len(truth):
        found = metrics.reliability(truth, scores, groups=_patients(p))
        rates = np.array([e.value for e in found.rates], float)
        ends = np.array([(e.low, e.high) for e in found.rates], float).T
        spread = np.clip(np.stack([rates - ends[0], ends[1] - rates]), 0, None)
        means = list(found.means)
        ax.errorbar(means, rates, yerr=spread, fmt="o", color=BLUE, ms=5, lw=1.2, capsize=2, label="films, 95 % CI")
        bars = below.bar(means, found.counts, width=0.05, color=BLUE, alpha=0.5)
        below.bar_label(bars, fontsize=6.5, color=INK, padding=1)
        below.set_ylim(0, 1.35 * max(found.counts))
    ax.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    ax.legend(loc="upper left")
    tidy(ax, "Calibration", "", f"share that have {evaluation.positive}")
    tidy(below, "", f"probability given of {evaluation.positive}", "films")
    below.set_yticks([])
    below.grid(visible=False)
    return made


@styled
def decision_plot(p: Predictions) -> Figure:
    """Net benefit of acting by the model, on all, and on none (Vickers 2006)."""
    truth, scores = _known(p)
    empty = _empty("Decision curve", truth)
    if empty:
        return empty
    curve = metrics.decision_curve(truth, scores, groups=_patients(p))
    made, axes = figure(*SIZE)
    ax = axes[0, 0]
    ax.axhline(0, color=GREY, lw=1.2, label="act on none")
    ax.plot(curve.thresholds, curve.treat_all, color=ORANGE, lw=1.4, ls="--", label="act on all")
    ax.plot(curve.thresholds, curve.model, color=BLUE, lw=1.8, label="act by the model, 95 % band")
    ax.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.15, lw=0)
    top = float(truth.mean())
    ax.set(xlim=(0, 1), ylim=(-0.12 * top, 1.08 * top))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(loc="lower left")
    tidy(
        ax,
        "Decision curve",
        "act from this probability on",
        f"net benefit (true calls per film), {curve.prevalence:.0%} with it",
    )
    return made


@styled
def confusion_plot(evaluation: Evaluation) -> Figure:
    """Films by true and called class, with the share of each true class."""
    cell = 3.0 / len(evaluation.class_names)  # inches
    names = [fitting(name, 9, cell) for name in evaluation.class_names]
    made, axes = figure(*SIZE)
    ax = axes[0, 0]
    tidy(ax, "Confusion matrix", "called", "label")
    ax.grid(visible=False)
    if not evaluation.matrix:
        ax.text(0.5, 0.5, "not applicable: several labels a film", ha="center", color=GREY)
        ax.set_axis_off()
        return made
    matrix = np.array(evaluation.matrix, float)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1.15)
    words = _cell_words(evaluation)
    for i in range(len(names)):
        for j in range(len(names)):
            colour = "white" if share[i, j] > 0.55 else INK
            ax.text(
                j, i - 0.06, f"{int(matrix[i, j])}", ha="center", va="center", color=colour, fontsize=15, weight="bold"
            )
            text = fitting(f"{share[i, j]:.1%} of {evaluation.class_names[i]}", 7.5, cell)
            text = text if len(names) < 3 else f"{share[i, j]:.1%}"
            ax.text(
                j,
                i + 0.2,
                f"{words.get((i, j), '')}\n{text}".strip(),
                ha="center",
                va="center",
                color=colour,
                fontsize=7.5,
            )
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names, rotation=90, va="center")
    ax.tick_params(length=0)
    return made


def _cell_words(evaluation: Evaluation) -> dict[tuple[int, int], str]:
    if len(evaluation.class_names) != 2:
        return {}
    ill = evaluation.class_names.index(evaluation.positive)
    well = 1 - ill
    return {(ill, ill): "found", (ill, well): "missed", (well, ill): "false alarms", (well, well): "cleared"}


@styled
def score_histogram(p: Predictions) -> Figure:
    """Calibrated probabilities given to films with (above) and without the positive class, and the threshold.

    Mistakes are red. Counts grow linearly up to 10 and logarithmically beyond, so that single films stay visible.
    """
    truth, scores = _known(p)
    positive = p.class_names[p.positive]
    others = " / ".join(n for i, n in enumerate(p.class_names) if i != p.positive)
    made, axes = figure(*SIZE, 2, 1, sharex=True, sharey=True)
    bins = [float(b) for b in np.linspace(0, 1, 26)]
    for ax, ill, name in ((axes[0, 0], True, positive), (axes[1, 0], False, others)):
        own = scores[truth == ill]
        right = (own >= p.threshold) == ill
        ax.hist([own[right], own[~right]], bins=bins, stacked=True, color=[BLUE if ill else GREEN, RED])
        ax.axvline(p.threshold, color=INK, lw=1, ls="--")
        ax.set_yscale("symlog", linthresh=10)
        ax.yaxis.set_major_formatter(ScalarFormatter())
        ax.yaxis.set_minor_locator(NullLocator())
        tidy(ax, f"{name}: {len(own)} films, {int((~right).sum())} wrong (red)", "", "films")
        axes[1, 0].set_xlabel(plain(f"probability given of {positive} (dashed: threshold {p.threshold:.2f})"))
    return made
