"""LRP's rules by layer, against zennit with its canonizers for batch norms."""

from typing import Any

import numpy as np
import pytest
import torch
import zennit.composites as theirs
from torch import nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.torchvision import ResNetCanonizer

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import LRP, AttnLRP, explain
from support.explainer_cases import make, noise_films

NAMES = ("NORMAL", "PNEUMONIA")


def classifier_of(network: nn.Module, size: int = 32) -> rl.Classifier:
    torch.manual_seed(0)
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):  # as after training
            nn.init.normal_(m.weight, 1, 0.3), nn.init.normal_(m.bias, 0, 0.3)
            nn.init.normal_(m.running_mean, 0, 0.2), nn.init.uniform_(m.running_var, 0.5, 1.5)
    return rl.Classifier(
        network.eval().double(), NAMES, rl.Preprocess(size, "squash", 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    )


def plain() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, stride=2),
        nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, bias=False, groups=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(32, 7), nn.ReLU(), nn.Linear(7, 2),
    )  # fmt: skip


def resnet() -> nn.Module:
    from torchvision.models.resnet import BasicBlock, ResNet

    torch.manual_seed(1)
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)


def zennits(composite: Any, clf: rl.Classifier, film: rl.Radiograph) -> np.ndarray[Any, Any]:
    x = clf.preprocess(film)[None].double().requires_grad_()
    with Gradient(clf.network, composite) as attributor:
        z = clf.network(x.detach())
        _, relevance = attributor(x, torch.stack([torch.zeros_like(z[:, 0]), z[:, 1]], 1).detach())
    return relevance.detach().sum(1)[0].numpy()


@pytest.mark.parametrize("network", [plain, resnet])
@pytest.mark.parametrize("name", [n for n in sorted(theirs.COMPOSITES) if n.startswith("epsilon")])
def test_composites_are_zennits(name: str, network: Any) -> None:
    clf, film = classifier_of(network()), noise_films(1)[0]
    edges = {}
    if "box" in name:
        low, high = clf.preprocess.normalise(torch.tensor([0.0, 1.0]).view(2, 1, 1)).double()
        edges = {"low": low[None], "high": high[None]}
    canonizer = [ResNetCanonizer()] if network is resnet else [SequentialMergeBatchNorm()]
    expected = zennits(theirs.COMPOSITES[name](canonizers=canonizer, **edges), clf, film)
    ours = explain(clf, film, LRP(composite=name.replace("_", "-"), epsilon=1e-6), target=1)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(ours.map, expected, atol=1e-3 * np.abs(expected).max())


def test_ranges_of_layers() -> None:
    """A composite by name is its ranges; a name that begins with epsilon everywhere is plain LRP-ε, layer by layer."""
    clf, film = classifier_of(plain()), noise_films(1)[0]
    by_name = explain(clf, film, LRP(composite="epsilon-plus-flat"), target=1).map
    for parts in (
        [("flat", 0, 1), ("alpha1-beta0", 1, 3)],
        [("flat", 0, 1), ("epsilon", -2, None), ("z+", 0, None)],  # the first that fits counts
    ):
        np.testing.assert_allclose(explain(clf, film, LRP(composite=parts), target=1).map, by_name, atol=1e-9)
    plainly = explain(clf, film, LRP(epsilon=1e-9), target=1)
    for parts in ([], [("gamma", 0, None)]):
        ours = explain(clf, film, LRP(composite=parts, gamma=0.0, epsilon=1e-9), target=1)
        np.testing.assert_allclose(ours.map, plainly.map, atol=1e-4 * np.abs(plainly.map).max())
        assert ours.details["bias_share"] == pytest.approx(plainly.details["bias_share"], rel=1e-3)


@pytest.mark.parametrize("composite", ["epsilon-plus-flat", "epsilon-gamma-box"])
def test_the_books_of_a_composite_balance(composite: str) -> None:
    """Also where zeros are put around the image by a function of its own."""
    clf, films = make("mobilenetv1"), noise_films(2)
    for e in explain(clf, films, LRP(composite=composite, epsilon=1e-7), target=1):
        d = e.details
        size = abs(d["bias_share"]) + float(np.abs(e.map).sum())
        assert abs(d["epsilon_share"]) <= 2e-3 * size and "broken_promise" not in d, d
    alone = explain(clf, films[1], LRP(composite=composite, epsilon=1e-7, conserve=False), target=1)
    np.testing.assert_allclose(alone.map, e.map, atol=1e-4 * np.abs(e.map).max())
    assert e.parameters["composite"] == composite


def test_composites_for_transformers() -> None:
    clf, film = make("vit"), noise_films(1)[0]
    plainly = explain(clf, film, AttnLRP(epsilon=1e-7), target=1)
    same = explain(clf, film, AttnLRP(epsilon=1e-7, composite=[("gamma", 0, None)], gamma=0), target=1)
    np.testing.assert_allclose(same.map, plainly.map, atol=1e-3 * np.abs(plainly.map).max())
    gamma = explain(clf, film, AttnLRP(composite=[("gamma", 0, None)]), target=1)
    assert np.abs(gamma.map - plainly.map).max() > 0.01 * np.abs(plainly.map).max()
    assert "broken_promise" not in gamma.details


def test_what_a_composite_cannot_be() -> None:
    film = noise_films(1)[0]
    for wrong, why in (
        ("epsilon-plus-round", "epsilon-plus-flat"),
        ([("delta", 0, 1)], "rule 'delta'"),
        ([("gamma", 0)], "from, to"),
        ([("gamma", "conv1", "conv3")], "from, to"),
    ):
        with pytest.raises(ConfigError, match=why):
            LRP(composite=wrong)
    with pytest.raises(ConfigError, match="gamma -1"):
        LRP(gamma=-1)
    for composite in ([("flat", 1, 2)], [("box", 0, 2)]):
        with pytest.raises(ExplainError, match="layer 1 takes something else than the image"):
            explain(classifier_of(plain()), film, LRP(composite=composite), target=1)

    class Scaled(nn.Module):
        """What it is given first is the image in other units: place by place, but not as it is."""

        def __init__(self) -> None:
            super().__init__()
            self.rest = plain()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rest(x * 2 - 0.5)

    scaled = classifier_of(Scaled())
    flat = explain(scaled, film, LRP(composite="epsilon-plus-flat"), target=1)
    assert "broken_promise" not in flat.details and np.abs(flat.map).max() > 0
    with pytest.raises(ExplainError, match="layer 0 takes something else"):
        explain(scaled, film, LRP(composite="epsilon-gamma-box"), target=1)
