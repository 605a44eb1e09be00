"""Fit the limits by which a film looks like a frontal chest film; measure false alarms on films held out by patient.

    RADIOLUCENT_DATA=… python scripts/fit_chest_limits.py

Writes src/radiolucent/segment/chest_limits.json. Nothing but chest films is used to fit; what else is caught (noise,
ramps, inverted, turned films) is printed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.data import load_dataset
from radiolucent.data.split import groups_of
from radiolucent.files import write_json
from radiolucent.images import Preprocess, read
from radiolucent.metrics import wilson
from radiolucent.segment import load_segmenter
from radiolucent.segment.net import SIDE
from radiolucent.segment.out_of_place import MEASURES, measures, reasons_of

ALARMS = 0.012  # wanted on the films fitted on, so that films held out stay below 2 %
FOLDS = 5
OUT = Path(__file__).parents[1] / "src" / "radiolucent" / "segment" / "chest_limits.json"


def fitted(rows: NDArray[np.float64]) -> dict[str, Any]:
    """Limits whose alarms on these films (N, measures) come to `ALARMS`: half by single measures, half together."""
    names = list(MEASURES)
    mean, deviation = rows.mean(0), rows.std(0) + 1e-9
    z = (rows - mean) / deviation
    inverse = np.linalg.inv(np.cov(z.T) * 0.95 + 0.05 * np.eye(len(names)))
    found: dict[str, Any] = {
        "mean": dict(zip(names, mean.tolist(), strict=True)),
        "deviation": dict(zip(names, deviation.tolist(), strict=True)),
        "inverse": np.round(inverse, 6).tolist(),
    }
    far = np.sqrt(np.einsum("ni,ij,nj->n", z, inverse, z))
    found["distance"] = float(np.quantile(far, 1 - ALARMS / 2))
    low, high = 0.0, 0.05
    for _ in range(30):
        tail = (low + high) / 2
        ends = np.quantile(rows, [tail, 1 - tail], axis=0)
        share = ((rows < ends[0]) | (rows > ends[1])).any(1).mean()
        low, high = (tail, high) if share < ALARMS / 2 else (low, tail)
    ends = np.quantile(rows, [low, 1 - low], axis=0)
    found["limits"] = {n: [float(a), float(b)] for n, a, b in zip(names, *ends, strict=True)}
    return found


def alarms(rows: NDArray[np.float64], limits: dict[str, Any]) -> int:
    """How many films (N, measures) are refused."""
    return sum(bool(reasons_of(dict(zip(MEASURES, row, strict=True)), limits)) for row in rows.tolist())


def main() -> None:
    """Fit, measure, write."""
    torch.set_num_threads(1)
    dataset = load_dataset(Path(os.environ["RADIOLUCENT_DATA"]) / "chest_xray")
    prepare, segmenter = Preprocess(size=SIDE, channels=1, mean=(0.0,), std=(1.0,)), load_segmenter()
    with ThreadPoolExecutor(2) as pool:
        grey = list(pool.map(lambda r: prepare.quantise(read(r.path)), dataset.records))
    rows = np.array([list(measures(g, segmenter).values()) for g in grey])
    groups = np.array(groups_of(dataset.records))
    fold = np.random.default_rng(0).integers(0, FOLDS, groups.max() + 1)[groups]
    held = sum(alarms(rows[fold == k], fitted(rows[fold != k])) for k in range(FOLDS))
    estimate = wilson(held, len(rows))
    print(f"false alarms on films held out: {estimate}")
    limits = fitted(rows)
    about = {"films": len(rows), "false_alarms_held_out": estimate.as_dict(), "folds": FOLDS}
    write_json(OUT, limits | {"about": about})
    some = grey[:: max(1, len(grey) // 300)]
    rng = np.random.default_rng(1)
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
    odd: dict[str, list[NDArray[np.uint8]]] = {
        "inverted": [255 - g for g in some],
        "upside down": [g[::-1] for g in some],
        "turned left": [np.rot90(g) for g in some],
        "turned right": [np.rot90(g, 3) for g in some],
        "noise": [rng.integers(0, 256, (SIDE, SIDE), np.uint8) for _ in range(20)],
        "ramps": [np.rot90(ramp, k) for k in range(4)],
        "flat": [np.full((SIDE, SIDE), v, np.uint8) for v in (0, 100, 255)],
    }
    for name, films in odd.items():
        found = np.array([list(measures(np.ascontiguousarray(f), segmenter).values()) for f in films])
        print(f"{name}: {alarms(found, limits)} of {len(films)} refused")


if __name__ == "__main__":
    main()
