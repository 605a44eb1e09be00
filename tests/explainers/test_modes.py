"""A map does not depend on the grad mode, the autocast or the session that the caller is in."""

from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch

from radiolucent.explainers import METHODS, explain
from support.explainer_cases import SHORTEST, noise_films, small

MODES: dict[str, AbstractContextManager[object]] = {
    "no_grad": torch.no_grad(),
    "inference_mode": torch.inference_mode(),
    "autocast": torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_same_map_in_every_mode(name: str) -> None:
    clf, film, method = small(name), noise_films(1)[0], SHORTEST[name]
    plain = explain(clf, film, method, target=1, seed=2)
    for mode, context in MODES.items():
        with context:
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
