"""Do the intervals hold the truth as often as they say? Simulated, so with a tolerance for the number of runs."""

import numpy as np
import pytest
from scipy import special, stats

from radiolucent.metrics import auroc, calibration_line, choose_threshold, ece, sensitivity, wilson
from radiolucent.types import Estimate

pytestmark = pytest.mark.slow


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize("p", [0.05, 0.5, 0.97])
def test_wilson_covers(p: float) -> None:
    k = np.arange(101)
    covered = [holds(wilson(int(i), 100), p) for i in k]
    assert 0.92 < float(stats.binom.pmf(k, 100, p) @ covered) < 0.985


@pytest.mark.parametrize("interval", ["delong", "bootstrap"])
def test_auroc_covers(interval: str) -> None:
    rng, area, runs = np.random.default_rng(0), float(stats.norm.cdf(1.5 / np.sqrt(2))), 300
    truth = np.arange(120) % 2 == 0
    hits = [
        holds(auroc(truth, rng.normal(size=120) + 1.5 * truth, interval=interval, folds=400), area)  # type: ignore[arg-type]
        for _ in range(runs)
    ]
    assert 0.90 < np.mean(hits) < 0.985


def test_patients_with_several_films_need_the_clustered_intervals() -> None:
    rng, runs = np.random.default_rng(1), 250
    patients = np.repeat(np.arange(50), 5)
    truth = np.ones(250, bool)
    clustered, naive, areas, flat = [], [], [], []
    for _ in range(runs):
        called = rng.random(250) < np.repeat(rng.beta(2, 0.5, 50), 5)  # films of a patient go well or badly together
        clustered.append(holds(sensitivity(truth, called, interval="bootstrap", groups=patients, folds=300), 0.8))
        naive.append(holds(sensitivity(truth, called), 0.8))
        disease = patients % 2 == 0
        scores = np.repeat(rng.normal(size=50), 5) + 0.3 * rng.normal(size=250) + disease
        area = float(stats.norm.cdf(1 / np.sqrt(2 * 1.09)))
        areas.append(holds(auroc(disease, scores, groups=patients), area))
        flat.append(holds(auroc(disease, scores), area))
    assert np.mean(clustered) > 0.90 and np.mean(areas) > 0.89
    assert np.mean(naive) < 0.86 and np.mean(flat) < 0.80


@pytest.mark.parametrize("sharp", [1.0, 1.5, 2.5])
def test_ece_holds_the_truth_where_a_percentile_interval_would_not(sharp: float) -> None:
    rng, runs = np.random.default_rng(2), 120
    z = rng.normal(size=2_000_000) * 2
    bins = np.minimum((special.expit(sharp * z) * 15).astype(int), 14)
    gap = np.bincount(bins, special.expit(z) - special.expit(sharp * z), minlength=15)
    true = float(np.abs(gap).sum() / len(z))
    hits = []
    for _ in range(runs):
        z = rng.normal(size=624) * 2
        found = ece(rng.random(624) < special.expit(z), special.expit(sharp * z), folds=200)
        hits.append(holds(found, true))
    assert np.mean(hits) > 0.89


@pytest.mark.parametrize("interval", ["wald", "bootstrap"])
def test_the_calibration_line_covers(interval: str) -> None:
    rng, runs = np.random.default_rng(3), 150
    slopes, intercepts = [], []
    for _ in range(runs):
        z = rng.normal(size=300) * 1.5
        line = calibration_line(
            rng.random(300) < special.expit(0.4 + 0.7 * z), special.expit(z), interval=interval, folds=200
        )  # type: ignore[arg-type]
        slopes.append(holds(line.slope, 0.7))
        intercepts.append(holds(line.intercept, 0.4))
    assert np.mean(slopes) > 0.89 and np.mean(intercepts) > 0.89


def test_a_threshold_is_optimistic_where_it_was_chosen() -> None:
    rng = np.random.default_rng(4)
    gaps = []
    for _ in range(200):
        truth = np.arange(80) % 2 == 0
        first, second = (rng.normal(size=80) + truth for _ in range(2))
        found = choose_threshold(truth, first)
        here = (found.sensitivity.value or 0) + (found.specificity.value or 0)
        called = second >= found.value
        gaps.append(here - called[truth].mean() - (~called[~truth]).mean())
    assert np.mean(gaps) > 0.03
