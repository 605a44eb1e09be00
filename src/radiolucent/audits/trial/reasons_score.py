"""From answers to films changed in the lungs and outside them to five figures and the reasons score.

All effects are in standard deviations of the untouched films' log-odds. Each figure is cut to 0 … 1, where 1 is what a
network does that decides by opacities in the lungs alone:

- paint: rise when a consolidation of full dose is painted into a healthy lung, less the change under the same outside.
- remove: fall when the opacities of an ill film are filled in, less the change under the same outside.
- sham: rise under the consolidation less the change under a sham edit of the same place and size.
- lungs: of what exchanged lungs and exchanged surroundings do together, the share of the lungs: L / (L + O), where L is
  the move towards the other class with lungs of that class beyond the move with lungs of the film's own class, and O
  the mean change under other surroundings.
- outside: 1 − the share of the answer's variance that surroundings account for, E(Δ²)/(2 · variance) under other
  surroundings (Jansen 1999, the total Sobol index).

The score is their mean. Its interval is a bootstrap over patients of all five together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.verdicts import FOLDS
from radiolucent.metrics.resample import bootstrap, cluster_bootstrap_mean
from radiolucent.types import Estimate

__all__ = ["DOSES", "FIGURES", "Effects", "figures_of"]

Floats = NDArray[np.float64]
DOSES = (0.25, 0.5, 0.75, 1.0)
FIGURES = ("paint", "remove", "sham", "lungs", "outside")


@dataclass(frozen=True, eq=False)
class Effects:
    """What each change did to each of N films, one a patient, in standard deviations; not-a-number where not made.

    Attributes:
        image_ids, patients: N each. painted: (N, doses), rise under each dose, mean of a drawn and a real opacity.
        painted_outside, sham: (N,), |change| under the controls at full dose. removed, removed_outside: (N,), fall,
            |change|.
        lungs: (N,), move towards the other class with lungs of the other class, less that with lungs of its own.
        outside, outside_square: (N,), mean |change| and mean squared change under other surroundings.
        kept, turned, kept_outside: (N,), share of calls that stay with lungs of the same class, that turn with lungs
            of the other, and that stay with other surroundings.
    """

    image_ids: tuple[str, ...]
    patients: tuple[str, ...]
    painted: Floats
    painted_outside: Floats
    sham: Floats
    removed: Floats
    removed_outside: Floats
    lungs: Floats
    outside: Floats
    outside_square: Floats
    kept: Floats
    turned: Floats
    kept_outside: Floats

    @property
    def columns(self) -> Floats:
        """(N, 8): painted, its control, sham, removed, its control, lungs, outside, its square."""
        parts = (self.painted[:, -1], self.painted_outside, self.sham, self.removed, self.removed_outside)
        return np.stack([*parts, self.lungs, self.outside, self.outside_square], 1)

    def mean(self, values: Floats, level: float, seed: int) -> Estimate:
        """Mean over films of one effect or share, by patient."""
        return cluster_bootstrap_mean(values, self.patients, level=level, folds=FOLDS, seed=seed, scale="plain")


def _five(columns: Floats, weights: Floats) -> Floats:
    """The five figures (folds, 5) from effects (N, 8) under weights (folds, N)."""
    known = np.isfinite(columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ np.where(known, columns, 0.0)) / (weights @ known.astype(float))
        paint, elsewhere, sham, remove, beside, lungs, outside, square = means.T
        lungs = np.maximum(lungs, 0)
        share = np.where(lungs + outside > 1e-9, lungs / np.maximum(lungs + outside, 1e-9), 0.0)
    found = np.stack([paint - elsewhere, remove - beside, paint - sham, share, 1 - square / 2], 1)
    return np.clip(found, 0, 1)


def figures_of(effects: Effects, *, level: float, seed: int) -> Mapping[str, Estimate]:
    """The five figures and "score", their mean, each from 0 to 1 with its interval over patients."""
    columns = effects.columns

    def interval(told: Callable[[Floats], Floats]) -> Estimate:
        made = bootstrap(lambda w: told(_five(columns, w)), effects.patients, level=level, folds=FOLDS, seed=seed)
        return _within(made)

    found = {name: interval(itemgetter((slice(None), k))) for k, name in enumerate(FIGURES)}
    return found | {"score": interval(lambda five: five.mean(1))}


def _within(e: Estimate) -> Estimate:
    """Cut to 0 … 1. At either end all folds may agree: then as if up to 3/n of the patients answered otherwise."""
    if e.value is None:
        return e
    room = min(1.0, 3 / max(e.n, 1))
    low, high = (e.value - room, e.value + room) if e.low is None or e.high is None else (e.low, e.high)
    note = e.note if e.low is not None else "all folds agree: as if up to 3 of n patients answered otherwise"
    return Estimate(e.value, max(low, 0.0), min(high, 1.0), e.level, e.n, e.method, note)
