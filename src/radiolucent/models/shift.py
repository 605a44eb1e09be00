"""Moving a network's logits by a constant, in its last layer's bias."""

import torch
from torch import nn

from radiolucent.models.classifier import Classifier
from radiolucent.models.difference import relative_difference

__all__ = ["shift_logits"]


def shift_logits(classifier: Classifier, by: torch.Tensor) -> bool:
    """Add `by` (K,) to the network's logits, in place, through the bias of its last dense layer.

    Not guessed from names: the logits of a random image must move by exactly that, up to rounding. Returns False, and
    leaves the network as it was, where they do not or where there is no such layer.
    """
    layers = [m for m in classifier.network.modules() if isinstance(m, nn.Linear) and m.out_features == len(by)]
    if not layers or layers[-1].bias is None:  # pyright: ignore[reportUnnecessaryComparison]
        return False
    bias, shape = layers[-1].bias, classifier.preprocess.shape
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, classifier.preprocess.channels, *shape, generator=generator)
    before, kept = classifier.logits(image), bias.detach().clone()
    with torch.no_grad():
        bias += by.to(bias)
    largest = max(1.0, float(before.abs().max()), float(by.abs().max()))
    if relative_difference(classifier.logits(image) - before, by.to(before).expand_as(before), floor=largest) <= 1e-4:
        return True
    with torch.no_grad():
        bias.copy_(kept)
    return False
