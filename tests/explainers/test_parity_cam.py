"""The CAM family against captum, grad-cam and torchcam: raw maps, before anyone normalises them."""

import numpy as np
import pytest
import pytorch_grad_cam as other
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchcam import methods as torchcam

import radiolucent as rl
from radiolucent.explainers import (
    CAM,
    EigenCAM,
    Explainer,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
    explain,
)
from radiolucent.explainers.base import Goal
from radiolucent.models import Classifier, build
from radiolucent.passes.forward import Cut, Pass
from radiolucent.types import Radiograph
from support.explainer_cases import NETWORKS, make


def film_of(side: int) -> Radiograph:
    return rl.from_array(np.random.default_rng(1).random((side, side)).astype(np.float32))


def steep_resnet(gain: float = 300.0) -> Classifier:
    """ResNet-18 whose gradients are far above the constants that other packages add to their denominators."""
    clf, _ = build("resnet18", pretrained=False, seed=2, size=64)
    with torch.no_grad():
        clf.network.fc.weight *= gain
    for m in clf.network.modules():  # what the oracles cannot take
        if hasattr(m, "inplace"):
            m.inplace = False
    return clf


def close(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    assert np.abs(theirs).max() > 0
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "vit"])
def test_gradcam_equals_captums_raw_map(name: str) -> None:
    from captum.attr import LayerGradCam

    clf = make(name)
    film = film_of(clf.preprocess.size)
    ours = explain(clf, film, GradCAM(), target=1).details
    for m in clf.network.modules():
        if hasattr(m, "inplace"):
            m.inplace = False
    oracle = LayerGradCam(clf.network, clf.network.get_submodule(ours["layer"]))
    raw = oracle.attribute(clf.preprocess(film)[None], target=1, relu_attributions=False)
    close(ours["feature_map"], raw[0, 0].detach().numpy())


PAIRS: dict[str, tuple[Explainer, type]] = {
    "gradcam": (GradCAM(), other.GradCAM),
    "gradcamplusplus": (GradCAMPlusPlus(), other.GradCAMPlusPlus),
    "hirescam": (HiResCAM(), other.HiResCAM),
    "layercam": (LayerCAM(), other.LayerCAM),
    "xgradcam": (XGradCAM(), other.XGradCAM),
}


@pytest.mark.parametrize("layer", ["layer4", "layer2"])
def test_grad_cams_raw_maps(layer: str) -> None:
    """`layer4` takes our closed form, `layer2` (a fourth of the network behind it) gradients."""
    clf, film = steep_resnet(), film_of(64)
    x, module = clf.preprocess(film)[None], clf.network.get_submodule(layer)
    for ours, theirs in PAIRS.values():
        import dataclasses

        mine = explain(clf, film, dataclasses.replace(ours, layer=layer), target=1).details["feature_map"]
        with theirs(clf.network, [module]) as cam:
            cam(x, [ClassifierOutputTarget(1)])
            recorded = cam.activations_and_grads
            acts, grads = (np.asarray(v[0].detach()) for v in (recorded.activations, recorded.gradients))
            close(mine, cam.get_cam_image(x, module, [1], acts, grads, False)[0])


def test_eigencam_is_grad_cams_up_to_its_arbitrary_sign_if_centred() -> None:
    clf, film = steep_resnet(), film_of(64)
    x, module = clf.preprocess(film)[None], clf.network.layer2
    with other.EigenCAM(clf.network, [module]) as cam:
        cam(x, [ClassifierOutputTarget(1)])
        acts = np.asarray(cam.activations_and_grads.activations[0].detach())
        theirs = cam.get_cam_image(x, module, [1], acts, None, False)[0]
    ours = explain(clf, film, EigenCAM(layer="layer2", centre=True), target=1).details["feature_map"]
    close(ours, theirs * np.sign((ours * theirs).sum()))
    # The paper's, uncentred: the best rank-one approximation, by numpy's SVD; its sign as documented.
    plain = explain(clf, film, EigenCAM(layer="layer2"), target=1).details["feature_map"]
    matrix = acts[0].reshape(acts.shape[1], -1).T.astype(np.float64)
    projected = matrix @ np.linalg.svd(matrix)[2][0]
    close(plain, np.abs(projected).reshape(plain.shape))
    assert (plain >= 0).all() and np.array_equal(
        plain, explain(clf, film, EigenCAM(layer="layer2"), target=0).details["feature_map"]
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (GradCAM(layer="layer3"), torchcam.GradCAM),
        (XGradCAM(layer="layer3"), torchcam.XGradCAM),
        (LayerCAM(layer="layer3"), torchcam.LayerCAM),
    ],
    ids=["gradcam", "xgradcam", "layercam"],
)
def test_torchcams_maps(ours: Explainer, theirs: type) -> None:
    clf, film = steep_resnet(), film_of(64)
    mine = explain(clf, film, ours, target=1).details["feature_map"]
    with theirs(clf.network, "layer3") as extractor:
        raw = extractor(1, clf.network(clf.preprocess(film)[None]), normalized=False)[0][0].detach().numpy()
    close(np.maximum(mine, 0), raw)  # theirs has lost its negative part


def test_cam_is_torchcams() -> None:
    clf, film = steep_resnet(), film_of(64)
    mine = explain(clf, film, CAM(), target=1).details
    with torchcam.CAM(clf.network, mine["layer"], fc_layer="fc") as extractor:
        clf.network(clf.preprocess(film)[None])
        raw = extractor(1, normalized=False)[0][0].detach().numpy()
    close(np.maximum(mine["feature_map"], 0), raw)


def test_gradcamplusplus_where_torchcam_differs() -> None:
    """torchcam 0.5 divides a copy (`alpha[idx][mask].div_`): its weights are Σ max(g, 0)³, ours those of eq. 19."""
    clf, film = steep_resnet(), film_of(64)
    x = clf.preprocess(film)[None]
    cut = Pass(clf, x).cut("layer3")
    g, a = cut.gradient(Goal(torch.tensor([1]), "logit", clf).of(cut.logits)), cut.features
    with torchcam.GradCAMpp(clf.network, "layer3") as extractor:
        theirs = extractor(1, clf.network(x), normalized=False)[0][0].detach().numpy()
    undivided = ((g.clamp(min=0) ** 3).sum((2, 3), keepdim=True) * a).sum(1).clamp(min=0)[0].numpy()
    assert np.abs(theirs - undivided).max() <= 1e-3 * undivided.max()
    alpha = g**2 / (2 * g**2 + (a.sum((2, 3), keepdim=True) * g**3))  # eq. 19, word for word
    eq19 = ((torch.nan_to_num(alpha) * g.clamp(min=0)).sum((2, 3), keepdim=True) * a).sum(1)[0].numpy()
    close(explain(clf, film, GradCAMPlusPlus(layer="layer3"), target=1).details["feature_map"], eq19)


def test_closed_form_and_gradients_agree_for_every_score_and_method(monkeypatch: pytest.MonkeyPatch) -> None:
    clf, _ = build("small_cnn", size=64, hidden=0, seed=3)
    film = film_of(64)
    methods = [GradCAM(), GradCAMPlusPlus(), HiResCAM(), LayerCAM(), XGradCAM()]
    kinds = [{"score": k} for k in ("logit", "probability", "margin")] + [{"contrast": 0}]
    fast = [explain(clf, film, methods, target=[1], **kind) for kind in kinds]
    monkeypatch.setattr(Cut, "dense", None)
    for kind, quick in zip(kinds, fast, strict=True):
        for a, b in zip(quick, explain(clf, film, methods, target=[1], **kind), strict=True):
            close(a.details["feature_map"], b.details["feature_map"])


def test_a_head_that_only_looks_like_pooling_and_one_dense_layer_is_found_out() -> None:
    class Almost(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.fc = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(x).mean((2, 3)).tanh())

    from support.explainer_cases import wrap

    clf = wrap(Almost())
    cut = Pass(clf, clf.preprocess(film_of(64))[None]).cut()
    assert cut.layer.name == "conv"
    assert cut.dense is None
