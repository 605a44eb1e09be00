"""Groups of films within a class: by the network's own features, or by whether a film carries what discovery found."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.answers import ask, embedded
from radiolucent.audits.trial.distort import Grey, grey_of
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.regions import View
from radiolucent.errors import DataError
from radiolucent.models import Classifier
from radiolucent.study.prepared import Prepared
from radiolucent.study.progress import Progress
from radiolucent.study.region_masks import Layers

__all__ = ["MOST", "Grouping", "Ints", "by_channels", "by_features", "described", "grouped", "of_class", "view_at"]

Ints = NDArray[np.int64]
GROUPS, MOST = 2, 10
"""Groups of a class; training films of a group below which the class is not divided."""
FEW = 5
"""Validation films of a group below which it has no say in which epoch is best."""
TRIED = 2
"""Films of either class that a film's channels are laid on, to see where they push the answer."""
_SEED = 0x5E


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups of films.

    Attributes:
        groups: int64 (N,) in the cache's order; 0 … G − 1 on training films, −1 where a film is in none.
        names: of the G groups. by: what tells them apart, in words.
    """

    groups: Ints
    names: tuple[str, ...]
    by: str


def of_class(prepared: Prepared, split: str, label: int) -> NDArray[np.intp]:
    """Positions of a split's films of one class."""
    records = prepared.cache.records
    return np.array([i for i in prepared.rows(split) if records[i].label == label], np.intp)


def classes_of(prepared: Prepared) -> list[int]:
    """The labels there are."""
    return sorted({r.label for r in prepared.cache.records if r.label is not None})


def by_features(before: Classifier | None, prepared: Prepared, seed: int) -> Iterator[tuple[int, dict[str, Ints]]]:
    """Of each class of enough films (its label, by split the part 0 or 1 of each of its films).

    k-means with k = 2 on the network's last feature maps averaged over place, each divided by its standard deviation
    over the training films, of one class's training films (George: Sohoni 2020, who takes UMAP and a k chosen by
    silhouette).

    Raises:
        DataError: the network has no feature maps.
    """
    from sklearn.cluster import KMeans

    features = None if before is None else embedded(before, np.asarray(prepared.cache.pixels))
    if features is None:
        raise DataError("the network has no feature maps to find groups by.")
    scaled = features / (features[prepared.rows("train")].std(0) + 1e-6)
    for label in classes_of(prepared):
        own = {s: of_class(prepared, s, label) for s in ("train", "val")}
        if len(own["train"]) < GROUPS * MOST:
            continue
        found = KMeans(GROUPS, n_init=4, random_state=seed).fit(scaled[own["train"]])  # pyright: ignore[reportArgumentType]
        yield (
            label,
            {s: np.asarray(found.predict(scaled[rows]) if len(rows) else [], np.int64) for s, rows in own.items()},
        )


def view_at(prepared: Prepared, layers: Layers, at: int) -> View:
    """The film at a position of the cache, as discovery sees it."""
    film, label = prepared.cache.pixels[at], prepared.cache.records[at].label
    lungs = layers.lungs[at] if layers.lungs_known[at] else None
    whole = np.ones(film.shape, bool)
    return View(
        np.asarray(film), str(at), str(at), label if label is not None else -1, whole, lungs, layers.markers[at]
    )


def by_channels(
    before: Classifier, prepared: Prepared, layers: Layers, channels: Sequence[str], seed: int, say: Progress
) -> Iterator[tuple[int, dict[str, Ints]]]:
    """The same by whether what a film shows in these channels pushes the network's answer up: 1 where it does.

    A film's push is the mean change of the log-odds of `TRIED` training films of either class, given this film's
    channels. Films above the cut that leaves the smallest squares (Otsu 1979) between all training films' pushes
    carry what the network follows; films of which that cannot be told, as without known lungs, count among the others.
    """
    rng = np.random.default_rng([seed, _SEED])
    labels, train = classes_of(prepared), np.array(prepared.rows("train"), np.intp)
    drawn = [rng.permutation(of_class(prepared, "train", label))[:TRIED] for label in labels]
    views = [view_at(prepared, layers, int(i)) for rows in drawn for i in rows]
    plain = ask(before, [(v, grey_of(v)) for v in views])
    rows = np.array([*train, *prepared.rows("val")], np.intp)
    push = np.full(len(prepared.cache.records), np.nan)
    for done, at in enumerate(rows, 1):
        donor = view_at(prepared, layers, int(at))
        made = [(v, with_channels(v, donor, channels) if v.image_id != donor.image_id else None) for v in views]
        moved = ask(before, made) - plain
        if np.isfinite(moved).any():
            push[at] = np.nanmean(moved)
        say("finding who carries it", done, len(rows))
    cut = otsu(push[train][np.isfinite(push[train])])
    carries = (np.nan_to_num(push, nan=-np.inf) > cut).astype(np.int64)
    for label in labels:
        yield label, {s: carries[of_class(prepared, s, label)] for s in ("train", "val")}


def with_channels(view: View, donor: View, channels: Sequence[str]) -> Grey | None:
    """A film with these channels of another, one after another; None where they share no place."""
    now: View | None = None
    for name in channels:
        grey = CHANNELS[name].exchange(now or view, donor)
        if grey is not None:
            now = dataclasses.replace(now or view, grey=np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8))
    return None if now is None else grey_of(now)


def otsu(values: NDArray[np.float64]) -> float:
    """The cut between two parts of numbers that leaves the least sum of squares within them; ∞ where there are none.

    >>> otsu(np.array([0.0, 0.1, 0.9, 1.0]))
    0.5
    """
    from skimage.filters import threshold_otsu

    ranked, counts = np.unique(values, return_counts=True)
    if len(ranked) < 2:
        return float("inf")
    low = int(np.searchsorted(ranked, threshold_otsu(hist=(counts, ranked))))  # exact: every number a bin
    return float((ranked[low] + ranked[low + 1]) / 2)


def grouped(prepared: Prepared, parts: Mapping[int, Mapping[str, Ints]], words: Sequence[str], by: str) -> Grouping:
    """Every class's films in one or two groups: divided where both parts have `MOST` training films.

    Args:
        parts: of classes, by split, the part (0 or 1) of each film. words: what the parts are called.

    Raises:
        DataError: no class can be divided.
    """
    groups, names = np.full(len(prepared.cache.records), -1, np.int64), list[str]()
    for label in classes_of(prepared):
        own, name = parts.get(label), prepared.dataset.class_names[label]
        divided = own is not None and min(np.bincount(own["train"], minlength=GROUPS)) >= MOST
        for split in ("train", "val"):
            rows = of_class(prepared, split, label)
            groups[rows] = len(names) + (own[split] if divided and own is not None else 0)
        names += [f"{name} {word}" for word in words] if divided else [name]
    if len(names) == len(classes_of(prepared)):
        raise DataError(
            f"no class has {MOST} training films on either side of what tells groups apart ({by}); name another "
            "method: --method surroundings."
        )
    val = np.array(prepared.rows("val"), np.intp)
    few = np.flatnonzero(np.bincount(groups[val][groups[val] >= 0], minlength=len(names)) < FEW)
    groups[val[np.isin(groups[val], few)]] = -1
    return Grouping(groups, tuple(names), by)


def described(grouping: Grouping, prepared: Prepared) -> str:
    """In words: what tells the groups apart, and how many training and validation films each has."""
    counts = [
        np.bincount(own[own >= 0], minlength=len(grouping.names))
        for own in (grouping.groups[np.array(prepared.rows(s), np.intp)] for s in ("train", "val"))
    ]
    each = ", ".join(f"{name} {t} + {v}" for name, t, v in zip(grouping.names, *counts, strict=True))
    return f"groups by {grouping.by}, training + validation films: {each}"
