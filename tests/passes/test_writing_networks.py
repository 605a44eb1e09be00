"""Networks that write into the inputs they are given."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import radiolucent as rl
from radiolucent.models import Classifier
from radiolucent.passes.forward import Pass

METHODS = [
    rl.DeepLift(),
    rl.IntegratedGradients(steps=8),
    rl.LRP(),
    rl.Occlusion(16, 16, fill=0.5),
    rl.LIME(32, segmentation="slic"),
    rl.ReciproCAM(),
]


class Writing(nn.Module):
    """Normalises its input, in place or not."""

    def __init__(self, features: nn.Module, dense: nn.Module, *, in_place: bool) -> None:
        super().__init__()
        self.features, self.dense, self.in_place = features, dense, in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.sub_(0.1).div_(0.4) if self.in_place else (x - 0.1) / 0.4
        found: torch.Tensor = self.dense(self.features(x).amax((2, 3)))
        return found


@pytest.fixture(scope="module")
def pair() -> tuple[Classifier, Classifier]:
    """The network that writes, and the same one that does not."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
    dense = nn.Linear(8, 2)
    preprocess = rl.Preprocess(64, "squash", 3, (0.5,) * 3, (0.5,) * 3)
    networks = [Writing(copy.deepcopy(features), copy.deepcopy(dense), in_place=each) for each in (True, False)]
    writing, plain = (rl.wrap(n.eval(), ("NORMAL", "PNEUMONIA"), preprocess=preprocess) for n in networks)
    return writing, plain


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_what_is_given_stays_as_it_was(pair: tuple[Classifier, Classifier], layout: torch.memory_format) -> None:
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    before = x.clone()
    expected = pair[1].logits(before)
    asked = Pass(pair[0], x)
    for logits in (pair[0].logits(x), pair[0].logits(x), asked.logits, asked.cut().logits.detach()):
        torch.testing.assert_close(logits, expected)
    assert torch.equal(x, before)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_its_maps_are_those_of_one_that_does_not_write(
    pair: tuple[Classifier, Classifier], method: rl.Explainer
) -> None:
    film = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))
    found, expected = (rl.explain(clf, film, method, target=1).map for clf in pair)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
