"""Input that no statistic may take for something else: refused by name, or left undefined with the reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radiolucent import metrics
from radiolucent.audits.agreement.estimates import mean_estimates
from radiolucent.audits.agreement.staple import staple
from radiolucent.errors import ConfigError, DataError
from radiolucent.readers import statistics
from radiolucent.types import Estimate

NAN = float("nan")
RNG = np.random.default_rng(0)
TRUTH = np.arange(30) % 3 == 0
SCORES = RNG.random(30)
READ = RNG.normal(size=(2, 3, 30)) + TRUTH
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "auroc": lambda t: metrics.auroc(t, SCORES),
    "average_precision": lambda t: metrics.average_precision(t, SCORES),
    "brier": lambda t: metrics.brier(t, SCORES),
    "ece": lambda t: metrics.ece(t, SCORES, folds=20),
    "calibration_line": lambda t: metrics.calibration_line(t, SCORES),
    "delong_test": lambda t: metrics.delong_test(t, SCORES, SCORES[::-1]),
    "decision_curve": lambda t: metrics.decision_curve(t, SCORES),
    "choose_threshold": lambda t: metrics.choose_threshold(t, SCORES),
    "f1": lambda t: metrics.f1(t, SCORES > 0.5),
    "mrmc": lambda t: statistics.mrmc(t, READ),
    "mrmc_rate": lambda t: statistics.mrmc_rate(t, READ > 0, "sensitivity"),
    "readers_against": lambda t: statistics.readers_against(t, READ[0], SCORES),
    "u_statistics": lambda t: statistics.u_statistics(t, READ),
}
NO_TRUTH: dict[str, Any] = {
    "three classes": np.arange(30) % 3,
    "unknown labels": np.where(TRUTH, 1, -1),
    "a missing one": pd.array([None, *TRUTH[1:]], dtype="boolean"),
    "words": np.where(TRUTH, "ill", "well"),
    "missing": np.where(np.arange(30) == 4, NAN, TRUTH.astype(float)),
    "masked": np.ma.masked_array(TRUTH, mask=np.arange(30) == 4),
    "one column": TRUTH[:, None],
}


@pytest.mark.parametrize("kind", NO_TRUTH)
@pytest.mark.parametrize("figure", LAYOUTS)
def test_what_is_no_truth_is_taken_for_none(figure: str, kind: str) -> None:
    with pytest.raises(ConfigError, match="truth"):
        LAYOUTS[figure](NO_TRUTH[kind])
    LAYOUTS[figure](TRUTH.tolist())  # a list of plain bools will do


@pytest.mark.parametrize("missing", [None, NAN, np.float64("nan"), pd.NA, pd.NaT])
def test_films_of_unknown_patients_are_not_one_patient(missing: Any) -> None:
    alone = metrics.auroc(TRUTH, SCORES)
    assert metrics.auroc(TRUTH, SCORES, groups=[missing] * 30) == alone
    assert metrics.auroc(TRUTH, SCORES, groups=np.full(30, NAN)) == alone
    assert metrics.auroc(TRUTH, SCORES, groups=[missing] * 28 + ["p", "p"]).n == 29
    assert metrics.auroc(TRUTH, SCORES, groups=[("site", i // 2) for i in range(30)]).n == 15
    assert metrics.auroc(TRUTH, SCORES, groups=pd.Categorical([f"p{i // 2}" for i in range(30)])).n == 15


def test_infinite_values_have_no_mean_and_no_curve_but_a_rank() -> None:
    found = metrics.cluster_bootstrap_mean([1.0, np.inf, 2.0], folds=20)
    assert found.value is None and "1 of 3 values are infinite" in found.note
    ranked = metrics.auroc(TRUTH, np.where(SCORES == SCORES.max(), np.inf, SCORES))
    assert ranked == metrics.auroc(TRUTH, SCORES)
    for curve in (metrics.roc_curve_points, metrics.pr_curve_points):
        with pytest.raises(DataError, match="1 of 30 scores are infinite"):
            curve(TRUTH, np.where(SCORES == SCORES.max(), np.inf, SCORES))
    up, down = (np.where(np.arange(30) == 3, sign * np.inf, SCORES) for sign in (1, -1))
    assert metrics.delong_test(TRUTH, up, down)[0].value is not None


def test_few_ill_who_are_all_called_leave_a_balanced_accuracy_open() -> None:
    truth = np.arange(100) < 5
    found = metrics.balanced_accuracy(truth, truth | (np.arange(100) % 10 == 9))
    assert found.value == pytest.approx(0.9474, abs=1e-4) and found.low is not None and found.low < 0.75


DIFFERENCES: dict[str, Callable[[], Estimate]] = {
    "delong_test": lambda: metrics.delong_test([0, 0, 0, 1, 1], [1, 2, 3, 0, 2.5], [1, 0, 2, 3, 4])[0],
    "agreement": lambda: mean_estimates([[0.9], [-0.8], [0.9]], None, names=["hit_minus_area"])[0],
    "mrmc": lambda: statistics.mrmc(FEW, np.stack([WORSE, BETTER])).differences["test 1", "test 2"],
    "readers_against": lambda: statistics.readers_against(FEW, WORSE, BETTER[0])[0],
    "u_statistics": lambda: statistics.u_statistics(FEW, np.stack([WORSE, BETTER])).differences["test 1", "test 2"],
}
FEW = np.array([0, 0, 0, 1, 1, 1])
WORSE, BETTER = np.array([[3, 4, 2, 1, 2.5, 0], [1, 2, 3, 4, 5, 0.0]]), np.array([[0, 1, 2, 3, 1.5, 4.0]] * 2)


@pytest.mark.parametrize("figure", DIFFERENCES)
def test_a_difference_of_shares_ends_at_one(figure: str) -> None:
    found = DIFFERENCES[figure]()
    assert found.low is not None and found.high is not None and -1 in (found.low, -found.high)


def test_all_wrong_is_bounded_as_all_right_is() -> None:
    for name, whole in (("mcc", -1.0), ("balanced_accuracy", 0.0)):
        right, wrong = (getattr(metrics, name)(TRUTH, c) for c in (TRUTH, ~TRUTH))
        assert wrong.value == whole and wrong.low == whole
        assert (wrong.high or 0) - whole == pytest.approx(1 - (right.low or 0))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "complex scores": (lambda: metrics.auroc(TRUTH, SCORES + 0j), "complex"),
    "words as scores": (lambda: metrics.auroc(TRUTH, ["high"] * 30), "expected numbers"),
    "level in percent": (lambda: metrics.ece(TRUTH, SCORES, level=95), "level 95"),
    "columns for one mean": (lambda: metrics.cluster_bootstrap_mean(np.ones((2, 2))), "cluster_means"),
    "no threshold": (lambda: metrics.decision_curve(TRUTH, SCORES, [NAN]), "from 0 to below 1"),
    "endless n": (lambda: metrics.wilson(1, np.inf), "0 ≤ k ≤ n"),
    "no films": (lambda: metrics.size_proportion(0.9, bound=0.8, films=NAN), "films a patient"),
    "a bound too close": (lambda: metrics.size_proportion(0.9, bound=0.8999), "more than 10,000,000"),
    "a class too many": (lambda: metrics.fit_temperature(np.ones((3, 2)), np.array([0, 1, 2])), "label 2 for 2"),
    "words as labels": (lambda: metrics.fit_temperature(np.ones((2, 2)), np.array(["a", "b"])), "class indices"),
    "nobody ill": (lambda: statistics.mrmc_rate(~TRUTH & TRUTH, READ > 0, "sensitivity"), "0 patients"),
    "missing calls": (lambda: statistics.mrmc_rate(TRUTH, np.full((2, 2, 30), NAN), "sensitivity"), "missing"),
    "scores as calls": (lambda: statistics.mrmc_rate(TRUTH, READ, "specificity"), "other than 0 and 1"),
    "two of one name": (lambda: statistics.mrmc(TRUTH, READ, readers=["a", "a", "b"]), "once"),
    "two tests of one name": (lambda: statistics.u_statistics(TRUTH, READ, tests=["a", "a"]), "once"),
    "shares as counts": (lambda: statistics.fleiss_kappa(np.array([[1.5, 1.5], [3, 0]])), "whole numbers"),
    "counts of one case": (lambda: statistics.fleiss_kappa(np.array([1, 2, 3])), "whole numbers"),
    "words as codes": (lambda: statistics.krippendorff_alpha(np.array([["a", "b"]] * 2)), "expected numbers"),
    "words in the alphabet's order": (
        lambda: statistics.cohen_kappa(["mild", "severe"], ["none", "mild"], weights="linear"),
        "`categories`",
    ),
    "a category twice": (lambda: statistics.cohen_kappa([0, 1], [0, 1], categories=[0, 1, 1], folds=10), "each once"),
    "a category counted twice": (lambda: statistics.gwet_ac1(np.ones((2, 5)), categories=[0, 1, 1]), "each once"),
    "two tests of the same name": (
        lambda: statistics.reading_times(np.ones((2, 2, 5)), tests=("a", "a")),
        "expected one each, once",
    ),
    "a label between two": (lambda: metrics.label_suspects(np.array([0.5, 1]), np.eye(2)), "expected a class index"),
    "a word as a label": (lambda: metrics.label_suspects(np.array(["a", "b"]), np.eye(2)), "expected a class index"),
    "a reader's class that is none": (
        lambda: metrics.label_suspects(np.array([0, 1]), np.eye(2), readers=[[2], []]),
        "readings 2",
    ),
    "groups of some ratings": (lambda: statistics.gwet_ac1(np.ones((2, 5)), groups=["p"] * 4), "4 groups for 5"),
    "groups of some calls": (
        lambda: statistics.mrmc_rate(TRUTH, READ > 0, "sensitivity", groups=["p"] * 4),
        "4 groups for 30",
    ),
    "a word for groups": (lambda: metrics.auroc(TRUTH, SCORES, groups="p" * 30), "groups are a str"),
    "groups in a column": (lambda: metrics.auroc(TRUTH, SCORES, groups=np.ones((30, 1))), "one a case"),
    "times with a unit": (
        lambda: statistics.reading_times(np.ones((2, 2, 5), "m8[ms]")),
        "timedelta",
    ),
    "a mask with holes": (lambda: staple(np.array([[1, NAN], [0, 1.0]])), "decisions holds"),
    "shares as a mask": (lambda: metrics.area_fraction(np.full((2, 2), 0.5)), "expected bool"),  # type: ignore[arg-type]
    "a lesion's mask with holes": (
        lambda: statistics.film_marks(np.ones((1, 2)), [1.0], [np.full((2, 2), NAN)]),
        "lesion's mask",  # type: ignore[list-item]
    ),
    "a mark without a place": (lambda: statistics.film_marks(np.array([[NAN, 1]]), [1.0], []), "not a place"),
    "negative weights": (lambda: statistics.FilmMarks((1.0, 2.0), (), (-1.0, 2.0)), "0 or more"),
    "weights with holes": (lambda: statistics.FilmMarks((1.0, 2.0), (), (NAN, 1.0)), "0 or more"),
    "a map with holes": (lambda: statistics.peaks(np.full((40, 40), NAN)), "finite"),
    "half a label": (lambda: metrics.fit_temperature(np.ones((2, 2)), np.array([0.5, 1])), "label 0.5"),
    "a label that is missing": (lambda: metrics.fit_temperature(np.ones((2, 2)), np.array([NAN, 1])), "label nan"),
    "two for a single logit": (
        lambda: metrics.fit_temperature(np.ones((2, 1)), np.array([0, 2]), "sigmoid"),
        "label 2",
    ),
    "ratings of two kinds": (lambda: statistics.cohen_kappa(["1", 0], [0, 1], folds=10), "one kind of rating"),
    "no margin": (lambda: statistics.against_margin(metrics.wilson(5, 10), NAN), "margin nan"),
    "no pilot": (lambda: statistics.Pilot(NAN, 0.1, 0.1, 0.1, 0.1, 100), "variances"),
    "power of two": (lambda: statistics.cases_for(PILOT, 0.05, readers=5, power=2), "power 2"),
    "half a reader": (lambda: statistics.mrmc_power(PILOT, 0.05, readers=2.5, cases=100), "whole numbers"),  # type: ignore[arg-type]
    "an effect in percent": (lambda: statistics.mrmc_power(PILOT, 5, readers=5, cases=100), "effect 5"),
}
PILOT = statistics.Pilot(0.0005, 0.002, 0.4, 0.3, 0.25, 100)


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_by_name(what: str) -> None:
    call, why = REFUSED[what]
    with pytest.raises(ConfigError, match=why):
        call()


def test_a_rating_that_pandas_calls_missing_is_none() -> None:
    first, second = [1, 0, pd.NA, 1, 0, 1], [1, 0, 1, 0, 0, None]
    found = statistics.cohen_kappa(first, second, folds=20)
    assert found.value == pytest.approx(0.5) and "2 of 6 cases" in found.note


@pytest.mark.parametrize("figure", ["cohen_kappa", "fleiss_kappa", "krippendorff_alpha", "gwet_ac1"])
def test_agreement_on_few_ill_is_as_wide_as_they_are_few(figure: str) -> None:
    """As many films again that everybody calls healthy make nobody surer of the five that are ill."""

    def of(healthy: int) -> Estimate:
        r = np.zeros((3, 5 + healthy))
        r[:, :5] = [[1, 1, 1, 1, 0], [1, 1, 1, 0, 1], [1, 1, 0, 1, 1]]
        if figure == "cohen_kappa":
            return statistics.cohen_kappa(r[0], r[1], folds=2000)
        if figure == "fleiss_kappa":
            return statistics.fleiss_kappa(np.stack([(r == c).sum(0) for c in (0, 1)], 1), folds=2000)
        return getattr(statistics, figure)(r, folds=2000)

    few, many = of(45), of(450)
    for e in (few, many):
        assert "on 5 cases only" in e.note or "on 3 cases only" in e.note
        assert " df" in e.method and e.low is not None
    if figure != "gwet_ac1":  # whose chance falls with the share of the ill
        assert many.low is not None and few.low is not None and abs(many.low - few.low) < 0.1
