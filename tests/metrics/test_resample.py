"""The bootstrap draws patients, the same ones whatever the chunk, and says what it left out."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from threadpoolctl import threadpool_info, threadpool_limits

from radiolucent.errors import ConfigError
from radiolucent.metrics import bootstrap, bootstrap_weights, cluster_bootstrap_mean, cluster_means
from radiolucent.metrics.intervals import exact_low
from radiolucent.metrics.resample import bootstrap_interval, clusters_of, over_folds


def weights(groups: object, n: int, **options: int | None) -> np.ndarray:
    given_options = {"folds": 50, "seed": 3} | options
    return np.concatenate(list(bootstrap_weights(groups, n, **given_options)))  # type: ignore[arg-type]


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=30), st.integers(0, 5))
@settings(max_examples=40)
def test_films_of_a_patient_are_drawn_together_and_as_many_patients_as_there_are(groups: list[str], seed: int) -> None:
    drawn = weights(groups, len(groups), seed=seed)
    names = np.array(groups)
    firsts = [int(np.flatnonzero(names == name)[0]) for name in np.unique(names)]
    assert (drawn[:, firsts].sum(1) == len(firsts)).all()
    for name, first in zip(np.unique(names), firsts, strict=True):
        assert (drawn[:, names == name] == drawn[:, [first]]).all()


@pytest.mark.parametrize("chunk", [1, 7, 49, 1000])
@pytest.mark.parametrize("groups", [None, [f"p{i // 3}" for i in range(31)]])
def test_folds_do_not_depend_on_the_chunk(chunk: int, groups: list[str] | None) -> None:
    assert (weights(groups, 31, chunk=chunk) == weights(groups, 31)).all()


def test_folds_depend_on_the_seed_and_not_on_the_order_of_cases() -> None:
    groups = ["b", "a", "b", "c"]
    assert (weights(groups, 4) != weights(groups, 4, seed=4)).any()
    order = [3, 1, 0, 2]
    assert (weights([groups[i] for i in order], 4) == weights(groups, 4)[:, order]).all()


def test_draws_are_uniform() -> None:
    total = weights(None, 20, folds=4000).sum(0)
    assert stats.chisquare(total).pvalue > 1e-3


def test_a_case_without_a_group_is_its_own() -> None:
    index, clusters = clusters_of([None, "a", None, "a"], 4)
    assert clusters == 3 and index[1] == index[3] and index[0] != index[2]


def test_groups_must_fit_the_cases() -> None:
    with pytest.raises(ConfigError, match="2 groups for 3 cases"):
        clusters_of(["a", "b"], 3)
    with pytest.raises(ConfigError, match="folds"):
        weights(None, 3, folds=0)
    with pytest.raises(ConfigError, match="one identifier a case"):
        bootstrap(lambda w: w.sum(1), None)


def test_memory_stays_bounded_for_many_cases() -> None:
    tracemalloc.start()
    over_folds(lambda w: w.sum(1), None, 200_000, folds=40, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 40 folds at once would be 64 MB of weights alone


def test_blas_keeps_to_one_thread_and_gets_its_threads_back() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(limits=2, user_api="blas"):
        inside = over_folds(lambda w: threads(), None, 5, folds=2, seed=0)
        assert set(inside[0]) == {1} and set(threads()) == {2}


def test_bootstrap_interval_of_a_mean_is_near_the_closed_form() -> None:
    x = np.random.default_rng(0).normal(size=400)
    found = bootstrap(lambda w: w @ x / w.sum(1), len(x), folds=4000)
    half = stats.norm.ppf(0.975) * x.std() / 20
    assert found.value == pytest.approx(x.mean())
    assert found.low == pytest.approx(x.mean() - half, abs=half / 10)
    assert found.high == pytest.approx(x.mean() + half, abs=half / 10)
    assert found.n == 400 and found.method == "bootstrap (4000), t with 399 df"


def test_copies_of_a_film_do_not_make_the_interval_narrower_when_clustered() -> None:
    x = np.random.default_rng(1).normal(size=60)
    once = cluster_bootstrap_mean(x, folds=3000)
    copied, patients = np.repeat(x, 5), [f"{i // 5:02d}" for i in range(300)]
    clustered = cluster_bootstrap_mean(copied, patients, folds=3000)
    naive = cluster_bootstrap_mean(copied, folds=3000)
    width = [e.high - e.low for e in (once, clustered, naive)]  # type: ignore[operator]
    assert width[1] == pytest.approx(width[0]) and clustered.n == 60
    assert width[2] == pytest.approx(width[0] / np.sqrt(5), rel=0.1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_hits_or_none_get_the_exact_interval_over_patients(value: float) -> None:
    found = cluster_bootstrap_mean([value] * 12, np.repeat(np.arange(6), 2), folds=100)
    ends = (exact_low(6), 1.0) if value else (0.0, 1 - exact_low(6))
    assert (found.value, found.low, found.high) == (value, *ends) and "exact" in found.note


def test_not_applicable_values_are_left_out_and_counted() -> None:
    found = cluster_bootstrap_mean([1.0, np.nan, 0.0, 1.0, 0.0], folds=200)
    assert found.value == 0.5 and found.n == 4 and "1 of 5 not applicable" in found.note
    assert cluster_bootstrap_mean([np.nan]).value is None
    assert cluster_bootstrap_mean([]).note == "no cases"


def test_one_patient_gives_no_interval() -> None:
    found = cluster_bootstrap_mean([0.2, 0.4], ["a", "a"], folds=100)
    assert found.value == pytest.approx(0.3) and found.low is None and "no interval" in found.note


def test_undefined_folds_are_dropped_and_counted_and_too_many_take_the_interval_away() -> None:
    samples = np.array([np.nan] * 3 + [0.1, 0.2, 0.3, 0.4])
    some = bootstrap_interval(0.2, samples, level=0.5, n=4, method="m")
    half = stats.t.ppf(0.75, 3) * np.std([0.1, 0.2, 0.3, 0.4]) * np.sqrt(4 / 3)
    assert some.low == pytest.approx(0.2 - half) and "3 of 7 folds dropped" in some.note
    most = bootstrap_interval(0.2, samples[:6], level=0.5, n=4, method="m")
    assert most.value == 0.2 and most.low is not None
    assert bootstrap_interval(0.2, samples[:5], level=0.5, n=4, method="m").low is None
    assert bootstrap_interval(None, samples, level=0.5, n=4, method="m").value is None


def test_effects_without_a_negative_one_among_them_are_no_proportion() -> None:
    """One gain among fifty films proves nothing, though a proportion of 1 in 50 is not 0."""
    gained = np.array([1.0] + [0.0] * 49)
    share, effect = (cluster_bootstrap_mean(gained, folds=500, scale=s) for s in (None, "plain"))  # type: ignore[arg-type]
    assert (share.low or 0) > 0 and effect.low is not None and effect.low < 0
    means = cluster_means(np.array([[0.0, 0.2], [0.5, np.nan], [0.1, 0.4]] * 4), folds=200)
    assert means[0].low is not None and means[0].low >= 0 and means[1].n == 8 and "4 of 12" in means[1].note
    small = cluster_bootstrap_mean([0.0] * 30 + [0.02], folds=300)
    assert small.low == 0  # not above: the logit scale would say so whatever the values
