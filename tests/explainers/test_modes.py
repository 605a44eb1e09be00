"""A map does not depend on the grad mode, the autocast or the session that the caller is in, nor on the type."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.errors import ExplainError
from radiolucent.explainers import METHODS, explain
from support.explainer_cases import NO_ATTENTION, SHORTEST, noise_films, small


@contextmanager
def in_float64() -> Generator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES: dict[str, AbstractContextManager[object] | Callable[[], AbstractContextManager[object]]] = {
    "no_grad": torch.no_grad(),
    "inference_mode": torch.inference_mode(),
    "autocast": torch.autocast("cpu", torch.bfloat16),
    "float64 by default": in_float64,
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_same_map_in_every_mode(name: str) -> None:
    clf, film, method = small(name), noise_films(1)[0], SHORTEST[name]
    plain = explain(clf, film, method, target=1, seed=2)
    for mode, context in MODES.items():
        with context() if callable(context) else context:
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


@pytest.mark.parametrize("name", METHODS)
def test_every_method_on_several_findings_wide_films_and_other_types(name: str) -> None:
    pre, names = rl.Preprocess(48, "squash", 1, (0.5,), (0.25,), width=64), ("CONSOLIDATION", "EFFUSION", "MASS")
    film, maps = noise_films(1)[0], dict[torch.dtype, np.ndarray[Any, Any]]()
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        clf = rl.Classifier(Findings().to(dtype).eval(), names, pre, positive=0, head="multilabel")
        if name in NO_ATTENTION:
            with pytest.raises(ExplainError, match="meant for transformers"):
                explain(clf, film, SHORTEST[name], target="MASS")
            return
        found = explain(clf, film, SHORTEST[name], target="MASS", seed=2)
        assert found.map.shape == (48, 64) and np.isfinite(found.map).all() and np.any(found.map)
        assert found.score == pytest.approx(float(clf.logits(pre(film)[None])[0, 2]), rel=1e-5)
        maps[dtype] = found.map
    size = np.abs(maps[torch.float32]).max()
    np.testing.assert_allclose(maps[torch.float64], maps[torch.float32], atol=1e-3 * size)
    off = np.abs(maps[torch.bfloat16] - maps[torch.float32])
    assert off.mean() < 0.1 * size and off.max() < 0.5 * size
