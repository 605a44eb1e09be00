"""From an estimate and a threshold to a verdict; the same rules for every test."""

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import Table
from radiolucent.metrics import cluster_bootstrap_mean, patients_needed
from radiolucent.metrics.intervals import exact_low
from radiolucent.types import Estimate, Verdict

__all__ = ["FOLDS", "beyond", "cases_needed", "film_mean", "needed_words", "paired_shift", "two_sided"]

FOLDS = 2000  # resamples give a deviation, not percentiles: enough at any level
POWER = 0.8
MANY = 20
"""Times the units at hand beyond which their number is not named: the figure lies too near the threshold."""
LEAST = 10  # units below which no interval is trusted


def two_sided(estimate: Estimate, threshold: float) -> Verdict:
    """Fail: the whole interval lies beyond ±threshold on one side. Pass: it lies within. Else inconclusive."""
    if estimate.value is None:
        return "not applicable"
    if estimate.low is None or estimate.high is None or estimate.n < LEAST:
        return "inconclusive"
    if estimate.low > threshold or estimate.high < -threshold:
        return "fail"
    return "pass" if -threshold < estimate.low and estimate.high < threshold else "inconclusive"


def beyond(estimate: Estimate, threshold: float) -> Verdict:
    """Fail: the whole interval lies above the threshold. Pass: it lies below. Else inconclusive."""
    if estimate.value is None:
        return "not applicable"
    if estimate.low is None or estimate.high is None or estimate.n < LEAST:
        return "inconclusive"
    return "fail" if estimate.low > threshold else "pass" if estimate.high < threshold else "inconclusive"


def cases_needed(estimate: Estimate, threshold: float, *, signed: bool = False) -> int | None:
    """Units with which the interval would clear the threshold in four of five such studies, the figure being true.

    See `radiolucent.metrics.patients_needed`. None where the value lies on the threshold (within 2 %), which no number
    of cases settles, or has no interval.

    Args:
        signed: the verdict is that of `two_sided`, for which −threshold counts as well; else that of `beyond`.
    """
    return patients_needed(estimate, threshold, signed=signed, power=POWER, least=LEAST)


def needed_words(
    estimate: Estimate, threshold: float, *, signed: bool = False, at_hand: int = 0, who: str = "", here: str = ""
) -> str:
    """The sentence that an inconclusive finding ends with; see `cases_needed`. at_hand: units there are, if not all
    were used. who: what the units are; patients unless given. here: what was used, in words; their number unless given.
    """
    if estimate.low is None or estimate.high is None:
        return f" {(estimate.note or 'too few patients for an interval').capitalize()} ({estimate.n} here)."
    needed = cases_needed(estimate, threshold, signed=signed)
    if needed is None:
        return " The figure lies on the threshold: more cases would not settle it."
    who, here = who or "patients like these", here or f"{estimate.n} here"
    if needed > MANY * max(at_hand, estimate.n):
        return f" The figure lies too near the threshold to settle: it would take over {MANY} times as many ({here})."
    return (
        f" About {max(needed, estimate.n + 1)} {who} would settle it with a power of {POWER:.0%} ({here}), if the true "
        "figure is the one found."
    )


def paired_shift(
    table: Table, changed: NDArray[np.float64], against: NDArray[np.float64], *, level: float, seed: int
) -> Estimate:
    """Mean of (changed − against) over films where both are known, in spreads of the untouched log-odds.

    Interval: bootstrap over patients of the mean; the spread is taken as given.
    """
    spread = table.spread
    difference = (
        (changed - against) / spread if spread > 1e-9 else np.where(np.isfinite(changed - against), 0.0, np.nan)
    )
    groups = np.array(table.patients)
    known = np.isfinite(difference)
    return film_mean(difference[known], groups[known], level=level, seed=seed)


def film_mean(values: NDArray[np.float64], patients: NDArray[np.str_], *, level: float, seed: int) -> Estimate:
    """Mean over films with its interval over patients (`cluster_bootstrap_mean`).

    Where all films answer alike to the last bit resamples tell nothing. Then as many of n patients as the exact
    interval of 0 in n allows may answer otherwise, and each is taken to differ by 1, which is a standard deviation of
    the log-odds where the values are effects.
    """
    found = cluster_bootstrap_mean(values, patients, level=level, folds=FOLDS, seed=seed, scale="plain")
    if found.value is None or found.n < 2 or np.ptp(values) >= 1e-12:
        return found
    share = 1 - exact_low(found.n, level)
    note = f"all films answer alike: as if up to {share:.1%} of patients differed by 1"
    return Estimate(found.value, found.value - share, found.value + share, level, found.n, found.method, note)
