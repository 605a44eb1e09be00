"""Does a study of the size that was promised show what it was sized for, as often as was said?

    python benchmarks/sizing.py [--runs 2000] [--seed 0]

Each row sizes a study, simulates it `--runs` times, and analyses it as an evaluation or a reading study is analysed.
The goal: the share that succeeded lies within 3 points of the power that was said. With 2,000 runs chance is ± 1.8
points (two standard errors at 80 %). Reading studies follow Roe & Metz's model (1997) of readers, cases and their
interactions with the test; the variance components come from 60 large simulated pilots. A row fails the run where its
interval lies wholly beyond 3 points.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from radiolucent.metrics import auroc, sensitivity, size_auroc, size_proportion, wilson
from radiolucent.readers.statistics import Pilot, against_margin, cases_for, mrmc, mrmc_power

READER, TEST_READER, CASE, REST = 0.15, 0.07, 0.55, 0.45  # deviations: of readers' skill, and of cases and the rest
Row = tuple[str, float, Callable[[np.random.Generator], bool]]
POINTS = 0.03


def readings(
    rng: np.random.Generator, readers: int, cases: int, shift: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(truth, scores (2, J, N)) of Roe & Metz's model, half of the cases ill; the second test better by `shift`."""
    truth = np.arange(cases) % 2 == 0
    skill = READER * rng.normal(size=(1, readers, 1)) + TEST_READER * rng.normal(size=(2, readers, 1))
    case = CASE * (rng.normal(size=(1, 1, cases)) + rng.normal(size=(2, 1, cases)))
    rest = REST * (rng.normal(size=(1, readers, cases)) + rng.normal(size=(2, readers, cases)))
    return truth, case + rest + (np.array([1.3, 1.3 + shift])[:, None, None] + skill) * truth


def areas(shift: float) -> tuple[float, float]:
    """The two tests' true reader-averaged AUROCs."""
    spread = np.sqrt(4 * (CASE**2 + REST**2) + READER**2 + TEST_READER**2)
    return float(stats.norm.cdf(1.3 / spread)), float(stats.norm.cdf((1.3 + shift) / spread))


def pilot_of(shift: float, rng: np.random.Generator) -> Pilot:
    """Mean components of 60 pilots with 10 readers and 200 cases."""
    found = [mrmc(*readings(rng, 10, 200, shift)).components for _ in range(60)]
    return Pilot.of({k: float(np.mean([f[k] for f in found])) for k in found[0]}, 200)


def reading_study(readers: int, shift: float, rng: np.random.Generator) -> Row:
    """A difference of two tests, shown by p < 0.05."""
    pilot, (first, second) = pilot_of(shift, rng), areas(shift)
    cases = cases_for(pilot, second - first, readers=readers)
    assert cases is not None
    said = mrmc_power(pilot, second - first, readers=readers, cases=cases)

    def study(rng: np.random.Generator) -> bool:
        p = mrmc(*readings(rng, readers, cases, shift)).p["test 1", "test 2"]
        return p is not None and p < 0.05

    return f"difference of {second - first:.3f}, {readers} readers, {cases} cases", said, study


def non_inferiority(readers: int, margin: float, rng: np.random.Generator) -> Row:
    """Two tests that are alike, the second shown to be no worse than by the margin."""
    pilot = pilot_of(0.0, rng)
    cases = cases_for(pilot, 0.0, readers=readers, margin=margin)
    assert cases is not None

    def study(rng: np.random.Generator) -> bool:
        truth, scores = readings(rng, readers, cases, 0.0)
        gap = mrmc(truth, scores, tests=["new", "old"]).differences["new", "old"]
        return against_margin(gap, margin).verdict == "shown"

    said = mrmc_power(pilot, 0.0, readers=readers, cases=cases, margin=margin)
    return f"non-inferiority by {margin:g}, {readers} readers, {cases} cases", said, study


def evaluation_auroc(area: float, bound: float, prevalence: float, films: int = 1) -> Row:
    """An AUROC whose interval lies above a bound; scores of a patient's films correlate by 0.5."""
    size, d = (
        size_auroc(area, bound=bound, prevalence=prevalence, films=films, rho=0.5),
        np.sqrt(2) * stats.norm.ppf(area),
    )
    owner = np.repeat(np.arange(size.patients), films)
    truth = owner < size.positives

    def study(rng: np.random.Generator) -> bool:
        x = np.sqrt(0.5) * (rng.normal(size=size.patients)[owner] + rng.normal(size=len(owner)))
        return (auroc(truth, x + d * truth, groups=owner).low or 0) > bound

    return f"AUROC {area:g} above {bound:g}, {size.patients} patients with {films} films", size.power or 0.0, study


def evaluation_sensitivity(share: float, bound: float, prevalence: float, films: int) -> Row:
    """A sensitivity whose interval lies above a bound; films of a patient correlate by 0.5."""
    size = size_proportion(share, bound=bound, prevalence=prevalence, films=films, rho=0.5)

    def study(rng: np.random.Generator) -> bool:
        patient = rng.random(size.positives) < share
        alike = rng.random((size.positives, films)) < np.sqrt(0.5)
        right = np.where(alike, patient[:, None], rng.random((size.positives, films)) < share).ravel()
        owner = np.repeat(np.arange(size.positives), films)
        return (sensitivity(np.ones(len(right), bool), right, groups=owner).low or 0) > bound

    return f"sensitivity {share:g} above {bound:g}, {size.positives} ill with {films} films", size.power or 0.0, study


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 where a row is beyond three points by more than chance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    rng = np.random.default_rng(given.seed)
    rows = (
        evaluation_auroc(0.9, 0.82, 0.3),
        evaluation_auroc(0.8, 0.7, 0.1),
        evaluation_auroc(0.95, 0.9, 0.1),
        evaluation_auroc(0.9, 0.82, 0.3, 3),
        evaluation_sensitivity(0.9, 0.8, 0.2, 1),
        evaluation_sensitivity(0.9, 0.8, 0.2, 3),
        reading_study(5, 0.35, rng),
        reading_study(8, 0.25, rng),
        non_inferiority(6, 0.05, rng),
    )
    print("| study | power said | succeeded in simulation |\n|---|---|---|")
    bad = 0
    for name, said, study in rows:
        e = wilson(sum(study(rng) for _ in range(given.runs)), given.runs)
        low, high = float(e.low or 0), float(e.high or 0)
        off = low > said + POINTS or high < said - POINTS
        bad += off
        print(f"| {name} | {said:.3f} | {e.value:.3f} ({low:.3f} to {high:.3f}){' **!**' if off else ''} |", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
