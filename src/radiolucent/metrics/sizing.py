"""How many patients a study needs: for an interval of a width, a margin cleared, or an open verdict settled."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats
from radiolucent.metrics.delong import delong_auroc
from radiolucent.metrics.intervals import score_ends, z_of
from radiolucent.metrics.proportions import clustered_ends
from radiolucent.metrics.ranking import perfect_auroc
from radiolucent.types import Estimate

__all__ = ["Size", "auroc_variance", "patients_needed", "size_auroc", "size_proportion"]

_NODES, _SIZES = np.polynomial.hermite_e.hermegauss(64)  # of the normal density, up to a factor
MOST = 10_000_000  # patients beyond which nobody looks
MOST_FILMS = 10_000_000  # of a patient
SIMULATED = 1000  # of the rarer class, up to which an AUROC's studies are simulated
LEAST = 10  # of the rarer class: below it no interval is promised


@dataclass(frozen=True)
class Size:
    """What a study of a certain size gives.

    Attributes:
        patients: in all. positives, negatives: of them, as expected. films: of all patients.
        half_width: of the interval, half its width, as expected. power: chance of clearing the bound; None without one.
        words: the same in a sentence, with what was assumed.
    """

    patients: int
    positives: int
    negatives: int
    films: int
    half_width: float
    power: float | None
    words: str


def patients_needed(
    estimate: Estimate, threshold: float, *, signed: bool = False, power: float = 0.8, least: int = LEAST
) -> int | None:
    """Patients with whom an interval like this one clears the threshold with this power, if the value is the truth.

    n (half width / distance)² ((z + z_power) / z)², with z of the estimate's level. An interval that would just reach
    the threshold about the same value clears it half the time: the factor, 2.04 for 80 % and 95 %, makes up for that.
    None where the value lies on the threshold (within 2 %), which no number of patients settles, or has no interval.

    Args:
        signed: −threshold counts as well. power: 0.5 leaves out the factor; above 0 and below 1, else a ConfigError.

    >>> patients_needed(Estimate(0.3, 0.1, 0.5, 0.95, 100, "bootstrap"), 0.2)
    818
    """
    from scipy import stats

    if not 0 < power < 1:
        raise ConfigError(f"power {power:g}; expected a share between 0 and 1, such as 0.8.")
    if estimate.value is None or estimate.low is None or estimate.high is None or not estimate.n:
        return None
    distance = abs((abs(estimate.value) if signed else estimate.value) - threshold)
    if distance < 0.02 * max(threshold, 1e-9):
        return None
    z = z_of(estimate.level)
    factor = ((z + max(float(stats.norm.ppf(power)), 0.0)) / z) ** 2
    return max(least, math.ceil(estimate.n * ((estimate.high - estimate.low) / 2 / distance) ** 2 * factor))


def auroc_variance(area: float, positives: float, negatives: float) -> float:
    """Variance of the empirical AUROC of normal scores of the same spread in both classes, N(d, 1) and N(0, 1).

    (A (1 − A) + (m − 1) (Q1 − A²) + (n − 1) (Q2 − A²)) / (m n) (Hanley & McNeil 1982, eq. 2), with Q1 = Q2 by numerical
    integration of the normal model, not by their exponential approximation.

    >>> round(auroc_variance(0.8, 50, 50) ** 0.5, 4)
    0.0437
    """
    from scipy import special, stats

    d = math.sqrt(2) * float(stats.norm.ppf(area))
    both = float(_SIZES @ special.ndtr(d + _NODES) ** 2 / _SIZES.sum())
    m, n = positives, negatives
    return (area * (1 - area) + (m + n - 2) * (both - area**2)) / (m * n)


def size_proportion(
    share: float,
    *,
    half_width: float | None = None,
    bound: float | None = None,
    prevalence: float = 1.0,
    films: float = 1.0,
    rho: float = 0.5,
    power: float = 0.8,
    level: float = 0.95,
    positives: bool = True,
) -> Size:
    """Patients for a proportion: Wilson's interval of a half width, or one whose lower end clears `bound`.

    Args:
        share: what is expected, e.g. a sensitivity of 0.9. half_width, bound: one of them.
        prevalence: share of patients in whom the proportion is measured (the ill for sensitivity; 1: all), they being
            the `positives` or not. films, rho: films a patient and the correlation of their outcomes.

    With several films a patient, width and power come from 2,000 simulated studies a size (beta-binomial outcomes, a
    fixed seed), analysed by the interval that the evaluation would print (`clustered_wilson`): power to ± 1 point.
    """
    from scipy import stats

    _checked(share, half_width, bound, prevalence, power)
    _checked_films(films, rho)
    if films > 1 and rho > 0:
        study = _Clustered(share, prevalence, films, rho, level, bound or 0.0)
        what = f"a proportion of {share:g}"
        return _search(study.half, study.chance, half_width, bound, power, prevalence, films, positives, what)

    def half(patients: float) -> float:
        low, high = score_ends(share, patients * prevalence * films, z_of(level))
        return float(high - low) / 2

    def chance(patients: float) -> float:
        n = patients * prevalence * films
        spread = 10 * math.sqrt(n * share * (1 - share)) + 10
        counts = np.arange(
            max(math.floor(n * share - spread), 0), min(math.floor(n), math.ceil(n * share + spread)) + 1
        )
        lows = score_ends(counts / n, n, z_of(level))[0]
        return float(stats.binom.pmf(counts, math.floor(n), share)[lows > (bound or 0)].sum())

    return _search(half, chance, half_width, bound, power, prevalence, films, positives, f"a proportion of {share:g}")


class _Clustered:
    """Simulated studies of a proportion, of films that share patients."""

    def __init__(self, share: float, prevalence: float, films: float, rho: float, level: float, bound: float) -> None:
        self._share, self._rho, self._prevalence = share, rho, prevalence
        self._films, self._level, self._bound = films, level, bound

    def _ends(self, patients: float) -> tuple[Floats, Floats]:
        own = max(round(patients * self._prevalence), 2)
        rng = np.random.default_rng(0)
        whole = int(self._films)
        size = np.full(own, whole) + (np.arange(own) < round((self._films - whole) * own))
        runs = max(200, min(2000, 20_000_000 // own))
        if self._rho < 1:
            a = (1 - self._rho) / self._rho
            rate = rng.beta(self._share * a, (1 - self._share) * a, (runs, own))
        else:
            rate = (rng.random((runs, own)) < self._share).astype(np.float64)
        low, high, _ = clustered_ends(rng.binomial(size, rate), size, self._level)
        return low, high

    def half(self, patients: float) -> float:
        """Half the width to be expected."""
        low, high = self._ends(patients)
        return float((high - low).mean()) / 2

    def chance(self, patients: float) -> float:
        """That the lower end clears the bound."""
        return float((self._ends(patients)[0] > self._bound).mean())


def _checked_films(films: float, rho: float) -> None:
    if not 1 <= films <= MOST_FILMS or not 0 <= rho <= 1:
        raise ConfigError(f"{films} films a patient, correlation {rho}; expected 1 to {MOST_FILMS:,}, and 0 to 1.")


class _Areas:
    """Studies of an AUROC, of independent films: simulated (a fixed seed) while the rarer class is small."""

    def __init__(self, area: float, prevalence: float, level: float, bound: float) -> None:
        self._area, self._prevalence, self._level, self._bound = area, prevalence, level, bound
        self._made: dict[tuple[int, int], tuple[Floats, Floats]] = {}

    def _counts(self, films: float) -> tuple[int, int]:
        ill = max(round(films * self._prevalence), 2)
        return ill, max(round(films) - ill, 2)

    def _ends(self, ill: int, well: int) -> tuple[Floats, Floats]:
        if (ill, well) not in self._made:
            self._made[ill, well] = self._simulated(ill, well)
        return self._made[ill, well]

    def _simulated(self, ill: int, well: int) -> tuple[Floats, Floats]:
        from scipy import stats

        rng, apart = np.random.default_rng(0), math.sqrt(2) * float(stats.norm.ppf(self._area))
        # What exceeds this adds next to nothing to the variance.
        ill, well = min(ill, 20 * well, 20_000), min(well, 20 * ill, 20_000)
        positive = np.arange(ill + well) < ill
        perfect = perfect_auroc(positive, None, self._level)
        found = [
            delong_auroc(
                positive, rng.normal(size=ill + well) + apart * positive, None, level=self._level, perfect=perfect
            )
            for _ in range(max(200, min(600, 1_000_000 // (ill + well))))
        ]
        ends = np.array([(0.0 if e.low is None else e.low, 1.0 if e.high is None else e.high) for e in found])
        return ends[:, 0], ends[:, 1]

    def _error(self, ill: int, well: int, at: float) -> float:
        """Deviation of the logit of an AUROC of `at`."""
        return math.sqrt(auroc_variance(at, ill, well)) / (at * (1 - at))

    def half(self, films: float, simulated: int) -> float:
        """Half the width to be expected."""
        from scipy import special

        counts = self._counts(films)
        if min(counts) <= simulated:
            low, high = self._ends(*counts)
            return float((high - low).mean()) / 2
        reach, middle = z_of(self._level) * self._error(*counts, self._area), float(special.logit(self._area))
        return float(special.expit(middle + reach) - special.expit(middle - reach)) / 2

    def chance(self, films: float, simulated: int) -> float:
        """That the interval's lower end clears the bound."""
        from scipy import special, stats

        counts = self._counts(films)
        if min(counts) <= simulated:
            return float((self._ends(*counts)[0] > self._bound).mean())
        aim, low, high = float(special.logit(self._bound)), self._bound, 1 - 1e-9
        for _ in range(40):  # the lowest AUROC whose interval clears the bound
            middle = (low + high) / 2
            clears = special.logit(middle) - z_of(self._level) * self._error(*counts, middle) > aim
            low, high = (low, middle) if clears else (middle, high)
        return float(
            stats.norm.cdf((special.logit(self._area) - special.logit(high)) / self._error(*counts, self._area))
        )


def size_auroc(
    area: float,
    *,
    half_width: float | None = None,
    bound: float | None = None,
    prevalence: float = 0.5,
    films: float = 1.0,
    rho: float = 0.5,
    power: float = 0.8,
    level: float = 0.95,
) -> Size:
    """Patients for an AUROC: DeLong's interval on the logit scale of a half width, or one that lies above `bound`.

    Scores are taken as normal in both classes; arguments as in `size_proportion`, `prevalence` being the share of
    patients with the finding. Width and power come from simulated studies of independent films, analysed by the
    interval that the evaluation would print (`auroc`); the standard error of a power of 0.8 is 1.6 to 2.8 points.
    Several films of a patient count as films / (1 + (films − 1) rho). With more than 1,000 of the rarer class the
    formulas hold (`auroc_variance`).
    """
    _checked(area, half_width, bound, prevalence, power)
    _checked_films(films, rho)
    if not 0 < prevalence < 1:
        raise ConfigError(f"prevalence {prevalence}; expected patients of both classes, above 0 and below 1.")
    study, share = _Areas(area, prevalence, level, bound or 0.0), films / (1 + (films - 1) * rho)

    def found(near: int, simulated: int) -> Size:
        def half(patients: float) -> float:
            return study.half(patients * share, simulated)

        def chance(patients: float) -> float:
            return study.chance(patients * share, simulated)

        what = f"an AUROC of {area:g}"
        return _search(half, chance, half_width, bound, power, prevalence, films, True, what, near)

    return found(found(0, 0).patients, SIMULATED)


def _checked(share: float, half_width: float | None, bound: float | None, prevalence: float, power: float) -> None:
    for what, given, most in (("value", share, False), ("prevalence", prevalence, True), ("power", power, False)):
        if not (0 < given < 1 or (most and given == 1)):
            raise ConfigError(f"{what} {given:g}; expected a share between 0 and 1, such as 0.8.")
    if (half_width is None) == (bound is None):
        raise ConfigError(
            "give either the half width of the interval (--half-width), or the bound that it is to clear (--above)."
        )
    if half_width is not None and not 0 < half_width < 0.5:
        raise ConfigError(f"half width {half_width}; expected a share between 0 and 0.5, such as 0.05.")
    if bound is not None and not 0 < bound < share:
        raise ConfigError(f"bound {bound} for an expected {share}; expected one between 0 and it.")


def _search(
    half: Callable[[float], float],
    chance: Callable[[float], float],
    half_width: float | None,
    bound: float | None,
    power: float,
    prevalence: float,
    films: float,
    positives: bool,
    what: str,
    near: int = 0,
) -> Size:
    """The fewest patients that do, by bisection; power of a discrete figure rises and falls, so a little above it.

    Args:
        near: about how many they are, where each look takes long; then found to half a per cent.
    """

    def enough(patients: float) -> bool:
        return half(patients) <= half_width if half_width is not None else chance(patients) >= power

    least = math.ceil(LEAST / min(prevalence, 1 - prevalence if prevalence < 1 else 1.0))
    low, high, step = max(least, near), max(least, near), 1.25 if near else 2.0
    while not enough(high):
        low, high = high, math.ceil(step * high)
        if high > MOST:
            raise ConfigError(f"more than {MOST:,} patients; expected a wider interval or a bound further off.")
    while low == high > least or (low > least and enough(low)):
        low, high = max(least, math.floor(low / step)), low
    while high - low > 1 + (high // 200 if near else 0):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    own = round(high * prevalence)
    counts = (own, high - own) if positives else (high - own, own)
    reached = None if bound is None else chance(high)
    aim = (
        f"an interval of ± {half_width:g} (expected: ± {half(high):.3f})"
        if bound is None
        else f"a chance of {reached:.0%} that its interval lies above {bound:g}"
    )
    words = f"{high:,} patients ({counts[0]:,} with the finding, {counts[1]:,} without) give {what} {aim}."
    return Size(high, *counts, round(high * films), half(high), reached, words)
