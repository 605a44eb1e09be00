"""Put a finished self-test into the package and the documentation.

    radiolucent audit --self-test --seeds 12 --out runs/self-test
    python scripts/ship_selftest.py runs/self-test

Writes `src/radiolucent/audits/trial/selftest.json` (without single models) and `docs/images/selftest.png`, and prints
the figures of the table in `docs/explanation/audit-measured.md`.
"""

import argparse
import json
import shutil
from pathlib import Path

from radiolucent.files import write_json

ROOT = Path(__file__).parents[1]
FINDERS = {"audit": "this audit", "gradcam": "Grad-CAM alone", "lime": "LIME alone"}


def cell(row: dict[str, float]) -> str:
    return "–" if row["value"] is None else f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def counted(row: dict[str, float] | None) -> str:
    """As "5 of 6: 0.83 (0.44 to 0.97)"."""
    if row is None or row["value"] is None:
        return "–"
    return f"{round(row['value'] * row['n'])} of {row['n']}: {cell(row)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    told = json.loads((folder / "selftest.json").read_text())
    write_json(ROOT / "src/radiolucent/audits/trial/selftest.json", {k: v for k, v in told.items() if k != "models"})
    shutil.copy(folder / "selftest.png", ROOT / "docs/images/selftest.png")
    rates = {(r["finder"], r["shortcut"], r["share"]): r for r in told["rates"]}
    use = {(u["shortcut"], u["share"]): u for u in told["use"]}
    finders = [f for f in FINDERS if any(r["finder"] == f for r in told["rates"])]
    heads = ["shortcut", "planted on", "models", "use it", "found of those that use it", *(FINDERS[f] for f in finders)]
    print(f"| {' | '.join(heads)} |\n|---|---:|---:|{'---|' * (len(heads) - 3)}")
    for kind in told["config"]["kinds"]:
        for share in told["config"]["shares"]:
            cells = [rates.get((finder, kind, share)) for finder in finders]
            count, row = cells[0]["n"] if cells[0] else 0, use.get((kind, share))
            of = [counted(row["used"]), counted(row["found_of_used"])] if row else ["–", "–"]
            print(f"| {kind} | {share:.0%} | {count} | " + " | ".join([*of, *(counted(c) for c in cells)]) + " |")
    print("limits of use:", {k: round(u["limit"], 2) for (k, _), u in use.items()})
    for name in (
        "marker_on_half_or_more",
        "marker_false_alarm",
        "any_false_alarm",
        "unmet_false_alarm",
        "innocent_false_alarm",
    ):
        print(f"{name}: {cell(told[name])}, n = {told[name]['n']}")
    print(f"{told['trained']} models, {told['processor_minutes']} minutes of processor time")


if __name__ == "__main__":
    main()
