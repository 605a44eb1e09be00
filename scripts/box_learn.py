"""How the trunk of the shipped model learns: from films, from opacities painted in and taken out, and from shams."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from box_data import Films, emptied, seen_of, varied
from box_opacities import Lungs, borrowed, brightness, drawn, removed, sham
from box_slim import slimmed, with_norms
from radiolucent.metrics import auroc
from radiolucent.models.in_lungs import over_lungs, standardised
from radiolucent.models.lite import Lite

__all__ = ["RECIPE", "Recipe", "batch_of", "chosen", "fitted", "started"]

SCALE = 0.5
"""Lungs have deviation 1 here, photographs about a half of that."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        batch: films and emptied ones of a step. pairs: of them healthy ones that get an opacity, as many ill ones that
            lose theirs, and as many shams. head: multiplies the rate of what does not come from ImageNet. average: how
            much of the moving average a step keeps. frozen: stages that do not learn. hidden: maps that are kept inside
            each block that widens. start: batches that the slimmer network is fitted to before it learns.
        apart: by how many units of the logit an opacity must move the answer. whole: the `brightness` from which on all
            of that is asked. weight, still: in the loss, of that and of shams moving nothing.
    """

    epochs: int = 12
    batch: int = 48
    emptied: int = 6
    pairs: int = 10
    rate: float = 1e-3
    head: float = 3.0
    decay: float = 0.05
    smoothing: float = 0.05
    average: float = 0.99
    width: int = 192
    dropout: float = 0.3
    side: int = 160
    margin: float = 0.04
    frozen: int = 3
    hidden: tuple[int, ...] = (32, 72, 72, 128, 128, 320, 320, 320, 448, 448)
    start: int = 5
    apart: float = 3.5
    whole: float = 0.13
    weight: float = 0.04
    still: float = 0.1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


RECIPE = Recipe()


def started(weights: Path, films: Films, learn: NDArray[np.intp], recipe: Recipe, seed: int) -> Lite:
    """The trunk that learns: ImageNet's, slimmed on films that it will learn from; the last two layers are drawn."""
    torch.manual_seed(seed)
    full = Lite(2, width=recipe.width)
    full.load_imagenet(load_file(weights), SCALE)
    windows: list[torch.Tensor] = []
    for k, rows in zip(range(recipe.start), chosen(films, learn, recipe, seed), strict=False):
        batch = batch_of(films, *rows, recipe, k)
        windows.append(standardised(batch.grey, batch.seen))
    seen = torch.cat(windows)[:, None]
    slim = slimmed(full.fused().to(memory_format=torch.channels_last), seen, recipe.hidden, dropout=0.0)  # pyright: ignore[reportCallIssue]
    return with_norms(slim, seen, recipe.frozen, dropout=recipe.dropout)


class Sight:
    """From windows to the trunk's answers."""

    def __init__(self, trunk: Lite, recipe: Recipe) -> None:
        self.trunk, self.recipe = trunk, recipe

    def __call__(self, grey: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Logits (N, 2)."""
        inside = standardised(grey, seen)
        trunk, frozen = self.trunk, self.recipe.frozen
        with torch.no_grad():
            x = inside[:, None].contiguous(memory_format=torch.channels_last)
            x = trunk.stages[:frozen](trunk.stem(x))
        maps = trunk.last(trunk.stages[frozen:](x))
        return trunk.head(over_lungs(maps, seen).mean((2, 3)))


def logits_of(trunk: Lite, films: Films, rows: NDArray[np.intp], recipe: Recipe) -> NDArray[np.float32]:
    """Logits (N, 2) of films as they are."""
    sight = Sight(trunk.eval(), recipe)
    with torch.inference_mode():
        parts = [
            sight(*seen_of(films, rows[i : i + 64], recipe.side, recipe.margin)[:2]) for i in range(0, len(rows), 64)
        ]
    return torch.cat(parts).numpy()


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees: windows and how visible each pixel is; films first, then emptied ones, then edited ones.

    labels: of films and emptied ones. pairs: of each edited one, which film it was. rise: by how much it shows more
    opacity than that, below 0 less; 0 a sham.
    """

    grey: torch.Tensor
    seen: torch.Tensor
    labels: torch.Tensor
    pairs: torch.Tensor
    rise: torch.Tensor


def batch_of(
    films: Films, well: NDArray[np.intp], ill: NDArray[np.intp], hollow: NDArray[np.intp], recipe: Recipe, seed: int
) -> Batch:
    """As many films of either class, emptied ones with the toss of a coin for a label, and edited copies of some."""
    rng = torch.Generator().manual_seed(seed)
    w, n = len(well), len(well) + len(ill)
    grey, seen, lungs = varied(films, np.concatenate([well, ill]), recipe.side, recipe.margin, rng)
    empty = emptied(films, hollow, recipe.side, recipe.margin, rng)
    coins = torch.randint(2, (len(hollow),), generator=rng)
    every, pairs = Lungs.of(grey, lungs, rng), recipe.pairs
    half = pairs // 2
    one, sick, other = torch.arange(pairs), w + torch.arange(pairs), torch.arange(pairs) + pairs
    healthy, unwell = every[one], every[sick]
    dose = (0.3 + 0.8 * torch.rand(pairs, generator=rng))[:, None, None]
    painted = dose * torch.cat(
        [drawn(healthy[one[:half]], rng), borrowed(healthy[one[half:]], unwell[one[half:]], rng)]
    )
    share = (0.6 + 0.4 * torch.rand(pairs, generator=rng))[:, None, None]
    less = share * removed(unwell, every[torch.arange(w)], 5)
    mixed = torch.cat([one[:half] + pairs % w, w + (pairs + torch.arange(half)) % len(ill)])
    shams = sham(every[mixed], every[other[: len(mixed)] % w], rng)
    edited = torch.cat([healthy.grey + painted, unwell.grey - less, shams]).clamp(0, 1)
    of = torch.cat([one, sick, mixed])
    rise = torch.cat([brightness(painted, healthy), -brightness(less, unwell), torch.zeros(len(mixed))])
    return Batch(
        torch.cat([grey, empty[0], edited]),
        torch.cat([seen, empty[1], seen[of]]),
        torch.cat([torch.zeros(w), torch.ones(n - w), coins]).long(),
        of,
        rise,
    )


def loss_of(logits: torch.Tensor, batch: Batch, recipe: Recipe) -> torch.Tensor:
    """Cross-entropy of films and emptied ones; opacities must move the log-odds with their amount, shams must not."""
    count = len(batch.labels)
    odds = logits[:, 1] - logits[:, 0]
    moved = odds[count:] - odds[batch.pairs]
    asked = recipe.apart * (batch.rise.abs() / recipe.whole).clamp(max=1)
    changed = batch.rise != 0
    short = (asked - moved * batch.rise.sign()).clamp(min=0)[changed].mean()
    still = F.smooth_l1_loss(moved[~changed], torch.zeros(()).expand_as(moved[~changed]))
    base = F.cross_entropy(logits[:count], batch.labels, label_smoothing=recipe.smoothing)
    return base + recipe.weight * short + recipe.still * still


def fitted(
    trunk: Lite, films: Films, learn: NDArray[np.intp], check: NDArray[np.intp], *, recipe: Recipe = RECIPE, seed: int,
    tell: Callable[[int, int], None], on_epoch: Callable[[int, float, float], None],
) -> Lite:  # fmt: skip
    """The moving average of the weights after the last epoch; `check` is only looked at, for the log, now and then."""
    torch.manual_seed(seed)
    new = {id(p) for m in (trunk.last, trunk.dense) for p in m.parameters()}
    upper = trunk.stages[recipe.frozen :]
    learns = [*upper.parameters(), *trunk.last.parameters(), *trunk.dense.parameters()]
    groups = [
        {"params": [p for p in learns if (id(p) in new) == head and (p.ndim > 1) == decays],
         "scale": recipe.head if head else 1.0, "weight_decay": recipe.decay if decays else 0.0}
        for head in (False, True) for decays in (False, True)
    ]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate)
    average = copy.deepcopy(trunk)
    sight = Sight(trunk, recipe)
    todo = list(chosen(films, learn, recipe, seed))
    steps = len(todo)
    losses: list[float] = []
    for part in (upper, trunk.last, trunk.drop):
        part.train()
    for step, rows in enumerate(todo):
        share = min(1.0, (step + 1) / (0.05 * steps)) * (0.01 + 0.495 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * group["scale"] * share
        batch = batch_of(films, *rows, recipe, seed * 100_003 + step)
        loss = loss_of(sight(batch.grey, batch.seen), batch, recipe)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learns, 5.0)
        optimizer.step()
        _follow(average, trunk, min(recipe.average, (step + 1) / (step + 10)))
        losses.append(loss.item())
        tell(step + 1, steps)
        if (step + 1) % (4 * steps // recipe.epochs) == 0 or step + 1 == steps:
            logits = logits_of(average, films, check, recipe)
            found = auroc(films.labels[check] == 1, logits[:, 1] - logits[:, 0])
            on_epoch((step + 1) * recipe.epochs // steps, float(np.mean(losses)), found.value or 0)
            losses.clear()
    return average


def chosen(
    films: Films, learn: NDArray[np.intp], recipe: Recipe, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """Of each step of all epochs the films without pneumonia, as many with it, and films to empty.

    An epoch shows every film without pneumonia; no film with it comes again before all others have.
    """
    rng = np.random.default_rng([seed, 0xB4])
    half = (recipe.batch - recipe.emptied) // 2
    well, ill = (learn[films.labels[learn] == c] for c in (0, 1))
    steps = recipe.epochs * (len(well) // half)
    healthy = np.concatenate([rng.permutation(well)[: len(well) // half * half] for _ in range(recipe.epochs)])
    unwell = np.concatenate([rng.permutation(ill) for _ in range(steps * half // len(ill) + 1)])
    for k in range(steps):
        here = slice(k * half, (k + 1) * half)
        yield healthy[here], unwell[here], rng.choice(learn, recipe.emptied, replace=False)


def _follow(average: Lite, trunk: Lite, keep: float) -> None:
    """Move the average towards the weights and statistics of now."""
    with torch.no_grad():
        for mine, theirs in zip(average.state_dict().values(), trunk.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)
