"""How often does each printed interval hold the truth? A simulation with known truth, for every interval by patient.

    python benchmarks/coverage.py [--runs 300] [--folds 100] [--patients 20,50,100,500] [--films 1,10]
                                  [--prevalence 0.05,0.2,0.5] [--figures auroc,ppv] [--quick] [--check]

Patients are ill with probability `prevalence` and have 1 to `films` films each. A film's score is normal, 1.5 standard
deviations higher for the ill, with a correlation of 0.6 between a patient's films. The network states probabilities
whose log-odds are 1.5 times too extreme. Three readers call the films as well, wrong together on a patient's films.
Truth is computed on a fine grid, not simulated (κ and α: from the readers' model).

A row is one design; "below" and "above" are the shares of runs in which the truth lay below or above the interval,
"none" those without an interval. The goal: 93 to 97 % hold the truth and both tails lie within 1 to 4 %, where the
rarer class has at least 10 patients. `--check` ends with status 1 where a figure is far from it: CI's short form.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from radiolucent.metrics import METRICS, cluster_bootstrap_mean, decision_curve, delong_test
from radiolucent.metrics.metric import Cases, Resampling
from radiolucent.readers.statistics import cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha, mrmc
from radiolucent.types import Estimate

APART, RHO, SHARP, CALL = 1.5, 0.6, 1.5, 0.2  # scores' distance, correlation, over-confidence, and threshold
ERROR, TOGETHER = 0.15, 0.5  # readers' error rate; share of a patient's films they misread alike
ACT, ELSEWHERE = 0.2, 0.3  # probability from which on to act; prevalence of films elsewhere
BINS = 15
FEW = 10


@dataclass(frozen=True)
class Design:
    """One kind of data set: patients, most films a patient, prevalence."""

    patients: int
    films: int
    prevalence: float

    @property
    def rarer(self) -> float:
        """Expected patients of the rarer class."""
        return self.patients * min(self.prevalence, 1 - self.prevalence)


def log_odds(x: NDArray[np.float64], prevalence: float) -> NDArray[np.float64]:
    """The right log-odds of a score: the ill are N(d/2, 1), the others N(−d/2, 1)."""
    return APART * x + np.log(prevalence / (1 - prevalence))


def skewed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of films that lean to one side, as of energies or distances."""
    return np.exp(values / 6)


@dataclass(frozen=True)
class Sample:
    """One simulated data set."""

    cases: Cases
    other: NDArray[np.float64]  # scores (N,) of a second model
    readers: NDArray[np.float64]  # calls (3, N) of three readers
    scores: NDArray[np.float64]  # ratings (2, 5, N) of five readers under two tests that are alike


def draw(design: Design, rng: np.random.Generator) -> Sample:
    """A data set with a patient of each class at least."""
    ill = np.zeros(design.patients, bool)
    while not ill.any() or ill.all():
        ill = rng.random(design.patients) < design.prevalence
    owner = np.repeat(np.arange(design.patients), rng.integers(1, design.films + 1, design.patients))
    truth, n = ill[owner], len(owner)

    def score() -> NDArray[np.float64]:
        own = np.sqrt(RHO) * rng.normal(size=design.patients)[owner] + np.sqrt(1 - RHO) * rng.normal(size=n)
        return own + np.where(truth, APART / 2, -APART / 2)

    x = score()
    order = np.argsort(-x, kind="stable")
    owner, truth, x = owner[order], truth[order], x[order]
    odds = SHARP * log_odds(x, design.prevalence)
    p = special.expit(odds)
    alike = (rng.random((3, design.patients)) < ERROR)[:, owner]
    wrong = np.where(rng.random((3, n)) < TOGETHER, alike, rng.random((3, n)) < ERROR)
    names = tuple(str(i) for i in owner)
    cases = Cases(
        truth, p, x > CALL, np.stack([1 - p, p], 1), odds, np.stack([-odds, odds], 1), truth.astype(np.int64),
        ("well", "ill"), names, owner, 0,
    )  # fmt: skip
    skill = 0.3 * rng.normal(size=(2, 5, 1)) * truth  # readers differ, and each from test to test
    return Sample(cases, x + rng.normal(size=n), (truth ^ wrong).astype(float), x + skill + rng.normal(size=(2, 5, n)))


def truths(prevalence: float) -> dict[str, float]:
    """The population's value of every figure."""
    x = np.linspace(-9, 9, 200_001)
    step = x[1] - x[0]
    ill, well = prevalence * stats.norm.pdf(x - APART / 2), (1 - prevalence) * stats.norm.pdf(x + APART / 2)
    called = x > CALL
    tp, fp = float(ill[called].sum() * step), float(well[called].sum() * step)
    fn, tn = prevalence - tp, 1 - prevalence - fp
    p, right = special.expit(SHARP * log_odds(x, prevalence)), special.expit(log_odds(x, prevalence))
    density = ill + well
    gaps = np.bincount(np.minimum((p * BINS).astype(int), BINS - 1), (right - p) * density * step, minlength=BINS)
    above = np.cumsum(ill[::-1])[::-1], np.cumsum(well[::-1])[::-1]

    def excess(a: float) -> float:
        return float(((special.expit(a + special.logit(p)) - right) * density).sum() * step)

    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)

    def benefit(at: float) -> float:
        acted = p >= ACT
        found, alarms = (float(part[acted].sum() * step) for part in (ill / prevalence, well / (1 - prevalence)))
        return at * found - (1 - at) * alarms * ACT / (1 - ACT)

    wider = np.sqrt(2.0)
    agree = (1 - ERROR) ** 2 + ERROR**2
    said = prevalence * (1 - ERROR) + (1 - prevalence) * ERROR
    chance = said**2 + (1 - said) ** 2
    auc = float(stats.norm.cdf(APART / np.sqrt(2)))
    return {
        "auroc": auc,
        "sensitivity": tp / prevalence,
        "specificity": tn / (1 - prevalence),
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "accuracy": tp + tn,
        "balanced_accuracy": (tp / prevalence + tn / (1 - prevalence)) / 2,
        "average_precision": float((ill * above[0] / (above[0] + above[1])).sum() * step / prevalence),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        "brier": float((((1 - p) ** 2 * ill) + p**2 * well).sum() * step),
        "ece": float(np.abs(gaps).sum()),
        "calibration_slope": 1 / SHARP,
        "calibration_intercept": 0.0,
        "calibration_in_the_large": (low + high) / 2,
        "net_benefit": benefit(prevalence),
        "net_benefit_elsewhere": benefit(ELSEWHERE),
        "delong_test": auc - float(stats.norm.cdf(APART / wider / np.sqrt(2))),
        "mean": float((skewed(special.logit(p)) * density).sum() * step),
        "cohen_kappa": (agree - chance) / (1 - chance),
        "fleiss_kappa": (agree - chance) / (1 - chance),
        "krippendorff_alpha": (agree - chance) / (1 - chance),
        "gwet_ac1": (agree - 2 * said * (1 - said)) / (1 - 2 * said * (1 - said)),
        "mrmc_difference": 0.0,
    }


def figures(folds: int) -> dict[str, Callable[[Sample], Estimate | None]]:
    """Every interval, by name, from a sample."""
    how = Resampling(folds=folds)

    def of(metric: str) -> Callable[[Sample], Estimate | None]:
        one = next(m for m in METRICS if m.name == metric)
        return lambda s: one.estimate(s.cases, how)

    def compared(s: Sample) -> Estimate:
        c = s.cases
        return delong_test(c.truth, c.scores, s.other, groups=c.patients)[0]

    def mean(s: Sample) -> Estimate:
        return cluster_bootstrap_mean(skewed(special.logit(s.cases.scores)), s.cases.patients, folds=folds)

    def among(s: Sample, which: str) -> Estimate:
        r, options = s.readers, {"groups": s.cases.patients, "folds": folds}
        if which == "cohen_kappa":
            return cohen_kappa(r[0], r[1], categories=[0.0, 1.0], **options)
        if which in ("krippendorff_alpha", "gwet_ac1"):
            return (krippendorff_alpha if which == "krippendorff_alpha" else gwet_ac1)(r, **options)
        return fleiss_kappa(np.stack([(r == c).sum(0) for c in (0, 1)], 1), **options)

    def readers(s: Sample) -> Estimate | None:
        c = s.cases
        if min(c.patients_of(c.truth), c.patients_of(~c.truth)) < 3:
            return None
        found = mrmc(c.truth, s.scores, groups=c.patients)
        return next(iter(found.differences.values()))

    def benefit(s: Sample, prevalence: float | None) -> Estimate:
        c = s.cases
        found = decision_curve(c.truth, c.scores, [ACT], prevalence=prevalence, groups=c.patients)
        ends = (None if np.isnan(end[0]) else float(end[0]) for end in (found.low, found.high))
        return Estimate(float(found.model[0]), *ends, 0.95, len(set(c.patients)), "decision curve")

    named = [m.name for m in METRICS if m.name not in ("macro_auroc", "class_accuracy")]
    return {name: of(name) for name in named} | {
        "net_benefit": lambda s: benefit(s, None),
        "net_benefit_elsewhere": lambda s: benefit(s, ELSEWHERE),
        "delong_test": compared,
        "mean": mean,
        "cohen_kappa": lambda s: among(s, "cohen_kappa"),
        "fleiss_kappa": lambda s: among(s, "fleiss_kappa"),
        "krippendorff_alpha": lambda s: among(s, "krippendorff_alpha"),
        "gwet_ac1": lambda s: among(s, "gwet_ac1"),
        "mrmc_difference": readers,
    }


@dataclass(frozen=True)
class Row:
    """How one figure did in one design; shares of the runs that had an interval, and how many had none."""

    figure: str
    design: Design
    below: float
    above: float
    none: float
    runs: int

    @property
    def holds(self) -> float:
        """Share of intervals that hold the truth."""
        return 1 - self.below - self.above


def simulate(design: Design, *, runs: int, folds: int, only: set[str] | None = None, seed: int = 0) -> Iterator[Row]:
    """A row a figure."""
    expected, made = truths(design.prevalence), figures(folds)
    chosen = [name for name in made if not only or name in only]
    counts = {name: [0, 0, 0] for name in chosen}
    rng = np.random.default_rng([seed, design.patients, design.films, int(1000 * design.prevalence)])
    for _ in range(runs):
        sample = draw(design, rng)
        for name in chosen:
            e = made[name](sample)
            if e is None or e.low is None or e.high is None:
                counts[name][2] += 1
            elif expected[name] < e.low:
                counts[name][0] += 1
            elif expected[name] > e.high:
                counts[name][1] += 1
    for name, (below, above, none) in counts.items():
        had = max(runs - none, 1)
        yield Row(name, design, below / had, above / had, none / runs, runs)


def broken(row: Row) -> bool:
    """Whether a figure is further from its goal (93 % at least, tails of 4 % at most) than three standard errors."""
    if row.design.rarer < FEW or row.none > 0.5:
        return False
    slack = 3 * np.sqrt(0.05 * 0.95 / (row.runs * (1 - row.none)))
    return not 0.93 - slack <= row.holds or max(row.below, row.above) > 0.04 + slack


def numbers(text: str) -> list[float]:
    """What stands between commas."""
    return [float(part) for part in text.split(",")]


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 where `--check` finds a figure far from its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--folds", type=int, default=100)
    parser.add_argument("--patients", default="20,50,100,500")
    parser.add_argument("--films", default="1,10")
    parser.add_argument("--prevalence", default="0.05,0.2,0.5")
    parser.add_argument("--figures", default="")
    parser.add_argument("--quick", action="store_true", help="two designs, 150 runs: for CI")
    parser.add_argument("--check", action="store_true", help="status 1 where a figure is far from its goal")
    given = parser.parse_args(argv)
    designs = [
        Design(int(n), int(f), p)
        for n in numbers(given.patients)
        for f in numbers(given.films)
        for p in numbers(given.prevalence)
    ]
    runs, folds = given.runs, given.folds
    if given.quick:
        designs, runs, folds = [Design(40, 8, 0.4), Design(40, 1, 0.4)], 100, 60
    only = set(given.figures.split(",")) if given.figures else None
    start, bad = time.process_time(), []
    print("| figure | patients | films | prevalence | holds | below | above | none |")
    print("|---|---|---|---|---|---|---|---|")
    for design in designs:
        for row in simulate(design, runs=runs, folds=folds, only=only):
            mark = " **!**" if broken(row) else ""
            bad += [row] if mark else []
            print(
                f"| {row.figure} | {design.patients} | 1–{design.films} | {design.prevalence} | "
                f"{row.holds:.3f}{mark} | {row.below:.3f} | {row.above:.3f} | {row.none:.3f} |",
                flush=True,
            )
    print(
        f"\n{runs} runs, {folds} folds, {time.process_time() - start:.0f} s of a core; {len(bad)} rows beyond the goal "
        "and chance"
    )
    return int(bool(given.check and bad))


if __name__ == "__main__":
    sys.exit(main())
