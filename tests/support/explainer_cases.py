"""Networks, films and quick settings that the tests of explanations share."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

import radiolucent as rl
from radiolucent.explainers import METHODS, Explainer
from radiolucent.images import Preprocess
from radiolucent.models import Classifier, build
from radiolucent.types import Radiograph

# Settings that are quick. A new method's parameters go here if its defaults are slow; else nothing has to be done.
QUICK: Mapping[str, Mapping[str, Any]] = {
    "lime": {"num_samples": 200, "segmentation": "slic", "hide_color": 0.0},
    "integratedgradients": {"steps": 6},
    "smoothgrad": {"samples": 8},
    "gradientshap": {"samples": 8},
    "kernelshap": {"num_samples": 200, "fill": 0.0},
    "occlusion": {"window": 12, "stride": 6, "fill": 0.0},
    "rise": {"num_masks": 300},
    "sobol": {"designs": 8, "cells": 6},
}
FAST: dict[str, Explainer] = {name: method(**QUICK.get(name, {})) for name, method in METHODS.items()}
# The same, as short as it gets, for the table of large networks, where only shape, type and finiteness are looked at.
SHORT: Mapping[str, Mapping[str, Any]] = {
    "lime": {"num_samples": 10},
    "integratedgradients": {"steps": 2},
    "smoothgrad": {"samples": 2},
    "gradientshap": {"samples": 4},
    "kernelshap": {"num_samples": 8},
    "occlusion": {"window": 48, "stride": 48, "passes": "whole"},
    "rise": {"num_masks": 32},
    "sobol": {"designs": 4, "cells": 2},
    "scorecam": {"channels": 4},
}
SHORTEST: dict[str, Explainer] = {
    name: method(**{**QUICK.get(name, {}), **SHORT.get(name, {})}) for name, method in METHODS.items()
}

# Methods that have a map even of a network that says nothing.
BLIND = {"eigencam", "scorecam"}  # the one knows nothing of the score; the other's softmax weighs all maps alike
# Where a method has no meaning, and what its message must point to.
NO_ATTENTION = {"attnlrp": r"LRP\(\)", "legrad": r"GradCAM\(\)", "chefer": r"GradCAM\(\)"}
UNDEFINED: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("small_cnn", "mobilenetv1", "densenet121", "inception_v3"), NO_ATTENTION),
    "vit": {
        "cam": r"GradCAM\(\)",
        "lrp": r"IntegratedGradients\(\)",
        "deeplift": r"IntegratedGradients\(\)",
        "guidedbackprop": r"SmoothGrad\(\)",
        "guidedgradcam": r"SmoothGrad\(\)",
    },
}


class Blob(nn.Module):
    """Its PNEUMONIA logit is the mean grey level; its only feature maps are the image itself, bright and dark."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.act = nn.ReLU()
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [gain, 0.0]]))
            self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.conv(x)).mean((2, 3)))


class Attending(nn.Module):
    """Tokens, and what each sees of the others: as much as they look alike."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (4 * x @ x.transpose(1, 2)).softmax(-1) @ x


class AttentiveBlob(Blob):
    """Its PNEUMONIA logit is the mean grey level of 8 × 8 patches, which attend to one another."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(gain)
        self.conv, self.layer = nn.Conv2d(1, 2, 8, 8, bias=False), Attending()
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8) / 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.conv(x).flatten(2).transpose(1, 2)).mean(1))


def small(method: str, **changes: Any) -> Classifier:
    """A small network that the method is meant for."""
    return make("vit" if method in NO_ATTENTION else "small_cnn", **changes)


def blob(method: str, gain: float = 1.0) -> Blob:
    """A network that looks at how bright a film is, and that the method is meant for."""
    return AttentiveBlob(gain) if method in NO_ATTENTION else Blob(gain)


def wrap(network: nn.Module, size: int = 64, channels: int = 1, head: str = "softmax") -> Classifier:
    """A classifier around a network that takes grey levels as they are."""
    pre = Preprocess(size, "squash", channels, (0.0,) * channels, (1.0,) * channels)
    return Classifier(network.eval(), ("NORMAL", "PNEUMONIA"), pre, head=head)  # type: ignore[arg-type]


def blob_film(row: int = 40, column: int = 20, side: int = 64) -> Radiograph:
    """A bright spot on black."""
    y, x = np.mgrid[0:side, 0:side]
    pixels = 0.9 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 50)
    return rl.from_array(pixels.astype(np.float32), image_id="blob")


def noise_films(count: int = 3) -> list[Radiograph]:
    """Films of 70 × 80 random grey levels."""
    rng = np.random.default_rng(0)
    return [rl.from_array(rng.random((70, 80)).astype(np.float32), image_id=str(i)) for i in range(count)]


NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "small_cnn": {"size": 64, "hidden": 0},
    "mobilenetv1": {"size": 64},
    "densenet121": {"size": 64},
    "inception_v3": {"size": 107},  # the smallest with 2 × 2 feature maps
    "vit": {"size": 64, "patch_size": 16, "embed_dim": 48, "depth": 3, "num_heads": 3},
}


# Score-CAM costs a pass a feature map: on the large networks it looks at an early layer, which has few.
EARLY = {"mobilenetv1": "conv_stem", "densenet121": "features.conv0", "inception_v3": "Conv2d_1a_3x3"}


def shortest(method: str, network: str) -> Explainer:
    """The shortest form of a method on one of `NETWORKS`."""
    chosen = SHORTEST[method]
    early = EARLY.get(network) if method == "scorecam" else None
    return chosen if early is None else dataclasses.replace(chosen, layer=early)  # type: ignore[call-arg]


def make(name: str, **changes: Any) -> Classifier:
    """One of `NETWORKS` with random weights, such that activations neither vanish nor explode."""
    arguments = {**NETWORKS[name], **changes}
    clf, _ = build("vit_tiny_patch16_224" if name == "vit" else name, pretrained=False, seed=2, **arguments)
    torch.manual_seed(0)
    for m in clf.network.modules():
        if isinstance(m, nn.Conv2d) and name != "vit":
            nn.init.kaiming_normal_(m.weight)
        if isinstance(m, nn.BatchNorm2d):  # as after training: offsets and scales of its own
            nn.init.normal_(m.bias, 0, 0.1)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
    return clf
