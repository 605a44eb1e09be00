"""Whether a changed film is one that a network like this may have met: a foreign film moves an innocent network too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import changed_film, embedded
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.distort import Edit
from radiolucent.audits.trial.regions import View
from radiolucent.metrics import auroc
from radiolucent.types import Estimate

__all__ = ["Familiar", "carried", "familiar", "met_films"]

FILMS, REFERENCE, LEAST = 40, 200, 20
USUAL = 0.95
FOREIGN = 0.5
"""Share of changed films beyond what 95 % of untouched ones keep to, above which a change is called foreign (ours)."""


@dataclass(frozen=True)
class Familiar:
    """How far changed films lie from films that the network may have met, in its own features.

    Attributes:
        beyond: share of changed films farther from their nearest neighbour than 95 % of untouched films are.
        films: changed films looked at. reference: films they were held against. trained: whether those were trained on.
    """

    beyond: float
    films: int
    reference: int
    trained: bool

    @property
    def foreign(self) -> bool:
        """Whether the change shows what these films do not."""
        return self.beyond > FOREIGN


def familiar(case: Case, name: str, edit: Edit) -> Familiar | None:
    """Hold changed films against the films trained on, where they are known, else against the audited films.

    None where the network has no feature maps or there are fewer than 20 films.
    """
    found = case.once("reference", partial(_reference, case))
    rng = np.random.default_rng([case.seed, 99])
    names = [case.table.image_ids[int(i)] for i in rng.permutation(len(case.table))]
    views: list[View] = []
    changed: list[NDArray[np.uint8]] = []
    for image in names:
        view = case.view(image)
        pixels = changed_film(view, name, {name: edit}, case.seed)
        if pixels is not None:
            views.append(view)
            changed.append(view.as_input(pixels))
        if len(views) == FILMS:
            break
    if found is None or len(views) < LEAST // 2:
        return None
    features, own, trained = found
    plain = embedded(case.classifier, np.stack([v.as_input(v.grey) for v in views]))
    moved = embedded(case.classifier, np.stack(changed))
    if plain is None or moved is None:
        return None
    scale = features.std(0) + 1e-6
    usual, there = (_nearest(x / scale, features / scale, views, own) for x in (plain, moved))
    return Familiar(float((there > np.quantile(usual, USUAL)).mean()), len(views), len(features), trained)


def carried(
    case: Case, measure: Callable[[View], float | None], *, audited: bool = False, level: float | None = None
) -> tuple[Estimate, bool] | None:
    """How well a measure of what a film carries tells the classes apart on the films trained on: AUROC by patient; and
    whether it is those films.

    None where those films, or the measure on them, are not known. Where the interval holds 0.5 the films do not show
    that one class carries it more, and a network cannot have learnt it from them for all that is known.

    Args:
        audited: where the films trained on are not known, ask the audited ones instead. level: the case's unless given.
    """
    films = met_films(case)
    trained = len(films) >= LEAST
    if audited and not trained:
        rng = np.random.default_rng([case.seed, 105])
        films = [case.view(case.table.image_ids[int(i)]) for i in rng.permutation(len(case.table))[:REFERENCE]]
    rows = [(v, m) for v in films if v.label is not None and (m := measure(v)) is not None]
    truth = np.array([v.label == case.classifier.positive for v, _ in rows])
    if len(rows) < LEAST or truth.all() or not truth.any():
        return None
    values = np.array([m for _, m in rows])
    return auroc(truth, values, groups=np.array([v.patient_id for v, _ in rows]), level=level or case.level), trained


def met_films(case: Case) -> Sequence[View]:
    """The films trained on that are looked at; none where they are not known."""
    return () if case.met is None else case.once("met", lambda: () if case.met is None else tuple(case.met()))


def _reference(case: Case) -> tuple[NDArray[np.float32], Sequence[str], bool] | None:
    """Features of the films held against, and their names."""
    met = met_films(case)
    if len(met) >= LEAST:
        features = embedded(case.classifier, np.stack([v.as_input(v.grey) for v in met]))
        return None if features is None else (features, [v.image_id for v in met], True)
    table = case.table
    if table.embeddings is None or len(table) < LEAST:
        return None
    rows = np.random.default_rng([case.seed, 101]).permutation(len(table))[:REFERENCE]
    return table.embeddings[rows], [table.image_ids[int(i)] for i in rows], False


def _nearest(
    x: NDArray[np.float32], features: NDArray[np.float32], views: Sequence[View], own: Sequence[str]
) -> NDArray[np.float64]:
    """Distance to the nearest other film's features."""
    from scipy.spatial.distance import cdist

    distance = cdist(x, features)
    for row, view in zip(distance, views, strict=True):
        row[[k for k, name in enumerate(own) if name == view.image_id]] = np.inf
    return distance.min(1)
