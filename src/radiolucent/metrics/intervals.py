"""Closed-form intervals: Wilson's score, the exact binomial bound of a perfect score, the normal one."""

import numpy as np

from radiolucent.errors import ConfigError
from radiolucent.types import Estimate

__all__ = ["exact_low", "normal_interval", "undefined", "wilson", "z_of"]


def z_of(level: float) -> float:
    """Two-sided standard normal quantile, 1.96 for a level of 0.95.

    Raises:
        ConfigError: a level outside (0, 1).
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ConfigError(f"level {level}; expected a coverage between 0 and 1, such as 0.95.")
    return float(ndtri(0.5 + level / 2))


def undefined(note: str, level: float, n: int, method: str) -> Estimate:
    """An estimate that does not exist, saying why."""
    return Estimate(None, None, None, level, n, method, note)


def wilson(k: float, n: float, level: float = 0.95) -> Estimate:
    """A proportion k/n with Wilson's score interval (Wilson 1927), for independent cases.

    centre = (p + z²/2n) / (1 + z²/n), half width = z √(p(1−p)/n + z²/4n²) / (1 + z²/n).

    >>> print(wilson(80, 100))
    0.800 (95% CI 0.711–0.867, n = 100)
    >>> print(wilson(0, 0))
    not applicable (no case of this kind)
    """
    z = z_of(level)
    if not 0 <= k <= max(n, 0):
        raise ConfigError(f"{k} of {n}; expected 0 ≤ k ≤ n.")
    if n == 0:
        return undefined("no case of this kind", level, 0, "wilson")
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula is exact up to rounding: keep the interval on its proportion.
    low = 0.0 if k == 0 else float(max(0.0, centre - half))
    high = 1.0 if k == n else float(min(1.0, centre + half))
    return Estimate(p, low, high, level, int(n), "wilson")


def exact_low(n: int, level: float = 0.95) -> float:
    """Lower end of the exact interval (Clopper & Pearson 1934) of n out of n: ((1 − level)/2)^(1/n).

    >>> round(exact_low(100), 3)
    0.964
    """
    z_of(level)
    return float(((1 - level) / 2) ** (1 / n)) if n > 0 else 0.0


def normal_interval(
    value: float, deviation: float, *, level: float, n: int, method: str, within: tuple[float, float] | None = None
) -> Estimate:
    """value ± z · deviation, cut to `within`."""
    low, high = value - z_of(level) * deviation, value + z_of(level) * deviation
    if within:
        low, high = max(within[0], low), min(within[1], high)
    return Estimate(value, low, high, level, n, method)
