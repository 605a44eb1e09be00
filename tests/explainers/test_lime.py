"""LIME: parity with the package lime, standard errors, designs, options and views."""

import numpy as np
import pytest
import torch
from lime.lime_base import LimeBase

from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import LIME, explain, lime_view
from radiolucent.explainers.lime.design import design
from radiolucent.explainers.lime.emulator import emulate
from radiolucent.explainers.lime.fit import closeness, fit_emulated, fit_ridge
from radiolucent.models import build
from support.explainer_cases import Blob, blob_film, noise_films, wrap


def test_lime_coefficients_are_limes_on_the_same_masks() -> None:
    rng = np.random.default_rng(0)
    masks = design(24, 300, "random", rng)
    scores = masks @ rng.normal(size=24) + rng.normal(size=300)
    weights = closeness(masks, "cosine", 0.25)
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 0.25**2)), random_state=0)
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(masks.astype(float), masks[:1].astype(float), metric="cosine").ravel()
    for count in (24, 10, 5):
        intercept, local, score, prediction = base.explain_instance_with_data(
            masks.astype(float), np.stack([scores, -scores], 1), distances, 0, count, feature_selection="auto"
        )
        ours = fit_ridge(masks, scores, weights, num_features=count)
        theirs = np.zeros(24)
        for i, w in local:
            theirs[i] = w
        np.testing.assert_allclose(ours.coefficients, theirs, atol=1e-6)
        assert ours.intercept == pytest.approx(intercept, abs=1e-6) and ours.r2 == pytest.approx(score, abs=1e-6)
        assert ours.prediction == pytest.approx(float(prediction[0]), abs=1e-6)


def test_standard_errors_tell_the_spread() -> None:
    """Over many fits the coefficients scatter as the reported standard errors say."""
    truth, found, errors = np.linspace(-1, 1, 8), [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        masks = design(8, 200, "random", rng)
        scores = masks @ truth + rng.normal(size=200)
        fit = fit_ridge(masks, scores, np.ones(200), alpha=1e-9)
        found.append(fit.coefficients)
        errors.append(fit.errors)
    np.testing.assert_allclose(np.mean(errors, 0), np.std(found, 0), rtol=0.25)


@pytest.mark.parametrize("how", ["paired", "balanced"])
def test_paired_designs_are_complements_and_steadier(how) -> None:
    masks = design(20, 129, how, np.random.default_rng(0))
    assert masks[0].all() and (masks[1::2] ^ masks[2::2]).all()

    def spread(kind: str) -> float:
        found = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            m = design(20, 129, kind, rng)
            x = m.astype(float)
            scores = (
                x @ np.linspace(0, 1, 20) + 3 * x[:, 0] * x[:, 1] - 3 * x[:, 2] * x[:, 3] + 4 * (x.mean(1) - 0.5) ** 2
            )
            found.append(fit_ridge(m, scores, np.ones(len(m)), alpha=1e-9).coefficients)
        return float(np.std(found, 0).mean())

    assert spread(how) < 0.7 * spread("random")


def test_the_emulator_comes_nearer_to_the_limit_of_many_samples_and_knows_how_near() -> None:
    """As in a network: detectors that each see a neighbourhood of pieces, and saturate."""
    rng = np.random.default_rng(3)
    centres = np.stack(np.meshgrid(np.arange(6), np.arange(6)), -1).reshape(-1, 2) / 6
    seen = np.exp(-((centres[:, None] - centres[None]) ** 2).sum(-1) / (2 * 0.12**2)) * rng.normal(size=(36, 36))
    votes = rng.normal(size=36)

    def score(masks: np.ndarray) -> np.ndarray:
        return np.tanh(masks @ seen.T) @ votes

    def close(masks: np.ndarray) -> np.ndarray:
        return closeness(masks, "cosine", 0.25)

    many = design(36, 20001, "balanced", rng)
    truth = fit_ridge(many, score(many), close(many)).coefficients
    off: dict[str, list[float]] = {"ridge": [], "emulator": []}
    told: list[float] = []
    for seed in range(12):
        masks = design(36, 257, "balanced", np.random.default_rng(seed))
        scores = score(masks)
        off["ridge"].append(float(np.mean((fit_ridge(masks, scores, close(masks)).coefficients - truth) ** 2)))
        fit = fit_emulated(masks, scores, emulate(masks, [scores], centres, np.random.default_rng(seed))[0], close)
        off["emulator"].append(float(np.mean((fit.coefficients - truth) ** 2)))
        told.append(float(np.mean(fit.errors**2)))
    assert np.mean(off["emulator"]) < 0.85 * np.mean(off["ridge"])
    assert 0.5 < np.sqrt(np.mean(told) / np.mean(off["emulator"])) < 2


def test_the_emulator_of_a_linear_score_is_that_score() -> None:
    masks = design(12, 65, "balanced", np.random.default_rng(0))
    scores = masks @ np.linspace(-1, 2, 12) + 0.5
    emulated, nothing = emulate(
        masks, [scores, np.ones(65)], np.random.default_rng(1).random((12, 2)), np.random.default_rng(2)
    )
    np.testing.assert_allclose(emulated.scores, emulated.masks @ np.linspace(-1, 2, 12) + 0.5, atol=1e-6)
    np.testing.assert_array_equal(nothing.scores, 1.0)


def test_lime_options_do_what_they_say() -> None:
    clf, film = wrap(Blob(1000.0)), blob_film()
    for how in ("quickshift", "slic", "felzenszwalb", lambda grey: (np.arange(grey.size) % 5 + 3).reshape(grey.shape)):
        e = explain(clf, film, LIME(60, segmentation=how, hide_color="blur"), target=1)
        labels = e.details["segments"]
        assert set(np.unique(labels)) == set(range(labels.max() + 1))  # none is never hidden
    few = explain(clf, film, LIME(200, segmentation="slic", num_features=3), target=1)
    assert (few.details["coefficients"] != 0).sum() == 3
    early = explain(clf, film, LIME(4000, segmentation="slic", tolerance=0.2), target=1)
    assert early.details["samples"] < 4000
    again = explain(clf, film, LIME(4000, segmentation="slic", tolerance=0.2), target=1)
    np.testing.assert_array_equal(early.map, again.map)
    whole, ridge = (LIME(200, segmentation="slic", estimator=e) for e in ("emulator", "ridge"))
    maps = [
        explain(clf, film, m, target=1) for m in (whole, ridge, LIME(200, "slic", sampling="random", estimator="ridge"))
    ]
    assert np.corrcoef(maps[0].map.ravel(), maps[1].map.ravel())[0, 1] > 0.95
    assert [m.details["estimator"] for m in maps] == ["emulator", "ridge", "ridge"]
    for bad in (
        {"sampling": "wild"},
        {"estimator": "wild"},
        {"sampling": "random"},
        {"num_samples": 2},
        {"kernel_width": 0},
    ):
        with pytest.raises(ConfigError):
            LIME(**bad)
    with pytest.raises(ExplainError, match="segmentation"):
        explain(clf, film, LIME(60, segmentation="cubist"))


def test_lime_views_match_limes_options() -> None:
    clf, film = build("small_cnn", size=64, seed=5)[0], blob_film()
    e = explain(clf, film, LIME(300, segmentation="slic"), target=1)
    w, grey = e.details["coefficients"], clf.preprocess.resize(film)
    pros = lime_view(e, grey, positive_only=True, num_features=4)
    assert (pros.mask >= 0).all() and (pros.weights > 0).all() and len(pros.chosen) <= 4
    cons = lime_view(e, grey, positive_only=False, negative_only=True, num_features=4)
    assert (cons.mask <= 0).all() and (cons.weights < 0).all()
    both = lime_view(e, grey, positive_only=False, num_features=6, min_weight=np.sort(np.abs(w))[-3])
    assert len(both.chosen) == 3
    hidden = lime_view(e, grey, hide_rest=True, num_features=2)
    assert (hidden.image[hidden.mask == 0] == 0.5).all()  # grey, as documented
    other = lime_view(e, grey, label=0, positive_only=False, num_features=99)
    assert not np.allclose(other.weights[:3], both.weights[:3])
    with pytest.raises(ConfigError):
        lime_view(e, grey, positive_only=True, negative_only=True)


@pytest.mark.parametrize("estimator", ["emulator", "ridge"])
def test_of_a_network_with_one_answer_lime_is_zero_everywhere(estimator: str) -> None:
    """Not 1e-31 in superpixels, which looks like a map where only its order is looked at."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    network.append(torch.nn.Linear(4, 2))
    torch.nn.init.zeros_(network[-1].weight)
    found = explain(wrap(network), noise_films(1)[0], LIME(num_samples=60, estimator=estimator), target=1)
    assert not found.map.any() and not found.details["coefficients"].any()
    assert found.details["intercept"] == pytest.approx(found.details["local_prediction"])
