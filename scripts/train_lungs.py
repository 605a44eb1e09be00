"""Train the lung segmenter that the package ships, and write its card.

    python scripts/train_lungs.py --data ../shared/data [--work runs/lungs] [--seed 0] [--threads 1]

Needs the children's films of Kermany et al. and the lung masks of V7 Labs (both CC BY 4.0) as `DATA/chest_xray/` and
`DATA/lungs/`. About 20 minutes on one core. An interrupted run goes on after its last finished epoch; the same seed,
threads and versions give the same weights.
"""

import argparse
import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy import ndimage

from lungs_card import UNKNOWN, Case, calibrate, expectation, measure, spoilt, twice_outlined, varied, write_card
from lungs_data import Films, mask_path, phantoms, real_films, vary
from radiolucent.files import atomic_path
from radiolucent.images import read
from radiolucent.segment.lungs import Segmenter, load_segmenter, save_segmenter, weights_path
from radiolucent.segment.net import SIDE, LungNet

EPOCHS, BATCH, RATE, DECAY = 28, 32, 4e-3, 1e-2
AVERAGE = 0.998
"""The weights that are kept are a moving average over steps, each old weight counting this much."""
CALM = 0.6, 0.25
"""From this share of the course on films are moved less and less, down to this share of the movement: the outline
settles where films really lie."""
CHECK, MATCH = 0.4, 0.8
"""At this share of the course every training film is outlined by the average; where Dice with its mask is less, the two
are taken for a wrong match, and the film teaches nothing from then on."""
PHANTOMS = 400

say = Console(stderr=True)


def loss_of(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of BCE + (1 − soft Dice) over films."""
    p = logits.sigmoid()
    dice = (2 * (p * target).sum((1, 2)) + 1) / (p.sum((1, 2)) + target.sum((1, 2)) + 1)
    return (F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2)) + 1 - dice).mean()


def rate(step: int, steps: int) -> float:
    """Factor of the learning rate at a step of all: a warm-up of 100 steps, then a cosine to zero."""
    return min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))


def movement(done: float) -> float:
    """How much films are moved when this share of the course is done (see `CALM`)."""
    start, end = CALM
    return 1 - (1 - end) * max(0.0, done - start) / (1 - start)


def mismatched(net: LungNet, grey: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Which films' masks are far from what the network finds."""
    wrong: list[torch.Tensor] = []
    with torch.inference_mode():
        for x, y in zip(grey.split(64), mask.split(64), strict=True):
            found = net.eval()(x[:, None].float().div(255).contiguous(memory_format=torch.channels_last)) > 0
            true = F.avg_pool2d(y[:, None].float() / 255, 2)[:, 0] > 0.5
            wrong.append(2 * (found & true).sum((1, 2)) < MATCH * (found.sum((1, 2)) + true.sum((1, 2))))
    return torch.cat(wrong)


def train(films: Films, extra: Films, state: Path, *, seed: int) -> tuple[LungNet, int]:
    """The averaged network after all epochs, fused, and how many films were left out; goes on from `state`."""
    torch.manual_seed(seed)
    net = LungNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    average = copy.deepcopy(net)
    grey = torch.from_numpy(np.concatenate([films.grey, extra.grey]))
    mask = torch.from_numpy(np.concatenate([films.mask, extra.mask]))
    steps = len(grey) // BATCH * EPOCHS
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: rate(t, steps))
    good, first = torch.ones(len(grey), dtype=torch.bool), 0
    if state.is_file():
        kept = torch.load(state, weights_only=True)
        net.load_state_dict(kept["net"])
        average.load_state_dict(kept["average"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        good, first = kept["good"], kept["epoch"]
    for epoch in range(first, EPOCHS):
        if epoch == round(CHECK * EPOCHS):
            good = ~mismatched(average, grey, mask)
        rng = torch.Generator().manual_seed(seed * 1000 + epoch)
        order = torch.randperm(len(grey), generator=rng)
        order = order[good[order]]
        total, batches = 0.0, order[: len(order) // BATCH * BATCH].split(BATCH)
        net.train()
        for chosen in track(batches, f"epoch {epoch + 1} of {EPOCHS}", console=say):
            x, y = vary(grey[chosen], mask[chosen], SIDE, rng, move=movement(epoch / EPOCHS))
            loss = loss_of(net(x.contiguous(memory_format=torch.channels_last)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            blend(average, net, min(AVERAGE, 1 - 1 / (schedule.last_epoch + 1)))
            total += loss.item()
        say.print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}, {int((~good).sum())} films left out")
        kept = {
            "net": net.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "good": good,
            "epoch": epoch + 1,
        }
        with atomic_path(state) as temporary:
            torch.save(kept, temporary)
    return average.fused(), int((~good).sum())


def bar(what: str) -> Callable[[int, int], None]:
    """Say how far something is, on one line."""
    return lambda done, total: say.print(f"{what}: {done} of {total}", end="\r" if done < total else "\n")


def blend(average: LungNet, net: LungNet, share: float) -> None:
    """Move the average, batch statistics included, toward the network."""
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/lungs"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=weights_path(), help="the weights file to write")
    parser.add_argument("--card", type=Path, default=Path("docs/reference/cards/lungs.md"))
    parser.add_argument("--validate", action="store_true", help="stop before the held-out films")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    films = real_films(given.data, given.work, seed=given.seed, progress=bar("films"))
    extra = phantoms(PHANTOMS, given.work, seed=given.seed, progress=bar("phantoms"))
    net, left_out = train(films.of("train"), extra, given.work / "state.pt", seed=given.seed)
    about = {"seed": given.seed, "data": "Kermany et al. (CC BY 4.0), V7 Labs (CC BY 4.0), phantoms"}
    bare = Segmenter(net, {}, about, UNKNOWN)
    known = films.of("val").records
    found = measure(bare, known, given.data, bar("validation"))
    expected = expectation(found, varied(bare, known, given.data))
    save_segmenter(Segmenter(net, calibrate(found, expected), about, expected), given.out)
    say.print(f"validation: Dice {np.mean([c.dice for c in found]):.4f}")
    if given.validate:
        return
    shipped = load_segmenter(given.out)  # in half precision, as everybody gets it
    cases = measure(shipped, films.of("test").records, given.data, bar("held out"))
    some = [read(c.record.path) for c in cases[:: max(1, len(cases) // 100)]][:100]
    facts: dict[str, object] = {
        "seed": given.seed,
        "phantoms": PHANTOMS,
        "left_out": left_out,
        "match": MATCH,
        "check": CHECK,
        **{split: len(films.of(split)) for split in ("train", "val", "test")},
        "recipe": f"{EPOCHS} epochs at side {SIDE}, batch {BATCH}, AdamW, cosine from {RATE:g} to 0, BCE + soft Dice; "
        f"the weights are a moving average over steps ({AVERAGE}); from {CALM[0]:.0%} of the course on films are moved "
        f"less and less, down to {CALM[1]:.0%}",
    }
    pairs = twice_outlined(films.records, given.data)
    spoilt_films = spoilt(shipped, some)
    figures = write_card(given.card, shipped, cases, pairs, spoilt_films, len(some), facts, given.out)
    say.print(*figures, sep="\n")
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
