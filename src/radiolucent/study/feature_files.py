"""Pictures and arrays of a network's inside, written into a folder."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radiolucent import figures
from radiolucent.errors import ModelError
from radiolucent.features import (
    Ascent,
    ChannelMaps,
    channel_maps,
    concepts,
    exciting_patches,
    first_filters,
    layer_strip,
    visualise,
)
from radiolucent.files import atomic_path, file_name, write_bytes, write_json
from radiolucent.models import Classifier
from radiolucent.types import Radiograph

__all__ = ["FeatureRequest", "write_concepts", "write_features"]

WANTED = 6  # channels that films are made for and searched for, unless they are named


@dataclass(frozen=True)
class FeatureRequest:
    """What to show.

    Attributes:
        layer: dotted name; None: all main layers in grids, the last of them for the rest. channels: of it; None: the
            most active. most: channels a grid. ascent: steps, 0 for none. negative: what suppresses. seed: of it.
        concepts: how many factors of a layer to look for over the films; 0 for none. target: the class or label whose
            score they are weighed by; None: the positive class.
    """

    layer: str | None = None
    channels: tuple[int, ...] | None = None
    most: int = 17
    ascent: int = 128
    negative: bool = False
    seed: int = 0
    concepts: int = 0
    target: str | None = None


def write_concepts(
    classifier: Classifier,
    films: Iterable[Radiograph],
    out: Path,
    request: FeatureRequest,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write `concepts.LAYER.png`, `.npz` and `.json`: the factors of a layer over films. Returns the files.

    Of several labels they are called `concepts.LAYER.LABEL`.
    """
    found = concepts(
        classifier, films, count=request.concepts, layer=request.layer, target=request.target, seed=request.seed,
        progress=progress,
    )  # fmt: skip
    stem = f"concepts.{found.layer}" + (f".{file_name(found.target)}" if classifier.multilabel else "")
    write_bytes(out / f"{stem}.png", figures.to_png(figures.concept_grid(found)))
    arrays = {"weights": np.stack([c.weights for c in found.concepts]), "strengths": found.strengths}
    with atomic_path(out / f"{stem}.npz") as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, image_ids=np.array(found.image_ids), **arrays)  # pyright: ignore[reportArgumentType]
    write_json(out / f"{stem}.json", found.as_dict())
    return [out / f"{stem}{suffix}" for suffix in (".png", ".npz", ".json")]


def write_features(
    classifier: Classifier,
    film: Radiograph,
    out: Path,
    request: FeatureRequest,
    films: Iterable[Radiograph] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write `strip.png`, `filters.png`, `channels.LAYER.png` and, of one layer, `wanted.LAYER.png` and (given films)
    `exciting.LAYER.png`; each with its arrays (`.npz`), the pieces also with `exciting.LAYER.json`. Returns the files.
    """
    made: list[Path] = []

    def write(name: str, figure: Figure, **arrays: NDArray[Any]) -> None:
        write_bytes(out / f"{name}.png", figures.to_png(figure))
        with atomic_path(out / f"{name}.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # pyright: ignore[reportArgumentType]
        made.extend([out / f"{name}.png", out / f"{name}.npz"])

    strip = layer_strip(classifier, film)
    write("strip", figures.layer_strip_plot(film, strip), **{s.layer.name: s.maps for s in strip})
    try:
        kernels = first_filters(classifier)
        write("filters", figures.filter_grid(kernels), kernels=kernels.kernels, channels=kernels.channels)
    except ModelError:
        pass  # the network does not begin with a convolution over the film
    names = [request.layer] if request.layer else [s.layer.name for s in strip]
    found: ChannelMaps | None = None
    for name in names:
        found = channel_maps(classifier, film, name, channels=request.channels, most=request.most)
        arrays = {"maps": found.maps, "channels": found.channels, "activity": found.activity}
        write(f"channels.{name}", figures.channel_grid(film, found), **arrays)
    if found is None:
        return made
    name, chosen = found.layer.name, list(request.channels or found.channels[:WANTED].tolist())
    wanted = None
    if request.ascent:
        how = Ascent(steps=request.ascent, negative=request.negative, seed=request.seed)
        wanted = visualise(classifier, name, channels=chosen, how=how, progress=progress)
        picture = figures.wanted_grid(wanted, negative=request.negative)
        write(f"wanted.{name}", picture, images=wanted.images, channels=wanted.channels)
    if films is not None:
        pieces = exciting_patches(classifier, films, name, channels=chosen)
        picture = figures.patch_grid(name, pieces, None if request.negative else wanted)
        arrays = {f"channel{c}_{k}": p.pixels for c, found in pieces.items() for k, p in enumerate(found)}
        write(f"exciting.{name}", picture, **arrays)
        rows = {str(c): [{"image": p.image_id, "value": p.value, "box": p.box} for p in v] for c, v in pieces.items()}
        write_json(out / f"exciting.{name}.json", rows)
        made.append(out / f"exciting.{name}.json")
    return made
