"""From an estimate to a verdict, and how many cases would do."""

from radiolucent.audits.trial.verdicts import beyond, cases_needed, needed_words, two_sided
from radiolucent.types import Estimate


def estimate(value: float, low: float | None, high: float | None, n: int = 100) -> Estimate:
    return Estimate(value, low, high, 0.95, n, "test")


def test_verdicts_rest_on_the_whole_interval() -> None:
    assert beyond(estimate(0.5, 0.3, 0.7), 0.2) == "fail" and beyond(estimate(-0.5, -0.7, -0.3), 0.2) == "pass"
    assert two_sided(estimate(-0.5, -0.7, -0.3), 0.2) == "fail"
    assert beyond(estimate(0.3, 0.1, 0.5), 0.2) == two_sided(estimate(0.3, 0.1, 0.5), 0.2) == "inconclusive"
    assert beyond(estimate(0.5, 0.3, 0.7, n=9), 0.2) == "inconclusive"  # too few for an interval to be trusted


def test_cases_needed_measure_the_distance_that_the_verdict_measures() -> None:
    # One-sided: from −0.3 to 0.2 are 0.5; two-sided the nearer limit −0.2 counts, 0.1 away.
    wide = estimate(-0.3, -0.8, 0.2)
    assert cases_needed(wide, 0.2) == 100  # n (half width / distance)²
    assert cases_needed(wide, 0.2, signed=True) in (2500, 2501)  # 100 (0.5 / 0.1)², rounded up
    on_it = estimate(0.2, 0.0, 0.4)
    assert cases_needed(on_it, 0.2) is None and "not settle" in needed_words(on_it, 0.2)
    assert "Too few patients" in needed_words(estimate(0.3, None, None, n=3), 0.2)
