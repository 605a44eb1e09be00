"""Does the audit see a marker that it pasted itself on real films, and what does it say of the same films without?

    python benchmarks/pasted_marker.py --data DATA --weights WEIGHTS --out OUT [--films 2000] [--size 128] [--epochs 3]

An R is pasted on 80 % of the PNEUMONIA films of training and validation; a network is trained on these films, and one
on the same films without it, by the same recipe; both are audited on the same untouched test patients. Every step is a
public command, and goes on where an interrupted one stopped. Seconds are wall time on the cores there are.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from radiolucent.files import write_json

TESTS = ("marker.paste", "marker.remove", "marker.move", "marker.swap", "border.black", "regions.no_lungs")


def run(*arguments: str, fine: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """One `radiolucent` command with `--json`: what it prints, and how long it took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "radiolucent", *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in fine:
        sys.exit(f"radiolucent {' '.join(arguments)}: status {done.returncode}")
    return json.loads(done.stdout) | {"seconds": time.perf_counter() - began, "status": done.returncode}


def one(name: str, manifest: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train on a manifest and audit on its test films."""
    home = options.out / name
    weights = ["--weights", str(options.weights)] if options.weights else ["--no-pretrained"]
    trained = run(
        "train", str(manifest), "--out", str(home), "--model", options.model, "--size", str(options.size),
        "--epochs", str(options.epochs), "--seed", str(options.seed), *weights,
    )  # fmt: skip
    # 4: the model fails the audit, which is what one of the two is here for.
    audited = run("audit", str(home), str(manifest), "--split", "test", "--seed", str(options.seed), fine=(0, 3, 4))
    performance = run("evaluate", str(home), str(options.out / "test.csv"), fine=(0, 3))
    chosen = [f for f in audited["findings"] if f["test"] in TESTS or f["verdict"] == "fail"]
    return {
        "verdict": audited["verdict"],
        "headline": audited["headline"],
        "films": audited["films"],
        "patients": audited["patients"],
        "training_seconds": trained["seconds"],
        "audit_seconds": audited["seconds"],
        "status": audited["status"],
        "estimates": {k: performance[k] for k in ("auroc", "sensitivity", "specificity")},
        "findings": [{k: f[k] for k in ("test", "verdict", "estimate", "threshold", "summary")} for f in chosen],
    }


def main() -> None:
    """Paste, train twice, audit twice, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="mobilenetv1")
    parser.add_argument("--films", type=int, default=2000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = {}
    for name, share in (("plain", "0"), ("pasted", "0.8")):
        counts[name] = run(
            "data", "paste-marker", str(options.data), "--out", str(options.out / f"{name}-films"), "--share", share,
            "--films", str(options.films), "--seed", str(options.seed), fine=(0, 3),
        )  # fmt: skip
    lines = (options.out / "plain-films" / "manifest.csv").read_text().splitlines()
    where = lines[0].split(",").index("split")
    (options.out / "test.csv").write_text(
        "\n".join([lines[0], *(x for x in lines[1:] if x.split(",")[where] == "test")])
    )
    found: dict[str, Any] = {"counts": counts}
    for name in ("pasted", "plain"):
        found[name] = one(name, options.out / f"{name}-films" / "manifest.csv", options)
        print(f"{name}: {found[name]['headline']}")
        for finding in found[name]["findings"]:
            print(f"  {finding['verdict']:<14} {finding['test']:<18} {finding['summary']}")
        write_json(options.out / "pasted_marker.json", found)


if __name__ == "__main__":
    main()
