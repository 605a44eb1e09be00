"""Artefacts planted on real films: does the audit find them, does a repair bring the network back, and at what cost?

    python benchmarks/planted_real.py --data DATA --lungs LUNGS --out OUT [--kinds r,ring,levels] [--shares 80,30]
        [--skip 430]

Kermany's training films at 64 pixels, one a patient, half of them ill: 500 to train on, 160 to choose on, 200 for the
test; `--skip` passes over so many patients of either class. An R beside the shoulder, a ring inside a lung, twelve grey
levels, or any kind of `artefacts.py`, on a share of the ill films of all three; the small network of `discovery.py`.
Repair as `radiolucent repair --method auto` does it, of `CANDIDATES`: surroundings are exchanged, and on top of that
what discovery then finds on validation films; kept is what follows the fewest channels there. What it costs is measured
on the test films without any artefact: AUROC after less before, paired by patient. Without DATA the films are phantoms
(240, 60 and 160); `--each` audits every candidate. Networks, audits and OUT/rows.jsonl, a line a row, are kept in OUT:
the same call goes on.
"""

import argparse
import dataclasses
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from artefacts import KINDS as ARTEFACTS
from artefacts import few_levels, lung_ring
from discovery import views_of
from radiolucent.audits.trial.examine import examine_views
from radiolucent.audits.trial.headline import verdict_of
from radiolucent.audits.trial.planted import KINDS, Pool, fresh, loaded, pool, recipe, train_small
from radiolucent.audits.trial.tests import TESTS
from radiolucent.data import Dataset, Loader, PixelCache, Record, load_dataset
from radiolucent.errors import DataError
from radiolucent.files import append_lines, read_lines, write_json
from radiolucent.metrics import auroc, bootstrap
from radiolucent.metrics.ranking import Ranks
from radiolucent.models import Classifier, load, save
from radiolucent.study.prepared import Prepared
from radiolucent.study.region_masks import Layers
from radiolucent.study.remedies import AUTO, BEFORE, EXCHANGED, REMEDIES, Plan, best_of, named, validation_row
from radiolucent.study.repair_bench import SHORTER, SLOWER
from radiolucent.study.trained import Schooling
from radiolucent.training import fit
from radiolucent.types import Estimate

SIZE, PARTS = 64, (500, 160, 200)
CANDIDATES = ("surroundings", "surroundings+discovered")
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
    file = options.out / f"films-{options.seed}-{options.skip}.npz"
    if file.is_file():
        with np.load(file) as kept:
            return parted(Pool(kept["pixels"], kept["lungs"], kept["labels"]), PARTS)
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
    np.savez(file, pixels=pixels, lungs=lungs, labels=labels)
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
    families = {"validation": ("discovered", "reasons")}.get(family, (family,))
    tests = INTERVENTIONS if family == "all" else tuple(t for t in TESTS if t.family in families)
    return examine_views(network, views_of(part, f"{family}{len(part)}-"), tests, seed=seed)


class Learning:
    """Shuffled batches of films that are drawn anew every epoch, shifted by up to two pixels; with the places that the
    answer must not come from, and groups, drawn equally often, where the plan knows some."""

    def __init__(self, plan: Plan, start: Classifier) -> None:
        self.plan, self.start, self.epoch = plan, start, 0
        self.rows = np.array(plan.prepared.rows("train"))
        groups = plan.schooling.groups
        self.group_counts = None if groups is None else np.bincount(groups[self.rows]).tolist()

    def __len__(self) -> int:
        return -(-len(self.rows) // 32)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        cache, irrelevant = self.plan.prepared.cache, self.plan.schooling.irrelevant
        rng = np.random.default_rng([7, self.epoch])
        groups = self.plan.schooling.groups
        order = rng.permutation(self.rows)
        if groups is not None:
            loader = Loader(cache, self.rows, shuffle=True, groups=groups, balance=True, seed=7)
            loader.set_epoch(self.epoch)
            order = loader.order()
        for rows in np.split(order, range(32, len(order), 32)):
            films, shift = cache.pixels[rows], tuple(int(v) for v in rng.integers(-2, 3, 2))
            for redraw in self.plan.schooling.redraw:
                films = redraw.apply(films, rows, (7, self.epoch))
            inputs = self.start.preprocess.normalise(torch.from_numpy(films)).roll(shift, (2, 3))
            labels = torch.tensor([cache.records[int(i)].label for i in rows])
            masks = () if irrelevant is None else (torch.from_numpy(irrelevant[rows]).roll(shift, (1, 2)),)
            yield inputs, labels, *masks, *(() if groups is None else (torch.from_numpy(groups[rows]),))


def remedied(
    name: str,
    train: Pool,
    held: Pool,
    before: Classifier,
    channels: tuple[str, ...],
    penalty: float | None = None,
    short: bool = False,
) -> Classifier:
    """Trained again as the remedies of this name ask, as in `radiolucent.study.repaired`."""
    pixels, lungs, labels = (
        np.concatenate(pair) for pair in zip(*((p.pixels, p.lungs, p.labels) for p in (train, held)), strict=True)
    )
    parts = ["train"] * len(train) + ["val"] * len(held)
    records = tuple(
        Record(Path(str(i)), str(i), int(label), str(i), part)
        for i, (label, part) in enumerate(zip(labels, parts, strict=True))
    )
    cache = PixelCache(pixels, records, ((SIZE, SIZE),) * len(records), before.preprocess)
    plan = Plan(Prepared(Dataset(records, before.class_names), (), cache), Schooling(), before, channels)
    nothing, chosen = np.zeros_like(lungs), named(name)
    for remedy in chosen:
        strength = penalty if penalty is not None else next(iter(remedy.penalties), 0.0)
        plan = remedy.apply(plan, Layers(lungs, np.ones(len(lungs), bool), nothing, nothing), strength, 0)
    for text in plan.told:
        print(f"{name}: {text}", flush=True)
    plan = plan.settled(0)
    keeps = short or any(r.keeps for r in chosen)
    start = before.with_(temperature=1.0, threshold=0.5) if keeps else fresh(SIZE, 7)
    rows = np.array(plan.prepared.rows("val"))
    fixed = loaded(start, plan.prepared.cache.pixels[rows], labels[rows])
    recipe_of = recipe(7, 12 * max(r.longer for r in chosen)).with_(**plan.schooling.changes)
    if short:
        recipe_of = recipe_of.with_(epochs=math.ceil(recipe_of.epochs / SHORTER), lr=recipe_of.lr / SLOWER)
    groups = plan.schooling.groups
    check = (fixed.inputs, fixed.labels, *(() if groups is None else (torch.from_numpy(groups[rows]),)))
    return fit(start, Learning(plan, start), [check], recipe_of).classifier


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


@dataclasses.dataclass
class Kept:
    """Networks and audits, kept in a folder as they are made: the same call goes on, also after `most` new ones."""

    folder: Path
    most: int = 0
    new: int = 0

    def network(self, name: str, make: Callable[[], Classifier]) -> Classifier:
        file = self.folder / f"{name}.safetensors"
        return self._kept(file, lambda: save(make(), file), lambda: load(file))

    def told(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        file = self.folder / f"{name}.json"
        return self._kept(file, lambda: write_json(file, make()), lambda: json.loads(file.read_text()))

    def _kept(self, file: Path, make: Callable[[], object], read: Callable[[], Any]) -> Any:
        if not file.is_file():
            if self.new == self.most > 0:
                raise SystemExit(f"{self.new} made; the same call goes on with {file.name}.")
            make()
            self.new += 1
        return read()


def one(
    parts: list[Pool], kind: str, share: int, seed: int, kept: Kept, candidates: Sequence[str] = CANDIDATES,
    each: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Plant, train, audit, repair, audit. each: audit every candidate, not only the one kept."""
    rng = np.random.default_rng(zlib.crc32(f"{kind} {share} {seed}".encode()))
    train, held, test = (planted(p, kind, share, rng) for p in parts)
    stem, plain = f"{kind}-{share}-{seed}", parts[2]
    networks: dict[str, Classifier] = {}
    rows: dict[str, dict[str, Any]] = {}

    def audited(name: str) -> dict[str, Any]:
        paid = cost(scores(networks[name], plain), scores(networks[BEFORE], plain), plain.labels == 1)
        return row_of(networks[name], test, plain, kind, seed) | {"plain_cost": paid.as_dict()}

    def looked(name: str, make: Callable[[], Classifier]) -> None:
        networks[name] = kept.network(f"{stem}-{name}", make)
        own = networks[name]
        rows[name] = kept.told(f"{stem}-{name}-val", lambda: validation_row(asked(own, held, "validation", seed)[0]))

    films = (train.pixels, train.labels), (held.pixels, held.labels)
    looked(BEFORE, lambda: train_small(*films, 7 + seed))
    told: dict[str, Any] = {
        "kind": kind,
        "share": share,
        "before": kept.told(f"{stem}-before", lambda: audited(BEFORE)),
    }
    for name in candidates:
        method, _, strength = name.partition("@")
        asks = {REMEDIES[n].discovers for n in method.split("+")}
        others = "+".join(n for n in method.split("+") if not REMEDIES[n].discovers) if "others" in asks else ""
        channels = tuple(rows[others or BEFORE]["follows"][:EXCHANGED]) if asks != {""} else ()
        make = partial(remedied, method, train, held, networks[BEFORE], channels)
        if strength == "auto":
            ladder = next(r.penalties for r in named(method) if r.penalties)[1:]
            tried = {BEFORE: rows[BEFORE]}
            for value in ladder:
                own = kept.network(f"{stem}-{method}@{value:g}-short", partial(make, value, short=True))
                row = partial(asked, own, held, "validation", seed)
                tried[f"{value:g}"] = kept.told(
                    f"{stem}-{method}@{value:g}-short-val", lambda row=row: validation_row(row()[0])
                )
            strength = best_of(tried)
            told[f"searched.{name}"] = tried | {"kept": strength}
        try:
            looked(name, partial(make, float(strength)) if strength else make)
        except DataError as error:
            told[f"left_out.{name}"] = str(error)
            continue
        if each:
            told[f"each.{name}"] = kept.told(f"{stem}-{name}-test", partial(audited, name))
    auto = {name: row for name, row in rows.items() if name in (BEFORE, *AUTO)}
    best = best_of(auto if len(auto) > 1 else rows)
    after = kept.told(f"{stem}-{best}-test", lambda: audited(best))
    return told | {"validation": rows, "kept": best, "after": after, "plain_cost": after["plain_cost"]}


def main() -> None:
    """Plant, train, audit, repair, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="phantoms unless given")
    parser.add_argument("--lungs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", default="r,ring,levels")
    parser.add_argument("--shares", default="80,30")
    parser.add_argument(
        "--candidates",
        default=",".join(CANDIDATES),
        help="of radiolucent.study.remedies.REMEDIES; relevance@0.3: with this λ, @auto: searched for",
    )
    parser.add_argument("--each", action="store_true", help="audit every candidate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="patients of either class to pass over")
    parser.add_argument("--most", type=int, default=0, help="stop after so many new networks and audits; 0: never")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    journal = options.out / "rows.jsonl"
    done = {(r["kind"], r["share"]) for _, r in read_lines(journal)}
    kept, parts = Kept(options.out, options.most), list[Pool]()
    for share in (int(s) for s in options.shares.split(",")):
        for kind in options.kinds.split(","):
            if (kind, share) not in done:
                parts = parts or films(options)
                row = one(parts, kind, share, options.seed, kept, options.candidates.split(","), options.each)
                append_lines(journal, [row])
                before, after = row["before"], row["after"]
                print(f"{kind} {share} %: {before['failed']} -> {row['kept']}: {after['failed']}", flush=True)


if __name__ == "__main__":
    main()
