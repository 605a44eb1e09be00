"""Null studies of the checks of data, and of the statistics between readers and models."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.checks import prevalence_shift
from radiolucent.data.confounders import confounders
from radiolucent.data.records import Dataset, Record
from radiolucent.data.survey import Film
from radiolucent.metrics import clustered_mcnemar, delong_test
from radiolucent.readers.statistics import against_margin, mrmc, readers_against, reading_times, u_statistics


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


def readings(rng: np.random.Generator, shift: float = 0.0) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(truth, scores (2, 6, 120)) of Roe & Metz's model (1997); the ill higher by `shift` under the second test."""
    n, j = 120, 6
    truth = np.arange(n) % 2 == 0
    skill = 0.15 * rng.normal(size=(1, j, 1)) + 0.07 * rng.normal(size=(2, j, 1))
    case = 0.55 * (rng.normal(size=(1, 1, n)) + rng.normal(size=(2, 1, n)))
    rest = 0.45 * (rng.normal(size=(1, j, n)) + rng.normal(size=(2, j, n)))
    return truth, case + rest + (np.array([1.3, 1.3 + shift])[:, None, None] + skill) * truth


def below(p: float | None) -> bool:
    return p is not None and p < 0.05


def one_mrmc(rng: np.random.Generator) -> bool:
    return below(mrmc(*readings(rng)).p["test 1", "test 2"])


def one_u(rng: np.random.Generator) -> bool:
    """The same, half of the cases read by half of the readers only (a split plot)."""
    truth, scores = readings(rng)
    scores[:, :3, :60] = scores[:, 3:, 60:] = np.nan
    return below(u_statistics(truth, scores).p["test 1", "test 2"])


def one_margin(rng: np.random.Generator) -> bool:
    """The new test is worse by exactly the margin, and is called no worse."""
    from scipy import stats

    spread = (4 * (0.55**2 + 0.45**2) + 0.15**2 + 0.07**2) ** 0.5
    margin = float(stats.norm.cdf(1.7 / spread) - stats.norm.cdf(1.3 / spread))
    gap = mrmc(*readings(rng, 0.4), tests=["new", "old"]).differences["new", "old"]
    return against_margin(gap, margin).verdict == "shown"


def one_model(rng: np.random.Generator) -> bool:
    """A fixed model as good as readers are on average, on cases of its own noise."""
    truth, scores = readings(rng)
    case, rest = rng.normal(size=(2, len(truth)))
    skill = (4 * (0.55**2 + 0.45**2) / (4 * (0.55**2 + 0.45**2) + 0.15**2 + 0.07**2)) ** 0.5
    model = 2**0.5 * (0.55 * case + 0.45 * rest) + 1.3 * skill * truth
    return below(readers_against(truth, scores[0], model)[1])


def one_delong(rng: np.random.Generator) -> bool:
    """Two models that are alike, on films that share patients."""
    patients = np.repeat(np.arange(60), rng.integers(1, 5, 60))
    truth = (rng.random(60) < 0.4)[patients]
    first, second = (
        1.2 * truth + 0.8 * rng.normal(size=60)[patients] + 0.6 * rng.normal(size=len(patients)) for _ in range(2)
    )
    return below(delong_test(truth, first, second, groups=patients)[1])


def one_time(rng: np.random.Generator) -> bool:
    """An aid that saves no time: skewed times of five readers, films of a patient alike, one in ten not read."""
    patients = np.repeat(np.arange(30), rng.integers(1, 4, 30))
    shared = rng.normal(size=30)[patients]
    noise = rng.normal(size=(2, 5, len(patients)))
    gain = 0.1 * rng.normal(size=(2, 5, 1))
    seconds = 20 * np.exp(0.4 * shared + 0.4 * noise + gain)
    seconds[rng.random(seconds.shape) < 0.1] = np.nan
    return below(reading_times(seconds, groups=patients).p)


ROWS: dict[str, tuple[Callable[[np.random.Generator], bool], float]] = {
    "data: prevalence of splits dealt by patient": (one_shift, 0.05),
    "data: metadata that tell the patient alone, any kind": (one_metadata, 0.05),
    "readers: as often right as the model (McNemar)": (one_difference, 0.05),
    "readers: two tests alike (Obuchowski–Rockette)": (one_mrmc, 0.05),
    "readers: two tests alike, split plot (U-statistics)": (one_u, 0.05),
    "readers: worse by exactly the margin, called no worse": (one_margin, 0.025),
    "readers: as good as a fixed model": (one_model, 0.05),
    "two models alike (DeLong)": (one_delong, 0.05),
    "time to read: an aid that saves none": (one_time, 0.05),
}
"""By row: one study, and the rate of wrong verdicts that is promised at most."""
