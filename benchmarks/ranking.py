"""Which method finds the true opacity: hit rate and energy on phantoms, for an honest network and one with a shortcut.

    python benchmarks/ranking.py [--out runs/ranking] [--films 40] [--methods gradcam,lime,...]

Two small CNNs are trained on phantoms that differ in one thing: on the honest ones half of all films carry a side
marker; on the others 90 % of the ill and 10 % of the healthy. Every method explains PNEUMONIA on the same ill test
films of each, and is measured against the true mask of the opacity, beside the mask's area and smooth random maps. On
the second network the share of the map's positive part that lies on the marker is measured too, on films that have
one. Methods that perturb an image are given at most 400 perturbed images. Interrupted, the same command goes on;
it ends with the table in Markdown.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import radiolucent as rl
from radiolucent.data import load_dataset
from radiolucent.data.phantom import PhantomConfig, generate
from radiolucent.errors import ExplainError
from radiolucent.explainers import METHODS
from radiolucent.figures import method_name
from radiolucent.files import write_json, write_text
from radiolucent.images import mask_to_model
from radiolucent.metrics import area_fraction, cluster_bootstrap_mean, energy_in_region, pointing_game, random_baseline
from radiolucent.models import Classifier, predict
from radiolucent.study import StudyConfig, train_only

NETWORKS = {"honest": (0.5, 0.5), "shortcut": (0.9, 0.1)}  # how often a marker is on ill and on healthy films
IMAGES = 400
FIGURES = ("hit", "energy", "marker")


def network(out: Path, name: str, patients: int) -> tuple[Classifier, list[Any]]:
    """The trained classifier, and the ill test films."""
    ill, healthy = NETWORKS[name]
    phantom = PhantomConfig(
        patients=patients, films=1, size=160, subtle=0.4, marker_ill=ill, marker_healthy=healthy, seed=0
    )
    generate(out / name / "phantom", phantom, workers=1)
    config = StudyConfig(
        data=out / name / "phantom",
        out=out / name / "run",
        model="small_cnn",
        pretrained=False,
        epochs=10,
        batch_size=16,
        size=128,
        cache=out / name / "cache",
    )
    train_only(config)
    records = [r for r in load_dataset(out / name / "phantom").records if r.split == "test"]
    classifier = rl.load(out / name / "run")
    print(f"{name}: AUROC {rl.evaluate(predict(classifier, records), folds=1000).estimates['auroc']}", file=sys.stderr)
    return classifier, [r for r in records if r.label == 1]


def masks(out: Path, name: str, record: Any, classifier: Classifier, shape: tuple[int, int]) -> dict[str, Any]:
    """The film's true masks in the model's frame."""
    root, geometry = out / name / "phantom" / "masks", classifier.preprocess.geometry(shape)
    files = {kind: root / kind / f"{Path(record.image_id).stem}.png" for kind in ("opacity", "marker")}
    return {kind: mask_to_model(np.asarray(Image.open(file)) > 0, geometry) for kind, file in files.items()}


def measured(values: Any, truth: dict[str, Any]) -> dict[str, float | None]:
    """Hit and energy in the opacity, energy on the marker; a map that points nowhere misses."""
    hit, energy = pointing_game(values, truth["opacity"]), energy_in_region(values, truth["opacity"])
    marker = energy_in_region(values, truth["marker"]) if truth["marker"].any() else None
    return {"hit": hit or 0.0, "energy": energy or 0.0, "marker": marker}


def rank(out: Path, name: str, classifier: Classifier, records: list[Any], chosen: list[str]) -> None:
    """Write one JSON file a method that is not there yet."""
    films = [rl.read(r.path, image_id=r.image_id) for r in records]
    truths = [masks(out, name, r, classifier, f.shape) for r, f in zip(records, films, strict=True)]
    patients = [r.patient_id for r in records]
    base = out / name / "maps" / "baselines.json"
    if not base.is_file():
        opacity = [t["opacity"] for t in truths]
        random = {
            "hit": [random_baseline(pointing_game, m, seed=i) for i, m in enumerate(opacity)],
            "energy": [random_baseline(energy_in_region, m, seed=i) for i, m in enumerate(opacity)],
            "marker": [
                random_baseline(energy_in_region, t["marker"], seed=i) if t["marker"].any() else None
                for i, t in enumerate(truths)
            ],
        }
        area = {"hit": [area_fraction(m) for m in opacity], "energy": [area_fraction(m) for m in opacity]}
        area["marker"] = [area_fraction(t["marker"]) for t in truths]
        write_json(base, {"patients": patients, "area": area, "random": random})
    for method in chosen:
        file = out / name / "maps" / f"{method}.json"
        if file.is_file():
            continue
        start, rows, failed = time.perf_counter(), [], ""
        few = METHODS[method]().cheaper(IMAGES, classifier.preprocess.size)
        try:
            for film, truth in zip(films, truths, strict=True):
                values = rl.explain(classifier, film, few, target="PNEUMONIA").map
                rows.append(measured(values, truth))
        except ExplainError as error:
            failed = str(error)
        columns = {k: [r[k] for r in rows] for k in FIGURES}
        seconds = (time.perf_counter() - start) / len(films)
        write_json(file, {"patients": patients, "failed": failed, "seconds": seconds, **columns})
        print(f"{name}: {method} {seconds:.2f} s a film {failed}", file=sys.stderr)


def cell(values: list[float | None], patients: list[str]) -> str:
    """A mean with its patient-bootstrap interval."""
    known = [np.nan if v is None else v for v in values]
    e = cluster_bootstrap_mean(known, patients, folds=10_000)
    return "–" if e.value is None else f"{e.value:.2f} ({e.low:.2f}–{e.high:.2f})"


def table(out: Path, films: int) -> str:
    """The ranking in Markdown, best energy on the honest network first."""
    found: dict[str, dict[str, Any]] = {}
    for name in NETWORKS:
        for file in sorted((out / name / "maps").glob("*.json")):
            values = json.loads(file.read_text())
            parts = {k: values[k] for k in ("area", "random")} if file.stem == "baselines" else {file.stem: values}
            for method, columns in parts.items():
                found.setdefault(method, {})[name] = {**columns, "patients": values["patients"]}
    works = {m: v for m, v in found.items() if len(v) == len(NETWORKS) and not any(c.get("failed") for c in v.values())}
    order = sorted(works, key=lambda m: -float(np.mean(works[m]["honest"]["energy"])))
    marked = sum(v is not None for v in works["area"]["shortcut"]["marker"])
    lines = [
        f"{films} ill test films of as many children, a network; {marked} of the second's carry a marker. Mean, and",
        "95 % patient-bootstrap interval (10,000 folds).",
        "",
        "| method | hit, honest | energy, honest | hit, shortcut | energy, shortcut | energy on the marker, shortcut |",
        "|---|---|---|---|---|---|",
    ]
    titles = {"area": "*area (a map that says nothing)*", "random": "*smooth random map*"}
    for method in order:
        honest, shortcut = works[method]["honest"], works[method]["shortcut"]
        cells = [cell(honest[k], honest["patients"]) for k in ("hit", "energy")]
        cells += [cell(shortcut[k], shortcut["patients"]) for k in FIGURES]
        lines.append(f"| {titles.get(method, method_name(method))} | {' | '.join(cells)} |")
    for method in sorted(set(found) - set(works)):
        reason = next((v["failed"] for v in found[method].values() if v.get("failed")), "not run on both networks")
        lines.append(f"\n{method_name(method)}: not applicable here: {reason}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train, explain, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/ranking"))
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in NETWORKS:
        classifier, records = network(options.out, name, options.patients)
        rank(options.out, name, classifier, records[: options.films], options.methods.split(","))
    text = table(options.out, options.films)
    write_text(options.out / "ranking.md", text)
    print(text)


if __name__ == "__main__":
    main()
