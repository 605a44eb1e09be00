"""A map does not depend on the grad mode, the autocast or the session that the caller is in, nor on the type."""

import copy
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.explainers import METHODS, explain
from support.explainer_cases import NO_ATTENTION, SHORTEST, Attending, noise_films, small


@contextmanager
def in_float64() -> Generator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64 by default": in_float64,
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_same_map_in_every_mode(name: str) -> None:
    clf, film, method = small(name), noise_films(1)[0], SHORTEST[name]
    plain = explain(clf, film, method, target=1, seed=2)
    for mode, context in MODES.items():
        with context():
            found = explain(clf, film, method, target=1, seed=2)
        np.testing.assert_allclose(
            found.map, plain.map, atol=1e-6 * max(1.0, float(np.abs(plain.map).max())), err_msg=mode
        )
        assert found.score == pytest.approx(plain.score, rel=1e-6), mode
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled() and not torch.is_autocast_enabled("cpu")
    with torch.inference_mode():  # nothing that was kept for the network is an inference tensor afterwards
        explain(small(name), film, method, target=1)
    again = explain(clf, film, method, target=1, seed=2)
    np.testing.assert_allclose(again.map, plain.map, atol=1e-6 * max(1.0, float(np.abs(plain.map).max())))


class Findings(nn.Module):
    """Three findings, each with a logit of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(8, 3, bias=False)  # which would drown a single place in half precision

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x).mean((2, 3)))


class AttentiveFindings(Findings):
    """The same from tokens that attend to one another."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attend = nn.Conv2d(1, 8, 8, 8), Attending()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.attend(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_on_several_findings_wide_films_and_other_types(name: str) -> None:
    pre, names = rl.Preprocess(48, "squash", 1, (0.5,), (0.25,), width=64), ("CONSOLIDATION", "EFFUSION", "MASS")
    film, maps = noise_films(1)[0], dict[torch.dtype, np.ndarray[Any, Any]]()
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        network = AttentiveFindings() if name in NO_ATTENTION else Findings()
        clf = rl.Classifier(network.to(dtype).eval(), names, pre, positive=0, head="multilabel")
        found = explain(clf, film, SHORTEST[name], target="MASS", seed=2)
        assert found.map.shape == (48, 64) and np.isfinite(found.map).all() and np.any(found.map)
        assert found.score == pytest.approx(float(clf.logits(pre(film)[None])[0, 2]), rel=1e-5)
        maps[dtype] = found.map
    size = np.abs(maps[torch.float32]).max()
    np.testing.assert_allclose(maps[torch.float64], maps[torch.float32], atol=1e-3 * size)
    off = np.abs(maps[torch.bfloat16] - maps[torch.float32])
    assert off.mean() < 0.1 * size and off.max() < 0.5 * size


class Even(nn.Module):
    """Maps as large as the image, pooled by their mean: each place's share of the slope is tiny."""

    def __init__(self, size: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.h = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1), nn.Linear(8, 2)
        with torch.no_grad():
            self.h.weight.mul_(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.h(self.b(self.a(x).relu()).relu().mean((2, 3)))


@pytest.mark.parametrize("size", [1e-3, 1e4])  # too small for float16, and too large for a thousandfold
@pytest.mark.parametrize(
    "method",
    [
        rl.Saliency(), rl.LayerCAM(), rl.LRP(), rl.LRP(composite="epsilon-plus"),
        rl.LRP(composite="epsilon-alpha2-beta1"), rl.LRP(composite="epsilon-gamma-box"),
        rl.DeepLift(), rl.GuidedBackprop(),
    ],
)  # fmt: skip
def test_small_slopes_in_float16(method: rl.Explainer, size: float) -> None:
    pre = rl.Preprocess(128, "squash", 1, (0.5,), (0.5,))
    film = rl.from_array(np.random.default_rng(1).random((128, 128)).astype(np.float32))
    half = Even(size).eval().half()
    clf, exact = (rl.wrap(n, ("NORMAL", "PNEUMONIA"), preprocess=pre) for n in (half, copy.deepcopy(half).float()))
    found, expected = (explain(c, film, method, target=1).map for c in (clf, exact))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995
