"""A data set's passes to the last feature maps, in OpenVINO."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

import torch
from torch import nn

from radiolucent.errors import ModelError
from radiolucent.models import Classifier
from radiolucent.models.per_network import remember, weights_of
from radiolucent.passes.fast.engine import apart, compiled, with_openvino
from radiolucent.passes.fast.parallel_batches import side_by_side, threads, workers
from radiolucent.passes.hooks import forward_beside

__all__ = ["Trunk", "coming", "trunk"]

WORTH_CONVERTING = 600
"""Images to come below which making an OpenVINO network takes longer than it saves."""

APART = 1e-4
"""Largest |difference| from torch of a logit or feature, as a share of their largest magnitude (at least 1)."""

Trunk = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor] | None]
"""Inputs (N, C, H, W) to logits (N, K) and a layer's output, float32; None where it fails."""

_COMING: ContextVar[Mapping[nn.Module, int]] = ContextVar("coming", default=MappingProxyType({}))


@contextmanager
def coming(network: nn.Module, images: int) -> Generator[None]:
    """Inside, in this thread, so many images are to be explained: what only many are worth may be prepared for them."""
    known = _COMING.get()
    mark = _COMING.set({**known, network: max(images, known.get(network, 0))})
    try:
        yield
    finally:
        _COMING.reset(mark)


def trunk(classifier: Classifier, inputs: torch.Tensor, layer: str, pooled: Callable[[], bool]) -> Trunk | None:
    """The network's pass that also gives a layer's output, in OpenVINO; None where that is not worth it or fails.

    It has no graph: it serves only where nothing but pooling and a dense layer lies behind. Made once for a network and
    its weights, and held against torch on images that it was not traced with. A network in which Python looks at
    values on the way (which tracing cannot follow), or that changes as it runs, has none.

    Args:
        pooled: whether that is so; asked before anything is converted.
    """
    network = classifier.network
    images = _COMING.get().get(network, 0)
    if images < WORTH_CONVERTING or not with_openvino(classifier, images, "auto"):
        return None
    if network.training or classifier.dtype != torch.float32:
        return None
    weights = weights_of(network)

    def make() -> Trunk | None:
        return _made(network, inputs[:1], layer) if pooled() and weights_of(network) == weights else None

    return remember(network, "trunk", (layer, tuple(inputs.shape[1:]), threads(), weights), make)


def _made(network: nn.Module, image: torch.Tensor, layer: str) -> Trunk | None:
    both = _Both(network, layer)
    try:
        fast = compiled(both, [image.clone()], strict=True)  # the network may write in place
    except ModelError:
        return None

    def ask(inputs: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(a) for a in fast([inputs.contiguous().numpy()])]

    def run(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        parts = inputs.split(-(-len(inputs) // workers()))
        try:
            logits, values = zip(*side_by_side(ask, parts, workers()), strict=True)
        except RuntimeError:  # OpenVINO's; torch says better what is wrong, if anything is
            return None
        return torch.cat(logits), torch.cat(values)

    for others in (image.flip(-1) * 0.7, torch.cat([image, -image, image.flip(-2)])):
        found = run(others.clone())
        with torch.no_grad():
            expected = both(others)
        if found is None or not all(apart(a, b) <= APART for a, b in zip(found, expected, strict=True)):
            return None
    return run


class _Both(nn.Module):
    """A network that gives its logits and what one of its layers puts out."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return forward_beside(self.network, inputs, self.layer)
