"""Closed-form intervals against published examples and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from radiolucent.errors import ConfigError
from radiolucent.metrics import wilson
from radiolucent.metrics.intervals import exact_low, normal_interval


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


def test_normal_interval_is_cut_to_where_the_figure_lives() -> None:
    found = normal_interval(0.99, 0.1, level=0.95, n=9, method="normal", within=(0.0, 1.0))
    assert found.high == 1.0 and found.low == pytest.approx(0.99 - stats.norm.ppf(0.975) * 0.1)
    assert np.isclose(normal_interval(0.0, 1.0, level=0.95, n=9, method="").high or 0, 1.959964)
