"""Figures at one threshold, and how to choose it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.intervals import (
    Floats,
    bootstrap_weights,
    clusters_of,
    exact_low,
    percentile_interval,
    undefined,
    wilson,
)
from radiolucent.types import Estimate

__all__ = [
    "RATES",
    "Threshold",
    "accuracy",
    "balanced_accuracy",
    "choose_threshold",
    "f1",
    "mcc",
    "npv",
    "ppv",
    "sensitivity",
    "specificity",
]

Mask = NDArray[np.bool_]
Rate = Callable[[Floats, Floats, Floats, Floats], Floats]


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _mcc(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.where(below > 0, (tp * tn - fp * fn) / np.maximum(below, 1e-300), 0.0)


# From weighted counts (folds,) to the figure (folds,); not-a-number where it is not defined.
RATES: dict[str, Rate] = {
    "accuracy": lambda tp, fp, fn, tn: _ratio(tp + tn, tp + fp + fn + tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2,
    "sensitivity": lambda tp, fp, fn, tn: _ratio(tp, tp + fn),
    "specificity": lambda tp, fp, fn, tn: _ratio(tn, tn + fp),
    "ppv": lambda tp, fp, fn, tn: _ratio(tp, tp + fp),
    "npv": lambda tp, fp, fn, tn: _ratio(tn, tn + fn),
    "f1": lambda tp, fp, fn, tn: _ratio(2 * tp, 2 * tp + fp + fn),
    "mcc": _mcc,
}
# Which cases the proportion is over, as (truth, called) -> (successes, trials).
_PROPORTIONS: dict[
    str, Callable[[NDArray[np.bool_], NDArray[np.bool_]], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
] = {
    "accuracy": lambda t, c: (t == c, np.ones_like(t)),
    "sensitivity": lambda t, c: (c, t),
    "specificity": lambda t, c: (~c, ~t),
    "ppv": lambda t, c: (t, c),
    "npv": lambda t, c: (~t, ~c),
}


def proportion(name: str, truth: NDArray[np.bool_], called: NDArray[np.bool_], level: float) -> Estimate:
    """One of the proportions with Wilson's interval."""
    success, trials = _PROPORTIONS[name](truth, called)
    return wilson(int((success & trials).sum()), int(trials.sum()), level)


def counts(
    truth: NDArray[np.bool_], called: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Weighted true positives, false positives, false negatives, true negatives, each (folds,)."""
    cells = np.stack([truth & called, ~truth & called, truth & ~called, ~truth & ~called], axis=1).astype(np.float64)
    tp, fp, fn, tn = (weights @ cells).T
    return tp, fp, fn, tn


def degenerate_bound(name: str, truth: NDArray[np.bool_], called: NDArray[np.bool_], level: float) -> float | None:
    """Exact lower bound for a perfect proportion, None for other figures."""
    if name in _PROPORTIONS:
        _, trials = _PROPORTIONS[name](truth, called)
        return exact_low(int(trials.sum()), level)
    return exact_low(int(min(truth.sum(), (~truth).sum())), level)


def _rate(
    name: str,
    truth: NDArray[Any],
    called: NDArray[Any],
    interval: Literal["wilson", "bootstrap"],
    groups: Sequence[Any] | None,
    level: float,
    folds: int,
    seed: int,
) -> Estimate:
    t, c = np.asarray(truth, bool), np.asarray(called, bool)
    if t.shape != c.shape or t.ndim != 1:
        raise ConfigError(f"truth {t.shape} and called {c.shape}; expected the same (N,).")
    if interval == "wilson" and name in _PROPORTIONS:
        return proportion(name, t, c, level)
    method = f"{'patient ' if groups is not None else ''}bootstrap ({folds})"
    if not len(t):
        return undefined("no cases", level, 0, method)
    value = float(RATES[name](*counts(t, c, np.ones((1, len(t)))))[0])
    samples = [RATES[name](*counts(t, c, w)) for w in bootstrap_weights(groups, len(t), folds=folds, seed=seed)]
    bound = degenerate_bound(name, t, c, level) if value == 1 else None
    return percentile_interval(
        value, np.concatenate(samples), level=level, n=clusters_of(groups, len(t))[1], method=method, bound=bound
    )


def _named(name: str, text: str, default: Literal["wilson", "bootstrap"]) -> Callable[..., Estimate]:
    def figure(
        truth: NDArray[Any],
        called: NDArray[Any],
        *,
        interval: Literal["wilson", "bootstrap"] = default,
        groups: Sequence[Any] | None = None,
        level: float = 0.95,
        folds: int = 10_000,
        seed: int = 0,
    ) -> Estimate:
        return _rate(name, truth, called, interval, groups, level, folds, seed)

    figure.__name__ = figure.__qualname__ = name
    figure.__doc__ = f"""{text}

    Args:
        truth, called: bool (N,).
        interval: "wilson" (proportions only; cases taken as independent) or "bootstrap" (over `groups` where given).
    """
    return figure


accuracy = _named("accuracy", "(TP + TN) / N.", "wilson")
sensitivity = _named("sensitivity", "Sensitivity (recall): TP / (TP + FN).", "wilson")
specificity = _named("specificity", "Specificity: TN / (TN + FP).", "wilson")
ppv = _named("ppv", "Positive predictive value (precision): TP / (TP + FP).", "wilson")
npv = _named("npv", "Negative predictive value: TN / (TN + FN).", "wilson")
f1 = _named("f1", "F1 = 2 TP / (2 TP + FP + FN).", "bootstrap")
balanced_accuracy = _named("balanced_accuracy", "Mean of sensitivity and specificity.", "bootstrap")
mcc = _named("mcc", "Matthews correlation coefficient; 0 where a margin is empty (as scikit-learn).", "bootstrap")


@dataclass(frozen=True)
class Threshold:
    """A threshold, the rule that chose it, and what it gave on the cases it was chosen on (optimistic there)."""

    value: float
    rule: str
    sensitivity: Estimate
    specificity: Estimate
    n: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "value": self.value,
            "rule": self.rule,
            "n": self.n,
            "sensitivity": self.sensitivity.as_dict(),
            "specificity": self.specificity.as_dict(),
        }


def choose_threshold(truth: NDArray[Any], scores: NDArray[Any], rule: str = "youden") -> Threshold:
    """Choose a threshold by a named rule, on validation cases.

    Rules: "youden" maximises sensitivity + specificity (Youden 1950); "sensitivity>=0.97" the highest threshold that
    reaches it; "specificity>=0.95" the lowest; "cost:fn=5,fp=1" minimises the total cost. The threshold lies half-way
    between the last score called positive and the next, so that it does not sit on a case.

    Raises:
        ConfigError: an unknown rule, or one class only.

    >>> choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])).value
    0.4
    """
    positive, values = np.asarray(truth, bool), np.asarray(scores, np.float64)
    if not positive.any() or positive.all():
        raise ConfigError("a threshold needs validation cases of both classes; give a larger validation split.")
    distinct = np.unique(values)[::-1]
    called = np.searchsorted(np.sort(values[positive]), distinct, side="left")
    tp = positive.sum() - called
    fp = (~positive).sum() - np.searchsorted(np.sort(values[~positive]), distinct, side="left")
    sens, spec = tp / positive.sum(), 1 - fp / (~positive).sum()
    best = _pick(rule, sens, spec, positive.sum() - tp, fp)
    below = distinct[best + 1] if best + 1 < len(distinct) else 0.0
    value = float((distinct[best] + below) / 2)
    calls = values >= value
    return Threshold(
        value,
        rule,
        proportion("sensitivity", positive, calls, 0.95),
        proportion("specificity", positive, calls, 0.95),
        len(values),
    )


def _pick(rule: str, sens: Floats, spec: Floats, fn: NDArray[Any], fp: NDArray[Any]) -> int:
    """Index into the thresholds, which run from the highest to the lowest."""
    if rule == "youden":
        best = np.flatnonzero(sens + spec >= (sens + spec).max() - 1e-12)
        return int(best[len(best) // 2])
    aim = re.fullmatch(r"(sensitivity|specificity)>=(0?\.\d+|1(?:\.0+)?|0)", rule.replace(" ", ""))
    if aim:
        target = float(aim[2])
        if aim[1] == "sensitivity":
            return int(np.flatnonzero(sens >= target - 1e-12)[0])
        met = np.flatnonzero(spec >= target - 1e-12)
        return int(met[-1]) if len(met) else 0
    cost = re.fullmatch(r"cost:fn=([\d.]+),fp=([\d.]+)", rule.replace(" ", ""))
    if cost:
        return int(np.argmin(float(cost[1]) * fn + float(cost[2]) * fp))
    raise ConfigError(
        f"threshold rule {rule!r}; expected youden, sensitivity>=X, specificity>=X (0 to 1) or cost:fn=A,fp=B."
    )
