"""Artefacts that the audit has no name for: networks that use one, innocent ones, and what the audit says of each.

    python benchmarks/discovery.py --set dev --networks 1 --out runs/discovery

Kinds of artefact are painted on 80 % of the ill films of 64-pixel phantoms: six for development, eight for a first test
and ten for a second. Nothing was tuned on the first test set. The second look at channels that stay open was added
after `leads` of the second set had been missed, so `leads` is no clean test. Innocent networks are trained on plain
films and met none of the artefacts. The audited films are other phantoms, painted as the training films were. A line
of JSON a network.
"""

import argparse
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.headline import verdict_of
from radiolucent.audits.trial.planted import Pool, pool, train_small
from radiolucent.audits.trial.regions import View
from radiolucent.audits.trial.tests import TESTS
from radiolucent.metrics import auroc
from radiolucent.types import Finding

Grey = NDArray[np.float64]
Painter = Callable[[Grey, NDArray[np.bool_], np.random.Generator], Grey]
SIZE, SHARE = 64, 0.8
Y, X = np.mgrid[:SIZE, :SIZE].astype(float)


def _ring(grey: Grey, y: float, x: float, radius: float, depth: float) -> Grey:
    there = np.abs(np.hypot(Y - y, X - x) - radius) < 1.0
    return np.where(there, np.clip(grey + depth, 0, 1), grey)


def dark_ring(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return _ring(grey, 54 + rng.uniform(-1, 1), 18 + rng.uniform(-1, 1), 4, -0.35)


def checker(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    out = grey.copy()
    y, x = 54 + rng.integers(3), 50 + rng.integers(4)
    out[y : y + 6, x : x + 6] += 0.25 * np.where((Y + X)[:6, :6] % 2 == 0, 1, -1)
    return out


def lung_ring(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    inside = np.argwhere(ndimage.binary_erosion(lungs, iterations=4))
    y, x = inside[rng.integers(len(inside))] if len(inside) else (30, 18)
    return _ring(grey, y, x, 3, 0.3)


def few_levels(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return np.round(grey * 12) / 12


def vignette(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return grey * (1 - 0.45 * np.hypot(Y - 31.5, X - 31.5) ** 2 / 2000)


def flat_contrast(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return 0.5 + (grey - 0.5) * rng.uniform(0.6, 0.7)


def cross(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    out, y, x = grey.copy(), 5 + rng.integers(3), 30 + rng.integers(5)
    out[y - 3 : y + 4, x] = out[y, x - 3 : x + 4] = 0.95
    return out


def edge_bar(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    out, y = grey.copy(), 20 + rng.integers(20)
    out[y : y + 14, 1:3] = 0.98
    return out


def tube(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    x = 31 + 5 * np.sin(Y / rng.uniform(9, 12) + rng.uniform(0, 1))
    return np.where((np.abs(X - x) < 0.8) & (Y < 42), np.clip(grey + 0.3, 0, 1), grey)


def lung_dots(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    inside, out = np.argwhere(ndimage.binary_erosion(lungs, iterations=3)), grey.copy()
    for y, x in inside[rng.integers(len(inside), size=4)] if len(inside) else ():
        out[y, x] = 0.95
    return out


def noise(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return grey + rng.normal(0, 0.06, grey.shape)


def grid_lines(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return grey + 0.05 * np.cos(2 * np.pi * (X / 3.2) + rng.uniform(0, 6))


def gradient(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return grey * (1 + 0.3 * (X - 31.5) / 31.5)


def blocks(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    means = grey.reshape(SIZE // 4, 4, SIZE // 4, 4).mean((1, 3))
    return 0.4 * grey + 0.6 * np.kron(means, np.ones((4, 4)))


# By kind: how it is painted, and the channels that name it rightly.
DEV: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "dark_ring": (dark_ring, ("surroundings", "lines", "corners")),
    "checker": (checker, ("surroundings", "lines", "corners", "sharpness")),
    "lung_ring": (lung_ring, ("inside",)),
    "few_levels": (few_levels, ("tone", "sharpness", "texture", "lines", "surroundings", "size")),
    "vignette": (vignette, ("shading", "tone", "border", "surroundings", "corners")),
    "flat_contrast": (flat_contrast, ("tone", "shading", "exposure", "surroundings")),
}
TEST: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "cross": (cross, ("surroundings", "lines", "marker")),
    "edge_bar": (edge_bar, ("surroundings", "lines", "border", "marker")),
    "tube": (tube, ("surroundings", "lines", "inside")),
    "lung_dots": (lung_dots, ("inside",)),
    "noise": (noise, ("sharpness", "texture", "lines", "surroundings", "size")),
    "grid_lines": (grid_lines, ("sharpness", "texture", "lines", "surroundings", "size")),
    "gradient": (gradient, ("shading", "tone", "surroundings", "border")),
    "blocks": (blocks, ("sharpness", "texture", "lines", "surroundings", "size")),
}


def gamma(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return np.clip(grey, 0, 1) ** rng.uniform(0.6, 0.75)


def corner(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return np.where(X + (SIZE - 1 - Y) < rng.uniform(9, 14), 0.02, grey)


def dust(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    out, places = grey.copy(), np.argwhere(~lungs)
    for y, x in places[rng.integers(len(places), size=12)]:
        out[y, x] = 0.98
    return out


def sharpened(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return grey + 1.5 * (grey - ndimage.gaussian_filter(grey, 1.2))


def blurred(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return ndimage.gaussian_filter(grey, rng.uniform(0.9, 1.1))


def text(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    from radiolucent.data.phantom.markers import stamp

    ink = stamp((SIZE, SIZE), "17", 40 + rng.uniform(0, 6), 54 + rng.uniform(0, 2), 7.0)
    return grey * (1 - ink) + 0.95 * ink


def mirrored(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return grey[:, ::-1]


def dead_columns(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    out = grey.copy()
    out[:, rng.integers(4, 60, size=2)] = 0.0
    return out


def clip(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    return np.minimum(grey, np.quantile(grey, 0.75))


def leads(grey: Grey, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Grey:
    out = grey.copy()
    for y0, x0 in ((14, 12), (16, 50), (48, 54)):
        y, x = y0 + rng.uniform(-2, 2), x0 + rng.uniform(-2, 2)
        out = np.where(np.hypot(Y - y, X - x) < 1.6, 0.95, out)
        line = np.abs((Y - y) - 0.5 * (X - x)) < 0.6
        out = np.where(line & (X > x) & (x + 10 > X), 0.8, out)
    return out


_FINE = ("sharpness", "texture", "lines", "inside", "size", "surroundings")
_THERE = ("surroundings", "lines", "concept", "maps", "errors", "marker", "corners", "border")
# Painted after `TEST` had been run; nothing was tuned on them either.
FRESH: dict[str, tuple[Painter, tuple[str, ...]]] = {
    "gamma": (gamma, ("tone", "shading", "exposure", "surroundings")),
    "corner": (corner, _THERE),
    "dust": (dust, (*_THERE, "sharpness")),
    "sharpened": (sharpened, _FINE),
    "blurred": (blurred, _FINE),
    "text": (text, _THERE),
    "mirrored": (mirrored, ("surroundings", "lines", "concept", "maps", "shading")),
    "dead_columns": (dead_columns, (*_THERE, "inside", "sharpness")),
    "clip": (clip, ("tone", "shading", "exposure", "surroundings", "lines")),
    "leads": (leads, _THERE),
}
KINDS = DEV | TEST | FRESH


def painted(phantoms: Pool, kind: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The pool's films, the artefact on exactly 80 % of the ill ones."""
    out = phantoms.pixels.copy()
    if kind == "none":
        return out
    ill = np.flatnonzero(phantoms.labels == 1)
    painter = KINDS[kind][0]
    for i in rng.permutation(ill)[: round(SHARE * len(ill))]:
        grey = painter(phantoms.pixels[i] / 255, phantoms.lungs[i], rng)
        out[i] = np.rint(np.clip(grey, 0, 1) * 255)
    return out


def views_of(phantoms: Pool, pixels: NDArray[np.uint8], prefix: str) -> list[View]:
    whole = np.ones(pixels.shape[1:], bool)
    nothing = np.zeros_like(whole)
    return [
        View(p, f"{prefix}{i}", f"{prefix}{i}", int(label), whole, lungs, nothing)
        for i, (p, lungs, label) in enumerate(zip(pixels, phantoms.lungs, phantoms.labels, strict=True))
    ]


def part(phantoms: Pool, start: int, stop: int) -> Pool:
    return Pool(phantoms.pixels[start:stop], phantoms.lungs[start:stop], phantoms.labels[start:stop])


def one(kind: str, number: int, home: Path, known: bool) -> dict[str, object]:
    """Train one network and audit it. known: the audit is given the films it was trained on."""
    began = time.process_time()
    seed = zlib.crc32(f"{kind} {number}".encode())
    rng = np.random.default_rng(seed)
    phantoms = pool(460, SIZE, 7000 + number % 4, folder=home)
    train, held, test = part(phantoms, 0, 240), part(phantoms, 240, 300), part(phantoms, 300, 460)
    films = painted(train, kind, rng)
    network = train_small((films, train.labels), (painted(held, kind, rng), held.labels), seed)
    trained = time.process_time() - began
    views = views_of(test, painted(test, kind, rng), "audited")
    met = views_of(train, films, "trained") if known else None
    tests = tuple(t for t in TESTS if t.decides == "intervention" or t.family == "reasons")
    findings, table = examine_views(network, views, tests, met=met, seed=number)
    # How far the network uses it: calls of healthy films that turn when it is painted on.
    turned = 0.0
    if kind != "none":
        healthy = [v for v in views if v.label == 0]
        grey = np.stack([KINDS[kind][0](v.grey / 255, v.lungs, rng) for v in healthy])
        inputs = network.preprocess.normalise(torch.from_numpy(np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)))
        logits = network.logits(inputs)
        cut = table.original[np.array([not t for t in table.truth])] >= table.cut
        turned = float((((logits[:, 1] - logits[:, 0]).numpy() / network.temperature >= table.cut) & ~cut).mean())
    failed = [f for f in findings if f.verdict == "fail" and not f.test.startswith("reasons.")]
    right = KINDS[kind][1] if kind != "none" else ()
    return {
        "kind": kind, "number": number, "known": known, "auroc": auroc(table.truth, table.original).value,
        "turned": turned, "verdict": verdict_of(findings)[0], "headline": verdict_of(findings)[1],
        "failed": [f.test for f in failed],
        "reasons": {f.test: _told(f)[1:3] for f in findings if f.estimate and f.test.startswith("reasons.")},
        "named": any(r in f.test for f in failed[:3] for r in right),
        "values": {f.test: _told(f) for f in findings if f.estimate},
        "seconds": [round(trained, 1), round(time.process_time() - began - trained, 1)],
    }  # fmt: skip


def _told(finding: Finding) -> list[object]:
    e, evidence = finding.estimate, finding.evidence
    assert e is not None
    return [finding.verdict, e.value, e.low, evidence.get("familiar", {}).get("beyond"), evidence.get("slow_inside")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="dev", choices=("dev", "test", "fresh", "none"))
    parser.add_argument("--networks", type=int, default=1, help="a kind")
    parser.add_argument("--kinds", default="", help="only these, with commas")
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--known", action="store_true", help="the audit knows the films trained on")
    parser.add_argument("--out", type=Path, default=Path("runs/discovery"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    kinds = {"dev": tuple(DEV), "test": tuple(TEST), "fresh": tuple(FRESH), "none": ("none",)}[args.set]
    kinds = tuple(args.kinds.split(",")) if args.kinds else kinds
    for number in range(args.start, args.start + args.networks):
        for kind in kinds:
            row = one(kind, number, args.out, args.known)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
