"""Train the scorer of the marker detector.

    python scripts/train_markers.py --data ../shared/data [--seed 0] [--out FILE]

Positives are the components that overlap the true marks of phantoms and of letters, words and tags pasted on real
films. Real films carry marks of their own, which nobody has outlined: a component on a real film is a negative only
inside the box around the lung mask, or where `scripts/markers_read.csv` lists its film as read by eye (then its boxes
are positives, what is marked unsure is left out, and everything else is a negative).
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track

from measure_markers import Box, Tally, boxes_of
from radiolucent.data import load_dataset, split_dataset
from radiolucent.data.kermany import parse_name
from radiolucent.data.phantom import draw
from radiolucent.data.phantom.markers import stamp
from radiolucent.data.records import Record
from radiolucent.files import write_text
from radiolucent.images import Preprocess, from_array, read
from radiolucent.segment.components import FEATURES, FRAME, Components
from radiolucent.segment.markers import Scorer, find_components, select_marks
from radiolucent.types import Radiograph

say = Console(stderr=True)
HIDDEN, STEPS, RATE, DECAY, NOISE = 24, 300, 2e-2, 0.3, 0.3
INSIDE, OUTSIDE = 0.6, 0.1
"""Share of a component's pixels on a mark from which on it is one, and up to which it is none."""
EYE = 30.0
"""How much the films read by eye weigh beside phantoms and pasted letters: 1, 8 and 30 were tried (precision, where the
fits without a film's patient find 95 % of the marks: 0.82, 0.92, 0.93)."""
FOLDS, RECALL = 5, 0.95
"""The threshold is the highest at which fits without a film's patient find this share of the marks read by eye."""
Table = tuple[NDArray[np.float32], NDArray[np.int64]]


def labelled(found: Components, ink: NDArray[np.bool_], negatives: NDArray[np.bool_] | None = None) -> Table:
    """Features and labels of the components whose nature is certain.

    Args:
        ink: true marks in the frame. negatives: where the rest is certainly no mark; everywhere if None.
    """
    share = np.array([ink[found.pixels(k)].mean() for k in range(len(found))])
    sure = np.array([negatives is None or negatives[found.pixels(k)].all() for k in range(len(found))], bool)
    keep = (share >= INSIDE) | ((share <= OUTSIDE) & sure) if len(found) else np.zeros(0, bool)
    return found.features[keep], (share[keep] >= INSIDE).astype(np.int64)


def to_frame(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (H, W) in the padded frame."""
    preprocess = Preprocess(size=FRAME, fit="pad", channels=1, mean=(0.0,), std=(1.0,))
    return preprocess.resize(from_array(mask.astype(np.float32))) > 0.2


def phantom_rows(count: int, seed: int) -> list[Table]:
    """From phantoms with and without markers."""
    rows: list[Table] = []
    for i in track(range(count), "phantoms", console=say):
        rng = np.random.default_rng([seed, 31, i])
        size = int(rng.choice([192, 256, 384]))
        film = draw(rng, size=size, pneumonia=bool(i % 2), marker=("R", "L", "")[i % 3], site=i % 3)
        found = find_components(from_array(film.pixels.astype(np.float32) / 255))
        rows.append(labelled(found, to_frame(film.marker)))
    return rows


def pasted(grey: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A film with one to three marks laid over it, and their ink."""
    height, width = grey.shape
    out, total = grey.copy(), np.zeros(grey.shape, bool)
    for _ in range(int(rng.integers(1, 4))):
        tall = rng.uniform(0.025, 0.1) * height
        text = str(rng.choice(["R", "L", "AP", "PA", "R", "L", "PORTABLE", "12:40", "SUPINE", "D", "G", "E"]))
        x, y = rng.uniform(0.01, 0.9) * width, rng.uniform(0.01, 0.93) * height
        if rng.random() < 0.3 and text in ("R", "L", "AP", "PA"):
            ink = stamp((height, width), text, x, y, tall, rng.uniform(0.1, 0.25))
        else:
            ink = _lettered((height, width), text, x, y, tall)
        tag = rng.random() < 0.15
        if tag and ink.any():
            ys, xs = np.nonzero(ink > 0.3)
            pad = max(1, round(0.15 * tall))
            plate = np.zeros_like(ink)
            plate[max(ys.min() - pad, 0) : ys.max() + pad + 1, max(xs.min() - pad, 0) : xs.max() + pad + 1] = 1
            ink = plate * (1 - 0.8 * ink)
        bright = np.float32(rng.uniform(0.75, 1.0))
        out = np.where(ink * bright > 0, out * (1 - ink) + np.maximum(bright, out) * ink, out)
        total |= ink > 0.3
    return out.astype(np.float32), total


def _lettered(shape: tuple[int, int], text: str, x: float, y: float, tall: float) -> NDArray[np.float32]:
    canvas = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).text((x, y), text, fill=255, font=ImageFont.load_default(max(6.0, tall * 1.3)))
    return np.asarray(canvas, np.float32) / 255


def paste_rows(records: list[Record], data: Path, seed: int) -> list[Table]:
    """From marks pasted on real films; negatives only in the box around the lungs."""
    rows: list[Table] = []
    for i, record in enumerate(track(records, "pasted", console=say)):
        mask_file = data / "lungs" / Path(record.image_id).with_suffix(".png")
        film = read(record.path)
        with Image.open(mask_file) as image:
            lungs = np.asarray(image.convert("L").resize(film.shape[::-1])) > 127
        out, ink = pasted(film.pixels, np.random.default_rng([seed, 32, i]))
        box = np.zeros_like(lungs)
        ys, xs = np.flatnonzero(lungs.any(1)), np.flatnonzero(lungs.any(0))
        box[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] = True
        rows.append(labelled(find_components(from_array(out)), to_frame(ink), to_frame(box)))
    return rows


@dataclasses.dataclass(frozen=True)
class ReadFilm:
    """A film whose marks were boxed by eye, what was found on it, and what can be learnt from that."""

    film: Radiograph
    truth: list[tuple[Box, str]]
    found: Components
    table: Table
    patient: str


def read_films(file: Path, data: Path) -> list[ReadFilm]:
    """Films whose marks were boxed by eye (columns image_id, left, top, right, bottom, kind; no box: empty)."""
    films: list[ReadFilm] = []
    for image_id, truth in track(boxes_of(file).items(), "read by eye", console=say):
        film = read(data / "chest_xray" / image_id)
        ink = {kind: np.zeros(film.shape, bool) for kind in ("mark", "unsure")}
        for (left, top, right, bottom), kind in truth:
            ink[kind][int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
        found = find_components(film)
        table = labelled(found, to_frame(ink["mark"]), ~to_frame(ink["unsure"]))
        films.append(ReadFilm(film, truth, found, table, parse_name(Path(image_id).stem, "train")[0]))
    return films


def weights_of(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """In a source all positives weigh a third of all negatives."""
    return np.where(labels == 1, 0.25 / max(1, labels.sum()), 0.75 / max(1, (labels == 0).sum())).astype(np.float32)


def fit(sources: list[Table], by_eye: Table, seed: int) -> Scorer:
    """A hidden layer by full-batch AdamW on weighted cross-entropy, what was read by eye `EYE` times; threshold 0.5."""
    torch.manual_seed(seed)
    features, labels = (np.concatenate(parts) for parts in zip(*sources, by_eye, strict=True))
    mean, scale = features.mean(0).astype(np.float64), features.std(0).astype(np.float64) + 1e-6
    z = torch.from_numpy(np.clip((features - mean) / scale, -6, 6)).float()
    y, w = (
        torch.from_numpy(labels).float(),
        torch.from_numpy(np.concatenate([*(weights_of(y) for _, y in sources), EYE * weights_of(by_eye[1])])),
    )
    net = torch.nn.Sequential(torch.nn.Linear(z.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in track(range(STEPS), "fit", console=say):
        logits = net(z + NOISE * torch.randn_like(z))[:, 0]
        loss = (F.binary_cross_entropy_with_logits(logits, y, reduction="none") * w).sum() / w.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slower.step()
    first, bias, out, offset = (p.detach().numpy().astype(np.float64) for p in net.parameters())
    return Scorer(mean, scale, first, bias, out[0], float(offset[0]), 0.5)


def threshold_of(sources: list[Table], films: list[ReadFilm], seed: int) -> tuple[float, Tally]:
    """Cross-fitted by patient over the films read by eye (see `FOLDS`), and how often it is right there."""
    patients = np.random.default_rng(seed).permutation(sorted({f.patient for f in films}))
    order = {patient: i % FOLDS for i, patient in enumerate(patients)}
    scores: dict[int, NDArray[np.float64]] = {}
    for fold in range(FOLDS):
        scorer = fit(sources, joined([f.table for f in films if order[f.patient] != fold]), seed)
        scores |= {id(f): scorer(f.found.features) for f in films if order[f.patient] == fold and len(f.found)}
    low, high = 0.0, 1.0
    for _ in track(range(10), "threshold", console=say):  # recall falls as the threshold rises
        middle = (low + high) / 2
        tally = tally_of(films, scores, middle)
        low, high = (middle, high) if tally.found >= RECALL * tally.marks else (low, middle)
    return low, tally_of(films, scores, low)


def tally_of(films: list[ReadFilm], scores: dict[int, NDArray[np.float64]], threshold: float) -> Tally:
    """What is right and wrong at a threshold, by mark and by film."""
    tally = Tally()
    for f in films:
        marks = select_marks(f.film, f.found, scores.get(id(f), np.zeros(0)), threshold).marks
        tally.add(marks, f.truth, max(f.film.shape))
    return tally


def joined(rows: list[Table]) -> Table:
    """One table of several films'."""
    return np.concatenate([f for f, _ in rows]), np.concatenate([y for _, y in rows])


def save(scorer: Scorer, path: Path, row: str) -> None:
    """As JSON with 4 significant figures; `row` of the card says how often it was right where it learnt."""
    arrays = {
        name: [[float(f"{v:.4g}") for v in row] if isinstance(row, list) else float(f"{row:.4g}") for row in rows]
        for name in ("mean", "scale", "weight", "bias", "out")
        for rows in [getattr(scorer, name).tolist()]
    }
    stored = (
        {"features": FEATURES} | arrays | {"offset": scorer.offset, "threshold": scorer.threshold, "cross_fitted": row}
    )
    write_text(path, json.dumps(stored) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phantoms", type=int, default=60)
    parser.add_argument("--films", type=int, default=80)
    parser.add_argument("--read", type=Path, default=Path(__file__).parent / "markers_read.csv")
    parser.add_argument("--out", type=Path, default=Path("src/radiolucent/segment/markers.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = split_dataset(load_dataset(given.data / "chest_xray"), val=0.08, test=0.12, seed=given.seed)
    pool = [
        r for r in dataset.split("train").records if (given.data / "lungs" / r.image_id).with_suffix(".png").is_file()
    ]
    order = np.random.default_rng([given.seed, 30]).permutation(len(pool))
    chosen = [pool[i] for i in order[: given.films]]
    sources = [joined(phantom_rows(given.phantoms, given.seed)), joined(paste_rows(chosen, given.data, given.seed))]
    films = read_films(given.read, given.data)
    by_eye = joined([f.table for f in films])
    for name, (_, y) in zip(("phantoms", "pasted", "read by eye"), [*sources, by_eye], strict=True):
        say.print(f"{name}: {len(y)} components, {int(y.sum())} on marks")
    threshold, tally = threshold_of(sources, films, given.seed)
    row = tally.row(f"{len(films)} films read by eye, cross-fitted by patient")
    say.print(f"threshold {threshold:.3f}", row, sep="\n", soft_wrap=True)
    save(dataclasses.replace(fit(sources, by_eye, given.seed), threshold=threshold), given.out, row)


if __name__ == "__main__":
    main()
