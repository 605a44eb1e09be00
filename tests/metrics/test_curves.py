"""Curves against scikit-learn and their definitions."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from radiolucent import metrics
from radiolucent.errors import ConfigError, DataError
from radiolucent.metrics import (
    decision_curve,
    npv_at_prevalence,
    ppv_at_prevalence,
    pr_curve_points,
    predictive_values,
    reliability,
    roc_curve_points,
    wilson,
)


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    return truth, np.clip(np.round(0.35 * truth + rng.random(200) * 0.6, 2), 0, 1)


def test_the_area_below_the_roc_points_is_the_auroc(case: tuple[np.ndarray, np.ndarray]) -> None:
    fpr, tpr, thresholds = roc_curve_points(*case)
    assert np.trapezoid(tpr, fpr) == pytest.approx(metrics.auroc(*case).value)
    assert (np.diff(fpr) >= 0).all() and (np.diff(thresholds) < 0).all()
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_the_steps_below_the_pr_points_are_the_average_precision(case: tuple[np.ndarray, np.ndarray]) -> None:
    recall, precision, thresholds = pr_curve_points(*case)
    assert -(np.diff(recall) * precision[:-1]).sum() == pytest.approx(sk.average_precision_score(*case))
    assert len(recall) == len(precision) == len(thresholds) + 1
    called = case[1] >= thresholds[7]
    assert precision[7] == pytest.approx(sk.precision_score(case[0], called))
    assert recall[7] == pytest.approx(sk.recall_score(case[0], called))


def test_reliability_equals_scikit_learn_and_carries_wilsons_intervals(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = case
    found = reliability(truth, scores)
    inner = scores + 1e-9 * (scores < 1)  # scikit-learn closes its bins on the other side
    rates, means = calibration_curve(truth, inner, n_bins=10)
    assert [rate.value for rate in found.rates] == pytest.approx(rates.tolist())
    assert found.means == pytest.approx(means.tolist(), abs=1e-6)
    assert sum(found.counts) == 200
    assert found.rates[0] == wilson(round((found.rates[0].value or 0) * found.counts[0]), found.counts[0])
    assert reliability(truth, scores, 5, adaptive=True).counts == pytest.approx([40] * 5, abs=6)


def test_net_benefit_is_what_its_definition_says(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = case
    found = decision_curve(truth, scores, [0.0, 0.2, 0.35, 0.5])
    for t, benefit, everyone in zip(found.thresholds, found.model, found.treat_all, strict=True):
        called = scores >= t
        odds = t / (1 - t)
        assert benefit == pytest.approx((called & truth).mean() - (called & ~truth).mean() * odds)
        assert everyone == pytest.approx(truth.mean() - (~truth).mean() * odds)
    assert found.model[0] == found.treat_all[0] == truth.mean()
    assert (found.treat_none == 0).all() and len(decision_curve(truth, scores).thresholds) == 99


def test_predictive_values_at_the_sample_prevalence_are_the_samples(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = case
    called = scores >= 0.5
    sens, spec = metrics.sensitivity(truth, called).value or 0, metrics.specificity(truth, called).value or 0
    assert ppv_at_prevalence(sens, spec, truth.mean()) == pytest.approx(metrics.ppv(truth, called).value)
    assert npv_at_prevalence(sens, spec, truth.mean()) == pytest.approx(metrics.npv(truth, called).value)
    assert ppv_at_prevalence(sens, spec, 0.01) < ppv_at_prevalence(sens, spec, 0.1)
    assert ppv_at_prevalence(0.9, 0.9, 0.0) == 0.0 and np.isnan(ppv_at_prevalence(0.9, 1.0, 0.0))


def test_curves_need_both_classes_and_numbers() -> None:
    for curve in (roc_curve_points, pr_curve_points):
        with pytest.raises(DataError, match="2 positive and 0 negative"):
            curve(np.array([1, 1]), np.array([0.1, 0.2]))
    for curve in (roc_curve_points, reliability, decision_curve):
        with pytest.raises(DataError, match="number"):
            curve(np.array([0, 1]), np.array([0.1, np.nan]))
    with pytest.raises(ConfigError, match="below 1"):
        decision_curve(np.array([0, 1]), np.array([0.1, 0.2]), [1.0])
    with pytest.raises(ConfigError, match="prevalence 2"):
        ppv_at_prevalence(0.9, 0.9, 2)


def test_a_decision_curve_has_a_band_by_patient_and_holds_at_another_prevalence() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.random(60) < 0.5, 4)
    scores = 1 / (1 + np.exp(-np.repeat(rng.normal(size=60), 4) - 1.5 * (2 * truth - 1)))
    films, patients = (decision_curve(truth, scores, [0.3], groups=g) for g in (None, np.arange(240) // 4))
    acted = scores >= 0.3
    worth = truth * acted - (~truth) * acted * 0.3 / 0.7
    assert films.model[0] == pytest.approx(worth.mean()) and films.prevalence == pytest.approx(truth.mean())
    half = stats.t.ppf(0.975, 59) * worth.reshape(60, 4).mean(1).std(ddof=1) / np.sqrt(60)
    assert patients.high[0] - patients.low[0] == pytest.approx(2 * half, rel=0.1)  # far from its ends it is normal
    assert films.high[0] - films.low[0] < patients.high[0] - patients.low[0]
    rare = decision_curve(truth, scores, [0.3], prevalence=0.1, groups=np.arange(240) // 4)
    assert rare.model[0] == pytest.approx(0.1 * acted[truth].mean() - 0.9 * acted[~truth].mean() * 0.3 / 0.7)
    assert rare.treat_all[0] == pytest.approx(0.1 - 0.9 * 0.3 / 0.7) and rare.low[0] < rare.model[0] < rare.high[0]
    alone = decision_curve(np.array([0, 1, 1]), np.array([0.1, 0.9, 0.8]), [0.5], groups=["a"] * 3)
    assert np.isnan(alone.low[0]) and np.isnan(alone.high[0])


@pytest.mark.parametrize(("rate", "apart", "t", "elsewhere"), [(0.01, 0.75, 0.2, None), (0.1, 1.5, 0.02, 0.3)])
def test_the_band_of_a_decision_curve_holds_where_few_are_ill_or_all_of_them_are_acted_on(
    rate: float, apart: float, t: float, elsewhere: float | None
) -> None:
    """Mean ± t · deviation held the truth in 77 and 50 of a hundred."""
    rng, held, at = np.random.default_rng(3), 0, elsewhere or rate
    cut = (special.logit(t) - special.logit(rate)) / (2 * apart)  # scores N(±apart, 1), rightly calibrated
    true = at * stats.norm.sf(cut - apart) - (1 - at) * stats.norm.sf(cut + apart) * t / (1 - t)
    for _ in range(400):
        ill = rng.random(2000 if elsewhere is None else 400) < rate
        raw = rng.normal(size=len(ill)) + apart * (2 * ill - 1)
        scores = special.expit(2 * apart * raw + special.logit(rate))
        found = decision_curve(ill, scores, [t], prevalence=elsewhere)
        held += bool(found.low[0] <= true <= found.high[0])
    assert held / 400 > 0.92


def test_both_predictive_values_tell_the_prevalence_asked_for() -> None:
    for found in predictive_values(wilson(9, 10), wilson(8, 10), 0.1):
        assert found.method == "at prevalence 0.1, from wilson and wilson"


def test_predictive_values_at_another_prevalence_hold_the_truth() -> None:
    rng, held = np.random.default_rng(1), [0, 0]
    expected = (ppv_at_prevalence(0.9, 0.8, 0.1), npv_at_prevalence(0.9, 0.8, 0.1))
    for _ in range(400):
        found = predictive_values(wilson(int(rng.binomial(60, 0.9)), 60), wilson(int(rng.binomial(90, 0.8)), 90), 0.1)
        for k, (e, truth) in enumerate(zip(found, expected, strict=True)):
            held[k] += e.low is not None and e.high is not None and e.low <= truth <= e.high
    assert all(0.92 < h / 400 < 0.985 for h in held)
    sure = predictive_values(wilson(10, 10), wilson(10, 10), 0.1)
    assert sure[0].value == sure[0].high == 1 and 0 < (sure[0].low or 0) < 0.5
    assert predictive_values(wilson(0, 0), wilson(9, 10), 0.1)[0].value is None


def test_the_band_of_a_curve_is_the_interval_of_each_sensitivity() -> None:
    rng = np.random.default_rng(2)
    patients = np.repeat(np.arange(30), 3)
    truth = np.repeat(rng.random(30) < 0.5, 3)
    scores = np.round(rng.random(90) + 0.4 * truth, 1)
    thresholds = metrics.roc_curve_points(truth, scores)[2]
    for groups in (None, patients):
        low, high = metrics.roc_band(truth, scores, thresholds, groups=groups)
        for k, t in enumerate(thresholds):
            one = metrics.sensitivity(truth, scores >= t, groups=groups)
            assert (low[k], high[k]) == pytest.approx((one.low, one.high))
        backwards = metrics.roc_band(truth, scores, thresholds[::-1], groups=groups)
        assert np.array_equal(backwards[0][::-1], low) and np.array_equal(backwards[1][::-1], high)
    assert np.isnan(metrics.roc_band(truth, scores, thresholds, groups=truth.astype(int))[0]).all()


def test_the_band_of_a_curve_does_not_fall_where_the_last_misses_are_of_one_patient() -> None:
    """The misses of one patient alone make a design effect that is larger than before and after."""
    patients = np.r_[np.repeat(np.arange(20), 2), 20, 20, 20, 20]
    scores = np.r_[np.linspace(0.5, 0.9, 40), 0.1, 0.1, 0.1, 0.1]
    truth, groups = np.r_[np.ones(44), 0, 0], np.r_[patients, 21, 22]
    thresholds = np.linspace(1, 0, 201)
    low, high = metrics.roc_band(truth, np.r_[scores, 0.3, 0.4], thresholds, groups=groups)
    assert (np.diff(low) >= 0).all() and (np.diff(high) >= 0).all()
    alone = [metrics.sensitivity(truth[:44], scores >= t, groups=patients).low or 0 for t in thresholds]
    assert (np.diff(alone) < -0.01).any()  # else the case tells nothing
