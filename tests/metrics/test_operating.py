"""Figures at a threshold against scikit-learn, their intervals, and the rules that choose the threshold."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from radiolucent import metrics
from radiolucent.errors import ConfigError
from radiolucent.metrics import choose_threshold, wilson
from radiolucent.metrics.intervals import exact_low

ORACLES = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "sensitivity": sk.recall_score,
    "specificity": lambda t, c: sk.recall_score(~t, ~c),
    "ppv": sk.precision_score,
    "npv": lambda t, c: sk.precision_score(~t, ~c),
    "f1": sk.f1_score,
    "mcc": sk.matthews_corrcoef,
}
PROPORTIONS = ("accuracy", "sensitivity", "specificity", "ppv", "npv")


def sample(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    return truth, truth ^ (rng.random(n) < 0.2)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_scikit_learn(name: str, seed: int) -> None:
    truth, called = sample(seed=seed)
    found = getattr(metrics, name)(truth, called, interval="bootstrap", folds=300)
    assert found.value == pytest.approx(ORACLES[name](truth, called), abs=1e-12)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("name", PROPORTIONS)
def test_proportions_have_wilsons_interval_unless_asked_otherwise(name: str) -> None:
    truth, called = sample()
    found = getattr(metrics, name)(truth, called)
    groups = np.arange(120)
    assert found == getattr(metrics, name)(truth, called, groups=groups)  # a film a patient changes nothing
    trials = {"accuracy": truth | True, "sensitivity": truth, "specificity": ~truth, "ppv": called, "npv": ~called}[
        name
    ]
    assert found == wilson(int((truth == called)[trials].sum()), int(trials.sum()))
    other = getattr(metrics, name)(truth, called, interval="bootstrap", folds=2000)
    assert found.low == pytest.approx(other.low, abs=0.03) and found.high == pytest.approx(other.high, abs=0.03)


def test_mcc_is_0_where_a_margin_is_empty_as_in_scikit_learn() -> None:
    truth = np.array([True, False, True])
    assert metrics.mcc(truth, truth | True, folds=50).value == sk.matthews_corrcoef(truth, truth | True) == 0.0


@pytest.mark.parametrize(
    ("name", "truth", "called", "note"),
    [
        ("sensitivity", [0, 0], [0, 1], "no positive case"),
        ("specificity", [1, 1], [0, 1], "no negative case"),
        ("ppv", [0, 1], [0, 0], "no case called positive"),
        ("npv", [0, 1], [1, 1], "no case called negative"),
        ("balanced_accuracy", [1, 1], [0, 1], "one class only"),
        ("f1", [0, 0], [0, 0], "no positive case, and none called"),
        *[(name, [], [], "no cases") for name in ORACLES],
    ],
)
def test_what_is_not_defined_says_why(name: str, truth: list[int], called: list[int], note: str) -> None:
    t, c = np.array(truth, bool), np.array(called, bool)
    intervals = ["bootstrap", "wilson"] if name in PROPORTIONS else ["bootstrap"]
    for interval in intervals:
        found = getattr(metrics, name)(t, c, interval=interval, folds=20)
        assert found.value is None and found.low is None and found.note == note


def test_perfect_calls_have_exact_bounds_over_patients() -> None:
    truth = np.array([True] * 20 + [False] * 60)
    patients = np.arange(80) // 2  # 10 patients with, 30 without
    options = {"groups": patients, "folds": 100}
    assert metrics.sensitivity(truth, truth, **options).low == pytest.approx(exact_low(10))
    assert metrics.specificity(truth, truth, **options).low == pytest.approx(exact_low(30))
    assert metrics.accuracy(truth, truth, **options).low == pytest.approx(exact_low(40))
    sens, spec = exact_low(10, 0.975), exact_low(30, 0.975)
    assert metrics.balanced_accuracy(truth, truth, **options).low == pytest.approx((sens + spec) / 2)
    jaccard = exact_low(10)
    assert metrics.f1(truth, truth, **options).low == pytest.approx(2 * jaccard / (1 + jaccard))
    found = metrics.mcc(truth, truth, **options)
    assert found.value == found.high == 1.0 and 0 < (found.low or 0) < 1 and "exact" in found.note
    none = metrics.sensitivity(truth, truth & False, **options)
    assert none.value == none.low == 0.0 and none.high == pytest.approx(1 - exact_low(10)) and none.n == 10


def test_patients_make_the_interval_wider_where_their_films_agree() -> None:
    truth, called = sample(60)
    truth, called, patients = np.repeat(truth, 4), np.repeat(called, 4), np.repeat(np.arange(60), 4)
    found = metrics.accuracy(truth, called, interval="bootstrap", groups=patients, folds=2000)
    naive, wilsons = metrics.accuracy(truth, called), metrics.accuracy(truth, called, groups=patients)
    assert wilsons.low == pytest.approx(found.low, abs=0.02) and wilsons.high == pytest.approx(found.high, abs=0.02)
    assert (found.high or 0) - (found.low or 0) > 1.5 * ((naive.high or 0) - (naive.low or 0))
    assert found.n == 60 and "patient" in found.method


def test_wrong_arguments_are_refused() -> None:
    truth, called = sample()
    with pytest.raises(ConfigError, match="of mcc; expected 'jackknife' or 'bootstrap'"):
        metrics.mcc(truth, called, interval="wilson")
    with pytest.raises(ConfigError, match="'wilson' or 'bootstrap'"):
        metrics.accuracy(truth, called, interval="delong")  # type: ignore[typeddict-item]
    with pytest.raises(ConfigError, match="same"):
        metrics.accuracy(truth, called[1:])
    with pytest.raises(ConfigError, match="called holds"):
        metrics.accuracy(truth, np.full(len(truth), 0.7))


# Thresholds


def exhaustive(truth: np.ndarray, scores: np.ndarray) -> list[tuple[float, float, int, int]]:
    """(sensitivity, specificity, false negatives, false positives) of every way to cut, from calling none to all."""
    cuts = [np.inf, *np.unique(scores)[::-1]]
    called = [scores >= cut for cut in cuts]
    return [
        ((c & truth).sum() / truth.sum(), (~c & ~truth).sum() / (~truth).sum(), (~c & truth).sum(), (c & ~truth).sum())
        for c in called
    ]


both = hnp.arrays(bool, st.integers(2, 25)).filter(lambda t: bool(t.any() and not t.all()))


@given(both, st.data())
@settings(max_examples=150)
def test_rules_do_what_they_say_against_every_possible_cut(truth: np.ndarray, data: st.DataObject) -> None:
    n = len(truth)
    scores = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))) / 9
    cuts = exhaustive(truth, scores)

    def reached(rule: str) -> tuple[float, float, int, int]:
        t = choose_threshold(truth, scores, rule)
        called = scores >= t.value
        sens, spec = (called & truth).sum() / truth.sum(), (~called & ~truth).sum() / (~truth).sum()
        assert t.sensitivity.value == pytest.approx(sens) and t.specificity.value == pytest.approx(spec)
        assert t.rule == rule and t.n == n
        return sens, spec, int((~called & truth).sum()), int((called & ~truth).sum())

    sens, spec, *_ = reached("youden")
    assert sens + spec == pytest.approx(max(s + c for s, c, *_ in cuts))
    for aim in (0.0, 0.5, 0.97, 1.0):
        sens, spec, *_ = reached(f"sensitivity>={aim}")
        assert sens >= aim and spec == pytest.approx(max(c for s, c, *_ in cuts if s >= aim))
        sens, spec, *_ = reached(f"specificity>={aim}")
        assert spec >= aim and sens == pytest.approx(max(s for s, c, *_ in cuts if c >= aim))
    for a, b in itertools.product((0.0, 1.0, 5.0), (0.5, 20.0)):
        _, _, fn, fp = reached(f"cost:fn={a},fp={b}")
        assert a * fn + b * fp == pytest.approx(min(a * x + b * y for *_, x, y in cuts))


def test_a_plain_aim_is_missed_by_half_of_the_thresholds_and_a_lower_bound_by_few() -> None:
    rng, missed = np.random.default_rng(0), {"sensitivity>=0.8": 0, "sensitivity-lower>=0.8": 0}
    truth = np.arange(120) % 2 == 0
    for _ in range(120):
        scores = rng.normal(size=120) + 2.5 * truth
        for rule in missed:
            missed[rule] += choose_threshold(truth, scores, rule).value > 2.5 - 0.8416  # the true 80 % cut
    assert 0.35 < missed["sensitivity>=0.8"] / 120 < 0.65 and missed["sensitivity-lower>=0.8"] / 120 < 0.08


def test_lower_bounds_are_by_patient_and_refused_where_cases_are_too_few() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(300) % 2 == 0
    scores = np.repeat(rng.normal(size=30), 10) + rng.normal(size=300) * 0.3 + 2 * truth
    films, patients = (
        choose_threshold(truth, scores, "specificity-lower >= 0.6", groups=g) for g in (None, np.arange(300) // 10)
    )
    assert patients.value > films.value and (patients.specificity.low or 0) >= 0.6 and patients.specificity.n == 30
    with pytest.raises(ConfigError, match="3 such cases are too few"):
        choose_threshold(np.array([0, 0, 0, 1, 1, 1]), np.arange(6.0), "sensitivity-lower>=0.95")


@given(both, st.integers(0, 100))
@settings(max_examples=40)
def test_a_threshold_never_sits_on_a_case_nor_leaves_the_unit_interval(truth: np.ndarray, seed: int) -> None:
    scores = np.random.default_rng(seed).random(len(truth))
    for rule in ("youden", "sensitivity>=0.9", "specificity >= .9", "cost: fn=5, fp=1"):
        value = choose_threshold(truth, scores, rule).value
        assert 0 < value <= 1 and value not in scores


@pytest.mark.parametrize("low", [0.3, np.nextafter(0.3, 1)])  # the middle of two neighbours rounds to the even one
def test_neighbouring_floats_are_still_told_apart(low: float) -> None:
    high = np.nextafter(low, 1)
    found = choose_threshold(np.array([0, 1]), np.array([low, high]))
    assert low < found.value <= high


def test_logits_do_as_scores_too() -> None:
    found = choose_threshold(np.array([0, 0, 1]), np.array([-9.0, -8.0, -4.0]), "sensitivity>=1")
    assert found.value == -6.0
    assert choose_threshold(np.array([0, 1, 1]), np.array([-9.0, -8.0, -9.5]), "sensitivity>=1").value == -9.5


@pytest.mark.parametrize(
    "rule", ["best", "sensitivity>=1.2", "sensitivity>=", "cost:fn=1", "cost:fn=0,fp=0", "cost:fn=1.2.3,fp=1", ""]
)
def test_an_unknown_rule_names_the_known_ones(rule: str) -> None:
    with pytest.raises(ConfigError, match="expected youden, sensitivity>=X"):
        choose_threshold(np.array([0, 1]), np.array([0.1, 0.9]), rule)


@pytest.mark.parametrize(
    ("truth", "scores"), [([], []), ([1, 1], [0.1, 0.2]), ([0, 1], [0.1, np.nan]), ([0, 1], [0.1, np.inf])]
)
def test_a_threshold_needs_sound_cases_of_both_classes(truth: list[int], scores: list[float]) -> None:
    with pytest.raises(ConfigError, match="validation"):
        choose_threshold(np.array(truth), np.array(scores))


def test_a_threshold_is_json_ready() -> None:
    record = choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])).as_dict()
    assert record["value"] == 0.4 and record["sensitivity"]["value"] == 1.0 and record["n"] == 4
