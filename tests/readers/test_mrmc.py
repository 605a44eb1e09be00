"""Multi-reader multi-case analysis against the published Van Dyke example, other code, and simulation."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from radiolucent.errors import ConfigError
from radiolucent.metrics import delong_test
from radiolucent.readers.statistics import mrmc, mrmc_rate, readers_against
from radiolucent.readers.statistics.jackknife import areas
from radiolucent.readers.statistics.mrmc import _tail
from support.vandyke import ratings, truth


@pytest.mark.parametrize("model", ["or", "dbm"])
def test_van_dyke_published(model: Any) -> None:
    found = mrmc(truth(), ratings(), model=model, tests=("spin echo", "cine"))
    areas_found = [round(v, 4) for v in found.auroc.values()]
    assert areas_found == [0.9196, 0.8588, 0.9039, 0.9731, 0.8298, 0.9478, 0.9053, 0.9217, 0.9994, 0.9300]
    assert found.f is not None
    f, one, df, p = found.f
    assert (round(f, 3), one, round(df, 2), round(p, 5)) == (4.456, 1, 15.26, 0.05167)
    (gap,) = found.differences.values()
    assert gap.low == pytest.approx(-0.0879595, abs=5e-8) and gap.high == pytest.approx(0.0003589, abs=5e-8)
    ends = [(round(e.value or 0, 4), round(e.low or 0, 4), round(e.high or 0, 4)) for e in found.averages.values()]
    assert ends == [(0.8970, 0.8252, 0.9689), (0.9408, 0.8941, 0.9875)]
    assert next(iter(found.p.values())) == pytest.approx(p)


def test_van_dyke_components_published() -> None:
    parts = mrmc(truth(), ratings()).components
    published = {"ms_test": 0.004796, "ms_reader": 0.003836, "ms_test_reader": 0.000551, "var": 0.0008023,
                 "cov1": 0.0003466, "cov2": 0.0003441, "cov3": 0.0002390}  # fmt: skip
    for name, value in published.items():
        assert parts[name] == pytest.approx(value, rel=1.5e-3 if name.startswith("ms") else 2e-4), name
    dbm = mrmc(truth(), ratings(), model="dbm").components
    # U times the AUROC's mean square is the pseudovalues' (Hillis 2005), here from the printed figures alone.
    assert dbm["ms_test"] == pytest.approx(114 * 0.004796, rel=2e-4)


def test_jackknife_by_hand_and_delong_against_our_test() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(24) < 0.4
    scores = np.round(rng.normal(0, 1, (2, 24)) + positive, 1)  # with ties
    patients = [f"p{i % 9}" for i in range(24)]
    for groups, names in ((None, list(range(24))), (patients, patients)):
        found = areas(positive, scores, groups, "jackknife")
        by_hand = np.array(
            [[roc_auc_score(positive[keep], row[keep])
              for keep in (np.array([n != unit for n in names]) for unit in sorted(set(names), key=str))]
             for row in scores]
        )  # fmt: skip
        np.testing.assert_allclose(np.sort(found.without, 1), np.sort(by_hand, 1), atol=1e-12)
        apart = by_hand - by_hand.mean(1, keepdims=True)
        units = by_hand.shape[1]
        np.testing.assert_allclose(found.covariance, (units - 1) / units * apart @ apart.T, atol=1e-12)
    c = areas(positive, scores, None, "delong").covariance
    difference, _ = delong_test(positive, scores[0], scores[1])
    assert difference.low is not None and difference.value is not None
    df = float(difference.method.split("t with ")[1].split(" ")[0])
    se = (difference.value - difference.low) / stats.t.ppf(0.975, df)
    assert c[0, 0] + c[1, 1] - 2 * c[0, 1] == pytest.approx(se**2, rel=2e-3)  # df as printed


def test_the_two_models_are_one_test_also_with_patients_and_three_modalities() -> None:
    rng = np.random.default_rng(5)
    positive = rng.random(80) < 0.5
    scores = rng.normal(0, 1, (3, 4, 80)) + rng.normal(0, 1, 80) + positive * np.array([1.0, 1.4, 0.8])[:, None, None]
    for groups in (None, [f"p{i // 2}" for i in range(80)]):
        a, b = (mrmc(positive, scores, model=m, groups=groups) for m in ("or", "dbm"))
        assert a.f is not None and b.f is not None
        np.testing.assert_allclose(a.f, b.f, rtol=1e-9)
        for key, e in a.averages.items():
            np.testing.assert_allclose((e.low, e.high), (b.averages[key].low, b.averages[key].high), rtol=1e-9)
        assert len(a.differences) == 3 and a.as_dict()["all_tests_alike"]["df_numerator"] == 2


def _study(rng: np.random.Generator, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Roe & Metz: case, reader, and their interactions with two tests, for 5 readers of 40 + 40 cases."""
    positive = np.repeat([False, True], 40)
    common = rng.normal(0, 0.55, 80)[None, None] + rng.normal(0, 0.45, (1, 5, 80)) + rng.normal(0, 0.45, (2, 1, 80))
    shift = (
        rng.normal(0, 0.08, (1, 5, 1)) + rng.normal(0, 0.08, (2, 5, 1)) + 1.5 + gap * np.array([0, 1])[:, None, None]
    )
    return positive, common + rng.normal(0, 0.45, (2, 5, 80)) + shift * positive


def test_no_difference_is_found_as_often_as_promised_and_a_large_one_nearly_always() -> None:
    rng = np.random.default_rng(11)
    p = [next(iter(mrmc(*_study(rng, 0.0)).p.values())) for _ in range(120)]
    assert np.mean(np.array(p) < 0.05) <= 0.11  # nominal .05 and three standard errors
    assert 0.35 < np.mean(p) < 0.65
    found = [next(iter(mrmc(*_study(rng, 1.0)).p.values())) for _ in range(8)]
    assert np.mean(np.array(found) < 0.05) > 0.8


def test_readers_against_a_model() -> None:
    positive, scores = truth(), ratings()
    gap, p = readers_against(positive, scores[0], scores[1, 3])  # the model: the best reader of the better technique
    assert gap.value == pytest.approx(0.8970370 - 0.9994, abs=1e-4)
    assert gap.high is not None and gap.high < 0 and p < 0.05
    # A model that says nothing has AUROC .5 and no variance: what is left is the readers' own analysis.
    flat, _ = readers_against(positive, scores[0], np.zeros(114))
    alone = mrmc(positive, scores[:1]).averages["test 1"]
    assert flat.low is not None and alone.low is not None
    assert flat.low == pytest.approx(alone.low - 0.5, abs=1e-9) and alone.n == 114
    same, p = readers_against(positive, np.stack([scores[0, 0]] * 3), scores[0, 0])
    assert same.value == 0 and same.low is None and p is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least two readers"):
        mrmc(truth(), ratings()[:, :1])
    with pytest.raises(ConfigError, match="leave out cases"):
        mrmc(truth(), np.where(ratings() == 4, np.nan, ratings()))
    with pytest.raises(ConfigError, match="dbm with the jackknife"):
        mrmc(truth(), ratings(), model="dbm", covariance="delong")
    with pytest.raises(ConfigError, match="at least two of each"):
        mrmc(np.arange(114) == 0, ratings())
    with pytest.raises(ConfigError, match="one case a patient"):
        mrmc(truth(), ratings(), covariance="delong", groups=["p"] * 2 + [str(i) for i in range(112)])
    with pytest.raises(ConfigError, match="no case left"):
        mrmc(truth(), ratings(), groups=["p" if t else str(i) for i, t in enumerate(truth())])


def test_infinite_degrees_of_freedom_leave_a_chi_square_and_plain_json() -> None:
    assert _tail(3.0, 2, np.inf) == pytest.approx(_tail(3.0, 2, 1e9), rel=1e-6)
    assert _tail(3.0, 2, 10.0) == stats.f.sf(3.0, 2, 10.0)
    found = mrmc(truth(), ratings())
    alike = dataclasses.replace(found, f=(3.0, 1, np.inf, _tail(3.0, 1, np.inf))).as_dict()["all_tests_alike"]
    assert alike == {"F": 3.0, "df_numerator": 1, "df_denominator": None, "p": stats.chi2.sf(3.0, 1)}


def test_fixed_readers_and_fixed_cases_published() -> None:
    """RJafroc's figures for these data (dataset02, Wilcoxon, DBM), as printed in Chakraborty's book: FRRC and RRFC."""
    found = mrmc(truth(), ratings(), tests=["spin echo", "cine"], model="dbm")
    key = ("spin echo", "cine")
    readers, cases = found.fixed_readers[key], found.fixed_cases[key]
    assert (readers.low, readers.value, readers.high) == pytest.approx(
        (-0.08088303, -0.04380032, -0.006717613), abs=1e-8
    )
    assert (cases.low, cases.high) == pytest.approx((-0.085020224, -0.0025804202), abs=1e-9)
    whole = found.differences[key]
    assert (whole.low or 0) < (readers.low or 0) and (whole.low or 0) < (cases.low or 0)
    other = mrmc(truth(), ratings()).fixed_readers["test 1", "test 2"]
    assert other.low == pytest.approx(readers.low, abs=1e-3)


@pytest.mark.parametrize("rate", ["sensitivity", "specificity"])
def test_reader_averaged_rates_are_the_same_analysis_of_calls(rate: str) -> None:
    rng = np.random.default_rng(0)
    positive, patients = np.repeat(np.arange(40) % 2 == 0, 2), np.repeat(np.arange(40), 2)
    calls = rng.random((2, 3, 80)) < np.where(positive, 0.8, 0.2)
    found = mrmc_rate(positive, calls, rate, groups=patients.tolist())  # type: ignore[arg-type]
    own = positive if rate == "sensitivity" else ~positive
    right = calls == positive
    assert [found.auroc["test 1", f"reader {j + 1}"] for j in range(3)] == pytest.approx(right[0][:, own].mean(1))
    by_hand = np.array(
        [[row[own & (patients != u)].mean() for u in np.unique(patients[own])] for row in right.reshape(6, 80)]
    )
    apart = by_hand - by_hand.mean(1, keepdims=True)
    assert found.components["var"] == pytest.approx(np.mean(np.diag(19 / 20 * apart @ apart.T)))
    assert rate in found.method and found.averages["test 1"].n == 20
    with pytest.raises(ConfigError, match="expected sensitivity or specificity"):
        mrmc_rate(positive, calls, "ppv")  # type: ignore[arg-type]
