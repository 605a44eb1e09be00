"""Margins, paired calls of clustered films, and AC1: published values and levels."""

import numpy as np
import pytest
from scipy import stats

from radiolucent.errors import ConfigError
from radiolucent.readers.statistics import against_margin, clustered_mcnemar, gwet_ac1
from radiolucent.types import Estimate


@pytest.mark.parametrize(
    ("kind", "margin", "low", "high", "verdict"),
    [
        ("non-inferiority", 0.05, -0.04, 0.02, "shown"),
        ("non-inferiority", 0.05, -0.06, 0.02, "not shown"),
        ("non-inferiority", 0.05, -0.2, -0.06, "refuted"),
        ("equivalence", 0.05, -0.04, 0.04, "shown"),
        ("equivalence", 0.05, -0.04, 0.06, "not shown"),
        ("equivalence", 0.05, 0.06, 0.1, "refuted"),
        ("superiority", 0.0, 0.01, 0.1, "shown"),
        ("superiority", 0.0, -0.01, 0.1, "not shown"),
    ],
)
def test_margins(kind: str, margin: float, low: float, high: float, verdict: str) -> None:
    found = against_margin(Estimate((low + high) / 2, low, high, 0.95, 50, "or"), margin, kind)  # type: ignore[arg-type]
    assert found.verdict == verdict and f"{kind} {verdict}: " in found.words


def test_a_margin_is_stated_and_needs_an_interval() -> None:
    gap = Estimate(0.0, -0.1, 0.1, 0.95, 50, "or")
    for margin in (0.0, -0.05):
        with pytest.raises(ConfigError, match="stated before"):
            against_margin(gap, margin)
    with pytest.raises(ConfigError, match="expected non-inferiority"):
        against_margin(gap, 0.05, "better")  # type: ignore[arg-type]
    none = against_margin(Estimate(0.0, None, None, 0.95, 2, "or", "too few patients"), 0.05)
    assert none.verdict == "not shown" and "too few patients" in none.words


@pytest.mark.parametrize(("b", "c"), [(5, 1), (9, 2), (3, 3), (40, 22)])
def test_with_a_film_a_patient_it_is_mcnemars_exact_test(b: int, c: int) -> None:
    first = np.array([1] * b + [0] * c + [1] * 10)
    second = np.array([0] * b + [1] * c + [1] * 10)
    found, p = clustered_mcnemar(first, second)
    assert p == pytest.approx(stats.binomtest(b, b + c).pvalue)
    assert found.value == pytest.approx((b - c) / (b + c + 10))


def test_many_uneven_patients_are_yangs_test() -> None:
    gains = np.array([2] * 20 + [1] * 15 + [-1] * 12 + [-2] * 9)  # by patient, in one or two films
    patients = np.repeat(np.arange(len(gains)), np.abs(gains))
    first = np.repeat(gains > 0, np.abs(gains))
    p = clustered_mcnemar(first, ~first, groups=patients)[1]
    assert p == pytest.approx(stats.chi2.sf(gains.sum() ** 2 / (gains @ gains), 1))


def test_films_of_a_patient_do_not_count_as_independent() -> None:
    rng, wrong, naive = np.random.default_rng(1), 0, 0
    patients = np.repeat(np.arange(40), 6)
    for _ in range(300):
        together = rng.random(40) < 0.5
        lean = np.where(together[patients], 0.9, 0.1)
        first, second = rng.random(240) < lean, rng.random(240) < 1 - lean
        p = clustered_mcnemar(first, second, groups=patients)[1]
        plain = clustered_mcnemar(first, second)[1]
        wrong += p is not None and p < 0.05
        naive += plain is not None and plain < 0.05
    assert wrong / 300 < 0.08 and naive / 300 > 0.2
    same, p = clustered_mcnemar(np.ones(5), np.ones(5))
    assert same.value == 0 and p is None and 0.3 < (same.high or 0) == -(same.low or 0) < 0.5


def test_the_interval_of_a_paired_difference() -> None:
    """Tango's, as Fagerland, Lydersen & Laake 2014 have it of Bentur's airways; and it holds what it says."""
    first, second = (np.repeat(each, [1, 1, 7, 12]) for each in ([1, 1, 0, 0], [1, 0, 1, 0]))
    found = clustered_mcnemar(first, second)[0]
    assert (found.value, found.low, found.high) == pytest.approx((-0.286, -0.517, -0.026), abs=5e-4)
    twice = clustered_mcnemar(np.repeat(first, 2), np.repeat(second, 2), groups=np.repeat(np.arange(21), 2))[0]
    assert twice.low is not None and twice.low < found.low < -0.5 and "design effect 2.0" in twice.method
    k = np.arange(51)  # of 50 films that only the first gets right, each with a chance of one in ten
    gained = (np.arange(50) < k[:, None]).astype(float)
    ends = [clustered_mcnemar(row > 0, np.zeros(50))[0] for row in gained]
    holds = [e.low is not None and e.high is not None and e.low <= 0.1 <= e.high for e in ends]
    assert 0.93 < float(stats.binom.pmf(k, 50, 0.1) @ holds) < 0.98


NO = np.nan
# irrCAC 1.0, vignette "Calculating Chance-corrected Agreement Coefficients": cac.raw4raters and cont3x3abstractors.
RAW4 = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
        [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
    ]
)


def test_ac1_published() -> None:
    found = gwet_ac1(RAW4, folds=400)
    assert found.value == pytest.approx(0.77544, abs=5e-6) and found.low is not None and found.low < 0.6
    table = [(0, 0, 13), (1, 1, 20), (1, 2, 7), (2, 1, 4), (2, 2, 56)]
    pair = np.array([[a, b] for a, b, n in table for _ in range(n)], float).T
    found = gwet_ac1(pair, folds=2000)
    assert found.value == pytest.approx(0.8493305, abs=5e-8)
    assert (found.high or 0) - (found.low or 0) == pytest.approx(2 * 1.98 * 0.04321747, rel=0.08)


def test_ac1_ends() -> None:
    perfect = gwet_ac1(np.array([[0.0] * 18 + [1.0] * 2] * 2), folds=50)
    assert perfect.value == perfect.high == 1.0 and 0.5 < (perfect.low or 0) < 1
    rare = np.array([[0.0] * 95 + [1, 1, 1, 0, 0], [0.0] * 95 + [0, 0, 1, 1, 1]])
    assert (gwet_ac1(rare, folds=50).value or 0) > 0.9  # κ is .31 here
    assert gwet_ac1(np.zeros((2, 5))).value is None and gwet_ac1(np.array([[1.0, NO], [NO, 0.0]])).value is None
    with pytest.raises(ConfigError, match="expected any of"):
        gwet_ac1(RAW4, categories=[1, 2])
