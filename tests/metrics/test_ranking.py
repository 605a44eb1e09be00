"""AUROC and average precision against scikit-learn, plain and weighted; and how they must behave."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from radiolucent.errors import ConfigError
from radiolucent.metrics import auroc, average_precision, bootstrap_weights
from radiolucent.metrics.intervals import exact_low
from radiolucent.metrics.ranking import Ranks, perfect_auroc


def sample(n: int = 200, *, ties: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    scores = rng.normal(size=n) + 1.2 * truth
    return truth, np.round(scores) if ties else scores


# Few distinct values, so that most examples hold ties within and across the classes.
truths = hnp.arrays(bool, st.integers(2, 40))
levels = st.integers(-3, 3)


@given(truths, st.data())
@settings(max_examples=100)
def test_weighted_figures_equal_scikit_learn(truth: np.ndarray, data: st.DataObject) -> None:
    n = len(truth)
    scores = np.array(data.draw(st.lists(levels, min_size=n, max_size=n)), float)
    drawn = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), float)
    assume(drawn[truth].sum() > 0 and drawn[~truth].sum() > 0)
    area, precision = Ranks(truth, scores)(drawn[None])
    assert area[0] == pytest.approx(roc_auc_score(truth, scores, sample_weight=drawn), abs=1e-12)
    assert precision[0] == pytest.approx(average_precision_score(truth, scores, sample_weight=drawn), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_every_fold_equals_scikit_learn_on_the_resampled_cases(ties: bool) -> None:
    truth, scores = sample(80, ties=ties)
    patients = np.arange(80) // 3
    folds = np.concatenate(list(bootstrap_weights(patients, 80, folds=30, seed=1)))
    area, precision = Ranks(truth, scores)(folds)
    for fold, a, p in zip(folds.astype(int), area, precision, strict=True):
        drawn = np.repeat(np.arange(80), fold)
        assert a == pytest.approx(roc_auc_score(truth[drawn], scores[drawn]), abs=1e-12)
        assert p == pytest.approx(average_precision_score(truth[drawn], scores[drawn]), abs=1e-12)


def test_sorting_beforehand_changes_nothing() -> None:
    truth, scores = sample()
    order = np.argsort(-scores)
    drawn = np.concatenate(list(bootstrap_weights(None, 200, folds=5, seed=0)))
    for one, other in zip(
        Ranks(truth, scores)(drawn), Ranks(truth[order], scores[order])(drawn[:, order]), strict=True
    ):
        assert np.allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("interval", ["delong", "bootstrap"])
@pytest.mark.parametrize("ties", [False, True])
def test_estimates_equal_scikit_learn(interval: str, ties: bool) -> None:
    truth, scores = sample(ties=ties)
    found = auroc(truth, scores, interval=interval, folds=500)  # type: ignore[arg-type]
    assert found.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert found.low is not None and found.high is not None and found.low < (found.value or 0) < found.high
    assert average_precision(truth, scores, folds=50).value == pytest.approx(average_precision_score(truth, scores))


def test_delong_and_bootstrap_agree() -> None:
    truth, scores = sample(600)
    one, other = auroc(truth, scores), auroc(truth, scores, interval="bootstrap", folds=3000)
    assert one.low == pytest.approx(other.low, abs=0.006) and one.high == pytest.approx(other.high, abs=0.006)


@given(hnp.arrays(np.int64, 30, elements=levels), st.floats(0.1, 5), st.floats(-5, 5))
@settings(max_examples=50)
def test_relations(scores: np.ndarray, scale: float, shift: float) -> None:
    truth = np.arange(30) % 3 == 0
    base = auroc(truth, scores)
    assert auroc(truth, np.exp(scale * scores + shift)).value == pytest.approx(base.value)  # only the order counts
    assert auroc(truth, -scores).value == pytest.approx(1 - (base.value or 0))
    swapped = auroc(~truth, -scores)
    assert (swapped.value, swapped.low, swapped.high) == pytest.approx((base.value, base.low, base.high))
    shuffled = np.random.default_rng(0).permutation(30)
    again = auroc(truth[shuffled], scores[shuffled])
    assert (again.low, again.high) == pytest.approx((base.low, base.high))


def test_infinite_scores_rank() -> None:
    assert auroc(np.array([0, 1, 0, 1]), np.array([-np.inf, np.inf, 0, 1.0])).value == 1.0


@pytest.mark.parametrize("interval", ["delong", "bootstrap"])
def test_a_perfect_auroc_has_the_exact_bound_over_pairs_of_patients(interval: str) -> None:
    truth = np.array([True] * 10 + [False] * 30)
    found = auroc(truth, truth * 1.0, interval=interval, folds=200)  # type: ignore[arg-type]
    assert found.value == found.high == 1.0 and "exact" in found.note
    assert found.low == pytest.approx(0.025 ** (1 / 10))
    worst = auroc(truth, truth * -1.0, interval=interval, folds=200)  # type: ignore[arg-type]
    assert worst.value == worst.low == 0.0 and worst.high == pytest.approx(1 - 0.025 ** (1 / 10))


@pytest.mark.parametrize(
    ("groups", "pairs"), [("abcdef", 3), ("aabcde", 2), ("abcabc", 1), ("aaaaaa", 0), ("abcdcd", 2), ("abcddd", 1)]
)
def test_pairs_of_patients_are_disjoint(groups: str, pairs: int) -> None:
    truth = np.array([True] * 3 + [False] * 3)
    assert perfect_auroc(truth, list(groups), 0.95) == pytest.approx(exact_low(pairs))


def test_a_perfect_average_precision_is_bounded_by_that_of_the_least_perfect_auroc() -> None:
    truth = np.arange(400) % 4 == 0
    found = average_precision(truth, truth * 1.0, folds=50)
    assert found.value == found.high == 1.0 and "exact" in found.note
    area = exact_low(100)
    rng = np.random.default_rng(0)
    many = np.arange(200_000) % 4 == 0
    scores = rng.normal(size=len(many)) + np.sqrt(2) * stats.norm.ppf(area) * many
    assert found.low == pytest.approx(average_precision_score(many, scores), abs=0.004)


def test_folds_with_one_class_are_dropped_and_counted() -> None:
    truth, scores = np.array([1, 1, 0, 0, 0, 0]), np.array([0.5, 0.55, 0.1, 0.2, 0.6, 0.3])
    found = auroc(truth, scores, interval="bootstrap", folds=400)
    assert found.value == 0.75 and found.low is not None and "of 400 folds dropped" in found.note


@pytest.mark.parametrize("interval", ["delong", "bootstrap"])
def test_one_positive_patient_gives_no_interval(interval: str) -> None:
    """However many films they have: a bootstrap of them would cover half the time."""
    truth, scores = np.array([1, 1, 1, 0, 0, 0, 0]), np.array([0.5, 0.25, 0.7, 0.1, 0.2, 0.6, 0.3])
    found = auroc(truth, scores, interval=interval, groups=list("aaabcde"), folds=50)  # type: ignore[arg-type]
    assert found.value is not None and found.low is None and "too few patients" in found.note


@pytest.mark.parametrize(
    ("truth", "scores", "note"),
    [
        ([], [], "no cases"),
        ([1, 1], [0.2, 0.3], "2 positive and 0 negative"),
        ([0, 0], [0.2, 0.3], "0 positive and 2 negative"),
        ([0, 1, 1], [0.2, np.nan, 0.3], "1 of 3 scores are not a number"),
    ],
)
def test_what_is_not_defined_says_why(truth: list[int], scores: list[float], note: str) -> None:
    t, s = np.array(truth), np.array(scores)
    for found in (auroc(t, s), auroc(t, s, interval="bootstrap", folds=10), average_precision(t, s, folds=10)):
        assert found.value is None and found.low is None and note in found.note


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="same"):
        auroc(np.array([0, 1]), np.array([0.1, 0.2, 0.3]))
    with pytest.raises(ConfigError, match="-1"):
        auroc(np.array([0, 1, -1]), np.array([0.1, 0.2, 0.3]))
