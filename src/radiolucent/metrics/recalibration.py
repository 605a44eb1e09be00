"""Calibration slope and intercept: logistic regression of the outcome on the logit, for many folds at once."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask, both_classes, probabilities
from radiolucent.metrics.intervals import normal_interval, undefined
from radiolucent.metrics.resample import Groups, bootstrap_method, clusters_of, over_folds, percentile_interval
from radiolucent.types import Estimate

__all__ = ["Calibration", "Recalibration", "calibration_line", "logit"]

_CLOSE = 1e-3  # Newton's steps square the error: one this small leaves about 1e-6, far below a fold's own noise


def logit(p: NDArray[Any]) -> Floats:
    """log(p / (1 − p)), with p kept 1e-7 away from 0 and 1 (|logit| ≤ 16.1).

    >>> float(logit(np.array([0.5]))[0])
    0.0
    """
    from scipy import special

    return np.asarray(special.logit(np.clip(np.asarray(p, np.float64), 1e-7, 1 - 1e-7)))


@dataclass(frozen=True)
class Calibration:
    """P(positive) = 1 / (1 + exp(−(intercept + slope · logit(score)))): a calibrated model has slope 1, intercept 0.

    A slope below 1 means scores too extreme; an intercept below 0 (at slope 1) means scores too high.
    """

    slope: Estimate
    intercept: Estimate


class Recalibration:
    """The weighted fit of intercept a and slope b (Cox 1958) for each of many folds, by Newton's method.

    Folds start from the whole sample's answer. There all share their probabilities, so the first step, corrected to
    third order (Chebyshev), needs matrix products only; the steps after it touch only folds not there yet.

    Args:
        positive: bool (N,). scores: probabilities (N,).
    """

    def __init__(self, positive: Mask, scores: Floats) -> None:
        from scipy import special

        self.x, self._y = logit(scores), positive.astype(np.float64)
        self._powers = np.stack([self.x**k for k in range(4)], axis=1)
        self._target = self._y[:, None] * self._powers[:, :2]
        self.problem = self._problem(positive)
        self.whole = np.array([0.0, 1.0])
        if self.problem:
            return
        self.whole = self._refine(np.ones((1, len(self.x))), self.whole[None], close=1e-9)[0]
        if not np.isfinite(self.whole).all():
            self.problem = "the fit does not converge"
            return
        p = special.expit(self.whole[0] + self.whole[1] * self.x)[:, None]
        v = p * (1 - p)
        # Columns: gradient (2), curvature (3), third derivative (4), all at the whole sample's answer.
        residual = (self._y[:, None] - p) * self._powers[:, :2]
        self._first = np.hstack([residual, v * self._powers[:, :3], v * (1 - 2 * p) * self._powers])

    def _problem(self, positive: Mask) -> str:
        if not positive.any() or positive.all():
            return "one class only"
        above, below = self.x[positive], self.x[~positive]
        if above.min() >= below.max() or above.max() <= below.min():
            return "no score is shared by both classes' ranges (perfect separation): no finite slope"
        return ""

    @staticmethod
    def _solve(h: Floats, g: Floats) -> Floats:
        """h⁻¹ g for folds of 2 × 2 systems; h (F, 3) as its entries (0,0), (0,1), (1,1)."""
        determinant = h[:, 0] * h[:, 2] - h[:, 1] ** 2
        top = h[:, 2] * g[:, 0] - h[:, 1] * g[:, 1]
        bottom = h[:, 0] * g[:, 1] - h[:, 1] * g[:, 0]
        return np.stack([top, bottom], axis=1) / determinant[:, None]

    def _refine(self, weights: Floats, line: Floats, *, close: float = _CLOSE, steps: int = 40) -> Floats:
        """Newton's steps until small; not-a-number where they never are (a fold whose classes do not overlap)."""
        found, active, reach = np.full(line.shape, np.nan), np.arange(len(line)), np.abs(self.x).max() + 1
        line, w = line.copy(), weights
        for _ in range(steps):
            p = -line @ self._powers[:, :2].T  # in place from here: memory traffic is what this costs
            np.exp(p, out=p)
            p += 1
            np.reciprocal(p, out=p)
            expected = w * p
            sums = expected @ self._powers[:, :3]
            expected *= p
            step = self._solve(sums - expected @ self._powers[:, :3], w @ self._target - sums[:, :2])
            size = np.abs(step).max(1)
            # At most 8 in logit units a step: keeps Newton from overshooting where it starts far off.
            step *= np.minimum(1, 8 / np.maximum(size * reach, 1e-300))[:, None]
            line = line + step
            done = size < close
            found[active[done]] = line[done]
            going = ~done & np.isfinite(line).all(1) & (np.abs(line[:, 1]) < 1e3)
            if not going.any():
                break
            if not going.all():
                line, active, w = line[going], active[going], w[going]
        return found

    def __call__(self, weights: Floats) -> Floats:
        """(folds, 2) intercept and slope from weights (folds, N); not-a-number where there is none."""
        if self.problem:
            return np.full((len(weights), 2), np.nan)
        with np.errstate(all="ignore"):
            sums = weights @ self._first
            step = self._solve(sums[:, 2:5], sums[:, :2])
            a, b = step.T
            third = sums[:, 5:]
            bend = [third[:, k] * a * a + 2 * third[:, k + 1] * a * b + third[:, k + 2] * b * b for k in (0, 1)]
            step = step - self._solve(sums[:, 2:5], np.stack(bend, axis=1)) / 2
            sound = np.isfinite(step).all(1) & (np.abs(step).max(1) < 1)
            return self._refine(weights, self.whole + np.where(sound[:, None], step, 0))

    def deviations(self) -> Floats:
        """Standard errors of intercept and slope on the whole sample, from the information matrix."""
        from scipy import special

        p = special.expit(self.whole[0] + self.whole[1] * self.x)
        h = (p * (1 - p)) @ self._powers[:, :3]
        return np.sqrt(np.array([h[2], h[0]]) / (h[0] * h[2] - h[1] ** 2))


def calibration_line(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    interval: Literal["wald", "bootstrap"] = "wald",
    groups: Groups = None,
    level: float = 0.95,
    folds: int = 10_000,
    seed: int = 0,
) -> Calibration:
    """Calibration slope and intercept by logistic recalibration (Cox 1958; Van Calster 2019), fitted together.

    Args:
        truth: 0/1 (N,). scores: probabilities (N,).
        interval: "wald" (cases taken as independent) or "bootstrap" (percentile, over `groups` where given; folds whose
            classes are perfectly separated have no finite slope: dropped and counted).
    """
    positive, values = probabilities(truth, scores)
    method = "wald" if interval == "wald" else bootstrap_method(groups, folds)
    n = clusters_of(groups, len(values))[1]
    reason = both_classes(positive, values)
    fit = None if reason else Recalibration(positive, values)
    if fit is None or fit.problem:
        nothing = undefined(reason or (fit.problem if fit else ""), level, n, method)
        return Calibration(nothing, nothing)
    a, b = (float(v) for v in fit.whole)
    if interval == "wald":
        sa, sb = (float(v) for v in fit.deviations())
        return Calibration(
            normal_interval(b, sb, level=level, n=len(values), method=method),
            normal_interval(a, sa, level=level, n=len(values), method=method),
        )
    lines = np.concatenate(over_folds(fit, groups, len(values), folds=folds, seed=seed))
    return Calibration(
        percentile_interval(b, lines[:, 1], level=level, n=n, method=method),
        percentile_interval(a, lines[:, 0], level=level, n=n, method=method),
    )
