"""A disease that lies evenly in both lungs: does the audit take an honest network for one that reads an artefact?

    python benchmarks/even_disease.py --networks 2 --out runs/even

Phantoms of 64 pixels. The ill have markings or haze all over both lungs, drawn as attenuation before the film is
exposed; nothing else differs, so whatever a network learns is the disease, and every failure is a false accusation. A
line of JSON a network in OUT/rows.jsonl: the same call goes on after a kill.
"""

import argparse
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from discovery import part, views_of
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.headline import verdict_of
from radiolucent.audits.trial.planted import Pool, train_small
from radiolucent.audits.trial.tests import TESTS
from radiolucent.data.phantom.anatomy import Anatomy, smooth_noise, thorax
from radiolucent.data.phantom.draw import exposed, plane
from radiolucent.files import append_lines, read_lines
from radiolucent.metrics import auroc, wilson

SIZE, FILMS = 64, 460
Plane = NDArray[np.floating[Any]]


def _reticular(rng: np.random.Generator) -> Plane:
    """Fine lines in all directions."""
    return rng.uniform(0.25, 0.6) * np.clip(1.15 - 2.2 * np.abs(smooth_noise((SIZE, SIZE), 34, rng)), 0, 1)


def _haze(rng: np.random.Generator) -> Plane:
    """Ground glass, a little denser here than there."""
    return rng.uniform(0.15, 0.45) * (1 + 0.15 * smooth_noise((SIZE, SIZE), 6, rng))


def _miliary(rng: np.random.Generator) -> Plane:
    """Small nodules everywhere."""
    return rng.uniform(0.3, 0.7) * np.clip(smooth_noise((SIZE, SIZE), 42, rng) - 0.6, 0, 1)


DISEASES: dict[str, Callable[[np.random.Generator], Plane]] = {
    "reticular": _reticular,
    "haze": _haze,
    "miliary": _miliary,
    "haze and lines": lambda rng: _haze(rng) + 0.6 * _reticular(rng),
}


def drawn(disease: str, seed: int) -> Pool:
    """Phantoms, film i ill if i is odd."""
    pixels, lungs = np.zeros((FILMS, SIZE, SIZE), np.uint8), np.zeros((FILMS, SIZE, SIZE), bool)
    for i in range(FILMS):
        rng = np.random.default_rng([seed, i])
        x, y = plane(SIZE, rng)
        chest = thorax(x, y, Anatomy.of(rng), rng)
        air = np.maximum(chest.right, chest.left)
        total = chest.attenuation + (air * DISEASES[disease](rng) if i % 2 else 0.0)
        pixels[i], lungs[i] = exposed(total.astype(np.float32), "", i % 3, rng)[0], air > 0.5
    return Pool(pixels, lungs, np.arange(FILMS) % 2)


def one(disease: str, number: int) -> dict[str, Any]:
    """Train one network and audit it."""
    began, seed = time.process_time(), zlib.crc32(f"{disease} {number}".encode())
    phantoms = drawn(disease, seed)
    train, held, test = (part(phantoms, *ends) for ends in ((0, 240), (240, 300), (300, FILMS)))
    network = train_small((train.pixels, train.labels), (held.pixels, held.labels), seed)
    tests = tuple(t for t in TESTS if t.decides == "intervention")
    findings, table = examine_views(
        network, views_of(test, "audited"), tests, met=views_of(train, "trained"), seed=number
    )
    verdict, headline = verdict_of(findings)
    return {
        "disease": disease, "number": number, "auroc": auroc(table.truth, table.original).value, "verdict": verdict,
        "headline": headline, "failed": [f.test for f in findings if f.verdict == "fail"],
        "inside": {
            f.test: [f.verdict, f.estimate and f.estimate.value, f.evidence.get("no_finding")]
            for f in findings
            if f.test in ("discovered.inside", "discovered.fine")
        },
        "seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=2, help="a disease")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--out", type=Path, default=Path("runs/even"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "rows.jsonl"
    rows = [row for _, row in read_lines(file)]
    done = {(r["disease"], r["number"]) for r in rows}
    for number in range(args.start, args.start + args.networks):
        for disease in DISEASES:
            if (disease, number) not in done:
                rows.append(one(disease, number))
                append_lines(file, rows[-1:])
                r = rows[-1]
                print(f"{disease} {number}: AUROC {r['auroc']:.2f}, {r['verdict']}: {r['failed']}", flush=True)
    print(f"accused {wilson(sum(r['verdict'] == 'fail' for r in rows), len(rows))}")


if __name__ == "__main__":
    main()
