"""Does repair bring a network with a planted shortcut back to pass, and at what cost? On phantoms, several seeds.

    python benchmarks/repair_phantoms.py --out OUT [--seeds 5] [--methods crop,inpaint,randomise,reasons | auto]

Each seed draws phantoms (64 × 64 pixels; 800 to train on, 200 to choose the epoch on, 300 for the test), puts a marker
on every ill film of training and validation, trains a small network and repairs it. On test films markers are chance.
Masks are the phantoms' own. Goes on where an interrupted one stopped.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.trial.planted_films import planted_films
from radiolucent.files import write_json
from radiolucent.metrics import wilson
from radiolucent.study import RepairConfig, StudyConfig, repair, train_only


def one(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every row of one seed's repair."""
    home: Path = options.out / f"{'-'.join(map(str, options.films))}-seed{seed}"
    manifest = home / "films" / "manifest.csv"
    if not manifest.is_file():
        planted_films(home / "films", films=options.films, seed=seed)
    train_only(
        StudyConfig(
            data=manifest, out=home / "run", model="small_cnn", pretrained=False, size=64, cache=home / "cache",
            seed=seed, epochs=options.epochs,
        )
    )  # fmt: skip
    masks = home / "films" / "masks"
    found = repair(
        RepairConfig(
            home / "run", manifest, methods=tuple(options.methods.split(",")), lungs=masks / "lungs",
            markers=masks / "markers", seed=seed,
        )
    )  # fmt: skip
    rows = [row.as_dict() for row in found.rows]
    if options.methods == "auto":
        rows[1] |= {"method": "auto", "kept": rows[1]["method"], "chosen_by": found.chosen_by}
    return rows


def summary(method: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over seeds: how many pass or fail a marker test, and the mean change of AUROC with Student's t interval."""
    own = [r for r in rows if r["method"] == method]
    passed, marked = (
        sum(r["verdict"] == "pass" for r in own),
        sum(any(t.startswith("marker") for t in r["failing"]) for r in own),
    )
    found: dict[str, Any] = {
        "method": method,
        "pass": wilson(passed, len(own)).as_dict(),
        "marker_test_fails": wilson(marked, len(own)).as_dict(),
        "auroc": [r["auroc"]["value"] for r in own],
        "auroc_change": [r["costs"]["auroc"]["value"] for r in own if r["costs"]],
    }
    changes = np.array(found["auroc_change"])
    if len(changes) > 1:
        from scipy import stats

        half = stats.t.ppf(0.975, len(changes) - 1) * changes.std(ddof=1) / len(changes) ** 0.5
        found["mean_change"] = {"value": changes.mean(), "low": changes.mean() - half, "high": changes.mean() + half}
    return found


def main() -> None:
    """Repair phantoms of several seeds, and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--films", type=int, nargs=3, default=(800, 200, 300), help="train, val, test")
    parser.add_argument("--methods", default="crop,inpaint,randomise,reasons")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        rows += [row | {"seed": seed} for row in one(seed, options)]
        told = [summary(m, rows) for m in dict.fromkeys(r["method"] for r in rows)]
        write_json(options.out / "repair_phantoms.json", {"summary": told, "rows": rows})
        for line in told:
            print(seed + 1, "seeds:", line["method"], line["pass"]["value"], line["marker_test_fails"]["value"], line)


if __name__ == "__main__":
    main()
