"""Two classes compared at the same covariates: analysis of covariance."""

import numpy as np
from numpy.typing import NDArray

from radiolucent.types import Estimate

__all__ = ["contrast_at_same"]

Floats = NDArray[np.float64]


def contrast_at_same(
    values: Floats, ill: NDArray[np.bool_], about: Floats, level: float, given: str
) -> Estimate | None:
    """Mean of `values` (N,) of the ill less that of the others at the same `about` (N, K), with Student's t interval.

    Standard errors hold where the classes scatter unlike (HC3, MacKinnon & White 1985). None where a value is not
    known, a class is missing or told by `about` alone, or there are no more than twice as many values as coefficients.
    given: what the interval takes as it is, in words.
    """
    from scipy import stats

    if len(ill) <= 2 * (2 + about.shape[1]) or not 0 < ill.sum() < len(ill) or not np.isfinite(values).all():
        return None
    scale = about.std(0)
    fit = np.column_stack([np.ones(len(ill)), ill, (about - about.mean(0))[:, scale > 0] / scale[scale > 0]])
    if np.linalg.matrix_rank(fit) == np.linalg.matrix_rank(np.delete(fit, 1, axis=1)):
        return None
    inverse = np.linalg.pinv(fit.T @ fit)
    slopes = inverse @ fit.T @ values
    leverage = np.einsum("ij,jk,ik->i", fit, inverse, fit)
    apart = (values - fit @ slopes) / np.maximum(1 - leverage, 1e-6)
    error = float(np.sqrt((inverse @ (fit.T * apart**2) @ fit @ inverse)[1, 1]))
    half = float(stats.t.ppf(0.5 + level / 2, len(ill) - fit.shape[1])) * error
    value = float(slopes[1])
    return Estimate(
        value, value - half, value + half, level, len(ill), f"analysis of covariance, HC3; {given} as given"
    )
