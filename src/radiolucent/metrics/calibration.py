"""Whether "90 %" means nine in ten: temperature, Brier score, ECE, calibration slope and intercept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from radiolucent.errors import ConfigError
from radiolucent.metrics.intervals import Floats

__all__ = ["brier", "calibration_line", "ece", "fit_temperature", "logit"]


def logit(p: NDArray[Any]) -> Floats:
    """log(p / (1 − p)), with p kept 1e-7 away from 0 and 1."""
    return np.asarray(special.logit(np.clip(np.asarray(p, np.float64), 1e-7, 1 - 1e-7)))


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any], head: str = "softmax", positive: int = 1) -> float:
    """The temperature T > 0 that minimises the negative log-likelihood of softmax(logits / T) (Guo 2017, eq. 9).

    Args:
        logits: (N, C); C = 1 for a "sigmoid" head.
        labels: (N,) class indices, or (N, C) 0/1 for a "multilabel" head.
        positive: which class a single logit speaks for.

    Returns T in [0.05, 20]. Without enough cases to fit (fewer than 2, or not finite) a ConfigError.

    >>> round(fit_temperature(np.array([[0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]]), np.array([1, 1, 0, 0])), 2)
    1.82
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if len(z) < 2 or not np.isfinite(z).all():
        raise ConfigError(f"temperature needs at least two cases with finite logits; got {len(z)}.")

    def loss(log_t: float) -> float:
        scaled = z / np.exp(log_t)
        if head == "softmax":
            return float((special.logsumexp(scaled, axis=1) - scaled[np.arange(len(y)), y]).mean())
        target = y if head == "multilabel" else (y == positive).astype(float)[:, None]
        return float((np.logaddexp(0, scaled) - target * scaled).mean())

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def brier(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Mean squared difference between probability and outcome (Brier 1950)."""
    return float(np.mean((np.asarray(scores, np.float64) - np.asarray(truth, np.float64)) ** 2))


def bins_of(scores: NDArray[Any], bins: int) -> NDArray[np.intp]:
    """Index of each score's equal-width bin."""
    return np.minimum((np.asarray(scores, np.float64) * bins).astype(np.intp), bins - 1)


def ece(truth: NDArray[Any], scores: NDArray[Any], *, bins: int = 15, weights: Floats | None = None) -> Floats:
    """Expected calibration error Σ_b (n_b/N) |rate_b − mean score_b| over equal-width bins, for each fold of weights.

    Args:
        weights: (folds, N); one fold of ones unless given.
    """
    w = np.ones((1, len(scores))) if weights is None else weights
    member = np.eye(bins)[bins_of(scores, bins)]
    gap = np.asarray(truth, np.float64) - np.asarray(scores, np.float64)
    return np.abs((w * gap) @ member).sum(1) / w.sum(1)


def calibration_line(
    truth: NDArray[Any], scores: NDArray[Any], *, weights: Floats | None = None, steps: int = 25
) -> tuple[Floats, Floats]:
    """Slope b and intercept a of logit P(y) = a + b · logit(score), for each fold of weights (Cox 1958).

    A calibrated model has b = 1 and a = 0. Newton's method on all folds at once; not-a-number where it does not
    converge (perfectly separated cases).
    """
    x, y = logit(scores), np.asarray(truth, np.float64)
    w = np.ones((1, len(x))) if weights is None else weights
    a, b = np.zeros(len(w)), np.ones(len(w))
    if weights is not None:  # start every fold from the whole sample's answer
        whole_b, whole_a = calibration_line(truth, scores)
        if not np.isfinite(whole_b[0]):
            return np.full(len(w), np.nan), np.full(len(w), np.nan)
        a, b = a + whole_a, b * whole_b
        steps = 6
    design = np.stack([np.ones_like(x), x, x * x], axis=1)
    change = np.full(len(w), np.inf)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            p = special.expit(a[:, None] + b[:, None] * x)
            g = (w * (y - p)) @ design[:, :2]
            h = (w * p * (1 - p)) @ design
            determinant = h[:, 0] * h[:, 2] - h[:, 1] ** 2
            da = (h[:, 2] * g[:, 0] - h[:, 1] * g[:, 1]) / determinant
            db = (h[:, 0] * g[:, 1] - h[:, 1] * g[:, 0]) / determinant
            a, b, change = a + da, b + db, np.abs(da) + np.abs(db)
            if np.nanmax(change) < 1e-9:
                break
    bad = ~(change < 1e-3) | ~np.isfinite(a) | ~np.isfinite(b) | (np.abs(b) > 100)
    return np.where(bad, np.nan, b), np.where(bad, np.nan, a)
