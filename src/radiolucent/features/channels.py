"""What a network's channels make of one film."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import ConfigError
from radiolucent.models import Classifier
from radiolucent.models.activations import FeatureLayer, activations, feature_layers, main_layers
from radiolucent.types import Radiograph

__all__ = ["ChannelMaps", "channel_maps", "layer_strip", "layers_of"]


@dataclass(frozen=True, eq=False)
class ChannelMaps:
    """Some channels of one layer for one film.

    Attributes:
        layer: where they stand.
        channels: (k,) their numbers, the most active first.
        maps: float32 (k, h, w), raw.
        activity: (k,) mean of each map's positive part, as a share of the layer's sum over all channels.
    """

    layer: FeatureLayer
    channels: NDArray[np.intp]
    maps: NDArray[np.float32]
    activity: NDArray[np.float64]


def _input(classifier: Classifier, film: Radiograph) -> torch.Tensor:
    return classifier.preprocess(film)[None].to(classifier.device)


def layers_of(classifier: Classifier) -> list[FeatureLayer]:
    """The layers with feature maps, from stem to head."""
    pre = classifier.preprocess
    return feature_layers(classifier.network, torch.zeros(1, pre.channels, *pre.shape, device=classifier.device))


def layer_named(classifier: Classifier, name: str | None) -> FeatureLayer:
    """A layer by its dotted name; None: the last with feature maps."""
    layers = layers_of(classifier)
    found = layers[-1] if name is None else next((layer for layer in layers if layer.name == name), None)
    if found is None:
        few = ", ".join(layer.name for layer in main_layers(layers))
        raise ConfigError(f"layer {name!r}: gives no feature maps; the main ones are {few}.")
    return found


def channel_maps(
    classifier: Classifier,
    film: Radiograph,
    layer: str | None = None,
    *,
    channels: Sequence[int] | None = None,
    most: int = 16,
) -> ChannelMaps:
    """The maps of a layer's channels for one film, the most active first.

    Args:
        layer: dotted name; the last with feature maps unless given.
        channels: these, instead of the `most` most active.

    Raises:
        ConfigError: no such layer or channel.
    """
    place = layer_named(classifier, layer)
    maps = activations(classifier.network, _input(classifier, film), [place.name])[place.name][0].float().cpu().numpy()
    mean = np.clip(maps, 0, None).mean((1, 2), dtype=np.float64)
    activity = mean / (mean.sum() or 1.0)
    if channels is None:
        chosen = np.argsort(-activity, kind="stable")[:most]
    else:
        chosen = checked_channels(place, channels)
    return ChannelMaps(place, chosen, maps[chosen], activity[chosen])


def checked_channels(layer: FeatureLayer, channels: Sequence[int]) -> NDArray[np.intp]:
    """Channel numbers, or a ConfigError that says which there are."""
    if not channels or min(channels) < 0 or max(channels) >= layer.channels:
        raise ConfigError(f"channels {list(channels)} of {layer.name}; expected some of 0 … {layer.channels - 1}.")
    return np.array(channels, np.intp)


def layer_strip(classifier: Classifier, film: Radiograph, *, most: int = 6) -> list[ChannelMaps]:
    """Each main layer's most active channel and its mean, from stem to head.

    The first map of each is the mean over all channels of the positive part (its channel number is −1); the second is
    the most active channel's.
    """
    layers = main_layers(layers_of(classifier), most)
    values = activations(classifier.network, _input(classifier, film), [layer.name for layer in layers])
    found: list[ChannelMaps] = []
    for layer in layers:
        maps = values[layer.name][0].float().cpu().numpy()
        positive = np.clip(maps, 0, None)
        mean = positive.mean((1, 2), dtype=np.float64)
        top = int(mean.argmax())
        both = np.stack([positive.mean(0), maps[top]])
        share = float(mean[top] / (mean.sum() or 1.0))
        found.append(ChannelMaps(layer, np.array([-1, top]), both, np.array([1.0, share])))
    return found
