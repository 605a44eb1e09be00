"""Temperature, Brier, ECE, calibration line: against scikit-learn, torch and closed forms."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from radiolucent.errors import ConfigError
from radiolucent.metrics import (
    brier,
    calibrate_logits,
    calibration_line,
    ece,
    fit_temperature,
    fit_temperature_and_bias,
)
from radiolucent.metrics.calibration import bins_of, ece_if_calibrated
from radiolucent.metrics.recalibration import logit
from radiolucent.types import Predictions


def sample(n: int = 300, *, sharp: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and probabilities whose logits are `sharp` times the right ones."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * 2
    return rng.random(n) < special.expit(z), special.expit(sharp * z)


# Temperature


def softmax_case(n: int, classes: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * 2
    labels = np.array([rng.choice(classes, p=p) for p in special.softmax(z, axis=1)])
    return z * temperature, labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_softmax_temperature_is_recovered_and_minimises_torchs_loss(classes: int, temperature: float) -> None:
    logits, labels = softmax_case(3000, classes, temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.08)

    def loss(t: float) -> float:
        return float(torch.nn.functional.cross_entropy(torch.tensor(logits / t), torch.tensor(labels)))

    assert loss(found) < min(loss(found * 1.01), loss(found / 1.01))


def firths_line(x: np.ndarray, y: np.ndarray, *, intercept: bool = True) -> tuple[float, float]:
    """Slope and intercept of Firth's logistic regression, by scikit-learn on augmented data.

    Heinze & Schemper 2002: at the answer, it is the plain fit where every case counts 1 + h/2 times with its own label
    and h/2 times with the other one, h being its leverage.
    """
    design = np.stack([np.ones_like(x), x], 1) if intercept else x[:, None]
    h = np.zeros(len(x))
    slope = shift = 0.0
    for _ in range(60):
        model = LogisticRegression(C=np.inf, fit_intercept=intercept, tol=1e-12, max_iter=2000)
        model.fit(np.tile(x, 2)[:, None], np.append(y, 1 - y), sample_weight=np.append(1 + h / 2, h / 2 + 1e-12))
        slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0] if intercept else 0.0)
        p = special.expit(shift + slope * x)
        root = design * np.sqrt(p * (1 - p))[:, None]
        h = (root @ np.linalg.inv(root.T @ root) * root).sum(1)
    return slope, shift


def test_binary_temperature_is_the_inverse_slope_of_firths_regression_without_intercept() -> None:
    logits, labels = softmax_case(120, 2, 2.0)
    margin = logits[:, 1] - logits[:, 0]
    slope, _ = firths_line(margin, labels, intercept=False)
    assert fit_temperature(logits, labels) == pytest.approx(1 / slope, rel=1e-4)
    # The same for one logit of class 1, one of class 0, and two labels an image (which count twice).
    assert fit_temperature(margin[:, None], labels, "sigmoid") == pytest.approx(1 / slope, rel=1e-4)
    assert fit_temperature(-margin[:, None], labels, "sigmoid", positive=0) == pytest.approx(1 / slope, rel=1e-4)
    both = np.append(margin, -margin), np.append(labels, 1 - labels)
    slope, _ = firths_line(*both, intercept=False)
    double = np.stack([margin, -margin], axis=1), np.stack([labels, 1 - labels], axis=1)
    assert fit_temperature(*double, "multilabel") == pytest.approx(1 / slope, rel=1e-4)


def test_unknown_labels_take_no_part() -> None:
    logits, labels = softmax_case(200, 3, 2.0)
    more = np.concatenate([logits, 50 * np.ones((20, 3))])
    assert fit_temperature(more, np.append(labels, [-1] * 20)) == fit_temperature(logits, labels)
    margin = logits[:, :1]
    two = (labels > 0).astype(int)
    assert fit_temperature(more[:, :1], np.append(two, [-1] * 20), "sigmoid") == fit_temperature(margin, two, "sigmoid")


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("classes", [2, 3])
def test_films_told_apart_are_never_surer_than_their_number_supports(seed: int, classes: int) -> None:
    """A plain likelihood puts T wherever its optimiser gives up, and says 99.9999999 %."""
    rng = np.random.default_rng(seed)
    labels = np.arange(9) % classes
    logits = 3 * np.eye(classes)[labels] + rng.random((9, classes)) + rng.normal(size=classes)
    if seed == 0 and classes == 2:
        logits, labels = np.array([[0.0, -3], [0, -1], [0, 2], [0, 2.5]]), np.array([0, 0, 1, 1])
    found = calibrate_logits(logits, labels)
    assert found.separable and "told apart" in found.note and found.bias.sum() == pytest.approx(0, abs=1e-9)
    chances = special.softmax((logits + found.bias) / found.temperature, axis=1)
    assert 0.55 < chances.max() <= 1 - 1 / (len(labels) + 2) + 1e-9
    margin = (logits[:, 1] - logits[:, 0])[:, None]
    if classes == 2:
        one = calibrate_logits(margin, labels, "sigmoid")
        assert one.temperature == pytest.approx(found.temperature, rel=1e-4)
        assert one.bias[0] == pytest.approx(found.bias[1] - found.bias[0], abs=1e-3)


def test_one_film_out_of_place_is_enough_for_the_films_to_speak() -> None:
    logits, labels = np.array([-3.0, -1, 2, 2.5, -0.9])[:, None], np.array([0, 0, 1, 1, 1])
    assert not calibrate_logits(np.append(logits, [[-1.1]], 0), np.append(labels, 1), "sigmoid").separable
    assert calibrate_logits(logits, labels, "sigmoid").separable
    assert not calibrate_logits(logits, labels, "sigmoid", bias=False).separable  # no bias mends the last one


def test_a_temperature_no_film_can_tell_says_so() -> None:
    backwards = calibrate_logits(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 0]), bias=False)
    assert backwards.temperature == pytest.approx(20) and "do not go with the labels" in backwards.note
    alike = calibrate_logits(np.zeros((3, 2)), np.array([0, 1, 1]))
    assert alike.temperature == 1 and "the same logits" in alike.note


def test_probabilities_say_no_more_than_the_films_they_were_calibrated_on_support() -> None:
    logits = np.array([[-40.0, 40.0], [0.0, 0.0], [1.0, 0.0]], np.float32)
    names = ("a", "b")
    said = Predictions(("1", "2", "3"), ("1", "2", "3"), logits, np.array([1, 0, 0]), names, calibrated_on=98)
    assert said.scores[0] == pytest.approx(0.99) and said.scores[1] == 0.5
    assert (np.argsort(said.scores) == np.argsort(dataclasses.replace(said, calibrated_on=None).scores)).all()
    assert said.probabilities.sum(1) == pytest.approx(1)


def test_temperature_and_bias_are_firths_line() -> None:
    """Between two classes: the inverse slope and the offset of penalised logistic regression with an intercept."""
    logits, labels = softmax_case(120, 2, 2.0)
    margin = logits[:, 1] - logits[:, 0] + 1.5
    slope, intercept = firths_line(margin, labels)
    t, b = fit_temperature_and_bias(np.stack([0 * margin, margin], axis=1), labels)
    assert t == pytest.approx(1 / slope, rel=1e-4) and b.sum() == pytest.approx(0, abs=1e-12)
    assert (b[1] - b[0]) / t == pytest.approx(intercept, rel=1e-3)
    for sign, positive in ((1, 1), (-1, 0)):
        one, offset = fit_temperature_and_bias(sign * margin[:, None], labels, "sigmoid", positive=positive)
        assert one == pytest.approx(1 / slope, rel=1e-4)
        assert sign * offset[0] / one == pytest.approx(intercept, rel=1e-3)


def test_temperature_and_bias_minimise_the_loss_over_three_classes() -> None:
    logits, labels = softmax_case(2000, 3, 0.5)
    logits += np.array([1.0, 0.0, -2.0])
    t, b = fit_temperature_and_bias(logits, labels)

    def loss(t: float, b: np.ndarray) -> float:
        scaled = torch.tensor((logits + b) / t)
        return float(torch.nn.functional.cross_entropy(scaled, torch.tensor(labels)))

    best = loss(t, b)
    assert best < loss(fit_temperature(logits, labels), np.zeros(3)) - 0.01
    for change in np.eye(3) * 0.02:
        assert best < min(loss(t, b + change), loss(t, b - change), loss(t * 1.02, b), loss(t / 1.02, b))


def test_no_bias_where_none_is_best() -> None:
    one_class = np.array([[0.0, 1.0], [0.0, -2.0]]), np.array([1, 1])
    assert not fit_temperature_and_bias(*one_class)[1].any()
    many = np.array([[3.0, 1.0], [0.0, -2.0]]), np.array([[1, 0], [0, 1]])
    assert not fit_temperature_and_bias(*many, "multilabel")[1].any()


@pytest.mark.parametrize(
    ("logits", "labels", "head", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0, int), "softmax", "no labelled case"),
        (np.zeros((2, 2)), np.array([-1, -1]), "softmax", "no labelled case"),
        (np.array([[np.nan, 0]]), np.array([1]), "softmax", "not finite"),
        (np.zeros((2, 2)), np.array([0, 1]), "sigmoid", "expected"),
        (np.zeros((2, 2)), np.array([0]), "softmax", "expected"),
    ],
)
def test_temperature_needs_labelled_finite_logits(
    logits: np.ndarray, labels: np.ndarray, head: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_temperature(logits, labels, head)  # type: ignore[arg-type]


# Brier and ECE


def test_brier_equals_scikit_learn_and_its_interval_the_normal_one_where_cases_are_many() -> None:
    truth, scores = sample(500)
    found = brier(truth, scores)
    squared = (truth - scores) ** 2
    half = 1.96 * squared.std(ddof=1) / np.sqrt(500)
    assert found.value == pytest.approx(brier_score_loss(truth, scores))
    assert found.low == pytest.approx(squared.mean() - half, abs=0.003)
    assert found.high == pytest.approx(squared.mean() + half, abs=0.003)


def slow_ece(truth: np.ndarray, scores: np.ndarray, bins: int) -> float:
    """Bin by bin, as it is written."""
    total = 0.0
    for b in range(bins):
        own = (scores >= b / bins) & ((scores < (b + 1) / bins) | (b == bins - 1))
        if own.any():
            total += own.mean() * abs(truth[own].mean() - scores[own].mean())
    return total


@given(st.integers(0, 1000), st.integers(1, 20))
@settings(max_examples=30)
def test_ece_is_what_its_definition_says(seed: int, bins: int) -> None:
    truth, scores = sample(60, seed=seed)
    assert ece(truth, scores, bins=bins, folds=5).value == pytest.approx(slow_ece(truth, scores, bins), abs=1e-12)


def test_adaptive_bins_hold_equal_counts_and_keep_equal_scores_together() -> None:
    scores = np.random.default_rng(0).random(100) ** 4
    assert (np.bincount(bins_of(scores, 10, adaptive=True)) == 10).all()
    tied = bins_of(np.array([0.1] * 7 + [0.9]), 4, adaptive=True)
    assert len(set(tied[:7].tolist())) == 1 and tied[7] != tied[0]
    truth, probability = sample(200)
    assert ece(truth, probability, bins=1, adaptive=True, folds=5).value == pytest.approx(
        abs(truth.mean() - probability.mean())
    )


def test_ece_says_what_calibrated_probabilities_would_show_and_its_interval_holds_the_estimate() -> None:
    truth, scores = sample(300)
    found = ece(truth, scores, folds=400)
    assert "calibrated probabilities would show 0.0" in found.note and "reflected" in found.method
    assert (found.low or 0) <= (found.value or 0) <= (found.high or 0)
    expected = ece_if_calibrated(scores, 15).mean()
    rng = np.random.default_rng(9)
    simulated = [slow_ece(rng.random(300) < scores, scores, 15) for _ in range(400)]
    assert expected == pytest.approx(np.mean(simulated), rel=0.05)
    exact = ece(np.arange(8) % 2, np.full(8, 0.5), folds=100)  # no gap in any bin, by chance
    assert exact.value == 0 and exact.low is None and "no interval" in exact.note


@pytest.mark.parametrize("figure", [brier, ece])
def test_scores_that_are_no_probabilities_are_refused_and_nothing_is_not_applicable(figure: object) -> None:
    with pytest.raises(ConfigError, match=r"score 1\.5; expected probabilities"):
        figure(np.array([0, 1]), np.array([0.5, 1.5]))  # type: ignore[operator]
    assert figure(np.array([]), np.array([])).note == "no cases"  # type: ignore[operator]
    assert figure(np.array([0, 1]), np.array([0.5, np.nan])).value is None  # type: ignore[operator]


# Slope and intercept


def oracle(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Slope and intercept by scikit-learn's unpenalised logistic regression."""
    x = np.log(scores / (1 - scores))[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(x, truth, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


@pytest.mark.parametrize("sharp", [0.3, 1.0, 2.5])
def test_the_line_equals_scikit_learn(sharp: float) -> None:
    truth, scores = sample(sharp=sharp)
    found = calibration_line(truth, scores)
    assert (found.slope.value, found.intercept.value) == pytest.approx(oracle(truth, scores), abs=1e-5)
    assert found.slope.value == pytest.approx(1 / sharp, rel=0.35)


def test_walds_interval_equals_the_inverse_information() -> None:
    truth, scores = sample(800)
    wald, own = calibration_line(truth, scores, interval="wald"), calibration_line(truth, scores)
    slope, intercept = oracle(truth, scores)
    x = np.stack([np.ones(800), logit(scores)], axis=1)
    p = special.expit(x @ [intercept, slope])
    deviation = np.sqrt(np.diag(np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)))
    assert (wald.slope.high or 0) - slope == pytest.approx(1.959964 * deviation[1], abs=1e-4)
    assert (wald.intercept.high or 0) - intercept == pytest.approx(1.959964 * deviation[0], abs=1e-4)
    assert own.slope.high == pytest.approx(wald.slope.high, abs=0.04)  # here the model is right and cases independent


def test_the_jackknife_of_the_line_is_scikit_learns_without_each_patient() -> None:
    truth, scores = sample(240, sharp=1.5)
    groups = np.arange(240) // 4
    found = calibration_line(truth, scores, groups=groups)
    left = np.array([oracle(truth[groups != g], scores[groups != g]) for g in range(60)])
    deviation = np.sqrt(59 / 60 * ((left - left.mean(0)) ** 2).sum(0))
    for e, s in zip((found.slope, found.intercept), deviation, strict=True):
        df = float(e.method.split("t with ")[1].split(" ")[0])
        assert (e.high or 0) - (e.low or 0) == pytest.approx(2 * stats.t.ppf(0.975, df) * s, rel=0.01)
    # Both lie about the estimate without the bias that the jackknife finds.
    centre = 60 * np.array(oracle(truth, scores)) - 59 * left.mean(0)
    assert ((found.slope.low or 0) + (found.slope.high or 0)) / 2 == pytest.approx(centre[0], abs=2e-3)


def test_calibration_in_the_large_is_the_intercept_at_slope_1() -> None:
    truth, scores = sample(400)
    found = calibration_line(truth, special.expit(logit(scores) + 0.8))
    large = found.large.value or 0
    assert special.expit(logit(scores) + 0.8 + large).mean() == pytest.approx(truth.mean(), abs=1e-6)
    assert found.large.high is not None and found.large.high < 0  # 0.8 too high on the whole
    apart = calibration_line(np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.7, 0.9]))
    assert apart.slope.value is None and apart.large.value is not None


def test_recalibrated_scores_have_slope_1_and_intercept_0() -> None:
    truth, scores = sample(sharp=2.0)
    line = calibration_line(truth, scores)
    again = special.expit((line.intercept.value or 0) + (line.slope.value or 0) * logit(scores))
    found = calibration_line(truth, again)
    assert (found.slope.value, found.intercept.value) == pytest.approx((1, 0), abs=1e-6)


def test_saturated_probabilities_are_taken_and_separated_classes_have_no_slope() -> None:
    truth, scores = np.array([0, 1, 0, 1, 1, 0]), np.array([0.0, 1.0, 1.0, 0.0, 0.9, 0.2])
    assert np.isfinite(calibration_line(truth, scores).slope.value or np.nan)
    for interval in ("wald", "patients"):
        apart = calibration_line(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.2, 0.9]), interval=interval)  # type: ignore[arg-type]
        assert apart.slope.value is None and "separation" in apart.slope.note
        assert calibration_line(np.array([1, 1]), np.array([0.1, 0.2]), interval=interval).slope.value is None  # type: ignore[arg-type]
    constant = calibration_line(np.array([0, 1, 1]), np.array([0.4, 0.4, 0.4]))
    assert constant.slope.value is None


def test_a_line_of_one_positive_patient_has_no_interval() -> None:
    alone = calibration_line(np.array([0, 1, 0, 0, 0]), np.array([0.2, 0.4, 0.5, 0.1, 0.3]))
    assert alone.slope.low is None and "too few patients" in alone.slope.note


@pytest.mark.parametrize("films", [1, 5])
def test_calibrated_models_are_declared_miscalibrated_no_more_often_than_they_should(films: int) -> None:
    """Films of a patient are ill together: drawn as independent, twice as many models would fail."""
    rng, fails = np.random.default_rng(films), 0
    for _ in range(300):
        chance = rng.random(60)
        ill = np.repeat(rng.random(60) < chance, films)
        scores = np.repeat(chance, films)
        groups = np.repeat(np.arange(60), films)
        value = ece(ill, scores, groups=groups, folds=2).value or 0
        fails += value > np.quantile(ece_if_calibrated(scores, 15, groups=groups, draws=200), 0.95)
    assert fails / 300 < 0.09
