"""What other ways of looking for shortcuts say of the networks of `discovery.py`: side by side with this audit.

    python benchmarks/discovery_rivals.py --out runs/discovery --rows rows.jsonl

For every network in OUT/ROWS, on the same audited films:

cleanlab   Datalab's spurious-correlation score of four image properties (brightness, contrast, sharpness, entropy, as
           in CleanVision): below 0.3, its own limit, for any.
SpRAy      saliency maps clustered spectrally (`slices.maps`): a cluster on which the network errs more often.
Grad-CAM   maps dwell outside the lungs, or on the border or markers, more than their area, the whole interval.
LIME       the same, 100 samples.

A line a network in OUT/rivals.jsonl; the call goes on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from cleanlab.datalab.internal.spurious_correlation import SpuriousCorrelations
from numpy.typing import NDArray
from scipy import ndimage, stats

from artefacts import KINDS
from discovery import USED, made, views_of
from radiolucent.audits.trial.answers import collect
from radiolucent.audits.trial.base import Case
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.selftest import METHODS
from radiolucent.audits.trial.tests import named_test
from radiolucent.explainers import Saliency
from radiolucent.files import append_lines, read_lines
from radiolucent.metrics import wilson

FILMS, LIMIT = 48, 0.3
FINDERS = ("audit", "cleanlab", "spray", "gradcam", "lime")
PLACES = ("outside", "border", "markers")


def properties(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """CleanVision's scores in its terms: brightness, contrast (low information), sharpness, entropy."""
    grey = pixels / 255
    counts = np.bincount(pixels.ravel(), minlength=256) + 1e-12
    low, high = np.percentile(grey, [1, 99])
    return {
        "brightness": float(np.percentile(grey, 90)), "contrast": float(high - low),
        "sharpness": float(np.sqrt(ndimage.laplace(grey).var())), "entropy": float(stats.entropy(counts)),
    }  # fmt: skip


def told(views: Sequence[View], kind: str, number: int, home: Path) -> dict[str, bool]:
    """Which finder reports anything."""
    network, _, _ = made(kind, number, home)
    labels = np.array([v.label for v in views])
    table = pd.DataFrame([properties(v.grey) for v in views])
    scores = SpuriousCorrelations(table, labels).calculate_correlations()["score"]
    by_id = {v.image_id: v for v in views}
    answers = collect(network, len(views), lambda i: views[i], {}, keys=list(by_id), seed=number)
    methods = {**METHODS, "saliency": Saliency()}
    chosen = tuple(t for t in map(named_test, ("maps.lime.outside", "slices.maps.saliency")) if t is not None)
    case = Case(
        network, answers, by_id.__getitem__, by_id.__getitem__, chosen, methods=methods, map_films=FILMS, seed=number
    )
    failed = {f.test for t in chosen for f in t.findings(case) if f.verdict == "fail"}
    dwells = {m: any(f"maps.{m}.{place}" in failed for place in PLACES) for m in ("gradcam", "lime")}
    return {"cleanlab": bool((scores < LIMIT).any()), "spray": "slices.maps.saliency" in failed, **dwells}


def summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A Markdown table: share of networks that use an artefact, and of innocent ones, in which a finder reports one."""
    used = [r for r in rows if r["turned"] >= USED]
    clean = [r for r in rows if r["kind"] == "none"]
    lines = ["| finder | networks that use an artefact | innocent networks |", "|---|---|---|"]
    for name in FINDERS:
        cells = [wilson(sum(bool(r[name]) for r in own), len(own)) for own in (used, clean)]
        told = [f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f}), n = {e.n}" for e in cells]
        lines.append(f"| {name} | {' | '.join(told)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/discovery"))
    parser.add_argument("--rows", default="rows.jsonl", help="files in OUT, with commas")
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = args.out / "rivals.jsonl"
    rows = [row for _, row in read_lines(file)]
    done = {(r["kind"], r["number"]) for r in rows}
    for name in args.rows.split(","):
        for _, row in read_lines(args.out / name):
            kind, number = row["kind"], row["number"]
            if (kind, number) in done or (kind not in KINDS and kind != "none"):
                continue
            views = views_of(made(kind, number, args.out)[2], "audited")
            found = {"kind": kind, "number": number, "turned": row["turned"], "audit": row["verdict"] == "fail"}
            rows.append(found | told(views, kind, number, args.out))
            done.add((kind, number))
            append_lines(file, rows[-1:])
            print(rows[-1], flush=True)
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
