"""RISE, Sobol and Score-CAM against plain loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from radiolucent.errors import ConfigError
from radiolucent.explainers import RISE, AblationCAM, ReciproCAM, ScoreCAM, Sobol, explain
from radiolucent.explainers.rise import SoftMasks
from radiolucent.explainers.sobol import total_order
from radiolucent.models import build
from support.explainer_cases import Blob, blob_film, make, noise_films, wrap


def test_soft_masks_are_upsampled_and_shifted() -> None:
    method = RISE(40, cells=5, paired=False, shown=0.3)
    masks = SoftMasks.draw(method, (32, 41), np.random.default_rng(2))
    found = torch.cat([masks.of(slice(0, 7)), masks.of(slice(7, 40))])
    for i in range(40):
        large = F.interpolate(masks.grids[i][None, None], size=(6 * 7, 6 * 9), mode="bilinear", align_corners=False)
        down, right = masks.shifts[i].tolist()
        torch.testing.assert_close(found[i], large[0, 0, down : down + 32, right : right + 41])
    assert len({tuple(s) for s in masks.shifts.tolist()}) > 20
    pairs = SoftMasks.draw(RISE(40, cells=5), (32, 41), np.random.default_rng(2)).of(slice(0, 40))
    torch.testing.assert_close(pairs[::2] + pairs[1::2], torch.ones(20, 32, 41))


@pytest.mark.parametrize("estimate", ["paper", "centred"])
def test_rise_is_the_plain_loop(estimate) -> None:
    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    method = RISE(50, cells=4, paired=False, estimate=estimate, engine="torch")
    e = explain(clf, film, method, target=1, seed=9)
    masks = SoftMasks.draw(method, (64, 64), np.random.default_rng(9)).of(slice(0, 50)).numpy()
    grey = clf.preprocess.quantise(film).astype(np.float32) / 255
    total, shown, scores = np.zeros((64, 64)), np.zeros((64, 64)), []
    for mask in masks:
        x = clf.preprocess.normalise(torch.from_numpy(grey * mask)[None])  # black where hidden
        scores.append(float(clf.logits(x)[0, 1]))
        total += scores[-1] * mask
        shown += mask
    expected = total / (0.5 * 50) if estimate == "paper" else total / shown - np.mean(scores)
    np.testing.assert_allclose(e.map, expected, atol=1e-4 * np.abs(expected).max())


def test_rises_standard_errors_tell_the_spread() -> None:
    clf, film = wrap(Blob(100.0), 16), blob_film(10, 5, 16)
    runs = [explain(clf, film, RISE(320, cells=4, engine="torch"), target=1, seed=s) for s in range(40)]
    spread = np.std([e.map for e in runs], axis=0, ddof=1)
    told = np.sqrt(np.mean([e.details["standard_errors"] ** 2 for e in runs], axis=0))
    assert 0.8 < np.median(told / spread) < 1.25
    with torch.no_grad():
        clf.network.head.bias += 50
    raised = explain(clf, film, RISE(320, cells=4, engine="torch"), target=1, seed=0).map
    np.testing.assert_allclose(raised, runs[0].map, atol=1e-3 * np.abs(raised).max())  # the level does not matter
    for bad in ({"num_masks": 8}, {"shown": 0.3}, {"estimate": "best"}, {"cells": 1}):
        with pytest.raises(ConfigError):
            RISE(**bad)


def test_sobols_estimator_knows_the_answer() -> None:
    """Ishigami-like: f = a·m0 + b·m1·m2 over uniform masks has known total-order indices."""
    from scipy.stats import qmc

    def f(m: np.ndarray) -> np.ndarray:
        return 2 * m[:, 0] + 3 * m[:, 1] * m[:, 2]

    first, second = np.split(qmc.Sobol(8, rng=np.random.default_rng(0)).random(4096), 2, axis=1)
    swapped = []
    for j in range(4):
        mixed = first.copy()
        mixed[:, j] = second[:, j]
        swapped.append(f(mixed))
    found, errors = total_order(f(first), f(second), np.array(swapped))
    variance = 4 / 12 + 9 * (1 / 9 - 1 / 16)
    truth = np.array([4 / 12, 9 / 12 / 3, 9 / 12 / 3, 0]) / variance
    np.testing.assert_allclose(found, truth, atol=0.01)
    assert found[3] == 0 and errors[3] == 0 and (errors[:3] > 0).all()
    flat = total_order(np.ones(8), np.ones(8), np.ones((3, 8)))
    assert (flat[0] == 0).all() and (flat[1] == 0).all()


def test_sobol_is_the_plain_loop_and_unsigned() -> None:
    from scipy.stats import qmc

    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    e = explain(clf, film, Sobol(8, 3, engine="torch"), target=1, seed=5)
    grey = clf.preprocess.quantise(film).astype(np.float32) / 255
    first, second = np.split(qmc.Sobol(18, rng=np.random.default_rng(5)).random(8).astype(np.float32), 2, axis=1)

    def score(grids: np.ndarray) -> np.ndarray:
        out = []
        for g in grids:
            mask = F.interpolate(torch.from_numpy(g.reshape(1, 1, 3, 3)), size=(64, 64), mode="nearest")[0, 0].numpy()
            out.append(float(clf.logits(clf.preprocess.normalise(torch.from_numpy(grey * mask)[None]))[0, 1]))
        return np.array(out)

    a, b = score(first), score(second)
    expected = []
    for j in range(9):
        mixed = first.copy()
        mixed[:, j] = second[:, j]
        expected.append(np.mean((a - score(mixed)) ** 2) / (2 * np.concatenate([a, b]).var()))
    np.testing.assert_allclose(e.details["indices"].ravel(), expected, rtol=1e-3)
    assert e.details["unsigned"] and (e.map >= 0).all() and e.details["samples"] == 8 * 11
    for bad in ({"designs": 6}, {"designs": 2}, {"cells": 1}):
        with pytest.raises(ConfigError):
            Sobol(**bad)


def features_of(clf, film, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    x, kept = clf.preprocess(film)[None], []
    handle = clf.network.get_submodule(layer).register_forward_hook(lambda _, __, out: kept.append(out.clone()))
    clf.logits(x)
    handle.remove()
    return x, kept[0]


def through(clf, x: torch.Tensor, layer: str, value: torch.Tensor) -> torch.Tensor:
    handle = clf.network.get_submodule(layer).register_forward_hook(lambda *_: value)
    try:
        return clf.logits(x)
    finally:
        handle.remove()


def test_scorecam_is_the_plain_loop_and_shares_passes() -> None:
    clf, film = build("small_cnn", size=64, seed=1)[0], noise_films(1)[0]
    e = explain(clf, film, ScoreCAM(engine="torch"), target=1)
    x, maps = features_of(clf, film, e.details["layer"])
    scores = []
    for a in maps[0]:
        up = F.interpolate(a[None, None], size=(64, 64), mode="bilinear", align_corners=False)
        mask = (up - up.min()) / (up.max() - up.min()) if up.max() > up.min() else torch.zeros_like(up)
        scores.append(clf.logits(x * mask)[0, 1])
    coarse = (torch.stack(scores).softmax(0)[:, None, None] * maps[0]).sum(0)
    np.testing.assert_allclose(e.details["scores"], torch.stack(scores).numpy(), atol=1e-4)
    np.testing.assert_allclose(e.details["feature_map"], coarse.numpy(), atol=1e-5 * float(coarse.abs().max()))
    assert e.details["samples"] < e.details["channels"] == 96  # dead channels share a pass
    few = explain(clf, film, ScoreCAM(channels=5), target=1)
    assert few.details["channels"] == 5 >= few.details["samples"]
    best = maps[0].flatten(1).var(1).topk(5).indices
    part = (torch.stack(scores)[best].softmax(0)[:, None, None] * maps[0][best]).sum(0)
    np.testing.assert_allclose(few.details["feature_map"], part.numpy(), atol=1e-4 * float(part.abs().max()))


@pytest.mark.parametrize(("name", "hidden"), [("small_cnn", 0), ("small_cnn", 8), ("vit", None)])
def test_ablation_and_reciprocam_are_plain_loops(name: str, hidden: int | None) -> None:
    clf, films = make(name, **({} if hidden is None else {"hidden": hidden})), noise_films(2)
    explain(clf, films[0], [AblationCAM(), ReciproCAM()], target=1)  # what is remembered is not the image
    ablation, recipro = explain(clf, films[1], [AblationCAM(), ReciproCAM(soft=False)], target=1)
    layer, plain = ablation.details["layer"], hidden == 0
    x, value = features_of(clf, films[1], layer)
    axis = value.ndim - 1 if name == "vit" else 1
    whole = float(clf.logits(x)[0, 1])
    drops = []
    for k in range(value.shape[axis]):
        without = value.clone()
        without.select(axis, k)[:] = 0
        drops.append(whole - float(through(clf, x, layer, without)[0, 1]))
    np.testing.assert_allclose(ablation.details["drops"], drops, atol=1e-4 * max(1, abs(whole)))
    assert ablation.details["passes"] == ("closed form" if plain else "head")
    side = recipro.details["feature_map"].shape[0]
    scores = []
    for place in [*range(side * side), None]:
        alone = torch.zeros_like(value)
        if name == "vit":
            alone[:, :1] = value[:, :1]
        if place is not None:
            at = (1 + place,) if name == "vit" else (slice(None), place // side, place % side)
            alone[(slice(None), *at)] = value[(slice(None), *at)]
        scores.append(float(through(clf, x, layer, alone)[0, 1]))
    expected = (np.array(scores[:-1]) - scores[-1]).reshape(side, side)
    np.testing.assert_allclose(recipro.details["feature_map"], expected, atol=1e-4 * max(1, abs(whole)))
    assert recipro.details["passes"] == "head"
    soft = explain(clf, films[1], ReciproCAM(), target=1).details["feature_map"]
    if name != "vit" and plain:  # behind pooling and a dense layer, soft is the sharp map smoothed
        kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 16
        smooth = F.conv2d(torch.from_numpy(expected).float()[None, None], kernel, padding=1)[0, 0].numpy()
        np.testing.assert_allclose(soft, smooth, atol=1e-4 * max(1, abs(whole)))
