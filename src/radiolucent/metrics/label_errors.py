"""Films whose label a cross-validated model, the readers and near-duplicates contradict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.errors import ConfigError

__all__ = ["LabelSuspect", "confident_counts", "label_suspects"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelSuspect:
    """One film whose label is doubted.

    Attributes:
        film: position among the films. given, suggested: class indices.
        confidence: that the label is wrong, in [0, 1): the share of all votes that go to other classes. The label has
            a vote, and so has each reader and each near-duplicate; the model's vote is shared out by its probabilities.
            It ranks films and is no calibrated probability.
        model: the probability that the model leaves for other classes than the given one; None where none was asked.
            readers, duplicates: share of readers, and of near-duplicates, who contradict the label; None where there
            are none.
        words: who contradicts it.
    """

    film: int
    given: int
    suggested: int
    confidence: float
    model: float | None
    readers: float | None
    duplicates: float | None
    words: str


def confident_counts(labels: NDArray[Any], chances: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The confident joint (C, C), given by likely class, and each film's confident class (N,), −1 without one.

    Class j's threshold is the mean probability of j over films labelled j; a film is confident for the most probable
    of the classes whose threshold its probability reaches (Northcutt, Jiang & Chuang 2021, eq. 1 and 2). A model too
    sure of everything, or of nothing, changes the thresholds alike.

    Args:
        labels: (N,) class indices. chances: (N, C), of a model that has not seen the film: from cross-validation. A
            row of not-a-number is a film that no such model judged; it counts nowhere.

    >>> confident_counts(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]]))[0]
    array([[1, 1],
           [0, 1]])
    """
    y, p = np.asarray(labels), np.asarray(chances, np.float64)
    if p.ndim != 2 or y.shape != p.shape[:1] or not np.isin(y, np.arange(p.shape[1])).all():
        raise ConfigError(f"labels {y.shape} and chances {p.shape}; expected a class index in 0 to C − 1 a row of C.")
    asked = ~np.isnan(p).all(1)
    known = p[asked]
    if not np.isfinite(known).all() or (known < 0).any() or (np.abs(known.sum(1) - 1) > 1e-3).any():
        raise ConfigError("chances that are no probabilities; expected rows that sum to 1, or are all not-a-number.")
    classes = p.shape[1]
    own = [asked & (y == c) for c in range(classes)]
    limits = np.array([p[o, c].mean() if o.any() else np.inf for c, o in enumerate(own)])
    reached = np.where(p >= limits - 1e-6, p, -1.0)  # as cleanlab: probabilities come rounded
    likely = np.where(reached.max(1) >= 0, reached.argmax(1), -1)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (y[likely >= 0], likely[likely >= 0]), 1)
    return joint, likely.astype(np.intp)


def label_suspects(
    labels: NDArray[Any],
    chances: NDArray[Any],
    *,
    readers: Sequence[Sequence[int]] | None = None,
    duplicates: Sequence[Any] | None = None,
) -> tuple[LabelSuspect, ...]:
    """Films whose label is doubted, the most doubtful first.

    Three witnesses, each silent where it does not know better: the model, if it is confident for another class
    (`confident_counts`); the readers; and the labels of the film's near-duplicates.

    Args:
        labels, chances: as for `confident_counts`.
        readers: for each film the class indices that readers gave it; may be empty.
        duplicates: for each film its group of near-duplicates, the same for films that show the same; None: alone.

    A film is listed if the model is confident for another class and gives the label less than that class, or if most of
    its readers or near-duplicates contradict the label. Between two classes, and on the model's word alone, these are
    the films, in the order, that cleanlab's `find_label_issues` gives (`filter_by="confident_learning"`, ranked by
    self-confidence).
    """
    y, p = np.asarray(labels), np.asarray(chances, np.float64)
    _, likely = confident_counts(y, p)
    if readers is not None and len(readers) != len(y):
        raise ConfigError(f"readings of {len(readers)} films for {len(y)} labels; expected one list a film.")
    odd = sorted({str(v) for some in readers or () for v in some if v not in range(p.shape[1])})
    if odd:
        raise ConfigError(f"readings {', '.join(odd[:5])}; expected class indices, 0 to {p.shape[1] - 1}.")
    twins = _twins(y, duplicates)
    found: list[LabelSuspect] = []
    for i, given in enumerate(int(label) for label in y):
        asked = not np.isnan(p[i]).all()
        doubted = asked and likely[i] >= 0 and p[i, likely[i]] > p[i, given]
        said = list(readers[i]) if readers is not None else []
        against = [_against(given, votes) for votes in (said, twins[i])]
        if not (doubted or any(share is not None and share > 0.5 for share in against)):
            continue
        votes = np.nan_to_num(p[i])
        for vote in (*said, *twins[i]):
            votes[vote] += 1
        other = float(votes.sum() - votes[given])
        votes[given] = -1
        words = [f"the model gives it {p[i, given]:.0%}"] if asked else []
        for share, who, some in zip(against, ("readers", "near-duplicates"), (said, twins[i]), strict=True):
            if share is not None:
                words.append(f"{round(share * len(some))} of {len(some)} {who} say otherwise")
        confidence = other / (len(said) + len(twins[i]) + asked + 1)
        model = 1 - float(p[i, given]) if asked else None
        found.append(
            LabelSuspect(i, given, int(votes.argmax()), confidence, model, against[0], against[1], "; ".join(words))
        )
    return tuple(sorted(found, key=lambda s: -s.confidence))


def _against(given: int, votes: Sequence[int]) -> float | None:
    return sum(v != given for v in votes) / len(votes) if votes else None


def _twins(labels: NDArray[Any], groups: Sequence[Any] | None) -> list[list[int]]:
    """The labels of each film's near-duplicates."""
    if groups is None:
        return [[] for _ in labels]
    if len(groups) != len(labels):
        raise ConfigError(f"{len(groups)} groups of near-duplicates for {len(labels)} labels; expected one a film.")
    members: dict[Any, list[int]] = {}
    for i, group in enumerate(groups):
        if group is not None:
            members.setdefault(group, []).append(i)
    return [
        [int(labels[j]) for j in members.get(g, []) if j != i] if g is not None else [] for i, g in enumerate(groups)
    ]
