"""A phantom data set with several labels a film on disk: films, masks, readings, manifest."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiolucent.bounds import check_numbers
from radiolucent.data.annotations import write_coco
from radiolucent.data.manifest import write_manifest
from radiolucent.data.phantom.anatomy import Anatomy
from radiolucent.data.phantom.generate import COUNTS, RATE, claim, drawn, splits_of, write_film
from radiolucent.data.phantom.several import FINDINGS, draw_several, readings_of_several
from radiolucent.data.records import NOT_GIVEN, UNCERTAIN, Dataset, Record
from radiolucent.errors import ConfigError
from radiolucent.files import write_text
from radiolucent.types import Annotation

__all__ = ["SeveralConfig", "generate_several"]


@dataclass(frozen=True)
class SeveralConfig:
    """What to draw; the same values give the same bytes, whatever the number of processes.

    Attributes:
        patients: children. films: most films a child (1 … films). size: pixels.
        consolidation: share of the children with it. effusion: with it, of those with and without consolidation.
        cardiomegaly: with it, of those with and without effusion: findings come together.
        uncertain, not_given: share of labels that are −1, and that are left empty, in the manifest.
        marker: how often a side marker is on a film. sites: sites the children come from.
        val, test: share of the children in these splits. subtle: attenuation of the faintest consolidations.
        seed: of everything.
    """

    patients: int = 800
    films: int = 2
    size: int = 256
    consolidation: float = 0.38
    effusion: tuple[float, float] = (0.5, 0.22)
    cardiomegaly: tuple[float, float] = (0.45, 0.22)
    uncertain: float = 0.04
    not_given: float = 0.06
    marker: float = 0.5
    sites: int = 3
    val: float = 0.15
    test: float = 0.25
    subtle: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        rates = (
            self.consolidation, *self.effusion, *self.cardiomegaly, self.uncertain, self.not_given, self.marker
        )  # fmt: skip
        check_numbers(self, COUNTS)
        if not all(RATE.take(r) for r in rates):
            raise ConfigError(f"{self}; expected rates in [0, 1].")
        if self.val + self.test >= 1 or self.uncertain + self.not_given > 1:
            raise ConfigError(f"{self}; val and test leave nothing to train on, or no label is plain.")


@dataclass(frozen=True)
class _Job:
    patient: int
    film: int
    split: str
    findings: tuple[str, ...]
    config: SeveralConfig
    folder: str

    @property
    def name(self) -> str:
        return f"p{self.patient:04d}_{self.film}"

    @property
    def image_id(self) -> str:
        return f"{self.split}/{self.name}.png"


def generate_several(
    folder: str | Path,
    config: SeveralConfig | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Draw a phantom data set with three labels: consolidation, effusion, cardiomegaly.

    Writes `split/*.png`, `masks/{lungs,marker,consolidation,effusion,cardiomegaly}/*.png`, `annotations.json` (COCO,
    a category a finding), `manifest.csv` with a column a label (1, 0, −1 uncertain, empty: not given) and a README.
    Films that are there already, of the same configuration, are not drawn again.

    Args:
        workers: processes; one a core unless given.

    Raises:
        ConfigError: a folder that holds another phantom.
    """
    chosen, root = config or SeveralConfig(), Path(folder)
    claim(root, chosen)
    jobs = _jobs(chosen, root)
    records: list[Record] = []
    annotations: list[Annotation] = []
    for job, (marker, said) in zip(jobs, drawn(_draw, jobs, workers), strict=True):
        extra = {"truth": "+".join(job.findings) or "none"} | ({"marker": marker} if marker else {})
        path, site = root / job.image_id, f"site {job.patient % chosen.sites + 1}"
        patient = f"p{job.patient:04d}"
        records.append(
            Record(path, job.image_id, None, patient, job.split, site, extra=extra, findings=_labels(job))
        )  # fmt: skip
        annotations += said
        if progress:
            progress(len(records), len(jobs))
    dataset = Dataset(
        tuple(records), FINDINGS, root, source=f"phantom of three findings (seed {chosen.seed})", multilabel=True
    )
    write_coco(annotations, root / "annotations.json", categories=FINDINGS)
    write_manifest(dataset, root / "manifest.csv")
    write_text(root / "README.md", _readme(chosen, len(jobs)))
    return dataset


def _labels(job: _Job) -> tuple[int, ...]:
    """What the manifest says: the truth, but for labels that are uncertain or left empty."""
    rng = np.random.default_rng([job.config.seed, 5, job.patient, job.film])
    found: list[int] = []
    for name, draw in zip(FINDINGS, rng.random(len(FINDINGS)), strict=True):
        open_ = UNCERTAIN if draw < job.config.uncertain else NOT_GIVEN
        told = draw >= job.config.uncertain + job.config.not_given
        found.append(int(name in job.findings) if told else open_)
    return tuple(found)


def _jobs(config: SeveralConfig, root: Path) -> list[_Job]:
    splits, _, films = splits_of(config)
    jobs: list[_Job] = []
    for patient, split in enumerate(splits):
        has = _findings(np.random.default_rng([config.seed, 6, patient]), config)
        jobs += [_Job(patient, k, split, has, config, str(root)) for k in range(int(films[patient]))]
    return jobs


def _findings(rng: np.random.Generator, config: SeveralConfig) -> tuple[str, ...]:
    draws = rng.random(3)
    consolidation = draws[0] < config.consolidation
    effusion = draws[1] < config.effusion[0 if consolidation else 1]
    cardiomegaly = draws[2] < config.cardiomegaly[0 if effusion else 1]
    return tuple(n for n, has in zip(FINDINGS, (consolidation, effusion, cardiomegaly), strict=True) if has)


def _draw(job: _Job) -> tuple[str, list[Annotation]]:
    """Draw one film and write it with its masks: (marker, readings)."""
    config, seed = job.config, [job.config.seed, 3, job.patient, job.film]
    child = Anatomy.of(np.random.default_rng([config.seed, 2, job.patient]))
    rng = np.random.default_rng(seed)
    marker = ("R" if rng.random() < 0.75 else "L") if rng.random() < config.marker else ""
    site = job.patient % config.sites
    film = draw_several(
        rng, job.findings, size=config.size, marker=marker, anatomy=child, site=site, subtle=config.subtle
    )
    root = Path(job.folder)
    write_film(root / job.image_id, film.pixels)
    for name, mask in {"lungs": film.lungs, "marker": film.marker, **film.places}.items():
        write_film(root / "masks" / name / f"{job.name}.png", mask.astype(np.uint8) * 255)
    return marker, readings_of_several(film, job.image_id, seed=[config.seed, 4, job.patient, job.film])


def _readme(config: SeveralConfig, films: int) -> str:
    return (
        "# Phantom chest radiographs with three findings\n\n"
        f"{films} films of {config.patients} children, drawn by `radiolucent data phantom --labels 3`; no real "
        "patient.\n\n"
        "`split/*.png`, true masks in `masks/`, readings in `annotations.json` (COCO, a category a finding),\n"
        "`manifest.csv` with a column a finding: 1 with it, 0 without it, -1 uncertain, empty: not given; `truth` says "
        "what was drawn.\n\n"
        f"Configuration: `{dataclasses.asdict(config)}`\n"
    )
