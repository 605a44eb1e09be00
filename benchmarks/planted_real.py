"""Artefacts planted on real films: does the audit find them, does a repair bring the network back, and at what cost?

    python benchmarks/planted_real.py --data DATA --lungs LUNGS --out OUT [--kinds r,ring,levels] [--shares 80,30]
        [--skip 430]

Kermany's training films at 64 pixels, one a patient, half of them ill: 500 to train on, 160 to choose on, 200 for the
test; `--skip` passes over so many patients of either class. An R beside the shoulder, a ring inside a lung, twelve grey
levels, or any kind of `artefacts.py`, on a share of the ill films of all three; the small network of `discovery.py`.
Repair as `radiolucent repair --method auto` does it, of `CANDIDATES`: what discovery finds on validation films is
exchanged, or surroundings are, or groups are balanced; kept is the highest reasons score on validation films. What it
costs is measured on the test films without any artefact: AUROC after less before, paired by patient. Without DATA the
films are phantoms (240, 60 and 160); `--each` audits every candidate. A line of JSON a network in OUT/rows.jsonl; the
same call goes on.
"""

import argparse
import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from artefacts import KINDS as ARTEFACTS
from artefacts import few_levels, lung_ring
from discovery import views_of
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.headline import verdict_of
from radiolucent.audits.trial.planted import KINDS, Pool, Shuffled, fresh, loaded, pool, recipe, train_small
from radiolucent.audits.trial.tests import TESTS
from radiolucent.data import Record, load_dataset
from radiolucent.errors import DataError
from radiolucent.files import append_lines, read_lines
from radiolucent.metrics import auroc, bootstrap
from radiolucent.metrics.ranking import Ranks
from radiolucent.models import Classifier
from radiolucent.study.region_masks import Layers
from radiolucent.study.remedies import REMEDIES
from radiolucent.training import fit
from radiolucent.types import Estimate

SIZE, PARTS = 64, (500, 160, 200)
CANDIDATES = ("discovered", "surroundings", "balance")
PHANTOMS = 240, 60, 160
INTERVENTIONS = tuple(t for t in TESTS if t.decides == "intervention")
RIGHT = {
    "r": ("marker", "surroundings", "lines", "concept", "maps", "border", "corners"),
    "ring": ("inside", "fine"),
    "levels": ("fine", "lines", "tone", "curve", "filter", "texture", "sharpness", "inside"),
}


def small(path: Path, mode: Image.Resampling) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((SIZE, SIZE), mode))


def films(options: argparse.Namespace) -> list[Pool]:
    """One film a patient with known lungs, half of either class, in three parts."""
    if options.data is None:
        return parted(pool(sum(PHANTOMS), SIZE, 7100 + options.seed, folder=options.out), PHANTOMS)
    masks = {p.stem: p for p in options.lungs.rglob("*.png")}
    found = load_dataset(options.data)
    by_class: dict[int, dict[str, Record]] = {0: {}, 1: {}}
    for i in np.random.default_rng([options.seed, 3]).permutation(len(found.records)):
        r = found.records[int(i)]
        if r.path.stem in masks and r.label is not None:
            by_class[r.label].setdefault(r.patient_id or r.image_id, r)
    each = [list(rows.values())[options.skip : options.skip + sum(PARTS) // 2] for rows in by_class.values()]
    if min(len(rows) for rows in each) < sum(PARTS) // 2:
        raise SystemExit(f"{options.data}: too few patients of either class behind the first {options.skip}.")
    mixed = [r for pair in zip(*each, strict=True) for r in pair]
    pixels = np.stack([small(r.path, Image.Resampling.BOX) for r in mixed])
    lungs = np.stack([small(masks[r.path.stem], Image.Resampling.BOX) > 127 for r in mixed])
    labels = np.array([r.label for r in mixed])
    return parted(Pool(pixels, lungs, labels), PARTS)


def parted(whole: Pool, sizes: tuple[int, ...]) -> list[Pool]:
    ends = np.cumsum((0, *sizes))
    return [Pool(whole.pixels[a:b], whole.lungs[a:b], whole.labels[a:b]) for a, b in pairwise(ends)]


def planted(part: Pool, kind: str, share: int, rng: np.random.Generator) -> Pool:
    """The artefact on exactly so many per cent of the ill films."""
    out, ill = part.pixels.copy(), np.flatnonzero(part.labels == 1)
    for i in rng.permutation(ill)[: round(share / 100 * len(ill))] if kind != "none" else ():
        out[i] = carrying(kind, out[i], part.lungs[i], rng)
    return dataclasses.replace(part, pixels=out)


def carrying(
    kind: str, film: NDArray[np.uint8], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    if kind == "r":
        return KINDS["marker"](film, rng)[0]
    own = {"ring": lung_ring, "levels": few_levels}
    grey = (own[kind] if kind in own else ARTEFACTS[kind][0])(film / 255, lungs, rng)
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


def right(kind: str) -> tuple[str, ...]:
    """Parts of the names of tests that name the artefact rightly."""
    return RIGHT[kind] if kind in RIGHT else ARTEFACTS[kind][1] if kind in ARTEFACTS else ()


def turned(network: Classifier, plain: Pool, kind: str) -> float | None:
    """Share of healthy films without the artefact whose call turns to ill when it is painted on."""
    if kind == "none":
        return None
    rng, own = np.random.default_rng(17), plain.labels == 0
    healthy = Pool(plain.pixels[own], plain.lungs[own], plain.labels[own])
    made = [carrying(kind, film, lungs, rng) for film, lungs in zip(healthy.pixels, healthy.lungs, strict=True)]
    cut = network.temperature * np.log(network.threshold / (1 - network.threshold))
    before, after = (scores(network, p) >= cut for p in (healthy, dataclasses.replace(healthy, pixels=np.stack(made))))
    return float((after & ~before).mean())


def asked(network: Classifier, part: Pool, family: str, seed: int) -> tuple[list[Any], Any]:
    tests = INTERVENTIONS if family == "all" else tuple(t for t in TESTS if t.family == family)
    return examine_views(network, views_of(part, f"{family}{len(part)}-"), tests, seed=seed)


def channels_of(network: Classifier, part: Pool, seed: int) -> tuple[str, ...]:
    """What discovery finds on validation films, as in `repair`."""
    told = [f for f in asked(network, part, "discovered", seed)[0] if f.estimate and f.estimate.value and f.threshold]
    failed = [f for f in told if f.verdict == "fail"] or [f for f in told if f.estimate.value > f.threshold]
    failed.sort(key=lambda f: -f.estimate.value / f.threshold)
    names = [f.test.removeprefix("discovered.") for f in failed]
    return tuple(dict.fromkeys(n if n in CHANNELS else "surroundings" for n in names))[:3]


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a remedy changes (`radiolucent.study.remedies.Plan`), for films in memory."""

    cache: SimpleNamespace
    split: dict[str, list[int]]
    before: Classifier
    channels: tuple[str, ...]
    schooling: SimpleNamespace
    irrelevant: NDArray[np.bool_] | None = None

    @property
    def prepared(self) -> SimpleNamespace:
        return SimpleNamespace(cache=self.cache, rows=self.split.__getitem__)

    def on(self, pixels: NDArray[np.uint8]) -> "Trial":
        return dataclasses.replace(self, cache=SimpleNamespace(pixels=pixels, records=self.cache.records))

    def add(self, changes: dict[str, Any], irrelevant: NDArray[np.bool_] | None = None) -> "Trial":
        found = irrelevant if irrelevant is not None else self.irrelevant
        return dataclasses.replace(self, schooling=SimpleNamespace(changes=changes), irrelevant=found)


class Masked(Shuffled):
    """Batches with the places that the answer must not come from."""

    def __init__(self, loaded: Shuffled, irrelevant: NDArray[np.bool_]) -> None:
        super().__init__(torch.cat([loaded.inputs, torch.from_numpy(irrelevant[:, None]).float()], 1), loaded.labels)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:  # type: ignore[override]
        for inputs, labels in super().__iter__():
            yield inputs[:, :-1], labels, inputs[:, -1] > 0.5


def remedied(
    name: str, train: Pool, held: Pool, before: Classifier, channels: tuple[str, ...], penalty: float = 10.0
) -> Classifier:
    """Trained again as the remedy asks."""
    every = [np.concatenate(pair) for pair in zip(*((p.pixels, p.lungs, p.labels) for p in (train, held)), strict=True)]
    pixels, lungs, labels = every
    n, nothing = len(train), np.zeros_like(lungs)
    cache = SimpleNamespace(pixels=pixels, records=[SimpleNamespace(label=int(label)) for label in labels])
    split = {"train": list(range(n)), "val": list(range(n, len(labels)))}
    plan = Trial(cache, split, before, channels, SimpleNamespace(changes={}))
    layers = Layers(lungs, np.ones(len(lungs), bool), nothing, nothing)
    made = REMEDIES[name].apply(plan, layers, penalty, 0)  # type: ignore[arg-type]
    films, changes = made.cache.pixels, made.schooling.changes
    if not changes:
        return train_small((films[:n], train.labels), (films[n:], held.labels), 7)
    start = before.with_(temperature=1.0, threshold=0.5) if REMEDIES[name].keeps else fresh(SIZE, 7)
    own, fixed = (loaded(start, films[part], labels[part]) for part in (slice(0, n), slice(n, None)))
    if made.irrelevant is not None:
        own = Masked(own, made.irrelevant[:n])
    return fit(start, own, [(fixed.inputs, fixed.labels)], recipe(7).with_(**changes)).classifier  # type: ignore[arg-type]


def scores(network: Classifier, part: Pool) -> NDArray[np.float64]:
    logits = network.logits(network.preprocess.normalise(torch.from_numpy(part.pixels)))
    return (logits[:, 1] - logits[:, 0]).numpy().astype(np.float64)


def cost(after: NDArray[np.float64], before: NDArray[np.float64], truth: NDArray[np.bool_]) -> Estimate:
    ranks = [Ranks(truth, s) for s in (after, before)]
    return bootstrap(lambda w: ranks[0](w)[0] - ranks[1](w)[0], [str(i) for i in range(len(truth))], seed=0)


def row_of(network: Classifier, test: Pool, plain: Pool, kind: str, seed: int) -> dict[str, Any]:
    findings, table = asked(network, test, "all", seed)
    failed = [f.test for f in findings if f.verdict == "fail"]
    verdict, headline = verdict_of(findings)
    return {
        "verdict": verdict, "headline": headline, "failed": failed,
        "named": any(r in f for f in failed[:3] for r in right(kind)),
        "artefact_left": [f for f in failed if any(r in f for r in right(kind))],
        "turned": turned(network, plain, kind),
        "auroc": auroc(table.truth, table.original).as_dict(),
        "plain_auroc": auroc(plain.labels == 1, scores(network, plain)).as_dict(),
        "values": {f.test: [f.verdict, f.estimate.value, f.estimate.low] for f in findings if f.estimate},
    }  # fmt: skip


def one(
    parts: list[Pool], kind: str, share: int, seed: int, candidates: Sequence[str] = CANDIDATES, each: bool = False
) -> dict[str, Any]:
    """Plant, train, audit, repair, audit. each: audit every candidate, not only the one kept."""
    rng = np.random.default_rng(zlib.crc32(f"{kind} {share} {seed}".encode()))
    train, held, test = (planted(p, kind, share, rng) for p in parts)
    before = train_small((train.pixels, train.labels), (held.pixels, held.labels), 7 + seed)
    told: dict[str, Any] = {"kind": kind, "share": share, "before": row_of(before, test, parts[2], kind, seed)}
    channels = channels_of(before, held, seed)
    tried: dict[str, tuple[float, Classifier]] = {}
    for name in candidates:
        try:
            network = remedied(name, train, held, before, channels)
        except DataError as error:
            told[f"left_out.{name}"] = str(error)
            continue
        found = {f.test: f for f in asked(network, held, "reasons", seed)[0]}["reasons.score"].estimate
        tried[name] = (found.value or 0.0) if found else 0.0, network
        if each:
            paid = cost(scores(network, parts[2]), scores(before, parts[2]), parts[2].labels == 1)
            told[f"each.{name}"] = row_of(network, test, parts[2], kind, seed) | {"plain_cost": paid.as_dict()}
    best = max(tried, key=lambda n: tried[n][0])
    network = tried[best][1]
    change = cost(scores(network, parts[2]), scores(before, parts[2]), parts[2].labels == 1)
    return told | {
        "channels": channels, "reasons": {n: s for n, (s, _) in tried.items()}, "kept": best,
        "after": row_of(network, test, parts[2], kind, seed), "plain_cost": change.as_dict(),
    }  # fmt: skip


def main() -> None:
    """Plant, train, audit, repair, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="phantoms unless given")
    parser.add_argument("--lungs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", default="r,ring,levels")
    parser.add_argument("--shares", default="80,30")
    parser.add_argument("--candidates", default=",".join(CANDIDATES), help="of radiolucent.study.remedies.REMEDIES")
    parser.add_argument("--each", action="store_true", help="audit every candidate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="patients of either class to pass over")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    journal = options.out / "rows.jsonl"
    done = {(r["kind"], r["share"]) for _, r in read_lines(journal)}
    parts: list[Pool] = []
    for share in (int(s) for s in options.shares.split(",")):
        for kind in options.kinds.split(","):
            if (kind, share) not in done:
                parts = parts or films(options)
                row = one(parts, kind, share, options.seed, options.candidates.split(","), options.each)
                append_lines(journal, [row])
                before, after = row["before"], row["after"]
                print(f"{kind} {share} %: {before['failed']} -> {row['kept']}: {after['failed']}", flush=True)


if __name__ == "__main__":
    main()
