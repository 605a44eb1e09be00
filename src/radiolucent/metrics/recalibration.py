"""Calibration slope and intercept: logistic regression of the outcome on the logit, its interval by patient."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats, Mask, both_classes, probabilities
from radiolucent.metrics.delong import FEW
from radiolucent.metrics.intervals import jackknife_interval, scaled_interval, undefined
from radiolucent.metrics.resample import Groups, clusters_of
from radiolucent.types import Estimate

__all__ = ["Calibration", "calibration_line", "logit"]


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

    A slope below 1 means scores too extreme. `intercept` is fitted together with the slope; `large`, with the slope
    fixed at 1, is calibration in the large (Van Calster 2019): below 0, the scores are too high on the whole.
    """

    slope: Estimate
    intercept: Estimate
    large: Estimate


class _Fit:
    """Logistic regression of truth y (N,) on the columns of x (N, K), with an offset, by Newton's method."""

    def __init__(self, y: Floats, x: Floats, offset: Floats | float = 0.0) -> None:
        from scipy import special

        self.beta = np.zeros(x.shape[1])
        if x.shape[1] == 2:
            self.beta[1] = 1.0
        reach = np.abs(x).max() + 1
        self.sound = False
        for _ in range(100):
            p = special.expit(x @ self.beta + offset)
            self._v, self._residual = p * (1 - p), y - p
            self._curvature = (x * self._v[:, None]).T @ x
            if not np.isfinite(self._curvature).all() or np.linalg.cond(self._curvature) > 1e12:
                return
            step = np.linalg.solve(self._curvature, x.T @ self._residual)
            size = float(np.abs(step).max())
            # At most 8 in logit units a step: keeps Newton from overshooting where it starts far off.
            self.beta = self.beta + step * min(1.0, 8 / max(size * reach, 1e-300))
            if size < 1e-10:
                self.sound = True
                break
        self._x, self._y, self._offset = x, y, offset

    def model_deviations(self) -> Floats:
        """Standard errors (K,) by the information matrix: right for independent cases of a true model alone."""
        return np.sqrt(np.diag(np.linalg.inv(self._curvature)))

    def without(self, index: NDArray[np.intp], patients: int) -> Floats:
        """The whole answer less the one without each patient (patients, K): Newton's steps from the whole answer.

        The first is one product over patients. Two more, which the bias needs, take patients × N numbers, and are left
        out where these are many: so are then the patients, and the bias is small.
        """
        found = self._first_step(index, patients)
        if patients * len(self._x) > 50_000_000:
            return found
        size = max(1, 2_000_000 // len(self._x))
        for start in range(0, patients, size):
            some = slice(start, min(start + size, patients))
            there = index[None] != np.arange(some.start, some.stop)[:, None]
            for _ in range(2):
                found[some] += self._step(self.beta - found[some], there)
        return found

    def _step(self, beta: Floats, there: NDArray[np.bool_]) -> Floats:
        """Answers (F, K) less what a Newton step makes of them, each over its own films (F, N)."""
        from scipy import special

        k = self._x.shape[1]
        lost: NDArray[np.bool_] = ~np.isfinite(beta).min(1)  # without this patient there is no answer
        p = special.expit(np.where(lost[:, None], 0.0, beta) @ self._x.T + self._offset)
        score = ((self._y - p) * there) @ self._x
        v = p * (1 - p) * there
        curvature = np.stack([v @ (self._x[:, i] * self._x[:, j]) for i in range(k) for j in range(k)], axis=1)
        curvature = curvature.reshape(-1, k, k)
        bad = lost | ~(np.linalg.det(curvature) > 1e-9 * np.linalg.det(self._curvature))
        curvature[bad], score[bad] = np.eye(k), np.nan
        return -np.linalg.solve(curvature, score[:, :, None])[:, :, 0]

    def _first_step(self, index: NDArray[np.intp], patients: int) -> Floats:
        k = self._x.shape[1]
        score = np.stack(
            [np.bincount(index, self._x[:, j] * self._residual, minlength=patients) for j in range(k)], axis=1
        )
        own = np.stack(
            [
                np.bincount(index, self._x[:, i] * self._x[:, j] * self._v, minlength=patients)
                for i in range(k)
                for j in range(k)
            ],
            axis=1,
        ).reshape(patients, k, k)
        left = self._curvature - own
        bad = np.linalg.det(left) <= 1e-9 * np.linalg.det(self._curvature)
        left[bad] = np.eye(k)
        found = np.linalg.solve(left, score[:, :, None])[:, :, 0]
        found[bad] = np.nan
        return found


def _problem(positive: Mask, x: Floats) -> str:
    if not positive.any() or positive.all():
        return "one class only"
    if np.ptp(x) < 1e-12:
        return "all scores are the same: no slope"
    above, below = x[positive], x[~positive]
    if above.min() >= below.max() or above.max() <= below.min():
        return "the classes' scores lie apart (perfect separation, but for ties at its end): no finite slope"
    return ""


def calibration_line(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    interval: Literal["patients", "wald"] = "patients",
    groups: Groups = None,
    level: float = 0.95,
) -> Calibration:
    """Calibration slope and intercept by logistic recalibration (Cox 1958; Van Calster 2019), fitted together.

    Args:
        truth: 0/1 (N,). scores: probabilities (N,).
        groups: N patient identifiers, where patients have several images.
        interval: "patients": the deviation of the line when each patient is left out in turn (the jackknife, which is a
            sandwich that knows leverage: Bell & McCaffrey 2002), with Student's t (`jackknife_interval`), about the
            estimate without the bias of few patients, who make a slope too steep; or "wald", from the information
            matrix: for independent cases of a model that is a line.
    """
    positive, values = probabilities(truth, scores)
    index, patients = clusters_of(groups, len(values))
    x = logit(values)
    method = "wald" if interval == "wald" else "patient jackknife" if patients < len(values) else "jackknife"
    reason = both_classes(positive, values)
    line = "" if reason else _problem(positive, x)
    y, ones = positive.astype(np.float64), np.ones((len(x), 1))
    nothing = undefined(reason or line, level, patients, method)
    if reason:
        return Calibration(nothing, nothing, nothing)

    def estimates(fit: _Fit) -> list[Estimate]:
        if not fit.sound:
            return [undefined("the fit does not converge", level, patients, method)] * len(fit.beta)
        if interval == "wald":
            wald = zip(fit.beta, fit.model_deviations(), strict=True)
            return [scaled_interval(float(b), float(s), level=level, n=len(x), method=method) for b, s in wald]
        gaps = fit.without(index, patients)
        return [_jackknifed(float(b), g, positive, index, level, method) for b, g in zip(fit.beta, gaps.T, strict=True)]

    large = estimates(_Fit(y, ones, x))[0]
    if line:
        return Calibration(nothing, nothing, large)
    intercept, slope = estimates(_Fit(y, np.column_stack([ones, x])))
    return Calibration(slope, intercept, large)


def _jackknifed(
    value: float, gaps: Floats, positive: Mask, index: NDArray[np.intp], level: float, method: str
) -> Estimate:
    """value with the interval that leaving out each patient gives; `gaps` (patients,)."""
    units = len(gaps)
    ill = np.bincount(index, positive, minlength=units) > 0
    rarer = int(min(ill.sum(), len(np.unique(index[~positive]))))
    if rarer < 2:
        return Estimate(value, None, None, level, units, method, f"{FEW} ({rarer} in the rarer class)")
    if not np.isfinite(gaps).all():
        return Estimate(value, None, None, level, units, method, "it rests on a single patient: no interval")
    return jackknife_interval(value, gaps, level=level, method=method, unbiased=True)
