"""Answers known by arithmetic for whole small networks: cases that captum and torch-cam test themselves with."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from radiolucent.explainers import explain

SIDE = 8
UNITS = rl.Preprocess(SIDE, "squash", 1, (100 / 255,), (1 / 255,))
"""Inputs are whole numbers from −100 to 155."""
RAMP = np.arange(16.0).reshape(4, 4)
TWICE = RAMP.repeat(2, 0).repeat(2, 1)


def classifier(network: nn.Module) -> rl.Classifier:
    return rl.Classifier(network.eval(), ("A", "B"), UNITS)


def film(values: Any) -> rl.Radiograph:
    """An image of these numbers, or one whose first pixels have them; the others are 0."""
    inputs, given = np.zeros((SIDE, SIDE)), np.asarray(values, float)
    inputs.flat[: given.size] = given.ravel()
    return rl.from_array(((inputs + 100) / 255).astype(np.float32))


class Of(nn.Module):
    """A number of the first pixels (N, n), as the logit of the second class."""

    def __init__(self, count: int, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.count, self.function = count, function
        self.inside = function if isinstance(function, nn.Module) else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.function(x.flatten(1)[:, : self.count])
        return torch.stack([z * 0, z], 1)


def first(
    function: Callable[[torch.Tensor], torch.Tensor], values: Sequence[float], method: rl.Explainer
) -> list[float]:
    """The map at the pixels that were given."""
    e = explain(classifier(Of(len(values), function)), film(values), method, target=1)
    assert np.allclose(e.map.ravel()[len(values) :], 0, atol=1e-4)
    return e.map.ravel()[: len(values)].tolist()


def dense(weight: Any, bias: Any = None) -> nn.Linear:
    values = torch.tensor(weight, dtype=torch.float32)
    made = nn.Linear(values.shape[1], values.shape[0], bias=bias is not None)
    with torch.no_grad():
        made.weight.copy_(values)
        if bias is not None:
            made.bias.copy_(torch.tensor(bias, dtype=torch.float32))
    return made


class OneConv(nn.Module):
    """captum's, behind a pooling of two by two: 3 × 3 sums less 50 and less 75; of eight numbers the first five are
    added, the others taken off."""

    def __init__(self, shift: float = 0.0, inplace: bool = False) -> None:
        super().__init__()
        self.shift = shift
        self.conv1, self.relu1, self.relu2 = nn.Conv2d(1, 2, 3), nn.ReLU(inplace), nn.ReLU(inplace)
        self.fc1 = dense([[1] * 5 + [-1] * 3] * 2, [0, 0])
        nn.init.ones_(self.conv1.weight)
        with torch.no_grad():
            self.conv1.bias.copy_(torch.tensor([-50.0, -75.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu2(self.fc1(self.relu1(self.conv1(F.avg_pool2d(x, 2) + self.shift)).view(-1, 8)))


class Layers(nn.Module):
    """captum's: the same, then four sums less 10 and plus 1, rectified, and their sum less 1."""

    def __init__(self) -> None:
        super().__init__()
        self.linear0, self.linear1 = dense(np.eye(3), [0, 0, 0]), dense([[1] * 3] * 4, [-10, 1, 1, 1])
        self.linear2 = dense([[1] * 4], [-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear2(self.linear1(self.linear0(x)).relu())[:, 0]


CAMS = [
    (0.0, "conv1", [[11.25, 13.5], [20.25, 22.5]]),
    (0.0, "relu1", [[0, 4], [28, 32.5]]),
    (1.0, "conv1", [[14.5, 19], [32.5, 37]]),
]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("shift", "layer", "expected"), CAMS)
def test_gradcam_at_a_layer(shift: float, layer: str, expected: Any, inplace: bool) -> None:
    e = explain(classifier(OneConv(shift, inplace)), film(TWICE), rl.GradCAM(layer), target=1)
    np.testing.assert_allclose(e.details["feature_map"], expected, rtol=1e-4)


GUIDED = [
    (0.0, [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]),
    (1.0, [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]),
]
"""By the input's units; our maps are by grey level, of which 255 are 1."""
DOWN = np.clip(np.arange(8) / 4 - 0.375, 0, 1)
BETWEEN = np.stack([1 - DOWN, DOWN], 1)
"""Weights of two rows stretched over eight, linearly."""


def pooled(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The sum of each two by two."""
    return values.reshape(4, 2, 4, 2).sum((1, 3))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("shift", "expected"), GUIDED)
def test_guided_gradients_of_a_convolution(shift: float, expected: Any, inplace: bool) -> None:
    clf = classifier(OneConv(shift, inplace))
    found = explain(clf, film(TWICE), rl.GuidedBackprop(), target=1).map / 255
    np.testing.assert_allclose(pooled(found), expected, atol=1e-4)
    cam = np.array(CAMS[1 if shift == 0 else 2][2])
    both = explain(clf, film(TWICE), rl.GuidedGradCAM("relu1" if shift == 0 else "conv1"), target=1).map / 255
    np.testing.assert_allclose(both, found * (BETWEEN @ cam @ BETWEEN.T), rtol=1e-4, atol=1e-3)


def test_occlusion_of_a_convolution() -> None:
    whole = rl.Occlusion(8, 8, fill=100 / 255)
    assert explain(classifier(OneConv(1.0)), film(TWICE), whole, target=1).details["drops"] == pytest.approx(67)
    assert explain(classifier(OneConv()), film(TWICE), whole, target=1).details["drops"] == pytest.approx(54)


def test_relevance_of_a_convolution() -> None:
    """What the biases take and hand back cancels here: the map's sum is the score, 54."""
    e = explain(classifier(OneConv()), film(TWICE), rl.LRP(1e-9), target=1)
    expected = [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 0, 0, 0]]
    np.testing.assert_allclose(pooled(e.map), expected, atol=1e-3)
    assert e.details["bias_share"] == pytest.approx(0, abs=1e-3) and e.score == pytest.approx(54)


def stack(act: nn.Module, scale: float = 2.0, corner: float | None = None) -> nn.Module:
    """captum's: three equal sums, an activation, and their sum."""
    weight = np.full((3, 3), scale)
    weight[0, 0] = scale if corner is None else corner
    return nn.Sequential(dense(weight), act, dense([[3.0 if scale == 2 else scale] * 3]), nn.Flatten(0))


GAMMA, ALPHA = (rl.LRP(1e-9, composite=[(rule, 0, None)], gamma=1.0) for rule in ("gamma", "alpha1-beta0"))
RELEVANCES: list[tuple[Any, Sequence[float], rl.Explainer, Sequence[float]]] = [
    (stack(nn.ReLU()), (1, 2, 3), rl.LRP(1e-9), (18, 36, 54)),
    (stack(nn.ReLU()), (3, 6, 9), rl.LRP(1e-9), (54, 108, 162)),
    (stack(nn.ReLU(inplace=True)), (1, 2, 3), rl.LRP(1e-9), (18, 36, 54)),
    (stack(nn.ReLU()), (1, 2, 3), rl.InputTimesGradient(), (18, 36, 54)),
    (stack(nn.Tanh(), 0.1), (1, 2, 3), rl.LRP(1e-9), (0.0269, 0.0537, 0.0806)),
    (stack(nn.ReLU(), corner=-2), (1, 2, 3), GAMMA, (28 / 3, 104 / 3, 52)),
    (stack(nn.ReLU(), corner=-2), (1, 2, 3), ALPHA, (12, 33.6, 50.4)),
    (Layers(), (4, 8, 12), rl.LRP(1e-9), (16, 32, 48)),
    # A skip connection: five times both and the second itself.
    (lambda x: (x @ torch.full((2, 2), 5.0) + x)[:, 1], (2, 3), rl.LRP(1e-9), (10, 18)),
    # Max pooling hands all to the largest.
    (
        lambda x: F.max_pool1d(x.view(-1, 2, 2) @ torch.full((2, 2), 2.0), 2)[:, 1, 0],
        (1, 2, 5, 6),
        rl.LRP(1e-9),
        (0, 0, 10, 12),
    ),
    (lambda x: F.max_pool2d(x.view(-1, 1, 2, 2), 2).flatten(), (1, 2, 5, 6), rl.LRP(1e-9), (0, 0, 0, 6)),
    (
        lambda x: F.max_pool3d(x.view(-1, 1, 2, 2, 2), 2).flatten(),
        (1, 2, 5, 6, 3, 4, 7, 8),
        rl.LRP(1e-9),
        (0, 0, 0, 0, 0, 0, 0, 8),
    ),
]


@pytest.mark.parametrize("case", RELEVANCES, ids=range(len(RELEVANCES)))
def test_relevance_of_dense_layers(case: tuple[Any, Sequence[float], rl.Explainer, Sequence[float]]) -> None:
    function, values, method, expected = case
    assert first(function, values, method) == pytest.approx(expected, rel=2e-3, abs=1e-3)


SATURATED = (2, 2, 3, 0, -1, 7)


def saturating(x: torch.Tensor) -> torch.Tensor:
    return (1 - F.relu(1 - x)).sum(1)


SLOPES: list[tuple[Any, Sequence[float], rl.Explainer, Sequence[float]]] = [
    (saturating, SATURATED, rl.Saliency(), (0, 0, 0, 255, 255, 0)),
    (saturating, SATURATED, rl.InputTimesGradient(), (0, 0, 0, 0, -1, 0)),
    (Layers(), (20, 50, 30), rl.InputTimesGradient(), (80, 200, 120)),
    (
        lambda x: F.relu(F.relu(x[:, 0]) - 1 - F.relu(x[:, 1])),
        (3, 1),
        rl.GradientSHAP(samples=2000, references=(100 / 255,)),
        (1.5, -0.5),
    ),
]


@pytest.mark.parametrize("case", SLOPES, ids=range(len(SLOPES)))
def test_gradients(case: tuple[Any, Sequence[float], rl.Explainer, Sequence[float]]) -> None:
    function, values, method, expected = case
    loose = 0.05 if isinstance(method, rl.GradientSHAP) else 1e-3
    assert first(function, values, method) == pytest.approx(expected, abs=loose)


@pytest.mark.parametrize(
    ("values", "window", "expected"),
    [
        ((20, 50, 30), 1, (80, 200, 120)),
        ((2, 10, 3), 1, (8, 35, 12)),
        ((20, 50, 30), 2, (280, 280, 120)),
    ],
)
def test_occlusion_of_dense_layers(values: Sequence[float], window: int, expected: Sequence[float]) -> None:
    clf = classifier(Of(3, Layers()))
    e = explain(clf, film(values), rl.Occlusion(window, window, fill=100 / 255), target=1)
    assert e.map[0, :3].tolist() == pytest.approx(expected, rel=1e-4)


def pieces(*labels: int) -> Callable[[Any], np.ndarray[Any, Any]]:
    """Superpixels of the first pixels; the rest is the last piece."""
    whole = np.full(SIDE * SIDE, max(labels) + 1)
    whole[: len(labels)] = labels
    return lambda _: whole.reshape(SIDE, SIDE)


@pytest.mark.parametrize(
    ("labels", "fill", "expected"),
    [
        ((0, 1, 2), 0, (230 / 3, 590 / 3, 350 / 3)),
        ((0, 0, 1), 0, (275, 115)),
        ((0, 0, 1), 4, (248, 104)),
    ],
)
def test_shapley_values_of_dense_layers(labels: Sequence[int], fill: float, expected: Sequence[float]) -> None:
    class Shown(Layers):  # what is hidden beside the three numbers says nothing
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x[:, :3])

    method = rl.KernelSHAP(fill=(100 + fill) / 255, segmentation=pieces(*labels))
    e = explain(classifier(Of(3, Shown())), film((20, 50, 30)), method, target=1)
    found = [float(e.map[0, labels.index(k)]) for k in range(max(labels) + 1)]
    assert found == pytest.approx(expected, abs=1e-2)


def test_deeplift_of_saturating_functions() -> None:
    def both(act: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: 2 * act(x[:, 0]) + 2 * act(x[:, 1] - 1.5)

    assert first(both(F.relu), (1, 2), rl.DeepLift("zero")) == pytest.approx((2, 1), abs=1e-4)
    shares = 2 * np.tanh(-1), 2 * (np.tanh(-3.5) - np.tanh(-1.5))
    assert first(both(torch.tanh), (-1, -2), rl.DeepLift("zero")) == pytest.approx(shares, abs=1e-3)


@pytest.mark.parametrize(
    ("start", "expected"), [((1, 2, 3, 9), (0, 0, 0, -8)), ((4, 8, 6, 7), (0, -7, 0, 0))], ids=["last", "second"]
)
def test_deeplift_of_max_pooling_from_a_reference(start: Sequence[float], expected: Sequence[float]) -> None:
    def largest(x: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(x[:, None], 4)[:, 0, 0]

    reference = torch.zeros(1, SIDE, SIDE)
    reference.view(-1)[:4] = torch.tensor(start)
    assert first(largest, (1, 1, 1, 1), rl.DeepLift(reference)) == pytest.approx(expected, abs=1e-3)


class Weighed(nn.Module):
    """torch-cam's: each number of two feature maps has a weight of its own, which is the gradient by it."""

    def __init__(self, coefficients: Any, offset: float = 0.0, sign: float = -1.0) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 2, 1)
        self.register_buffer("coefficients", torch.tensor(np.array(coefficients), dtype=torch.float32))
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([1.0, sign]).view(2, 1, 1, 1))
            self.features.bias.copy_(torch.tensor([0.0, offset]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (self.features(x) * self.coefficients.to(x)).flatten(1).sum(1)
        return torch.stack([-score, score], 1)


def spread(corner: Any) -> np.ndarray[Any, Any]:
    """Four numbers as the corner of a map, the others 0."""
    whole = np.zeros((SIDE, SIDE))
    whole[:2, :2] = np.reshape(corner, (2, 2))
    return whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradcam_plus_plus_where_gradients_differ(dtype: torch.dtype) -> None:
    """A gradient g > 0 in a map that sums to s weighs g / (2 + s g), others nothing."""
    corner = [1, 2, 3, 4]
    network = Weighed([spread(corner), spread([1, 0, -1, 2])], offset=1.0).to(dtype)
    e = explain(classifier(network), film(spread([0, 4, 3, 3])), rl.GradCAMPlusPlus("features"), target=1)
    maps = np.stack([spread([0, 4, 3, 3]), 1 - spread([0, 4, 3, 3])])
    sums = maps.sum((1, 2))
    assert sums.tolist() == [10, 54]
    weights = sum(g / (2 + 10 * g) for g in corner), sum(g / (2 + 54 * g) for g in (1, 2))
    expected = np.tensordot(weights, maps, 1)
    np.testing.assert_allclose(e.details["feature_map"], expected, rtol=2e-5, atol=1e-5)


def test_a_feature_map_without_a_way_to_the_score_weighs_nothing() -> None:
    network = Weighed([np.full((8, 8), 1 / 64), np.zeros((8, 8))])
    e = explain(classifier(network), film(np.arange(64)), rl.GradCAMPlusPlus("features"), target=1)
    weight = 1 / (2 + 2016 / 64)
    np.testing.assert_allclose(e.details["feature_map"], weight * np.arange(64.0).reshape(8, 8), rtol=1e-4, atol=1e-5)


def test_a_convolution_that_tells_the_classes_is_their_map() -> None:
    """torch-cam's network without a dense layer: the last convolution's map of a class is its CAM."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()),
        nn.Conv2d(8, 2, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
    )
    e = explain(classifier(network), film(TWICE), rl.GradCAM(), target=1)
    with torch.no_grad():
        expected = network[1](network[0](UNITS(film(TWICE))[None]))[0, 1] / 64
    np.testing.assert_allclose(e.details["feature_map"], expected, rtol=1e-4, atol=1e-5)
