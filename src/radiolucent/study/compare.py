"""A finished run against doctors' readings of any films."""

from pathlib import Path

from radiolucent.audits import Agreement, agreement
from radiolucent.data import load_dataset, read_annotations
from radiolucent.errors import ConfigError, DataError, ImageError
from radiolucent.explainers import METHODS, explain
from radiolucent.images import read
from radiolucent.models import load
from radiolucent.study.config import Progress, quiet
from radiolucent.types import Explanation

__all__ = ["compare_run"]


def compare_run(
    run: Path,
    data: Path,
    annotations: Path,
    method: str = "gradcam",
    target: str | None = None,
    reader: str = "consensus",
    seed: int = 0,
    say: Progress = quiet,
) -> tuple[Agreement, list[tuple[Path, str]]]:
    """Explain every film that has a reading, and compare; also (path, reason) of films that could not be read.

    Raises:
        ConfigError: an unknown method. DataError: no film has a reading. AnnotationError: see `read_annotations`.
    """
    if method not in METHODS:
        raise ConfigError(f"method {method!r}; expected one of {', '.join(METHODS)}.")
    classifier, dataset = load(run), load_dataset(data)
    readings = read_annotations(annotations, dataset=dataset)
    wanted = {a.image_id for a in readings}
    records = [r for r in dataset.records if r.image_id in wanted]
    left: list[tuple[Path, str]] = []
    maps: list[Explanation] = []
    goal = target or classifier.class_names[classifier.positive]
    for done, record in enumerate(records, start=1):
        try:
            film = read(record.path, image_id=record.image_id)
        except ImageError as error:
            left.append((record.path, str(error).removeprefix(f"{record.path}: ")))
            continue
        maps.append(explain(classifier, film, METHODS[method](), target=goal, seed=seed))
        say(f"explaining with {method}", done, len(records))
    if not maps:
        raise DataError(f"{annotations}: none of its films could be read from {data}.")
    patients = {r.image_id: r.patient_id or r.image_id for r in records}
    return agreement(maps, readings, reader=reader, patients=patients, seed=seed), left
