"""How often the audit's and the agreement's verdicts say "fail", or "clear", where nothing is there.

    python benchmarks/audit_nulls.py --runs 200

Every row simulates studies in which the truth lies on the boundary that the verdict must not cross, with films of one
patient alike (ρ .6), and counts wrong verdicts. The last column is what the verdict promises at most. A row fails the
run where the lower end of its 99 % interval lies above that promise.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from radiolucent.audits.agreement.floors import Placed, clear_of_others
from radiolucent.audits.trial.answers import Table
from radiolucent.audits.trial.calibrated import calibrated
from radiolucent.audits.trial.discovered import contrast
from radiolucent.audits.trial.exchange import CHANNELS
from radiolucent.audits.trial.interventions import INTERVENTIONS, interventions
from radiolucent.audits.trial.probes import probe
from radiolucent.audits.trial.stress import stressed
from radiolucent.audits.trial.subgroups import slices, subgroups
from radiolucent.audits.trial.verdicts import beyond
from radiolucent.audits.trust.faithfulness import faithfulness
from radiolucent.audits.trust.similarity import likeness, pooled, surrogates
from radiolucent.data.checks import prevalence_shift
from radiolucent.data.confounders import confounders
from radiolucent.data.records import Dataset, Record
from radiolucent.data.survey import Film
from radiolucent.images import Preprocess
from radiolucent.metrics import clustered_mcnemar, wilson
from radiolucent.models import Classifier
from radiolucent.types import Explanation, Geometry, Radiograph

RHO = 0.6


def patients_of(count: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Films of `count` patients, one to four each."""
    return np.repeat([f"p{k}" for k in range(count)], rng.integers(1, 5, count))


def alike(patients: NDArray[np.str_], rng: np.random.Generator, skew: bool = False) -> NDArray[np.float64]:
    """Standardised noise (N,) with correlation ρ within a patient; skewed: chi-squared with two degrees of freedom."""
    _, index = np.unique(patients, return_inverse=True)

    def draw(n: int) -> NDArray[np.float64]:
        return (rng.chisquare(2, n) - 2) / 2 if skew else rng.standard_normal(n)

    return np.sqrt(RHO) * draw(index.max() + 1)[index] + np.sqrt(1 - RHO) * draw(len(index))


def table_of(patients: NDArray[np.str_], rng: np.random.Generator, skew: bool = False) -> Table:
    """Answers of a model whose every change moves the log-odds by exactly its threshold on average."""
    n = len(patients)
    _, index = np.unique(patients, return_inverse=True)
    truth = (rng.random(index.max() + 1) < 0.5)[index]
    original = np.where(truth, 1.0, -1.0) + alike(patients, rng)
    spread = original.std()
    scores = {"original": original}
    for test in INTERVENTIONS.values():
        if test.control not in scores:
            scores[test.control] = original + 0.0
        moved = (test.threshold + 0.6 * alike(patients, rng, skew)) * spread
        scores[test.edit] = original + (moved if test.signed else np.abs(scores[test.control] - original) + moved)
    ids = tuple(f"f{i}" for i in range(n))
    names = tuple(patients.tolist())
    return Table(ids, names, (None,) * n, truth, np.ones(n, bool), scores, {}, None, 0.0)


def one_intervention(rng: np.random.Generator, skew: bool) -> bool:
    """Any of ten tests wrongly fails, each of them at its threshold (signed figures, so that it is the mean's)."""
    table = table_of(patients_of(30, rng), rng, skew)
    tests = [t for t in INTERVENTIONS.values() if t.signed]
    return any(f.verdict == "fail" for f in interventions(table, tests))


def one_calibration(rng: np.random.Generator) -> bool:
    patients = patients_of(40, rng)
    shift = alike(patients, rng)
    odds = 1.5 * shift
    truth = rng.random(len(odds)) < 1 / (1 + np.exp(-odds))
    table = table_of(patients, rng)
    return calibrated(Table(*(table.image_ids, table.patients, table.sites), truth, table.known, {"original": odds}, {},
                            None, 0.0)).verdict == "fail"  # fmt: skip


def one_groups(rng: np.random.Generator) -> bool:
    table = table_of(patients_of(120, rng), rng)
    groups = {f"g{k}": [str(v) for v in rng.integers(0, 4, len(table))] for k in range(3)}
    return any(f.verdict == "fail" for f in subgroups(table, groups, level=1 - 0.05 / 3))


def one_slice(rng: np.random.Generator) -> bool:
    table = table_of(patients_of(160, rng), rng)
    embeddings = rng.standard_normal((len(table), 6)).astype(np.float32)
    made = Table(
        table.image_ids, table.patients, table.sites, table.truth, table.known, table.scores, {}, embeddings, 0.0
    )
    return slices(made).verdict == "fail"


def one_stress(rng: np.random.Generator) -> bool:
    table = table_of(patients_of(60, rng), rng)
    again = np.where(table.truth, 1.0, -1.0) + alike(np.array(table.patients), rng)
    scores = {"original": table.original, "stress.blur": again}
    made = Table(table.image_ids, table.patients, table.sites, table.truth, table.known, scores, {}, None, 0.0)
    return stressed(made, "stress.blur", 0.95, 0).verdict == "fail"


def one_probe(rng: np.random.Generator) -> bool:
    patients = patients_of(40, rng)
    _, index = np.unique(patients, return_inverse=True)
    faces = rng.standard_normal((index.max() + 1, 64))
    pixels = np.clip(128 + 30 * (faces[index] + 0.5 * rng.standard_normal((len(index), 64))), 0, 255).astype(np.uint8)
    truth = (rng.random(index.max() + 1) < 0.5)[index]
    found = probe(pixels.reshape(-1, 8, 8), truth, patients)
    return found.low is not None and found.low > 0.5


def films_of(rng: np.random.Generator, count: int) -> tuple[Dataset, list[Film]]:
    """Films of `count` patients, dealt into splits by patient; size, grey and border tell the patient alone."""
    records: list[Record] = []
    films: list[Film] = []
    for k in range(count):
        ill, split = int(rng.random() < 0.4), str(rng.choice(["train", "val", "test"], p=[0.6, 0.2, 0.2]))
        own = rng.normal(size=4)
        for j in range(rng.integers(1, 5)):
            records.append(Record(Path(f"{k}_{j}.png"), f"{k}_{j}", ill, f"p{k}", split))
            near = own + 0.3 * rng.normal(size=4)
            width, height = (int(400 + 40 * v) for v in near[:2])
            films.append(
                Film(records[-1], size=int(1e5 + 1e4 * own[0]), width=width, height=height, mode="L", format="PNG",
                     grey=float(near[2]), border=float(near[3]))
            )  # fmt: skip
    return Dataset(tuple(records), ("well", "ill")), films


def one_shift(rng: np.random.Generator) -> bool:
    """Splits dealt by patient differ in prevalence by chance alone."""
    return prevalence_shift(films_of(rng, 120)[0]).verdict == "fail"


def one_metadata(rng: np.random.Generator) -> bool:
    """Any kind of metadata is called a shortcut where it tells patients, and no label."""
    dataset, films = films_of(rng, 60)
    return any(f.verdict == "fail" for f in confounders(films, dataset.class_names))


def one_difference(rng: np.random.Generator) -> bool:
    """A reader and the model are equally often right, on films that share patients: McNemar's p is below .05."""
    patients = np.repeat(np.arange(60), rng.integers(1, 5, 60))
    lean = rng.random(60) < 0.5
    first, second = (rng.random(len(patients)) < np.where(lean[patients] == k, 0.9, 0.6) for k in (True, False))
    p = clustered_mcnemar(first, second, groups=patients)[1]
    return p is not None and p < 0.05


def one_randomised(rng: np.random.Generator) -> bool:
    """Two smooth maps that have nothing to do with each other are called alike, which fails a map."""
    one, other = (pooled(smooth(rng, 32, 3.0), 8) for _ in range(2))
    chance = np.array([likeness(one, s) for s in surrogates(one, 200, rng)])
    return bool((np.array(likeness(one, other)) > np.quantile(chance, 0.99, axis=0)).any())


def smooth(rng: np.random.Generator, side: int, sigma: float) -> NDArray[np.float32]:
    return ndimage.gaussian_filter(rng.standard_normal((side, side)), sigma).astype(np.float32)


def one_floor(rng: np.random.Generator, same: bool) -> bool:
    """Markings lie where findings often lie; maps point there too, all alike or at random, and know no film."""
    side, films, often = 24, [], np.array([15.0, 7.0])
    fixed = -np.hypot(*(np.indices((24, 24)) - often[:, None, None])).astype(np.float32)
    for k in range(40):
        middle = often + rng.normal(0, 3, 2)
        region = np.hypot(*(np.indices((side, side)) - middle[:, None, None])) < 4
        values = fixed - fixed.min() + (0 if same else 4 * smooth(rng, side, 2.0) / 0.14)
        films.append(Placed(f"p{k // 2}", values.astype(np.float32), region))
    p = clear_of_others(films, deals=2000, seed=int(rng.integers(1 << 30)))["hit_rate"]
    return p is not None and p <= 0.05


def one_discovery(rng: np.random.Generator) -> bool:
    """Donors of the two classes bring along the threshold's worth and no more, in skewed amounts."""
    ill = np.arange(48) % 2 == 1
    threshold = CHANNELS["tone"].threshold
    effects = 0.4 * (rng.chisquare(2, 48) - 2) + threshold * ill
    return beyond(contrast(effects, ill, 1 - 0.05 / len(CHANNELS)), threshold) == "fail"


class Blob(nn.Module):
    """Reads the mean grey of a place."""

    def __init__(self, weight: NDArray[np.float32]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = (x[:, 0] * self.weight).sum((1, 2))
        return torch.stack([torch.zeros_like(one), one], 1)


def one_stamp(rng: np.random.Generator) -> bool:
    """A smooth random map that knows nothing of the network passes faithfulness."""
    side = 32
    weight = np.clip(smooth(rng, side, 3.0), 0, None)
    preprocess = Preprocess(side, "squash", 1, (0.0,), (1.0,))
    clf = Classifier(Blob(weight / weight.sum() * 9).eval(), ("a", "b"), preprocess)
    film = Radiograph(np.clip(0.5 + smooth(rng, side, 2.0) * 2, 0, 1).astype(np.float32), "f")
    geometry = preprocess.geometry(film.shape)
    assert isinstance(geometry, Geometry)
    e = Explanation(smooth(rng, side, 3.0), "f", 1, "b", 0.0, "logit", "random", {}, 0, clf.hash, geometry)
    return faithfulness(clf, film, e, seed=int(rng.integers(1 << 30))).verdict == "pass"


# By row: one study, and the rate of wrong verdicts that is promised at most.
ROWS: dict[str, tuple[Callable[[np.random.Generator], bool], float]] = {
    "interventions at their thresholds, any fails": (lambda rng: one_intervention(rng, False), 0.05),
    "the same, skewed effects": (lambda rng: one_intervention(rng, True), 0.05),
    "calibration in the large, calibrated": (one_calibration, 0.05),
    "three groupings, no group differs, any fails": (one_groups, 0.05),
    "slices, none differs": (one_slice, 0.05),
    "stress that costs nothing": (one_stress, 0.05),
    "a probe of pictures that tell the patient alone": (one_probe, 0.025),
    "agreement: the same map on every film is clear": (lambda rng: one_floor(rng, True), 0.05),
    "agreement: maps that know places but no film": (lambda rng: one_floor(rng, False), 0.05),
    "discovery: classes bring along the same": (one_discovery, 0.05 / len(CHANNELS)),
    "stamp: a smooth random map passes faithfulness": (one_stamp, 0.025),
    "stamp: unrelated smooth maps are called alike": (one_randomised, 0.02),
    "data: prevalence of splits dealt by patient": (one_shift, 0.05),
    "data: metadata that tell the patient alone": (one_metadata, 0.05),
    "readers: as often right as the model": (one_difference, 0.05),
}


def rates(runs: int, seed: int = 0, names: tuple[str, ...] = tuple(ROWS)) -> dict[str, tuple[int, int, float]]:
    """By row: wrong verdicts, studies, and the promise."""
    found: dict[str, tuple[int, int, float]] = {}
    for name in names:
        study, promise = ROWS[name]
        rng = np.random.default_rng([seed, len(name)])
        found[name] = (sum(study(rng) for _ in range(runs)), runs, promise)
    return found


def broken(found: dict[str, tuple[int, int, float]]) -> list[str]:
    """Rows whose rate is proven, at 99 %, to exceed the promise."""
    return [name for name, (wrong, runs, promise) in found.items() if (wilson(wrong, runs, 0.99).low or 0) > promise]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = rates(args.runs, args.seed)
    print("| null simulation | wrong verdicts | promised at most |\n|---|---|---|")
    for name, (wrong, runs, promise) in found.items():
        e = wilson(wrong, runs)
        print(f"| {name} | {wrong} of {runs}: {e.value:.3f} ({e.low:.3f} to {e.high:.3f}) | {promise:g} |")
    return 1 if broken(found) else 0


if __name__ == "__main__":
    sys.exit(main())
