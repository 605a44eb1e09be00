"""Answers known by arithmetic: the cases that other packages and papers check themselves with, on few pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError
from radiolucent.explainers import (
    LRP,
    DeepLift,
    GradCAM,
    GuidedBackprop,
    HiResCAM,
    InputTimesGradient,
    KernelSHAP,
    LayerCAM,
    Occlusion,
    Saliency,
    explain,
)
from radiolucent.explainers import IntegratedGradients as IG

# Inputs are whole numbers from −100 to 155: grey level times 255, less 100.
UNITS = rl.Preprocess(8, "squash", 1, (100 / 255,), (1 / 255,))


def film(values: Sequence[float]) -> rl.Radiograph:
    """An image whose first pixels, row by row, have these values; the others are 0."""
    inputs = np.zeros(64)
    inputs[: len(values)] = values
    return rl.from_array(((inputs + 100) / 255).reshape(8, 8).astype(np.float32))


class Of(nn.Module):
    """A number of the first pixels, as the logit of the second class."""

    def __init__(self, function: Callable[..., torch.Tensor], count: int) -> None:
        super().__init__()
        self.function, self.count = function, count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.function(*x.flatten(1)[:, : self.count].unbind(1))
        return torch.stack([z * 0, z], 1)


def map_of(
    function: Callable[..., torch.Tensor] | nn.Module, values: Sequence[float], method: rl.Explainer
) -> list[float]:
    network = function if isinstance(function, nn.Module) else Of(function, len(values))
    e = explain(rl.Classifier(network.eval(), ("A", "B"), UNITS), film(values), method, target=1)
    assert np.allclose(e.map.ravel()[len(values) :], 0, atol=1e-4)
    return e.map.ravel()[: len(values)].tolist()


def f(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.relu(F.relu(a) - 1 - F.relu(b))


def g(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # the same function, built otherwise
    return F.relu(F.relu(a - 1) - F.relu(b))


def saturated(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return 10 - F.relu(10 - a - b)


CASES = [
    # Sundararajan 2017, figure 7: integrated gradients see the function, DeepLift how it is built.
    (f, (3, 1), IG(400, baseline="zero"), (1.5, -0.5)),
    (g, (3, 1), IG(400, baseline="zero"), (1.5, -0.5)),
    (f, (3, 1), DeepLift("zero"), (1.5, -0.5)),
    (g, (3, 1), DeepLift("zero"), (2, -1)),
    # Shrikumar 2017, section 2.2: a saturated sum has no gradient, and yet both made it.
    (saturated, (10, 10), InputTimesGradient(), (0, 0)),
    (saturated, (10, 10), DeepLift("zero"), (5, 5)),
    (saturated, (10, 10), IG(400, baseline="zero"), (5, 5)),
    # captum's basic model, gradient and ablation.
    (f, (3, 1), InputTimesGradient(), (3, -1)),
    (f, (3, 1), Occlusion(1, 1, fill=100 / 255), (1, -1)),
    # captum's model of two rectified inputs, one behind a threshold.
    (lambda a, b: 2 * F.relu(a) + 2 * F.relu(b - 1), (-10, 10), DeepLift("zero"), (0, 18)),
    (lambda a, b: 2 * F.relu(a) + 2 * F.relu(b - 1), (5, 10), DeepLift("zero"), (10, 18)),
    # Two tensors: each pixel's share of the larger one, and their sum is the score.
    (lambda a, b: torch.maximum(a, b), (4, 10), DeepLift("zero"), (0, 10)),
    (lambda a, b: torch.stack([a, b], 1).max(1)[0], (4, 10), LRP(1e-9), (0, 10)),
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_scalar_functions(
    case: tuple[Callable[..., torch.Tensor], tuple[float, ...], rl.Explainer, tuple[float, ...]],
) -> None:
    function, values, method, expected = case
    assert map_of(function, values, method) == pytest.approx(expected, abs=2e-2 if isinstance(method, IG) else 2e-4)


def test_references_of_ones_own() -> None:
    start = torch.zeros(1, 8, 8)
    start[0, 0, 0] = 2
    for own in (start, start.numpy(), start[None], film((2,))):
        assert map_of(f, (3, 1), DeepLift(own)) == pytest.approx((0, 0) if own is None else _from_two(), abs=1e-3)
        found = map_of(f, (3, 1), IG(400, baseline=own))
        assert sum(found) == pytest.approx(0, abs=1e-2)  # f(3, 1) = f(2, 0) = 1
    with pytest.raises(ConfigError, match=r"\(1, 9, 9\) for inputs"):
        map_of(f, (3, 1), DeepLift(torch.zeros(1, 9, 9)))


def _from_two() -> tuple[float, float]:
    # From (2, 0): relu(a) rises by 1, relu(b) by 1, and z stays at 1 where relu's slope is 1.
    return 1.0, -1.0


def test_a_linear_stack_hands_relevance_back_in_proportion() -> None:
    """captum's LRP case: weights 2, then 3, inputs 1, 2, 3: 108 goes back as 18, 36, 54."""

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)
            nn.init.constant_(self.one.weight, 2)
            nn.init.constant_(self.two.weight, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.two(self.one(x.flatten(1)[:, :3]).relu())
            return torch.cat([z * 0, z], 1)

    assert map_of(Stack(), (1, 2, 3), LRP(1e-9)) == pytest.approx((18, 36, 54), rel=1e-4)


class OneConv(nn.Module):
    """captum's: two channels that sum 3 × 3 pixels; the logit adds the one's and takes off most of the other's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(72, 2, bias=False)
        nn.init.ones_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)
        with torch.no_grad():
            self.fc.weight.zero_()
            self.fc.weight[1, :36] = 1
            self.fc.weight[1, 36:] = -1
            self.fc.weight[1, 36:45] = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).relu().flatten(1))


def test_cams_of_known_weights() -> None:
    values = np.arange(64.0)
    sums = sum(values.reshape(8, 8)[i : i + 6, j : j + 6] for i in range(3) for j in range(3))
    clf = rl.Classifier(OneConv().eval(), ("A", "B"), UNITS)
    sign = np.where(np.arange(36) < 9, 1, -1).reshape(6, 6)

    def coarse(method: rl.Explainer) -> np.ndarray:
        return explain(clf, film(values.tolist()), method, target=1).details["feature_map"]

    assert explain(clf, film(values.tolist()), GradCAM(), target=1).details["layer"] == "conv"
    np.testing.assert_allclose(coarse(GradCAM()), sums * (1 + sign.mean()), rtol=1e-5)
    np.testing.assert_allclose(coarse(HiResCAM()), sums * (1 + sign), rtol=1e-5)
    np.testing.assert_allclose(coarse(LayerCAM()), sums * (1 + (sign > 0)), rtol=1e-5)


def test_several_layers_are_averaged_and_one_can_be_reshaped() -> None:
    clf = rl.Classifier(OneConv().eval(), ("A", "B"), UNITS)
    image = film(np.arange(64.0).tolist())
    one = explain(clf, image, GradCAM("conv"), target=1)
    two = explain(clf, image, GradCAM(("conv", "conv")), target=1)
    np.testing.assert_allclose(two.map, one.map / np.abs(one.map).max(), atol=1e-6)
    assert two.details["layer"] == "conv, conv"
    turned = explain(clf, image, GradCAM("conv", reshape=lambda v: v.flip(-1)), target=1)
    np.testing.assert_allclose(turned.details["feature_map"], one.details["feature_map"][:, ::-1], rtol=1e-6)
    for method in (rl.AblationCAM, rl.ReciproCAM):
        plain = explain(clf, image, method("conv"), target=1).details["feature_map"]
        again = explain(clf, image, method("conv", reshape=lambda v: v.flip(-1)), target=1).details["feature_map"]
        np.testing.assert_allclose(again, plain[:, ::-1], rtol=1e-4, atol=1e-6 * np.abs(plain).max())  # of a difference
        with pytest.raises(ConfigError, match="one layer"):
            explain(clf, image, method(("conv", "conv")), target=1)


def test_guided_gradients_stop_where_they_are_negative() -> None:
    # Both paths are active; the one that lowers the score is dropped.
    assert map_of(lambda a, b: F.relu(a) - F.relu(b), (3, 5), GuidedBackprop()) == pytest.approx((255, 0))
    assert map_of(lambda a, b: a.clamp(0, 6) - b.clamp(min=0), (3, 5), GuidedBackprop()) == pytest.approx((255, 0))
    assert map_of(lambda a, b: F.relu(a) - F.relu(b), (3, 5), Saliency()) == pytest.approx((255, -255))


def test_kernel_shap_of_an_additive_score_and_of_a_product() -> None:
    halves = np.zeros((8, 8), int)
    halves[0, 1], halves[0, 2:] = 1, 2
    halves[1:] = 2

    def values(function: Callable[..., torch.Tensor]) -> list[float]:
        method = KernelSHAP(fill=100 / 255, segmentation=lambda _: halves)
        return map_of(function, (3, 5), method)

    assert values(lambda a, b: 2 * a + b) == pytest.approx((6, 5), abs=1e-3)
    assert values(lambda a, b: a * b) == pytest.approx((7.5, 7.5), abs=1e-3)
