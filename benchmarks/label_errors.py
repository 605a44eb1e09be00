"""How many planted label errors are found, and how many of those named are errors? Beside cleanlab.

    python benchmarks/label_errors.py [--runs 20] [--films 1000] [--seed 0]

Films of two classes (20 % ill) get answers of a model that has not seen them, with an AUROC of 0.92 or 0.98; 5 % of the
labels are then turned. Three readers, each wrong on 12 % of the films, read 30 % of them. Precision and recall are of
the films listed; "first" is the share of errors among the first films, as many as there are errors.
"""

import argparse
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import special

from radiolucent.metrics import label_suspects

ILL, NOISE, READ, WRONG = 0.2, 0.05, 0.3, 0.12
Ranked = list[int]


def answers(films: int, apart: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """(true classes, given labels, probabilities (N, 2)) of one simulated data set."""
    truth = (rng.random(films) < ILL).astype(np.int64)
    odds = apart * (rng.normal(size=films) + apart * (truth - 0.5)) + np.log(ILL / (1 - ILL))
    p = special.expit(odds)
    labels = np.where(rng.random(films) < NOISE, 1 - truth, truth)
    return truth, labels, np.stack([1 - p, p], 1)


def readings(truth: NDArray[np.int64], rng: np.random.Generator) -> list[list[int]]:
    """Classes that three readers gave each film; none for films that were not read."""
    said = np.where(rng.random((len(truth), 3)) < WRONG, 1 - truth[:, None], truth[:, None])
    read = rng.random(len(truth)) < READ
    return [row.tolist() if own else [] for row, own in zip(said, read, strict=True)]


def cleanlab(labels: NDArray[np.int64], p: NDArray[np.float64]) -> Ranked:
    """cleanlab's list, by its own confident learning."""
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = find_label_issues(
            labels, p, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
        )
    return [int(i) for i in found]


def figures(found: Ranked, wrong: set[int]) -> tuple[float, float, float]:
    """(precision, recall, share of errors among the first films)."""
    hit = len(wrong & set(found))
    return hit / max(len(found), 1), hit / len(wrong), len(wrong & set(found[: len(wrong)])) / len(wrong)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| model | who | listed | precision | recall | first |\n|---|---|---|---|---|---|")
    for name, apart in (("AUROC 0.92", 2.0), ("AUROC 0.98", 3.0)):
        rng = np.random.default_rng(given.seed)
        told: dict[str, list[tuple[float, ...]]] = {"cleanlab": [], "radiolucent": [], "with readers": []}
        for _ in range(given.runs):
            truth, labels, p = answers(given.films, apart, rng)
            wrong = set(np.flatnonzero(truth != labels).tolist())
            lists = {
                "cleanlab": cleanlab(labels, p),
                "radiolucent": [s.film for s in label_suspects(labels, p)],
                "with readers": [s.film for s in label_suspects(labels, p, readers=readings(truth, rng))],
            }
            for who, found in lists.items():
                told[who].append((len(found), *figures(found, wrong)))
        for who, rows in told.items():
            listed, precision, recall, first = np.mean(rows, axis=0)
            print(f"| {name} | {who} | {listed:.0f} | {precision:.2f} | {recall:.2f} | {first:.2f} |")


if __name__ == "__main__":
    main()
