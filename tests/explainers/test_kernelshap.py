"""Shapley values against enumeration; what sampling promises."""

from itertools import permutations
from math import comb

import numpy as np
import pytest

from radiolucent.errors import ConfigError
from radiolucent.explainers import KernelSHAP, explain
from radiolucent.explainers.kernelshap import shapley_fit
from radiolucent.explainers.kernelshap_emulator import joint_effects, neighbouring_effects, odd_values
from radiolucent.explainers.perturbation.coalitions import coalitions, kernel_weight
from radiolucent.models import build
from support.explainer_cases import noise_films


def blocks(pieces: int):
    """A segmentation into vertical strips."""
    return lambda grey: np.broadcast_to(np.arange(grey.shape[1]) * pieces // grey.shape[1], grey.shape)


def game(pieces: int, seed: int = 0):
    """A set function with interactions of every order."""
    rng = np.random.default_rng(seed)
    linear, pairs, freq = rng.normal(size=pieces), rng.normal(size=(pieces, pieces)), rng.normal(size=pieces)
    return lambda m: m @ linear + 0.5 * np.einsum("ni,ij,nj->n", m * 1.0, pairs, m * 1.0) + np.sin(m @ freq)


def exact(pieces: int, value) -> np.ndarray:
    """Shapley values by their definition: mean marginal contribution over coalitions of the others."""
    masks = (np.arange(2**pieces)[:, None] >> np.arange(pieces) & 1).astype(bool)
    scores = value(masks)
    found = np.zeros(pieces)
    for i in range(pieces):
        without = np.flatnonzero(~masks[:, i])
        sizes = masks[without].sum(1)
        weights = np.array([1 / (pieces * comb(pieces - 1, s)) for s in sizes])
        found[i] = weights @ (scores[without | 1 << i] - scores[without])
    return found


def fitted(pieces: int, value, samples: int, how: str, seed: int):
    drawn = coalitions(pieces, samples, how, np.random.default_rng(seed))  # type: ignore[arg-type]
    ends = value(np.array([[True] * pieces, [False] * pieces]))
    return drawn, *shapley_fit(drawn, value(drawn.masks), float(ends[0]), float(ends[1]))


def test_the_definition_is_the_mean_over_orders() -> None:
    value, orders = game(4), list(permutations(range(4)))
    found = np.zeros(4)
    for order in orders:
        shown = np.zeros((1, 4), bool)
        for i in order:
            before = value(shown)[0]
            shown[0, i] = True
            found[i] += (value(shown)[0] - before) / len(orders)
    np.testing.assert_allclose(exact(4, value), found, atol=1e-12)


@pytest.mark.parametrize("pieces", [2, 3, 6, 7, 10])
@pytest.mark.parametrize("how", ["leverage", "kernel"])
def test_all_coalitions_give_shapley_values(pieces: int, how: str) -> None:
    value = game(pieces)
    drawn, values, errors = fitted(pieces, value, 2**pieces, how, 0)
    assert drawn.complete and len(np.unique(drawn.masks, axis=0)) == 2**pieces - 2
    np.testing.assert_allclose(values, exact(pieces, value), atol=1e-9)
    assert (errors == 0).all()


def test_on_a_network_too_and_the_sum_is_exact_with_few_samples() -> None:
    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    every = explain(clf, film, KernelSHAP(256, segmentation=blocks(8), engine="torch"), target=1)
    assert every.details["exact"] and every.details["samples"] == 256
    segments, image = every.details["segments"], clf.preprocess.denormalise(clf.preprocess(film)[None])[0].numpy()
    means = np.array([image[segments == i].mean() for i in range(8)])

    def value(masks: np.ndarray) -> np.ndarray:
        import torch

        greys = np.where(masks[:, segments], image, means[segments]).astype(np.float32)
        return clf.logits(clf.preprocess.normalise(torch.from_numpy(greys)))[:, 1].double().numpy()

    np.testing.assert_allclose(every.details["coefficients"], exact(8, value), atol=1e-5)
    np.testing.assert_array_equal(every.map, every.details["coefficients"].astype(np.float32)[segments])
    for how in ("leverage", "kernel"):
        few = explain(clf, film, KernelSHAP(20, segmentation=blocks(16), sampling=how), target=1)  # type: ignore[arg-type]
        assert not few.details["exact"]
        total = few.details["coefficients"].sum()
        assert total == pytest.approx(few.score - few.details["score_of_fill"], abs=1e-5)
        assert np.isnan(few.details["standard_errors"]).all()  # ten pairs cannot tell sixteen values' errors
    one = explain(clf, film, KernelSHAP(20, segmentation=blocks(1)), target=1)
    assert one.map.max() == pytest.approx(one.score - one.details["score_of_fill"], abs=1e-5)


@pytest.mark.parametrize("pieces", [9, 12, 40])
def test_designs_are_pairs_without_repeats(pieces: int) -> None:
    drawn = coalitions(pieces, 300, "leverage", np.random.default_rng(1))
    assert (drawn.masks[::2] ^ drawn.masks[1::2]).all()
    assert len(np.unique(drawn.masks, axis=0)) == len(drawn.masks) == 300
    sizes = np.minimum(drawn.masks[::2].sum(1), pieces - drawn.masks[::2].sum(1))
    counts = np.bincount(sizes, minlength=pieces // 2 + 1)[1:]
    there = [comb(pieces, s) // (2 if 2 * s == pieces else 1) for s in range(1, pieces // 2 + 1)]
    level = max(counts)
    assert all(abs(c - min(n, level)) <= 1 for c, n in zip(counts, there, strict=True))
    # the weights stand for all coalitions there are: their sum is the kernel's
    whole = sum(comb(pieces, s) * kernel_weight(pieces, s) for s in range(1, pieces))
    assert drawn.weights.sum() == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("how", ["leverage", "kernel"])
def test_standard_errors_tell_the_spread_and_the_mean_is_right(how: str) -> None:
    value, truth = game(9), exact(9, game(9))
    runs = [fitted(9, value, 120, how, seed)[1:] for seed in range(200)]
    values, errors = (np.array(a) for a in zip(*runs, strict=True))
    spread = values.std(0, ddof=1)
    np.testing.assert_allclose(np.sqrt((errors**2).mean(0)), spread, rtol=0.3)
    assert (np.abs(values.mean(0) - truth) < 5 * spread / np.sqrt(200) + 0.02 * np.abs(truth).max()).all()


def test_leverage_scores_are_worth_it() -> None:
    value, truth = game(14), exact(14, game(14))
    apart = {how: [fitted(14, value, 80, how, s)[1] - truth for s in range(60)] for how in ("leverage", "kernel")}
    assert np.square(apart["leverage"]).mean() < 0.9 * np.square(apart["kernel"]).mean()


def saturating(pieces: int, seed: int):
    """Places, and a sum of six saturating functions of what is shown near a place each, as a network's features are."""
    rng = np.random.default_rng(seed)
    centres, middles, strengths = rng.random((pieces, 2)), rng.random((6, 2)), rng.normal(size=6)
    near = np.exp(-((centres[:, None] - middles) ** 2).sum(2) / 0.08)
    near, alone = near / near.sum(0), 0.1 * rng.normal(size=pieces)
    return centres, lambda m: np.tanh(4 * (m * 1.0) @ near - 1.5) @ strengths + m @ alone


@pytest.mark.parametrize("kind", ["joint", "neighbouring"])
def test_the_values_of_a_kernel_are_known(kind: str) -> None:
    rng = np.random.default_rng(0)
    signs, weights, alphas = np.where(rng.random((3, 7)) > 0.5, 1.0, -1.0), 0.9 * rng.random((4, 7)), rng.normal(size=3)

    def value(masks: np.ndarray) -> np.ndarray:
        shown = np.concatenate([signs, np.where(masks, 1.0, -1.0)])
        made = joint_effects(shown, weights[0]) if kind == "joint" else neighbouring_effects(shown, weights)
        return made.own[3:, :3] @ alphas

    made = joint_effects(signs, weights[0]) if kind == "joint" else neighbouring_effects(signs, weights)
    truth = exact(7, value)
    np.testing.assert_allclose(made.values(alphas[None])[0], truth, atol=1e-12)
    np.testing.assert_allclose(made.scaled().values(alphas[None])[0] * np.trace(made.own) / 3, truth, atol=1e-12)
    assert np.abs(truth).max() > 0.01


@pytest.mark.filterwarnings("ignore")  # another library's
def test_the_emulator_halves_the_error_of_leverage_sampling_and_of_shapiq() -> None:
    from shapiq.approximator import KernelSHAP as Other

    apart: dict[str, list[float]] = {"emulator": [], "regression": [], "shapiq": []}
    told: list[float] = []
    for seed in range(4):
        centres, value = saturating(12, seed)
        truth, ends = exact(12, value), value(np.array([[True] * 12, [False] * 12]))
        for draw in range(4):
            drawn, values, _ = fitted(12, value, 150, "leverage", draw)
            whole, empty = (float(end) for end in ends)
            ours, errors = odd_values(drawn.masks, value(drawn.masks), whole, empty, centres, values)
            assert ours.sum() == pytest.approx(whole - empty, abs=1e-9)
            theirs = Other(n=12, random_state=draw).approximate(152, lambda m, value=value: value(np.asarray(m, bool)))
            for name, found in (("emulator", ours), ("regression", values), ("shapiq", theirs.get_n_order_values(1))):
                apart[name].append(float(np.square(found - truth).mean()))
            told.append(float(np.square(errors).mean()))
    rms = {name: float(np.sqrt(np.mean(squares))) for name, squares in apart.items()}
    assert rms["emulator"] < 0.5 * rms["regression"] and rms["emulator"] < 0.5 * rms["shapiq"], rms
    assert 0.7 * rms["emulator"] < np.sqrt(np.mean(told)) < 6 * rms["emulator"]


def test_the_emulator_on_a_network_and_where_nothing_varies() -> None:
    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    truth = explain(clf, film, KernelSHAP(2048, segmentation=blocks(11)), target=1).details
    assert truth["exact"]
    apart = {}
    for how in ("emulator", "regression"):
        runs = [
            explain(clf, film, KernelSHAP(100, segmentation=blocks(11), estimator=how), target=1, seed=s).details
            for s in range(4)
        ]
        assert all(r["coefficients"].sum() == pytest.approx(truth["coefficients"].sum(), abs=1e-5) for r in runs)
        apart[how] = np.mean([np.square(r["coefficients"] - truth["coefficients"]).mean() for r in runs])
    assert apart["emulator"] < apart["regression"]
    drawn = coalitions(9, 60, "leverage", np.random.default_rng(0))
    nothing = odd_values(drawn.masks, np.ones(60), 1.0, 1.0, np.zeros((9, 2)), np.zeros(9))
    assert not np.concatenate(nothing).any()
    linear, weights = drawn.masks @ np.arange(9.0), np.arange(9.0)
    found, errors = odd_values(drawn.masks, linear, 36.0, 0.0, np.random.default_rng(0).random((9, 2)), weights)
    np.testing.assert_allclose(found, weights, atol=1e-3)
    assert np.abs(errors).max() < 0.01


def test_bad_settings_are_named() -> None:
    for bad in ({"num_samples": 1}, {"sampling": "wild"}, {"estimator": "guess"}):
        with pytest.raises(ConfigError, match="expected"):
            KernelSHAP(**bad)
