"""Logits for many films, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import DataError, ImageError, ModelError
from radiolucent.files import sha256_bytes
from radiolucent.images import as_film, as_films, read
from radiolucent.models.classifier import Classifier, check_classifier
from radiolucent.models.parallel_batches import side_by_side, workers_of
from radiolucent.models.preserve_state import alone
from radiolucent.models.steady import unsteady
from radiolucent.types import Predictions, Radiograph

__all__ = ["Case", "predict"]


class Case(Protocol):
    """What prediction needs to know of a film."""

    @property
    def path(self) -> Path | None: ...
    @property
    def image_id(self) -> str: ...
    @property
    def patient_id(self) -> str | None: ...
    @property
    def label(self) -> int | None: ...


@dataclass(frozen=True)
class _Given:
    """A film of which no more is known than its file, or what it holds in memory."""

    image_id: str
    path: Path | None = None
    film: Radiograph | None = None
    patient_id: str | None = None
    label: None = None

    @classmethod
    def file(cls, path: str | Path) -> "_Given":
        return cls(str(path), path=Path(path))

    @classmethod
    def in_memory(cls, film: Radiograph) -> "_Given":
        return cls(film.image_id, film=film, patient_id=film.patient_id)


def _cases(given: Any) -> list[Case]:
    """Records and files as they are, to be read in turn; whatever else `as_films` takes, as films in memory."""
    given = getattr(given, "records", given)
    if isinstance(given, str | Path):
        return [_Given.file(given)]
    if not isinstance(given, Sequence | Iterator):
        return [_Given.in_memory(film) for film in as_films(given)[0]]
    return [_case(one, f"image {i}") for i, one in enumerate(cast(Iterable[Any], given))]


def _case(given: Any, name: str) -> Case:
    if isinstance(given, str | Path):
        return _Given.file(given)
    is_case = hasattr(given, "path") and hasattr(given, "image_id")
    return given if is_case else _Given.in_memory(as_film(given, name))


_Group = tuple[Sequence[Case], torch.Tensor | None, list[str], list[tuple[Path, str]]]
"""Cases that were read, their logits, their films' digests, and what was left out."""


@alone()
def predict(
    classifier: Classifier,
    cases: Any,
    *,
    pixels: NDArray[np.uint8] | None = None,
    batch_size: int = 32,
    left_out: list[tuple[Path, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    digests: dict[str, str] | None = None,
) -> Predictions:
    """Run the classifier over films.

    Args:
        cases: a data set, whose labels are matched with the model's by name; or anything with path, image_id,
            patient_id and label, e.g. `radiolucent.data.Record`, whose labels are taken in the model's order; or
            films without labels: paths, `Radiograph`s, arrays, PIL images, tensors, one or several, as `explain` takes
            them.
        pixels: uint8 (N, S, S) resized films in the order of `cases` (a pixel cache); read from the paths unless given.
        left_out: unreadable files are appended here as (path, reason) and skipped; without it they raise.
        progress: called with (done, total).
        digests: filled with the SHA-256 of each film as the network is given it (uint8, before normalisation), by image
            identifier: the same for copies of a film in any lossless format.

    Raises:
        ImageError: a file is unreadable and `left_out` was not given. DataError: no film is left, or labels are none of
            the model's.
        ConfigError: what is given is no classifier, or no films.
        ModelError: the network's answer to a film depends on its company, or on chance.
    """
    check_classifier(classifier)
    if why := unsteady(classifier):
        raise ModelError(why)
    names: Sequence[str] | None = getattr(cases, "class_names", None)
    films = _cases(cases)
    kept: list[Case] = []
    logits: list[torch.Tensor] = []
    expected = (len(films), *classifier.preprocess.shape)
    if pixels is not None and pixels.shape != expected:
        raise DataError(f"pixels {pixels.shape} for {len(films)} films; the model takes {expected}.")

    def work(start: int) -> _Group:
        group, left = films[start : start + batch_size], list[tuple[Path, str]]()
        if pixels is None:
            group, batch = _read(classifier, group, None if left_out is None else left)
        else:
            batch = torch.from_numpy(np.array(pixels[start : start + batch_size]))
        found = classifier.logits(classifier.preprocess.normalise(batch)) if len(group) else None
        told = [] if digests is None else [sha256_bytes(film.numpy().tobytes()) for film in batch]
        return group, found, told, left

    workers = workers_of(classifier)
    starts = range(0, len(films), batch_size)
    for first in range(0, len(starts), 4 * workers):
        some = starts[first : first + 4 * workers]
        for group, found, told, left in side_by_side(work, some, workers):
            if found is not None:
                logits.append(found)
                kept += group
            if digests is not None:
                digests |= dict(zip((c.image_id for c in group), told, strict=True))
            if left_out is not None:
                left_out += left
        if progress:
            progress(min(some[-1] + batch_size, len(films)), len(films))
    if not kept:
        raise DataError(f"none of {len(films)} files could be used; check the folder.")
    return Predictions(
        tuple(case.image_id for case in kept),
        tuple(case.patient_id or case.image_id for case in kept),
        torch.cat(logits).numpy(),
        _labels(kept, classifier, names),
        classifier.class_names,
        classifier.positive,
        classifier.head,
        classifier.temperature,
        classifier.threshold,
        calibrated_on=classifier.calibrated_on,
        rules=classifier.rules,
        without_lung=classifier.without_lung,
    )


def _labels(cases: Sequence[Case], classifier: Classifier, names: Sequence[str] | None) -> NDArray[np.int64]:
    """Class indices (N,), or of a multi-label model (N, K) 1, 0 and -1; -1 where not known.

    Args:
        names: what the cases' labels are called, in their order; None: as the model's.

    Raises:
        DataError: labels that are not the model's.
    """
    own = classifier.class_names
    known = {_plain(name): k for k, name in enumerate(own)}
    places = range(len(own)) if names is None else [known.get(_plain(name), -1) for name in names]
    if not classifier.multilabel:
        labels = [-1 if case.label is None else case.label for case in cases]
        if names is not None and (odd := {names[k] for k in labels if k >= 0 and places[k] < 0}):
            raise DataError(
                f"classes {', '.join(sorted(odd))} are none of the model's ({', '.join(own)}); see relabel()."
            )
        return np.array([k if k < 0 or names is None else places[k] for k in labels], np.int64)
    found = np.full((len(cases), len(own)), -1, np.int64)
    for row, case in zip(found, cases, strict=True):
        findings = tuple(getattr(case, "findings", ()))
        if findings and names and max(places) < 0:
            raise DataError(f"labels {', '.join(names)} are none of the model's ({', '.join(own)}).")
        if findings and len(findings) != len(places):
            raise DataError(
                f"{case.image_id}: has {len(findings)} labels, the model {len(own)} ({', '.join(own)}); give the data "
                "set, whose labels have names."
            )
        for place, value in zip(places, findings, strict=False):
            if place >= 0:
                row[place] = max(value, -1)
    return found


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _read(
    classifier: Classifier, cases: Sequence[Case], left_out: list[tuple[Path, str]] | None
) -> tuple[Sequence[Case], torch.Tensor]:
    kept: list[Case] = []
    films: list[NDArray[Any]] = []
    for case in cases:
        path, film = case.path, case.film if isinstance(case, _Given) else None
        if path is None and film is None:
            raise DataError(f"{case.image_id}: has no path and no pixels were given.")
        try:
            film = read(cast(Path, path), image_id=case.image_id) if film is None else film
            films.append(classifier.preprocess.quantise(film))
            kept.append(case)
        except ImageError as error:
            if left_out is None or path is None:
                raise
            left_out.append((path, str(error).removeprefix(f"{path}: ")))
    shape = classifier.preprocess.shape
    return kept, torch.from_numpy(np.stack(films) if films else np.zeros((0, *shape), np.uint8))
