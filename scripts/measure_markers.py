"""Measure the marker detector on phantoms and on real films, and write its card.

    python scripts/measure_markers.py --data ../shared/data [--phantoms 150] [--card docs/reference/cards/markers.md]

Real films: `scripts/markers_held_out.csv`, 60 films of patients that training never saw, their marks boxed by eye.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy import ndimage

from radiolucent.data.phantom import draw
from radiolucent.files import sha256_file, write_text
from radiolucent.images import from_array, read
from radiolucent.metrics import wilson
from radiolucent.segment import Mark, markers
from radiolucent.segment.components import FEATURES, PATCH

say = Console(stderr=True)
Box = Sequence[float]
SLACK = 0.012
"""A detection hits a mark when its middle lies in the mark's box grown by this share of the film's longer side."""

CARD = """# Card: marker and text detector

`rl.markers(film)` finds side markers and burned-in text: small bright components of the top-hat, told from bones,
lines and electrodes by {measured} measurements, a picture of {side} × {side} samples and a network of one hidden layer
({size:.0f} kB). Ours, trained by `scripts/train_markers.py` on phantoms, on letters and tags pasted on real films, and
on {read} real films whose marks one person boxed by eye (`scripts/markers_read.csv`). Research use, not for diagnosis.

Weights: `segment/markers.json`, SHA-256 `{digest}`

| on | precision of detections | recall of marks | films without a mark on which it fires |
|---|---|---|---|
{rows}

Intervals: Wilson, 95 %, marks and detections taken as independent. A detection is right when its middle lies in a
mark's box grown by {slack:.1%} of the longer side; letters of one word count once as a mark, each detection for itself.

What is missed on phantoms is their line of small text at the lower edge; every side letter is found.

**What the real figures rest on.** The cross-fitted row: the films it learns from, each scored by a fit without any
film of its patient; the threshold is the highest with a recall of 0.95 there, so that its recall is chosen and its
precision found. The weight of these films and the size of the network were chosen on them too. The {films} others:
films of children whose other films training never saw; they were measured for the detector before this one too. All
were boxed by one person who is no doctor, looking at the films and at the candidates of an earlier detector (which
favours recall). The files are 224 × 224 copies: a letter is 6 to 25 pixels high, and text finer than that is
unreadable and mostly missed. What was taken for a mark: side letters, projection, voltage, time. What was not:
electrodes, clips, tubes, zips, bones; these are most of the false detections.

Data: D. Kermany, K. Zhang, M. Goldbaum, doi 10.17632/rscbjbr9sj, CC BY 4.0.
"""


def boxes_of(file: Path) -> dict[str, list[tuple[Box, str]]]:
    """Boxes and kinds by film."""
    found: dict[str, list[tuple[Box, str]]] = defaultdict(list)
    with file.open() as stream:
        for row in csv.DictReader(stream):
            box = tuple(float(row[k]) for k in ("left", "top", "right", "bottom")) if row["left"] else None
            found[row["image_id"]] += [(box, row.get("kind") or "mark")] if box else []
    return found


def hits(mark: Mark, box: Box, slack: float) -> bool:
    """Whether a detection's middle lies in a box."""
    x, y = (mark.box[0] + mark.box[2]) / 2, (mark.box[1] + mark.box[3]) / 2
    return box[0] - slack <= x <= box[2] + slack and box[1] - slack <= y <= box[3] + slack


class Tally:
    """Counts over films."""

    def __init__(self) -> None:
        self.right = self.detections = self.found = self.marks = self.fired = self.clean = 0

    def add(self, marks: Sequence[Mark], truth: Sequence[tuple[Box, str]], side: int) -> None:
        slack = SLACK * side
        real = [box for box, kind in truth if kind == "mark"]
        unsure = [box for box, kind in truth if kind != "mark"]
        counted = [m for m in marks if not any(hits(m, box, slack) for box in unsure)]
        self.detections += len(counted)
        self.right += sum(any(hits(m, box, slack) for box in real) for m in counted)
        self.marks += len(real)
        self.found += sum(any(hits(m, box, slack) for m in counted) for box in real)
        if not real:
            self.clean += 1
            self.fired += bool(counted)

    def row(self, name: str) -> str:
        pairs = ((self.right, self.detections), (self.found, self.marks), (self.fired, self.clean))
        return f"| {name} | " + " | ".join(str(wilson(k, n)) for k, n in pairs) + " |"


def words(mask: NDArray[np.bool_]) -> list[tuple[Box, str]]:
    """True marks of a phantom as boxes, letters of a word together."""
    joined, _ = ndimage.label(ndimage.binary_dilation(mask, np.ones((3, 9))))
    return [
        ((xs.start, ys.start, xs.stop, ys.stop), "mark") for ys, xs in ndimage.find_objects(np.where(mask, joined, 0))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--phantoms", type=int, default=150)
    parser.add_argument("--held-out", type=Path, default=Path(__file__).parent / "markers_held_out.csv")
    parser.add_argument("--card", type=Path, default=Path("docs/reference/cards/markers.md"))
    given = parser.parse_args()
    drawn, real = Tally(), Tally()
    covered: list[float] = []
    for i in track(range(given.phantoms), "phantoms", console=say):
        film = draw(np.random.default_rng([991, i]), pneumonia=bool(i % 2), marker=("R", "L", "")[i % 3], site=i % 3)
        found = markers(from_array(film.pixels.astype(np.float32) / 255))
        drawn.add(found.marks, words(film.marker), 256)
        covered += [float(found.pixels[film.marker].mean())] if film.marker.any() else []
    truth = boxes_of(given.held_out)
    for image_id, boxes in track(truth.items(), "real films", console=say):
        film = read(given.data / "chest_xray" / image_id)
        real.add(markers(film).marks, boxes, max(film.shape))
    weights = Path("src/radiolucent/segment/markers.json")
    rows = [
        drawn.row(f"{given.phantoms} phantoms"),
        json.loads(weights.read_text())["cross_fitted"],
        real.row(f"{len(truth)} other real films"),
    ]
    say.print(*rows, f"share of true ink covered on phantoms: {np.mean(covered):.2f}", sep="\n", soft_wrap=True)
    size, digest = weights.stat().st_size / 1000, sha256_file(weights)
    seen = boxes_of(Path(__file__).parent / "markers_read.csv")
    card = CARD.format(
        read=len(seen),
        rows="\n".join(rows),
        digest=digest,
        size=size,
        measured=len(FEATURES) - PATCH**2,
        side=PATCH,
        slack=SLACK,
        films=len(truth),
    )
    write_text(given.card, card)


if __name__ == "__main__":
    main()
