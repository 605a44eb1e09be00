"""Put a finished self-test into the package and the documentation.

    radiolucent audit --self-test --seeds 6 --out runs/self-test
    python scripts/ship_selftest.py runs/self-test

Writes `src/radiolucent/audits/trial/selftest.json` (without single models) and `docs/images/selftest.png`, and prints
the figures of the table in `docs/explanation/audit.md`.
"""

import argparse
import json
import shutil
from pathlib import Path

from radiolucent.files import write_json

ROOT = Path(__file__).parents[1]
FINDERS = {"audit": "this audit", "gradcam": "Grad-CAM alone", "lime": "LIME alone"}


def cell(row: dict[str, float] | None) -> str:
    if row is None:
        return "–"
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    told = json.loads((folder / "selftest.json").read_text())
    write_json(ROOT / "src/radiolucent/audits/trial/selftest.json", {k: v for k, v in told.items() if k != "models"})
    shutil.copy(folder / "selftest.png", ROOT / "docs/images/selftest.png")
    rates = {(r["finder"], r["shortcut"], r["share"]): r for r in told["rates"]}
    print("| shortcut | planted on | models | " + " | ".join(FINDERS.values()) + " |\n|---|---:|---:|---|---|---|")
    for kind in told["config"]["kinds"]:
        for share in told["config"]["shares"]:
            cells = [rates.get((finder, kind, share)) for finder in FINDERS]
            count = cells[0]["n"] if cells[0] else 0
            print(f"| {kind} | {share:.0%} | {count} | " + " | ".join(cell(c) for c in cells) + " |")
    for name in ("marker_on_half_or_more", "marker_false_alarm", "any_false_alarm", "unmet_false_alarm"):
        print(f"{name}: {cell(told[name])}, n = {told[name]['n']}")
    print(f"{told['trained']} models, {told['processor_minutes']} minutes of processor time")


if __name__ == "__main__":
    main()
