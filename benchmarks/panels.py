"""Panels a second: composed from pixels (`figures.panel`) and drawn by matplotlib (`figures.case_panel`), side by side.

    python benchmarks/panels.py FOLDER [--films 12] [--rounds 5] [--side 224]

The same films, with a Grad-CAM and a LIME map, in turn; each panel is encoded as PNG as well. Times are of the
processor. Also written, to look at: two panels of each in the folder `--out`.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

import radiolucent as rl
from explain import films
from radiolucent import figures


def cases(folder: Path, count: int, side: int) -> Sequence[figures.Case]:
    """Films with maps of a network with random weights: how long drawing takes hardly depends on the map."""
    clf = rl.build("small_cnn", size=side, seed=0)[0]
    methods = (rl.GradCAM(), rl.LIME(100, segmentation="slic"))
    return [
        figures.Case(film, "PNEUMONIA", 0.93, None, (), tuple(rl.explain(clf, film, methods, target="PNEUMONIA")))
        for film in films(folder, count)
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways: dict[str, Callable[[figures.Case], Image.Image]] = {
        "matplotlib": lambda case: figures.drawn(figures.case_panel(case)),
        "composed": figures.panel,
    }
    drawn, ratios, spent = cases(options.folder, options.films, options.side), list[float](), dict[str, list[float]]()
    for turn in range(options.rounds + 1):  # the first warms up
        times: dict[str, float] = {}
        for name, way in ways.items():
            start = time.process_time()
            pictures = [figures.encoded(way(case)) for case in drawn]
            times[name] = (time.process_time() - start) / len(drawn)
            if options.out and not turn:
                options.out.mkdir(parents=True, exist_ok=True)
                for i, picture in enumerate(pictures[:2]):
                    (options.out / f"{name}-{i}.png").write_bytes(picture)
        if turn:
            ratios.append(times["matplotlib"] / times["composed"])
            for name, seconds in times.items():
                spent.setdefault(name, []).append(seconds)
    for name, seconds in spent.items():
        print(f"{name}: {1 / statistics.median(seconds):.1f} panels a second")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}), {len(ratios)} rounds")


if __name__ == "__main__":
    main()
