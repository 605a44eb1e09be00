"""Calibrating logits with a temperature and one bias a class, by a likelihood that cannot run away."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats
from radiolucent.types import Head

__all__ = ["HIGHEST", "LOWEST", "LogitCalibration", "calibrate_logits", "fit_temperature", "fit_temperature_and_bias"]

LOWEST, HIGHEST = 0.05, 20.0
_Labels = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class LogitCalibration:
    """A temperature and a bias a class, and how far they can be trusted.

    Attributes:
        temperature: T; probabilities are softmax((logits + bias) / T).
        bias: b (C,), summing to 0 (one element for a "sigmoid" head); 0 where none was asked for or none can be told.
        films: labelled films it was fitted on. No probability should be surer than 1 − 1 / (films + 2):
            `radiolucent.types.supported`.
        separable: some temperature and bias call every film rightly, so that the films alone put no lower end to T.
        note: why the fit should be read with care; empty where there is no reason.
    """

    temperature: float
    bias: Floats
    films: int
    separable: bool
    note: str = ""


def calibrate_logits(
    logits: NDArray[Any], labels: NDArray[Any], head: Head = "softmax", *, positive: int = 1, bias: bool = True
) -> LogitCalibration:
    """T and b that maximise Σ log softmax((z + b) / T)_y + ½ log det I(1/T, b/T), I being Fisher's information.

    Temperature scaling (Guo 2017, eq. 9) with a bias (Alexandari, Kundaje & Shrikumar 2020, section 3: a temperature
    alone cannot mend what class weights do). For one logit it is Platt's line. The second term is Jeffreys' prior
    (Firth 1993): where some T tells all films apart the likelihood only grows as T falls to 0, and T would be wherever
    the optimiser gave up; the penalty keeps T finite (Heinze & Schemper 2002) and takes out the first-order bias of
    small samples. Films told apart without error put no lower end to T at all: it is then raised until none of them is
    given more than 1 − 1 / (films + 2), Laplace's rule of succession.

    Args:
        logits: (N, C); C = 1 for a "sigmoid" head. Fit on validation, never on test.
        labels: (N,) class indices, or (N, C) 0/1 for a "multilabel" head; -1 (unknown) is left out.
        positive: which class a single logit speaks for.
        bias: fit b as well. It stays 0 for a "multilabel" head, and where a class has no film.

    Returns T in [0.05, 20].

    Raises:
        ConfigError: no labelled film, logits that are not finite, labels that are no class, or shapes that do not fit
            the head.

    >>> found = calibrate_logits(np.array([[-3.0], [-1], [2], [2.5]]), np.array([0, 0, 1, 1]), "sigmoid")
    >>> found.separable, round(found.temperature, 2)
    (True, 1.97)
    """
    z, y, films = _as_softmax(np.asarray(logits, np.float64), np.asarray(labels), head, positive)
    width = 1 if head == "sigmoid" else np.asarray(logits).shape[1]
    missing = len(np.unique(y)) < z.shape[1]
    with_bias = bias and head != "multilabel" and not missing
    if np.ptp(z - z[:, :1], axis=0).max() == 0 or not np.ptp(z, axis=1).any():
        same = "all films have the same logits: no temperature can be told"
        return LogitCalibration(1.0, np.zeros(width), films, False, same)
    beta, shift = _fit(z, y, with_bias)
    separable = _separable(z, y, with_bias)
    if separable:
        gentler = _bounded(beta * z + shift, 1 - 1 / (films + 2))
        beta, shift = gentler * beta, gentler * shift
    notes = _notes(beta, separable, missing and bias and head != "multilabel", films)
    temperature = float(np.clip(1 / beta, LOWEST, HIGHEST)) if beta > 0 else HIGHEST
    b = shift * temperature
    if head == "sigmoid":
        b = (b[1:] - b[:1]) * (1 if positive == 1 else -1)
    return LogitCalibration(temperature, b if with_bias else np.zeros(width), films, separable, "; ".join(notes))


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any], head: Head = "softmax", *, positive: int = 1) -> float:
    """The temperature of `calibrate_logits` without a bias.

    >>> round(fit_temperature(np.array([[0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]]), np.array([1, 1, 0, 0])), 2)
    2.36
    """
    return calibrate_logits(logits, labels, head, positive=positive, bias=False).temperature


def fit_temperature_and_bias(
    logits: NDArray[Any], labels: NDArray[Any], head: Head = "softmax", *, positive: int = 1
) -> tuple[float, Floats]:
    """(T, b (C,)) of `calibrate_logits`.

    >>> z = np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 3.0], [0.0, 5.0]])  # all too high for class 1
    >>> temperature, bias = fit_temperature_and_bias(z, np.array([0, 0, 1, 1]))
    >>> bias.round(2)
    array([ 1.5, -1.5])
    """
    found = calibrate_logits(logits, labels, head, positive=positive)
    return found.temperature, found.bias


def _as_softmax(z: Floats, y: NDArray[Any], head: Head, positive: int) -> tuple[Floats, _Labels, int]:
    """Every head as softmax rows: logits (M, C'), their class (M,), and how many films they come from."""
    if z.ndim != 2 or len(z) != len(y) or (head == "sigmoid" and z.shape[1] != 1):
        raise ConfigError(f"logits {z.shape} and labels {y.shape} for head {head!r}; expected (N, C) and N labels.")
    if not np.isfinite(z).all():
        raise ConfigError("temperature: logits are not finite; the network is damaged or its input is: train again.")
    if y.dtype.kind not in "iubf":
        raise ConfigError(f"temperature: labels of type {y.dtype}; expected class indices.")
    most = z.shape[1] - 1 if head == "softmax" else 1
    odd = y[~np.isin(y, np.arange(-1, most + 1))]
    if odd.size and head == "softmax" and odd.max() > most and odd.max() % 1 == 0:
        raise ConfigError(f"temperature: label {int(odd.max())} for {z.shape[1]} classes; expected 0 to C − 1.")
    if odd.size:
        raise ConfigError(f"temperature: label {odd[0]:g}; expected 0 to {most}, or −1 where it is unknown.")
    if y.ndim != (2 if head == "multilabel" else 1) or (y.ndim == 2 and y.shape != z.shape):
        raise ConfigError(f"labels {y.shape} for logits {z.shape} of a {head} head; expected one a film (and label).")
    known = y >= 0
    films = int(known.any(axis=1).sum() if known.ndim == 2 else known.sum())
    if not films:
        raise ConfigError("temperature: no labelled case; it is fitted on validation images with labels.")
    if head == "softmax":
        return z[known], y[known].astype(np.intp), films
    if head == "multilabel":
        one, own = z[known], y[known] == 1
    else:
        sign = 1 if positive == 1 else -1
        one, own = sign * z[known, 0], (y[known] == positive) == (positive == 1)
    return np.stack([np.zeros_like(one), one], axis=1), own.astype(np.intp), films


def _fit(z: Floats, y: _Labels, with_bias: bool) -> tuple[float, Floats]:
    """(1/T, b/T (C,)) at the penalised optimum."""
    from scipy import optimize, special

    classes = z.shape[1]
    scale = float((z - z.mean(1, keepdims=True)).std())
    unit, right = z / scale, np.arange(len(y))
    # Shifts of the classes that sum to 0.
    basis = np.eye(classes)[:, 1:] - 1 / classes if with_bias else np.zeros((classes, 0))

    def loss(theta: Floats) -> float:
        likelihood = np.asarray(special.log_softmax(theta[0] * unit + basis @ theta[1:], axis=1))
        p = np.exp(likelihood)
        centred = unit - (p * unit).sum(1, keepdims=True)
        cross = basis.T @ (p * centred).sum(0)
        among = basis.T @ (np.diag(p.sum(0)) - p.T @ p) @ basis
        own = np.array([[(p * centred**2).sum()]])
        information = np.block([[own, cross[None]], [cross[:, None], among]])
        sign, log_det = np.linalg.slogdet(information)
        return -float(likelihood[right, y].sum()) - (0.5 * float(log_det) if sign > 0 else -1e6)

    first = np.concatenate([[1.0], np.zeros(basis.shape[1])])
    bounds = [(scale / HIGHEST, scale / LOWEST), *[(None, None)] * basis.shape[1]]
    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7}
    first[0] = min(max(float(first[0]), scale / HIGHEST), scale / LOWEST)
    found: Any = optimize.minimize(loss, first, jac="3-point", method="L-BFGS-B", bounds=bounds, options=options)
    return float(found.x[0]) / scale, basis @ found.x[1:]


def _bounded(scaled: Floats, highest: float) -> float:
    """The largest factor in (0, 1] by which scaled logits (M, C) state no probability above `highest`."""
    from scipy import optimize, special

    def excess(factor: float) -> float:
        return float(special.softmax(factor * scaled, axis=1).max()) - highest

    return 1.0 if excess(1.0) <= 0 else float(optimize.brentq(excess, 0.0, 1.0))  # pyright: ignore[reportArgumentType]


def _separable(z: Floats, y: _Labels, with_bias: bool) -> bool:
    """Whether some 1/T ≥ 0 and b give every film's own class the highest value: a linear programme's feasibility."""
    from scipy import optimize

    classes = z.shape[1]
    others = np.array([[k for k in range(classes) if k != c] for c in range(classes)])[y]  # (M, C − 1)
    gaps = (z[np.arange(len(y)), y][:, None] - np.take_along_axis(z, others, axis=1)).ravel()
    if not with_bias:
        return bool((gaps > 0).all())
    shifts = (np.eye(classes)[y][:, None] - np.eye(classes)[others]).reshape(-1, classes)
    rows = np.column_stack([gaps, shifts])
    free = [(0, None), *[(None, None)] * classes]
    found: Any = optimize.linprog(np.zeros(classes + 1), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=free)
    return bool(found.status == 0)


def _notes(beta: float, separable: bool, missing: bool, films: int) -> list[str]:
    notes: list[str] = []
    if missing:
        notes.append("a class has no film: no bias")
    if separable:
        notes.append(
            f"the {films} films are told apart without error, so they do not say how sure a probability may be: kept "
            f"at or below 1 − 1/{films + 2}"
        )
    if beta <= 1.001 / HIGHEST:
        notes.append("the logits do not go with the labels, or are far too large: temperature at its upper end")
    elif beta >= 0.999 / LOWEST:
        notes.append("temperature at its lower end")
    return notes
