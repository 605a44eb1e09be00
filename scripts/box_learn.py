"""How the upper stages of the shipped model's trunk learn, from the maps of `box_features.py`."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from box_data import Films
from box_features import FROZEN, VERSIONS, Features
from radiolucent.metrics import auroc
from radiolucent.models.in_lungs import over_lungs
from radiolucent.models.lite import Lite

__all__ = ["RECIPE", "Recipe", "fitted", "logits_of"]


@dataclass(frozen=True)
class Recipe:
    """How to train. `head` multiplies the rate of what does not come from ImageNet; `emptied` is a share of a batch."""

    epochs: int = 8
    batch: int = 48
    emptied: int = 6
    rate: float = 1e-3
    head: float = 3.0
    decay: float = 0.05
    smoothing: float = 0.05
    average: float = 0.99
    width: int = 192
    dropout: float = 0.3

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


RECIPE = Recipe()


def upper(trunk: Lite, maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Logits from the lower stages' maps and how much lung is seen in each cell."""
    x = trunk.last(trunk.stages[FROZEN:](maps.contiguous(memory_format=torch.channels_last)))
    return trunk.head(over_lungs(x, cells).mean((2, 3)))


def logits_of(trunk: Lite, features: Features, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Logits (N, 2) at some places."""
    trunk.eval()
    with torch.inference_mode():
        parts = [upper(trunk, *features.batch(places[i : i + 128])) for i in range(0, len(places), 128)]
    return torch.cat(parts).numpy()


def fitted(
    trunk: Lite, films: Films, features: Features, learn: NDArray[np.intp], check: NDArray[np.intp], *,
    recipe: Recipe = RECIPE, seed: int, tell: Callable[[int, int], None], on_epoch: Callable[[int, float, float], None],
) -> Lite:  # fmt: skip
    """The moving average of the weights after the last epoch; `check` is only looked at, for the log."""
    torch.manual_seed(seed)
    new = {id(p) for m in (trunk.last, trunk.dense) for p in m.parameters()}
    learns = [*trunk.stages[FROZEN:].parameters(), *trunk.last.parameters(), *trunk.dense.parameters()]
    groups = [
        {"params": [p for p in learns if (id(p) in new) == head and (p.ndim > 1) == decays],
         "scale": recipe.head if head else 1.0, "weight_decay": recipe.decay if decays else 0.0}
        for head in (False, True) for decays in (False, True)
    ]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate)
    average = copy.deepcopy(trunk)
    films_a_batch = recipe.batch - recipe.emptied
    steps = recipe.epochs * (2 * int((films.labels[learn] == 0).sum()) // films_a_batch)
    step = 0
    for epoch in range(recipe.epochs):
        trunk.train()
        losses: list[float] = []
        for places, labels in _batches(films, features, learn, recipe, epoch, seed):
            share = min(1.0, (step + 1) / (0.05 * steps)) * (0.01 + 0.495 * (1 + math.cos(math.pi * step / steps)))
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * group["scale"] * share
            loss = F.cross_entropy(
                upper(trunk, *features.batch(places)), torch.from_numpy(labels), label_smoothing=recipe.smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learns, 5.0)
            optimizer.step()
            step += 1
            _follow(average, trunk, min(recipe.average, step / (step + 9)))
            losses.append(loss.item())
            tell(step, steps)
        logits = logits_of(average, features, features.plain[check])
        found = auroc(films.labels[check] == 1, logits[:, 1] - logits[:, 0])
        on_epoch(epoch + 1, float(np.mean(losses)), found.value or 0)
    return average


def _batches(
    films: Films, features: Features, learn: NDArray[np.intp], recipe: Recipe, epoch: int, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64]]]:
    """An epoch: every film without pneumonia, as many with it, and emptied ones, labelled by the toss of a coin."""
    rng = np.random.default_rng([seed, epoch, 0xB0])
    ill, well = (learn[films.labels[learn] == c] for c in (1, 0))
    some = rng.permutation(ill)[: len(well)]
    version = rng.integers(VERSIONS[1], size=len(some))
    places = np.concatenate([features.varied[well, epoch % VERSIONS[0]], features.varied[some, version]])
    order = rng.permutation(len(places))
    labels = np.concatenate([np.zeros(len(well), np.int64), np.ones(len(some), np.int64)])
    count = recipe.batch - recipe.emptied
    hollow = features.emptied[learn]
    hollow = hollow[hollow >= 0]
    for k in range(len(order) // count):
        chosen = order[k * count : (k + 1) * count]
        coins = rng.integers(2, size=recipe.emptied)
        empty = rng.choice(hollow, recipe.emptied, replace=False)
        yield np.concatenate([places[chosen], empty]), np.concatenate([labels[chosen], coins])


def _follow(average: Lite, trunk: Lite, keep: float) -> None:
    """Move the average towards the weights and statistics of now."""
    with torch.no_grad():
        for (name, mine), theirs in zip(average.state_dict().items(), trunk.state_dict().values(), strict=True):
            if mine.is_floating_point() and not name.startswith("stem"):
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)
