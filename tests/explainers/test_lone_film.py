"""One film alone: no pass more than the method needs, and no check less."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import radiolucent as rl
from radiolucent.errors import ExplainError, ModelError
from radiolucent.models.per_network import structure_of
from radiolucent.models.settings import settings_of
from radiolucent.passes.goal import Goal

NAMES = ("NORMAL", "PNEUMONIA")
PRE = rl.Preprocess(32, "squash", 1, (0.5,), (0.5,))
FILM = rl.from_array(np.random.default_rng(1).random((32, 32)).astype(np.float32))


class Net(nn.Module):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c1, self.norm, self.c2, self.fc = (
            nn.Conv2d(1, 6, 3, 2, 1),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 8, 3, 2, 1),
            nn.Linear(8, 2),
        )
        self.norm.running_mean.fill_(0.1)  # pyright: ignore[reportOptionalMemberAccess]
        self.last, self.factor, self.asked = nn.ReLU(), 1.0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return self.factor * self.fc(self.last(self.c2(F.relu(self.norm(self.c1(x))))).mean((2, 3)))


METHODS: dict[str, tuple[rl.Explainer, int]] = {
    "cam": (rl.CAM(), 1),
    "gradcam": (rl.GradCAM(), 1),
    "saliency": (rl.Saliency(), 1),
    "guided": (rl.GuidedBackprop(), 1),
    "guided gradcam": (rl.GuidedGradCAM(), 1),
    "lrp": (rl.LRP(), 1),
    "composite": (rl.LRP(composite="epsilon-plus"), 1),
    "deeplift": (rl.DeepLift(), 2),
}


@pytest.mark.parametrize("name", METHODS)
def test_passes_and_logits(name: str) -> None:
    method, passes = METHODS[name]
    network = Net().eval()
    clf = rl.Classifier(network, NAMES, PRE)
    rl.explain(clf, FILM, method, target=1)  # finds the layer, once
    network.asked = 0
    found = rl.explain(clf, FILM, method, target=1)
    assert network.asked == passes
    expected = clf.logits(clf.preprocess(FILM)[None])[0]
    np.testing.assert_allclose(found.logits, expected, rtol=1e-5)
    assert found.score == pytest.approx(float(expected[1]), rel=1e-5)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "cam"])  # which needs a dense layer and nothing behind
def test_a_change_between_two_calls_is_seen(name: str) -> None:
    method, _ = METHODS[name]
    network = Net().eval()
    clf = rl.Classifier(network, NAMES, PRE)
    before = rl.explain(clf, FILM, method, target=1)
    network.factor = 2.0
    after = rl.explain(clf, FILM, method, target=1)
    times = 4.0 if name == "guided gradcam" else 2.0  # a product of two maps; ε-LRP is 2 but for ε
    np.testing.assert_allclose(after.map, times * before.map, rtol=1e-2, atol=1e-4 * np.abs(before.map).max())
    assert after.score == pytest.approx(2 * before.score, rel=1e-4)


def test_a_change_by_the_users_own_method_is_seen() -> None:
    looks: list[bool] = []

    @dataclass(frozen=True)
    class Changes(rl.Explainer):
        def attribute(
            self, classifier: rl.Classifier, inputs: torch.Tensor, goal: Goal, generator: torch.Generator
        ) -> torch.Tensor:
            network: Any = classifier.network
            for change in (partial(setattr, network, "factor", 3.0), partial(setattr, network, "last", nn.ReLU6())):
                before = structure_of(network), settings_of(network)
                change()
                looks.append(before != (structure_of(network), settings_of(network)))
            return inputs[:, 0]

    clf = rl.Classifier(Net().eval(), NAMES, PRE)
    rl.explain(clf, FILM, Changes(), target=1)
    assert looks == [True, True]


def test_several_methods_share_what_the_first_pass_gave() -> None:
    clf = rl.Classifier(Net().eval(), NAMES, PRE)
    alone = rl.explain(clf, FILM, rl.Saliency(), target=1)
    first, second = rl.explain(clf, FILM, [rl.GuidedBackprop(), rl.Saliency()], target=1)
    assert first.logits == second.logits
    np.testing.assert_allclose(second.map, alone.map, rtol=1e-5, atol=1e-7)


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.fc = nn.Conv2d(1, 6, 3, 2, 1, dtype=torch.cfloat), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.c1(x.to(torch.cfloat)).abs().mean((2, 3)))


@pytest.mark.parametrize("method", [rl.DeepLift(), rl.LRP()], ids=["deeplift", "lrp"])
def test_complex_numbers_are_refused_by_rules(method: rl.Explainer) -> None:
    clf = rl.wrap(Complex().eval(), NAMES, preprocess=PRE)
    with pytest.raises(ExplainError, match=r"Use IntegratedGradients\(\)"):
        rl.explain(clf, FILM, method, target=1)
    assert np.isfinite(rl.explain(clf, FILM, rl.IntegratedGradients(4), target=1).map).all()


def test_lrp_says_how_far_it_goes_where_films_are_standardised() -> None:
    class PerFilm(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            middle = x.mean((1, 2, 3), keepdim=True)
            return super().forward((x - middle) / ((x - middle).square().mean((1, 2, 3), keepdim=True).sqrt() + 0.05))

    clf = rl.Classifier(PerFilm().eval(), NAMES, PRE)
    with pytest.raises(ExplainError, match=r"no rule for 'square'.*LRP\(layer=NAME\)"):
        rl.explain(clf, FILM, rl.LRP(), target=1)
    assert np.abs(rl.explain(clf, FILM, rl.LRP(layer="c1"), target=1).map).max() > 0


@pytest.mark.parametrize("given", [{"logits": 1}, None, [1.0], ()])
def test_what_is_no_tensor_is_refused(given: Any) -> None:
    class Odd(Net):
        def forward(self, x: torch.Tensor) -> Any:
            found = super().forward(x)
            return {"logits": found} if isinstance(given, dict) else given

    clf = rl.Classifier(Odd().eval(), NAMES, PRE)
    with pytest.raises(ModelError, match=r"the network gives a (dict|NoneType|list|tuple).*radiolucent\.wrap"):
        rl.explain(clf, FILM, rl.GradCAM(), target=1)
