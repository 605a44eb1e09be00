"""The right-for-the-right-reasons loss, and relevance outside relative to inside."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from radiolucent.data import Loader, PixelCache, Record
from radiolucent.errors import ConfigError
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build
from radiolucent.training import TrainConfig, fit
from radiolucent.training.reasons import _gradient, natural_range, relevance_outside, wrong_reasons

SIDE = 32
STRIPES = np.where(np.arange(6) % 2, 70.0, -70.0)[None]


def test_closed_form_on_a_linear_softmax_model() -> None:
    """The log-odds of z = W x of two classes have the gradient w_1 − w_0, wherever they are asked for."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    classifier = Classifier(network, ("a", "b"), Preprocess(8, channels=1, mean=(0.5,), std=(0.25,)))
    mask = torch.rand(3, 8, 8) < 0.4
    found = wrong_reasons(network, torch.randn(3, 1, 8, 8), mask, classifier)
    gradient = (network[1].weight[1] - network[1].weight[0]).detach().view(8, 8) / 0.25
    assert found.detach().numpy() == pytest.approx((gradient * mask).square().sum((1, 2)).numpy(), rel=1e-4)


def test_one_logit_and_three_channels_make_no_difference() -> None:
    """The one-logit twin of a two-class softmax, seen through three equal channels, has the same penalty."""
    torch.manual_seed(1)
    two = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    one = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    with torch.no_grad():
        one[1].weight.copy_(((two[1].weight[1] - two[1].weight[0]) / 3).repeat(3)[None])
    grey = torch.rand(2, 1, 8, 8)
    mask = torch.ones(2, 8, 8, dtype=torch.bool)
    plain, triple = Preprocess(8, channels=1, mean=(0.0,), std=(1.0,)), Preprocess(8, mean=(0.0,) * 3, std=(1.0,) * 3)
    softmax = wrong_reasons(two, grey, mask, Classifier(two, ("a", "b"), plain))
    sigmoid = wrong_reasons(one, grey.expand(2, 3, 8, 8), mask, Classifier(one, ("a", "b"), triple, head="sigmoid"))
    assert sigmoid.detach().numpy() == pytest.approx(softmax.detach().numpy(), rel=1e-4)


def test_sees_what_saturates_at_the_film_and_leaves_batch_norm_alone() -> None:
    """max(x − 0.5, 0) clipped at 0.1 is flat at a bright film and steep on the way to its mean."""

    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.norm(x)
            return self.weight * (x[:, 0, 0, :1] - 0.5).clamp(0, 0.1)

    network = Steep()
    classifier = Classifier(network, ("a", "b"), Preprocess(8, channels=1, mean=(0.0,), std=(1.0,)), head="sigmoid")
    film = torch.zeros(64, 1, 8, 8)
    film[:, :, 0, 0] = 1.0
    mask = torch.zeros(64, 8, 8, dtype=torch.bool)
    mask[:, 0, 0] = True
    assert wrong_reasons(network, film, mask, classifier).sum() > 0
    assert network.norm.running_mean is not None and float(network.norm.running_mean) == 0.0
    assert network.norm.momentum == 0.1


def _linear(weights: torch.Tensor) -> tuple[nn.Module, Classifier]:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.stack([torch.zeros(64), weights]))
    return network, Classifier(network, ("a", "b"), Preprocess(8, channels=1, mean=(0.5,), std=(0.25,)))


def test_relevance_by_hand_on_a_linear_model() -> None:
    """R = (x − x̄) · w wherever it is asked for; the ranked mean, the ratio and the bounds in plain loops."""
    torch.manual_seed(2)
    network, classifier = _linear(torch.randn(64))
    films, mask = torch.randn(3, 1, 8, 8), torch.rand(3, 8, 8) < 0.4
    mask[2] = False
    between = (2.0, 6.0)
    found = relevance_outside(network, films, mask, classifier, between).detach().numpy()
    d = 1 - 1 / max(1.0, 0.005 * 64)
    for k in range(2):
        film, own = films[k, 0].numpy(), mask[k].numpy()
        size = np.abs((film - film.mean()) * network[1].weight[1].detach().view(8, 8).numpy())
        ranked = sorted((size * own).ravel(), reverse=True)
        top = sum(d**i * v for i, v in enumerate(ranked)) / sum(d**i for i in range(64))
        inside = size[~own].sum()
        above = max(inside - between[1], 0) / between[0]
        bounds = min(inside / between[0] - 1, 0) ** 2 + (above**2 if above < 1 else above)
        assert found[k] == pytest.approx(np.log(1 + top / size[~own].mean()) + bounds, rel=1e-4)
    assert found[2] == 0  # nothing is irrelevant


def test_relevance_is_layerwise_relevance_propagation_without_biases() -> None:
    """LRP-0 by its own rule, a_j w_jk / z_k R_k layer by layer, of a ReLU network without biases."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 9, bias=False), nn.ReLU(), nn.Linear(9, 1, bias=False))
    classifier = Classifier(network, ("a", "b"), Preprocess(8, channels=1, mean=(0.0,), std=(1.0,)), head="sigmoid")
    film = torch.randn(1, 1, 8, 8)
    film -= film.mean()  # the input's zero
    gradient = _gradient(network, film, torch.zeros(1, 8, 8, dtype=torch.bool), classifier)[0, 0].detach()
    x, first, last = film.flatten(), network[1].weight.detach(), network[3].weight.detach()[0]
    z = first @ x
    hidden = z.clamp(min=0) * last  # R of the hidden units: the output is their sum
    by_rule = sum(first[k] * x / z[k] * hidden[k] for k in range(9))
    assert isinstance(by_rule, torch.Tensor)
    assert (film[0, 0] * gradient).numpy() == pytest.approx(by_rule.view(8, 8).numpy(), abs=1e-5)


def test_relevance_outside_adds_up_to_what_hiding_it_does() -> None:
    """Over the points between, the mean of Σ_A R is m(film) − m(film with A at its mean), with biases too."""
    torch.manual_seed(4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 1))
    classifier = Classifier(network, ("a", "b"), Preprocess(8, channels=1, mean=(0.0,), std=(1.0,)), head="sigmoid")
    film, mask = 3 * torch.randn(1, 1, 8, 8), torch.rand(1, 8, 8) < 0.5
    many = film.expand(20000, -1, -1, -1)
    gradient = _gradient(network, many, mask.expand(20000, -1, -1), classifier).detach()
    outside = ((many - film.mean()) * gradient)[:, 0][:, mask[0]].sum(1).mean()
    hidden = torch.where(mask[:, None], film.mean(), film)
    assert float(outside) == pytest.approx(float((network(film) - network(hidden)).detach()), rel=0.03)


def test_relevance_cannot_be_gamed_by_scale_and_sees_what_saturates() -> None:
    torch.manual_seed(5)
    network, classifier = _linear(torch.randn(64))
    films, mask = torch.randn(4, 1, 8, 8), torch.rand(4, 8, 8) < 0.4
    wide = (1e-6, 1e6)
    before = relevance_outside(network, films, mask, classifier, wide).detach()
    with torch.no_grad():
        network[1].weight *= 0.01
    assert relevance_outside(network, films, mask, classifier, wide).detach().numpy() == pytest.approx(
        before.numpy(), rel=1e-3
    )
    # Below C1 and above C2 it costs, more the further.
    low, high = (
        float(relevance_outside(network, films, mask, classifier, b)[0].detach()) for b in ((5.0, 9.0), (1e-3, 2e-3))
    )
    assert low > float(before[0]) + 0.5 and high > float(before[0]) + 0.5

    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.weight * (x[:, 0, 0, :1] - 0.5).clamp(0, 0.1) + x[:, 0, 4, :1]

    steep = Steep()
    plain = Classifier(steep, ("a", "b"), Preprocess(8, channels=1, mean=(0.0,), std=(1.0,)), head="sigmoid")
    film, corner = torch.zeros(64, 1, 8, 8), torch.zeros(64, 8, 8, dtype=torch.bool)
    film[:, :, 0, 0] = film[:, :, 4, 0] = 1.0
    corner[:, 0, 0] = True
    assert relevance_outside(steep, film, corner, plain, wide).sum() > 0  # the film itself is flat there


def test_the_natural_range_is_that_of_the_films() -> None:
    torch.manual_seed(6)
    network, classifier = _linear(torch.randn(64))
    films = torch.randn(40, 1, 8, 8)
    low, high = natural_range(classifier, films)
    centred = films[:, 0] - films.mean((2, 3))[:, :, None]
    total = (centred * network[1].weight[1].view(8, 8)).abs().sum((1, 2)).detach().double()
    mean, spread = float(total.mean()), float(total.std())
    assert low == pytest.approx(max(mean / 5, mean - 3 * spread)) and high == pytest.approx(
        min(25 * low, mean + 3 * spread)
    )
    with pytest.raises(ConfigError, match="one of the two penalties"):
        TrainConfig(right_reasons=1.0, relevance=1.0)


def _films(count: int = 64) -> tuple[PixelCache, np.ndarray]:
    """Ill films have a striped left upper corner and a brighter middle; True where the corner is."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    films = rng.normal(110, 12, (count, SIDE, SIDE))
    films[labels == 1, 2:8, 2:8] += STRIPES
    films[labels == 1, 12:24, 12:24] += 30
    records = tuple(Record(None, f"f{i}", int(labels[i]), f"p{i}") for i in range(count))  # pyright: ignore[reportArgumentType]
    preprocess = Preprocess(SIDE, channels=1, mean=(0.5,), std=(0.25,))
    irrelevant = np.zeros((count, SIDE, SIDE), bool)
    irrelevant[:, :11, :11] = True
    pixels = np.clip(np.rint(films), 0, 255).astype(np.uint8)
    return PixelCache(pixels, records, ((SIDE, SIDE),) * count, preprocess), irrelevant


def _follows_corner(**penalty: float) -> float:
    """How much further the corner moves the answer than the middle does, after training with a penalty on it."""
    cache, irrelevant = _films()
    start, _ = build("small_cnn", size=SIDE, widths=(8, 16), hidden=0, dropout=0.0, pretrained=False, seed=0)
    start = start.with_(preprocess=cache.preprocess)
    config = TrainConfig(epochs=40, lr=3e-3, precision="32", **penalty)
    learn = Loader(cache, batch_size=16, shuffle=True, irrelevant=irrelevant)
    found = fit(start, learn, Loader(cache, batch_size=64), config).classifier
    healthy = np.asarray(cache.pixels[::2])
    corner = healthy.copy()
    corner[:, 2:8, 2:8] = np.clip(corner[:, 2:8, 2:8] + STRIPES, 0, 255).astype(np.uint8)

    def margin(films: np.ndarray) -> torch.Tensor:
        logits = found.logits(cache.preprocess.normalise(torch.from_numpy(films)))
        return logits[:, 1] - logits[:, 0]

    ill = margin(np.asarray(cache.pixels[1::2])).mean() - margin(healthy).mean()
    return float((margin(corner) - margin(healthy)).mean() / ill)


def test_the_penalty_weans_a_network_off_what_it_covers() -> None:
    without, reasons, relevance = _follows_corner(), _follows_corner(right_reasons=10.0), _follows_corner(relevance=1.0)
    assert without > 0.18
    assert reasons < 0.65 * without
    assert relevance < 0.65 * without


def test_resumes_bit_for_bit_and_needs_masks(tmp_path) -> None:
    cache, irrelevant = _films(32)
    start, _ = build("small_cnn", size=SIDE, widths=(8, 16), hidden=0, dropout=0.1, pretrained=False, seed=0)
    config = TrainConfig(epochs=2, precision="32", right_reasons=0.1)

    def learn(masks: np.ndarray | None) -> Loader:
        return Loader(cache, batch_size=8, shuffle=True, irrelevant=masks)

    straight = fit(start, learn(irrelevant), learn(None), config).classifier
    with pytest.raises(_Stop):
        fit(start, learn(irrelevant), learn(None), config, out=tmp_path, on_epoch=_stop)
    resumed = fit(start, learn(irrelevant), learn(None), config, out=tmp_path).classifier
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    with pytest.raises(ConfigError, match="True where the answer must not come from"):
        fit(start, learn(None), learn(None), config)
    with pytest.raises(ConfigError, match="another training"):
        fit(start, learn(~irrelevant), learn(None), config, out=tmp_path)
    with pytest.raises(ConfigError, match="right_reasons"):
        dataclasses.replace(config, right_reasons=-1.0)


class _Stop(Exception):
    pass


def _stop(_: object) -> None:
    raise _Stop
