"""Margins stated beforehand: non-inferiority, superiority and equivalence."""

from dataclasses import dataclass
from typing import Literal

from radiolucent.errors import ConfigError
from radiolucent.types import Estimate

__all__ = ["MarginResult", "against_margin"]

Kind = Literal["non-inferiority", "superiority", "equivalence"]


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
    if not 0 <= margin < float("inf") or (margin == 0 and kind != "superiority"):
        raise ConfigError(f"margin {margin} for {kind}; expected a positive one, stated before the study.")
    ends = (gap.value, gap.low, gap.high)
    if gap.value is None or gap.low is None or gap.high is None or any(e != e for e in ends):
        return MarginResult(kind, margin, "not shown", f"{kind} cannot be judged: {gap.note or 'no interval'}.")
    bound = margin if kind == "superiority" else -margin
    shown = gap.low > bound and (kind != "equivalence" or gap.high < margin)
    refuted = gap.high < bound or (kind == "equivalence" and gap.low > margin)
    verdict = "shown" if shown else "refuted" if refuted else "not shown"
    told = f"{gap.value:.3f} ({100 * gap.level:.3g} % CI {gap.low:.3f} to {gap.high:.3f})".replace("-", "−")
    limit = f"±{margin:g}" if kind == "equivalence" else f"{bound:g}".replace("-", "−")
    return MarginResult(kind, margin, verdict, f"{kind} {verdict}: difference {told}, margin {limit}.")
