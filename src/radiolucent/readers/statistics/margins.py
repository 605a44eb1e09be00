"""Margins stated beforehand: non-inferiority and equivalence; and paired calls of films that share patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics import cluster_bootstrap_mean
from radiolucent.metrics.arrays import boolean
from radiolucent.metrics.resample import clusters_of
from radiolucent.types import Estimate

__all__ = ["MarginResult", "against_margin", "clustered_mcnemar"]

Kind = Literal["non-inferiority", "superiority", "equivalence"]
EXACT = 16  # patients with a difference up to whom all assignments are gone through


@dataclass(frozen=True)
class MarginResult:
    """What an interval says of a margin: "shown", "not shown" or "refuted", and in words."""

    kind: Kind
    margin: float
    verdict: Literal["shown", "not shown", "refuted"]
    words: str


def against_margin(gap: Estimate, margin: float, kind: Kind = "non-inferiority") -> MarginResult:
    """Hold a difference, new less old, against a margin that was fixed before the data were seen.

    Non-inferiority is shown where the interval's lower end lies above −margin, equivalence where the whole interval
    lies within ±margin (two one-sided tests: Schuirmann 1987), superiority where the lower end lies above the margin
    (0, usually). Each is a one-sided test at half the interval's error, 2.5 % for a 95 % interval (ICH E9).
    Refuted: the interval lies beyond the margin on the wrong side. The readers' and the model's AUROC, or AUROC with
    and without the model: `readers_against` (change its sign for model less readers) and `mrmc` give the gap.

    Raises:
        ConfigError: a margin below 0 (0 is for superiority alone), or another kind.

    >>> against_margin(Estimate(0.01, -0.02, 0.04, 0.95, 100, "or"), 0.05).verdict
    'shown'
    """
    if kind not in ("non-inferiority", "superiority", "equivalence"):
        raise ConfigError(f"kind {kind!r}; expected non-inferiority, superiority or equivalence.")
    if margin < 0 or (margin == 0 and kind != "superiority"):
        raise ConfigError(f"margin {margin} for {kind}; expected a positive one, stated before the study.")
    if gap.value is None or gap.low is None or gap.high is None:
        return MarginResult(kind, margin, "not shown", f"{kind} cannot be judged: {gap.note or 'no interval'}.")
    bound = margin if kind == "superiority" else -margin
    shown = gap.low > bound and (kind != "equivalence" or gap.high < margin)
    refuted = gap.high < bound or (kind == "equivalence" and gap.low > margin)
    verdict = "shown" if shown else "refuted" if refuted else "not shown"
    ends = f"{gap.value:.3f} ({100 * gap.level:.3g} % CI {gap.low:.3f} to {gap.high:.3f})"
    limit = f"±{margin:g}" if kind == "equivalence" else f"{bound:g}"
    return MarginResult(
        kind, margin, verdict, f"{kind} {verdict}: difference {ends}, margin {limit}.".replace("-", "−")
    )


def clustered_mcnemar(
    first: NDArray[Any], second: NDArray[Any], *, groups: Sequence[Any] | None = None, level: float = 0.95
) -> tuple[Estimate, float | None]:
    """Difference of two paired proportions (first less second) on the same films, and two-sided p.

    With d_k = (films only the first got right) − (films only the second did) of patient k: where nothing differs, each
    d_k is as likely as −d_k. p is the share of all assignments of signs with |Σ ± d_k| ≥ |Σ d_k|: exact for up to 16
    patients with d_k ≠ 0, else by (Σ d_k)² / Σ d_k² as χ² (Yang, Sun & Hardin 2010). With a film a patient this is
    McNemar's test, exact and plain.

    Args:
        first, second: bool (N,): whether each got the film right (or called it). groups: N patient identifiers.

    p is None where no film differs.

    >>> a, b = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0]), np.array([0, 0, 0, 0, 0, 1, 1, 1, 0])
    >>> clustered_mcnemar(a, b)[1]  # 5 against 1: binomial, twice 7/64
    0.21875
    """
    from scipy import stats

    a, b = boolean(first, "first"), boolean(second, "second")
    if a.shape != b.shape:
        raise ConfigError(f"first {a.shape} and second {b.shape}; expected the same films.")
    gained = a.astype(np.float64) - b
    index, patients = clusters_of(groups, len(a))
    d = np.bincount(index, gained, minlength=patients)
    d = d[d != 0]
    found = cluster_bootstrap_mean(gained, groups, level=level, folds=2000, scale="plain")
    if not gained.any():
        note = "no film differs: no interval"
        return Estimate(found.value, None, None, level, patients, "paired difference", note), None
    if not len(d):
        return found, 1.0
    if len(d) <= EXACT:
        sums = np.zeros(1)
        for step in d:
            sums = np.array(list(chain(sums + step, sums - step)))
        return found, float((np.abs(sums) >= abs(d.sum()) - 1e-9).mean())
    return found, float(stats.chi2.sf(d.sum() ** 2 / (d @ d), 1))
