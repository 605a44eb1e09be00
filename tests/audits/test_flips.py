"""Every verdict that no other test turns round flips here with its cause: interventions, stress, calibration, maps."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from audits.test_run import made_table
from radiolucent.audits.trial.answers import Table, collect
from radiolucent.audits.trial.attribution import Pointing, attribution, fixed_peaks
from radiolucent.audits.trial.calibrated import calibrated
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.interventions import INTERVENTIONS, intervention
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.stress import STRESSES
from radiolucent.audits.trial.stress import stressed as stressed_by
from radiolucent.models import Classifier
from radiolucent.types import Finding
from support.mark_readers import SIZE, Reader, classifier, lung_reader, marker_reader, times, views


def found_by(model: Classifier, test: str, films: Sequence[View]) -> Finding:
    edits = {e: EDITS[e] for e in (test, INTERVENTIONS[test].control) if e != "original"}
    table = collect(model, len(films), lambda i: films[i], edits, keys=[v.image_id for v in films])
    return intervention(table, INTERVENTIONS[test])


def left_reader() -> Classifier:
    """Reads what is nearly white in the upper left corner only."""
    place = np.zeros((SIZE, SIZE))
    place[2:26, 1:24] = 1
    return classifier(Reader(place * 2.0, above=0.8))


def painted(paint: Callable[[np.ndarray, View, np.random.Generator], None]) -> list[View]:
    """The films with something painted over them, film by film."""
    made: list[View] = []
    for i, v in enumerate(views()):
        grey = v.grey.astype(np.float64)
        paint(grey, v, np.random.default_rng(i))
        made.append(dataclasses.replace(v, grey=np.rint(grey).clip(0, 255).astype(np.uint8)))
    return made


def loud_border(grey: np.ndarray, v: View, rng: np.random.Generator) -> None:
    grey[v.border] = 5 if rng.random() < 0.5 else 250


def loud_corners(grey: np.ndarray, v: View, rng: np.random.Generator) -> None:
    grey[v.corners] = 5 if rng.random() < 0.5 else 250


def ring(width: int) -> np.ndarray:
    found = np.ones((SIZE, SIZE))
    found[width:-width, width:-width] = 0
    return found


class Sharpness(nn.Module):
    """Logit: mean |x − its 3 × 3 mean| outside the middle, where lungs are."""

    def __init__(self, weight: np.ndarray) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
        self.maps = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = (x[:, 0:1] - nn.functional.avg_pool2d(x[:, 0:1], 3, 1, 1)).abs()
        one = (self.maps(fine)[:, 0] * self.weight).sum((1, 2)) * 300
        return torch.stack([torch.zeros_like(one), one], 1)


def outside_weight() -> np.ndarray:
    outside = phantoms_outside()
    return outside / outside.sum()


def phantoms_outside() -> np.ndarray:
    masks = np.stack([v.lungs for v in views() if v.lungs is not None])
    outside = ~masks.any(0)
    outside[:2] = outside[-2:] = outside[:, :2] = outside[:, -2:] = False
    return outside.astype(np.float64)


def grainy(grey: np.ndarray, v: View, rng: np.random.Generator) -> None:
    grey += rng.normal(0, 4, grey.shape)


def corner_weight() -> np.ndarray:
    found = np.zeros((SIZE, SIZE))
    for rows in (slice(0, 9), slice(-9, None)):
        for columns in (slice(0, 9), slice(-9, None)):
            found[rows, columns] = 1
    return found * 30 / found.sum()


def left_less_right() -> Classifier:
    """Reads the left lung's brightness less the right's: whole-film brightening cancels."""
    common = np.stack([v.lungs for v in views() if v.lungs is not None]).mean(0) > 0.9
    half = np.arange(SIZE)[None] < SIZE / 2
    left, right = common & half, common & ~half
    return classifier(Reader(left * 40.0 / left.sum() - right * 40.0 / right.sum()))


def ring_reader() -> Classifier:
    """Reads the outer three pixels and nothing else."""
    return classifier(Reader(ring(3) * 30 / ring(3).sum()))


CASES = {
    "marker.move": (left_reader, lung_reader, views),
    "marker.swap": (marker_reader, lung_reader, views),
    "border.fill": (ring_reader, lung_reader, lambda: painted(loud_border)),
    "corners.fill": (lambda: classifier(Reader(corner_weight())), lung_reader, lambda: painted(loud_corners)),
    "exposure.bright": (lung_reader, left_less_right, views),
    "size.outside": (lambda: classifier(Sharpness(outside_weight())), lung_reader, lambda: painted(grainy)),
    "lungs.blank": (ring_reader, lung_reader, views),
}  # fmt: skip


@pytest.mark.parametrize("test", CASES)
def test_an_intervention_flips_with_its_cause(test: str) -> None:
    guilty, innocent, films = CASES[test]
    caught, spared = found_by(guilty(), test, films()), found_by(innocent(), test, films())
    assert caught.verdict == "fail", caught.summary
    assert spared.verdict == "pass", spared.summary
    assert caught.advice and not spared.advice and caught.severity > 0 == spared.severity


def test_cropping_to_the_lungs_flips_with_what_lies_outside() -> None:
    """Small lungs in the middle of a film that is bright elsewhere: one network reads all of it, one the middle."""
    lungs = np.zeros((SIZE, SIZE), bool)
    lungs[20:44, 20:44] = True

    def paint(grey: np.ndarray, v: View, rng: np.random.Generator) -> None:
        grey[:] = 120 + 40 * rng.random()
        grey[16:48, 16:48] = 60 + 40 * rng.random()

    films = [dataclasses.replace(v, lungs=lungs, markers=None) for v in painted(paint)]
    middle = np.zeros((SIZE, SIZE))
    middle[28:36, 28:36] = 1
    whole = classifier(Reader(np.full((SIZE, SIZE), 30 / SIZE**2)))
    caught = found_by(whole, "lungs.crop", films)
    spared = found_by(classifier(Reader(middle * 30 / 64)), "lungs.crop", films)
    assert caught.verdict == "fail", caught.summary
    assert spared.verdict == "pass", spared.summary


def fragile_films() -> list[View]:
    """The class stands in the sum of two pixels, each of them random, among others as random."""

    def paint(grey: np.ndarray, v: View, rng: np.random.Generator) -> None:
        grey[:] = rng.uniform(60, 190) + rng.normal(0, 25, grey.shape)
        t, middle = int(rng.integers(-90, 91)), 127 + (1 if v.label else -1)
        grey[20, 20], grey[44, 44] = middle + t, middle - t

    return painted(paint)


def robust_films() -> list[View]:
    """The class stands in the mean of the whole film."""

    def paint(grey: np.ndarray, v: View, rng: np.random.Generator) -> None:
        grey[:] = (160 if v.label else 90) + rng.normal(0, 3, grey.shape) + rng.normal(0, 8)

    return painted(paint)


def stressed(model: Classifier, films: list[View]) -> dict[str, Finding]:
    keys = [v.image_id for v in films]
    table = collect(model, len(films), lambda i: films[i], {name: EDITS[name] for name in STRESSES}, keys=keys)
    return {name: stressed_by(times(table, 4), name, 0.95) for name in STRESSES}


def test_a_stress_that_changes_no_order_is_no_proof_on_few_films() -> None:
    names = tuple(f"f{i}" for i in range(40))
    truth = np.arange(40) % 2 == 0
    scores = {"original": truth + 0.1, "stress.blur": truth + 0.3}
    table = Table(names, names, (None,) * 40, truth, np.ones(40, bool), scores, {}, None, 0.5)
    few, many = (stressed_by(times(table, k), "stress.blur", 0.95) for k in (1, 10))
    assert few.verdict == "inconclusive" and many.verdict == "pass"
    assert few.estimate is not None and few.estimate.low is not None and few.estimate.low < 0 < (few.estimate.high or 0)


def test_every_stress_flips_with_what_it_destroys() -> None:
    two = np.zeros((SIZE, SIZE))
    two[20, 20] = two[44, 44] = 40
    fragile = stressed(classifier(Reader(two, bias=-40.0)), fragile_films())
    robust = stressed(classifier(Reader(np.full((SIZE, SIZE), 40 / SIZE**2), bias=-20.0)), robust_films())
    assert set(fragile) == set(robust) == set(STRESSES)
    assert {t: f.verdict for t, f in robust.items()} == dict.fromkeys(STRESSES, "pass")
    assert {t: f.verdict for t, f in fragile.items()} == dict.fromkeys(STRESSES, "fail")


def test_calibration_flips_with_a_shift() -> None:
    rng = np.random.default_rng(0)
    table = made_table(np.zeros(4000, bool))
    odds = rng.normal(0, 1.5, 4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-odds))
    honest = dataclasses.replace(table, truth=truth, scores={"original": odds})
    shifted = dataclasses.replace(honest, scores={"original": odds + 1.5})
    assert calibrated(honest).verdict == "pass" and calibrated(shifted).verdict == "fail"


def test_peaks_at_a_fixed_place_and_dwelling_flip_with_their_cause() -> None:
    rng = np.random.default_rng(1)
    film = next(v for v in views() if v.markers is not None and v.markers.any())
    fixed, moving = Pointing(), Pointing()
    for k in range(60):
        film = dataclasses.replace(film, patient_id=f"p{k}")
        place = np.zeros((2, SIZE, SIZE), np.float32)
        place[0, 3, 60] = place[1, rng.integers(SIZE), rng.integers(SIZE)] = 1
        fixed.add(place[0] + film.border, film, 1)
        moving.add(place[1] * 2 + film.lungs, film, 1)
    (one,), (other,) = fixed_peaks("m", fixed, ("a", "b")), fixed_peaks("m", moving, ("a", "b"))
    assert one.verdict == "fail" and other.verdict == "pass"
    dwells = {f.test: f.verdict for f in attribution("m", fixed)}
    spared = {f.test: f.verdict for f in attribution("m", moving)}
    for place in ("lungs", "outside", "border"):
        assert dwells[f"maps.m.{place}"] == "fail" and spared[f"maps.m.{place}"] == "pass"
    marked = Pointing()
    for k in range(12):
        film = dataclasses.replace(film, patient_id=f"p{k}")
        marked.add(film.markers.astype(np.float32), film, 1)  # type: ignore[union-attr]
    assert {f.test: f.verdict for f in attribution("m", marked)}["maps.m.markers"] == "fail"
    assert spared["maps.m.markers"] == "pass"
