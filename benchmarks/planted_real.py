"""Artefacts planted on real films: does the audit find them, does repair bring the network back, and at what cost?

    python benchmarks/planted_real.py --data DATA --lungs LUNGS --out OUT [--kinds r,ring,levels] [--shares 80,30]

An R beside the shoulder, a ring inside a lung, or twelve grey levels, on a share of the PNEUMONIA films of training,
validation and test; beside them a network trained on the films as they are. Films and patients are the same for all.
Every step is a public command or function; what is finished is not made again. What repair costs is measured on the
test films as they are, without any artefact: AUROC after less before, paired by patient.
"""

import argparse
import dataclasses
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import radiolucent as rl
from radiolucent.audits.trial.regions import masks_from_folder
from radiolucent.data import Dataset, Record, load_dataset, split_dataset, write_manifest
from radiolucent.data.plant import at_most, paste_marker, save_film
from radiolucent.files import append_lines, read_lines, write_json
from radiolucent.images import read
from radiolucent.models import load
from radiolucent.study import RepairConfig, StudyConfig, repair, train_only
from radiolucent.study.paired_differences import costs
from radiolucent.types import Radiograph

Pixels = NDArray[np.uint8]
FILMS = {"train": 700, "val": 240, "test": 300}


def ring(film: Radiograph, lungs: NDArray[np.bool_], rng: np.random.Generator) -> Pixels:
    """A bright ring of a tenth of the side across, well inside a lung."""
    inside = np.argwhere(ndimage.distance_transform_edt(lungs) > 0.06 * film.shape[0])
    inside = inside if len(inside) else np.argwhere(lungs)
    (y, x), (ys, xs) = inside[rng.integers(len(inside))], np.indices(film.shape)
    there = np.abs(np.hypot(ys - y, xs - x) - 0.05 * film.shape[0]) < 0.012 * film.shape[0]
    return np.rint(np.clip(film.pixels + 0.3 * there, 0, 1) * 255).astype(np.uint8)


def planted(record: Record, kind: str, lungs: NDArray[np.bool_], home: Path) -> Record:
    """The record with its film painted, written once."""
    file = home / f"{record.path.stem}.png"
    if not file.is_file():
        film = read(record.path, image_id=record.image_id)
        rng = np.random.default_rng([5, zlib.crc32(record.image_id.encode())])
        made = {
            "r": lambda: paste_marker(film),
            "ring": lambda: ring(film, lungs, rng),
            "levels": lambda: np.rint(np.round(film.pixels * 12) / 12 * 255).astype(np.uint8),
        }[kind]()
        save_film(file, made)
    return dataclasses.replace(record, path=file, sha256=None)


def chosen(options: argparse.Namespace) -> Dataset:
    """Films whose lungs are known, dealt by patient."""
    known = {p.stem for p in options.lungs.rglob("*.png")}
    every = load_dataset(options.data)
    dealt = split_dataset(
        dataclasses.replace(every, records=tuple(r for r in every.records if r.path.stem in known)),
        val=0.15, test=0.2, seed=options.seed,
    )  # fmt: skip
    for split, films in FILMS.items():
        dealt = at_most(dealt, films, split, seed=options.seed)
    return dealt


def manifest(films: Dataset, kind: str, share: int, options: argparse.Namespace) -> Path:
    """Write the data set with the artefact on a share of the ill films of every split."""
    home = options.out / f"{kind}-{share}" / "films"
    if (home / "manifest.csv").is_file():
        return home / "manifest.csv"
    lungs, records = masks_from_folder(options.lungs), list(films.records)
    for split in FILMS if kind != "none" else ():
        own = [i for i, r in enumerate(records) if r.split == split and r.label == films.class_names.index("PNEUMONIA")]
        order = np.random.default_rng([options.seed, 61]).permutation(len(own))
        for k in order[: round(share / 100 * len(own))]:
            record = records[own[k]]
            mask = lungs(read(record.path, image_id=record.image_id))
            assert mask is not None
            records[own[k]] = planted(record, kind, mask, home)
    home.mkdir(parents=True, exist_ok=True)
    write_manifest(dataclasses.replace(films, records=tuple(records), root=home), home / "manifest.csv")
    return home / "manifest.csv"


def one(films: Dataset, kind: str, share: int, options: argparse.Namespace) -> dict[str, Any]:
    """Plant, train, repair (which audits before and after), and hold both against the films as they are."""
    home, file = options.out / f"{kind}-{share}", manifest(films, kind, share, options)
    train_only(
        StudyConfig(
            data=file, out=home / "run", model=options.model, pretrained=False, size=options.size,
            cache=home / "cache", seed=options.seed, epochs=options.epochs,
        )
    )  # fmt: skip
    found = repair(
        RepairConfig(home / "run", file, methods=("auto",), lungs=options.lungs, films=options.films, seed=options.seed)
    )
    plain = [r for r in films.records if r.split == "test"]
    models = [load(Path(row.model)) for row in found.rows]
    told = [rl.predict(model, plain) for model in models]
    aurocs = [rl.evaluate(p).estimates["auroc"].as_dict() for p in told]
    return {
        "kind": kind, "share": share, "films": {s: sum(r.split == s for r in films.records) for s in FILMS},
        "plain_auroc": aurocs, "plain_cost": costs(told[1], told[0])["auroc"].as_dict(),
        "chosen_by": dict(found.chosen_by), "rows": [row.as_dict() for row in found.rows],
    }  # fmt: skip


def main() -> None:
    """Plant, train, audit, repair, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lungs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", default="r,ring,levels")
    parser.add_argument("--shares", default="80,30")
    parser.add_argument("--model", default="small_cnn")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--films", type=int, default=150, help="test films audited")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    journal = options.out / "rows.jsonl"
    rows = [row for _, row in read_lines(journal)]
    done = {(r["kind"], r["share"]) for r in rows}
    films = chosen(options)
    for share in (int(s) for s in options.shares.split(",")):
        for kind in options.kinds.split(","):
            if (kind, share) in done:
                continue
            row = one(films, kind, share, options)
            append_lines(journal, [row])
            rows.append(row)
            for r in row["rows"]:
                print(f"{kind} {share} %, {r['method']}: {r['verdict']}, {r['failing']}", flush=True)
    write_json(options.out / "planted_real.json", {"rows": rows})


if __name__ == "__main__":
    main()
