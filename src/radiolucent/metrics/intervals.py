"""Intervals in closed form: Wilson's score, the exact bound of a perfect score, value ± t · deviation on a scale."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats
from radiolucent.types import Estimate

__all__ = [
    "Scale",
    "exact_low",
    "hoeffding_ends",
    "jackknife_interval",
    "scaled_interval",
    "score_ends",
    "spread_df",
    "t_of",
    "undefined",
    "welch_df",
    "wilson",
    "z_of",
]

Scale = Literal["plain", "share", "correlation", "difference"]
"""Where a figure is close to normal: as it is; log(x / (1 − x)); Fisher's z; as it is, of two shares."""


def z_of(level: float) -> float:
    """Two-sided standard normal quantile, 1.96 for a level of 0.95.

    Raises:
        ConfigError: a level outside (0, 1).
    """
    from scipy import special

    if not 0 < level < 1:
        raise ConfigError(f"level {level}; expected a coverage between 0 and 1, such as 0.95.")
    return float(special.ndtri(0.5 + level / 2))


def t_of(level: float, df: float) -> float:
    """Two-sided quantile of Student's t; the normal one for infinite degrees of freedom.

    >>> round(t_of(0.95, 9), 3), round(t_of(0.95, float("inf")), 3)
    (2.262, 1.96)
    """
    from scipy import special

    z = z_of(level)
    return z if np.isinf(df) else float(special.stdtrit(df, 0.5 + level / 2))


def welch_df(parts: list[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each (variance, units): (Σ v)² / Σ v² / (u − 1) (Welch 1947).

    >>> round(welch_df([(2.0, 5), (2.0, 9)]), 2)
    10.67
    """
    total = sum(v for v, _ in parts)
    below = sum(v * v / max(u - 1, 0.5) for v, u in parts)
    return total**2 / below if below > 0 else float("inf")


def spread_df(parts: Floats) -> Floats:
    """Degrees of freedom (...) of a variance that is a sum of squares of units' parts g (..., n), from 1 to n − 1.

    2 (Σ g²)² / (Σ g⁴ − (Σ g²)² / n), Satterthwaite's with the kurtosis that the parts have: n − 1 or so where they are
    normal and alike, few where a few large units carry the sum.

    >>> spread_df(np.array([[1.0, -1.0, 1.0, -1.0], [3.0, 0.1, 0.1, -0.1]])).round(2)
    array([3.  , 2.69])
    """
    squares = np.asarray(parts, np.float64) ** 2
    n, total = squares.shape[-1], squares.sum(-1)
    uneven = (squares**2).sum(-1) - total**2 / max(n, 1)
    most = float(max(n - 1, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(uneven > 1e-12 * total**2, np.clip(2 * total**2 / uneven, 1, most), most)


def undefined(note: str, level: float, n: int, method: str) -> Estimate:
    """An estimate that does not exist, saying why."""
    return Estimate(None, None, None, level, n, method, note)


def score_ends(p: Any, n: Any, z: Any) -> tuple[Floats, Floats]:
    """Ends of Wilson's interval of proportions p of n cases (n need not be whole), z deviations wide; or of arrays."""
    p = np.asarray(p, np.float64)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula is exact up to rounding: keep the interval on its proportion.
    low = np.where(p == 0, 0.0, np.maximum(0.0, centre - half))
    return low, np.where(p == 1, 1.0, np.minimum(1.0, centre + half))


def wilson(k: float, n: float, level: float = 0.95) -> Estimate:
    """A proportion k/n with Wilson's score interval (Wilson 1927), for independent cases.

    centre = (p + z²/2n) / (1 + z²/n), half width = z √(p(1−p)/n + z²/4n²) / (1 + z²/n).

    >>> print(wilson(80, 100))
    0.800 (95 % CI 0.711–0.867, n = 100)
    >>> print(wilson(0, 0))
    not applicable (no case of this kind)
    """
    z = z_of(level)
    if not (0 <= k <= n and np.isfinite(n)):
        raise ConfigError(f"{k} of {n}; expected 0 ≤ k ≤ n.")
    if n == 0:
        return undefined("no case of this kind", level, 0, "wilson")
    low, high = score_ends(k / n, n, z)
    return Estimate(k / n, float(low), float(high), level, int(n), "wilson")


def exact_low(n: int, level: float = 0.95) -> float:
    """Lower end of the exact interval (Clopper & Pearson 1934) of n out of n: ((1 − level)/2)^(1/n).

    >>> round(exact_low(100), 3)
    0.964
    """
    z_of(level)
    return float(((1 - level) / 2) ** (1 / n)) if n > 0 else 0.0


def hoeffding_ends(value: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Ends that a mean of n independent terms in [0, 1] keeps whatever their distribution (Hoeffding 1963, th. 1).

    All p with value · ln(value/p) + (1 − value) · ln((1 − value)/(1 − p)) ≤ ln(2 / (1 − level)) / n. They hold for a
    U-statistic too, n being how many disjoint sets of cases its kernel has (ibid., §5).

    >>> tuple(round(end, 3) for end in hoeffding_ends(0.987, 80))
    (0.92, 1.0)
    """
    from scipy import special

    z_of(level)
    most = float(np.log(2 / (1 - level))) / n
    ends: list[float] = []
    for inside, outside in ((value, 0.0), (value, 1.0)):
        for _ in range(60):  # halving: the divergence rises on the way out
            middle = (inside + outside) / 2
            apart = float(special.kl_div(value, middle) + special.kl_div(1 - value, 1 - middle))
            inside, outside = (middle, outside) if apart <= most else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def scaled_interval(
    value: float,
    deviation: float,
    *,
    level: float,
    n: int,
    method: str,
    scale: Scale = "plain",
    df: float = float("inf"),
    note: str = "",
) -> Estimate:
    """value ± t · deviation, reckoned where the figure is close to normal (delta method) and put back.

    "share" (0 to 1): logit; "correlation" (−1 to 1): Fisher's z; "plain": as it is; "difference" of two shares, or a
    mean correlation: as it is, its ends no further out than −1 and 1. There is no interval without a deviation, nor for
    a figure at the end of its scale: a width of 0 is never true.
    """
    from scipy import special

    t = t_of(level, df)
    ends = {"share": (0.0, 1.0), "correlation": (-1.0, 1.0)}.get(scale, (-np.inf, np.inf))
    if not np.isfinite(deviation) or deviation <= 1e-12 or not ends[0] < value < ends[1]:
        why = "no variance among the units: no interval"
        return Estimate(value, None, None, level, n, method, f"{note}; {why}" if note else why)
    if scale == "share":
        half = t * deviation / (value * (1 - value))
        low, high = (float(special.expit(special.logit(value) + step)) for step in (-half, half))
    elif scale == "correlation":
        half = t * deviation / (1 - value * value)
        low, high = (float(np.tanh(np.arctanh(value) + step)) for step in (-half, half))
    else:
        low, high = value - t * deviation, value + t * deviation
        if scale == "difference":
            low, high = max(low, -1.0), min(high, 1.0)
    named = method if np.isinf(df) else f"{method}, t with {df:.3g} df"
    return Estimate(value, low, high, level, n, named, note)


def jackknife_interval(
    value: float,
    gaps: Floats,
    *,
    level: float,
    method: str,
    scale: Scale = "plain",
    note: str = "",
    unbiased: bool = False,
) -> Estimate:
    """value ± t · deviation on `scale`, from what the figure loses when each unit is left out in turn, `gaps` (n,).

    Variance (n − 1)/n Σ (g − mean g)² (Tukey 1958), Student's t with the degrees of freedom of `spread_df`.

    Args:
        unbiased: the interval lies about the jackknife estimate, without the bias of few units, value + (n − 1) mean g.
    """
    n, apart = len(gaps), gaps - gaps.mean()
    deviation = float(np.sqrt((n - 1) / n * (apart @ apart)))
    centre = value + (n - 1) * float(gaps.mean()) if unbiased else value
    words: dict[str, Any] = {"level": level, "n": n, "method": method, "scale": scale, "note": note}
    return replace(scaled_interval(centre, deviation, df=float(spread_df(apart)), **words), value=value)
