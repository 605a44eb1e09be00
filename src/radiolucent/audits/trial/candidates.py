"""Shortcuts that the network itself points at: concepts of its features, clusters of its maps, and its errors.

Each names a place on a film, or films; what lies there outside the lungs is then exchanged between films as in
`discovered`, and judged alike: the pointing proves nothing, the exchange does. Concepts and maps are made on films that
are neither donors nor judges, so that nothing is tried on what it was found on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.audits.trial.base import Case, Test
from radiolucent.audits.trial.channel_findings import LEAST, UNIT, Tried, finding_of
from radiolucent.audits.trial.discovered import (
    FAMILY,
    Deal,
    adjusted,
    corrected,
    deal,
    edits_for,
    tried,
    tried_channels,
)
from radiolucent.audits.trial.distort import Edit, grey_of
from radiolucent.audits.trial.exchange import CHANNELS, GRID, Channel, Exchange, cell_channel, free, pasted
from radiolucent.audits.trial.regions import Mask, View
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.features.concepts import factors, strengths_of, unsigned_features
from radiolucent.models import Classifier
from radiolucent.passes.forward import INPUT, Pass
from radiolucent.passes.goal import Goal
from radiolucent.types import Finding

__all__ = ["TESTS"]

Floats = NDArray[np.float64]
FACTORS, TRIED, FILMS, CLUSTERS = 8, 2, 80, 3
"""Concepts looked for, and tried; films that they and the maps are made on; clusters of maps."""
AREA = 0.12
"""Share of the film, the strongest, that counts as the place of a concept or of a map."""
SPREAD_OUT = 0.5
"""A concept is diffuse where it reaches half its largest strength on more than this share of the film."""


def _score(classifier: Classifier, logits: torch.Tensor) -> torch.Tensor:
    targets = torch.full((len(logits),), classifier.positive)
    return Goal(targets, "margin" if classifier.head == "softmax" else "logit", classifier).of(logits)


def _inputs(classifier: Classifier, views: Sequence[View]) -> torch.Tensor:
    return classifier.preprocess.normalise(torch.from_numpy(np.stack([v.as_input(v.grey) for v in views])))


def _features(classifier: Classifier, views: Sequence[View]) -> tuple[NDArray[np.float32], NDArray[np.float32], str]:
    """Maps (N, K, h, w) of the last layer with places, their gradients, and the layer's name."""
    maps: list[NDArray[np.float32]] = []
    slopes: list[NDArray[np.float32]] = []
    name = ""
    for start in range(0, len(views), 32):
        cut = Pass(classifier, _inputs(classifier, views[start : start + 32]), (None,)).cut()
        maps.append(cut.features.cpu().numpy())
        slopes.append(cut.gradient(_score(classifier, cut.logits)).cpu().numpy())
        name = cut.layer.name
    return unsigned_features(np.concatenate(maps), name), np.concatenate(slopes), name


def _strongest(values: Floats, view: View) -> Mask:
    """The strongest `AREA` of a coarse map (h, w), brought to the film's pixels."""
    from scipy import ndimage

    height, width = view.grey.shape
    left, top, right, bottom = (0.0, 0.0, width, height) if view.inside is None else view.inside[0]
    rows = (np.arange(height) + 0.5 - top) / (bottom - top) * values.shape[0] - 0.5
    columns = (np.arange(width) + 0.5 - left) / (right - left) * values.shape[1] - 0.5
    fine = np.asarray(
        ndimage.map_coordinates(values, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")
    )
    seen = ((rows >= -0.5) & (rows <= values.shape[0] - 0.5))[:, None] & (
        (columns >= -0.5) & (columns <= values.shape[1] - 0.5)
    )
    fine = np.where(seen, fine, 0.0)  # a model that looks at a window sees nothing beside it
    if not fine.any():
        return np.zeros_like(view.film)
    return (fine >= np.quantile(fine, 1 - AREA)) & (fine > 0) & view.film


def _concept_place(strengths: Callable[[View], Floats], number: int, view: View) -> Mask:
    return _strongest(strengths(view)[number], view)


def _from_donors_place(place: Callable[[View], Mask]) -> Exchange:
    def exchange(recipient: View, donor: View) -> NDArray[np.float32] | None:
        return pasted(recipient, grey_of(donor), place(donor) & free(recipient, donor))

    return exchange


def _spot(values: Floats) -> str:
    """Where the strongest place of a coarse map lies, in words."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    cells = [int((k + 0.5) * GRID / n) for k, n in zip((row, column), values.shape, strict=True)]
    return cell_channel(*cells).what.removeprefix("something ")


def _apart(case: Case, dealt: Deal) -> list[View]:
    """Films that are neither donors nor judges, of other patients: those trained on where they are known."""
    used = {v.patient_id for v in (*dealt.donors, *dealt.judges)}
    met = () if case.met is None else case.once("met", lambda: () if case.met is None else tuple(case.met()))
    found = [v for v in met if v.label is not None and v.patient_id not in used]
    if len(found) < 2 * LEAST:
        table = case.table
        order = np.random.default_rng([case.seed, 109]).permutation(np.flatnonzero(table.known))
        names = [table.image_ids[i] for i in order if table.patients[i] not in used]
        found = [case.view(n) for n in names[:FILMS]]
    return found[:FILMS]


def _labels(case: Case, views: Sequence[View]) -> NDArray[np.bool_]:
    return np.array([v.label == case.classifier.positive for v in views], bool)


def _concepts(case: Case, dealt: Deal, apart: Sequence[View]) -> list[Channel]:
    """The concepts that raise the answer on films of the positive class most beyond those of the others."""
    clf = case.classifier
    maps, slopes, _ = _features(clf, apart)
    n, channels, h, w = maps.shape
    if min(channels, h * w) < FACTORS:
        return []
    rows = maps.transpose(0, 2, 3, 1).reshape(-1, channels)
    weights = factors(rows, FACTORS, case.seed)
    told = np.einsum("nkhw,rk->nrhw", slopes, weights)
    strength = strengths_of(rows, weights).reshape(n, h, w, FACTORS).transpose(0, 3, 1, 2)
    ill = _labels(case, apart)
    gain = (strength * told).sum((2, 3))
    order = np.argsort(-(gain[ill].mean(0) - gain[~ill].mean(0)), kind="stable")[:TRIED]
    own: dict[str, Floats] = {}

    def strengths(view: View) -> Floats:
        if view.image_id not in own:
            seen = _features(clf, [view])[0][0]
            found = strengths_of(seen.transpose(1, 2, 0).reshape(-1, channels), weights)
            own[view.image_id] = found.reshape(h, w, FACTORS).transpose(2, 0, 1).astype(np.float64)
        return own[view.image_id]

    made: list[Channel] = []
    for number, r in enumerate(order, 1):
        mean = strength[ill, r].mean(0).astype(np.float64)
        reach = np.mean([(s >= 0.5 * s.max()).mean() for s in strength[ill, r]])
        place = partial(_concept_place, strengths, int(r))
        made.append(
            Channel(
                f"concept.{number}", _WHAT[f"concept.{number}"], _from_donors_place(place), bool(reach <= SPREAD_OUT),
                where=place, spot=_spot(mean),
            )
        )  # fmt: skip
    return made


def _maps(case: Case, dealt: Deal, apart: Sequence[View]) -> list[Channel]:
    """The place that one cluster of maps (gradient × input) of films called positive points at, outside the lungs."""
    from sklearn.cluster import KMeans

    clf, found = case.classifier, list[Floats]()
    ill = [v for v, c in zip(apart, _labels(case, apart), strict=True) if c]
    for view in ill:
        cut = Pass(clf, _inputs(clf, [view]), (INPUT,)).cut(INPUT)
        slope = cut.gradient(_score(clf, cut.logits))
        found.append(_pooled((slope * cut.features).sum(1)[0].abs().cpu().numpy(), 16))
    made = np.stack(found)
    if len(made) < LEAST or not made.any():
        return []
    scaled = made.reshape(len(made), -1) / np.maximum(made.sum((1, 2)), 1e-12)[:, None]
    clusters = KMeans(CLUSTERS, n_init=4, random_state=case.seed)  # pyright: ignore[reportArgumentType]
    labels = clusters.fit(scaled).labels_
    means = [scaled[labels == k].mean(0).reshape(16, 16) for k in range(CLUSTERS)]
    out = np.mean([_pooled(v.as_input((v.outside * 255).astype(np.uint8)) / 255.0, 16) for v in ill], 0)
    mean = means[int(np.argmax([(m * out).sum() for m in means]))] * out
    place = partial(_strongest, mean)
    return [Channel("maps", _WHAT["maps"], _from_donors_place(place), True, where=place, spot=_spot(mean))]


def _pooled(values: NDArray[np.floating], side: int) -> Floats:
    found = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(np.asarray(values, np.float64))[None], side)
    return found[0].numpy()


def _errors(case: Case, dealt: Deal) -> tuple[Channel, Deal] | None:
    """What surrounds the lungs of films of the other class that are called positive, against those that are not."""
    table = case.table
    judges = {v.patient_id for v in dealt.judges}
    negative = [i for i in range(len(table)) if table.known[i] and not table.truth[i]]
    seen: dict[str, int] = {}
    for i in np.random.default_rng([case.seed, 113]).permutation(negative):
        if table.patients[i] not in judges:
            seen.setdefault(table.patients[i], int(i))
    wrong = [i for i in seen.values() if table.original[i] >= table.cut][:20]
    right = [i for i in seen.values() if table.original[i] < table.cut][:20]
    if min(len(wrong), len(right)) < LEAST // 2:
        return None
    donors = tuple(case.view(table.image_ids[i]) for i in (*wrong, *right))
    marked = np.arange(len(donors)) < len(wrong)
    everywhere = _from_donors_place(lambda view: view.film)
    sides = ("wrongly called", "rightly called")
    channel = Channel("errors", _WHAT["errors"], everywhere, False, sides=sides)
    return channel, Deal(donors, dealt.judges, marked)


def _all(case: Case) -> Mapping[str, tuple[Channel, Tried | None]]:
    """Every candidate tried, by the name of its test."""
    dealt = case.once("discovered.deal", partial(deal, case))
    found: dict[str, tuple[Channel, Tried | None]] = {}
    if dealt is None:
        return found
    channels: list[tuple[Channel, Deal]] = []
    apart = _apart(case, dealt)
    labels = _labels(case, apart)
    if min(labels.sum(), (~labels).sum()) >= LEAST // 2 and len(apart) >= 2 * LEAST:
        for make in (_concepts, _maps):
            try:
                channels += [(c, dealt) for c in make(case, dealt, apart)]
            except (ConfigError, ExplainError):
                continue  # signed features or no layer: its tests say that they do not apply
    if (errors := _errors(case, dealt)) is not None:
        channels.append(errors)
    level = corrected(case)
    for channel, films in channels:
        one = tried(case, channel, films, level)
        if one is not None and films is dealt:
            one = adjusted(one, (1 + level) / 2)
        found[channel.name] = channel, one
        if one is not None:
            case.once("edits", dict[str, Edit]).update(edits_for(channel, one))
    return found


_NEEDS = "features without signs, films beside donors and judges, lung masks"
_WHAT = {
    **{f"concept.{k}": f"what concept {k} of its features shows outside the lungs" for k in range(1, TRIED + 1)},
    "maps": "what a cluster of its maps points at outside the lungs",
    "errors": "what surrounds the lungs of films called wrongly",
}


def _finding(name: str, case: Case) -> list[Finding]:
    channel, found = case.once("candidates", partial(_all, case)).get(name, (None, None))
    if channel is None or found is None:
        words = f"Needs {_NEEDS}." if name != "errors" else f"Needs {LEAST // 2} patients called wrongly and rightly."
        test = f"discovered.{name}"
        return [Finding(test, _question(name), "not applicable", words, concerns="model")]
    why_not = "" if name != "errors" or _with_class(case) else (
        "what surrounds films called wrongly moves others, but surroundings do not go with a class on these films"
    )  # fmt: skip
    return [replace(f, question=_question(name)) for f in finding_of(case, channel, found, why_not)]


def _with_class(case: Case) -> bool:
    """Whether what surrounds the lungs of the positive class raises the answer at all: films called wrongly are chosen
    by the answer itself, and what moved it there need not go with a class."""
    found, dealt = tried_channels(case).get("surroundings"), case.once("discovered.deal", partial(deal, case))
    if found is None and dealt is not None:  # not among the tests asked for
        found = tried(case, CHANNELS["surroundings"], dealt, corrected(case))
    return found is not None and (found.estimate.low or 0.0) > 0


def _question(name: str) -> str:
    return f"Does the answer follow {_WHAT[name]}?"


TESTS = tuple(
    Test(
        f"discovered.{name}", _question(name), "model", _NEEDS, partial(_finding, name), decides="intervention",
        kind=f"unnamed: {what}", says=f"the decision follows {what}", family=FAMILY, unit=UNIT,
    )
    for name, what in _WHAT.items()
)  # fmt: skip
