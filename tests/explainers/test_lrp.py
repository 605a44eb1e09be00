"""ε-LRP against a re-derivation with explicit matrices, against captum, and its accounts."""

from collections.abc import Callable

import captum.attr as captum
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import LRP, explain
from radiolucent.types import Radiograph
from support.explainer_cases import make, noise_films, wrap

Matrix = NDArray[np.float64]


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return rl.from_array(np.random.default_rng(1).random((8, 8)).astype(np.float32))


class Small(nn.Module):
    """Convolutions, batch norms, ReLU6 (saturating), in place, a skip connection and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.conv3, self.head = nn.Conv2d(6, 2, 3, stride=2), nn.Linear(2, 2)
        self.act = nn.ReLU6(inplace=True)
        for bn in (self.bn1, self.bn2):
            for value, low, high in ((bn.weight, 1, 9), (bn.bias, -1, 2), (bn.running_mean, -1, 1)):
                nn.init.uniform_(value, low, high)
            nn.init.uniform_(bn.running_var, 0.5, 2)

    # The affine maps between activations.
    def one(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn1(self.conv1(x))

    def two(self, a: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv2(a)) + a

    def three(self, a: torch.Tensor) -> torch.Tensor:
        return self.conv3(a)

    def four(self, a: torch.Tensor) -> torch.Tensor:
        return self.head(F.adaptive_avg_pool2d(a, 1).flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.act(self.one(x))
        b = F.relu(self.two(a))
        return self.four(self.act(self.three(torch.cat([a, b], 1))))


def matrix_of(affine: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]) -> tuple[Matrix, Matrix]:
    """The matrix and offset of an affine map, by what it does to each unit vector."""
    size = int(np.prod(shape))
    with torch.no_grad():
        offset = affine(torch.zeros(1, *shape, dtype=torch.float64)).flatten().numpy()
        columns = affine(torch.eye(size, dtype=torch.float64).view(size, *shape)).flatten(1).numpy() - offset
    return columns.T, offset


def handed_back(a: Matrix, w: Matrix, z: Matrix, relevance: Matrix, epsilon: float) -> Matrix:
    """Bach 2015, eq. 58, number by number."""
    found = np.zeros_like(a)
    for j in range(len(z)):
        below = z[j] + epsilon * (1 if z[j] >= 0 else -1)
        for i in range(len(a)):
            found[i] += a[i] * w[j, i] / below * relevance[j]
    return found


@pytest.mark.parametrize("epsilon", [1e-4, 0.3])
@pytest.mark.parametrize("seed", [0, 1])
def test_against_matrices(film, epsilon: float, seed: int) -> None:
    torch.manual_seed(seed)
    network = Small().eval().double()
    clf = wrap(network, 8)
    x = clf.preprocess(film)[None].double()
    with torch.no_grad():
        z1 = network.one(x)
        a1 = z1.clamp(0, 6)
        z2 = network.two(a1)
        a2 = z2.clamp(min=0)
        z3 = network.three(torch.cat([a1, a2], 1))
        a3 = z3.clamp(0, 6)
        z4 = network.four(a3)
    assert (z1 > 6).any() and (z1 < 0).any()
    flat = {k: v.flatten().numpy() for k, v in {"x": x, "z1": z1, "a1": a1, "z2": z2, "a2": a2, "z3": z3}.items()}
    start = z4[0].numpy() * np.array([0.0, 1.0])
    w4, _ = matrix_of(network.four, tuple(a3.shape[1:]))
    r3 = handed_back(a3.flatten().numpy(), w4, z4[0].numpy(), start, epsilon)
    w3, _ = matrix_of(network.three, (6, 8, 8))
    both = handed_back(np.concatenate([flat["a1"], flat["a2"]]), w3, flat["z3"], r3, epsilon)
    r1, r2 = np.split(both, 2)
    w2, _ = matrix_of(network.two, (3, 8, 8))
    r1 = r1 + handed_back(flat["a1"], w2, flat["z2"], r2, epsilon)
    w1, _ = matrix_of(network.one, (1, 8, 8))
    expected = handed_back(flat["x"], w1, flat["z1"], r1, epsilon).reshape(8, 8)
    for conserve in (True, False):
        ours = explain(clf, film, LRP(epsilon=epsilon, conserve=conserve), target=1)
        assert np.abs(ours.map - expected).max() <= 1e-4 * np.abs(expected).max()
    layer = explain(clf, film, LRP(epsilon=epsilon, layer="bn1"), target=1)
    r1 = r1 * flat["z1"] / (flat["z1"] + epsilon * np.where(flat["z1"] < 0, -1, 1))  # before the ReLU6
    np.testing.assert_allclose(layer.map, r1.reshape(3, 8, 8).sum(0), atol=1e-4 * np.abs(r1).max())


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).flatten(1))


@pytest.mark.filterwarnings("ignore::UserWarning")  # captum warns of its hooks
def test_plain_relu_network_is_captums(film) -> None:
    torch.manual_seed(0)
    network = Plain()
    clf = wrap(network, 8)
    ours = explain(clf, film, LRP(epsilon=1e-9), target=1).map
    theirs = captum.LRP(network).attribute(clf.preprocess(film)[None], target=1)[0, 0].detach().numpy()
    assert np.abs(theirs).max() > 0 and np.abs(ours - theirs).max() <= 1e-3 * np.abs(theirs).max()


@pytest.mark.parametrize("name", ["small_cnn", "mobilenetv1", "inception_v3", "densenet121"])
def test_the_accounts_balance_on_the_networks_we_ship(name: str) -> None:
    """Relevance of the pixels and of the biases add up to the score; ε swallows next to nothing."""
    clf, films = make(name), noise_films(2)
    for e in explain(clf, films, LRP(epsilon=1e-7), target=1):
        d = e.details
        assert d["relevance_given"] == pytest.approx(e.score, rel=1e-4)
        size = abs(d["relevance"]) + abs(d["bias_share"])
        assert abs(d["epsilon_share"]) <= 2e-3 * size, d
        assert abs(d["bias_share"]) > 1e-6
        np.testing.assert_allclose(e.map.sum(), d["relevance"], rtol=1e-3, atol=1e-5 * size)


def test_without_biases_everything_arrives_at_the_pixels(film) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU6(), nn.Flatten(), nn.Linear(144, 2, bias=False))
    e = explain(wrap(network, 8), film, LRP(epsilon=1e-9), target=1)
    assert e.map.sum() == pytest.approx(e.score, rel=1e-4) and e.details["bias_share"] == 0
    apart = explain(wrap(network, 8), film, LRP(epsilon=1e-9), target=1, contrast=0)
    assert apart.map.sum() == pytest.approx(apart.score, rel=1e-4)


def test_what_has_no_rule_is_named(film) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = self.conv(x)
            return self.head((a * a.relu()).mean((2, 3)))

    with pytest.raises(ExplainError, match="'mul'"):
        explain(wrap(Gate(), 8), film, LRP(), target=1)
    with pytest.raises(ConfigError, match="epsilon"):
        LRP(epsilon=-1)
