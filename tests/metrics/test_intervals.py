"""Closed-form intervals against published examples and scipy."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from radiolucent.errors import ConfigError
from radiolucent.metrics import wilson
from radiolucent.metrics.intervals import exact_low, scaled_interval, t_of, welch_df
from radiolucent.metrics.proportions import clustered_wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_examples_of_newcombe_1998(k: int, n: int, low: float, high: float) -> None:
    found = wilson(k, n)
    assert found.low is not None and found.high is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_wilson_equals_scipy_and_holds_its_proportion(kn: tuple[int, int], level: float) -> None:
    k, n = kn
    found = wilson(k, n, level)
    expected = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert found.value is not None and found.low <= found.value <= found.high


@pytest.mark.parametrize("n", [1, 7, 300])
def test_exact_low_equals_scipy(n: int) -> None:
    assert exact_low(n, 0.9) == pytest.approx(stats.binomtest(n, n).proportion_ci(0.9, method="exact").low)


def test_nothing_observed_is_not_applicable() -> None:
    found = wilson(0, 0)
    assert found.value is None and found.low is None and found.note
    assert exact_low(0) == 0.0


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_that_is_no_coverage_is_refused(level: float) -> None:
    with pytest.raises(ConfigError, match="level"):
        wilson(1, 2, level)


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 of 2"):
        wilson(3, 2)


@pytest.mark.parametrize(
    ("scale", "value", "to", "back"),
    [
        ("plain", 3.0, lambda x: x, lambda x: x),
        ("share", 0.97, special.logit, special.expit),
        ("correlation", -0.8, np.arctanh, np.tanh),
    ],
)
@pytest.mark.parametrize("df", [4.0, float("inf")])
def test_an_interval_is_reckoned_where_the_figure_is_normal(
    scale: str, value: float, to: Callable[[float], float], back: Callable[[float], float], df: float
) -> None:
    slope = (to(value + 1e-6) - to(value - 1e-6)) / 2e-6
    found = scaled_interval(value, 0.02, level=0.9, n=5, method="m", scale=scale, df=df)  # type: ignore[arg-type]
    half = (stats.t.ppf(0.95, df) if np.isfinite(df) else stats.norm.ppf(0.95)) * 0.02 * slope
    assert found.low == pytest.approx(back(to(value) - half), abs=1e-7)
    assert found.high == pytest.approx(back(to(value) + half), abs=1e-7)
    assert ("df" in found.method) == np.isfinite(df)


def test_no_width_is_ever_0() -> None:
    for value, deviation, scale in (
        (0.5, 0.0, "plain"),
        (1.0, 0.1, "share"),
        (1.0, 0.1, "correlation"),
        (0.5, np.nan, "plain"),
    ):
        found = scaled_interval(value, deviation, level=0.95, n=9, method="m", scale=scale)  # type: ignore[arg-type]
        assert found.value == value and found.low is None and "no interval" in found.note


def test_degrees_of_freedom_are_those_of_the_class_that_varies() -> None:
    assert welch_df([(1.0, 10), (0.0, 500)]) == pytest.approx(9)
    assert welch_df([(1.0, 10), (1.0, 10)]) == pytest.approx(18)
    assert t_of(0.95, 9) == pytest.approx(stats.t.ppf(0.975, 9))


@pytest.mark.parametrize("outcome", [True, False])
def test_films_of_a_patient_that_go_together_are_worth_one(outcome: bool) -> None:
    """Each patient all right or all wrong: the interval of as many films as patients, by t instead of z, and wider."""
    patients = np.repeat(np.arange(40), 5)
    success = np.repeat(np.arange(40) < 30, 5) == outcome
    found, one = clustered_wilson(success, patients), wilson(30 if outcome else 10, 40)
    assert found.value == one.value and found.n == 40
    assert found.low == pytest.approx(one.low, abs=0.02) and found.high == pytest.approx(one.high, abs=0.02)
    assert (found.low or 0) < (one.low or 0) and (found.high or 0) > (one.high or 0)
    independent = clustered_wilson(np.random.default_rng(0).permutation(success), patients)
    assert float(independent.method.split("effect ")[1]) < 1.4
    assert clustered_wilson(success, np.arange(200)) == wilson(int(success.sum()), 200)


def test_few_failures_do_not_make_films_independent() -> None:
    """One failure among 10 patients with 10 films each says no more than none does."""
    patients, success = np.repeat(np.arange(10), 10), np.ones(100, bool)
    none = clustered_wilson(success, patients)
    success[0] = False
    one = clustered_wilson(success, patients)
    assert none.low == pytest.approx(exact_low(10)) and "exact" in none.note
    assert (one.low or 0) < wilson(99, 100).low - 0.05  # type: ignore[operator]
    alone = clustered_wilson(np.array([True, False]), np.array([0, 0]))
    assert alone.low is None and "single patient" in alone.note
