"""Logits for many films, in bounded memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from radiolucent.errors import DataError, ImageError, ModelError
from radiolucent.files import sha256_bytes
from radiolucent.images import read
from radiolucent.models.classifier import Classifier
from radiolucent.models.parallel_batches import side_by_side, workers_of
from radiolucent.models.steady import unsteady
from radiolucent.types import Predictions

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


_Group = tuple[Sequence[Case], torch.Tensor | None, list[str], list[tuple[Path, str]]]
"""Cases that were read, their logits, their films' digests, and what was left out."""


def predict(
    classifier: Classifier,
    cases: Sequence[Case],
    *,
    pixels: NDArray[np.uint8] | None = None,
    batch_size: int = 32,
    left_out: list[tuple[Path, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    digests: dict[str, str] | None = None,
) -> Predictions:
    """Run the classifier over films.

    Args:
        cases: anything with path, image_id, patient_id and label, e.g. `radiolucent.data.Record`.
        pixels: uint8 (N, S, S) resized films in the order of `cases` (a pixel cache); read from the paths unless given.
        left_out: unreadable files are appended here as (path, reason) and skipped; without it they raise.
        progress: called with (done, total).
        digests: filled with the SHA-256 of each film as the network is given it (uint8, before normalisation), by image
            identifier: the same for copies of a film in any lossless format.

    Raises:
        ImageError: a file is unreadable and `left_out` was not given. DataError: no film is left.
        ModelError: the network's answer to a film depends on its company, or on chance.
    """
    if why := unsteady(classifier):
        raise ModelError(why)
    kept: list[Case] = []
    logits: list[torch.Tensor] = []
    expected = (len(cases), *classifier.preprocess.shape)
    if pixels is not None and pixels.shape != expected:
        raise DataError(f"pixels {pixels.shape} for {len(cases)} films; the model takes {expected}.")

    def work(start: int) -> _Group:
        group, left = cases[start : start + batch_size], list[tuple[Path, str]]()
        if pixels is None:
            group, batch = _read(classifier, group, None if left_out is None else left)
        else:
            batch = torch.from_numpy(np.array(pixels[start : start + batch_size]))
        found = classifier.logits(classifier.preprocess.normalise(batch)) if len(group) else None
        told = [] if digests is None else [sha256_bytes(film.numpy().tobytes()) for film in batch]
        return group, found, told, left

    workers = workers_of(classifier)
    starts = range(0, len(cases), batch_size)
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
            progress(min(some[-1] + batch_size, len(cases)), len(cases))
    if not kept:
        raise DataError(f"none of {len(cases)} files could be used; check the folder.")
    return Predictions(
        tuple(case.image_id for case in kept),
        tuple(case.patient_id or case.image_id for case in kept),
        torch.cat(logits).numpy(),
        _labels(kept, classifier),
        classifier.class_names,
        classifier.positive,
        classifier.head,
        classifier.temperature,
        classifier.threshold,
        calibrated_on=classifier.calibrated_on,
        rules=classifier.rules,
    )


def _labels(cases: Sequence[Case], classifier: Classifier) -> NDArray[np.int64]:
    """Class indices (N,), or of a multi-label model (N, K) 1, 0 and -1; -1 where not known.

    Raises:
        DataError: another number of labels than the model has.
    """
    if not classifier.multilabel:
        return np.array([-1 if case.label is None else case.label for case in cases], np.int64)
    names = classifier.class_names
    rows = [tuple(getattr(case, "findings", ())) or (-1,) * len(names) for case in cases]
    if odd := next((c for c, row in zip(cases, rows, strict=True) if len(row) != len(names)), None):
        raise DataError(f"{odd.image_id}: its labels are not the model's ({', '.join(names)}); see relabel().")
    return np.maximum(np.array(rows, np.int64), -1)


def _read(
    classifier: Classifier, cases: Sequence[Case], left_out: list[tuple[Path, str]] | None
) -> tuple[Sequence[Case], torch.Tensor]:
    kept: list[Case] = []
    films: list[NDArray[Any]] = []
    for case in cases:
        if case.path is None:
            raise DataError(f"{case.image_id}: has no path and no pixels were given.")
        try:
            films.append(classifier.preprocess.quantise(read(case.path, image_id=case.image_id)))
            kept.append(case)
        except ImageError as error:
            if left_out is None:
                raise
            left_out.append((case.path, str(error).removeprefix(f"{case.path}: ")))
    shape = classifier.preprocess.shape
    return kept, torch.from_numpy(np.stack(films) if films else np.zeros((0, *shape), np.uint8))
