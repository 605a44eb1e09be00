"""DeLong's variance against other implementations' figures and against its definition over all pairs."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from radiolucent.metrics import auroc, delong_test
from radiolucent.metrics.intervals import hoeffding_ends
from radiolucent.types import Estimate

# DeLong, DeLong & Clarke-Pearson 1988: albumin (in tenths) and 10 minus the K-G score of 43 patients with ovarian
# cancer, those who benefited from surgery and those who did not.
BENEFITED = [
    (32, 5), (39, 7), (32, 7), (16, 5), (38, 5), (37, 4), (32, 6), (38, 4), (41, 5), (36, 5), (43, 6), (23, 4), (35, 4),
    (38, 3), (45, 5), (37, 5), (31, 4), (41, 4), (43, 5), (43, 6), (32, 5), (26, 4), (37, 5), (33, 3), (42, 4), (35, 5),
    (21, 3), (40, 3), (33, 4), (37, 5), (36, 5),
]  # fmt: skip
NOT = [(30, 0), (28, 4), (9, 5), (25, 2), (36, 6), (42, 6), (40, 4), (30, 2), (33, 4), (17, 3), (29, 1), (28, 2)]
TRUTH = np.array([1] * len(BENEFITED) + [0] * len(NOT))
ALBUMIN, SCORE = np.array(BENEFITED + NOT, float).T


def degrees(found: Estimate) -> float:
    return float(found.method.split("t with ")[1].split(" ")[0])


@pytest.mark.parametrize(
    ("scores", "value", "deviation"),
    [(ALBUMIN, 0.73655903, 0.09269435), (SCORE, 0.72580636, 0.10282161)],
)
def test_the_data_of_delong_1988_give_the_figures_of_an_independent_package(
    scores: np.ndarray, value: float, deviation: float
) -> None:
    found = auroc(TRUTH, scores)
    assert found.value == pytest.approx(value, abs=1e-6)
    half = stats.t.ppf(0.975, degrees(found)) * deviation / (value * (1 - value))
    assert found.low == pytest.approx(special.expit(special.logit(value) - half), abs=2e-4)  # df as printed
    assert 12 < degrees(found) < 42


def test_the_paired_test_gives_the_figures_of_an_independent_package() -> None:
    """Its z is 0.0107527 / √0.009090405441862, and p 0.9102063472 by the normal; ours by t."""
    difference, p = delong_test(TRUTH, ALBUMIN, SCORE)
    assert difference.value == pytest.approx(0.0107527, abs=1e-6)
    z = 0.0107527 / 0.009090405441862**0.5
    assert 2 * stats.norm.sf(z) == pytest.approx(0.9102063472, abs=1e-5)
    assert p == pytest.approx(2 * stats.t.sf(z, degrees(difference)), abs=1e-4)
    half = stats.t.ppf(0.975, degrees(difference)) * 0.009090405441862**0.5
    assert difference.high == pytest.approx(0.0107527 + half, abs=2e-4)


def by_definition(truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Areas' covariance from the full table of pairs, as DeLong wrote it."""
    parts = []
    for scores in (first, second):
        gap = scores[truth][:, None] - scores[~truth][None]
        parts.append((gap > 0) + 0.5 * (gap == 0))
    (a, b), (m, n) = parts, parts[0].shape
    s10 = np.cov(a.mean(1), b.mean(1))
    s01 = np.cov(a.mean(0), b.mean(0))
    s = s10 / m + s01 / n
    return float(a.mean() - b.mean()), float(s[0, 0] + s[1, 1] - 2 * s[0, 1])


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 12), st.booleans())
@settings(max_examples=60)
def test_the_fast_form_equals_the_definition(seed: int, m: int, n: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.array([True] * m + [False] * n))
    first = rng.normal(size=m + n) + truth
    second = first + rng.normal(size=m + n)
    if ties:
        first, second = np.round(first), np.round(second)
    value, variance = by_definition(truth, first, second)
    assume(variance > 1e-9)
    found, p = delong_test(truth, first, second)
    assert found.value == pytest.approx(value, abs=1e-12)
    df = degrees(found)
    half = min(stats.t.ppf(0.975, df) * variance**0.5, 1 - value)
    assert (found.high or 0) - value == pytest.approx(half, rel=3e-2)
    assert p == pytest.approx(2 * stats.t.sf(abs(value) / variance**0.5, df), abs=2e-3)
    assert 0.99 <= df <= (m + n) * 1.01


def test_a_patient_for_each_film_changes_nothing() -> None:
    one, other = auroc(TRUTH, ALBUMIN), auroc(TRUTH, ALBUMIN, groups=[f"p{i}" for i in range(43)])
    assert (one.low, one.high, one.n, one.method) == pytest.approx((other.low, other.high, other.n, other.method))


def test_copies_of_films_do_not_make_the_clustered_interval_narrower() -> None:
    patients = np.tile(np.arange(43), 4)
    one = auroc(TRUTH, ALBUMIN)
    many = auroc(np.tile(TRUTH, 4), np.tile(ALBUMIN, 4), groups=patients)
    naive = auroc(np.tile(TRUTH, 4), np.tile(ALBUMIN, 4))
    assert (many.low, many.high, many.n) == pytest.approx((one.low, one.high, 43))
    assert "clustered" in many.method and (naive.low or 0) > (one.low or 0)


def test_clustered_delong_agrees_with_the_patient_bootstrap_where_patients_have_both_classes() -> None:
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(150), 4)
    truth = np.repeat(rng.random(150) < 0.5, 4) ^ (rng.random(600) < 0.1)
    scores = np.repeat(rng.normal(size=150), 4) * 1.5 + rng.normal(size=600) * 0.3 + truth
    one = auroc(truth, scores, groups=patients)
    other = auroc(truth, scores, groups=patients, interval="bootstrap", folds=3000)
    naive = auroc(truth, scores)
    widths = [(e.high or 0) - (e.low or 0) for e in (one, other, naive)]
    assert widths[0] == pytest.approx(widths[1], rel=0.08)
    assert abs(widths[2] / widths[0] - 1) > 0.15  # taking films as independent would be visibly wrong here


def test_degenerate_comparisons_say_so() -> None:
    same, p = delong_test(TRUTH, ALBUMIN, 3 * ALBUMIN + 1)
    assert same.value == 0.0 and same.low is None and p is None
    opposite, p = delong_test(np.array([0, 0, 1, 1]), np.arange(4.0), -np.arange(4.0))
    assert opposite.value == 1.0 and opposite.low is None and p is None and "no sample variance" in opposite.note
    single, p = delong_test(np.array([0, 0, 1]), np.array([1.0, 3, 2]), np.array([1.0, 2, 3]))
    assert single.value == -0.5 and single.low is None and p is None
    assert delong_test(np.array([1, 1]), np.arange(2.0), np.arange(2.0))[0].value is None
    alone = auroc(np.array([0, 0, 1]), np.array([1.0, 3, 2]))
    assert alone.value == 0.5 and alone.low is None and "too few patients" in alone.note


def test_one_case_far_off_does_not_widen_the_interval_beyond_what_holds_for_any_scores() -> None:
    truth = np.repeat([1, 0], 80)
    scores = np.r_[np.arange(80.0) + 100, np.arange(80.0)]
    scores[0] = -1  # one ill film below all healthy ones carries the whole variance
    found = auroc(truth, scores)
    assert found.value == pytest.approx(1 - 1 / 80) and "Hoeffding" in found.note
    assert 0.9 < found.low < 0.93 and found.high < 1
    mirrored = auroc(1 - truth, scores)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))
    rng = np.random.default_rng(0)
    usual = auroc(truth, rng.normal(size=160) + 1.5 * truth)
    assert "Hoeffding" not in usual.note
    several = auroc(np.repeat(truth, 2), np.repeat(scores, 2), groups=np.repeat(np.arange(160), 2))
    assert several.low == pytest.approx(found.low)  # as many patients as before, not as many films


def test_the_bound_counts_patients_by_the_one_with_most_films() -> None:
    truth, scores, patient = np.repeat([1, 0], 80), np.r_[np.arange(80.0) + 100, np.arange(80.0)], np.arange(160)
    scores[40] = -1
    patient[:4] = 0  # 80 ill films, four of them of one patient: twenty pairs
    assert "(20 pairs," in auroc(truth, scores, groups=patient).note
    patient[159] = 0  # ill on four films, healthy on another: no pair of films of two patients
    assert "Hoeffding" not in auroc(truth, scores, groups=patient).note


@pytest.mark.parametrize(("value", "n"), [(0.987, 80), (0.5, 10), (0.02, 300)])
def test_hoeffdings_ends_are_where_the_divergence_is_spent(value: float, n: int) -> None:
    for end in hoeffding_ends(value, n):
        apart = value * np.log(value / end) + (1 - value) * np.log((1 - value) / (1 - end))
        assert apart * n == pytest.approx(np.log(40), rel=1e-6)


def test_the_bound_narrows_intervals_and_costs_no_coverage() -> None:
    """Few ill films score far below the healthy: in most samples one or two of them carry the whole variance."""
    few, gap, n, rng = 0.03, 4.0, 80, np.random.default_rng(3)
    true = (1 - few) * stats.norm.cdf(gap / 2**0.5) + few * stats.norm.cdf(-gap / 2**0.5)
    truth, bounded, free = np.repeat([1, 0], n), [], []
    for _ in range(300):
        ill = rng.normal(size=n) + np.where(rng.random(n) < few, -gap, gap)
        found = auroc(truth, np.r_[ill, rng.normal(size=n)])
        if found.note.startswith("no wider"):
            ends = hoeffding_ends(found.value, n)
            assert ends[0] <= found.low <= found.value <= found.high <= ends[1]
            bounded.append(found)
        else:
            free.append(found)
    assert len(bounded) > 100
    missed = [not e.low <= true <= e.high for e in bounded if e.low is not None]
    assert np.mean(missed) < 0.05
    assert np.median([e.high - e.low for e in bounded]) < 0.16
