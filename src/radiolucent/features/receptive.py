"""The part of a film that one unit of a layer can see."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from radiolucent.models import Classifier
from radiolucent.models.activations import FeatureLayer, activations

__all__ = ["ReceptiveField", "receptive_fields"]


@dataclass(frozen=True)
class ReceptiveField:
    """What one unit sees, in pixels of the model's input.

    Attributes:
        size: (height, width) of the field; where it has no end, thrice the film.
        stride: (vertical, horizontal) step from one unit to the next.
        offset: (vertical, horizontal) of the field's top left corner from its unit's place i · stride.
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    offset: tuple[float, float]

    def box(self, row: int, column: int, side: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the field of unit (row, column) within an input of side × side pixels."""
        top, left = (round(i * s + o) for i, s, o in zip((row, column), self.stride, self.offset, strict=True))
        return max(top, 0), max(left, 0), min(top + self.size[0], side), min(left + self.size[1], side)


def _positive(network: nn.Module) -> nn.Module:
    """A copy whose every weight is a positive mean, norms do nothing and max pooling averages.

    On positive input every unit is then active and rises with every pixel it can see: its gradient is positive
    exactly there.
    """
    made = copy.deepcopy(network)
    for parent in list(made.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.MaxPool2d):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode)
                setattr(parent, name, pool)
    for module in made.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.reset_parameters()
    return made.eval()


def receptive_fields(classifier: Classifier, layers: Sequence[FeatureLayer], *, draws: int = 3) -> list[ReceptiveField]:
    """The theoretical receptive field of each layer's units, from gradients of a positive copy of the network.

    Args:
        draws: random inputs whose fields are joined, for pooling that is no module and lets one pixel through.
    """
    made = _positive(classifier.network)
    side = classifier.preprocess.size
    try:
        # Twice the side, so that a large field is not cut at the edges; a network of one size refuses.
        return _measure(made, classifier, layers, 2 * side, draws)
    except (RuntimeError, AssertionError, ValueError):
        return _measure(made, classifier, layers, side, draws)


def _measure(
    made: nn.Module, classifier: Classifier, layers: Sequence[FeatureLayer], side: int, draws: int
) -> list[ReceptiveField]:
    draw = torch.Generator().manual_seed(0)
    seen = [torch.zeros(side, side, dtype=torch.bool) for _ in layers]
    units = [(0, 0) for _ in layers]
    for _ in range(draws):
        x = (0.5 + torch.rand(1, classifier.preprocess.channels, side, side, generator=draw)).to(classifier.device)
        values = activations(made, x.requires_grad_(), [layer.name for layer in layers], gradients=True)
        for i, layer in enumerate(layers):
            maps = values[layer.name]
            units[i] = (maps.shape[2] // 2, maps.shape[3] // 2)
            unit = maps[0, :, units[i][0], units[i][1]].sum()
            seen[i] |= torch.autograd.grad(unit, x, retain_graph=True)[0][0].abs().sum(0).cpu() > 0
    real = classifier.preprocess.size
    return [_measured(field, layer, unit, real) for field, layer, unit in zip(seen, layers, units, strict=True)]


def _measured(seen: torch.Tensor, layer: FeatureLayer, unit: tuple[int, int], side: int) -> ReceptiveField:
    stride = (side / layer.height, side / layer.width)
    size: list[int] = []
    offset: list[float] = []
    for axis, (place, step) in enumerate(zip(unit, stride, strict=True)):
        reached = seen.any(1 - axis).nonzero()[:, 0]
        first, last = (int(reached[0]), int(reached[-1]) + 1) if len(reached) else (0, seen.shape[axis])
        whole = first == 0 or last == seen.shape[axis]  # cut at an edge: at least the whole film
        size.append(3 * side if whole else last - first)
        offset.append(-1.5 * side if whole else first - place * step)
    return ReceptiveField((size[0], size[1]), stride, (offset[0], offset[1]))
