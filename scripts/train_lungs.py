"""Train the lung segmenter that the package ships, and write its card.

    python scripts/train_lungs.py --data ../shared/data [--work runs/lungs] [--seed 0] [--threads 1]

Needs the children's films of Kermany et al. and the lung masks of V7 Labs (both CC BY 4.0) as `DATA/chest_xray/` and
`DATA/lungs/`. About 20 minutes on one core. An interrupted run goes on after its last finished epoch; the same seed,
threads and versions give the same weights.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy import ndimage

from lungs_card import Case, calibrate, measure, spoilt, write_card
from lungs_data import Films, mask_path, phantoms, real_films, vary
from radiolucent.files import atomic_path
from radiolucent.images import read
from radiolucent.segment.lungs import Segmenter, load_segmenter, save_segmenter, weights_path
from radiolucent.segment.net import SIDE, LungNet

BATCH, RATE, DECAY = 32, 4e-3, 1e-2
SIDES = (96, 96, 96, 96, 128)
"""Side of the input in each epoch: small first, which is quicker, then full."""
SLOW = (3, 7)
"""For the first three epochs the rate follows the cosine of a course of seven, then that of the real course."""
LAST, LAST_RATE = 90, 1.2e-3
"""Steps with little movement at the end, and their first learning rate."""
DOUBT = 0.6
"""Soft Dice below which a film's mask is taken for a wrong match from the third epoch on: the film then teaches
nothing."""
PHANTOMS = 400

say = Console(stderr=True)


def loss_of(logits: torch.Tensor, target: torch.Tensor, *, strict: bool) -> tuple[torch.Tensor, int]:
    """Mean of BCE + (1 − soft Dice) over films, and how many films were left out as wrong matches."""
    p = logits.sigmoid()
    together = 2 * (p * target).sum((1, 2)) + 1
    dice = together / (p.sum((1, 2)) + target.sum((1, 2)) + 1)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2)) + 1 - dice
    keep = (dice.detach() > DOUBT) | (target.sum((1, 2)) == 0) if strict else torch.ones_like(dice, dtype=torch.bool)
    return (each * keep).sum() / max(1, int(keep.sum())), int((~keep).sum())


def rate(step: int, steps: int) -> float:
    """Factor of the learning rate at a step: a warm-up of 100 steps, then a cosine (see `SLOW`)."""
    course = SLOW[1] if step < SLOW[0] * steps else len(SIDES)
    return min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * min(1, step / (steps * course))))


def train(films: Films, extra: Films, state: Path, *, seed: int) -> LungNet:
    """The network after all epochs; goes on from `state`."""
    torch.manual_seed(seed)
    net = LungNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    grey = torch.from_numpy(np.concatenate([films.grey, extra.grey]))
    mask = torch.from_numpy(np.concatenate([films.mask, extra.mask]))
    steps = len(grey) // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: rate(t, steps))
    first = 0
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        first = kept["epoch"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=say) as progress:
        for epoch in range(first, len(SIDES)):
            rng = torch.Generator().manual_seed(seed * 1000 + epoch)
            order = torch.randperm(len(grey), generator=rng)
            bar = progress.add_task(f"epoch {epoch + 1}/{len(SIDES)}", total=steps)
            total, doubted = 0.0, 0
            net.train()
            for step in range(steps):
                chosen = order[step * BATCH : (step + 1) * BATCH]
                x, y = vary(grey[chosen], mask[chosen], SIDES[epoch], rng)
                loss, out = loss_of(net(x.contiguous(memory_format=torch.channels_last)), y, strict=epoch >= 2)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total, doubted = total + loss.item(), doubted + out
                progress.update(bar, completed=step + 1)
            say.print(f"epoch {epoch + 1}: loss {total / steps:.4f}, {doubted} films left out as wrong matches")
            kept = {
                "net": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "epoch": epoch + 1,
            }
            with atomic_path(state) as temporary:
                torch.save(kept, temporary)
    return net


def finish(net: LungNet, films: Films, extra: Films, *, seed: int) -> LungNet:
    """Some last steps with a third of the movement, so that the outline settles where the films really lie; fused."""
    grey = torch.from_numpy(np.concatenate([films.grey, extra.grey]))
    mask = torch.from_numpy(np.concatenate([films.mask, extra.mask]))
    rng = torch.Generator().manual_seed(seed * 1000 + 999)
    order = torch.randperm(len(grey), generator=rng)
    optimizer = torch.optim.AdamW(net.parameters(), LAST_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, LAST)
    net.train()
    for step in range(LAST):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        x, y = vary(grey[chosen], mask[chosen], SIDE, rng, move=1 / 3)
        loss, _ = loss_of(net(x.contiguous(memory_format=torch.channels_last)), y, strict=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.fused()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/lungs"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=weights_path(), help="the weights file to write")
    parser.add_argument("--card", type=Path, default=Path("docs/reference/cards/lungs.md"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    with Progress(console=say) as progress:
        one = progress.add_task("films")
        films = real_films(
            given.data, given.work, seed=given.seed, progress=lambda d, t: progress.update(one, completed=d, total=t)
        )
        two = progress.add_task("phantoms")
        extra = phantoms(
            PHANTOMS, given.work, seed=given.seed, progress=lambda d, t: progress.update(two, completed=d, total=t)
        )
    say.print(json.dumps({s: len(films.of(s)) for s in ("train", "val", "test")} | {"side": SIDE}))
    net = train(films.of("train"), extra, given.work / "state.pt", seed=given.seed)
    net = finish(net, films.of("train"), extra, seed=given.seed)
    about = {"seed": given.seed, "data": "Kermany et al. (CC BY 4.0), V7 Labs (CC BY 4.0), phantoms"}
    bare = Segmenter(net, {}, about)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=say) as progress:
        bars = {name: progress.add_task(name) for name in ("validation", "held out")}

        def tell(name: str) -> Callable[[int, int], None]:
            return lambda done, total: progress.update(bars[name], completed=done, total=total)

        limits = calibrate(measure(bare, films.of("val").records, given.data, tell("validation")))
        save_segmenter(Segmenter(net, limits, about), given.out)
        shipped = load_segmenter(given.out)  # in half precision, as everybody gets it
        cases = measure(shipped, films.of("test").records, given.data, tell("held out"))
    some = [read(c.record.path) for c in cases[:: max(1, len(cases) // 100)]][:100]
    facts: dict[str, object] = {
        "seed": given.seed,
        "phantoms": PHANTOMS,
        **{split: len(films.of(split)) for split in ("train", "val", "test")},
        "recipe": f"{len(SIDES)} epochs at sides {SIDES}, batch {BATCH}, AdamW, cosine from {RATE:g}, BCE + soft Dice; "
        f"then {LAST} steps at side {SIDE} with a third of the movement, from {LAST_RATE:g}",
    }
    say.print(*write_card(given.card, shipped, cases, spoilt(shipped, some), len(some), facts, given.out), sep="\n")
    picture(cases, given.data, given.work / "worst.png")


def picture(cases: list[Case], data: Path, path: Path) -> None:
    """The twenty worst films with the found outline (green) and the mask's (red); it stays out of the repository."""
    tiles: list[NDArray[np.uint8]] = []
    for case in sorted(cases, key=lambda c: c.dice)[:20]:
        film = read(case.record.path)
        tile = np.repeat((film.pixels * 255).astype(np.uint8)[..., None], 3, axis=2)
        with Image.open(mask_path(data, case.record)) as image:
            true = np.asarray(image.convert("L").resize(film.shape[::-1])) > 127
        for mask, colour in ((true, (255, 60, 60)), (case.found.pixels, (60, 255, 60))):
            tile[mask & ~ndimage.binary_erosion(mask)] = colour
        tiles.append(np.asarray(Image.fromarray(tile).resize((224, 224))))
    rows = [np.concatenate(tiles[k : k + 5], axis=1) for k in range(0, 20, 5)]
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary)


if __name__ == "__main__":
    main()
