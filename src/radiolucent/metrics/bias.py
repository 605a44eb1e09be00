"""Calibrating with a temperature and one bias a class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.metrics.arrays import Floats
from radiolucent.metrics.calibration import HIGHEST, LOWEST, fit_temperature
from radiolucent.types import Head

__all__ = ["fit_temperature_and_bias"]


def fit_temperature_and_bias(
    logits: NDArray[Any], labels: NDArray[Any], head: Head = "softmax", *, positive: int = 1
) -> tuple[float, Floats]:
    """T and b that minimise the negative log-likelihood of softmax((logits + b) / T), Σ b = 0.

    Bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar 2020, section 3): a temperature alone cannot
    mend what training with class weights does, which moves all logits towards the rarer class. For a single logit b
    has one element and this is Platt scaling.

    Args:
        logits, labels, head, positive: as for `fit_temperature`.

    Returns (T, b (C,)). b is 0 where it has no best value: a class without a case, or cases that some b tells apart
    without error; and for a "multilabel" head. T is then that of `fit_temperature`.

    Raises:
        ConfigError: as `fit_temperature`.

    >>> z = np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 3.0], [0.0, 5.0]])  # all too high for class 1
    >>> temperature, bias = fit_temperature_and_bias(z, np.array([0, 0, 1, 1]))
    >>> bias.round(2)
    array([ 1.5, -1.5])
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    alone = fit_temperature(z, y, head, positive=positive)
    none = np.zeros(z.shape[1])
    if head == "multilabel":
        return alone, none
    known = y >= 0
    if head == "softmax":
        found = _fit(z[known], y[known].astype(np.intp), alone)
        return found or (alone, none)
    found = _fit(np.hstack([-z, z])[known] / 2, (y[known] == positive).astype(np.intp), alone)
    return (found[0], found[1][1:] - found[1][:1]) if found else (alone, none)


def _fit(z: Floats, y: NDArray[np.intp], start: float) -> tuple[float, Floats] | None:
    from scipy import optimize, special

    classes = z.shape[1]
    if len(np.unique(y)) < classes:
        return None
    right = np.eye(classes)[y]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        temperature, bias = np.exp(parameters[0]), parameters[1:] - parameters[1:].mean()
        scaled = (z + bias) / temperature
        likelihood = np.asarray(special.log_softmax(scaled, axis=1))
        wrong = (np.exp(likelihood) - right) / len(z)
        by_bias = wrong.sum(0) / temperature
        slope = np.concatenate([[-(wrong * scaled).sum()], by_bias - by_bias.mean()])
        return -float((likelihood * right).sum() / len(z)), slope

    bounds = [(np.log(LOWEST), np.log(HIGHEST)), *[(None, None)] * classes]
    first = np.concatenate([[np.log(start)], np.zeros(classes)])
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found: Any = optimize.minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    temperature, bias = float(np.exp(found.x[0])), found.x[1:] - found.x[1:].mean()
    # At the lower end every case is told apart: the likelihood only grows as T falls, and b has no best value.
    return None if temperature < LOWEST * 1.01 or not np.isfinite(bias).all() else (temperature, bias)
