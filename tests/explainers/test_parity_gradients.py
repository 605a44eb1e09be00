"""Gradient methods and DeepLift against captum, and against their definitions."""

import captum.attr as captum
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import (
    LRP,
    DeepLift,
    GradientSHAP,
    GuidedBackprop,
    GuidedGradCAM,
    InputTimesGradient,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
    deeplift,
    explain,
)
from radiolucent.explainers.baselines import reference
from radiolucent.explainers.guidedbackprop import Guided
from radiolucent.models import Classifier, build
from radiolucent.types import Radiograph
from support.explainer_cases import wrap


@pytest.fixture(scope="module")
def clf() -> Classifier:
    """Three channels of different scale, batch norms that do something, overlap-free max pooling, a dense layer."""
    clf, _ = build("small_cnn", size=48, channels=3, widths=(6, 8), hidden=10, seed=4)
    torch.manual_seed(0)
    for m in clf.network.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.bias, 0, 0.3)
            nn.init.normal_(m.running_mean, 0, 0.3)
    from radiolucent.images import Preprocess

    return clf.with_(preprocess=Preprocess(48, "squash", 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))


@pytest.fixture(scope="module")
def film() -> Radiograph:
    return rl.from_array(np.random.default_rng(1).random((48, 48)).astype(np.float32))


def close(ours: NDArray[np.float32], theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
    other = theirs.detach().numpy()
    assert np.abs(other).max() > 0
    assert np.abs(ours - other).max() <= tolerance * np.abs(other).max()


def test_saliency_is_the_derivative_by_the_grey_level(clf, film) -> None:
    x = clf.preprocess(film)[None].requires_grad_()
    gradient = captum.Saliency(clf.network).attribute(x, target=1, abs=False)[0]
    close(
        explain(clf, film, Saliency(), target=1).map, (gradient / torch.tensor([0.2, 0.25, 0.3])[:, None, None]).sum(0)
    )
    close(explain(clf, film, Saliency(join="max"), target=1).map, gradient.abs().amax(0))
    grey = torch.from_numpy(film.pixels).double()
    network, step = clf.network.double(), 1e-6
    change = torch.zeros(48, 48, dtype=torch.float64)
    change[20, 30] = step
    both = [(g[None] - 0.0) for g in (grey + change, grey - change)]
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    up, down = (float(network(((g - mean) / std)[None])[0, 1].detach()) for g in both)
    network.float()
    exact = explain(clf.with_(), rl.from_array(film.pixels), Saliency(), target=1).map[20, 30]
    assert (up - down) / (2 * step) == pytest.approx(exact, rel=0.05)  # 8-bit input


def test_input_times_gradient(clf, film) -> None:
    x = clf.preprocess(film)[None].requires_grad_()
    e = explain(clf, film, InputTimesGradient(), target=1)
    close(e.map, captum.InputXGradient(clf.network).attribute(x, target=1)[0].sum(0))


@pytest.mark.parametrize("baseline", ["black", "grey", "mean", "blur", "zero", 0.2])
def test_integrated_gradients_are_captums_and_complete(clf, film, baseline) -> None:
    x = clf.preprocess(film)[None].requires_grad_()
    start = reference(baseline, clf, x.detach())
    e = explain(clf, film, IntegratedGradients(steps=20, baseline=baseline), target=1)
    theirs = captum.IntegratedGradients(clf.network).attribute(
        x, start, target=1, n_steps=20, method="gausslegendre", internal_batch_size=20
    )
    close(e.map, theirs[0].sum(0))
    fine = explain(clf, film, IntegratedGradients(steps=200, baseline=baseline, rule="midpoint"), target=1)
    assert fine.details["completeness_relative"] < 0.05
    change = fine.details["score"] - fine.details["reference_score"]
    assert fine.map.sum() - change == pytest.approx(fine.details["completeness_error"], abs=1e-3)
    assert fine.details["score"] == pytest.approx(fine.score, abs=1e-5)


def test_baselines_are_what_they_are_called(clf, film) -> None:
    x = clf.preprocess(film)[None]
    grey = {
        b: clf.preprocess.denormalise(reference(b, clf, x))[0] for b in ("black", "grey", "white", "mean", "blur", 0.2)
    }
    for name, level in (("black", 0), ("grey", 0.5), ("white", 1), (0.2, 0.2), ("mean", film.pixels.mean())):
        assert torch.allclose(grey[name], torch.tensor(float(level)), atol=2e-3)
    assert grey["blur"].std() < 0.2 * film.pixels.std()
    assert grey["blur"].mean() == pytest.approx(film.pixels.mean(), abs=0.01)
    assert not reference("zero", clf, x).any()
    for bad in ("pink", 1.5, -0.1):
        with pytest.raises(ConfigError, match="baseline"):
            IntegratedGradients(baseline=bad)


@pytest.mark.filterwarnings("ignore::UserWarning")  # captum warns of its hooks
@pytest.mark.parametrize("pool", [False, True])
def test_deeplift_is_captums(clf, film, pool) -> None:
    """Where captum's adds up. On the small CNN it is 1.5 % off, and ours is not. Max pooling over a reference without
    ties: where several places of a window are largest, either may get the share."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten()]
    if pool:
        layers = [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten()]
    plain = wrap(nn.Sequential(*layers, nn.Linear(2116 if pool else 7744, 2)), 48)
    x = plain.preprocess(film)[None].requires_grad_()
    start = reference("blur", plain, x.detach())
    theirs, delta = captum.DeepLift(plain.network).attribute(x, start, target=1, return_convergence_delta=True)
    assert abs(float(delta)) < 1e-5
    close(explain(plain, film, DeepLift(baseline="blur"), target=1).map, theirs[0].sum(0))
    own = explain(clf, film, DeepLift(baseline="blur"), target=1)
    assert own.details["completeness_relative"] < 1e-4


class Tricky(nn.Module):
    """What captum's DeepLift cannot take: a ReLU6 used twice, in place, functional, overlapping max pooling, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act, self.head = nn.ReLU6(inplace=True), nn.Linear(8, 2)
        nn.init.constant_(self.first.weight[:1], 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.act(self.first(x))
        b = F.max_pool2d(self.act(self.second(a)) + a, 3, stride=2, padding=1)
        c = F.avg_pool2d(a, 2)
        F.relu(b.sub_(0.2), inplace=True)  # its return value is not looked at
        return self.head(torch.cat([b, c], 1).mean((2, 3)))


def test_deeplifts_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Film and reference agree in a border, where the slope is the derivative; a PReLU has other slopes by channel."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU6(), nn.Conv2d(6, 5, 3), nn.PReLU(5), nn.Conv2d(5, 4, 3, stride=2), nn.GELU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.SiLU(), nn.Linear(3, 2),
    )  # fmt: skip
    made = wrap(network.eval())
    pixels = np.random.default_rng(2).random((made.preprocess.size,) * 2).astype(np.float32)
    pixels[:, :20] = 0
    films = [rl.from_array(pixels), rl.from_array(pixels[::-1].copy())]
    maps = []
    for block in (deeplift.BLOCK, 37, 1000):
        monkeypatch.setattr(deeplift, "BLOCK", block)
        found = explain(made, films, DeepLift(), target=1)
        assert all(e.details["completeness_relative"] < 1e-4 for e in found)
        maps.append(np.stack([e.map for e in found]))
    assert np.abs(maps[0]).max() > 0
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-5, atol=1e-7 * np.abs(maps[0]).max())
    np.testing.assert_allclose(maps[2], maps[0], rtol=1e-5, atol=1e-7 * np.abs(maps[0]).max())
    # and the border's slopes are derivatives: two references a hair apart, one of them equal to the film there
    near = explain(made, films[0], DeepLift(baseline=1e-3), target=1).map
    exact = explain(made, films[0], DeepLift(), target=1).map
    assert np.abs(near - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize("score", ["logit", "probability", "margin"])
def test_deeplift_is_complete_where_captums_is_not(film, score) -> None:
    torch.manual_seed(0)
    clf = wrap(Tricky(), 48)
    assert (clf.network.act(clf.network.first(clf.preprocess(film)[None])) == 6).any()
    e = explain(clf, film, DeepLift(), target=1, score=score)
    assert e.details["completeness_relative"] < 1e-4
    many = explain(clf, [film, film], DeepLift(baseline="mean"), target=1, score=score)
    np.testing.assert_allclose(many[0].map, many[1].map, atol=1e-6)
    assert many[0].details["completeness_relative"] < 1e-3


def test_gradient_shap_with_one_reference_is_integrated_gradients(clf, film) -> None:
    many = explain(clf, film, GradientSHAP(samples=400, references=("black",)), target=1)
    line = explain(clf, film, IntegratedGradients(steps=400), target=1)
    close(many.map, torch.from_numpy(line.map), 0.02)
    assert many.details["completeness_relative"] < 0.02
    normal = rl.from_array(np.full((48, 48), 0.5, np.float32))
    own = explain(clf, film, GradientSHAP(samples=64, references=(), films=(normal,)), target=1)
    grey = explain(clf, film, GradientSHAP(samples=64, references=(128 / 255,)), target=1)
    np.testing.assert_allclose(own.map, grey.map, atol=1e-5)
    assert "films" not in own.parameters
    with pytest.raises(ConfigError):
        GradientSHAP(samples=2)


def test_smoothgrad_against_a_plain_loop(clf, film) -> None:
    x = clf.preprocess(film)[None].requires_grad_()
    half = torch.randn((3, 1, 48, 48), generator=torch.Generator().manual_seed(5))
    total = torch.zeros(3, 48, 48)
    for eta in torch.cat([half, -half]):
        noisy = (x + 0.1 * (x.max() - x.min()) * eta).requires_grad_()
        total += torch.autograd.grad(clf.network(noisy)[0, 1], noisy)[0][0] / 6
    e = explain(clf, film, SmoothGrad(samples=6, noise=0.1, batch_size=4), target=1, seed=5)
    close(e.map, (total / torch.tensor([0.2, 0.25, 0.3])[:, None, None]).sum(0))


@pytest.mark.filterwarnings("ignore::UserWarning")  # captum warns of its hooks
def test_guided_backpropagation_and_guided_gradcam_are_captums(clf, film) -> None:
    x, scale = clf.preprocess(film)[None], torch.tensor([0.2, 0.25, 0.3])[:, None, None]
    guided = captum.GuidedBackprop(clf.network).attribute(x, target=1)[0]
    close(explain(clf, film, GuidedBackprop(), target=1).map, (guided / scale).sum(0))
    layer = clf.network.blocks[0].act1
    both = captum.GuidedGradCam(clf.network, layer).attribute(x, target=1, interpolate_mode="bilinear")[0]
    close(explain(clf, film, GuidedGradCAM(layer="blocks.0.act1"), target=1).map, (both / scale).sum(0))


def test_guided_backpropagation_through_relu6_and_functions(film) -> None:
    torch.manual_seed(0)
    clf = wrap(Tricky(), 48)
    plain, guided = (explain(clf, film, m, target=1).map for m in (Saliency(), GuidedBackprop()))
    assert (guided != plain).any() and guided.any()


class Beside(nn.Module):
    """An activation out of place whose input, or output, goes on being used."""

    def __init__(self, act: nn.Module, into: bool) -> None:
        super().__init__()
        self.first, self.act, self.into = nn.Conv2d(1, 6, 3), act, into
        self.last = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        out = self.act(h)
        if self.into:
            out += 0.5 * h
        else:
            out = out + h
        return self.last(out.mean((2, 3)))


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU6(), nn.ELU(), nn.Softplus(), nn.Hardtanh()])
def test_rules_leave_the_network_what_it_computes(film, act: nn.Module, into: bool) -> None:
    torch.manual_seed(2)
    clf = wrap(Beside(act, into), 48)
    found = explain(clf, film, DeepLift(), target=1)
    assert found.details["score"] == pytest.approx(found.score, abs=1e-5)
    assert abs(found.details["completeness_error"]) < 1e-4
    if not isinstance(act, nn.Softplus):  # a gate, which ε-LRP refuses
        assert explain(clf, film, LRP(), target=1).score == found.score


class _ByHand(torch.autograd.Function):
    """ReLU6 with the guided rule written out."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return z.clamp(0, 6)

    @staticmethod
    def backward(ctx, *grads):
        (z,) = ctx.saved_tensors
        return grads[0].clamp(min=0) * ((z > 0) & (z < 6))


@pytest.mark.parametrize("how", ["plain", "in place", "in place on a part"])
def test_the_guided_rule_where_gradients_meet(how: str) -> None:
    """An activation used twice, its output used elsewhere, and one written into a part of a tensor."""
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    signs = torch.tensor([1.0, -1.0, 0.5, -0.5, 2.0, -2.0])

    def score(act) -> torch.Tensor:
        u = 4 * x + 0.1
        if how == "in place on a part" and act is not _ByHand.apply:
            a = u.clone()
            nn.functional.relu6(a[:, :3], inplace=True)
        elif how == "in place on a part":
            a = torch.cat([act(u[:, :3]), u[:, 3:]], 1)
        else:
            a = act(u)
        b = act(a - 0.3)
        return ((a + b) * signs).sum() + (act(a + b) * signs.flip(0)).sum()

    rules = Guided()
    with rules:
        guided = score(lambda t: nn.functional.relu6(t, inplace=how == "in place"))
    rules.looked_through(guided)
    found = torch.autograd.grad(guided, x)[0]
    assert torch.allclose(found, torch.autograd.grad(score(_ByHand.apply), x)[0], atol=1e-6)
    rules.guiding = False
    with rules:
        unguided = score(nn.functional.relu6)
    rules.looked_through(unguided)
    plain = torch.autograd.grad(unguided, x)[0]
    assert not torch.allclose(plain, found)


def test_a_network_without_gradients_says_so(film) -> None:
    class Box(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(np.stack([x.detach().numpy().mean((1, 2, 3))] * 2, 1))

    for method in (Saliency(), IntegratedGradients(steps=1), InputTimesGradient()):
        with pytest.raises(ExplainError, match=r"LIME\(\)"):
            explain(wrap(Box(), 48), film, method, target=1)
