"""Learning curves and the curves of evaluation."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from radiolucent import metrics
from radiolucent.figures.style import BLUE, GREEN, GREY, ORANGE, RED, figure, tidy
from radiolucent.metrics import Evaluation
from radiolucent.types import Predictions

__all__ = [
    "confusion_plot",
    "decision_plot",
    "learning_curves",
    "pr_plot",
    "reliability_plot",
    "roc_plot",
    "score_histogram",
]


class Epoch(Protocol):
    """What a learning curve shows of an epoch."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def val_loss(self) -> float: ...
    @property
    def train_accuracy(self) -> float: ...
    @property
    def val_accuracy(self) -> float: ...
    @property
    def lr(self) -> float: ...


def learning_curves(history: Sequence[Epoch], best_epoch: int) -> Figure:
    """Loss, accuracy and learning rate by epoch, with the epoch that was kept."""
    made, axes = figure(10, 2.9, 1, 3)
    epochs = [h.epoch for h in history]
    for ax, name, words in ((axes[0, 0], "loss", "Loss"), (axes[0, 1], "accuracy", "Accuracy")):
        ax.plot(epochs, [getattr(h, f"train_{name}") for h in history], "o-", color=BLUE, ms=3, label="training")
        ax.plot(epochs, [getattr(h, f"val_{name}") for h in history], "s-", color=ORANGE, ms=3, label="validation")
        tidy(ax, words, "epoch")
    axes[0, 2].plot(epochs, [h.lr for h in history], "o-", color=GREY, ms=3)
    axes[0, 2].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    tidy(axes[0, 2], "Learning rate at the epoch's end", "epoch")
    for ax in axes[0]:
        ax.axvline(best_epoch, color=GREEN, lw=1, ls="--", label=f"kept: epoch {best_epoch}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].legend()
    return made


def _known(p: Predictions) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    kept = np.ones(len(p), bool) if p.labels.ndim == 2 else p.labels >= 0
    return p.truth[kept], p.scores[kept]


def roc_plot(p: Predictions, evaluation: Evaluation) -> Figure:
    """ROC curve with a band (Wilson's interval of sensitivity at each point) and the chosen threshold."""
    truth, scores = _known(p)
    fpr, tpr, _ = metrics.roc_curve_points(truth, scores)
    made, axes = figure(4.2, 4.0)
    ax = axes[0, 0]
    n, z = max(int(truth.sum()), 1), float(stats.norm.ppf(0.975))
    centre = (tpr + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(tpr * (1 - tpr) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    ax.fill_between(fpr, centre - half, centre + half, color=BLUE, alpha=0.15, lw=0)
    ax.plot(fpr, tpr, color=BLUE, lw=1.8, label=f"AUC {evaluation.estimates['auroc']}")
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
    sens, spec = evaluation.estimates["sensitivity"].value, evaluation.estimates["specificity"].value
    if sens is not None and spec is not None:
        ax.plot([1 - spec], [sens], "o", color=RED, label=f"threshold {evaluation.threshold:.2f}")
    ax.set_xlim(-0.01, 1)
    ax.set_ylim(0, 1.01)
    ax.legend(loc="lower right")
    tidy(ax, "ROC", "1 − specificity", "sensitivity")
    return made


def pr_plot(p: Predictions, evaluation: Evaluation) -> Figure:
    """Precision–recall curve, with the prevalence a coin would reach."""
    truth, scores = _known(p)
    recall, precision, _ = metrics.pr_curve_points(truth, scores)
    made, axes = figure(4.2, 4.0)
    ax = axes[0, 0]
    label = f"AP {evaluation.estimates['average_precision']}"
    ax.plot(recall, precision, color=BLUE, lw=1.8, drawstyle="steps-post", label=label)
    ax.axhline(evaluation.prevalence, color=GREY, lw=0.8, ls=":", label=f"prevalence {evaluation.prevalence:.2f}")
    ax.set_xlim(0, 1.01)
    ax.set_ylim(0, 1.02)
    ax.legend(loc="lower left")
    tidy(ax, "Precision–recall", "sensitivity (recall)", "PPV (precision)")
    return made


def reliability_plot(p: Predictions, evaluation: Evaluation) -> Figure:
    """Observed rate against calibrated probability, with Wilson's intervals and the number of films in each bin."""
    truth, scores = _known(p)
    r = metrics.reliability(truth, scores)
    made, axes = figure(4.2, 4.0)
    ax = axes[0, 0]
    rates = np.array([e.value for e in r.rates], float)
    low, high = np.array([e.low for e in r.rates], float), np.array([e.high for e in r.rates], float)
    spread = np.clip(np.stack([rates - low, high - rates]), 0, None)
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
    ax.errorbar(list(r.means), rates, yerr=spread, fmt="o", color=BLUE, ms=4, lw=1, capsize=2)
    for x, y, n in zip(r.means, rates, r.counts, strict=True):
        ax.annotate(str(n), (x, y), xytext=(5, -10), textcoords="offset points", fontsize=7, color=GREY)
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    tidy(ax, "Calibration (films in each bin)", f"probability of {evaluation.positive}", "observed share")
    return made


def decision_plot(p: Predictions) -> Figure:
    """Net benefit of acting by the model, on all, and on none."""
    truth, scores = _known(p)
    curve = metrics.decision_curve(truth, scores)
    made, axes = figure(4.2, 4.0)
    ax = axes[0, 0]
    ax.plot(curve.thresholds, curve.model, color=BLUE, lw=1.8, label="act by the model")
    ax.plot(curve.thresholds, curve.treat_all, color=ORANGE, lw=1.2, label="act on all")
    ax.axhline(0, color=GREY, lw=0.8, label="act on none")
    ax.set_ylim(-0.05, max(0.1, float(truth.mean()) * 1.08))
    ax.set_xlim(0, 1)
    ax.legend()
    tidy(ax, "Decision curve", "threshold probability", "net benefit")
    return made


def confusion_plot(evaluation: Evaluation) -> Figure:
    """Films by true and called class."""
    names, matrix = evaluation.class_names, np.array(evaluation.matrix, float)
    made, axes = figure(4.2, 4.0)
    ax = axes[0, 0]
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(len(names)):
        for j in range(len(names)):
            colour = "white" if share[i, j] > 0.5 else "#111827"
            text = f"{int(matrix[i, j])}\n{share[i, j]:.1%}"
            ax.text(j, i, text, ha="center", va="center", color=colour)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names, rotation=90, va="center")
    ax.grid(visible=False)
    tidy(ax, "Confusion matrix", "called", "truth")
    return made


def score_histogram(p: Predictions) -> Figure:
    """Calibrated probabilities of both groups, with the threshold."""
    truth, scores = _known(p)
    made, axes = figure(4.2, 4.0)
    ax = axes[0, 0]
    bins = [float(b) for b in np.linspace(0, 1, 26)]
    positive = p.class_names[p.positive]
    others = " / ".join(n for i, n in enumerate(p.class_names) if i != p.positive)
    ax.hist(scores[~truth], bins=bins, color=BLUE, alpha=0.65, label=others)
    ax.hist(scores[truth], bins=bins, color=ORANGE, alpha=0.65, label=positive)
    ax.axvline(p.threshold, color=RED, lw=1.2, ls="--", label=f"threshold {p.threshold:.2f}")
    ax.set_yscale("symlog", linthresh=10)
    ax.legend(loc="upper center")
    tidy(ax, "Probabilities given", f"probability of {positive}", "films")
    return made
