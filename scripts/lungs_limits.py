"""What limits the shipped lung segmenter: its resolution, its threshold, or where the outlines lie.

    python scripts/lungs_limits.py --data ../shared/data

Measured on the validation films of `scripts/train_lungs.py`; the films held out are not looked at.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lungs_card import dice_of, mask_of
from lungs_data import mask_path
from radiolucent.data import load_dataset, split_dataset
from radiolucent.images import Preprocess, coverage_to_model, map_to_source, read
from radiolucent.metrics.resample import cluster_bootstrap_mean
from radiolucent.segment import load_segmenter
from radiolucent.segment.lungs import TINY
from radiolucent.segment.net import SIDE

OFFSETS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
LEVELS = np.arange(-3, 3.25, 0.25)


def logit(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `Segmenter.batch` takes it before interpolation."""
    return np.log(p + TINY) - np.log(1 - p + TINY)


def shares(wrong: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[int, int, int]:
    """How many wrong pixels lie in the lowest quarter of the lungs' box, in its middle half above that, and in all."""
    rows, columns = np.flatnonzero(true.any(1)), np.flatnonzero(true.any(0))
    low = rows[0] + 0.75 * (rows[-1] + 1 - rows[0])
    left, right = (columns[0] + part * (columns[-1] + 1 - columns[0]) for part in (0.25, 0.75))
    y, x = np.nonzero(wrong)
    return int((y >= low).sum()), int(((y < low) & (x >= left) & (x < right)).sum()), len(y)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = split_dataset(load_dataset(given.data / "chest_xray"), val=0.08, test=0.12, seed=0)  # as in training
    records = [r for r in dataset.split("val").records if mask_path(given.data, r).is_file()]
    films = [read(r.path) for r in records]
    segmenter, prepare = load_segmenter(), Preprocess(size=SIDE, channels=1, mean=(0.0,), std=(1.0,))
    cells = Preprocess(size=SIDE // 2, channels=1, mean=(0.0,), std=(1.0,))
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(films), 16):
        found += list(segmenter.probabilities(np.stack([prepare.quantise(f) for f in films[start : start + 16]]))[0])
    masks = [mask_of(given.data, r, f.shape) for r, f in zip(records, films, strict=True)]
    maps = [map_to_source(logit(p), prepare.geometry(f.shape)) for p, f in zip(found, films, strict=True)]

    def say(what: str, score: Callable[[int], float]) -> None:
        values = np.array([score(i) for i in range(len(records))])
        print(f"{what}: {cluster_bootstrap_mean(values, [str(r.patient_id) for r in records], scale='plain')}")

    def through_cells(i: int) -> float:
        geometry = cells.geometry(films[i].shape)
        back = map_to_source(logit(coverage_to_model(masks[i], geometry)), geometry) > 0
        return dice_of(back, masks[i])

    say("Dice", lambda i: dice_of(maps[i] > 0, masks[i]))
    say(f"the person's own mask through {SIDE // 2} × {SIDE // 2} cells and back", through_cells)
    for level in LEVELS[8:17:2]:
        say(f"threshold at a logit of {level:g}", lambda i, at=level: dice_of(maps[i] > at, masks[i]))
    say("threshold best for each film", lambda i: max(dice_of(maps[i] > at, masks[i]) for at in LEVELS))
    for offset in OFFSETS:
        say(f"moved by {offset}", lambda i, by=offset: dice_of(np.roll(maps[i] > 0, by, (0, 1)), masks[i]))
    low, middle, every = np.sum([shares((m > 0) != t, t) for m, t in zip(maps, masks, strict=True)], axis=0)
    print(f"wrong pixels: {low / every:.0%} in the lowest quarter, {middle / every:.0%} above it in the middle half")


if __name__ == "__main__":
    main()
