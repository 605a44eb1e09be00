"""Mean squares and variance components of both models, in the scale of AUROCs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.readers.statistics.jackknife import Areas

__all__ = ["Components", "dbm_components", "or_components"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Components:
    """What the tests need.

    Attributes:
        between: MS(T). error: what F divides it by. df: its degrees of freedom.
        error_fixed_readers, df_fixed_readers: the same for these readers and other cases; error_fixed_cases,
            df_fixed_cases: for other readers of these cases.
        error_alone: (I,) J times the variance of a test's reader-averaged AUROC. df_alone: (I,).
        named: mean squares and components for the reader of a report.
    """

    between: float
    error: float
    df: float
    error_alone: Floats
    df_alone: Floats
    error_fixed_readers: float
    df_fixed_readers: float
    error_fixed_cases: float
    df_fixed_cases: float
    named: Mapping[str, float]


def _ratio(total: float, part: float, df: float) -> float:
    """Satterthwaite as by Hillis 2007: total² / (part² / df); without spread among readers, cases alone decide.

    Readers who agree leave a spread of rounding errors, whose square can be 0.

    >>> _ratio(0.5, 0.25, 2.0), _ratio(0.5, 1e-170, 2.0)
    (8.0, inf)
    """
    return (total / part) ** 2 * df if part > 1e-12 * total else float("inf")


def _squares(auc: Floats) -> tuple[float, float, float, Floats]:
    """MS(T), MS(R), MS(T·R) of AUROCs (I, J), and MS(R) within each test (I,)."""
    i, j = auc.shape
    test, reader, mean = auc.mean(1, keepdims=True), auc.mean(0, keepdims=True), auc.mean()
    between = j * ((test - mean) ** 2).sum() / max(i - 1, 1)
    cross = ((auc - test - reader + mean) ** 2).sum() / max((i - 1) * (j - 1), 1)
    return float(between), float(i * ((reader - mean) ** 2).sum() / (j - 1)), float(cross), auc.var(1, ddof=1)


def or_components(found: Areas, tests: int) -> Components:
    """Obuchowski & Rockette's: Cov1 same reader, other test; Cov2 same test, other reader; Cov3 both other."""
    auc = found.values.reshape(tests, -1)
    i, j = auc.shape
    c = found.covariance.reshape(i, j, i, j)
    between, by_reader, cross, alone = _squares(auc)
    same_test, same_reader = np.eye(i, dtype=bool), np.eye(j, dtype=bool)
    kinds = {
        "var": same_test[:, None, :, None] & same_reader[None, :, None, :],
        "cov1": ~same_test[:, None, :, None] & same_reader[None, :, None, :],
        "cov2": same_test[:, None, :, None] & ~same_reader[None, :, None, :],
        "cov3": ~same_test[:, None, :, None] & ~same_reader[None, :, None, :],
    }
    mean = {name: float(c[kind].mean()) if kind.any() else 0.0 for name, kind in kinds.items()}
    cov2 = np.array([c[k, :, k, :][~same_reader].mean() for k in range(i)])
    error = cross + j * max(mean["cov2"] - mean["cov3"], 0.0)
    error_alone = alone + j * np.maximum(cov2, 0.0)
    df_alone = np.array([_ratio(e, a, j - 1) for e, a in zip(error_alone, alone, strict=True)])
    squares = {"ms_test": between, "ms_reader": by_reader, "ms_test_reader": cross} if i > 1 else {}
    fixed = mean["var"] - mean["cov1"] + (j - 1) * max(mean["cov2"] - mean["cov3"], 0.0)
    df, many = float((i - 1) * (j - 1)), float("inf")
    return Components(
        between, error, _ratio(error, cross, df), error_alone, df_alone, fixed, many, cross, df, squares | mean
    )


def dbm_components(found: Areas, tests: int) -> Components:
    """Dorfman, Berbaum & Metz's: pseudovalues U·A − (U − 1)·A_u (I, J, U), their mean squares divided by U.

    Pseudovalues are shifted so that they average to the AUROC (Hillis, Berbaum & Metz 2008): with whole patients left
    out they need not.
    """
    units = found.without.shape[1]
    pseudo = units * found.values[:, None] - (units - 1) * found.without
    pseudo += (found.values - pseudo.mean(1))[:, None]
    y = pseudo.reshape(tests, -1, units)
    i, j, _ = y.shape
    mean = y.mean()
    t, r, c = y.mean((1, 2), keepdims=True), y.mean((0, 2), keepdims=True), y.mean((0, 1), keepdims=True)
    tr, tc, rc = y.mean(2, keepdims=True), y.mean(1, keepdims=True), y.mean(0, keepdims=True)
    within = ((tc - t - c + mean) ** 2).sum() * j / max((i - 1) * (units - 1), 1)
    rest = ((y - tr - tc - rc + t + r + c - mean) ** 2).sum() / max((i - 1) * (j - 1) * (units - 1), 1)
    between, by_reader, cross, alone = _squares(found.values.reshape(tests, -1))
    error = cross + max(float(within - rest), 0.0) / units
    # One test at a time: readers by cases.
    case = (((tc - t) ** 2).sum((1, 2)) * j) / (units - 1)
    left = ((y - tr - tc + t) ** 2).sum((1, 2)) / ((j - 1) * (units - 1))
    error_alone = alone + np.maximum(case - left, 0.0) / units
    df_alone = np.array([_ratio(e, a, j - 1) for e, a in zip(error_alone, alone, strict=True)])
    named = {
        "ms_test": units * between,
        "ms_reader": units * by_reader,
        "ms_case": float(((c - mean) ** 2).sum() * i * j / (units - 1)),
        "ms_test_reader": units * cross,
        "ms_test_case": float(within),
        "ms_test_reader_case": float(rest),
    }
    df, df_cases = float((i - 1) * (j - 1)), float((i - 1) * (units - 1))
    fixed = float(within) / units
    return Components(
        between, error, _ratio(error, cross, df), error_alone, df_alone, fixed, df_cases, cross, df, named
    )
