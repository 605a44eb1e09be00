"""How often the audit's, the agreement's and the readers' verdicts are wrong where nothing is there.

    python benchmarks/audit_nulls.py --runs 400 --state nulls.json [--rows WORDS]

Every row simulates studies in which the truth lies on the boundary that the verdict must not cross, with films of one
patient alike (ρ .6), and counts wrong verdicts. The last column is what the verdict promises at most. A row fails the
run where the lower end of its 99 % interval lies above that promise. Every study has a seed of its own, so that a run
can be stopped, and goes on from `--state`.
"""

import argparse
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np

import null_studies_data
import null_studies_maps
import null_studies_model
from radiolucent.metrics import wilson

ROWS = null_studies_model.ROWS | null_studies_maps.ROWS | null_studies_data.ROWS
Found = dict[str, tuple[int, int, float]]


def wrong(name: str, number: int, seed: int = 0) -> bool:
    """Whether the verdict of one study of a row is wrong."""
    return bool(ROWS[name][0](np.random.default_rng([seed, zlib.crc32(name.encode()), number])))


def rates(runs: int, seed: int = 0, names: tuple[str, ...] = tuple(ROWS)) -> Found:
    """By row: wrong verdicts, studies, and the promise."""
    return {name: (sum(wrong(name, k, seed) for k in range(runs)), runs, ROWS[name][1]) for name in names}


def broken(found: Found) -> list[str]:
    """Rows whose rate is proven, at 99 %, to exceed the promise."""
    return [name for name, (bad, runs, promise) in found.items() if (wilson(bad, runs, 0.99).low or 0) > promise]


def gone_on(path: Path | None, runs: int, seed: int, names: list[str]) -> Found:
    """As `rates`, from where the file left off; in ten rounds over all rows, and written every ten seconds."""
    state: dict[str, list[int]] = json.loads(path.read_text()) if path and path.exists() else {}
    last = time.monotonic()
    for name, stop in ((n, -(-runs * part // 10)) for part in range(1, 11) for n in names):
        bad, done = state.get(name, [0, 0])
        while done < stop:
            bad, done = bad + wrong(name, done, seed), done + 1
            state[name] = [bad, done]
            if path and (done == runs or time.monotonic() - last > 10):
                last = time.monotonic()
                part_file = path.with_suffix(".part")
                part_file.write_text(json.dumps(state))
                part_file.replace(path)
    return {name: (*state[name], ROWS[name][1]) for name in names}


def table(found: Found) -> str:
    """As Markdown."""
    rows = ["| null simulation | wrong verdicts | promised at most |", "|---|---|---|"]
    for name, (bad, runs, promise) in found.items():
        e = wilson(bad, runs)
        rows.append(f"| {name} | {bad} of {runs}: {e.value:.3f} ({e.low:.3f} to {e.high:.3f}) | {promise:.2g} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", default="", help="only rows whose name holds one of these words, set apart by |")
    parser.add_argument("--state", type=Path, help="file that keeps what was counted")
    args = parser.parse_args()
    names = [name for name in ROWS if any(word in name for word in args.rows.split("|"))]
    found = gone_on(args.state, args.runs, args.seed, names)
    print(table(found))
    return 1 if broken(found) else 0


if __name__ == "__main__":
    sys.exit(main())
