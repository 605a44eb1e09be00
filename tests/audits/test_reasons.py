"""Right for the right reasons: a reader of opacities scores high, of anything else low, and nothing fakes it."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.chests import chest, drawn_opacity, moved_outside, opacity_of, sham, with_lungs_of
from radiolucent.audits.trial.distort import exposure
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.headline import verdict_of
from radiolucent.audits.trial.planted import KINDS, Pool, pool, train_small
from radiolucent.audits.trial.reasons import TESTS
from radiolucent.audits.trial.reasons_effects import deal
from radiolucent.audits.trial.reasons_score import FIGURES
from radiolucent.audits.trial.regions import View
from radiolucent.models import Classifier, build
from radiolucent.types import Finding
from support.mark_readers import SIZE, Reader, classifier, marker_reader, views


@functools.cache
def drawn() -> Pool:
    return pool(300, SIZE, 9)


@functools.cache
def honest() -> Classifier:
    """A small network trained on plain phantoms, which tells the classes apart by opacities alone."""
    p = drawn()
    return train_small((p.pixels[:200], p.labels[:200]), (p.pixels[200:240], p.labels[200:240]), 1, epochs=10)


def plain(marked: float = 0.0) -> list[View]:
    """Untouched phantoms that no network met; `marked`: an R on so many of the ill ones."""
    p, found = drawn(), []
    for i in range(240, 300):
        grey, ink = p.pixels[i], np.zeros((SIZE, SIZE), bool)
        if p.labels[i] and np.random.default_rng(i).random() < marked:
            grey, ink = KINDS["marker"](grey, np.random.default_rng(i))
        found.append(View(grey, f"f{i}", f"p{i}", int(p.labels[i]), np.ones_like(ink), p.lungs[i], ink))
    return found


def scored(network: Classifier, films: list[View]) -> dict[str, Finding]:
    found, _ = examine_views(network, films, TESTS)
    return {f.test.removeprefix("reasons."): f for f in found}


def score(found: dict[str, Finding]) -> float:
    estimate = found["score"].estimate
    assert estimate is not None and estimate.low is not None and estimate.high is not None
    assert 0 <= estimate.low <= (estimate.value or 0) <= estimate.high <= 1 and estimate.n >= 40
    return estimate.value or 0.0


def test_a_reader_of_opacities_scores_high_and_a_marker_among_the_films_changes_nothing() -> None:
    bare, marked = scored(honest(), plain()), scored(honest(), plain(0.8))
    assert score(bare) > 0.65 and bare["score"].verdict == "pass", bare["score"].summary
    assert score(marked) > 0.6, marked["score"].summary
    told = bare["score"].evidence
    assert set(told["figures"]) == set(FIGURES)
    doses = [told["effects"][f"dose.{d}"]["value"] for d in ("0.25", "0.5", "0.75", "1")]
    assert doses == sorted(doses) and doses[0] > 0.1  # the dose curve
    assert told["effects"]["sham"]["value"] < 0.3 * doses[-1]
    assert told["effects"]["turned"]["value"] > 0.4 > 1 - told["effects"]["kept"]["value"]


def test_readers_of_anything_else_score_low() -> None:
    marker = scored(marker_reader(), views())  # markers on half of either class, so that AUROC shows nothing of it
    assert score(marker) < 0.3 and marker["score"].verdict == "fail", marker["score"].summary
    assert marker["outside"].verdict == "fail" and "radiolucent repair" in marker["outside"].advice
    blind = build("small_cnn", size=SIZE, widths=(8, 16), hidden=0, pretrained=False, seed=1)[0]
    assert score(scored(blind, plain())) < 0.4
    # The weights of a marker reader fail nothing by themselves: the verdict rests on interventions.
    assert verdict_of(list(marker.values()))[0] == "inconclusive"


def test_a_mark_inside_the_lungs_is_no_opacity() -> None:
    """A thin ring on ill lungs is neither painted into others nor filled in with the opacities."""
    ill = next(c for v in plain() if v.label == 1 and (c := chest(v)))
    y, x = np.indices((SIZE, SIZE))
    place = np.argwhere(ill.sides[0])[len(np.argwhere(ill.sides[0])) // 2]
    ring = np.abs(np.hypot(y - place[0], x - place[1]) - 3) < 0.8
    grey = np.where(ring & ill.lungs, np.clip(ill.view.grey.astype(int) + 70, 0, 255), ill.view.grey)
    ringed = chest(dataclasses.replace(ill.view, grey=grey.astype(np.uint8)))
    healthy = next(c for v in plain() if v.label == 0 and (c := chest(v)))
    assert ringed is not None
    added, more = opacity_of(healthy, ill), opacity_of(healthy, ringed)
    assert np.abs(more - added).max() < 0.5 * 70 / 255


def test_lungs_are_exchanged_in_their_place_and_at_the_films_exposure() -> None:
    one, other = (c for v in plain()[:2] if (c := chest(v)))
    same, changed = with_lungs_of(one, one), with_lungs_of(one, other)
    assert same is not None and changed is not None
    assert (np.abs(same - one.grey) > 0.02).sum() <= 4  # rows that a lung crosses twice
    assert (np.rint(changed * 255)[~one.lungs] == one.view.grey[~one.lungs]).all()
    assert np.abs(changed - one.grey)[one.lungs].mean() > 0.02
    bright = exposure(1.5)(other.view, np.random.default_rng(0))
    assert bright is not None
    lit = chest(dataclasses.replace(other.view, grey=np.rint(bright * 255).astype(np.uint8)))
    assert lit is not None
    again = with_lungs_of(one, lit)
    assert again is not None and np.abs(again - changed).max() < 0.05  # exposure stays with the film
    whiter = drawn_opacity(one, np.random.default_rng(2))
    outside = moved_outside(one, whiter, np.random.default_rng(2))
    assert outside is not None and not outside[one.lungs].any() and not whiter[~one.lungs].any()
    assert whiter.min() >= 0 and 0.1 < whiter.max() < 0.9
    edited = sham(one, whiter, other)
    assert (edited != one.grey).sum() > 30
    assert abs(float((edited - one.grey).mean())) < 0.1 * float(whiter.mean())


def test_donors_are_other_patients_and_too_few_films_are_said() -> None:
    films = [dataclasses.replace(v, patient_id=f"p{i // 3}") for i, v in enumerate(plain())]
    _, table = examine_views(honest(), films, ())
    by_id = {v.image_id: v for v in films}
    dealt = deal(Case(honest(), table, by_id.__getitem__, by_id.__getitem__, TESTS))
    assert dealt is None or len({c.view.patient_id for c, _, _ in dealt.every}) == len(dealt.every)
    few, blind = scored(honest(), plain()[:12]), [dataclasses.replace(v, lungs=None) for v in plain()]
    assert (
        {f.verdict for f in few.values()} == {"not applicable"} == {f.verdict for f in scored(honest(), blind).values()}
    )
    assert "ten" in few["score"].summary or "10 patients" in few["score"].summary


def test_a_network_that_says_the_same_of_every_film_has_no_reasons() -> None:
    silent = classifier(Reader(np.zeros((SIZE, SIZE)), bias=0.3))
    assert {f.verdict for f in scored(silent, views()).values()} == {"not applicable"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
