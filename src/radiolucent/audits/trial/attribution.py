"""Where maps point: in lungs, outside them, on markers, on the border, against the share of area each covers.

Maps illustrate. They miss artefacts and raise false alarms (Adebayo 2022; Sun 2023), so no finding here fails a model.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiolucent.audits.trial.base import ANY, METHOD, Case, Test
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.verdicts import beyond, film_mean
from radiolucent.errors import ExplainError
from radiolucent.explainers import Explainer, explain
from radiolucent.metrics.proportions import clustered_wilson
from radiolucent.models import Classifier
from radiolucent.passes.session import Session
from radiolucent.types import Estimate, Finding, Radiograph

__all__ = ["TESTS", "Pointing", "as_film", "attribution", "fixed_peaks", "maps_of", "methods_that_apply", "point"]

GRID = 8
FIXED = 0.5
PLACES = ("lungs", "outside", "markers", "border")
TIMES = {"lungs": 1.0, "outside": 1.0, "markers": 2.0, "border": 1.0}
"""Energy over area above which a map is said to dwell on a place."""


class Pointing:
    """What one method's maps show of many films, film by film, in bounded memory.

    Attributes:
        ratios: by place, log2(energy in the place / its share of the area), one a film that has the place.
        patients: by place, whose. mean: by called class, the sum of maps scaled to mass 1, on a grid of 32 × 32.
        peaks: by called class, the cell (of 8 × 8) of each map's maximum. peak_patients: whose.
        films: maps seen, flat: maps without any.
        small: by film, its map scaled to mass 1 on a grid of 16 × 16.
    """

    def __init__(self) -> None:
        self.ratios: dict[str, list[float]] = defaultdict(list)
        self.patients: dict[str, list[str]] = defaultdict(list)
        self.mean: dict[int, NDArray[np.float64]] = {}
        self.peaks: dict[int, list[int]] = defaultdict(list)
        self.peak_patients: dict[int, list[str]] = defaultdict(list)
        self.small: dict[str, NDArray[np.float32]] = {}
        self.films, self.flat = 0, 0

    def add(self, values: NDArray[np.float32], view: View, called: int) -> None:
        """Take in one map (S, S)."""
        positive = np.clip(values, 0, None) * view.film
        mass = float(positive.sum())
        self.films += 1
        if mass <= 0:
            self.flat += 1
            return
        lungs = view.lungs
        places = {
            "lungs": lungs,
            "outside": None if lungs is None else view.film & ~lungs,
            "markers": view.markers,
            "border": view.border,
        }
        for name, mask in places.items():
            if mask is None or not mask.any():
                continue
            energy, area = float(positive[mask].sum()) / mass, float(mask.sum() / view.film.sum())
            self.ratios[name].append(float(np.log2(max(energy, 1e-4) / area)))
            self.patients[name].append(view.patient_id)
        side = values.shape[0]
        cells = (np.arange(side) * 32 // side)[:, None] * 32 + (np.arange(side) * 32 // side)[None]
        coarse = np.bincount(cells.ravel(), (positive / mass).ravel(), minlength=1024).reshape(32, 32)
        self.small[view.image_id] = coarse.reshape(16, 2, 16, 2).sum((1, 3)).astype(np.float32)
        self.mean[called] = self.mean.get(called, np.zeros((32, 32))) + coarse
        y, x = np.unravel_index(int(positive.argmax()), positive.shape)
        self.peaks[called].append(int(y) * GRID // side * GRID + int(x) * GRID // side)
        self.peak_patients[called].append(view.patient_id)

    def ratio(self, place: str, *, level: float = 0.95, seed: int = 0) -> Estimate:
        """Mean of log2(energy / area) over films, with a patient bootstrap: 0 for a map that says nothing."""
        return film_mean(np.array(self.ratios[place]), np.array(self.patients[place]), level=level, seed=seed)


def as_film(view: View) -> Radiograph:
    """The view as a film whose pixels are the model's."""
    return Radiograph((view.grey / 255).astype(np.float32), view.image_id, view.patient_id)


def point(
    classifier: Classifier, views: Sequence[View], methods: Mapping[str, Explainer], into: Mapping[str, Pointing],
    *, target: int | None = None, seed: int = 0, session: Session | None = None,
) -> None:  # fmt: skip
    """Explain a few films by several methods and take the maps in.

    Args:
        target: class to explain; the called one unless given. session: of the audit.
    """
    films = [as_film(v) for v in views]
    found = explain(classifier, films, list(methods.values()), target=target, seed=seed, session=session)
    for view, maps in zip(views, found, strict=True):
        for name, e in zip(methods, maps, strict=True):
            into[name].add(e.map, view, e.target)


def attribution(name: str, maps: Pointing, *, level: float = 0.95, seed: int = 0) -> list[Finding]:
    """One finding a place: does the method dwell there more than the area alone would have it?

    For markers an alarm needs twice the area's share, elsewhere more than its share; "lungs" alarms on less.
    """
    return [_place(name, maps, place, level, seed) for place in PLACES]


def _place(method: str, maps: Pointing, place: str, level: float, seed: int) -> Finding:
    test, source = f"maps.{method}.{place}", "Zhang 2018, Wang 2020 (energy); the area as baseline; threshold: ours"
    question = f"Do {method} maps dwell on {'what is outside the lungs' if place == 'outside' else f'the {place}'}?"
    estimate = maps.ratio(place, level=level, seed=seed)
    if estimate.value is None:
        return Finding(test, question, "not applicable", "No film with such a place.", source=source, concerns="map")
    threshold = float(np.log2(TIMES[place]))
    held = estimate
    if place == "lungs" and estimate.low is not None and estimate.high is not None:
        held = Estimate(-estimate.value, -estimate.high, -estimate.low, level, estimate.n, estimate.method)
    verdict = beyond(held, threshold)
    words = (
        f"{2**estimate.value:.2f} times the share of the map that the area alone would give, over {maps.films} films"
        + (f" ({maps.flat} maps point nowhere)" if maps.flat else "")
        + ". A map illustrates; it proves neither guilt nor innocence."
    )
    evidence: dict[str, Any] = {"films": maps.films, "flat": maps.flat, "figure": "mean log2(energy / area)"}
    return Finding(test, question, verdict, words, estimate, threshold, evidence, source, concerns="map")


def fixed_peaks(name: str, maps: Pointing, class_names: Sequence[str], *, level: float = 0.95) -> list[Finding]:
    """One finding a class: do the maps peak at the same place on film after film, whatever the film shows?

    The figure: share of films whose peak lies in the most frequent of 8 × 8 cells, Wilson's interval by patient.
    """
    found: list[Finding] = []
    for called, cells in sorted(maps.peaks.items()):
        cell, count = max(((c, cells.count(c)) for c in set(cells)), key=lambda item: (item[1], -item[0]))
        index = np.unique(maps.peak_patients[called], return_inverse=True)[1]
        estimate = clustered_wilson(np.array(cells) == cell, index, level)
        row, column = divmod(cell, GRID)
        words = (
            f"{count} of {len(cells)} maps for {class_names[called]} peak in one of {GRID} × {GRID} cells: row "
            f"{row + 1}, column {column + 1} from the top left. The mean map stands in the report."
        )
        evidence = {"cell": [row, column], "films": len(cells)}
        found.append(
            Finding(
                f"maps.{name}.fixed_peak.{class_names[called]}",
                f"Do {name} maps for {class_names[called]} peak at a fixed place?",
                beyond(estimate, FIXED), words, estimate, FIXED, evidence,
                "CheXNet-Keras issue 48: corner peaks on every image; threshold: ours", concerns="map",
            )
        )  # fmt: skip
    return found


def maps_of(case: Case) -> Mapping[str, Pointing]:
    """What each method's maps show, of up to `map_films` films drawn at random; made once."""
    return case.once("maps", lambda: _maps(case)) if case.methods and case.map_films else {}


def methods_that_apply(case: Case) -> tuple[Mapping[str, Explainer], Mapping[str, str]]:
    """(methods that explain this network, why the others cannot): each tried on one film, once."""
    return case.once("methods", lambda: _apply(case))


def _apply(case: Case) -> tuple[dict[str, Explainer], dict[str, str]]:
    film = as_film(case.seen(case.table.image_ids[0]))
    kept: dict[str, Explainer] = {}
    refused: dict[str, str] = {}
    for name, method in case.methods.items():
        try:
            explain(case.in_frame, [film], [method], seed=case.seed)
            kept[name] = method
        except ExplainError as error:
            refused[name] = str(error)
    return kept, refused


def _maps(case: Case) -> dict[str, Pointing]:
    methods, _ = methods_that_apply(case)
    found = {name: Pointing() for name in methods}
    if not methods:
        return found
    names = case.table.image_ids
    order = np.random.default_rng([case.seed, 61]).permutation(len(names))[: case.map_films]
    session = Session(films=len(order))
    for start in range(0, len(order), 8):
        views = [case.seen(names[int(i)]) for i in order[start : start + 8]]
        point(case.in_frame, views, methods, found, seed=case.seed, session=session)
        if case.progress:
            case.progress("explaining", min(start + 8, len(order)), len(order))
    return found


def _places(case: Case) -> list[Finding]:
    maps = maps_of(case).items()
    refused = methods_that_apply(case)[1] if case.methods and case.map_films else {}
    return [
        *(f for name, shown in maps for f in attribution(name, shown, level=case.level, seed=case.seed)),
        *(
            Finding(
                f"maps.{name}.{PLACES[0]}", f"Do {name} maps dwell on the lungs?", "not applicable", why, concerns="map"
            )
            for name, why in refused.items()
        ),
    ]


def _peaks(case: Case) -> list[Finding]:
    names = case.classifier.class_names
    return [f for name, maps in maps_of(case).items() for f in fixed_peaks(name, maps, names, level=case.level)]


TESTS = (
    Test(
        "maps.places", "Do maps dwell on lungs, on what is outside them, on markers, on the border?", "map",
        "masks of the place", _places, tuple(f"maps.{METHOD}.{place}" for place in PLACES),
    ),
    Test(
        "maps.peaks", "Do maps peak at a fixed place, whatever the film shows?", "map", "", _peaks,
        (f"maps.{METHOD}.fixed_peak.{ANY}",),
    ),
)  # fmt: skip
