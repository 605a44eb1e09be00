"""Vision transformers: which layer, which tokens, and what has no meaning there."""

import numpy as np
import pytest
import torch

import radiolucent as rl
from radiolucent.errors import ExplainError
from radiolucent.explainers import CAM, GradCAM, HiResCAM, explain
from radiolucent.models import build
from radiolucent.passes.target_layer import find_layer
from support.explainer_cases import make, noise_films


def test_gradcam_is_grad_cams_with_a_reshape() -> None:
    from pytorch_grad_cam import GradCAM as Other
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    clf, film = make("vit"), noise_films(1)[0]
    e = explain(clf, film, GradCAM(), target=1)
    assert e.details["layer"] == "blocks.2.norm1" and e.details["feature_map"].shape == (4, 4)

    def reshape(tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, 1:].reshape(len(tokens), 4, 4, -1).permute(0, 3, 1, 2)

    with Other(clf.network, [clf.network.blocks[2].norm1], reshape_transform=reshape) as cam:
        cam(clf.preprocess(film)[None], [ClassifierOutputTarget(1)])
        acts, grads = (np.asarray(v[0].detach()) for v in (
            cam.activations_and_grads.activations, cam.activations_and_grads.gradients))  # fmt: skip
    theirs = (grads.mean((2, 3), keepdims=True) * acts).sum(1)[0]
    assert np.abs(e.details["feature_map"] - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_average_pooling_makes_cam_possible() -> None:
    clf = make("vit", global_pool="avg", fc_norm=False, class_token=False)
    film = noise_films(1)[0]
    cam = explain(clf, film, CAM(), target=1)
    assert cam.details["layer"] == "norm" and cam.details["feature_map"].shape == (4, 4)
    bias = float(clf.network.head.bias[1].detach())
    assert cam.details["feature_map"].mean() + bias == pytest.approx(cam.score, abs=1e-4)
    high = explain(clf, film, HiResCAM(), target=1)
    np.testing.assert_allclose(high.map * 16, cam.map, atol=1e-5)
    with pytest.raises(ExplainError, match="GradCAM"):
        explain(make("vit"), film, CAM(), target=1)


def test_other_layers_by_name_and_hierarchical_transformers() -> None:
    clf, film = make("vit"), noise_films(1)[0]
    early = explain(clf, film, GradCAM(layer="blocks.0"), target=1)
    assert early.details["feature_map"].shape == (4, 4) and np.ptp(early.map) > 0
    with pytest.raises(ExplainError, match=r"blocks\.2"):
        explain(clf, film, GradCAM(layer="head"), target=1)
    swin, _ = build("swin_tiny_patch4_window7_224", pretrained=False, size=64, embed_dim=24, depths=(1, 1, 1, 1))
    x = swin.preprocess(rl.from_array(film.pixels))[None]
    layer = find_layer(swin.network, x)
    assert layer.kind == "last" and layer.name == "norm"
    e = explain(swin, film, CAM(), target=1)
    assert e.details["feature_map"].shape == (2, 2)
    assert e.details["feature_map"].mean() + float(swin.network.head.fc.bias[1].detach()) == pytest.approx(
        e.score, abs=1e-4
    )
