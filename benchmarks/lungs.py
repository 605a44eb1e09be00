"""Films a second of the lung segmenter: the network alone, with its signs, from film to mask, and from file to mask.

    python benchmarks/lungs.py [--films 256] [--side 224] [--batch 32] [--threads 2] [--repeats 5]

"film to mask" is all that `rl.lungs` does to a decoded film: squashing, two passes, signs, mask in source pixels;
"file to mask" is `lungs_of(rl.read(path) for path in paths)` over JPEG files. The films are phantoms. Times are the
best of the repeats, which a busy machine disturbs least; processor time, summed over threads, is given beside wall
time, and the rate per core follows from it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from radiolucent.data.phantom import draw
from radiolucent.images import from_array, read
from radiolucent.segment import load_segmenter, lungs_of
from radiolucent.segment.net import SIDE
from radiolucent.types import Radiograph


def films(count: int, side: int) -> list[Radiograph]:
    """Phantoms, eight of them over and over."""
    drawn = [draw(np.random.default_rng([1, i]), size=side).pixels.astype(np.float32) / 255 for i in range(8)]
    return [from_array(drawn[i % 8]) for i in range(count)]


def best(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least wall and least processor seconds."""
    found: list[tuple[float, float]] = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(w for w, _ in found), min(p for _, p in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=256)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    segmenter, every = load_segmenter(), films(given.films, given.side)
    grey = np.random.default_rng(0).integers(0, 255, (given.batch, SIDE, SIDE), np.uint8)
    x = torch.rand(given.batch, 1, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    rounds = max(1, given.films // given.batch)

    def network() -> None:
        with torch.inference_mode():
            for _ in range(rounds):
                segmenter.network(x)

    def with_signs() -> None:
        for _ in range(rounds):
            segmenter.probabilities(grey)

    def whole() -> None:
        for _ in lungs_of(every, batch=given.batch, segmenter=segmenter):
            pass

    def from_files() -> None:
        for _ in lungs_of((read(path) for path in files), batch=given.batch, segmenter=segmenter):
            pass

    folder = tempfile.TemporaryDirectory()
    files = [Path(folder.name) / f"{i}.jpeg" for i in range(given.films)]
    for film, path in zip(every, files, strict=True):
        Image.fromarray((film.pixels * 255).astype(np.uint8)).convert("RGB").save(path, quality=90)
    print(f"{given.films} films of {given.side}², batch {given.batch}, ", end="")
    print(f"{given.threads} threads, {os.cpu_count()} cores\n")
    print("| what | films a second (wall) | films a second and core (processor time) |\n|---|---|---|")
    works = (
        ("network alone", network),
        ("two passes and signs", with_signs),
        ("film to mask", whole),
        ("file to mask", from_files),
    )
    for name, work in works:
        wall, processor = best(work, given.repeats)
        print(f"| {name} | {given.films / wall:.0f} | {given.films / processor:.0f} |")


if __name__ == "__main__":
    main()
