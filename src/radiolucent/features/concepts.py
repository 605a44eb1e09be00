"""Concepts: what a network's last features are made of over a data set, and what each of them does to the answer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError, DataError, ExplainError
from radiolucent.metrics import cluster_bootstrap_mean
from radiolucent.models import Classifier
from radiolucent.passes.forward import Pass
from radiolucent.passes.goal import Goal
from radiolucent.passes.head import head_behind
from radiolucent.passes.session import Session
from radiolucent.types import Estimate, Radiograph

__all__ = ["Concept", "Concepts", "Crop", "concepts", "factors", "strengths_of", "unsigned_features"]

Floats = NDArray[np.float32]
PLACES = 20_000
"""Places of the films' maps that the factors are fitted on, drawn at random."""
REMOVED = 100
"""Films of which every concept is removed in turn, drawn at random."""
SIGNED = 1e-4
"""Features are signed where a value lies below minus this share of the largest."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A piece of a film that shows a concept.

    Attributes:
        image_id: the film. value: the concept's strength there, the film's largest.
        box: (top, left, bottom, right) in pixels of the model's input: the place and as much around it.
        pixels: uint8, the film there as the model sees it.
    """

    image_id: str
    value: float
    box: tuple[int, int, int, int]
    pixels: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Concept:
    """One factor of the features.

    Attributes:
        number: from 0, the most important first.
        weights: float32 (K,), how much of it each channel holds.
        share: mean |contribution| to the score, Σ gradient · (strength × weights) over places, as a share of that of
            all concepts and the rest. Where all behind the layer is linear they sum to the score less its bias.
        removal: mean over films of the score less the score without the concept, by patient.
        crops: the films' strongest places, at most one a film, the strongest first.
    """

    number: int
    weights: Floats = field(repr=False)
    share: float
    removal: Estimate
    crops: tuple[Crop, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Concepts:
    """The non-negative factors of a layer over films.

    Attributes:
        layer: its dotted name. target: the class whose score is told. score: "margin" (of the class's logit over the
            other's: the log-odds) or "logit".
        concepts: the most important first. explained: share of the features' squared size that they hold together.
        rest: share of the score that they do not hold. strengths: float32 (N, R), mean of each over places.
        image_ids: N. removed_films: films on which concepts were removed.
    """

    layer: str
    target: str
    score: str
    concepts: tuple[Concept, ...]
    explained: float
    rest: float
    strengths: Floats = field(repr=False)
    image_ids: tuple[str, ...] = field(repr=False)
    removed_films: int

    def as_dict(self) -> Mapping[str, Any]:
        """JSON-ready."""
        rows = [
            {
                "concept": c.number, "share": c.share, "removal": c.removal.as_dict(),
                "crops": [{"image": p.image_id, "value": p.value, "box": list(p.box)} for p in c.crops],
            }
            for c in self.concepts
        ]  # fmt: skip
        plain = ("layer", "target", "score", "explained", "rest", "removed_films")
        return {k: getattr(self, k) for k in plain} | {"films": len(self.image_ids), "concepts": rows}


@dataclass(frozen=True, eq=False)
class _Seen:
    """Films with their features: grey uint8 (N, S, S), maps float32 (N, K, h, w)."""

    films: list[Radiograph]
    grey: NDArray[np.uint8]
    maps: Floats
    layer: str


def concepts(
    classifier: Classifier,
    films: Iterable[Radiograph],
    *,
    count: int = 8,
    layer: str | None = None,
    target: str | None = None,
    most: int = 6,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Concepts:
    """Find the concepts of a layer over films, and what each does to a class's score.

    Features (N·h·w, K) are factored into non-negative strengths and weights, F ≈ U W (scikit-learn's NMF). A concept is
    removed by taking its part off the features, max(F − U_r W_r, 0), and asking what follows the layer again.

    Args:
        count: how many. layer: dotted name; the last with places unless given. target: a class; the positive one unless
            given; of several labels it has to be. most: crops a concept. progress: called with (done, films), twice a
            film.

    Raises:
        ConfigError: signed features, fewer films or channels than concepts, no such class. ExplainError: no layer.
        DataError: no film.

    Source: deep feature factorisation (Collins 2018); CRAFT (Fel 2023).
    """
    if count < 2 or most < 1:
        raise ConfigError(f"{count} concepts, {most} crops; expected at least 2 and 1.")
    names = classifier.class_names
    if target is None and classifier.multilabel:
        raise ConfigError(
            f"which of the labels {', '.join(names)} are the concepts weighed by? Give target= (--target)."
        )
    chosen = classifier.positive if target is None else classifier.index_of(target)
    session = Session()
    seen = _looked_at(classifier, films, layer, session)
    n, channels, h, w = seen.maps.shape
    if min(n * h * w, channels) < count or n < 2:
        raise ConfigError(
            f"{count} concepts of {n} films, {channels} channels, {h} × {w} places; expected fewer concepts than "
            "channels and places, and two films."
        )
    rows = seen.maps.transpose(0, 2, 3, 1).reshape(-1, channels)
    weights = factors(rows, count, seed)
    strengths = strengths_of(rows, weights).reshape(n, h, w, count)
    told = _removed(classifier, seen, strengths, weights, chosen, session, seed, progress)
    drops, parts, rest = told
    shares = np.abs(parts).mean(0)
    whole = float(shares.sum() + np.abs(rest).mean()) or 1.0
    order = np.argsort(-np.abs(drops).mean(0), kind="stable")
    patients = [seen.films[i].patient_id or seen.films[i].image_id for i in _drawn(n, seed)]
    found = tuple(
        Concept(
            number, weights[r], float(shares[r]) / whole,
            cluster_bootstrap_mean(drops[:, r], patients, folds=2000, seed=seed, scale="plain"),
            _crops(seen, strengths[..., r], most),
        )
        for number, r in enumerate(order)
    )  # fmt: skip
    left = rows - strengths.reshape(-1, count) @ weights
    explained = 1 - float((left**2).sum()) / max(float((rows**2).sum()), 1e-12)
    score = "margin" if classifier.head == "softmax" else "logit"
    means = strengths.mean((1, 2))[:, order]
    return Concepts(
        seen.layer, names[chosen], score, found, explained, float(np.abs(rest).mean()) / whole, means,
        tuple(f.image_id for f in seen.films), len(drops),
    )  # fmt: skip


def unsigned_features(maps: Floats, layer: str) -> Floats:
    """The maps, where none is negative.

    Raises:
        ConfigError: signed ones, which no non-negative factors make up.
    """
    lowest, highest = float(maps.min()), float(np.abs(maps).max())
    if lowest < -SIGNED * highest:
        raise ConfigError(
            f"layer {layer!r} gives signed features ({lowest:.3g} to {highest:.3g}); concepts are non-negative "
            "factors. Name a layer behind a ReLU with --layer (layer=), where the network has one."
        )
    return np.maximum(maps, 0)


def factors(rows: Floats, count: int, seed: int) -> Floats:
    """Weights (R, K) of the non-negative factors of rows (P, K), fitted on at most 20,000 rows drawn at random.

    Scaled so that the largest weight of each is 1.
    """
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    rng = np.random.default_rng([seed, 211])
    some = rows[rng.permutation(len(rows))[:PLACES]]
    made = NMF(count, init="nndsvda", max_iter=300, random_state=seed)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        made.fit(some)
    weights = np.asarray(made.components_, np.float32)
    return weights / np.maximum(weights.max(1, keepdims=True), 1e-12)


def strengths_of(rows: Floats, weights: Floats, steps: int = 60) -> Floats:
    """Strengths U (P, R) ≥ 0 that make U · weights nearest to rows (P, K), by multiplicative updates (Lee & Seung)."""
    cross, own = rows @ weights.T, weights @ weights.T
    u = np.maximum(cross, 0) / np.maximum(np.diag(own), 1e-12) / len(weights) + 1e-8
    for _ in range(steps):
        u *= np.maximum(cross, 0) / np.maximum(u @ own, 1e-12)
    return u.astype(np.float32)


def _looked_at(classifier: Classifier, films: Iterable[Radiograph], layer: str | None, session: Session) -> _Seen:
    kept: list[Radiograph] = []
    grey: list[NDArray[np.uint8]] = []
    maps: list[Floats] = []
    name = ""
    for film in films:
        pixels = classifier.preprocess.quantise(film)
        inputs = classifier.preprocess.normalise(torch.from_numpy(pixels[None]))
        cut = Pass(classifier, inputs, (layer,), session=session).cut(layer)
        name = cut.layer.name
        maps.append(unsigned_features(cut.features.cpu().numpy().astype(np.float32), name)[0])
        kept.append(film)
        grey.append(pixels)
    if not kept:
        raise DataError("no film to look for concepts in; give a folder with readable films.")
    return _Seen(kept, np.stack(grey), np.stack(maps), name)


def _drawn(count: int, seed: int) -> list[int]:
    return sorted(int(i) for i in np.random.default_rng([seed, 213]).permutation(count)[:REMOVED])


def _removed(
    classifier: Classifier,
    seen: _Seen,
    strengths: Floats,
    weights: Floats,
    target: int,
    session: Session,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of some films M: drops (M, R), what the score loses without each concept; contributions (M, R), and the rest."""
    drops: list[NDArray[np.float64]] = []
    parts: list[NDArray[np.float64]] = []
    rest: list[float] = []
    rows, count = _drawn(len(seen.films), seed), len(weights)
    for done, i in enumerate(rows, 1):
        inputs = classifier.preprocess.normalise(torch.from_numpy(seen.grey[i : i + 1]))
        cut = Pass(classifier, inputs, (seen.layer,), session=session).cut(seen.layer)
        goal = Goal(torch.tensor([target]), "margin" if classifier.head == "softmax" else "logit", classifier)
        gradient = cut.gradient(goal.of(cut.logits))[0].cpu().numpy().astype(np.float64)
        own = np.einsum("hwr,rk->rkhw", strengths[i], weights)
        parts.append(np.einsum("khw,rkhw->r", gradient, own))
        rest.append(float((gradient * (seen.maps[i] - own.sum(0))).sum()))
        head, _ = head_behind(classifier, inputs, cut, count)
        without = torch.from_numpy(np.maximum(seen.maps[i][None] - own, 0)).float().to(cut.value.device)
        value = cut.value.detach().expand(count, *cut.value.shape[1:])
        try:
            changed = cut.layer.changed(value, without)
        except ExplainError as error:
            raise ConfigError(f"concepts of {seen.layer!r} cannot be taken off its features: {error}") from error
        logits = head(changed)
        drops.append((goal.of(cut.logits.detach()) - goal.repeated(count).of(logits)).numpy().astype(np.float64))
        if progress:
            progress(done, len(rows))
    return np.stack(drops), np.stack(parts), np.array(rest)


def _crops(seen: _Seen, strengths: Floats, most: int) -> tuple[Crop, ...]:
    """The films whose strongest place shows most of a concept; a place with as much around it on every side."""
    n, h, w = strengths.shape
    best = strengths.reshape(n, -1).max(1)
    found: list[Crop] = []
    for i in np.argsort(-best, kind="stable")[:most]:
        row, column = divmod(int(strengths[i].argmax()), w)
        side = seen.grey.shape[1:]
        half = [max(round(1.5 * s / g), s // 8) for s, g in zip(side, (h, w), strict=True)]
        middle = [round((k + 0.5) * s / g) for k, s, g in zip((row, column), side, (h, w), strict=True)]
        top, left = (min(max(m - d, 0), s - 2 * d) for m, d, s in zip(middle, half, side, strict=True))
        top, left = max(top, 0), max(left, 0)
        bottom, right = min(top + 2 * half[0], side[0]), min(left + 2 * half[1], side[1])
        piece = seen.grey[i, top:bottom, left:right].copy()
        found.append(Crop(seen.films[i].image_id, float(best[i]), (top, left, bottom, right), piece))
    return tuple(found)
