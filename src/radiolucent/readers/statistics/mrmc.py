"""Multi-reader multi-case analysis of AUROCs: Obuchowski & Rockette's and Dorfman, Berbaum & Metz's models.

Readers and cases are both random: the conclusion is meant for other readers of other patients. Factorial design: every
reader read every case under every test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import boolean, numbers
from radiolucent.metrics.intervals import t_of
from radiolucent.metrics.resample import clusters_of, groups_kept
from radiolucent.readers.statistics.components import Components, dbm_components, or_components
from radiolucent.readers.statistics.jackknife import Areas, areas
from radiolucent.types import Estimate

__all__ = ["MRMC", "Model", "mrmc", "mrmc_of", "mrmc_rate", "names_of", "readers_against"]

Floats = NDArray[np.float64]
Model = Literal["or", "dbm"]


@dataclass(frozen=True)
class MRMC:
    """A multi-reader multi-case comparison of tests.

    Attributes:
        tests, readers: names. auroc: of each (test, reader).
        averages: reader-averaged AUROC of each test, with its interval.
        differences: of each pair of tests, first less second, with its interval.
        p: of each pair, two-sided; None where there is no variance. f: (F, numerator df, denominator df, p) of "all
            tests are alike"; None for one test, and without variance.
        fixed_readers, fixed_cases: of each pair of tests, the difference with its interval for these readers and other
            cases, and for other readers of these cases; what they say holds for these readers, or cases, alone.
        components: the variance components and mean squares they rest on, by name.
        method: how it was done.
    """

    tests: tuple[str, ...]
    readers: tuple[str, ...]
    auroc: Mapping[tuple[str, str], float]
    averages: Mapping[str, Estimate]
    differences: Mapping[tuple[str, str], Estimate]
    p: Mapping[tuple[str, str], float | None]
    f: tuple[float, int, float, float] | None
    components: Mapping[str, float]
    method: str
    fixed_readers: Mapping[tuple[str, str], Estimate] = field(default_factory=dict[tuple[str, str], Estimate])
    fixed_cases: Mapping[tuple[str, str], Estimate] = field(default_factory=dict[tuple[str, str], Estimate])

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; pairs of names joined by " - ", estimates in the form of `summary.json`."""
        names = ("F", "df_numerator", "df_denominator", "p")
        return {
            "method": self.method,
            "readers": list(self.readers),
            "auroc": {t: {r: self.auroc[t, r] for r in self.readers} for t in self.tests},
            "averages": {t: e.as_dict() for t, e in self.averages.items()},
            "differences": {" - ".join(k): e.as_dict() | {"p": self.p[k]} for k, e in self.differences.items()},
            "all_tests_alike": dict(zip(names, map(_finite, self.f), strict=True)) if self.f else None,
            "fixed_readers": {" - ".join(k): e.as_dict() for k, e in self.fixed_readers.items()},
            "fixed_cases": {" - ".join(k): e.as_dict() for k, e in self.fixed_cases.items()},
            "components": dict(self.components),
        }


def mrmc(
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    tests: Sequence[str] | None = None,
    readers: Sequence[str] | None = None,
    model: Model = "or",
    covariance: Literal["jackknife", "delong"] = "jackknife",
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
) -> MRMC:
    """Reader-averaged AUROCs of tests, and their differences, for random readers and random cases.

    Obuchowski–Rockette: F = MS(T) / [MS(T·R) + J max(Cov2 − Cov3, 0)], with Hillis' denominator degrees of freedom
    [MS(T·R) + J max(Cov2 − Cov3, 0)]² / {MS(T·R)² / [(I − 1)(J − 1)]}; a test alone: variance
    [MS(R)_i + J max(Cov2_i, 0)] / J with df [MS(R)_i + J max(Cov2_i, 0)]² / {MS(R)_i² / (J − 1)}.
    Dorfman–Berbaum–Metz: the same from a three-way analysis of jackknife pseudovalues, F = MS(T) / [MS(T·R) +
    max(MS(T·C) − MS(T·R·C), 0)]; by Hillis' df and the jackknife covariance it is the same test.
    Source: Obuchowski & Rockette 1995; Dorfman, Berbaum & Metz 1992; Hillis 2007; Hillis, Berbaum & Metz 2008.

    Args:
        truth: bool (N,). scores: (I, J, N), higher for diseased: I tests (the modality, or without and with the model),
            J ≥ 2 readers.
        covariance: how the AUROCs' covariances are estimated; DBM takes the jackknife.
        groups: N patient identifiers; patients are then left out whole.

    Raises:
        ConfigError: shapes that do not fit, a missing score, fewer than two readers.
    """
    positive, values = boolean(truth), numbers(scores, "scores")
    if values.ndim != 3 or values.shape[2] != len(positive) or values.shape[1] < 2 or not np.isfinite(values).all():
        raise ConfigError(
            f"scores {values.shape} for {len(positive)} cases; expected finite (tests, readers, cases) with at least "
            "two readers: leave out cases that not everybody read."
        )
    if model not in ("or", "dbm") or (model == "dbm" and covariance != "jackknife"):
        raise ConfigError(f"model {model!r} with {covariance}; expected or, or dbm with the jackknife.")
    count, readers_n = values.shape[:2]
    found = areas(positive, values.reshape(count * readers_n, -1), groups, covariance)
    named = {"tests": tests, "readers": readers, "model": model, "level": level}
    return mrmc_of(found, count, covariance=covariance, **named)  # pyright: ignore[reportArgumentType]


def mrmc_of(
    found: Areas,
    count: int,
    *,
    tests: Sequence[str] | None = None,
    readers: Sequence[str] | None = None,
    model: Model = "or",
    covariance: str = "jackknife",
    level: float = 0.95,
    figure: str = "",
) -> MRMC:
    """The analysis of `mrmc` of any figure whose values, and values without each unit, are known.

    Args:
        found: of `count` tests by as many readers each, tests outermost. figure: its name, if not AUROC.
    """
    readers_n = len(found.values) // count
    test_names, reader_names = names_of("test", tests, count), names_of("reader", readers, readers_n)
    parts = or_components(found, count) if model == "or" else dbm_components(found, count)
    name = f"{'Obuchowski–Rockette' if model == 'or' else 'Dorfman–Berbaum–Metz'}, {covariance}, Hillis df"
    return _analysis(found, parts, test_names, reader_names, f"{figure}: {name}" if figure else name, level)


def names_of(what: str, given: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Names of tests or readers: those given, or numbers.

    Raises:
        ConfigError: not one each, or one twice: figures are kept by name.
    """
    names = tuple(given or (f"{what} {k + 1}" for k in range(count)))
    if len(names) != count or len(set(names)) < count:
        raise ConfigError(f"{what} names {', '.join(map(str, names))} for {count} {what}s; expected one each, once.")
    return names


def mrmc_rate(
    truth: NDArray[Any],
    calls: NDArray[Any],
    rate: Literal["sensitivity", "specificity"],
    *,
    tests: Sequence[str] | None = None,
    readers: Sequence[str] | None = None,
    model: Model = "or",
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
) -> MRMC:
    """Reader-averaged sensitivity or specificity of tests and their differences: the analysis of `mrmc` of calls.

    Args:
        truth: bool (N,). calls: bool (I, J, N), whether a reader called a case positive under a test.
        groups: N patient identifiers; the patients of the cases that the rate is of are left out whole.
    """
    if rate not in ("sensitivity", "specificity"):
        raise ConfigError(f"rate {rate!r}; expected sensitivity or specificity.")
    positive, called = boolean(truth), numbers(calls, "calls")
    if not np.isin(called, (0, 1)).all():
        raise ConfigError("calls other than 0 and 1, or missing; expected a call of every reader on every case.")
    if called.ndim != 3 or called.shape[2] != len(positive) or called.shape[1] < 2:
        raise ConfigError(f"calls {called.shape} for {len(positive)} cases; expected (tests, readers ≥ 2, cases).")
    own = positive if rate == "sensitivity" else ~positive
    by = groups_kept(groups, own)
    index, units = clusters_of(by, int(own.sum()))
    if units < 2:
        raise ConfigError(f"{units} patients for {rate}; expected at least two.")
    right = (called[:, :, own] == positive[own]).reshape(-1, int(own.sum())).astype(np.float64)
    size = np.bincount(index, minlength=units)
    sums = np.array([np.bincount(index, row, minlength=units) for row in right])
    without = (right.sum(1, keepdims=True) - sums) / (len(index) - size)
    apart = without - without.mean(1, keepdims=True)
    found = Areas(right.mean(1), without, (units - 1) / units * (apart @ apart.T))
    named = {"tests": tests, "readers": readers, "model": model, "level": level, "figure": rate}
    return mrmc_of(found, len(called), **named)  # pyright: ignore[reportArgumentType]


def _analysis(
    found: Areas, parts: Components, tests: tuple[str, ...], readers: tuple[str, ...], method: str, level: float
) -> MRMC:
    i, j = len(tests), len(readers)
    auc = found.values.reshape(i, j)
    units = found.without.shape[1]
    averages = {
        t: _interval(float(auc[k].mean()), parts.error_alone[k] / j, parts.df_alone[k], level, units, method, (0, 1))
        for k, t in enumerate(tests)
    }
    differences: dict[tuple[str, str], Estimate] = {}
    fixed: tuple[dict[tuple[str, str], Estimate], dict[tuple[str, str], Estimate]] = {}, {}
    parts_fixed = (
        (parts.error_fixed_readers, parts.df_fixed_readers, "fixed readers"),
        (parts.error_fixed_cases, parts.df_fixed_cases, "fixed cases"),
    )
    p: dict[tuple[str, str], float | None] = {}
    for a, b in combinations(range(i), 2):
        gap, variance = float(auc[a].mean() - auc[b].mean()), 2 * parts.error / j
        key = tests[a], tests[b]
        differences[key] = _interval(gap, variance, parts.df, level, units, method, (-1, 1))
        p[key] = _p(gap, variance, parts.df)
        for found_by, (error, df, what) in zip(fixed, parts_fixed, strict=True):
            found_by[key] = _interval(gap, 2 * error / j, df, level, units, f"{method}, {what}", (-1, 1))
    f = None
    if i > 1:
        if parts.error > 1e-15:
            ratio = parts.between / parts.error
            f = (ratio, i - 1, parts.df, _tail(ratio, i - 1, parts.df))
    areas_by = {(t, r): float(auc[k, m]) for k, t in enumerate(tests) for m, r in enumerate(readers)}
    return MRMC(tests, readers, areas_by, averages, differences, p, f, parts.named, method, *fixed)


def _finite(value: float) -> float | None:
    """None for infinity, which JSON does not have."""
    return value if np.isfinite(value) else None


def _tail(ratio: float, top: int, df: float) -> float:
    """P(F > ratio); with infinite denominator df, F times its numerator df is chi-square."""
    from scipy import stats

    return float(stats.chi2.sf(ratio * top, top) if np.isinf(df) else stats.f.sf(ratio, top, df))


def _p(gap: float, variance: float, df: float) -> float | None:
    """Two-sided p; None without variance, which proves nothing."""
    from scipy import stats

    if variance <= 1e-15:
        return None
    return float(2 * stats.t.sf(abs(gap) / variance**0.5, df))


def _interval(
    value: float, variance: float, df: float, level: float, n: int, method: str, within: tuple[float, float]
) -> Estimate:
    if variance <= 1e-15:
        return Estimate(value, None, None, level, n, method, "no variance among readers or cases: no interval")
    half = t_of(level, df) * variance**0.5
    low, high = max(float(value - half), within[0]), min(float(value + half), within[1])
    return Estimate(value, low, high, level, n, method)


def readers_against(
    truth: NDArray[Any],
    readers: NDArray[Any],
    model: NDArray[Any],
    *,
    covariance: Literal["jackknife", "delong"] = "jackknife",
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
) -> tuple[Estimate, float | None]:
    """Mean AUROC of the readers less the model's, and two-sided p; readers and cases random, the model one and fixed.

    The single-test analysis of Obuchowski & Rockette on θ_j = AUROC_j − AUROC_model, whose covariances are those of
    differences on the same cases (Hillis, Obuchowski & Berbaum 2011; Chakraborty 2017, ch. 22).

    Args:
        truth: bool (N,). readers: (J, N) scores. model: (N,) scores on the same cases.
    """
    positive = boolean(truth)
    own, one = numbers(readers, "readers"), numbers(model, "model")
    if own.ndim != 2 or own.shape[1:] != one.shape:
        raise ConfigError(f"readers {own.shape} and model {one.shape}; expected (J, N) and (N,) scores.")
    rows = np.concatenate([own, one[None]])
    if len(rows) < 3 or rows.shape[1] != len(positive) or not np.isfinite(rows).all():
        raise ConfigError(f"{rows.shape} scores of readers and model for {len(positive)} cases; expected ≥ 2 readers.")
    found = areas(positive, rows, groups, covariance)
    j = len(rows) - 1
    minus = np.concatenate([np.eye(j), -np.ones((j, 1))], axis=1)
    gaps = Areas(minus @ found.values, minus @ found.without, minus @ found.covariance @ minus.T)
    parts = or_components(gaps, 1)
    value, variance = float(gaps.values.mean()), float(parts.error_alone[0] / j)
    method = f"Obuchowski–Rockette, readers less a fixed model, {covariance}, Hillis df"
    df = parts.df_alone[0]
    return _interval(value, variance, df, level, found.without.shape[1], method, (-1, 1)), _p(value, variance, df)
