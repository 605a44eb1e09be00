"""A phantom data set on disk: films, masks, readings, manifest."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radiolucent.bounds import Bounds, check_numbers
from radiolucent.data.annotations import write_coco, write_csv
from radiolucent.data.manifest import write_manifest
from radiolucent.data.phantom.anatomy import Anatomy
from radiolucent.data.phantom.draw import Phantom, draw
from radiolucent.data.phantom.readers import readings
from radiolucent.data.records import Dataset, Record
from radiolucent.errors import ConfigError
from radiolucent.files import atomic_path, write_json, write_text
from radiolucent.types import Annotation

__all__ = ["CLASSES", "COUNTS", "RATE", "PhantomConfig", "claim", "drawn", "generate", "splits_of", "write_film"]

CLASSES = ("NORMAL", "PNEUMONIA")

J = TypeVar("J")
T = TypeVar("T")

RATE = Bounds(0, 1)
COUNTS = {
    "patients": Bounds(4, 1_000_000, whole=True),
    "films": Bounds(1, 100, whole=True),
    "size": Bounds(64, 4096, whole=True),
    "sites": Bounds(1, 1_000_000, whole=True),
    "val": RATE,
    "test": RATE,
    "subtle": RATE,
    "seed": Bounds(0, whole=True),
}
"""What phantoms of either kind take."""


@dataclass(frozen=True)
class PhantomConfig:
    """What to draw; the same values give the same bytes, whatever the number of processes.

    Attributes:
        patients: children, half of them ill. films: most films a child (1 … films). size: pixels.
        marker_ill, marker_healthy: how often a side marker is on a film of either class: the dial for a shortcut.
        sites: sites the children come from.
        val, test: share of the children in these splits.
        subtle: attenuation of the faintest opacities.
        seed: of everything.
    """

    patients: int = 800
    films: int = 2
    size: int = 256
    marker_ill: float = 0.5
    marker_healthy: float = 0.5
    sites: int = 3
    val: float = 0.15
    test: float = 0.25
    subtle: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, COUNTS | dict.fromkeys(("marker_ill", "marker_healthy"), RATE))
        if self.val + self.test >= 1:
            raise ConfigError(f"val {self.val} and test {self.test} leave nothing to train on.")


@dataclass(frozen=True)
class _Job:
    patient: int
    film: int
    split: str
    ill: bool
    config: PhantomConfig
    folder: str

    @property
    def name(self) -> str:
        return f"p{self.patient:04d}_{self.film}"

    @property
    def image_id(self) -> str:
        return f"{self.split}/{CLASSES[self.ill]}/{self.name}.png"

    @property
    def site(self) -> int:
        return self.patient % self.config.sites


def generate(
    folder: str | Path,
    config: PhantomConfig | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: float,
) -> Dataset:
    """Draw a phantom data set.

    Writes `split/CLASS/*.png`, `masks/{lungs,opacity,marker}/*.png`, `annotations.json` (COCO), `readings.csv`,
    `manifest.csv` and a README. Films that are there already, of the same configuration, are not drawn again.

    Args:
        config: or its fields as keywords. workers: processes; one a core unless given.

    Raises:
        ConfigError: values out of range, or a folder that holds another phantom.
    """
    chosen = dataclasses.replace(config or PhantomConfig(), **options)
    root = Path(folder)
    claim(root, chosen)
    jobs = _jobs(chosen, root)
    records: list[Record] = []
    annotations: list[Annotation] = []
    for job, (extra, said) in zip(jobs, drawn(_draw, jobs, workers), strict=True):
        records.append(
            Record(
                root / job.image_id,
                job.image_id,
                int(job.ill),
                f"p{job.patient:04d}",
                job.split,
                f"site {job.site + 1}",
                extra.pop("etiology") or None,
                extra=extra,
            )
        )
        annotations += said
        if progress:
            progress(len(records), len(jobs))
    dataset = Dataset(tuple(records), CLASSES, root, source=f"phantom (seed {chosen.seed})")
    write_coco(annotations, root / "annotations.json", categories=[CLASSES[1]])
    write_csv(annotations, root / "readings.csv")
    write_manifest(dataset, root / "manifest.csv")
    write_text(root / "README.md", _readme(chosen, len(jobs)))
    return dataset


def claim(root: Path, config: Any) -> None:
    """Note the configuration (a dataclass) in the folder, and refuse one that holds another."""
    note, values = root / "phantom.json", json.loads(json.dumps(dataclasses.asdict(config)))
    if note.is_file() and json.loads(note.read_text()) != values:
        raise ConfigError(f"{root}: holds a phantom of another configuration; choose another folder or remove it.")
    write_json(note, values)


def splits_of(config: Any) -> tuple[list[str], NDArray[np.intp], NDArray[np.intp]]:
    """(split, place in a random order, number of films) of each child, for a configuration with patients, films, val,
    test and seed."""
    rng = np.random.default_rng([config.seed, 1])
    order = rng.permutation(config.patients)
    films = rng.integers(1, config.films + 1, config.patients)
    cut_test = round(config.patients * config.test)
    cut_val = cut_test + round(config.patients * config.val)
    place = np.empty(config.patients, int)
    place[order] = np.arange(config.patients)
    splits = ["test" if at < cut_test else "val" if at < cut_val else "train" for at in place]
    return splits, place, films


def _jobs(config: PhantomConfig, root: Path) -> list[_Job]:
    splits, place, films = splits_of(config)
    jobs: list[_Job] = []
    for patient in range(config.patients):
        split = splits[patient]
        ill = bool((place[patient]) % 2)
        jobs += [_Job(patient, k, split, ill, config, str(root)) for k in range(int(films[patient]))]
    return jobs


def drawn(draw: Callable[[J], T], jobs: list[J], workers: int | None) -> Iterator[T]:
    """What `draw` gives for each job, in order, drawn by so many processes (one a core unless given)."""
    count = workers or os.cpu_count() or 1
    if count == 1 or len(jobs) < 16:
        yield from map(draw, jobs)
        return
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        yield from pool.map(draw, jobs, chunksize=8)


def _draw(job: _Job) -> tuple[dict[str, str], list[Annotation]]:
    """Draw one film and write it with its masks."""
    config = job.config
    child = Anatomy.of(np.random.default_rng([config.seed, 2, job.patient]))
    rng = np.random.default_rng([config.seed, 3, job.patient, job.film])
    rate = config.marker_ill if job.ill else config.marker_healthy
    marked = rng.random() < rate
    marker = ("R" if rng.random() < 0.75 else "L") if marked else ""
    film = draw(
        rng, size=config.size, pneumonia=job.ill, marker=marker, anatomy=child, site=job.site, subtle=config.subtle
    )
    root = Path(job.folder)
    write_film(root / job.image_id, film.pixels)
    for name, mask in _masks(film).items():
        write_film(root / "masks" / name / f"{job.name}.png", mask.astype(np.uint8) * 255)
    said = readings(film, job.image_id, CLASSES, seed=[config.seed, 4, job.patient, job.film])
    extra = {"etiology": film.etiology, "kind": film.kind, "marker": marker, "strength": f"{film.strength:.3f}"}
    return extra, said


def _masks(film: Phantom) -> dict[str, NDArray[np.bool_]]:
    return {"lungs": film.lungs, "opacity": film.opacity, "marker": film.marker}


def write_film(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a film as PNG unless it is there."""
    if path.is_file():
        return
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, compress_level=1)


def _readme(config: PhantomConfig, films: int) -> str:
    return (
        "# Phantom chest radiographs\n\n"
        f"{films} films of {config.patients} children, drawn by `radiolucent data phantom`; no real patient.\n\n"
        "`split/CLASS/*.png`, true masks in `masks/`, readings in `annotations.json` (COCO) and `readings.csv`,\n"
        "`manifest.csv` with patient, site, kind of opacity and marker.\n\n"
        f"Configuration: `{dataclasses.asdict(config)}`\n"
    )
