"""The pieces of a data set's films that excite a channel most, in one pass over the films."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import DataError
from radiolucent.features.channels import checked_channels, layer_named
from radiolucent.features.receptive import ReceptiveField, receptive_fields
from radiolucent.models import Classifier
from radiolucent.models.activations import activations
from radiolucent.types import Radiograph

__all__ = ["Patch", "exciting_patches"]


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of a film that excites a channel.

    Attributes:
        image_id: the film. value: the channel's activation there, the film's largest.
        unit: (row, column) in the layer's map.
        box: (top, left, bottom, right) of the unit's receptive field in pixels of the model's input.
        pixels: uint8 (bottom − top, right − left), the film there as the model sees it.
    """

    image_id: str
    value: float
    unit: tuple[int, int]
    box: tuple[int, int, int, int]
    pixels: NDArray[np.uint8] = field(repr=False)


def exciting_patches(
    classifier: Classifier,
    films: Iterable[Radiograph],
    layer: str | None = None,
    *,
    channels: Sequence[int],
    most: int = 8,
    batch_size: int = 16,
    progress: Callable[[int], None] | None = None,
) -> dict[int, list[Patch]]:
    """For each channel, the films' strongest places, at most one a film, the strongest first.

    One pass for all channels; only the best pieces found so far are kept, so that memory does not grow with the films.

    Args:
        films: read one after the other. progress: called with the number of films seen.

    Raises:
        ConfigError: no such layer or channel. DataError: no film.
    """
    place = layer_named(classifier, layer)
    chosen = checked_channels(place, channels)
    view = receptive_fields(classifier, [place])[0]
    best: dict[int, list[Patch]] = {int(c): [] for c in chosen}
    seen = 0
    for group in _batches(films, batch_size):
        grey = [classifier.preprocess.quantise(film) for film in group]
        inputs = classifier.preprocess.normalise(torch.from_numpy(np.stack(grey))).to(classifier.device)
        maps = activations(classifier.network, inputs, [place.name])[place.name][:, torch.from_numpy(chosen)]
        values, where = maps.flatten(2).float().cpu().max(2)
        for k, channel in enumerate(chosen):
            _update(best[int(channel)], group, grey, values[:, k], where[:, k], place.width, view, most)
        seen += len(group)
        if progress:
            progress(seen)
    if not seen:
        raise DataError("no film to look for exciting pieces in; give a folder with readable films.")
    return best


def _batches(films: Iterable[Radiograph], size: int) -> Iterable[list[Radiograph]]:
    group: list[Radiograph] = []
    for film in films:
        group.append(film)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _update(
    kept: list[Patch],
    films: Sequence[Radiograph],
    grey: Sequence[NDArray[np.uint8]],
    values: torch.Tensor,
    where: torch.Tensor,
    width: int,
    view: ReceptiveField,
    most: int,
) -> None:
    for film, pixels, value, flat in zip(films, grey, values.tolist(), where.tolist(), strict=True):
        if len(kept) == most and value <= kept[-1].value:
            continue
        unit = divmod(int(flat), width)
        top, left, bottom, right = box = view.box(*unit, pixels.shape[0])
        kept.append(Patch(film.image_id, float(value), unit, box, pixels[top:bottom, left:right].copy()))
        kept.sort(key=lambda p: -p.value)
        del kept[most:]
