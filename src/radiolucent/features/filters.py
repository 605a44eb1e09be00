"""The filters themselves: the first layer's kernels as they act on a grey film."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radiolucent.errors import ModelError
from radiolucent.models import Classifier
from radiolucent.shown import counted

__all__ = ["FirstFilters", "first_filters"]


@dataclass(frozen=True, eq=False)
class FirstFilters:
    """Kernels of the first convolution.

    Attributes:
        layer: its dotted name.
        kernels: float32 (K, kh, kw), what multiplies the grey level; strongest first.
        channels: (K,) their numbers.
    """

    layer: str
    kernels: NDArray[np.float32]
    channels: NDArray[np.intp]


def first_filters(classifier: Classifier) -> FirstFilters:
    """The first convolution's kernels for grey films: Σ_c w_kc / std_c, since all input channels are the same film.

    Ordered by norm, the strongest first.

    Raises:
        ModelError: the network does not begin with a convolution over the film.
    """
    channels = classifier.preprocess.channels
    for name, module in classifier.network.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == channels and module.groups == 1:
            std = torch.tensor(classifier.preprocess.std).view(1, -1, 1, 1)
            grey = (module.weight.detach().float().cpu() / std).sum(1).numpy()
            order = np.argsort(-np.square(grey).sum((1, 2)), kind="stable")
            return FirstFilters(name, grey[order], order)
    over = counted(channels, "channel")
    raise ModelError(f"no convolution over the film's {over} found: there are no first filters to show.")
