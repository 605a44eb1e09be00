"""How to choose a threshold, by a named rule, on validation cases."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.metrics.arrays import Floats, Mask, both_classes, paired
from radiolucent.metrics.proportions import proportion
from radiolucent.metrics.resample import Groups, clusters_of
from radiolucent.types import Estimate

__all__ = ["Threshold", "choose_threshold"]

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"


@dataclass(frozen=True)
class Threshold:
    """A threshold, the rule that chose it, and what it gave on the N cases it was chosen on (optimistic there)."""

    value: float
    rule: str
    sensitivity: Estimate
    specificity: Estimate
    n: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        ends = {"sensitivity": self.sensitivity.as_dict(), "specificity": self.specificity.as_dict()}
        return {"value": self.value, "rule": self.rule, "n": self.n} | ends


def choose_threshold(
    truth: NDArray[Any], scores: NDArray[Any], rule: str = "youden", *, groups: Groups = None, level: float = 0.95
) -> Threshold:
    """Choose the threshold t, a case being called positive where score ≥ t.

    Rules: "youden" maximises sensitivity + specificity (Youden 1950; the middle one of equals); "sensitivity>=0.97" is
    the highest threshold that reaches it; "specificity>=0.95" the lowest; "sensitivity-lower>=0.9" the highest whose
    whole interval reaches it, "specificity-lower>=0.9" the lowest; "cost:fn=5,fp=1" minimises the total cost (the
    highest of equals). The threshold lies half-way between the lowest score called positive and the next below, so that
    it does not sit on a case; calling every case, or none, is among the choices.

    A plain aim is met on these cases by a hair, so that about half of such thresholds miss it on new ones, by design;
    with "-lower" about one in forty does.

    Args:
        groups: N patient identifiers; intervals are Wilson's, with a design effect where patients have several cases.

    Raises:
        ConfigError: an unknown rule, one class only, scores that are not finite, or too few cases for a lower bound.

    >>> choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])).value
    0.4
    """
    positive, values = paired(truth, scores)
    reason = both_classes(positive, values)
    if reason or not np.isfinite(values).all():
        raise ConfigError(f"threshold {rule!r}: {reason or 'infinite scores'}; give a larger, sound validation split.")
    index, _ = clusters_of(groups, len(positive))
    candidates = _candidates(values)
    called_positive = len(values[positive]) - np.searchsorted(np.sort(values[positive]), candidates, side="left")
    called_negative = len(values[~positive]) - np.searchsorted(np.sort(values[~positive]), candidates, side="left")
    text = rule.replace(" ", "")
    aim = re.fullmatch(rf"(sensitivity|specificity)-lower>={_NUMBER}", text)
    if aim and float(aim[2]) < 1:
        value = _bounded(aim[1], float(aim[2]), candidates, positive, values, index, level)
    else:
        chosen = _pick(rule, called_positive, called_negative, int(positive.sum()), int((~positive).sum()))
        value = float(candidates[chosen])
    called = values >= value
    sens, spec = (proportion(name, positive, called, level, index) for name in ("sensitivity", "specificity"))
    return Threshold(value, rule, sens, spec, len(values))


def _bounded(
    name: str, aim: float, candidates: Floats, positive: Mask, values: Floats, index: NDArray[np.intp], level: float
) -> float:
    """The most useful threshold whose lower confidence bound reaches the aim."""
    for t in candidates if name == "sensitivity" else candidates[::-1]:
        low = proportion(name, positive, values >= t, level, index).low
        if low is not None and low >= aim:
            return float(t)
    own = positive if name == "sensitivity" else ~positive
    raise ConfigError(
        f"threshold {name}-lower>={aim:g}: {int(own.sum())} such cases are too few, even if all were right; give a "
        "larger validation split, or a lower aim."
    )


def _candidates(values: Floats) -> Floats:
    """Thresholds from calling none to calling all, one between any two neighbouring scores, falling."""
    distinct = np.unique(values)[::-1]
    middle = (distinct[:-1] + distinct[1:]) / 2
    # Between neighbouring floats the middle may round to the lower one, which would call it too.
    middle = np.where(middle > distinct[1:], middle, distinct[:-1])
    chances = distinct[0] <= 1 and distinct[-1] >= 0
    top = (distinct[0] + 1) / 2 if chances and distinct[0] < 1 else np.nextafter(distinct[0], np.inf)
    bottom = distinct[-1] / 2 if chances else distinct[-1]
    return np.concatenate([[max(top, np.nextafter(distinct[0], np.inf))], middle, [bottom]])


def _pick(rule: str, tp: NDArray[np.intp], fp: NDArray[np.intp], positives: int, negatives: int) -> int:
    """Index into the thresholds, which run from the highest to the lowest."""
    sens, spec = tp / positives, 1 - fp / negatives
    if rule == "youden":
        best = np.flatnonzero(sens + spec >= (sens + spec).max() - 1e-12)
        return int(best[len(best) // 2])
    text = rule.replace(" ", "")
    aim = re.fullmatch(rf"(sensitivity|specificity)>={_NUMBER}", text)
    if aim and float(aim[2]) <= 1:
        met = np.flatnonzero((sens if aim[1] == "sensitivity" else spec) >= float(aim[2]) - 1e-12)
        return int(met[0] if aim[1] == "sensitivity" else met[-1])
    cost = re.fullmatch(rf"cost:fn={_NUMBER},fp={_NUMBER}", text)
    if cost and float(cost[1]) + float(cost[2]) > 0:
        return int(np.argmin(float(cost[1]) * (positives - tp) + float(cost[2]) * fp))
    raise ConfigError(
        f"threshold rule {rule!r}; expected youden, sensitivity>=X, specificity>=X, sensitivity-lower>=X, "
        "specificity-lower>=X (X in 0 to 1) or cost:fn=A,fp=B."
    )
