"""Artefacts that the audit has no name for: networks that use one, innocent ones, and what the audit says of each.

    python benchmarks/discovery.py --set dev --networks 1 --out runs/discovery

An artefact (`artefacts.py`) is painted on 80 % of the ill films of 64-pixel phantoms, for training and for the audit,
which sees other phantoms. Innocent networks (`--set none`) are trained on plain films and met none of the artefacts. A
network counts as using its artefact where painting it on healthy films turns a fifth of their calls or more. It counts
as found where it fails and a channel that the artefact lies in is among the first three failures. Networks are kept in
OUT, and a line of JSON a network in OUT/ROWS: the same call goes on after a kill, and another ROWS audits again.
"""

import argparse
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from artefacts import DECOYS, DEV, FINAL, FRESH, KINDS, LATER, MORE, SEALED, SIZE, TEST, carrying
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.headline import verdict_of
from radiolucent.audits.trial.planted import Pool, pool, train_small
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.tests import TESTS
from radiolucent.files import append_lines, read_lines
from radiolucent.metrics import auroc, wilson
from radiolucent.models import Classifier, load, save
from radiolucent.types import Finding

SHARE, USED = 0.8, 0.2
SETS = {
    "dev": DEV, "test": TEST, "fresh": FRESH, "final": FINAL, "later": LATER, "more": MORE, "sealed": SEALED,
    "none": ("none",),
}  # fmt: skip


def painted(phantoms: Pool, kind: str, rng: np.random.Generator) -> Pool:
    """The pool, the artefact on exactly 80 % of the ill films."""
    pixels, lungs = phantoms.pixels.copy(), phantoms.lungs.copy()
    for label in (0, 1):
        own = np.flatnonzero(phantoms.labels == label)
        for i in rng.permutation(own)[: round(SHARE * len(own))]:
            if label and kind != "none":
                pixels[i], lungs[i] = carrying(kind, pixels[i], lungs[i], rng)
            elif not label and kind in DECOYS:
                grey = DECOYS[kind](pixels[i] / 255, lungs[i], rng)
                pixels[i] = np.rint(np.clip(grey, 0, 1) * 255)
    return Pool(pixels, lungs, phantoms.labels)


def views_of(phantoms: Pool, prefix: str) -> list[View]:
    whole = np.ones(phantoms.pixels.shape[1:], bool)
    nothing = np.zeros_like(whole)
    return [
        View(p, f"{prefix}{i}", f"{prefix}{i}", int(label), whole, lungs, nothing)
        for i, (p, lungs, label) in enumerate(zip(phantoms.pixels, phantoms.lungs, phantoms.labels, strict=True))
    ]


def part(phantoms: Pool, start: int, stop: int) -> Pool:
    return Pool(phantoms.pixels[start:stop], phantoms.lungs[start:stop], phantoms.labels[start:stop])


def made(kind: str, number: int, home: Path) -> tuple[Classifier, Pool, Pool]:
    """A network that was trained on films with the artefact, those films, and films to audit it on."""
    seed = zlib.crc32(f"{kind} {number}".encode())
    rng = np.random.default_rng(seed)
    phantoms = pool(460, SIZE, 7000 + number % 4, folder=home)
    train = painted(part(phantoms, 0, 240), kind, rng)
    held, test = (painted(part(phantoms, *ends), kind, rng) for ends in ((240, 300), (300, 460)))
    file = home / f"{kind}-{number}.safetensors"
    if not file.is_file():
        network = train_small((train.pixels, train.labels), (held.pixels, held.labels), seed)
        save(network, file)
    return load(file), train, test


def turned(network: Classifier, views: Sequence[View], kind: str, cut: float, seed: int) -> float:
    """Share of healthy films whose call turns to ill when the artefact is painted on."""
    rng = np.random.default_rng([seed, 1])
    healthy = [v for v in views if v.label == 0 and v.lungs is not None]
    sets = [np.stack([v.grey for v in healthy]), np.stack([carrying(kind, v.grey, v.lungs, rng)[0] for v in healthy])]
    before, after = (_log_odds(network, pixels) >= cut for pixels in sets)
    return float((after & ~before).mean())


def _log_odds(network: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    logits = network.logits(network.preprocess.normalise(torch.from_numpy(pixels)))
    return ((logits[:, 1] - logits[:, 0]) / network.temperature).numpy()


def one(kind: str, number: int, home: Path, known: bool) -> dict[str, Any]:
    """Train one network and audit it. known: the audit is given the films it was trained on."""
    network, train, test = made(kind, number, home)
    began = time.process_time()
    views = views_of(test, "audited")
    met = views_of(train, "trained") if known else None
    tests = tuple(t for t in TESTS if t.decides == "intervention")
    findings, table = examine_views(network, views, tests, met=met, seed=number)
    failed = [f for f in findings if f.verdict == "fail"]
    right = KINDS[kind][1] if kind != "none" else ()
    verdict, headline = verdict_of(findings)
    return {
        "kind": kind, "number": number, "known": known, "auroc": auroc(table.truth, table.original).value,
        "turned": 0.0 if kind == "none" else turned(network, views, kind, table.cut, number),
        "verdict": verdict, "headline": headline, "failed": [f.test for f in failed],
        "named": any(r in f.test for f in failed[:3] for r in right),
        "values": {f.test: _told(f) for f in findings if f.estimate},
        "seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def _told(finding: Finding) -> list[object]:
    e = finding.estimate
    assert e is not None
    return [finding.verdict, e.value and round(e.value, 3), e.low and round(e.low, 3), e.high and round(e.high, 3)]


def summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Of every set: networks that use their artefact and were found; innocent networks that were accused."""
    lines: list[str] = []
    for name, kinds in SETS.items():
        own = [r for r in rows if r["kind"] in kinds]
        if name == "none" and own:
            lines.append(f"innocent: accused {wilson(sum(r['verdict'] == 'fail' for r in own), len(own))}")
        elif own:
            used = [r for r in own if r["turned"] >= USED]
            found, failed = (sum(bool(f(r)) for r in used) for f in (lambda r: r["named"], lambda r: r["failed"]))
            lines.append(
                f"{name}: {len(used)} of {len(own)} use it; failed {wilson(failed, len(used))}, and named "
                f"{wilson(found, len(used))}"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="dev", choices=tuple(SETS))
    parser.add_argument("--networks", type=int, default=1, help="a kind")
    parser.add_argument("--kinds", default="", help="only these, with commas")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--known", action="store_true", help="the audit knows the films trained on")
    parser.add_argument("--out", type=Path, default=Path("runs/discovery"))
    parser.add_argument("--rows", default="rows.jsonl", help="file in OUT")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / args.rows
    rows = [row for _, row in read_lines(file)]
    done = {(r["kind"], r["number"], r["known"]) for r in rows}
    for number in range(args.start, args.start + args.networks):
        for kind in args.kinds.split(",") if args.kinds else SETS[args.set]:
            if (kind, number, args.known) not in done:
                rows.append(one(kind, number, args.out, args.known))
                append_lines(file, rows[-1:])
                r = rows[-1]
                print(
                    f"{kind} {number}: turned {r['turned']:.2f}, {r['verdict']}, named {r['named']}: {r['failed']}",
                    flush=True,
                )
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
