"""The contract every method keeps, and parity with independent implementations."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from lime.lime_base import LimeBase
from pytorch_grad_cam import GradCAM as OtherGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

import radiolucent as rl
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import (
    CAM,
    LIME,
    METHODS,
    Explainer,
    GradCAM,
    explain,
    lime_view,
    load_explanation,
    save_explanation,
)
from radiolucent.explainers.base import Goal
from radiolucent.explainers.lime.design import design
from radiolucent.explainers.lime.fit import closeness, fit_ridge
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build, freeze
from radiolucent.types import Radiograph

FAST = {"gradcam": GradCAM(), "cam": CAM(), "lime": LIME(num_samples=200, segmentation="slic", hide_color=0.0)}
assert set(FAST) == set(METHODS)


class Blob(nn.Module):
    """Its PNEUMONIA logit is the mean grey level; its only feature maps are the image itself, bright and dark."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [gain, 0.0]]))
            self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).mean((2, 3)))


def wrap(network: nn.Module, size: int = 64, channels: int = 1, head: str = "softmax") -> Classifier:
    pre = Preprocess(size, "squash", channels, (0.0,) * channels, (1.0,) * channels)
    return Classifier(network, ("NORMAL", "PNEUMONIA"), pre, head=head)  # type: ignore[arg-type]


def blob_film(row: int = 40, column: int = 20, side: int = 64) -> Radiograph:
    y, x = np.mgrid[0:side, 0:side]
    pixels = 0.9 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 50)
    return rl.from_array(pixels.astype(np.float32), image_id="blob")


@pytest.fixture(scope="module")
def films() -> list[Radiograph]:
    rng = np.random.default_rng(0)
    return [rl.from_array(rng.random((70, 80)).astype(np.float32), image_id=str(i)) for i in range(3)]


@pytest.fixture(scope="module")
def network() -> Classifier:
    return build("small_cnn", size=64, hidden=0, seed=1)[0]


@pytest.mark.parametrize("name", METHODS)
class TestContract:
    def test_shape_finite_seeded_and_batch_is_one_by_one(self, name, network, films) -> None:
        method = FAST[name]
        maps = explain(network, films, method, target="PNEUMONIA", seed=4)
        for film, e in zip(films, maps, strict=True):
            assert e.map.shape == (64, 64) and e.map.dtype == np.float32 and np.isfinite(e.map).all()
            alone = explain(network, film, method, target=1, seed=4)
            np.testing.assert_allclose(alone.map, e.map, atol=1e-5)
            assert (e.image_id, e.target_name, e.method) == (film.image_id, "PNEUMONIA", name)
            assert e.geometry.source_shape == (70, 80) and e.model_hash == network.hash

    def test_the_model_leaves_as_it_came(self, name, network, films) -> None:
        network.network.train()
        hooks = sum(len(m._forward_hooks) for m in network.network.modules())
        state = {k: v.clone() for k, v in network.network.state_dict().items()}
        random = torch.random.get_rng_state()
        explain(network, films[0], FAST[name])
        assert network.network.training and all(p.grad is None for p in network.network.parameters())
        assert hooks == sum(len(m._forward_hooks) for m in network.network.modules())
        assert all(torch.equal(v, state[k]) for k, v in network.network.state_dict().items())
        assert torch.equal(random, torch.random.get_rng_state())
        network.network.eval()

    def test_also_when_the_network_fails(self, name, films) -> None:
        class Breaks(Blob):
            calls = 0

            def forward(self, x):
                Breaks.calls += 1
                if Breaks.calls > 1:
                    self.conv(x)
                    raise RuntimeError("broken")
                return super().forward(x)

        clf = wrap(Breaks())
        clf.network.train()
        with pytest.raises(RuntimeError, match="broken"):
            explain(clf, films[0], FAST[name])
        assert clf.network.training and not any(m._forward_hooks for m in clf.network.modules())
        assert torch.is_grad_enabled() and all(p.requires_grad for p in clf.network.parameters())

    def test_a_constant_model_has_a_zero_map(self, name, films) -> None:
        assert np.abs(explain(wrap(Blob(0.0)), films[0], FAST[name], target=1).map).max() < 1e-7

    def test_the_blob_is_found(self, name) -> None:
        e = explain(wrap(Blob()), blob_film(), FAST[name], target="PNEUMONIA")
        rows, columns = np.nonzero(e.map == e.map.max())  # a whole superpixel, for LIME
        assert np.hypot(rows.mean() - 40, columns.mean() - 20) < 10

    def test_it_survives_the_disk(self, name, network, films, tmp_path: Path) -> None:
        e = explain(network, films[0], FAST[name])
        back = load_explanation(save_explanation(e, tmp_path / "e.npz"))
        np.testing.assert_array_equal(back.map, e.map)
        assert back.geometry == e.geometry and back.score == e.score and set(back.details) == set(e.details)


def test_closed_forms_on_the_linear_model() -> None:
    film = blob_film()
    cam = explain(wrap(Blob()), film, CAM(), target=1)
    np.testing.assert_allclose(cam.map, film.pixels, atol=0.003)  # 8-bit input
    grad = explain(wrap(Blob()), film, GradCAM(), target=1)
    np.testing.assert_allclose(grad.map, film.pixels / 64**2, atol=1e-6)
    # Of a linear score LIME's coefficients are what each piece adds: its mass above the fill.
    lime = explain(wrap(Blob(1000.0)), film, LIME(400, hide_color=0.0, segmentation="slic", alpha=1e-6), target=1)
    segments = lime.details["segments"]
    grey = np.rint(film.pixels * 255) / 255
    expected = np.array([grey[segments == i].sum() for i in range(segments.max() + 1)]) * 1000 / 64**2
    np.testing.assert_allclose(lime.details["coefficients"], expected, atol=1e-3 * expected.max())
    assert lime.details["r2"] > 0.9999


NETWORKS = {
    "small_cnn": {"size": 64},
    "resnet18": {"size": 64},
    "densenet121": {"size": 64},
    "mobilenetv1": {"size": 64},
    "inception_v3": {"size": 128},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradcam_equals_captums_and_grad_cams_raw_map(name: str) -> None:
    from captum.attr import LayerGradCam

    clf, _ = build(name, pretrained=False, seed=2, **NETWORKS[name])
    network, side = clf.network.eval(), NETWORKS[name]["size"]
    if name == "inception_v3":  # random weights let its activations explode; tame them
        for m in network.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)
    film = rl.from_array(np.random.default_rng(1).random((side, side)).astype(np.float32))
    ours = explain(clf, film, GradCAM(), target=1).details
    x = clf.preprocess(film)[None]
    layer = network.get_submodule(ours["layer"])
    for m in network.modules():  # what the oracles cannot take
        if hasattr(m, "inplace"):
            m.inplace = False
    raw = LayerGradCam(network, layer).attribute(x, target=1, relu_attributions=False)[0, 0].detach().numpy()
    assert np.abs(ours["feature_map"] - raw).max() <= 1e-4 * np.abs(raw).max()
    with OtherGradCAM(network, [layer]) as cam:
        cam(x, [ClassifierOutputTarget(1)])
        acts, grads = cam.activations_and_grads.activations[0], cam.activations_and_grads.gradients[0]
    weights = grads.mean((2, 3), keepdims=True) if hasattr(grads, "mean") else None
    other = np.asarray((weights * acts).sum(1))[0]
    assert np.abs(ours["feature_map"] - other).max() <= 1e-4 * np.abs(other).max()


def test_gradcam_equals_torchcams_weights() -> None:
    from torchcam.methods import GradCAM as TorchCam

    clf, _ = build("resnet18", pretrained=False, seed=2, size=64)
    film = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))
    ours = explain(clf, film, GradCAM(), target=1).details
    with TorchCam(clf.network, ours["layer"]) as extractor:
        scores = clf.network(clf.preprocess(film)[None])
        theirs = extractor(1, scores, normalized=False)[0][0].detach().numpy()
    assert np.abs(np.maximum(ours["feature_map"], 0) - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_odd_heads_and_networks() -> None:
    film = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))
    single, _ = build("small_cnn", head="sigmoid", size=64)
    ill, well = (explain(single, film, GradCAM(), target=t) for t in ("PNEUMONIA", "NORMAL"))
    np.testing.assert_allclose(ill.map, -well.map, atol=1e-7)
    assert ill.score == pytest.approx(-well.score)
    many, _ = build("small_cnn", head="multilabel", size=64, class_names=("A", "B", "C"), positive=0)
    assert np.isfinite(explain(many, film, LIME(100), target="C").map).all()
    frozen, _ = build("mobilenetv1", pretrained=False, size=64)
    free = explain(frozen, film, GradCAM(), target=1).map
    freeze(frozen.network, "all")
    np.testing.assert_array_equal(explain(frozen, film, GradCAM(), target=1).map, free)
    assert not any(p.requires_grad for n, p in frozen.network.named_parameters() if "classifier" not in n)

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.relu = nn.ReLU(inplace=True)
            self.fc = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.relu(self.conv(x)).flatten(2).amax(2))

    assert explain(wrap(InPlace()), film, GradCAM(layer="conv"), target=1).map.std() > 0


def test_head_only_and_closed_form_agree_for_every_score() -> None:
    clf, _ = build("small_cnn", size=64, hidden=0, seed=3)
    film = rl.from_array(np.random.default_rng(1).random((64, 64)).astype(np.float32))
    x = clf.preprocess(film)[None]
    from radiolucent.explainers.forward import Pass

    for kind in ("logit", "probability", "margin"):
        goal = Goal(torch.tensor([1]), kind, clf)
        cut = Pass(clf, x).cut("blocks")
        alpha = cut.gradient(goal.of(cut.logits)).mean((2, 3))
        slow = torch.einsum("nk,nkhw->nhw", alpha, cut.features.detach())[0].numpy()
        fast = explain(clf, film, GradCAM(), target=1, score=kind).details["feature_map"]
        np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-9)


def test_lime_coefficients_are_limes_on_the_same_masks() -> None:
    rng = np.random.default_rng(0)
    masks = design(24, 300, "random", rng)
    scores = masks @ rng.normal(size=24) + rng.normal(size=300)
    weights = closeness(masks, "cosine", 0.25)
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 0.25**2)), random_state=0)
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(masks.astype(float), masks[:1].astype(float), metric="cosine").ravel()
    for count in (24, 10, 5):
        intercept, local, score, prediction = base.explain_instance_with_data(
            masks.astype(float), np.stack([scores, -scores], 1), distances, 0, count, feature_selection="auto"
        )
        ours = fit_ridge(masks, scores, weights, num_features=count)
        theirs = np.zeros(24)
        for i, w in local:
            theirs[i] = w
        np.testing.assert_allclose(ours.coefficients, theirs, atol=1e-6)
        assert ours.intercept == pytest.approx(intercept, abs=1e-6) and ours.r2 == pytest.approx(score, abs=1e-6)
        assert ours.prediction == pytest.approx(float(prediction[0]), abs=1e-6)


def test_standard_errors_tell_the_spread() -> None:
    """Over many fits the coefficients scatter as the reported standard errors say."""
    truth, found, errors = np.linspace(-1, 1, 8), [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        masks = design(8, 200, "random", rng)
        scores = masks @ truth + rng.normal(size=200)
        fit = fit_ridge(masks, scores, np.ones(200), alpha=1e-9)
        found.append(fit.coefficients)
        errors.append(fit.errors)
    np.testing.assert_allclose(np.mean(errors, 0), np.std(found, 0), rtol=0.25)


@pytest.mark.parametrize("how", ["paired", "balanced"])
def test_paired_designs_are_complements_and_steadier(how) -> None:
    masks = design(20, 129, how, np.random.default_rng(0))
    assert masks[0].all() and (masks[1::2] ^ masks[2::2]).all()

    def spread(kind: str) -> float:
        found = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            m = design(20, 129, kind, rng)
            x = m.astype(float)
            scores = (
                x @ np.linspace(0, 1, 20) + 3 * x[:, 0] * x[:, 1] - 3 * x[:, 2] * x[:, 3] + 4 * (x.mean(1) - 0.5) ** 2
            )
            found.append(fit_ridge(m, scores, np.ones(len(m)), alpha=1e-9).coefficients)
        return float(np.std(found, 0).mean())

    assert spread(how) < 0.7 * spread("random")


def test_lime_options_do_what_they_say(films) -> None:
    clf, film = wrap(Blob(1000.0)), blob_film()
    for how in ("quickshift", "slic", "felzenszwalb", lambda grey: (np.arange(grey.size) % 5 + 3).reshape(grey.shape)):
        e = explain(clf, film, LIME(60, segmentation=how, hide_color="blur"), target=1)
        labels = e.details["segments"]
        assert set(np.unique(labels)) == set(range(labels.max() + 1))  # none is never hidden
    few = explain(clf, film, LIME(200, segmentation="slic", num_features=3), target=1)
    assert (few.details["coefficients"] != 0).sum() == 3
    early = explain(clf, film, LIME(4000, segmentation="slic", tolerance=0.2), target=1)
    assert early.details["samples"] < 4000
    again = explain(clf, film, LIME(4000, segmentation="slic", tolerance=0.2), target=1)
    np.testing.assert_array_equal(early.map, again.map)
    for bad in ({"sampling": "wild"}, {"num_samples": 2}, {"kernel_width": 0}):
        with pytest.raises(ConfigError):
            LIME(**bad)
    with pytest.raises(ExplainError, match="segmentation"):
        explain(clf, film, LIME(60, segmentation="cubist"))


def test_lime_views_match_limes_options() -> None:
    clf, film = build("small_cnn", size=64, seed=5)[0], blob_film()
    e = explain(clf, film, LIME(300, segmentation="slic"), target=1)
    w, grey = e.details["coefficients"], clf.preprocess.resize(film)
    pros = lime_view(e, grey, positive_only=True, num_features=4)
    assert (pros.mask >= 0).all() and (pros.weights > 0).all() and len(pros.chosen) <= 4
    cons = lime_view(e, grey, positive_only=False, negative_only=True, num_features=4)
    assert (cons.mask <= 0).all() and (cons.weights < 0).all()
    both = lime_view(e, grey, positive_only=False, num_features=6, min_weight=np.sort(np.abs(w))[-3])
    assert len(both.chosen) == 3
    hidden = lime_view(e, grey, hide_rest=True, num_features=2)
    assert (hidden.image[hidden.mask == 0] == 0.5).all()  # grey, as documented
    other = lime_view(e, grey, label=0, positive_only=False, num_features=99)
    assert not np.allclose(other.weights[:3], both.weights[:3])
    with pytest.raises(ConfigError):
        lime_view(e, grey, positive_only=True, negative_only=True)


def test_errors_name_the_way_out(network, films) -> None:
    with pytest.raises(ConfigError, match="NORMAL, PNEUMONIA"):
        explain(network, films[0], target="CAT")
    with pytest.raises(ExplainError, match="candidates"):
        explain(network, films[0], GradCAM(layer="nowhere"))
    with pytest.raises(ExplainError, match=r"use GradCAM"):
        explain(build("small_cnn", size=64)[0], films[0], CAM())

    @dataclasses.dataclass(frozen=True)
    class Wrong(Explainer):
        def attribute(self, classifier, inputs, goal, generator):
            return torch.full((len(inputs), 3, 3), 1.0)

    with pytest.raises(ExplainError, match="shape"):
        explain(network, films[0], Wrong())
