"""The local linear model: ridge regression weighted by closeness, with standard errors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.explainers.lime.emulator import Emulated

__all__ = ["Surrogate", "closeness", "fit_emulated", "fit_ridge", "select"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A linear model of the score around one image.

    Attributes:
        coefficients: (d,) what showing a piece adds; 0 for pieces not selected.
        errors: (d,) standard errors: sandwich estimator clustered by pair, or jackknife over groups of pairs.
        intercept: the score with everything hidden, by the model.
        r2: weighted R²: share of the score's variance that the model explains.
        prediction: the model's score for the whole image.
    """

    coefficients: Floats
    errors: Floats
    intercept: float
    r2: float
    prediction: float


def closeness(masks: NDArray[np.bool_], metric: str, width: float) -> Floats:
    """Weights (n,): √exp(−D²/width²), D the distance of each mask from the first (everything shown); as lime."""
    data = masks.astype(np.float64)
    if metric == "cosine":  # against all ones: 1 − √(share shown)
        distance = 1 - np.sqrt(data.mean(1))
    else:
        from sklearn.metrics import pairwise_distances

        distance = pairwise_distances(data, data[:1], metric=metric).ravel()
    return np.sqrt(np.exp(-(distance**2) / width**2))


def _solve(masks: NDArray[np.bool_], scores: Floats, weights: Floats, alpha: float) -> tuple[Floats, float, Floats]:
    """Coefficients, intercept and the inverse of the (centred, weighted) normal matrix of ridge regression."""
    x = masks.astype(np.float64)
    total = weights.sum()
    x_mean, y_mean = weights @ x / total, float(weights @ scores / total)
    centred = x - x_mean
    normal = (centred * weights[:, None]).T @ centred + alpha * np.eye(x.shape[1])
    inverse = np.linalg.inv(normal)
    coefficients = inverse @ (centred.T @ (weights * (scores - y_mean)))
    return coefficients, y_mean - float(x_mean @ coefficients), inverse


def select(masks: NDArray[np.bool_], scores: Floats, weights: Floats, count: int) -> NDArray[np.intp]:
    """The pieces to keep: all, or the `count` of largest |coefficient| of a nearly unpenalised fit (α = 0.01), as lime.

    Up to six, lime goes forward step by step, each time adding the piece with the best weighted R².
    """
    pieces = masks.shape[1]
    if count >= pieces:
        return np.arange(pieces)
    if count > 6:
        coefficients, _, _ = _solve(masks, scores, weights, 0.01)
        return np.sort(np.argsort(-np.abs(coefficients), kind="stable")[:count])
    chosen: list[int] = []
    for _ in range(count):
        rest = [p for p in range(pieces) if p not in chosen]
        gains = [_r2(masks[:, [*chosen, p]], scores, weights, 0.0) for p in rest]
        chosen.append(rest[int(np.argmax(gains))])
    return np.sort(np.array(chosen, np.intp))


def _r2(masks: NDArray[np.bool_], scores: Floats, weights: Floats, alpha: float) -> float:
    coefficients, intercept, _ = _solve(masks, scores, weights, alpha + 1e-9)
    return _explained(scores, masks @ coefficients + intercept, weights)


def _explained(scores: Floats, predicted: Floats, weights: Floats) -> float:
    mean = weights @ scores / weights.sum()
    spread = float(weights @ (scores - mean) ** 2)
    return 1 - float(weights @ (scores - predicted) ** 2) / spread if spread > 1e-12 else 1.0


def fit_ridge(
    masks: NDArray[np.bool_],
    scores: Floats,
    weights: Floats,
    *,
    alpha: float = 1.0,
    num_features: int | None = None,
    paired: bool = False,
) -> Surrogate:
    """Fit score ≈ intercept + Σ coefficient · shown by weighted ridge regression (lime's `Ridge(alpha=1)`).

    Args:
        masks: (n, d), the first row all shown. scores: (n,). weights: (n,).
        num_features: keep only so many pieces (see `select`).
        paired: rows 1, 2; 3, 4; … are complements, whose errors belong together.
    """
    used = select(masks, scores, weights, num_features or masks.shape[1])
    coefficients, intercept, inverse = _solve(masks[:, used], scores, weights, alpha)
    predicted = masks[:, used] @ coefficients + intercept
    x = masks[:, used].astype(np.float64)
    x -= weights @ x / weights.sum()
    pushes = x * (weights * (scores - predicted))[:, None]
    if paired and len(pushes) > 2:
        even = 1 + (len(pushes) - 1) // 2 * 2
        pushes = np.concatenate([pushes[:1], pushes[1:even:2] + pushes[2:even:2], pushes[even:]])
    spread = inverse @ (pushes.T @ pushes) @ inverse
    small = len(pushes) / max(len(pushes) - len(used) - 1, 1)
    whole, errors = np.zeros(masks.shape[1]), np.zeros(masks.shape[1])
    whole[used], errors[used] = coefficients, np.sqrt(np.clip(np.diag(spread) * small, 0, None))
    return Surrogate(whole, errors, intercept, _explained(scores, predicted, weights), float(predicted[0]))


def fit_emulated(
    masks: NDArray[np.bool_],
    scores: Floats,
    emulated: Emulated,
    close: Callable[[NDArray[np.bool_]], Floats],
    *,
    alpha: float = 1.0,
    num_features: int | None = None,
) -> Surrogate:
    """The same ridge regression on emulated scores; R² against the scores measured, errors by leaving out samples.

    Args:
        masks: (n, d), the first row all shown. scores: (n,), measured. emulated: from them.
        close: masks (m, d) to weights (m,).
    """
    weights = close(emulated.masks)
    used = select(emulated.masks, emulated.scores, weights, num_features or masks.shape[1])
    shown = emulated.masks[:, used]
    coefficients, intercept, _ = _solve(shown, emulated.scores, weights, alpha)
    left = np.stack([_solve(shown, scores, weights, alpha)[0] for scores in emulated.without])
    spread = (len(left) - 1) / len(left) * ((left - left.mean(0)) ** 2).sum(0)
    whole, errors = np.zeros(masks.shape[1]), np.zeros(masks.shape[1])
    whole[used], errors[used] = coefficients, np.sqrt(spread)
    predicted = masks @ whole + intercept
    return Surrogate(whole, errors, intercept, _explained(scores, predicted, close(masks)), float(predicted[0]))
