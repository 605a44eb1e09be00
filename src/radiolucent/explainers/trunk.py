"""A data set's passes to the last feature maps, in OpenVINO."""

import importlib.util
from collections.abc import Callable, Generator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from radiolucent.errors import ModelError
from radiolucent.explainers.hooks import forward_beside
from radiolucent.models import Classifier
from radiolucent.models.engine import TOLERANCE, compiled
from radiolucent.models.remember import remember, weights_of
from radiolucent.models.workers import side_by_side, threads, workers

__all__ = ["Trunk", "coming", "trunk"]

WORTH_CONVERTING = 600
"""Images to come below which making an OpenVINO network takes longer than it saves."""

Trunk = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Inputs (N, C, H, W) to logits (N, K) and a layer's output, float32."""

_COMING: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


@contextmanager
def coming(network: nn.Module, images: int) -> Generator[None]:
    """Inside, so many images are to be explained: what only many are worth may be prepared for them."""
    before = _COMING.get(network, 0)
    _COMING[network] = max(images, before)
    try:
        yield
    finally:
        _COMING[network] = before


def trunk(classifier: Classifier, inputs: torch.Tensor, layer: str, pooled: Callable[[], bool]) -> Trunk | None:
    """The network's pass that also gives a layer's output, in OpenVINO; None where that is not worth it or fails.

    It has no graph: it serves only where nothing but pooling and a dense layer lies behind. Made once for a network and
    its weights, and held against torch on an image that it was not traced with.

    Args:
        pooled: whether that is so; asked before anything is converted.
    """
    network = classifier.network
    if _COMING.get(network, 0) < WORTH_CONVERTING or classifier.device.type != "cpu":
        return None
    if network.training or classifier.dtype != torch.float32 or importlib.util.find_spec("openvino") is None:
        return None
    valid = (layer, tuple(inputs.shape[1:]), threads(), weights_of(network))
    return remember(network, "trunk", valid, lambda: _made(network, inputs[:1], layer) if pooled() else None)


def _made(network: nn.Module, image: torch.Tensor, layer: str) -> Trunk | None:
    both = _Both(network, layer)
    try:
        fast = compiled(both, [image.clone()])  # the network may write in place
    except ModelError:
        return None

    def ask(inputs: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(a) for a in fast([inputs.contiguous().numpy()])]

    def run(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = inputs.split(-(-len(inputs) // workers()))
        logits, values = zip(*side_by_side(ask, parts, workers()), strict=True)
        return torch.cat(logits), torch.cat(values)

    other = image.flip(-1) * 0.7
    with torch.no_grad():
        pairs = zip(run(other), both(other.clone()), strict=True)
    return run if all(_apart(a, b) <= TOLERANCE for a, b in pairs) else None


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / max(1.0, float(expected.abs().max())))


class _Both(nn.Module):
    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return forward_beside(self.network, inputs, self.layer)
