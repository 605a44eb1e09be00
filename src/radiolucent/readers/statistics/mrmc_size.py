"""Readers and cases for a reading study: power of Obuchowski & Rockette's test (Hillis, Obuchowski & Berbaum 2011)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from radiolucent.errors import ConfigError

__all__ = ["Pilot", "cases_for", "mrmc_power"]


@dataclass(frozen=True)
class Pilot:
    """Variance components of AUROCs, from a pilot or stated.

    Attributes:
        test_reader: σ²_TR, how readers' gains from one test to the other differ, beyond what their cases explain.
        error: σ²_ε, variance of one reader's AUROC under one test, at `cases` cases.
        same_reader, same_test, neither: r1, r2, r3: correlations of errors of two AUROCs on the same cases: of a reader
            under both tests, of two readers under one test, of two readers under different ones.
        cases: that σ²_ε holds for; it falls as 1/cases, the share of positive cases staying the same.
    """

    test_reader: float
    error: float
    same_reader: float
    same_test: float
    neither: float
    cases: int

    def __post_init__(self) -> None:
        shares = (self.same_reader, self.same_test, self.neither)
        finite = math.isfinite(self.test_reader) and math.isfinite(self.error) and self.cases >= 4
        if not finite or self.test_reader < 0 or self.error <= 0 or not all(0 <= r <= 1 for r in shares):
            raise ConfigError(f"{self}; expected variances of 0 and more, correlations in [0, 1], at least 4 cases.")

    @staticmethod
    def of(components: Mapping[str, float], cases: int) -> "Pilot":
        """From the components of `mrmc` (model "or") with two tests and its number of cases.

        σ²_TR = MS(T·R) − Var + Cov1 + max(Cov2 − Cov3, 0), at least 0.

        Raises:
            ConfigError: of a single test, or of another model.
        """
        if not {"ms_test_reader", "var", "cov1", "cov2", "cov3"} <= set(components):
            raise ConfigError(
                'components without Var and Cov1 to Cov3 of two tests; expected those of mrmc(model="or").'
            )
        var, *covs = (components[k] for k in ("var", "cov1", "cov2", "cov3"))
        r1, r2, r3 = (min(max(c / var, 0.0), 1.0) for c in covs)
        own = components["ms_test_reader"] - var + covs[0] + max(covs[1] - covs[2], 0.0)
        return Pilot(max(own, 0.0), var, r1, r2, r3, cases)


def mrmc_power(
    pilot: Pilot, effect: float, *, readers: int, cases: int, level: float = 0.95, margin: float = 0.0
) -> float:
    """Chance that a fully crossed study of two tests, random readers and random cases, shows a difference of AUROCs.

    F with 1 and ν degrees of freedom and non-centrality J d² / 2 / [σ²_TR + σ²_ε (1 − r1 + (J − 1) max(r2 − r3, 0))],
    ν = (J − 1) [same]² / [σ²_TR + σ²_ε (1 − r1 − max(r2 − r3, 0))]²; σ²_ε scaled to the number of cases.
    Source: Hillis, Obuchowski & Berbaum 2011, "Power estimation for multireader ROC methods".

    Args:
        effect: the difference of reader-averaged AUROCs expected; with a `margin`, beyond −margin (non-inferiority,
            one-sided at half of 1 − level).

    >>> round(mrmc_power(Pilot(0.0005, 0.002, 0.4, 0.3, 0.25, 100), 0.05, readers=5, cases=100), 2)
    0.32
    """
    from scipy import stats

    if readers < 2 or readers != int(readers) or cases < 4:
        raise ConfigError(f"readers {readers}, cases {cases}; expected whole numbers, at least 2 and 4.")
    if not -1 < effect < 1 or not 0 <= margin < 1 or not 0 < level < 1:
        raise ConfigError(f"effect {effect}, margin {margin}, level {level}; expected AUROCs' differences, and shares.")
    error = pilot.error * pilot.cases / cases
    apart = max(pilot.same_test - pilot.neither, 0.0)
    spread = pilot.test_reader + error * (1 - pilot.same_reader - apart)
    total = pilot.test_reader + error * (1 - pilot.same_reader + (readers - 1) * apart)
    if spread <= 0:
        raise ConfigError("a pilot whose readers gain exactly alike; expected components with some spread among them.")
    df = (readers - 1) * (total / spread) ** 2
    gap = effect + margin
    away = (readers / 2) ** 0.5 * gap / total**0.5
    if margin:
        return float(stats.nct.sf(stats.t.ppf(0.5 + level / 2, df), df, away))
    return float(stats.ncf.sf(stats.f.ppf(level, 1, df), 1, df, away**2))


def cases_for(
    pilot: Pilot, effect: float, *, readers: int, power: float = 0.8, level: float = 0.95, margin: float = 0.0
) -> int | None:
    """The fewest cases with which `mrmc_power` reaches `power`; None where only more readers would do."""
    if not 0 < power < 1:
        raise ConfigError(f"power {power}; expected a chance between 0 and 1, such as 0.8.")
    most = 10_000_000
    given = {"readers": readers, "level": level, "margin": margin}
    if mrmc_power(pilot, effect, cases=most, **given) < power:  # pyright: ignore[reportArgumentType]
        return None
    low, high = 3, most
    while high - low > 1:
        middle = (low + high) // 2
        reached = mrmc_power(pilot, effect, cases=middle, **given) >= power  # pyright: ignore[reportArgumentType]
        low, high = (low, middle) if reached else (middle, high)
    return high
